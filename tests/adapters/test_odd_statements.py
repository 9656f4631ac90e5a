"""Statements that PostgreSQL's own tests ask, where a node once failed or answered otherwise."""

from __future__ import annotations

from typing import Final

import pytest
from support.local_database import LocalDatabase
from support.planner_bench import Bench

from helios_cli.engine.errors import HeliosError


@pytest.fixture(scope="module")
def db() -> LocalDatabase:
    made = LocalDatabase()
    made.run("CREATE TABLE t (a int)")
    made.run("INSERT INTO t VALUES (0), (1)")
    made.run("CREATE DOMAIN positive AS int CHECK (VALUE > 0)")
    made.run("CREATE TABLE of_domain (v positive, g int GENERATED ALWAYS AS (1) STORED)")
    made.run("INSERT INTO of_domain VALUES (1)")
    made.run("CREATE TABLE spans (id int, v interval, n numeric(6,2))")
    made.run(
        "INSERT INTO spans VALUES (1, '1 day'), (2, '1 mon'), (3, '30 days'), (4, '-1 day'), (5, NULL),"
        " (6, '1 day 10 hours'), (7, '1 year'), (8, '0')"
    )
    made.run("CREATE FUNCTION rows_of() RETURNS SETOF spans LANGUAGE sql AS 'SELECT * FROM spans'")
    return made


ANSWERS: Final[tuple[tuple[str, list[str | None]], ...]] = (
    # The parts of json keep their text.
    ("""SELECT value::text FROM json_each('{"a": [1,   2], "b":{"x" :1.00}}')""", ["[1,   2]", '{"x" :1.00}']),
    ("""SELECT value::text FROM json_array_elements('[1.0,  {"a" : 2}, [1,2] ]')""", ["1.0", '{"a" : 2}', "[1,2]"]),
    ("""SELECT json_extract_path('{"a": {"b" :  [1,  2]}}', 'a', 'b')::text""", ["[1,  2]"]),
    ("""SELECT json_extract_path_text('[1,  "x\\ty"]', '-1')""", ["x\ty"]),
    ("""SELECT a FROM json_to_record('{"a": {"x" :1}}') AS r(a text)""", ['{"x" :1}']),
    ("""SELECT a FROM jsonb_to_record('{"a": {"x" :1}}') AS r(a text)""", ['{"x": 1}']),
    ("""SELECT d::text FROM json_to_record('{"d": [[1,  2],[2, null]]}') AS r(d int[])""", ["{{1,2},{2,NULL}}"]),
    # Built-in functions with arrays for VARIADIC parameters, and with named arguments.
    ("SELECT concat(VARIADIC array[1,2,3])", ["123"]),
    ("SELECT concat_ws(',', VARIADIC array['a',NULL,'c'])", ["a,c"]),
    ("SELECT format('%s-%s', VARIADIC array[1,2])", ["1-2"]),
    ("SELECT format('x', VARIADIC NULL::int[])", ["x"]),
    ("SELECT concat(VARIADIC NULL::int[])", [None]),
    ("SELECT num_nulls(VARIADIC array[1,NULL,NULL])::text", ["2"]),
    ("SELECT jsonb_build_object(VARIADIC array['a','b'])::text", ['{"a": "b"}']),
    ("SELECT int4multirange(VARIADIC array[int4range(1,2)])::text", ["{[1,2)}"]),
    ("SELECT parse_ident('foo.boo[]', strict => false)::text", ["{foo,boo}"]),
    ("""SELECT x::text FROM jsonb_path_query(target => '[1,2]', path => '$[*] ? (@ > $x)', vars => '{"x":1}') x""",
     ["2"]),
    ("""SELECT jsonb_path_query_array('[1]', 'strict $.a', silent => true)::text""", ["[]"]),
    # The functions behind operators and types.
    ("SELECT int4pl(1, 2)::text", ["3"]),
    ("SELECT booleq(true, false)::text", ["false"]),
    ("""SELECT jsonb_delete('{"a":1,"b":2}'::jsonb, 'a')::text""", ['{"b": 2}']),
    ("SELECT range_adjacent(numrange(2.0, 3.0), numrange(3.0, 4.0))::text", ["true"]),
    ("SELECT float4send('5e-20')::text", ["\\x1f6c1e4a"]),
    ("SELECT numeric_send(1.5)::text", ["\\x000200000000000100011388"]),
    # Groups without keys and aggregates.
    ("SELECT 'one' FROM t WHERE 1/a = 1 HAVING 1 < 2", ["one"]),
    ("SELECT 'one' FROM t HAVING 1 > 2", []),
    ("SELECT 'one' FROM t WHERE false HAVING count(*) = 0", ["one"]),
    ("SELECT (ROW() IS NULL)::text", ["true"]),
    ("SELECT regexp_replace('foobarrbazz', '(.)\\1', 'X\\Y\\1Z\\')", ["fX\\YoZ\\barrbazz"]),
    ("SELECT format('%2$*1$s|', 5, 'a')", ["    a|"]),
    ("SELECT round(5.5e131071, -1000000)::text", ["0"]),
    ("SELECT round(55, -2)::text", ["100"]),
    ("SELECT round(0.0004, 2)::text", ["0.00"]),
    ("SELECT concat(VARIADIC '{}'::text[])", [""]),
    ("SELECT (ARRAY[1, 2])[:NULL]::text", [None]),
    ("SELECT (ARRAY[1, 2])[:]::text", ["{1,2}"]),
    ("SELECT jsonb_build_object(1)::text FROM t WHERE a > 5", []),
    ("SELECT jsonb_path_exists(('1'::jsonb #- ARRAY[a::text]), NULL::jsonpath)::text FROM t", [None, None]),
    ("SELECT (x = y)::text || (x <> y)::text FROM (SELECT NULL::int, 0) x, (SELECT NULL::int, 0) y", ["truefalse"]),
    ("SELECT width_bucket(5, array[1,3,5,10])::text", ["3"]),
    ("""SELECT json_strip_nulls('{"a": 1, "b": null, "a": [null, {"c": null}]}')::text""", ['{"a":1,"a":[null,{}]}']),
    ("SELECT int4multirange('{[2,)}')::text", ["{[2,)}"]),
    ("SELECT (mod((a::text::jsonb #- ARRAY['a'])::numeric, NULL) IS NULL)::text FROM t", ["true", "true"]),
    ("SELECT width_bucket('0', '{\"0\",\"7\",\"7\"}')::text", ["1"]),
    ("SELECT width_bucket('nan'::float8, array[1,3,'nan'::float8])::text", ["3"]),
    ("SELECT ('24:00:00'::time + 'infinity'::date)::text", ["infinity"]),
    ("SELECT (sum(1/a) FILTER (WHERE a > 0) OVER ())::text FROM t", ["1", "1"]),
    ("SELECT pg_typeof(v)::text || pg_typeof(v + 1)::text || pg_typeof(5::positive)::text FROM of_domain",
     ["positiveintegerpositive"]),
    ("SELECT to_char('4714-11-24 00:00+00 BC'::timestamptz, 'YYYY-MM-DD')", ["4714-11-24"]),
    ("SELECT to_char('20000-01-01 00:00+00'::timestamptz, 'YYYY')", ["20000"]),
    # Frames measured in spans, with months of 30 days.
    ("SELECT (sum(id) OVER (ORDER BY v RANGE BETWEEN '1 day' PRECEDING AND CURRENT ROW))::text FROM spans ORDER BY id",
     ["9", "5", "5", "4", "5", "7", "7", "12"]),
    ("SELECT (sum(id) OVER (ORDER BY v DESC RANGE BETWEEN '10 hours' PRECEDING AND '1 mon' FOLLOWING))::text"
     " FROM spans ORDER BY id", ["19", "20", "20", "4", "5", "19", "7", "12"]),
    # A pattern that ends in its escape fails where a text reaches that.
    ("SELECT concat('a' ILIKE 'A\\', 'b' ILIKE 'a\\', '\u00e9' ILIKE '%_\u00c9_%\\', '' ILIKE '\\')",
     ["ffff"]),
    ("SELECT concat('ab' NOT ILIKE '%c\\', '\\' ILIKE '%\\\\', 'a\\' ILIKE 'A\\\\')", ["ttt"]),
    # A row of a subquery, of which there may be several.
    ("UPDATE spans SET (n, v) = (SELECT a + 1.5, '2 days' FROM t WHERE t.a = spans.id) WHERE id < 3"
     " RETURNING concat_ws(' ', id, n, v)", ["1 2.50 2 days", "2"]),
)  # fmt: skip

_MANY: Final = "more than one row returned by a subquery used as an expression"
_DANGLING: Final = "LIKE pattern must not end with escape character"
_RECURSIVE: Final = "WITH RECURSIVE x(n) AS (SELECT 1 UNION ALL "
ERRORS: Final = (
    ("SELECT concat_ws(',', VARIADIC 10)", "42804", "VARIADIC argument must be an array"),
    ("SELECT int4eq(1)", "42883", "function int4eq(integer) does not exist"),
    ("SELECT mode(a) FROM t", "42809", "WITHIN GROUP is required for ordered-set aggregate mode"),
    ("SELECT rank(a) FROM t", "42809", "WITHIN GROUP is required for ordered-set aggregate rank"),
    ("SELECT sum(a) OVER (ORDER BY a ROWS BETWEEN 2 FOLLOWING AND 1 PRECEDING) FROM t", "42P20",
     "frame starting from following row cannot have preceding rows"),
    ("SELECT 'a' SIMILAR TO '('", "2201B", "invalid regular expression: parentheses () not balanced"),
    ("UPDATE of_domain SET g = 1", "428C9", 'column "g" can only be updated to DEFAULT'),
    ("SELECT x = y FROM (SELECT 1) x, (SELECT true) y", "42804",
     "cannot compare dissimilar column types integer and boolean at record column 1"),
    ("SELECT make_interval(nope => 1)", "42883", "function make_interval(nope => integer) does not exist"),
    ("SELECT interval '1e3 s'", "22007", 'invalid input syntax for type interval: "1e3 s"'),
    ("SELECT ROW() = ROW()", "0A000", "cannot compare rows of zero length"),
    ("SELECT format('%1$', 1)", "22023", "unterminated format() type specifier"),
    ("SELECT format('%*0$s', 'a')", "22023", "format specifies argument 0, but arguments are numbered from 1"),
    ("SELECT round(5.5e131071, -131072)", "22003", "value overflows numeric format"),
    ("SELECT power('-inf'::float8, 3.5)", "2201F",
     "a negative number raised to a non-integer power yields a complex result"),
    ("""SELECT json_each('[1]')""", "22023", "cannot deconstruct an array as an object"),
    ("""SELECT jsonb_each_text('1')""", "22023", "cannot call jsonb_each_text on a non-object"),
    ("""SELECT jsonb_object_keys('[]')""", "22023", "cannot call jsonb_object_keys on an array"),
    ("""SELECT * FROM json_to_record('{"d": 123}') AS r(d int[])""", "22P02", "expected JSON array"),
    ("""SELECT * FROM json_to_record('{"d": [[1],[2,3]]}') AS r(d int[])""", "22P02", "malformed JSON array"),
    ("SELECT * FROM generate_series('2022-01-01'::timestamp, 'infinity', '1 s')", "22008", "timestamp out of range"),
    (f"{_RECURSIVE}SELECT n + 1 FROM x WHERE n IN (SELECT n FROM x)) SELECT * FROM x", "42P19",
     'recursive reference to query "x" must not appear within a subquery'),
    (f"{_RECURSIVE}SELECT x.n FROM t LEFT JOIN x ON x.n = t.a) SELECT * FROM x", "42P19",
     'recursive reference to query "x" must not appear within an outer join'),
    (f"{_RECURSIVE}(SELECT n FROM x EXCEPT SELECT n FROM x)) SELECT * FROM x", "42P19",
     'recursive reference to query "x" must not appear within EXCEPT'),
    (f"{_RECURSIVE}SELECT x.n FROM x, x y) SELECT * FROM x", "42P19",
     'recursive reference to query "x" must not appear more than once'),
    ("UPDATE spans SET (n, id) = (SELECT a, a FROM t)", "21000", _MANY),
    ("UPDATE spans SET (n, id) = (VALUES (1, 2), (3, 4))", "21000", _MANY),
    ("SELECT sum(id) OVER (ORDER BY v RANGE '-1 day' PRECEDING) FROM spans", "22013",
     "invalid preceding or following size in window function"),
    ("SELECT 'ab' ILIKE 'A\\'", "22025", _DANGLING),
    ("SELECT 'ab' ILIKE '%A%\\'", "22025", _DANGLING),
    ("SELECT 'abc' ILIKE '%B\\'", "22025", _DANGLING),
    # A literal that is no value of its type, before what does not exist.
    ("SELECT a FROM t WHERE (a, true) < ('x', 2.5)", "22P02", 'invalid input syntax for type integer: "x"'),
    ("SELECT false + '[5,1]'::int4range", "22000",
     "range lower bound must be less than or equal to range upper bound"),
    ("SELECT false + '[1,5]'::int4range", "42883", "operator does not exist: boolean + int4range"),
    # A parameter that becomes text in the select list, and something else behind it.
    ("PREPARE p AS SELECT $1 FROM t WHERE $1 > 5", "42P08", "inconsistent types deduced for parameter $1"),
    ("PREPARE p AS SELECT a, $1 FROM t ORDER BY a + $1", "42P08", "inconsistent types deduced for parameter $1"),
    ("PREPARE p AS SELECT $1 LIMIT $1", "42P08", "inconsistent types deduced for parameter $1"),
)  # fmt: skip


@pytest.mark.parametrize(("sql", "wanted"), ANSWERS)
def test_answers_are_postgresql_s(db: LocalDatabase, sql: str, wanted: list[str | None]) -> None:
    assert [row[0] for row in db.run(sql)] == wanted


@pytest.mark.parametrize(("sql", "sqlstate", "message"), ERRORS)
def test_errors_are_postgresql_s(db: LocalDatabase, sql: str, sqlstate: str, message: str) -> None:
    with pytest.raises(HeliosError) as raised:
        db.run(sql)
    assert (raised.value.sqlstate, str(raised.value)) == (sqlstate, message)


@pytest.mark.parametrize(
    "query", ["SELECT $1 FROM t WHERE $1 > 'a'", "SELECT $1 + 1, $1 FROM t", "SELECT $1 UNION SELECT $1 + 1"]
)
def test_parameters_that_agree_stand_alone(db: LocalDatabase, query: str) -> None:
    db.run(f"PREPARE agreed AS {query}")
    db.run("DEALLOCATE agreed")


def test_rows_of_a_function_have_the_modifiers_of_their_table(db: LocalDatabase) -> None:
    columns = db.plan("SELECT * FROM rows_of()")[0].columns
    assert columns is not None
    assert [column.typmod for column in columns] == [-1, -1, ((6 << 16) | 2) + 4]


def test_lifted_literals_are_read_before_what_does_not_exist_and_not_behind_it() -> None:
    bench = Bench()
    try:
        assert bench.run("SELECT false + '[5,1]'::int4range").sqlstate == "22000"
        assert bench.run("SELECT false + '[1,5]'::int4range").sqlstate == "42883"
        assert bench.run("SELECT nope(1) WHERE '[5,1]'::int4range IS NULL").sqlstate == "42883"
    finally:
        bench.close()


def test_a_select_list_has_an_end(db: LocalDatabase) -> None:
    row = db.run("SELECT " + ", ".join(["1"] * 1664))[0]
    assert len(row) == 1664
    for many in (1665, 60_000):
        with pytest.raises(HeliosError, match="target lists can have at most 1664 entries") as caught:
            db.run("SELECT " + ", ".join(["1"] * many))
        assert caught.value.sqlstate == "54011"
