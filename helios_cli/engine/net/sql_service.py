"""``POST /sql``: statements over HTTP, on an ordinary session inside the process.

Every request has a session of its own, which ends with it; a client that goes away cancels what runs for it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Final, Generic, Protocol, TypeVar

from helios_cli.engine.errors import HeliosError, TooManyConnections
from helios_cli.engine.net.http_message import Outlet, Request, Streaming, json_response
from helios_cli.engine.net.sql_answer import Answer, refusal
from helios_cli.engine.net.sql_request import CSV, FORMS, Malformed, SqlRequest, read_request, wanted_form
from helios_cli.engine.net.sql_work import Line, Work

AT_ONCE: Final = 64
"""Requests that run at a time; the next one is told to come again."""

Who = TypeVar("Who")


class Session(Line, Protocol):
    """The session of one request."""

    def close(self) -> None:
        """End it, and the statement in hand with it."""


class SqlService(ABC, Generic[Who]):
    """Answers requests to ``/sql``; who may ask, and where it runs, is the subclass's."""

    apart = False
    """As :class:`Work` takes it."""

    def __init__(self) -> None:
        self.running = 0

    def __call__(self, request: Request) -> Streaming:
        """The answer to one request."""
        return Streaming(lambda outlet: self._answer(request, outlet))

    @abstractmethod
    async def login(self, request: Request, database: str | None) -> Who:
        """Who asks. None stands for the database of whoever names none.

        Raises:
            HeliosError: nobody that may.
        """

    @abstractmethod
    async def open(self, who: Who, request: Request, wanted: SqlRequest) -> Session:
        """A session for them. Raises HeliosError."""

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
            await self.login(request, None)  # Strangers are told no more than that they are.
            raise
        who = await self.login(request, wanted.database)
        form = wanted_form(request.headers.get("accept", ""))
        if form is None or (form == CSV and wanted.statements is not None):
            outlet.respond(json_response(406, {"error": {"message": f"the answer can be {', '.join(FORMS)}"}}))
            return
        session = await self.open(who, request, wanted)
        try:
            answer = Answer(outlet, form, several=wanted.statements is not None)
            await Work(session, wanted, answer, apart=self.apart).run()
        finally:
            session.close()


def application_name(request: Request) -> str:
    """What a session for a request is called."""
    return request.headers.get("user-agent", "http")[:63]
