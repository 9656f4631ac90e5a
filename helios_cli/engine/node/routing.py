"""Which statements of a standby's clients the primary has to run, and the way there from the protocol's messages.

Everything here is asked only on a node with a forwarder, or of a session whose queries have something to wait for.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from helios_cli.engine.errors import FeatureNotSupported, ReadOnlyError, SqlError
from helios_cli.engine.node import consistency
from helios_cli.engine.node.relay import Relay
from helios_cli.engine.node.transaction import SNAPSHOT_LEVELS
from helios_cli.engine.sql import actions
from helios_cli.engine.sql.plan import Kind, Plan
from helios_cli.engine.wire import client

if TYPE_CHECKING:
    from helios_cli.engine.node.frontend import Frontend
    from helios_cli.engine.node.portal import Portal
    from helios_cli.engine.node.session import Session

Again = Callable[[], None]

_FIRST_WORD: Final = re.compile(r"(?:\s|--[^\n]*\n|/\*.*?\*/|;)*(\w+)", re.DOTALL)
_WRITES: Final = frozenset(
    (
        "insert", "update", "delete", "merge", "with", "create", "drop", "alter", "truncate", "comment", "grant",
        "revoke", "copy", "lock",
    )
)  # fmt: skip
"""First words of statements whose errors are the primary's business: it has the newest schema."""
_CONTROLS: Final = frozenset(
    (
        "set", "reset", "show", "begin", "start", "commit", "end", "rollback", "abort", "savepoint", "release",
        "discard", "deallocate", "listen", "unlisten", "close",
    )
)  # fmt: skip
"""First words of statements that see no tables."""

_TEMPORARY: Final = "temp.helios_meta"
_OPENS: Final = "pg_lo_open("
_ASKS_SEQUENCE: Final = ("pg_currval(", "pg_lastval(")


def concerns(session: Session) -> bool:
    """Whether a statement of the session may have to go on to the primary, or to wait."""
    engine = session.engine
    return engine.forwarder is not None or session.gate is not None or engine.settles_reads


def query(frontend: Frontend, sql: str, again: Again) -> bool:
    """A simple query, which ``again`` handles anew. True: it is on its way, or held up; False: run it here now."""
    session = frontend.session
    if _early(session, sql) and consistency.held(frontend, again):
        return True
    if session.engine.forwarder is not None:
        is_single = False
        try:
            planned = session.plan(sql)
        except SqlError:
            if not _unplanned_is_for_primary(session, sql):
                raise
        else:
            if not any(_wants_primary(session, plan, 0) for plan, _literals in planned):
                return _hold_query(frontend, [plan for plan, _literals in planned], again)
            is_single = len(planned) == 1 and _commits_by_itself(session, planned[0][0])
        forward(frontend, client.query(sql), again, is_single=is_single)
        return True
    return _hold_query(frontend, [plan for plan, _literals in session.plan(sql)], again)


def _hold_query(frontend: Frontend, plans: list[Plan], again: Again) -> bool:
    return any(_sees_state(frontend.session, plan) for plan in plans) and consistency.held(frontend, again)


def parse(frontend: Frontend, name: str, sql: str, oids: tuple[int, ...], again: Again) -> bool:
    """A Parse. True: it is on its way, or held up."""
    session = frontend.session
    if _early(session, sql) and consistency.held(frontend, again):
        return True
    if session.engine.forwarder is None:
        return False
    try:
        session.prepare(name, sql, oids)
    except SqlError:
        if not _unplanned_is_for_primary(session, sql):
            raise
        forward(frontend, client.parse(sql, name, oids), again)
        return True
    return False


def execute(frontend: Frontend, portal: Portal, rows_max: int, again: Again) -> bool:
    """An Execute. True: it is on its way, or held up."""
    session = frontend.session
    if portal.sent or portal.done or portal.rows is not None or portal.job is not None:
        return False
    if session.engine.forwarder is not None and _wants_primary(session, portal.plan, rows_max):
        is_single = not rows_max and frontend.sync_follows() and _commits_by_itself(session, portal.plan)
        forward(frontend, client.execute(portal.name, rows_max), again, is_single=is_single)
        return True
    return _sees_state(session, portal.plan) and consistency.held(frontend, again)


def call(frontend: Frontend, portal: Portal, message: bytes, again: Again) -> bool:
    """A FunctionCall, whose statement is the portal's. True: it is on its way, or held up."""
    session = frontend.session
    if session.engine.forwarder is not None and _wants_primary(session, portal.plan, 0):
        forward(frontend, message, again)
        return True
    return _sees_state(session, portal.plan) and consistency.held(frontend, again)


def moves(frontend: Frontend, redo: Callable[[], None]) -> bool:
    """A write waited for the writer, untouched, when this node ceased to lead: it goes to the primary from here.

    ``redo`` handles its message anew. False: its client has to.
    """
    session = frontend.session
    forwarder, transaction = session.engine.forwarder, session.transaction
    if forwarder is None or frontend.moved_to is forwarder or session.write_id is not None:
        return False
    if session.private is not None:
        return False
    if transaction is not None:
        if not transaction.explicit or transaction.failed or transaction.writing or transaction.connection is not None:
            return False
        if transaction.isolation != "read committed":
            return False
        transaction.token = None
    frontend.moved_to = forwarder
    frontend.again(redo)
    return True


def _commits_by_itself(session: Session, plan: Plan) -> bool:
    return session.transaction is None and plan.kind is Kind.WRITE and not plan.locks_rows


def forward(frontend: Frontend, message: bytes, again: Again, *, is_single: bool = False) -> None:
    """Have the primary handle a message, and what follows it, until the transaction is over.

    ``is_single``: it is one write, which commits by itself.

    Raises:
        FeatureNotSupported: the transaction has an open cursor here, which could not be read on.
    """
    session = frontend.session
    forwarder = session.engine.forwarder
    assert forwarder is not None
    if session.encoding is not None:
        raise FeatureNotSupported(
            f"a standby cannot send on what is in the encoding {session.encoding.name}",
            hint="Set client_encoding to UTF8, or connect to the primary.",
        )
    if any(cursor.kept is None for cursor in session.cursors.values()) or any(
        portal.sent and not portal.done for portal in session.portals.values()
    ):
        raise FeatureNotSupported(
            "a transaction with an open cursor on a standby cannot begin to write",
            hint="Close the cursor first, or write before it is declared: then it is opened at the primary.",
        )
    relay = Relay(frontend, forwarder, message, again, is_single=is_single)
    frontend.relay_begins(relay)
    relay.begin()


def no_temporary_tables() -> ReadOnlyError:
    """The refusal of what only one session's own connection could hold."""
    return ReadOnlyError(
        "cannot create temporary tables on a standby", hint="Connect to the primary for temporary tables."
    )


def _early(session: Session, sql: str) -> bool:
    """Whether a wait comes before planning: the state that was asked for may have another schema."""
    gate = session.gate
    if gate is None or not gate.least.lsn or _is_inside_snapshot(session):
        return False
    match = _FIRST_WORD.match(sql)
    return match is not None and match[1].lower() not in _CONTROLS


def _is_inside_snapshot(session: Session) -> bool:
    transaction = session.transaction
    return transaction is not None and (transaction.connection is not None or transaction.failed)


def _sees_state(session: Session, plan: Plan) -> bool:
    """Whether a statement takes a snapshot that the session's wishes are about."""
    if _is_inside_snapshot(session) or not (session.gate is not None or consistency.must_settle(session)):
        return False
    if plan.kind is Kind.UTILITY:
        return isinstance(plan.action, actions.Execute | actions.DeclareCursor)
    if session.gate is None and plan.kind is Kind.READ and not session.engine.reads_data(plan):
        return False
    return plan.kind is not Kind.EMPTY


def _wants_primary(session: Session, plan: Plan, rows_max: int) -> bool:
    transaction = session.transaction
    if transaction is not None and (transaction.failed or transaction.lost is not None):
        return False
    if _writes(session, plan):
        read_only = transaction.read_only if transaction is not None else _reads_only(session)
        if plan.kind is Kind.DDL and any(_TEMPORARY in step for step in plan.steps):
            raise no_temporary_tables()
        return not read_only
    return _takes_snapshot(session, plan) and _reads_at_primary(session, plan)


def _reads_only(session: Session) -> bool:
    return session.variables.get("default_transaction_read_only") == "on"


def _writes(session: Session, plan: Plan) -> bool:
    """Whether a statement changes something, or takes the writer. One that is not planned yet stands behind such."""
    kind, action = plan.kind, plan.action
    if kind is Kind.WRITE or kind is Kind.DDL:
        return True
    if kind is Kind.COPY:
        return isinstance(action, actions.CopyIn) or (
            isinstance(action, actions.CopyOut) and action.query.kind is Kind.WRITE
        )
    if kind is Kind.EMPTY:
        return plan.catalog_version == -1 and not _is_query(plan.source)
    if isinstance(action, actions.Execute):
        inner = _executed(session, action)
        return inner is not None and _writes(session, inner)
    if isinstance(action, actions.LockTable):
        return action.mode not in ("ACCESS SHARE", "ROW SHARE")
    return isinstance(action, actions.Vacuum)


def _executed(session: Session, action: actions.Execute) -> Plan | None:
    prepared = session.statements.get(action.name)
    return session.current_plan(prepared) if prepared is not None else None


def _takes_snapshot(session: Session, plan: Plan) -> bool:
    return plan.kind in (Kind.READ, Kind.COPY) or isinstance(plan.action, actions.Execute | actions.DeclareCursor)


def _reads_at_primary(session: Session, plan: Plan) -> bool:
    """Whether even a query is for the primary: its level, its transaction's level, or the session's sequences."""
    gate, transaction = session.gate, session.transaction
    if _is_inside_snapshot(session):
        return False
    if gate is not None and gate.level == "linearizable":
        return True
    if transaction is not None and not transaction.read_only and transaction.isolation in SNAPSHOT_LEVELS:
        return True
    asks = plan.cache.get(_ASKS_SEQUENCE)
    if asks is None:
        asks = plan.cache[_ASKS_SEQUENCE] = any(word in step for step in plan.steps for word in _ASKS_SEQUENCE)
    forwarder = session.engine.forwarder
    if transaction is not None and not transaction.read_only and any(_OPENS in step for step in plan.steps):
        # What is opened to be written has to be open where it is written.
        return True
    return bool(asks) and forwarder is not None and forwarder.has_own(session)


def _is_query(sql: str) -> bool:
    match = _FIRST_WORD.match(sql)
    return match is not None and match[1].lower() in ("select", "values", "table", "show", "explain", "set", "reset")


def _unplanned_is_for_primary(session: Session, sql: str) -> bool:
    """Whether the primary is to judge a statement that cannot be planned here, where its schema may not have arrived.

    Queries that read are not: they are of this node, and so are their errors.
    """
    transaction = session.transaction
    if transaction is not None and (transaction.failed or transaction.read_only):
        return False
    match = _FIRST_WORD.match(sql)
    return match is not None and match[1].lower() in _WRITES
