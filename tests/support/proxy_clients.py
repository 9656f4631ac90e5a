"""Clients of a proxy that go on through every fault behind it, and remember what they were told.

Each keeps one connection, which must not break, and does one kind of work after another. Whatever it writes has a token
of its own, in a table that has no key, so that what was done twice is there twice. Only a block (and what is like one)
may fail, with 40001, and is then tried again.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

import psycopg
from psycopg import AsyncConnection

ACCOUNTS: Final = 8
TOTAL: Final = 1000 * ACCOUNTS
CLIENTS: Final = 32
PAUSE_S: Final = 0.02
AGAIN: Final = "40001"
UNKNOWN: Final = frozenset({"08007", "08006", "57P01", "57P02", "57P03"})

SCHEMA = f"""
    CREATE TABLE ledger (token bigint, kind text);
    CREATE INDEX ledger_token ON ledger (token);
    CREATE TABLE counters (id int PRIMARY KEY, n bigint NOT NULL);
    CREATE TABLE accounts (id int PRIMARY KEY, v bigint NOT NULL);
    CREATE TABLE transfers (token bigint, source int, target int, amount int);
    INSERT INTO counters SELECT g, 0 FROM generate_series(0, {CLIENTS - 1}) g;
    INSERT INTO accounts SELECT g, 1000 FROM generate_series(1, {ACCOUNTS}) g"""


@dataclass
class Failure:
    """A statement that failed, and should not have."""

    kind: str
    sqlstate: str
    message: str
    seconds: float
    """How long it had taken."""
    at: float
    """Monotonic."""


@dataclass
class Seen:
    """What the clients were told."""

    acknowledged: Counter[str] = field(default_factory=Counter)
    """Turns by kind."""
    longest_s: dict[str, float] = field(default_factory=dict)
    """The longest turn by kind."""
    tokens: dict[int, str] = field(default_factory=dict)
    """Those that are in the ledger, and by which kind of work."""
    unknown: set[int] = field(default_factory=set)
    transfers: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    counts: Counter[int] = field(default_factory=Counter)
    """How often each client's counter was counted up for certain."""
    perhaps: Counter[int] = field(default_factory=Counter)
    """How often besides, perhaps."""
    tried_again: Counter[str] = field(default_factory=Counter)
    """Blocks that got 40001, by kind."""
    failures: list[Failure] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    """Answers that cannot be."""
    breaks: int = 0
    """Connections that broke though they should not have."""


Work = Callable[["Client"], Awaitable[None]]


class Clients:
    """All of them, on a thread with a loop of its own."""

    def __init__(self, place: dict[str, Any], seed: int, count: int = CLIENTS, pause_s: float = PAUSE_S) -> None:
        """``place``: arguments of psycopg.connect."""
        self.place, self.pause_s = place, pause_s
        self.seen = Seen()
        self.tokens = itertools.count(1)
        self.over = threading.Event()
        self.forgiving = False
        """While this is so, connections may break: the proxy itself is what has a fault."""
        self._clients = [Client(self, number, random.Random(seed * 1000 + number)) for number in range(count)]
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def __enter__(self) -> Clients:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self._thread.join(120)
        assert not self._thread.is_alive(), f"clients hang: {[c.doing for c in self._clients if c.doing]}"

    async def _run(self) -> None:
        await asyncio.gather(*(client.run() for client in self._clients))

    def turns(self) -> int:
        """So far."""
        return self.seen.acknowledged.total()

    def began_before(self, moment: float) -> int:
        """How many are in a turn that they began before a moment: 0 means that every client has got on since."""
        return sum(client.doing != "" and client.began < moment for client in self._clients)


class Client:
    """One connection, and a turn after the other."""

    def __init__(self, clients: Clients, number: int, rng: random.Random) -> None:
        self.clients, self.seen, self.number, self.rng = clients, clients.seen, number, rng
        self.doing, self.began = "", 0.0
        self.connection: AsyncConnection[tuple[Any, ...]]
        self._last_token = 0

    async def run(self) -> None:
        """To the end; a broken connection is made anew."""
        while not self.clients.over.is_set():
            try:
                self.doing, self.began = "connect", time.monotonic()
                self.connection = await AsyncConnection.connect(**self.clients.place, autocommit=True)
            except psycopg.Error as error:
                if not self.clients.forgiving:
                    self._failed(error)
                await asyncio.sleep(0.05)
                continue
            try:
                while not self.clients.over.is_set() and not self.connection.closed:
                    await self._turn(self.rng.choice(WORKS))
                if self.connection.closed and not self.clients.forgiving:
                    self.seen.breaks += 1
            finally:
                self.doing = ""
                await self.connection.close()

    async def _turn(self, work: Work) -> None:
        self.doing, self.began = work.__name__, time.monotonic()
        try:
            await work(self)
        except psycopg.Error as error:
            self._failed(error)
            await self._clear()
        else:
            took = time.monotonic() - self.began
            self.seen.acknowledged[self.doing] += 1
            self.seen.longest_s[self.doing] = max(self.seen.longest_s.get(self.doing, 0.0), took)
        finally:
            self.doing = ""
        await asyncio.sleep(self.rng.uniform(0, 2 * self.clients.pause_s))

    async def _clear(self) -> None:
        """Out of whatever the failure left."""
        if not self.connection.closed:
            try:
                await self.connection.execute("ROLLBACK")
            except psycopg.Error:
                await self.connection.close()

    def _failed(self, error: psycopg.Error) -> None:
        if self.clients.forgiving and (error.sqlstate is None or error.sqlstate in UNKNOWN):
            return
        now = time.monotonic()
        message = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        self.seen.failures.append(Failure(self.doing, error.sqlstate or "", message, now - self.began, now))

    # What the works have in common -----------------------------------------------------------------------------------

    def token(self) -> int:
        """A new one, of unknown outcome for now."""
        token = next(self.clients.tokens)
        self.seen.unknown.add(token)
        return token

    def written(self, kind: str, *tokens: int) -> None:
        """These are in the ledger."""
        for token in tokens:
            self.seen.unknown.discard(token)
            self.seen.tokens[token] = kind
            self._last_token = token

    async def again(self, kind: str, block: Callable[[], Awaitable[None]]) -> None:
        """Until the block does not end with 40001."""
        while True:
            try:
                return await block()
            except psycopg.Error as error:
                if error.sqlstate != AGAIN:
                    raise
                self.seen.tried_again[kind] += 1
                await self._clear()

    async def rows(self, query: str, parameters: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """By the simple protocol when there are no parameters."""
        cursor = await self.connection.execute(query.encode(), parameters or None)
        return await cursor.fetchall()

    def expect(self, what: str, found: object, expected: object) -> None:
        """Note an answer that cannot be."""
        if found != expected:
            self.seen.wrong.append(f"client {self.number}, {what}: {found} instead of {expected}")

    @property
    def last_token(self) -> int:
        """The latest of its own that is in the ledger; 0: none."""
        return self._last_token


# Works: one turn each ------------------------------------------------------------------------------------------------


async def insert_simple(client: Client) -> None:
    """One row by the simple protocol."""
    token = client.token()
    cursor = await client.connection.execute(f"INSERT INTO ledger VALUES ({token}, 'simple')".encode())
    client.expect("rows inserted", cursor.rowcount, 1)
    client.written("simple", token)


async def insert_extended(client: Client) -> None:
    """One row by the extended protocol, sometimes of a prepared statement."""
    token = client.token()
    insert, prepare = "INSERT INTO ledger VALUES (%s, 'extended')", client.rng.random() < 0.5
    cursor = await client.connection.execute(insert, (token,), prepare=prepare)
    client.expect("rows inserted", cursor.rowcount, 1)
    client.written("extended", token)


async def insert_returning(client: Client) -> None:
    """One row that is given back."""
    token = client.token()
    if client.rng.random() < 0.5:
        rows = await client.rows("INSERT INTO ledger VALUES (%s, 'returning') RETURNING token, kind", (token,))
    else:
        rows = await client.rows(f"INSERT INTO ledger VALUES ({token}, 'returning') RETURNING token, kind")
    client.expect("a row given back", rows, [(token, "returning")])
    client.written("returning", token)


async def count_up(client: Client) -> None:
    """An UPDATE that would count twice if it were done twice."""
    seen, number = client.seen, client.number
    seen.perhaps[number] += 1
    update = "UPDATE counters SET n = n + 1 WHERE id = "
    if client.rng.random() < 0.5:
        cursor = await client.connection.execute(f"{update}{number}".encode())
        client.expect("rows updated", cursor.rowcount, 1)
        shown = None
    else:
        ((shown,),) = await client.rows(f"{update}%s RETURNING n", (number,))
    seen.perhaps[number] -= 1
    seen.counts[number] += 1
    if shown is not None and not seen.perhaps[number]:
        client.expect("counter", shown, seen.counts[number])


async def transfer(client: Client) -> None:
    """A block that moves money from one account to another."""
    source, target = client.rng.sample(range(1, ACCOUNTS + 1), 2)
    amount, token = client.rng.randint(1, 20), client.token()

    async def block() -> None:
        connection = client.connection
        await connection.execute("BEGIN")
        if client.rng.random() < 0.5:
            await connection.execute("SELECT v FROM accounts WHERE id = %s", (source,))
        for account, change in sorted([(source, -amount), (target, amount)]):
            await connection.execute("UPDATE accounts SET v = v + %s WHERE id = %s", (change, account))
        await connection.execute("INSERT INTO transfers VALUES (%s, %s, %s, %s)", (token, source, target, amount))
        await connection.execute("COMMIT")

    await client.again("transfer", block)
    client.seen.unknown.discard(token)
    client.seen.transfers[token] = (source, target, amount)


async def read_only_block(client: Client) -> None:
    """Several reads of one state."""
    level = "ISOLATION LEVEL REPEATABLE READ, " if client.rng.random() < 0.5 else ""
    await client.connection.execute(f"BEGIN {level}READ ONLY".encode())
    for _ in range(3):
        client.expect("sum of the accounts", await client.rows("SELECT sum(v)::bigint FROM accounts"), [(TOTAL,)])
        await asyncio.sleep(0.005)
    await client.connection.execute("COMMIT")


async def read(client: Client) -> None:
    """What it wrote last is there."""
    if not client.last_token:
        return
    query = "SELECT count(*) FROM ledger WHERE token = "
    if client.rng.random() < 0.5:
        rows = await client.rows(f"{query}{client.last_token}")
    else:
        rows = await client.rows(f"{query}%s", (client.last_token,))
    client.expect(f"rows of token {client.last_token}", rows, [(1,)])


async def copy(client: Client) -> None:
    """Twenty rows at once."""
    tokens = [client.token() for _ in range(20)]

    async def whole() -> None:
        async with client.connection.cursor() as cursor:
            async with cursor.copy("COPY ledger FROM STDIN") as stream:
                for token in tokens:
                    await stream.write_row((token, "copy"))
            client.expect("rows copied", cursor.rowcount, 20)

    await client.again("copy", whole)
    client.written("copy", *tokens)


async def pipeline(client: Client) -> None:
    """Three rows and a read, sent at once with one Sync: all or nothing."""
    await _pipeline(client, "pipeline", flushes=False)


async def flushed_pipeline(client: Client) -> None:
    """The same, and the client waits for the read's answer before it sends its Sync."""
    await _pipeline(client, "flushed pipeline", flushes=True)


async def _pipeline(client: Client, kind: str, *, flushes: bool) -> None:
    tokens = [client.token() for _ in range(3)]

    async def whole() -> None:
        async with client.connection.pipeline():
            for token in tokens:
                await client.connection.execute("INSERT INTO ledger VALUES (%s, 'pipeline')", (token,))
            count = "SELECT count(*) FROM ledger WHERE token = ANY(%s)"
            cursor = await client.connection.execute(count, (tokens,))
            if flushes:
                client.expect("rows of a pipeline", await cursor.fetchall(), [(3,)])
        if not flushes:
            client.expect("rows of a pipeline", await cursor.fetchall(), [(3,)])

    await client.again(kind, whole)
    client.written(kind, *tokens)


WORKS: Final[tuple[Work, ...]] = (
    insert_simple, insert_extended, insert_returning, count_up, transfer, transfer, read_only_block, read, copy,
    pipeline, flushed_pipeline,
)  # fmt: skip


# Judgement -----------------------------------------------------------------------------------------------------------


def judge(seen: Seen, primary: psycopg.Connection[Any]) -> list[str]:
    """What is wrong with the tables, as the primary itself has them: a line each."""
    wrong = list(seen.wrong)
    there = Counter(row[0] for row in primary.execute("SELECT token FROM ledger").fetchall())
    moved = Counter(row[0] for row in primary.execute("SELECT token FROM transfers").fetchall())
    for name, found, known in (("ledger", there, seen.tokens.keys()), ("transfers", moved, seen.transfers.keys())):
        lost = sorted(known - found.keys())
        twice = sorted(token for token, count in found.items() if count > 1)
        strange = sorted(found.keys() - known - seen.unknown)
        wrong += [f"{name}: lost {token} ({seen.tokens.get(token, 'transfer')})" for token in lost]
        wrong += [f"{name}: twice {token} ({seen.tokens.get(token, 'transfer')})" for token in twice]
        wrong += [f"{name}: there, though nobody has it {token}" for token in strange]
    for number, count in primary.execute("SELECT id, n FROM counters").fetchall():
        if not seen.counts[number] <= count <= seen.counts[number] + seen.perhaps[number]:
            wrong.append(f"counter {number}: {count} instead of {seen.counts[number]} (+{seen.perhaps[number]})")
    balances = dict.fromkeys(range(1, ACCOUNTS + 1), 1000)
    for source, target, amount in primary.execute("SELECT source, target, amount FROM transfers").fetchall():
        balances[source] -= amount
        balances[target] += amount
    shown = dict(primary.execute("SELECT id, v FROM accounts").fetchall())
    if shown != balances:
        wrong.append(f"accounts: {shown} instead of {balances}")
    return wrong
