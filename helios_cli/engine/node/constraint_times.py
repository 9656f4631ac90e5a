"""SET CONSTRAINTS: when the foreign keys, late unique keys and EXCLUDE constraints of a transaction are checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import apsw

from helios_cli.engine.errors import SqlError
from helios_cli.engine.node.deferred_triggers import fire
from helios_cli.engine.sql import actions

if TYPE_CHECKING:
    from helios_cli.engine.node.portal import Portal
    from helios_cli.engine.node.session import Session
    from helios_cli.engine.sql.routines import Trigger
    from helios_cli.engine.storage.catalog import SqliteCatalog

_KEYS: Final = (
    "SELECT conname, condeferrable & 1, condeferred FROM {}.helios_constraint WHERE contype IN ('f', 'p', 'u', 'x')"
)


def set_constraints(session: Session, action: actions.SetConstraints, portal: Portal, rows_max: int) -> bool:
    """SET CONSTRAINTS ALL or names. IMMEDIATE checks what has been put off so far.

    SQLite puts off all foreign keys of a transaction or none, besides those declared INITIALLY DEFERRED. It is only
    told to where that makes a difference; the writer is taken for it, since SQLite forgets it with the transaction.
    Those declared so are checked behind each statement from then on, when nothing at all is deferred any more.

    Raises:
        SqlError: 42704 no such constraint, 42809 it is not deferrable, 23503 a foreign key is violated.
    """
    from helios_cli.engine.node import utility

    transaction = session.transaction
    if transaction is None or not transaction.explicit:
        utility.warn(session, "SET CONSTRAINTS can only be used in transaction blocks", "25P01")
        return utility.complete(session, portal)
    to_defer = _declared_immediate(session, action.names)
    if action.deferred and to_defer and not transaction.writing and not transaction.read_only:
        return session.runner.with_writer(lambda: session.retry(portal, rows_max))
    transaction.checks_keys = not action.deferred and _all_named(session, action.names)
    declare_triggers(session, session.schema_view().catalog, action)
    connection = transaction.connection
    if connection is not None and transaction.writing:
        if action.deferred and to_defer:
            connection.execute("PRAGMA defer_foreign_keys=ON")
        elif not action.deferred:
            check_keys(session, connection)
            connection.execute("PRAGMA defer_foreign_keys=OFF")
        if not action.deferred and session.deferred.events:
            return _fire(session, portal, connection)
    return utility.complete(session, portal)


def _fire(session: Session, portal: Portal, connection: apsw.Connection) -> bool:
    """Fire the triggers that wait no longer, then answer."""
    from helios_cli.engine.node import utility

    runner = session.runner

    def fired(_: None) -> None:
        if session.transaction is not None:
            session.transaction.slow = True
            if session.take_nested_definitions():
                session.transaction.schema_changed = True
                session.schema_changed_in_transaction()
        utility.complete(session, portal)
        session.finished()

    runner.on_thread(
        connection,
        lambda: fire(session, connection, all_of_them=False),
        fired,
        lambda error: runner.fail_after_base(runner.translate(error)),
    )
    return False


def declare_triggers(session: Session, catalog: SqliteCatalog, action: actions.SetConstraints) -> None:
    """Note when constraint triggers are to fire from now on."""
    named = [trigger.oid for trigger in _triggers(catalog) if trigger.name in action.names]
    session.deferred.declare(named if action.names else None, deferred=action.deferred)


def _triggers(catalog: SqliteCatalog) -> list[Trigger]:
    return [trigger for trigger in catalog.all_triggers() if trigger.is_constraint]


def _keys(session: Session) -> list[tuple[str, bool, bool]]:
    """Every key: its name, whether it is deferrable, and whether it is declared deferred."""
    catalog = session.schema_view().catalog
    found = catalog.rows(_KEYS.format("main"))
    if catalog.has_temp_tables():
        found += catalog.rows(_KEYS.format("temp"))
    return [(str(name), bool(deferrable), bool(deferred)) for name, deferrable, deferred in found]


def _all_named(session: Session, names: tuple[str, ...]) -> bool:
    """Whether no key stays deferred when these, or all for no names, are not."""
    return not names or {name for name, deferrable, _deferred in _keys(session) if deferrable} <= set(names)


def _declared_immediate(session: Session, names: tuple[str, ...]) -> bool:
    """Whether a named key, or any one for no names, is deferrable and not deferred by its declaration."""
    found = _keys(session)
    triggers = [(trigger.name, trigger.deferrable) for trigger in _triggers(session.schema_view().catalog)]
    for name in names:
        same = [deferrable for known, deferrable, _deferred in found if known == name]
        same += [deferrable for known, deferrable in triggers if known == name]
        if not same:
            raise SqlError(f'constraint "{name}" does not exist', sqlstate="42704")
        if not any(same):
            raise SqlError(f'constraint "{name}" is not deferrable', sqlstate="42809")
    return any(deferrable and not deferred for known, deferrable, deferred in found if not names or known in names)


def check_keys(session: Session, connection: apsw.Connection) -> None:
    """Raise SqlError 23503 or 23505 when a key that was put off is violated now."""
    if connection.status(apsw.SQLITE_DBSTATUS_DEFERRED_FKS)[0]:
        named = session.runner.left_orphan(connection)
        raise named or SqlError("a deferred foreign key constraint is violated", sqlstate="23503")
