"""What the node's HTTP address answers: health, readiness, status, metrics and the admin verbs."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec

from helios_cli.engine.errors import HeliosError
from helios_cli.engine.net import openapi
from helios_cli.engine.net.http_answers import METRICS_TYPE, Bearer, failed, not_allowed, state_response
from helios_cli.engine.net.http_message import Request, Response, Streaming, error_response, json_response

log = logging.getLogger(__name__)

AdminVerb = Callable[[dict[str, Any]], Awaitable[object]]
"""Takes the decoded JSON object of the request body ({} when empty); gives a JSON-able result, None for nothing."""

ADMIN_PREFIX: Final = "/admin/"
TOKEN_HINT: Final = "The token is in http.token of the data directory."


class HttpBackend(Protocol):
    """All that the routes ask of a node. Everything but the verbs runs on the event loop and must not wait."""

    def health(self) -> str | None:
        """None while the node serves clients, else the reason why not."""

    def ready(self) -> str | None:
        """None when the node takes writes, else the reason why not."""

    def serves_as(self, role: str) -> str | None:
        """None when the node serves as ``primary`` or as ``standby``, else what it does instead."""

    def status(self) -> Mapping[str, Any]:
        """The node's status record, JSON-able."""

    def metrics(self) -> str:
        """The Prometheus text of every metric."""

    def admin_verbs(self) -> Mapping[str, AdminVerb]:
        """Verb to action; read anew for every request."""


class Routes:
    """The handler of a node's :class:`~.http.HttpServer`.

    ``token`` is what ``Authorization: Bearer`` must carry for the admin verbs, never empty; ``cluster_token`` is taken
    too, where there is one. ``sql`` answers ``/sql``. ``alarms`` gives what somebody has to look
    after although the node serves.
    """

    def __init__(
        self,
        backend: HttpBackend,
        token: str,
        cluster_token: str = "",
        alarms: Callable[[], Sequence[str]] = tuple,
        sql: Callable[[Request], Streaming] | None = None,
    ) -> None:
        if not token:
            raise ValueError("the admin token is empty")
        self._backend = backend
        self._alarms = alarms
        self._bearer = Bearer((token, cluster_token), TOKEN_HINT)
        self._pages: dict[str, Callable[[], Response]] = {
            "/health": self._health,
            "/ready": self._ready,
            "/primary": lambda: state_response(self._backend.serves_as("primary")),
            "/standby": lambda: state_response(self._backend.serves_as("standby")),
            "/status": self._status,
            "/metrics": self._metrics,
            "/openapi.json": lambda: self._document,
        }
        self._sql = sql
        self._document = json_response(200, openapi.document())

    def __call__(self, request: Request) -> Response | Awaitable[Response] | Streaming:
        """Answer one request; only an admin verb and SQL take time."""
        if request.path == openapi.SQL.path and self._sql is not None:
            return self._sql(request) if request.method == "POST" else not_allowed(request, "POST")
        if request.path.startswith(ADMIN_PREFIX):
            return self._admin(request)
        page = self._pages.get(request.path)
        if page is None:
            return error_response(404, "no such path", hint=f"Paths are {', '.join(self._pages)}, /sql, /admin/<verb>.")
        if request.method not in ("GET", "HEAD"):
            return not_allowed(request, "GET, HEAD")
        return page()

    def _health(self) -> Response:
        reason = self._backend.health()
        alarms = self._alarms() if reason is None else ()
        return json_response(200, {"status": "ok", "alarms": list(alarms)}) if alarms else state_response(reason)

    def _ready(self) -> Response:
        return state_response(self._backend.ready())

    def _status(self) -> Response:
        return json_response(200, self._backend.status())

    def _metrics(self) -> Response:
        return Response(200, self._backend.metrics().encode(), content_type=METRICS_TYPE)

    def _admin(self, request: Request) -> Response | Awaitable[Response]:
        if request.method != "POST":
            return not_allowed(request, "POST")
        refusal = self._bearer.refusal(request)
        if refusal is not None:
            return refusal
        verbs = self._backend.admin_verbs()
        verb = verbs.get(request.path.removeprefix(ADMIN_PREFIX))
        if verb is None:
            return error_response(404, "no such admin verb", hint="Verbs are " + ", ".join(sorted(verbs)) + ".")
        try:
            arguments = msgspec.json.decode(request.body or b"{}", type=dict[str, Any])
        except msgspec.DecodeError:
            return error_response(400, "the body must be a JSON object")
        return _run(request.path, verb, arguments)


async def _run(path: str, verb: AdminVerb, arguments: dict[str, Any]) -> Response:
    """One verb to its end; its HeliosError becomes an answer with SQLSTATE, anything else reaches the server."""
    try:
        result = await verb(arguments)
    except HeliosError as error:
        log.info("%s refused: %s", path, error.message)
        return failed(error)
    return json_response(200, {"status": "ok"} if result is None else result)
