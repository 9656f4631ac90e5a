"""Rows about roles: pg_authid and the views over it, memberships and settings of roles."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from helios_cli.engine.datatypes.arrays import quote_element
from helios_cli.engine.storage.system_snapshot import Snapshot

Rows = Iterator[dict[str, Any]]


def _array(values: list[Any]) -> str:
    return "{" + ",".join(str(value) for value in values) + "}"


def pg_authid(snapshot: Snapshot) -> Rows:
    """Roles with their verifiers."""
    yield from snapshot.roles


def _config(snapshot: Snapshot, database: int, role: int) -> str | None:
    found = snapshot.settings.get((database, role))
    return None if found is None else _array([quote_element(text) for text in found])


def pg_db_role_setting(snapshot: Snapshot) -> Rows:
    """Settings of roles and of the database."""
    for database, role in sorted(snapshot.settings):
        yield {"setdatabase": database, "setrole": role, "setconfig": _config(snapshot, database, role)}


def pg_roles(snapshot: Snapshot) -> Rows:
    """Roles, passwords hidden."""
    for role in snapshot.roles:
        yield {**role, "rolpassword": "********", "rolconfig": _config(snapshot, 0, role["oid"])}


def pg_user(snapshot: Snapshot) -> Rows:
    """Roles that may log in."""
    for role in snapshot.roles:
        if role["rolcanlogin"]:
            yield {
                "usename": role["rolname"], "usesysid": role["oid"], "usecreatedb": role["rolcreatedb"],
                "usesuper": role["rolsuper"], "userepl": role["rolreplication"], "usebypassrls": role["rolbypassrls"],
                "passwd": "********", "valuntil": role["rolvaliduntil"],
                "useconfig": _config(snapshot, 0, role["oid"]),
            }  # fmt: skip


def pg_shadow(snapshot: Snapshot) -> Rows:
    """As pg_user, with verifiers."""
    verifiers = {role["rolname"]: role["rolpassword"] for role in snapshot.roles}
    for row in pg_user(snapshot):
        yield {**row, "passwd": verifiers[row["usename"]]}


def pg_group(snapshot: Snapshot) -> Rows:
    """Roles that may not log in, with their members."""
    for role in snapshot.roles:
        if not role["rolcanlogin"]:
            members = [member for group, member, _admin in snapshot.members if group == role["oid"]]
            yield {"groname": role["rolname"], "grosysid": role["oid"], "grolist": _array(members)}


def pg_auth_members(snapshot: Snapshot) -> Rows:
    """Membership of roles."""
    for group, member, admin in snapshot.members:
        yield {"roleid": group, "member": member, "grantor": 10, "admin_option": admin}


WHOLE: Final = {
    "pg_authid": pg_authid, "pg_roles": pg_roles, "pg_user": pg_user, "pg_shadow": pg_shadow, "pg_group": pg_group,
    "pg_auth_members": pg_auth_members, "pg_db_role_setting": pg_db_role_setting,
}  # fmt: skip
"""What makes the rows of each relation."""
