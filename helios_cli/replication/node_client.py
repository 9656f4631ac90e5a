"""Asking one node how it is: over SQL, which also shows that it answers queries, and over HTTP."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any, Final

from helios_cli.engine.errors import HeliosError
from helios_cli.engine.net.http_token import TOKEN_FILE
from helios_cli.engine.net.pgclient import PgClient, Target
from helios_cli.engine.types import Lsn, Token
from helios_cli.replication.config import Endpoint, ReplicaConfig
from helios_cli.replication.errors import NodeUnreachable, PromotionRefused, WriteGone

BODY_MAX: Final = 16 << 20
PROMOTE_S: Final = 60.0
"""A promotion may have much of the log to apply first."""

_POSITION: Final = "SELECT pg_is_in_recovery(), current_setting('helios.lsn')"
_SHOWS: Final = ("SET helios.min_lsn = '{}'", "SELECT count(*) FROM pg_class", "RESET helios.min_lsn")
"""Three queries: what is set counts for the next."""
_PORT: Final = "SELECT setting FROM pg_settings WHERE name = 'helios.{}_port'"


@dataclass(frozen=True, slots=True)
class NodePosition:
    """Where a node is in the log, by its own SQL."""

    is_standby: bool
    state: Token
    """What its readers see: committed on a primary, applied on a standby; with its term."""
    round_trip_ms: float
    at_s: float
    """When it was asked, seconds since 1970-01-01 UTC."""

    @property
    def lsn(self) -> Lsn:
        """The LSN of that state."""
        return self.state.lsn


class NodeClient:
    """A kept connection of each kind to one node. Threads take turns; every wait ends after the configured timeout."""

    def __init__(self, address: str, config: ReplicaConfig) -> None:
        """Nothing is connected before it is asked for."""
        self.address = address
        self.endpoint = Endpoint.parse(address)
        self._config = config
        self._timeout_s = config.health_check_timeout.total_seconds()
        self._sql: PgClient | None = None
        self._http: HTTPConnection | None = None
        self._http_endpoint: Endpoint | None = None
        self._sql_turn = threading.Lock()
        self._http_turn = threading.Lock()
        self._closed = False

    def target(self, *, read_timeout: float | None = None) -> Target:
        """How to log in there."""
        config = self._config
        return Target(
            self.endpoint.host,
            self.endpoint.port,
            config.user,
            config.password,
            config.database,
            config.sslmode,
            timeout=self._timeout_s,
            application_name="replica-manager",
            ssl_context=config.ssl_context,
            read_timeout=read_timeout,
        )

    def position(self) -> NodePosition:
        """Where the node is now.

        Raises:
            NodeUnreachable: no answer in time. HeliosError: the node's own refusal.
        """
        with self._sql_turn:
            client = self._connected()
            at_s, start = time.time(), time.perf_counter()
            ((is_standby, state),) = self._query(client, _POSITION)
            round_trip_ms = (time.perf_counter() - start) * 1000
        return NodePosition(is_standby == "t", _state(state), round_trip_ms, at_s)

    def check_shows(self, state: Token) -> None:
        """Ask a node that is past a state of an older term whether it has it.

        Raises:
            WriteGone: the cluster went on without it. NodeUnreachable: no answer in time.
        """
        with self._sql_turn:
            client = self._connected()
            try:
                for text in _SHOWS:
                    client.execute(text.format(state))
            except HeliosError as error:
                self._drop_sql()
                if error.sqlstate == WriteGone.sqlstate:
                    raise WriteGone(error.message, hint=error.hint) from error
                raise NodeUnreachable(f"{self.address}: {error.message}") from error

    def status(self) -> Mapping[str, Any]:
        """The node's ``/status``.

        Raises:
            NodeUnreachable: no answer in time, or none that is a status.
        """
        with self._http_turn:
            code, content = self._request("GET", "/status", None, self._timeout_s)
        if code != 200 or not isinstance(content, dict):
            raise NodeUnreachable(f"{self.address}: /status was answered with {code}")
        return content

    def rows(self, sql: str) -> list[tuple[str | None, ...]]:
        """The rows of a query, as text.

        Raises:
            NodeUnreachable: no answer in time, or a refusal.
        """
        with self._sql_turn:
            return self._query(self._connected(), sql)

    def native_endpoint(self) -> Endpoint:
        """Where the node speaks the native protocol: its host, and the port that its settings name.

        Raises:
            NodeUnreachable: no answer in time, or none that names a port.
        """
        return self._endpoint("native")

    def promote(self) -> Mapping[str, Any]:
        """Make the node the primary in place of one that is lost, without losing anything that was acknowledged.

        Raises:
            PromotionRefused: it will not, and why. NodeUnreachable: no answer in time.
        """
        return self._admin("promote", {"allow_data_loss": False})

    def switch_over(self, node_id: str) -> Mapping[str, Any]:
        """Have the node, which is the primary, give its place to another, and follow it.

        Raises:
            PromotionRefused: it will not, or a step failed and it leads on. NodeUnreachable: no answer in time.
        """
        return self._admin("switchover", {"to": node_id})

    def _admin(self, verb: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        headers = {"Authorization": f"Bearer {self._token()}", "Content-Type": "application/json"}
        with self._http_turn:
            code, content = self._request("POST", f"/admin/{verb}", json.dumps(arguments), PROMOTE_S, headers)
        answer = content if isinstance(content, dict) else {}
        if code != 200:
            raise PromotionRefused(
                f"{self.address} refused: {answer.get('error', f'HTTP status {code}')}",
                detail=answer.get("detail"),
                hint=answer.get("hint"),
            )
        return answer

    def close(self) -> None:
        """End both connections, once nobody waits on them. Idempotent."""
        self._closed = True
        with self._sql_turn:
            self._drop_sql()
        with self._http_turn:
            self._drop_http()

    # SQL

    def _connected(self) -> PgClient:
        if self._closed:
            raise NodeUnreachable(f"{self.address} is not asked any more")
        if self._sql is None:
            try:
                self._sql = PgClient(self.target(read_timeout=self._timeout_s))
            except HeliosError as error:
                raise NodeUnreachable(f"{self.address}: {error.message}") from error
        return self._sql

    def _query(self, client: PgClient, sql: str) -> list[tuple[str | None, ...]]:
        try:
            return client.execute(sql)[0].rows
        except HeliosError as error:
            self._drop_sql()
            raise NodeUnreachable(f"{self.address}: {error.message}") from error

    def _drop_sql(self) -> None:
        if self._sql is not None:
            self._sql.close()
            self._sql = None

    def _endpoint(self, kind: str) -> Endpoint:
        with self._sql_turn:
            rows = self._query(self._connected(), _PORT.format(kind))
        port = rows[0][0] if rows else None
        if port is None or not port.isdigit():
            raise NodeUnreachable(f"{self.address} does not tell its {kind} port")
        return Endpoint(self.endpoint.host, int(port))

    # HTTP

    def _where(self) -> Endpoint:
        """The HTTP address: as configured, else the port that the node's settings name."""
        if self._http_endpoint is None:
            given = self._config.http_addresses.get(self.address)
            if given is not None:
                self._http_endpoint = Endpoint.parse(given)
            else:
                self._http_endpoint = self._endpoint("http")
        return self._http_endpoint

    def _request(
        self, method: str, path: str, body: str | None, timeout_s: float, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        if self._closed:
            raise NodeUnreachable(f"{self.address} is not asked any more")
        fresh = self._http is None
        try:
            return self._exchange(method, path, body, timeout_s, headers)
        except (OSError, HTTPException, ValueError) as error:
            self._drop_http()
            if fresh or method != "GET" or isinstance(error, TimeoutError):
                raise NodeUnreachable(f"{self.address}: HTTP: {str(error) or type(error).__name__}") from error
        # The server may have ended a connection that lay idle; a question may be asked twice.
        try:
            return self._exchange(method, path, body, timeout_s, headers)
        except (OSError, HTTPException, ValueError) as error:
            self._drop_http()
            raise NodeUnreachable(f"{self.address}: HTTP: {str(error) or type(error).__name__}") from error

    def _exchange(
        self, method: str, path: str, body: str | None, timeout_s: float, headers: Mapping[str, str] | None
    ) -> tuple[int, Any]:
        if self._http is None:
            where = self._where()
            context = self._config.ssl_context
            if context is None:
                self._http = HTTPConnection(where.host, where.port, timeout=self._timeout_s)
            else:
                self._http = HTTPSConnection(where.host, where.port, timeout=self._timeout_s, context=context)
            self._http.connect()
        if self._http.sock is not None:
            self._http.sock.settimeout(timeout_s)
        self._http.request(method, path, body, dict(headers or {}))
        answer = self._http.getresponse()
        raw = answer.read(BODY_MAX)
        is_json = answer.headers.get_content_type() == "application/json"
        return answer.status, json.loads(raw) if is_json else raw.decode("utf-8", "replace")

    def _drop_http(self) -> None:
        if self._http is not None:
            self._http.close()
            self._http = None
        self._http_endpoint = None

    def _token(self) -> str:
        """The admin token: as configured, else from the directory of a node that runs on this machine."""
        given = self._config.admin_token
        token = given if isinstance(given, str) or given is None else given.get(self.address)
        if token is not None:
            return token
        with contextlib.suppress(OSError, KeyError):
            return (Path(self.status()["data_dir"]) / TOKEN_FILE).read_text(encoding="ascii").strip()
        raise PromotionRefused(
            f"{self.address} takes no orders without its admin token",
            hint=f"Give admin_token: it is in {TOKEN_FILE} of the node's data directory.",
        )


def _state(text: str | None) -> Token:
    try:
        return Token.parse(text or "")
    except ValueError as error:
        raise NodeUnreachable(str(error)) from error
