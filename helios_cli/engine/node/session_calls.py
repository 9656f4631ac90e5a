"""Functions of SQL that act on the session that calls them: advisory locks, pg_notify() and its kin."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import apsw

from helios_cli.engine.datatypes.registry import format_type
from helios_cli.engine.errors import SqlError
from helios_cli.engine.node import cursors
from helios_cli.engine.node.advisory import LockWait, Request, key_of
from helios_cli.engine.node.channels import notification_of
from helios_cli.engine.sql.variables import BY_NAME

if TYPE_CHECKING:
    from helios_cli.engine.node.engine import Engine
    from helios_cli.engine.node.session import Session

_OF_TRANSACTION: Final = ("transaction_deferrable", "transaction_isolation", "transaction_read_only")
_POLL_S: Final = 0.01
"""How often a write that holds the writer asks again for an advisory lock."""
_NAME_MAX: Final = 63
_PAYLOAD_MAX: Final = 7999
"""Bytes (async.c: NAMEDATALEN and NOTIFY_PAYLOAD_MAX_LENGTH, less the NUL)."""


def call(engine: Engine, pid: int, what: str, arguments: tuple[Any, ...], interrupted: Callable[[], bool]) -> Any:
    """Carry a function out for a session, from whichever thread runs its statement.

    Raises:
        SqlError: what the function raises; 55000 without a session.
        LockWait: the query is to be started again when it has the lock.
    """
    from helios_cli.engine.node.catalog_hooks import on_loop

    session = engine.sessions.get(pid)
    if session is None:
        raise SqlError(f"{what} needs a session", sqlstate="55000")
    action = _ACTIONS[what]
    try:
        return on_loop(engine, lambda: action(session, *arguments))
    except LockWait as error:
        if session.reading is not None or threading.get_ident() == engine.loop_thread:
            raise
        return _poll(engine, session, error.request, interrupted)


def _poll(engine: Engine, session: Session, request: Request, interrupted: Callable[[], bool]) -> Any:
    """Wait on the thread of a write, which cannot be started again."""
    from helios_cli.engine.node.catalog_hooks import on_loop

    def attempt() -> bool:
        engine.advisory.check_deadlock(session, request)
        engine.advisory.waiting[session] = request
        return engine.advisory.lock(session, request, statement=None, wait=False)

    try:
        while not interrupted():
            if session.runner.cancel_reason is not None:
                # It came between two statements of a function, and SQLite has forgotten it.
                raise apsw.InterruptError("interrupted")
            if on_loop(engine, attempt):
                break
            time.sleep(_POLL_S)
    finally:
        on_loop(engine, lambda: engine.advisory.waiting.pop(session, None))
    return ""


def _lock(session: Session, first: int, second: int | None, shared: int, in_transaction: int, wait: int) -> Any:
    request = Request(key_of(session, first, second), bool(shared), bool(in_transaction))
    got = session.engine.advisory.lock(session, request, statement=session.reading, wait=bool(wait))
    return "" if wait else int(got)


def _unlock(session: Session, first: int, second: int | None, shared: int) -> int:
    return int(session.engine.advisory.unlock(session, key_of(session, first, second), shared=bool(shared)))


def _unlock_all(session: Session) -> str:
    session.engine.advisory.unlock_all(session)
    return ""


def _notify(session: Session, channel: str | None, payload: str | None) -> str:
    """pg_notify(): as NOTIFY, once for each text in a transaction."""
    name, text = channel or "", payload or ""
    if not name:
        raise SqlError("channel name cannot be empty", sqlstate="22023")
    if len(name.encode()) > _NAME_MAX:
        raise SqlError("channel name too long", sqlstate="22023")
    if len(text.encode()) > _PAYLOAD_MAX:
        raise SqlError("payload string too long", sqlstate="22023")
    notification = notification_of(session, name, text)
    if notification not in session.channel_actions:
        # Without a block they are done when the statement is over; see Session.statement_over().
        session.channel_actions.append(notification)
    return ""


def _listening(session: Session) -> str:
    return json.dumps(session.engine.channels.of(session))


def _cursors(session: Session) -> str:
    return json.dumps(cursors.rows(session))


def _prepared(session: Session) -> str:
    """Rows of pg_prepared_statements."""
    found = []
    for name, statement in session.statements.items():
        if name:
            types = ",".join(format_type(oid, -1) for oid in statement.plan.param_types)
            text, by_statement = statement.by_statement or statement.sql, int(bool(statement.by_statement))
            found.append([name, text, statement.prepared_us, f"{{{types}}}", by_statement, 0, 0])
    return json.dumps(found)


def _settings(session: Session) -> str:
    """What the session has set: by name the value in its own unit, where it is from, and what RESET gives."""
    found = {}
    for folded in {*session.variables, *_OF_TRANSACTION}:
        variable = BY_NAME.get(folded)
        if variable is None:
            continue
        value, start = session.show(folded), session.defaults.get(folded)
        source = "override" if folded in _OF_TRANSACTION else "client" if value == start else "session"
        reset = session.engine.default_variable(variable) if start is None else start
        found[variable.name] = [variable.in_own_unit(value), source, variable.in_own_unit(reset)]
    return json.dumps(found)


_ACTIONS: Final[dict[str, Callable[..., Any]]] = {
    "lock": _lock,
    "unlock": _unlock,
    "unlock_all": _unlock_all,
    "notify": _notify,
    "listening": _listening,
    "pg_cursors": _cursors,
    "pg_prepared_statements": _prepared,
    "pg_settings": _settings,
}
