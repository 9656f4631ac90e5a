"""Orders, as an application makes and reads them: by turns of chance, each statement on a connection of its own."""

from __future__ import annotations

import math
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from helios_cli.commands.load.session import AT_PRIMARY, Session
from helios_cli.engine.errors import HeliosError

READS_OF_TEN: Final = 7
COLUMNS: Final = ("id", "customer", "amount", "status", "created_at")
DEFINITION: Final = """CREATE TABLE {table} (
    id INTEGER PRIMARY KEY,
    customer TEXT,
    amount REAL,
    status TEXT DEFAULT 'pending',
    created_at TEXT DEFAULT CURRENT_TIMESTAMP
)"""
WIDTH: Final = 64
"""Of the box around the title."""
TITLE: Final = "Application Continuity Test Results"


@dataclass(slots=True)
class Orders:
    """The operations of one run, one after the other, and what came of each."""

    session: Session
    table: str
    seconds: float
    """0: until it is told to stop."""
    interval_s: float
    """From the end of an operation to the next."""
    rng: random.Random
    stopped: threading.Event = field(default_factory=threading.Event)
    operations: int = 0
    reads: int = 0
    writes: int = 0
    failed: int = 0
    longest_s: float = 0.0
    """Of an operation, its connection included."""
    acknowledged: dict[int, str] = field(default_factory=dict)
    """Amounts by the id of their order."""
    errors: Counter[str] = field(default_factory=Counter)

    def prepare(self) -> None:
        """Make the table anew.

        Raises:
            HeliosError: nobody answers, or a table of this name is there that is not of a run before (42P07).
        """
        schema, _, name = self.table.rpartition(".")
        place = f"table_name = '{name}' AND table_schema = '{schema or 'public'}'"
        sql = f"SELECT column_name FROM information_schema.columns WHERE {place} ORDER BY ordinal_position"
        found = tuple(row[0] for row in self.session.execute(sql).rows)
        if found not in ((), COLUMNS):
            raise HeliosError(
                f'table "{self.table}" is there, and is not one of orders',
                sqlstate="42P07", hint="Name another with --table.",
            )  # fmt: skip
        self.session.write(f"DROP TABLE IF EXISTS {self.table}")
        self.session.write(DEFINITION.format(table=self.table))

    def run(self, show: Callable[[str, bool], None]) -> float:
        """Do it; ``show`` gets a line for each operation, and whether it succeeded. Gives the seconds it took."""
        began = time.monotonic()
        while not self.stopped.is_set() and not 0 < self.seconds <= time.monotonic() - began:
            self.operations += 1
            reads = self.rng.randrange(10) < READS_OF_TEN
            error = self._operation(self._read if reads else self._write)
            show(self._line("READ" if reads else "WRITE", error), not error)
            self.stopped.wait(self.interval_s)
        return time.monotonic() - began

    def _operation(self, operation: Callable[[], None]) -> str:
        """One read or write; what was wrong, empty when nothing was."""
        began = time.monotonic()
        try:
            operation()
        except HeliosError as error:
            text = f"{error.sqlstate} {error.message}"
            self.failed += 1
            self.errors[text] += 1
            return text
        finally:
            self.longest_s = max(self.longest_s, time.monotonic() - began)
        return ""

    def _read(self) -> None:
        self.session.execute(f"SELECT COUNT(*) FROM {self.table} WHERE status = 'completed'")
        self.reads += 1

    def _write(self) -> None:
        order = self.operations
        customer = f"customer_{self.rng.randrange(100)}"
        amount = f"{self.rng.randrange(1000)}.{self.rng.randrange(100):02}"
        self.session.execute(
            f"INSERT INTO {self.table} (id, customer, amount) VALUES ({order}, '{customer}', {amount}) "
            f"ON CONFLICT (id) DO UPDATE SET amount = {amount}"
        )
        self.acknowledged[order] = amount
        self.writes += 1

    def _line(self, kind: str, error: str) -> str:
        head = f"[{time.strftime('%H:%M:%S')}] Iter {self.operations}: {kind}"
        if error:
            return f"{head} ✗ - {error}"
        return f"{head} ✓ ({self.reads} reads, {self.writes} writes, {self.failed} failed)"

    def missing(self) -> list[int]:
        """The ids of orders that were acknowledged, and are not there as they were.

        Raises:
            HeliosError: nobody answers.
        """
        rows = self.session.execute(f"SELECT id, amount FROM {self.table} {AT_PRIMARY}").rows
        there = {int(row[0] or 0): float(row[1] or -1) for row in rows}
        return [
            order
            for order, amount in self.acknowledged.items()
            if not math.isclose(there.get(order, -1), float(amount), rel_tol=1e-5)
        ]

    def record(self, seconds: float) -> dict[str, Any]:
        """What came of it, for programs."""
        return {
            "table": self.table, "seconds": round(seconds, 3), "operations": self.operations,
            "successful": self.operations - self.failed, "failed": self.failed, "reads": self.reads,
            "writes": self.writes, "success_rate": rate(self.operations - self.failed, self.operations),
            "longest_ms": round(self.longest_s * 1000, 1), "errors": dict(self.errors),
        }  # fmt: skip


def rate(successful: int, total: int) -> str:
    """``100.00%``, with what is behind the second digit cut off."""
    return f"{successful * 10_000 // total / 100:.2f}%" if total else "0%"


def summary(record: Mapping[str, Any]) -> list[str]:
    """The last lines of a run."""
    bar = "═" * WIDTH
    return [
        f"╔{bar}╗", f"║{TITLE:^{WIDTH}}║", f"╚{bar}╝", "",
        f"Duration: {record['seconds']:.0f}s", f"Total ops: {record['operations']}",
        f"Successful: {record['successful']}", f"Failed: {record['failed']}", f"Read ops: {record['reads']}",
        f"Write ops: {record['writes']}", f"Success rate: {record['success_rate']}",
    ]  # fmt: skip
