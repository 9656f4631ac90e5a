"""Read by a Python that starts with this directory on its path: its time of day is as far off as a file says.

Only what is read through :mod:`time` is, which is how a node reads it; the steady clocks stay as they are.
"""

from __future__ import annotations

import mmap
import os
import struct
import time

_FILE = os.open(os.environ["TEST_WALL_CLOCK"], os.O_RDONLY)
_OFFSET_NS = mmap.mmap(_FILE, 8, access=mmap.ACCESS_READ)
_true_ns = time.time_ns


def _time_ns() -> int:
    return _true_ns() + int(struct.unpack("q", _OFFSET_NS[:8])[0])


def _time() -> float:
    return _time_ns() / 1e9


time.time_ns = _time_ns
time.time = _time
