"""ALTER SCHEMA ... OWNER TO, REASSIGN OWNED and DROP OWNED."""

from __future__ import annotations

from typing import Any, Final

from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql import privileges
from helios_cli.engine.sql.authority import BOOTSTRAP
from helios_cli.engine.sql.ddl_build import Builder
from helios_cli.engine.sql.ddl_database import give_database
from helios_cli.engine.sql.ddl_dropping import Dropping
from helios_cli.engine.sql.ddl_grant import give_rights, store
from helios_cli.engine.sql.ddl_large_objects import drop_all, reassign
from helios_cli.engine.sql.ddl_ownership import Guard, check_new_owner, give_away
from helios_cli.engine.sql.ddl_render import update
from helios_cli.engine.sql.ddl_thing import OPERATOR, RELATION, ROUTINE, SCHEMA, TYPE, Thing
from helios_cli.engine.sql.made_objects import PG_OPERATOR
from helios_cli.engine.sql.plan import Plan
from helios_cli.engine.sql.privileges import PG_CLASS, PG_DATABASE, PG_NAMESPACE
from helios_cli.engine.sql.relation import Relation

CLASS_WORDS: Final = {PG_NAMESPACE: "schema", PG_DATABASE: "database", PG_CLASS: "table"}


def own_schema(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan ALTER SCHEMA ... OWNER TO.

    Raises:
        SqlError: 3F000 no such schema, 42501 not the owner's role.
    """
    name = fields["object"]["String"]["sval"]
    found = builder.catalog.privileges.schema_owner(name)
    if found is None:
        raise builder.error("3F000", f'schema "{name}" does not exist')
    role = builder.role_oid(fields["newowner"])
    if not builder.catalog.acting.unrestricted:
        guard = Guard(builder)
        guard.owns_schema(name)
        check_new_owner(guard, fields["newowner"], None)
        guard.rightful_database()
    _give_schema(builder, found, role)
    return builder.finish("ALTER SCHEMA")


def _give_schema(builder: Builder, found: tuple[int, int], role: int) -> None:
    oid, old = found
    builder.add(update(False, "helios_namespace", {"nspowner": role}, oid=oid))
    give_rights(builder, (PG_NAMESPACE, oid, 0), old, role)


def _roles(builder: Builder, fields: dict[str, Any], what: str) -> list[int]:
    rightful = builder.rightful()
    roles = []
    for spec in fields["roles"]:
        role = builder.role_oid(spec)
        if not rightful.owns(role):
            raise SqlError(f"permission denied to {what} objects", sqlstate="42501")
        if role == BOOTSTRAP:
            message = f"cannot {what} objects owned by role {rightful.authority.name(role)} because they are required "
            raise SqlError(f"{message}by the database system", sqlstate="2BP01")
        roles.append(role)
    return roles


def owned_relations(builder: Builder, role: int) -> list[Relation]:
    """Tables, views and sequences of a role that go with no other, by OID."""
    facts, catalog = builder.catalog.privileges, builder.catalog
    found = []
    for oid in facts.owned(PG_CLASS, role):
        relation = catalog.relation_by_oid(oid)
        if relation is not None and relation.kind != "i":
            sequence = catalog.sequence_def(oid) if relation.kind == "S" else None
            if sequence is None or not sequence.owner_oid:
                found.append(relation)
    return found


_OTHERS: Final = (
    (privileges.PG_PROC, "helios_function", "proowner"),
    (privileges.PG_TYPE, "helios_type", "typowner"),
    (PG_OPERATOR, "helios_operator", "oprowner"),
)
"""Objects whose owner is a column of their own table."""


_THINGS: Final = {
    PG_NAMESPACE: SCHEMA, privileges.PG_PROC: ROUTINE, privileges.PG_TYPE: TYPE, PG_OPERATOR: OPERATOR,
}  # fmt: skip


def reassign_owned(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan REASSIGN OWNED BY roles TO role.

    Raises:
        SqlError: 42501 another's role, 2BP01 what the database was born with.
    """
    roles = _roles(builder, fields, "reassign")
    new = builder.role_oid(fields["newrole"])
    if not builder.rightful().owns(new):
        raise SqlError("permission denied to reassign objects", sqlstate="42501")
    facts = builder.catalog.privileges
    for role in roles:
        for relation in owned_relations(builder, role):
            give_away(builder, relation, new)
        for oid in facts.owned(PG_NAMESPACE, role):
            _give_schema(builder, (oid, role), new)
        for class_oid, table, column in _OTHERS:
            for oid in facts.owned(class_oid, role):
                builder.add(update(False, table, {column: new}, oid=oid))
                give_rights(builder, (class_oid, oid, 0), role, new)
        for database in builder.catalog.databases().values():
            if database.owner == role:
                give_database(builder, database, new)
        reassign(builder, role, new)
    return builder.finish("REASSIGN OWNED")


def drop_owned(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan DROP OWNED BY roles: what they own goes, and what they were given on what is others'.

    Raises:
        SqlError: 42501 another's role, 2BP01 something else depends on it.
    """
    roles = _roles(builder, fields, "drop")
    facts = builder.catalog.privileges
    named: list[Thing] = []
    for role in roles:
        named += [Thing(RELATION, relation.oid) for relation in owned_relations(builder, role)]
        for class_oid, kind in _THINGS.items():
            named += [Thing(kind, oid) for oid in facts.owned(class_oid, role)]
    dropping = Dropping(builder, cascade=fields.get("behavior") == "DROP_CASCADE")
    dropping.run(named)
    for role in roles:
        drop_all(builder, role)
        _take_back(builder, role, dropping.relations())
    return builder.finish("DROP OWNED")


def _take_back(builder: Builder, role: int, gone: set[int]) -> None:
    """Remove a role from the rights on what is others', and its default privileges."""
    for key, acl in builder.catalog.privileges.lists_naming(role):
        if key[0] == PG_CLASS and key[1] in gone:
            continue
        known = builder.acls.get(key, acl)
        builder.acls[key] = privileges.without(known, role)
        store(builder, key, builder.acls[key])
    builder.add(f"DELETE FROM main.helios_privilege WHERE classid = {privileges.PG_DEFAULT_ACL} AND objid = {role}")


__all__ = ["drop_owned", "own_schema", "owned_relations", "reassign_owned"]
