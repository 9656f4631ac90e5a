"""GRANT, REVOKE, ALTER ... OWNER TO and COMMENT on large objects.

An object may have been made by the transaction in hand, which the catalog that plans the statement need not see: so the
object and the rights on it are looked at when the statement runs, by functions of ``storage.large_object_functions``.
"""

from __future__ import annotations

import json
from typing import Any

from helios_cli.engine.sql.ddl_build import Builder
from helios_cli.engine.sql.plan import Plan
from helios_cli.engine.sql.sqltext import constant


def oid_of(node: dict[str, Any]) -> int:
    """The OID that a statement names an object by."""
    if "Integer" in node:
        return int(node["Integer"].get("ival", 0))
    return int(node["Float"]["fval"])


def _caller(builder: Builder) -> str:
    """The last two arguments of the functions: the role, and -1 when it may do everything."""
    acting = builder.catalog.acting
    return f"{acting.oid}, {-1 if acting.unrestricted else acting.oid}"


def grant_large_objects(
    builder: Builder, objects: list[dict[str, Any]], wish: tuple[bool, int, tuple[int, ...], bool, bool]
) -> list[str]:
    """Steps of a GRANT or REVOKE of (grants, rights, grantees, option, cascade); the objects' names."""
    builder.touch(False)
    found = [oid_of(node) for node in objects]
    for oid in found:
        builder.add(f"SELECT pg_lo_grant({oid}, {constant(json.dumps(wish))}, {_caller(builder)})")
    return [f"large object {oid}" for oid in found]


def own_large_object(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan ALTER LARGE OBJECT ... OWNER TO.

    Raises:
        SqlError: 42704 no such role.
    """
    new = builder.role_oid(fields["newowner"])
    builder.add(f"SELECT pg_lo_give({oid_of(fields['object'])}, {new}, {_caller(builder)})")
    return builder.finish("ALTER LARGE OBJECT")


def commented(builder: Builder, node: dict[str, Any]) -> int:
    """The OID of an object that gets a comment; only its owner may give one."""
    oid = oid_of(node)
    builder.add(f"SELECT pg_lo_check_owner({oid}, {_caller(builder)})")
    return oid


def reassign(builder: Builder, role: int, new: int) -> None:
    """Steps that give a role's objects to another."""
    builder.add(f"SELECT pg_lo_give(value, {new}, {role}, -1) FROM json_each({_owned(role)})")


def drop_all(builder: Builder, role: int) -> None:
    """Steps that remove a role's objects."""
    builder.add(f"SELECT pg_lo_unlink(value, -1, 0, {role}, -1) FROM json_each({_owned(role)})")


def _owned(role: int) -> str:
    return f"(SELECT json_group_array(oid) FROM main.helios_largeobject_metadata WHERE lomowner = {role})"
