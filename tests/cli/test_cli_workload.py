"""``workload``: the lines and the summary, the ledger, and the account against real nodes."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.node_process import MakeNode, NodeProcess, wait_until

from helios_cli.cli import main
from helios_cli.commands.load import account, ledger, orders, runner, session, statistics
from helios_cli.engine.errors import ConfigError, HeliosError, OutcomeUnknown, ReadOnlyError
from helios_cli.engine.net.pgclient import CannotConnect, ConnectionLost, Target

ROOT = Path(__file__).resolve().parents[2]
LINE = re.compile(r"\[\d\d:\d\d:\d\d\] #(\d+) INSERT=\[(\w+)\] SELECT=\[(\w+)\] \[\d+ms\]")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ledgers fall into a directory of the test, and no variable of the caller says where to connect."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(("PG", "HELIOSDB_"))]:
        monkeypatch.delenv(name)


def call(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main([str(one) for one in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def on(node: NodeProcess) -> tuple[str, str]:
    return "--host", f"127.0.0.1:{node.pg_port}"


# The parts ------------------------------------------------------------------------------------------------------------


def test_a_line_is_as_the_tutorials_show_it() -> None:
    text = runner.line(7, "ok", "ok", 0.0123, [])
    assert re.fullmatch(r"\[\d\d:\d\d:\d\d\] #7 INSERT=\[ok\] SELECT=\[ok\] \[12ms\]", text)
    assert runner.line(8, "unknown", "failed", 31.5, ["08006 gone", "more"]).endswith(
        "#8 INSERT=[unknown] SELECT=[failed] [31500ms] 08006 gone"
    )


@pytest.mark.parametrize(
    ("successful", "total", "text"),
    [(60, 60, "100%"), (59, 60, "98.33%"), (99_999, 100_000, "99.99%"), (0, 3, "0%"), (0, 0, "0%"), (1, 3, "33.33%")],
)
def test_the_success_rate_never_rounds_a_failure_away(successful: int, total: int, text: str) -> None:
    assert statistics.success_rate(successful, total) == text


def test_counts_latencies_and_the_longest_silence() -> None:
    counted = statistics.Statistics()
    counted.begin(100.0)
    assert counted.add("ok", "ok", 0.010, 100.5, []) == 1
    assert counted.add("unknown", "failed", 2.0, 102.5, ["08006 gone"]) == 2
    assert counted.add("failed", "ok", 0.010, 103.0, ["25006 no"]) == 3
    assert counted.add("ok", "ok", 0.020, 104.0, []) == 4
    counted.end(104.2)
    assert (counted.acknowledged, counted.unknown, counted.refused, counted.failed) == (2, 1, 1, 2)
    assert counted.longest_gap_s == pytest.approx(3.5)
    assert counted.percentile_ms(0.5) == pytest.approx(10, rel=0.04)
    assert counted.percentile_ms(0.99) == pytest.approx(2000, rel=0.04)
    assert counted.percentile_ms(1.0) == 2000
    counted.end(110.0)
    assert counted.longest_gap_s == pytest.approx(6.0)


@pytest.mark.parametrize(
    ("error", "unknown"),
    [
        (CannotConnect("no"), False),
        (ConnectionLost("gone"), True),
        (OutcomeUnknown("?"), True),
        (ReadOnlyError("no"), False),
        (HeliosError("ended", sqlstate="57P01"), True),
        (HeliosError("starting", sqlstate="57P03"), False),
        (HeliosError("conflict", sqlstate="40001"), False),
    ],
)
def test_what_leaves_the_outcome_of_a_write_open(error: HeliosError, unknown: bool) -> None:
    assert session.is_unknown(error) is unknown


def test_several_hosts_in_one_option() -> None:
    base = Target(host="db", port=5432)
    found = session.targets("a:1, b,[::1]:7", base)
    assert [(one.host, one.port) for one in found] == [("a", 1), ("b", 5432), ("::1", 7)]
    assert [one.host for one in session.targets(None, base)] == ["db"]
    for wrong in ("a:b", "a:0", "a:70000", ",", "a::1"):
        with pytest.raises(HeliosError, match="--host takes"):
            session.targets(wrong, base)


def test_a_ledger_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "x.ledger"
    with ledger.LedgerWriter(path, "r1", "t") as writer:
        for text in ("ack 1 1", "ack 2 1", "unknown 1 2 08006", "refused 2 2 25006"):
            writer.add(text)
    found = ledger.read_ledger(path)
    assert (found.run, found.table, found.complete) == ("r1", "t", True)
    assert dict(found.acknowledged) == {1: {1}, 2: {1}}
    assert (dict(found.unknown), dict(found.refused)) == ({1: {2}}, {2: {2}})
    with pytest.raises(HeliosError, match="is there already"):
        ledger.LedgerWriter(path, "r2", "t")


def test_a_torn_or_killed_ledger_counts_what_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.ledger"
    path.write_text(f"{ledger.HEAD}\nrun r\ntable t\nack 1 1\nack 1 23")
    found = ledger.read_ledger(path)
    assert dict(found.acknowledged) == {1: {1}}
    assert not found.complete
    for wrong in ("", "something else\n", f"{ledger.HEAD}\nack 1\n", f"{ledger.HEAD}\nnack 1 1\n"):
        path.write_text(wrong)
        with pytest.raises(ConfigError):
            ledger.read_ledger(path)


@pytest.mark.parametrize(
    ("change", "passes"),
    [
        ({}, True),
        ({"missing": [(1, 1)]}, False),
        ({"twice": [(1, 1)]}, False),
        ({"wrong": [(1, 1)]}, False),
        ({"refused_present": [(1, 1)]}, False),
        ({"foreign": [(1, 1)]}, False),
        ({"foreign": [(1, 1)], "complete": False}, True),
    ],
)
def test_what_an_account_does_not_forgive(change: dict[str, object], passes: bool) -> None:
    empty: dict[str, object] = {name: [] for name in ("missing", "twice", "wrong", "refused_present", "foreign")}
    fields = {"acknowledged": 1, "present": 1, "unknown": 0, "unknown_present": 0, "complete": True, **empty, **change}
    assert account.Account(**fields).passed is passes  # type: ignore[arg-type]


# Against nodes --------------------------------------------------------------------------------------------------------


def test_a_run_prints_its_lines_and_ends_with_the_summary(
    capsys: pytest.CaptureFixture[str], node: NodeProcess, tmp_path: Path
) -> None:
    code, out, _ = call(capsys, "workload", "run", *on(node), "--duration", 1, "--interval", 0.25, "--verify")
    assert code == 0, out
    found = [match for match in map(LINE.fullmatch, out.splitlines()) if match]
    assert [match.groups() for match in found] == [(str(n), "ok", "ok") for n in range(1, len(found) + 1)]
    assert 2 <= len(found) <= 4
    assert out.splitlines()[-5:] == [
        "=== Workload Summary ===", f"Total iterations: {len(found)}", f"Successful: {len(found)}", "Failed: 0",
        "Success rate: 100%",
    ]  # fmt: skip
    assert "VERDICT: passed. Every acknowledged row is there exactly once." in out
    assert len(list(tmp_path.glob("workload-*.ledger"))) == 1


def test_rows_that_are_gone_are_named(capsys: pytest.CaptureFixture[str], node: NodeProcess, tmp_path: Path) -> None:
    code, out, _ = call(
        capsys, "workload", "run", *on(node), "--duration", 0.5, "--rate", 0, "-c", 3, "--ledger", "x.ledger", "--json"
    )
    assert code == 0
    record = json.loads(out)
    assert record["acknowledged"] == record["iterations"] > 10
    assert record["failed"] == record["unknown"] == 0
    with node.connect() as connection:
        connection.execute("DELETE FROM workload WHERE client = 2 AND seq = 3")
        connection.execute("UPDATE workload SET payload = 'x' WHERE client = 1 AND seq = 1")
        connection.execute("INSERT INTO workload SELECT run, 9, 9, 'write 9 of client 9' FROM workload LIMIT 1")
    code, out, _ = call(capsys, "workload", "ledger", "verify", "x.ledger", *on(node), "--json")
    found = json.loads(out)
    assert (code, found["passed"]) == (1, False)
    assert found["missing"] == [{"client": 2, "seq": 3}]
    assert found["wrong"] == [{"client": 1, "seq": 1}]
    assert found["foreign"] == [{"client": 9, "seq": 9}]
    code, out, _ = call(capsys, "workload", "ledger", "verify", "x.ledger", *on(node))
    assert code == 1
    assert "Missing: 1\n  client 2 seq 3\n" in out
    assert out.endswith("VERDICT: FAILED.\n")
    code, out, _ = call(capsys, "workload", "ledger", "show", "x.ledger", "--json")
    assert (code, json.loads(out)["acknowledged"]) == (0, record["acknowledged"])


def test_a_kill_under_load_loses_nothing_and_is_told(capsys: pytest.CaptureFixture[str], node: NodeProcess) -> None:
    command = [
        sys.executable, "-m", "helios_cli", "workload", "run", *on(node), "--duration", "60", "--rate", "0", "-c", "4",
        "--ledger", str(Path("k.ledger").absolute()), "--json",
    ]  # fmt: skip
    load = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        wait_until(lambda: acknowledged("k.ledger") > 20, "the load is under way")
        node.kill()
        node.start()
        before = acknowledged("k.ledger")
        wait_until(lambda: acknowledged("k.ledger") > before + 20, "the load goes on")
        load.send_signal(signal.SIGTERM)
        out, _ = load.communicate(timeout=30)
    finally:
        load.kill()
        load.wait()
    record = json.loads(out)
    assert load.returncode == 6, out
    assert record["unknown"] + record["refused"] > 0
    assert record["longest_gap_ms"] > 0
    code, out, _ = call(capsys, "workload", "ledger", "verify", "k.ledger", *on(node), "--json")
    found = json.loads(out)
    assert (code, found["passed"], found["acknowledged"]) == (0, True, record["acknowledged"])
    assert found["present"] == found["acknowledged"] + found["unknown_present"]


def acknowledged(path: str) -> int:
    file = Path(path)
    return file.read_text().count("\nack ") if file.exists() else 0


def test_a_read_only_host_is_left_for_one_that_writes(capsys: pytest.CaptureFixture[str], make_node: MakeNode) -> None:
    primary = make_node("--replication-role", "primary")
    standby = make_node(
        "--replication-role", "standby", "--primary-host", "127.0.0.1", "--primary-port", str(primary.native_port)
    )
    hosts = f"127.0.0.1:1,127.0.0.1:{standby.pg_port},127.0.0.1:{primary.pg_port}"
    code, out, err = call(
        capsys, "workload", "run", "--host", hosts, "--duration", 0.5, "--interval", 0.1, "--retry", 5, "--json"
    )
    assert code == 0, out + err
    assert json.loads(out)["failed"] == 0


def test_a_connection_for_each_statement_reads_what_the_one_before_wrote(
    capsys: pytest.CaptureFixture[str], make_node: MakeNode
) -> None:
    primary = make_node("--replication-role", "primary")
    standby = make_node(
        "--replication-role", "standby", "--primary-host", "127.0.0.1", "--primary-port", str(primary.native_port)
    )
    hosts = f"127.0.0.1:{primary.pg_port},127.0.0.1:{standby.pg_port}"
    code, out, err = call(
        capsys, "workload", "run", "--host", hosts, "--duration", 1, "--interval", 0.1, "--reconnect", "--json"
    )
    assert code == 0, out + err
    record = json.loads(out)
    assert record["connects"] == 2 * record["iterations"] > 4
    targets = [Target(port=primary.pg_port), Target(port=standby.pg_port)]
    there = session.Session(targets, primary_only=False, reconnects=True)
    there.write("CREATE TABLE seen (a int)")
    elsewhere = session.Session(targets[1:], primary_only=False, reconnects=True)
    for number in range(20):
        there.write(f"INSERT INTO seen VALUES ({number})")
        elsewhere._token = there._token
        assert elsewhere.execute("SELECT count(*) FROM seen").rows == [(str(number + 1),)]


def test_orders_are_read_and_written_as_the_continuity_test_does(
    capsys: pytest.CaptureFixture[str], node: NodeProcess
) -> None:
    code, out, err = call(capsys, "workload", "mixed", *on(node), "--duration", 2, "--interval", 0.02, "--seed", 1)
    assert code == 0, out + err
    lines = out.splitlines()
    assert lines[:4] == [
        "Setting up test environment...", "Starting application continuity test (2s)...", "Press Ctrl+C to stop", "",
    ]  # fmt: skip
    pattern = re.compile(r"\[\d\d:\d\d:\d\d\] Iter (\d+): (?:READ|WRITE) ✓ \((\d+) reads, (\d+) writes, 0 failed\)")
    found = [tuple(map(int, match.groups())) for match in map(pattern.fullmatch, lines) if match]
    assert [(number, reads + writes) for number, reads, writes in found] == [(n, n) for n in range(1, len(found) + 1)]
    count, reads, writes = found[-1]
    assert lines[-11:] == [
        "╔════════════════════════════════════════════════════════════════╗",
        "║              Application Continuity Test Results               ║",
        "╚════════════════════════════════════════════════════════════════╝", "",
        "Duration: 2s", f"Total ops: {count}", f"Successful: {count}", "Failed: 0", f"Read ops: {reads}",
        f"Write ops: {writes}", "Success rate: 100.00%",
    ]  # fmt: skip
    with node.connect() as connection:
        assert connection.execute("SELECT count(*), min(status) FROM app_orders").fetchone() == (writes, "pending")


def test_orders_that_fail_or_are_gone_are_told(capsys: pytest.CaptureFixture[str], node: NodeProcess) -> None:
    with node.connect() as connection:
        connection.execute("CREATE TABLE mine (id int)")
    arguments = ("workload", "mixed", *on(node), "--interval", 0.02, "--seed", 1)
    code, _, err = call(capsys, *arguments, "--table", "mine")
    assert (code, "is not one of orders" in err) == (1, True)
    hosts = [Target(port=node.pg_port)]
    made = orders.Orders(session.Session(hosts, primary_only=False, reconnects=True), "t", 1.0, 0.0, random.Random(1))
    made.prepare()
    lines: list[tuple[str, bool]] = []

    def show(line: str, succeeded: bool) -> None:
        lines.append((line, succeeded))
        if made.writes == 3:
            made.stopped.set()

    made.run(show)
    with node.connect() as connection:
        first, second, _ = made.acknowledged
        connection.execute("DELETE FROM t WHERE id = %s", (first,))
        connection.execute("UPDATE t SET amount = -5 WHERE id = %s", (second,))
        assert made.missing() == [first, second]
        connection.execute("ALTER TABLE t RENAME TO u")
    made.stopped.clear()
    before = made.operations

    def show_one(line: str, succeeded: bool) -> None:
        lines.append((line, succeeded))
        made.stopped.set()

    made.run(show_one)
    assert re.search(rf"Iter {before + 1}: (READ|WRITE) ✗ - 42P01 ", lines[-1][0])
    assert lines[-1][1] is False
    assert orders.summary(made.record(3.0))[-4:] == [
        "Failed: 1", f"Read ops: {made.reads}", "Write ops: 3",
        f"Success rate: {(before * 10_000 // (before + 1)) / 100:.2f}%",
    ]  # fmt: skip


def test_nobody_there_and_wrong_options(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, _, err = call(capsys, "workload", "run", "--host", "127.0.0.1:1", "--duration", 1)
    assert code == 3
    assert err.startswith("error: connection to 127.0.0.1:1 failed")
    assert list(tmp_path.iterdir()) == []
    assert call(capsys, "workload", "run", "--host", "a:b")[0] == 2
    assert call(capsys, "workload", "run", "--table", "a; DROP TABLE b")[0] == 2
    assert call(capsys, "workload", "mixed", "--host", "127.0.0.1:1")[0] == 3
    assert call(capsys, "workload", "mixed", "--table", "a; DROP TABLE b")[0] == 2
    assert call(capsys, "workload", "ledger", "verify", "none.ledger")[0] == 2


def test_a_dry_run_asks_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(
        capsys, "workload", "run", "--host", "127.0.0.1:1,127.0.0.1:2", "--rate", 10, "-c", 5, "--dry-run", "--json"
    )
    assert code == 0
    plan = json.loads(out)
    assert (plan["hosts"], plan["period_s"]) == (["127.0.0.1:1", "127.0.0.1:2"], 0.5)
    code, out, _ = call(capsys, "workload", "mixed", "--port", 1, "--duration", 9, "--dry-run")
    assert (code, out) == (0, "table app_orders is dropped and made anew on 127.0.0.1:1, and used for 9 s\n")
