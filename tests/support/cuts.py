"""Ending whatever works on files after so many of its steps, each where a crash or a full disk could come."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from helios_cli.engine.storage.files import OsFile

ROOM = ("pwrite", "pwritev", "posix_fallocate", "sendfile", "mkdir", "rename", "replace")
"""Of the module os: what may find no room."""

CHANGES = (*ROOM, "ftruncate", "fsync", "unlink", "sync")
"""What changes files, or has them on the disk."""


class Cut(BaseException):
    """The process is dead from here on."""


def no_room() -> OSError:
    """What a full disk answers."""
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class Steps:
    """Counts the steps, and raises at one of them: half of what it writes is written then."""

    def __init__(self, at: int, error: Callable[[], BaseException]) -> None:
        self.taken = 0
        self._at = at
        self._error = error

    def before(self, half: Callable[[], object] | None = None) -> None:
        """One more step is about to be taken; ``half`` takes a part of it."""
        self.taken += 1
        if self.taken == self._at:
            if half is not None:
                half()
            raise self._error()


@contextmanager
def steps(at: int, error: Callable[[], BaseException], names: Sequence[str] = CHANGES) -> Iterator[Steps]:
    """Within, step ``at`` (from 1 on; 0: none) of those with these names raises what ``error`` makes."""
    counter = Steps(at, error)
    with pytest.MonkeyPatch.context() as patch:
        for name in names:
            where: Any = OsFile if name == "sync" else os
            patch.setattr(where, name, _counted(counter, name, getattr(where, name)))
        yield counter


def _counted(counter: Steps, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
    def taken(*arguments: Any, **named: Any) -> Any:
        if name == "pwrite":
            file, data, offset = arguments
            counter.before(lambda: real(file, memoryview(data)[: len(data) // 2], offset))
        else:
            counter.before()
        return real(*arguments, **named)

    return taken
