"""Write ``expected.json``: what PostgreSQL 15 answers to ``schema.sql`` and ``statements.sql``, in this order.

Usage: python record.py "host=... user=... dbname=..." with a new database of encoding UTF8 and collation C.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import psycopg

HERE = Path(__file__).parent


def lines(name: str) -> list[str]:
    """The statements of a file, one a line."""
    return [line for line in (HERE / name).read_text().splitlines() if line.strip()]


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


def main() -> None:
    """Run everything and write the file."""
    with psycopg.connect(sys.argv[1], autocommit=True) as connection:
        connection.execute("SET timezone = 'UTC'")
        for sql in lines("schema.sql"):
            connection.execute(sql.encode())
        found = [{"sql": sql, **answer(connection, sql)} for sql in lines("statements.sql")]
    text = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in found)
    (HERE / "expected.json").write_text(f"[\n{text}\n]\n")


if __name__ == "__main__":
    main()
