"""ALTER TYPE ... RENAME VALUE: the rows, the expressions and the queries that hold the label get the new one."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Final

from helios_cli.engine.datatypes.composite import Shape, has_type
from helios_cli.engine.datatypes.usertypes import pinned_name
from helios_cli.engine.sql.ddl_build import Builder, unsupported
from helios_cli.engine.sql.ddl_follow import follow_label, follow_label_in_policies
from helios_cli.engine.sql.ddl_model import TableDef
from helios_cli.engine.sql.ddl_rebuild import rebuild_table
from helios_cli.engine.sql.ddl_render import database_of, delete, keys_json, update
from helios_cli.engine.sql.ddl_schema import FIRST_TEMP_OID
from helios_cli.engine.sql.ddl_types import CHANGED, home_of, users_of
from helios_cli.engine.sql.ddl_view import made_anew
from helios_cli.engine.sql.plan import Plan
from helios_cli.engine.sql.relation import UserType
from helios_cli.engine.sql.row_values import type_shape
from helios_cli.engine.sql.sqltext import constant, quote_identifier
from helios_cli.engine.sql.stored_names import with_label_in_array

_WITH_DEFINITIONS: Final[tuple[tuple[str, Callable[[Any], Any]], ...]] = (
    ("type", lambda catalog: catalog.all_types()), ("function", lambda catalog: catalog.all_routines()),
    ("policy", lambda catalog: catalog.securities()), ("trigger", lambda catalog: catalog.all_triggers()),
)  # fmt: skip
"""System tables with expressions in a definition, and what tells whether there is such a table yet."""


def rename_value(builder: Builder, found: UserType, old: str, new: str) -> Plan:
    """Values are stored as their labels, so the columns that hold the label are rewritten."""
    if old not in found.labels:
        raise builder.error("22023", f'"{old}" is not an existing enum label')
    if new in found.labels:
        raise builder.error("42710", f'enum label "{new}" already exists')
    _refuse_bounds(builder, found, old)
    # Keys of the type refer to one another by the label: all are rewritten before they are looked at.
    builder.fk_off = True
    # While tables are rewritten both labels are there, side by side: an index finds the old and takes the new.
    temp = home_of(builder, found.oid)
    labels = f"{database_of(temp)}.helios_enum"
    twin = f"SELECT enumtypid, enumsortorder, {{}}, oid FROM {labels} WHERE enumtypid = {{}} AND enumlabel = {{}}"
    builder.add(
        f"INSERT INTO {labels}(enumtypid, enumsortorder, enumlabel, oid) "
        + twin.format(constant(new), found.oid, constant(old)),
        CHANGED,
    )
    for relation, column, type_oid in users_of(builder, found.oid):
        if relation.kind == "v":
            continue
        name = quote_identifier(column)
        table = quote_identifier(relation.sqlite_name)
        if type_oid == found.oid:
            # The label is compared as text: its place is the new one's already.
            builder.add(f"UPDATE {table} SET {name} = {constant(new)} WHERE {name} COLLATE BINARY = {constant(old)}")
        else:
            builder.add(
                f"UPDATE {table} SET {name} = pg_array_relabel({name}, {constant(old)}, {constant(new)}) "
                f"WHERE {name} IS NOT NULL"
            )
    _relabel_rows(builder, found, old, new)
    _relabel_texts(builder, found, old, new)
    builder.add(delete(temp, "helios_enum", enumtypid=found.oid, enumlabel=old), CHANGED)
    return builder.finish("ALTER TYPE")


def _refuse_bounds(builder: Builder, found: UserType, old: str) -> None:
    """Raise FeatureNotSupported where a partition is for the label."""
    for relation, _, _ in users_of(builder, found.oid):
        if relation.partition is not None and constant(old) in relation.partition.bound:
            raise unsupported(
                f'renaming a label that partition "{relation.name}" is for', "Detach the partition first."
            )


def _relabel_rows(builder: Builder, found: UserType, old: str, new: str) -> None:
    """The same inside columns of row types that hold the enum at any depth."""
    wanted = frozenset((found.oid, found.oid + 1))
    for other in builder.catalog.all_types():
        row = type_shape(other.oid, builder.context()) if other.kind == "c" else None
        if row is None or not has_type(row, wanted):
            continue
        for relation, column, type_oid in users_of(builder, other.oid):
            if relation.kind == "v":
                continue
            shape = row if type_oid == other.oid else Shape(type_oid, element=row)
            name, text = quote_identifier(column), constant(shape.text())
            builder.add(
                f"UPDATE {quote_identifier(relation.sqlite_name)} SET {name} = pg_row_relabel({text}, {name}, "
                f"{found.oid}, {constant(old)}, {constant(new)}) WHERE {name} IS NOT NULL"
            )


def _relabel_texts(builder: Builder, found: UserType, old: str, new: str) -> None:
    """The same in expressions of tables, and in the queries of views."""
    for oid in builder.catalog.tables_naming(pinned_name(found.oid)):
        table = builder.catalog.table_def(oid)
        if table is not None:
            _relabel_table(builder, table, found, old, new)
    follow_label_in_policies(builder, found.oid, old, new)
    texts = [json.dumps(f"{constant(label)}::{pinned_name(found.oid)}")[1:-1] for label in (old, new)]
    for table_name, known in _WITH_DEFINITIONS:
        if known(builder.catalog):
            builder.add(
                f"UPDATE main.helios_{table_name} SET definition = replace(definition, {constant(texts[0])}, "
                f"{constant(texts[1])}) WHERE instr(definition, {constant(texts[0])})"
            )
    for view in builder.catalog.views_naming(old.replace("'", "''")):
        text = builder.catalog.view_query(view.oid) or ""
        after = follow_label(builder, text, found.oid, old, new)
        if after == text:
            continue
        temp = view.oid >= FIRST_TEMP_OID
        builder.add(update(temp, "helios_relation", {"definition": after}, oid=view.oid))
        if view.kind == "v":
            drop, create = made_anew(builder, view, text)
            builder.add(drop, _compiled_with_label(create, found.oid, old, new))


def _relabel_table(builder: Builder, table: TableDef, found: UserType, old: str, new: str) -> None:
    """Rewrite what a table keeps of expressions; SQLite's form of most of them lies in the table itself."""
    temp, compiled = table.temp, False
    labels = found, old, new
    for column in table.columns:
        text = _relabeled(column.default, *labels)
        if text != column.default:
            column.default, compiled = text, compiled or bool(column.generated)
            builder.add(update(temp, "helios_attribute", {"default_text": text}, relid=table.oid, attnum=column.attnum))
    for constraint in table.constraints:
        text = _relabeled(constraint.expression, *labels)
        if text != constraint.expression:
            constraint.expression, compiled = text, True
            builder.add(update(temp, "helios_constraint", {"expression": text}, oid=constraint.oid))
    for index in table.indexes:
        before = keys_json(index.keys), index.predicate
        for key in index.keys:
            key.expression = _relabeled(key.expression, *labels)
        index.predicate = _relabeled(index.predicate, *labels)
        changes = keys_json(index.keys), index.predicate
        if changes != before:
            compiled = True
            builder.add(update(temp, "helios_index", {"keys": changes[0], "predicate": changes[1]}, oid=index.oid))
    if compiled:
        rebuild_table(builder, table)


def _relabeled(text: str | None, found: UserType, old: str, new: str) -> str | None:
    """A kept expression with the label's constants changed, within arrays too; None for none."""
    if text is None:
        return None
    pinned = pinned_name(found.oid)
    text = text.replace(f"{constant(old)}::{pinned}", f"{constant(new)}::{pinned}")
    arrays = re.compile(rf"('(?:[^']|'')*')(::{re.escape(pinned)}\[\])")
    return arrays.sub(lambda match: with_label_in_array(match[1], old, new) + match[2], text)


def _compiled_with_label(sql: str, enum: int, old: str, new: str) -> str:
    """SQLite's text of a query with the label's constants changed."""
    before, after = (f"pg_enum_in({enum}, {constant(label)})" for label in (old, new))
    arrays = re.compile(rf"(pg_enum_array_in\({enum}, )('(?:[^']|'')*')")
    return arrays.sub(lambda match: match[1] + with_label_in_array(match[2], old, new), sql.replace(before, after))
