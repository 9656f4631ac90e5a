"""The proxy's admin address: what it tells of itself, and the verbs."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qs, unquote

import msgspec

from helios_cli.engine.config.problems import ConfigProblems
from helios_cli.engine.errors import HeliosError
from helios_cli.engine.net.http_answers import METRICS_TYPE, Bearer, failed, not_allowed, state_response
from helios_cli.engine.net.http_message import Request, Response, Streaming, error_response, json_response
from helios_cli.engine.proxy.figures import health, ready, stats
from helios_cli.engine.proxyserver.control import Administration
from helios_cli.engine.proxyserver.exposition import Exposition
from helios_cli.engine.proxyserver.http_sql import SQL_PATH

log = logging.getLogger(__name__)

TOKEN_HINT: Final = "The token is in proxy.token beside proxy.toml, or where admin_token_file says."

Parameters = Mapping[str, str]
Page = Callable[[Parameters], Awaitable[Response]]
Verb = Callable[[str, Parameters], Awaitable[Response]]


class AdminRoutes:
    """The handler of the admin address. ``sql`` answers ``/sql``, to whoever has the token."""

    def __init__(self, proxy: Administration, sql: Callable[[Request], Streaming] | None = None) -> None:
        self._proxy = proxy
        self._sql = sql
        self._exposition = Exposition()
        self._pages: dict[str, Page] = {
            "/health": self._health,
            "/ready": self._ready,
            "/nodes": self._nodes,
            "/pools": self._pools,
            "/clients": self._clients,
            "/servers": self._servers,
            "/stats": self._stats,
            "/metrics": self._metrics,
            "/routing/explain": self._explain,
        }
        self._verbs: dict[str, Verb] = {
            "/pause": self._pause, "/resume": self._resume, "/reload": self._reload,
        }  # fmt: skip
        self._node_verbs: dict[str, Verb] = {"/drain/": self._drain, "/undrain/": self._undrain}

    def __call__(self, request: Request) -> Response | Awaitable[Response] | Streaming:
        """Answer one request."""
        parameters = _parameters(request.query)
        page = self._pages.get(request.path)
        if page is not None:
            if request.method not in ("GET", "HEAD"):
                return not_allowed(request, "GET, HEAD")
            return _run(request, page(parameters))
        found = self._verb(request.path)
        is_sql = request.path == SQL_PATH and self._sql is not None
        if found is None and not is_sql:
            verbs = ", ".join([*self._verbs, *(f"{path}{{node}}" for path in self._node_verbs), SQL_PATH])
            return error_response(404, "no such path", hint=f"GET {', '.join(self._pages)}; POST {verbs}.")
        if request.method != "POST":
            return not_allowed(request, "POST")
        refusal = Bearer((self._proxy.settings.admin_token,), TOKEN_HINT).refusal(request)
        if refusal is not None:
            return refusal
        if found is None:
            assert self._sql is not None
            return self._sql(request)
        verb, name = found
        return _run(request, verb(name, parameters))

    def _verb(self, path: str) -> tuple[Verb, str] | None:
        if path in self._verbs:
            return self._verbs[path], ""
        for prefix, verb in self._node_verbs.items():
            if path.startswith(prefix) and len(path) > len(prefix):
                return verb, unquote(path[len(prefix) :])
        return None

    # Pages -----------------------------------------------------------------------------------------------------------

    async def _health(self, _: Parameters) -> Response:
        return state_response(health(await self._proxy.figures()))

    async def _ready(self, _: Parameters) -> Response:
        return state_response(ready(await self._proxy.figures()))

    async def _nodes(self, _: Parameters) -> Response:
        return _rows((await self._proxy.figures()).nodes)

    async def _pools(self, _: Parameters) -> Response:
        return _rows((await self._proxy.figures()).pools)

    async def _clients(self, _: Parameters) -> Response:
        return _rows((await self._proxy.figures(clients=True)).clients)

    async def _servers(self, _: Parameters) -> Response:
        return _rows((await self._proxy.figures(servers=True)).servers)

    async def _stats(self, _: Parameters) -> Response:
        found = stats(await self._proxy.figures())
        return json_response(200, [{"name": name, "value": value} for name, value in found])

    async def _metrics(self, _: Parameters) -> Response:
        text = self._exposition.render(await self._proxy.figures())
        return Response(200, text.encode(), content_type=METRICS_TYPE)

    async def _explain(self, parameters: Parameters) -> Response:
        sql = parameters.get("sql", "")
        if not sql.strip():
            return error_response(400, "no statement", hint="GET /routing/explain?sql=SELECT%201")
        found = await self._proxy.explain(sql, parameters.get("floor", ""), parameters.get("hint", ""))
        return json_response(200, found)

    # Verbs -----------------------------------------------------------------------------------------------------------

    async def _pause(self, _: str, parameters: Parameters) -> Response:
        waits = _flag(parameters, "wait")
        left = await self._proxy.pause(self._proxy.settings.write_timeout if waits else 0.0)
        if waits and left:
            error = HeliosError(
                f"the proxy is paused, and {left} clients still have something under way", sqlstate="57014",
                hint="GET /clients shows them. POST /resume ends the pause.",
            )  # fmt: skip
            return failed(error, 504)
        under_way = f"; {left} clients still have something under way" if left else ", and nothing is under way"
        return _done(f"the proxy is paused{under_way}", under_way=left)

    async def _resume(self, _: str, __: Parameters) -> Response:
        await self._proxy.resume()
        return _done("the proxy goes on")

    async def _drain(self, name: str, parameters: Parameters) -> Response:
        await self._proxy.drain(name, force=_flag(parameters, "force"))
        return _done(f"node {name} gets nothing new")

    async def _undrain(self, name: str, _: Parameters) -> Response:
        await self._proxy.undrain(name)
        return _done(f"node {name} is used again")

    async def _reload(self, _: str, __: Parameters) -> Response:
        change = await self._proxy.reload()
        return _done(str(change), at_once=list(change.at_once), at_restart=list(change.at_restart))


async def _run(request: Request, work: Awaitable[Response]) -> Response:
    """One answer; a HeliosError becomes one with SQLSTATE, anything else reaches the server."""
    try:
        return await work
    except ConfigProblems as error:
        problems = [str(problem) for problem in error.problems]
        body = {"error": error.message, "sqlstate": "F0000", "problems": problems}
        return json_response(422, {**body, **({"hint": error.hint} if error.hint else {})})
    except HeliosError as error:
        log.info("%s refused: %s", request.path, error.message)
        if error.sqlstate == "42704":
            return failed(error, 404)
        return failed(error, 400 if error.sqlstate.startswith("22") else None)


def _rows(rows: Sequence[msgspec.Struct]) -> Response:
    return json_response(200, list(rows))


def _done(result: str, **more: Any) -> Response:
    return json_response(200, {"result": result, **more})


def _parameters(query: str) -> dict[str, str]:
    return {name: values[-1] for name, values in parse_qs(query, keep_blank_values=True).items()}


def _flag(parameters: Parameters, name: str) -> bool:
    return parameters.get(name, "").lower() in ("1", "true", "yes", "on")
