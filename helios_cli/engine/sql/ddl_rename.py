"""RENAME of tables, views, indexes, sequences, columns, constraints, schemas and roles."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from helios_cli.engine.sql.ddl_attributes import rename_attribute
from helios_cli.engine.sql.ddl_build import Builder, unsupported
from helios_cli.engine.sql.ddl_checks import user_check_name
from helios_cli.engine.sql.ddl_collation import move_collations_of, rename_collation
from helios_cli.engine.sql.ddl_database import rename_database
from helios_cli.engine.sql.ddl_deparse import rename_column
from helios_cli.engine.sql.ddl_domains import rename_domain_constraint
from helios_cli.engine.sql.ddl_exclusion import drop_steps
from helios_cli.engine.sql.ddl_family import renamed
from helios_cli.engine.sql.ddl_follow import follow_column, follow_relations, follow_schema
from helios_cli.engine.sql.ddl_model import ConstraintDef, TableDef
from helios_cli.engine.sql.ddl_partition_rows import partition_rows
from helios_cli.engine.sql.ddl_policy import rename_policy
from helios_cli.engine.sql.ddl_render import check_clause, database_of, keys_json, qualified, update
from helios_cli.engine.sql.ddl_routine import WORDS, rename_routine
from helios_cli.engine.sql.ddl_sequence_names import follow
from helios_cli.engine.sql.ddl_trigger import rename_trigger
from helios_cli.engine.sql.ddl_types import rename_type
from helios_cli.engine.sql.ddl_view_columns import rename_view_column
from helios_cli.engine.sql.plan import Plan
from helios_cli.engine.sql.sqltext import quote_identifier

_RELATION_KINDS: Final = {
    "OBJECT_TABLE": "TABLE",
    "OBJECT_VIEW": "VIEW",
    "OBJECT_SEQUENCE": "SEQUENCE",
    "OBJECT_MATVIEW": "MATERIALIZED VIEW",
}


def rename(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan any ALTER ... RENAME.

    Raises:
        SqlError: 42P01 and its like for missing objects, 42P07, 42701 and 42710 for names taken.
    """
    kind = fields["renameType"]
    if kind in WORDS:
        return rename_routine(builder, fields)
    if kind == "OBJECT_POLICY":
        return rename_policy(builder, fields)
    if kind == "OBJECT_TRIGGER":
        return rename_trigger(builder, fields)
    handler = _HANDLERS.get(kind)
    if handler is None:
        raise unsupported(f"renaming {kind.removeprefix('OBJECT_').replace('_', ' ').lower()}")
    return handler(builder, fields)


def _relation(builder: Builder, fields: dict[str, Any]) -> Plan:
    tag = f"ALTER {_RELATION_KINDS[fields['renameType']]}"
    relation = builder.find_relation(fields["relation"], bool(fields.get("missing_ok")))
    if relation is None:
        return builder.finish(tag)
    if relation.kind == "c":
        raise builder.error("42501", f'permission denied: "{relation.name}" is a system catalog')
    temp = relation.oid >= 0x8000_0000
    builder.touch(temp)
    new = fields["newname"]
    builder.claim_name(relation.schema, new)
    changes: dict[str, object] = {"relname": new}
    follow_relations(builder, {relation.oid: (relation.schema, new)})
    if relation.kind in ("r", "t", "m", "M"):
        changes["sqlite_name"] = builder.sqlite_name(relation.schema, new, temp)
        target = quote_identifier(str(changes["sqlite_name"]))
        builder.add(f"ALTER TABLE {qualified(relation.sqlite_name, temp)} RENAME TO {target}")
    if relation.kind == "S":
        follow(builder, (relation.schema, relation.name), (relation.schema, new))
    builder.add(update(temp, "helios_relation", changes, oid=relation.oid))
    return builder.finish(tag)


def _index(builder: Builder, fields: dict[str, Any]) -> Plan:
    range_var = fields["relation"]
    index = builder.catalog.index_def(range_var.get("schemaname"), range_var["relname"])
    if index is None:
        if fields.get("missing_ok"):
            builder.notices.append(f'relation "{range_var["relname"]}" does not exist, skipping')
            return builder.finish("ALTER INDEX")
        raise builder.error("42P01", f'relation "{range_var["relname"]}" does not exist')
    temp = index.oid >= 0x8000_0000
    builder.touch(temp)
    builder.claim_name(index.schema, fields["newname"])
    builder.add(
        update(temp, "helios_relation", {"relname": fields["newname"]}, oid=index.oid),
        update(temp, "helios_constraint", {"conname": fields["newname"]}, conindid=index.oid),
    )
    return builder.finish("ALTER INDEX")


def _schema(builder: Builder, fields: dict[str, Any]) -> Plan:
    old, new = fields["subname"], fields["newname"]
    if builder.catalog.schema_oid(old) is None:
        raise builder.error("3F000", f'schema "{old}" does not exist')
    if builder.catalog.schema_oid(new) is not None:
        raise builder.error("42P06", f'schema "{new}" already exists')
    if new.startswith("pg_") or old in ("pg_catalog", "information_schema"):
        raise builder.error("42939", f'unacceptable schema name "{new}"')
    for found in builder.catalog.schema_sequences(old):
        follow(builder, (old, found), (new, found))
    move_collations_of(builder, old, new)
    follow_schema(builder, old, new)
    if any(found.schema == old for found in builder.catalog.all_types()):
        builder.add(update(False, "helios_type", {"nspname": new}, nspname=old))
    if any(found.schema == old for found in builder.catalog.all_routines()):
        builder.add(update(False, "helios_function", {"nspname": new}, nspname=old))
    if any(found.schema == old for found in builder.catalog.all_operators()):
        builder.add(update(False, "helios_operator", {"nspname": new}, nspname=old))
    builder.add(
        update(False, "helios_namespace", {"nspname": new}, nspname=old),
        update(False, "helios_relation", {"nspname": new}, nspname=old),
    )
    return builder.finish("ALTER SCHEMA")


def _role(builder: Builder, fields: dict[str, Any]) -> Plan:
    role = builder.catalog.role(fields["subname"])
    if role is None:
        raise builder.error("42704", f'role "{fields["subname"]}" does not exist')
    if builder.catalog.role(fields["newname"]) is not None:
        raise builder.error("42710", f'role "{fields["newname"]}" already exists')
    builder.add(update(False, "helios_role", {"rolname": fields["newname"]}, oid=role.oid))
    return builder.finish("ALTER ROLE")


def _constraint(builder: Builder, fields: dict[str, Any]) -> Plan:
    table = builder.find_table(fields["relation"], bool(fields.get("missing_ok")))
    if table is None:
        return builder.finish("ALTER TABLE")
    constraint, new = table.constraint(fields["subname"]), fields["newname"]
    if constraint is None:
        raise builder.error("42704", f'constraint "{fields["subname"]}" for table "{table.name}" does not exist')
    tables = [table]
    if constraint.kind == "c" and not constraint.no_inherit:
        inh = bool(fields["relation"].get("inh"))
        tables = renamed(builder, table, constraint.name, recurses=inh, constraint=True)
    for one in tables:
        found = one.constraint(fields["subname"])
        if found is not None:
            _rename_constraint(builder, one, found, new)
    return builder.finish("ALTER TABLE")


def _rename_constraint(builder: Builder, table: TableDef, constraint: ConstraintDef, new: str) -> None:
    if table.constraint(new) is not None:
        raise builder.error("42710", f'constraint "{new}" for relation "{table.name}" already exists')
    builder.touch(table.temp)
    if constraint.kind in "pux":
        builder.claim_name(table.schema, new)
        builder.add(update(table.temp, "helios_relation", {"relname": new}, oid=constraint.index_oid))
    elif constraint.kind == "c":
        _rename_check(builder, table, constraint, new)
    builder.add(update(table.temp, "helios_constraint", {"conname": new}, oid=constraint.oid))


def _rename_check(builder: Builder, table: TableDef, constraint: ConstraintDef, new: str) -> None:
    alter = f"ALTER TABLE {qualified(table.sqlite_name, table.temp)}"
    builder.add(f"{alter} DROP CONSTRAINT {quote_identifier(user_check_name(constraint.oid, constraint.name))}")
    constraint.name = new
    builder.add(f"{alter} ADD {check_clause(table, constraint, builder.translate)}")


def _column(builder: Builder, fields: dict[str, Any]) -> Plan:
    tag = f"ALTER {_RELATION_KINDS.get(fields.get('relationType', ''), 'TABLE')}"
    relation = builder.catalog.relation(fields["relation"].get("schemaname"), fields["relation"]["relname"])
    if relation is not None and relation.kind in "vmM":
        rename_view_column(builder, relation, fields["subname"], fields["newname"])
        return builder.finish(tag)
    table = builder.find_table(fields["relation"], bool(fields.get("missing_ok")))
    if table is None:
        return builder.finish(tag)
    old, new = fields["subname"], fields["newname"]
    if table.column(old) is None:
        raise builder.error("42703", f'column "{old}" does not exist')
    tables = renamed(builder, table, old, recurses=bool(fields["relation"].get("inh")), constraint=False)
    follow_column(builder, [one.oid for one in tables], old, new)
    for one in tables:
        _rename_column(builder, one, old, new)
    return builder.finish(tag)


def _rename_column(builder: Builder, table: TableDef, old: str, new: str) -> None:
    column = table.column(old)
    assert column is not None
    if any(found.name.lower() == new.lower() and found is not column for found in table.columns):
        raise builder.error("42701", f'column "{new}" of relation "{table.name}" already exists')
    alter = f"ALTER TABLE {qualified(table.sqlite_name, table.temp)}"
    builder.touch(table.temp)
    builder.add(f"{alter} RENAME COLUMN {quote_identifier(old)} TO {quote_identifier(new)}")
    builder.add(update(table.temp, "helios_attribute", {"attname": new}, relid=table.oid, attnum=column.attnum))
    _rename_in_texts(builder, table, old, new)


def _rename_in_texts(builder: Builder, table: TableDef, old: str, new: str) -> None:
    """Stored expressions and column lists follow the new name."""
    types = {column.name: column.type_oid for column in table.columns}
    temp = table.temp

    def renamed(text: str | None) -> str | None:
        return rename_column(text, old, new, types) if text is not None else None

    def listed(names: tuple[str, ...]) -> str:
        return json.dumps([new if name == old else name for name in names])

    for column in table.columns:
        if column.generated:
            text = renamed(column.default)
            builder.add(update(temp, "helios_attribute", {"default_text": text}, relid=table.oid, attnum=column.attnum))
    if table.partition is not None:
        part = table.partition
        new_part = replace(
            part, keys=tuple(new if name == old else name for name in part.keys),
            expressions=tuple(renamed(text) or "" for text in part.expressions),
            own=renamed(part.own or None) or "", check=renamed(part.check or None) or "",
        )  # fmt: skip
        builder.add(*partition_rows(temp, table.oid, new_part))
    for constraint in table.constraints:
        changes: dict[str, object] = {
            "columns": listed(constraint.columns),
            "expression": listed(constraint.delete_columns)
            if constraint.delete_columns
            else renamed(constraint.expression),
        }
        builder.add(update(temp, "helios_constraint", changes, oid=constraint.oid))
    for constraint in builder.catalog.referencing(table.oid):
        builder.add(
            update(temp, "helios_constraint", {"confcolumns": listed(constraint.ref_columns)}, oid=constraint.oid)
        )
    for index in table.indexes:
        for key in index.keys:
            key.column = new if key.column == old else key.column
            key.expression = renamed(key.expression)
        changes = {
            "keys": keys_json(index.keys), "include": listed(index.include), "predicate": renamed(index.predicate),
        }  # fmt: skip
        builder.add(update(temp, "helios_index", changes, oid=index.oid))
    builder.add(update(temp, "helios_depend", {"refcolumn": new}, refobjid=table.oid, refcolumn=old))
    renamed_column = table.column(old)
    assert renamed_column is not None
    renamed_column.name = new
    for position, index in enumerate(table.indexes):
        if index.excludes:
            # Its triggers hold the names in the messages that they give.
            builder.add(*drop_steps(index, database_of(temp)), f"DROP INDEX {qualified(index.sqlite_name, temp)}")
            builder.add(builder.index_sql(table, position))


_HANDLERS: Final[dict[str, Callable[[Builder, dict[str, Any]], Plan]]] = {
    **dict.fromkeys(_RELATION_KINDS, _relation),
    "OBJECT_INDEX": _index,
    "OBJECT_COLUMN": _column,
    "OBJECT_ATTRIBUTE": rename_attribute,
    "OBJECT_TABCONSTRAINT": _constraint,
    "OBJECT_SCHEMA": _schema,
    "OBJECT_ROLE": _role,
    "OBJECT_TYPE": rename_type,
    "OBJECT_DOMAIN": rename_type,
    "OBJECT_DOMCONSTRAINT": rename_domain_constraint,
    "OBJECT_COLLATION": rename_collation,
    "OBJECT_DATABASE": rename_database,
}
