"""Writers of every kind against a node that is killed at random moments, and the account of what they were told.

Autocommit statements, interactive transactions and COPY run together. Rows of ``debit`` and ``credit`` are only ever
written in pairs by one transaction, and transfers keep the sum of ``account``: a torn group shows in either.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import psycopg
from support.node_process import ROOT, NodeProcess

from helios_cli.engine.log.controlrecord import ControlRecord
from helios_cli.engine.storage.control import read_control
from helios_cli.engine.storage.files import ReadOnlyOsFiles
from helios_cli.engine.storage.redo import scan_database
from helios_cli.engine.storage.store import DATABASE_NAME

ACCOUNTS = 20
BALANCE = 1000
COPY_ROWS = 40
RECONNECT_S = 0.02

TABLES = (
    "CREATE TABLE solo (writer int, seq int, pad text NOT NULL, PRIMARY KEY (writer, seq))",
    "CREATE TABLE debit (writer int, seq int, amount int NOT NULL, PRIMARY KEY (writer, seq))",
    "CREATE TABLE credit (writer int, seq int, amount int NOT NULL, PRIMARY KEY (writer, seq))",
    "CREATE TABLE account (id int PRIMARY KEY, balance int NOT NULL)",
)

Key = tuple[int, int]


@dataclass
class Ledger:
    """What one writer was told. Only its own thread writes it."""

    writer: int
    acked: dict[str, set[int]] = field(default_factory=lambda: {"solo": set(), "pair": set()})
    sent: dict[str, set[int]] = field(default_factory=lambda: {"solo": set(), "pair": set()})
    next_seq: int = 0
    refused: list[str] = field(default_factory=list)
    """Errors that neither a kill nor a conflict explains; any is a failure."""

    def take(self, kind: str, count: int) -> range:
        """New row numbers, sent from now on."""
        taken = range(self.next_seq, self.next_seq + count)
        self.next_seq += count
        self.sent[kind].update(taken)
        return taken


class Writers:
    """Threads that write until stopped, and come back whenever the node does."""

    def __init__(self, node: NodeProcess, count: int, seed: int) -> None:
        self._node = node
        self._stop = threading.Event()
        self.ledgers = [Ledger(number) for number in range(count)]
        self._threads = [
            threading.Thread(target=self._run, args=(ledger, Random(seed * 1000 + ledger.writer)), daemon=True)
            for ledger in self.ledgers
        ]

    @property
    def acknowledged(self) -> int:
        """Rows acknowledged so far; a pair counts once."""
        return sum(len(keys) for ledger in self.ledgers for keys in ledger.acked.values())

    @property
    def refused(self) -> list[str]:
        """Errors that nothing explains."""
        return [text for ledger in self.ledgers for text in ledger.refused]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End; every writer has its last answer or has given up on it."""
        self._stop.set()
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive(), "a writer hangs: its statement is never answered"

    def _run(self, ledger: Ledger, rng: Random) -> None:
        while not self._stop.is_set():
            try:
                with self._node.connect(connect_timeout=5) as connection:
                    while not self._stop.is_set():
                        _one(connection, ledger, rng)
            except psycopg.OperationalError:
                self._stop.wait(RECONNECT_S)
            except psycopg.Error as error:
                ledger.refused.append(f"{error.sqlstate}: {error}")


def _one(connection: psycopg.Connection[Any], ledger: Ledger, rng: Random) -> None:
    kind = rng.random()
    if kind < 0.5:
        seqs = ledger.take("solo", 1)
        connection.execute(
            "INSERT INTO solo VALUES (%s, %s, %s)", (ledger.writer, seqs[0], "x" * rng.choice((5, 200, 3000)))
        )
        ledger.acked["solo"].update(seqs)
    elif kind < 0.65:
        source, target = rng.sample(range(ACCOUNTS), 2)
        connection.execute(
            "UPDATE account SET balance = balance + CASE id WHEN %s THEN -%s ELSE %s END WHERE id IN (%s, %s)",
            (source, 7, 7, source, target),
        )
    elif kind < 0.9:
        _pair(connection, ledger, rng)
    else:
        _copy(connection, ledger)


def _pair(connection: psycopg.Connection[Any], ledger: Ledger, rng: Random) -> None:
    seqs = ledger.take("pair", 1)
    amount = rng.randrange(1000)
    with connection.transaction():
        connection.execute("INSERT INTO debit VALUES (%s, %s, %s)", (ledger.writer, seqs[0], -amount))
        connection.execute("INSERT INTO credit VALUES (%s, %s, %s)", (ledger.writer, seqs[0], amount))
    ledger.acked["pair"].update(seqs)


def _copy(connection: psycopg.Connection[Any], ledger: Ledger) -> None:
    seqs = ledger.take("pair", COPY_ROWS)
    with connection.transaction(), connection.cursor() as cursor:
        for table, sign in (("debit", -1), ("credit", 1)):
            with cursor.copy(f"COPY {table} FROM STDIN") as copy:
                for seq in seqs:
                    copy.write_row((ledger.writer, seq, sign * seq))
    ledger.acked["pair"].update(seqs)


def create_tables(node: NodeProcess) -> None:
    """The four tables, and money in the accounts."""
    with node.connect() as connection:
        for statement in TABLES:
            connection.execute(statement)
        for number in range(ACCOUNTS):
            connection.execute("INSERT INTO account VALUES (%s, %s)", (number, BALANCE))


def account(node: NodeProcess, ledgers: list[Ledger]) -> dict[str, int]:
    """Read every row back and hold it against the ledgers. Raises AssertionError when anything is lost or torn."""
    acked, sent = _keys(ledgers, "acked"), _keys(ledgers, "sent")
    with node.connect() as connection:
        solo: set[Any] = set(connection.execute("SELECT writer, seq FROM solo").fetchall())
        debit = {(w, s): a for w, s, a in connection.execute("SELECT writer, seq, amount FROM debit")}
        credit = {(w, s): a for w, s, a in connection.execute("SELECT writer, seq, amount FROM credit")}
        total = connection.execute("SELECT sum(balance) FROM account").fetchone()
    assert debit.keys() == credit.keys(), f"torn pairs: {sorted(debit.keys() ^ credit.keys())[:3]}"
    assert all(debit[key] == -credit[key] for key in debit), "the two sides of a pair differ"
    assert total is not None and total[0] == ACCOUNTS * BALANCE, f"a transfer was torn: {total}"
    for kind, found in (("solo", solo), ("pair", set(debit))):
        lost = acked[kind] - found
        assert not lost, f"{len(lost)} acknowledged rows of {kind} are gone, the first is {min(lost)}"
        assert found <= sent[kind], f"rows of {kind} that nobody sent: {sorted(found - sent[kind])[:3]}"
    present = len(solo) + len(debit)
    return {"present": present, "unanswered_kept": present - sum(len(keys) for keys in acked.values())}


def _keys(ledgers: list[Ledger], which: str) -> dict[str, set[Key]]:
    return {
        kind: {(ledger.writer, seq) for ledger in ledgers for seq in getattr(ledger, which)[kind]}
        for kind in ("solo", "pair")
    }


def verify_log(data_dir: Path) -> dict[str, Any]:
    """``log verify --replay`` on a running or stopped node; its JSON. Raises AssertionError when it finds damage."""
    command = [sys.executable, "-m", "helios_cli", "log", "verify", "--replay", "--json", "--data-dir", str(data_dir)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, f"log verify: {done.stdout}{done.stderr}"
    return dict(json.loads(done.stdout))


def control_record(data_dir: Path) -> ControlRecord:
    """The newest control record of a stopped node."""
    path = data_dir / "control" / "control"
    return read_control(path.read_bytes(), str(path))[0]


def verify_stopped(data_dir: Path) -> None:
    """After an orderly stop: the pages in the database file have the checksum that was recorded."""
    record = control_record(data_dir)
    assert record.clean, "the node did not record its orderly stop"
    file = ReadOnlyOsFiles().open(str(data_dir / "db" / DATABASE_NAME))
    try:
        table = scan_database(file, record.db_pages)
    finally:
        file.close()
    assert table.total == record.db_checksum, "the database file differs from the recorded checksum"


@dataclass
class Outcome:
    """What a run of kills came to."""

    kills: int = 0
    acknowledged: int = 0
    unanswered_kept: int = 0
    terms: int = 0
    redone: int = 0
    """Records redone by all restarts."""


def run_kills(node: NodeProcess, kills: int, seed: int, *, writers: int = 16, load_s: float = 0.6) -> Outcome:
    """Kill a started node ``kills`` times under load; verified after each. Raises AssertionError."""
    rng = Random(seed)
    outcome = Outcome()
    create_tables(node)
    load = Writers(node, writers, seed)
    pause = threading.Event()
    term = int(node.http("/status")[1]["term"])
    load.start()
    try:
        for number in range(kills):
            before = load.acknowledged
            pause.wait(rng.uniform(0.05, load_s))
            node.kill()
            if rng.random() < 0.15:
                # Once more while it recovers.
                node.start(wait=False)
                pause.wait(rng.uniform(0.05, 0.5))
                node.kill()
                outcome.kills += 1
            if number % 2:
                # As it lies, torn tail and all; under the load of sixteen writers it takes longer.
                verify_log(node.data_dir)
            node.start()
            outcome.kills += 1
            status = node.http("/status")[1]
            assert status["term"] > term, f"kill {number}: term {status['term']} after {term}"
            assert not status["recovery"]["clean"]
            term = status["term"]
            outcome.redone += status["recovery"]["records"]
            if not number % 2:
                verify_log(node.data_dir)
            assert load.acknowledged >= before
    finally:
        load.stop()
    assert not load.refused, load.refused[:3]
    outcome.unanswered_kept = account(node, load.ledgers)["unanswered_kept"]
    outcome.acknowledged, outcome.terms = load.acknowledged, term
    assert node.stop() == 0
    verify_stopped(node.data_dir)
    verify_log(node.data_dir)
    return outcome
