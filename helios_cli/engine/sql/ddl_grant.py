"""GRANT and REVOKE of rights on objects, and ALTER DEFAULT PRIVILEGES (aclchk.c)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql import privileges
from helios_cli.engine.sql.coercion import type_name
from helios_cli.engine.sql.databases import reached
from helios_cli.engine.sql.ddl_build import Builder, list_names, range_var_of, role_name, unsupported
from helios_cli.engine.sql.ddl_large_objects import grant_large_objects
from helios_cli.engine.sql.ddl_render import database_of
from helios_cli.engine.sql.ddl_schema import CLUSTER_PRIVILEGE, FIRST_TEMP_OID
from helios_cli.engine.sql.ddl_type_rights import granted_language, granted_type
from helios_cli.engine.sql.plan import Plan, Warned
from helios_cli.engine.sql.privileges import (
    COLUMN_RIGHTS,
    DEFAULT_KINDS,
    PG_CLASS,
    PG_DATABASE,
    PG_DEFAULT_ACL,
    PG_LANGUAGE,
    PG_NAMESPACE,
    PG_PROC,
    PG_TYPE,
    PUBLIC,
    Acl,
    AclItem,
)
from helios_cli.engine.sql.rights import KIND_WORDS, Rightful, denied
from helios_cli.engine.sql.routines import Routine
from helios_cli.engine.sql.sqltext import constant
from helios_cli.engine.sql.typenames import resolve_type

_KINDS: Final = {
    "OBJECT_TABLE": privileges.TABLE, "OBJECT_SEQUENCE": privileges.SEQUENCE, "OBJECT_SCHEMA": privileges.SCHEMA,
    "OBJECT_DATABASE": privileges.DATABASE, "OBJECT_FUNCTION": privileges.FUNCTION,
    "OBJECT_PROCEDURE": privileges.FUNCTION, "OBJECT_ROUTINE": privileges.FUNCTION,
    "OBJECT_LARGEOBJECT": privileges.LARGE_OBJECT, "OBJECT_TYPE": privileges.TYPE, "OBJECT_DOMAIN": privileges.TYPE,
    "OBJECT_LANGUAGE": privileges.LANGUAGE,
}  # fmt: skip
_SHOWN: Final = {"table": "relation"}
_DEFAULTS: Final = {"OBJECT_TABLE": ("r", privileges.TABLE), "OBJECT_SEQUENCE": ("S", privileges.SEQUENCE),
                    "OBJECT_FUNCTION": ("f", privileges.FUNCTION), "OBJECT_ROUTINE": ("f", privileges.FUNCTION),
                    "OBJECT_TYPE": ("T", privileges.TYPE), "OBJECT_SCHEMA": ("n", privileges.SCHEMA)}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Target:
    """One object of a GRANT."""

    kind: str
    class_oid: int
    oid: int
    owner: int
    word: str
    name: str
    columns: tuple[tuple[str, int], ...] = ()
    """Names and numbers of a relation's columns."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a GRANT or REVOKE is to do."""

    grants: bool
    rights: int
    """0: all there are."""
    columns: tuple[tuple[str, int], ...]
    """(column, rights) of those that are limited to columns; 0: all that columns have."""
    grantees: tuple[int, ...]
    option: bool
    cascade: bool


def grant(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan GRANT and REVOKE of privileges on tables, columns, sequences, functions, schemas, types, the database ...

    Raises:
        SqlError: 0A000 for other kinds of objects, 42704 and 42P01 for missing names, 0LP01 a right that the kind has
            not, 42501 nothing of it is the role's to give.
    """
    kind = _KINDS.get(fields["objtype"])
    if kind is None:
        raise unsupported(
            "GRANT on this kind of object",
            "Grant on tables, schemas, types or the database.",
        )
    _check_grantor(builder, fields)
    wish = _wish(builder, fields, kind)
    names = []
    if kind == privileges.LARGE_OBJECT:
        parts = (wish.grants, wish.rights, wish.grantees, wish.option, wish.cascade)
        names = grant_large_objects(builder, fields["objects"], parts)
    for target in _targets(builder, fields, kind) if not names else ():
        _change(builder, target, wish)
        names.append(f"{target.word} {target.name}")
    plan = builder.finish("GRANT" if wish.grants else "REVOKE")
    plan.subject = f"{', '.join(names[:10])}: {', '.join(role_name(spec) for spec in fields['grantees'])}"
    return plan


def _check_grantor(builder: Builder, fields: dict[str, Any]) -> None:
    grantor = fields.get("grantor")
    if grantor is not None and builder.role_oid(grantor) != builder.catalog.acting.oid:
        raise builder.error("0A000", "grantor must be current user")


def _wish(builder: Builder, fields: dict[str, Any], kind: str) -> Wish:
    grants, option = bool(fields.get("is_grant")), bool(fields.get("grant_option"))
    rights, columns = 0, []
    for node in fields.get("privileges", []):
        part = node["AccessPriv"]
        names = [column["String"]["sval"] for column in part.get("cols", [])]
        bit = _right(builder, part.get("priv_name"), privileges.COLUMN if names else kind)
        if names and kind != privileges.TABLE:
            raise builder.error("0LP01", "column privileges are only valid for relations")
        if names:
            columns += [(name, bit) for name in names]
        else:
            rights |= bit
    if not fields.get("privileges"):
        rights = privileges.ALL[kind]
    grantees = []
    for spec in fields["grantees"]:
        oid = PUBLIC if role_name(spec) == "public" else builder.role_oid(spec)
        if grants and option and oid == PUBLIC:
            raise builder.error("0LP01", "grant options can only be granted to roles")
        grantees.append(oid)
    cascade = fields.get("behavior") == "DROP_CASCADE"
    return Wish(grants, rights, tuple(columns), tuple(grantees), option, cascade)


def _right(builder: Builder, name: str | None, kind: str) -> int:
    """The bit of a right by name; all that the kind has without a name."""
    if name is None:
        return privileges.ALL[kind]
    bit = privileges.NAMES.get(name.upper(), 0)
    if not bit:
        raise builder.error("42601", f'unrecognized privilege type "{name}"')
    allowed = privileges.ALL[kind] | (privileges.ALL[privileges.SEQUENCE] if kind == privileges.TABLE else 0)
    if not bit & allowed:
        shown = next(known for known, value in privileges.NAMES.items() if value == bit)
        raise builder.error("0LP01", f"invalid privilege type {shown} for {_SHOWN.get(kind, kind)}")
    return bit


# -- objects ----------------------------------------------------------------------------------------------------------


def _targets(builder: Builder, fields: dict[str, Any], kind: str) -> Iterator[Target]:
    whole_schema = fields.get("targtype") == "ACL_TARGET_ALL_IN_SCHEMA"
    for node in fields.get("objects", []):
        if whole_schema:
            wanted = ("S",) if kind == privileges.SEQUENCE else ("r", "v", "t", "m")
            schema = node["String"]["sval"]
            _schema(builder, schema)
            if kind == privileges.FUNCTION:
                inside = (routine for routine in builder.catalog.all_routines() if routine.schema == schema)
                yield from map(_of_routine, inside)
                continue
            for relation in builder.catalog.schema_objects(schema):
                if relation.kind in wanted:
                    yield _relation(builder, relation)
        elif kind == privileges.FUNCTION:
            yield _function(builder, node["ObjectWithArgs"])
        elif kind == privileges.SCHEMA:
            name = node["String"]["sval"]
            oid, owner = _schema(builder, name)
            yield Target(kind, PG_NAMESPACE, oid, owner, "schema", name)
        elif kind == privileges.DATABASE:
            name = node["String"]["sval"]
            database = reached(builder.catalog.databases(), name, builder.catalog.acting.name)
            if database is None:
                raise builder.error("3D000", f'database "{name}" does not exist')
            yield Target(kind, PG_DATABASE, database.oid, database.owner, "database", name)
        elif kind == privileges.TYPE:
            oid, owner, name = granted_type(builder, node, domain=fields["objtype"] == "OBJECT_DOMAIN")
            yield Target(kind, PG_TYPE, oid, owner, "type", name)
        elif kind == privileges.LANGUAGE:
            oid, owner, name = granted_language(builder, node["String"]["sval"])
            yield Target(kind, PG_LANGUAGE, oid, owner, "language", name)
        else:
            found = builder.find_relation(node.get("RangeVar") or range_var_of(list_names(node)))
            assert found is not None
            if kind == privileges.SEQUENCE and found.kind != "S":
                raise builder.error("42809", f'"{found.name}" is not a sequence')
            yield _relation(builder, found)


def _function(builder: Builder, fields: dict[str, Any]) -> Target:
    """A function or procedure by its name and, where they are given, the types of its arguments.

    Raises:
        SqlError: 42883 none, 42725 several.
    """
    names = [node["String"]["sval"] for node in fields["objname"]]
    schemas = names[-2:-1] or [name for name in builder.catalog.search_path if name != "pg_catalog"]
    found = [routine for schema in schemas for routine in builder.catalog.routines(schema, names[-1])]
    if not fields.get("args_unspecified"):
        types = tuple(resolve_type(node["TypeName"], builder.context())[0] for node in fields.get("objargs", []))
        found = [routine for routine in found if routine.signature() == types]
        shown = f"{names[-1]}({', '.join(type_name(oid) for oid in types)})"
        if not found:
            raise builder.error("42883", f"function {shown} does not exist")
    elif not found:
        raise builder.error("42883", f'could not find a function named "{names[-1]}"')
    elif len(found) > 1:
        hint = "Specify the argument list to select the function unambiguously."
        raise builder.error("42725", f'function name "{names[-1]}" is not unique', hint=hint)
    return _of_routine(found[0])


def _of_routine(routine: Routine) -> Target:
    word = "procedure" if routine.kind == "p" else "function"
    return Target(privileges.FUNCTION, PG_PROC, routine.oid, routine.owner, word, routine.name)


def _schema(builder: Builder, name: str) -> tuple[int, int]:
    found = builder.catalog.privileges.schema_owner(name)
    if found is None:
        raise builder.error("3F000", f'schema "{name}" does not exist')
    return found


def _relation(builder: Builder, relation: Any) -> Target:
    kind = privileges.SEQUENCE if relation.kind == "S" else privileges.TABLE
    owner = 10 if relation.kind == "c" else builder.catalog.privileges.relation_owner(relation.oid)
    columns = tuple((column.name, column.attnum) for column in relation.columns)
    word = KIND_WORDS.get(relation.kind, "table")
    return Target(kind, PG_CLASS, relation.oid, owner, word, relation.name, columns)


# -- the change -------------------------------------------------------------------------------------------------------


def _change(builder: Builder, target: Target, wish: Wish) -> None:
    if wish.rights:
        rights = privileges.ALL[target.kind] if wish.rights == privileges.ALL[privileges.TABLE] else wish.rights
        if target.kind == privileges.SEQUENCE and rights & ~privileges.ALL[privileges.SEQUENCE]:
            message = f'sequence "{target.name}" only supports USAGE, SELECT, and UPDATE privileges'
            builder.notices.append(Warned(message, "0LP01"))
            rights &= privileges.ALL[privileges.SEQUENCE]
        if target.kind == privileges.TABLE and rights & ~privileges.ALL[privileges.TABLE]:
            raise builder.error("0LP01", f"invalid privilege type {_first_name(rights)} for table")
        _change_acl(builder, target, wish, 0, rights)
        if not wish.grants and target.kind == privileges.TABLE:
            # What is taken from the whole table is taken from its columns, too.
            for number in sorted(builder.catalog.privileges.column_acls(target.oid)):
                _change_acl(builder, target, wish, number, rights & COLUMN_RIGHTS, quiet=True)
    if wish.columns and not wish.rights:
        _keep_table_acl(builder, target)
    for name, rights in wish.columns:
        attnum = dict(target.columns).get(name)
        if attnum is None:
            raise builder.error("42703", f'column "{name}" of relation "{target.name}" does not exist')
        _change_acl(builder, target, wish, attnum, rights)


def _keep_table_acl(builder: Builder, target: Target) -> None:
    """A GRANT on columns writes the table's own list out, too, as PostgreSQL's does."""
    key = (target.class_oid, target.oid, 0)
    if key not in builder.acls and builder.catalog.privileges.acl(target.class_oid, target.oid) is None:
        builder.acls[key] = privileges.default_acl(target.kind, target.owner)
        store(builder, key, builder.acls[key])


def _first_name(rights: int) -> str:
    left = rights & ~privileges.ALL[privileges.TABLE]
    return next(name for name, bit in privileges.NAMES.items() if bit & left)


def _change_acl(builder: Builder, target: Target, wish: Wish, column: int, rights: int, *, quiet: bool = False) -> None:
    if not rights:
        return
    facts = builder.catalog.privileges
    own_kind = privileges.COLUMN if column else target.kind
    stored = facts.column_acls(target.oid).get(column) if column else facts.acl(target.class_oid, target.oid)
    key = (target.class_oid, target.oid, column)
    acl = builder.acls.get(key, stored)
    if acl is None:
        acl = privileges.default_acl(own_kind, target.owner)
    whole = acl if not column else (*_table_acl(builder, target), *acl)
    rightful = builder.rightful()
    grantor, available = best_grantor(rightful, whole, target.owner, rights)
    if not available and not quiet:
        _refuse_stranger(rightful, target, whole)
    chosen = rights & available
    if chosen != rights and not quiet:
        _warn(builder, wish, target, chosen, rights)
    for grantee in wish.grantees if chosen else ():
        acl = _with(acl, wish, AclItem(grantee, grantor, chosen), target.owner)
    builder.acls[key] = acl
    store(builder, key, acl)


def _table_acl(builder: Builder, target: Target) -> Acl:
    found = builder.catalog.privileges.acl(target.class_oid, target.oid)
    return found if found is not None else privileges.default_acl(target.kind, target.owner)


def _with(acl: Acl, wish: Wish, item: AclItem, owner: int) -> Acl:
    """The list with one grantee's rights changed."""
    rights = item.rights
    if wish.grants:
        given = AclItem(item.grantee, item.grantor, rights, rights if wish.option else 0)
        return privileges.granted(acl, given, owner)
    taken = AclItem(item.grantee, item.grantor, 0 if wish.option else rights, rights)
    return privileges.revoked(acl, taken, owner, cascade=wish.cascade)


def best_grantor(rightful: Rightful, acl: Acl, owner: int, rights: int) -> tuple[int, int]:
    """In whose name a role grants, and those of the rights that may be granted so (select_best_grantor)."""
    if rightful.owns(owner):
        return owner, rights
    best, found = rightful.role, 0
    for role in (rightful.role, *sorted(rightful.roles - {rightful.role})):
        options = privileges.grantable(acl, (role,), owner, rights)
        if options == rights:
            return role, options
        if options.bit_count() > found.bit_count():
            best, found = role, options
    return best, found


def _refuse_stranger(rightful: Rightful, target: Target, acl: Acl) -> None:
    """42501 for a role that has nothing at all on the object."""
    everything = privileges.ALL[target.kind]
    if not privileges.held(acl, rightful.roles, target.owner, everything):
        raise denied(target.word, target.name)


def _warn(builder: Builder, wish: Wish, target: Target, chosen: int, rights: int) -> None:
    some = "not all" if chosen else "no"
    if not chosen or rights != privileges.ALL[target.kind]:
        verb, state = ("were granted", "01007") if wish.grants else ("could be revoked", "01006")
        builder.notices.append(Warned(f'{some} privileges {verb} for "{target.name}"', state))


def give_rights(builder: Builder, key: tuple[int, int, int], old: int, new: int) -> None:
    """An object's list when it changes hands; one that was never changed stays away."""
    acl = builder.catalog.privileges.acl(key[0], key[1])
    if acl is not None:
        store(builder, key, privileges.with_owner(acl, old, new))


def store(builder: Builder, key: tuple[int, int, int], acl: Acl) -> None:
    """Write an object's list."""
    class_oid, oid, column = key
    temp = class_oid == PG_CLASS and oid >= FIRST_TEMP_OID
    table = CLUSTER_PRIVILEGE if class_oid == PG_DATABASE else f"{database_of(temp)}.helios_privilege"
    builder.touch(temp)
    if column and not acl:
        where = f"classid = {class_oid} AND objid = {oid} AND objsubid = {column}"
        builder.add(f"DELETE FROM {table} WHERE {where}")
        return
    builder.add(
        f"INSERT OR REPLACE INTO {table} VALUES ({class_oid}, {oid}, {column}, {constant(privileges.dump(acl))})"
    )


# -- ALTER DEFAULT PRIVILEGES -----------------------------------------------------------------------------------------


def alter_default_privileges(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan ALTER DEFAULT PRIVILEGES: what objects that a role makes later will have.

    Raises:
        SqlError: 42501 another's role, 3F000 no such schema, 0LP01 a schema for schemas.
    """
    action = fields["action"].get("GrantStmt", fields["action"])
    options = {node["DefElem"]["defname"]: node["DefElem"]["arg"] for node in fields.get("options", [])}
    letter, kind = _DEFAULTS[action["objtype"]]
    wish = _wish(builder, action, kind)
    roles = [builder.role_oid(spec) for spec in options.get("roles", {}).get("List", {}).get("items", [])]
    names = [node["String"]["sval"] for node in options.get("schemas", {}).get("List", {}).get("items", [])]
    if names and letter == "n":
        raise builder.error("0LP01", "cannot use IN SCHEMA clause when using GRANT/REVOKE ON SCHEMAS")
    for role in roles or [builder.catalog.acting.oid]:
        rightful = builder.rightful()
        if not rightful.owns(role):
            raise SqlError("permission denied to change default privileges", sqlstate="42501")
        for schema in [_schema(builder, name)[0] for name in names] or [0]:
            _change_default(builder, wish, role, schema, letter, kind)
    return builder.finish("ALTER DEFAULT PRIVILEGES")


def _change_default(builder: Builder, wish: Wish, role: int, schema: int, letter: str, kind: str) -> None:
    base: Acl = privileges.default_acl(kind, role) if not schema else ()
    key = (PG_DEFAULT_ACL, role, schema * 8 + DEFAULT_KINDS[letter])
    known = builder.catalog.privileges.default_acl(role, schema, letter)
    acl = builder.acls.get(key, known if known is not None else base)
    for grantee in wish.grantees:
        acl = _with(acl, wish, AclItem(grantee, role, wish.rights), role)
    acl = tuple(sorted(acl, key=lambda item: (item.grantee, item.grantor)))
    builder.acls[key] = acl
    if set(acl) == set(base):
        builder.touch(False)
        where = f"classid = {PG_DEFAULT_ACL} AND objid = {role} AND objsubid = {key[2]}"
        builder.add(f"DELETE FROM main.helios_privilege WHERE {where}")
    else:
        store(builder, key, acl)
