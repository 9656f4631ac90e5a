"""The SET list of UPDATE and of ON CONFLICT DO UPDATE."""

from __future__ import annotations

from typing import Any

from helios_cli.engine.sql import dml
from helios_cli.engine.sql.coercion import Context as How
from helios_cli.engine.sql.dml_parts import names_part, update_parts
from helios_cli.engine.sql.expressions import translate
from helios_cli.engine.sql.query import Query
from helios_cli.engine.sql.relation import ColumnInfo, Relation
from helios_cli.engine.sql.row_order import gives_one_row
from helios_cli.engine.sql.scope import Scope
from helios_cli.engine.sql.select import translate_query
from helios_cli.engine.sql.sqltext import quote_identifier
from helios_cli.engine.sql.stars import is_star, starred
from helios_cli.engine.sql.sublinks import of_one_row
from helios_cli.engine.sql.typed import Node, TypedSql, changed

Assigned = str | tuple[list[ColumnInfo], Query]
"""``"a" = value``, or the columns that a subquery's row is for."""


def assignments_of(nodes: list[Node], relation: Relation, scope: Scope) -> str:
    """The SET list of an UPDATE.

    Raises:
        SqlError: 42601 a column twice, 428C9 a column that is always generated; what assigning raises.
    """
    return ", ".join(item if isinstance(item, str) else _row(*item) for item in _listed(nodes, relation, scope))


def assignment_pairs(nodes: list[Node], relation: Relation, scope: Scope) -> list[tuple[str, str]]:
    """The SET list as columns and the expressions that they are set to, for triggers to see."""
    found: list[tuple[str, str]] = []
    for item in _listed(nodes, relation, scope):
        if isinstance(item, str):
            name, _, value = item.partition(" = ")
            found.append((name[1:-1].replace('""', '"'), value))
            continue
        columns, query = item
        inner = query.render(named=True) if query.single_row else _only_row(query)
        found += [
            (column.name, f"(SELECT {quote_identifier(name)} FROM ({inner}))")
            for column, name in zip(columns, query.names(), strict=True)
        ]
    return found


def _row(columns: list[ColumnInfo], query: Query) -> str:
    names = ", ".join(quote_identifier(column.name) for column in columns)
    return f"({names}) = ({query.render() if query.single_row else _only_row(query)})"


def _only_row(query: Query) -> str:
    """A query's only row, NULLs without one. SQLite takes the first of several, PostgreSQL raises."""
    first, *rest = [quote_identifier(name) for name in query.names()]
    columns = [f"{of_one_row(first)} AS {first}", *(f"max({name}) AS {name}" for name in rest)]
    return f"SELECT {', '.join(columns)} FROM (SELECT * FROM ({query.render(named=True)}) LIMIT 2)"


def _listed(nodes: list[Node], relation: Relation, scope: Scope) -> list[Assigned]:
    in_parts = [node for node in nodes if names_part(node)]
    parts = update_parts(in_parts, relation, scope)
    nodes = [node for node in nodes if not names_part(node)]
    columns = [dml.named_column(node["ResTarget"], relation, scope) for node in nodes]
    scope.ctx.rights.updates(relation.oid, (column.attnum for column in columns))
    seen = {node["ResTarget"]["name"] for node in in_parts}
    for column in columns:
        if column.name in seen:
            raise scope.ctx.error("42601", f'multiple assignments to same column "{column.name}"')
        seen.add(column.name)
    found: list[Assigned] = []
    computed = [number for number, column in enumerate(columns) if column.generated and _to_default(nodes[number])]
    if len(computed) == len(columns) and not parts and columns:
        # All that is asked for happens by itself; SQLite wants some column set.
        other = next((column for column in relation.columns if not column.generated), None)
        if other is not None:
            name = quote_identifier(other.name)
            found.append(f"{name} = {name}")
    for position, (node, column) in enumerate(zip(nodes, columns, strict=True)):
        if position in computed:
            continue
        value = node["ResTarget"]["val"]
        multi = value.get("MultiAssignRef")
        if multi is None:
            found.append(_assignment(value, column, scope))
        elif "RowExpr" in multi["source"]:
            items = row_fields(multi["source"], scope)
            if len(items) != multi["ncolumns"]:
                raise scope.ctx.error("42601", "number of columns does not match number of values")
            found.append(_assignment(items[multi["colno"] - 1], column, scope))
        elif multi["colno"] == 1:
            assigned = columns[position : position + multi["ncolumns"]]
            found.append((assigned, _assign_subquery(multi, assigned, scope)))
    return [*found, *parts]


def _to_default(node: Node) -> bool:
    return "SetToDefault" in node["ResTarget"]["val"]


def row_fields(row: Node, scope: Scope) -> list[Node | TypedSql]:
    """What a row gives to the columns of a SET; ``t.*`` in it stands for the columns."""
    found: list[Node | TypedSql] = []
    for item in row["RowExpr"].get("args", []):
        found += [value for _, value in starred(item, scope)] if is_star(item) else [item]
    return found


def _assignment(node: Node | TypedSql, column: ColumnInfo, scope: Scope) -> str:
    name = quote_identifier(column.name)
    if not isinstance(node, TypedSql) and "SetToDefault" in node:
        return f"{name} = {dml.column_default(column, scope).sql}"
    if column.generated:
        message = f'column "{column.name}" can only be updated to DEFAULT'
        detail = f'Column "{column.name}" is a generated column.'
        raise scope.ctx.error("428C9", message, detail=detail)
    if column.identity == "a":
        message = f'column "{column.name}" can only be updated to DEFAULT'
        detail = f'Column "{column.name}" is an identity column defined as GENERATED ALWAYS.'
        raise scope.ctx.error("428C9", message, detail=detail)
    value = node if isinstance(node, TypedSql) else translate(node, scope)
    return f"{name} = {dml.assigned(value, column, scope).sql}"


def _assign_subquery(multi: dict[str, Any], columns: list[ColumnInfo], scope: Scope) -> Query:
    """``SET (a, b) = (SELECT ...)``."""
    sublink = multi["source"].get("SubLink")
    if sublink is None:
        raise scope.ctx.error(
            "0A000", "source for a multiple-column UPDATE item must be a sub-SELECT or ROW() expression"
        )
    query = translate_query(sublink["subselect"]["SelectStmt"], scope.child())
    if len(query.outputs) != len(columns):
        raise scope.ctx.error("42601", "number of columns does not match number of values")
    query.single_row = gives_one_row(query, scope)
    for position, column in enumerate(columns):
        dml.assigned(changed(query.outputs[position].value), column, scope)
        query.coerce(position, column.domain or column.type_oid, column.typmod, How.ASSIGNMENT, scope.ctx)
    return query
