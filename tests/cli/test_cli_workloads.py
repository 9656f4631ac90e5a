"""``workload bank``, ``ycsb``, ``tpcb``, ``script`` and ``ledger run`` against a real node."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable
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


EXPRESSIONS = (
    "7 / 2", "-7 / 2", "-7 % 3", "7.5 % 2", "int(2.5)", "int(-3.5)", "1e3", "0.1 + 0.2", "1.0 / 3", "~5", "~5 | 1",
    "1 << 3 + 1",
    "-9223372036854775808", "not 1 = 2 and true", "null", "null + 1", "null is null", "1 is true", "true is true",
    "2 isnull", "false and null", "null and false", "true or 1 / 0 = 1",
    "case when 0 then 1 when 2 then 3.5 else 4 end",
    "case when null then 1 end", "least(3, 2.5, 7)", "greatest(3, 2, 7)", "abs(-3.5)", "mod(17, 5)", "sqrt(2)",
    "ln(10)",
    "exp(1)", "pi()", "pow(2, 0.5)", "power(-2, 3)", "double(3)", "hash(5, 10)", "hash(-1, 0)", "hash_fnv1a(5, 10)",
    "hash_murmur2(1234567890123, -5)", "permute(0, 1, 3)", "permute(5, 10, 42)", "permute(-7, 1000003, -1)",
    "permute(17, 3, 9)", "hash(5)", "permute(4, 100)", "5 # 3", "6 & 3", "6 | 9", "-1 >> 3", "1 <> 1.0", "1 != 2",
    "2 >= 2",
    "- 2 * - 3", "2 - - 3", "1 - 2 - 3", "not true or true", ":text + 1", ":yes", ":big", "1 = 1 is true", "5e-1",
    ".5 + 1.",
)  # fmt: skip


@pytest.mark.needs("pgbench")
def test_expressions_are_those_of_pgbench(
    node: NodeProcess, capsys: pytest.CaptureFixture[str], program: Callable[[str], str]
) -> None:
    path = Path("all.sql")
    path.write_text("".join(f"\\set x debug({one})\n" for one in EXPRESSIONS) + "SELECT 1;\n")
    given = ("-D", "text=41", "-D", "yes=ye", "-D", "big=1e300", "-D", "default_seed=77")
    command = [program("pgbench"), "-n", "-t", "1", "-f", str(path), *given, "-h", "127.0.0.1", "-p", str(node.pg_port)]
    done = subprocess.run([*command, "-U", "helios", "heliosdb"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    code, _, err = call(capsys, "script", path, *given, "--port", node.pg_port, "--clients", 1, "--duration", 0.3)
    assert code == 0, err
    theirs, ours = (re.findall(r"debug\(.*?\): (.*)", text)[: len(EXPRESSIONS)] for text in (done.stderr, err))
    assert dict(zip(EXPRESSIONS, ours, strict=True)) == dict(zip(EXPRESSIONS, theirs, strict=True))


PGBENCH_SCRIPT = """
\\set id random_zipfian(1, 10, 1.5)
BEGIN;
SELECT n FROM stock WHERE id = :id FOR UPDATE \\gset
\\if :n > 0
UPDATE stock SET n = n - 1 WHERE id = :id;
INSERT INTO sold VALUES (:client_id, :id, :n);
\\else
UPDATE stock SET n = 5 WHERE id = :id;
\\endif
COMMIT;
\\startpipeline
SELECT count(*) FROM sold WHERE id = :id;
INSERT INTO looked VALUES (:client_id, :id);
\\endpipeline
"""


@pytest.mark.needs("pgbench")
@pytest.mark.parametrize("protocol", ["extended", "prepared"])
def test_a_script_runs_as_with_pgbench(
    node: NodeProcess, capsys: pytest.CaptureFixture[str], program: Callable[[str], str], protocol: str
) -> None:
    with node.connect() as connection:
        for table in ("stock (id int, n int)", "sold (client int, id int, n int)", "looked (client int, id int)"):
            connection.execute(f"DROP TABLE IF EXISTS {table.split()[0]}")
            connection.execute(f"CREATE TABLE {table}")
        connection.execute("INSERT INTO stock SELECT g, 3 FROM generate_series(1, 10) g")
    path = Path("shop.sql")
    path.write_text(PGBENCH_SCRIPT)
    command = [program("pgbench"), "-n", "-c", "2", "-t", "20", "-M", protocol, "-f", str(path)]
    where = ["-h", "127.0.0.1", "-p", str(node.pg_port), "-U", "helios", "heliosdb"]
    done = subprocess.run([*command, *where], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "number of transactions actually processed: 40/40" in done.stdout, done.stderr
    record = outcome(capsys, node, "script", path, "--protocol", protocol)
    with node.connect() as connection:
        row = connection.execute("SELECT (SELECT count(*) FROM looked), (SELECT min(n) FROM stock)").fetchone()
    assert row is not None and row[0] == 40 + record["successful"] and record["successful"] > 20
    assert row[1] >= 0


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
    code, out, err = call(capsys, "bank", *where, "--rate", 50, "--output", "b.json", "--svg", "b.svg")
    assert code == 0, err
    assert "=== bank: 2 clients, 50 a second, 1.2 s ===" in out
    assert "=== Latency from when each was due ===" in out and "p99.9" in out
    assert out.splitlines()[-1] == "VERDICT: passed."
    assert " ops/s  " in err
    assert json.loads(Path("b.json").read_text())["rate"] == 50
    assert "bank: 2 clients, 50 a second, 1.2 s" in Path("b.svg").read_text()


def test_what_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(capsys, "ycsb", "z")[0] == 2
    assert call(capsys, "bank", "--table", "x y")[0] == 2
    assert call(capsys, "script", "none.sql")[0] == 2
    assert call(capsys, "bank", "--host", "127.0.0.1:1", "--duration", 1)[0] == 3
    code, _, err = call(capsys, "bank", "--proxy")
    assert code == 2 and "no cluster.toml here" in err
    code, out, _ = call(capsys, "tpcb", "--dry-run", "--json", "--port", 1, "--rate", 7)
    assert code == 0 and json.loads(out)["rate"] == 7
