"""Statements with a query inside: PREPARE, EXECUTE, DECLARE, EXPLAIN, COPY; and TRUNCATE."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from helios_cli.engine.errors import FeatureNotSupported, SqlError
from helios_cli.engine.sql import actions, current_rows, tree, utility
from helios_cli.engine.sql.context import Context
from helios_cli.engine.sql.copy_statement import (
    check_forced,
    copy_columns,
    copy_insert,
    copy_row,
    read_options,
    refuse_files,
    refuse_generated,
    stored_columns,
)
from helios_cli.engine.sql.finishing import QUERIES, finish_plan
from helios_cli.engine.sql.merge import translate_merge
from helios_cli.engine.sql.oids import JSON, TEXT, XML
from helios_cli.engine.sql.partitions import is_parted, routed
from helios_cli.engine.sql.plan import Column, Kind, Plan
from helios_cli.engine.sql.procedures import plan_call, plan_do
from helios_cli.engine.sql.routine_programs import TriggeredTruncate
from helios_cli.engine.sql.scope import RangeItem, Scope
from helios_cli.engine.sql.scrolling import goes_back
from helios_cli.engine.sql.triggered import Parts, are_seen, plan_program, plan_triggered
from helios_cli.engine.sql.truncate import translate_truncate
from helios_cli.engine.sql.typed import Node
from helios_cli.engine.sql.typenames import resolve_type

if TYPE_CHECKING:
    from helios_cli.engine.sql.planner import Planner, Statement

_INSTEAD: Final = "Try the COPY (SELECT ...) TO variant."
_NO_ROWS: Final = {"v": ("view", _INSTEAD), "m": ("materialized view", _INSTEAD), "S": ("sequence", None)}
"""What COPY TO does not take by its name, and its hint."""
_NAME: Final = r'(?:"(?:[^"]|"")*"|[\w$.]+)'
_PREPARE: Final = re.compile(
    rf"\s*PREPARE\s+{_NAME}\s*(?:\((?:[^()]|\([^()]*\))*\))?\s*AS\s+(.*)", re.IGNORECASE | re.DOTALL
)
_DECLARE: Final = re.compile(
    rf"\s*DECLARE\s+{_NAME}\s+[\w\s]*?CURSOR\s+(?:(?:WITH|WITHOUT)\s+HOLD\s+)?FOR\s+(.*)", re.IGNORECASE | re.DOTALL
)


def _inner_text(pattern: re.Pattern[str], statement: Statement) -> tuple[str, int]:
    """The text of the query inside PREPARE or DECLARE, and where it begins in the statement (characters)."""
    match = pattern.fullmatch(statement.text)
    if match is None:
        raise FeatureNotSupported("comments before the query of PREPARE or DECLARE are not supported")
    return match[1].rstrip().removesuffix(";"), match.start(1)


@contextmanager
def _pointing_behind(start: int) -> Iterator[None]:
    """Errors of a text that begins at a character of the statement point into the statement."""
    try:
        yield
    except SqlError as error:
        if error.position is not None:
            error.position += start
        raise


def _prepare(planner: Planner, statement: Statement, ctx: Context) -> Plan:
    fields = statement.node["PrepareStmt"]
    types = tuple(resolve_type(node["TypeName"], ctx)[0] for node in fields.get("argtypes", []))
    text, start = _inner_text(_PREPARE, statement)
    # Constants are computed when the statement is executed, not when it is prepared.
    with _pointing_behind(start):
        plan = type(planner)(planner.functions).plan(text, types, catalog=ctx.catalog)[0]
    return utility.utility_plan("PREPARE", actions.Prepare(fields["name"], types, text, plan))


def _execute(planner: Planner, statement: Statement, ctx: Context) -> Plan:
    fields = statement.node["ExecuteStmt"]
    plans, texts, is_text = [], [], []
    for node in fields.get("params", []):
        constant = node.get("A_Const")
        value = tree.const_value(constant) if constant is not None else None
        bare = constant is not None and not isinstance(value, bool)
        is_text.append(bare)
        texts.append(None if value is None else str(value))
        target = {"ResTarget": {"val": node, "location": tree.location(node)}}
        inner = planner.context(ctx.source, None, ctx.catalog)
        plans.append(planner.select({"targetList": [target], "op": "SETOP_NONE"}, inner))
    action = actions.Execute(fields["name"], tuple(plans), tuple(texts), tuple(is_text))
    return Plan(Kind.UTILITY, "EXECUTE", action=action)


_BINARY, _SCROLL, _NO_SCROLL, _HOLD = 0x1, 0x2, 0x4, 0x20


def _declare(planner: Planner, statement: Statement, ctx: Context) -> Plan:
    fields = statement.node["DeclareCursorStmt"]
    options = fields.get("options", 0)
    node, keys, locked = current_rows.with_keys(fields["query"], ctx)
    query = planner.query(node, ctx)
    if keys:
        query.columns = (query.columns or ())[: -len(keys)]
    if query.program is not None:
        raise SqlError("DECLARE CURSOR must not contain data-modifying statements in WITH", sqlstate="0A000")
    for bit, word in ((_HOLD, "CURSOR WITH HOLD"), (_SCROLL, "SCROLL CURSOR")):
        if options & bit and query.locks_rows:
            what = "Holdable" if bit == _HOLD else "Scrollable"
            raise SqlError(
                f"DECLARE {word} ... FOR UPDATE is not supported",
                sqlstate="0A000",
                detail=f"{what} cursors must be READ ONLY.",
            )
    text = _inner_text(_DECLARE, statement)[0]
    back = "SelectStmt" not in fields["query"] or goes_back(fields["query"]["SelectStmt"], ctx)
    action = actions.DeclareCursor(
        fields["portalname"],
        query,
        text,
        hold=bool(options & _HOLD),
        scroll=True if options & _SCROLL else False if options & _NO_SCROLL or not back else None,
        binary=bool(options & _BINARY),
        keys=keys,
        locked=locked,
    )
    plan = utility.utility_plan("DECLARE CURSOR", action)
    plan.param_types, plan.session_values = query.param_types, query.session_values
    plan.catalog_version, plan.rights, plan.guarded = ctx.catalog.version, query.rights, query.guarded
    return plan


_EXPLAIN_TYPES: Final = {"json": JSON, "xml": XML}


def _explain(planner: Planner, statement: Statement, ctx: Context) -> Plan:
    fields = statement.node["ExplainStmt"]
    options = {node["DefElem"]["defname"]: node["DefElem"] for node in fields.get("options", [])}
    form = options.get("format", {}).get("arg", {}).get("String", {}).get("sval", "text").lower()
    if form not in ("text", "json", "xml", "yaml"):
        raise SqlError(f'unrecognized value for EXPLAIN option "format": "{form}"', sqlstate="22023")
    known = {"analyze", "verbose", "costs", "settings", "buffers", "wal", "timing", "summary", "format", "generic_plan"}
    for name in options:
        if name not in known:
            raise SqlError(f'unrecognized EXPLAIN option "{name}"', sqlstate="42601")
    inner = fields["query"]
    if tree.tag(inner) == "ExecuteStmt":
        query = _execute(planner, replace(statement, node=inner), ctx)
    elif tree.tag(inner) in QUERIES:
        query = planner.query(inner, ctx)
    else:
        raise FeatureNotSupported(f"EXPLAIN of {shown_statement(tree.tag(inner))} is not supported")
    flags = {name: utility.flag(option) for name, option in options.items() if name != "format"}
    analyze = flags.get("analyze", False)
    for name in ("wal", "timing"):
        if flags.get(name) and not analyze:
            raise SqlError(f"EXPLAIN option {name.upper()} requires ANALYZE", sqlstate="22023")
    action = actions.Explain(
        query,
        analyze=analyze,
        verbose=flags.get("verbose", False),
        timing=flags.get("timing", True),
        summary=flags.get("summary", True),
        format=form,
    )
    plan = utility.utility_plan("EXPLAIN", action, (Column("QUERY PLAN", _EXPLAIN_TYPES.get(form, TEXT)),))
    plan.param_types, plan.session_values = query.param_types, query.session_values
    plan.catalog_version, plan.rights, plan.guarded = ctx.catalog.version, query.rights, query.guarded
    return plan


def _check_source(node: Node, ctx: Context) -> None:
    """Refuse to COPY what has no rows of its own. Raises SqlError 42809."""
    relation = ctx.catalog.relation(node.get("schemaname"), node["relname"])
    if relation is not None and is_parted(relation):
        raise SqlError(
            f'cannot copy from partitioned table "{relation.name}"', sqlstate="42809",
            hint="Try the COPY (SELECT ...) TO variant.",
        )  # fmt: skip
    if relation is None or relation.kind not in _NO_ROWS:
        return
    word, hint = _NO_ROWS[relation.kind]
    raise SqlError(f'cannot copy from {word} "{relation.name}"', sqlstate="42809", hint=hint)


def _copy(planner: Planner, statement: Statement, ctx: Context) -> Plan:
    fields = statement.node["CopyStmt"]
    refuse_files(fields)
    options = read_options(fields.get("options", []), ctx, is_from=bool(fields.get("is_from")))
    if fields.get("is_from"):
        return _copy_from(fields, options, ctx)
    if "query" in fields:
        if "MergeStmt" in fields["query"]:
            raise SqlError("MERGE not supported in COPY", sqlstate="0A000")
        query = planner.query(fields["query"], ctx)
        if query.columns is None:
            raise SqlError("COPY query must have a RETURNING clause", sqlstate="0A000")
    else:
        _check_source(fields["relation"], ctx)
        query = planner.select(_table_query(fields, ctx), ctx)
    _check_forced(fields, options, query, ctx)
    plan = Plan(Kind.COPY, "COPY", action=actions.CopyOut(query, options), catalog_version=ctx.catalog.version)
    plan.session_values, plan.rights, plan.guarded = query.session_values, query.rights, query.guarded
    return plan


def _check_forced(fields: dict[str, Any], options: actions.CopyOptions, query: Plan, ctx: Context) -> None:
    written = [column.name for column in query.columns or ()]
    source = fields.get("relation")
    relation = ctx.catalog.relation(source.get("schemaname"), source["relname"]) if source is not None else None
    if relation is None:
        check_forced(options, written, written, "")
    else:
        check_forced(options, written, [column.name for column in relation.columns], relation.name)


def _table_query(fields: dict[str, Any], ctx: Context) -> dict[str, Any]:
    """The SELECT that COPY table (columns) TO stands for: of the table's own rows, without those of its heirs.

    Raises:
        SqlError: 42P10, it names a computed column.
    """
    table = {key: value for key, value in fields["relation"].items() if key != "inh"}
    names = tree.strings(fields.get("attlist", []))
    source = fields["relation"]
    relation = ctx.catalog.relation(source.get("schemaname"), source["relname"])
    if relation is not None:
        refuse_generated([column for column in relation.columns if column.name in names])
        if not names and any(column.generated for column in relation.columns):
            names = [column.name for column in stored_columns(relation)]
    references = [[{"String": {"sval": name}}] for name in names] or [[{"A_Star": {}}]]
    targets = [{"ResTarget": {"val": {"ColumnRef": {"fields": reference, "location": -1}}}} for reference in references]
    return {"targetList": targets, "fromClause": [{"RangeVar": table}], "op": "SETOP_NONE"}


def _copy_from(fields: dict[str, Any], options: actions.CopyOptions, ctx: Context) -> Plan:
    scope = Scope(ctx=ctx)
    relation, columns = copy_columns(fields, scope)
    known = [column.name for column in relation.columns]
    check_forced(options, [column.name for column in columns], known, relation.name)
    ctx.params = [column.type_oid for column in columns]
    where = fields.get("whereClause")
    sql = copy_insert(relation, columns, scope, where)
    parted = is_parted(relation)
    if parted or are_seen(relation, ("INSERT",), scope):
        filled, values = copy_row(relation, columns, scope, where)
        parts = Parts("INSERT", relation, values, filled, [])
        routed(parts, RangeItem(relation.name, [], relation, expanded=parted), scope)
        insert = plan_triggered(parts, sql, "INSERT 0", ctx)
    else:
        insert = finish_plan(Kind.WRITE, "INSERT 0", [sql], ctx)
    action = actions.CopyIn(
        relation.name,
        tuple(column.name for column in columns),
        tuple((column.type_oid, column.typmod) for column in columns),
        insert,
        options,
        relation,
        where is not None,
    )
    plan = Plan(Kind.COPY, "COPY", action=action, catalog_version=ctx.catalog.version)
    plan.session_values, plan.rights = insert.session_values, insert.rights
    return plan


def _truncate(_planner: Planner, statement: Statement, ctx: Context) -> Plan:
    fields = statement.node["TruncateStmt"]
    steps, relations = translate_truncate(fields, Scope(ctx=ctx))
    fires = any("TRUNCATE" in trigger.events for found in relations for trigger in ctx.catalog.triggers(found.oid))
    if fires:
        ctx.keep_session_value("pid")
    plan = finish_plan(Kind.WRITE, "TRUNCATE TABLE", steps, ctx)
    plan.counts_rows = False
    if fires:
        plan.routine, plan.volatile = TriggeredTruncate(relations), True
    return plan


def _merge(_planner: Planner, statement: Statement, ctx: Context) -> Plan:
    found = translate_merge(statement.node["MergeStmt"], ctx)
    return plan_program(found.steps, found.parts, found.program, "MERGE", ctx)


def shown_statement(kind: str) -> str:
    """A statement's name from its node type: 'CreateFunctionStmt' is CREATE FUNCTION."""
    words = re.findall(r"[A-Z][a-z]*", kind.removesuffix("Stmt"))
    return " ".join(words).upper()


def _do(_planner: Planner, statement: Statement, ctx: Context) -> Plan:
    return plan_do(statement.node["DoStmt"], ctx)


def _call(_planner: Planner, statement: Statement, ctx: Context) -> Plan:
    return plan_call(statement.node["CallStmt"], ctx)


HANDLERS: Final = {
    "DoStmt": _do,
    "CallStmt": _call,
    "PrepareStmt": _prepare,
    "ExecuteStmt": _execute,
    "DeclareCursorStmt": _declare,
    "ExplainStmt": _explain,
    "CopyStmt": _copy,
    "TruncateStmt": _truncate,
    "MergeStmt": _merge,
}
