"""What a PostgreSQL server answers to one statement, in the form that the corpora keep."""

from __future__ import annotations

from typing import Any

import psycopg


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
