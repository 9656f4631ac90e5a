"""Roles: CREATE, ALTER and DROP of roles and users, membership, and privileges.

A password never enters SQL text: the plan's action carries it to the node, which binds the SCRAM verifier
as the only parameter (``?1``) of the steps that have one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from helios_cli.engine.sql.ddl_build import Builder, list_names, range_var_of, role_name, unsupported
from helios_cli.engine.sql.ddl_model import RoleDef
from helios_cli.engine.sql.ddl_render import delete
from helios_cli.engine.sql.ddl_schema import BOOTSTRAP_ROLE_OID
from helios_cli.engine.sql.plan import Plan
from helios_cli.engine.sql.sqltext import constant

PG_CLASS_OID: Final = 1259
PG_NAMESPACE_OID: Final = 2615
PG_DATABASE_OID: Final = 1262


@dataclass(frozen=True, slots=True)
class SetRolePassword:
    """The plan's ``?1`` is the SCRAM verifier of this password; None clears it. Never shown by ``repr``."""

    role: str
    password: str | None = field(repr=False)


_FLAGS: Final = {
    "superuser": "rolsuper", "inherit": "rolinherit", "createrole": "rolcreaterole", "createdb": "rolcreatedb",
    "canlogin": "rolcanlogin", "isreplication": "rolreplication", "bypassrls": "rolbypassrls",
}  # fmt: skip
_MEMBERSHIP: Final = {"addroleto", "rolemembers", "adminmembers"}
_ALL_TABLE: Final = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")
_ALL_PRIVILEGES: Final = {
    "OBJECT_TABLE": _ALL_TABLE, "OBJECT_SEQUENCE": ("USAGE", "SELECT", "UPDATE"),
    "OBJECT_SCHEMA": ("USAGE", "CREATE"), "OBJECT_DATABASE": ("CREATE", "CONNECT", "TEMPORARY"),
}  # fmt: skip


def _text(name: str) -> str:
    """A role name as SQLite text without a question mark, which the node takes for a parameter."""
    return constant(name) if "?" not in name else f"CAST({constant(name.encode())} AS TEXT)"


def create_role(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan CREATE ROLE, USER or GROUP.

    Raises:
        SqlError: 42710 the role exists, 42939 a reserved name.
    """
    name = fields["role"]
    if name in ("public", "none") or name.startswith("pg_"):
        raise builder.error(
            "42939", f'role name "{name}" is reserved', detail='Role names starting with "pg_" are reserved.'
        )
    if builder.catalog.role(name) is not None:
        raise builder.error("42710", f'role "{name}" already exists')
    changes, password = _read_options(builder, fields.get("options", []))
    if fields.get("stmt_type") == "ROLESTMT_USER":
        changes.setdefault("rolcanlogin", 1)
    oid = builder.oid(False)
    columns = ", ".join(["oid", "rolname", *changes])
    values = ", ".join([str(oid), _text(name), *(constant(value) for value in changes.values())])
    builder.add(f"INSERT INTO main.helios_role({columns}) VALUES ({values})")
    for node in fields.get("options", []):
        if node["DefElem"]["defname"] in _MEMBERSHIP:
            _add_members(builder, node["DefElem"], oid)
    return _finish(builder, "CREATE ROLE", name, oid, password)


def alter_role(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan ALTER ROLE or USER.

    Raises:
        SqlError: 42704 no such role.
    """
    role = find_role(builder, role_name(fields["role"]))
    changes, password = _read_options(builder, fields.get("options", []))
    for node in fields.get("options", []):
        if node["DefElem"]["defname"] in _MEMBERSHIP:
            _add_members(builder, node["DefElem"], role.oid)
    if changes:
        sets = ", ".join(f"{name} = {constant(value)}" for name, value in changes.items())
        builder.add(f"UPDATE main.helios_role SET {sets} WHERE oid = {role.oid}")
    return _finish(builder, "ALTER ROLE", role.name, role.oid, password)


def _finish(builder: Builder, tag: str, name: str, oid: int, password: tuple[str | None] | None) -> Plan:
    if password is None:
        return builder.finish(tag)
    builder.add(f"UPDATE main.helios_role SET rolpassword = ?1 WHERE oid = {oid}")
    plan = builder.finish(tag, action=SetRolePassword(name, password[0]))
    return plan


def _read_options(
    builder: Builder, options: list[dict[str, Any]]
) -> tuple[dict[str, object], tuple[str | None] | None]:
    """Columns to set, and the password in a one-tuple; None when the statement has no PASSWORD."""
    changes: dict[str, object] = {}
    password: tuple[str | None] | None = None
    for node in options:
        fields = node["DefElem"]
        name, argument = fields["defname"], fields.get("arg")
        if name in _FLAGS:
            changes[_FLAGS[name]] = int(bool(argument["Boolean"].get("boolval", False)))
        elif name == "connectionlimit":
            changes["rolconnlimit"] = int(argument["Integer"].get("ival", 0))
        elif name == "validUntil":
            changes["rolvaliduntil"] = argument["String"]["sval"]
        elif name == "password":
            password = (argument["String"]["sval"] or None,) if argument else (None,)
        elif name not in _MEMBERSHIP and name != "sysid":
            raise unsupported(f"role option {name}")
    return changes, password


def _add_members(builder: Builder, fields: dict[str, Any], oid: int) -> None:
    for spec in fields["arg"]["List"]["items"]:
        other = find_role(builder, role_name(spec))
        pair = (other.oid, oid) if fields["defname"] == "addroleto" else (oid, other.oid)
        _join(builder, *pair, admin=fields["defname"] == "adminmembers")


def _join(builder: Builder, role_oid: int, member_oid: int, *, admin: bool) -> None:
    builder.add(f"INSERT OR REPLACE INTO main.helios_auth_member VALUES ({role_oid}, {member_oid}, {int(admin)})")


def find_role(builder: Builder, name: str) -> RoleDef:
    """A role by name.

    Raises:
        SqlError: 42704.
    """
    role = builder.catalog.role(name)
    if role is None:
        raise builder.error("42704", f'role "{name}" does not exist')
    return role


def drop_role(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan DROP ROLE, USER or GROUP.

    Raises:
        SqlError: 42704 no such role, 2BP01 the role the database was born with.
    """
    for spec in fields["roles"]:
        name = role_name(spec)
        role = builder.catalog.role(name)
        if role is None:
            if not fields.get("missing_ok"):
                raise builder.error("42704", f'role "{name}" does not exist')
            builder.notices.append(f'role "{name}" does not exist, skipping')
            continue
        if role.oid == BOOTSTRAP_ROLE_OID:
            message = f"cannot drop role {name} because it is required by the database system"
            raise builder.error("2BP01", message)
        builder.add(
            delete(False, "helios_role", oid=role.oid),
            f"DELETE FROM main.helios_auth_member WHERE roleid = {role.oid} OR member = {role.oid}",
            delete(False, "helios_acl", grantee=role.oid),
            f"UPDATE main.helios_relation SET relowner = {BOOTSTRAP_ROLE_OID} WHERE relowner = {role.oid}",
        )
    return builder.finish("DROP ROLE")


def grant_role(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan GRANT role TO role and REVOKE role FROM role."""
    granted = bool(fields.get("is_grant"))
    for privilege in fields["granted_roles"]:
        role = find_role(builder, privilege["AccessPriv"]["priv_name"])
        for spec in fields["grantee_roles"]:
            member = find_role(builder, role_name(spec))
            if granted:
                _join(builder, role.oid, member.oid, admin=bool(fields.get("admin_opt") or fields.get("opt")))
            else:
                builder.add(delete(False, "helios_auth_member", roleid=role.oid, member=member.oid))
    return builder.finish("GRANT ROLE" if granted else "REVOKE ROLE")


def grant(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan GRANT and REVOKE of privileges on tables, sequences, schemas and the database. They are recorded, and
    shown by the catalogs; every role may do everything until the node enforces them.

    Raises:
        SqlError: 0A000 for other kinds of objects, 42704 and 42P01 for missing names.
    """
    kind = fields["objtype"]
    if kind not in _ALL_PRIVILEGES or fields.get("targtype", "ACL_TARGET_OBJECT") == "ACL_TARGET_DEFAULTS":
        raise unsupported("GRANT on this kind of object", "Grant on tables, sequences, schemas or the database.")
    granted = bool(fields.get("is_grant"))
    for class_oid, object_oid, temp in _objects(builder, fields, kind):
        for spec in fields["grantees"]:
            name = role_name(spec)
            grantee = 0 if name == "public" else find_role(builder, name).oid
            for privilege in _privileges(builder, fields, kind):
                _record(builder, (class_oid, object_oid, grantee, privilege), granted, bool(fields.get("grant_option")))
        del temp
    return builder.finish("GRANT" if granted else "REVOKE")


def _record(builder: Builder, key: tuple[int, int, int, str], granted: bool, grantable: bool) -> None:
    class_oid, object_oid, grantee, privilege = key
    if granted:
        builder.add(
            f"INSERT OR REPLACE INTO main.helios_acl VALUES ({class_oid}, {object_oid}, 0, {grantee}, "
            f"{constant(privilege)}, {int(grantable)})"
        )
    else:
        builder.add(
            delete(False, "helios_acl", classid=class_oid, objid=object_oid, grantee=grantee, privilege=privilege)
        )


def _privileges(builder: Builder, fields: dict[str, Any], kind: str) -> tuple[str, ...]:
    nodes = fields.get("privileges")
    if not nodes:
        return _ALL_PRIVILEGES[kind]
    names = []
    for node in nodes:
        privilege = node["AccessPriv"]
        if privilege.get("cols"):
            raise unsupported("a privilege on columns", "Grant on the whole table.")
        name = privilege.get("priv_name", "").upper()
        if name == "TEMP":
            name = "TEMPORARY"
        if name not in _ALL_PRIVILEGES[kind]:
            raise builder.error("0LP01", f"invalid privilege type {name} for {kind.removeprefix('OBJECT_').lower()}")
        names.append(name)
    return tuple(names)


def _objects(builder: Builder, fields: dict[str, Any], kind: str) -> list[tuple[int, int, bool]]:
    found: list[tuple[int, int, bool]] = []
    whole_schema = fields.get("targtype") == "ACL_TARGET_ALL_IN_SCHEMA"
    for node in fields.get("objects", []):
        if whole_schema:
            wanted = ("S",) if kind == "OBJECT_SEQUENCE" else ("r", "v")
            inside = builder.catalog.schema_objects(node["String"]["sval"])
            found += [(PG_CLASS_OID, relation.oid, False) for relation in inside if relation.kind in wanted]
        elif kind == "OBJECT_SCHEMA":
            oid = builder.catalog.schema_oid(node["String"]["sval"])
            if oid is None:
                raise builder.error("3F000", f'schema "{node["String"]["sval"]}" does not exist')
            found.append((PG_NAMESPACE_OID, oid, False))
        elif kind == "OBJECT_DATABASE":
            found.append((PG_DATABASE_OID, 5, False))
        else:
            relation = builder.find_relation(node.get("RangeVar") or range_var_of(list_names(node)))
            assert relation is not None
            found.append((PG_CLASS_OID, relation.oid, relation.kind == "t"))
    return found
