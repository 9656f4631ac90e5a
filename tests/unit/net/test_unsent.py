"""A client that reads nothing of a large result costs the server little."""

from __future__ import annotations

import asyncio
import socket
import sys
from typing import Any

import pytest

from helios_cli.engine.net.doorway import UNSENT_MAX, Doorway


class Transport:
    """Of a connection that was accepted."""

    def __init__(self, sock: socket.socket | None) -> None:
        self.sock = sock

    def get_extra_info(self, name: str) -> socket.socket | None:
        return self.sock if name == "socket" else None

    def set_write_buffer_limits(self, *, high: int) -> None:
        pass


def knock(sock: socket.socket | None) -> None:
    loop = asyncio.new_event_loop()
    try:
        transport: Any = Transport(sock)
        Doorway(loop, seconds=1.0).connection_made(transport)
    finally:
        loop.close()


def taken(sock: socket.socket) -> int:
    """Bytes that the kernel takes for a peer that reads nothing."""
    sock.setblocking(False)
    total = 0
    try:
        while True:
            total += sock.send(bytes(64 * 1024))
    except BlockingIOError:
        return total


@pytest.mark.skipif(sys.platform != "linux", reason="the option is Linux's")
def test_the_kernel_keeps_little_for_a_client_that_does_not_read() -> None:
    sizes = []
    for limited in (False, True):
        with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
            one, _ = server.accept()
            with one:
                if limited:
                    knock(one)
                sizes.append(taken(one))
    without, limited_to = sizes
    assert limited_to < without
    assert limited_to < UNSENT_MAX + (1 << 20)


def test_a_unix_socket_or_none_is_no_error() -> None:
    one, other = socket.socketpair()
    with one, other:
        knock(one)
    knock(None)
