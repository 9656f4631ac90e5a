"""Roles and who belongs to whom: whose rights a role has, and which roles it may become (acl.c). Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from helios_cli.engine.datatypes.datetimes import parse_timestamptz

BOOTSTRAP: Final = 10
"""The role that the database was born with."""
DATABASE_OWNER: Final = 6171
READ_ALL_DATA: Final = 6181
WRITE_ALL_DATA: Final = 6182
MONITOR: Final = 3373
READ_ALL_SETTINGS: Final = 3374
READ_ALL_STATS: Final = 3375
SIGNAL_BACKEND: Final = 4200
CHECKPOINT: Final = 4544

PREDEFINED: Final = {
    DATABASE_OWNER: "pg_database_owner", READ_ALL_DATA: "pg_read_all_data", WRITE_ALL_DATA: "pg_write_all_data",
    MONITOR: "pg_monitor", READ_ALL_SETTINGS: "pg_read_all_settings", READ_ALL_STATS: "pg_read_all_stats",
    3377: "pg_stat_scan_tables", 4569: "pg_read_server_files", 4570: "pg_write_server_files",
    4571: "pg_execute_server_program", SIGNAL_BACKEND: "pg_signal_backend", CHECKPOINT: "pg_checkpoint",
}  # fmt: skip
"""Roles that are always there, with PostgreSQL's OIDs (pg_authid.dat)."""
PREDEFINED_MEMBERS: Final = ((READ_ALL_SETTINGS, MONITOR, 0), (READ_ALL_STATS, MONITOR, 0), (3377, MONITOR, 0))
"""(role, member, admin) of memberships that are always there."""


def valid_until(text: str | None) -> int | None:
    """When a password ends, in microseconds since 2000-01-01 UTC; None: never.

    Raises:
        SqlError: 22007, it is no time.
    """
    return None if text is None else int(parse_timestamptz(text))


@dataclass(frozen=True, slots=True)
class RoleFacts:
    """One role's attributes."""

    oid: int
    name: str
    superuser: bool = False
    inherit: bool = True
    create_role: bool = False
    create_database: bool = False
    can_login: bool = False
    replication: bool = False
    bypass_rls: bool = False
    connection_limit: int = -1
    """-1: none."""
    valid_until: str | None = None
    """When its password ends, as it was given; None: never."""


@dataclass(slots=True)
class Authority:
    """All roles of a database at one version of its catalog."""

    by_oid: dict[int, RoleFacts]
    by_name: dict[str, RoleFacts]
    _above: dict[int, list[tuple[int, bool]]]
    """member -> (role, admin) of what it is directly a member of."""
    _privileges: dict[int, frozenset[int]] = field(default_factory=dict)
    _memberships: dict[int, frozenset[int]] = field(default_factory=dict)

    @classmethod
    def of(cls, roles: Iterable[RoleFacts], members: Iterable[tuple[int, int, int]]) -> Authority:
        """From the rows of the system tables; ``members`` are (role, member, admin)."""
        by_oid = {oid: RoleFacts(oid, name) for oid, name in PREDEFINED.items()}
        by_oid.update((role.oid, role) for role in roles)
        above: dict[int, list[tuple[int, bool]]] = {}
        for role, member, admin in (*PREDEFINED_MEMBERS, *members):
            above.setdefault(member, []).append((role, bool(admin)))
        # Whoever owns the database is a member of pg_database_owner without having been made one.
        above.setdefault(BOOTSTRAP, []).append((DATABASE_OWNER, False))
        return cls(by_oid, {role.name: role for role in by_oid.values()}, above)

    def name(self, oid: int) -> str:
        """A role's name; its number when it is gone."""
        found = self.by_oid.get(oid)
        return found.name if found is not None else str(oid)

    def privileges_of(self, oid: int) -> frozenset[int]:
        """The roles whose rights a role has without doing anything: itself, and those that it inherits from."""
        found = self._privileges.get(oid)
        if found is None:
            found = self._privileges[oid] = self._closure(oid, inherited=True)
        return found

    def memberships_of(self, oid: int) -> frozenset[int]:
        """The roles that a role belongs to, at any distance, and itself."""
        found = self._memberships.get(oid)
        if found is None:
            found = self._memberships[oid] = self._closure(oid, inherited=False)
        return found

    def _closure(self, oid: int, *, inherited: bool) -> frozenset[int]:
        reached = {oid}
        waiting = [oid]
        while waiting:
            member = waiting.pop()
            facts = self.by_oid.get(member)
            if inherited and facts is not None and not facts.inherit:
                continue
            for role, _admin in self._above.get(member, ()):
                if role not in reached:
                    reached.add(role)
                    waiting.append(role)
        return frozenset(reached)

    def direct(self, member: int) -> dict[int, bool]:
        """What a role was made a member of: role -> whether it may make others members."""
        return dict(self._above.get(member, ()))

    def is_superuser(self, oid: int) -> bool:
        """Whether nothing is forbidden to a role."""
        facts = self.by_oid.get(oid)
        return facts is not None and facts.superuser

    def has_privileges_of(self, oid: int, other: int) -> bool:
        """Whether a role may do what another may (has_privs_of_role)."""
        return self.is_superuser(oid) or other in self.privileges_of(oid)

    def is_member(self, oid: int, other: int) -> bool:
        """Whether a role may become another (is_member_of_role)."""
        return self.is_superuser(oid) or other in self.memberships_of(oid)

    def is_admin(self, oid: int, other: int) -> bool:
        """Whether a role may make members of another (is_admin_of_role)."""
        if self.is_superuser(oid):
            return True
        if oid == other:
            return False
        return any(
            role == other and admin
            for member in self.memberships_of(oid)
            for role, admin in self._above.get(member, ())
        )


@dataclass(frozen=True, slots=True)
class Acting:
    """As whom a statement is planned and checked."""

    oid: int
    """Owner of what it makes."""
    name: str
    unrestricted: bool
    """A superuser, or whoever comes in where nobody has to prove anything."""
    session_oid: int = BOOTSTRAP
    """Of the role that logged in, or that SET SESSION AUTHORIZATION has put in its place."""
    session_unrestricted: bool = True


EVERYTHING: Final = Acting(BOOTSTRAP, "helios", True)
"""Statements of the node itself."""
