"""Names of time zones, checked when a session sets one: a wrong name must not silently mean UTC."""

from __future__ import annotations

from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from helios_cli.engine.errors import SqlError

NAME_MAX: Final = 255


def check_timezone(value: str) -> str:
    """The zone's name as the time zone database spells it; case does not matter. Raises SqlError 22023."""
    found = _zone(value.strip()) if len(value) <= NAME_MAX else None
    if found is None:
        raise SqlError(
            f'invalid value for parameter "TimeZone": "{value}"',
            sqlstate="22023",
            hint="Use a name of the time zone database, Europe/Berlin for example.",
        )
    return found


@lru_cache(64)
def _zone(name: str) -> str | None:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        folded = name.lower()
        return next((zone for zone in available_timezones() if zone.lower() == folded), None)
    return name
