"""The extension ltree: what PostgreSQL 15 answers, as literals."""

from __future__ import annotations

import pytest
from support.local_database import LocalDatabase

from helios_cli.engine.datatypes import registry
from helios_cli.engine.errors import HeliosError


@pytest.fixture(scope="module")
def db() -> LocalDatabase:
    database = LocalDatabase()
    database.run("CREATE EXTENSION ltree")
    database.run("CREATE TABLE branch (p ltree PRIMARY KEY, q lquery)")
    database.run(
        "INSERT INTO branch VALUES ('a.b', '*.b'), ('a', 'a'), ('a.b.c', 'x'), ('a_b', 'x'), ('aa', 'x'), ('', 'x')"
    )
    return database


@pytest.mark.parametrize(
    ("sql", "wanted"),
    [
        (
            "'Top.Science.Astronomy'::ltree, ''::ltree, nlevel('a.b.c'), subltree('Top.Child1.Child2',1,2), "
            "subpath('Top.Child1.Child2',0,2), subpath('a.b.c.d',-2), subpath('a.b.c.d',1,-1), "
            "index('0.1.2.3.5.4.5.6.8.5.6.8','5.6'), index('0.1.2.3.5.4.5.6.8.5.6.8','5.6',-4), "
            "lca('1.2.3','1.2.3.4.5.6'), lca(array['1.2.3'::ltree,'1.2.5']), lca('1','1.2')",
            "Top.Science.Astronomy  3 Child1 Top.Child1 c.d b.c 6 9 1.2 1.2 ",
        ),
        (
            "'a.b'::ltree @> 'a.b.c', 'a.b.c'::ltree <@ 'a.b', 'a' || 'b.c'::ltree, 'a'::ltree || "
            "'b.c'::ltree, 'a.b'::ltree < 'a.b.c', 'a_b'::ltree > 'a.b', 'a.b'::ltree = 'a.b'",
            "t t a.b.c a.b.c t t t",
        ),
        (
            "'Top.*.Astro*@'::lquery, '*{2}.foo|bar%@*.!x|y'::lquery, '*{1,}.a{,3}.b{2,4}.*{0,5}'::lquery, "
            "'!a'::lquery, '*{,}'::lquery, 'a{1}'::lquery",
            "Top.*.Astro@* *{2}.foo|bar%@*.!x|y *{1,}.a{,3}.b{2,4}.*{,5} !a * a{1}",
        ),
        (
            "'Top.Science.Astronomy'::ltree ~ '*.Astro*', 'Top.Science.Astronomy'::ltree ~ "
            "'Top.*{1}.astronomy@', 'Top.Science'::ltree ~ 'Top.!Science', 'a.b.c'::ltree ~ 'a.*{2}', "
            "'a.b.c'::ltree ~ '*', 'foo_bar_baz.x'::ltree ~ 'foo_baz%.x', 'a.b.c'::ltree ~ 'a|b{1,2}.c', "
            "''::ltree ~ '*'",
            "t t f t t t t t",
        ),
        (
            "'Europe & Russia*@ & !Transportation'::ltxtquery, 'a|b&(c|!d)'::ltxtquery, "
            "'!(a&b)'::ltxtquery, '(a|b)&c'::ltxtquery, 'a & b | c'::ltxtquery, 'x%*'::ltxtquery",
            "Europe & Russia@* & !Transportation a | b & ( c | !d ) !( a & b ) ( a | b ) & c a & b | c x%*",
        ),
        (
            "'Europe.Russia'::ltree @ 'Europe & Russia*@ & !Transportation', 'Europe.Russia'::ltree @ 'a|b'",
            "t f",
        ),
        (
            "array['a.b'::ltree,'c.d'] @> 'a.b.c', array['a.b'::ltree,'c.d'] ?@> 'a.b.c', "
            "array['a.b'::ltree,'c.d'] ~ 'c.*', array['a.b'::ltree,'c.d'] ?~ 'c.*', 'a.b'::ltree ? "
            "array['x','a.*']::lquery[], array['a.b'::ltree,'c.d'] @ 'd'",
            "t a.b t c.d t t",
        ),
        (
            "text2ltree('a.b'), ltree2text('a.b'), 'a.b'::text::ltree, 'a.b'::ltree::text, ltree 'x.y'",
            "a.b a.b a.b a.b x.y",
        ),
    ],
)  # fmt: skip
def test_values(db: LocalDatabase, sql: str, wanted: str) -> None:
    assert db.run(f"SELECT concat_ws(' ', {sql})") == [(wanted,)]


@pytest.mark.parametrize(
    ("sql", "sqlstate", "message"),
    [
        ("'a..b'::ltree", "42601", "ltree syntax error at character 3"),
        ("'a.b-'::ltree", "42601", "ltree syntax error at character 4"),
        ("'a.'::ltree", "42601", "ltree syntax error"),
        ("subpath('a.b',5)", "22023", "invalid positions"),
        ("subltree('a.b',1,0)", "22023", "invalid positions"),
        ("'a{3,2}'::lquery", "42601", "lquery syntax error"),
        ("'a.|b'::lquery", "42601", "lquery syntax error at character 3"),
        ("'a &'::ltxtquery", "42601", "operand syntax error"),
        ("subpath('a.b',2)", "22023", "invalid positions"),
    ],
)
def test_errors(db: LocalDatabase, sql: str, sqlstate: str, message: str) -> None:
    with pytest.raises(HeliosError) as failed:
        db.run(f"SELECT {sql}")
    assert (failed.value.sqlstate, str(failed.value)) == (sqlstate, message)


def test_paths_are_sorted_label_by_label(db: LocalDatabase) -> None:
    found = db.run("SELECT p::text FROM branch ORDER BY p")
    assert found == [("",), ("a",), ("a.b",), ("a.b.c",), ("a_b",), ("aa",)]
    assert db.run("SELECT p::text FROM branch WHERE p <@ 'a.b' ORDER BY p") == [("a.b",), ("a.b.c",)]
    assert db.run("SELECT p::text FROM branch WHERE p ~ q ORDER BY p DESC") == [("a.b",), ("a",)]
    assert db.run("SELECT p::text FROM branch WHERE p > 'a.b' ORDER BY p DESC") == [("aa",), ("a_b",), ("a.b.c",)]


@pytest.mark.parametrize(("name", "text"), [("ltree", "a.b_c"), ("lquery", "a.*{1,2}.!b|c@"), ("ltxtquery", "a & !b*")])
def test_binary_forms(name: str, text: str) -> None:
    kind = registry.by_internal_name(name)
    assert kind is not None
    assert kind.format_binary(text) == b"\1" + text.encode()
    assert kind.parse_binary(b"\1" + text.encode()) == text
    with pytest.raises(HeliosError, match=f"unsupported {name} version number 2"):
        kind.parse_binary(b"\2" + text.encode())
