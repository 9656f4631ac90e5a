"""Callbacks, commands and web addresses that are told of changes of the lead."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from helios_cli.engine.node import failover_hooks
from helios_cli.engine.node.failover_hooks import FailoverHooks

EVENT = {"node_id": "n2", "kind": "promoted", "message": "it leads", "severity": "info", "term": 4}


def run_hooks(
    until: Callable[[list[str]], bool],
    *,
    hook: str = "",
    webhook: str = "",
    callbacks: tuple[Any, ...] = (),
    tell: int = 1,
) -> list[str]:
    """Tell of an event so often, wait until a condition holds of what the node's own events said, give those."""
    told: list[str] = []

    async def run() -> None:
        settings: Any = SimpleNamespace(failover_hook=hook, failover_webhook=webhook)
        hooks = FailoverHooks("n2", lambda: settings, lambda kind, text, **_: told.append(f"{kind}: {text}"))
        for callback in callbacks:
            hooks.on_failover(callback)
        task = asyncio.ensure_future(hooks.run())
        await asyncio.sleep(0)
        for _ in range(tell):
            hooks.tell("promoted", "it leads", "info", {"term": 4})
            hooks.tell("following", "nobody wants to hear of that", "info", {})
        async with asyncio.timeout(20):
            while not until(told):
                await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())
    return told


def test_a_command_has_the_event_on_its_input(tmp_path: Path) -> None:
    out = tmp_path / "out"
    # That it failed is told when it has ended: nothing of it is left behind.
    run_hooks(bool, hook=f'cat > {out}; echo "$HELIOSDB_EVENT" > {tmp_path}/done; exit 1')
    assert json.loads(out.read_text()) == EVENT
    assert (tmp_path / "done").read_text() == "promoted\n"


def test_a_command_that_fails_is_told_of() -> None:
    told = run_hooks(bool, hook="echo no such pager >&2; exit 3")
    assert told == ["hook_failed: failover_hook was not told of an event: exit code 3: no such pager"]


def test_a_command_that_hangs_is_killed_with_its_children(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(failover_hooks, "HOOK_S", 0.3)
    told = run_hooks(bool, hook="sleep 600 & wait")
    assert told == ["hook_failed: failover_hook was not told of an event: it took longer than 0 s"]


def test_a_web_address_is_told_and_asked_again() -> None:
    heard: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(500 if len(heard) == 1 else 200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        told = run_hooks(lambda _: len(heard) == 2, webhook=f"http://127.0.0.1:{server.server_port}/x")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert heard == [EVENT, EVENT] and told == []
    told = run_hooks(bool, webhook=f"http://127.0.0.1:{server.server_port}/x")
    assert len(told) == 1 and "Connection refused" in told[0]


def test_a_web_address_that_never_ends_its_answer_holds_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the events behind it, nor the end of the process, which has nobody to wait for."""
    monkeypatch.setattr(failover_hooks, "HOOK_S", 0.3)
    over = threading.Event()

    def drip(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                calling, _ = listener.accept()
                threading.Thread(target=trickle, args=(calling,), daemon=True).start()

    def trickle(calling: socket.socket) -> None:
        with calling, contextlib.suppress(OSError):
            calling.sendall(b"HTTP/1.1 200 OK\r\nX: ")
            while not over.wait(0.05):
                calling.sendall(b"a")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=drip, args=(listener,), daemon=True).start()
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        began, events = time.monotonic(), failover_hooks.HANGING_MAX + 2
        told = run_hooks(lambda told: len(told) == events, webhook=address, tell=events)
        took = time.monotonic() - began
        over.set()
        listener.shutdown(socket.SHUT_RDWR)
    late = f"hook_failed: {address} was not told of an event: it took longer than 0 s"
    full = f"hook_failed: {address} was not told of an event: {failover_hooks.HANGING_MAX} calls of before"
    assert told == [late] * failover_hooks.HANGING_MAX + [f"{full} have not come back"] * 2
    assert took < 15


def test_callbacks_come_in_order_and_one_that_fails_stops_nothing() -> None:
    heard: list[Any] = []

    def fails(_: object) -> None:
        raise ZeroDivisionError("a bug")

    told = run_hooks(lambda _: len(heard) == 3, callbacks=(fails, heard.append), tell=3)
    assert heard == [EVENT] * 3
    assert told == ["hook_failed: a callback was not told of an event: a bug"] * 3


def test_what_slow_hooks_cannot_take_is_left_out_and_told() -> None:
    go = threading.Event()

    def slow(_: object) -> None:
        go.wait(10)

    def until(told: list[str]) -> bool:
        if told:
            go.set()
        return bool(told)

    told = run_hooks(until, callbacks=(slow,), tell=failover_hooks.WAITING_MAX + 3)
    assert told == ["hooks_behind: the hooks of failover are too slow: events are left out"]
