"""Any bytes at all, cut anywhere: the HTTP side answers the same, and raises nothing into the loop."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from helios_cli.engine.net.http import HttpConnection, HttpServer
from helios_cli.engine.net.http_message import HttpLimits, Request, Response, json_response


class Wire(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = b""
        self.ended = False

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        assert not self.ended, "bytes after the last answer"
        self.sent += data

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = True

    def close(self) -> None:
        self.ended = True

    abort = close

    def is_closing(self) -> bool:
        return self.ended

    def pause_reading(self) -> None:
        pass

    resume_reading = pause_reading


def echo(request: Request) -> Response:
    return json_response(200, [request.method, request.path, request.body.decode("latin-1")])


def answers(pieces: list[bytes]) -> tuple[bytes, bool]:
    async def main() -> tuple[bytes, bool]:
        server = HttpServer(echo, HttpLimits(body_bytes=64))
        connection, wire = HttpConnection(server), Wire()
        connection.connection_made(wire)
        for piece in pieces:
            connection.data_received(piece)
        connection.connection_lost(None)
        assert not server.connections
        return wire.sent, wire.ended

    return asyncio.run(main())


REQUESTS = [
    b"GET /a?b=c HTTP/1.1\r\nHost: x\r\n\r\n",
    b"HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
    b"POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nT: u\r\n\r\n",
    b"POST /d HTTP/1.1\r\nHost: x\r\nContent-Length: 65\r\n\r\n" + b"d" * 65,
    b"GET /e HTTP/1.0\r\n\r\n",
    b"GET /f HTTP/1.1\r\nConnection: close\r\nHost: x\r\n\r\n",
    b"GET /g HTTP/1.1\r\n\r\n",
    b"GET http://x/h HTTP/1.1\r\nHost: x\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /i HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
]
PARTS = st.lists(st.sampled_from(REQUESTS) | st.binary(max_size=30), max_size=5)


@given(
    parts=PARTS,
    flips=st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=2),
    cut=st.integers(1, 40),
)
@example(parts=REQUESTS[:4], flips=[], cut=1)
@example(parts=[REQUESTS[4], REQUESTS[0]], flips=[], cut=7)
def test_cuts_change_no_answer(parts: list[bytes], flips: list[tuple[int, int]], cut: int) -> None:
    data = bytearray(b"".join(parts))
    for at, value in flips:
        if data:
            data[at % len(data)] = value
    whole = answers([bytes(data)])
    assert answers([bytes(data[at : at + cut]) for at in range(0, len(data), cut)]) == whole


def test_the_requests_are_understood() -> None:
    sent, ended = answers([b"".join(REQUESTS[:4])])
    assert sent.count(b"HTTP/1.1 200 OK\r\n") == 4
    assert sent.count(b'","abc"]') == 2
    assert not ended
    assert [answers([request])[0][9:12] for request in REQUESTS[4:]] == [
        b"413", b"200", b"200", b"400", b"200", b"200", b"200",
    ]  # fmt: skip
