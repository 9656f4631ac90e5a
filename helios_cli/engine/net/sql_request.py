"""What ``POST /sql`` takes: the body as a checked value, and the form of the answer that is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from helios_cli.engine.errors import HeliosError
from helios_cli.engine.wire.json_values import Number

STATEMENTS_MAX: Final = 1000
"""Statements of one transaction."""

ISOLATION: Final = ("read committed", "repeatable read", "serializable")
JSON, NDJSON, CSV = "application/json", "application/x-ndjson", "text/csv"
FORMS: Final = (JSON, NDJSON, CSV)


class Statement(msgspec.Struct, forbid_unknown_fields=True):
    """One statement with its parameters."""

    sql: str
    params: list[Any] = []
    types: list[str] = []
    """Names of the parameters' types; those left out are found as PostgreSQL finds them."""


class SqlRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The body: ``sql``, or ``statements`` that run as one transaction."""

    sql: str | None = None
    params: list[Any] = []
    types: list[str] = []
    statements: list[Statement] | None = None
    isolation: str | None = None
    read_only: bool = False
    timeout_ms: int | None = None
    max_rows: int | None = None
    min_lsn: str | None = None
    write_id: str | None = None
    database: str | None = None
    """None: the one that the node was born with."""

    def asked(self) -> list[Statement]:
        """The statements, in order."""
        if self.statements is not None:
            return self.statements
        return [Statement(self.sql or "", self.params, self.types)]


class Malformed(HeliosError):
    """The request is none; nothing has been run."""

    sqlstate = "08P01"


_decoder: Final = msgspec.json.Decoder(SqlRequest, float_hook=Number)


def read_request(headers: Mapping[str, str], body: bytes) -> SqlRequest:
    """The body of a request.

    Raises:
        Malformed: it is no such request.
    """
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != JSON:
        # A page of another origin can post forms and plain text unasked, but not this.
        raise Malformed(f'the body must be of type {JSON}, not "{kind}"', hint=f'Send "Content-Type: {JSON}".')
    try:
        request = _decoder.decode(body)
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"the body is no SQL request: {error}") from None
    _check(request)
    return request


def _check(request: SqlRequest) -> None:
    if (request.sql is None) == (request.statements is None):
        raise Malformed('the request has either "sql" or "statements"')
    if request.statements is not None and (request.params or request.types):
        raise Malformed('"params" and "types" belong to each of the statements')
    if request.statements is not None and not 0 < len(request.statements) <= STATEMENTS_MAX:
        raise Malformed(f'"statements" holds 1 to {STATEMENTS_MAX} statements')
    if request.isolation is not None and (request.statements is None or request.isolation not in ISOLATION):
        raise Malformed(f'"isolation" belongs to "statements", and is one of {", ".join(ISOLATION)}')
    for name, value, least in (("timeout_ms", request.timeout_ms, 1), ("max_rows", request.max_rows, 0)):
        if value is not None and not least <= value < 2**31:
            raise Malformed(f'"{name}" is out of range: {value}')
    if any("\0" in statement.sql for statement in request.asked()):
        raise Malformed("a statement cannot hold a NUL character")


def wanted_form(accept: str) -> str | None:
    """The first of our forms that an Accept header names; JSON without a header; None: none that we have."""
    ranges = [part.partition(";")[0].strip().lower() for part in accept.split(",")] if accept.strip() else ["*/*"]
    for found in ranges:
        if found in FORMS:
            return found
        if found in ("*/*", "application/*"):
            return JSON
        if found == "text/*":
            return CSV
    return None
