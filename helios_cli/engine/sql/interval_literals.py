"""Constants that are read as intervals with fields: ``interval '5' hour``."""

from __future__ import annotations

import re
from typing import Final

from helios_cli.engine.sql import sqltext
from helios_cli.engine.sql.oids import UNKNOWN
from helios_cli.engine.sql.typed import TypedSql

_INTERVAL_UNITS: Final = (
    (1 << 12, "second"),
    (1 << 11, "minute"),
    (1 << 10, "hour"),
    (1 << 3, "day"),
    (1 << 1, "month"),
    (1 << 2, "year"),
)
"""Bits of an interval's field mask, the smallest unit first."""
_MINUTE_TO_SECOND: Final = 0x1800
_TWO_PARTS: Final = re.compile(r"((?:^|\s)[+-]?)(\d+:\d+)(?=\s|$)")
_LAST_NUMBER: Final = re.compile(r"(?:^|\s)[+-]?\d+(?:\.\d*)?\s*$")


def counted(text: str, typmod: int) -> str:
    """The text of an interval with fields: a number at its end counts the last of them."""
    mask = (typmod >> 16) & 0x7FFF
    if mask == 0x7FFF:
        return text
    if mask == _MINUTE_TO_SECOND:
        text = _TWO_PARTS.sub(r"\g<1>0:\g<2>", text)
    if _LAST_NUMBER.search(text):
        text = f"{text} {next(unit for bit, unit in _INTERVAL_UNITS if mask & bit)}"
    return text


def counted_interval(value: TypedSql, text: str | None, typmod: int) -> TypedSql:
    """A string constant that is read as such an interval; another value as it is."""
    meant = counted(text, typmod) if text is not None else None
    if meant == text or meant is None:
        return value
    return TypedSql(
        sqltext.quote_string(meant), UNKNOWN, not_null=True, simple=True, value=meant, location=value.location
    )
