"""ON CONFLICT: which unique index is meant, and what DO UPDATE sets."""

from __future__ import annotations

from typing import Any, cast

from helios_cli.engine.errors import FeatureNotSupported
from helios_cli.engine.sql import dml
from helios_cli.engine.sql.assignments import assignment_pairs, assignments_of
from helios_cli.engine.sql.ddl_deparse import deparse, parse_expression
from helios_cli.engine.sql.ddl_model import DEFERRABLE, EXCLUSION, NULLS_ALIKE, DdlCatalog
from helios_cli.engine.sql.expressions import expect_boolean, translate
from helios_cli.engine.sql.from_clause import table_columns
from helios_cli.engine.sql.oids import BOOL
from helios_cli.engine.sql.relation import IndexInfo, Relation
from helios_cli.engine.sql.scope import RangeItem, Scope
from helios_cli.engine.sql.snapshots import row_id
from helios_cli.engine.sql.sqltext import quote_identifier, quote_string
from helios_cli.engine.sql.stored import translate_for_column
from helios_cli.engine.sql.triggered import Upsert
from helios_cli.engine.sql.typed import Node


def on_conflict(clause: dict[str, Any], item: RangeItem, scope: Scope, secured: str = "", several: bool = False) -> str:
    """The ON CONFLICT clause of an INSERT into ``item``, with a space before it; ``secured`` is a further condition.

    With ``several`` rows it sees to it that none is changed twice.

    Raises:
        SqlError: 42P10 no such constraint, 42601 DO UPDATE without one, 42704 an unknown name.
    """
    relation = item.relation
    assert relation is not None
    update = clause["action"] == "ONCONFLICT_UPDATE"
    target = _conflict_target(clause.get("infer"), item, scope)
    targets = [target, *_target_of_nulls(clause.get("infer", {}), relation)]
    if not update:
        return "".join(f" ON CONFLICT{one} DO NOTHING" for one in targets)
    if not target:
        message = "ON CONFLICT DO UPDATE requires inference specification or constraint name"
        hint = "For example, ON CONFLICT (column_name)."
        raise scope.ctx.error("42601", message, clause.get("location", -1), hint=hint)
    inner = Scope(ctx=scope.ctx, ctes=scope.ctes, clause="UPDATE")
    excluded = RangeItem("excluded", table_columns(relation, "excluded"), None)
    inner.items = [item, excluded]
    inner.columns = [*item.columns, *excluded.columns]
    assignments = assignments_of(clause["targetList"], relation, inner)
    where = f" WHERE {expect_boolean(clause['whereClause'], inner, 'WHERE').sql}" if "whereClause" in clause else ""
    if secured:
        where = f"{where} AND {secured}" if where else f" WHERE {secured}"
    if several:
        row = f"{quote_identifier(item.alias)}.{row_id(relation)}"
        once = f"node_upsert_once({quote_string(relation.sqlite_name or relation.name)}, {row})"
        where = f" WHERE {once} AND ({where.removeprefix(' WHERE ')})" if where else f" WHERE {once}"
    return "".join(f" ON CONFLICT{one} DO UPDATE SET {assignments}{where}" for one in targets)


def _arbiter(infer: dict[str, Any], relation: Relation) -> IndexInfo | None:
    """The unique key over columns that a conflict is looked for in; None for none, or one that is not of this kind."""
    names = {node["IndexElem"].get("name") for node in infer.get("indexElems", [])}
    for index in relation.indexes:
        meant = index.name == infer["conname"] if "conname" in infer else set(index.columns) == names
        if index.unique and meant and not index.partial and None not in index.columns:
            return index
    return None


def _target_of_nulls(infer: dict[str, Any], relation: Relation) -> list[str]:
    """Where NULLs are alike: the index over the rows that have some (``ddl_unique.nulls_index``)."""
    index = _arbiter(infer, relation)
    if index is None or not index.rules & NULLS_ALIKE:
        return []
    names = [quote_identifier(name or "") for name in index.columns]
    keys = ", ".join(f"{name} IS NULL, ifnull({name}, 0)" for name in names)
    return [f" ({keys}) WHERE {' OR '.join(f'{name} IS NULL' for name in names)}"]


def _conflict_target(infer: dict[str, Any] | None, item: RangeItem, scope: Scope) -> str:
    relation = item.relation
    assert relation is not None
    excluding = any(index.rules & EXCLUSION for index in relation.indexes)
    if infer is None:
        if excluding:
            hint = "Name the columns of the unique key that the rows may be in conflict by."
            raise scope.ctx.unsupported("ON CONFLICT DO NOTHING over EXCLUDE constraints", hint=hint)
        return ""
    if excluding and any(index.name == infer.get("conname") and index.rules & EXCLUSION for index in relation.indexes):
        raise scope.ctx.unsupported("ON CONFLICT ON CONSTRAINT of an EXCLUDE constraint")
    if "conname" in infer:
        index = next((index for index in relation.indexes if index.name == infer["conname"] and index.unique), None)
        if index is not None:
            _check_kind(index, relation, scope)
        if index is None or None in index.columns or index.partial:
            message = f'constraint "{infer["conname"]}" for table "{relation.name}" does not exist'
            raise scope.ctx.error("42704", message, infer.get("location", -1))
        return f" ({', '.join(quote_identifier(name or '') for name in index.columns)})"
    plain = Scope(ctx=scope.ctx, items=[RangeItem(item.name, table_columns(relation, ""), relation)])
    plain.columns = plain.items[0].columns
    texts, names = [], []
    for node in infer["indexElems"]:
        element = node["IndexElem"]
        if "name" in element:
            column = dml.find_column(relation, element["name"], scope, infer.get("location", -1))
            scope.ctx.rights.reads(relation.oid, column.attnum)
            names.append(column.name)
            texts.append(quote_identifier(element["name"]))
        else:
            scope.ctx.bind_all()
            texts.append(f"({translate(element['expr'], plain).sql})")
    where = ""
    if "whereClause" in infer:
        scope.ctx.bind_all()
        given = expect_boolean(infer["whereClause"], plain, "WHERE").sql
        where = f" WHERE {_implied(infer['whereClause'], set(names), relation, scope) or given}"
    texts = list(dict.fromkeys(texts))
    if len(set(names)) == len(texts):
        _check_arbiter(set(names), bool(where), relation, scope)
    return f" ({', '.join(texts)}){where}"


def _implied(node: Node, names: set[str], relation: Relation, scope: Scope) -> str:
    """SQLite's text for the predicate of an index that a condition implies, being one of its parts; '' for none."""
    catalog = cast(DdlCatalog, scope.ctx.catalog)
    table = catalog.table_def(relation.oid)
    types = {column.name: column.type_oid for column in relation.columns}
    parts = _parts(node, types)
    for index in table.indexes if table is not None else ():
        if not index.unique or index.predicate is None or {key.column for key in index.keys} != names:
            continue
        predicate = parse_expression(index.predicate)
        if _parts(predicate, types) <= parts:
            return translate_for_column(
                predicate, relation, catalog=catalog, functions=scope.ctx.functions, type_oid=BOOL, purpose="PREDICATE"
            ).sql
    return ""


def _parts(node: Node, types: dict[str, int]) -> set[str]:
    """The texts of what AND joins; '' for what has none as a stored expression."""
    fields = node.get("BoolExpr", {})
    if fields.get("boolop") == "AND_EXPR":
        return {text for part in fields["args"] for text in _parts(part, types)}
    try:
        return {deparse(node, types)}
    except FeatureNotSupported:
        return {""}


def _check_kind(index: IndexInfo, relation: Relation, scope: Scope) -> None:
    """Refuse keys that SQLite's ON CONFLICT cannot be told of. Raises SqlError 55000, FeatureNotSupported."""
    if index.rules & DEFERRABLE:
        message = "ON CONFLICT does not support deferrable unique constraints/exclusion constraints as arbiters"
        raise scope.ctx.error("55000", message)
    if index.rules & NULLS_ALIKE and (index.partial or None in index.columns or relation.partition):
        raise scope.ctx.unsupported("ON CONFLICT with a key whose NULLs are not distinct", hint="Use MERGE.")


def _check_arbiter(names: set[str], partial: bool, relation: Relation, scope: Scope) -> None:
    for index in relation.indexes:
        if index.unique and set(index.columns) == names and (not index.partial or partial):
            _check_kind(index, relation, scope)
            return
    message = "there is no unique or exclusion constraint matching the ON CONFLICT specification"
    # PostgreSQL looks for the index when all else is understood and its constants are computed.
    scope.ctx.planning_error = scope.ctx.error("42P10", message)


def upsert_of(clause: dict[str, Any] | None, item: RangeItem, scope: Scope, secured: str = "") -> Upsert | None:
    """DO UPDATE in parts, for triggers to see; None for a statement without.

    Raises:
        SqlError: 0A000 over an expression or a partial index.
    """
    if clause is None or clause["action"] != "ONCONFLICT_UPDATE":
        return None
    relation = item.relation
    assert relation is not None
    inner = Scope(ctx=scope.ctx, ctes=scope.ctes, clause="UPDATE")
    excluded = RangeItem("excluded", table_columns(relation, "excluded"), None)
    inner.items = [item, excluded]
    inner.columns = [*item.columns, *excluded.columns]
    infer = clause.get("infer", {})
    if "conname" in infer:
        index = next((index for index in relation.indexes if index.name == infer["conname"]), None)
        names = tuple(name for name in index.columns if name is not None) if index is not None else ()
    else:
        names = tuple(node["IndexElem"].get("name", "") for node in infer.get("indexElems", []))
    if not all(names) or "whereClause" in infer:
        what = "ON CONFLICT DO UPDATE over an expression or partial index of a table with triggers or partitions"
        raise scope.ctx.unsupported(what)
    arbiter = _arbiter(infer, relation)
    if arbiter is not None and arbiter.rules & NULLS_ALIKE:
        what = "ON CONFLICT DO UPDATE with a key whose NULLs are not distinct, of a table with triggers or partitions,"
        raise scope.ctx.unsupported(what, hint="Use MERGE.")
    pairs = assignment_pairs(clause["targetList"], relation, inner)
    where = expect_boolean(clause["whereClause"], inner, "WHERE").sql if "whereClause" in clause else ""
    where = " AND ".join(text for text in (where, secured) if text)
    return Upsert(names, item.alias, pairs, where)
