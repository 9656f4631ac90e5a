"""WHERE CURRENT OF: the row that a cursor stands on (execCurrentOf, execCurrent.c).

A cursor over a table also reads the number that SQLite gives its rows, behind the columns that were asked for; an
UPDATE or DELETE asks the session for that of the row fetched last.
"""

from __future__ import annotations

import json
from typing import Any, Final

from helios_cli.engine.sql import tree
from helios_cli.engine.sql.context import Context
from helios_cli.engine.sql.functions import REGISTRY
from helios_cli.engine.sql.inheritance import is_expanded
from helios_cli.engine.sql.relation import Relation
from helios_cli.engine.sql.scope import Scope
from helios_cli.engine.sql.sqltext import quote_identifier
from helios_cli.engine.sql.system_columns import ROW_NUMBER
from helios_cli.engine.sql.typed import Node

CURRENT_OF: Final = "current_of."
"""Before a cursor, a table's OID and its name, as a JSON list in hexadecimal: the session value of a row's number."""
_COMPUTED: Final = ("distinctClause", "groupClause", "havingClause", "windowClause", "valuesLists")


def with_keys(node: Node, ctx: Context) -> tuple[Node, tuple[int, ...], tuple[int, ...] | None]:
    """A cursor's query that reads the numbers of its tables' rows too; the tables, and those that are locked.

    The query itself and no tables where its rows are not rows of tables. Without FOR UPDATE that takes a scan of one
    table; with it each of several tables in FROM has one.
    """
    select = node.get("SelectStmt", {})
    locked = _locked(select, ctx)
    computed = select.get("op", "SETOP_NONE") != "SETOP_NONE" or any(select.get(word) for word in _COMPUTED)
    if computed or any(_sums_up(part) for part in tree.walk(select.get("targetList", []))):
        return node, (), locked
    tables = [table for item in select.get("fromClause", []) for table in _tables(item, ctx)]
    single = len(tables) == 1 and "RangeVar" in select["fromClause"][0] and len(select["fromClause"]) == 1
    if not tables or (locked is None and (not single or select.get("sortClause"))):
        return node, (), locked
    names = [name for name, _ in tables]
    hidden = [
        {"ResTarget": {"val": {"ColumnRef": {"fields": [{"String": {"sval": part}} for part in (name, ROW_NUMBER)]}}}}
        for name in names
    ]
    keyed = {**select, "targetList": [*select.get("targetList", []), *hidden]}
    return {"SelectStmt": keyed}, tuple(relation.oid for _, relation in tables), locked


def _tables(item: Node, ctx: Context) -> list[tuple[str, Relation]]:
    """The tables of a FROM item that have an alias or name of their own."""
    if "JoinExpr" in item:
        join = item["JoinExpr"]
        if join.get("alias"):
            return []
        return [*_tables(join["larg"], ctx), *_tables(join["rarg"], ctx)]
    fields = item.get("RangeVar")
    if fields is None:
        return []
    relation = ctx.catalog.relation(fields.get("schemaname"), fields["relname"])
    if relation is None or relation.kind != "r" or not relation.sqlite_name or is_expanded(relation, fields, ctx):
        return []
    return [(fields.get("alias", {}).get("aliasname", fields["relname"]), relation)]


def _locked(select: dict[str, Any], ctx: Context) -> tuple[int, ...] | None:
    if not select.get("lockingClause"):
        return None
    tables = [table for item in select.get("fromClause", []) for table in _tables(item, ctx)]
    wanted: set[str] = set()
    for clause in select["lockingClause"]:
        named = {node["RangeVar"]["relname"] for node in clause["LockingClause"].get("lockedRels", [])}
        wanted |= named or {name for name, _ in tables}
    return tuple(relation.oid for name, relation in tables if name in wanted)


def _sums_up(part: Node) -> bool:
    call = part.get("FuncCall")
    if not isinstance(call, dict) or "funcname" not in call:
        return False
    found = REGISTRY.candidates(tree.strings(call["funcname"])[-1])
    return "over" in call or any(one.aggregate or one.window or one.set_returning for one in found)


def condition(fields: dict[str, Any], scope: Scope) -> str:
    """The condition on the table that a statement changes, which is the first of its scope."""
    item = scope.items[0]
    relation = item.relation
    assert relation is not None
    if scope.ctx.variables is not None:
        raise scope.ctx.unsupported("WHERE CURRENT OF in a function", hint="Use the primary key.")
    words = json.dumps([fields.get("cursor_name", ""), relation.oid, relation.name])
    if item.expanded:
        what = f'WHERE CURRENT OF on "{relation.name}" with the tables that inherit from it'
        raise scope.ctx.unsupported(what, hint="Use ONLY, or the primary key.")
    value = scope.ctx.session_value(CURRENT_OF + words.encode().hex())
    return f"{quote_identifier(item.alias)}.rowid = {value}"
