"""Rows compared with the one row of a subquery: PostgreSQL 15's answers."""

from __future__ import annotations

import pytest
from support.local_database import LocalDatabase

from helios_cli.engine.errors import HeliosError


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("(1, 2) = (SELECT 1, 2)", "t"),
        ("(1, 2) = (SELECT 1, 3)", "f"),
        ("(1, 2) = (SELECT 1, 2 WHERE false)", None),
        ("(1, NULL) = (SELECT 1, 2)", None),
        ("(1, '2') = (SELECT 1, 2)", "t"),
        ("(1, 2) < (SELECT 1, 3)", "t"),
        ("(1, 2) <> (SELECT 1, 2)", "f"),
        ("(2.0, 'x') = (SELECT 2, 'x'::varchar)", "t"),
        ("NOT (1, 2) = (SELECT 2, x FROM generate_series(1, 5) x ORDER BY x DESC LIMIT 1)", "t"),
    ],
)
def test_a_row_is_compared_with_a_subquery(expression: str, expected: str | None) -> None:
    assert LocalDatabase().run(f"SELECT {expression}") == [(expected,)]


@pytest.mark.parametrize(
    ("query", "sqlstate", "message"),
    [
        ("SELECT 1", "42601", "subquery has too few columns"),
        ("SELECT 1, 2, 3", "42601", "subquery has too many columns"),
        ("SELECT 1, x FROM generate_series(1, 2) x", "21000", "more than one row returned by a subquery used as"),
    ],
)
def test_a_subquery_that_is_no_such_row(query: str, sqlstate: str, message: str) -> None:
    with pytest.raises(HeliosError, match=message) as caught:
        LocalDatabase().run(f"SELECT (1, 2) = ({query})")
    assert caught.value.sqlstate == sqlstate
