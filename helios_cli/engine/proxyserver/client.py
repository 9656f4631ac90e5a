"""A client's session: its units go to backends and their answers back, and what they leave behind is remembered.

A unit that needs no block goes to a backend for itself; a block, a pin or pool_mode = session keeps the backend. What
happens when a backend is lost is in ``recovery``.
"""

from __future__ import annotations

import asyncio
import logging
import os
from typing import TYPE_CHECKING, Any, Final

import xxhash

from helios_cli.engine.errors import HeliosError, OutcomeUnknown
from helios_cli.engine.proxy.block import Block
from helios_cli.engine.proxy.settings_sync import BlockSettings, Settings, changed, startup_settings
from helios_cli.engine.proxy.statement import Control, Statement
from helios_cli.engine.proxy.unit import Unit
from helios_cli.engine.proxyserver import verdicts
from helios_cli.engine.proxyserver.backend import Backend
from helios_cli.engine.proxyserver.recovery import Recovery
from helios_cli.engine.proxyserver.sending import IDLE, IN_BLOCK, OWN_PARAMETERS, READY, WRITE_ID, Sending
from helios_cli.engine.types import Token
from helios_cli.engine.wire import backend as messages
from helios_cli.engine.wire import client as wire
from helios_cli.engine.wire.startup import parse_options

if TYPE_CHECKING:
    from helios_cli.engine.proxyserver.proxy import Proxy
    from helios_cli.engine.wire.scram import ClientKeys

log = logging.getLogger(__name__)

FAILED: Final = b"E"[0]

NO_SETTINGS: Final = ("user", "database", "options", "replication")
"""Of a startup packet: they are no settings of a session."""

AUTHORITY: Final = ("session_authorization", "role")
"""Set like parameters, and left alone by RESET ALL."""

FLOOR_ASKED: Final = 1 << 63
"""The floor of a session whose last write at a plain PostgreSQL has no known LSN yet."""

PG_LSN: Final = "SELECT pg_catalog.pg_current_wal_insert_lsn()"


class Client(Sending):
    """One logged-in application."""

    def __init__(
        self,
        proxy: Proxy,
        transport: asyncio.Transport,
        parameters: dict[str, str],
        keys: ClientKeys | str | None,
    ) -> None:
        super().__init__(proxy, transport, parameters, keys)
        self.secret = os.urandom(4)
        self.address: Any = transport.get_extra_info("peername")
        self.is_inner = False
        """Driven by this process itself, which ends it when its request is answered."""
        self.began_with: Settings = {}
        self._in_block: BlockSettings | None = None
        """What the block in hand has set; None: nothing."""

    # Beginning -------------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Find a node, and tell the client what it reports."""
        try:
            asked = parse_options(self.parameters.get("options", ""))
        except HeliosError as error:
            self.fatal(error)
            return
        asked |= {name: value for name, value in self.parameters.items() if name not in NO_SETTINGS}
        self.began_with = startup_settings(asked)
        self.adopt(self.began_with)
        self.unit, self._dispatched = Unit(simple=True), True
        self.choose(self.unit)

    def _welcome(self, backend: Backend) -> None:
        self._welcomed = True
        self.told = backend.parameters
        told = {name: value for name, value in backend.parameters.items() if name not in OWN_PARAMETERS}
        parts = [messages.parameter_status(name, value) for name, value in told.items()]
        parts += [
            messages.parameter_status("in_hot_standby", "off"),
            messages.parameter_status("default_transaction_read_only", "off"),
            messages.backend_key_data(self.pid, self.secret),
            messages.READY_IDLE,
        ]
        self.transport.write(b"".join(parts))
        log.info("session %d of %s@%s from %s begins", self.pid, self.user, self.database, self.shown_address)
        if not self.keeps_backend:
            self.give_back(backend)
        self.unit_done()

    @property
    def shown_address(self) -> str:
        """Where the client is, for people."""
        return f"{self.address[0]}:{self.address[1]}" if isinstance(self.address, tuple) else "a local socket"

    # Answers ---------------------------------------------------------------------------------------------------------

    def answer(self, data: bytes) -> None:
        """A part of the answer to the unit in hand."""
        if self.recovery is not None:
            self.recovery.answer(data)
        else:
            self.pass_on(data)

    def pass_on(self, data: bytes) -> None:
        """Give the client a part of an answer, but for what it has already."""
        unit = self.unit
        if unit is None:
            return
        if unit.skip:
            data = self._new_part(unit, data)
            if not data:
                return
        seen = unit.seen
        if seen is None:
            seen = unit.seen = xxhash.xxh3_128()
        seen.update(data)
        unit.passed += len(data)
        if self.transport.is_closing():
            return  # connection_lost is on its way
        self.transport.write(data)
        if self._congested and self.backend is not None:
            self.backend.pause()

    def _new_part(self, unit: Unit, data: bytes) -> bytes:
        """What of an answer that comes again the client does not have. Nothing when it comes out otherwise."""
        known = data[: unit.skip]
        unit.skip -= len(known)
        if unit.fresh is None:
            unit.fresh = xxhash.xxh3_128()
        unit.fresh.update(known)
        if not unit.skip and unit.fresh.digest() != unit.expected:
            Recovery(self).differs()
            return b""
        return data[len(known) :]

    def unit_over(self, data: bytes, status: int) -> None:
        """The unit in hand is answered."""
        if self.recovery is not None:
            self.recovery.unit_over(data, status)
        else:
            self._finish(data, status)

    def _finish(self, data: bytes, status: int) -> None:
        """The rest of an answer, ReadyForQuery included."""
        unit, backend = self.unit, self.backend
        assert unit is not None and backend is not None
        if unit.skip:
            data = self._new_part(unit, data)
            if unit.skip:
                # It is shorter than what the client has of it.
                Recovery(self).differs()
            if self.unit is not unit or self.backend is not backend:
                return
        before, was = self.block, self.status
        if status != IDLE or before is not None:
            self._note_block(unit, data, status)
        if not self.transport.is_closing():
            self.transport.write(data)
        ended = before if self.block is not before else None
        if ended is not None and self._in_block is not None:
            self._end_settings(unit, backend, self._in_block, committed=was == IN_BLOCK and not unit.failed)
        self._over(unit, backend, status, ended)
        if status == IDLE and not self.keeps_backend and self.backend is backend:
            self.give_back(backend)
        self.unit_done()

    def finish_locally(self, data: bytes, *, failed: bool = False) -> None:
        """Answer the unit in hand with what the proxy knows; ReadyForQuery is put behind it."""
        unit, backend = self.unit, self.backend
        assert unit is not None
        unit.failed = failed
        if unit.name is not None or unit.wrapped or (self.block is not None and backend is None):
            # What had a name is over with it, and the block that a chain has begun is lost.
            self.block = Block.that_is_lost() if unit.chains and not failed else None
        if self._in_block is not None and (self.block is None or self.block.lost):
            inner, self._in_block = self._in_block, None
            if unit.control is Control.COMMIT and not failed:
                self.adopt(inner.now)
        self.status = IDLE if self.block is None else FAILED if self.block.lost else self.status
        if unit.skip:
            data = data[unit.skip :]
            unit.skip = 0
        if unit.closed:
            data += READY[self.status]
        else:
            self.skip_to_sync(READY[self.status])
        if not self.transport.is_closing():
            self.transport.write(data)
        if backend is not None or unit.name is not None:
            self._over(unit, backend, self.status)
        if backend is not None and self.status == IDLE and not self.keeps_backend:
            self.give_back(backend)
        self.unit_done()

    def _over(self, unit: Unit, backend: Backend | None, status: int, ended: Block | None = None) -> None:
        """The unit is answered, and has ``ended`` a block: what that changes."""
        self.status = status
        if ended.wrote or unit.writes if ended is not None else unit.access and unit.writes:
            self._wrote(unit, backend)
        if status == IDLE and self.statements.portals:
            self.statements.portals.clear()
        if not unit.plain:
            for statement in unit.executed:
                self._effects(unit, statement, backend)
        if unit.name is not None and not unit.repeated:
            self.proxy.names.give_back(unit.name)
        if (
            backend is not None
            and backend.may_be_named
            and self.block is None
            and not unit.failed
            and (ended.wrote_surely if ended is not None else unit.access and unit.takes_name)
        ):
            backend.may_be_named = False
        self.proxy.stats.count(unit, backend)

    def _end_settings(self, unit: Unit, backend: Backend, inner: BlockSettings, *, committed: bool) -> None:
        """A block that has set something is over."""
        self._in_block = None
        if unit.control not in (Control.COMMIT, Control.ROLLBACK):
            # COMMIT among others: whether all of it was in force by then is not known.
            committed = any(one.control is Control.COMMIT or one.count > 1 for one in unit.executed)
            backend.settings_known = False
        if committed and unit.control is not Control.ROLLBACK:
            self.adopt(inner.now)
            backend.settings = inner.now
            backend.settings_known &= inner.is_sure

    @property
    def keeps_backend(self) -> bool:
        """Whether the session keeps its backend between blocks."""
        return bool(self.pins) or self.proxy.keeps_backends

    def _note_block(self, unit: Unit, data: bytes, status: int) -> None:
        """Remember what was done in the block, so that it can be done again; or that it has ended."""
        block = self.block
        if status == IDLE:
            self.block = None
            return
        if block is not None and any([one.has_control for one in unit.executed]):
            # It has ended the block and begun another, of which it is not known how.
            block = self.block = Block(read_only=block.read_only, limit=0)
            block.replayable = False
        if block is None:
            block = self.block = Block(
                read_only=unit.reads_only and not unit.access, limit=self.proxy.settings.replay_max_bytes
            )
        if unit.seen is not None:
            unit.seen.update(data)
            digest = unit.seen.digest()
        else:
            digest = xxhash.xxh3_128_digest(data)
        block.add(unit, digest)

    def _wrote(self, unit: Unit, backend: Backend | None) -> None:
        """Remember what is to be seen, or asked after."""
        if unit.defines:
            self.proxy.shared_statements.forget_all()
        if self.block is not None:
            self.block.wrote = True
            self.block.wrote_surely |= not unit.failed and unit.takes_name
        elif backend is not None and not backend.node.is_heliosdb and self.proxy.wants_floors:
            self.floor, self.awaits_token = FLOOR_ASKED, True
            self.tokens_asked = asked = self.tokens_asked + 1
            backend.command(PG_LSN, lambda command: self.token_came(command, asked))

    def error_came(self, message: bytes) -> bool:
        """An ErrorResponse: whether something else is to be done than to pass it on."""
        unit = self.unit
        if unit is None or (self.recovery is not None and not self.recovery.is_wrapping):
            return False
        unit.failed = True
        if b"C0A000\0Mcached plan" in message:
            self.statements.result_changed(unit)
        if Recovery(self).takes(unit, message):
            return True
        self.unit_failed(unit)
        return False

    def aside(self, code: int, message: bytes) -> None:
        """Notices, notifications and parameters."""
        if code == 0x53:
            name, value = wire.parse_status(message[5:])
            if name == "helios.lsn":
                self.token = value
                if self.proxy.settings.read_your_writes:
                    self.floor = max(self.floor, int(Token.parse(value).lsn))
            elif self._welcomed and self.backend is not None:
                self._tell(self.backend.parameters)
        elif self._welcomed and (self.recovery is None or self.recovery.is_wrapping):
            self.transport.write(message)

    def copy_begins(self, data: bytes) -> None:
        """The node wants COPY data."""
        unit = self.unit
        self.answer(data)
        if self.recovery is not None or unit is None:
            return
        unit.wanted += 1
        if unit.wanted > unit.copied:
            self.copying = True
            if not unit.by_query:
                unit.closed = False
            self.go_on()

    # What a unit leaves behind -------------------------------------------------------------------------------------

    def _effects(self, unit: Unit, statement: Statement, backend: Backend | None) -> None:
        if unit.failed:
            several = statement.count > 1 or len(unit.executed) > 1
            if several and (statement.settings or statement.resets) and backend is not None:
                backend.settings_known = False
            if several and statement.pins:
                # PREPARE and advisory locks outlast the error behind them.
                self.pins.add(statement.pins)
            return
        if statement.pins:
            self.pins.add(statement.pins)
        for gone in statement.unpins if self.pins else ():
            begins = gone.removesuffix("*")
            self.pins -= {pin for pin in self.pins if pin == gone or (begins != gone and pin.startswith(begins))}
        if statement.settings or statement.resets:
            self._set(statement, backend)
        if statement.read_only and self.block is not None:
            self.block.made_read_only = True
        if statement.savepoint and self.block is not None:
            self._inner().savepoint(statement)
        if statement.frees == "" and backend is not None:
            self.statements.names.clear()
            backend.statements.clear()
        if statement.discards:
            self.pins.clear()
            self.statements.names.clear()
            if backend is not None:
                backend.statements.clear()

    def _set(self, statement: Statement, backend: Backend | None) -> None:
        for one in statement.settings:
            if one.name == WRITE_ID:
                self.own_name = one.text or ""
                if backend is not None:
                    backend.may_be_named = True
        changes = [one for one in statement.settings if one.name != WRITE_ID]
        base = self._inner().now if self.block is not None else self.settings
        if statement.resets:
            kept = {} if statement.discards else {name: base[name] for name in AUTHORITY if name in base}
            base = {**self.began_with, **kept}
        fresh = changed(base, changes, self.began_with)
        # What a server resets is as the backend began, not as the client did.
        is_sure = not statement.resets and all([one.text is not None for one in changes])
        if self.block is not None:
            self._inner().set(fresh, is_sure=is_sure)
            return
        self.adopt(fresh)
        if backend is None:
            return
        if is_sure:
            backend.settings = fresh
        else:
            left = {name: base[name] for name in AUTHORITY if name in base} if statement.resets else backend.settings
            backend.settings = changed(left, changes, {})

    def _inner(self) -> BlockSettings:
        """What the block in hand has set."""
        if self._in_block is None:
            self._in_block = BlockSettings(self.settings)
        return self._in_block

    # Ends ------------------------------------------------------------------------------------------------------------

    def give_up(self, error: HeliosError) -> None:
        """The unit in hand cannot be done."""
        if not self._welcomed:
            self.fatal(error)
            return
        unit = self.unit
        in_doubt = self.recovery is not None and self.recovery.is_in_doubt
        if unit is not None and (unit.repeated or in_doubt) and error.sqlstate != OutcomeUnknown.sqlstate:
            self.proxy.stats.unknown += 1
            error = verdicts.in_doubt(error)
            self.block = None
        self.recovery = None
        if self.block is not None:
            self.block.lost = True
        self._in_block = None
        self.status = FAILED if self.block is not None else IDLE
        if self.unit is not None:
            self.fail(error, READY[self.status])

    def fail_in_block(self, error: HeliosError) -> None:
        """The unit in hand fails, in a block that has failed before."""
        self.status = FAILED
        self.fail(error, messages.READY_FAILED)

    def backend_lost(self, error: HeliosError) -> None:
        """The connection to the node is gone."""
        backend = self.backend
        self.let_go()
        if self.closing or backend is None:
            return
        self.proxy.cluster.suspect(backend.node, error.message)
        if self.pins:
            kept = ", ".join(sorted(self.pins))
            self.fatal(
                HeliosError(
                    f"node {backend.node.name} was lost, and with it what this session kept there: {kept}",
                    sqlstate="57P01", hint="Connect again.",
                )
            )  # fmt: skip
            return
        (self.recovery or Recovery(self)).lost(backend, error)

    def cancel(self) -> None:
        """A CancelRequest of this client."""
        if self.unit is None:
            return
        if self.backend is not None and self.backend.busy:
            self.proxy.cancel(self.backend)
        elif self.leave_queue():
            self.give_up(HeliosError("canceling statement due to user request", sqlstate="57014"))

    def pause_writing(self) -> None:
        """The client takes its answers slower than they come."""
        self._congested = True
        if self.backend is not None:
            self.backend.pause()

    def resume_writing(self) -> None:
        """There is room again."""
        self._congested = False
        if self.backend is not None:
            self.backend.unpause()
        self.go_on()

    def fatal(self, error: HeliosError) -> None:
        """Tell the client why, and close."""
        if self.closing:
            return
        error.severity = "FATAL"
        if not self.transport.is_closing():
            self.transport.write(messages.error_response(error))
            self.transport.close()
        self._close()

    def rest(self) -> None:
        """Nothing is in hand, and the proxy is about to end: so does the session, unless a block is open."""
        if self.block is None and self.unit is None and not self.is_inner:
            self.fatal(stopping())

    def leave(self) -> None:
        """The client has said goodbye."""
        self.transport.close()
        self._close()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        self._close()

    def _close(self) -> None:
        if self.closing:
            return
        self.closing = True
        if self.proxy.debug:
            log.debug("session %d of %s@%s ends after %d units", self.pid, self.user, self.database, self.units)
        self.leave_queue()
        self.proxy.forget(self)
        backend = self.backend
        if backend is None:
            return
        self.detach(backend)
        if backend.busy or backend.cancelling:
            if self.unit is not None and self.unit.only_asks:
                self.proxy.cancel(backend)
            backend.close()
            return
        keeps = self.pins or self.proxy.keeps_backends
        if backend.status != IDLE:
            backend.command("ROLLBACK", None if keeps else backend.clean_up)
        if keeps:
            backend.settings_known = False
            backend.statements.clear()
            backend.command("DISCARD ALL", backend.clean_up)
        elif backend.status == IDLE:
            backend.pool.release(backend)


def stopping() -> HeliosError:
    """What a client is told whose session ends because the proxy does."""
    return HeliosError("terminating connection: the proxy is stopping", sqlstate="57P01", hint="Connect again.")
