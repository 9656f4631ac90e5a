"""Clients that insert and read back, paced or as fast as they can, until time is up."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from helios_cli.commands.load.ledger import LedgerWriter
from helios_cli.commands.load.session import Session, is_unknown
from helios_cli.commands.load.statistics import Statistics
from helios_cli.engine.errors import HeliosError
from helios_cli.engine.net.pgclient import Target

PAUSE_S: Final = 0.1
"""After an attempt that was refused."""

LINES_PER_S: Final = 20
"""A faster load prints a line a second; the other iterations are only counted."""

POLL_S: Final = 0.05

JOIN_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Load:
    """What to do, as numbers."""

    run: str
    table: str
    clients: int
    seconds: float
    """0: until it is told to stop."""
    period_s: float
    """From one iteration of a client to its next; 0: at once."""
    retry_s: float
    """How long a write that surely did not happen, or a read, is tried again."""
    primary_only: bool
    reconnects: bool = False
    """Each statement has a connection of its own."""
    at_rate: bool = False
    """Iterations are due at even times whether the one before is over or not, and are measured from then; else the next
    one waits for the one before, and is measured from its begin.
    """


class Runner:
    """The clients of one run, each a thread."""

    def __init__(self, load: Load, hosts: Sequence[Target], ledger: LedgerWriter) -> None:
        self.load = load
        self.statistics = Statistics()
        self.lines: deque[str] = deque(maxlen=1000)
        self._ledger = ledger
        self._stop = threading.Event()
        self._broken: OSError | None = None
        self._begin = 0.0
        self._sessions = [
            Session(hosts, primary_only=load.primary_only, reconnects=load.reconnects) for _ in range(load.clients)
        ]
        self._threads = [
            threading.Thread(target=self._client, args=(number,), name=f"client-{number}", daemon=True)
            for number in range(1, load.clients + 1)
        ]

    @property
    def connects(self) -> int:
        """Connections made by all clients."""
        return sum(session.connects for session in self._sessions)

    def stop(self) -> None:
        """End after the iterations that are under way. May be called by a signal."""
        self._stop.set()

    def run(self, show: Callable[[list[str]], None]) -> float:
        """Do it; ``show`` gets lines as they come. Gives the seconds it took.

        Raises:
            OSError: the ledger could not be written.
        """
        self._begin = shown = time.monotonic()
        self.statistics.begin(self._begin)
        for thread in self._threads:
            thread.start()
        while not self._stop.wait(POLL_S) and not self._over(time.monotonic()):
            if self._slow or time.monotonic() - shown >= 1.0:
                shown = time.monotonic()
                show(self._new_lines())
        self._stop.set()
        end = time.monotonic()
        self.statistics.end(end)
        for thread in self._threads:
            thread.join(JOIN_S)
        show(self._new_lines())
        for session in self._sessions:
            session.close()
        if self._broken is not None:
            raise self._broken
        return end - self._begin

    @property
    def _slow(self) -> bool:
        """Whether every iteration can be printed."""
        return self.load.period_s > 0 and self.load.clients / self.load.period_s <= LINES_PER_S

    def _over(self, now_s: float) -> bool:
        return 0 < self.load.seconds <= now_s - self._begin

    def _new_lines(self) -> list[str]:
        """The lines that nobody has seen; of a fast load one, the newest with an error if there is any."""
        waiting = [self.lines.popleft() for _ in range(len(self.lines))]
        if self._slow:
            return waiting
        failed = [one for one in waiting if not one.endswith("ms]")]
        return (failed or waiting)[-1:]

    def _client(self, number: int) -> None:
        load, session = self.load, self._sessions[number - 1]
        due = self._begin + load.period_s * (number - 1) / load.clients
        seq = newest = 0
        try:
            while not self._over(max(due, time.monotonic())) and not self._stop.wait(max(0.0, due - time.monotonic())):
                seq += 1
                begin = due if load.at_rate else time.monotonic()
                due = due + load.period_s if load.at_rate else max(due + load.period_s, begin)
                errors: list[str] = []
                insert = self._write(session, number, seq, errors)
                newest = seq if insert == "ok" else newest
                select = self._read(session, number, newest, errors)
                self._count(insert, select, begin, errors)
                if insert == "failed":
                    self._stop.wait(PAUSE_S)
        except OSError as error:
            self._broken = error
            self._stop.set()

    def _count(self, insert: str, select: str, begin: float, errors: list[str]) -> None:
        now = time.monotonic()
        number = self.statistics.add(insert, select, now - begin, now, errors)
        self.lines.append(line(number, insert, select, now - begin, errors))

    def _write(self, session: Session, client: int, seq: int, errors: list[str]) -> str:
        """One INSERT and its line in the ledger: ``ok``, ``failed`` or ``unknown``."""
        load = self.load
        deadline = time.monotonic() + load.retry_s
        while True:
            try:
                session.write(insert_sql(load.table, load.run, client, seq))
            except HeliosError as error:
                if is_unknown(error):
                    self._ledger.add(f"unknown {client} {seq} {error.sqlstate}")
                    errors.append(f"{error.sqlstate} {error.message}")
                    return "unknown"
                if time.monotonic() < deadline and not self._stop.wait(PAUSE_S):
                    continue
                self._ledger.add(f"refused {client} {seq} {error.sqlstate}")
                errors.append(f"{error.sqlstate} {error.message}")
                return "failed"
            self._ledger.add(f"ack {client} {seq}")
            return "ok"

    def _read(self, session: Session, client: int, seq: int, errors: list[str]) -> str:
        """Read the client's newest acknowledged row back: ``ok``, ``missing`` or ``failed``."""
        load = self.load
        sql = f"SELECT payload FROM {load.table} WHERE run = '{load.run}' AND client = {client} AND seq = {seq}"
        deadline = time.monotonic() + load.retry_s
        while True:
            try:
                rows = session.execute(sql if seq else "SELECT 1").rows
                break
            except HeliosError as error:
                if time.monotonic() < deadline and not self._stop.wait(PAUSE_S):
                    continue  # a read may always be sent again
                errors.append(f"{error.sqlstate} {error.message}")
                return "failed"
        if seq and rows != [(payload(client, seq),)]:
            errors.append(f"an acknowledged row is not there: client {client} seq {seq}")
            return "missing"
        return "ok"


def payload(client: int, seq: int) -> str:
    """What a row must hold."""
    return f"write {seq} of client {client}"


def insert_sql(table: str, run: str, client: int, seq: int) -> str:
    """The statement of one write; its key is never used again."""
    return f"INSERT INTO {table} VALUES ('{run}', {client}, {seq}, '{payload(client, seq)}')"


def line(number: int, insert: str, select: str, elapsed_s: float, errors: Sequence[str]) -> str:
    """One iteration as it is printed."""
    reason = f" {errors[0]}" if errors else ""
    now = time.strftime("%H:%M:%S")
    return f"[{now}] #{number} INSERT=[{insert}] SELECT=[{select}] [{elapsed_s * 1000:.0f}ms]{reason}"
