"""A PostgreSQL client of nothing but a socket: every byte of a dialogue is written out, every message is seen.

Independent of the product's own client on purpose: it is the judge.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from typing import Any

PROTOCOL_3_0 = 196608
SSL_REQUEST = struct.pack("!ii", 8, 80877103)
GSSENC_REQUEST = struct.pack("!ii", 8, 80877104)

Answer = tuple[str, Any]
"""The type letter of a message and what it holds, in a form that compares well."""


def message(code: str, body: bytes = b"") -> bytes:
    """A message after startup."""
    return code.encode() + struct.pack("!i", len(body) + 4) + body


def startup(parameters: dict[str, str], version: int = PROTOCOL_3_0) -> bytes:
    """A startup packet."""
    body = b"".join(f"{name}\0{text}\0".encode() for name, text in parameters.items()) + b"\0"
    return struct.pack("!ii", len(body) + 8, version) + body


def cancel_request(pid: int, key: bytes) -> bytes:
    """A CancelRequest, sent on a connection of its own."""
    return struct.pack("!iii", 12 + len(key), 80877102, pid) + key


def query(sql: str) -> bytes:
    """Query."""
    return message("Q", sql.encode() + b"\0")


def parse(sql: str, name: str = "", oids: Sequence[int] = ()) -> bytes:
    """Parse."""
    types = struct.pack(f"!h{len(oids)}I", len(oids), *oids)
    return message("P", name.encode() + b"\0" + sql.encode() + b"\0" + types)


def bind(
    params: Sequence[bytes | None] = (),
    statement: str = "",
    portal: str = "",
    formats: Sequence[int] = (),
    results: Sequence[int] = (),
) -> bytes:
    """Bind."""
    body = portal.encode() + b"\0" + statement.encode() + b"\0"
    body += struct.pack(f"!h{len(formats)}h", len(formats), *formats)
    body += struct.pack("!h", len(params))
    for value in params:
        body += struct.pack("!i", -1) if value is None else struct.pack("!i", len(value)) + value
    return message("B", body + struct.pack(f"!h{len(results)}h", len(results), *results))


def execute(portal: str = "", rows: int = 0) -> bytes:
    """Execute; 0 rows is all of them."""
    return message("E", portal.encode() + b"\0" + struct.pack("!i", rows))


def describe(kind: str, name: str = "") -> bytes:
    """Describe a statement (S) or a portal (P)."""
    return message("D", kind.encode() + name.encode() + b"\0")


def close(kind: str, name: str = "") -> bytes:
    """Close a statement (S) or a portal (P)."""
    return message("C", kind.encode() + name.encode() + b"\0")


def copy_data(data: bytes) -> bytes:
    """CopyData."""
    return message("d", data)


SYNC = message("S")
FLUSH = message("H")
COPY_DONE = message("c")
TERMINATE = message("X")


def error_fields(body: bytes) -> dict[str, str]:
    """The fields of an ErrorResponse or NoticeResponse by their letter."""
    return {part[:1].decode(): part[1:].decode() for part in body.split(b"\0") if part}


def _texts(body: bytes) -> str:
    return body.rstrip(b"\0").decode()


def _row_description(body: bytes) -> tuple[Any, ...]:
    """Name, type and format of each column; the typmod and the table are the server's own affair."""
    (count,) = struct.unpack_from("!h", body)
    at, columns = 2, []
    for _ in range(count):
        end = body.index(b"\0", at)
        _table, _number, oid, size, _typmod, form = struct.unpack_from("!ihIhih", body, end + 1)
        columns.append((body[at:end].decode(), oid, size, form))
        at = end + 19
    return tuple(columns)


def _data_row(body: bytes) -> tuple[bytes | None, ...]:
    (count,) = struct.unpack_from("!h", body)
    at, values = 2, []
    for _ in range(count):
        (size,) = struct.unpack_from("!i", body, at)
        at += 4
        values.append(None if size < 0 else body[at : at + size])
        at += max(size, 0)
    return tuple(values)


def _decode(code: str, body: bytes) -> Any:
    if code in "EN":
        return error_fields(body)
    if code == "T":
        return _row_description(body)
    if code == "D":
        return _data_row(body)
    if code in "CS":
        return _texts(body)
    if code == "Z":
        return body.decode()
    if code == "t":
        return struct.unpack(f"!{len(body) // 4}I", body[2:])
    if code == "A":
        return tuple(part.decode() for part in body[4:].split(b"\0")[:2])
    return body


class Closed(Exception):
    """The server closed the connection."""


class RawClient:
    """One connection. ``started`` False leaves even the startup packet to the test."""

    def __init__(
        self, port: int, *, started: bool = True, timeout: float = 20.0, parameters: dict[str, str] | None = None
    ) -> None:
        self.socket: socket.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.port = port
        self.parameters: dict[str, str] = {}
        self.pid = 0
        self.key = b""
        self._buffer = b""
        if started:
            self.send(startup({"user": "postgres", "database": "postgres"} | (parameters or {})))
            for code, content in self.until("Z"):
                if code == "S":
                    name, _, value = content.partition("\0")
                    self.parameters[name] = value
                elif code == "K":
                    self.pid, self.key = struct.unpack("!i", content[:4])[0], content[4:]

    def __enter__(self) -> RawClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, *parts: bytes) -> None:
        """Send bytes as they are."""
        self.socket.sendall(b"".join(parts))

    def read_exactly(self, count: int) -> bytes:
        """Raw bytes. Raises Closed."""
        while len(self._buffer) < count:
            try:
                data = self.socket.recv(1 << 20)
            except ConnectionResetError:
                data = b""
            if not data:
                raise Closed(self._buffer)
            self._buffer += data
        taken, self._buffer = self._buffer[:count], self._buffer[count:]
        return taken

    def receive(self) -> Answer:
        """The next message. Raises Closed."""
        head = self.read_exactly(5)
        code = chr(head[0])
        return code, _decode(code, self.read_exactly(int.from_bytes(head[1:], "big") - 4))

    def until(self, codes: str) -> list[Answer]:
        """Messages up to the first of one of these types."""
        answers = [self.receive()]
        while answers[-1][0] not in codes:
            answers.append(self.receive())
        return answers

    def to_the_end(self) -> list[Answer]:
        """Messages until the server closes the connection."""
        answers: list[Answer] = []
        while True:
            try:
                answers.append(self.receive())
            except Closed:
                return answers

    def ask(self, *parts: bytes) -> list[Answer]:
        """Send, and take everything up to ReadyForQuery."""
        self.send(*parts)
        return self.until("Z")

    def run(self, sql: str) -> list[Answer]:
        """A simple query."""
        return self.ask(query(sql))

    def cancel(self) -> None:
        """Ask for the statement in hand to be cancelled, over a connection of its own, and wait for its end."""
        with socket.create_connection(("127.0.0.1", self.port), 10) as other:
            other.sendall(cancel_request(self.pid, self.key))
            other.recv(1)
