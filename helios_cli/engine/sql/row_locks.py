"""What FOR UPDATE and FOR SHARE reach: the tables in FROM, those in its subqueries, and those under its views. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from helios_cli.engine.sql import grammar
from helios_cli.engine.sql.folded import KEY
from helios_cli.engine.sql.relation import CatalogReader, Relation
from helios_cli.engine.sql.typed import Node

LOCKED: Final = "isLocked"
"""The field of a RangeVar whose rows the query locks."""


def with_locks(select: dict[str, Any]) -> dict[str, Any]:
    """A query with its locking clauses put on what they name in FROM; a subquery there gets them as its own."""
    clauses = [node["LockingClause"] for node in select["lockingClause"]]
    named = {rel["RangeVar"]["relname"] for clause in clauses for rel in clause.get("lockedRels", [])}
    everything = any(not clause.get("lockedRels") for clause in clauses)
    whole = [
        {"LockingClause": {key: value for key, value in clause.items() if key != "lockedRels"}} for clause in clauses
    ]
    return _with_from(select, None if everything else named, whole)


def with_all_locked(select: dict[str, Any]) -> dict[str, Any]:
    """The query of a view that is locked: so is what it has in FROM (markQueryForLocking)."""
    return _with_from(select, None, [])


def _with_from(select: dict[str, Any], names: set[str] | None, clauses: list[Node]) -> dict[str, Any]:
    if "fromClause" not in select:
        return select
    return {**select, "fromClause": [_marked(item, names, clauses) for item in select["fromClause"]]}


def _marked(item: Node, names: set[str] | None, clauses: list[Node]) -> Node:
    ((kind, fields),) = item.items()
    if kind == "JoinExpr":
        sides = {side: _marked(fields[side], names, clauses) for side in ("larg", "rarg")}
        return {kind: {**fields, **sides}}
    if kind == "RangeTableSample":
        return {kind: {**fields, "relation": _marked(fields["relation"], names, clauses)}}
    if kind not in ("RangeVar", "RangeSubselect"):
        return item
    if names is not None and fields.get("alias", {}).get("aliasname", fields.get("relname")) not in names:
        return item
    if kind == "RangeVar":
        return {kind: {**fields, LOCKED: True}}
    inner = fields["subquery"]["SelectStmt"]
    if "valuesLists" in inner or KEY in inner:
        # Its own locking clause would be refused; that of a query around it passes it by.
        return item
    if clauses:
        inner = {**inner, "lockingClause": [*inner.get("lockingClause", []), *clauses]}
    else:
        inner = with_all_locked(inner)
    return {kind: {**fields, "subquery": {"SelectStmt": inner}}}


def locked_under(view: Relation, catalog: CatalogReader) -> Iterator[tuple[int, Relation]]:
    """As whom a view reads, and each relation that its query has in FROM, and the same of the views among them."""
    parsed: Any = grammar.parse(catalog.view_query(view.oid) or "")
    read = catalog.read_by_view(view.oid)
    for fields in _ranges(parsed[0]["stmt"]["SelectStmt"], frozenset()):
        for relation in read:
            if relation.name == fields["relname"] and fields.get("schemaname", relation.schema) == relation.schema:
                yield view.reader, relation
                if relation.kind == "v":
                    yield from locked_under(relation, catalog)


def _ranges(select: dict[str, Any], queries: frozenset[str]) -> Iterator[dict[str, Any]]:
    """The RangeVars of a query's FROM and its subqueries; names of WITH queries left out."""
    clause = select.get("withClause", {})
    queries |= {node["CommonTableExpr"]["ctename"] for node in clause.get("ctes", [])}
    waiting = list(select.get("fromClause", []))
    while waiting:
        ((kind, fields),) = waiting.pop(0).items()
        if kind == "JoinExpr":
            waiting[:0] = [fields["larg"], fields["rarg"]]
        elif kind == "RangeTableSample":
            waiting.insert(0, fields["relation"])
        elif kind == "RangeSubselect":
            yield from _ranges(fields["subquery"]["SelectStmt"], queries)
        elif kind == "RangeVar" and ("schemaname" in fields or fields["relname"] not in queries):
            yield fields
