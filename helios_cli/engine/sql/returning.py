"""RETURNING: SQLite lets it name the changed table only, by its own name.

Where it names the tables of FROM or USING too, the rows to change are found first, with the values of those tables,
and changed one by one, as for triggers; the values are then parameters of each change.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from helios_cli.engine.sql import casts, row_values, tree
from helios_cli.engine.sql.expressions import translate
from helios_cli.engine.sql.finishing import name_outputs
from helios_cli.engine.sql.from_clause import table_columns
from helios_cli.engine.sql.inheritance import row_alias
from helios_cli.engine.sql.names import column_name
from helios_cli.engine.sql.query import Output
from helios_cli.engine.sql.scope import RangeItem, Scope, ScopeColumn
from helios_cli.engine.sql.triggered import ROW
from helios_cli.engine.sql.typed import Node

Returned = tuple[str, list[Output], list[str]]
_NOTHING: Final[Returned] = ("", [], [])


def returned(nodes: list[Node], item: RangeItem, scope: Scope) -> Returned:
    """The RETURNING clause, its columns, and what it takes of other tables: then the clause is empty.

    Raises:
        SqlError: as translating an expression does; 0A000 for columns of other tables in a data-modifying WITH.
    """
    if not nodes:
        return _NOTHING
    relation = item.relation
    assert relation is not None
    inner = Scope(ctx=scope.ctx, parent=scope.parent, ctes=scope.ctes, clause="RETURNING")
    alias = row_alias(relation, expanded=item.expanded)
    columns = table_columns(relation, alias)
    if item.renamed:
        columns = [ScopeColumn(one.name, own.value) for one, own in zip(item.columns, columns, strict=True)]
    inner.items = [RangeItem(item.name, columns, relation, relation.schema)]
    if item.expanded:
        inner.items = [replace(inner.items[0], alias=alias, derived=True, expanded=True)]
    inner.columns = list(columns)
    others = _add_others(nodes, item, scope, inner) if len(scope.items) > 1 else []
    outputs = [output for node in nodes for output in _outputs(node["ResTarget"], inner)]
    if not outputs:
        raise scope.ctx.error("42601", "RETURNING must have at least one column", tree.location(nodes[0]))
    if scope.ctx.snapshots is None or scope.ctx.snapshots.is_main:
        name_outputs(outputs, scope.ctx)
    for output in outputs:
        output.value = row_values.sealed(output.value, scope.ctx)
    text = "" if others else f" RETURNING {', '.join(output.value.sql for output in outputs)}"
    return text, outputs, others


def _outputs(target: dict[str, Any], inner: Scope) -> list[Output]:
    reference = target["val"].get("ColumnRef")
    if reference is not None and "A_Star" in reference["fields"][-1]:
        qualifier = tree.strings(reference["fields"][:-1])
        at = reference.get("location", 0)
        found = inner.find_item(qualifier, at)[1].columns if qualifier else inner.columns
        return [Output(column.name, inner.checked(column.value, column.name, -1)) for column in found]
    value = casts.to_text_if_unknown(translate(target["val"], inner), inner.ctx)
    return [Output(target.get("name") or column_name(target["val"]), value)]


def _add_others(nodes: list[Node], item: RangeItem, scope: Scope, inner: Scope) -> list[str]:
    """Let RETURNING see the other tables, when it names them: the texts of their values, in the order of parameters."""
    others = [other for other in scope.items if other is not item]
    at = next((place for node in nodes for place in _places(node["ResTarget"]["val"], item, others)), None)
    if at is None:
        # A bare name may still be that of columns of several tables.
        inner.columns += [column for column in _behind(scope, item) if _is_in(column.name, item.columns)]
        return []
    texts: dict[str, int] = {}

    def kept(column: ScopeColumn) -> ScopeColumn:
        number = texts.setdefault(column.value.sql, len(texts))
        value = replace(column.value, sql=ROW.format(number), raw="", param=0, literal=-1, value=None)
        return ScopeColumn(column.name, value)

    inner.items += [replace(other, columns=[kept(column) for column in other.columns]) for other in others]
    inner.columns += [kept(column) for column in _behind(scope, item)]
    return list(texts)


def _behind(scope: Scope, item: RangeItem) -> list[ScopeColumn]:
    """The columns that a bare name may mean behind those of the changed table."""
    return scope.columns[len(item.columns) :]


def _is_in(name: str, columns: list[ScopeColumn]) -> bool:
    return any(column.name == name for column in columns)


def _places(node: Node, item: RangeItem, others: list[RangeItem]) -> list[int]:
    """Where an expression names something of another table than the changed one."""
    names = {other.name for other in others if other.visible}
    found = []
    for part in tree.walk(node):
        reference = part.get("ColumnRef")
        if not isinstance(reference, dict):
            continue
        fields = reference["fields"]
        if len(fields) > 1:
            other = fields[-2].get("String", {}).get("sval") in names
        elif "A_Star" in fields[0]:
            other = True
        else:
            name = fields[0]["String"]["sval"]
            other = not _is_in(name, item.columns) and (
                name in names or any(_is_in(name, other.columns) for other in others)
            )
        if other:
            found.append(reference.get("location", 0))
    return found
