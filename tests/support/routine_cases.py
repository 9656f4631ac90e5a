"""Statements with users' functions and triggers, and what PostgreSQL 15 answers them: run, and compared.

A corpus is a JSON list of [statement, answer, notices]. An answer is a list of command tags or [names, type OIDs, rows
as text], or the fields of an error: SQLSTATE, message, detail, hint, context.

To record the answers of a real server: python -m support.routine_cases "host=... dbname=..." statements.sql corpus.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import psycopg

SCHEMA = "plf"
FIRST_OID = 16384
"""Types that users make have OIDs of their own on every server."""


def answers(dsn: str, statements: list[str]) -> list[tuple[Any, list[str]]]:
    """What a server answers, and the messages it sends meanwhile; in a schema of their own."""
    notices: list[str] = []
    found = []
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")
        connection.execute(f"CREATE SCHEMA {SCHEMA}")
        connection.execute(f"SET search_path = {SCHEMA}")
        connection.add_notice_handler(
            lambda diag: notices.append(f"{diag.severity}:{diag.sqlstate}:{diag.message_primary}|{diag.message_detail}")
        )
        for statement in statements:
            notices.clear()
            found.append((_answer(connection, statement), list(notices)))
    return found


def _answer(connection: psycopg.Connection[Any], statement: str) -> Any:
    cursor = psycopg.ClientCursor(connection)
    results: list[Any] = []
    try:
        cursor.execute(statement.encode())
    except psycopg.Error as error:
        diag = error.diag
        return {
            "sqlstate": diag.sqlstate, "message": diag.message_primary, "detail": diag.message_detail,
            "hint": diag.message_hint, "context": diag.context,
        }  # fmt: skip
    while True:
        if cursor.description is not None:
            rows = [[None if value is None else str(value) for value in row] for row in cursor.fetchall()]
            columns = cursor.description
            types = [column.type_code if column.type_code < FIRST_OID else 0 for column in columns]
            results.append([[column.name for column in columns], types, rows])
        else:
            results.append(cursor.statusmessage)
        if not cursor.nextset():
            return results


def read_statements(text: str) -> list[str]:
    """The statements of a file, which lines of two dashes separate."""
    return [statement.strip() for statement in text.split("\n--\n") if statement.strip()]


def differences(dsn: str, corpus: Path) -> list[str]:
    """How a node's answers differ from the recorded ones; empty when they do not."""
    cases = json.loads(corpus.read_text())
    given = answers(dsn, [case[0] for case in cases])
    return [
        f"{statement}\n  expected {expected} {notices}\n  got      {got} {got_notices}"
        for (statement, expected, notices), (got, got_notices) in zip(cases, given, strict=True)
        if (got, got_notices) != (expected, notices)
    ]


def record(dsn: str, source: Path, corpus: Path) -> None:
    """Write down what a real server answers."""
    statements = read_statements(source.read_text())
    cases = [[statement, *answer] for statement, answer in zip(statements, answers(dsn, statements), strict=True)]
    corpus.write_text("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")


if __name__ == "__main__":
    record(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
