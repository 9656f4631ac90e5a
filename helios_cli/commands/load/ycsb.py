"""YCSB's core workloads (Cooper et al., SoCC 2010): mixes of reads, updates, inserts and scans, some rows hot."""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from helios_cli.commands.load.driver import Worker
from helios_cli.commands.load.works import is_there, number
from helios_cli.engine.histories.verdict import Verdict

FIELDS: Final = 10
FIELD_BYTES: Final = 100
SCAN_MAX: Final = 100
THETA: Final = 0.99
"""Skew of the zipfian distribution, as in YCSB."""
BATCH: Final = 200
"""Rows of one INSERT while the table is filled."""

MIXES: Final[Mapping[str, Mapping[str, float]]] = {
    "a": {"read": 0.5, "update": 0.5},
    "b": {"read": 0.95, "update": 0.05},
    "c": {"read": 1.0},
    "d": {"read": 0.95, "insert": 0.05},
    "e": {"scan": 0.95, "insert": 0.05},
    "f": {"read": 0.5, "read-modify-write": 0.5},
}
SUMMARIES: Final = {
    "a": "update heavy: half reads, half updates", "b": "read mostly: 95 % reads, 5 % updates", "c": "reads alone",
    "d": "the latest: 95 % reads of new rows, 5 % inserts", "e": "short ranges: 95 % scans, 5 % inserts",
    "f": "read, modify, write: half of the operations, the others reads",
}  # fmt: skip


class Zipfian:
    """Numbers from 0, small ones most often (Gray et al., SIGMOD 1994); the sum of weights is reckoned once."""

    def __init__(self, count: int, theta: float = THETA) -> None:
        self.count, self._theta = count, theta
        zeta = sum(1 / rank**theta for rank in range(1, count + 1))
        self._zeta, self._alpha = zeta, 1 / (1 - theta)
        second = 1 + 0.5**theta
        self._eta = (1 - (2 / count) ** (1 - theta)) / (1 - second / zeta) if count > 2 else 0.0

    def draw(self, rng: random.Random) -> int:
        """One number below ``count``."""
        chance = rng.random()
        place = chance * self._zeta
        if place < 1:
            return 0
        if place < 1 + 0.5**self._theta:
            return min(1, self.count - 1)
        return min(self.count - 1, int(self.count * (self._eta * chance - self._eta + 1) ** self._alpha))


@dataclass(slots=True)
class Ycsb:
    """One of the six."""

    letter: str
    table: str
    records: int
    name: str = field(init=False)
    _zipfian: Zipfian = field(init=False)
    _keys: Iterator[int] = field(init=False)
    _newest: int = field(init=False)
    """Rows with smaller numbers are there."""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _acknowledged: int = 0
    """Inserts."""

    def __post_init__(self) -> None:
        self.name = f"ycsb-{self.letter}"
        self._zipfian = Zipfian(self.records)
        self._keys, self._newest = itertools.count(self.records), self.records

    def prepare(self, worker: Worker) -> None:
        """Fill the table anew, unless it has exactly the rows that are wanted."""
        if is_there(worker, self.table):
            if number(worker.execute(f"SELECT count(*) FROM {self.table}")) == self.records:
                return
            worker.execute(f"DROP TABLE {self.table}")
        columns = ", ".join(f"field{at} text" for at in range(FIELDS))
        worker.execute(f"CREATE TABLE {self.table} (ycsb_key int PRIMARY KEY, {columns})")
        for first in range(0, self.records, BATCH):
            rows = (self._row(key, worker.rng) for key in range(first, min(first + BATCH, self.records)))
            worker.execute(f"INSERT INTO {self.table} VALUES {', '.join(rows)}")

    def _row(self, key: int, rng: random.Random) -> str:
        return f"({key}, {', '.join(repr(_text(rng)) for _ in range(FIELDS))})"

    def turn(self, worker: Worker) -> str:
        """One operation of the mix."""
        mix = MIXES[self.letter]
        kind = worker.rng.choices(tuple(mix), tuple(mix.values()))[0]
        if kind == "insert":
            self._insert(worker)
        elif kind == "scan":
            count = worker.rng.randint(1, SCAN_MAX)
            where = f"WHERE ycsb_key >= {self._key(worker.rng)} ORDER BY ycsb_key LIMIT {count}"
            worker.execute(f"SELECT * FROM {self.table} {where}")
        else:
            self._one(worker, kind)
        return kind

    def _one(self, worker: Worker, kind: str) -> None:
        key, rng = self._key(worker.rng), worker.rng
        if kind != "update":
            worker.execute(f"SELECT * FROM {self.table} WHERE ycsb_key = {key}")
        if kind != "read":
            change = f"field{rng.randrange(FIELDS)} = '{_text(rng)}'"
            worker.execute(f"UPDATE {self.table} SET {change} WHERE ycsb_key = {key}")

    def _insert(self, worker: Worker) -> None:
        with self._lock:
            key = next(self._keys)
        worker.execute(f"INSERT INTO {self.table} VALUES {self._row(key, worker.rng)}")
        with self._lock:
            self._newest, self._acknowledged = max(self._newest, key + 1), self._acknowledged + 1

    def _key(self, rng: random.Random) -> int:
        """Of a row that is there: in workload d a new one most often, else hot ones spread over all."""
        drawn = self._zipfian.draw(rng)
        if self.letter == "d":
            return max(0, self._newest - 1 - drawn)
        return (drawn * 2_654_435_761) % self.records  # Knuth's multiplicative hash: the hot keys lie apart

    def check(self, worker: Worker) -> list[str]:
        """Every acknowledged insert has left a row, and none is gone."""
        count = number(worker.execute(f"SELECT count(*) FROM {self.table} /* helios: primary */"))
        least = self.records + self._acknowledged
        return list(Verdict.of([f"{count} rows, where {least} were acknowledged"] if count < least else []).reasons)


def _text(rng: random.Random) -> str:
    return "".join(rng.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=FIELD_BYTES))
