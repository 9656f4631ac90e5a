"""A node's clock, disk and links made bad on purpose, for drills, while it runs: ``allow_faults``.

What is wrong with them stands in a page of memory that the node shares with whoever drills, by a file in the data
directory: it can be changed at any moment, of a node too that does not answer. Four numbers of 64 bits:

    pid         whose page it is; of another process it says nothing
    clock_ns    how far the time of day is ahead; the steady clocks are as they were
    disk_us     how long each write to the page log and the control files takes at least, until this is 0 again
    link_us     how much later what is sent to other nodes leaves
"""

from __future__ import annotations

import asyncio
import mmap
import os
import time
from collections import deque
from collections.abc import Iterable
from typing import Any, Final, cast

from helios_cli.engine.storage import files

NAME: Final = "drill"
BYTES: Final = 32
PID, CLOCK_NS, DISK_US, LINK_US = range(4)

LOOK_S: Final = 0.005
"""How soon a disk that is held sees that it may go on."""
LATER_BYTES_MAX: Final = 64 << 20
"""What waits for a slow link; more leaves at once."""


class Drills:
    """Of this process."""

    def __init__(self) -> None:
        self._words: memoryview | None = None

    def open_for(self, directory: str | None) -> None:
        """Share the page of a data directory, in which nothing is wrong; None: nothing can be made bad here."""
        if directory is None:
            return
        descriptor = os.open(os.path.join(directory, NAME), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(descriptor, BYTES)
            self._words = words = memoryview(mmap.mmap(descriptor, BYTES)).cast("q")
        finally:
            os.close(descriptor)
        words[CLOCK_NS] = words[DISK_US] = words[LINK_US] = 0
        words[PID] = os.getpid()
        _move_clock(words)
        files.hold = _Hold(words)

    def slowed(self, transport: asyncio.BaseTransport) -> asyncio.Transport:
        """A connection to another node, whose bytes may leave later from now on."""
        real = cast(asyncio.Transport, transport)
        return real if self._words is None else cast(asyncio.Transport, LateTransport(real, self._words))


def _move_clock(words: memoryview) -> None:
    true_ns = time.time_ns

    def time_ns() -> int:
        return true_ns() + words[CLOCK_NS]

    time.time_ns = time_ns
    time.time = lambda: time_ns() / 1e9


class _Hold:
    """A disk that takes its time."""

    def __init__(self, words: memoryview) -> None:
        self._words = words

    def __bool__(self) -> bool:
        return bool(self._words[DISK_US])

    def wait(self) -> None:
        """Come back when a write has taken as long as it must."""
        begin = time.monotonic()
        while time.monotonic() - begin < self._words[DISK_US] / 1e6:
            time.sleep(LOOK_S)


class LateTransport:
    """The transport of a connection between nodes; what it sends keeps its order."""

    def __init__(self, real: asyncio.Transport, words: memoryview) -> None:
        self.real = real
        self._words = words
        self._waiting: deque[tuple[float, bytes]] = deque()
        self._bytes = 0

    def write(self, data: bytes) -> None:
        """Send bytes, now or later."""
        later_us = self._words[LINK_US]
        if not later_us and not self._waiting:
            self.real.write(data)
            return
        loop = asyncio.get_running_loop()
        due = loop.time() + later_us / 1e6
        if not self._waiting:
            loop.call_at(due, self._send, loop)
        # Whoever hands bytes over may use their memory again.
        self._waiting.append((max(due, self._waiting[-1][0] if self._waiting else due), bytes(data)))
        self._bytes += len(data)
        if self._bytes > LATER_BYTES_MAX:
            self._send(loop, everything=True)

    def writelines(self, pieces: Iterable[bytes]) -> None:
        """Send several pieces, now or later."""
        self.write(b"".join(pieces))

    def _send(self, loop: asyncio.AbstractEventLoop, *, everything: bool = False) -> None:
        now = loop.time() + 0.001  # timers of uvloop are as fine as that
        while self._waiting and (everything or self._waiting[0][0] <= now):
            _, data = self._waiting.popleft()
            self._bytes -= len(data)
            if not self.real.is_closing():
                self.real.write(data)
        if self._waiting:
            loop.call_at(self._waiting[0][0], self._send, loop)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


def real_of(transport: asyncio.Transport) -> asyncio.Transport:
    """What an event loop knows of a connection."""
    return transport.real if isinstance(transport, LateTransport) else transport


DRILLS: Final = Drills()
"""Of this process: it runs one node."""
