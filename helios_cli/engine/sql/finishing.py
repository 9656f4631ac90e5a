"""From translated text to a plan: parameters numbered, columns described."""

from __future__ import annotations

from typing import Final

from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql.context import Context
from helios_cli.engine.sql.many_parameters import LAST, MOST, spilled_text
from helios_cli.engine.sql.plan import Column, Kind, Plan
from helios_cli.engine.sql.query import Compound, Output, Query, Values
from helios_cli.engine.sql.reg_casts import is_named, leaving
from helios_cli.engine.sql.row_values import sealed
from helios_cli.engine.sql.sqltext import quote_identifier
from helios_cli.engine.sql.typed import changed

QUERIES: Final = frozenset(("SelectStmt", "InsertStmt", "UpdateStmt", "DeleteStmt"))
"""Statements that are planned as queries."""


def finish_plan(kind: Kind, tag: str, texts: list[str], ctx: Context) -> Plan:
    """Number the placeholders and put a plan together.

    Raises:
        SqlError: 42P18, nothing gave a parameter its type; 54000, too many parameters.
    """
    for number, oid in enumerate(ctx.params, 1):
        if not oid or number in ctx.assumed:
            raise SqlError(f"could not determine data type of parameter ${number}", sqlstate="42P18")
    steps, converters = ctx.finish(texts)
    spills = len(ctx.params) + len(ctx.free) + len(ctx.session) > LAST
    if spills:
        if len(steps) > 1 or len(ctx.params) > MOST:
            raise SqlError("too many parameters", sqlstate="54000")
        steps = (spilled_text(steps[0]),)
    return Plan(
        kind,
        tag,
        steps=steps,
        param_types=tuple(ctx.params),
        literal_in=converters,
        session_values=tuple(ctx.session),
        volatile=ctx.unrepeatable or ctx.calls,
        locks_rows=ctx.locks_rows and tag == "SELECT",
        makes_temporary=ctx.makes_temporary,
        rights=ctx.rights.listed(),
        guarded=ctx.rights.guarded(),
        nowait=ctx.nowait,
        catalog_version=ctx.catalog.version,
        notices=tuple(ctx.notices),
        literal_numbers=ctx.free,
        spills=spills,
    )


def name_objects(query: Query, ctx: Context) -> None:
    """OIDs of named objects (regclass and its kin) leave as names, rows with what they are made of."""
    name_outputs(query.outputs, ctx)
    for position, output in enumerate(query.outputs):
        if not is_named(output.value.type_oid) or output.value.sql:
            continue
        if isinstance(query, Compound):
            known = query.converted.get(position)
            column = known.sql if known is not None else quote_identifier(query.names()[position])
            query.converted[position] = changed(output.value, sql=leaving(output.value.type_oid, column, ctx))
        elif isinstance(query, Values):
            for row in query.rows:
                row[position] = changed(row[position], sql=leaving(output.value.type_oid, row[position].sql, ctx))


def name_outputs(outputs: list[Output], ctx: Context) -> None:
    """The same for the columns of a SELECT or of RETURNING."""
    for output in outputs:
        output.value = sealed(output.value, ctx)
        if is_named(output.value.type_oid) and output.value.sql:
            text = leaving(output.value.type_oid, output.value.sql, ctx)
            output.value = changed(output.value, sql=text)


def result_columns(outputs: list[Output]) -> tuple[Column, ...]:
    """The columns of a result set."""
    return tuple(
        Column(output.name, value.type_oid, value.typmod, value.table_oid, value.attnum)
        for output in outputs
        for value in (output.value,)
    )
