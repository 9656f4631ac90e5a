"""SET CONSTRAINTS: when the foreign keys and the late unique keys of a transaction are checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import apsw

from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql import actions

if TYPE_CHECKING:
    from helios_cli.engine.node.portal import Portal
    from helios_cli.engine.node.session import Session

_KEYS: Final = "SELECT conname, condeferrable, condeferred FROM {}.helios_constraint WHERE contype IN ('f', 'p', 'u')"


def set_constraints(session: Session, action: actions.SetConstraints, portal: Portal, rows_max: int) -> bool:
    """SET CONSTRAINTS ALL or names. IMMEDIATE checks what has been put off so far.

    SQLite puts off all foreign keys of a transaction or none, besides those declared INITIALLY DEFERRED. It is only
    told to where that makes a difference; the writer is taken for it, since SQLite forgets it with the transaction.

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
    connection = transaction.connection
    if connection is not None and transaction.writing:
        if action.deferred and to_defer:
            connection.execute("PRAGMA defer_foreign_keys=ON")
        elif not action.deferred:
            _check(session, connection)
            connection.execute("PRAGMA defer_foreign_keys=OFF")
    return utility.complete(session, portal)


def _declared_immediate(session: Session, names: tuple[str, ...]) -> bool:
    """Whether a named key, or any one for no names, is deferrable and not deferred by its declaration."""
    catalog = session.schema_view().catalog
    found = catalog.rows(_KEYS.format("main"))
    if catalog.has_temp_tables():
        found += catalog.rows(_KEYS.format("temp"))
    for name in names:
        same = [deferrable for known, deferrable, _deferred in found if known == name]
        if not same:
            raise SqlError(f'constraint "{name}" does not exist', sqlstate="42704")
        if not any(same):
            raise SqlError(f'constraint "{name}" is not deferrable', sqlstate="42809")
    return any(deferrable and not deferred for known, deferrable, deferred in found if not names or known in names)


def _check(session: Session, connection: apsw.Connection) -> None:
    if connection.status(apsw.SQLITE_DBSTATUS_DEFERRED_FKS)[0]:
        named = session.runner.left_orphan(connection)
        raise named or SqlError("a deferred foreign key constraint is violated", sqlstate="23503")
