"""Type modifiers: reading them from SQL, printing them, and fitting values to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from helios_cli.engine.datatypes import calendar as cal
from helios_cli.engine.datatypes import datetimes, interval, numeric
from helios_cli.engine.datatypes.integers import show
from helios_cli.engine.datatypes.pgtype import SqliteValue
from helios_cli.engine.errors import SqlError

VARHDRSZ: Final = 4
_MAX_CHARS: Final = 10_485_760
_MAX_BITS: Final = 83_886_080
_FULL_RANGE: Final = 0x7FFF
_FULL_PRECISION: Final = 0xFFFF

_CHARS: Final = {1042: "char", 1043: "varchar"}
_BITS: Final = {1560: "bit", 1562: "varbit"}
_TIMES: Final = {1083: "TIME", 1114: "TIMESTAMP", 1184: "TIMESTAMP", 1266: "TIME"}
_TIME_ZONES: Final = {1083: "", 1114: "", 1184: " WITH TIME ZONE", 1266: " WITH TIME ZONE"}
_NUMERIC: Final = 1700
_INTERVAL: Final = 1186

_MONTH, _YEAR, _DAY, _HOUR, _MINUTE, _SECOND = (1 << bit for bit in (1, 2, 3, 10, 11, 12))
INTERVAL_FIELDS: Final = {
    "year": _YEAR,
    "month": _MONTH,
    "day": _DAY,
    "hour": _HOUR,
    "minute": _MINUTE,
    "second": _SECOND,
    "year to month": _YEAR | _MONTH,
    "day to hour": _DAY | _HOUR,
    "day to minute": _DAY | _HOUR | _MINUTE,
    "day to second": _DAY | _HOUR | _MINUTE | _SECOND,
    "hour to minute": _HOUR | _MINUTE,
    "hour to second": _HOUR | _MINUTE | _SECOND,
    "minute to second": _MINUTE | _SECOND,
}
"""The field masks of ``interval year to month`` and its kin (timestamp.h)."""
_FIELD_NAMES: Final = {mask: name for name, mask in INTERVAL_FIELDS.items()}


def typmod_of(oid: int, args: Sequence[int], type_name: str = "") -> int:
    """The modifier for the numbers in parentheses; -1 when there are none. ``oid`` is never an array's.

    For interval the numbers are (field mask, precision) or (field mask,), as PostgreSQL's grammar hands them on.

    Raises:
        SqlError: 22023 for numbers out of range, 42601 for a type that takes none.
    """
    if not args:
        return -1
    if oid in _CHARS:
        return _length(_CHARS[oid], args, _MAX_CHARS) + VARHDRSZ
    if oid in _BITS:
        return _length(_BITS[oid], args, _MAX_BITS)
    if oid in _TIMES:
        return _time_precision(oid, args)
    if oid == _NUMERIC:
        return _numeric_typmod(args)
    if oid == _INTERVAL:
        return _interval_typmod(args)
    raise SqlError(f'type modifier is not allowed for type "{type_name or oid}"', sqlstate="42601")


def _length(name: str, args: Sequence[int], limit: int) -> int:
    if len(args) != 1:
        raise SqlError("invalid type modifier", sqlstate="22023")
    if args[0] < 1:
        raise SqlError(f"length for type {name} must be at least 1", sqlstate="22023")
    if args[0] > limit:
        raise SqlError(f"length for type {name} cannot exceed {limit}", sqlstate="22023")
    return args[0]


def _time_precision(oid: int, args: Sequence[int]) -> int:
    if len(args) != 1:
        raise SqlError("invalid type modifier", sqlstate="22023")
    if args[0] < 0:
        raise SqlError(f"{_TIMES[oid]}({args[0]}){_TIME_ZONES[oid]} precision must not be negative", sqlstate="22023")
    return min(args[0], 6)


def _numeric_typmod(args: Sequence[int]) -> int:
    if len(args) > 2:
        raise SqlError("invalid NUMERIC type modifier", sqlstate="22023")
    precision, scale = (*args, 0)[:2]
    if not 1 <= precision <= 1000:
        raise SqlError(f"NUMERIC precision {precision} must be between 1 and 1000", sqlstate="22023")
    if not -1000 <= scale <= 1000:
        raise SqlError(f"NUMERIC scale {scale} must be between -1000 and 1000", sqlstate="22023")
    return ((precision << 16) | (scale & 0x7FF)) + VARHDRSZ


def numeric_parts(typmod: int) -> tuple[int, int]:
    """(precision, scale) of a numeric modifier."""
    packed = typmod - VARHDRSZ
    scale = packed & 0x7FF
    return (packed >> 16) & 0xFFFF, scale - 0x800 if scale >= 0x400 else scale


def _interval_typmod(args: Sequence[int]) -> int:
    if len(args) > 2 or (args[0] != _FULL_RANGE and args[0] not in _FIELD_NAMES):
        raise SqlError("invalid INTERVAL type modifier", sqlstate="22023")
    if len(args) == 1:
        return -1 if args[0] == _FULL_RANGE else (args[0] << 16) | _FULL_PRECISION
    if args[1] < 0:
        raise SqlError(f"INTERVAL({args[1]}) precision must not be negative", sqlstate="22023")
    return (args[0] << 16) | min(args[1], 6)


def typmod_args(oid: int, typmod: int) -> tuple[int, ...]:
    """The numbers that :func:`typmod_of` turns into ``typmod``; none for -1."""
    if typmod < 0:
        return ()
    if oid in _CHARS:
        return (typmod - VARHDRSZ,)
    if oid in _BITS or oid in _TIMES:
        return (typmod,)
    if oid == _NUMERIC:
        return numeric_parts(typmod)
    if oid == _INTERVAL:
        precision = typmod & 0xFFFF
        mask = (typmod >> 16) & _FULL_RANGE
        return (mask,) if precision == _FULL_PRECISION else (mask, precision)
    return ()


def with_typmod(oid: int, sql_name: str, typmod: int) -> str:
    """The SQL name with its modifier, as format_type prints it."""
    args = typmod_args(oid, typmod)
    if not args:
        return "bpchar" if oid == 1042 else sql_name
    if oid == _INTERVAL:
        fields = "" if args[0] == _FULL_RANGE else f" {_FIELD_NAMES.get(args[0], '')}"
        return f"interval{fields}" + (f"({args[1]})" if len(args) > 1 else "")
    first, space, rest = sql_name.partition(" ")
    if oid in _TIMES:
        return f"{first}({args[0]}){space}{rest}"
    return f"{sql_name}({','.join(map(str, args))})"


def apply_scalar(oid: int, typmod: int, value: SqliteValue, *, explicit: bool = False) -> SqliteValue:
    """Fit a value to a modifier; see ``registry.apply_typmod``. ``oid`` is never an array's."""
    if oid in _CHARS:
        return _fit_chars(oid, typmod - VARHDRSZ, show(value), explicit)
    if oid == _NUMERIC:
        return numeric.apply_numeric(numeric.format_numeric(value).decode(), *numeric_parts(typmod))
    if oid in _BITS:
        return _fit_bits(oid, typmod, show(value), explicit)
    if oid == _INTERVAL:
        return _fit_interval(typmod, show(value))
    if oid == 1266:
        us, offset = datetimes.split_timetz(show(value))
        return datetimes.timetz_text(interval.round_us(us, typmod), offset)
    if oid in _TIMES and isinstance(value, int):
        infinite = value in (cal.TIMESTAMP_INFINITY, cal.TIMESTAMP_MINUS_INFINITY)
        return value if infinite else interval.round_us(value, typmod)
    return value


def _fit_chars(oid: int, size: int, text: str, explicit: bool) -> str:
    """Cut spaces (or, in an explicit cast, anything) beyond ``size`` characters; pad character(n)."""
    if len(text) > size:
        if not explicit and text[size:].strip(" "):
            name = "character varying" if oid == 1043 else "character"
            raise SqlError(f"value too long for type {name}({size})", sqlstate="22001")
        text = text[:size]
    return text.ljust(size) if oid == 1042 else text


def _fit_bits(oid: int, size: int, bits: str, explicit: bool) -> str:
    if explicit:
        return bits[:size] if oid == 1562 else bits[:size].ljust(size, "0")
    if oid == 1560 and len(bits) != size:
        raise SqlError(f"bit string length {len(bits)} does not match type bit({size})", sqlstate="22026")
    if len(bits) > size:
        raise SqlError(f"bit string too long for type bit varying({size})", sqlstate="22001")
    return bits


def _fit_interval(typmod: int, text: str) -> str:
    """Drop the fields below the named ones, round the seconds."""
    months, days, us = interval.split_interval(text)
    mask, precision = (typmod >> 16) & _FULL_RANGE, typmod & 0xFFFF
    if mask == _YEAR:
        months, days, us = int(months / 12) * 12, 0, 0
    elif mask in (_MONTH, _YEAR | _MONTH):
        days, us = 0, 0
    elif mask == _DAY:
        us = 0
    elif mask in (_HOUR, _DAY | _HOUR):
        us = int(us / cal.HOUR_US) * cal.HOUR_US
    elif mask in (_MINUTE, _DAY | _HOUR | _MINUTE, _HOUR | _MINUTE):
        us = (abs(us) // cal.MINUTE_US * cal.MINUTE_US) * (1 if us >= 0 else -1)
    if precision != _FULL_PRECISION:
        us = interval.round_us(us, precision)
    return interval.interval_text(interval.Interval(months, days, us))
