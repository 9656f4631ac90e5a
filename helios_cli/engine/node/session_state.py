"""What a session remembers, its run-time parameters and its clocks."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, cast

import apsw

from helios_cli.engine.datatypes.encodings import Encoding
from helios_cli.engine.errors import HeliosError, QueryCanceled, SqlError
from helios_cli.engine.node import client_encoding, consistency, identity, presentation, utility
from helios_cli.engine.node.copy_in import TakesBytes
from helios_cli.engine.node.deferred_triggers import DeferredTriggers
from helios_cli.engine.node.engine import Engine, SchemaView
from helios_cli.engine.node.portal import Portal, Prepared, Sink
from helios_cli.engine.node.runner import Runner
from helios_cli.engine.node.timezone import check_timezone, time_context
from helios_cli.engine.node.transaction import Transaction
from helios_cli.engine.node.writer import TokenRequest
from helios_cli.engine.sql.authority import EVERYTHING
from helios_cli.engine.sql.ddl_schema import DATABASE_OID
from helios_cli.engine.sql.variables import BY_NAME, canonical, find, is_custom, known, parse_duration_ms
from helios_cli.engine.storage.catalog import DEFAULT_PATH
from helios_cli.engine.storage.ring import Ring
from helios_cli.engine.types import Lsn, Token, WriteId
from helios_cli.engine.wire import backend

if TYPE_CHECKING:
    from helios_cli.engine.node.boundaries import Boundary
    from helios_cli.engine.node.consistency import ReadGate
    from helios_cli.engine.node.cursors import Cursor
    from helios_cli.engine.node.fastpath import Shortcut
    from helios_cli.engine.node.forward_server import Forwarded
    from helios_cli.engine.node.planning import PlannedApart
    from helios_cli.engine.node.session import Session


PLAN_UNDONE: Final = -2
NAME_BYTES_MAX: Final = 63
"""NAMEDATALEN, less its last byte."""
PLAN_ELSEWHERE: Final = -3
"""Catalog version of a statement that the primary has planned for this session, and this node has not."""
_STATEMENT: Final = b"PBDE"
"""Messages that begin the time of a statement: Parse, Bind, Describe, Execute."""
_END: Final = b"ESQ"
"""Those that end it: Execute, Sync, Query."""
_UNUSUAL: Final = (
    "synchronous_commit", "statement_timeout", "lock_timeout", "default_transaction_read_only", "helios.write_id",
    "session_replication_role",
)  # fmt: skip


_BEFORE_ANSWERS: Final = b"N12Tt"
"""Messages that tell of no result: notices, ParseComplete, BindComplete, what rows and parameters are like."""


def _is_no_answer(part: bytes) -> bool:
    """Whether bytes for the client are one message that tells of no result."""
    return part[:1] in _BEFORE_ANSWERS and len(part) == 1 + int.from_bytes(part[1:5], "big")


class SessionState:
    """The state of one authenticated client."""

    private: apsw.Connection | None
    """A connection of its own for a session with temporary tables."""

    ring: Ring
    """The readers of its database."""

    boundary: Boundary | None = None
    """What COMMIT of a procedure asks, while a statement runs whose transaction is its own."""

    changed: dict[str, None]
    """Parameters that the client follows and that were set since it was told of them last."""
    told: dict[str, str]
    """What the client was told of them."""
    styled_zone: str | None = None
    """The zone's name with the style that values are written in; None: the usual one."""
    exchange_began = 0.0
    """When the client began with the statement that it tells of message by message; 0: it has begun none."""
    report_lsn = False
    """The client is told of the LSN with every commit."""
    conflicted = False
    """It met 40001, so its next such transaction takes the writer at its first statement."""
    idle_within = False
    """It is awaited within a statement or a pipeline, so it is not idle in PostgreSQL's sense."""
    let_through = False
    """The statement in hand has waited for all that it had to see."""
    repeating = False
    """The statement in hand was lost with a primary before: it may be done already."""
    encoding: Encoding | None = None
    """In which the client's text is; None: UTF-8."""
    has_advisory = False
    """It has taken an advisory lock, now or earlier."""
    write_id: WriteId | None = None
    """Under which its next write, or its transaction block, is done only once; None: it has not named it."""

    nested_definitions = False
    """A function has changed the schema in the statement in hand."""
    acting = EVERYTHING
    """As whom its statements run; see :mod:`.identity`."""
    restricted = False
    """It may not do everything: each statement is checked before it runs."""
    session_name = ""
    """What SET SESSION AUTHORIZATION has put in the place of its user; empty before it is known."""
    tls: ssl.SSLObject | None = None
    """What its connection is encrypted with; None: it is not."""
    is_replica = False
    """session_replication_role is replica: keys are not looked at, and other triggers fire."""
    checks_bodies = True
    """Bodies of functions are looked through when they are created."""
    schema_meanwhile: bool | None = None
    """Whether there is a schema with the role's name, while a thread has the connection on which to look; else None."""
    trigger_depth = 0
    """Triggers' functions that are under way inside one another."""
    definers = 0
    """Functions in hand that run as their owners."""
    roles_stale = False
    """The roles have changed meanwhile."""
    database_oid = DATABASE_OID
    """That of the database that it is in."""
    all_rights = True
    """It came in where nobody has to prove anything, under a name that is no role's."""

    def __init__(self, engine: Engine, sink: Sink, *, user: str, database: str, pid: int, secret: bytes) -> None:
        self.engine = engine
        self.sink = sink
        self.user = user
        self.database = database
        self.pid = pid
        self.secret = secret
        self.out: list[bytes] = []
        self.runner = Runner(cast("Session", self), engine)
        self.statements: dict[str, Prepared] = {}
        self.parsed: dict[bytes, Prepared] = {}
        """Unnamed statements by the body of their Parse."""
        self.shortcuts: dict[bytes, Shortcut] = {}
        """By the beginning of the Bind up to its parameters; see :mod:`.fastpath`."""
        self.portals: dict[str, Portal] = {}
        self.cursors: dict[str, Cursor] = {}
        self.unnamed_cursors = 0
        """How many cursors of functions have got a name of the server's."""
        self.variables: dict[str, str] = {}
        """Values that differ from the default, by lower-case name."""
        self.defaults: dict[str, str] = {}
        """What the client, its role and the database want at the start, by lower-case name: RESET comes back to it."""
        self.changed, self.told = {}, {}
        self.undo: list[tuple[str, str | None, bool]] = []
        """Name, value before and whether LOCAL of each SET in the transaction in hand, oldest first."""
        self.deferred = DeferredTriggers()
        self.transaction: Transaction | None = None
        self.token: TokenRequest | None = None
        self.private, self.ring = None, engine.database.ring
        self.private_schema: SchemaView | None = None
        self.search_path: tuple[str, ...] = DEFAULT_PATH
        self.copy: TakesBytes | None = None
        self.floor_seq = 0
        """Its own last commit that it did not wait for; its next read does."""
        self.floors: list[Token] = []
        """Where the primary was behind its own forwarded writes: the newest of each term, until it was seen here."""
        self.gate: ReadGate | None = None
        """What its reads wait for; None: nothing."""
        self.reported_lsn = Lsn(0)
        self.forwarded: Forwarded | None = None
        """It belongs to a client of a standby; None for a client of this node."""
        self.closed = False
        self._usually_unusual = engine.settings.synchronous_commit != "on"
        self.unusual = self._usually_unusual or bool(engine.settings.statement_timeout or engine.settings.lock_timeout)
        """It has set something that autocommit writes must look at."""
        self.statement_timeout_ms = engine.settings.statement_timeout
        self.lock_timeout_ms = engine.settings.lock_timeout
        self.idle_transaction_ms = engine.settings.idle_in_transaction_session_timeout
        self.times = time_context("UTC")
        """The session's zone, for texts of timestamps that name none."""
        self.query = ""
        self.application_name = ""
        self.statement_now_us = 0
        self.channel_actions: list[Callable[[], None]] = []
        """LISTENs, UNLISTENs and NOTIFYs of the transaction in hand, done when it is committed."""
        self.client_address: tuple[str, int] = ("", 0)
        self.server_address: tuple[str, int] = ("", 0)
        self.started_us = engine.now_us()
        self.idle_since = 0.0
        """When the client got the word inside a transaction, on the loop's clock; 0 while it does not have it."""
        self.reading: Portal | None = None
        """The portal whose query is being read on a thread."""
        self.after_statement: Callable[[], None] | None = None
        self.snapshot_since = 0.0
        self.notices: list[bytes] = []
        self.told_standby = engine.standby_refusal is not None
        self.planned_apart: PlannedApart | None = None
        """A long text that a thread has planned, for the message that brought it."""
        self.timers: dict[str, asyncio.TimerHandle] = {}

    @property
    def floor_lsn(self) -> Lsn:
        """What it must have seen at least; 0 before it has written anything through this node."""
        return max((token.lsn for token in self.floors), default=Lsn(0))

    def take_nested_definitions(self) -> bool:
        """Whether a function has changed the schema since this was asked last."""
        changed, self.nested_definitions = self.nested_definitions, False
        return changed

    def show(self, name: str) -> str:
        """The value of a parameter. Raises SqlError 42704."""
        folded = canonical(name)
        special = utility.computed_variable(cast("Session", self), folded)
        if special is not None:
            return special
        if folded in self.variables:
            return self.variables[folded]
        return self.engine.default_variable(known(name))

    def set_variable(self, name: str, value: str | None, *, local: bool = False) -> None:
        """SET; ``value`` None goes back to the default. Reported parameters are sent to the client."""
        variable = find(name)
        folded = variable.name.lower()
        checked = None if value is None else variable.check(variable.name, value)
        if variable.context == "s" and not self.acting.unrestricted:
            raise SqlError(f'permission denied to set parameter "{variable.name}"', sqlstate="42501")
        if folded == "timezone" and checked is not None:
            checked = check_timezone(checked)
        elif folded == "datestyle" and checked is not None:
            usual = self.engine.default_variable(variable)
            checked = presentation.check_datestyle(checked, self.show(folded), usual)
        elif folded == "application_name" and checked is not None:
            checked = self._short_name(checked)
        elif folded in identity.NAMES:
            checked = identity.checked(cast("Session", self), folded, checked)
        if self.in_transaction:
            self.undo.append((folded, self.variables.get(folded), local))
        elif local:
            checked = self.variables.get(folded)
        self._store(folded, checked)

    @property
    def in_transaction(self) -> bool:
        """Whether SET LOCAL has a transaction to hold for; where it has none, its parameter is known from then on."""
        return self.transaction is not None or self.boundary is not None

    def _short_name(self, value: str) -> str:
        """A name as PostgreSQL keeps it: of 63 bytes, question marks for what is not printable ASCII."""
        clean = "".join(chr(byte) if 32 <= byte < 127 else "?" for byte in value.encode())
        if len(clean) > NAME_BYTES_MAX:
            message = f'identifier "{clean}" will be truncated to "{clean[:NAME_BYTES_MAX]}"'
            self.out.append(backend.notice(message, sqlstate="42622"))
        return clean[:NAME_BYTES_MAX]

    def set_default(self, name: str, value: str) -> None:
        """Begin with a value that RESET comes back to. Raises SqlError as :meth:`set_variable`."""
        self.set_variable(name, value)
        folded = canonical(name)
        if folded in self.variables:
            self.defaults[folded] = self.variables[folded]

    def undo_variables(self, *, committed: bool, since: int = 0) -> None:
        """Put back what SET LOCAL, or any SET that is rolled back, had replaced from the ``since``-th on."""
        undo, self.undo = self.undo[since:], self.undo[:since]
        for name, value, local in reversed(undo):
            if local or not committed:
                self._store(name, value)

    def put_variable(self, folded: str, value: str | None) -> None:
        """Give a parameter a value that was checked before; None: its default."""
        self._store(folded, value)

    def _store(self, folded: str, value: str | None) -> None:
        if folded == "helios.write_id":
            self._name_write(value)
            return
        value = self.defaults.get(folded) if value is None else value
        if value is None and is_custom(folded):
            # It has been set, so PostgreSQL knows it from now on, without a value.
            value = ""
        if value is None:
            self.variables.pop(folded, None)
        else:
            self.variables[folded] = value
        current = self.show(folded)
        if folded == "statement_timeout":
            self.statement_timeout_ms = parse_duration_ms(folded, current)
        elif folded == "lock_timeout":
            self.lock_timeout_ms = parse_duration_ms(folded, current)
        elif folded == "idle_in_transaction_session_timeout":
            self.idle_transaction_ms = parse_duration_ms(folded, current)
        elif folded in presentation.NAMES:
            presentation.refresh(self, folded)
        elif folded in identity.NAMES:
            identity.refresh(cast("Session", self))
        elif folded == "client_encoding":
            client_encoding.changed(self, current)
        elif folded == "application_name":
            self.application_name = current
        elif folded == "check_function_bodies":
            self.checks_bodies = current == "on"
        elif folded == "session_replication_role":
            self.is_replica = current == "replica"
        elif folded.startswith("helios."):
            consistency.variable_set(cast("Session", self), folded, current)
        self._find_unusual()
        if self.forwarded is not None:
            self.forwarded.variable_set(folded, value)
        variable = BY_NAME.get(folded)
        if variable is not None and variable.reported:
            self.changes(variable.name)

    def _name_write(self, text: str | None) -> None:
        """Two of these come with each write through a proxy, one that sets the name and one that uses it up."""
        name = "helios.write_id"
        self.write_id = WriteId.parse(text) if text else None
        if text:
            self.variables[name] = text
            self.unusual = True
        elif self.variables.pop(name, None) is not None:
            self._find_unusual()
        if self.forwarded is not None:
            self.forwarded.variable_set(name, text or None)

    def _find_unusual(self) -> None:
        waits = bool(self.statement_timeout_ms or self.lock_timeout_ms or self.report_lsn)
        self.unusual = waits or self._usually_unusual or any(name in self.variables for name in _UNUSUAL)

    def changes(self, name: str) -> None:
        """A parameter that the client follows has another value: it is told before the next ReadyForQuery."""
        if not self.changed:
            # set_config() may be called on a worker thread.
            self.engine.loop.call_soon_threadsafe(self.deliver_notices)
        self.changed[name] = None

    def tell(self, message: bytes) -> None:
        """A message of a statement that runs on. It leaves at once, unless answers wait that a commit comes before."""
        self.out.append(message)
        if all(map(_is_no_answer, self.out)):
            self.sink.flush()

    def deliver_notices(self) -> None:
        """Send what waits for the end of a statement, if there is none in hand."""

    def was_told(self) -> None:
        """Somebody else has told the client of what is set now."""
        self.told.update((name, self.show(name)) for name in self.changed)
        self.changed.clear()

    def report_changes(self) -> None:
        """Tell the client what parameters it follows have become, where that is not what it was told last."""
        names, self.changed = self.changed, {}
        for name in names:
            current = self.show(name)
            if self.told.get(name) != current:
                self.told[name] = current
                self.out.append(backend.parameter_status(name, current))

    def own_schema(self) -> str | None:
        """The schema with the role's name, which ``"$user"`` in the search path stands for; None: there is none."""
        session = cast("Session", self)
        name = session.acting.name or self.user
        if self.schema_meanwhile is not None:
            return name if self.schema_meanwhile else None
        return name if session.schema_view().catalog.schema_oid(name) is not None else None

    def arm_timeouts(self, *, lock: bool = False) -> None:
        """The statement in hand waits: start the clocks the session asked for."""
        if self.statement_timeout_ms and "statement" not in self.timers:
            self._arm("statement", self.statement_timeout_ms, self._statement_timed_out)
        if lock and self.lock_timeout_ms:
            self._arm("lock", self.lock_timeout_ms, self._lock_timed_out)

    def check_exchange(self, code: int) -> None:
        """Before a message: the time of a statement runs from the first one about it, also while the client is silent.

        Raises:
            SqlError: 57014, it is over.
        """
        began, now = self.exchange_began, self.engine.loop.time()
        if code in _END:
            self.exchange_began = 0.0
        elif code in _STATEMENT and not began:
            self.exchange_began = now
        if code in _STATEMENT and began and (now - began) * 1000 > self.statement_timeout_ms:
            raise QueryCanceled("canceling statement due to statement timeout")

    def disarm_lock_timeout(self) -> None:
        """The writer's token has come."""
        self._disarm("lock")

    def disarm_timeouts(self) -> None:
        """The wait is over."""
        self._disarm("statement", "lock")

    def went_idle(self, *, within: bool = False) -> None:
        """The client has the word. Inside a transaction it may be silent only so long.

        ``within`` a statement or a pipeline, whose data, Sync or reading is awaited, that counts only while others
        wait for the writer.
        """
        transaction = self.transaction
        if transaction is None or not (transaction.explicit or within):
            return
        self.idle_within = within
        self.idle_since = self.engine.loop.time()

    def woke_up(self) -> None:
        """The client has sent something."""
        self.idle_since = 0.0

    def check_idle(self, now: float) -> None:
        """End a session that has been silent inside a transaction for longer than it may."""
        transaction = self.transaction
        if not self.idle_since or transaction is None:
            return
        idle_ms = (now - self.idle_since) * 1000
        if self.idle_transaction_ms and idle_ms > self.idle_transaction_ms and not self.idle_within:
            self._idle_timed_out()
        elif transaction.token is not None and len(self.engine.queue):
            limit = self.engine.settings.idle_writer_timeout
            if self.forwarded is not None and self.forwarded.is_lost:
                self._idle_timed_out(
                    detail="The transaction held the writer, and the standby by which it came is not heard any more.",
                    hint="Retry.",
                )
            elif limit and idle_ms > limit:
                self._idle_timed_out(
                    detail="The transaction held the writer, for which another session waited.",
                    hint="Write last in a transaction, or raise idle_writer_timeout.",
                )

    def terminate(self) -> None:
        """pg_terminate_backend: end the session."""
        self.sink.terminate(HeliosError("terminating connection due to administrator command", sqlstate="57P01"))

    def cancel(self) -> None:
        """CancelRequest for this session."""
        self.runner.cancel(QueryCanceled("canceling statement due to user request"))

    def _arm(self, name: str, milliseconds: int, callback: Callable[[], None]) -> None:
        self._disarm(name)
        self.timers[name] = self.engine.loop.call_later(milliseconds / 1000, callback)

    def _disarm(self, *names: str) -> None:
        if self.timers:
            for name in names:
                timer = self.timers.pop(name, None)
                if timer is not None:
                    timer.cancel()

    def _statement_timed_out(self) -> None:
        self.runner.cancel(QueryCanceled("canceling statement due to statement timeout"))

    def _lock_timed_out(self) -> None:
        self.runner.cancel(
            HeliosError(
                "canceling statement due to lock timeout",
                sqlstate="55P03",
                hint="Another transaction holds the writer; see pg_stat_activity.",
            )
        )

    def _idle_timed_out(self, detail: str | None = None, hint: str | None = None) -> None:
        message = "terminating connection due to idle-in-transaction timeout"
        self.sink.terminate(HeliosError(message, sqlstate="25P03", detail=detail, hint=hint))
