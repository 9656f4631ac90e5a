"""A TCP link through this process that can be cut and mended, and that can take its time."""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
import time
from types import TracebackType


class TcpLink:
    """Forwards connections to a port while it is not cut."""

    def __init__(
        self,
        target_port: int,
        target_host: str = "127.0.0.1",
        address: str = "127.0.0.1",
        *,
        port: int = 0,
        answers_later_s: float = 0.0,
    ) -> None:
        """``address`` is its own; without a ``port`` it is on a free one. ``answers_later_s``: how much later what the
        target sends comes out here.
        """
        self._answers_later_s = answers_later_s
        self.delay_s = 0.0
        """How much later than it could be everything arrives, in both directions; may change at any time."""
        self.sent: list[bytes] | None = None
        """Set to a list, it gets everything that goes to the target."""
        self.target = (target_host, target_port)
        self._listener = socket.create_server((address, port))
        self.port = int(self._listener.getsockname()[1])
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._cut = False
        self._start(self._accept)

    def __enter__(self) -> TcpLink:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End every connection, and listen no longer."""
        self.cut()
        _shut(self._listener)
        for thread in self._threads:
            thread.join(5)

    def cut(self) -> None:
        """End every connection, and take none."""
        with self._lock:
            self._cut = True
            for each in self._open:
                _shut(each)
            self._open.clear()

    @property
    def is_cut(self) -> bool:
        """Whether it takes no connections."""
        return self._cut

    def mend(self) -> None:
        """Take connections again."""
        with self._lock:
            self._cut = False

    def _start(self, work: object, *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                if self._cut:
                    _shut(near)
                    continue
            try:
                far = socket.create_connection(self.target, 5)
            except OSError:
                _shut(near)
                continue
            far.settimeout(None)
            with self._lock:
                self._open.update((near, far))
            self._start(self._forward, near, far, far, 0.0)
            self._start(self._forward, far, near, far, self._answers_later_s)

    def _forward(self, source: socket.socket, target: socket.socket, far: socket.socket, later_s: float) -> None:
        waiting: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()
        self._start(self._deliver, waiting, target)
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                if self.sent is not None and target is far:
                    self.sent.append(data)
                waiting.put((time.monotonic() + later_s + self.delay_s, data))
        waiting.put((0.0, b""))
        _shut(source)

    def _deliver(self, waiting: queue.SimpleQueue[tuple[float, bytes]], target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                due, data = waiting.get()
                if not data:
                    break
                time.sleep(max(0.0, due - time.monotonic()))
                target.sendall(data)
        _shut(target)


def _shut(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
    sock.close()
