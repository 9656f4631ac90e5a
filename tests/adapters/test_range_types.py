"""Ranges and multiranges: what PostgreSQL 15 answers, as literals."""

from __future__ import annotations

import pytest
from support.local_database import LocalDatabase

from helios_cli.engine.datatypes import registry
from helios_cli.engine.errors import HeliosError


@pytest.fixture(scope="module")
def db() -> LocalDatabase:
    database = LocalDatabase()
    database.run("CREATE TABLE rt (id int PRIMARY KEY, r int4range, d daterange, n numrange)")
    database.run(
        "INSERT INTO rt VALUES (1, '[1,5)', '[2020-01-01,2020-02-01)', '[1.5,2.5]'), (2, '[3,8]', NULL, NULL), "
        "(3, 'empty', NULL, NULL), (4, NULL, NULL, NULL)"
    )
    return database


@pytest.mark.parametrize(
    ("sql", "wanted"),
    [
        ("int4range(1, 10), int4range(1, 10, '[]'), int4range(NULL, 5), numrange(1.0, 2.5, '(]'), int8range(5, 5)",
         "[1,10) [1,11) (,5) (1.0,2.5] empty"),
        ("'(1,10)'::int8range, '[,5]'::int4range, ' [ 1 , 2 ] '::int4range, '[2020-01-01,2020-01-05]'::daterange",
         "[2,10) (,6) [1,3) [2020-01-01,2020-01-06)"),
        ("tsrange('2020-01-01', '2020-01-02')", '["2020-01-01 00:00:00","2020-01-02 00:00:00")'),
        ("'[1.0,2.00)'::numrange = '[1,2)'::numrange, 'empty'::int4range < '[1,2)'::int4range", "t t"),
        ("'[1,10)'::int4range @> 5, 5 <@ '[1,10)'::int4range, '[1,10)'::int4range @> '[2,3)'::int4range", "t t t"),
        ("'[1,10)'::int4range && '[9,20)', '[1,2)'::int4range << '[3,4)', '[3,4)'::int4range >> '[1,2)'", "t t t"),
        ("'[1,2)'::int4range -|- '[2,3)', '[1,20)'::int4range &< '[18,20)', '[7,20)'::int4range &> '[5,10)'", "t t t"),
        ("'[1,5)'::int4range + '[3,9)', '[1,5)'::int4range * '[3,9)', '[1,5)'::int4range - '[3,9)'",
         "[1,9) [3,5) [1,3)"),
        ("lower('[1,10)'::int4range), upper('[1,10)'::int4range), lower('empty'::int4range)", "1 10 None"),
        ("isempty('empty'::int4range), lower_inc('[1,2)'::int4range), upper_inc('[1,2)'::int4range)", "t t f"),
        ("lower_inf('(,2)'::int4range), upper_inf('[1,)'::int4range), range_merge('[1,2)'::int4range, '[5,6)')",
         "t t [1,6)"),
        ("upper('[2020-01-01,2020-01-05]'::daterange), lower(tsrange('2020-01-01 10:00', '2020-01-02'))",
         "2020-01-06 2020-01-01 10:00:00"),
        ("array_agg(id ORDER BY r) FROM rt", "{3,1,2,4}"),
        ("array_agg(id ORDER BY id) FROM rt WHERE r @> 4", "{1,2}"),
        ("id FROM rt WHERE r = '[1,4]'", "1"),
        ("array_agg(r ORDER BY r) FROM rt WHERE r IS NOT NULL", '{empty,"[1,5)","[3,9)"}'),
        ("'{[1,3),[2,5),[7,8)}'::int4multirange, int4multirange(int4range(1, 3), int4range(3, 6))",
         "{[1,5),[7,8)} {[1,6)}"),
        ("'{[1,3),[7,9)}'::int4multirange @> 8, '{[1,3)}'::int4multirange && '[2,4)'::int4range", "t t"),
        ("'{[1,9)}'::int4multirange - '{[3,4)}', '{[1,9)}'::int4multirange * '{[3,4),[8,20)}'",
         "{[1,3),[4,9)} {[3,4),[8,9)}"),
        ("range_agg(r) FROM rt", "{[1,9)}"),
        ("array_agg(u) FROM unnest('{[1,3),[7,9)}'::int4multirange) AS u", '{"[1,3)","[7,9)"}'),
        ("tstzrange('2020-01-01 00:00+00', NULL)::text", '["2020-01-01 00:00:00+00",)'),
        ("pg_typeof(int4range(1, 2)), pg_typeof(lower(numrange(1, 2)))", "int4range numeric"),
    ],
)  # fmt: skip
def test_answers(db: LocalDatabase, sql: str, wanted: str) -> None:
    assert " ".join(str(value) for value in db.run(f"SELECT {sql}")[0]) == wanted


@pytest.mark.parametrize(
    ("sql", "sqlstate", "message"),
    [
        ("SELECT '[1,5)'::int4range + '[7,9)'", "22000", "result of range union would not be contiguous"),
        ("SELECT '[1,10)'::int4range - '[3,4)'", "22000", "result of range difference would not be contiguous"),
        ("SELECT int4range(10, 1)", "22000", "range lower bound must be less than or equal to range upper bound"),
        ("SELECT 'x'::int4range", "22P02", 'malformed range literal: "x"'),
        ("SELECT '[1,2'::int4range", "22P02", 'malformed range literal: "[1,2"'),
        ("SELECT '[1,a)'::int4range", "22P02", 'invalid input syntax for type integer: "a"'),
        ("SELECT int4range(1, 2, 'x')", "42601", "invalid range bound flags"),
        ("SELECT int4range(1, 2147483647, '[]')", "22003", "integer out of range"),
    ],
)
def test_errors_are_postgresqls(db: LocalDatabase, sql: str, sqlstate: str, message: str) -> None:
    with pytest.raises(HeliosError) as caught:
        db.run(sql)
    assert (caught.value.sqlstate, str(caught.value)) == (sqlstate, message)


@pytest.mark.parametrize(
    ("name", "text", "data"),
    [
        ("int4range", "[1,10)", "0200000004000000010000000400" + "00000a"),
        ("int4range", "empty", "01"),
        ("int4range", "(,5)", "080000000400000005"),
        ("int4multirange", "{[1,2)}", "0000000100000011" + "0200000004000000010000000400000002"),
    ],
)
def test_binary_forms(name: str, text: str, data: str) -> None:
    kind = registry.by_internal_name(name)
    assert kind is not None
    assert kind.format_binary(text).hex() == data
    assert kind.parse_binary(bytes.fromhex(data)) == text
    with pytest.raises(HeliosError):
        kind.parse_binary(bytes.fromhex(data)[:-1])
