"""``python -m bench.idle_clients PORT COUNT``: connections that each ran one statement and then do nothing.

Prints ``ready`` when all are there, and ends with its standard input; a failure is a line on standard error and code 1.
"""

from __future__ import annotations

import asyncio
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bench import resources
from bench.servers import Endpoint, ServerFailed

AT_ONCE: Final = 100
LONGEST_S: Final = 300.0


async def connect(port: int, user: str, database: str, turns: asyncio.Semaphore) -> asyncio.StreamWriter:
    """One more idle connection. Raises OSError, or ValueError when it is refused."""
    async with turns:
        # The buffers are small, so that thousands of them fit.
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 12)
        body = b"user\0%b\0database\0%b\0\0" % (user.encode(), database.encode())
        writer.write(struct.pack("!ii", len(body) + 8, 196608) + body)
        await until_ready(reader)
        writer.write(b"Q\0\0\0\x0dSELECT 1\0")
        await until_ready(reader)
        return writer


async def until_ready(reader: asyncio.StreamReader) -> None:
    """Up to ReadyForQuery. Raises ValueError on an error, EOFError on the end."""
    while True:
        head = await reader.readexactly(5)
        body = await reader.readexactly(int.from_bytes(head[1:], "big") - 4)
        if head[:1] == b"E":
            raise ValueError(body.replace(b"\0", b" ").decode(errors="replace"))
        if head[:1] == b"Z":
            return


async def hold(port: int, count: int, user: str, database: str) -> None:
    """All of them, until standard input ends."""
    turns = asyncio.Semaphore(AT_ONCE)
    writers = await asyncio.gather(*(connect(port, user, database, turns) for _ in range(count)))
    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    for writer in writers:
        writer.close()


@contextmanager
def idle_clients(endpoint: Endpoint, count: int) -> Iterator[None]:
    """They are there while this lasts. Raises ServerFailed when they cannot be."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.idle_clients", str(endpoint.port), str(count), endpoint.user, endpoint.database],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        cwd=Path(__file__).resolve().parent.parent,
    )  # fmt: skip
    try:
        assert process.stdout is not None and process.stderr is not None
        if process.stdout.readline() != "ready\n":
            lines = process.stderr.read().strip().splitlines()
            raise ServerFailed(f"{count} clients could not connect: {lines[-1] if lines else 'no word of why'}")
        yield
        process.communicate("", timeout=LONGEST_S)
    finally:
        process.kill()
        process.wait()


def main(port: str, count: str, user: str = "postgres", database: str = "postgres") -> None:
    resources.allow_many_files()
    asyncio.run(hold(int(port), int(count), user, database))


if __name__ == "__main__":
    main(*sys.argv[1:])
