"""Table constraints: primary key, unique, check and foreign key, with the names PostgreSQL gives them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from helios_cli.engine.datatypes import registry
from helios_cli.engine.sql import tree
from helios_cli.engine.sql.coercion import Context as How
from helios_cli.engine.sql.coercion import can_coerce
from helios_cli.engine.sql.ddl_build import Builder, make_object_name, unsupported
from helios_cli.engine.sql.ddl_deparse import column_names, deparse
from helios_cli.engine.sql.ddl_model import (
    DEFERRABLE,
    DEFERRED,
    NULLS_ALIKE,
    ConstraintDef,
    IndexDef,
    IndexKey,
    TableDef,
)
from helios_cli.engine.sql.ddl_partition_rows import check_key
from helios_cli.engine.sql.oids import INTEGERS
from helios_cli.engine.sql.plan import Debugged

_JSON_LIKE = frozenset((114, 142, 600))
"""json, xml, point: types without an order, so without unique constraints."""


def add_constraint(builder: Builder, table: TableDef, fields: dict[str, Any]) -> ConstraintDef:
    """Add one constraint, with its index where it has one, to a definition. No steps are written.

    Raises:
        SqlError: 42703 unknown column, 42P16 a second primary key, 42830 no key to refer to, and others.
    """
    kind = fields["contype"]
    if kind in ("CONSTR_PRIMARY", "CONSTR_UNIQUE"):
        return _add_key(builder, table, fields)
    if kind == "CONSTR_CHECK":
        return _add_check(builder, table, fields)
    if kind == "CONSTR_FOREIGN":
        return _add_foreign_key(builder, table, fields)
    if kind == "CONSTR_EXCLUSION":
        # The module that reads them needs that of indexes, which needs this one's neighbors.
        from helios_cli.engine.sql.ddl_exclusion import add_exclusion

        if fields.get("conname") is not None:
            _claim(builder, table, fields["conname"])
        return add_exclusion(builder, table, fields)
    raise unsupported(f"table constraint {kind}")


def _free_name(table: TableDef, *parts: str) -> str:
    count = 0
    while True:
        name = make_object_name(parts, str(count) if count else "")
        if table.constraint(name) is None:
            return name
        count += 1


def _claim(builder: Builder, table: TableDef, name: str) -> None:
    if table.constraint(name) is not None:
        raise builder.error("42710", f'constraint "{name}" for relation "{table.name}" already exists')


# -- primary key and unique ---------------------------------------------------------------------------------------


def _add_key(builder: Builder, table: TableDef, fields: dict[str, Any]) -> ConstraintDef:
    primary = fields["contype"] == "CONSTR_PRIMARY"
    if primary and table.primary_key() is not None:
        message = f'multiple primary keys for table "{table.name}" are not allowed'
        raise builder.error("42P16", message, fields.get("location", -1))
    constraint = _keyed(builder, table, fields, primary)
    constraint.deferrable = bool(fields.get("deferrable") or fields.get("initdeferred"))
    constraint.deferred = bool(fields.get("initdeferred"))
    index = next(found for found in table.indexes if found.oid == constraint.index_oid)
    if "indexname" not in fields:
        index.rules = (
            (NULLS_ALIKE if fields.get("nulls_not_distinct") else 0)
            | (DEFERRABLE if constraint.deferrable else 0)
            | (DEFERRED if constraint.deferred else 0)
        )
    elif constraint.deferrable:
        raise unsupported("ADD CONSTRAINT ... USING INDEX ... DEFERRABLE", "Add the constraint without the index.")
    return constraint


def _keyed(builder: Builder, table: TableDef, fields: dict[str, Any], primary: bool) -> ConstraintDef:
    if "indexname" in fields:
        return _adopt_index(builder, table, fields, primary)
    names = tree.strings(fields["keys"])
    _check_key_columns(builder, table, names, primary, fields.get("location", -1))
    include = tuple(tree.strings(fields.get("including", [])))
    local = not fields.get("inherited")
    return _make_key(builder, table, fields.get("conname"), names, primary, include, local=local)


def _make_key(
    builder: Builder, table: TableDef, given: str | None, names: list[str], primary: bool, include: tuple[str, ...],
    *, local: bool,
) -> ConstraintDef:  # fmt: skip
    if given is not None:
        _claim(builder, table, given)
        builder.claim_name(table.schema, given)
        name = given
    elif primary:
        name = builder.choose_relation_name(table.schema, table.name, "pkey")
    else:
        name = builder.choose_relation_name(table.schema, table.name, "_".join((*names, *include)), "key")
    check_key(builder, table, primary, tuple(names))
    index = IndexDef(
        oid=builder.oid(table.temp), schema=table.schema, name=name,
        sqlite_name=builder.sqlite_name(table.schema, name, table.temp), table_oid=table.oid, unique=True,
        primary=primary, method="btree", keys=tuple(IndexKey(column) for column in names), include=include,
    )  # fmt: skip
    constraint = ConstraintDef(
        oid=builder.oid(table.temp), table_oid=table.oid, name=name, kind="p" if primary else "u",
        columns=tuple(names), index_oid=index.oid, local=local,
    )  # fmt: skip
    table.indexes.append(index)
    table.constraints.append(constraint)
    head = f"{'ALTER TABLE / ADD' if builder.altering else 'CREATE TABLE /'} {'PRIMARY KEY' if primary else 'UNIQUE'}"
    builder.notices.append(Debugged(f'{head} will create implicit index "{name}" for table "{table.name}"'))
    builder.notices.append(Debugged(f'building index "{name}" on table "{table.name}" serially'))
    return constraint


def _check_key_columns(builder: Builder, table: TableDef, names: list[str], primary: bool, at: int) -> None:
    what = "primary key" if primary else "unique"
    for position, name in enumerate(names):
        column = table.column(name)
        if column is None:
            raise builder.error("42703", f'column "{name}" named in key does not exist', at)
        if name in names[:position]:
            raise builder.error("42701", f'column "{name}" appears twice in {what} constraint', at)
        if column.type_oid in _JSON_LIKE:
            shown = registry.sql_type_name(column.type_oid)
            raise builder.error("42704", f'data type {shown} has no default operator class for access method "btree"')
        if primary:
            column.not_null = True


def _adopt_index(builder: Builder, table: TableDef, fields: dict[str, Any], primary: bool) -> ConstraintDef:
    """ADD CONSTRAINT ... USING INDEX."""
    found = next((index for index in table.indexes if index.name == fields["indexname"]), None)
    if found is None:
        raise builder.error("42704", f'index "{fields["indexname"]}" does not exist')
    columns = [key.column for key in found.keys if key.column is not None]
    if not found.unique or found.predicate is not None or len(columns) != len(found.keys):
        raise builder.error("42809", f'"{found.name}" is not a unique index over plain columns')
    _check_key_columns(builder, table, columns, primary, fields.get("location", -1))
    name = fields.get("conname") or found.name
    _claim(builder, table, name)
    found.primary = primary
    if name != found.name:
        message = f'ALTER TABLE / ADD CONSTRAINT USING INDEX will rename index "{found.name}" to "{name}"'
        builder.notices.append(message)
        builder.claim_name(table.schema, name)
        found.name = name
    constraint = ConstraintDef(
        builder.oid(table.temp), table.oid, name, "p" if primary else "u", tuple(columns), found.oid
    )
    table.constraints.append(constraint)
    return constraint


# -- check --------------------------------------------------------------------------------------------------------


def _add_check(builder: Builder, table: TableDef, fields: dict[str, Any]) -> ConstraintDef:
    node = fields["raw_expr"]
    for part in tree.walk(node):
        if isinstance(part.get("SubLink"), dict):
            raise builder.error("0A000", "cannot use subquery in check constraint", part["SubLink"].get("location", -1))
    named = column_names(node)
    builder.translate_node(table, node, "CHECK")
    name = fields.get("conname")
    if name is None:
        own = fields.get("column") or (named[0] if len(named) == 1 else "")
        name = _free_name(table, table.name, own, "check")
    _claim(builder, table, name)
    types = {column.name: column.type_oid for column in table.columns}
    constraint = ConstraintDef(
        oid=builder.oid(table.temp), table_oid=table.oid, name=name, kind="c", columns=named,
        expression=deparse(node, types), no_inherit=bool(fields.get("is_no_inherit")),
        local=not fields.get("inherited"),
    )  # fmt: skip
    table.constraints.append(constraint)
    return constraint


# -- foreign key --------------------------------------------------------------------------------------------------


def _add_foreign_key(builder: Builder, table: TableDef, fields: dict[str, Any]) -> ConstraintDef:
    own = tree.strings(fields["fk_attrs"])
    for name in own:
        if table.column(name) is None:
            raise builder.error("42703", f'column "{name}" referenced in foreign key constraint does not exist')
    if fields.get("fk_matchtype") == "p":
        raise unsupported("MATCH PARTIAL")
    to_set = tuple(tree.strings(fields.get("fk_del_set_cols", [])))
    for name in to_set:
        if name not in own:
            message = f'column "{name}" referenced in ON DELETE SET action must be part of foreign key'
            raise builder.error("42P10", message)
    target = _referenced_table(builder, table, fields["pktable"])
    named = tree.strings(fields.get("pk_attrs", []))
    index, referenced = _referenced_key(builder, target, named)
    if index.deferrable:
        message = f'cannot use a deferrable unique constraint for referenced table "{target.name}"'
        raise builder.error("55000", message)
    if len(own) != len(referenced):
        raise builder.error("42830", "number of referencing and referenced columns for foreign key disagree")
    name = fields.get("conname") or _free_name(table, table.name, "_".join(own), "fkey")
    _claim(builder, table, name)
    check_key_types(builder, table, target, own, referenced, name)
    constraint = ConstraintDef(
        oid=builder.oid(table.temp), table_oid=table.oid, name=name, kind="f", columns=tuple(own),
        ref_oid=target.oid, ref_columns=tuple(referenced), ref_index_oid=index.oid,
        on_update=fields.get("fk_upd_action", "a"), on_delete=fields.get("fk_del_action", "a"),
        match=fields.get("fk_matchtype", "s"),
        deferrable=bool(fields.get("deferrable") or fields.get("initdeferred")),
        deferred=bool(fields.get("initdeferred")), local=not fields.get("inherited"), delete_columns=to_set,
    )  # fmt: skip
    table.constraints.append(constraint)
    if target.parted:
        # The module that does it needs the one that this one needs.
        from helios_cli.engine.sql.ddl_part_keys import keep_keys

        keep_keys(builder, target, index)
    return constraint


def _referenced_table(builder: Builder, table: TableDef, range_var: dict[str, Any]) -> TableDef:
    if _means(builder, table, range_var):
        return table
    relation = builder.find_relation(range_var)
    target = builder.catalog.table_def(relation.oid) if relation is not None else None
    if target is None:
        raise builder.error("42809", f'referenced relation "{range_var["relname"]}" is not a table')
    if target.temp != table.temp:
        words = ("permanent", "permanent") if target.temp else ("temporary", "temporary")
        raise builder.error("42P16", f"constraints on {words[0]} tables may reference only {words[1]} tables")
    return target


def _means(builder: Builder, table: TableDef, range_var: dict[str, Any]) -> bool:
    """Whether a name is that of the table in hand, which may not be there yet and be hidden by another one."""
    schema, path = range_var.get("schemaname"), builder.catalog.search_path
    if range_var["relname"] != table.name or schema is not None or (table.temp and table.schema not in path):
        return range_var["relname"] == table.name and schema in (None, table.schema)
    if table.schema not in path:
        return False
    found = builder.catalog.relation(None, table.name)
    return found is None or (found.schema in path and path.index(table.schema) <= path.index(found.schema))


def _referenced_key(builder: Builder, target: TableDef, named: list[str]) -> tuple[IndexDef, list[str]]:
    """The unique index a foreign key stands on, and the referenced columns in the order of the key's own."""
    if not named:
        primary = target.primary_key()
        if primary is None:
            raise builder.error("42704", f'there is no primary key for referenced table "{target.name}"')
        return next(index for index in target.indexes if index.oid == primary.index_oid), list(primary.columns)
    for name in named:
        if target.column(name) is None:
            raise builder.error("42703", f'column "{name}" referenced in foreign key constraint does not exist')
    for index in target.indexes:
        keys = [key.column for key in index.keys]
        fits = index.unique and index.predicate is None and None not in keys and not index.incomplete
        if fits and sorted(map(str, keys)) == sorted(named):
            return index, named
    message = f'there is no unique constraint matching given keys for referenced table "{target.name}"'
    raise builder.error("42830", message)


def check_keys_of(builder: Builder, table: TableDef, column: str) -> None:
    """See to it that the foreign keys from and to a column can still be compared. Raises SqlError 42804."""
    for key in (*table.constraints, *builder.catalog.referencing(table.oid)):
        own = table if key.table_oid == table.oid else builder.catalog.table_def(key.table_oid)
        target = table if key.ref_oid == table.oid else builder.catalog.table_def(key.ref_oid)
        met = column in (key.columns if own is table else ()) or column in (key.ref_columns if target is table else ())
        if key.kind == "f" and met and own is not None and target is not None:
            check_key_types(builder, own, target, key.columns, key.ref_columns, key.name)


def check_key_types(
    builder: Builder, table: TableDef, target: TableDef, own: Sequence[str], referenced: Sequence[str], name: str
) -> None:
    """Refuse a foreign key between columns of types that cannot be compared. Raises SqlError 42804."""
    for mine, theirs in zip(own, referenced, strict=True):
        one, other = table.column(mine), target.column(theirs)
        if one is None or other is None:
            continue
        if one.type_oid == other.type_oid or can_coerce(one.type_oid, other.type_oid, How.IMPLICIT):
            continue
        if one.type_oid in INTEGERS and other.type_oid in INTEGERS:
            continue
        shown = registry.sql_type_name(one.type_oid), registry.sql_type_name(other.type_oid)
        raise builder.error(
            "42804", f'foreign key constraint "{name}" cannot be implemented',
            detail=f'Key columns "{mine}" and "{theirs}" are of incompatible types: {shown[0]} and {shown[1]}.',
        )  # fmt: skip
