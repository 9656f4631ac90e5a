"""Databases while the node runs: who may connect to which, and who is in the way of what becomes of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from helios_cli.engine.errors import FeatureNotSupported, HeliosError, SqlError
from helios_cli.engine.sql import privileges
from helios_cli.engine.sql.authority import RoleFacts
from helios_cli.engine.sql.databases import DatabaseFacts, reached
from helios_cli.engine.sql.ddl_database import ChangeDatabase
from helios_cli.engine.sql.ddl_schema import DATABASE_OID
from helios_cli.engine.sql.plan import Plan
from helios_cli.engine.sql.rights import Rightful

if TYPE_CHECKING:
    from helios_cli.engine.node.engine import Engine
    from helios_cli.engine.node.portal import Portal
    from helios_cli.engine.node.session import Session

PATIENCE_S: Final = 5.0
"""For so long a statement waits until those that are connected have gone (CountOtherDBBackends, procarray.c)."""
_GONE: Final = "User was connected to a database that must be dropped."
LOOK_S: Final = 0.02
KEPT_MAX: Final = 4
"""Databases that nobody is in whose connections are kept for who comes back."""


def refused(message: str, sqlstate: str, detail: str | None = None) -> HeliosError:
    """A FATAL error of a client that may not connect."""
    error = HeliosError(message, sqlstate=sqlstate, detail=detail)
    error.severity = "FATAL"
    return error


def check_connection(engine: Engine, name: str, user: str, role: RoleFacts | None) -> DatabaseFacts:
    """The database that a client may connect to; ``role`` None is somebody who may do everything.

    Raises:
        HeliosError: 3D000 there is none, 55000 it takes no connections, 42501 the role has no right to.
    """
    database = reached(engine.catalog.databases(), name, user)
    if database is None or engine.is_leaving(database.oid):
        raise refused(f'database "{name or user}" does not exist', "3D000")
    if not database.allows_connections:
        raise refused(f'database "{database.name}" is not currently accepting connections', "55000")
    if role is not None and not Rightful(engine.catalog.privileges, role.oid).held(
        privileges.DATABASE, privileges.PG_DATABASE, database.oid, database.owner, privileges.CONNECT
    ):
        message = f'permission denied for database "{database.name}"'
        raise refused(message, "42501", "User does not have CONNECT privilege.")
    return database


def check_limit(session: Session, database: DatabaseFacts) -> None:
    """Raise HeliosError 53300 when a database has all the connections that it may have."""
    if 0 <= database.connection_limit <= len(others_in(session, database.oid)):
        raise refused(f'too many connections for database "{database.name}"', "53300")


def enter(session: Session, database: DatabaseFacts) -> None:
    """A client begins in a database."""
    session.database, session.database_oid = database.name, database.oid
    shared = session.engine.database
    shared.enter(database.oid)
    session.ring = shared.ring_of(database.oid)


def close_unused(engine: Engine) -> None:
    """Close what sessions share of databases that nobody is in, but for those that were entered last.

    While anything is under way nothing is closed: the end of the next session asks again.
    """
    if engine.pipeline.in_flight or engine.queue.holder is not None or len(engine.queue):
        return
    used = {session.database_oid for session in tuple(engine.sessions.values())}
    idle = [oid for oid in engine.database.others if oid not in used]
    there = {database.oid for database in engine.catalog.databases().values()}
    kept = [oid for oid in idle if oid in there][-KEPT_MAX:]
    for oid in idle:
        if oid not in kept and not engine.database.leave(oid):
            return


def others_in(session: Session, oid: int) -> list[Session]:
    """The other sessions of a database."""
    sessions = tuple(session.engine.sessions.values())
    return [other for other in sessions if other.database_oid == oid and other is not session]


def end_orphans(engine: Engine) -> None:
    """End the sessions whose database is gone: those of a standby, whose primary has dropped it."""
    strangers = [session for session in tuple(engine.sessions.values()) if session.database_oid != DATABASE_OID]
    if strangers:
        there = {database.oid for database in engine.catalog.databases().values()}
        for session in strangers:
            if session.database_oid not in there:
                error = refused("terminating connection due to conflict with recovery", "57P04", _GONE)
                session.sink.terminate(error)


def refuse_inside(plan: Plan) -> None:
    """Raise what keeps a definition from being run by a function: 25001 one over a database, 0A000 a password."""
    if isinstance(plan.action, ChangeDatabase):
        raise SqlError(f"{plan.tag} cannot be executed from a function", sqlstate="25001")
    if plan.action is not None:
        raise FeatureNotSupported(f"{plan.tag} with a password inside a function is not supported")


class Alone:
    """A statement over a whole database: it waits until nobody else is connected there."""

    def __init__(self, session: Session, portal: Portal, action: ChangeDatabase) -> None:
        self.session = session
        self.portal = portal
        self.action = action
        self._ends = session.engine.loop.time() + PATIENCE_S

    def start(self) -> bool:
        """As :class:`~helios_cli.engine.node.runner.Runner` says. Raises SqlError 25001 in a transaction block."""
        session, action = self.session, self.action
        if action.alone and session.transaction is not None:
            raise SqlError(f"{action.tag} cannot run inside a transaction block", sqlstate="25001")
        session.check_may_write(self.portal.plan)
        if not action.unused:
            return session.runner.write(self.portal)
        if action.drops:
            session.engine.leaving[action.unused] = session
        if action.force:
            for other in others_in(session, action.unused):
                other.terminate()
        if not others_in(session, action.unused):
            return session.runner.write(self.portal)
        session.runner.waits_for_others = True
        session.engine.loop.call_later(LOOK_S, self._look)
        return False

    def _look(self) -> None:
        session = self.session
        if session.closed:
            session.clean_up()
            return
        others = others_in(session, self.action.unused)
        if others and session.engine.loop.time() < self._ends:
            session.engine.loop.call_later(LOOK_S, self._look)
            return
        session.runner.waits_for_others = False
        if others:
            session.engine.leaving.pop(self.action.unused, None)
            count = len(others)
            detail = (
                "There is 1 other session using the database."
                if count == 1
                else f"There are {count} other sessions using the database."
            )
            session.failed(SqlError(self.action.in_use, sqlstate="55006", detail=detail))
            return
        try:
            if session.runner.write(self.portal):
                session.finished()
        except HeliosError as error:
            session.failed(error)
