"""One ``POST /sql`` on a session that is driven by the protocol: of a node, or of a proxy before nodes."""

from __future__ import annotations

from typing import Any, Final, Protocol

from helios_cli.engine.datatypes.registry import parse_type_name
from helios_cli.engine.errors import FeatureNotSupported, HeliosError
from helios_cli.engine.net.sql_answer import Answer
from helios_cli.engine.net.sql_request import Malformed, SqlRequest, Statement
from helios_cli.engine.wire import client as wire
from helios_cli.engine.wire.json_values import parameter

TIMEOUT_MS: Final = 60_000
"""For a statement whose request names no timeout, where the settings have none."""

ROWS_AT_ONCE: Final = 50
"""Rows between two looks at how much is held."""

_PARSED, _BOUND, _COMPLETE, _DATA, _EMPTY, _SUSPENDED, _READY = b"12CDIsZ"
_PARAMETERS, _COLUMNS, _NO_COLUMNS, _ERROR, _NOTICE, _COPY_IN, _COPY_OUT = b"tTnENGH"


class Line(Protocol):
    """A session inside the process."""

    def send(self, *messages: bytes) -> None:
        """Messages of the protocol."""

    async def message(self) -> tuple[int, bytes]:
        """The next message of the session: its type and its body. Raises NotServing: it has ended."""

    def cancel(self) -> None:
        """End the statement in hand."""

    async def state(self) -> str:
        """The state that its reads have seen and its writes made; empty where that is not known."""


class Work:
    """One request on its session.

    ``apart`` has a statement described by itself, so that what runs it stands alone up to its Sync: a proxy can then
    send it again. Else that is saved.
    """

    def __init__(self, client: Line, wanted: SqlRequest, answer: Answer, *, apart: bool = False) -> None:
        self._client = client
        self._apart = apart
        self._wanted = wanted
        self._answer = answer
        self._notices: list[dict[str, Any]] = []

    async def run(self) -> None:
        """Every statement, and the answer."""
        number: int | None = None
        try:
            if self._wanted.statements is None:
                await self._statement(self._wanted.asked()[0])
            else:
                await self._simple(self._begin())
                for number, statement in enumerate(self._wanted.statements):  # noqa: B007
                    await self._statement(statement)
                number = None
                await self._simple("COMMIT")
            await self._answer.finish(await self._client.state(), self._notices)
        except HeliosError as error:
            await self._answer.fail(error, number)

    def _begin(self) -> str:
        isolation = f" ISOLATION LEVEL {self._wanted.isolation.upper()}" if self._wanted.isolation else ""
        return f"BEGIN{isolation}{' READ ONLY' if self._wanted.read_only else ''}"

    async def _simple(self, sql: str) -> None:
        self._client.send(wire.query(sql))
        error = None
        tag = ""
        while True:
            code, body = await self._client.message()
            if code == _ERROR:
                error = wire.parse_error(body)
            elif code == _NOTICE:
                self._noticed(body)
            elif code == _COMPLETE:
                tag = wire.parse_tag(body)
            elif code == _READY:
                break
        if error is not None:
            raise error
        if sql == "COMMIT" and tag != "COMMIT":
            raise HeliosError("the transaction was rolled back", sqlstate="25P02")

    async def _statement(self, statement: Statement) -> None:
        """Describe it, then run it with the parameters in the form that its types want."""
        if not statement.sql.strip():
            raise Malformed("the statement is empty")
        oids, columns = await self._described(statement)
        if len(oids) != len(statement.params):
            if not self._apart:
                await self._synced()
            raise Malformed(f"the statement has {len(oids)} parameters, and {len(statement.params)} were given")
        values = [parameter(value, oid) for value, oid in zip(statement.params, oids, strict=True)]
        self._client.send(wire.bind(values), wire.execute("", self._wanted.max_rows or 0), wire.SYNC)
        await self._rows(columns)

    async def _rows(self, columns: tuple[wire.ResultColumn, ...] | None) -> None:
        answer, error = self._answer, None
        refused: HeliosError | None = None
        count = 0
        described = False
        while True:
            code, body = await self._client.message()
            if code == _DATA:
                if not described:
                    described = True
                    answer.columns(columns)
                answer.row(wire.parse_data_row(body))
                count += 1
                if not count % ROWS_AT_ONCE:
                    await answer.flow()
            elif code in (_COMPLETE, _SUSPENDED, _EMPTY):
                if not described:
                    answer.columns(columns)
                answer.end(wire.parse_tag(body) if code == _COMPLETE else "SELECT", truncated=code == _SUSPENDED)
            elif code == _ERROR:
                error = wire.parse_error(body)
            elif code == _NOTICE:
                self._noticed(body)
            elif code == _COPY_IN:
                self._client.send(wire.copy_fail(""), wire.SYNC)
                refused = FeatureNotSupported("COPY FROM STDIN is not possible over HTTP", hint="Use INSERT.")
            elif code == _COPY_OUT:
                self._client.cancel()
                raise FeatureNotSupported(
                    "COPY TO STDOUT is not possible over HTTP", hint="Use SELECT, with Accept: text/csv."
                )
            elif code == _READY:
                break
        await answer.flow()
        if error is not None:
            raise refused or error

    async def _described(self, statement: Statement) -> tuple[tuple[int, ...], tuple[wire.ResultColumn, ...] | None]:
        """Types of the parameters, and the columns; None: it has none."""
        given = [_type_oid(name) for name in statement.types]
        self._client.send(
            wire.parse(statement.sql, "", given), wire.describe("S"), wire.SYNC if self._apart else wire.FLUSH
        )
        oids: tuple[int, ...] = ()
        columns: tuple[wire.ResultColumn, ...] | None = None
        error: HeliosError | None = None
        while True:
            code, body = await self._client.message()
            if code == _ERROR:
                error = wire.parse_error(body)
                if not self._apart:
                    await self._synced()
                    raise error
            elif code == _NOTICE:
                self._noticed(body)
            elif code == _PARAMETERS:
                oids = tuple(int.from_bytes(body[at : at + 4], "big") for at in range(2, len(body), 4))
            elif code == _READY:
                if error is not None:
                    raise error
                return oids, columns
            elif code in (_COLUMNS, _NO_COLUMNS):
                columns = wire.parse_row_description(body) if code == _COLUMNS else None
                if not self._apart:
                    return oids, columns

    async def _synced(self) -> None:
        """Wait until the session is through with the statement."""
        self._client.send(wire.SYNC)
        while (await self._client.message())[0] != _READY:
            pass

    def _noticed(self, body: bytes) -> None:
        notice = wire.parse_error(body)
        found = {
            "severity": notice.severity, "sqlstate": notice.sqlstate, "message": notice.message,
            "detail": notice.detail, "hint": notice.hint,
        }  # fmt: skip
        self._notices.append({name: text for name, text in found.items() if text is not None})


def _type_oid(name: str) -> int:
    oid, _typmod = parse_type_name(name)
    return oid
