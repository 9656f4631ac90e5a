"""A node that says whatever a test has it say, to the proxy's watches: just enough of the protocol."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Callable
from typing import Any

from support.node_process import free_port

from helios_cli.engine.types import Lsn

AUTHENTICATED = b"R\0\0\0\x08\0\0\0\0"
READY = b"Z\0\0\0\x05I"


def message(kind: bytes, body: bytes) -> bytes:
    """One message of the protocol."""
    return kind + struct.pack("!I", len(body) + 4) + body


def status(name: str, value: str) -> bytes:
    """ParameterStatus."""
    return message(b"S", name.encode() + b"\0" + value.encode() + b"\0")


def result(rows: list[list[str | None]]) -> bytes:
    """A description, the rows, and the end of one statement."""
    width = len(rows[0]) if rows else 0
    columns = b"".join(b"c\0" + struct.pack("!IhIhih", 0, 0, 25, -1, -1, 0) for _ in range(width))
    out = message(b"T", struct.pack("!h", width) + columns)
    for row in rows:
        cells = [b"\xff\xff\xff\xff" if one is None else struct.pack("!I", len(one)) + one.encode() for one in row]
        out += message(b"D", struct.pack("!h", width) + b"".join(cells))
    return out + message(b"C", b"SHOW\0")


class FakeNode(asyncio.Protocol):
    """One node for any number of connections; a test changes what it says between two questions. On its loop."""

    def __init__(self, name: str, *, leads: bool = False, term: int = 1, lsn: int = 100) -> None:
        self.name = name
        self.pg_port = free_port()
        self.leads, self.term, self.lsn = leads, term, lsn
        self.lag: tuple[str | None, str | None] = ("0", "0")
        """What it knows of its lag: bytes and milliseconds."""
        self.is_silent = False
        """It takes questions and answers none."""
        self.answer: Callable[[str], bytes] | None = None
        """What it answers a question instead, ReadyForQuery included."""
        self.questions: list[str] = []
        self.connections: list[_Connection] = []
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), "127.0.0.1", self.pg_port)

    async def stop(self) -> None:
        """Be gone: nobody listens, and the connections break."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for one in tuple(self.connections):
            one.transport.abort()

    def says(self, question: str) -> bytes:
        """The answer to a question."""
        token = f"{Lsn(self.lsn)}@{self.term}-{self.term:x}"
        out = result([["off" if self.leads else "on"]]) + result([[token]])
        if "TOPOLOGY" in question:
            role = "primary" if self.leads else "standby"
            row = [self.name, role, "sync", "streaming", f"127.0.0.1:{self.pg_port}", "", "", None]
            out += result([[*row, str(self.term), str(Lsn(self.lsn)), "t", *self.lag]])
        return out

    def notice(self, event: str, **fields: Any) -> bytes:
        """What it tells on helios_cluster."""
        told = {"node_id": self.name, "event": event, "leads": self.leads, "term": self.term, "primary": None}
        return self.notification(json.dumps(told | fields))

    def notification(self, payload: str) -> bytes:
        """Any payload there."""
        return message(b"A", struct.pack("!I", 1) + b"helios_cluster\0" + payload.encode() + b"\0")

    def send(self, data: bytes) -> None:
        """Send something unasked to everybody."""
        for one in tuple(self.connections):
            if one.logged_in:
                one.transport.write(data)


class _Connection(asyncio.Protocol):
    transport: asyncio.Transport

    def __init__(self, node: FakeNode) -> None:
        self._node, self._buffer = node, b""
        self.logged_in = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._node.connections.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._node.connections.remove(self)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while not self._node.is_silent and len(self._buffer) >= 5:
            head = 1 if self.logged_in else 0
            length = struct.unpack_from("!I", self._buffer, head)[0] + head
            if len(self._buffer) < length:
                return
            body, self._buffer = self._buffer[head + 4 : length], self._buffer[length:]
            self._handle(body)

    def _handle(self, body: bytes) -> None:
        if not self.logged_in:
            self.logged_in = True
            version = status("server_version", "15.0 (HeliosDB Nano 0.1.0)")
            self.transport.write(AUTHENTICATED + version + message(b"K", struct.pack("!II", 1, 2)) + READY)
            return
        question = body.rstrip(b"\0").decode()
        self._node.questions.append(question)
        if question.startswith("LISTEN"):
            self.transport.write(message(b"C", b"LISTEN\0") + READY)
        elif self._node.answer is not None:
            self.transport.write(self._node.answer(question))
        else:
            self.transport.write(self._node.says(question) + READY)
