"""Seeded mutations of whole conversations: every message in every state, whole, broken, cut and out of place."""

from __future__ import annotations

import random
import socket
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from support.raw_wire import (
    COPY_DONE,
    FLUSH,
    SYNC,
    TERMINATE,
    bind,
    close,
    copy_data,
    describe,
    execute,
    message,
    parse,
    query,
    startup,
)

TABLE = "DROP TABLE IF EXISTS fz; CREATE TABLE fz (a int PRIMARY KEY, b text)"

RECORDED: Sequence[Sequence[bytes]] = (
    [query("SELECT 1"), query("SELECT a, b FROM fz ORDER BY a LIMIT 3"), query(""), query("SELECT 1; SELECT 2")],
    [query("BEGIN"), query("INSERT INTO fz VALUES (1, 'x') ON CONFLICT DO NOTHING"), query("ROLLBACK")],
    [parse("SELECT $1::int + 1", "s"), describe("S", "s"), bind([b"4"], "s"), describe("P"), execute(), SYNC],
    [parse("SELECT g FROM generate_series(1, 50) g"), bind(portal="p"), execute("p", 7), execute("p", 7), FLUSH,
     close("P", "p"), SYNC],
    [parse("INSERT INTO fz VALUES ($1, $2) ON CONFLICT (a) DO UPDATE SET b = 'u'", "i", [23, 25]),
     bind([struct.pack("!i", 7), b"z"], "i", formats=[1, 0]), execute(), bind([b"8", None], "i"), execute(), SYNC,
     close("S", "i"), SYNC],
    [query("COPY fz FROM STDIN"), copy_data(b"100\tx\n"), copy_data(b"101\ty\n"), COPY_DONE,
     query("DELETE FROM fz WHERE a >= 100")],
    [query("COPY fz FROM STDIN (FORMAT csv)"), copy_data(b'200,"a""b"\n'), message("f", b"enough\0")],
    [query("COPY fz FROM STDIN (FORMAT binary)"),
     copy_data(b"PGCOPY\n\xff\r\n\0" + struct.pack("!iihiiih", 0, 0, 2, 4, 300, -1, -1)), COPY_DONE],
    [query("COPY (SELECT generate_series(1, 20)) TO STDOUT")],
    [query("BEGIN"), query("DECLARE c CURSOR FOR SELECT a FROM fz"), query("FETCH 2 c"), execute("c", 1), SYNC,
     query("COMMIT")],
    [query("LISTEN ch"), query("NOTIFY ch, 'p'"), query("UNLISTEN *"), query("SET application_name = 'f'"),
     query("SHOW ALL")],
    [query("SELECT 1/0"), parse("selec"), bind(), SYNC, query("BEGIN; SELECT nope"), query("ROLLBACK")],
    [query("PREPARE q AS SELECT $1::text"), query("EXECUTE q ('x')"), query("DEALLOCATE q"), query("DISCARD ALL")],
    [message("F", struct.pack("!ihhih", 1598, 0, 0, 0, 0)), SYNC],
)  # fmt: skip

TYPES = b"QPBEDCSHFdcfQPBEDCSHFdcfQPBEDCSHFdcfQPBEDCSHFdcfXpRZTKv\0\xff"
END = b"the last word"
SIZES = (0, 1, 3, 4, 5, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 0x3FFF_FFFF, 10_001)


def _flip(rng: random.Random, data: bytes) -> bytes:
    """Some bytes of the body are others."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8))):
        if len(changed) > 5:
            changed[rng.randrange(5, len(changed))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
    return bytes(changed)


def _resize(rng: random.Random, data: bytes) -> bytes:
    """The body is cut or longer, and its length says so."""
    body = data[5:]
    body = body[: rng.randrange(len(body) + 1)] if rng.random() < 0.6 else body + rng.randbytes(rng.randrange(1, 40))
    return message(chr(data[0]), body)


def _mislength(rng: random.Random, data: bytes) -> bytes:
    """The length is a lie."""
    return data[:1] + struct.pack("!I", rng.choice((*SIZES, rng.randrange(4, 200)))) + data[5:]


def _retype(rng: random.Random, data: bytes) -> bytes:
    """The body under another type."""
    return bytes([rng.choice(TYPES)]) + data[1:]


def _garbage(rng: random.Random, _data: bytes) -> bytes:
    """A message of any type with anything in it."""
    return message(chr(rng.choice(TYPES[:-2])), rng.randbytes(rng.choice((0, 1, 4, 9, 30))))


def _numbers(rng: random.Random, data: bytes) -> bytes:
    """Two or four bytes become a number at the edge of its range."""
    if len(data) < 10:
        return data
    at = rng.randrange(5, len(data) - 4)
    number = rng.choice(
        (b"\xff\xff", b"\x80\0", b"\x7f\xff", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\xfe")
    )
    return data[:at] + number + data[at + len(number) :]


def _same(_rng: random.Random, data: bytes) -> bytes:
    return data


MUTATIONS: Sequence[tuple[int, Callable[[random.Random, bytes], bytes]]] = (
    (500, _same), (180, _flip), (120, _resize), (80, _numbers), (40, _garbage), (30, _retype), (2, _mislength)
)  # fmt: skip
WEIGHTS = [weight for weight, _ in MUTATIONS]
RARE_WEIGHTS = [weight if mutate is not _same else 40 * weight for weight, mutate in MUTATIONS]
"""For a server that ends the connection at the first message that is malformed."""


def conversation(rng: random.Random, recorded: int = 6, weights: Sequence[int] = WEIGHTS) -> list[bytes]:
    """Some recorded pieces, mutated, doubled, left out and mixed."""
    messages: list[bytes] = []
    for _ in range(recorded):
        for data in rng.choice(RECORDED):
            if rng.random() < 0.04:
                continue
            mutate = rng.choices(MUTATIONS, weights)[0][1]
            messages.append(mutate(rng, data))
            if rng.random() < 0.03:
                messages.append(data)
    if rng.random() < 0.1:
        rng.shuffle(messages)
    return [*messages, SYNC, TERMINATE] if rng.random() < 0.05 else messages


@dataclass
class Outcome:
    """What a run came to."""

    messages: int = 0
    connections: int = 0
    internal: list[bytes] = field(default_factory=list)
    """Answers that tell of an error nobody has foreseen."""
    finished: int = 0
    """Conversations that were answered to their last word; the others met a message that ends a connection."""
    hung: list[int] = field(default_factory=list)
    """Seeds whose connection the server kept open after its client's end."""


def converse(
    port: int, seed: int, outcome: Outcome, *, seconds: float = 20.0, weights: Sequence[int] = WEIGHTS
) -> None:
    """One mutated conversation on a connection of its own, to its end from both sides."""
    rng = random.Random(seed)
    first = startup({"user": "postgres", "database": "postgres", "application_name": "fuzz"})
    if rng.random() < 0.02:
        first = _flip(rng, b"\0" + first)[1:]
    messages = conversation(rng, weights=weights)
    outcome.messages += len(messages) + 1
    outcome.connections += 1
    with socket.create_connection(("127.0.0.1", port), seconds) as client:
        last = [COPY_DONE, SYNC, SYNC, query("ROLLBACK"), query(f"SELECT '{END.decode()}'")]
        heard = bytearray()
        try:
            _send(client, first + b"".join([*messages, *last]), rng)
            client.settimeout(0.5)
            _listen(client, heard)
            client.shutdown(socket.SHUT_WR)
            client.settimeout(seconds)
            while data := client.recv(1 << 16):
                heard += data
        except TimeoutError:
            outcome.hung.append(seed)
            return
        except OSError:
            pass
    outcome.finished += END in heard
    at = heard.find(b"Minternal error")
    if at >= 0:
        outcome.internal.append(bytes(heard[max(0, at - 40) : at + 200]))


def _listen(client: socket.socket, heard: bytearray) -> None:
    """Up to the last word, the end, or silence: a length that lies keeps the server waiting for more."""
    try:
        while END not in heard[-4096:] and (data := client.recv(1 << 16)):
            heard += data
    except TimeoutError:
        pass


def _send(client: socket.socket, data: bytes, rng: random.Random) -> None:
    """In one piece or in several; what the server does not want any more is nobody's."""
    pieces = rng.choice((1, 1, 1, 3))
    cuts = sorted(rng.randrange(len(data) + 1) for _ in range(pieces - 1))
    try:
        for begin, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
            client.sendall(data[begin:end])
    except (BrokenPipeError, ConnectionResetError):
        return
