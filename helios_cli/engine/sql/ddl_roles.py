"""Roles: CREATE, ALTER and DROP of roles and users, and membership.

A password never enters SQL text: the plan's action carries it to the node, which binds the SCRAM verifier
as the only parameter (``?1``) of the steps that have one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from helios_cli.engine.sql.authority import DATABASE_OWNER, PREDEFINED, valid_until
from helios_cli.engine.sql.ddl_build import Builder, role_name, unsupported
from helios_cli.engine.sql.ddl_model import RoleDef
from helios_cli.engine.sql.ddl_render import delete, update
from helios_cli.engine.sql.ddl_schema import BOOTSTRAP_ROLE_OID
from helios_cli.engine.sql.ddl_thing import OPERATOR, Thing
from helios_cli.engine.sql.ddl_things import Things
from helios_cli.engine.sql.made_objects import PG_OPERATOR
from helios_cli.engine.sql.plan import Plan, Warned
from helios_cli.engine.sql.privileges import PG_CLASS, PG_DATABASE, PG_LARGEOBJECT, PG_NAMESPACE, PG_PROC, PG_TYPE
from helios_cli.engine.sql.rights import KIND_WORDS
from helios_cli.engine.sql.routine_text import shown_signature
from helios_cli.engine.sql.sqltext import constant


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


def _text(name: str) -> str:
    """A role name as SQLite text without a question mark, which the node takes for a parameter."""
    return constant(name) if "?" not in name else f"CAST({constant(name.encode())} AS TEXT)"


def create_role(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan CREATE ROLE, USER or GROUP.

    Raises:
        SqlError: 42710 the role exists, 42939 a reserved name, 42501 not the role's to do.
    """
    name = fields["role"]
    changes, password = _read_options(builder, fields.get("options", []))
    if fields.get("stmt_type") == "ROLESTMT_USER":
        changes.setdefault("rolcanlogin", 1)
    _check_may_create(builder, changes)
    if name in ("public", "none") or name.startswith("pg_"):
        detail = 'Role names starting with "pg_" are reserved.' if name.startswith("pg_") else None
        raise builder.error("42939", f'role name "{name}" is reserved', detail=detail)
    if builder.catalog.role(name) is not None:
        raise builder.error("42710", f'role "{name}" already exists')
    oid = builder.oid(False)
    columns = ", ".join(["oid", "rolname", *changes])
    values = ", ".join([str(oid), _text(name), *(constant(value) for value in changes.values())])
    builder.add(f"INSERT INTO main.helios_role({columns}) VALUES ({values})")
    for node in fields.get("options", []):
        if node["DefElem"]["defname"] in _MEMBERSHIP:
            _add_members(builder, node["DefElem"], oid)
    return _finish(builder, "CREATE ROLE", name, oid, password)


_ONLY_SUPERUSERS: Final = {"rolsuper": "superusers", "rolreplication": "replication users",
                           "rolbypassrls": "bypassrls users"}  # fmt: skip
"""Attributes that only superusers give."""


def _check_may_create(builder: Builder, changes: dict[str, object]) -> None:
    if builder.catalog.acting.unrestricted:
        return
    for column, who in _ONLY_SUPERUSERS.items():
        if changes.get(column):
            raise builder.error("42501", f"must be superuser to create {who}")
    if not _makes_roles(builder):
        raise builder.error("42501", "permission denied to create role")


def _makes_roles(builder: Builder) -> bool:
    facts = builder.catalog.privileges.authority().by_oid.get(builder.catalog.acting.oid)
    return builder.catalog.acting.unrestricted or (facts is not None and facts.create_role)


def alter_role(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan ALTER ROLE or USER, and ALTER GROUP ... ADD or DROP USER.

    Raises:
        SqlError: 42704 no such role, 42501 not the role's to do.
    """
    oid = builder.role_oid(fields["role"])
    name = builder.catalog.privileges.authority().name(oid)
    if oid in PREDEFINED and _named(fields.get("options", [])) - _MEMBERSHIP:
        raise builder.error("42939", f'role name "{name}" is reserved')
    changes, password = _read_options(builder, fields.get("options", []))
    _check_may_alter(builder, oid, changes, _named(fields.get("options", [])))
    for node in fields.get("options", []):
        if node["DefElem"]["defname"] in _MEMBERSHIP:
            _add_members(builder, node["DefElem"], oid, adding=fields.get("action", 1) >= 0)
    if changes:
        sets = ", ".join(f"{column} = {constant(value)}" for column, value in changes.items())
        builder.add(f"UPDATE main.helios_role SET {sets} WHERE oid = {oid}")
    return _finish(builder, "ALTER ROLE", name, oid, password)


def _named(options: list[dict[str, Any]]) -> set[str]:
    return {node["DefElem"]["defname"] for node in options}


def _check_may_alter(builder: Builder, oid: int, changes: dict[str, object], named: set[str]) -> None:
    if builder.catalog.acting.unrestricted:
        return
    facts = builder.catalog.privileges.authority().by_oid[oid]
    for column, was, what in (
        ("rolsuper", facts.superuser, "superuser"), ("rolreplication", facts.replication, "replication"),
    ):  # fmt: skip
        if was or column in changes:
            roles = f"{what} roles or change {what} attribute"
            raise builder.error("42501", f"must be superuser to alter {roles}")
    if "rolbypassrls" in changes:
        raise builder.error("42501", "must be superuser to change bypassrls attribute")
    own_password = oid == builder.catalog.acting.oid and named == {"password"}
    if not own_password and not _makes_roles(builder):
        raise builder.error("42501", "permission denied")


def _finish(builder: Builder, tag: str, name: str, oid: int, password: tuple[str | None] | None) -> Plan:
    if password is None:
        plan = builder.finish(tag)
        plan.subject = name
        return plan
    builder.add(f"UPDATE main.helios_role SET rolpassword = ?1 WHERE oid = {oid}")
    plan = builder.finish(tag, action=SetRolePassword(name, password[0]))
    plan.subject = name
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
            valid_until(argument["String"]["sval"])
        elif name == "password":
            password = (argument["String"]["sval"] or None,) if argument else (None,)
        elif name not in _MEMBERSHIP and name != "sysid":
            raise unsupported(f"role option {name}")
    return changes, password


def _add_members(builder: Builder, fields: dict[str, Any], oid: int, *, adding: bool = True) -> None:
    for spec in fields["arg"]["List"]["items"]:
        other = builder.role_oid(spec)
        role, member = (other, oid) if fields["defname"] == "addroleto" else (oid, other)
        if adding:
            _join(builder, role, member, admin=fields["defname"] == "adminmembers")
        else:
            builder.add(delete(False, "helios_auth_member", roleid=role, member=member))


def _join(builder: Builder, role: int, member: int, *, admin: bool) -> None:
    authority = builder.catalog.privileges.authority()
    if role == DATABASE_OWNER:
        raise builder.error("42501", f'role "{authority.name(role)}" cannot have explicit members')
    if member in authority.by_oid and role in authority.by_oid and member in authority.memberships_of(role):
        names = f'"{authority.name(role)}" is a member of role "{authority.name(member)}"'
        raise builder.error("0LP01", f"role {names}")
    builder.add(
        "INSERT INTO main.helios_auth_member(roleid, member, admin_option) "
        f"VALUES ({role}, {member}, {int(admin)}) ON CONFLICT DO UPDATE SET "
        "admin_option = max(admin_option, excluded.admin_option)"
    )


def drop_role(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan DROP ROLE, USER or GROUP.

    Raises:
        SqlError: 42704 no such role, 2BP01 it owns something, was given something or is the one that the database was
            born with, 55006 it is in use by this session, 42501 not the role's to do.
    """
    acting = builder.catalog.acting
    if not _makes_roles(builder):
        raise builder.error("42501", "permission denied to drop role")
    for spec in fields["roles"]:
        if spec["RoleSpec"].get("roletype", "ROLESPEC_CSTRING") != "ROLESPEC_CSTRING":
            raise builder.error("22023", "cannot use special role specifier in DROP ROLE")
        name = role_name(spec)
        role = builder.catalog.role(name)
        if role is None:
            if not fields.get("missing_ok"):
                raise builder.error("42704", f'role "{name}" does not exist')
            builder.notices.append(f'role "{name}" does not exist, skipping')
            continue
        if role.superuser and not acting.unrestricted:
            raise builder.error("42501", "must be superuser to drop superusers")
        if role.oid == BOOTSTRAP_ROLE_OID or role.oid in PREDEFINED:
            message = f"cannot drop role {name} because it is required by the database system"
            raise builder.error("2BP01", message)
        if role.oid in (acting.oid, acting.session_oid):
            which = "current" if role.oid == acting.oid else "session"
            raise builder.error("55006", f"{which} user cannot be dropped")
        _check_unused(builder, role)
        builder.add(
            delete(False, "helios_role", oid=role.oid),
            f"DELETE FROM main.helios_auth_member WHERE roleid = {role.oid} OR member = {role.oid}",
            f"DELETE FROM main.helios_db_role_setting WHERE setrole = {role.oid}",
        )
    plan = builder.finish("DROP ROLE")
    plan.subject = ", ".join(role_name(spec) for spec in fields["roles"])
    return plan


def _check_unused(builder: Builder, role: RoleDef) -> None:
    """2BP01 with what belongs to a role, or names it, as PostgreSQL lists it."""
    databases = builder.catalog.databases().values()
    uses = []
    for one in databases:
        acl = builder.catalog.privileges.acl(PG_DATABASE, one.oid) or ()
        if one.owner == role.oid:
            uses.append(f"owner of database {one.name}")
        elif any(role.oid in (item.grantee, item.grantor) for item in acl):
            uses.append(f"privileges for database {one.name}")
    uses += _uses(builder, role)
    for one in databases:
        if one.oid != builder.catalog.database.oid:
            count = len(_uses(Builder(builder.catalog.of_database(one.oid), builder.functions), role))
            uses += [f"{count} object{'s' * (count > 1)} in database {one.name}"] * (count > 0)
    if uses:
        message = f'role "{role.name}" cannot be dropped because some objects depend on it'
        hint = f"Run REASSIGN OWNED BY {role.name} and then DROP OWNED BY {role.name}."
        raise builder.error("2BP01", message, detail="\n".join(uses), hint=hint)


def _uses(builder: Builder, role: RoleDef) -> list[str]:
    """What belongs to a role in one database, or names it there."""
    facts = builder.catalog.privileges
    uses = [f"owner of {_object(builder, PG_NAMESPACE, oid)}" for oid in facts.owned(PG_NAMESPACE, role.oid)]
    for oid in facts.owned(PG_CLASS, role.oid):
        relation = builder.catalog.relation_by_oid(oid)
        if relation is not None:
            uses.append(f"owner of {_object(builder, PG_CLASS, oid)}")
    for class_oid in (PG_PROC, PG_TYPE, PG_OPERATOR):
        uses += [f"owner of {_object(builder, class_oid, oid)}" for oid in facts.owned(class_oid, role.oid)]
    objects = facts.owned(PG_LARGEOBJECT, role.oid)
    uses += [f"owner of large object {oid}" for oid in objects]
    for (class_oid, oid, column), acl in facts.lists_naming(role.oid):
        if class_oid == PG_DATABASE or (class_oid == PG_LARGEOBJECT and oid in objects):
            continue
        owner = facts.relation_owner(oid) if class_oid == PG_CLASS else -1
        if owner != role.oid and any(role.oid in (item.grantee, item.grantor) for item in acl):
            prefix = f"column {_column(builder, oid, column)} of " if column else ""
            uses.append(f"privileges for {prefix}{_object(builder, class_oid, oid)}")
    if facts.has_defaults(role.oid):
        uses.append(f"owner of default privileges belonging to role {role.name}")
    return uses


def _object(builder: Builder, class_oid: int, oid: int) -> str:
    if class_oid == PG_LARGEOBJECT:
        return f"large object {oid}"
    if class_oid == PG_PROC:
        routine = builder.catalog.routine(oid)
        word = "procedure" if routine is not None and routine.kind == "p" else "function"
        return f"object {oid}" if routine is None else f"{word} {shown_signature(routine)}"
    if class_oid == PG_TYPE:
        found = builder.catalog.type_by_oid(oid)
        return f"object {oid}" if found is None else f"type {found.name}"
    if class_oid == PG_OPERATOR:
        return Things(builder).shown(Thing(OPERATOR, oid))
    if class_oid == PG_CLASS:
        relation = builder.catalog.relation_by_oid(oid)
        if relation is None:
            return f"object {oid}"
        visible = builder.catalog.relation(None, relation.name)
        prefix = "" if visible is not None and visible.oid == oid else f"{relation.schema}."
        return f"{KIND_WORDS.get(relation.kind, 'table')} {prefix}{relation.name}"
    if class_oid == PG_NAMESPACE:
        schemas = builder.catalog.privileges.schemas()
        return f"schema {next((name for name, found in schemas.items() if found[0] == oid), oid)}"
    return f"object {oid}"


def _column(builder: Builder, oid: int, number: int) -> str:
    relation = builder.catalog.relation_by_oid(oid)
    columns = relation.columns if relation is not None else ()
    return next((column.name for column in columns if column.attnum == number), str(number))


def grant_role(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan GRANT role TO role and REVOKE role FROM role.

    Raises:
        SqlError: 42704 no such role, 42501 not the role's to give, 0LP01 it would be its own member.
    """
    granted = bool(fields.get("is_grant"))
    option = bool(fields.get("admin_opt") or fields.get("opt"))
    authority = builder.catalog.privileges.authority()
    for privilege in fields["granted_roles"]:
        role = find_role(builder, privilege["AccessPriv"]["priv_name"])
        _check_may_give(builder, role)
        for spec in fields["grantee_roles"]:
            member = builder.role_oid(spec)
            names = f'role "{authority.name(member)}" is {{}} a member of role "{role.name}"'
            direct = authority.direct(member).get(role.oid)
            if granted and direct is not None and (direct or not option):
                builder.notices.append(names.format("already"))
            elif granted:
                _join(builder, role.oid, member, admin=option)
            elif direct is None:
                builder.notices.append(Warned(names.format("not")))
            elif option:
                builder.add(update(False, "helios_auth_member", {"admin_option": 0}, roleid=role.oid, member=member))
            else:
                builder.add(delete(False, "helios_auth_member", roleid=role.oid, member=member))
    plan = builder.finish("GRANT ROLE" if granted else "REVOKE ROLE")
    given = [privilege["AccessPriv"]["priv_name"] for privilege in fields["granted_roles"]]
    plan.subject = f"{', '.join(given)}: {', '.join(role_name(spec) for spec in fields['grantee_roles'])}"
    return plan


def _check_may_give(builder: Builder, role: RoleDef) -> None:
    acting = builder.catalog.acting
    if acting.unrestricted:
        return
    if role.superuser:
        raise builder.error("42501", "must be superuser to alter superusers")
    if not _makes_roles(builder) and not builder.catalog.privileges.authority().is_admin(acting.oid, role.oid):
        raise builder.error("42501", f'must have admin option on role "{role.name}"')


def find_role(builder: Builder, name: str) -> RoleDef:
    """A role by name.

    Raises:
        SqlError: 42704.
    """
    role = builder.catalog.role(name)
    if role is None:
        raise builder.error("42704", f'role "{name}" does not exist')
    return role
