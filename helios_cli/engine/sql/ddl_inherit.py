"""CREATE TABLE ... INHERITS: columns and CHECK constraints taken over from parents (MergeAttributes, tablecmds.c)."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, Final

from helios_cli.engine.datatypes import registry
from helios_cli.engine.sql.ddl_build import Builder, as_relation
from helios_cli.engine.sql.ddl_columns import ColumnSpec
from helios_cli.engine.sql.ddl_deparse import deparse
from helios_cli.engine.sql.ddl_model import ColumnDef, ConstraintDef, TableDef
from helios_cli.engine.sql.ddl_render import database_of, insert
from helios_cli.engine.sql.ddl_sequence_names import planned_default
from helios_cli.engine.sql.plan import Detailed
from helios_cli.engine.sql.rights import not_owner

_TABLE: Final = """CREATE TABLE IF NOT EXISTS {db}.helios_inherits(
  inhrelid INTEGER NOT NULL,
  inhparent INTEGER NOT NULL,
  inhseqno INTEGER NOT NULL,
  PRIMARY KEY(inhrelid, inhparent)
) WITHOUT ROWID"""
"""Which tables inherit from which; a directory gets it with the first that does."""
_MOVED: Final = "User-specified column moved to the position of the inherited column."
_OMIT: Final = (
    "Omit the generation expression in the definition of the child table column to inherit the generation expression "
    "from the parent table."
)
_BOGUS: Final = object()
"""Defaults of several parents that differ."""


def parent_table(builder: Builder, range_var: dict[str, Any], *, temp: bool, is_part: bool = False) -> TableDef:
    """A table to inherit from; ``temp`` says that the heir is temporary, ``is_part`` that it is a partition.

    Raises:
        SqlError: 42P01, 42809 it is none that can be inherited from; 42501 it belongs to another.
    """
    relation = builder.find_relation(range_var)
    assert relation is not None
    if relation.kind not in ("r", "t"):
        raise builder.error("42809", f'inherited relation "{relation.name}" is not a table or foreign table')
    if relation.partition is not None and not is_part:
        what = "partitioned table" if relation.partition.strategy else "partition"
        raise builder.error("42809", f'cannot inherit from {what} "{relation.name}"')
    if relation.kind == "t" and not temp and not is_part:
        raise builder.error("42809", f'cannot inherit from temporary relation "{relation.name}"')
    owner = builder.catalog.privileges.relation_owner(relation.oid)
    if not builder.catalog.acting.unrestricted and not builder.rightful().owns(owner):
        raise not_owner("table", relation.name)
    table = builder.catalog.table_def(relation.oid)
    if table is None:
        raise builder.error("42809", f'inherited relation "{relation.name}" is not a table or foreign table')
    return table


def inherit_columns(
    builder: Builder, table: TableDef, specs: list[ColumnSpec], nodes: list[dict[str, Any]], *, is_part: bool = False
) -> list[TableDef]:
    """Put the parents' columns before a new table's own, and merge those of one name; gives the parents.

    ``is_part`` says that it is a partition of the only one.
    ``specs`` are those of the table's own columns, and then tell of the merged ones.

    Raises:
        SqlError: 42P07 a parent twice; 42804, 42P21, 42611 definitions that do not fit together.
    """
    parents: list[TableDef] = []
    for node in nodes:
        parent = parent_table(builder, node["RangeVar"], temp=table.temp, is_part=is_part)
        if any(known.oid == parent.oid for known in parents):
            raise builder.error("42P07", f'relation "{parent.name}" would be inherited from more than once')
        parents.append(parent)
    inherited: list[ColumnDef] = []
    defaults: dict[str, object] = {}
    for parent in parents:
        _take_columns(builder, table, parent, inherited, defaults)
    own, table.columns = table.columns, inherited
    by_column = {id(spec.column): spec for spec in specs}
    for place, column in enumerate(own, 1):
        known = table.column(column.name)
        spec = by_column[id(column)]
        if known is None:
            table.columns.append(column)
            continue
        _merge_own(builder, known, spec, table.columns.index(known) + 1 == place)
        if spec.default_node is not None or spec.sequence_options is not None or column.default is not None:
            defaults.pop(column.name, None)
        spec.column = known
    for attnum, column in enumerate(table.columns, 1):
        column.attnum = attnum
        if defaults.get(column.name) is _BOGUS:
            what, hint = "default values", "To resolve the conflict, specify a default explicitly."
            if column.generated:
                what = "generation expressions"
            raise builder.error("42611", f'column "{column.name}" inherits conflicting {what}', hint=hint)
    return parents


def _take_columns(
    builder: Builder, table: TableDef, parent: TableDef, inherited: list[ColumnDef], defaults: dict[str, object]
) -> None:
    """Add one parent's columns to those of the parents before it."""
    for theirs in parent.columns:
        known = next((column for column in inherited if column.name == theirs.name), None)
        text = heir_default(theirs, parent, temp=table.temp)
        if known is None:
            inherited.append(heir_column(theirs, text))
            defaults[theirs.name] = text
            continue
        builder.notices.append(f'merging multiple inherited definitions of column "{theirs.name}"')
        _check_alike(builder, known, theirs, f'inherited column "{theirs.name}"')
        if known.generated != theirs.generated:
            raise builder.error("42804", f'inherited column "{theirs.name}" has a generation conflict')
        known.not_null |= theirs.not_null
        if known.default is None:
            known.default = defaults[theirs.name] = text
        elif text is not None and text != known.default:
            defaults[theirs.name] = _BOGUS


def heir_column(theirs: ColumnDef, default: str | None) -> ColumnDef:
    """A parent's column as an heir gets it: without its identity."""
    column = deepcopy(theirs)
    column.local = column.sqlite_default = False
    column.identity, column.default, column.dims = "", default, 0
    return column


def heir_default(column: ColumnDef, parent: TableDef, *, temp: bool) -> str | None:
    """The default of a parent's column as an heir keeps it: in one that is temporary a sequence's schema is named."""
    return column.default if temp == parent.temp else planned_default(column.default, parent.oid)


def _check_alike(builder: Builder, one: ColumnDef, other: ColumnDef, what: str) -> None:
    """Raise SqlError 42804, 42P21 unless two columns have one type and collation."""
    if not same_type(one, other):
        shown = [registry.format_type(c.shown_oid, -1 if c.domain else c.typmod) for c in (one, other)]
        raise builder.error("42804", f"{what} has a type conflict", detail=" versus ".join(shown))
    if one.collation != other.collation:
        raise builder.error("42P21", f"{what} has a collation conflict", detail=versus(one, other))


def same_type(one: ColumnDef, other: ColumnDef) -> bool:
    """Whether two columns have the same type and modifier."""
    return (one.shown_oid, one.typmod) == (other.shown_oid, other.typmod)


def versus(one: ColumnDef, other: ColumnDef) -> str:
    """The names of two columns' collations."""
    shown = [f'"{column.collation or "default"}"' for column in (one, other)]
    return " versus ".join(shown)


def _merge_own(builder: Builder, known: ColumnDef, spec: ColumnSpec, stays: bool) -> None:
    """Merge a table's own definition into the inherited one."""
    own, name = spec.column, known.name
    if stays:
        builder.notices.append(f'merging column "{name}" with inherited definition')
    else:
        builder.notices.append(Detailed(f'moving and merging column "{name}" with inherited definition', _MOVED))
    _check_alike(builder, known, own, f'column "{name}"')
    if known.generated:
        if own.generated:
            raise builder.error("42611", f'child column "{name}" specifies generation expression', hint=_OMIT)
        if spec.default_node is not None or spec.serial:
            raise builder.error("42611", f'column "{name}" inherits from generated column but specifies default')
        if own.identity:
            raise builder.error("42611", f'column "{name}" inherits from generated column but specifies identity')
    else:
        known.generated = own.generated
    known.local, known.identity = True, own.identity
    known.not_null |= own.not_null
    if own.identity or own.default is not None:
        # A copied default of LIKE; one that is written settles behind this.
        known.default = own.default


def inherit_checks(builder: Builder, table: TableDef, parents: list[TableDef]) -> None:
    """Take the parents' CHECK constraints over.

    Raises:
        SqlError: 42710, two of one name have different expressions.
    """
    for parent in parents:
        for theirs in parent.constraints:
            if theirs.kind != "c" or theirs.no_inherit:
                continue
            known = table.constraint(theirs.name)
            if known is None:
                table.constraints.append(heir_check(builder, table, theirs))
            elif known.expression != theirs.expression:
                message = f'check constraint name "{theirs.name}" appears multiple times but with different expressions'
                raise builder.error("42710", message)


def heir_check(builder: Builder, table: TableDef, theirs: ConstraintDef) -> ConstraintDef:
    """A parent's CHECK as an heir gets it."""
    return ConstraintDef(
        oid=builder.oid(table.temp), table_oid=table.oid, name=theirs.name, kind="c",
        columns=theirs.columns, expression=theirs.expression, local=False,
    )  # fmt: skip


def merge_check(builder: Builder, table: TableDef, fields: dict[str, Any]) -> ConstraintDef | None:
    """The inherited CHECK that a table's own one of the same name merges with; None: there is none of the name.

    Raises:
        SqlError: 42710 it has another expression; 42P17 it is to be NO INHERIT.
    """
    known = table.constraint(fields.get("conname") or "")
    if known is None or fields["contype"] != "CONSTR_CHECK" or known.kind != "c" or known.local:
        return None
    types = {column.name: column.type_oid for column in as_relation(table).columns}
    if deparse(fields["raw_expr"], types) != known.expression:
        raise builder.error("42710", f'constraint "{known.name}" for relation "{table.name}" already exists')
    if fields.get("is_no_inherit"):
        message = f'constraint "{known.name}" conflicts with inherited constraint on relation "{table.name}"'
        raise builder.error("42P17", message)
    builder.notices.append(f'merging constraint "{known.name}" with inherited definition')
    known.local = not table.is_partition
    return known


def parent_rows(table: TableDef, parents: list[TableDef]) -> list[str]:
    """The steps that record what a new table inherits from."""
    if not parents:
        return []
    return [make_table(table.temp), *(parent_row(table, parent, place) for place, parent in enumerate(parents, 1))]


def make_table(temp: bool) -> str:
    """The step that makes the system table, unless it is there."""
    return _TABLE.format(db=database_of(temp))


def parent_row(table: TableDef, parent: TableDef, place: int) -> str:
    """The step that records that one table inherits from another."""
    return insert(table.temp, "helios_inherits", inhrelid=table.oid, inhparent=parent.oid, inhseqno=place)
