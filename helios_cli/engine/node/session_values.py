"""Values of the session that plans bind as parameters: now(), current_user, settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from helios_cli.engine.errors import HeliosError
from helios_cli.engine.node.roles import DATABASE

if TYPE_CHECKING:
    from helios_cli.engine.node.session import Session


def session_value(session: Session, name: str) -> Any:
    """The value of ``Plan.session_values`` entry ``name``.

    Raises:
        HeliosError: XX000, the planner asked for something the node does not have.
    """
    read = _VALUES.get(name)
    if read is None:
        raise HeliosError(f"internal error: the plan asks for the session value {name!r}")
    return read(session)


def _now(session: Session) -> int:
    transaction = session.transaction
    return transaction.now_us if transaction is not None else _statement_now(session)


def _statement_now(session: Session) -> int:
    if not session.statement_now_us:
        session.statement_now_us = session.engine.now_us()
    return session.statement_now_us


def _timezone(session: Session) -> str:
    return session.variables.get("timezone") or session.show("TimeZone")


_VALUES: Final[dict[str, Callable[[Session], Any]]] = {
    "now": _now,
    "statement_now": _statement_now,
    "clock": lambda session: session.engine.now_us(),
    "current_user": lambda session: session.user,
    "session_user": lambda session: session.user,
    "current_database": lambda session: DATABASE,
    "current_schema": lambda session: session.search_path[0] if session.search_path else None,
    "pid": lambda session: session.pid,
    "timezone": _timezone,
    "TimeZone": _timezone,
    "committed_lsn": lambda session: str(session.engine.pipeline.committed_lsn),
}
