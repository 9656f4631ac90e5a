"""Workloads whose data can be judged in the end: a bank, a ledger, and TPC-B as pgbench has it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from helios_cli.commands.load.account import first_answering
from helios_cli.commands.load.driver import Worker
from helios_cli.commands.load.ledger import LedgerWriter, read_ledger
from helios_cli.commands.load.runner import insert_sql, payload
from helios_cli.commands.load.session import AT_PRIMARY, is_unknown, prepare
from helios_cli.engine.errors import HeliosError
from helios_cli.engine.histories.totals import check_bank
from helios_cli.engine.net.pgclient import Target

BALANCE: Final = 1000
AUDITS: Final = 0.2
"""The part of a bank's operations that look at all accounts."""


def number(rows: object) -> int:
    """The only value of a result. Raises HeliosError when there is none."""
    if isinstance(rows, (list, tuple)) and rows and rows[0] and rows[0][0] is not None:
        return int(rows[0][0])
    raise HeliosError("the query gave no number", sqlstate="XX000")


def is_there(worker: Worker, table: str) -> bool:
    """Whether a table can be read. Raises HeliosError for any other error than that there is none."""
    try:
        worker.execute(f"SELECT 1 FROM {table} LIMIT 0")
    except HeliosError as error:
        if error.sqlstate != "42P01":
            raise
        worker.session.roll_back()
        return False
    return True


@dataclass(slots=True)
class Bank:
    """Money moves between accounts; whoever looks at all of them sees all of it."""

    table: str
    accounts: int
    balances: list[tuple[int, int]] = field(default_factory=list)
    """What the audits saw: sum and least balance."""
    name: str = "bank"

    def prepare(self, worker: Worker) -> None:
        """Make the table anew: what is in it is the workload's alone."""
        worker.execute(f"DROP TABLE IF EXISTS {self.table}")
        worker.execute(f"CREATE TABLE {self.table} (id int PRIMARY KEY, balance bigint NOT NULL)")
        worker.execute(f"INSERT INTO {self.table} SELECT g, {BALANCE} FROM generate_series(1, {self.accounts}) g")

    def turn(self, worker: Worker) -> str:
        """A transfer in one transaction, or an audit."""
        if worker.rng.random() < AUDITS:
            rows = worker.execute(f"SELECT sum(balance)::bigint, min(balance)::bigint FROM {self.table}")
            self.balances.append((int(rows[0][0] or 0), int(rows[0][1] or 0)))
            return "audit"
        source, target = worker.rng.sample(range(1, self.accounts + 1), 2)
        amount = worker.rng.randint(1, 20)
        worker.execute("BEGIN")
        taken = worker.execute(
            f"UPDATE {self.table} SET balance = balance - {amount} WHERE id = {source} AND balance >= {amount} "
            "RETURNING balance"
        )
        if taken:
            worker.execute(f"UPDATE {self.table} SET balance = balance + {amount} WHERE id = {target}")
        worker.execute("COMMIT")
        return "transfer"

    def check(self, worker: Worker) -> list[str]:
        """The sum is what it was at the beginning, and no audit saw another one."""
        rows = worker.execute(f"SELECT balance FROM {self.table} {AT_PRIMARY}")
        total = BALANCE * self.accounts
        wrong = list(check_bank([[int(row[0] or 0) for row in rows]], total).reasons)
        wrong += [f"an audit saw {seen} in all, where {total} are" for seen, _ in self.balances if seen != total][:5]
        return wrong + [f"an audit saw a balance of {least}" for _, least in self.balances if least < 0][:5]


@dataclass(slots=True)
class LedgerWork:
    """Rows with keys that are never used again; a file says what became of each, and all are counted in the end."""

    table: str
    run: str
    path: Path
    targets: list[Target]
    name: str = "ledger"
    _writer: LedgerWriter | None = None
    _next: dict[int, int] = field(default_factory=dict)

    def prepare(self, worker: Worker) -> None:
        """Make the table unless it is there, and begin the file."""
        prepare(worker.session, self.table)
        self._writer = LedgerWriter(self.path, self.run, self.table)

    def turn(self, worker: Worker) -> str:
        """One row; its line in the file when the answer is there. Raises OSError: the file cannot be written."""
        assert self._writer is not None
        client = worker.number
        seq = self._next[client] = self._next.get(client, 0) + 1
        try:
            worker.execute(insert_sql(self.table, self.run, client, seq))
        except HeliosError as error:
            self._writer.add(f"{'unknown' if is_unknown(error) else 'refused'} {client} {seq} {error.sqlstate}")
            raise
        self._writer.add(f"ack {client} {seq}")
        return "insert"

    def check(self, worker: Worker) -> list[str]:
        """Every acknowledged row is there once, as it was written. The file is complete from now on."""
        assert self._writer is not None
        self._writer.finish()
        _, found = first_answering(read_ledger(self.path), self.targets)
        kinds = {
            "acknowledged and missing": found.missing, "there twice": found.twice, "of other content": found.wrong,
            "refused and there": found.refused_present, "there, and never written": found.foreign,
        }  # fmt: skip
        return [
            f"{len(rows)} rows {what}: {', '.join(payload(*row) for row in rows[:3])}"
            for what, rows in kinds.items()
            if rows
        ]


@dataclass(slots=True)
class TpcB:
    """The transaction of pgbench: an account, a teller and a branch change by one amount, and history tells of it."""

    prefix: str
    scale: int
    """Branches; ten tellers and ``accounts`` accounts of each."""
    accounts: int
    name: str = "tpcb"

    def prepare(self, worker: Worker) -> None:
        """Make and fill the tables anew."""
        branches, tellers, accounts, history = self._tables()
        for table in (branches, tellers, accounts, history):
            worker.execute(f"DROP TABLE IF EXISTS {table}")
        worker.execute(f"CREATE TABLE {branches} (bid int PRIMARY KEY, bbalance bigint NOT NULL)")
        worker.execute(f"CREATE TABLE {tellers} (tid int PRIMARY KEY, bid int, tbalance bigint NOT NULL)")
        worker.execute(f"CREATE TABLE {accounts} (aid int PRIMARY KEY, bid int, abalance bigint NOT NULL, filler text)")
        worker.execute(f"CREATE TABLE {history} (tid int, bid int, aid int, delta int, mtime timestamp)")
        worker.execute(f"INSERT INTO {branches} SELECT g, 0 FROM generate_series(1, {self.scale}) g")
        worker.execute(
            f"INSERT INTO {tellers} SELECT g, (g - 1) / 10 + 1, 0 FROM generate_series(1, {self.scale * 10}) g"
        )
        worker.execute(
            f"INSERT INTO {accounts} SELECT g, (g - 1) / {self.accounts} + 1, 0, repeat(' ', 80) "
            f"FROM generate_series(1, {self.scale * self.accounts}) g"
        )

    def _tables(self) -> tuple[str, str, str, str]:
        branches, tellers, accounts, history = (
            f"{self.prefix}_{one}" for one in ("branches", "tellers", "accounts", "history")
        )
        return branches, tellers, accounts, history

    def turn(self, worker: Worker) -> str:
        """One transaction."""
        branches, tellers, accounts, history = self._tables()
        rng = worker.rng
        aid, tid = rng.randint(1, self.scale * self.accounts), rng.randint(1, self.scale * 10)
        bid, delta = rng.randint(1, self.scale), rng.randint(-5000, 5000)
        worker.transaction(
            f"UPDATE {accounts} SET abalance = abalance + {delta} WHERE aid = {aid}",
            f"SELECT abalance FROM {accounts} WHERE aid = {aid}",
            f"UPDATE {tellers} SET tbalance = tbalance + {delta} WHERE tid = {tid}",
            f"UPDATE {branches} SET bbalance = bbalance + {delta} WHERE bid = {bid}",
            f"INSERT INTO {history} VALUES ({tid}, {bid}, {aid}, {delta}, CURRENT_TIMESTAMP)",
        )
        return "transaction"

    def check(self, worker: Worker) -> list[str]:
        """All four tables tell of one sum."""
        columns = zip(self._tables(), ("bbalance", "tbalance", "abalance", "delta"), strict=True)
        sums = {
            table: number(worker.execute(f"SELECT coalesce(sum({column}), 0)::bigint FROM {table} {AT_PRIMARY}"))
            for table, column in columns
        }
        if len(set(sums.values())) == 1:
            return []
        return ["the sums differ: " + ", ".join(f"{table} {total}" for table, total in sums.items())]
