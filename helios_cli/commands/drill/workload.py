"""Writers that remember what was acknowledged, and the account at the end."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from helios_cli.engine.errors import HeliosError
from helios_cli.engine.net.pgclient import PgClient, Target

TABLE: Final = "CREATE TABLE drill (writer int, seq bigint, payload text NOT NULL, PRIMARY KEY (writer, seq))"
_PAUSE_S: Final = 0.02
_SAMPLES_MAX: Final = 4096


def payload(writer: int, seq: int) -> str:
    """What a row must hold."""
    return f"row {seq} of writer {writer}"


@dataclass(slots=True)
class Ledger:
    """What one writer knows; its own thread alone writes it."""

    writer: int
    acknowledged: int = 0
    """Rows answered with INSERT 0 1."""
    unknown: set[int] = field(default_factory=set)
    """Numbers of rows that were sent and not answered: there or not, both are right."""
    last_seq: int = 0
    refused: list[str] = field(default_factory=list)
    """Errors that a kill does not explain; any is a failure."""
    latencies_ms: deque[float] = field(default_factory=lambda: deque(maxlen=_SAMPLES_MAX))

    def expects(self, seq: int) -> bool:
        """Whether a row must be there."""
        return 1 <= seq <= self.last_seq and seq not in self.unknown


class Workload:
    """Several writers, each inserting its own numbered rows, one transaction a row, until told to stop."""

    def __init__(self, target: Target, writers: int) -> None:
        self._target = target
        self._stop = threading.Event()
        self.ledgers = [Ledger(number) for number in range(1, writers + 1)]
        self._threads = [
            threading.Thread(target=self._write, args=(ledger,), name=f"writer-{ledger.writer}", daemon=True)
            for ledger in self.ledgers
        ]

    @property
    def acknowledged(self) -> int:
        """Rows acknowledged so far by all writers."""
        return sum(ledger.acknowledged for ledger in self.ledgers)

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End; returns when every writer has its last answer or has given up on it."""
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def take_latencies(self) -> list[float]:
        """Milliseconds of the answers since the last call, sorted; bounded, the newest win."""
        taken = []
        for ledger in self.ledgers:
            while ledger.latencies_ms:
                taken.append(ledger.latencies_ms.popleft())
        return sorted(taken)

    def _write(self, ledger: Ledger) -> None:
        while not self._stop.is_set():
            try:
                with PgClient(self._target) as client:
                    self._insert_until_error(client, ledger)
            except HeliosError:
                self._stop.wait(_PAUSE_S)  # the node is down: that is what the drill is about

    def _insert_until_error(self, client: PgClient, ledger: Ledger) -> None:
        while not self._stop.is_set():
            ledger.last_seq += 1
            seq = ledger.last_seq
            ledger.unknown.add(seq)
            begin = time.perf_counter()
            try:
                client.execute(f"INSERT INTO drill VALUES ({ledger.writer}, {seq}, '{payload(ledger.writer, seq)}')")
            except HeliosError as error:
                if not error.sqlstate.startswith(("08", "57P")):
                    ledger.refused.append(f"{error.sqlstate}: {error.message}")
                raise
            ledger.unknown.discard(seq)
            ledger.acknowledged += 1
            ledger.latencies_ms.append((time.perf_counter() - begin) * 1000)


@dataclass(frozen=True, slots=True)
class Account:
    """The rows that are there against the rows that must be."""

    acknowledged: int
    present: int
    lost: int
    """Acknowledged and not there: the one number that has to be zero."""
    wrong: int
    """There with another content, or never sent."""
    kept_unanswered: int
    """There although no answer came: written, and the answer was lost with the process."""


def take_account(target: Target, ledgers: list[Ledger]) -> Account:
    """Read every row back and compare.

    Raises:
        HeliosError: the node does not answer.
    """
    present = wrong = kept = found = 0
    by_writer = {ledger.writer: ledger for ledger in ledgers}
    with PgClient(target) as client:
        for result in client.stream("SELECT writer, seq, payload FROM drill"):
            for writer_text, seq_text, text in result.rows:
                present += 1
                writer, seq = int(writer_text or 0), int(seq_text or 0)
                ledger = by_writer.get(writer)
                if ledger is None or text != payload(writer, seq):
                    wrong += 1
                elif ledger.expects(seq):
                    found += 1
                elif seq in ledger.unknown:
                    kept += 1
                else:
                    wrong += 1
    acknowledged = sum(ledger.acknowledged for ledger in ledgers)
    return Account(acknowledged, present, acknowledged - found, wrong, kept)
