"""COMMENT ON, CREATE SCHEMA, RENAME and SET SCHEMA."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from helios_cli.engine.datatypes.usertypes import number_of
from helios_cli.engine.sql import tree
from helios_cli.engine.sql.ddl_build import Builder, list_names, object_words, range_var_of, role_name, unsupported
from helios_cli.engine.sql.ddl_cast import find_cast
from helios_cli.engine.sql.ddl_collation import PG_COLLATION, move_collation
from helios_cli.engine.sql.ddl_database import check_owner
from helios_cli.engine.sql.ddl_domains import find_domain
from helios_cli.engine.sql.ddl_follow import follow_relations
from helios_cli.engine.sql.ddl_large_objects import commented
from helios_cli.engine.sql.ddl_operator import find_operator, move_operator
from helios_cli.engine.sql.ddl_policy import PG_POLICY
from helios_cli.engine.sql.ddl_render import database_of, delete, insert
from helios_cli.engine.sql.ddl_routine import PG_PROC_OID, WORDS, find_routine, move_routine
from helios_cli.engine.sql.ddl_schema import CLUSTER_DESCRIPTION
from helios_cli.engine.sql.ddl_schema_parts import create_parts
from helios_cli.engine.sql.ddl_sequence_names import follow
from helios_cli.engine.sql.ddl_trigger import PG_TRIGGER_OID, find_trigger
from helios_cli.engine.sql.ddl_types import find_type, home_of, move_type, type_names
from helios_cli.engine.sql.expressions import find_collation
from helios_cli.engine.sql.extensions import EXTENSIONS
from helios_cli.engine.sql.made_objects import PG_CAST, PG_OPERATOR
from helios_cli.engine.sql.plan import Plan, Warned
from helios_cli.engine.sql.privileges import PG_LARGEOBJECT
from helios_cli.engine.sql.rights import not_owner
from helios_cli.engine.sql.sqltext import constant

PG_CLASS: Final = 1259
PG_CONSTRAINT: Final = 2606
PG_NAMESPACE: Final = 2615
PG_DATABASE: Final = 1262
PG_AUTHID: Final = 1260
PG_TYPE: Final = 1247
_RELATIONS: Final = ("OBJECT_TABLE", "OBJECT_VIEW", "OBJECT_SEQUENCE", "OBJECT_MATVIEW")

Target = tuple[bool, int, int, int]
"""(temporary, object OID, class OID, column number or 0)."""


def comment(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan COMMENT ON; an empty or NULL comment removes it.

    Raises:
        SqlError: 42P01, 42703, 42704 for missing objects; 0A000 for kinds that do not exist here.
    """
    kind = fields["objtype"]
    if kind == "OBJECT_EXTENSION":
        _extension(builder, fields)
        return builder.finish("COMMENT")
    finder = _FINDERS.get(kind)
    if finder is None:
        raise unsupported(f"COMMENT ON {object_words(kind)}")
    target = finder(builder, fields["object"])
    if target is None:
        return builder.finish("COMMENT")
    temp, oid, class_oid, column = target
    builder.touch(temp)
    if class_oid in (PG_DATABASE, PG_AUTHID):
        _comment_for_all(builder, oid, class_oid, fields.get("comment"))
        return builder.finish("COMMENT")
    builder.add(delete(temp, "helios_description", objoid=oid, classoid=class_oid, objsubid=column))
    text = fields.get("comment")
    if text:
        builder.add(
            insert(temp, "helios_description", objoid=oid, classoid=class_oid, objsubid=column, description=text)
        )
    return builder.finish("COMMENT")


def _comment_for_all(builder: Builder, oid: int, class_oid: int, text: str | None) -> None:
    """A comment on a database or role, which every database shows."""
    builder.add(f"DELETE FROM {CLUSTER_DESCRIPTION} WHERE objoid = {oid} AND classoid = {class_oid} AND objsubid = 0")
    if text:
        values = f"({oid}, {class_oid}, 0, {constant(text)})"
        builder.add(f"INSERT INTO {CLUSTER_DESCRIPTION}(objoid, classoid, objsubid, description) VALUES {values}")


def _relation(kinds: str, word: str) -> Callable[[Builder, dict[str, Any]], Target]:
    def find(builder: Builder, node: dict[str, Any]) -> Target:
        relation = builder.find_relation(range_var_of(list_names(node)))
        assert relation is not None
        if relation.kind not in kinds:
            raise builder.error("42809", f'"{relation.name}" is not a {word}')
        return relation.oid >= 0x8000_0000, relation.oid, PG_CLASS, 0

    return find


def _owned(builder: Builder, owner: int, word: str, names: list[str]) -> None:
    """Raise SqlError 42501 unless the role owns what a statement names."""
    if not builder.rightful().owns(owner):
        raise not_owner(word, ".".join(names))


def _routine(kind: str) -> Callable[[Builder, dict[str, Any]], Target]:
    def find(builder: Builder, node: dict[str, Any]) -> Target:
        routine = find_routine(builder, node["ObjectWithArgs"], kind)
        assert routine is not None
        _owned(builder, routine.owner, WORDS[kind], tree.strings(node["ObjectWithArgs"]["objname"]))
        return False, routine.oid, PG_PROC_OID, 0

    return find


def _policy(builder: Builder, node: dict[str, Any]) -> Target:
    *table, name = list_names(node)
    relation = builder.find_relation(range_var_of(table))
    assert relation is not None
    for policy in builder.catalog.policies(relation.oid):
        if policy.name == name:
            return False, policy.oid, PG_POLICY, 0
    raise builder.error("42704", f'policy "{name}" for table "{relation.name}" does not exist')


def _trigger(builder: Builder, node: dict[str, Any]) -> Target:
    names = list_names(node)
    relation = builder.find_relation(range_var_of(names[:-1]))
    assert relation is not None
    trigger = find_trigger(builder, relation, names[-1])
    if trigger is None:
        raise builder.error("42704", f'trigger "{names[-1]}" for table "{relation.name}" does not exist')
    return False, trigger.oid, PG_TRIGGER_OID, 0


def _collation(builder: Builder, node: dict[str, Any]) -> Target:
    names = list_names(node)
    found = find_collation(names, builder.context())
    _owned(builder, found.owner, "collation", names)
    return False, found.oid, PG_COLLATION, 0


def _domain_constraint(builder: Builder, node: dict[str, Any]) -> Target:
    typename, name = node["List"]["items"]
    domain = find_domain(builder, type_names(typename))
    for check in domain.checks[len(domain.checks) - domain.own_checks :]:
        if check.name == name["String"]["sval"]:
            return home_of(builder, domain.oid), check.oid, PG_CONSTRAINT, 0
    raise builder.error("42704", f'constraint "{name["String"]["sval"]}" for domain {domain.name} does not exist')


def _attribute(builder: Builder, names: list[str]) -> Target | None:
    """A column of a composite type, which is no relation otherwise; None when there is no such type."""
    found = builder.catalog.user_type(names[-3] if len(names) > 2 else None, names[-2])
    if found is None or found.kind != "c" or found.relation:
        return None
    _owned(builder, found.owner, "relation", names[-2:-1])
    for field in found.fields:
        if field.name == names[-1]:
            return home_of(builder, found.oid), number_of(found.oid), PG_CLASS, field.attnum
    raise builder.error("42703", f'column "{names[-1]}" of relation "{found.name}" does not exist')


def _column(builder: Builder, node: dict[str, Any]) -> Target:
    names = list_names(node)
    attribute = _attribute(builder, names) if len(names) > 1 else None
    if attribute is not None:
        return attribute
    relation = builder.find_relation(range_var_of(names[:-1]))
    assert relation is not None
    column = next((found for found in relation.columns if found.name == names[-1]), None)
    if column is None:
        raise builder.error("42703", f'column "{names[-1]}" of relation "{relation.name}" does not exist')
    return relation.oid >= 0x8000_0000, relation.oid, PG_CLASS, column.attnum


def _index(builder: Builder, node: dict[str, Any]) -> Target:
    names = list_names(node)
    index = builder.catalog.index_def(names[-2] if len(names) > 1 else None, names[-1])
    if index is None:
        raise builder.error("42P01", f'relation "{names[-1]}" does not exist')
    return index.oid >= 0x8000_0000, index.oid, PG_CLASS, 0


def _constraint(builder: Builder, node: dict[str, Any]) -> Target:
    *table_names, name = list_names(node)
    table = builder.find_table(range_var_of(table_names))
    assert table is not None
    constraint = table.constraint(name)
    if constraint is None:
        raise builder.error("42704", f'constraint "{name}" for table "{table.name}" does not exist')
    return table.temp, constraint.oid, PG_CONSTRAINT, 0


def _schema(builder: Builder, node: dict[str, Any]) -> Target:
    name = node["String"]["sval"]
    oid = builder.catalog.schema_oid(name)
    if oid is None:
        raise builder.error("3F000", f'schema "{name}" does not exist')
    return False, oid, PG_NAMESPACE, 0


def _database(builder: Builder, node: dict[str, Any]) -> Target | None:
    name = node["String"]["sval"]
    found = builder.catalog.databases().get(name)
    if found is not None:
        check_owner(builder, found)
        return False, found.oid, PG_DATABASE, 0
    # A dump of another database says so much, and is not to fail over it.
    builder.notices.append(Warned(f'database "{name}" does not exist', "3D000"))
    return None


def _extension(builder: Builder, fields: dict[str, Any]) -> None:
    """COMMENT ON EXTENSION, which dumps say of each. Raises SqlError 42704, and 0A000 for another text than its own."""
    name = fields["object"]["String"]["sval"]
    if name not in builder.catalog.extensions():
        raise builder.error("42704", f'extension "{name}" does not exist')
    if fields.get("comment") != EXTENSIONS[name].comment:
        raise unsupported("another comment on an extension than its own")


def _role(builder: Builder, node: dict[str, Any]) -> Target:
    role = builder.catalog.role(node["String"]["sval"])
    if role is None:
        raise builder.error("42704", f'role "{node["String"]["sval"]}" does not exist')
    return False, role.oid, PG_AUTHID, 0


def _type(builder: Builder, node: dict[str, Any]) -> Target:
    found = find_type(builder, type_names(node))
    assert found is not None
    return False, found.oid, PG_TYPE, 0


def _large_object(builder: Builder, node: dict[str, Any]) -> Target:
    return False, commented(builder, node), PG_LARGEOBJECT, 0


def _operator(builder: Builder, node: dict[str, Any]) -> Target:
    found = find_operator(builder, node["ObjectWithArgs"])
    assert found is not None
    _owned(builder, found.owner, "operator", tree.strings(node["ObjectWithArgs"]["objname"]))
    return False, found.oid, PG_OPERATOR, 0


def _cast(builder: Builder, node: dict[str, Any]) -> Target:
    found = find_cast(builder, node["List"]["items"])
    assert found is not None
    return False, found.oid, PG_CAST, 0


_FINDERS: Final[dict[str, Callable[[Builder, dict[str, Any]], Target | None]]] = {
    **{kind: _routine(kind) for kind in WORDS},
    "OBJECT_OPERATOR": _operator,
    "OBJECT_CAST": _cast,
    "OBJECT_POLICY": _policy,
    "OBJECT_TRIGGER": _trigger,
    "OBJECT_TABLE": _relation("rt", "table"),
    "OBJECT_VIEW": _relation("v", "view"),
    "OBJECT_SEQUENCE": _relation("S", "sequence"),
    "OBJECT_MATVIEW": _relation("mM", "materialized view"),
    "OBJECT_COLUMN": _column,
    "OBJECT_INDEX": _index,
    "OBJECT_TABCONSTRAINT": _constraint,
    "OBJECT_DOMCONSTRAINT": _domain_constraint,
    "OBJECT_SCHEMA": _schema,
    "OBJECT_DATABASE": _database,
    "OBJECT_ROLE": _role,
    "OBJECT_TYPE": _type,
    "OBJECT_DOMAIN": _type,
    "OBJECT_COLLATION": _collation,
    "OBJECT_LARGEOBJECT": _large_object,
}


def create_schema(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan CREATE SCHEMA.

    Raises:
        SqlError: 42P06 it exists, 42939 a reserved name; what its tables and sequences raise.
    """
    owner = fields.get("authrole")
    name = fields.get("schemaname") or role_name(owner or {})
    if name.startswith("pg_"):
        detail = 'The prefix "pg_" is reserved for system schemas.'
        raise builder.error("42939", f'unacceptable schema name "{name}"', detail=detail)
    if builder.catalog.schema_oid(name) is not None:
        if fields.get("if_not_exists"):
            builder.notices.append(f'schema "{name}" already exists, skipping')
            return builder.finish("CREATE SCHEMA")
        raise builder.error("42P06", f'schema "{name}" already exists')
    role = builder.role_oid(owner) if owner else builder.catalog.acting.oid
    oid = builder.oid(False)
    builder.add(insert(False, "helios_namespace", oid=oid, nspname=name, nspowner=role))
    if fields.get("schemaElts"):
        create_parts(builder, fields["schemaElts"], name, oid)
    return builder.finish("CREATE SCHEMA")


def _move_sequence(builder: Builder, oid: int, schema: str) -> None:
    """Defaults follow a sequence to another schema. Raises SqlError 0A000 for one that goes with its table."""
    sequence = builder.catalog.sequence_def(oid)
    assert sequence is not None
    owner = builder.catalog.relation_by_oid(sequence.owner_oid) if sequence.owner_oid else None
    if owner is not None:
        raise builder.error(
            "0A000", "cannot move an owned sequence into another schema",
            detail=f'Sequence "{sequence.name}" is linked to table "{owner.name}".',
        )  # fmt: skip
    follow(builder, (sequence.schema, sequence.name), (schema, sequence.name))


def set_schema(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan ALTER ... SET SCHEMA of a table, view or sequence; a table takes its indexes and sequences along.

    Raises:
        SqlError: 3F000 no such schema, 42P07 the name is taken there.
    """
    kind = fields["objectType"]
    if kind in ("OBJECT_TYPE", "OBJECT_DOMAIN"):
        return move_type(builder, fields)
    if kind == "OBJECT_COLLATION":
        return move_collation(builder, fields)
    if kind == "OBJECT_OPERATOR":
        return move_operator(builder, fields)
    if kind in WORDS:
        return move_routine(builder, fields)
    tag = f"ALTER {kind.removeprefix('OBJECT_')}"
    if kind not in _RELATIONS:
        raise unsupported(f"{tag} SET SCHEMA")
    relation = builder.find_relation(fields["relation"], bool(fields.get("missing_ok")))
    if relation is None:
        return builder.finish(tag)
    schema = fields["newschema"]
    if builder.catalog.schema_oid(schema) is None:
        raise builder.error("3F000", f'schema "{schema}" does not exist')
    if relation.oid >= 0x8000_0000:
        raise builder.error("0A000", "cannot move objects into or out of temporary schemas")
    if not builder.name_is_free(schema, relation.name):
        raise builder.error("42P07", f'relation "{relation.name}" already exists in schema "{schema}"')
    oids = [relation.oid]
    follow_relations(builder, {relation.oid: (schema, relation.name)})
    if relation.kind == "S":
        _move_sequence(builder, relation.oid, schema)
    table = builder.catalog.table_def(relation.oid)
    if table is not None:
        oids += [index.oid for index in table.indexes]
        for sequence in builder.catalog.owned_sequences(table.oid):
            oids.append(sequence.oid)
            follow(builder, (sequence.schema, sequence.name), (schema, sequence.name))
    listed = ", ".join(map(str, oids))
    new = "'" + schema.replace("'", "''") + "'"
    builder.add(f"UPDATE {database_of(False)}.helios_relation SET nspname = {new} WHERE oid IN ({listed})")
    return builder.finish(tag)
