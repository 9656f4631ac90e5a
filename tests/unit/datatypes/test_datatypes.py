"""The type registry where no server is needed: SQLite's view of the declared types, names, storage forms."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import apsw
import pytest

from helios_cli.engine.datatypes.calendar import DAY_US, civil_from_days, days_from_civil
from helios_cli.engine.datatypes.datetime_in import TimeContext
from helios_cli.engine.datatypes.datetimes import (
    format_timestamptz,
    parse_date,
    parse_time,
    parse_timestamp,
    parse_timestamptz,
)
from helios_cli.engine.datatypes.registry import (
    TYPES,
    apply_typmod,
    by_internal_name,
    by_name,
    by_oid,
    decl_of,
    find_oid,
    format_type,
    from_decl,
    parse_type_name,
)
from helios_cli.engine.datatypes.typmods import typmod_of
from helios_cli.engine.errors import HeliosError, SqlError

SAMPLES = [
    ("bool", "yes", 1), ("int2", "-3", -3), ("int8", "9223372036854775807", 2**63 - 1), ("oid", "-1", 2**32 - 1),
    ("float8", "1e20", 1e20), ("float8", "NaN", "NaN"), ("float4", "0.1", 0.10000000149011612),
    ("numeric", "1.50", "1.50"), ("numeric", "007", "7"), ("numeric", "NaN", "NaN"), ("text", "12", "12"),
    ("name", "12", "12"), ("bytea", "\\x00ff", b"\0\xff"), ("date", "2000-01-02", 1), ("date", "infinity", 2**31 - 1),
    ("timestamp", "2000-01-02", DAY_US), ("timestamp", "-infinity", -(2**63)), ("time", "00:00:01", 1_000_000),
    ("timestamptz", "2000-01-01 02:00+02", 0), ("timetz", "1:2:3 utc", "01:02:03+00"),
    ("interval", "90 min", "01:30:00"), ("json", "[ 1 ]", "[ 1 ]"), ("jsonb", "[ 1 ]", "[1]"),
    ("uuid", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
    ("int4[]", "{ 1,2}", "{1,2}"),
    ("bit varying", "12"[:1] + "0", "10"), ("xml", "10", "10"), ("xid8", str(2**64 - 1), -1),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "stored"), SAMPLES)
def test_sqlite_keeps_what_stands_for_the_value(name: str, text: str, stored: object) -> None:
    """The declared type's affinity must not touch the stored value: no '12' to 12, no '1.50' to 1.5."""
    pg_type = by_name(name)
    assert pg_type is not None
    value = pg_type.parse_text(text)
    assert (value, type(value)) == (stored, type(stored))
    database = apsw.Connection(":memory:")
    database.execute(f"create table t (c {decl_of(pg_type.oid)})")
    database.execute("insert into t values (?)", (value,))
    [(kept,)] = database.execute("select c from t").fetchall()
    assert (kept, type(kept)) == (stored, type(stored))
    [(_, _, decl, *_)] = database.execute("pragma table_info(t)").fetchall()
    assert from_decl(str(decl)) == (pg_type.oid, -1)


@pytest.mark.parametrize("oid", sorted(TYPES))
def test_every_type_keeps_a_digit_string_or_says_it_is_a_number(oid: int) -> None:
    """A type stored as text must not turn '007' into 7 in SQLite."""
    pg_type = by_oid(oid)
    if pg_type.decl.endswith("_text") or pg_type.category == "S":
        database = apsw.Connection(":memory:")
        database.execute(f"create table t (c {decl_of(oid)})")
        database.execute("insert into t values ('007')")
        assert database.execute("select c from t").fetchall() == [("007",)]
    assert from_decl(decl_of(oid)) == (oid, -1)


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("int", "int4"), ("INTEGER", "int4"), ("bigint", "int8"), ("Character  Varying", "varchar"), ("char", "bpchar"),
        ('"char"', "char"), ("timestamp with time zone", "timestamptz"), ("double precision", "float8"),
        ("decimal", "numeric"), ("pg_catalog.int4", "int4"), ("int[]", "_int4"), ("text[][]", "_text"),
        ("int4[3]", "_int4"), ("integer array", "_int4"), ("_text", "_text"), ("boolean", "bool"),
        ("regclass", "regclass"),
    ],
)  # fmt: skip
def test_spellings(spelling: str, name: str) -> None:
    found = by_name(spelling)
    assert found is not None
    assert found.name == name
    assert by_internal_name(name) is found


def test_unknown_names() -> None:
    assert by_name("nothing") is None
    assert by_internal_name("int") is None
    assert find_oid(1) is None
    assert format_type(1) == "???"
    assert format_type(0) == "-"
    for bad in ("nothing", "int(", "nothing(3)", "interval forever", ""):
        with pytest.raises(SqlError) as failed:
            parse_type_name(bad)
        assert failed.value.sqlstate == "42704"


@pytest.mark.parametrize(
    ("name", "sqlstate", "message"),
    [
        ("varchar(0)", "22023", "length for type varchar must be at least 1"),
        ("char(10485761)", "22023", "length for type char cannot exceed 10485760"),
        ("numeric(1001)", "22023", "NUMERIC precision 1001 must be between 1 and 1000"),
        ("numeric(5,1001)", "22023", "NUMERIC scale 1001 must be between -1000 and 1000"),
        ("numeric(5,1,1)", "22023", "invalid NUMERIC type modifier"),
        ("float(54)", "22023", "precision for type float must be less than 54 bits"),
        ("int(4)", "42601", 'type modifier is not allowed for type "int4"'),
    ],
)
def test_bad_modifiers(name: str, sqlstate: str, message: str) -> None:
    with pytest.raises(SqlError) as failed:
        parse_type_name(name)
    assert (failed.value.sqlstate, failed.value.message) == (sqlstate, message)


@pytest.mark.parametrize(
    ("decl", "name"),
    [
        ("INTEGER", "int4"), ("VARCHAR(20)", "varchar"), ("DATETIME", "timestamp"), ("BLOB", "bytea"), ("", "text"),
        ("UNSIGNED BIG INT", "int8"), ("NVARCHAR(10)", "text"), ("anything", "numeric"), ("DOUBLE", "float8"),
        ("x(", "numeric"),
    ],
)  # fmt: skip
def test_declarations_of_other_programs(decl: str, name: str) -> None:
    assert by_oid(from_decl(decl)[0]).name == name


def test_assignment_and_cast_differ_for_long_strings() -> None:
    varchar, bpchar = 1043, 1042
    typmod = typmod_of(varchar, [3])
    with pytest.raises(SqlError, match=r"value too long for type character varying\(3\)") as failed:
        apply_typmod(varchar, typmod, "abcd")
    assert failed.value.sqlstate == "22001"
    assert apply_typmod(varchar, typmod, "abc  ") == "abc"
    assert apply_typmod(varchar, typmod, "abcd", explicit=True) == "abc"
    assert apply_typmod(bpchar, typmod, "a") == "a  "
    assert apply_typmod(varchar, typmod, None) is None
    assert apply_typmod(varchar, -1, "abcd") == "abcd"
    with pytest.raises(SqlError, match="value too long"):
        apply_typmod(1015, typmod, "{abcd}")


def test_words_of_the_day_need_a_clock() -> None:
    for parse in (parse_date, parse_timestamp, parse_timestamptz, parse_time):
        with pytest.raises(HeliosError):
            parse("now")
    at_night = TimeContext(ZoneInfo("Europe/Berlin"), now_us=23 * 3_600_000_000 + 30 * 60_000_000)
    assert parse_date("today", at_night) == 1
    assert parse_date("yesterday", at_night) == 0
    assert parse_timestamptz("now", at_night) == at_night.now_us
    assert parse_timestamptz("today", at_night) == DAY_US - 3_600_000_000
    assert parse_timestamp("tomorrow", at_night) == 2 * DAY_US


def test_far_years_keep_their_daylight_saving() -> None:
    zone = ZoneInfo("America/New_York")
    context = TimeContext(zone)
    for text in ("9999-07-01 12:00:00", "20000-07-01 12:00:00", "294000-01-01 00:00:00"):
        assert format_timestamptz(parse_timestamptz(text, context), zone).decode().startswith(text)


def test_the_calendar_against_its_own_inverse() -> None:
    for days in range(-2_451_545, 106_751_991, 99_991):
        assert days_from_civil(*civil_from_days(days)) == days


def test_unusual_storage_classes_are_shown_never_raised() -> None:
    for pg_type in TYPES.values():
        for value in (0, 2**70, -1.5, float("nan"), "x", "\ud800", b"\xff"):
            assert isinstance(pg_type.format_text(value), bytes)
