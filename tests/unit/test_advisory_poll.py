"""A write that waits for an advisory lock ends when its statement is cancelled, whenever that was."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import apsw
import pytest

from helios_cli.engine.errors import QueryCanceled
from helios_cli.engine.node import catalog_hooks, session_calls
from helios_cli.engine.node.advisory import AdvisoryLocks, Request


def test_a_cancel_that_came_between_two_statements_ends_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite knows of one only while a statement runs."""
    monkeypatch.setattr(catalog_hooks, "on_loop", lambda engine, action: action())
    engine: Any = SimpleNamespace(advisory=AdvisoryLocks())
    holder, waiter = (_session() for _ in range(2))
    request = Request((16384, 0, 7, 1), False, False)
    assert engine.advisory.lock(holder, request, statement=None, wait=False)
    asked: list[int] = []

    def interrupted() -> bool:
        asked.append(1)
        assert len(asked) < 5, "it waits for ever"
        return False

    waiter.runner.cancel_reason = QueryCanceled("canceling statement due to user request")
    with pytest.raises(apsw.InterruptError):
        session_calls._poll(engine, waiter, request, interrupted)
    assert engine.advisory.waiting == {}
    engine.advisory.unlock_all(holder)
    waiter.runner.cancel_reason = None
    assert session_calls._poll(engine, waiter, request, interrupted) == ""


class _Session:
    has_advisory = False

    def __init__(self) -> None:
        self.runner = SimpleNamespace(cancel_reason=None)


def _session() -> Any:
    return _Session()
