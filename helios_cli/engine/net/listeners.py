"""The listeners of one face: on its own address, and on sockets that whoever started the process has opened for it.

These are handed over as systemd does it (sd_listen_fds(3)): ``LISTEN_FDS`` descriptors from 3 on, ``LISTEN_FDNAMES``
says whose they are (``pg``, ``http``, ``admin``), for the process ``LISTEN_PID``. They may belong to another network
namespace than the process.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from functools import cache
from typing import Any, Final

FIRST: Final = 3
HANDED_MAX: Final = 64
NAMES: Final = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


@cache
def handed_over() -> dict[str, list[socket.socket]]:
    """What was handed over, by face; looked up once, and hidden from processes that this one starts."""
    pid, count, names = (os.environ.pop(name, "") for name in NAMES)
    if pid != str(os.getpid()) or not count.isdecimal() or int(count) > HANDED_MAX:
        return {}
    found: dict[str, list[socket.socket]] = {}
    for number, face in enumerate(names.split(":")[: int(count)], FIRST):
        os.set_inheritable(number, False)
        found.setdefault(face, []).append(socket.socket(fileno=number))
    return found


class Listeners:
    """Opened and closed together; may be opened again."""

    def __init__(self, face: str) -> None:
        self._face = face
        self._servers: list[asyncio.Server] = []

    async def open(
        self,
        loop: asyncio.AbstractEventLoop,
        factory: Callable[[], asyncio.Protocol],
        host: str,
        port: int,
        **options: Any,
    ) -> int:
        """Listen; gives the port of the own address. ``options`` are those of ``create_server``.

        Raises:
            OSError: the address is taken.
        """
        self._servers.append(await loop.create_server(factory, host, port, **options))
        shared = {name: value for name, value in options.items() if name in ("ssl", "backlog")}
        for one in handed_over().get(self._face, ()):
            self._servers.append(await loop.create_server(factory, sock=one.dup(), **shared))
        return int(self._servers[0].sockets[0].getsockname()[1])

    def close(self) -> None:
        """Listen no longer; connections stay. Idempotent."""
        servers, self._servers = self._servers, []
        for server in servers:
            server.close()
        if servers:
            for one in handed_over().get(self._face, ()):
                # What is kept of it must not take connections that nobody serves; it can listen again.
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
