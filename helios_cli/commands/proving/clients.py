"""Clients that write numbered rows and read them back, through every fault, and remember what they were told."""

from __future__ import annotations

import math
import random
import threading
import time
from collections import Counter
from collections.abc import Sequence
from typing import Final

from helios_cli.commands.load.session import is_unknown
from helios_cli.engine.errors import HeliosError
from helios_cli.engine.histories.sessions import Outcome, Read, Told, Write
from helios_cli.engine.net.pgclient import PgClient, Target
from helios_cli.engine.types import Term, Token

PAUSE_S: Final = 0.01
"""Between two turns of a client, on average."""
RETRY_S: Final = 0.05
"""Before a connection is made again."""
JOIN_S: Final = 90.0
BLOCKS: Final = 0.2
"""The part of the writes that are transactions of two rows."""
LOOKS: Final = 0.7
"""The part of the turns that end with a read, of clients that read; every second one is of the client's own rows."""
ROWS: Final = 10
"""So many of the newest rows a read gives: more than are ever unanswered."""
PROXY: Final = "proxy"
AGAIN: Final = "40001"

REPORT: Final = "SET helios.report_lsn = on"
TOKEN: Final = "helios.lsn"
"""The state behind a commit and its term, which a session is told with the answer where it has asked for that."""

DEFINITION: Final = ("CREATE TABLE {table} (client int, seq int, pad text)", "CREATE INDEX ON {table} (client, seq)")
PAD: Final = "a row that must be there once"


class Client:
    """One thread with one connection at a time."""

    def __init__(self, number: int, target: Target, through: str, table: str, rng: random.Random) -> None:
        """``through`` says in words where it connects: ``proxy``, or the name of a node."""
        self.number = number
        self.through = through
        self.writes: list[Write] = []
        self.reads: list[Read] = []
        self.errors: Counter[str] = Counter()
        """``SQLSTATE message`` of what failed, connections that could not be made not among them."""
        self.tried_again = 0
        """Transactions that were told to try again, and did."""
        self.latest = -math.inf
        """When the newest of its acknowledged writes was sent."""
        self.peers: Sequence[int] = ()
        """The sessions whose rows it reads."""
        self.looks = LOOKS
        """The part of its turns that end with a read."""
        self._target = target
        self._table = table
        self._rng = rng
        self._next = 1
        self._last = 0
        """The newest of its acknowledged rows that this connection wrote."""
        self._pg: PgClient

    def run(self, over: threading.Event) -> None:
        """To the end; a broken connection is made anew."""
        while not over.is_set():
            try:
                with PgClient(self._target) as self._pg:
                    self._pg.execute(REPORT)
                    self._last = 0
                    while not over.is_set() and self._pg.ready:
                        self._turn()
                        over.wait(self._rng.uniform(0, 2 * PAUSE_S))
            except HeliosError:
                over.wait(RETRY_S)

    def _turn(self) -> None:
        try:
            self._block() if self._rng.random() < BLOCKS else self._insert()
            if self._rng.random() < self.looks:
                self._look()
        except HeliosError as error:
            self.errors[f"{error.sqlstate} {error.message}"] += 1
            self._clear()

    def _clear(self) -> None:
        """Out of the transaction that failed, if the connection stands."""
        if self._pg.ready and self._pg.transaction_status != "I":
            self._pg.execute("ROLLBACK")

    def _numbers(self, count: int) -> tuple[int, ...]:
        first, self._next = self._next, self._next + count
        return tuple(range(first, self._next))

    def _sql(self, number: int) -> str:
        return f"INSERT INTO {self._table} VALUES ({self.number}, {number}, '{PAD}')"

    def _insert(self) -> None:
        """One row by itself."""
        numbers, sent = self._numbers(1), time.monotonic()
        self._pg.parameters.pop(TOKEN, None)
        try:
            self._pg.execute(self._sql(numbers[0]))
        except HeliosError as error:
            self._failed(numbers, sent, is_unknown=is_unknown(error))
            raise
        self._done(numbers, sent)

    def _block(self) -> None:
        """Two rows in one transaction, which is tried again as long as it is told to be."""
        numbers = self._numbers(2)
        while True:
            sent, committing = time.monotonic(), False
            self._pg.parameters.pop(TOKEN, None)
            try:
                self._pg.execute("BEGIN")
                for number in numbers:
                    self._pg.execute(self._sql(number))
                committing = True
                self._pg.execute("COMMIT")
            except HeliosError as error:
                if error.sqlstate == AGAIN and self._pg.ready:
                    self.tried_again += 1
                    self._clear()
                    continue
                self._failed(numbers, sent, is_unknown=committing and is_unknown(error))
                raise
            self._done(numbers, sent)
            return

    def _failed(self, numbers: tuple[int, ...], sent: float, *, is_unknown: bool) -> None:
        outcome = Outcome.UNKNOWN if is_unknown else Outcome.REFUSED
        answered = math.inf if is_unknown else time.monotonic()
        self.writes.append(Write(self.number, numbers, sent, answered, outcome))

    def _done(self, numbers: tuple[int, ...], sent: float) -> None:
        answered, self._last = time.monotonic(), numbers[-1]
        term: Term | None = None
        try:
            # A proxy tells nobody unasked. Who is told need not wait: one that answers too early is caught at it.
            text = self._pg.parameters.get(TOKEN) or self._pg.execute(f"SHOW {TOKEN}")[0].rows[0][0]
            term = Token.parse(text or "").term
        finally:
            self.writes.append(Write(self.number, numbers, sent, answered, Outcome.ACKNOWLEDGED, term))
            self.latest = sent

    def _look(self) -> None:
        own = self._rng.random() < 0.5
        of = self.number if own else self._rng.choice(self.peers)
        sent, last = time.monotonic(), self._last if of == self.number else 0
        sql = f"SELECT seq FROM {self._table} WHERE client = {of} ORDER BY seq DESC LIMIT {ROWS}"
        rows = self._pg.execute(sql)[0].rows
        self.reads.append(Read(self.number, of, tuple(int(row[0] or 0) for row in rows), last, sent))


class Crowd:
    """All clients of a run."""

    def __init__(self, places: Sequence[tuple[str, Target]], table: str, seed: int) -> None:
        """``places``: for each client through what it goes, and where that is. Of several that go to a node itself all
        but the first write only, and so go on for as long as they are answered.
        """
        self.clients = [
            Client(number, target, through, table, random.Random(seed * 1000 + number))
            for number, (through, target) in enumerate(places, 1)
        ]
        seen: set[str] = set()
        for client in self.clients:
            client.peers = range(1, len(places) + 1)
            if client.through in seen and client.through != PROXY:
                client.looks = 0.0
            seen.add(client.through)
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=client.run, args=(self._over,), name=f"client-{client.number}", daemon=True)
            for client in self.clients
        ]

    def __enter__(self) -> Crowd:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End; returns when every client has its last answer or has given up on it. Idempotent."""
        self._over.set()
        end = time.monotonic() + JOIN_S
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))

    @property
    def hanging(self) -> list[int]:
        """Clients that have not ended in time; to be asked after :meth:`stop`."""
        return [client.number for client, thread in zip(self.clients, self._threads, strict=True) if thread.is_alive()]

    @property
    def acknowledged(self) -> int:
        """Writes so far."""
        return sum(len(client.writes) for client in self.clients)

    def behind(self, moment: float, through: str) -> int:
        """How many of those that go through something have had no write acknowledged that they sent after a moment."""
        return sum(client.latest < moment for client in self.clients if client.through == through)

    def told(self) -> Told:
        """What all were told, up to now."""
        writes = [one for client in self.clients for one in tuple(client.writes)]
        return Told(writes, [one for client in self.clients for one in tuple(client.reads)])
