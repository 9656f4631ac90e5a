"""What range types are made of, built-in and users' alike: an OID tells."""

from __future__ import annotations

from typing import Final

from helios_cli.engine.datatypes import registry
from helios_cli.engine.datatypes.catalog import RANGE_CODECS
from helios_cli.engine.datatypes.ranges import MULTIRANGES, RANGES, RangeCodec
from helios_cli.engine.datatypes.usertypes import kind_of, user_range_codec

_MULTIRANGE_OF: Final = {found: many for many, found in MULTIRANGES.items()}


def is_range(oid: int) -> bool:
    """Whether values of the type are ranges."""
    return oid in RANGES or (kind_of(oid) == "r" and not oid & 1)


def is_multirange(oid: int) -> bool:
    """Whether values of the type are multiranges."""
    return oid in MULTIRANGES or (kind_of(oid) == "m" and not oid & 1)


def range_of(multirange: int) -> int:
    """The range type of a multirange type; 0 for other types."""
    return MULTIRANGES.get(multirange, 0) or (multirange - 2 if is_multirange(multirange) else 0)


def multirange_of(found: int) -> int:
    """The multirange type of a range type; 0 for other types."""
    return _MULTIRANGE_OF.get(found, 0) or (found + 2 if is_range(found) else 0)


def subtype_of(oid: int) -> int:
    """The type of the bounds of a range or multirange, the base type of a domain; 0 for other types."""
    if kind_of(oid):
        return codec_of(oid).subtype.oid if is_range(oid) or is_multirange(oid) else 0
    return RANGES.get(range_of(oid) or oid, 0)


def codec_of(oid: int) -> RangeCodec:
    """The conversions and the arithmetic of a range or multirange type. Raises KeyError for other types."""
    found = RANGE_CODECS.get(oid) or user_range_codec(oid, registry.by_oid)
    if found is None:
        raise KeyError(oid)
    return found
