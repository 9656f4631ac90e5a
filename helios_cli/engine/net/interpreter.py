"""What a server asks of the interpreter, and of the C library, that it has to itself."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import sys
import threading
from collections.abc import Iterator
from typing import Final

SWITCH_INTERVAL_S: Final = 0.0005
"""How long a worker thread may keep the GIL from the loop; Python's default of 5 ms would be felt by every client."""

YOUNG_MAX: Final = 10_000
"""New containers after which those that live are searched for cycles. Python's default, 700, is reached within a
millisecond, by containers of which next to none is in a cycle; searching takes a seventh of a standby's replay."""

YOUNG_FEW: Final = 2_000
"""The same for a server of which next to all new containers live for a while: each search is to be short."""

OLDER: Final = (5, 1000)
"""After how many searches of the younger generation the next older one is searched too: often enough that one takes
milliseconds, and so rarely the whole, which takes longer the more is held, that no client meets it twice."""

_COUNTING: Final = threading.Lock()
_without = 0
"""How many threads are in :func:`without_searches`."""

_M_MXFAST: Final = 1
"""glibc's name for the largest block that is freed without being joined to its neighbors (malloc.h)."""


def tune(young_max: int = YOUNG_MAX) -> None:
    """Set up the process of a server."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.set_threshold(young_max, *OLDER)
    # What is there by now, modules above all, stays to the end: no search for cycles need walk it again.
    gc.freeze()
    join_freed_blocks()


@contextlib.contextmanager
def without_searches() -> Iterator[None]:
    """Build and drop something large without cycles, a syntax tree say.

    The search for cycles is set off by new containers, and walks all of them again and again: 5 to 20 ms each time, in
    which no thread runs.
    """
    global _without
    with _COUNTING:
        _without += 1
        gc.disable()
    try:
        yield
    finally:
        with _COUNTING:
            _without -= 1
            if not _without:
                gc.enable()


def join_freed_blocks() -> bool:
    """Have glibc join freed blocks to their neighbors at once; False with another C library, which stays as it is.

    A change of the schema makes every connection free SQLite's whole schema, tens of thousands of small blocks, and
    read it anew. Kept apart until the next large block is asked for, they cost more than joined as they come.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):
        return bool(ctypes.CDLL(None).mallopt(_M_MXFAST, 0))
    return False
