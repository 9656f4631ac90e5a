"""Texts of dates and times that only PostgreSQL's rules make sense of, with what PostgreSQL 15 reads in them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC
from typing import Any, Final

import pytest

from helios_cli.engine.datatypes import datetimes
from helios_cli.engine.datatypes.datetime_in import TimeContext
from helios_cli.engine.datatypes.styled import Style, StyledZone
from helios_cli.engine.datatypes.zoned import find_zone
from helios_cli.engine.errors import SqlError

_FORMS: Final[dict[str, tuple[Callable[..., Any], Callable[[Any], bytes]]]] = {
    "date": (datetimes.parse_date, datetimes.format_date),
    "time": (datetimes.parse_time, datetimes.format_time),
    "timetz": (datetimes.parse_timetz, str.encode),
    "timestamp": (datetimes.parse_timestamp, datetimes.format_timestamp),
    "timestamptz": (datetimes.parse_timestamptz, datetimes.format_timestamptz),
}
TEXTS: Final = (
    ("date", "MDY", "January 8, 99 BC", "0099-01-08 BC"),
    ("date", "MDY", "99 Jan 08", "22007"),
    ("date", "MDY", "08 Jan 99", "1999-01-08"),
    ("date", "MDY", "Jan 08 99", "1999-01-08"),
    ("date", "MDY", "99 01 08", "22008"),
    ("date", "MDY", "01 08 99", "1999-01-08"),
    ("date", "MDY", "08 01 99", "1999-08-01"),
    ("date", "MDY", "1999 01 08", "1999-01-08"),
    ("date", "MDY", "y2001m02d04", "2001-02-04"),
    ("date", "MDY", "J2451187", "1999-01-08"),
    ("date", "MDY", "1999-038", "1999-02-07"),
    ("date", "MDY", "1999.038", "1999-02-07"),
    ("date", "MDY", "08-Jan-99", "1999-01-08"),
    ("date", "MDY", "99-Jan-08", "22008"),
    ("date", "MDY", "Jan/08/99", "1999-01-08"),
    ("date", "MDY", "2001-02-29", "22008"),
    ("date", "MDY", "0000-01-01", "22008"),
    ("date", "MDY", "20010203", "2001-02-03"),
    ("date", "MDY", "970207", "1997-02-07"),
    ("date", "MDY", "{1999-01-08}", "1999-01-08"),
    ("date", "MDY", "1999-01-08 25:00", "22008"),
    ("date", "YMD", "99 Jan 08", "1999-01-08"),
    ("date", "YMD", "99-08-Jan", "22007"),
    ("date", "YMD", "January 8, 99 BC", "22008"),
    ("date", "YMD", "08 Jan 1999", "1999-01-08"),
    ("date", "YMD", "99 01 08", "1999-01-08"),
    ("date", "YMD", "01 08 1999", "22008"),
    ("date", "DMY", "08 01 99", "1999-01-08"),
    ("date", "DMY", "99 08 Jan", "22007"),
    ("date", "DMY", "18 01 99", "1999-01-18"),
    ("timestamp", "MDY", "2000-03-15 08:14:01 GMT+8", "2000-03-15 08:14:01"),
    ("timestamp", "MDY", "97FEB10 5:32:01PM UTC", "22007"),
    ("timestamp", "MDY", "19970710 173201 America/New_York", "1997-07-10 17:32:01"),
    ("timestamp", "MDY", "20011225T040506.789-07", "2001-12-25 04:05:06.789"),
    ("timestamp", "MDY", "2001-12-25 T 04:05", "2001-12-25 04:05:00"),
    ("timestamp", "MDY", "J2451187.5", "1999-01-08 12:00:00"),
    ("timestamp", "MDY", "20010203 12:34 PM BC", "2001-02-03 12:34:00 BC"),
    ("timestamp", "MDY", "1999-01-08 040506 Nowhere/Land", "22023"),
    ("timestamp", "MDY", "infinity mm05", "22007"),
    ("timestamp", "MDY", "epoch", "1970-01-01 00:00:00"),
    ("timestamp", "MDY", "1999-01-08 24:00", "1999-01-09 00:00:00"),
    ("timestamp", "MDY", "1999-01-08 24:01", "22008"),
    ("timestamp", "MDY", "1999-01-08 13:00 PM", "22008"),
    ("timestamp", "MDY", "1999-01-08 04:05:06 +16", "22009"),
    ("timestamptz", "MDY", "1999-01-08 04:05:06 PST+8", "1999-01-08 12:05:06+00"),
    ("timestamptz", "MDY", "1999-01-08 04:05:06 MST+7:00", "1999-01-08 11:05:06+00"),
    ("timestamptz", "MDY", "2005-07-01 12:00 MSK", "2005-07-01 09:00:00+00"),
    ("timestamptz", "MDY", "1999-07-08 04:05:06 America/New_York", "1999-07-08 08:05:06+00"),
    ("timestamptz", "MDY", "1999-01-08 04:05 EST DST", "1999-01-08 08:05:00+00"),
    ("timestamptz", "MDY", "1999-01-08 04:05 +0530", "1999-01-07 22:35:00+00"),
    ("timestamptz", "MDY", "1999-01-08 zulu", "1999-01-08 00:00:00+00"),
    ("time", "MDY", "040506", "04:05:06"),
    ("time", "MDY", "04:05 PM", "16:05:00"),
    ("time", "MDY", "T040506", "04:05:06"),
    ("time", "MDY", "h04mm05s06.5", "04:05:06.5"),
    ("time", "MDY", "15:36:39 America/New_York", "22007"),
    ("time", "MDY", "2003-07-07 15:36:39 America/New_York", "15:36:39"),
    ("time", "MDY", "allballs", "00:00:00"),
    ("time", "MDY", "24:00:01", "22008"),
    ("time", "MDY", "04.05", "22007"),
    ("timetz", "MDY", "040506-08", "04:05:06-08"),
    ("timetz", "MDY", "04:05:06 PST", "04:05:06-08"),
    ("timetz", "MDY", "15:36:39 m2", "22007"),
    ("timetz", "MDY", "2003-07-07 15:36:39 America/New_York", "15:36:39-04"),
    ("timetz", "MDY", "23:59:60 PDT", "24:00:00-07"),
)
"""Type, order of DateStyle, text, and the value or the SQLSTATE."""


@pytest.mark.parametrize(("type_name", "order", "text", "expected"), TEXTS)
def test_texts_are_read_as_postgresql_reads_them(type_name: str, order: str, text: str, expected: str) -> None:
    context = TimeContext(StyledZone(UTC, Style(order=order)), find_zone=find_zone)
    parse, show = _FORMS[type_name]
    try:
        found = show(parse(text, context)).decode()
    except SqlError as error:
        found = str(error.sqlstate)
    assert found == expected
