"""What the verbs of a cluster say and leave, by answers that are made up; no node runs."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from support.local_clusters import Capture, asked, base_port, call, settle_in

from helios_cli.commands import _admin, _cluster_look, _output, playbook
from helios_cli.commands.local import clusterfile, layout, observation, picture, processes
from helios_cli.commands.local.clusterfile import LocalCluster
from helios_cli.commands.local.observation import Observation
from helios_cli.engine.errors import HeliosError


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settle_in(tmp_path, monkeypatch)


class Page(BaseHTTPRequestHandler):
    """Answers with what is next for a path; the last of it again and again."""

    pages: ClassVar[dict[str, list[tuple[int, Any]]]] = {}

    def do_GET(self) -> None:
        found = self.pages[self.path]
        status, body = found.pop(0) if len(found) > 1 else found[0]
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    """Of a server that answers with ``Page.pages``."""
    server = HTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server.server_port
    server.shutdown()
    server.server_close()
    thread.join()


def answering(place: LocalCluster, name: str, **status: Any) -> Observation:
    """A node that answers with a status record."""
    record = {"state": "running", "term": 1, "role": "standby", "cluster": {"nodes": [{"state": "streaming"}]}} | status
    return Observation(place.node(name), processes.Process(1, 1, ""), observation._state(record), record)


@pytest.fixture
def three(tmp_path: Path) -> LocalCluster:
    return clusterfile.LocalCluster(tmp_path, layout.new_nodes(3, None, 7000, 1))


OVER = "primary: its lease is over, and commits wait until a majority of the voters is heard of"


def test_a_primary_whose_lease_is_over_is_not_told_as_one_that_serves(three: LocalCluster) -> None:
    cut_off = answering(three, "primary", role="primary", leads=False, read_only_reason=OVER)
    others = [answering(three, "standby-sync"), answering(three, "standby-async")]
    seen = [cut_off, *others]
    assert picture.rows(seen)[0][:4] == ("primary", "primary", "sync", "lapsed")
    assert picture.remarks(three, seen) == [f"primary: {OVER.removeprefix('primary: ')}"]
    assert not observation.healthy(seen) and observation.lacking(seen) == ["primary is lapsed"]
    assert observation.lacking(seen, others) == []

    elected = answering(three, "standby-sync", role="primary", leads=True, term=2)
    seen = [cut_off, elected, others[1]]
    assert [row[3] for row in picture.rows(seen)] == ["deposed", "serving", "streaming"]
    assert picture.remarks(three, seen) == ["primary is deposed: standby-sync leads in term 2, and is not heard there"]
    assert observation.healthy([elected, *others[1:]])


def test_a_node_that_does_not_answer_is_what_the_primary_knows_of_it(three: LocalCluster) -> None:
    known = [{"node_id": "standby-sync", "state": "serving"}, {"node_id": "primary", "role": "standby"}]
    leads = answering(three, "standby-sync", role="primary", leads=True, term=2, cluster={"nodes": known})
    killed, unknown = (Observation(three.node(name), None, "down", {}) for name in ("primary", "standby-async"))
    assert [row[1] for row in picture.rows([killed, leads, unknown])] == ["standby", "primary", "standby"]
    assert [row[1] for row in picture.rows([killed, unknown])] == ["primary", "standby"], "nobody leads"


def test_steps_that_were_not_wanted_are_told_apart() -> None:
    steps = [{"name": name, "outcome": outcome} for name, outcome in
             (("a", "done"), ("b", "left out"), ("c", "done"), ("d", "failed"))]  # fmt: skip
    assert playbook._counted(steps) == "2 of 3 steps (not wanted: b)"
    assert playbook._counted(steps[2:]) == "1 of 2 steps"


def lone(port: int) -> LocalCluster:
    """A cluster here whose primary, or rather a server of this test, answers, and a standby that is not there."""
    nodes = (
        clusterfile.LocalNode("primary", "primary", "async", 1, 2, port),
        clusterfile.LocalNode("extra", "standby", "async", 4, 5, 6),
    )
    cluster = clusterfile.LocalCluster(Path(clusterfile.DIRECTORY), nodes)
    cluster.directory.mkdir()
    clusterfile.write(cluster)
    clusterfile.create_secret(cluster)
    return cluster


def test_a_standby_that_never_joined_is_taken_out_of_the_file(capsys: Capture, port: int) -> None:
    lone(port)
    Page.pages = {
        "/status": [(200, {"node_id": "primary", "role": "primary", "term": 1})],
        "/admin/standby/remove": [(500, {"error": "the cluster has no node extra", "sqlstate": "42704"})],
    }
    assert call(capsys, "standby", "remove", "extra", "--dry-run")[0] == 0
    assert "never joined" in asked(capsys, "standby", "remove", "extra")["result"]
    assert [one.name for one in clusterfile.load(None).nodes] == ["primary"]
    code, _, err = call(capsys, "standby", "remove", "extra")
    assert (code, err.splitlines()[0]) == (1, "error: the cluster has no node extra"), "nor does the file, now"


def test_nothing_is_left_when_all_is_wiped(capsys: Capture, tmp_path: Path) -> None:
    cluster = lone(7)
    run = cluster.directory / "playbooks" / "20261123T112046-failover-drill"
    run.mkdir(parents=True)
    (run / "journal.jsonl").touch()
    (cluster.directory / "playbooks" / ".lock").touch()
    would = asked(capsys, "cluster", "down", "--wipe", "--dry-run")["removed"]
    assert run.exists() and str(run.parent) in would
    assert asked(capsys, "cluster", "down", "--wipe", "--yes")["removed"] == would
    assert list(tmp_path.iterdir()) == []


def test_a_proxy_that_only_just_lost_a_node_is_asked_again(port: int) -> None:
    bad = {"name": "primary", "state": "unhealthy", "reason": "it was cut off"}
    other = {"name": "elsewhere", "state": "unhealthy"}
    Page.pages = {"/nodes": [(200, [bad, other]), (200, [bad, other]), (200, [bad | {"state": "healthy"}, other])]}
    seen = _cluster_look._settled(f"127.0.0.1:{port}", ["primary"])
    assert seen.nodes is not None and [one["state"] for one in seen.nodes] == ["healthy", "unhealthy"]
    assert len(Page.pages["/nodes"]) == 1, "what does not answer here either is not waited for"


def test_a_dry_run_of_orders_is_for_programs_too(capsys: Capture) -> None:
    found = asked(capsys, "workload", "mixed", "--host", "db1:5400", "--duration", 3, "--dry-run")
    assert (found["hosts"], found["table"], found["seconds"]) == (["db1:5400"], "app_orders", 3.0)
    assert "until Ctrl-C" in call(capsys, "workload", "mixed", "--host", "db1", "--duration", 0, "--dry-run")[1]


def test_a_node_is_asked_by_its_name(capsys: Capture, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = lone(port)
    Page.pages = {
        "/health": [(200, {"status": "ok"})], "/status": [(200, {"node_id": "primary", "role": "primary", "term": 1})],
    }  # fmt: skip
    assert asked(capsys, "health", "--node", "primary")["serves"]
    assert asked(capsys, "status", "--node", "primary")["node_id"] == "primary"
    code, _, err = call(capsys, "status", "--node", "primry")
    assert (code, err.splitlines()) == (1, [
        f'error: there is no node "primry" in {cluster.path}', "hint: Its nodes are primary, extra.",
    ])  # fmt: skip
    monkeypatch.setenv("HELIOSDB_HTTP_PORT", "1")
    for verb in ("status", "health"):
        code, _, err = call(capsys, verb)
        assert code == 3 and f"--node NAME asks a node of {cluster.path}" in err


def test_orders_for_all_pass_observers_by(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    lone(7)
    records = {"primary": {"role": "primary", "database_pages": 7}, "extra": {"role": "observer"}}
    monkeypatch.setattr(_admin, "status_of", lambda reach: records[reach.name])
    found = asked(capsys, "scrub", "--dry-run")
    assert found == {"would_read": [{"node": "primary", "pages": 7}], "dry_run": True}


def test_a_directory_that_is_not_there_has_no_salvages(capsys: Capture) -> None:
    code, out, err = call(capsys, "salvage", "list", "--data-dir", "nowhere")
    assert (code, out, err.splitlines()[0]) == (2, "", "error: there is no data directory nowhere")


def test_lines_are_broken_between_words_on_a_terminal(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "    17  node standby-sync leads in term 2: 3 of the 3 votes, 2 needed"
    monkeypatch.setenv("COLUMNS", "40")
    _output.print_line(text)
    assert capsys.readouterr().out == text + "\n", "elsewhere it is left alone"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    _output.print_line(text)
    assert capsys.readouterr().out.splitlines() == [
        "    17  node standby-sync leads in term", "      2: 3 of the 3 votes, 2 needed",
    ]  # fmt: skip
    _output.print_line(text, 20)
    assert capsys.readouterr().out.splitlines()[1:] == [f"{'':20}2: 3 of the 3 votes,", f"{'':20}2 needed"]


def test_narrow_columns_are_not_folded(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    _output.print_table(("name", "why"), [("standby-sync", "it does not answer there, or not in time")])
    out = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    assert "standby-sync " in out and max(map(len, out.splitlines())) <= 40
    _output.print_table(["a", "b", "c", "d", "e", "f"], [["0123456789"] * 6])
    out = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    assert out.count("0") == out.count("9") == 6, "what has no room is folded, and not cut off"


def test_of_many_taken_ports_the_first_are_named() -> None:
    nodes = layout.new_nodes(2, None, base_port())
    with contextlib.ExitStack() as held:
        for port in [port for one in nodes for port in one.ports.values()]:
            held.enter_context(socket.create_server(("127.0.0.1", port)))
        with pytest.raises(HeliosError, match=r"^(\w+ port \d+ of primary is held by [^;]+; ){3}and 3 ports more$"):
            layout.refuse_used_ports(clusterfile.LocalCluster(Path(), nodes), nodes, "hint")


@pytest.mark.parametrize("node", ["127.0.0.1:99999", "127.0.0.1:0", "db1:x"])
def test_a_port_that_is_none_is_a_mistake(capsys: Capture, node: str) -> None:
    code, _, err = call(capsys, "health", "--node", node)
    assert code == 2 and f"not '{node}'" in err


def test_what_belongs_to_another_user_is_not_taken_for_nothing(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "lock").touch()
    code, out, _ = call(capsys, "stop", "--data-dir", "theirs")
    assert (code, out) == (0, "no node runs on theirs\n")

    def refuses(path: str, *_: object) -> int:
        raise PermissionError(13, "Permission denied", path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuses)
        code, out, err = call(capsys, "stop", "--data-dir", "theirs")
    assert (code, out, err) == (1, "", "error: theirs/lock: Permission denied\n")

    def forbids(*_: object) -> bool:
        raise PermissionError(1, "Operation not permitted")

    own = processes.identify(os.getpid())
    assert own is not None
    monkeypatch.setattr(signal, "pidfd_send_signal", forbids)
    with pytest.raises(HeliosError, match=f"process {own.pid} is another user's"):
        own.send(signal.SIGCONT)
