"""ALTER TABLE ... INHERIT and NO INHERIT (ATExecAddInherit, ATExecDropInherit, tablecmds.c)."""

from __future__ import annotations

from typing import Any

from helios_cli.engine.sql.ddl_alter_columns import Alteration
from helios_cli.engine.sql.ddl_build import Builder
from helios_cli.engine.sql.ddl_family import check_column, mark_check, mark_local
from helios_cli.engine.sql.ddl_inherit import make_table, parent_row, parent_table
from helios_cli.engine.sql.ddl_model import TableDef
from helios_cli.engine.sql.ddl_render import delete
from helios_cli.engine.sql.relation import Relation


def add_parent(alteration: Alteration, fields: dict[str, Any]) -> None:
    """INHERIT.

    Raises:
        SqlError: 42P07 it is one already, or an heir; 42804, 42P21, 42P17 columns or constraints do not fit.
    """
    builder, table = alteration.builder, alteration.table
    range_var = fields["def"]["RangeVar"]
    found = builder.find_relation(range_var)
    assert found is not None
    refuse_kind(builder, found, "INHERIT")
    parent = parent_table(builder, range_var, temp=table.temp)
    own = builder.catalog.relation_by_oid(table.oid)
    if parent.oid in (table.oid, *(own.heirs if own is not None else ())):
        detail = f'"{parent.name}" is already a child of "{table.name}".'
        raise builder.error("42P07", "circular inheritance not allowed", detail=detail)
    parents = builder.catalog.parents(table.oid)
    if parent.oid in parents:
        raise builder.error("42P07", f'relation "{parent.name}" would be inherited from more than once')
    check_columns(builder, table, parent)
    check_constraints(builder, table, parent)
    builder.add(make_table(table.temp), parent_row(table, parent, builder.catalog.next_place(table.oid)))


def refuse_kind(builder: Builder, found: Relation, action: str) -> None:
    """Raise SqlError 42809 for views, sequences and their like."""
    if found.kind not in ("r", "t"):
        detail = {"v": "views", "m": "materialized views", "M": "materialized views", "S": "sequences"}.get(found.kind)
        message = f'ALTER action {action} cannot be performed on relation "{found.name}"'
        raise builder.error("42809", message, detail=f"This operation is not supported for {detail or 'it'}.")


def check_columns(builder: Builder, table: TableDef, parent: TableDef) -> None:
    """Raise SqlError 42804, 42P21 unless a table has its new parent's columns."""
    for theirs in parent.columns:
        own = table.column(theirs.name)
        if own is None:
            raise builder.error("42804", f'child table is missing column "{theirs.name}"')
        check_column(builder, table, theirs, own)
        wrong = ""
        if theirs.not_null and not own.not_null:
            wrong = "must be marked NOT NULL"
        elif theirs.generated and not own.generated:
            wrong = "must be a generated column"
        elif theirs.generated and theirs.default != own.default:
            wrong = "has a conflicting generation expression"
        if wrong:
            raise builder.error("42804", f'column "{theirs.name}" in child table {wrong}')


def check_constraints(builder: Builder, table: TableDef, parent: TableDef) -> None:
    """Raise SqlError 42804, 42P17 unless a table has its new parent's CHECK constraints."""
    for theirs in sorted(parent.constraints, key=lambda constraint: constraint.name):
        if theirs.kind != "c" or theirs.no_inherit:
            continue
        own = table.constraint(theirs.name)
        if own is None or own.kind != "c":
            raise builder.error("42804", f'child table is missing constraint "{theirs.name}"')
        if own.expression != theirs.expression:
            message = f'child table "{table.name}" has different definition for check constraint "{theirs.name}"'
            raise builder.error("42804", message)
        conflict = f'constraint "{own.name}" conflicts with {{}} constraint on child table "{table.name}"'
        if own.no_inherit:
            raise builder.error("42P17", conflict.format("non-inherited"))
        if theirs.validated and not own.validated:
            raise builder.error("42P17", conflict.format("NOT VALID"))


def take_parent(alteration: Alteration, fields: dict[str, Any]) -> None:
    """NO INHERIT. Raises SqlError 42P01, it is no parent."""
    builder, table = alteration.builder, alteration.table
    relation = builder.find_relation(fields["def"]["RangeVar"])
    assert relation is not None
    parents = builder.catalog.parents(table.oid)
    parent = builder.catalog.table_def(relation.oid)
    if parent is None or parent.oid not in parents:
        raise builder.error("42P01", f'relation "{relation.name}" is not a parent of relation "{table.name}"')
    leave(alteration, parent)
    builder.add(delete(table.temp, "helios_inherits", inhrelid=table.oid, inhparent=parent.oid))


def leave(alteration: Alteration, parent: TableDef) -> None:
    """What a table has of one of its parents alone is its own from now on."""
    builder, table = alteration.builder, alteration.table
    parents = builder.catalog.parents(table.oid)
    others = [found for oid in parents if oid != parent.oid and (found := builder.catalog.table_def(oid)) is not None]
    for column in table.columns:
        if parent.column(column.name) is not None and not any(other.column(column.name) for other in others):
            mark_local(alteration, column)
    for constraint in table.constraints:
        theirs = parent.constraint(constraint.name)
        if constraint.kind != "c" or theirs is None or theirs.kind != "c":
            continue
        if not any(other.constraint(constraint.name) for other in others):
            mark_check(alteration, constraint)
