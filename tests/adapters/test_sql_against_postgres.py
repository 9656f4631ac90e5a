"""Functions, DDL, constraint errors and psql's catalog queries, answered as PostgreSQL 15 answers them."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.local_database import LocalDatabase
from support.postgres_server import PostgresServer, answer, run_server
from support.sql_corpus import FUNCTION_CALLS, STATEMENTS

from helios_cli.engine.errors import HeliosError

pytestmark = pytest.mark.needs("postgres", "initdb", "pg_isready", "psql")

CATALOG_COMMANDS = (
    r"\d", r"\dt", r"\d self", r"\d cc", r"\d v9", r"\d ch_id_seq", r"\d self_pkey", r"\du", r"\di", r"\ds", r"\dv",
    r"\d+ self", r"\d+ cc", r"\z self", r"\dd", r"\dD", r"\dm", r"\dRp", r"\dP", r"\dX", r"\db",
    r"\df pg_backend_pid",
)  # fmt: skip
"""Commands whose queries must give the same rows on the same schema."""


@pytest.fixture(scope="module")
def server(program: Callable[[str], str]) -> Iterator[PostgresServer]:
    yield from run_server(program)


@pytest.fixture
def connection(server: PostgresServer) -> Iterator[Any]:
    with server.connect() as opened:
        yield opened


def ours(database: LocalDatabase, sql: str) -> list[tuple[str | None, ...]] | tuple[str, str]:
    try:
        return database.run(sql)
    except HeliosError as error:
        return error.sqlstate, error.message


def lines(corpus: str) -> list[str]:
    return [line for line in corpus.splitlines() if line]


def test_functions_give_the_same_text(connection: Any) -> None:
    database = LocalDatabase()
    different = {}
    for call in lines(FUNCTION_CALLS):
        mine, theirs = ours(database, f"SELECT {call}"), answer(connection, f"SELECT {call}")
        if mine != theirs:
            different[call] = (mine, theirs)
    assert different == {}


def _queries_of(server: PostgresServer, psql: str, command: str) -> list[str]:
    arguments = [
        psql,
        "-X",
        "-h",
        server.directory,
        "-p",
        str(server.port),
        "-U",
        "helios",
        "-E",
        "-c",
        command,
        "postgres",
    ]
    shown = subprocess.run(arguments, capture_output=True, text=True, check=False).stdout
    return re.findall(r"\*{8,} QUERY \*{8,}\n(.*?)\n\*{24,}", shown, re.DOTALL)


def _without_oids(rows: Any) -> Any:
    if not isinstance(rows, list):
        return rows
    return [tuple(re.sub(r"^\d{5,}$", "OID", cell) if cell else cell for cell in row) for row in rows]


def test_a_schema_is_made_changed_and_shown_the_same(
    server: PostgresServer, connection: Any, program: Callable[[str], str]
) -> None:
    database = LocalDatabase()
    different: dict[str, Any] = {}
    for statement in [*lines(STATEMENTS), "create view v9 as select a, n from cc where a > 1"]:
        mine, theirs = ours(database, statement), answer(connection, statement)
        if mine != theirs:
            different[statement] = (mine, theirs)
    assert different == {}
    names = {row[1]: row[0] for row in answer(connection, "select relname, oid from pg_class where oid > 16000")}

    def local_oid(match: re.Match[str]) -> str:
        name = names.get(match[1])
        if name is None:
            return match[0]
        oid = database.value(f"select '{name}'::regclass::oid")
        return f"'{oid}'"

    count = 0
    for command in CATALOG_COMMANDS:
        for query in _queries_of(server, program("psql"), command):
            count += 1
            theirs = _without_oids(answer(connection, query))
            mine = _without_oids(ours(database, re.sub(r"'(\d{5,})'", local_oid, query)))
            if mine != theirs:
                different[f"{command}: {query}"] = (mine, theirs)
    assert count > 50
    assert different == {}
