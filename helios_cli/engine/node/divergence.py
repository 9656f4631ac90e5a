"""What a standby finds when a record leads it to another state than the primary."""

from __future__ import annotations

from helios_cli.engine.errors import HeliosError
from helios_cli.engine.log.record import RecordHeader


class Diverged(HeliosError):
    """A record led to another state than it did on the primary."""

    sqlstate = "XX001"


def check(header: RecordHeader, found: int) -> None:
    """Compare a database's checksum behind a record with what the record says. Raises Diverged."""
    if found != header.db_checksum:
        raise diverged_at(header, found)


def diverged_at(header: RecordHeader, found: int) -> Diverged:
    """The error to tell of."""
    return Diverged(
        f"the database has checksum {found:016x} after the record at {header.lsn}, "
        f"the primary had {header.db_checksum:016x}",
        hint="Copy the node anew: stop it, empty its data directory, and start it as a standby.",
    )
