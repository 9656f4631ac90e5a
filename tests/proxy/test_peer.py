"""The line between the parent and a worker."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from helios_cli.engine.errors import HeliosError, NotServing
from helios_cli.engine.proxyserver.peer import Peer


class Side:
    """One end, and what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.is_lost = asyncio.Event()
        self.peer = Peer(asyncio.get_running_loop(), self._serve, self.is_lost.set)

    async def _serve(self, name: str, given: dict[str, Any]) -> Any:
        self.asked.append((name, given))
        if name == "refuse":
            raise HeliosError("not this", sqlstate="55000", hint="Ask for that.")
        if name == "break":
            raise ValueError("secret detail")
        if name == "never":
            await asyncio.Event().wait()
        await asyncio.sleep(given.get("after_s", 0))
        return given.get("value")


@asynccontextmanager
async def line() -> AsyncIterator[tuple[Side, Side]]:
    """Two ends of one line."""
    loop, sides = asyncio.get_running_loop(), (Side(), Side())
    for side, end in zip(sides, socket.socketpair(), strict=True):
        end.setblocking(False)
        await loop.create_unix_connection(lambda side=side: side.peer, sock=end)  # type: ignore[misc]
    try:
        yield sides
    finally:
        for side in sides:
            side.peer.close()
            await side.is_lost.wait()


def test_both_sides_ask_at_a_time_and_answers_find_who_asked() -> None:
    async def work() -> None:
        async with line() as (first, second):
            calls = [first.peer.call("echo", value=n, after_s=0.05 if n == 0 else 0) for n in range(5)]
            back = [second.peer.call("echo", value="x" * 500_000 + "\n"), second.peer.call("echo", value=None)]
            assert await asyncio.gather(*calls, *back) == [*range(5), "x" * 500_000 + "\n", None]
            first.peer.tell("noted", value=1)
            await first.peer.call("echo")
            assert ("noted", {"value": 1}) in second.asked

    asyncio.run(work())


def test_how_calls_fail() -> None:
    async def work() -> None:
        async with line() as (first, second):
            with pytest.raises(HeliosError) as refused:
                await first.peer.call("refuse")
            assert (refused.value.message, refused.value.sqlstate) == ("not this", "55000")
            assert refused.value.hint == "Ask for that."
            with pytest.raises(HeliosError) as broken:
                await first.peer.call("break")
            assert broken.value.sqlstate == "XX000" and "secret" not in broken.value.message
            with pytest.raises(NotServing, match="did not answer within"):
                await first.peer.call("never", 0.05)
            assert await first.peer.call("echo", value=1) == 1
            waiting = asyncio.ensure_future(first.peer.call("never"))
            await asyncio.sleep(0)
            second.peer.close()
            with pytest.raises(NotServing, match="is gone"):
                await waiting
            with pytest.raises(NotServing, match="is gone"):
                await first.peer.call("echo")
            first.peer.tell("nobody hears this")

    asyncio.run(work())
