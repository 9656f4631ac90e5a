"""A connection that was accepted before the port was closed, and is heard of when sessions have been ended already."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

from helios_cli.engine.errors import HeliosError
from helios_cli.engine.node.listener import Connection, Listener


def test_a_connection_that_is_heard_of_late_gets_no_session() -> None:
    async def run() -> tuple[bool, bool]:
        settings = SimpleNamespace(authentication_timeout=60_000)
        engine: Any = SimpleNamespace(loop=asyncio.get_running_loop(), settings=settings)
        listener = Listener(engine)
        early, late = Mock(), Mock()
        first = Connection(listener)
        first.connection_made(early)
        aborted_early = early.abort.called
        listener.close_sessions(HeliosError("stopping", sqlstate="57P01"))
        second = Connection(listener)
        second.connection_made(late)
        for connection in (first, second):
            connection.connection_lost(None)
        assert early.abort.called
        return aborted_early, late.abort.called

    assert asyncio.run(run()) == (False, True)
