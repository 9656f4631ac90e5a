"""Functions and types in the catalogs, as PostgreSQL 15 tells of itself."""

from __future__ import annotations

import pytest
from support.local_database import LocalDatabase


@pytest.fixture(scope="module")
def database() -> LocalDatabase:
    return LocalDatabase()


def test_functions_say_whether_they_take_nulls(database: LocalDatabase) -> None:
    sql = "SELECT DISTINCT proname::text, proisstrict FROM pg_proc WHERE proname IN ('abs', 'concat', 'sum') ORDER BY 1"
    assert database.run(sql) == [("abs", "t"), ("concat", "f"), ("sum", "f")]


def test_character_is_called_so_where_nobody_says_that_it_has_no_modifier(database: LocalDatabase) -> None:
    shown = database.run("SELECT pg_typeof(NULL::bpchar)::text, format_type(1042, -1), format_type(1042, NULL)")
    assert shown == [("character", "bpchar", "character")]
