"""Lifting literals out of query strings."""

from __future__ import annotations

import pytest

from helios_cli.engine.sql.shape import MARK, lift, literal_places, literal_spans


@pytest.mark.parametrize(
    ("sql", "classes", "literals"),
    [
        ("SELECT abalance FROM pgbench_accounts WHERE aid = 12345;", "i", (12345,)),
        ("UPDATE t SET a = a + -17 WHERE b = 3", "ii", (17, 3)),
        ("INSERT INTO t VALUES (1, 'it''s', 2.50, 99999999999)", "isnl", (1, "it's", "2.50", 99999999999)),
        ("SELECT 2147483648, 9223372036854775808", "ee", ("2147483648", "9223372036854775808")),
        ("SELECT 99999999999999999999, 1e5", "nn", ("99999999999999999999", "1e5")),
        ("SELECT t1.c2 FROM t1 WHERE $1 = c3", "", ()),
        ("SELECT E'x', B'1', X'ff', U&'y'", "", ()),
        ("SELECT 1abc, 0x1F, 1_000", "", ()),
        ("SELECT ''", "s", ("",)),
    ],
)
def test_what_is_lifted(sql: str, classes: str, literals: tuple[object, ...]) -> None:
    shape, found = lift(sql)
    assert "".join(piece[0] for piece in shape.split(MARK)[1:]) == classes
    assert "".join(letter for _start, letter in literal_places(sql)) == classes
    assert found == literals


def test_equal_shapes_for_other_values() -> None:
    assert lift("SELECT a FROM t WHERE k = 'x' LIMIT 5")[0] == lift("SELECT a FROM t WHERE k = 'y y' LIMIT 77")[0]


def test_the_class_is_part_of_the_shape() -> None:
    shapes = {lift(f"SELECT {text}")[0] for text in ("1", "99999999999", "1.5", "'1'", "2147483648")}
    assert len(shapes) == 5


def test_spans_are_those_of_the_literals() -> None:
    sql = "SELECT 'é', 12 FROM t"
    assert [sql[start:end] for start, end in literal_spans(sql)] == ["'é'", "12"]
    assert [start for start, _letter in literal_places(sql)] == [start for start, _end in literal_spans(sql)]
