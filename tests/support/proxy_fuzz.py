"""A proxy attacked from both sides, beside a client whose every answer is checked."""

from __future__ import annotations

import multiprocessing
import random
import socket
import struct
import threading
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field

from support.fuzz_drill import Beside
from support.lying_node import VICTIM
from support.proxy_process import ProxyProcess
from support.raw_wire import SYNC, bind, describe, execute, parse, query, startup
from support.wire_mutations import RARE_WEIGHTS, WEIGHTS, Outcome, converse

LIAR = "n2"
"""The name of the node that lies."""
QUERIES = (
    [query(f"/* helios: {LIAR} */ SELECT 1")],
    [query(f"/* helios: {LIAR} */ SELECT g, repeat('x', g) FROM generate_series(1, 50) g")],
    [query(f"/* helios: {LIAR} */ SELECT 1; SELECT 2"), query(f"/* helios: {LIAR} */ SELECT 1/0")],
    [parse(f"/* helios: {LIAR} */ SELECT $1::int", "s"), describe("S", "s"), bind([b"4"], "s"), execute(), SYNC],
    [parse(f"/* helios: {LIAR} */ SELECT generate_series(1, 20)"), bind(), describe("P"), execute("", 3), SYNC],
    [query("BEGIN READ ONLY"), query("SELECT 1"), query("COMMIT")],
    [query("SET application_name = 'v'"), query(f"/* helios: {LIAR} */ SHOW application_name")],
    [query(f"/* helios: {LIAR} */ COPY (SELECT generate_series(1, 20)) TO STDOUT")],
)  # fmt: skip
ANSWER_S = 2.0


@dataclass
class Suffered:
    """What the victims of a node that lies came to."""

    conversations: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    """``answered``, ``closed`` by the proxy, ``silent`` for long."""
    internal: list[bytes] = field(default_factory=list)


def suffer(port: int, database: str, conversations: int, seed: int) -> Suffered:
    """So many conversations with the node that lies; the victims give each up when nothing comes for long."""
    suffered, rng = Suffered(), random.Random(seed)
    for _ in range(conversations):
        suffered.conversations += 1
        messages = [data for _ in range(rng.choice((1, 3, 6))) for data in rng.choice(QUERIES)]
        heard = bytearray()
        with socket.create_connection(("127.0.0.1", port), ANSWER_S) as client:
            end = "closed"
            try:
                client.sendall(startup({"user": VICTIM, "database": database}))
                for data in [b"", *messages]:
                    client.sendall(data)
                    if (not data or data[:1] in b"QS") and not _until_ready(client, heard):
                        break
                else:
                    end = "answered"
            except TimeoutError:
                end = "silent"
            except OSError:
                pass
            suffered.ends[end] += 1
        at = heard.find(b"Minternal error")
        if at >= 0:
            suffered.internal.append(bytes(heard[max(0, at - 40) : at + 200]))
    return suffered


def _until_ready(client: socket.socket, heard: bytearray) -> bool:
    """Whether something that ends like an answer has come; False at the end of the connection."""
    while data := client.recv(1 << 20):
        heard += data
        del heard[: max(0, len(heard) - 100_000)]
        if heard[-6:-1] == b"Z\0\0\0\5":
            return True
    return False


def crowd(port: int, database: str, seconds: float, seed: int) -> int:
    """Floods and slow ones at once, until the time is over; how many connections that were.

    Some never end their startup packet, some announce a message of a gigabyte and send it by the byte, some ask for
    much and read nothing, some send without end and read nothing, and some come and go as fast as they can.
    """
    rng, count, over = random.Random(seed), 0, time.monotonic() + seconds
    # Its slow readers keep the backends of their own pool; a pool is of one user.
    first = startup({"user": "crowd", "database": database})
    huge = query("SELECT g, repeat('x', 1000) FROM generate_series(1, 100000) g")
    kinds = (
        first[:11], b"", struct.pack("!i", 10_000) + b"\0\3\0\0user\0", first + b"Q" + struct.pack("!I", 0x3FFF_FFFF),
        first + huge, first + huge * 20, first + query("SELECT 1") * 50_000, first + (parse("SELECT 1", "") * 30_000),
        first + (parse("SELECT 1") + bind() + execute()) * 10_000, first + parse("SELECT " + "1," * 300_000 + "1"),
        struct.pack("!ii", 8, 80877103) * 3,
    )  # fmt: skip
    with ExitStack() as stack:
        slow: list[socket.socket] = []
        while time.monotonic() < over:
            with suppress(OSError):
                client = socket.create_connection(("127.0.0.1", port), 5)
                count += 1
                client.setblocking(False)
                with suppress(BlockingIOError):
                    client.send(rng.choice(kinds))
                if rng.random() < 0.5:
                    client.close()
                else:
                    slow.append(stack.enter_context(client))
            if len(slow) > 100:
                slow.pop(rng.randrange(len(slow))).close()
            for one in rng.sample(slow, min(5, len(slow))):
                with suppress(OSError):
                    one.send(rng.choice((b"\0", b"S\0\0\0\4", query("SELECT 1"))) * rng.choice((1, 1, 1000)))
            time.sleep(0.005)
    return count


@dataclass
class Attacked:
    """What an attack from both sides came to."""

    mutated: Outcome
    suffered: Suffered
    crowd: int
    beside: Beside
    quiet: list[float]
    """Seconds of the control client's turns before."""
    busy: list[float]
    """And during the attack."""
    growth_bytes: int = 0


def attack(
    proxy: ProxyProcess, *, conversations: int, lies: int, crowd_s: float, quiet_s: float, seed: int = 1
) -> Attacked:
    """All of it at once, in a process of its own, beside the control client on a thread of this one."""
    beside, stop = Beside(proxy), threading.Event()
    worker = threading.Thread(target=beside.run, args=(stop, seed))
    worker.start()
    peak = start = proxy.memory_bytes()
    try:
        stop.wait(quiet_s)
        quiet = len(beside.seconds)
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            attacking = pool.submit(_all_at_once, proxy.pg_port, proxy.database, conversations, lies, crowd_s, seed)
            while not attacking.done():
                peak = max(peak, proxy.memory_bytes())
                stop.wait(0.1)
    finally:
        stop.set()
        worker.join()
    times = beside.seconds[:quiet], beside.seconds[quiet:]
    return Attacked(*attacking.result(), beside, *times, peak - start)


def _all_at_once(
    port: int, database: str, conversations: int, lies: int, crowd_s: float, seed: int
) -> tuple[Outcome, Suffered, int]:
    with ThreadPoolExecutor(3) as pool:
        mutating = pool.submit(mutate, port, conversations, seed)
        suffering = pool.submit(suffer, port, database, lies, seed)
        crowding = pool.submit(crowd, port, database, crowd_s, seed)
        return mutating.result(), suffering.result(), crowding.result()


def mutate(port: int, conversations: int, seed: int) -> Outcome:
    """So many mutated conversations, or the first that was answered wrongly or not at all."""
    outcome, number = Outcome(), seed << 32
    while outcome.connections < conversations and not outcome.internal and not outcome.hung:
        converse(port, number, outcome, weights=RARE_WEIGHTS if number % 4 else WEIGHTS)
        number += 1
    return outcome
