"""What holds of the class of any text: nothing raises, literals do not matter but where they do, memory is bounded."""

from __future__ import annotations

import random
import re
from itertools import pairwise
from typing import Any

import pgparse
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from helios_cli.engine.proxy import classify, lexical, unparsed, utilities
from helios_cli.engine.proxy.classify import Classes
from helios_cli.engine.proxy.statement import Access
from helios_cli.engine.sql.shape import lift

WORDS = (
    "SELECT", "INSERT INTO t VALUES", "DELETE FROM t", "nextval", "set_config", "FROM", "WITH q AS", "SET a =", "BEGIN",
    "COMMIT", "EXPLAIN", "ANALYZE", "COPY t", "TO STDOUT", "(", ")", ",", ";", "'", "''", '"', "$$", "$a$", "E'", "\\",
    "--", "\n", "/*", "*/", "helios: primary", "1", "1.5", "'x'", "a", "\0", "é", "\ud800", "$1", "=", "::int",
    "FOR UPDATE",
)  # fmt: skip
TEXTS = st.one_of(st.text(), st.lists(st.sampled_from(WORDS), max_size=30).map(" ".join))
LITERALS = st.one_of(
    st.integers(0, 10**30).map(str),
    st.decimals(0, 10**9, allow_nan=False, places=3).map(str),
    st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"])).map(
        lambda text: "'" + text.replace("'", "''") + "'"
    ),
)
SHAPES = (
    "SELECT * FROM t WHERE a = {} AND b IN ({}, {})",
    "INSERT INTO t VALUES ({}, {})",
    "SELECT nextval({}), {}",
    "SELECT f({}) FROM t WHERE a < {} FOR UPDATE",
    "WITH q AS (UPDATE t SET a = {} RETURNING *) SELECT {} FROM q",
    "SELECT {}; DELETE FROM t WHERE a = {}",
    "SELECT {} /* helios: primary */, {}",
    "SELECT pg_advisory_lock({})",
    "CREATE TEMP TABLE t AS SELECT {}",
)


@settings(max_examples=500)
@given(st.lists(TEXTS, max_size=5))
@example(["SELECT 1 -- 'a\n; DELETE FROM t; -- '", "SELECT 1 -- 'b'"])
def test_any_text_has_a_class_the_same_for_everybody(texts: list[str]) -> None:
    classes = Classes()
    for text in texts:
        found = classes.of(text)
        assert found.access in Access
        assert found.count >= 0
        if "\0" not in text:  # Which no client can send.
            assert found == classes.of(text) == Classes().of(text)


@settings(max_examples=300)
@given(st.sampled_from(SHAPES), st.lists(st.lists(LITERALS, min_size=3, max_size=3), min_size=2, max_size=4))
def test_other_literals_are_of_the_same_class(shape: str, several: list[list[str]]) -> None:
    classes = Classes()
    expected = classes.of(shape.format(1, 2, 3))
    for literals in several:
        text = shape.format(*literals)
        assert classes.of(text) == Classes().of(text) == expected


OTHERS = {
    "i": ("1", "0"),
    "l": ("12345678901",),
    "n": ("1.5", "1e3"),
    "e": ("2147483648",),
    "s": (
        "''",
        "'; DELETE FROM t; --'",
        "'$$; DELETE FROM t; --'",
        "'\"; DELETE FROM t; --'",
        "'/* helios: primary */'",
        "'\\'",
        "'a'",
        "'on'",
        "'\n'",
    ),
}
"""Other literals of the same shape, by class."""


PARTS = (
    "'a'",
    "2",
    "$$ 'a' $$",
    "$a$ 2 $a$",
    "E'\\' 'a'",
    "1 AS \"x 'a'\"",
    "3 /* 'a' */",
    "4 -- 'a'\n",
    "'a' 'a'",
    "E'\n'",
)


@settings(max_examples=200)
@given(st.lists(st.sampled_from(PARTS), min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_texts_that_look_alike_are_told_apart(parts: list[str], rng: random.Random) -> None:
    text = f"SELECT {', '.join(parts)}"
    shape, _literals = lift(text)
    classes = Classes()
    for _ in range(4):
        other = re.sub(r"\0(.)", lambda match: rng.choice(OTHERS[match[1]]), shape)
        assert classes.of(other) == Classes().of(other)


@settings(max_examples=300)
@given(TEXTS)
def test_pieces_are_in_order_and_apart(text: str) -> None:
    pieces = lexical.cut(text)
    spans = sorted(pieces.comments + pieces.strings)
    assert all(start < end for start, end in spans)
    assert all(one[1] <= other[0] for one, other in pairwise(spans))


def test_a_shape_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = []

    def parse(sql: str) -> Any:
        parsed.append(sql)
        return pgparse.parse(sql)

    monkeypatch.setattr(classify, "grammar", type("Module", (), {"parse": parse, "Refused": pgparse.PGQueryError}))
    classes = Classes()
    for number in range(100):
        classes.of(f"SELECT * FROM t WHERE a = {number} AND b = 'x{number}'")
        classes.of(f"/* request={number}, id='{number}' */ UPDATE t SET a = {number}")
        classes.of(f"INSERT INTO t VALUES {', '.join(f'({number}, {row})' for row in range(number * 10))}")
        classes.of("SELECT set_config('a.b', 'c', false)")
        classes.of("SELECT E'\\n'")
    assert len(parsed) < 20


def test_a_tree_that_is_not_understood_is_a_write(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(utilities, "judge", lambda node, text: node["NoSuchNode"])
    assert Classes().of("CREATE TABLE t (a int)").access is Access.WRITE


def test_memory_is_bounded_in_number_and_length() -> None:
    classes = Classes(size=100)
    for number in range(2000):
        classes.of(f"SELECT c{number} FROM t")
        classes.of(f"SET a.b = '{number}'")
        assert len(classes) <= 125
    assert classes.of("SELECT c1999 FROM t").access is Access.READ


def test_memory_is_bounded_in_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classify, "CHARACTERS_MAX", 10_000)
    classes = Classes()
    for number in range(100):
        classes.of(f"SELECT {'x' * 990}{number} FROM t")
        assert len(classes) <= 11
    assert len(classes) > 5


LONG = 70_000


@pytest.mark.parametrize(
    ("sql", "access", "named", "pins"),
    [
        (f"SELECT * FROM t WHERE a IN ({', '.join(map(str, range(LONG)))})", Access.READ, False, ""),
        (f"SELECT * FROM t WHERE a IN ({', '.join(map(str, range(LONG)))}) FOR SHARE", Access.WRITE, False, ""),
        (f"SELECT f(a) FROM t WHERE a IN ({', '.join(map(str, range(LONG)))})", Access.WRITE, True, ""),
        (f"INSERT INTO t VALUES {', '.join(f'({row})' for row in range(LONG))};", Access.WRITE, True, ""),
        (f"INSERT INTO t VALUES ('{'a;' * LONG * 2}')", Access.WRITE, True, ""),
        (f"WITH q AS (VALUES ('{'x' * LONG * 5}')) UPDATE t SET a = 1 FROM q", Access.WRITE, True, ""),
        (f"CREATE TEMP TABLE t AS SELECT '{'x' * LONG * 5}'", Access.WRITE, False, "a text too long to be read"),
        (f"SELECT 1; SET a.b = '{'x' * LONG * 5}'", Access.WRITE, False, "a text too long to be read"),
        (f"SELECT '{'nextval(1)' * LONG}'", Access.READ, False, ""),
        (f"SELECT {'x ' * LONG * 8}", Access.WRITE, False, "a text too long to be read"),
    ],
)
def test_long_texts_are_judged_by_their_words(sql: str, access: Access, named: bool, pins: str) -> None:
    found = Classes().of(sql)
    assert (found.access, found.named, found.pins) == (access, named, pins)


WORDS_OF_CODE = (
    "SELECT", "a", "b.c", "pg_catalog", ".", "(", ")", ",", "  ", "f", "lower", "now", "nextval", "set_config", "into",
    "INSERT INTO t", "FOR UPDATE", "update", "pg_locks", "1e5", "FROM t", '"x', '"', "é", "K", " " * 301, "q" * 301,
)  # fmt: skip


@settings(max_examples=2000)
@given(st.lists(st.sampled_from(WORDS_OF_CODE), max_size=20), st.sampled_from(("", " ")))
@example(["f", " " * 301, "("], "")
@example(["a", ".", " ", "nextval", " ", "(", "1", ")"], "")
@example(["q" * 301, "lower", " " * 294, "("], "")
@example(["a", " " * 301, ".", "lower", "("], "")
@example(["a", " ", ".", " " * 299, "lower", "("], "")
def test_a_long_text_is_judged_as_a_short_one_is(words: list[str], between: str) -> None:
    code = "SELECT " + between.join(words)
    kept, unparsed._LONG_MIN = unparsed._LONG_MIN, len(code) + 1  # type: ignore[misc]
    try:
        short = unparsed.query(code)
        unparsed._LONG_MIN = 0  # type: ignore[misc]
        assert unparsed.query(code) == short
    finally:
        unparsed._LONG_MIN = kept  # type: ignore[misc]


@pytest.mark.parametrize("length", [10, 2_000, 300_000])
def test_texts_of_any_length_have_hints(length: int) -> None:
    for text in ("SELECT '{}' /* helios: primary */", "INSERT INTO t VALUES ('{}') -- helios: standby"):
        assert Classes().of(text.format("x" * length)).hint in ("primary", "standby")


@pytest.mark.parametrize(
    ("sql", "count", "has_control"),
    [("SELEC 1", 1, False), ("BEGIN; SELEC 1", 2, True), ("SELECT 'a;b', FROM x; COMMIT", 2, True)],
)
def test_what_is_wrong_goes_to_the_primary_and_leaves_nothing(sql: str, count: int, has_control: bool) -> None:
    found = Classes().of(sql)
    assert (found.access, found.count, found.has_control) == (Access.WRITE, count, has_control)
    assert not found.named and not found.pins
