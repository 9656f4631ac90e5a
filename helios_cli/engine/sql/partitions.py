"""Where the rows of a partitioned table go."""

from __future__ import annotations

from typing import Final

from helios_cli.engine.sql import casts
from helios_cli.engine.sql.context import Context
from helios_cli.engine.sql.ddl_deparse import pretty_expression
from helios_cli.engine.sql.ddl_partition_rows import key_columns, key_texts
from helios_cli.engine.sql.expressions import expect_boolean, translate
from helios_cli.engine.sql.from_clause import table_columns
from helios_cli.engine.sql.inheritance import members
from helios_cli.engine.sql.oids import TEXT
from helios_cli.engine.sql.relation import Relation
from helios_cli.engine.sql.rights import Rights
from helios_cli.engine.sql.scope import RangeItem, Scope
from helios_cli.engine.sql.sqltext import quote_identifier, quote_string
from helios_cli.engine.sql.triggered import ROW, Parts, heirs_changed

_ROUTED: Final = "\x06"
"""The alias of the row that is on its way."""


def is_parted(relation: Relation) -> bool:
    """Whether a table is partitioned."""
    return relation.partition is not None and bool(relation.partition.strategy)


def moves_rows(relation: Relation, names: tuple[str, ...], ctx: Context) -> bool:
    """Whether an UPDATE of these columns, or a trigger that sees it first, may take rows to other partitions."""
    if not is_parted(relation):
        return False
    parts = members(relation, ctx)
    for trigger in (trigger for part in parts for trigger in ctx.catalog.triggers(part.oid)):
        if trigger.row and trigger.timing == "b" and trigger.fires and "UPDATE" in trigger.events:
            return True
    keys = {name for part in parts if part.partition for name in key_columns(part.partition)}
    return not keys.isdisjoint(names)


def routed(parts: Parts, item: RangeItem, scope: Scope) -> None:
    """Let the rows of an INSERT or UPDATE of a partitioned table find their partitions."""
    relation = parts.relation
    if not item.expanded or not is_parted(relation):
        return
    if parts.event == "INSERT" or moves_rows(relation, parts.columns, scope.ctx):
        parts.heirs = heirs_changed(item, scope)
        parts.route = route(relation, scope.ctx, parts.others)


def route(relation: Relation, ctx: Context, first: int = 0) -> str:
    """SQLite's query for the OID of the partition that a row belongs to, which raises 23514 when there is none.

    The row's values, in the order of the columns, are the row in hand's from number ``first`` on.
    """
    columns = table_columns(relation, _ROUTED)
    scope = Scope(ctx=ctx, items=[RangeItem(relation.name, columns, relation)], columns=columns)
    kept = ctx.lifted_at, ctx.source, ctx.encoded, ctx.rights
    # To find its place a row is not read: INSERT is right enough. Functions in the key are called as its role.
    unread = Rights(functions=ctx.rights.functions)
    ctx.lifted_at, ctx.source, ctx.encoded, ctx.rights = {}, "", b"", unread
    try:
        found = _place(relation, scope)
        if relation.partition is not None and relation.partition.check:
            found = f"CASE WHEN {_holds(relation.partition.check, scope)} THEN {found} ELSE {_outside(scope)} END"
    finally:
        ctx.lifted_at, ctx.source, ctx.encoded, ctx.rights = kept
    values = ", ".join(
        f"{ROW.format(first + place)} AS {quote_identifier(column.name)}"
        for place, column in enumerate(relation.columns)
    )
    return f"SELECT {found} FROM (SELECT {values}) AS {quote_identifier(_ROUTED)}"


def _place(relation: Relation, scope: Scope) -> str:
    """The OID of the partition that a row of a table, or of a partitioned partition, belongs to."""
    if not is_parted(relation):
        return str(relation.oid)
    heirs = members(relation, scope.ctx)[1:]
    below = {oid for heir in heirs for oid in heir.heirs}
    arms, rest = [], _refusal(relation, scope)
    for heir in heirs:
        if heir.oid in below or heir.partition is None:
            continue
        if heir.partition.bound == "DEFAULT":
            rest = _place(heir, scope)
        else:
            arms.append(f"WHEN {_holds(heir.partition.own, scope)} THEN {_place(heir, scope)}")
    return f"CASE {' '.join(arms)} ELSE {rest} END" if arms else rest


def _holds(condition: str, scope: Scope) -> str:
    from helios_cli.engine.sql.stored import parse_expression

    return expect_boolean(parse_expression(condition), scope, "CHECK").sql


def _outside(scope: Scope) -> str:
    """The call that raises what PostgreSQL says of a row that a partitioned partition does not have."""
    relation = scope.items[0].relation
    assert relation is not None
    shown = [f"coalesce({casts.cast_sql(column.value, TEXT, scope.ctx)}, 'null')" for column in scope.columns]
    detail = f"'Failing row contains (' || {_joined(shown)} || ').'"
    message = quote_string(f'new row for relation "{relation.name}" violates partition constraint')
    return (
        f"pg_raise('23514', {message}, {detail}, {quote_string(relation.schema)}, {quote_string(relation.name)}, NULL)"
    )


def _refusal(relation: Relation, scope: Scope) -> str:
    """The call that raises what PostgreSQL says of a row that no partition takes."""
    from helios_cli.engine.sql.stored import parse_expression

    assert relation.partition is not None
    by_name = {column.name: column.value for column in scope.columns}
    expressions = iter([translate(parse_expression(text), scope) for text in relation.partition.expressions])
    values = [by_name[name] if name else next(expressions) for name in relation.partition.keys]
    shown = [f"coalesce({casts.cast_sql(value, TEXT, scope.ctx)}, 'null')" for value in values]
    types = tuple((column.name, column.type_oid) for column in relation.columns)
    keys = key_texts(relation.partition, [pretty_expression(text, types) for text in relation.partition.expressions])
    head = quote_string(f"Partition key of the failing row contains ({', '.join(keys)}) = (")
    detail = f"{head} || {_joined(shown)} || ').'"
    message = quote_string(f'no partition of relation "{relation.name}" found for row')
    names = f"{quote_string(relation.schema)}, {quote_string(relation.name)}"
    return f"pg_raise('23514', {message}, {detail}, {names}, NULL)"


def _joined(texts: list[str]) -> str:
    return " || ', ' || ".join(texts)
