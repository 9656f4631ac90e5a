"""pg_get_keywords(), as PostgreSQL 15 answers."""

from __future__ import annotations

import pytest
from support.local_database import LocalDatabase


@pytest.fixture(scope="module")
def db() -> LocalDatabase:
    return LocalDatabase()


def test_words_by_category(db: LocalDatabase) -> None:
    counts = "catcode::text, barelabel, catdesc, baredesc, count(*)"
    assert db.run(f"SELECT {counts} FROM pg_get_keywords() GROUP BY 1, 2, 3, 4 ORDER BY 1, 2") == [
        ("C", "f", "unreserved (cannot be function or type name)", "requires AS", "3"),
        ("C", "t", "unreserved (cannot be function or type name)", "can be bare label", "48"),
        ("R", "f", "reserved", "requires AS", "22"),
        ("R", "t", "reserved", "can be bare label", "55"),
        ("T", "f", "reserved (can be function or type name)", "requires AS", "3"),
        ("T", "t", "reserved (can be function or type name)", "can be bare label", "20"),
        ("U", "f", "unreserved", "requires AS", "11"),
        ("U", "t", "unreserved", "can be bare label", "298"),
    ]


def test_some_words(db: LocalDatabase) -> None:
    words = "('select', 'between', 'year', 'left', 'zone')"
    assert db.run(f"SELECT word, catcode, barelabel FROM pg_catalog.pg_get_keywords() WHERE word IN {words}") == [
        ("between", "C", "t"),
        ("left", "T", "t"),
        ("select", "R", "t"),
        ("year", "U", "f"),
        ("zone", "U", "t"),
    ]
