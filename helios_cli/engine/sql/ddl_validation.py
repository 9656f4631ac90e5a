"""NOT VALID constraints, which rows that are there already need not meet, and VALIDATE CONSTRAINT."""

from __future__ import annotations

from typing import Any

from helios_cli.engine.sql.ddl_alter_columns import Alteration
from helios_cli.engine.sql.ddl_build import as_relation
from helios_cli.engine.sql.ddl_model import ConstraintDef
from helios_cli.engine.sql.ddl_part_keys import referred
from helios_cli.engine.sql.ddl_render import stored_deferral, update
from helios_cli.engine.sql.oids import TEXT
from helios_cli.engine.sql.scope import column_node
from helios_cli.engine.sql.sqltext import constant, quote_identifier
from helios_cli.engine.sql.stored import translate_for_column


def mark_not_valid(alteration: Alteration, constraint: ConstraintDef, fields: dict[str, Any]) -> None:
    """Note NOT VALID for a new constraint of a table that is there; nothing for one without it."""
    if fields.get("skip_validation") and constraint.kind in "cf":
        constraint.validated = False
        # SQLite's own ALTER looks at every row, and MATCH FULL is a CHECK.
        alteration.rebuild |= constraint.kind == "c" or constraint.match == "f"


def validate_constraint(alteration: Alteration, fields: dict[str, Any]) -> None:
    """VALIDATE CONSTRAINT.

    Raises:
        SqlError: 42704 no such constraint, 42809 of another kind; when it runs 23514 or 23503.
    """
    builder, table = alteration.builder, alteration.table
    constraint = table.constraint(fields["name"])
    if constraint is None:
        message = f'constraint "{fields["name"]}" of relation "{table.name}" does not exist'
        raise builder.error("42704", message)
    if constraint.kind not in "cf":
        message = f'constraint "{constraint.name}" of relation "{table.name}" is not a foreign key or check constraint'
        raise builder.error("42809", message)
    if constraint.validated:
        return
    if constraint.kind == "c":
        message = f'check constraint "{constraint.name}" of relation "{table.name}" is violated by some row'
        condition = f"NOT ({builder.translate(table, constraint.expression or '', 'CHECK')})"
        alteration.verify(condition, "23514", message, constraint=constraint.name)
    else:
        verify_parents(alteration, constraint)
    constraint.validated = True
    changes: dict[str, object] = {"condeferrable": stored_deferral(constraint)}
    builder.add(update(table.temp, "helios_constraint", changes, oid=constraint.oid))


def verify_parents(alteration: Alteration, constraint: ConstraintDef) -> None:
    """Write a step that fails when a row of the table refers to none, with the key that it has."""
    table, parent = alteration.table, alteration.builder.catalog.table_def(constraint.ref_oid)
    assert parent is not None
    message = f'insert or update on table "{table.name}" violates foreign key constraint "{constraint.name}"'
    names = ", ".join(constraint.columns)
    values = " || ', ' || ".join(_as_text(alteration, name) for name in constraint.columns)
    absent = constant(f') is not present in table "{parent.name}".')
    detail = f"{constant(f'Key ({names})=(')} || {values} || {absent}"
    if constraint.match == "f":
        detail = f"coalesce({detail}, 'MATCH FULL does not allow mixing of null and nonnull key values.')"
    condition = _without_parent(alteration, constraint)
    alteration.verify(condition, "23503", message, constraint=constraint.name, detail=detail)


def _as_text(alteration: Alteration, name: str) -> str:
    """SQLite's text for a column's value as PostgreSQL prints it."""
    builder = alteration.builder
    typed = translate_for_column(
        column_node(name), as_relation(alteration.table), catalog=builder.catalog, functions=builder.functions,
        type_oid=TEXT, purpose="USING", source=builder.source, session=builder.session,
    )  # fmt: skip
    return typed.sql


def _without_parent(alteration: Alteration, constraint: ConstraintDef) -> str:
    """SQLite's condition for the rows that refer to none."""
    own = quote_identifier(alteration.table.sqlite_name)
    parent = alteration.builder.catalog.table_def(constraint.ref_oid)
    assert parent is not None
    columns = [quote_identifier(name) for name in constraint.columns]
    given = " AND ".join(f"{own}.{name} IS NOT NULL" for name in columns)
    theirs, others = referred(alteration.builder.catalog, constraint, parent)
    pairs = zip(columns, others, strict=True)
    same = " AND ".join(f"parent.{quote_identifier(other)} = {own}.{name}" for name, other in pairs)
    absent = f"NOT EXISTS (SELECT 1 FROM {quote_identifier(theirs)} AS parent WHERE {same})"
    if constraint.match == "f":
        some = " OR ".join(f"{own}.{name} IS NOT NULL" for name in columns)
        return f"({some}) AND NOT ({given} AND NOT ({absent}))"
    return f"{given} AND {absent}"
