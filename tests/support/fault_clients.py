"""Clients that go on through every fault, remember what they were told, and judge it when the fault is over.

Five workloads on one table each: unique rows, registers (read and written on any node, linearizable), lists in
serializable transactions, accounts among which money moves, and a counter. Every client has a thread; one that gets no
answer for ``ANSWER_S`` gives its connection up, and what it had asked for is then of unknown outcome.
"""

from __future__ import annotations

import itertools
import math
import os
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg

from helios_cli.engine.histories.linearizability import Operation, Read, Register, Swap, Write, check_registers
from helios_cli.engine.histories.list_append import Append, ReadList, Transaction, check_lists
from helios_cli.engine.histories.totals import Addition, Count, check_bank, check_counter, check_set
from helios_cli.engine.histories.verdict import Outcome, Verdict

ANSWER_S = 4.0
"""What a client waits for an answer."""
REACHED_S = 0.3
"""What it waits for a host to take its connection: one that is cut off takes none."""
REGISTERS = 6
LISTS = 6
ACCOUNTS = 5
TOTAL = 100 * ACCOUNTS
NOT_DONE = frozenset({"25006", "57P03", "40001", "53300"})
"""With these a statement was certainly not done."""

SCHEMA = f"""
    CREATE TABLE rows (id int PRIMARY KEY, client int);
    CREATE TABLE registers (id int PRIMARY KEY, v int);
    CREATE TABLE lists (id int PRIMARY KEY, v int[] NOT NULL);
    CREATE TABLE accounts (id int PRIMARY KEY, v int NOT NULL);
    CREATE TABLE counter (v int NOT NULL);
    INSERT INTO registers SELECT g, NULL FROM generate_series(1, {REGISTERS}) g;
    INSERT INTO lists SELECT g, '{{}}' FROM generate_series(1, {LISTS}) g;
    INSERT INTO accounts SELECT g, 100 FROM generate_series(1, {ACCOUNTS}) g;
    INSERT INTO counter VALUES (0)"""

Connection = psycopg.Connection[tuple[Any, ...]]
Work = Callable[["Client"], None]


@dataclass(frozen=True, slots=True)
class Address:
    """Where a node takes clients."""

    host: str
    port: int


@dataclass
class Seen:
    """What the clients were told, all on one monotonic clock."""

    rows: dict[int, tuple[float, float]] = field(default_factory=dict)
    """Keys that were acknowledged: when they were sent, and when the answer came."""
    refused: set[int] = field(default_factory=set)
    unknown: set[int] = field(default_factory=set)
    registers: dict[int, list[Operation[Register]]] = field(default_factory=dict)
    lists: list[Transaction] = field(default_factory=list)
    balances: list[tuple[int, ...]] = field(default_factory=list)
    additions: list[Addition] = field(default_factory=list)
    counts: list[Count] = field(default_factory=list)
    errors: dict[str, int] = field(default_factory=dict)
    """SQLSTATEs and other failures, counted."""
    last_error: str = ""

    def first_after(self, moment: float) -> float | None:
        """Seconds from a moment to the first row that was sent after it and acknowledged; None when none was."""
        # Copied at once: clients add to it meanwhile.
        answers = [returned for called, returned in tuple(self.rows.values()) if called >= moment]
        return min(answers) - moment if answers else None

    def judge(self, there: Sequence[int]) -> dict[str, Verdict]:
        """Every workload's verdict; ``there`` are the keys of the rows at the end."""
        return {
            "set": check_set(self.rows.keys(), there, self.refused, self.unknown),
            "register": check_registers(self.registers),
            "append": check_lists(self.lists),
            "bank": check_bank(self.balances, TOTAL),
            "counter": check_counter(self.additions, self.counts),
        }


class Clients:
    """All clients of a run. ``entered`` puts the calling thread where their connections come from."""

    def __init__(
        self,
        addresses: Sequence[Address],
        entered: Callable[[], AbstractContextManager[object]],
        seed: int,
        login: dict[str, str],
        *,
        writers: int = 8,
        others: int = 1,
        pause_s: float = 0.0,
    ) -> None:
        """``writers`` write rows; ``others`` do each other work, lists twice as many, registers thrice. Each rests for
        ``pause_s`` behind what it did, so that it need not take all of a machine that others work on.
        """
        self.addresses = addresses
        self.entered = entered
        self.login = login
        self.pause_s = pause_s
        self.seen = Seen()
        self.lock = threading.Lock()
        self.ended = threading.Event()
        self.numbers = itertools.count(1)
        counts: dict[Work, int] = {write_rows: writers, use_registers: 3 * others, use_lists: 2 * others}
        counts |= {move_money: others, count_up: others}
        work = [each for each, count in counts.items() for _ in range(count)]
        self._clients = [Client(self, each, random.Random(seed * 1000 + number)) for number, each in enumerate(work)]
        self._guard = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Clients:
        self._guard.start()
        for client in self._clients:
            client.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        for client in self._clients:
            client.thread.join(30)
        assert not any(client.thread.is_alive() for client in self._clients), "a client hangs"
        self._guard.join(5)

    def acknowledged(self) -> int:
        """Rows, so far."""
        with self.lock:
            return len(self.seen.rows)

    def _watch(self) -> None:
        """Cut the connections of those who have waited for long."""
        while not self.ended.wait(0.05) or any(client.thread.is_alive() for client in self._clients):
            now = time.monotonic()
            for client in self._clients:
                client.give_up(now)


class Client:
    """One thread with a connection that it makes anew whenever it breaks."""

    def __init__(self, clients: Clients, work: Work, rng: random.Random) -> None:
        self.clients = clients
        self.rng = rng
        self.writes_only = work in (write_rows, use_lists, move_money, count_up)
        self.thread = threading.Thread(target=self._run, args=(work,), daemon=True)
        self.connection: Connection | None = None
        self._deadline = math.inf
        self._socket: socket.socket | None = None
        self._guarded = threading.Lock()

    @property
    def ended(self) -> bool:
        return self.clients.ended.is_set()

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Around statements whose answers together may take ``ANSWER_S``."""
        self._deadline = time.monotonic() + ANSWER_S
        try:
            yield
        finally:
            self._deadline = math.inf

    def execute(self, statement: str, parameters: Sequence[object] = ()) -> psycopg.Cursor[tuple[Any, ...]]:
        assert self.connection is not None
        return self.connection.execute(statement, parameters)

    def give_up(self, now: float) -> None:
        """Break the connection when its answer is overdue."""
        with self._guarded:
            if now > self._deadline and self._socket is not None:
                self._deadline = math.inf
                self._socket.shutdown(socket.SHUT_RDWR)

    def _run(self, work: Work) -> None:
        with self.clients.entered():
            while not self.ended:
                try:
                    self._connect()
                    while not self.clients.ended.wait(self.clients.pause_s):
                        work(self)
                except (psycopg.Error, OSError) as error:
                    self._count(error)
                finally:
                    self._close()

    def _connect(self) -> None:
        """To a node at random: to one that takes writes, where the work only writes."""
        address = self.rng.choice(self.clients.addresses)
        try:
            socket.create_connection((address.host, address.port), REACHED_S).close()
            where: dict[str, Any] = {"host": address.host, "port": address.port, **self.clients.login}
            self.connection = psycopg.connect(**where, autocommit=True, connect_timeout=2)
            with self._guarded:
                self._socket = socket.socket(fileno=os.dup(self.connection.fileno()))
            with self.asking():
                if self.writes_only and self.execute("SHOW in_hot_standby").fetchone() == ("on",):
                    raise OSError("a standby")
                self.execute("SET helios.read_consistency = 'linearizable'")
        except (psycopg.Error, OSError):
            self.clients.ended.wait(0.02)
            raise

    def _close(self) -> None:
        with self._guarded:
            if self._socket is not None:
                self._socket.close()
                self._socket = None
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def _count(self, error: Exception) -> None:
        name = str(getattr(error, "sqlstate", None) or type(error).__name__)
        with self.clients.lock:
            self.clients.seen.errors[name] = self.clients.seen.errors.get(name, 0) + 1
            self.clients.seen.last_error = str(error)


def is_not_done(error: psycopg.Error) -> bool:
    """Whether a statement that failed so was certainly not done."""
    return error.sqlstate in NOT_DONE


# Workloads: one turn each --------------------------------------------------------------------------------------------


def write_rows(client: Client) -> None:
    """A row with a key of its own."""
    seen, lock = client.clients.seen, client.clients.lock
    key, called = next(client.clients.numbers), time.monotonic()
    try:
        with client.asking():
            client.execute("INSERT INTO rows VALUES (%s, 0)", (key,))
    except psycopg.Error as error:
        with lock:
            (seen.refused if is_not_done(error) else seen.unknown).add(key)
        raise
    with lock:
        seen.rows[key] = (called, time.monotonic())


def use_registers(client: Client) -> None:
    """A read, a write or a conditional write of one register, on whichever node this is."""
    key, kind = client.rng.randint(1, REGISTERS), client.rng.random()
    value, called = next(client.clients.numbers), time.monotonic()
    act: Register = Write(value)
    try:
        with client.asking():
            if kind < 0.5:
                row = client.execute("SELECT v FROM registers WHERE id = %s", (key,)).fetchone()
                assert row is not None
                act = Read(row[0])
            elif kind < 0.75:
                client.execute("UPDATE registers SET v = %s WHERE id = %s", (value, key))
            else:
                row = client.execute("SELECT v FROM registers WHERE id = %s", (key,)).fetchone()
                old = row[0] if row is not None and row[0] is not None else 0
                called = time.monotonic()
                act = Swap(old, value, None)
                done = client.execute("UPDATE registers SET v = %s WHERE id = %s AND v = %s", (value, key, old))
                act = Swap(old, value, bool(done.rowcount))
    except psycopg.Error as error:
        if kind >= 0.5 and not is_not_done(error) and not (kind >= 0.75 and isinstance(act, Write)):
            _note(client, key, Operation(called, math.inf, act))
        raise
    _note(client, key, Operation(called, time.monotonic(), act))


def _note(client: Client, key: int, operation: Operation[Register]) -> None:
    with client.clients.lock:
        client.clients.seen.registers.setdefault(key, []).append(operation)


def use_lists(client: Client) -> None:
    """A serializable transaction of reads and appends."""
    acts: list[Append | ReadList] = []
    called, committing, returned, aborted = time.monotonic(), False, math.inf, False
    try:
        with client.asking():
            client.execute("BEGIN ISOLATION LEVEL SERIALIZABLE")
            for _ in range(client.rng.randint(1, 3)):
                key = client.rng.randint(1, LISTS)
                if client.rng.random() < 0.5:
                    row = client.execute("SELECT v FROM lists WHERE id = %s", (key,)).fetchone()
                    assert row is not None
                    acts.append(ReadList(key, tuple(row[0])))
                else:
                    value = next(client.clients.numbers)
                    acts.append(Append(key, value))
                    client.execute("UPDATE lists SET v = v || %s WHERE id = %s", (value, key))
            committing = True
            client.execute("COMMIT")
        returned = time.monotonic()
    except psycopg.Error as error:
        aborted = not committing or is_not_done(error)
        raise
    finally:
        with client.clients.lock:
            client.clients.seen.lists.append(Transaction(called, returned, tuple(acts), aborted))


def move_money(client: Client) -> None:
    """From one account to another, or a look at all of them."""
    with client.asking():
        if client.rng.random() < 0.3:
            balances = client.execute("SELECT v FROM accounts ORDER BY id").fetchall()
            with client.clients.lock:
                client.clients.seen.balances.append(tuple(row[0] for row in balances))
            return
        source, target = client.rng.sample(range(1, ACCOUNTS + 1), 2)
        amount = client.rng.randint(1, 20)
        client.execute("BEGIN")
        taken = client.execute("UPDATE accounts SET v = v - %s WHERE id = %s AND v >= %s", (amount, source, amount))
        if taken.rowcount:
            client.execute("UPDATE accounts SET v = v + %s WHERE id = %s", (amount, target))
        client.execute("COMMIT")


def count_up(client: Client) -> None:
    """One more, or a look."""
    seen, lock = client.clients.seen, client.clients.lock
    looks, called = client.rng.random() < 0.5, time.monotonic()
    row: tuple[int, ...] | None = None
    try:
        with client.asking():
            if looks:
                row = client.execute("SELECT v FROM counter").fetchone()
            else:
                client.execute("UPDATE counter SET v = v + 1")
    except psycopg.Error as error:
        if not looks and not is_not_done(error):
            with lock:
                seen.additions.append(Addition(called, math.inf))
        raise
    with lock:
        if row is not None:
            seen.counts.append(Count(called, time.monotonic(), row[0]))
        else:
            seen.additions.append(Addition(called, time.monotonic()))


def wrong(verdicts: dict[str, Verdict]) -> list[str]:
    """A line for each workload that is not certainly right."""
    return [
        f"{name} {verdict.outcome.value}: {'; '.join(verdict.reasons[:3])}"
        for name, verdict in verdicts.items()
        if verdict.outcome is not Outcome.VALID
    ]
