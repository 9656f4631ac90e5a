"""``workload bank``, ``ycsb``, ``tpcb``, ``script`` and ``ledger run`` against a real node."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from support.node_process import NodeProcess

from helios_cli.cli import main


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(("PG", "HELIOSDB_"))]:
        monkeypatch.delenv(name)


def call(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main(["workload", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def outcome(capsys: pytest.CaptureFixture[str], node: NodeProcess, *arguments: object) -> Any:
    """The JSON of a run of a second, which must end well."""
    where = ("--host", f"127.0.0.1:{node.pg_port}", "--duration", 0.7, "--clients", 3, "--seed", 1, "--json")
    code, out, err = call(capsys, *arguments, *where)
    assert code == 0, out + err
    record = json.loads(out)
    assert record["successful"] == record["operations"] > 0 and record["failed"] == 0 and record["wrong"] == []
    assert sum(count for *_, count in record["histogram_ms"]) == record["successful"]
    return record


def test_every_workload_runs_and_is_right(node: NodeProcess, capsys: pytest.CaptureFixture[str]) -> None:
    kinds = {
        "a": {"read", "update"}, "b": {"read", "update"}, "c": {"read"}, "d": {"read", "insert"},
        "e": {"scan", "insert"}, "f": {"read", "read-modify-write"},
    }  # fmt: skip
    for letter, expected in kinds.items():
        record = outcome(capsys, node, "ycsb", letter, "--records", 50)
        assert set(record["kinds"]) <= expected and "insert" not in set(record["kinds"]) - expected
    assert set(outcome(capsys, node, "bank", "--accounts", 10)["kinds"]) <= {"transfer", "audit"}
    assert set(outcome(capsys, node, "tpcb", "--accounts", 100)["kinds"]) == {"transaction"}
    with node.connect() as connection:
        row = connection.execute("SELECT sum(delta), (SELECT sum(abalance) FROM tpcb_accounts) FROM tpcb_history")
        history, accounts = row.fetchone() or (0, 1)
        assert history == accounts


def test_a_script_and_its_variables(node: NodeProcess, capsys: pytest.CaptureFixture[str]) -> None:
    with node.connect() as connection:
        connection.execute("CREATE TABLE seen (client int, n int)")
    path = Path("count.sql")
    path.write_text("\\set n random(1, 3) + :more\nINSERT INTO seen VALUES (:client_id, :n);\n")
    record = outcome(capsys, node, "script", path, "-D", "more=10")
    with node.connect() as connection:
        rows = connection.execute("SELECT client, n FROM seen").fetchall()
    assert len(rows) == record["successful"]
    assert {client for client, _ in rows} == {0, 1, 2} and {n for _, n in rows} <= {11, 12, 13}


def test_the_ledger_can_be_checked_later(node: NodeProcess, capsys: pytest.CaptureFixture[str]) -> None:
    record = outcome(capsys, node, "ledger", "run", "--ledger", "one.ledger", "--rate", 50)
    verify = ("ledger", "verify", "one.ledger", "--host", f"127.0.0.1:{node.pg_port}", "--json")
    code, out, _ = call(capsys, *verify)
    assert code == 0 and json.loads(out)["acknowledged"] == record["successful"]
    with node.connect() as connection:
        connection.execute("DELETE FROM workload WHERE client = 1 AND seq = 1")
    assert call(capsys, *verify)[0] == 1
    code, _, err = call(capsys, "ledger", "run", "--ledger", "one.ledger", "--port", node.pg_port)
    assert code == 2 and "is there already" in err


def test_what_people_see(node: NodeProcess, capsys: pytest.CaptureFixture[str]) -> None:
    where = ("--host", f"127.0.0.1:{node.pg_port}", "--duration", 1.2, "--clients", 2)
    code, out, err = call(capsys, "bank", *where, "--rate", 50, "--output", "b.json")
    assert code == 0, err
    assert "=== bank: 2 clients, 50 a second, 1.2 s ===" in out
    assert "=== Latency from when each was due ===" in out and "p99.9" in out
    assert out.splitlines()[-1] == "VERDICT: passed."
    assert " ops/s  " in err
    assert json.loads(Path("b.json").read_text())["rate"] == 50


def test_a_picture_needs_matplotlib(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    code, _, err = call(capsys, "bank", "--png", "h.png", "--port", 1)
    assert code == 1 and "--png needs matplotlib" in err


def test_what_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(capsys, "ycsb", "z")[0] == 2
    assert call(capsys, "bank", "--table", "x y")[0] == 2
    assert call(capsys, "script", "none.sql")[0] == 2
    assert call(capsys, "bank", "--host", "127.0.0.1:1", "--duration", 1)[0] == 3
    code, _, err = call(capsys, "bank", "--proxy")
    assert code == 2 and "no cluster.toml here" in err
    code, out, _ = call(capsys, "tpcb", "--dry-run", "--json", "--port", 1, "--rate", 7)
    assert code == 0 and json.loads(out)["rate"] == 7
