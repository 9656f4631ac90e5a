"""Rows of pg_timezone_names and pg_timezone_abbrevs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo, available_timezones

from helios_cli.engine.datatypes.zoned import ABBREVIATIONS

Row = dict[str, Any]

_SUMMER: Final = {
    "ACDT", "ADT", "AEDT", "AKDT", "BST", "CADT", "CDT", "CEST", "CETDST", "EDT", "EEST", "FNST", "IDT", "KDT", "MDT",
    "MEST", "MESZ", "METDST", "NDT", "NZDT", "PDT", "UYST", "WADT", "WDT", "WETDST", "YEKST",
}  # fmt: skip
"""Abbreviations of daylight saving time."""


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
    for name, hours in sorted(ABBREVIATIONS.items()):
        yield {"abbrev": name, "utc_offset": _interval(timedelta(hours=hours)), "is_dst": int(name in _SUMMER)}


def _interval(offset: timedelta) -> str:
    """An offset as an interval is stored."""
    seconds = int(offset.total_seconds())
    hours, rest = divmod(abs(seconds), 3600)
    return f"{'-' if seconds < 0 else ''}{hours:02d}:{rest // 60:02d}:{rest % 60:02d}"
