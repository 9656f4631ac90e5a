"""Read by a Python that starts with this directory on its path: its time of day is as far off as a file says.

The file is ``HELIOS_WALL_CLOCK``, or the one of the node's name where that is a directory. Only what is read through
:mod:`time` is off, which is how a node reads it; the steady clocks stay as they are.
"""

from __future__ import annotations

import mmap
import os
import struct
import sys
import time

_true_ns = time.time_ns


def _hook(path: str) -> None:
    if os.path.isdir(path):
        arguments = sys.orig_argv
        name = arguments[arguments.index("--node-id") + 1] if "--node-id" in arguments else ""
        path = os.path.join(path, name)
    if not os.path.isfile(path):
        return
    descriptor = os.open(path, os.O_RDONLY)
    offset_ns = mmap.mmap(descriptor, 8, access=mmap.ACCESS_READ)

    def time_ns() -> int:
        return _true_ns() + int(struct.unpack("q", offset_ns[:8])[0])

    time.time_ns = time_ns
    time.time = lambda: time_ns() / 1e9


if os.environ.get("HELIOS_WALL_CLOCK"):
    _hook(os.environ["HELIOS_WALL_CLOCK"])
