"""Wall clocks that jump, of one process at a time and while it runs; what is steady stays so."""

from __future__ import annotations

import mmap
import os
import struct
from pathlib import Path

HOOK = Path(__file__).parent / "wall_clock_hook"


class WallClock:
    """What a node that is started with ``environment`` takes for the time of day."""

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
        path = os.pathsep.join([str(HOOK), *filter(None, [os.environ.get("PYTHONPATH")])])
        return {"PYTHONPATH": path, "TEST_WALL_CLOCK": str(self._path)}

    def jump(self, seconds: float) -> None:
        """Be so far ahead of the true time from now on; behind it when negative."""
        self._offset_ns[:8] = struct.pack("q", round(seconds * 1e9))
