"""The commands against a proxy that runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from support.node_cluster import NodeCluster
from support.proxied import MakeProxy
from support.proxy_process import ProxyProcess

from helios_cli.cli import main
from helios_cli.engine.proxyserver import admin_fields

Run = Callable[..., Any]


@pytest.fixture
def proxy(make_proxy: MakeProxy, node_cluster: NodeCluster) -> ProxyProcess:
    return make_proxy([node_cluster.primary, *(one for one in node_cluster.nodes if one is not node_cluster.primary)])


@pytest.fixture
def run(proxy: ProxyProcess, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command of this proxy with --json; gives what it prints."""

    def run(*words: str, code: int = 0) -> Any:
        assert main(("proxy", *words, "--config", str(proxy.config_path), "--json")) == code
        captured = capsys.readouterr()
        return json.loads(captured.err if code else captured.out)

    return run


def test_lists_have_the_fields_that_are_written_down(run: Run, proxy: ProxyProcess) -> None:
    with proxy.connect() as connection:
        connection.execute("SELECT 1")
        for verb in ("nodes", "pools", "clients"):
            found = run(verb)
            assert found, verb
            assert list(found[0]) == list(getattr(admin_fields, verb.upper()))
        assert {one["name"] for one in run("nodes")} == {"n1", "n2", "n3"}
        assert [one["user"] for one in run("clients")] == [proxy.user]
    status = run("status")
    assert (status["serves"], status["primary"], status["nodes_healthy"]) == (True, "n1", 3)


def test_explain(run: Run) -> None:
    found = run("explain", "INSERT INTO t VALUES ('a&b')")
    assert set(admin_fields.EXPLAINED) <= set(found)
    assert (found["access"], found["node"]) == ("write", "n1")


def test_drain_and_pause(run: Run, proxy: ProxyProcess) -> None:
    run("drain", "n2")
    assert {one["name"]: one["state"] for one in run("nodes")}["n2"] == "draining"
    run("undrain", "n2")
    assert {one["name"]: one["state"] for one in run("nodes")}["n2"] == "healthy"
    assert run("drain", "n1", code=5)["sqlstate"] == "NH010"
    assert run("drain", "n9", code=1)["sqlstate"] == "42704"
    run("pause")
    run("resume")
    with proxy.connect() as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_reload(run: Run, proxy: ProxyProcess) -> None:
    proxy.settings |= {"pool_size": 33, "workers": 2}
    proxy.write_config()
    found = run("reload")
    # The watch over the file may have been there first.
    assert found["at_once"] in (["pool_size"], []) and found["at_restart"] == ["workers"]
    proxy.settings["pool_size"] = 0
    proxy.write_config()
    assert "pool_size" in run("reload", code=2)["error"]
