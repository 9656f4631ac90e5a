"""The only module that reads the clock."""

from __future__ import annotations

import time


class SystemClock:
    """The machine's clocks, as :class:`~helios_cli.engine.ports.Clock`."""

    @staticmethod
    def monotonic_ns() -> int:
        """CLOCK_BOOTTIME: never steps back and goes on while the machine is suspended."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    @staticmethod
    def wall_us() -> int:
        """Microseconds since 1970-01-01 UTC."""
        return time.time_ns() // 1000
