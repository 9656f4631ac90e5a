"""Room for texts that nest deeply: PostgreSQL's parser calls itself for every level, and never looks how deep it is.

A chain of operators that is longer than the stack has room for would end the process, and with it the node.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final, TypeVar

from helios_cli.engine.errors import SqlError

SHALLOW_MAX: Final = 32 * 1024
"""Characters of a text that any thread's stack has room for; 8 MB are enough for three times as many."""
DEEP_STACK: Final = 512 << 20
"""Bytes of address space for the stack on which longer texts are planned: enough for ``planner.NESTING_MAX``."""
_NAME: Final = "planner"

Result = TypeVar("Result")
_here: Final = threading.local()
_STARTING: Final = threading.Lock()
"""The size of a new thread's stack is the process's."""


def pause() -> None:
    """Called by long work about every millisecond: others are let in where :func:`with_room_to_nest` was told how."""
    let_in: Callable[[], None] | None = getattr(_here, "let_in", None)
    if let_in is not None:
        let_in()


def with_room_to_nest(sql: str, work: Callable[[], Result], let_in: Callable[[], None] | None = None) -> Result:
    """Parse or plan a text on a stack that no nesting in it can exhaust, and wait for it.

    ``let_in`` is called in between where the text is long. Python gives a thread that computes the interpreter whenever
    another one lets go of it for a system call, and back no sooner than after the switch interval: an event loop beside
    one that never sleeps is ten times as slow.

    Raises:
        SqlError: 54001, there is no memory for such a stack.
    """
    if len(sql) <= SHALLOW_MAX or threading.current_thread().name == _NAME:
        return work()
    outcome: list[Result | BaseException] = []

    def run() -> None:
        _here.let_in = let_in
        try:
            outcome.append(work())
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=run, name=_NAME, daemon=True)
    with _STARTING:
        before = threading.stack_size(DEEP_STACK)
        try:
            thread.start()
        except RuntimeError:
            raise too_deep() from None
        finally:
            threading.stack_size(before)
    thread.join()
    # Taken out: an error's traceback will hold this frame, and the frame must not hold the error.
    result = outcome.pop()
    try:
        if isinstance(result, BaseException):
            raise result
        return result
    finally:
        del result


def too_deep() -> SqlError:
    """The error for a statement whose expressions are nested too deeply."""
    hint = "Split the statement, or nest its expressions less deeply."
    return SqlError("stack depth limit exceeded", sqlstate="54001", hint=hint)
