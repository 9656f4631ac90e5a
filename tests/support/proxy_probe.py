"""Does a client that has written read what it wrote? Pairs of a write and a read over standbys that lag.

Every pair is on one connection to the proxy: a write that counts its own row up, then reads of that row by statements
that may run anywhere. A *miss* is a read that shows an older number. The standbys are behind by a time that changes.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import AsyncConnection

TABLE = "probed"
LAGS_S = (0.0, 0.002, 0.02, 0.1)
KINDS = ("simple", "extended", "block", "pipeline", "prepared", "copied")
READS = ("simple", "extended", "read only block", "prepared")


@dataclass
class Probed:
    """What a probe came to."""

    pairs: int = 0
    misses: int = 0
    elsewhere: int = 0
    """Reads that another node than the primary answered."""
    kinds: Counter[str] = field(default_factory=Counter)
    """Of the misses."""
    first_miss: str = ""


class Prober:
    """One client: counts its own row up, in every way there is, and looks."""

    def __init__(self, place: dict[str, Any], row: int, primary_port: int, rng: random.Random) -> None:
        self._place, self._row, self._primary_port, self._rng = place, row, primary_port, rng
        self._number = 0
        self.probed = Probed()

    async def run(self, pairs: int) -> Probed:
        """So many pairs. Raises psycopg.Error."""
        async with await AsyncConnection.connect(**self._place, autocommit=True) as connection:
            await connection.execute(f"INSERT INTO {TABLE} VALUES (%s, 0)", (self._row,))
            while self.probed.pairs < pairs:
                self._number += 1
                wrote = self._rng.choice(KINDS)
                await self._write(connection, wrote)
                # The first reads are too early for a standby; later ones may be just in time.
                for _ in range(self._rng.choice((1, 1, 2, 5))):
                    read = self._rng.choice(READS)
                    shown, port = await self._read(connection, read)
                    self._judge(shown, port, f"{read} behind {wrote}")
                    await asyncio.sleep(self._rng.choice((0.0, 0.0, 0.002, 0.01)))
        return self.probed

    async def _write(self, connection: AsyncConnection[Any], kind: str) -> None:
        update, bound = f"UPDATE {TABLE} SET n = %s WHERE id = %s", (self._number, self._row)
        if kind == "simple":
            await connection.execute(f"UPDATE {TABLE} SET n = {self._number} WHERE id = {self._row}".encode())
        elif kind == "block":
            async with connection.transaction():
                await connection.execute(update, (-1, self._row))
                await connection.execute(update, bound)
        elif kind == "pipeline":
            async with connection.pipeline():
                await connection.execute(update, (-1, self._row))
                await connection.execute(update, bound)
        elif kind == "copied":
            await connection.execute(f"DELETE FROM {TABLE} WHERE id = %s", (self._row,))
            async with connection.cursor() as cursor, cursor.copy(f"COPY {TABLE} FROM STDIN") as copy:
                await copy.write_row((self._row, self._number))
        else:
            await connection.execute(update, bound, prepare=kind == "prepared")

    async def _read(self, connection: AsyncConnection[Any], kind: str) -> tuple[int | None, int]:
        select = f"SELECT n, inet_server_port() FROM {TABLE} WHERE id = %s"
        if kind == "simple":
            cursor = await connection.execute(select.replace("%s", str(self._row)).encode())
        elif kind == "read only block":
            await connection.execute("BEGIN READ ONLY")
            cursor = await connection.execute(select, (self._row,))
            await connection.execute("COMMIT")
        else:
            cursor = await connection.execute(select, (self._row,), prepare=kind == "prepared")
        row = await cursor.fetchone()
        return (None, 0) if row is None else (row[0], row[1])

    def _judge(self, shown: int | None, port: int, kind: str) -> None:
        probed = self.probed
        probed.pairs += 1
        probed.elsewhere += port not in (0, self._primary_port)
        if shown != self._number:
            probed.misses += 1
            probed.kinds[kind] += 1
            probed.first_miss = probed.first_miss or f"{kind}: {shown} instead of {self._number}, from port {port}"


def run_probe(
    place: dict[str, Any], primary: psycopg.Connection[Any], primary_port: int, pairs: int, *, seed: int = 1,
    clients: int = 8,
) -> Probed:  # fmt: skip
    """So many pairs by several clients; ``place`` are arguments of psycopg.connect, ``primary`` a direct connection."""
    primary.execute(f"DROP TABLE IF EXISTS {TABLE}")
    primary.execute(f"CREATE TABLE {TABLE} (id int PRIMARY KEY, n int)")

    async def run() -> list[Probed]:
        probers = [Prober(place, row, primary_port, random.Random(seed * 1000 + row)) for row in range(clients)]
        return await asyncio.gather(*(prober.run(-(-pairs // clients)) for prober in probers))

    return _together(asyncio.run(run()))


@contextmanager
def changing_lag(set_lag: Callable[[float], None], seed: int = 1) -> Iterator[None]:
    """While this lasts, standbys get everything so many seconds later, another time every now and then."""
    over, rng = threading.Event(), random.Random(seed)

    def change() -> None:
        while not over.wait(0.2):
            set_lag(rng.choice(LAGS_S))

    thread = threading.Thread(target=change)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _together(all_: Sequence[Probed]) -> Probed:
    total = Probed()
    for one in all_:
        total.pairs += one.pairs
        total.misses += one.misses
        total.elsewhere += one.elsewhere
        total.kinds += one.kinds
        total.first_miss = total.first_miss or one.first_miss
    return total
