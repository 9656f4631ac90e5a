"""SELECT, VALUES, set operations and WITH."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from helios_cli.engine.sql import calls, casts, recursion_checks, tree
from helios_cli.engine.sql.bare_parameters import untyped_targets
from helios_cli.engine.sql.coercion import Context as How
from helios_cli.engine.sql.coercion import can_coerce, type_name
from helios_cli.engine.sql.expressions import expect_boolean, translate
from helios_cli.engine.sql.folded import KEY
from helios_cli.engine.sql.from_clause import translate_from
from helios_cli.engine.sql.group_by import group
from helios_cli.engine.sql.grouping_sets import GroupingSets
from helios_cli.engine.sql.oids import UNKNOWN
from helios_cli.engine.sql.ordering import check_comparable, sort_term
from helios_cli.engine.sql.owners import HeldBelow
from helios_cli.engine.sql.query import Compound, Output, Query, Select, Values, type_in, unify_arms
from helios_cli.engine.sql.row_locks import with_locks
from helios_cli.engine.sql.row_order import (
    distinct_on,
    has_ties,
    limit_clause,
    order_term,
    output_position,
    with_ties,
)
from helios_cli.engine.sql.row_series import refuse_late, with_rows_named, with_windows_below
from helios_cli.engine.sql.scope import Cte, Scope
from helios_cli.engine.sql.search_cycle import Added, Clauses, check_arms, check_clauses, read_clauses
from helios_cli.engine.sql.select_list import select_outputs
from helios_cli.engine.sql.series_items import with_series
from helios_cli.engine.sql.sqltext import quote_identifier
from helios_cli.engine.sql.typed import Node, TypedSql


def translate_subquery(fields: dict[str, Any], scope: Scope) -> Query:
    """Translate a query in FROM, whose columns nobody may ask for. Raises what :func:`translate_query` raises."""
    with scope.ctx.not_asked_for():
        query = translate_query(fields, scope)
    query.separate = query.effects
    return query


def translate_query(select: dict[str, Any], scope: Scope) -> Query:
    """Translate a SelectStmt's fields. ``scope`` is new, with the outer query's as its parent.

    Columns of the result whose type nothing decided stay unknown: the caller gives them one.
    """
    if "lockingClause" in select:
        select = with_locks(select)
    with_clause = translate_with(select.get("withClause"), scope)
    if "intoClause" in select:
        raise scope.ctx.unsupported("SELECT INTO", hint="Use CREATE TABLE ... AS.")
    if select.get("op", "SETOP_NONE") != "SETOP_NONE":
        query = _compound(select, scope)
    elif KEY in select:
        query = _folded_values(select, scope)
    elif "valuesLists" in select:
        query = _values(select, scope)
    else:
        query = _select(select, scope)
    if not isinstance(query, Select) and has_ties(select, scope):
        query.order_by, query.limit = [], ""
        query = with_ties(query, select, scope)
    query.with_clause = with_clause
    if "lockingClause" in select:
        _lock(select, scope)
    return query


_STRENGTHS: Final = {
    "LCS_FORKEYSHARE": "FOR KEY SHARE", "LCS_FORSHARE": "FOR SHARE", "LCS_FORNOKEYUPDATE": "FOR NO KEY UPDATE",
    "LCS_FORUPDATE": "FOR UPDATE",
}  # fmt: skip


def _lock(select: dict[str, Any], scope: Scope) -> None:
    """Take note of FOR UPDATE and its kin. Raises SqlError 0A000 where rows cannot be told (CheckSelectLocking)."""
    clauses: list[Node] = select["lockingClause"]
    for clause in clauses:
        _check_lockable(select, _STRENGTHS[clause["LockingClause"]["strength"]], scope)
        for relation in clause["LockingClause"].get("lockedRels", []):
            name = relation["RangeVar"]["relname"]
            if not any(item.name == name for item in scope.items):
                word = _STRENGTHS[clause["LockingClause"]["strength"]]
                message = f'relation "{name}" in {word} clause not found in FROM clause'
                raise scope.ctx.error("42P01", message, relation["RangeVar"].get("location", 0))
    scope.ctx.locks_rows = True
    if any(clause["LockingClause"].get("waitPolicy") == "LockWaitError" for clause in clauses):
        scope.ctx.nowait = next((item.relation.name for item in scope.items if item.relation is not None), "")


def _check_lockable(select: dict[str, Any], word: str, scope: Scope) -> None:
    own = calls.own_calls([*select.get("targetList", []), *select.get("sortClause", [])])
    what = next(
        (
            name
            for is_there, name in (
                (select.get("op", "SETOP_NONE") != "SETOP_NONE", "UNION/INTERSECT/EXCEPT"),
                ("distinctClause" in select, "DISTINCT clause"),
                ("groupClause" in select, "GROUP BY clause"),
                ("havingClause" in select, "HAVING clause"),
                (scope.grouping is not None, "aggregate functions"),
                (any("over" in node.get("FuncCall", {}) for node in own), "window functions"),
                (
                    any(calls.is_set_returning(node, scope) for node in own),
                    "set-returning functions in the target list",
                ),
            )
            if is_there
        ),
        "",
    )
    if what:
        raise scope.ctx.error("0A000", f"{word} is not allowed with {what}")
    if "valuesLists" in select or KEY in select:
        raise scope.ctx.error("0A000", f"{word} cannot be applied to VALUES")


# -- WITH -----------------------------------------------------------------------------------------


def translate_with(clause: dict[str, Any] | None, scope: Scope) -> str:
    """Translate WITH: its queries become visible in ``scope``. Returns the text, with a space behind, or ''."""
    if clause is None:
        return ""
    scope.ctes = dict(scope.ctes)
    texts = []
    _check_names(clause, scope)
    for fields in _in_order_of_need(clause, scope):
        texts.append(translate_cte(fields, bool(clause.get("recursive")), scope))
    return f"WITH {'RECURSIVE ' if clause.get('recursive') else ''}{', '.join(texts)} "


def _check_names(clause: dict[str, Any], scope: Scope) -> None:
    """Refuse two queries of one name. Those of WITH clauses around are only hidden. Raises SqlError 42712."""
    met: set[str] = set()
    for node in clause["ctes"]:
        fields = node["CommonTableExpr"]
        name = fields["ctename"]
        if name in met:
            message = f'WITH query name "{name}" specified more than once'
            raise scope.ctx.error("42712", message, fields.get("location", 0))
        met.add(name)


def _in_order_of_need(clause: dict[str, Any], scope: Scope) -> list[dict[str, Any]]:
    """The queries of WITH; of WITH RECURSIVE each behind those that it names. Raises SqlError 0A000 for a circle."""
    waiting: list[dict[str, Any]] = [node["CommonTableExpr"] for node in clause["ctes"]]
    if not clause.get("recursive") or len(waiting) == 1:
        return waiting
    ordered: list[dict[str, Any]] = []
    while waiting:
        ready = next(
            (
                one
                for one in waiting
                if not any(_refers_to(one["ctequery"], other["ctename"]) for other in waiting if other is not one)
            ),
            None,
        )
        if ready is None:
            message = "mutual recursion between WITH items is not implemented"
            raise scope.ctx.error("0A000", message, waiting[0].get("location", -1))
        ordered.append(ready)
        waiting.remove(ready)
    return ordered


def translate_cte(fields: dict[str, Any], recursive: bool, scope: Scope) -> str:
    """Translate one WITH query, which becomes visible in ``scope``. Returns its text."""
    ctx, name, body = scope.ctx, fields["ctename"], fields["ctequery"]
    if "SelectStmt" not in body:
        message = "WITH clause containing a data-modifying statement must be at the top level"
        raise ctx.error("0A000", message, fields.get("location", 0))
    clauses = read_clauses(fields)
    alias = ctx.unique_alias(name)
    select = body["SelectStmt"]
    renamed = tree.strings(fields.get("aliascolnames", []))
    error, ctx.constant_error = ctx.constant_error, None
    once = False
    if recursive and _refers_to(select, name):
        query = _recursive(select, name, alias, renamed, scope, clauses)
    else:
        if clauses is not None:
            raise ctx.error("42601", "WITH query is not recursive", fields.get("location", 0))
        effects = ctx.effects
        query = translate_query(select, scope.child())
        query.resolve_unknowns(ctx)
        once = ctx.effects > effects
    _rename(query, renamed, name, scope, fields.get("location", 0))
    columns = query.names()
    scope.ctes[name] = _cte_of(name, alias, columns, query)
    # Nobody plans a query that nobody reads.
    scope.ctes[name].error, ctx.constant_error = ctx.constant_error, error
    hint_word = {"CTEMaterializeAlways": "MATERIALIZED ", "CTEMaterializeNever": "NOT MATERIALIZED "}
    word = "" if once else hint_word.get(fields.get("ctematerialized", ""), "")
    shown = ", ".join(quote_identifier(column) for column in columns)
    text = query.render()
    if once:
        # Each of its references would compute it anew.
        text = f"SELECT * FROM ({text}) LIMIT -1 OFFSET 0"
    return f"{quote_identifier(alias)}({shown}) AS {word}({text})"


def _cte_of(name: str, alias: str, columns: list[str], query: Query) -> Cte:
    values = [
        (output.name, replace(output.value, sql=column, raw="", param=0, literal=-1, value=None))
        for output, column in zip(query.outputs, columns, strict=True)
    ]
    return Cte(name, alias, values)


def _rename(query: Query, names: list[str], cte: str, scope: Scope, at: int) -> None:
    if len(names) > len(query.outputs):
        message = f'WITH query "{cte}" has {len(query.outputs)} columns available but {len(names)} columns specified'
        raise scope.ctx.error("42P10", message, at)
    for name, output in zip(names, query.outputs, strict=False):
        output.name = name


def _refers_to(node: Any, name: str) -> bool:
    """Whether a tree names a WITH query: not one that a WITH clause inside of it calls the same."""
    if isinstance(node, list):
        return any(_refers_to(part, name) for part in node)
    if not isinstance(node, dict):
        return False
    clause = node.get("withClause")
    if isinstance(clause, dict):
        queries = [part["CommonTableExpr"] for part in clause["ctes"]]
        names = [query["ctename"] for query in queries]
        if name in names:
            # Unless it is recursive, the query of the same name still sees the one outside.
            seen = [] if clause.get("recursive") else queries[: names.index(name) + 1]
            return any(_refers_to(query["ctequery"], name) for query in seen)
    if node.get("relname") == name and "schemaname" not in node:
        return True
    return any(_refers_to(part, name) for part in node.values())


_NOT_IN_RECURSION: Final = {
    "sortClause": "ORDER BY", "limitOffset": "OFFSET", "limitCount": "LIMIT", "lockingClause": "FOR UPDATE/SHARE"
}  # fmt: skip


def _recursive(
    select: dict[str, Any], name: str, alias: str, renamed: list[str], scope: Scope, clauses: Clauses | None
) -> Query:
    """A recursive query: the types of the first arm hold for the whole."""
    ctx = scope.ctx
    if select.get("op") != "SETOP_UNION":
        message = f'recursive query "{name}" does not have the form non-recursive-term UNION [ALL] recursive-term'
        raise ctx.error("42P19", message)
    if _refers_to(select["larg"], name):
        raise ctx.error("42P19", f'recursive reference to query "{name}" must not appear within its non-recursive term')
    for key, word in _NOT_IN_RECURSION.items():
        if key in select:
            at = tree.location(select[key][0] if isinstance(select[key], list) else select[key])
            raise ctx.error("0A000", f"{word} in a recursive query is not implemented", at)
    if _refers_to(select.get("withClause"), name):
        raise ctx.error("42P19", f'recursive reference to query "{name}" must not appear within a subquery')
    recursion_checks.check(select["rarg"], name, ctx)
    scope = scope.child()
    with_clause = translate_with(select.get("withClause"), scope)
    left = translate_query(select["larg"], scope.child())
    left.resolve_unknowns(ctx)
    _rename(left, renamed, name, scope, 0)
    names = left.names()
    cte = _cte_of(name, alias, names, left)
    added = Added(clauses, scope) if clauses is not None else None
    if added is not None:
        check_clauses(added.clauses, [output.name for output in left.outputs], renamed, ctx)
        check_arms(select, name, ctx)
        left = added.first(left)
        cte.met = added.met
    inner = scope.child()
    inner.ctes = {name: cte}
    for column in inner.ctes[name].columns:
        column[1].not_null = False
    right = translate_query(select["rarg"], inner)
    for position, (one, other) in enumerate(zip(left.outputs, right.outputs, strict=False)):
        oid = type_in(other.value, ctx)
        if oid not in (one.value.type_oid, UNKNOWN) and not can_coerce(oid, one.value.type_oid):
            message = (
                f'recursive query "{name}" column {position + 1} has type {type_name(one.value.type_oid)} in '
                f"non-recursive term but type {type_name(oid)} overall"
            )
            hint = "Cast the output of the non-recursive term to the correct type."
            raise ctx.error("42804", message, one.value.location, hint=hint)
    if added is not None and len(right.outputs) == len(names):
        added.further(right, left, names)
    outputs = unify_arms(left, right, "UNION", ctx)
    for output, one in zip(outputs, left.outputs, strict=True):
        output.value.not_null, output.value.shape = False, one.value.shape
    if not select.get("all"):
        for output in outputs:
            check_comparable(output.value, scope)
    query = Compound(outputs, left=left, right=right, operator="UNION ALL" if select.get("all") else "UNION")
    _collate_arms(query)
    if not right.is_plain:
        raise ctx.unsupported(f"{'WITH' if right.with_clause else 'ORDER BY or LIMIT'} in a recursive term")
    query.with_clause = with_clause
    return query


# -- set operations and VALUES --------------------------------------------------------------------

_SET_WORDS: Final = {"SETOP_UNION": "UNION", "SETOP_INTERSECT": "INTERSECT", "SETOP_EXCEPT": "EXCEPT"}


def _compound(select: dict[str, Any], scope: Scope) -> Query:
    ctx, word = scope.ctx, _SET_WORDS[select["op"]]
    # The arms see this level's WITH, and its parent's columns, but not each other.
    left = translate_query(select["larg"], Scope(ctx, scope.parent, ctes=scope.ctes))
    right = translate_query(select["rarg"], Scope(ctx, scope.parent, ctes=scope.ctes))
    outputs = unify_arms(left, right, word, ctx)
    if not outputs and word != "UNION" and select.get("all"):
        raise ctx.unsupported(f"{word} ALL of queries without columns")
    query = Compound(outputs, left=left, right=right, operator=f"{word} ALL" if select.get("all") else word)
    query.effects = left.effects or right.effects
    if not select.get("all") or word != "UNION":
        for output in outputs:
            check_comparable(output.value, scope)
        _collate_arms(query)
    _finish(query, select, scope)
    return query


def _collate_arms(query: Compound) -> None:
    for arm in (query.left, query.right):
        if isinstance(arm, Select):
            arm.collate_outputs = True
        elif isinstance(arm, Compound):
            _collate_arms(arm)


def _values(select: dict[str, Any], scope: Scope) -> Values:
    rows: list[list[TypedSql]] = []
    for node in select["valuesLists"]:
        items = node["List"]["items"]
        if rows and len(items) != len(rows[0]):
            raise scope.ctx.error("42601", "VALUES lists must all be the same length", tree.location(items[0]))
        rows.append([_value_item(item, scope) for item in items])
    outputs = [Output(f"column{number + 1}", rows[0][number]) for number in range(len(rows[0]))]
    query = Values(outputs, rows=rows, single_row=len(rows) == 1)
    query.unify(scope.ctx)
    _finish(query, select, scope)
    return query


def _folded_values(select: dict[str, Any], scope: Scope) -> Query:
    """VALUES whose rows were taken out of the text."""
    query = select[KEY].values(scope)
    _finish(query, select, scope)
    return query  # type: ignore[no-any-return]


def _value_item(node: Node, scope: Scope) -> TypedSql:
    if "SetToDefault" in node:
        raise scope.ctx.error("42601", "DEFAULT is not allowed in this context", tree.location(node))
    return translate(node, scope)


def _finish(query: Query, select: dict[str, Any], scope: Scope) -> None:
    """ORDER BY and LIMIT of a compound query or VALUES: only result columns may be named."""
    for node in select.get("sortClause", []):
        sort = node["SortBy"]
        position = output_position(sort["node"], query.outputs, scope)
        if position is None:
            message = "invalid UNION/INTERSECT/EXCEPT ORDER BY clause"
            detail = "Only result column names can be used, not expressions or functions."
            hint = "Add the expression/function to every SELECT, or move the UNION into a FROM clause."
            name = sort["node"].get("ColumnRef")
            if name is not None and len(name["fields"]) == 1:
                shown = tree.strings(name["fields"])[0]
                raise scope.ctx.error("42703", f'column "{shown}" does not exist', tree.location(sort["node"]))
            raise scope.ctx.error("0A000", message, tree.location(sort["node"]), detail=detail, hint=hint)
        if query.outputs[position].value.type_oid == UNKNOWN:
            query.coerce(position, 25, -1, How.IMPLICIT, scope.ctx)
        query.order_by.append(sort_term(query.outputs[position].value, sort, scope, str(position + 1)))
    query.limit = limit_clause(select, query, scope)


# -- SELECT ---------------------------------------------------------------------------------------


def _select(select: dict[str, Any], scope: Scope) -> Query:
    ctx = scope.ctx
    met, notices, constant_error = len(ctx.met), len(ctx.notices), ctx.constant_error
    effects, volatile = ctx.effects, ctx.volatile
    try:
        return _grouped(select, scope)
    except HeldBelow as found:
        if found.owner is not scope:
            raise
    del ctx.met[met:], ctx.notices[notices:]
    ctx.constant_error, ctx.effects, ctx.volatile = constant_error, effects, volatile
    scope.begin_anew()
    return _grouped(select, scope, below=True)


def _grouped(select: dict[str, Any], scope: Scope, below: bool = False) -> Query:
    """Translate a SELECT; with ``below`` its groups are those of a query in its FROM, whatever GROUP BY says."""
    select = with_windows_below(with_rows_named(select, scope), scope)
    source, conditions = translate_from(select.get("fromClause", []), scope)
    targets = [node["ResTarget"] for node in select.get("targetList", [])]
    untyped = untyped_targets(targets, scope.ctx)
    met = len(scope.ctx.met)
    if "whereClause" in select:
        conditions.append(expect_boolean(select["whereClause"], scope, "WHERE").sql)
    for node in select.get("windowClause", []):
        _define_window(node["WindowDef"], scope)
    scope.pending_srf = []
    group_texts = group(select, targets, scope, below)
    source = with_series(source, scope.pending_srf)
    grouping = scope.grouping if isinstance(scope.grouping, GroupingSets) else None
    scope.clause = ""
    scope.aggregates_allowed = scope.windows_allowed = True
    scope.pending_srf = []
    behind, scope.ctx.met[met:] = scope.ctx.met[met:], []
    effects = scope.ctx.effects
    outputs = select_outputs(targets, scope)
    called = scope.ctx.effects > effects
    scope.ctx.met += behind  # PostgreSQL reads the select list before WHERE.
    series, scope.pending_srf = scope.pending_srf, None
    if series:
        refuse_late(select, scope)
    having = expect_boolean(select["havingClause"], scope, "HAVING").sql if "havingClause" in select else ""
    query = Select(outputs, distinct="distinctClause" in select, effects=called)
    if grouping is not None:
        query.source = _clauses(with_series(_SETS, series), [having] if having else [], [], "")
    else:
        query.source = _filtered(with_series(source, series), conditions, group_texts, having, select, scope)
        query.single_row = not series and (not source or group_texts == [])
    found = _ordered(query, select, targets, scope)
    found.untyped = untyped
    if grouping is not None:
        # Only now all aggregates that the sets have to give are known.
        found.source = found.source.replace(_SETS, grouping.source(source, conditions))
    return found


def _define_window(definition: dict[str, Any], scope: Scope) -> None:
    """Make a window of the WINDOW clause known. Raises SqlError 42P20 for a name that is taken."""
    name = definition["name"]
    if name in scope.windows:
        raise scope.ctx.error("42P20", f'window "{name}" is already defined', definition.get("location", -1))
    scope.windows[name] = {key: value for key, value in definition.items() if key != "name"}


_SETS: Final = "\x04sets\x04"
"""Stands for the union of the grouping sets until it is written."""


def _clauses(source: str, conditions: list[str], keys: list[str], having: str) -> str:
    """The text from FROM to HAVING, with a leading space, or ''."""
    text = f" FROM {source}" if source else ""
    text += f" WHERE {' AND '.join(conditions)}" if conditions else ""
    text += f" GROUP BY {', '.join(keys)}" if keys else ""
    return text + (f" HAVING {having}" if having else "")


def _filtered(
    source: str, conditions: list[str], keys: list[str] | None, having: str, select: dict[str, Any], scope: Scope
) -> str:
    """As :func:`_clauses`; SQLite wants an aggregate beside HAVING where there are no keys."""
    shown = [*select.get("targetList", []), *select.get("sortClause", [])]
    if not having or keys or calls.has_aggregate(shown, scope):
        return _clauses(source, conditions, keys or [], having)
    if calls.has_aggregate([select["havingClause"]], scope):
        return f" FROM (SELECT count(*){_clauses(source, conditions, [], having)})"
    # There is one group, whatever rows there are.
    return f" FROM (SELECT 1) WHERE {having}"


def _ordered(query: Select, select: dict[str, Any], targets: list[dict[str, Any]], scope: Scope) -> Select:
    """DISTINCT, ORDER BY and LIMIT."""
    if query.distinct and not select["distinctClause"][0]:
        for output in query.outputs:
            check_comparable(output.value, scope)
            if output.value.type_oid == UNKNOWN:
                output.value = casts.to_text_if_unknown(output.value, scope.ctx)
    keys = select.get("distinctClause", [{}])
    if query.distinct and keys and keys[0]:
        return distinct_on(query, keys, select, scope)
    if has_ties(select, scope):
        return with_ties(query, select, scope)
    query.order_by = [order_term(node["SortBy"], query, targets, scope) for node in select.get("sortClause", [])]
    query.limit = limit_clause(select, query, scope)
    return query


__all__ = ["translate_cte", "translate_query", "translate_with"]
