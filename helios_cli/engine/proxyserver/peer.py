"""The line between the parent and a worker: calls in both directions, one JSON object a line.

``{"id": 1, "call": "drain", "with": {"name": "n3"}}`` is answered with ``{"id": 1, "result": null}``, or with
``{"id": 1, "error": {"message": ..., "sqlstate": ...}}``; a call without an id is not answered.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

import msgspec

from helios_cli.engine.errors import HeliosError, NotServing

log = logging.getLogger(__name__)

CALL_S: Final = 5.0
"""Longest wait for an answer, beside what the call itself may take."""

Serve = Callable[[str, dict[str, Any]], Awaitable[Any]]
"""Does what the other side asks for: the name of a call, and what goes with it. Raises HeliosError."""


class Peer(asyncio.Protocol):
    """One end of the line."""

    def __init__(self, loop: asyncio.AbstractEventLoop, serve: Serve, on_lost: Callable[[], None]) -> None:
        self._loop = loop
        self._serve = serve
        self._on_lost = on_lost
        self._transport: asyncio.Transport | None = None
        self._parts: list[bytes] = []
        self._last = 0
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    # asyncio.Protocol ------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The line is there."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Lines, or parts of them."""
        *lines, rest = data.split(b"\n")
        for line in lines:
            whole = b"".join([*self._parts, line])
            self._parts.clear()
            self._take(msgspec.json.decode(whole))
        if rest:
            self._parts.append(rest)

    def connection_lost(self, exc: Exception | None) -> None:
        """The other side is gone."""
        self._transport = None
        waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            if not future.done():
                future.set_exception(_gone())
        for task in tuple(self._tasks):
            task.cancel()
        self._on_lost()

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()

    # Calls -----------------------------------------------------------------------------------------------------------

    async def call(self, name: str, seconds: float = CALL_S, /, **given: Any) -> Any:
        """Have the other side do something; its result.

        Raises:
            HeliosError: that is how it ended; 57P03, nobody answers.
        """
        if self._transport is None:
            raise _gone()
        self._last += 1
        number = self._last
        future = self._waiting[number] = self._loop.create_future()
        self._send({"id": number, "call": name, "with": given})
        try:
            async with asyncio.timeout(seconds):
                return await future
        except TimeoutError:
            raise NotServing(f"a process of the proxy did not answer within {seconds:g} s") from None
        finally:
            self._waiting.pop(number, None)

    def tell(self, name: str, /, **given: Any) -> None:
        """The same without an answer; nothing happens when nobody is there."""
        self._send({"call": name, "with": given})

    def _send(self, value: object) -> None:
        if self._transport is not None:
            self._transport.write(msgspec.json.encode(value) + b"\n")

    def _take(self, line: dict[str, Any]) -> None:
        if "call" in line:
            task = self._loop.create_task(self._answer(line))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            return
        future = self._waiting.get(line["id"])
        if future is None or future.done():
            return
        if "error" in line:
            future.set_exception(HeliosError(**line["error"]))
        else:
            future.set_result(line["result"])

    async def _answer(self, line: dict[str, Any]) -> None:
        try:
            answer: dict[str, Any] = {"result": await self._serve(line["call"], line["with"])}
        except HeliosError as error:
            answer = {"error": {"message": error.message, "sqlstate": error.sqlstate, "hint": error.hint}}
        except Exception as error:
            log.exception("a call between the proxy's processes failed: %s", line["call"])
            answer = {"error": {"message": f"internal error of the proxy: {type(error).__name__}", "sqlstate": "XX000"}}
        if "id" in line:
            self._send({"id": line["id"], **answer})


def _gone() -> HeliosError:
    return NotServing("a process of the proxy is gone")
