"""Values of the session that plans bind as parameters: now(), current_user, settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from helios_cli.engine.errors import HeliosError

if TYPE_CHECKING:
    from helios_cli.engine.node.session import Session


def session_value(session: Session, name: str) -> Any:
    """The value of ``Plan.session_values`` entry ``name``.

    Raises:
        HeliosError: XX000, the planner asked for something the node does not have.
    """
    if name == "now":
        transaction = session.transaction
        return transaction.now_us if transaction is not None else _statement_now(session)
    if name == "statement_now":
        return _statement_now(session)
    if name == "clock":
        return session.engine.now_us()
    if name in ("current_user", "session_user"):
        return session.user
    if name == "pid":
        return session.pid
    if name == "timezone":
        return session.show("TimeZone")
    if name == "committed_lsn":
        return str(session.engine.pipeline.committed_lsn)
    raise HeliosError(f"internal error: the plan asks for the session value {name!r}")


def _statement_now(session: Session) -> int:
    if not session.statement_now_us:
        session.statement_now_us = session.engine.now_us()
    return session.statement_now_us
