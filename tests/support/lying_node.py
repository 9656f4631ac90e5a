"""A node that lies: it passes on what a real one says, but not to a certain user.

What that user's connections are answered is cut, changed, doubled, held back, or something else altogether, by the
seed. Everybody else, the proxy's watches above all, is told the truth, so that the proxy goes on to send it clients.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import random
import struct
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final

VICTIM: Final = "victim"
LENGTHS: Final = (0, 1, 3, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 0x3FFF_FFFF, 100_000)
ENDLESS_BYTES: Final = 64 << 20
PIECE: Final = 1 << 16

READY: Final = b"Z\0\0\0\5I"
ROW: Final = b"D" + struct.pack("!ihi", 4 + 2 + 4 + 1000, 1, 1000) + b"x" * 1000
NO_SQLSTATE: Final = b"E" + struct.pack("!i", 4 + 12) + b"SERROR\0Mno\0\0\0"
EMPTY_ERROR: Final = b"E\0\0\0\5\0"
SCRAM: Final = b"R" + struct.pack("!ii", 23, 10) + b"SCRAM-SHA-256\0\0"
SCRAM_FOREVER: Final = b"R" + struct.pack("!ii", 8 + 26, 11) + b"r=x,s=eHg=,i=2147483647,xx"
UNASKED: Final = (
    READY, b"Z\0\0\0\5T", b"Z\0\0\0\5?", ROW, NO_SQLSTATE, EMPTY_ERROR, SCRAM, SCRAM_FOREVER,
    b"1\0\0\0\4", b"2\0\0\0\4",
    b"C\0\0\0\rSELECT 1\0", b"s\0\0\0\4", b"G\0\0\0\7\0\0\0", b"S\0\0\0\x13helios.lsn\0bad\0", b"S\0\0\0\4",
    b"K\0\0\0\x0c\0\0\0\1\0\0\0\2", b"A\0\0\0\x0c\0\0\0\1x\0y\0", b"n\0\0\0\4", b"T\0\0\0\6\xff\xff",
    b"D\0\0\0\6\x7f\xff",
    b"R\0\0\0\x08\0\0\0\x07", b"I\0\0\0\4", b"W\0\0\0\7\0\0\0", b"\0\0\0\0\0", b"v\0\0\0\x0c\0\0\0\0\0\0\0\0",
)  # fmt: skip


class Liar:
    """Before one real node."""

    def __init__(self, upstream_port: int, seed: int, told: Any) -> None:
        self._told = told
        self._upstream_port = upstream_port
        self._seed = seed
        self._count = 0

    async def serve(self, port: int) -> None:
        """For ever."""
        server = await asyncio.start_server(self._client, "127.0.0.1", port)
        await server.serve_forever()

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._count += 1
        rng = random.Random((self._seed << 32) + self._count)
        with suppress(OSError, asyncio.IncompleteReadError, ConnectionError):
            size = await reader.readexactly(4)
            begun = size + await reader.readexactly(max(0, min(int.from_bytes(size, "big"), 10_000) - 4))
            lies = f"user\0{VICTIM}\0".encode() in begun
            from_node, to_node = await asyncio.open_connection("127.0.0.1", self._upstream_port)
            to_node.write(begun)
            ways = [asyncio.ensure_future(_pass_on(reader, to_node))]
            ways.append(
                asyncio.ensure_future(self._lie(from_node, writer, rng) if lies else _pass_on(from_node, writer))
            )
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            to_node.close()
        writer.close()

    async def _lie(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, rng: random.Random) -> None:
        """Message by message; the login is mostly true, or there would never be more than logins."""
        is_in = rng.random() < 0.2
        while True:
            head = await source.readexactly(5)
            message = head + await source.readexactly(int.from_bytes(head[1:], "big") - 4)
            if rng.random() < (0.1 if is_in else 0.004):
                self._told.value += 1
                await rng.choice(LIES)(message, target, rng)
            else:
                target.write(message)
            is_in = is_in or head[:1] == b"Z"
            await target.drain()


async def _pass_on(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(PIECE):
            target.write(data)
            await target.drain()


# Lies: instead of one message ----------------------------------------------------------------------------------------

Lie = Callable[[bytes, asyncio.StreamWriter, random.Random], Awaitable[None]]


async def _garbage(_message: bytes, target: asyncio.StreamWriter, rng: random.Random) -> None:
    target.write(rng.randbytes(rng.choice((1, 4, 5, 6, 50, 5000))))


async def _wrong_length(message: bytes, target: asyncio.StreamWriter, rng: random.Random) -> None:
    length = rng.choice((*LENGTHS, rng.randrange(4, 200)))
    target.write(message[:1] + struct.pack("!I", length) + message[5:])


async def _flipped(message: bytes, target: asyncio.StreamWriter, rng: random.Random) -> None:
    changed = bytearray(message)
    for _ in range(rng.choice((1, 2, 8))):
        at = rng.randrange(len(changed))
        if not 1 <= at < 5:
            changed[at] = rng.randrange(256)
    target.write(changed)


async def _doubled(message: bytes, target: asyncio.StreamWriter, _rng: random.Random) -> None:
    target.write(message * 2)


async def _dropped(_message: bytes, _target: asyncio.StreamWriter, _rng: random.Random) -> None:
    """ReadyForQuery never comes, say."""


async def _unasked(message: bytes, target: asyncio.StreamWriter, rng: random.Random) -> None:
    first = rng.choice(UNASKED)
    target.write(first + message if rng.random() < 0.5 else message + first)


async def _instead(_message: bytes, target: asyncio.StreamWriter, rng: random.Random) -> None:
    target.write(rng.choice(UNASKED))


async def _endless(_message: bytes, target: asyncio.StreamWriter, _rng: random.Random) -> None:
    for _ in range(ENDLESS_BYTES // len(ROW) // 60):
        target.write(ROW * 60)
        await target.drain()


async def _cut(message: bytes, target: asyncio.StreamWriter, rng: random.Random) -> None:
    target.write(message[: rng.randrange(len(message))])
    raise ConnectionError


async def _late(message: bytes, target: asyncio.StreamWriter, rng: random.Random) -> None:
    await asyncio.sleep(rng.uniform(0.0, 0.3))
    target.write(message)


async def _silent(_message: bytes, _target: asyncio.StreamWriter, _rng: random.Random) -> None:
    await asyncio.sleep(2)


LIES: Final[Sequence[Lie]] = (
    _garbage, _wrong_length, _flipped, _flipped, _doubled, _dropped, _unasked, _unasked, _instead, _instead, _endless,
    _cut, _late, _silent,
)  # fmt: skip


def _serve(port: int, upstream_port: int, seed: int, told: Any) -> None:
    asyncio.run(Liar(upstream_port, seed, told).serve(port))


@contextmanager
def lying_node(port: int, upstream_port: int, seed: int) -> Iterator[Any]:
    """A process of its own that lies on a port while this lasts; gives how many lies it has told, as ``value``."""
    context = multiprocessing.get_context("spawn")
    told = context.Value("i", 0)
    process = context.Process(target=_serve, args=(port, upstream_port, seed, told), daemon=True)
    process.start()
    try:
        yield told
    finally:
        process.kill()
        process.join()
        process.close()
