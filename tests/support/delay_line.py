"""A long cable between two network namespaces: whatever goes through arrives so much later, in its order.

Not every kernel has netem, which would do the same.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import queue
import select
import struct
import threading
import time
from typing import Final

TUNSETIFF: Final = 0x400454CA
IFF_TAP: Final = 0x0002
IFF_NO_PI: Final = 0x1000
"""Frames come without a word of their protocol before them (linux/if_tun.h)."""
FRAME_MAX: Final = 1 << 16


def tap(name: str) -> int:
    """A network interface in the calling thread's namespace that a descriptor is the other end of."""
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


class DelayLine:
    """Takes frames from either end to the other. Ends, with both interfaces, by :meth:`close`."""

    def __init__(self, near: int, far: int, delay_s: float) -> None:
        self.delay_s = delay_s
        """One way; may change at any time."""
        self._ends = (near, far)
        self._ended = os.eventfd(0)
        self._threads: list[threading.Thread] = []
        for source, target in ((near, far), (far, near)):
            waiting: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()
            self._start(self._take, source, waiting)
            self._start(self._deliver, waiting, target)

    def close(self) -> None:
        """Let go of both ends."""
        os.eventfd_write(self._ended, 1)
        for thread in self._threads:
            thread.join(5)
        for descriptor in (*self._ends, self._ended):
            os.close(descriptor)

    def _start(self, work: object, *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _take(self, source: int, waiting: queue.SimpleQueue[tuple[float, bytes]]) -> None:
        while self._ended not in select.select((source, self._ended), (), ())[0]:
            waiting.put((time.monotonic() + self.delay_s, os.read(source, FRAME_MAX)))
        waiting.put((0.0, b""))

    @staticmethod
    def _deliver(waiting: queue.SimpleQueue[tuple[float, bytes]], target: int) -> None:
        while True:
            due, frame = waiting.get()
            if not frame:
                return
            time.sleep(max(0.0, due - time.monotonic()))
            # An interface that is not up takes none.
            with contextlib.suppress(OSError):
                os.write(target, frame)
