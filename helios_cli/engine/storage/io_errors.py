"""What the system said when SQLite could not read or write: SQLite itself tells "I/O error" for nearly everything."""

from __future__ import annotations

import apsw

from helios_cli.engine.storage.files import NO_SPACE


def note_errno(error: BaseException, connection: apsw.Connection) -> None:
    """Keep the system's error number with an I/O error that ``connection`` has just raised, for :func:`errno_of`."""
    if isinstance(error, apsw.IOError):
        error.system_errno = connection.system_errno  # type: ignore[attr-defined]


def errno_of(error: BaseException) -> int:
    """The number that :func:`note_errno` kept; 0 when there is none."""
    number = getattr(error, "system_errno", 0)
    return number if isinstance(number, int) else 0


def is_no_room(error: BaseException | None) -> bool:
    """Whether a write failed for want of room. A quota and a limit on file sizes are I/O errors to SQLite."""
    return isinstance(error, apsw.FullError) or (isinstance(error, apsw.IOError) and errno_of(error) in NO_SPACE)
