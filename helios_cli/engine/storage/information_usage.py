"""Rows of information_schema about what uses what: constraints, views, types of columns and elements of arrays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from helios_cli.engine.datatypes import registry
from helios_cli.engine.sql.ddl_model import ColumnDef
from helios_cli.engine.storage.system_snapshot import RelationRow, Snapshot
from helios_cli.engine.storage.type_rows import DATABASE_NAME, type_name, udt_facts

Row = dict[str, Any]
Rows = Iterator[Row]

_READING: Final = ("r", "v")


def _named(relation: RelationRow, prefix: str = "table") -> Row:
    return {
        f"{prefix}_catalog": DATABASE_NAME, f"{prefix}_schema": relation.schema, f"{prefix}_name": relation.name,
    }  # fmt: skip


def constraint_table_usage(snapshot: Snapshot, oid: int) -> Rows:
    """The table of each key; of a foreign key the one it refers to."""
    constraint = snapshot.constraints[oid]
    if constraint.kind not in "puf":
        return
    table = snapshot.relations[constraint.table_oid]
    used = snapshot.relations.get(constraint.ref_oid, table) if constraint.kind == "f" else table
    yield {
        **_named(used), "constraint_catalog": DATABASE_NAME, "constraint_schema": table.schema,
        "constraint_name": constraint.name,
    }  # fmt: skip


def view_table_usage(snapshot: Snapshot, view: int) -> Rows:
    """The tables that a view reads."""
    for target in snapshot.depends_of[view]:
        reader, read = snapshot.relations.get(view), snapshot.relations.get(target)
        if reader is not None and read is not None and reader.kind == "v" and read.kind in _READING:
            yield {**_named(reader, "view"), **_named(read)}


def _columns(snapshot: Snapshot, oid: int) -> Iterator[tuple[RelationRow, ColumnDef]]:
    relation = snapshot.relations[oid]
    if relation.kind in _READING:
        for column in snapshot.columns[oid]:
            yield relation, column


def column_udt_usage(snapshot: Snapshot, oid: int) -> Rows:
    """The type of each column."""
    for relation, column in _columns(snapshot, oid):
        facts = udt_facts(snapshot, column.type_oid)
        udt = {key: facts[key] for key in ("udt_catalog", "udt_schema", "udt_name")}
        yield {**_named(relation), "column_name": column.name, **udt}


def column_domain_usage(snapshot: Snapshot, oid: int) -> Rows:
    """The domain of each column that has one."""
    for relation, column in _columns(snapshot, oid):
        if column.domain:
            schema, name = type_name(snapshot, column.domain)
            yield {
                **_named(relation), "column_name": column.name, "domain_catalog": DATABASE_NAME,
                "domain_schema": schema, "domain_name": name,
            }  # fmt: skip


def element_types(snapshot: Snapshot, oid: int) -> Rows:
    """The elements of columns that are arrays. Their lengths and scales PostgreSQL does not tell either."""
    for relation, column in _columns(snapshot, oid):
        known = registry.find_oid(column.type_oid)
        if known is not None and known.elem_oid:
            yield {
                "object_catalog": DATABASE_NAME, "object_schema": relation.schema, "object_name": relation.name,
                "object_type": "TABLE", "collection_type_identifier": str(column.attnum),
                **udt_facts(snapshot, known.elem_oid), "dtd_identifier": f"a{column.attnum}",
            }  # fmt: skip


def character_sets() -> Rows:
    """The one of the database, whose collation has no name."""
    yield {
        "character_set_name": "UTF8", "character_repertoire": "UCS", "form_of_use": "UTF8",
        "default_collate_catalog": DATABASE_NAME,
    }  # fmt: skip
