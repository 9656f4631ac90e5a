"""``POST /sql``: statements over HTTP, on an ordinary session inside the process.

Every request has a session of its own, which ends with it; a client that goes away cancels what runs for it.
"""

from __future__ import annotations

from typing import Any, Final

from helios_cli.engine.datatypes.registry import parse_type_name
from helios_cli.engine.errors import FeatureNotSupported, HeliosError, TooManyConnections
from helios_cli.engine.net.http_message import Outlet, Request, Streaming, json_response
from helios_cli.engine.net.sql_answer import Answer, refusal
from helios_cli.engine.net.sql_request import CSV, FORMS, Malformed, SqlRequest, Statement, read_request, wanted_form
from helios_cli.engine.node import role_settings
from helios_cli.engine.node.engine import Engine
from helios_cli.engine.node.http_login import login
from helios_cli.engine.node.inner_client import InnerClient, failure
from helios_cli.engine.sql.databases import FIRST_NAME
from helios_cli.engine.wire import client as wire
from helios_cli.engine.wire.json_values import parameter

AT_ONCE: Final = 64
"""Requests that run at a time; the next one is told to come again."""

TIMEOUT_MS: Final = 60_000
"""For a statement whose request names no timeout, at a node whose settings have none."""

ROWS_AT_ONCE: Final = 50
"""Rows between two looks at how much is held."""

_PARSED, _BOUND, _COMPLETE, _DATA, _EMPTY, _SUSPENDED, _READY = b"12CDIsZ"
_PARAMETERS, _COLUMNS, _NO_COLUMNS, _ERROR, _NOTICE, _COPY_IN, _COPY_OUT = b"tTnENGH"
_SYNC: Final = b"S\0\0\0\4"
_FLUSH: Final = b"H\0\0\0\4"


class SqlOverHttp:
    """Answers requests to ``/sql``."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.running = 0

    def __call__(self, request: Request) -> Streaming:
        """The answer to one request."""
        return Streaming(lambda outlet: self._answer(request, outlet))

    async def _answer(self, request: Request, outlet: Outlet) -> None:
        if self.running >= AT_ONCE:
            outlet.respond(refusal(TooManyConnections("too many SQL requests at a time", hint="Send it again later.")))
            return
        self.running += 1
        try:
            await self._run(request, outlet)
        except HeliosError as error:
            outlet.respond(refusal(error))
        finally:
            self.running -= 1

    async def _run(self, request: Request, outlet: Outlet) -> None:
        """Raises HeliosError while nothing has been answered."""
        try:
            wanted = read_request(request.headers, request.body)
        except Malformed:
            await login(self._engine, request, FIRST_NAME)  # Strangers are told no more than that they are.
            raise
        user, proved = await login(self._engine, request, wanted.database or FIRST_NAME)
        form = wanted_form(request.headers.get("accept", ""))
        if form is None or (form == CSV and wanted.statements is not None):
            outlet.respond(json_response(406, {"error": {"message": f"the answer can be {', '.join(FORMS)}"}}))
            return
        client = self._open(user, proved, request, wanted)
        try:
            answer = Answer(outlet, form, several=wanted.statements is not None)
            await Work(client, wanted, answer).run()
        finally:
            client.close()

    def _open(self, user: str, proved: bool, request: Request, wanted: SqlRequest) -> InnerClient:
        name = request.headers.get("user-agent", "http")[:63]
        client = InnerClient(
            self._engine, user=user, proved=proved, database=wanted.database or FIRST_NAME, address=request.peer,
            name=name,
        )  # fmt: skip
        session = client.session
        role_settings.apply(session)
        try:
            timeout = wanted.timeout_ms or self._engine.settings.statement_timeout or TIMEOUT_MS
            session.set_variable("statement_timeout", str(timeout))
            if wanted.min_lsn is not None:
                session.set_variable("helios.min_lsn", wanted.min_lsn)
            if wanted.write_id is not None:
                session.set_variable("helios.write_id", wanted.write_id)
            if wanted.read_only:
                session.set_variable("default_transaction_read_only", "on")
            session.out.clear()
        except HeliosError:
            client.close()
            raise
        return client


class Work:
    """One request on its session."""

    def __init__(self, client: InnerClient, wanted: SqlRequest, answer: Answer) -> None:
        self._client = client
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
            await self._answer.finish(self._client.session.show("helios.lsn"), self._notices)
        except HeliosError as error:
            await self._answer.fail(failure(error), number)

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
        given = [_type_oid(name) for name in statement.types]
        self._client.send(wire.parse(statement.sql, "", given), wire.describe("S"), _FLUSH)
        oids: tuple[int, ...] = ()
        columns: tuple[wire.ResultColumn, ...] | None = None
        while True:
            code, body = await self._client.message()
            if code == _ERROR:
                await self._give_up(wire.parse_error(body))
            elif code == _NOTICE:
                self._noticed(body)
            elif code == _PARAMETERS:
                oids = tuple(int.from_bytes(body[at : at + 4], "big") for at in range(2, len(body), 4))
            elif code == _COLUMNS:
                columns = wire.parse_row_description(body)
                break
            elif code == _NO_COLUMNS:
                break
        if len(oids) != len(statement.params):
            await self._give_up(
                Malformed(f"the statement has {len(oids)} parameters, and {len(statement.params)} were given")
            )
        values = [parameter(value, oid) for value, oid in zip(statement.params, oids, strict=True)]
        self._client.send(wire.bind(values), wire.execute("", self._wanted.max_rows or 0), _SYNC)
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
                self._client.send(wire.copy_fail(""), _SYNC)
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

    async def _give_up(self, error: HeliosError) -> None:
        """Raise ``error`` once the session is through with the statement."""
        self._client.send(_SYNC)
        while (await self._client.message())[0] != _READY:
            pass
        raise error

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
