"""Write ``<topic>.json`` for each ``<topic>.sql``: what PostgreSQL 15 answers to its statements, in this order.

Each topic begins with the tables of ``../planner_corpus/schema.sql`` in a new database.
Usage: python record.py "host=... user=... dbname=..." [topic ...]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import psycopg

HERE = Path(__file__).parent
SCHEMA = HERE.parent / "planner_corpus" / "schema.sql"
DATABASE = "dialect_corpus"


def lines(path: Path) -> list[str]:
    """The statements of a file, one a line."""
    return [line for line in path.read_text().splitlines() if line.strip() and not line.startswith("--")]


def answer(connection: psycopg.Connection[Any], sql: str) -> dict[str, Any]:
    """One statement's answer in text format."""
    result = connection.pgconn.exec_(sql.encode())
    if result.status not in (psycopg.pq.ExecStatus.COMMAND_OK, psycopg.pq.ExecStatus.TUPLES_OK):
        state = result.error_field(psycopg.pq.DiagnosticField.SQLSTATE) or b""
        message = result.error_message.decode().splitlines()[0].removeprefix("ERROR:  ")
        return {"sqlstate": state.decode(), "message": message}
    columns = [((result.fname(at) or b"").decode(), result.ftype(at)) for at in range(result.nfields)]
    rows = []
    for row in range(result.ntuples):
        values = [result.get_value(row, column) for column in range(result.nfields)]
        rows.append([None if value is None else value.decode() for value in values])
    return {"columns": columns, "rows": rows, "tag": (result.command_status or b"").decode()}


def record(server: str, topic: str) -> None:
    """Run one topic's statements and write what came."""
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"DROP DATABASE IF EXISTS {DATABASE}")
        admin.execute(f"CREATE DATABASE {DATABASE} TEMPLATE template0 ENCODING utf8 LC_COLLATE 'C' LC_CTYPE 'C'")
    with psycopg.connect(server, dbname=DATABASE, autocommit=True) as connection:
        connection.execute("SET timezone = 'UTC'")
        for sql in lines(SCHEMA):
            connection.execute(sql.encode())
        found = [{"sql": sql, **answer(connection, sql)} for sql in lines(HERE / f"{topic}.sql")]
    text = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in found)
    (HERE / f"{topic}.json").write_text(f"[\n{text}\n]\n")


def main() -> None:
    """Record the named topics, or all."""
    for topic in sys.argv[2:] or sorted(path.stem for path in HERE.glob("*.sql")):
        record(sys.argv[1], topic)


if __name__ == "__main__":
    main()
