"""Checks of what computes a column's value: the types of defaults and of generation expressions."""

from __future__ import annotations

from helios_cli.engine.errors import FeatureNotSupported
from helios_cli.engine.sql import tree
from helios_cli.engine.sql.coercion import Context as How
from helios_cli.engine.sql.coercion import can_coerce, type_name
from helios_cli.engine.sql.ddl_build import Builder, as_relation
from helios_cli.engine.sql.ddl_model import ColumnDef, TableDef
from helios_cli.engine.sql.expressions import translate, translate_for_column
from helios_cli.engine.sql.oids import UNKNOWN
from helios_cli.engine.sql.scope import Scope
from helios_cli.engine.sql.typed import Node


def check_default(builder: Builder, node: Node, column: ColumnDef) -> None:
    """Refuse a DEFAULT that cannot be computed, or not assigned to the column. Raises SqlError 42804 and others."""
    try:
        found = translate(node, Scope(ctx=builder.context(), clause="DEFAULT expressions"))
    except FeatureNotSupported:
        # It is told where the default is used.
        return
    _check(builder, column, found.type_oid)


def check_generated(builder: Builder, table: TableDef, node: Node, column: ColumnDef) -> None:
    """Refuse a generation expression that names a generated column or has another type. Raises 42P17, 42804."""
    generated = {known.name for known in table.columns if known.generated}
    for part in tree.walk(node):
        reference = part.get("ColumnRef")
        names = tree.strings(reference["fields"]) if isinstance(reference, dict) else []
        if names and names[-1] in generated:
            detail = "A generated column cannot reference another generated column."
            message = f'cannot use generated column "{names[-1]}" in column generation expression'
            raise builder.error("42P17", message, part["ColumnRef"].get("location", -1), detail=detail)
    typed = translate_for_column(
        node, as_relation(table), catalog=builder.catalog, functions=builder.functions, purpose="GENERATED",
        source=builder.source,
    )  # fmt: skip
    _check(builder, column, typed.type_oid)


def _check(builder: Builder, column: ColumnDef, given: int) -> None:
    if given == UNKNOWN or can_coerce(given, column.type_oid, How.ASSIGNMENT):
        return
    message = (
        f'column "{column.name}" is of type {type_name(column.type_oid)}'
        f" but default expression is of type {type_name(given)}"
    )
    raise builder.error("42804", message, hint="You will need to rewrite or cast the expression.")
