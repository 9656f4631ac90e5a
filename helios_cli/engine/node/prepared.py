"""PREPARE, EXECUTE and DEALLOCATE as SQL statements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from helios_cli.engine.datatypes.registry import by_oid
from helios_cli.engine.datatypes.zoned import session_parser
from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql import actions
from helios_cli.engine.sql.plan import Plan
from helios_cli.engine.sql.planner import bind

if TYPE_CHECKING:
    from helios_cli.engine.node.portal import Portal
    from helios_cli.engine.node.session import Session


def prepare(session: Session, action: actions.Prepare, portal: Portal, _rows_max: int) -> bool:
    """PREPARE name AS query."""
    from helios_cli.engine.node import utility

    if action.name in session.statements:
        raise SqlError(f'prepared statement "{action.name}" already exists', sqlstate="42P05")
    made = session.prepare(action.name, action.query, action.param_types)
    made.by_statement = portal.text or session.query
    session.statements[action.name] = made
    if session.forwarded is not None:
        session.forwarded.prepared(action)
    return utility.complete(session, portal)


def execute(session: Session, action: actions.Execute, portal: Portal, rows_max: int) -> bool:
    """EXECUTE name (arguments): run the prepared plan in this portal's place."""
    portal.plan, portal.binds = named(session, action)
    columns = len(portal.plan.columns or ())
    portal.formats = portal.formats if len(portal.formats) == columns else (0,) * columns
    return session.start(portal, rows_max)


def named(session: Session, action: actions.Execute) -> tuple[Plan, Sequence[Any]]:
    """The plan that an EXECUTE names, and what it binds.

    Raises:
        SqlError: 26000 no such statement, 42601 another number of arguments, and what its arguments raise.
    """
    prepared = session.statements.get(action.name)
    if prepared is None:
        raise SqlError(f'prepared statement "{action.name}" does not exist', sqlstate="26000")
    plan = session.current_plan(prepared)
    if len(action.arguments) != len(plan.param_types):
        raise SqlError(
            f'wrong number of parameters for prepared statement "{action.name}"',
            sqlstate="42601",
            detail=f"Expected {len(plan.param_types)} parameters but got {len(action.arguments)}.",
        )
    values = [_argument(session, action, index, oid) for index, oid in enumerate(plan.param_types)]
    return plan, bind(plan, values, prepared.literals, session.values_for(plan))


def _argument(session: Session, action: actions.Execute, index: int, oid: int) -> Any:
    if action.is_text[index]:
        text = action.argument_texts[index]
        return None if text is None else _parse(session, oid, text)
    plan = action.arguments[index]
    binds = bind(plan, (), (), session.values_for(plan))
    database = session.engine.database
    connection = session.private or database.borrow(session.database_oid)
    try:
        value: Any = connection.execute(plan.steps[0], binds).fetchall()[0][0]
    finally:
        if connection is not session.private:
            database.give_back(connection)
    column = (plan.columns or ())[0]
    if value is None or column.type_oid == oid:
        return value
    return _parse(session, oid, by_oid(column.type_oid).format_text(value).decode())


def _parse(session: Session, oid: int, text: str) -> Any:
    parse = session_parser(oid, session.times_now()) or by_oid(oid).parse_text
    return parse(text)


def deallocate(session: Session, action: actions.Deallocate, portal: Portal, _rows_max: int) -> bool:
    """DEALLOCATE name or ALL."""
    from helios_cli.engine.node import utility

    if action.name is None:
        session.statements.clear()
    elif session.statements.pop(action.name, None) is None:
        raise SqlError(f'prepared statement "{action.name}" does not exist', sqlstate="26000")
    if session.forwarded is not None:
        session.forwarded.deallocated(action.name)
    return utility.complete(session, portal)
