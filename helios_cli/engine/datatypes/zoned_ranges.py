"""Ranges of dates and times as a session shows and reads them: their bounds in its time zone and style."""

from __future__ import annotations

from collections.abc import Callable
from datetime import tzinfo
from functools import partial
from typing import Any, Final

from helios_cli.engine.datatypes.catalog import RANGE_CODECS
from helios_cli.engine.datatypes.datetimes import format_timestamptz
from helios_cli.engine.datatypes.ranges import MULTIRANGES

ZONED_RANGES: Final = frozenset((3910, 4534))


def zoned_range_writer(oid: int, zone: tzinfo) -> Callable[[Any], bytes]:
    """From a stored value of one of :data:`ZONED_RANGES` to its text in ``zone``."""
    return range_writer(oid, partial(format_timestamptz, zone=zone))


def range_writer(oid: int, bound: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    """From a stored range or multirange to its text; ``bound`` writes a bound."""
    codec = RANGE_CODECS[oid]

    def leaf(value: Any) -> str:
        return bound(value).decode()

    if oid in MULTIRANGES:
        return lambda value: codec.write_many(codec.read_many(value), leaf).encode()
    return lambda value: codec.write(codec.read(value), leaf).encode()


def read_zoned_range(oid: int, text: str, bound: Callable[[str], Any]) -> str:
    """A range or multirange to be stored; ``bound`` reads a bound as the session has it. Raises 22P02."""
    codec = RANGE_CODECS[oid]
    if oid in MULTIRANGES:
        return codec.write_many(codec.read_many(text, bound))
    return codec.write(codec.read_text(text, bound))
