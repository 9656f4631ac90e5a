"""What a node sets up for its process: the C library's memory, SQLite's, and texts that are parsed once."""

from __future__ import annotations

import platform
from pathlib import Path

import apsw
import pytest
from support.catalog_schema import Schema

from helios_cli.engine.net.interpreter import join_freed_blocks
from helios_cli.engine.sql import planner
from helios_cli.engine.sql.functions import REGISTRY
from helios_cli.engine.sql.plan_cache import PlanCache
from helios_cli.engine.storage.connection import create_database, open_connection


def test_the_c_library_is_told_to_join_freed_blocks() -> None:
    assert join_freed_blocks() == (platform.libc_ver()[0] == "glibc")


def test_sqlite_does_not_count_its_memory(tmp_path: Path) -> None:
    create_database(str(tmp_path / "db"))
    connection = open_connection(str(tmp_path / "db"))
    connection.execute("CREATE TABLE t (a)")
    assert apsw.memory_used() == 0
    connection.close()


def test_a_definition_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    schema, parse = Schema(1), planner.parse
    parsed: list[str] = []

    def counted(sql: str) -> list[planner.Statement]:
        parsed.append(sql)
        return parse(sql)

    monkeypatch.setattr(planner, "parse", counted)
    text = "CREATE TABLE parsed_once (id int)"
    PlanCache(planner.Planner(REGISTRY)).get(text, schema.catalog)
    assert parsed == [text]
