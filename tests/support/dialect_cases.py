"""Statements of the dialect, and what PostgreSQL 15 answers them: run one after the other in one session, and compared.

As :mod:`.routine_cases`, with values as the texts that arrive: styles of output are what some of these are about.

To record the answers of a real server: python -m support.dialect_cases "host=... dbname=..." statements.sql corpus.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import psycopg
from psycopg.pq import DiagnosticField, ExecStatus
from support.routine_cases import FIRST_OID, SCHEMA, read_statements

_RESET = ("ROLLBACK", "RESET ALL", f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE", f"CREATE SCHEMA {SCHEMA}")


def answers(dsn: str, statements: list[str]) -> list[Any]:
    """For each statement [results or the error's fields, notices]; in a schema of their own."""
    notices: list[str] = []
    found = []
    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement in (*_RESET, f"SET search_path = {SCHEMA}, public", "SET client_min_messages = notice"):
            connection.pgconn.exec_(statement.encode())
        connection.pgconn.notice_handler = lambda result: notices.append(":".join(_fields(result, "VCMD")))
        for statement in statements:
            notices.clear()
            found.append([_answer(connection.pgconn, statement), list(notices)])
        for statement in ("ROLLBACK", f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE"):
            connection.pgconn.exec_(statement.encode())
    return found


def _fields(result: Any, codes: str) -> list[str]:
    return [(result.error_field(DiagnosticField(ord(code))) or b"").decode() for code in codes]


def _answer(connection: Any, statement: str) -> Any:
    connection.send_query(statement.encode())
    results: list[Any] = []
    while (result := connection.get_result()) is not None:
        if result.status == ExecStatus.TUPLES_OK:
            columns = range(result.nfields)
            types = [result.ftype(column) for column in columns]
            rows = [[result.get_value(row, column) for column in columns] for row in range(result.ntuples)]
            results.append([
                [result.fname(column).decode() for column in columns],
                [oid if oid < FIRST_OID else 0 for oid in types],
                [[None if value is None else value.decode() for value in row] for row in rows],
            ])  # fmt: skip
        elif result.status == ExecStatus.COMMAND_OK:
            results.append(result.command_status.decode())
        else:
            results.append(dict(zip(("sqlstate", "message", "detail", "hint"), _fields(result, "CMDH"), strict=True)))
    return results


def differences(dsn: str, corpus: Path) -> list[str]:
    """How a node's answers differ from the recorded ones; empty when they do not."""
    cases = json.loads(corpus.read_text())
    given = answers(dsn, [case[0] for case in cases])
    return [
        f"{statement}\n  expected {expected}\n  got      {got}"
        for (statement, *expected), got in zip(cases, given, strict=True)
        if got != expected
    ]


def record(dsn: str, source: Path, corpus: Path) -> None:
    """Write down what a real server answers."""
    statements = read_statements(source.read_text())
    cases = [[statement, *answer] for statement, answer in zip(statements, answers(dsn, statements), strict=True)]
    corpus.write_text("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")


if __name__ == "__main__":
    record(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
