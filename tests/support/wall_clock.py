"""Wall clocks that jump, of one process at a time and while it runs; what is steady stays so."""

from __future__ import annotations

import mmap
import os
import struct
from pathlib import Path
from typing import Final

HOOK: Final = Path(__file__).parent / "clock_hook"
VARIABLE: Final = "HELIOS_WALL_CLOCK"
"""A file, or a directory in which each node has one of its name."""


class WallClock:
    """What a node that is started with :func:`environment` takes for the time of day."""

    def __init__(self, path: Path) -> None:
        """``path`` is a file of this clock alone."""
        self._path = path
        path.write_bytes(bytes(8))
        descriptor = os.open(path, os.O_RDWR)
        self._offset_ns = mmap.mmap(descriptor, 8)
        os.close(descriptor)

    @property
    def environment(self) -> dict[str, str]:
        """Variables of the process."""
        return environment(self._path)

    def jump(self, seconds: float) -> None:
        """Be so far ahead of the true time from now on; behind it when negative."""
        self._offset_ns[:8] = struct.pack("q", round(seconds * 1e9))


def environment(path: Path) -> dict[str, str]:
    """Variables of processes whose clocks are that file, or are in that directory."""
    search = os.pathsep.join([str(HOOK), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {"PYTHONPATH": search, VARIABLE: str(path)}
