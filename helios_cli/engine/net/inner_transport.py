"""What a session writes to when its client is in the same process: the whole protocol, and no socket."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final, cast

from helios_cli.engine.errors import NotServing

HIGH_WATER: Final = 256 * 1024
"""Bytes of answers that are not taken before the session is held back."""


class InnerTransport(asyncio.Transport):
    """What the session writes is kept until the client takes it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, extra: Mapping[str, Any] | None = None) -> None:
        """``extra`` is what there is to be told of the connection."""
        super().__init__(dict(extra or {}))
        self._loop = loop
        self._session: asyncio.Protocol | None = None
        self._data = bytearray()
        self._at = 0
        self._paused = False
        self._closing = False
        self._news = asyncio.Event()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """The session's side."""
        self._session = cast(asyncio.Protocol, protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """The session's side."""
        assert self._session is not None
        return self._session

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """An answer."""
        if self._closing:
            return
        self._data += data
        self._news.set()
        if len(self._data) - self._at > HIGH_WATER and not self._paused and self._session is not None:
            self._paused = True
            self._session.pause_writing()

    def is_closing(self) -> bool:
        """Whether nothing more is taken."""
        return self._closing

    def close(self) -> None:
        """End the session; what it has answered can still be read."""
        if not self._closing:
            self._closing = True
            self._news.set()
            self._loop.call_soon(self._lost)

    abort = close

    def _lost(self) -> None:
        if self._session is not None:
            self._session.connection_lost(None)

    def pause_reading(self) -> None:
        """Requests are bounded by their body: nothing has to be held back."""

    def resume_reading(self) -> None:
        """As :meth:`pause_reading`."""

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """As the session may wish: it is held back at :data:`HIGH_WATER`."""

    async def message(self) -> tuple[int, bytes]:
        """The next message: its type and its body.

        Raises:
            NotServing: the session has ended.
        """
        while True:
            data, at = self._data, self._at
            if len(data) - at >= 5:
                end = at + 1 + int.from_bytes(data[at + 1 : at + 5], "big")
                if end <= len(data):
                    code, body = data[at], bytes(data[at + 5 : end])
                    self._taken(end)
                    return code, body
            if self._closing:
                raise NotServing("terminating connection due to administrator command", sqlstate="57P01")
            self._news.clear()
            await self._news.wait()

    def _taken(self, end: int) -> None:
        self._at = end
        if end == len(self._data) or end > HIGH_WATER:
            del self._data[:end]
            self._at = 0
        if self._paused and len(self._data) - self._at < HIGH_WATER // 4 and self._session is not None:
            self._paused = False
            self._session.resume_writing()
