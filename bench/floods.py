"""``python -m bench.floods``: how long a client waits beside others that send without end, and read nothing.

One client updates and reads a row, 200 times a second at most; beside it one process opens a connection every 5 ms,
sends one kind of flood, as much as the socket takes, leaves half of the connections at once, and pokes at the others.
The flood's user is another one than the client's, so that they share no connections to the server. The same
through our proxy and through PgBouncer, before the same PostgreSQL, and through our proxy before a node.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import socket
import struct
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

import psycopg
from rich.console import Console
from rich.table import Table

from bench import report, resources
from bench.fronts import FastPostgres, Front, PgBouncer, Proxy, pgbouncer_program
from bench.servers import Endpoint, NodeServer, Server, ServerFailed, postgres_binaries
from helios_cli.engine.wire import client as wire

RESULTS: Final = Path(__file__).resolve().parent.parent / "docs" / "results" / "floods.json"
QUIET: Final = "nobody"
CROWD: Final = "crowd"
"""The flood's user."""
OPEN_MAX: Final = 100
"""Connections of the flood at a time."""
PAUSE_S: Final = 0.005
REST_S: Final = 3.0
"""After a flood, so that the next one begins on its own."""
_RUN: Final = wire.bind([]) + wire.execute()
_HUGE: Final = wire.query("SELECT g, repeat('x', 1000) FROM generate_series(1, 100000) g")

FLOODS: Final[dict[str, bytes]] = {
    "half a startup packet": b"",
    "messages of a gigabyte, announced": b"Q" + struct.pack("!I", 0x3FFF_FFFF),
    "100 MB results that nobody reads": _HUGE,
    "50,000 queries in one go": wire.query("SELECT 1") * 50_000,
    "30,000 Parse in one go, without Sync": wire.parse("SELECT 1") * 30_000,
    "10,000 statements in one go, without Sync": (wire.parse("SELECT 1") + _RUN) * 10_000,
    "statements of 600 kB": wire.query("SELECT " + "1," * 300_000 + "1"),
}
POKES: Final = (b"\0", wire.SYNC, wire.query("SELECT 1"))


def startup(endpoint: Endpoint) -> bytes:
    """The first message of a connection."""
    body = b"user\0%b\0database\0%b\0\0" % (CROWD.encode(), endpoint.database.encode())
    return struct.pack("!ii", len(body) + 8, 196608) + body


def flood(port: int, data: bytes, seconds: float) -> None:
    """Send it again and again."""
    rng, end = random.Random(1), time.monotonic() + seconds
    with ExitStack() as stack:
        kept: list[socket.socket] = []
        while time.monotonic() < end:
            with suppress(OSError):
                one = socket.create_connection(("127.0.0.1", port), 5)
                one.setblocking(False)
                with suppress(BlockingIOError):
                    one.send(data)
                if rng.random() < 0.5:
                    one.close()
                else:
                    kept.append(stack.enter_context(one))
            if len(kept) > OPEN_MAX:
                kept.pop(rng.randrange(len(kept))).close()
            for one in rng.sample(kept, min(5, len(kept))):
                with suppress(OSError):
                    one.send(rng.choice(POKES) * rng.choice((1, 1, 1000)))
            time.sleep(PAUSE_S)


class Beside:
    """The client that is watched."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.waits_s: list[float] = []
        self.errors: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        with endpoint.connect() as connection:
            connection.execute("DROP TABLE IF EXISTS watched")
            connection.execute("CREATE TABLE watched (id int PRIMARY KEY, n int)")
            connection.execute("INSERT INTO watched VALUES (1, 0)")
        self._thread.start()

    def _run(self) -> None:
        n = 0
        with self.endpoint.connect() as connection:
            connection.prepare_threshold = None  # as PgBouncer 1.18 wants it in transaction mode
            while not self._stop.wait(PAUSE_S):
                began = time.perf_counter()
                try:
                    connection.execute("UPDATE watched SET n = n + 1 WHERE id = 1")
                    n += 1
                    row = connection.execute("SELECT n FROM watched WHERE id = 1").fetchone()
                    if row != (n,):
                        self.errors.append(f"{row} and not {n}")
                except psycopg.Error as error:
                    self.errors.append(str(error))
                self.waits_s.append(time.perf_counter() - began)

    def stop(self) -> None:
        """Let it end."""
        self._stop.set()
        self._thread.join(60)


def measure(front: Front, seconds: float, say: Callable[[str], None]) -> dict[str, dict[str, float]]:
    """Milliseconds that the watched client waits beside nobody and beside each flood: median, p99 and longest."""
    beside = Beside(front.endpoint)
    found: dict[str, dict[str, float]] = {}
    try:
        for name, data in {QUIET: None, **FLOODS}.items():
            before, errors = len(beside.waits_s), len(beside.errors)
            if data is None:
                time.sleep(seconds)
            else:
                whole = startup(front.endpoint) + data if data else startup(front.endpoint)[:11]
                process = multiprocessing.get_context("spawn").Process(
                    target=flood, args=(front.endpoint.port, whole, seconds)
                )
                process.start()
                process.join()
            waits = sorted(1000 * one for one in beside.waits_s[before:]) or [1000 * seconds]
            found[name] = {
                "median": round(waits[len(waits) // 2], 1), "p99": round(waits[len(waits) * 99 // 100], 1),
                "longest": round(waits[-1], 1), "rounds": len(waits), "errors": len(beside.errors) - errors,
            }  # fmt: skip
            say(f"{name}: {found[name]}")
            time.sleep(REST_S)
    finally:
        beside.stop()
    return found


def table(found: dict[str, dict[str, dict[str, float]]]) -> Table:
    """What the client waited, front by front."""
    shown = Table(title="UPDATE and SELECT of one client: median / p99 in ms", title_justify="left")
    shown.add_column("beside")
    for front in found:
        shown.add_column(front, justify="right")
    for kind in (QUIET, *FLOODS):
        cells = [found[front][kind] for front in found]
        errors = ["" if not one["errors"] else f", {one['errors']:.0f} wrong" for one in cells]
        shown.add_row(kind, *(f"{c['median']:.1f} / {c['p99']:.1f}{e}" for c, e in zip(cells, errors, strict=True)))
    return shown


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.floods", description=__doc__)
    parser.add_argument("--seconds", type=float, default=6.0, help="of each flood")
    parser.add_argument("--json", type=Path, help=f"where the figures go; {RESULTS.name} of the documents with --save")
    parser.add_argument("--save", action="store_true", help="keep the figures in the documents")
    options = parser.parse_args(arguments)
    resources.allow_many_files()
    console = Console(stderr=True)
    found: dict[str, dict[str, dict[str, float]]] = {}
    with ExitStack() as stack:
        base = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        base.chmod(0o755)

        def run(server: Server) -> Server:
            stack.callback(server.remove)
            server.prepare()
            server.start()
            return server

        try:
            binaries = postgres_binaries()
            fronts: list[tuple[str, Front]] = []
            if binaries is not None:
                behind = run(FastPostgres(binaries, base)).endpoint
                fronts += [("proxy, PostgreSQL", Proxy([behind], base))]
                with behind.connect() as connection:
                    connection.execute(f"CREATE ROLE {CROWD} LOGIN")
                if pgbouncer_program() is not None:
                    pgbouncer = PgBouncer([behind], base)
                    pgbouncer.more_users = (CROWD,)
                    fronts += [("PgBouncer, PostgreSQL", pgbouncer)]
            fronts += [("proxy, node", Proxy([run(NodeServer(base)).endpoint], base))]
            for name, front in fronts:
                console.print(f"[bold]{name}")
                run(front)
                found[name] = measure(front, options.seconds, lambda line: console.print(f"  {line}", markup=False))
                front.stop()
        except ServerFailed as error:
            console.print(f"bench: {error}", markup=False)
            return 1
    Console(width=None if sys.stdout.isatty() else 160).print(table(found))
    target = options.json or (RESULTS if options.save else None)
    if target is not None:
        report.write_json(target, {"machine": report.machine(), "seconds": options.seconds, "waits_ms": found})
    return 0


if __name__ == "__main__":
    sys.exit(main())
