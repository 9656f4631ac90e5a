"""Statements that waited for the writer while somebody changed the schema: they are planned for the one that is now.

A definition is planned under the OIDs and names that are free, a write under the columns, constraints and triggers that
are there. Whoever holds the writer may change all of that, so a plan is looked at again when the writer comes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql.actions import CopyOut
from helios_cli.engine.sql.plan import Kind, Plan
from helios_cli.engine.sql.planner import bind

if TYPE_CHECKING:
    from helios_cli.engine.node.portal import Portal
    from helios_cli.engine.node.session import Session


LATE: Final = ""
"""The command tag of what stands for a definition that is planned when it is executed."""


def is_outdated(session: Session, portal: Portal) -> bool:
    """Whether a statement that has the writer was planned for another schema than it would change."""
    plan = portal.plan
    if plan.kind is not Kind.WRITE and plan.kind is not Kind.DDL:
        return False
    version = session.schema_view().catalog.version
    return plan.catalog_version != version and portal.renewed != version


def renew(session: Session, portal: Portal) -> None:
    """Plan a portal's statement again. One whose text is not known stays as it is.

    Raises:
        SqlError: the statement is wrong under the new schema; 0A000 when its result has other columns now.
    """
    portal.stale = False
    portal.renewed = session.schema_view().catalog.version
    old = portal.plan
    count = len(old.param_types)
    if old.spills:
        return
    text = _text_of(session, portal)
    planned = session.plan_again(text, old.param_types if count else None)
    if len(planned) != 1:
        return
    plan, literals = planned[0]
    if isinstance(plan.action, CopyOut):
        plan = plan.action.query
    if old.tag != LATE and (
        plan.kind is not old.kind or plan.tag != old.tag or len(plan.param_types) != count or plan.spills
    ):
        return
    if _shape(plan) != _shape(old):
        if not portal.describe:
            raise SqlError("cached plan must not change result type", sqlstate="0A000", routine="RevalidateCachedQuery")
        portal.formats = (0,) * len(plan.columns or ())
    portal.binds = bind(plan, tuple(portal.binds[:count]), literals, session.values_for(plan), text)
    portal.plan = plan
    portal.noticed = False


def _text_of(session: Session, portal: Portal) -> str:
    """The portal's statement: its own text, that of the prepared statement it was bound from, or the query string."""
    if portal.text:
        return portal.text
    plan = portal.plan
    count = len(plan.param_types)
    for prepared in session.statements.values():
        if prepared.plan is plan:
            values = bind(plan, (), prepared.literals, ())
            if list(values) == list(portal.binds[count : count + len(values)]):
                return prepared.sql
    return session.query


def _shape(plan: Plan) -> tuple[Any, ...]:
    return tuple((column.name, column.type_oid) for column in plan.columns or ())
