"""Rows of pg_timezone_names and pg_timezone_abbrevs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from helios_cli.engine.datatypes.zone_abbreviations import BY_ZONE, FIXED, SUMMER

Row = dict[str, Any]


def names() -> Iterator[Row]:
    """Every zone of the time zone database, with what it has at this moment."""
    now = datetime.fromtimestamp(time.time(), UTC)
    for name in sorted(available_timezones()):
        local = now.astimezone(ZoneInfo(name))
        yield {
            "name": name, "abbrev": local.tzname(), "utc_offset": _interval(local.utcoffset() or timedelta()),
            "is_dst": int(bool(local.dst())),
        }  # fmt: skip


def abbreviations() -> Iterator[Row]:
    """The abbreviations that times may be written with."""
    for name, seconds in FIXED.items():
        yield {"abbrev": name, "utc_offset": _interval(timedelta(seconds=seconds)), "is_dst": int(name in SUMMER)}
    now = datetime.fromtimestamp(time.time(), UTC)
    for name, zone in BY_ZONE.items():
        local = now.astimezone(ZoneInfo(zone))
        offset = _interval(local.utcoffset() or timedelta())
        yield {"abbrev": name, "utc_offset": offset, "is_dst": int(bool(local.dst()))}


def _interval(offset: timedelta) -> str:
    """An offset as an interval is stored."""
    seconds = int(offset.total_seconds())
    hours, rest = divmod(abs(seconds), 3600)
    return f"{'-' if seconds < 0 else ''}{hours:02d}:{rest // 60:02d}:{rest % 60:02d}"
