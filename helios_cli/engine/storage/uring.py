"""Durable writes that the kernel makes by itself (io_uring(7)).

A thread that writes needs the interpreter's lock before and after each write: the event loop then waits for a thread
that first has to be woken up. The kernel needs no lock of ours.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import select
from typing import Any, Final

from helios_cli.engine.errors import IoFailed

log = logging.getLogger(__name__)

NOT_SERVED: Final = frozenset({errno.EAGAIN, errno.EINTR, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM})
"""The error numbers that say "not in this way", as opposed to "broken"."""

_ENTRIES: Final = 4


class Uring:
    """One write at a time. :attr:`fileno` is readable when it may be done."""

    def __init__(self) -> None:
        """Raises OSError where the system has no io_uring, or forbids it."""
        # Where the library was installed without its compiled part, or finds no io_uring, there is no such module.
        from caio import linux_uring

        if linux_uring is None:
            raise OSError(errno.ENOSYS, "this system has no io_uring")
        try:
            self._context: Any = linux_uring.Context(_ENTRIES)
        except Exception as error:
            raise OSError(errno.ENOSYS, f"this system refuses io_uring: {error}") from error
        self._write = linux_uring.Operation.write
        self.fileno: int = self._context.fileno
        self._operation: Any = None
        """Kept until it is done, and with it the bytes that the kernel reads."""
        self._result: int | None = None

    def start(self, descriptor: int, data: bytes, offset: int) -> None:
        """Begin to write all of ``data``.

        Raises:
            OSError: nothing has been begun, and nothing can be any more.
        """
        self._operation = operation = self._write(data, descriptor, offset)
        operation.set_callback(self._done)
        try:
            self._context.submit(operation)
            self._context.flush()
        except Exception as error:
            self._operation = None
            raise OSError(errno.EIO, f"io_uring: {error}") from error

    def _done(self, result: int) -> None:
        self._result = result

    def result(self) -> int | None:
        """The bytes written, or the negative error number; None: it is not done. What is told is told once."""
        with contextlib.suppress(BlockingIOError):
            self._context.poll()
        self._context.process_events()
        result, self._result = self._result, None
        if result is not None:
            self._operation = None
        return result

    def wait(self) -> int | None:
        """The :meth:`result`, waited for; None when nothing has been begun."""
        poller = select.poll()
        poller.register(self.fileno, select.POLLIN)
        while self._operation is not None:
            poller.poll()
            result = self.result()
            if result is not None:
                return result
        return None


def open_uring(method: str) -> Uring | None:
    """What writes the page log by the setting ``io_method``; None: a thread. Raises IoFailed."""
    if method == "worker":
        return None
    try:
        return Uring()
    except OSError as error:
        if method == "io_uring":
            hint = "Set io_method to worker, or to auto."
            raise IoFailed(f"io_method is io_uring, but {error.strerror}", hint=hint) from error
        log.info("a thread writes the page log: %s", error.strerror)
        return None
