"""Names of time zones, checked when a session sets one: a wrong name must not silently mean UTC."""

from __future__ import annotations

from datetime import UTC
from functools import lru_cache
from typing import Final

from helios_cli.engine.datatypes.datetime_in import TimeContext
from helios_cli.engine.datatypes.zoned import find_zone, hours_east, posix_zone, spelling_of, zone_of_hours
from helios_cli.engine.errors import SqlError

NAME_MAX: Final = 255


def check_timezone(value: str) -> str:
    """The zone's name as the time zone database spells it; case does not matter. Raises SqlError 22023.

    A number is hours east of UTC and gets the name that PostgreSQL gives it: 3 is ``<+03>-03``. Rules are in upper
    case, which drivers rely on: ``gmt-3`` is ``GMT-3``.
    """
    found = _zone(value.strip()) if len(value) <= NAME_MAX else None
    if found is None:
        raise SqlError(
            f'invalid value for parameter "TimeZone": "{value}"',
            sqlstate="22023",
            hint="Use a name of the time zone database, Europe/Berlin for example.",
        )
    return found


@lru_cache(64)
def time_context(name: str) -> TimeContext:
    """What a zone adds to the reading and writing of timestamps. An unknown name counts as UTC."""
    return TimeContext(zone=find_zone(name) or UTC, find_zone=find_zone)


@lru_cache(64)
def _zone(name: str) -> str | None:
    hours = hours_east(name)
    if hours is not None:
        return zone_of_hours(hours)
    spelled = spelling_of(name)
    return name.upper() if spelled is None and posix_zone(name) is not None else spelled
