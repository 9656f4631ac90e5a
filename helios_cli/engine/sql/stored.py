"""Expressions kept in the catalog as PostgreSQL text: column defaults, CHECK and index expressions."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql import casts, grammar, tree
from helios_cli.engine.sql.context import IN_EXPRESSION, Context
from helios_cli.engine.sql.expressions import translate
from helios_cli.engine.sql.from_clause import table_columns
from helios_cli.engine.sql.function_spec import FunctionRegistry
from helios_cli.engine.sql.oids import UNKNOWN
from helios_cli.engine.sql.relation import CatalogReader, ColumnInfo, Relation
from helios_cli.engine.sql.scope import RangeItem, Scope
from helios_cli.engine.sql.typed import Node, TypedSql
from helios_cli.engine.sql.user_casts import assigned_domain


@lru_cache(maxsize=1024)
def parse_expression(text: str) -> Node:
    """The tree of a stored expression."""
    parsed: Any = grammar.parse(f"SELECT {text}")
    node: Node = parsed[0]["stmt"]["SelectStmt"]["targetList"][0]["ResTarget"]["val"]
    return node


def stored_default(text: str, column: ColumnInfo, scope: Scope) -> TypedSql:
    """A column's default as part of a statement; its constants are written in place."""
    ctx = scope.ctx
    lifted, source, encoded = ctx.lifted_at, ctx.source, ctx.encoded
    ctx.lifted_at, ctx.source, ctx.encoded = {}, "", b""
    try:
        value = translate(parse_expression(text), Scope(ctx=ctx, clause="DEFAULT"))
        return assigned_domain(casts.assign(value, column.name, column.type_oid, column.typmod, ctx), column, ctx)
    finally:
        ctx.lifted_at, ctx.source, ctx.encoded = lifted, source, encoded


def translate_for_column(
    node: Node,
    relation: Relation | None,
    *,
    catalog: CatalogReader,
    functions: FunctionRegistry,
    type_oid: int | None = None,
    typmod: int = -1,
    purpose: str = "CHECK",
    source: str = "",
    session: list[str] | None = None,
    called: set[int] | None = None,
) -> TypedSql:
    """Translate an expression for use inside SQLite's own DDL.

    Column names refer to ``relation`` (None: none may be named) and come out unqualified. Literals are
    written in place, nothing is a parameter. With ``type_oid`` the result is coerced to it by
    PostgreSQL's assignment rules. ``purpose`` is 'CHECK', 'DEFAULT', 'INDEX', 'PREDICATE' (of an index),
    'GENERATED', 'PARTITION' (a bound) or 'PARTITION KEY' and decides which functions are allowed. With ``session`` the
    text is run once and not kept: it may take values of the session, whose names are added to that list and whose
    numbers are their places in it. ``called`` gets the OIDs of the users' functions that it calls.

    Raises:
        SqlError: as ``translate``; 42P17 for a volatile or stable function in an index or generated column;
            0A000 for a subquery.
    """
    ctx = Context(
        catalog=catalog,
        functions=functions,
        source=source,
        encoded=source.encode(),
        parameters_allowed=False,
        session_allowed=session is not None or purpose != "DEFAULT",
        session_form=IN_EXPRESSION if session is None else "",
        session=session if session is not None else [],
        kept=set(session or ()),
    )
    _refuse_subqueries(node, ctx, purpose)
    scope = Scope(ctx=ctx, clause=_CLAUSES.get(purpose, purpose), bare_columns=True)
    if relation is not None:
        scope.items = [RangeItem(relation.name, table_columns(relation, ""), relation, relation.schema)]
        scope.columns = scope.items[0].columns
    value = translate(node, scope)
    if called is not None:
        called.update(ctx.rights.functions, ctx.made)
    if purpose in _CONDITIONS:
        value = casts.to_boolean(value, _CONDITIONS[purpose], ctx)
    if (ctx.volatile or ctx.asks_session) and purpose in _NOT_IMMUTABLE:
        raise ctx.error("42P17", _NOT_IMMUTABLE[purpose])
    if purpose == "INDEX" and value.type_oid == UNKNOWN:
        message = 'data type unknown has no default operator class for access method "btree"'
        hint = "You must specify an operator class for the index or define a default operator class for the data type."
        raise ctx.error("42704", message, hint=hint)
    if type_oid is None:
        value = casts.to_text_if_unknown(value, ctx)
    elif purpose not in _CONDITIONS:
        value = casts.assign(value, "", type_oid, typmod, ctx)
    (value.sql,), _ = ctx.finish([value.sql])
    return value


def functions_called(
    node: Node, relation: Relation, *, catalog: CatalogReader, functions: FunctionRegistry, purpose: str
) -> set[int]:
    """The OIDs of the users' functions that a kept expression calls."""
    called: set[int] = set()
    translate_for_column(
        node, None if purpose == "DEFAULT" else relation, catalog=catalog, functions=functions, purpose=purpose,
        session=[], called=called,
    )  # fmt: skip
    return called


_CLAUSES = {"PARTITION": "partition bound", "PARTITION KEY": "partition key expressions",
            "CHECK": "check constraints", "DEFAULT": "DEFAULT expressions", "INDEX": "index expressions",
            "PREDICATE": "index predicates", "GENERATED": "column generation expressions"}  # fmt: skip
_CONDITIONS = {"CHECK": "CHECK", "PREDICATE": "WHERE"}
_NOT_IMMUTABLE = {
    "INDEX": "functions in index expression must be marked IMMUTABLE",
    "PREDICATE": "functions in index predicate must be marked IMMUTABLE",
    "GENERATED": "generation expression is not immutable",
    "PARTITION KEY": "functions in partition key expression must be marked IMMUTABLE",
}


def _refuse_subqueries(node: Node, ctx: Context, purpose: str) -> None:
    for part in tree.walk(node):
        if isinstance(part.get("SubLink"), dict):
            message = f"cannot use subquery in {_CLAUSES.get(purpose, purpose).removesuffix('s')}"
            raise ctx.error("0A000", message, tree.location(part))


__all__ = ["SqlError", "functions_called", "parse_expression", "stored_default", "translate_for_column"]
