"""SQL/JSON paths: what PostgreSQL 15 answers, as literals."""

from __future__ import annotations

import pytest
from support.local_database import LocalDatabase

from helios_cli.engine.datatypes import registry
from helios_cli.engine.errors import HeliosError


@pytest.fixture(scope="module")
def db() -> LocalDatabase:
    return LocalDatabase()


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("$.a[*] ? (@.b > 1)", '$."a"[*]?(@."b" > 1)'),
        ("strict $.a.b", 'strict $."a"."b"'),
        ("$ ? (@.a > 1 && @.b < 2 || !(@.c == 3))", '$?(@."a" > 1 && @."b" < 2 || !(@."c" == 3))'),
        ("-$.a * 2 + 3", '(-$."a" * 2 + 3)'),
        ('$.**{2 to last}."a b"[0, 2 to last].size()', '$.**{2 to last}."a b"[0,2 to last].size()'),
        ('$ ? (@ like_regex "^a" flag "i")', '$?(@ like_regex "^a" flag "i")'),
        ("$x.y ? (exists(@.z) && (@.q == null) is unknown)",
         '$"x"."y"?(exists (@."z") && (@."q" == null) is unknown)'),
    ],
)  # fmt: skip
def test_a_path_is_printed_as_postgresql_prints_it(db: LocalDatabase, path: str, wanted: str) -> None:
    assert db.value(f"SELECT '{path}'::jsonpath") == wanted
    kind = registry.by_internal_name("jsonpath")
    assert kind is not None
    assert kind.parse_binary(kind.format_binary(wanted)) == wanted


@pytest.mark.parametrize(
    ("sql", "wanted"),
    [
        ("""SELECT jsonb_path_query('{"a":[{"b":1},{"b":2},{"b":3}]}', '$.a[*] ? (@.b > 1)')""",
         ['{"b": 2}', '{"b": 3}']),
        ("""SELECT jsonb_path_query_array('[1,2,3,4]', '$[*] ? (@ >= $min && @ <= $max)', '{"min":2,"max":3}')""",
         ["[2, 3]"]),
        ("""SELECT jsonb_path_query_first('{"a":[1,2,3]}', '$.a[last]')""", ["3"]),
        ("SELECT jsonb_path_query_first('{}', '$.a')", [None]),
        ("""SELECT jsonb_path_exists('{"a":1}', '$.a ? (@ == 1)')""", ["t"]),
        ("""SELECT jsonb_path_match('{"a":1}', '$.a == 1')""", ["t"]),
        ("""SELECT '{"a":[1,2,3]}'::jsonb @? '$.a[*] ? (@ > 2)'""", ["t"]),
        ("""SELECT '{"a":[1,2,3]}'::jsonb @@ '$.a[*] > 2'""", ["t"]),
        ("""SELECT '{"a":1}'::jsonb @@ '$.a'""", [None]),
        ("""SELECT jsonb_path_query('{"a":1}', 'strict $.b', '{}', true)""", []),
        ("""SELECT jsonb_path_query('{"a":7}', '$.a / 2')""", ["3.5000000000000000"]),
        ("""SELECT jsonb_path_query('[1,"2.5",{"a":1},null,true,[]]', '$[*].type()')""",
         ['"number"', '"string"', '"object"', '"null"', '"boolean"', '"array"']),
        ("SELECT jsonb_path_query('[-1.5]', '$[*].ceiling()')", ["-1"]),
        ("""SELECT jsonb_path_query('{"a":{"b":{"c":1}}}', '$.**{2}')""", ['{"c": 1}']),
        ("""SELECT jsonb_path_query('["abc","Abd","x"]', '$[*] ? (@ like_regex "^ab" flag "i")')""",
         ['"abc"', '"Abd"']),
        ("""SELECT jsonb_path_query_array('[{"a":null},{"a":1},{}]', '$[*] ? (@.a == null)')""", ['[{"a": null}]']),
        ("""SELECT jsonb_path_query('{"x":{"a":1,"b":2}}', '$.x.keyvalue().key')""", ['"a"', '"b"']),
        ("SELECT x FROM jsonb_path_query('[1,2]', '$[*]') AS x", ["1", "2"]),
    ],
)  # fmt: skip
def test_answers(db: LocalDatabase, sql: str, wanted: list[str | None]) -> None:
    assert [row[0] for row in db.run(sql)] == wanted


@pytest.mark.parametrize(
    ("sql", "sqlstate", "message"),
    [
        ("""SELECT jsonb_path_query('{"a":1}', 'strict $.b')""", "2203A", 'JSON object does not contain key "b"'),
        ("SELECT jsonb_path_query('[1]', 'strict $[3]')", "22033", "jsonpath array subscript is out of bounds"),
        ("SELECT jsonb_path_query('[1,2,3]', '$[*] * 2')", "22038",
         "left operand of jsonpath operator * is not a single numeric value"),
        ("""SELECT jsonb_path_query('{"a":0}', '1 / $.a')""", "22012", "division by zero"),
        ("""SELECT jsonb_path_query('{"a":1}', '$x')""", "42704", 'could not find jsonpath variable "x"'),
        ("SELECT '$.'::jsonpath", "42601", "syntax error at end of jsonpath input"),
        ("SELECT ''::jsonpath", "22P02", 'invalid input syntax for type jsonpath: ""'),
        ("""SELECT jsonb_path_match('{"a":1}', '$.a')""", "22038", "single boolean result is expected"),
    ],
)  # fmt: skip
def test_errors_are_postgresqls(db: LocalDatabase, sql: str, sqlstate: str, message: str) -> None:
    with pytest.raises(HeliosError) as caught:
        db.run(sql)
    assert (caught.value.sqlstate, str(caught.value)) == (sqlstate, message)
