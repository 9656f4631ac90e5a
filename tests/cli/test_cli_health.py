"""``health``, ``status``, ``stop`` and ``doctor`` against nodes that are there, silent or gone."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from helios_cli.cli import main
from helios_cli.commands import doctor
from helios_cli.engine.observe import machine


class Answers(BaseHTTPRequestHandler):
    pages: ClassVar[dict[str, tuple[int, Any]]] = {}

    def do_GET(self) -> None:
        status, body = self.pages[self.path]
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


@pytest.fixture
def node() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(arguments)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_health_is_the_exit_code(capsys: pytest.CaptureFixture[str], node: str) -> None:
    Answers.pages = {"/health": (200, {"status": "ok"})}
    assert run(capsys, "health", "--node", node) == (0, "ok\n", "")
    Answers.pages = {"/health": (503, {"status": "unavailable", "reason": "recovering"})}
    assert run(capsys, "health", "--node", node) == (6, "not serving: recovering\n", "")
    assert run(capsys, "health", "--node", node, "-q") == (6, "", "")
    code, out, _ = run(capsys, "health", "--node", node, "--json")
    assert (code, json.loads(out)["reason"]) == (6, "recovering")


def test_an_alarm_is_told_and_the_node_serves(capsys: pytest.CaptureFixture[str], node: str) -> None:
    Answers.pages = {"/health": (200, {"status": "ok", "alarms": ["page 7 of the database file is damaged"]})}
    assert run(capsys, "health", "--node", node) == (0, "ok\nalarm: page 7 of the database file is damaged\n", "")
    assert run(capsys, "health", "--node", node, "-q") == (0, "", "")
    code, out, _ = run(capsys, "health", "--node", node, "--json")
    assert (code, json.loads(out)["alarms"]) == (0, ["page 7 of the database file is damaged"])


def test_health_finds_the_node_by_its_settings(
    capsys: pytest.CaptureFixture[str], node: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    Answers.pages = {"/health": (200, {"status": "ok"})}
    monkeypatch.setenv("HELIOSDB_HTTP_PORT", node.partition(":")[2])
    monkeypatch.setenv("HELIOSDB_LISTEN_ADDRESS", "0.0.0.0")
    monkeypatch.setenv("HELIOSDB_DATA_DIR", str(tmp_path))
    assert run(capsys, "health")[0] == 0


def test_nobody_and_silence_have_their_own_codes(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "health", "--node", "127.0.0.1:1")
    assert code == 3
    assert err.startswith("error: no node answers at 127.0.0.1:1: ")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        code, _, err = run(capsys, "health", "--node", address, "--timeout", "0.1")
    assert (code, err) == (4, f"error: {address} did not answer within 0.1 s\n")


def test_status_is_a_table_or_json(capsys: pytest.CaptureFixture[str], node: str) -> None:
    Answers.pages = {"/status": (200, {"role": "primary", "serving": True, "log": {"flushed_lsn": "0/10"}})}
    code, out, _ = run(capsys, "status", "--node", node)
    assert code == 0
    assert [line.split() for line in out.splitlines()[1:]] == [
        ["role", "primary"], ["serving", "yes"], ["log.flushed_lsn", "0/10"],
    ]  # fmt: skip
    assert json.loads(run(capsys, "status", "--node", node, "--json")[1])["log"] == {"flushed_lsn": "0/10"}
    nodes = [
        {"node_id": "n1", "role": "primary", "state": "streaming", "in_sync": True, "lag_bytes": 0},
        {"node_id": "n2", "role": "standby", "state": "disconnected", "in_sync": False, "lag_bytes": None},
    ]
    cluster = {"mode": "sync", "primary_id": "n1", "nodes": nodes, "counters": {"reconnects": 3}}
    Answers.pages = {"/status": (200, {"role": "primary", "cluster": cluster})}
    _, out, _ = run(capsys, "status", "--node", node)
    lines = [line.split(None, 1) for line in out.splitlines()]
    assert ["cluster.n1", "primary, streaming, in sync, lag 0 bytes"] in lines
    assert ["cluster.n2", "standby, disconnected, not in sync, lag unknown"] in lines
    assert "reconnects" not in out
    assert json.loads(run(capsys, "status", "--node", node, "--json")[1])["cluster"] == cluster
    Answers.pages = {"/status": (500, {"message": "broken"})}
    assert run(capsys, "status", "--node", node)[0] == 3


HOLDER = """
import fcntl, json, os, signal, sys
file = open(sys.argv[1], "w")
fcntl.flock(file, fcntl.LOCK_EX)
file.write(json.dumps({"pid": os.getpid(), "ports": {"http": 1}, "started_us": 1}))
file.flush()
if sys.argv[2] == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("held", flush=True)
signal.pause()
"""


def hold(directory: Path, how: str) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-c", HOLDER, str(directory / "lock"), how]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def end(process: subprocess.Popen[str]) -> int:
    process.kill()
    code = process.wait(10)
    assert process.stdout is not None
    process.stdout.close()
    return code


def test_stop_ends_the_process_that_holds_the_directory(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    process = hold(tmp_path, "tame")
    try:
        code, out, _ = run(capsys, "stop", "--data-dir", str(tmp_path), "--dry-run")
        assert (code, out) == (0, f"would stop process {process.pid}\n")
        assert process.poll() is None
        reaper = threading.Thread(target=process.wait)
        reaper.start()
        code, out, _ = run(capsys, "stop", "--data-dir", str(tmp_path), "--json")
        reaper.join()
        assert (code, json.loads(out)["stopped"]) == (0, True)
        assert process.returncode == -15
    finally:
        end(process)
    assert run(capsys, "stop", "--data-dir", str(tmp_path)) == (0, f"no node runs on {tmp_path}\n", "")


def test_stop_of_a_stubborn_process_is_a_timeout_or_a_kill(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    process = hold(tmp_path, "stubborn")
    try:
        assert run(capsys, "stop", "--data-dir", str(tmp_path), "--timeout", "0.1")[0] == 4
        reaper = threading.Thread(target=process.wait)
        reaper.start()
        assert run(capsys, "stop", "--data-dir", str(tmp_path), "--timeout", "0.1", "--kill")[0] == 0
        reaper.join()
        assert process.returncode == -9
    finally:
        end(process)


def test_a_lock_file_of_a_dead_node_is_nobody(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "lock").write_text('{"pid": 1, "ports": {}, "started_us": 0}')
    assert run(capsys, "stop", "--data-dir", str(tmp_path))[1] == f"no node runs on {tmp_path}\n"


def checks(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    code, out, _ = run(capsys, "doctor", "--json", *arguments)
    return code, {one["check"]: one for one in json.loads(out)["checks"]}


@pytest.fixture
def free_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, port in zip(("PG", "NATIVE", "HTTP"), machine.free_ports(3), strict=True):
        monkeypatch.setenv(f"HELIOSDB_{name}_PORT", str(port))


@pytest.mark.usefixtures("free_settings")
def test_doctor_on_a_sound_machine(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    os.chmod(tmp_path, 0o700)
    code, found = checks(capsys, "--data-dir", str(tmp_path))
    assert code == 0, found
    for name in (
        "python",
        "sqlite",
        "configuration",
        "data directory",
        "permissions",
        "sync latency",
        "io_method",
        "clock",
        "pg_port",
    ):
        assert found[name]["verdict"] == "ok", found[name]


@pytest.mark.usefixtures("free_settings")
def test_doctor_names_what_is_wrong(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.chmod(tmp_path, 0o777)
    (tmp_path / "heliosdb.conf").write_text("[sessions]\nmax_connections = 100000\n")
    (tmp_path / "somebody-elses").touch()
    with socket.create_server(("127.0.0.1", 0)) as busy:
        monkeypatch.setenv("HELIOSDB_HTTP_PORT", str(busy.getsockname()[1]))
        code, found = checks(capsys, "--data-dir", str(tmp_path))
    assert code == 1
    assert found["permissions"]["hint"] == f"chmod 700 {tmp_path}"
    assert found["http_port"]["verdict"] == "failed"
    assert f"process {os.getpid()}" in found["http_port"]["detail"]
    assert found["data directory"]["verdict"] == "warning"
    assert "max_connections" in found["open files"]["hint"] or machine.open_files_max() in (
        -1,
        *range(100_256, 1 << 40),
    )


def test_doctor_checks_the_defaults_when_the_configuration_is_broken(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "heliosdb.conf").write_text("[server]\nnonsense = 1\n")
    code, found = checks(capsys, "--data-dir", str(tmp_path))
    assert code == 1
    assert found["configuration"]["verdict"] == "failed"
    assert found["data directory"]["detail"].startswith(str(tmp_path))


def test_doctor_refuses_an_old_sqlite_and_a_network_file_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "sqlite_version", lambda: "3.50.4")
    monkeypatch.setattr(machine, "file_system", lambda _path: "nfs4")
    monkeypatch.setattr(machine, "python_version", lambda: (3, 10, 0))
    monkeypatch.setattr(machine, "sync_latency_ms", lambda _path: 35.0)
    found = {one.check: one for one in doctor.examine("/nonexistent-heliosdb", None)}
    assert found["sqlite"].verdict == found["file system"].verdict == found["python"].verdict == "failed"
    assert found["sync latency"].verdict == "warning"


@pytest.mark.usefixtures("free_settings")
def test_doctor_says_who_writes_the_page_log(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: object) -> None:
        raise OSError(errno.EPERM, "this system refuses io_uring")

    monkeypatch.setattr("helios_cli.engine.storage.uring.Uring.__init__", refuse)
    found = {one.check: one for one in doctor.examine("/nonexistent-heliosdb", None)}
    assert (found["io_method"].verdict, found["io_method"].detail) == ("ok", "worker: this system refuses io_uring")
    monkeypatch.setenv("HELIOSDB_IO_METHOD", "io_uring")
    found = {one.check: one for one in doctor.examine("/nonexistent-heliosdb", None)}
    assert (found["io_method"].verdict, "worker" in found["io_method"].hint) == ("failed", True)


def test_the_lock_probe_never_takes_the_lock(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "lock").touch()
    run(capsys, "stop", "--data-dir", str(tmp_path))
    with (tmp_path / "lock").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
