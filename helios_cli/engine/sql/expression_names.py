"""What stored expressions name: columns and functions."""

from __future__ import annotations

from helios_cli.engine.sql import tree
from helios_cli.engine.sql.ddl_deparse import column_names, parse_expression
from helios_cli.engine.sql.ddl_model import IndexDef
from helios_cli.engine.sql.routines import Routine


def index_columns(index: IndexDef) -> set[str]:
    """Every column an index reads: keys, expressions, INCLUDE and predicate."""
    names = {key.column for key in index.keys if key.column is not None} | set(index.include)
    for text in [key.expression for key in index.keys] + [index.predicate]:
        names.update(columns_named(text))
    return names


def columns_named(text: str | None) -> set[str]:
    """The columns that an expression reads; None reads none."""
    return set(column_names(parse_expression(text))) if text is not None else set()


def names_function(text: str, routine: Routine) -> bool:
    """Whether an expression calls a function by its name or its OID."""
    names = (routine.name, f"pg_proc#{routine.oid}")
    return any(
        isinstance(part.get("FuncCall"), dict) and tree.strings(part["FuncCall"]["funcname"])[-1] in names
        for part in tree.walk(parse_expression(text))
    )
