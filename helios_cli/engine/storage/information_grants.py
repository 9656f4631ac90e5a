"""Rows of information_schema about roles and what they may do with users' tables and functions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from helios_cli.engine.sql import privileges
from helios_cli.engine.sql.privileges import PG_CLASS, PG_PROC, PUBLIC, Acl
from helios_cli.engine.storage.routine_rows import specific_name
from helios_cli.engine.storage.system_snapshot import RelationRow, Snapshot
from helios_cli.engine.storage.type_rows import DATABASE_NAME

Row = dict[str, Any]
Rows = Iterator[Row]

_KINDS: Final = ("r", "v")
_TABLE_RIGHTS: Final = ("INSERT", "SELECT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")
_COLUMN_RIGHTS: Final = ("INSERT", "SELECT", "UPDATE", "REFERENCES")


def _grants(snapshot: Snapshot, acl: Acl, owner: int, names: tuple[str, ...]) -> Rows:
    """Each right of a list by its name; what a role may pass on, and all of the owner's, can be granted."""
    for item in acl:
        for name in names:
            right = privileges.NAMES[name]
            if item.rights & right:
                passes_on = item.grantable & right or item.grantee == owner
                yield {
                    "grantor": snapshot.role_names.get(item.grantor, ""),
                    "grantee": "PUBLIC" if item.grantee == PUBLIC else snapshot.role_names.get(item.grantee, ""),
                    "privilege_type": name, "is_grantable": "YES" if passes_on else "NO",
                }  # fmt: skip


def _acl(snapshot: Snapshot, kind: str, class_oid: int, oid: int, owner: int) -> Acl:
    found = snapshot.acls.get((class_oid, oid, 0))
    return privileges.default_acl(kind, owner) if found is None else found


def _names(relation: RelationRow) -> Row:
    return {"table_catalog": DATABASE_NAME, "table_schema": relation.schema, "table_name": relation.name}


def table_privileges(snapshot: Snapshot, oid: int) -> Rows:
    """Rights on a table or view."""
    relation = snapshot.relations[oid]
    if relation.kind in _KINDS:
        acl = _acl(snapshot, privileges.TABLE, PG_CLASS, oid, relation.owner)
        for row in _grants(snapshot, acl, relation.owner, _TABLE_RIGHTS):
            hierarchy = "YES" if row["privilege_type"] == "SELECT" else "NO"
            yield {**_names(relation), **row, "with_hierarchy": hierarchy}


def column_privileges(snapshot: Snapshot, oid: int) -> Rows:
    """Rights on the columns of a table or view: the table's, and those of columns alone."""
    relation = snapshot.relations[oid]
    if relation.kind not in _KINDS:
        return
    acl = _acl(snapshot, privileges.TABLE, PG_CLASS, oid, relation.owner)
    whole = list(_grants(snapshot, acl, relation.owner, _COLUMN_RIGHTS))
    for column in snapshot.columns.get(oid, ()):
        own = snapshot.acls.get((PG_CLASS, oid, column.attnum), ())
        alone = _grants(snapshot, own, relation.owner, _COLUMN_RIGHTS)
        for row in (*whole, *(found for found in alone if found not in whole)):
            yield {**_names(relation), **row, "column_name": column.name}


def routine_privileges(snapshot: Snapshot) -> Rows:
    """Rights on users' functions."""
    for routine in snapshot.routines:
        acl = _acl(snapshot, privileges.FUNCTION, PG_PROC, routine.oid, routine.owner)
        for row in _grants(snapshot, acl, routine.owner, ("EXECUTE",)):
            yield {
                **row, "specific_catalog": DATABASE_NAME, "specific_schema": routine.schema,
                "specific_name": specific_name(routine), "routine_catalog": DATABASE_NAME,
                "routine_schema": routine.schema, "routine_name": routine.name,
            }  # fmt: skip


def enabled_roles(snapshot: Snapshot) -> Rows:
    """Every role, as a superuser sees it."""
    for role in snapshot.roles:
        yield {"role_name": role["rolname"]}


def applicable_roles(snapshot: Snapshot) -> Rows:
    """Who is a member of what."""
    for group, member, admin in snapshot.members:
        yield {
            "grantee": snapshot.role_names.get(member), "role_name": snapshot.role_names.get(group),
            "is_grantable": "YES" if admin else "NO",
        }  # fmt: skip
