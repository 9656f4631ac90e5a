"""Values of each type: common ones, and those at the edges. A type is covered once it has an entry here."""

from __future__ import annotations

# ruff: noqa: E501
from random import Random
from typing import Final

from bench.comparesql import othertypes

COMMON: Final[dict[str, tuple[str, ...]]] = {
    "bool": ("true", "false"),
    "int2": ("0", "1", "2", "3", "-1", "7", "42", "100"),
    "int4": ("0", "1", "2", "3", "4", "5", "-1", "-3", "7", "10", "42", "100", "1000"),
    "int8": ("0", "1", "2", "-1", "5", "12", "77", "3000000000", "-4000000000"),
    "numeric": ("0", "1", "1.5", "-1.5", "0.1", "0.25", "2.50", "10.00", "3.14159", "100", "-7.25", "12345.678"),
    "float4": ("0", "1", "1.5", "-2.25", "0.1", "3.14", "100", "1e10"),
    "float8": ("0", "1", "1.5", "-2.25", "0.1", "0.3", "2.718281828459045", "1e10", "123456.789", "-0.5"),
    "text": ("a", "abc", "", "Hello World", "foo bar", "x", "ABC", "héllo", "a,b,c", "  pad ", "foobar", "12", "it's"),
    "varchar": ("a", "abc", "", "Hello", "x y", "ÄÖ", "12"),
    "bpchar": ("a", "abc", "", "x  ", "Ab"),
    "name": ("a", "abc", "pg_class", "Some Name"),
    "bytea": ("\\x", "\\x00", "\\x0102ff", "\\x616263", "abc", "\\xdeadbeef"),
    "uuid": ("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "00000000-0000-0000-0000-000000000000"),
    "date": ("2020-01-01", "2020-02-29", "1999-12-31", "2024-06-15", "2001-09-09"),
    "time": ("00:00:00", "12:34:56", "23:59:59.999999", "08:00:00.5", "15:30"),
    "timetz": ("00:00:00+00", "12:34:56-05", "08:00:00.5+05:30"),
    "timestamp": ("2020-01-01 00:00:00", "2020-02-29 12:34:56.789", "1999-12-31 23:59:59", "2024-06-15 08:09:10"),
    "timestamptz": ("2020-01-01 00:00:00+00", "2020-07-01 12:00:00-04", "1999-12-31 23:59:59.5+00", "2024-03-10 07:30+00"),
    "interval": ("1 day", "02:03:04", "1 mon", "-1 day", "1 year 2 mons 3 days 04:05:06.789", "90 minutes", "0", "36:00"),
    "json": ('{"a": 1}', "[1, 2, 3]", '"x"', "null", '{"a": {"b": [1, "two", null]}}', "{}", "12.50", "true"),
    "jsonb": ('{"a": 1}', "[1, 2, 3]", '"x"', "null", '{"b": 1, "a": {"b": [1, "two", null]}}', "{}", "12.50", "[]"),
    "bit": ("1", "0"),
    "varbit": ("101", "", "0", "1100", "11110000"),
    "oid": ("0", "1", "23", "1259"),
    "pg_lsn": ("0/0", "0/16B3748", "1/A"),
    **othertypes.COMMON,
}  # fmt: skip
"""Values that most expressions take without an error, by type."""

EDGES: Final[dict[str, tuple[str, ...]]] = {
    "int2": ("32767", "-32768", "-7"),
    "int4": ("2147483647", "-2147483648", "-2147483647", "65536"),
    "int8": ("9223372036854775807", "-9223372036854775808", "2147483648"),
    "numeric": (
        "NaN", "Infinity", "-Infinity", "0.00", "99999999999999999999.9999999999", "1e-20", "1e30", "-0.000001",
        "9223372036854775808", "0.5", "1.5000", "2.675",
    ),
    "float4": ("NaN", "Infinity", "-Infinity", "-0", "3.4028235e38", "1e-45", "16777217", "0.30000001"),
    "float8": (
        "NaN", "Infinity", "-Infinity", "-0", "1.7976931348623157e308", "5e-324", "1e15", "1e16", "1e-5", "1e22",
        "9007199254740993", "0.30000000000000004", "2.5", "3.5",
    ),
    "text": ("NULL", "ß", "日本語", "🙂", "a\nb", "a\\b", "%", "_", "\t", "ﬃ", "İ", "e\u0301", "aaaaaaaaaaaaaaaaaaaaaaaaa"),
    "varchar": ("日本", "🙂x", "%"),
    "bpchar": ("é", "日本"),
    "bytea": ("\\x00ff5c27", "\\\\", "\\000a"),
    "uuid": ("ffffffff-ffff-ffff-ffff-ffffffffffff", "{A0EEBC999C0B4EF8BB6D6BB9BD380A12}"),
    "date": ("infinity", "-infinity", "0001-01-01", "4713-01-01 BC", "5874897-12-31", "1582-10-15", "0044-03-15 BC"),
    "time": ("24:00:00", "00:00:00.000001", "04:05 PM"),
    "timetz": ("24:00:00-15:59", "00:00:00+15:59"),
    "timestamp": ("infinity", "-infinity", "0001-01-01 00:00:00", "294276-12-31 23:59:59.999999", "0044-03-15 01:02:03 BC"),
    "timestamptz": ("infinity", "-infinity", "0001-01-01 00:00:00+00", "2024-03-31 01:30:00 Europe/Berlin", "1883-11-18 12:00 America/New_York"),
    "interval": ("-1 year -2 days +03:00", "1 mon -1 day", "178000000 years", "1.5 days", "P1Y2M3DT4H5M6S", "0.000001 sec", "-00:00:01"),
    "json": ('{"a":1,"a":2}', ' [1 , 2]', '"\\u00e9"', "1e3", '{"k": "v\\n"}', "-0.0", '{"é": "日本"}'),
    "jsonb": ('{"a":1,"a":2}', "1e3", '"\\u00e9"', "1.000", '[[1],{"a":[]}]', '{"bb":1,"a":2,"ccc":3}', "-0.0"),
    "varbit": ("1111111111111111111111111111111111111111",),
    "oid": ("4294967295",),
    "pg_lsn": ("FFFFFFFF/FFFFFFFF",),
    **othertypes.EDGES,
}  # fmt: skip
"""Values at the ends of the range or of the notation."""

NUMBERS: Final = ("int2", "int4", "int8", "numeric", "float4", "float8")
INTEGERS: Final = ("int2", "int4", "int8")
TEXTS: Final = ("text", "varchar", "bpchar")
TIMES: Final = ("date", "time", "timetz", "timestamp", "timestamptz", "interval")
SCALARS: Final = tuple(COMMON)
ARRAY_ELEMENTS: Final = (
    "int4", "text", "numeric", "bool", "int8", "float8", "date", "timestamp", "varchar", "uuid", "int4range", "inet", "interval",
)  # fmt: skip
RANGES: Final = {
    "int4": "int4range", "int8": "int8range", "numeric": "numrange", "date": "daterange", "timestamp": "tsrange",
    "timestamptz": "tstzrange",
}  # fmt: skip
"""Range type by element."""
ARRAYS: Final = tuple(f"_{element}" for element in ARRAY_ELEMENTS)
TYPES: Final = SCALARS + ARRAYS

SPELLED: Final[dict[str, tuple[str, ...]]] = {
    "bool": ("boolean", "bool"),
    "int2": ("smallint", "int2"),
    "int4": ("int", "integer", "int4"),
    "int8": ("bigint", "int8"),
    "float4": ("real", "float4"),
    "float8": ("float8", "double precision", "float"),
    "numeric": ("numeric", "decimal"),
    "varchar": ("varchar", "character varying"),
    "bpchar": ("bpchar",),
    "timestamp": ("timestamp", "timestamp without time zone"),
    "timestamptz": ("timestamptz", "timestamp with time zone"),
    "time": ("time",),
    "timetz": ("timetz", "time with time zone"),
    "varbit": ("varbit", "bit varying"),
}
MODIFIED: Final[dict[str, tuple[str, ...]]] = {
    "numeric": ("numeric(10,2)", "numeric(3)", "numeric(5,5)", "numeric(20,10)", "decimal(6,3)"),
    "varchar": ("varchar(3)", "varchar(20)", "character varying(1)"),
    "bpchar": ("char(3)", "character(10)", "char"),
    "bit": ("bit(1)", "bit(4)"),
    "varbit": ("varbit(3)", "bit varying(10)"),
    "time": ("time(0)", "time(3)"),
    "timestamp": ("timestamp(0)", "timestamp(3)"),
    "timestamptz": ("timestamptz(0)", "timestamptz(2)"),
    "interval": ("interval(0)", "interval day to second", "interval year to month", "interval hour"),
}
"""The same types with a modifier, which casts to them apply."""


def type_name(rng: Random, kind: str) -> str:
    """One of a type's names; ``int[]`` for ``_int4``."""
    if kind.startswith("_"):
        return type_name(rng, kind[1:]) + "[]"
    return rng.choice(SPELLED.get(kind, (kind,)))


def quoted(text: str) -> str:
    """A string constant."""
    return "'" + text.replace("'", "''") + "'"


def plain(rng: Random, kind: str, edge: float = 0.2) -> str:
    """The text of a value, without quotes; an array's in braces."""
    if kind.startswith("_"):
        return array_text(rng, kind[1:], edge)
    edges = EDGES.get(kind, ())
    return rng.choice(edges) if edges and rng.random() < edge else rng.choice(COMMON[kind])


def array_text(rng: Random, element: str, edge: float) -> str:
    """An array's text: mostly one dimension, with NULLs; now and then two dimensions or other lower bounds."""
    kind = rng.random()

    def item() -> str:
        if rng.random() < 0.1:
            return "NULL"
        text = plain(rng, element, edge)
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"' if element in TEXTS else f'"{text}"'

    if kind < 0.1:
        return "{}"
    if kind < 0.2:
        return "{{%s,%s},{%s,%s}}" % (item(), item(), item(), item())  # noqa: UP031
    items = [item() for _ in range(rng.randint(1, 4))]
    bounds = f"[0:{len(items) - 1}]=" if kind > 0.96 else ""
    return bounds + "{" + ",".join(items) + "}"
