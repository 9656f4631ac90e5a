"""How every process of the proxy runs: its loop, and its limits."""

from __future__ import annotations

import asyncio
import contextlib
import resource
from collections.abc import Callable, Coroutine
from typing import Any, Final

from helios_cli.engine.net.interpreter import YOUNG_FEW, tune

FILES_WANTED: Final = 1 << 16
"""Descriptors: one for each client and backend."""


def run_loop(work: Callable[[], Coroutine[Any, Any, int]]) -> int:
    """Run a coroutine function to its end, on uvloop where that is installed."""
    tune(YOUNG_FEW)
    factory: Callable[[], Any] | None = None
    with contextlib.suppress(ImportError):
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(work())


def raise_file_limit() -> None:
    """As many descriptors as the machine lets us have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_WANTED if hard == resource.RLIM_INFINITY else min(FILES_WANTED, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
