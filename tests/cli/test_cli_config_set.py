"""``config set``: the settings of nodes that run, of nodes that are down, and of a cluster."""

from __future__ import annotations

import json
import os
import tomllib
from pathlib import Path
from typing import Any

import pytest
from support.node_process import MakeNode, NodeProcess, free_port, wait_until

from helios_cli.cli import main

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(("PG", "HELIOSDB_", "HA_"))]:
        monkeypatch.delenv(name)


def call(capsys: Capture, *arguments: object) -> tuple[int, str, str]:
    code = main(["config", "set", *(str(one) for one in arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def asked(capsys: Capture, *arguments: object) -> Any:
    code, out, err = call(capsys, *arguments, "--json")
    assert code == 0, err
    return json.loads(out)


def auto_conf(node: NodeProcess) -> dict[str, Any]:
    path = node.data_dir / "heliosdb.auto.conf"
    return tomllib.loads(path.read_text()) if path.exists() else {}


def shown(node: NodeProcess, name: str) -> str:
    with node.connect() as connection:
        row = connection.execute(f"SHOW {name}").fetchone()
    assert row is not None
    return str(row[0])


def test_a_setting_of_a_running_node(capsys: Capture, make_node: MakeNode) -> None:
    node = make_node("--node-id", "n1", "--statement-timeout", "7s")
    here = ("--data-dir", node.data_dir)
    assert call(capsys, "lock_timeout", "5s", *here, "--dry-run") == (
        0, "dry run: lock_timeout is 5s on node n1\n", "",
    )  # fmt: skip
    assert (auto_conf(node), shown(node, "lock_timeout")) == ({}, "0")
    assert asked(capsys, "lock_timeout", "5000", *here) == {
        "name": "lock_timeout", "value": "5s", "previous": "0", "scope": "node", "applies": "now", "dry_run": False,
        "result": "lock_timeout is 5s on node n1",
    }  # fmt: skip
    assert (auto_conf(node), shown(node, "lock_timeout")) == ({"sessions": {"lock_timeout": 5000}}, "5s")
    said = asked(capsys, "max_connections", "50", *here)
    assert (said["applies"], said["result"]) == ("restart", "max_connections is 50 on node n1 from its next start on")
    said = asked(capsys, "statement_timeout", "9s", *here)
    assert said["applies"] == "overridden"
    assert said["result"].endswith("but --statement-timeout is stronger: 7s holds")
    assert shown(node, "statement_timeout") == "7s"
    said = asked(capsys, "lock_timeout", "--reset", *here)
    assert (said["value"], said["previous"], shown(node, "lock_timeout")) == ("0", "5s", "0")


def test_mistakes_have_hints_and_change_nothing(capsys: Capture, make_node: MakeNode, tmp_path: Path) -> None:
    node = make_node()
    here = ("--data-dir", node.data_dir)
    code, _, err = call(capsys, "lock_timout", "5s", *here)
    assert (code, err.splitlines()[1]) == (1, 'hint: Did you mean "lock_timeout"?')
    code, _, err = call(capsys, "lock_timeout", "5 parsecs", *here)
    assert code == 1 and "hint: Valid units" in err
    code, _, err = call(capsys, "pg_port", "5", *here)
    assert code == 1 and 'parameter "pg_port" cannot be changed' in err and "hint: It is given when" in err
    code, _, err = call(capsys, "eject_after", "5ms", *here)
    assert code == 1 and "outside the valid range" in err
    assert call(capsys, "lock_timeout", *here)[0] == call(capsys, "lock_timeout", "5s", "--reset", *here)[0] == 2
    code, _, err = call(capsys, "lock_timeout", "5s", "--node", f"127.0.0.1:{node.http_port}")
    assert code == 2 and "--token-file" in err
    assert auto_conf(node) == {}
    # Nobody there matters more than a token that is not there.
    code, _, err = call(capsys, "lock_timeout", "5s", "--node", f"127.0.0.1:{free_port()}")
    assert code == 3 and "no node answers" in err


def test_a_node_that_is_down(capsys: Capture, make_node: MakeNode) -> None:
    node = make_node()
    node.stop()
    here = ("--data-dir", node.data_dir)
    assert asked(capsys, "max_connections", "50", *here, "--dry-run")["dry_run"] and auto_conf(node) == {}
    said = asked(capsys, "max_connections", "50", *here)
    assert said["result"] == f"max_connections is 50 when the node of {node.data_dir} starts"
    assert auto_conf(node) == {"sessions": {"max_connections": 50}}
    assert call(capsys, "pg_port", "50", *here)[0] == 1
    assert call(capsys, "replication_mode", "sync", *here)[0] == 3


def test_the_cluster_is_asked_through_any_node(capsys: Capture, make_node: MakeNode) -> None:
    first = make_node("--node-id", "n1", "--replication-role", "primary", "--replication-mode", "sync")
    second = make_node(
        "--node-id", "n2", "--replication-role", "standby", "--replication-mode", "sync", "--primary-host", "127.0.0.1",
        "--primary-port", str(first.native_port),
    )  # fmt: skip

    def modes() -> list[str]:
        return [node.http("/status")[1]["cluster"]["mode"] for node in (first, second)]

    to_second = ("--node", f"127.0.0.1:{second.http_port}", "--token-file", second.data_dir / "http.token")
    wait_until(lambda: second.http("/status")[1]["cluster"]["primary_id"] == "n1", "the primary is known")
    own = ("--data-dir", first.data_dir)
    said = asked(capsys, "replication_mode", "quorum", *own, "--dry-run")
    assert (said["previous"], said["value"], said["scope"], modes()) == ("sync", "quorum", "cluster", ["sync", "sync"])
    assert call(capsys, "replication_mode", "quorum", *own)[1].startswith(
        "replication_mode is quorum for the cluster; a commit is acknowledged with 1 copy instead of 2; in it"
    )
    wait_until(lambda: modes() == ["quorum", "quorum"], "both nodes have the mode")
    assert asked(capsys, "eject_after", "3s", *own)["previous"] == "2s"
    wait_until(lambda: asked(capsys, "eject_after", "3s", *own, "--dry-run")["previous"] == "3s", "it holds")
    said = asked(capsys, "lock_timeout", "5s", *to_second)
    assert said["result"] == "lock_timeout is 5s on node n2" and auto_conf(first) == {}
