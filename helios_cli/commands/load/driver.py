"""Clients that do operations of a workload, as fast as they are answered or at a rate, and how long each took.

At a rate, operations are due at even times whether the server keeps up or not, and each is measured from when it was
due: a server that stands still for a second delays everything that was due meanwhile, and all of that is counted
("coordinated omission", Gil Tene).
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from helios_cli.commands.load.histogram import Histogram, merged
from helios_cli.commands.load.session import Session
from helios_cli.engine.errors import ConfigError, HeliosError
from helios_cli.engine.net.pgclient import Target

AGAIN: Final = ("40001", "40P01")
TRIES_MAX: Final = 20
"""Of one transaction that is told to try again."""
PAUSE_S: Final = 0.05
"""After an operation that failed."""
OUTAGE_S: Final = 0.5
"""So long without a successful operation is an outage."""
JOIN_S: Final = 70.0
ERRORS_MAX: Final = 100


class Worker:
    """What one client has in hand: its connection, its random numbers, its place among the others."""

    def __init__(self, number: int, session: Session, seed: int) -> None:
        self.number = number
        """From 1."""
        self.session = session
        self.rng = random.Random(seed * 1_000_003 + number)
        self.histograms: dict[str, Histogram] = {}
        """Of successful operations, by kind."""
        self.errors: Counter[str] = Counter()
        self.failed = 0
        self.tried_again = 0
        self.seconds: Counter[int] = Counter()
        """Successful operations by the second of the run in which they ended."""

    def execute(self, sql: str) -> Sequence[tuple[str | None, ...]]:
        """The rows of a statement. Raises HeliosError."""
        return self.session.execute(sql).rows

    def transaction(self, *statements: str) -> list[Sequence[tuple[str | None, ...]]]:
        """Statements between BEGIN and COMMIT; the rows of each. Raises HeliosError, and then nothing was done."""
        self.execute("BEGIN")
        rows = [self.execute(statement) for statement in statements]
        self.execute("COMMIT")
        return rows


class Work(Protocol):
    """A workload."""

    name: str

    def prepare(self, worker: Worker) -> None:
        """Make what is needed, unless it is there. Raises HeliosError."""

    def turn(self, worker: Worker) -> str:
        """One operation; which kind it was. Raises HeliosError."""

    def check(self, worker: Worker) -> list[str]:
        """What is wrong with the data in the end, a line each. Raises HeliosError."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How many, how fast, how long."""

    clients: int
    seconds: float
    """0: until it is told to stop."""
    rate: float
    """Operations a second, all clients together; 0: each as soon as the one before is answered."""


@dataclass(slots=True)
class Sample:
    """What a display shows."""

    at_s: float = 0.0
    operations: int = 0
    failed: int = 0
    per_s: float = 0.0
    """Since the sample before."""
    latest: Histogram = field(default_factory=Histogram)
    """Of operations since the sample before; its maximum is that of the whole run."""
    total: Histogram = field(default_factory=Histogram)
    outage_s: float = 0.0
    """How long there has been no successful operation by now, where that is an outage; else 0."""
    late_s: float = 0.0
    """At a rate: how far behind the operations are that are due."""
    outages: tuple[tuple[float, float], ...] = ()
    """Those that are over: when each began, and how long it was."""


class Driver:
    """All clients of one run, each a thread."""

    def __init__(self, work: Work, pace: Pace, hosts: Sequence[Target], *, primary_only: bool, seed: int) -> None:
        self.work, self.pace = work, pace
        self.workers = [
            Worker(number, Session(hosts, primary_only=primary_only, first=0), seed)
            for number in range(1, pace.clients + 1)
        ]
        self.outages: list[tuple[float, float]] = []
        """When each began, in seconds of the run, and how long it was."""
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._begin = 0.0
        self._broken: ConfigError | None = None
        self._tickets = 0
        self._succeeded_at = 0.0

    def stop(self) -> None:
        """End after the operations that are under way. May be called by a signal."""
        self._over.set()

    def run(self, show: Callable[[Sample], None], every_s: float = 1.0) -> float:
        """Do it; ``show`` gets a sample every so often. Gives the seconds it took.

        Raises:
            ConfigError: the workload cannot be run as it was described.
        """
        self._begin = self._succeeded_at = time.monotonic()
        threads = [
            threading.Thread(target=self._client, args=(worker,), name=f"client-{worker.number}", daemon=True)
            for worker in self.workers
        ]
        for thread in threads:
            thread.start()
        before = Sample()
        while not self._over.wait(min(every_s, self._left())) and self._left():
            before = self._sample(before)
            show(before)
        self._over.set()
        end = time.monotonic()
        for thread in threads:
            thread.join(JOIN_S)
        self._succeeded(end)
        show(self._sample(before))
        for worker in self.workers:
            worker.session.close()
        if self._broken is not None:
            raise self._broken
        return end - self._begin

    def _left(self) -> float:
        """Seconds of the run that are left; a long time where nobody has said how long."""
        left = self._begin + self.pace.seconds - time.monotonic() if self.pace.seconds else 3600.0
        return max(0.0, left)

    def _client(self, worker: Worker) -> None:
        while not self._over.is_set():
            due = self._due()
            if self._over.wait(max(0.0, due - time.monotonic())):
                return
            try:
                kind = self._turn(worker)
            except ConfigError as error:  # of the workload itself: the next operation would not fare better
                self._broken = error
                self._over.set()
                return
            except (HeliosError, OSError) as error:
                self._failed(worker, error)
                continue
            now = time.monotonic()
            worker.histograms.setdefault(kind, Histogram()).add(now - due)
            worker.seconds[int(now - self._begin)] += 1
            self._succeeded(now)

    def _due(self) -> float:
        """When the next operation is to begin: now, where no rate is asked for."""
        if not self.pace.rate:
            return time.monotonic()
        with self._lock:
            ticket, self._tickets = self._tickets, self._tickets + 1
        return self._begin + ticket / self.pace.rate

    def _turn(self, worker: Worker) -> str:
        """One operation, as often as it is told to try again."""
        for _ in range(TRIES_MAX - 1):
            try:
                return self.work.turn(worker)
            except HeliosError as error:
                if error.sqlstate not in AGAIN or self._over.is_set():
                    raise
                worker.tried_again += 1
                worker.session.roll_back()
        return self.work.turn(worker)

    def _failed(self, worker: Worker, error: HeliosError | OSError) -> None:
        worker.session.roll_back()
        worker.failed += 1
        text = f"{error.sqlstate} {error.message}" if isinstance(error, HeliosError) else str(error)
        worker.errors[text if text in worker.errors or len(worker.errors) < ERRORS_MAX else "others"] += 1
        self._over.wait(PAUSE_S)

    def _succeeded(self, now: float) -> None:
        with self._lock:
            if now - self._succeeded_at >= OUTAGE_S:
                since = self._succeeded_at
                self.outages.append((round(since - self._begin, 3), round(now - since, 3)))
            self._succeeded_at = max(now, self._succeeded_at)

    # What came of it -------------------------------------------------------------------------------------------------

    def total(self) -> Histogram:
        """Of all successful operations so far."""
        return merged(one for worker in self.workers for one in tuple(worker.histograms.values()))

    def _sample(self, before: Sample) -> Sample:
        now, total = time.monotonic(), self.total()
        at_s = now - self._begin
        latest = Histogram(total.counts - before.total.counts, total.total - before.total.total, 0.0, total.max_s)
        silent = now - self._succeeded_at
        due = self._tickets / self.pace.rate if self.pace.rate else at_s
        return Sample(
            at_s, total.total, sum(worker.failed for worker in self.workers),
            latest.total / max(at_s - before.at_s, 1e-9), latest, total,
            silent if silent >= OUTAGE_S else 0.0, max(0.0, at_s - due), tuple(self.outages),
        )  # fmt: skip

    def record(self, seconds: float) -> dict[str, Any]:
        """Everything, for programs. Times of outages and of the series are seconds of the run."""
        total = self.total()
        failed = sum(worker.failed for worker in self.workers)
        errors: Counter[str] = sum((worker.errors for worker in self.workers), Counter())
        series: Counter[int] = sum((worker.seconds for worker in self.workers), Counter())
        kinds = sorted({kind for worker in self.workers for kind in worker.histograms})
        return {
            "workload": self.work.name, "clients": self.pace.clients, "rate": self.pace.rate,
            "seconds": round(seconds, 3), "operations": total.total + failed, "successful": total.total,
            "failed": failed, "never_begun": max(0, int(self.pace.rate * seconds) - total.total - failed),
            "tried_again": sum(worker.tried_again for worker in self.workers),
            "per_second": round(total.total / max(seconds, 1e-9), 1), "latency_ms": total.record_ms(),
            "kinds": {kind: self._kind(kind) for kind in kinds}, "errors": dict(errors.most_common()),
            "outages": [{"at_s": at, "seconds": length} for at, length in self.outages],
            "series": [series[second] for second in range(int(seconds) + 1)],
            "connects": sum(worker.session.connects for worker in self.workers),
            "histogram_ms": total.buckets_ms(),
        }  # fmt: skip

    def _kind(self, kind: str) -> Mapping[str, Any]:
        found = merged(worker.histograms[kind] for worker in self.workers if kind in worker.histograms)
        return {"operations": found.total, "latency_ms": found.record_ms()}
