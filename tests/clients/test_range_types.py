"""Ranges that users make: drivers find them in the catalogs, send and read both formats, and pg_dump writes them."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import asyncpg
import psycopg
import pytest
from psycopg import errors
from psycopg.types.multirange import Multirange, MultirangeInfo, register_multirange
from psycopg.types.range import Range, RangeInfo, register_range
from support.node_process import NodeProcess

DEFINITIONS = """
    CREATE SCHEMA spans;
    CREATE TYPE spans.words AS RANGE (SUBTYPE = text, COLLATION = "C", MULTIRANGE_TYPE_NAME = spans.many_words);
    CREATE TYPE spans.floatrange AS RANGE (SUBTYPE = float8, SUBTYPE_DIFF = float8mi);
    CREATE TABLE spans.t (a spans.words PRIMARY KEY, b spans.many_words, c spans.floatrange[]);
"""


@pytest.fixture(autouse=True)
def types(server: NodeProcess) -> Iterator[None]:
    with server.connect() as connection:
        connection.execute("DROP SCHEMA IF EXISTS spans CASCADE")
        connection.execute(DEFINITIONS)
    yield


@pytest.mark.parametrize("binary", [False, True])
def test_psycopg_finds_and_adapts_them(server: NodeProcess, binary: bool) -> None:
    with server.connect() as connection:
        one = RangeInfo.fetch(connection, "spans.words")
        many = MultirangeInfo.fetch(connection, "spans.many_words")
        floats = RangeInfo.fetch(connection, "spans.floatrange")
        assert one is not None and many is not None and floats is not None
        assert (one.subtype_oid, many.range_oid, floats.subtype_oid) == (25, one.oid, 701)
        for info in (one, floats):
            register_range(info, connection)
        register_multirange(many, connection)
        row = (Range("a", "b,c", "[]"), Multirange([Range("a", "b"), Range("x", None)]), [Range(1.5, 2.5), None])
        cursor = connection.cursor(binary=binary)
        mark = "%b" if binary else "%s"
        insert = (
            f"INSERT INTO spans.t VALUES ({mark}::spans.words, {mark}::spans.many_words, {mark}::spans.floatrange[])"
        )
        cursor.execute(insert, row)
        assert cursor.execute("SELECT * FROM spans.t").fetchone() == row
        assert cursor.execute("SELECT upper(a), lower(c[1]) FROM spans.t").fetchone() == ("b,c", 1.5)
        with pytest.raises(errors.UniqueViolation):
            cursor.execute(insert, row)


def test_asyncpg_sends_and_reads_them_in_binary(server: NodeProcess) -> None:
    async def run() -> Any:
        connection = await asyncpg.connect(host="127.0.0.1", port=server.pg_port, user="postgres", database="heliosdb")
        try:
            given = (asyncpg.Range("a", "b"), [asyncpg.Range("k", "z")], [asyncpg.Range(1.0, None)])
            row = await connection.fetchrow("INSERT INTO spans.t VALUES ($1, $2, $3) RETURNING *", *given)
            with pytest.raises(asyncpg.DataError, match="range lower bound must be less than or equal"):
                await connection.fetchval("SELECT $1::spans.floatrange", asyncpg.Range(2.0, 1.0))
            return given, tuple(row or ())
        finally:
            await connection.close()

    given, row = asyncio.run(run())
    assert row == given


def test_other_connections_see_their_order(server: NodeProcess) -> None:
    with server.connect() as connection:
        connection.execute("INSERT INTO spans.t (a) VALUES ('(b,]'), ('[b,)'), ('empty'), ('[a,z]'), ('(,)')")
        expected = ["empty", "(,)", "[a,z]", "[b,)", "(b,)"]
    for _ in range(2):
        with server.connect() as connection:
            rows = connection.execute("SELECT a::text FROM spans.t ORDER BY t.a").fetchall()
            assert [text for (text,) in rows] == expected


@pytest.mark.skipif(shutil.which("pg_dump") is None, reason="needs pg_dump")
def test_pg_dump_writes_them(server: NodeProcess) -> None:
    call = ["pg_dump", "-h", "127.0.0.1", "-p", str(server.pg_port), "-U", "postgres", "-n", "spans", "heliosdb"]
    text = subprocess.run(call, capture_output=True, text=True, check=True, timeout=60).stdout
    assert 'multirange_type_name = spans.many_words,\n    collation = pg_catalog."C"' in text
    assert "CREATE TYPE spans.floatrange AS RANGE (\n    subtype = double precision" in text
    assert "    subtype_diff = float8mi" in text
    with server.connect() as connection:
        connection.execute("DROP SCHEMA spans CASCADE")
    psql = ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", *call[1:7], "-d", "heliosdb"]
    subprocess.run(psql, input=text, text=True, check=True, timeout=60, capture_output=True)
    with server.connect() as connection:
        assert _text(connection, "SELECT spans.floatrange(1, 2) * '[1.5,9]'") == "[1.5,2)"


def test_names_of_objects_are_qualified_where_the_path_does_not_find_them(server: NodeProcess) -> None:
    with server.connect() as connection:
        names = "'spans.t'::regclass::text || ' ' || 'spans.words'::regtype::text || ' ' || pg_typeof(a)::text"
        ask = f"SELECT {names} FROM spans.t"
        connection.execute("INSERT INTO spans.t (a) VALUES ('empty')")
        assert _text(connection, ask) == "spans.t spans.words spans.words"
        connection.execute("SET search_path = spans")
        assert _text(connection, ask) == "t words words"
        assert _text(connection, "SELECT 't'::regclass") == "t"
        found = connection.execute("SELECT %s::regclass::oid = to_regclass('spans.t')", ("t",)).fetchone()
        assert found == (True,)
        found = connection.execute("SELECT %s::regtype::oid = to_regtype('spans.words')", ("words",)).fetchone()
        assert found == (True,)
        connection.execute("SET search_path = ''")
        assert _text(connection, "SELECT 'spans.t'::regclass") == "spans.t"


def _text(connection: psycopg.Connection[Any], query: str) -> str:
    row = connection.execute(query).fetchone()
    assert row is not None
    return str(row[0])
