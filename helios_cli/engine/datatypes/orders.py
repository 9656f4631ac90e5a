"""The order of stored values of PostgreSQL's types (its B-tree operator classes).

Text itself needs no function: code points are PostgreSQL's collation "C". Types whose equal values may be written
differently, or whose order is not that of their text, have one of these.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from functools import cmp_to_key, lru_cache
from typing import Any, Final

from helios_cli.engine.datatypes.arrays import read_array
from helios_cli.engine.datatypes.datetimes import split_timetz
from helios_cli.engine.datatypes.interval import split_interval
from helios_cli.engine.datatypes.network import compare_addresses
from helios_cli.engine.types import Lsn

_DAY_US: Final = 86_400_000_000


def compare_values(left: object, right: object) -> int:
    """The order of two values that Python orders."""
    if left == right:
        return 0
    return -1 if left < right else 1  # type: ignore[operator]


@lru_cache(maxsize=8192)
def numeric_key(text: str) -> tuple[int, Decimal]:
    """A key that sorts numeric texts as PostgreSQL does: NaN equals itself and is above all.

    Text that is no number (never stored by the node) sorts below everything instead of failing: a collation
    cannot raise.
    """
    if text == "NaN":
        return 2, Decimal(0)
    try:
        return 1, Decimal(text)
    except ArithmeticError:
        return 0, Decimal(0)


def compare_numeric(left: str, right: str) -> int:
    """Numeric order of two decimal texts."""
    return 0 if left == right else compare_values(numeric_key(left), numeric_key(right))


@lru_cache(maxsize=4096)
def interval_key(text: str) -> int:
    """Microseconds of an interval with months of 30 days (interval_cmp_value, timestamp.c)."""
    try:
        months, days, microseconds = split_interval(text)
    except Exception:
        return 0
    return (months * 30 + days) * _DAY_US + microseconds


def compare_interval(left: str, right: str) -> int:
    """PostgreSQL's order of two intervals."""
    return 0 if left == right else compare_values(interval_key(left), interval_key(right))


@lru_cache(maxsize=1024)
def timetz_key(text: str) -> tuple[int, int]:
    """The moment in UTC, then the zone (timetz_cmp_internal, date.c)."""
    try:
        microseconds, offset = split_timetz(text)
    except Exception:
        return 0, 0
    return microseconds - offset * 1_000_000, -offset


def compare_timetz(left: str, right: str) -> int:
    """PostgreSQL's order of two times with time zone."""
    return 0 if left == right else compare_values(timetz_key(left), timetz_key(right))


@lru_cache(maxsize=4096)
def _array(text: str) -> tuple[list[str | None], tuple[int, ...]]:
    try:
        array = read_array(text, str)
    except Exception:
        return [text], (1,)
    return flatten(array.items), array.dims


def flatten(items: list[Any]) -> list[Any]:
    """The leaves of nested lists, in order."""
    return [leaf for item in items for leaf in (flatten(item) if isinstance(item, list) else [item])]


def array_comparison(key: Callable[[str], Any]) -> Callable[[str, str], int]:
    """Order of two array texts whose elements sort by ``key``: elements, then lengths; NULL is last (array_cmp)."""

    def compare(left: str, right: str) -> int:
        if left == right:
            return 0
        (ours, our_dims), (theirs, their_dims) = _array(left), _array(right)
        for one, other in zip(ours, theirs, strict=False):
            if one is None or other is None:
                if (one is None) != (other is None):
                    return 1 if one is None else -1
                continue
            order = compare_values(key(one), key(other))
            if order:
                return order
        return compare_values((len(ours), our_dims), (len(theirs), their_dims))

    return compare


def _float_key(text: str) -> tuple[int, float]:
    try:
        value = float(text)
    except ValueError:
        return 0, 0.0
    return (2, 0.0) if value != value else (1, value)


def _integer_key(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        return 0


@lru_cache(maxsize=4096)
def jsonb_key(text: str) -> Any:
    """A key that sorts jsonb texts as compareJsonbContainers does: by kind, then size, then content."""
    try:
        return _json_key(json.loads(text, parse_float=Decimal))
    except ValueError:
        return (-1, 0, ())


def _json_key(value: Any) -> Any:
    if isinstance(value, dict):
        pairs = sorted(value.items(), key=lambda pair: (len(pair[0]), pair[0]))
        return 6, len(pairs), tuple((key, _json_key(item)) for key, item in pairs)
    if isinstance(value, list):
        return (5, len(value), tuple(_json_key(item) for item in value)) if value else (-1, 0, ())
    if isinstance(value, bool):
        return 4, int(value), ()
    if isinstance(value, int | Decimal):
        return 3, Decimal(value), ()
    return (2, value, ()) if isinstance(value, str) else (1, 0, ())


def compare_jsonb(left: str, right: str) -> int:
    """PostgreSQL's order of two jsonb texts."""
    return 0 if left == right else compare_values(jsonb_key(left), jsonb_key(right))


@lru_cache(maxsize=4096)
def lsn_key(text: str) -> int:
    """The byte offset; below every LSN for text that is none, since a collation cannot raise."""
    try:
        return int(Lsn.parse(text))
    except ValueError:
        return -1


def compare_lsn(left: str, right: str) -> int:
    """Order of two LSNs."""
    return 0 if left == right else compare_values(lsn_key(left), lsn_key(right))


def compare_citext(left: str, right: str) -> int:
    """Order without regard to case, by the lower-case forms (citext.c)."""
    return 0 if left == right else compare_values(left.lower(), right.lower())


Comparison = Callable[[Any, Any], int]
"""Negative, zero or positive, for two stored values of one type."""


def _number_key(type_oid: int) -> Callable[[str], int]:
    """Days, microseconds or cents of the texts of a type; a collation cannot raise."""

    def key(text: str) -> int:
        # The types need this module.
        from helios_cli.engine.datatypes import registry

        try:
            return int(registry.by_oid(type_oid).parse_text(text))
        except Exception:
            return 0

    return key


NAMED: Final[dict[str, Callable[[str, str], int]]] = {
    "pg_numeric": compare_numeric,
    "pg_interval": compare_interval,
    "pg_timetz": compare_timetz,
    "pg_jsonb": compare_jsonb,
    "pg_lsn": compare_lsn,
    "pg_citext": compare_citext,
    "pg_inet": compare_addresses,
    "pg_array_869": array_comparison(cmp_to_key(compare_addresses)),
    "pg_array_650": array_comparison(cmp_to_key(compare_addresses)),
    "pg_array": array_comparison(str),
    "pg_array_21": array_comparison(_integer_key),
    "pg_array_23": array_comparison(_integer_key),
    "pg_array_20": array_comparison(_integer_key),
    "pg_array_701": array_comparison(_float_key),
    "pg_array_1700": array_comparison(numeric_key),
    "pg_array_3220": array_comparison(lsn_key),
    "pg_array_26": array_comparison(_integer_key),
    "pg_array_700": array_comparison(_float_key),
    "pg_array_1042": array_comparison(lambda text: text.rstrip(" ")),
    "pg_array_1186": array_comparison(interval_key),
    "pg_array_1266": array_comparison(timetz_key),
    "pg_array_3802": array_comparison(jsonb_key),
    **{f"pg_array_{oid}": array_comparison(_number_key(oid)) for oid in (790, 1082, 1114, 1184)},
}
"""The orders of texts that SQLite's own does not give; as collations, on every connection, under these names."""


def _compare_floats(left: Any, right: Any) -> int:
    return compare_values(_float_key(str(left)), _float_key(str(right)))


def _compare_decimals(left: Any, right: Any) -> int:
    return compare_numeric(str(left), str(right))


def _compare_padded(left: Any, right: Any) -> int:
    return compare_values(left.rstrip(" "), right.rstrip(" "))


_PLAIN: Final = frozenset(
    (16, 17, 18, 19, 20, 21, 23, 25, 26, 774, 790, 829, 1043, 1082, 1083, 1114, 1184, 1560, 1562, 2950)
)
_OTHERS: Final[dict[int, Comparison]] = {
    650: compare_addresses, 700: _compare_floats, 701: _compare_floats, 869: compare_addresses,
    1042: _compare_padded, 1186: compare_interval, 1266: compare_timetz, 1700: _compare_decimals,
    3220: compare_lsn, 3802: compare_jsonb, 15801: compare_citext,
}  # fmt: skip


def comparison(oid: int, element_oid: int = 0) -> Comparison | None:
    """The order of a built-in type, or of the arrays over ``element_oid``; None for a type without a known one."""
    if element_oid:
        if comparison(element_oid) is None:
            return None
        return NAMED.get(f"pg_array_{701 if element_oid == 700 else element_oid}", NAMED["pg_array"])
    return compare_values if oid in _PLAIN else _OTHERS.get(oid)
