"""A TCP link through this process that a test can cut and mend, and that may be slow in one direction."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from types import TracebackType


class TcpLink:
    """Forwards connections to a port of this machine while it is not cut."""

    def __init__(self, target_port: int, *, answers_later_s: float = 0.0) -> None:
        """``answers_later_s``: how much later what the target sends comes out here."""
        self._target_port = target_port
        self._answers_later_s = answers_later_s
        self._listener = socket.create_server(("127.0.0.1", 0))
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
                far = socket.create_connection(("127.0.0.1", self._target_port), 5)
            except OSError:
                _shut(near)
                continue
            far.settimeout(None)
            with self._lock:
                self._open.update((near, far))
            self._start(self._forward, near, far, 0.0)
            self._start(self._forward, far, near, self._answers_later_s)

    def _forward(self, source: socket.socket, target: socket.socket, later_s: float) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                time.sleep(later_s)
                target.sendall(data)
        _shut(source)
        _shut(target)


def _shut(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
    sock.close()
