"""The answer to ``POST /sql`` as it grows: one JSON object, JSON lines, or CSV.

Up to :data:`PIECE` bytes it is held back, so that an error still decides the status of the whole. What is longer is
sent as it comes; an error after that is the last member of the object, or the last line; CSV is cut short.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from helios_cli.engine.datatypes.registry import TYPES, format_type
from helios_cli.engine.errors import HeliosError
from helios_cli.engine.net.http_message import Outlet, Response
from helios_cli.engine.net.sql_request import CSV, JSON, NDJSON
from helios_cli.engine.wire.client import ResultColumn
from helios_cli.engine.wire.json_values import csv_row, encoder_of, json_row, quoted

PIECE: Final = 64 * 1024
TYPES_OF: Final = {JSON: JSON, NDJSON: NDJSON, CSV: "text/csv; charset=utf-8; header=present"}

_STATUS: Final = {
    "28": 401, "42501": 403, "28000": 403, "0A": 501, "23": 409, "40": 409, "55": 409, "25": 409, "NH": 409, "53": 503,
    "57014": 504, "57": 503, "08": 503, "08P01": 400, "54": 413, "58": 500, "XX": 500, "55P03": 503,
}  # fmt: skip
"""HTTP's status for a SQLSTATE or its class; 400 for all others."""


def status_of(sqlstate: str) -> int:
    """The HTTP status that an error is told with."""
    return _STATUS.get(sqlstate) or _STATUS.get(sqlstate[:2], 400)


def error_value(error: HeliosError) -> dict[str, Any]:
    """An error with every field that it has."""
    fields = {
        "sqlstate": error.sqlstate, "message": error.message, "detail": error.detail, "hint": error.hint,
        "position": error.position, "context": error.context, "schema": error.schema, "table": error.table,
        "column": error.column, "datatype": error.datatype, "constraint": error.constraint,
        "retryable": error.retryable or error.sqlstate[:2] == "40" or None,
    }  # fmt: skip
    return {name: value for name, value in fields.items() if value is not None}


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


class CutShort(Exception):
    """The answer ends in the middle, and the connection with it."""


class Answer:
    """One answer in one of the forms. ``several``: an object with ``results``, else the result itself."""

    def __init__(self, outlet: Outlet, form: str, *, several: bool) -> None:
        self._outlet = outlet
        self._form = form
        self._several = several
        self._held: list[str] = []
        self._size = 0
        self._begun = False
        self._results = 0
        self._rows = 0
        self._in_rows = False
        self._encoders: list[Any] = []

    def _put(self, text: str) -> None:
        self._held.append(text)
        self._size += len(text)

    async def flow(self) -> None:
        """Send what is held if it is much; waits for a client that reads slowly."""
        if self._size >= PIECE:
            await self._flush()
        await asyncio.sleep(0)  # others want the loop too

    async def _flush(self) -> None:
        if not self._begun:
            self._begun = True
            self._outlet.begin(200, TYPES_OF[self._form])
        data, self._held, self._size = "".join(self._held).encode("utf-8", "replace"), [], 0
        await self._outlet.write(data)

    # Its parts -------------------------------------------------------------------------------------------------------

    def columns(self, columns: Sequence[ResultColumn] | None) -> None:
        """The head of a result; None: the statement has none."""
        self._rows = 0
        self._encoders = [encoder_of(column.type_oid) for column in columns or ()]
        described = [
            {"name": column.name, "type": _type_name(column), "oid": column.type_oid} for column in columns or ()
        ]
        if self._form == CSV:
            if columns is not None:
                self._put(csv_row([column.name.encode() for column in columns]))
        elif self._form == NDJSON:
            self._put(f'{{"columns":{_json(described)}}}\n')
        else:
            if self._several:
                self._put(",{" if self._results else '{"results":[{')
            else:
                self._put("{")
            self._put(f'"columns":{_json(described)},"rows":[')
            self._in_rows = True
        self._results += 1

    def row(self, fields: Sequence[bytes | None]) -> None:
        """A row."""
        if self._form == CSV:
            self._put(csv_row(fields))
        elif self._form == NDJSON:
            self._put(json_row(self._encoders, fields) + "\n")
        else:
            self._put(("," if self._rows else "") + json_row(self._encoders, fields))
        self._rows += 1

    def end(self, tag: str, *, truncated: bool) -> None:
        """The end of a result."""
        last = tag.rpartition(" ")[2]
        value: dict[str, Any] = {
            "row_count": int(last) if last.isdecimal() else self._rows,
            "command": " ".join(word for word in tag.split(" ") if not word.isdecimal()),
        }
        if truncated:
            value |= {"row_count": self._rows, "truncated": True}
        if self._form == JSON:
            self._in_rows = False
            self._put(f"],{_json(value)[1:-1]}" + ("}" if self._several else ""))
        elif self._form == NDJSON:
            self._put(_json(value)[:-1])

    async def finish(self, lsn: str, notices: Sequence[dict[str, Any]]) -> None:
        """The whole has succeeded."""
        tail = f'"lsn":{quoted(lsn)},"notices":{_json(list(notices))}}}\n'
        if self._form == JSON:
            self._put(("]," if self._several else ",") + tail)
        elif self._form == NDJSON:
            self._put("," + tail)
        if self._begun:
            await self._flush()
        else:
            body = "".join(self._held).encode("utf-8", "replace")
            self._outlet.respond(Response(200, body, content_type=TYPES_OF[self._form]))

    async def fail(self, error: HeliosError, statement: int | None) -> None:
        """It has failed: with a status of its own, or, behind the first rows, at the end of what was sent.

        Raises:
            CutShort: the form has no room for an error.
        """
        value = error_value(error)
        if statement is not None:
            value["statement"] = statement
        if not self._begun:
            self._outlet.respond(refusal(error, value))
            return
        if self._form == CSV:
            raise CutShort from error
        text = _json(value)
        if self._form == NDJSON:
            self._put(f'{{"error":{text}}}\n')
        else:
            closing = ("]}" if self._several else "]") if self._in_rows else ""
            closing += "]" if self._several else ""
            self._put(f'{closing},"error":{text}}}\n')
        await self._flush()


def refusal(error: HeliosError, value: dict[str, Any] | None = None) -> Response:
    """An error as a whole answer."""
    status = status_of(error.sqlstate)
    headers = {}
    if status == 401:
        headers["WWW-Authenticate"] = 'Basic realm="heliosdb", charset="UTF-8", Bearer'
    if status == 503:
        headers["Retry-After"] = "1"
    body = msgspec.json.encode({"error": value or error_value(error)}) + b"\n"
    return Response(status, body, headers=headers)


def _type_name(column: ResultColumn) -> str:
    return format_type(column.type_oid, column.typmod) if column.type_oid in TYPES else "text"
