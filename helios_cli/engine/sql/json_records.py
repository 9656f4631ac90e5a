"""json_to_record[set] and json_populate_record[set], and their jsonb twins: the fields are known while planning."""

from __future__ import annotations

from typing import Final

from helios_cli.engine.datatypes.composite import Field
from helios_cli.engine.datatypes.usertypes import RECORD, is_row, kind_of
from helios_cli.engine.sql import casts, row_values
from helios_cli.engine.sql.coercion import Context as How
from helios_cli.engine.sql.coercion import type_name
from helios_cli.engine.sql.context import Context
from helios_cli.engine.sql.oids import JSON, JSONB, UNKNOWN
from helios_cli.engine.sql.scope import Scope
from helios_cli.engine.sql.sqltext import quote_string
from helios_cli.engine.sql.typed import Node, TypedSql
from helios_cli.engine.sql.typenames import resolve_type
from helios_cli.engine.sql.user_casts import checked

SCALARS: Final = frozenset(("json_populate_record", "jsonb_populate_record"))
"""Those that may stand outside of FROM."""
SETS: Final = frozenset(("json_populate_recordset", "jsonb_populate_recordset"))
"""Those of several rows that may stand in a select list."""
FUNCTIONS: Final = frozenset(
    f"{kind}_{verb}_{result}"
    for kind in ("json", "jsonb")
    for verb in ("to", "populate")
    for result in ("record", "recordset")
)


def defined_fields(nodes: list[Node], ctx: Context) -> tuple[Field, ...]:
    """The fields of a column definition list: ``AS x (a int, b text)``."""
    fields = []
    for node in nodes:
        column = node["ColumnDef"]
        type_oid, typmod = resolve_type(column["typeName"], ctx)
        domain = ctx.catalog.type_by_oid(type_oid) if kind_of(type_oid) == "d" and not type_oid & 1 else None
        if domain is not None:
            type_oid, typmod = domain.base_oid, domain.base_typmod
        shape = row_values.type_shape(type_oid, ctx)
        fields.append(Field(column["colname"], type_oid, typmod, shape, domain.oid if domain is not None else 0))
    return tuple(fields)


def translate_rows(
    name: str, arguments: list[TypedSql], defined: list[Node], alias: str, scope: Scope, at: int
) -> tuple[str, list[tuple[str, TypedSql]]]:
    """A call in FROM: the table function that gives a row's JSON as ``value``, and the columns over it.

    Raises:
        SqlError: 42883 wrong arguments, 42601 no fields are known or known twice.
    """
    ctx = scope.ctx
    base, document = _arguments(name, arguments, ctx, at)
    if defined and base is not None and base.type_oid != RECORD:
        message = "a column definition list is redundant for a function returning a named composite type"
        raise ctx.error("42601", message, at)
    fields = defined_fields(defined, ctx) if defined else _fields(name, base, ctx, at)
    rows = f"pg_json_rows({quote_string(name)}, {document.sql}, {int(name.endswith('set'))})"
    return f"json_each({rows})", _columns(f"{alias}.value", fields, base, ctx)


def translate_row(name: str, arguments: list[TypedSql], scope: Scope, at: int) -> TypedSql:
    """json_populate_record() as a value. Raises as :func:`translate_rows`."""
    ctx = scope.ctx
    base, document = _arguments(name, arguments, ctx, at)
    fields = _fields(name, base, ctx, at)
    assert base is not None
    columns = _columns(f"pg_json_object({quote_string(name)}, {document.sql})", fields, base, ctx)
    row = row_values.make_row([value for _, value in columns], [part for part, _ in columns], ctx, base.type_oid)
    row.sql, row.not_null, row.location = (
        f"CASE WHEN {document.sql} IS NULL THEN {base.sql} ELSE {row.sql} END",
        False,
        at,
    )
    return row


def _arguments(name: str, arguments: list[TypedSql], ctx: Context, at: int) -> tuple[TypedSql | None, TypedSql]:
    """The row that gives what JSON leaves open (populate), and the JSON."""
    wanted = 2 if "_populate_" in name else 1
    if len(arguments) != wanted:
        hint = "No function matches the given name and argument types. You might need to add explicit type casts."
        raise ctx.error("42883", f"function {name} with {len(arguments)} arguments does not exist", at, hint=hint)
    json_type = JSONB if name.startswith("jsonb") else JSON
    if arguments[-1].type_oid not in (json_type, UNKNOWN):
        shown = ", ".join(type_name(argument.type_oid) for argument in arguments)
        hint = "No function matches the given name and argument types. You might need to add explicit type casts."
        raise ctx.error("42883", f"function {name}({shown}) does not exist", at, hint=hint)
    document = casts.coerce(arguments[-1], json_type, -1, How.IMPLICIT, ctx)
    return (arguments[0] if wanted == 2 else None), document


def _fields(name: str, base: TypedSql | None, ctx: Context, at: int) -> tuple[Field, ...]:
    if base is None:
        message = 'a column definition list is required for functions returning "record"'
        raise ctx.error("42601", message, at)
    shape = row_values.shape_of(base, ctx) if is_row(base.type_oid) else None
    if shape is None:
        message = f"could not determine row type for result of {name}"
        hint = (
            "Provide a non-null record argument, or call the function in the FROM clause "
            "using a column definition list."
        )
        raise ctx.error("22023", message, at, hint=hint)
    return shape.fields


def _columns(source: str, fields: tuple[Field, ...], base: TypedSql | None, ctx: Context) -> list[tuple[str, TypedSql]]:
    columns = []
    for position, field in enumerate(fields):
        default = "NULL"
        if base is not None and base.sql != "NULL":
            default = f"pg_row_get({base.sql}, {position}, {len(fields)}, {field.type_oid})"
        shape = quote_string(field.shape.text()) if field.shape is not None else "NULL"
        sql = (
            f"pg_json_field({source}, {quote_string(field.name)}, {field.type_oid}, {field.typmod}, {shape}, {default})"
        )
        value = TypedSql(sql, field.type_oid, field.typmod, shape=field.shape)
        domain = ctx.catalog.type_by_oid(field.domain) if field.domain else None
        columns.append((field.name, value if domain is None else checked(value, domain, ctx)))
    return columns
