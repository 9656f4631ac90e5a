"""SET CONSTRAINTS: when the foreign keys, late unique keys and EXCLUDE constraints of a transaction are checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import apsw

from helios_cli.engine.errors import SqlError
from helios_cli.engine.node.deferred_triggers import fire
from helios_cli.engine.node.transaction import KeyTimes
from helios_cli.engine.sql import actions

if TYPE_CHECKING:
    from helios_cli.engine.node.portal import Portal
    from helios_cli.engine.node.session import Session
    from helios_cli.engine.sql.routines import Trigger
    from helios_cli.engine.storage.catalog import SqliteCatalog

_KEYS: Final = (
    "SELECT oid, conname, condeferrable & 1, condeferred FROM {}.helios_constraint "
    "WHERE contype IN ('f', 'p', 'u', 'x')"
)


class Key(NamedTuple):
    """A key of a table, as SET CONSTRAINTS sees it."""

    oid: int
    name: str
    deferrable: bool
    deferred: bool


def set_constraints(session: Session, action: actions.SetConstraints, portal: Portal, rows_max: int) -> bool:
    """SET CONSTRAINTS ALL or names. IMMEDIATE checks what has been put off so far.

    SQLite puts off all foreign keys of a transaction or none, besides those declared INITIALLY DEFERRED. It is only
    told to where that makes a difference; the writer is taken for it, since SQLite forgets it with the transaction.
    Those that are not to wait are checked behind each statement from then on.

    Raises:
        SqlError: 42704 no such constraint, 42809 it is not deferrable, 23503 a foreign key is violated.
    """
    from helios_cli.engine.node import utility

    transaction = session.transaction
    if transaction is None or not transaction.explicit:
        utility.warn(session, "SET CONSTRAINTS can only be used in transaction blocks", "25P01")
        return utility.complete(session, portal)
    keys = _named_keys(session, action.names)
    to_defer = action.deferred and any(not key.deferred for key in keys)
    if to_defer and not transaction.writing and not transaction.read_only:
        return session.runner.with_writer(lambda: session.retry(portal, rows_max))
    declare_triggers(session, session.schema_view().catalog, action)
    times = _changed(session, transaction.key_times, action, keys)
    connection = transaction.connection
    if connection is not None and transaction.writing:
        check_keys(session, connection, times)
        if times.checked is None or times.puts_off != transaction.key_times.puts_off:
            connection.execute(f"PRAGMA defer_foreign_keys={int(times.puts_off)}")
    transaction.key_times = times
    if connection is not None and transaction.writing and not action.deferred and session.deferred.events:
        return _fire(session, portal, connection)
    return utility.complete(session, portal)


def _changed(session: Session, times: KeyTimes, action: actions.SetConstraints, keys: list[Key]) -> KeyTimes:
    """When keys are checked after a SET CONSTRAINTS that names these."""
    oids = frozenset(key.oid for key in keys)
    every = frozenset(key.oid for key in _keys(session) if key.deferrable)
    if action.deferred:
        before = every if times.checked is None else times.checked
        return KeyTimes(times.puts_off or any(not key.deferred for key in keys), before - oids)
    if times.checked is None or not action.names or every <= times.checked | oids:
        return KeyTimes(puts_off=False, checked=None)
    return KeyTimes(times.puts_off, times.checked | oids)


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


def _keys(session: Session) -> list[Key]:
    catalog = session.schema_view().catalog
    found = catalog.rows(_KEYS.format("main"))
    if catalog.has_temp_tables():
        found += catalog.rows(_KEYS.format("temp"))
    return [Key(int(str(oid)), str(name), bool(can), bool(does)) for oid, name, can, does in found]


def _named_keys(session: Session, names: tuple[str, ...]) -> list[Key]:
    """The keys that are deferrable and named, or all for no names.

    Raises:
        SqlError: 42704 no such constraint, 42809 it is not deferrable.
    """
    found = _keys(session)
    triggers = [(trigger.name, trigger.deferrable) for trigger in _triggers(session.schema_view().catalog)]
    for name in names:
        same = [key.deferrable for key in found if key.name == name]
        same += [deferrable for known, deferrable in triggers if known == name]
        if not same:
            raise SqlError(f'constraint "{name}" does not exist', sqlstate="42704")
        if not any(same):
            raise SqlError(f'constraint "{name}" is not deferrable', sqlstate="42809")
    return [key for key in found if key.deferrable and (not names or key.name in names)]


def check_keys(session: Session, connection: apsw.Connection, times: KeyTimes) -> None:
    """Raise SqlError 23503 or 23505 when a key that was put off and waits no longer is violated now."""
    if not times.checks or not connection.status(apsw.SQLITE_DBSTATUS_DEFERRED_FKS)[0]:
        return
    named = session.runner.left_orphan(connection, times.checked)
    if named is not None:
        raise named
    if times.checked is None:
        raise SqlError("a deferred foreign key constraint is violated", sqlstate="23503")
