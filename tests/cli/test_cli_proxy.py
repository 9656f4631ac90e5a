"""``proxy`` and ``heliosdb-proxy``: configuration on the command line, and the verbs against an admin address."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

import pytest

from helios_cli.cli import main, main_proxy
from helios_cli.engine.proxyserver import admin_fields

SEED = """[proxy]
listen_addr = "0.0.0.0:5400"
admin_addr = "0.0.0.0:9090"
health_check_interval_secs = 5
failure_threshold = 3
write_timeout_secs = 30
[[nodes]]
name = "primary"
host = "localhost"
port = 5432
role = "primary"
enabled = true
"""
TOKEN = "t" * 32


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import os

    for name in tuple(os.environ):
        if name.startswith("HELIOSDB_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(("proxy", *arguments))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def write(tmp_path: Path, text: str) -> str:
    path = tmp_path / "proxy.toml"
    path.write_text(text)
    path.chmod(0o600)
    return str(path)


# Configuration -------------------------------------------------------------------------------------------------------


def test_dry_run_tells_what_it_would_run_with(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = write(tmp_path, SEED)
    code, out, err = run(capsys, "start", "--config", path, "--dry-run")
    assert code == 0
    assert "warning: " in err and "listening on 127.0.0.1:5400 instead of 0.0.0.0" in err
    lines = {line.split()[0]: line for line in out.splitlines()}
    assert lines["proxy.listen_addr"].split()[1:] == ["127.0.0.1:5400", f"{path}:2"]
    assert "30s" in lines["proxy.write_timeout_secs"]
    assert "primary = localhost:5432 primary" in lines["nodes[0]"]
    assert not (tmp_path / "proxy.token").exists(), "a dry run leaves nothing behind"


def test_the_program_takes_the_same_options(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, SEED)
    assert main_proxy(["--config", path, "--dry-run", "--json"]) == 0
    by_flag = json.loads(capsys.readouterr().out)
    monkeypatch.setenv("HELIOSDB_PROXY_CONFIG", path)
    monkeypatch.setattr(sys, "argv", ["heliosdb-proxy", "--dry-run", "--json"])
    assert main_proxy() == 0
    assert json.loads(capsys.readouterr().out) == by_flag
    assert by_flag["settings"]["proxy.failure_threshold"]["value"] == 3
    assert main_proxy(["--nonsense"]) == 2
    assert "heliosdb-proxy --help" in capsys.readouterr().err


def test_every_mistake_is_told_and_nothing_starts(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = write(tmp_path, SEED.replace("failure_threshold", "failure_treshold") + "port = 5433\n")
    code, out, err = run(capsys, "start", "--config", path)
    assert (code, out) == (2, "")
    path = write(tmp_path, SEED.replace("failure_threshold", "failure_treshold").replace("30", "'x'"))
    code, out, err = run(capsys, "start", "--config", path)
    assert (code, out) == (2, "")
    assert [line.partition(":")[0] for line in err.splitlines()] == ["error", "error"]
    assert f'{path}:5: unrecognized configuration parameter "proxy.failure_treshold"' in err
    assert 'Did you mean "proxy.failure_threshold"?' in err


def test_a_single_mistake_has_its_hint(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = write(tmp_path, "[proxy]\npool_size = 0\n")
    code, _, err = run(capsys, "start", "--config", path)
    message = f'{path}:2: 0 is outside the valid range for parameter "pool_size" (1 .. 10000)'
    assert (code, err) == (2, f"error: {message}\nhint: Every problem is listed by: heliosdb-nano proxy check\n")


def test_check(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = write(tmp_path, SEED)
    code, out, err = run(capsys, "check", "--config", path)
    assert (code, out) == (0, "the configuration is valid\n")
    assert err.count("warning: ") == 2
    path = write(tmp_path, "[proxy]\nbalancer = 'best'\n[tls]\nmode = 'require'\n")
    code, out, err = run(capsys, "check", "--config", path, "--json")
    found = json.loads(out)
    assert (code, found["valid"]) == (2, False)
    assert [(one["line"], one["key"], one["severity"]) for one in found["problems"]] == [
        (2, "proxy.balancer", "error"), (4, "tls.mode", "error"),
    ]  # fmt: skip
    assert run(capsys, "check", "--config", str(tmp_path / "none"))[0] == 2


def test_config_hides_passwords(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("swordfish")
    (tmp_path / "secret").chmod(0o600)
    users = '[[users]]\nname = "ann"\npassword = "tunafish"\n'
    path = write(tmp_path, f'[proxy]\nauth_user = "boss"\nauth_password_file = "secret"\n{users}')
    for arguments in ((), ("--json",), ("--changed",)):
        code, out, err = run(capsys, "config", "--config", path, *arguments)
        assert code == 0
        assert "fish" not in out + err
    shown = json.loads(run(capsys, "config", "--config", path, "--json")[1])
    assert shown["users"] == [{"name": "ann", "by": "password"}]
    assert shown["settings"]["proxy.auth"] == {"value": "scram", "shown": "scram", "origin": "default"}
    assert "proxy.pool_size" not in run(capsys, "config", "--config", path, "--changed")[1]


def test_start_reads_no_file_when_none_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """Unless the system has one."""
    if Path("/etc/heliosdb/proxy.toml").exists():
        pytest.skip("this machine has a proxy.toml")
    code, _, err = run(capsys, "start", "--dry-run")
    assert code == 0
    assert "the nodes are found from 127.0.0.1:5432" in err


def test_a_check_loads_neither_the_proxy_nor_a_database() -> None:
    program = "import sys; from helios_cli.cli import main; main(['proxy', 'check']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "helios_cli.commands.proxy" in loaded
    assert not {"uvloop", "apsw", "rich", "helios_cli.engine.proxyserver.login"} & loaded


# The verbs -----------------------------------------------------------------------------------------------------------


class Proxy(HTTPServer):
    """An admin address that answers what a test says, and remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        node = dict.fromkeys(admin_fields.NODES, 0)
        self.pages: dict[str, tuple[int, Any]] = {
            "/health": (200, {"status": "ok"}),
            "/nodes": (200, [
                {**node, "name": "a", "role": "primary", "state": "healthy", "term": 3, "reason": ""},
                {**node, "name": "b", "role": "standby", "state": "unhealthy", "active": 2, "reason": "refused"},
            ]),
            "/pools": (200, [{**dict.fromkeys(admin_fields.POOLS, 1), "node": "a", "user": "ann"}]),
            "/clients": (200, [{**dict.fromkeys(admin_fields.CLIENTS, 1), "user": "ann", "state": "idle"}]),
            "/stats": (200, [{"name": "clients", "value": 1}, {"name": "statements_total", "value": 7}]),
            "/routing/explain": (200, {
                "sql": "SELECT 1", "access": "read", "why": "SELECT", "node": "b", "candidates": ["a", "b"],
            }),
        }  # fmt: skip
        self.asked: list[str] = []

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Proxy

    def do_GET(self) -> None:
        url = urlparse(self.path)
        self.server.asked.append(f"GET {url.path}" + "".join(f" {one}" for one in parse_qs(url.query).get("sql", [])))
        self._answer(*self.server.pages.get(url.path, (404, {"error": "not found"})))

    def do_POST(self) -> None:
        self.server.asked.append(f"POST {self.path}")
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._answer(401, {"error": "a token is needed"})
        else:
            self._answer(*self.server.pages.get(self.path, (404, {"error": "no such node", "sqlstate": "42704"})))

    def _answer(self, status: int, body: Any) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    server = Proxy()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_status(capsys: pytest.CaptureFixture[str], proxy: Proxy) -> None:
    code, out, _ = run(capsys, "status", "--admin", proxy.address)
    assert code == 0
    found = {line.split()[0]: line.split()[1:] for line in out.splitlines()}
    assert (found["primary"], found["nodes_healthy"], found["statements_total"]) == (["a"], ["1"], ["7"])
    proxy.pages["/health"] = (503, {"status": "degraded", "reason": "there is no primary"})
    code, out, _ = run(capsys, "status", "--admin", proxy.address, "--json")
    assert (code, json.loads(out)["reason"]) == (6, "there is no primary")


@pytest.mark.parametrize("verb", ["nodes", "pools", "clients", "stats"])
def test_lists(verb: str, capsys: pytest.CaptureFixture[str], proxy: Proxy) -> None:
    code, out, _ = run(capsys, verb, "--admin", proxy.address)
    assert code == 0
    columns = getattr(admin_fields, verb.upper())
    assert out.splitlines()[0].split() == list(columns)
    assert len(out.splitlines()) == 1 + len(proxy.pages[f"/{verb}"][1])
    assert json.loads(run(capsys, verb, "--admin", proxy.address, "--json")[1]) == proxy.pages[f"/{verb}"][1]


def test_explain(capsys: pytest.CaptureFixture[str], proxy: Proxy) -> None:
    code, out, _ = run(capsys, "explain", "SELECT '50%' & 1", "--admin", proxy.address)
    assert code == 0
    assert proxy.asked == ["GET /routing/explain SELECT '50%' & 1"]
    assert "a, b" in out


def test_the_address_and_the_token_are_found_by_the_settings(
    capsys: pytest.CaptureFixture[str], proxy: Proxy, tmp_path: Path
) -> None:
    write(tmp_path, f'[proxy]\nadmin_addr = "0.0.0.0:{proxy.server_port}"\nallow_insecure_network = true\n')
    (tmp_path / "proxy.token").write_text(TOKEN + "\n")
    proxy.pages["/pause?wait=1"] = (200, {"result": "paused"})
    assert run(capsys, "pause", "--config", "proxy.toml") == (0, "paused\n", "")
    assert json.loads(run(capsys, "pause", "--config", "proxy.toml", "--json")[1]) == {"result": "paused"}


@pytest.mark.parametrize(
    ("words", "path"),
    [
        (("pause",), "/pause?wait=1"), (("resume",), "/resume"), (("reload",), "/reload"), (("drain", "b"), "/drain/b"),
        (("undrain", "b"), "/undrain/b"), (("drain", "b", "--force"), "/drain/b?force=1"),
    ],
)  # fmt: skip
def test_verbs(
    words: tuple[str, ...], path: str, capsys: pytest.CaptureFixture[str], proxy: Proxy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    proxy.pages[path] = (200, {"result": f"did {path}"})
    code, _, err = run(capsys, *words, "--admin", proxy.address)
    assert code == 2 and "no token for the proxy" in err and "HELIOSDB_PROXY_TOKEN" in err
    monkeypatch.setenv("HELIOSDB_PROXY_TOKEN", "wrong")
    code, _, err = run(capsys, *words, "--admin", proxy.address)
    assert code == 3 and "a token is needed" in err and "--token-file" in err
    monkeypatch.setenv("HELIOSDB_PROXY_TOKEN", TOKEN)
    assert run(capsys, *words, "--admin", proxy.address) == (0, f"did {path}\n", "")
    assert proxy.asked[-1] == f"POST {path}"


@pytest.mark.parametrize("words", [("pause",), ("resume",), ("drain", "b"), ("undrain", "b")])
def test_a_dry_run_changes_nothing(words: tuple[str, ...], capsys: pytest.CaptureFixture[str], proxy: Proxy) -> None:
    code, out, _ = run(capsys, *words, "--admin", proxy.address, "--dry-run")
    assert code == 0 and out.startswith("dry run: would ")
    assert not any(one.startswith("POST") for one in proxy.asked)


def test_a_node_that_is_not_there(capsys: pytest.CaptureFixture[str], proxy: Proxy, tmp_path: Path) -> None:
    code, _, err = run(capsys, "drain", "c", "--admin", proxy.address, "--dry-run")
    assert (code, err) == (1, 'error: the proxy has no node "c"\nhint: Its nodes: a, b.\n')
    (tmp_path / "token").write_text(TOKEN)
    code, _, err = run(capsys, "drain", "c/d", "--admin", proxy.address, "--token-file", "token")
    assert (code, err) == (1, "error: no such node\n")
    assert proxy.asked[-1] == "POST /drain/c%2Fd"


def test_refusals(capsys: pytest.CaptureFixture[str], proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELIOSDB_PROXY_TOKEN", TOKEN)
    proxy.pages["/drain/a"] = (409, {"error": "a is the primary", "sqlstate": "55000", "hint": "Move the lead first."})
    code, _, err = run(capsys, "drain", "a", "--admin", proxy.address)
    assert (code, err) == (5, "error: a is the primary\nhint: Move the lead first.\n")
    invalid = {"error": "proxy.toml:2: x", "sqlstate": "F0000", "problems": ["proxy.toml:2: x", "proxy.toml:3: y"]}
    proxy.pages["/reload"] = (422, invalid)
    code, _, err = run(capsys, "reload", "--admin", proxy.address)
    assert code == 2 and "proxy.toml:3: y" in err


def test_nobody_answers(capsys: pytest.CaptureFixture[str], proxy: Proxy) -> None:
    proxy.pages.clear()
    code, _, err = run(capsys, "nodes", "--admin", proxy.address)
    assert code == 1 and "nothing at /nodes" in err and "admin address" in err
    for words in (("nodes",), ("pause",)):
        code, _, err = run(capsys, *words, "--admin", "127.0.0.1:1")
        assert code == 3
        assert "no proxy answers at 127.0.0.1:1" in err and "proxy start" in err
    assert run(capsys, "nodes", "--admin", "nonsense")[0] == 2
