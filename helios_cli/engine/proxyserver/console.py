"""The database heliosproxy: the proxy's own console, over the protocol that its clients speak anyway."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from helios_cli import __version__
from helios_cli.engine.config.hba import is_loopback
from helios_cli.engine.config.proxy import ProxySettings
from helios_cli.engine.errors import FeatureNotSupported, HeliosError, NotServing, ProtocolViolation, SqlError
from helios_cli.engine.proxy.console import DATABASE, Order, Table, needs, read, shown, split
from helios_cli.engine.proxy.figures import Figures
from helios_cli.engine.proxyserver.control import Administration
from helios_cli.engine.wire import backend, messages
from helios_cli.engine.wire.client import ResultColumn
from helios_cli.engine.wire.rows import row_encoder

log = logging.getLogger(__name__)

CONSOLES_MAX: Final = 100
"""Sessions of the console at a time."""
MESSAGE_MAX: Final = 1 << 20
"""Of what a session has sent and is not answered yet; beyond it the session ends."""
STATEMENTS_MAX: Final = 1000
"""Prepared statements, and portals, of one session."""
VERSION: Final = f"HeliosProxy {__version__}"
SERVER_VERSION: Final = "15.0"
"""What drivers go by; that of the nodes."""

_QUERY, _PARSE, _BIND, _DESCRIBE, _EXECUTE, _CLOSE, _SYNC, _FLUSH, _TERMINATE = b"QPBDECSHX"
_IN_BLOCK: Final = ("BEGIN", "START TRANSACTION")


def admit(settings: ProxySettings, user: str, address: str, *, trusting: bool) -> None:
    """Whether somebody may use the console: auth_user and admin_users, and where nobody proves anything this machine.

    Raises:
        HeliosError: 42501.
    """
    if trusting:
        allowed = is_loopback(address)
        hint = "While everybody is trusted the console is open to this machine alone."
    else:
        allowed = bool(user) and user in (settings.auth_user, *settings.admin_users)
        hint = "Name the user in admin_users of proxy.toml."
    if not allowed:
        raise HeliosError(f'permission denied for database "{DATABASE}"', sqlstate="42501", hint=hint)


@dataclass(slots=True)
class _Portal:
    order: Order
    formats: tuple[int, ...]
    table: Table | None = None
    at: int = 0
    """Rows that the client has."""


class Console(asyncio.Protocol):
    """One session of the console."""

    def __init__(
        self,
        administration: Administration,
        transport: asyncio.Transport,
        pid: int,
        user: str,
        on_end: Callable[[Console], None],
    ) -> None:
        self.pid = pid
        self.user = user
        self._administration = administration
        self._transport = transport
        self._on_end = on_end
        self._data = b""
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._status = backend.READY_IDLE
        self._discarding = False
        self._statements: dict[str, Order] = {}
        self._portals: dict[str, _Portal] = {}

    def begin(self, leftover: bytes) -> None:
        """The client has logged in."""
        told = {
            "server_version": SERVER_VERSION, "server_encoding": "UTF8", "client_encoding": "UTF8",
            "DateStyle": "ISO, MDY", "integer_datetimes": "on", "standard_conforming_strings": "on",
            "TimeZone": "UTC", "is_superuser": "on", "application_name": "", "IntervalStyle": "postgres",
        }  # fmt: skip
        self._transport.set_protocol(self)
        parts = [backend.parameter_status(name, value) for name, value in told.items()]
        parts += [backend.backend_key_data(self.pid, os.urandom(4)), backend.READY_IDLE]
        self._transport.write(b"".join(parts))
        self._task = asyncio.get_running_loop().create_task(self._run())
        if leftover:
            self.data_received(leftover)

    # asyncio.Protocol ------------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Bytes of the client."""
        self._data += data
        if len(self._data) > MESSAGE_MAX:
            self.end(ProtocolViolation("too much was sent to the console at a time"))
        self._news.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        if self._task is not None:
            self._task.cancel()
        self._on_end(self)

    def end(self, error: HeliosError) -> None:
        """Tell the client why, and close."""
        error.severity = "FATAL"
        if not self._transport.is_closing():
            self._transport.write(backend.error_response(error))
            self._transport.close()

    # Messages --------------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        try:
            while not self._transport.is_closing():
                code, data = await self._message()
                if code == _TERMINATE:
                    self._transport.close()
                    return
                await self._answer(code, data)
        except HeliosError as error:
            self.end(error)
        except Exception as error:
            log.exception("the console failed")
            self.end(HeliosError("internal error of the proxy", detail=type(error).__name__))

    async def _message(self) -> tuple[int, bytes]:
        """The next one, head included. Raises ProtocolViolation: it is none."""
        while True:
            data = self._data
            if len(data) >= 5:
                length = int.from_bytes(data[1:5], "big")
                messages.check_length(data[0], length)
                if length > MESSAGE_MAX:
                    raise ProtocolViolation("invalid message length")
                if len(data) > length:
                    self._data = data[length + 1 :]
                    return data[0], data[: length + 1]
            self._news.clear()
            await self._news.wait()

    async def _answer(self, code: int, data: bytes) -> None:
        """One message. Raises ProtocolViolation: the session has to end."""
        if code == _SYNC:
            self._discarding = False
            self._portals.clear()
            self._transport.write(self._status)
            return
        if self._discarding:
            return
        try:
            if code == _QUERY:
                await self._query(messages.parse_query(data, 5, len(data)))
            elif code == _PARSE:
                self._parse(*messages.parse_parse(data, 5, len(data)))
            elif code == _BIND:
                self._bind(messages.parse_bind(data, 5, len(data)))
            elif code == _DESCRIBE:
                self._describe(*messages.parse_target(data, 5, len(data), "DESCRIBE"))
            elif code == _EXECUTE:
                await self._execute(*messages.parse_execute(data, 5, len(data)))
            elif code == _CLOSE:
                kind, name = messages.parse_target(data, 5, len(data), "CLOSE")
                (self._statements if kind == "S" else self._portals).pop(name, None)
                self._transport.write(backend.CLOSE_COMPLETE)
            elif code != _FLUSH:
                raise FeatureNotSupported("the console takes queries alone")
        except ProtocolViolation:
            raise
        except HeliosError as error:
            self._transport.write(backend.error_response(error))
            if code == _QUERY:
                self._transport.write(self._status)
            else:
                self._discarding = True

    async def _query(self, text: str) -> None:
        parts = split(text)
        if not parts:
            self._transport.write(backend.EMPTY_QUERY)
        for part in parts:
            order = read(part)
            table = await self._do(order)
            if table is not None:
                self._transport.write(_described(table, ()))
                self._rows(_Portal(order, (), table), 0)
            self._transport.write(backend.command_complete(_tag(order, table)))
        self._transport.write(self._status)

    def _parse(self, name: str, text: str, types: Sequence[int]) -> None:
        parts = split(text)
        if len(parts) > 1:
            raise SqlError("cannot insert multiple commands into a prepared statement", sqlstate="42601")
        if len(self._statements) >= STATEMENTS_MAX:
            raise HeliosError("too many prepared statements", sqlstate="53400")
        self._statements[name] = read(parts[0] if parts else "")
        self._transport.write(backend.PARSE_COMPLETE)

    def _bind(self, given: messages.Bind) -> None:
        portal, name, _, parameters, formats = given
        if parameters:
            raise ProtocolViolation("commands of the console have no parameters")
        if len(self._portals) >= STATEMENTS_MAX:
            raise HeliosError("too many portals", sqlstate="53400")
        self._portals[portal] = _Portal(self._statement(name), formats)
        self._transport.write(backend.BIND_COMPLETE)

    def _describe(self, kind: str, name: str) -> None:
        formats: tuple[int, ...] = ()
        if kind == "S":
            order = self._statement(name)
            self._transport.write(backend.parameter_description(()))
        else:
            portal = self._portal(name)
            order, formats = portal.order, portal.formats
        table = shown(order, Figures(), self._administration.settings, VERSION)
        self._transport.write(_described(table, formats) if table is not None else backend.NO_DATA)

    async def _execute(self, name: str, limit: int) -> None:
        portal = self._portal(name)
        if not portal.order.verb:
            self._transport.write(backend.EMPTY_QUERY)
            return
        if portal.table is None:
            portal.table = await self._do(portal.order)
        if portal.table is not None and not self._rows(portal, limit):
            self._transport.write(backend.PORTAL_SUSPENDED)
            return
        self._transport.write(backend.command_complete(_tag(portal.order, portal.table)))

    def _statement(self, name: str) -> Order:
        if name not in self._statements:
            raise SqlError(f'prepared statement "{name}" does not exist', sqlstate="26000")
        return self._statements[name]

    def _portal(self, name: str) -> _Portal:
        if name not in self._portals:
            raise SqlError(f'portal "{name}" does not exist', sqlstate="34000")
        return self._portals[name]

    def _rows(self, portal: _Portal, limit: int) -> bool:
        """Send rows, so many at most; whether these were the last ones."""
        table = portal.table
        assert table is not None
        end = len(table.rows) if not limit else min(len(table.rows), portal.at + limit)
        encode = row_encoder(
            tuple(oid for _, oid in table.columns), messages.formats_for(portal.formats, len(table.columns))
        )
        self._transport.write(b"".join([encode(row) for row in table.rows[portal.at : end]]))
        portal.at = end
        return end == len(table.rows)

    # What is to be done ----------------------------------------------------------------------------------------------

    async def _do(self, order: Order) -> Table | None:
        """Run a command; the rows of one that shows something. Raises HeliosError."""
        proxy = self._administration
        if order.verb in ("SHOW", "SELECT"):
            figures = await proxy.figures(**needs(order))
            return shown(order, figures, proxy.settings, VERSION, datetime.now(UTC))
        if order.verb == "ANSWER":
            if order.argument in (*_IN_BLOCK, "COMMIT", "ROLLBACK"):
                self._status = backend.READY_IN_TRANSACTION if order.argument in _IN_BLOCK else backend.READY_IDLE
            return None
        log.info("the console does as %s wants: %s %s", self.user, order.verb, order.argument)
        match order.verb:
            case "PAUSE":
                left = await proxy.pause(proxy.settings.write_timeout)
                if left:
                    raise NotServing(
                        f"the proxy is paused, and {left} clients still have something under way", sqlstate="57014",
                        hint="SHOW CLIENTS shows them. RESUME ends the pause.",
                    )  # fmt: skip
            case "RESUME":
                await proxy.resume()
            case "RELOAD":
                change = await proxy.reload()
                self._transport.write(backend.notice(str(change)))
            case "DRAIN":
                await proxy.drain(order.argument, force=order.force)
            case "UNDRAIN":
                await proxy.undrain(order.argument)
            case "KILL":
                await proxy.kill(int(order.argument))
        return None


def _described(table: Table, formats: tuple[int, ...]) -> bytes:
    columns = [ResultColumn(name, oid) for name, oid in table.columns]
    return backend.row_description(columns, messages.formats_for(formats, len(columns)))


def _tag(order: Order, table: Table | None) -> str:
    if order.verb == "SELECT" and table is not None:
        return f"SELECT {len(table.rows)}"
    return order.argument if order.verb == "ANSWER" else order.verb
