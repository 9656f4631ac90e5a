"""Functions and types in the catalogs, as PostgreSQL 15 tells of itself."""

from __future__ import annotations

import pytest
from support.local_database import LocalDatabase


@pytest.fixture(scope="module")
def database() -> LocalDatabase:
    return LocalDatabase()


def test_functions_say_whether_they_take_nulls(database: LocalDatabase) -> None:
    names = "'abs', 'array_to_string', 'concat', 'lag', 'row_number', 'set_config', 'sum'"
    sql = (
        f"SELECT DISTINCT proname::text, pronargs, proisstrict FROM pg_proc WHERE proname IN ({names}) AND pronargs < 4"
    )
    assert sorted(database.run(f"SELECT DISTINCT proname, proisstrict FROM ({sql}) p WHERE pronargs <> 2")) == [
        ("abs", "t"), ("array_to_string", "f"), ("concat", "f"), ("lag", "t"), ("row_number", "f"), ("set_config", "f"),
        ("sum", "f"),
    ]  # fmt: skip
    assert database.run(f"{sql} AND pronargs = 2") == [("array_to_string", "2", "t"), ("lag", "2", "t")]


def test_character_is_called_so_where_nobody_says_that_it_has_no_modifier(database: LocalDatabase) -> None:
    shown = database.run("SELECT pg_typeof(NULL::bpchar)::text, format_type(1042, -1), format_type(1042, NULL)")
    assert shown == [("character", "bpchar", "character")]
