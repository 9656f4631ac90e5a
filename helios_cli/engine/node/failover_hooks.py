"""Whoever wants to hear of changes of the lead: Python callbacks, a shell command, a web address."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import threading
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any, Final

from helios_cli.engine.config.settings import Settings

log = logging.getLogger(__name__)

KINDS: Final = frozenset(
    ("primary_silent", "primary_sick", "primary_well", "elected", "not_elected", "promoted", "deposed", "retargeted",
     "gave_way", "lease_over", "lease_held", "failover_paused", "failover_resumed", "etcd_lost", "etcd_back")
)  # fmt: skip
"""Events that are handed on."""

HOOK_S: Final = 10.0
"""A command that takes longer is killed; a callback or a web address is not waited for any longer."""
WEBHOOK_S: Final = 3.0
"""Of each attempt; a server that sends a byte now and then may keep it for longer."""
ATTEMPTS: Final = 3
HANGING_MAX: Final = 4
"""So many calls may hang; nothing is called while there are as many."""
WAITING_MAX: Final = 256
"""Events that wait for a slow hook; further ones are dropped, and that is told."""

Happened = Mapping[str, Any]
"""``node_id``, ``kind``, ``message``, ``severity``, and the event's own fields."""


class FailoverHooks:
    """Hands events on one after the other, apart from whatever made them. On the loop, but for :meth:`tell`."""

    def __init__(self, node_id: str, settings: Callable[[], Settings], event: Callable[..., None]) -> None:
        self._node_id = node_id
        self._settings = settings
        self._event = event
        self._callbacks: list[Callable[[Happened], object]] = []
        self._waiting: asyncio.Queue[Happened] = asyncio.Queue(WAITING_MAX)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._dropping = False
        self._calling = 0

    def on_failover(self, callback: Callable[[Happened], object]) -> None:
        """Call back, on a thread, with every such event."""
        self._callbacks.append(callback)

    def tell(self, kind: str, message: str, severity: str, fields: Mapping[str, Any]) -> None:
        """Something has happened. From any thread; never waits."""
        loop = self._loop
        if kind in KINDS and loop is not None:
            happened = {"node_id": self._node_id, "kind": kind, "message": message, "severity": severity, **fields}
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._enqueue, happened)

    def _enqueue(self, happened: Happened) -> None:
        try:
            self._waiting.put_nowait(happened)
            self._dropping = False
        except asyncio.QueueFull:
            if not self._dropping:
                self._dropping = True
                self._event(
                    "hooks_behind", "the hooks of failover are too slow: events are left out", severity="warning"
                )

    async def run(self) -> None:
        """Until cancelled."""
        self._loop = asyncio.get_running_loop()
        try:
            while True:
                await self._hand_on(await self._waiting.get())
        finally:
            self._loop = None

    async def _hand_on(self, happened: Happened) -> None:
        settings = self._settings()
        for callback in tuple(self._callbacks):
            await self._try("a callback", lambda callback=callback: callback(happened))  # type: ignore[misc]
        if settings.failover_hook:
            await self._run_command(settings.failover_hook, happened)
        if settings.failover_webhook:
            await self._try(settings.failover_webhook, lambda: _post(settings.failover_webhook, happened))

    async def _try(self, what: str, work: Callable[[], object]) -> None:
        if self._calling >= HANGING_MAX:
            self._failed(what, f"{self._calling} calls of before have not come back")
            return
        try:
            async with asyncio.timeout(HOOK_S):
                await self._apart(work)
        except TimeoutError:
            self._failed(what, f"it took longer than {HOOK_S:.0f} s")
        except Exception as error:
            self._failed(what, str(error) or type(error).__name__)

    async def _apart(self, work: Callable[[], object]) -> None:
        """Call on a thread that nobody waits for when the process ends: there is no other way out of a call that hangs.

        Raises whatever it raises, but for its TimeoutError: OSError.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()

        def came_back(error: Exception | None) -> None:
            self._calling -= 1
            if done.done():
                return
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(OSError("it timed out") if isinstance(error, TimeoutError) else error)

        def call() -> None:
            problem: Exception | None = None
            try:
                work()
            except Exception as error:
                problem = error
            with contextlib.suppress(RuntimeError):  # The loop is closed: nobody asks any more.
                loop.call_soon_threadsafe(came_back, problem)

        self._calling += 1
        threading.Thread(target=call, name="failover hook", daemon=True).start()
        await done

    async def _run_command(self, command: str, happened: Happened) -> None:
        """The command has the event as JSON on its input, and its name in the environment."""
        environment = os.environ | {"HELIOSDB_EVENT": str(happened["kind"]), "HELIOSDB_NODE_ID": self._node_id}
        try:
            process = await asyncio.create_subprocess_exec(
                "/bin/sh", "-c", command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE, env=environment, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            self._failed("failover_hook", str(error))
            return
        try:
            async with asyncio.timeout(HOOK_S):
                _out, told = await process.communicate(json.dumps(happened).encode())
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, 9)
            await process.wait()
            self._failed("failover_hook", f"it took longer than {HOOK_S:.0f} s")
            return
        if process.returncode:
            last = told.decode(errors="replace").strip().splitlines()[-1:]
            self._failed("failover_hook", f"exit code {process.returncode}" + (f": {last[0]}" if last else ""))

    def _failed(self, what: str, why: str) -> None:
        self._event("hook_failed", f"{what} was not told of an event: {why}", severity="warning")


def _post(address: str, happened: Happened) -> None:
    """POST an event; again when that fails. Raises OSError, ValueError."""
    for attempt in range(1, ATTEMPTS + 1):
        request = urllib.request.Request(
            address, json.dumps(happened).encode(), {"Content-Type": "application/json"}, method="POST"
        )
        try:
            with urllib.request.urlopen(request, timeout=WEBHOOK_S):
                return
        except OSError:
            if attempt == ATTEMPTS:
                raise
