"""As whom a session's statements run: the role that logged in, SET SESSION AUTHORIZATION and SET ROLE."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from helios_cli.engine.errors import SqlError
from helios_cli.engine.node import databases, presentation
from helios_cli.engine.sql.authority import BOOTSTRAP, Acting, RoleFacts
from helios_cli.engine.sql.databases import DatabaseFacts
from helios_cli.engine.sql.rights import Facts, Rightful
from helios_cli.engine.sql.routines import Routine

if TYPE_CHECKING:
    from helios_cli.engine.node.engine import Engine
    from helios_cli.engine.node.session import Session

NAMES: Final = ("role", "session_authorization")
"""Parameters that say as whom statements run."""
NOBODY: Final = 0xFFFF_FFFF
"""The number of a role that is gone; nothing is its."""


def log_in(session: Session, *, proved: bool, limited: bool = True) -> None:
    """A client begins: find out which role it is.

    ``proved`` False: nobody asked it who it is. Then a name that is no role's may do everything, as on a node that has
    just been made; the name of a role is that role. ``limited``: the role's limit of connections counts.

    Raises:
        HeliosError: 28000 no such role, or one that may not log in; 53300 it has too many sessions.
    """
    engine = session.engine
    facts, database = check_login(engine, session.user, session.database, proved=proved)
    if limited and (facts is None or not facts.superuser):
        databases.check_limit(session, database)
    session.all_rights = facts is None
    if limited and facts is not None and facts.connection_limit >= 0 and not facts.superuser:
        others = sum(1 for other in engine.sessions.values() if other.user == session.user and other is not session)
        if others >= facts.connection_limit:
            raise databases.refused(f'too many connections for role "{session.user}"', "53300")
    databases.enter(session, database)
    refresh(session, engine.catalog.privileges)


def check_login(engine: Engine, user: str, database: str, *, proved: bool) -> tuple[RoleFacts | None, DatabaseFacts]:
    """The role of a name, and the database. None: it is nobody's, and nobody asks.

    Raises:
        HeliosError: 28000 no such role, or one that may not log in; as :func:`databases.check_connection`.
    """
    facts = engine.catalog.privileges.authority().by_name.get(user)
    if facts is None and proved:
        raise databases.refused(f'role "{user}" does not exist', "28000")
    if facts is not None and not facts.can_login:
        raise databases.refused(f'role "{user}" is not permitted to log in', "28000")
    return facts, databases.check_connection(engine, database, user, facts)


def refresh(session: Session, facts: Facts | None = None) -> None:
    """Work out anew as whom the session's statements run, after a SET or a change of the roles.

    ``facts`` None: as its own transaction sees the roles.
    """
    authority = (facts or _facts(session)).authority()
    variables = session.variables
    name = variables.get("session_authorization", session.user)
    login = authority.by_name.get(name)
    everything = session.all_rights and name == session.user
    if everything:
        session_oid, session_unrestricted = (login.oid if login is not None else BOOTSTRAP), True
    else:
        session_oid = login.oid if login is not None else NOBODY
        session_unrestricted = login is not None and login.superuser
    role = variables.get("role", "none")
    if role == "none":
        acting = Acting(session_oid, name, session_unrestricted, session_oid, session_unrestricted)
    else:
        other = authority.by_name.get(role)
        oid = other.oid if other is not None else NOBODY
        acting = Acting(oid, role, other is not None and other.superuser, session_oid, session_unrestricted)
    if acting != session.acting or name != session.session_name:
        _become(session, acting, name)


def _become(session: Session, acting: Acting, name: str) -> None:
    """Change the session, and have its client told."""
    before, session.acting = session.acting, acting
    renamed, session.session_name = (session.session_name or session.user) != name, name
    session.restricted = not acting.unrestricted
    session.shortcuts.clear()
    guards = session.engine.sequences.guards
    if session.restricted:
        guards[session.pid] = acting.oid
    else:
        guards.pop(session.pid, None)
    if acting.oid != before.oid:
        session.forget_ddl_plans()
    if acting.name != before.name:
        presentation.refresh(session, "search_path")
    if acting.unrestricted != before.unrestricted:
        session.changes("is_superuser")
    if renamed:
        session.changes("session_authorization")


def _facts(session: Session) -> Facts:
    """The roles as the session sees them; as they are committed while a thread has its connection."""
    if session.schema_meanwhile is not None:
        return session.engine.catalog.privileges
    return session.schema_view().catalog.privileges


def checked(session: Session, folded: str, value: str | None) -> str | None:
    """The value that SET ROLE or SET SESSION AUTHORIZATION stores; None goes back to the default.

    Raises:
        SqlError: 22023 no such role, 42501 the session may not become it.
    """
    if value is None or (folded == "role" and value.lower() == "none"):
        if folded == "session_authorization":
            _forget_role(session)
        return None
    authority = _facts(session).authority()
    found = authority.by_name.get(value)
    own = value == session.user
    if found is None and not (own and session.all_rights):
        raise SqlError(f'role "{value}" does not exist', sqlstate="22023")
    if folded == "session_authorization":
        login = authority.by_name.get(session.user)
        if not own and not (session.all_rights or (login is not None and login.superuser)):
            raise SqlError("permission denied to set session authorization", sqlstate="42501")
        # The authorization of a session is not that of a role set before (SetSessionAuthorization).
        _forget_role(session)
        return None if own else value
    acting = session.acting
    if found is not None and not (acting.session_unrestricted or authority.is_member(acting.session_oid, found.oid)):
        raise SqlError(f'permission denied to set role "{value}"', sqlstate="42501")
    return value


def _forget_role(session: Session) -> None:
    if "role" in session.variables:
        if session.transaction is not None:
            session.undo.append(("role", session.variables["role"], False))
        session.put_variable("role", None)


def as_definer(session: Session, routine: Routine, facts: Facts) -> Callable[[], None]:
    """A SECURITY DEFINER function begins, on any thread: its statements run as its owner. Returns what ends that."""
    if not routine.security_definer:
        return _nothing
    before, guards = session.acting, session.engine.sequences.guards
    authority = facts.authority()
    unrestricted = authority.is_superuser(routine.owner)
    session.definers += 1

    def become(acting: Acting) -> None:
        session.acting, session.restricted = acting, not acting.unrestricted
        if session.restricted:
            guards[session.pid] = acting.oid
        else:
            guards.pop(session.pid, None)

    def end() -> None:
        become(before)
        session.definers -= 1
        if session.roles_stale and not session.definers:
            session.roles_stale = False
            session.engine.loop.call_soon_threadsafe(session.roles_changed)

    become(
        Acting(
            routine.owner, authority.name(routine.owner), unrestricted, before.session_oid, before.session_unrestricted
        )
    )
    return end


def _nothing() -> None:
    """A function that runs as its caller changes nothing."""


def rightful(session: Session, facts: Facts | None = None) -> Rightful:
    """What the session may do now, by its own catalog or another."""
    acting = session.acting
    return Rightful(facts or session.schema_view().catalog.privileges, acting.oid, unrestricted=acting.unrestricted)
