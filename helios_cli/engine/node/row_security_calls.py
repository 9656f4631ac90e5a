"""Whose statement it is that policies are asked about, by the catalog that it runs with."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import apsw

from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql.policies import PUBLIC
from helios_cli.engine.sql.row_security import CHECK, IS_ACTIVE, IS_FOR

if TYPE_CHECKING:
    from helios_cli.engine.node.routine_calls import RoutineCalls
    from helios_cli.engine.node.session import Session
    from helios_cli.engine.sql.authority import Authority
    from helios_cli.engine.sql.policies import RowSecurity
    from helios_cli.engine.storage.catalog import SqliteCatalog

_PART: Final = re.compile(r'"[^"]*"|[^".]+')
"""One part of a qualified name."""


def register(connection: apsw.Connection, calls: RoutineCalls) -> None:
    """Make the functions known to a connection."""
    functions = SecurityCalls(calls)
    active: Any = functions.is_active
    is_for: Any = functions.is_for
    connection.create_scalar_function(IS_ACTIVE, active, 2, deterministic=False)
    state: Any = functions.state
    connection.create_scalar_function("pg_row_security_state", state, 1, deterministic=False)
    connection.create_scalar_function(IS_FOR, is_for, 2, deterministic=False)
    checked: Any = check
    connection.create_scalar_function(CHECK, checked, 2, deterministic=False)


def check(holds: Any, message: Any) -> int:
    """Whether a new row may be written.

    Raises:
        SqlError: 42501 it may not.
    """
    if not holds:
        raise SqlError(str(message), sqlstate="42501")
    return 1


def hides_rows(session: Session, catalog: SqliteCatalog, table: int) -> bool:
    """Whether a table's policies count for a session's role."""
    security = catalog.row_security(table)
    return security is not None and _counts(session, catalog, security, 0)


def _counts(session: Session, catalog: SqliteCatalog, security: RowSecurity, role: int) -> bool:
    if not security.enabled or (not role and session.acting.unrestricted):
        return False
    authority, who = catalog.privileges.authority(), role or session.acting.oid
    facts = authority.by_oid.get(who)
    if facts is None or facts.superuser or facts.bypass_rls:
        return False
    return security.forced or not authority.has_privileges_of(who, security.owner)


class SecurityCalls:
    """The functions of one connection."""

    def __init__(self, calls: RoutineCalls) -> None:
        self._calls = calls

    def is_active(self, role: int, relation: int) -> int:
        """Whether a table's policies count for a role, 0 for that of the session (check_enable_rls).

        Raises:
            SqlError: 42501 they do, and the session has set row_security off.
        """
        session, catalog = self._place()
        security = catalog.row_security(relation)
        if security is None or not self._counts(security, role):
            return 0
        if session.variables.get("row_security") == "off":
            message = f'query would be affected by row-level security policy for table "{security.name}"'
            hint = None
            if catalog.privileges.authority().has_privileges_of(role or session.acting.oid, security.owner):
                hint = "To disable the policy for the table's owner, use ALTER TABLE NO FORCE ROW LEVEL SECURITY."
            raise SqlError(message, sqlstate="42501", hint=hint)
        return 1

    def _place(self) -> tuple[Session, SqliteCatalog]:
        session = self._calls.session(self._calls.pid)
        return session, self._calls.host_for(session).catalog

    def _counts(self, security: RowSecurity, role: int) -> bool:
        """Whether a table's policies count for a role, 0 for that of the session."""
        return _counts(*self._place(), security, role)

    def state(self, table: int | str | None) -> int | None:
        """row_security_active() of a table by OID or name; None for NULL and an OID that is no table's.

        Raises:
            SqlError: 42P01 no such table.
        """
        if table is None:
            return None
        catalog = self._place()[1]
        if isinstance(table, int):
            relation = catalog.relation_by_oid(table)
            if relation is None:
                return None
        else:
            parts = [part[1:-1] if part[:1] == '"' else part.lower() for part in _PART.findall(table)]
            relation = catalog.relation(parts[-2] if len(parts) > 1 else None, parts[-1]) if parts else None
            if relation is None:
                raise SqlError(f'relation "{table}" does not exist', sqlstate="42P01")
        return int(relation.security is not None and self._counts(relation.security, 0))

    def is_for(self, role: int, roles: str) -> int:
        """Whether a role, 0 for that of the session, has the rights of one of a policy's."""
        session = self._calls.session(self._calls.pid)
        authority: Authority = self._calls.host_for(session).catalog.privileges.authority()
        who = role or session.acting.oid
        wanted = [int(oid) for oid in roles.split(",")]
        return int(any(oid == PUBLIC or authority.has_privileges_of(who, oid) for oid in wanted))
