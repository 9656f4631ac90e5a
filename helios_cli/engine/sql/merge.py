"""MERGE: one query decides for each source row what is to be done, then each kind of change is one statement.

The query's rows are JSON arrays: the number of the WHEN clause, the target's row number, and the values to be stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from helios_cli.engine.sql import dml
from helios_cli.engine.sql.assignments import row_fields
from helios_cli.engine.sql.expressions import expect_boolean, translate
from helios_cli.engine.sql.from_clause import Source, find_relation, from_item
from helios_cli.engine.sql.inheritance import ROW, all_rows, is_expanded
from helios_cli.engine.sql.oids import BYTEA
from helios_cli.engine.sql.partitions import is_parted, routed
from helios_cli.engine.sql.plan import Program
from helios_cli.engine.sql.relation import ColumnInfo, Relation
from helios_cli.engine.sql.scope import RangeItem, Scope
from helios_cli.engine.sql.secured_writes import SecuredMerge
from helios_cli.engine.sql.select import translate_with
from helios_cli.engine.sql.snapshots import row_id
from helios_cli.engine.sql.sqltext import quote_identifier
from helios_cli.engine.sql.triggered import Parts, are_seen, heirs_changed
from helios_cli.engine.sql.typed import Node, TypedSql

_MATCHED: Final = "MERGE_WHEN_MATCHED"
_NOT_MATCHED: Final = "MERGE_WHEN_NOT_MATCHED_BY_TARGET"
_SAVED: Final = "saved.merge"
_ORDER: Final = {"CMD_DELETE": 0, "CMD_UPDATE": 1, "CMD_INSERT": 2}
"""Rows go before others may take their keys."""
_POLICIES: Final = {"INSERT": "a", "UPDATE": "w", "DELETE": "d"}


@dataclass(slots=True)
class Merge:
    """A translated MERGE."""

    steps: list[str]
    parts: list[Parts | None]
    """For each step what it is made of, when triggers have to see it."""
    program: Program


@dataclass(slots=True)
class _Branch:
    """One WHEN clause."""

    command: str
    test: str
    columns: list[ColumnInfo]
    values: list[TypedSql]

    @property
    def event(self) -> str:
        """INSERT, UPDATE, DELETE or NOTHING."""
        return self.command.removeprefix("CMD_")


def translate_merge(fields: dict[str, Any], ctx: Any) -> Merge:
    """Translate a MergeStmt.

    Raises:
        SqlError: as UPDATE, INSERT and DELETE do; 42601 a WHEN clause that nothing reaches; 0A000 what PostgreSQL 15
            has not.
    """
    scope = Scope(ctx=ctx)
    if fields.get("returningList"):
        raise ctx.unsupported("RETURNING of MERGE", hint="Read the rows afterwards.")
    with_clause = translate_with(fields.get("withClause"), scope)
    commands = {node["MergeWhenClause"].get("commandType", "CMD_NOTHING") for node in fields["mergeWhenClauses"]}
    words = [command.removeprefix("CMD_") for command in sorted(commands)]
    found = find_relation(fields["relation"], scope)
    if found.kind == "v":
        detail = "This operation is not supported for views."
        raise ctx.error("0A000", f'cannot execute MERGE on relation "{found.name}"', detail=detail)
    relation = dml.target_relation(fields["relation"], scope, words[0])
    for word in words[1:]:
        dml.target_relation(fields["relation"], scope, word)
    item, table = dml.target_item(fields["relation"], relation, scope)
    if is_expanded(relation, fields["relation"], ctx) or is_parted(relation):
        item.derived = item.expanded = True
        table = f"{all_rows(relation, ctx, numbered=True)} AS {quote_identifier(item.alias)}"
    source = from_item(fields["sourceRelation"], scope)
    if any(known.visible and known.name == item.name for known in source.items):
        message = f'name "{item.name}" specified more than once'
        detail = "The name is used both as MERGE target table and data source."
        raise ctx.error("42712", message, detail=detail)
    branches = _branches(fields["mergeWhenClauses"], item, source, scope)
    secured = SecuredMerge(relation, item, ctx)
    both = _scope_of([item, *source.items], [*item.columns, *source.columns], scope)
    condition = secured.matches(expect_boolean(fields["joinCondition"], both, "MERGE").sql)
    row = _row(item)
    decided = _decision(branches, _target(item), secured)
    outer = any(branch.test.startswith(f"{row} IS NULL") for branch in branches)
    where = f" WHERE {' AND '.join(source.conditions)}" if source.conditions else ""
    joined = f"{source.sql} {'LEFT JOIN' if outer else 'JOIN'} {table} ON {condition}{where}"
    # No WHERE over the decision: SQLite would compute it twice, with its calls of nextval().
    first = f"{with_clause}SELECT {decided} FROM {joined}"
    return _program(first, branches, item, scope, secured)


def _row(item: RangeItem) -> str:
    """The number of the target's row; NULL where there is none."""
    assert item.relation is not None
    number = quote_identifier(ROW) if item.expanded else row_id(item.relation)
    return f"{quote_identifier(item.alias)}.{number}"


def _target(item: RangeItem) -> str:
    """What names the target's row; with heirs its table's OID and its number, in an array."""
    row = _row(item)
    if not item.expanded:
        return row
    return f"iif({row} IS NULL, NULL, json_array({quote_identifier(item.alias)}.tableoid, {row}))"


def _program(first: str, branches: list[_Branch], item: RangeItem, scope: Scope, secured: SecuredMerge) -> Merge:
    relation = item.relation
    assert relation is not None
    saved = scope.ctx.session_value(_SAVED)
    rows = f"(SELECT value ->> 0 AS row FROM json_each({saved}))"
    hint = "Ensure that not more than one source row matches any one target row."
    again = f"pg_raise('21000', 'MERGE command cannot affect row a second time', NULL, NULL, NULL, NULL, '{hint}')"
    check = (
        f"SELECT {again} FROM (SELECT row ->> 1 AS target FROM {rows}) WHERE target IS NOT NULL "
        "GROUP BY target HAVING count(*) > 1 LIMIT 1"
    )
    numbered = sorted(enumerate(branches), key=lambda pair: _ORDER.get(pair[1].command, 3))
    active = [(number, branch) for number, branch in numbered if branch.command in _ORDER]
    changes = [_change(number, branch, relation, rows) for number, branch in active]
    parts = [_seen_change(number, branch, item, rows, scope, secured) for number, branch in active]
    if item.expanded:
        changes = [part.source if part is not None else change for part, change in zip(parts, changes, strict=True)]
    for at, part in enumerate(parts):
        if part is not None:
            part.statement = part.event not in {known.event for known in parts[:at] if known is not None}
    count = 2 + len(changes)
    return Merge(
        [first, check, *changes], [None, None, *parts], Program((_SAVED,) + ("",) * (count - 1), tuple(range(2, count)))
    )


def _change(number: int, branch: _Branch, relation: Relation, rows: str) -> str:
    table = quote_identifier(relation.sqlite_name or relation.name)
    own = f"row ->> 0 = {number}"
    if branch.command == "CMD_DELETE":
        return f"DELETE FROM {table} WHERE {row_id(relation)} IN (SELECT row ->> 1 FROM {rows} WHERE {own})"
    values = [
        f"unhex(row ->> {place})" if column.type_oid == BYTEA else f"row ->> {place}"
        for place, column in enumerate(branch.columns, 2)
    ]
    names = [quote_identifier(column.name) for column in branch.columns]
    if branch.command == "CMD_INSERT":
        if not names:
            # As many rows of defaults as there are rows; SQLite wants one column to be named.
            names, values = [quote_identifier(relation.columns[0].name)], ["NULL"]
        return f"INSERT INTO {table} ({', '.join(names)}) SELECT {', '.join(values)} FROM {rows} WHERE {own}"
    assigned = ", ".join(f"{name} = {value}" for name, value in zip(names, values, strict=True))
    target = f"{table}.{row_id(relation)}"
    return f"UPDATE {table} SET {assigned} FROM {rows} WHERE {own} AND {target} = row ->> 1"


def _seen_change(
    number: int, branch: _Branch, item: RangeItem, rows: str, scope: Scope, secured: SecuredMerge
) -> Parts | None:
    """The rows of one WHEN clause that triggers see, that are checked or in several tables; None for others."""
    event, relation = branch.event, item.relation
    assert relation is not None
    spread = item.expanded and (event != "INSERT" or is_parted(relation))
    checks = secured.checks(_POLICIES[event]) if event != "DELETE" else []
    if not spread and not checks and not are_seen(relation, (event,), scope):
        return None
    own = f"row ->> 0 = {number}"
    values = [
        f"unhex(row ->> {place})" if column.type_oid == BYTEA else f"row ->> {place}"
        for place, column in enumerate(branch.columns, 2)
    ]
    names = tuple(column.name for column in branch.columns)
    if event == "INSERT":
        source = f"SELECT {', '.join(values) or 'NULL'} FROM {rows} WHERE {own}"
        return _routed(Parts(event, relation, source, names, [], checks=checks), item, scope)
    if spread:
        source = f"SELECT {', '.join(['(row ->> 1) ->> 0', '(row ->> 1) ->> 1', *values])} FROM {rows} WHERE {own}"
        heirs = heirs_changed(item, scope)
        return _routed(Parts(event, relation, source, names, [], checks=checks, heirs=heirs), item, scope)
    table = quote_identifier(relation.sqlite_name or relation.name)
    number_of_row = f"{table}.{row_id(relation)}"
    before = [f"{table}.{quote_identifier(column.name)}" for column in relation.columns]
    selected = ", ".join([number_of_row, *before, *values])
    source = f"SELECT {selected} FROM {rows} JOIN {table} ON {number_of_row} = row ->> 1 WHERE {own}"
    return Parts(event, relation, source, names, [], checks=checks)


def _routed(parts: Parts, item: RangeItem, scope: Scope) -> Parts:
    routed(parts, item, scope)
    return parts


def _decision(branches: list[_Branch], row: str, secured: SecuredMerge) -> str:
    """The CASE that gives a source row's JSON array; NULL where nothing is to be done."""
    arms = []
    for number, branch in enumerate(branches):
        if branch.command not in _ORDER:
            arms.append(f"WHEN {branch.test} THEN NULL")
            continue
        values = [_as_json(value) for value in branch.values]
        found = f"json_array({', '.join([str(number), row, *values])})"
        allowed = secured.allowed(_POLICIES[branch.event]) if branch.event != "INSERT" else ""
        arms.append(f"WHEN {branch.test} THEN {f'CASE WHEN {allowed} THEN {found} END' if allowed else found}")
    return f"CASE {' '.join(arms)} END"


def _as_json(value: TypedSql) -> str:
    # hex(NULL) is an empty string.
    return f"iif({value.sql} IS NULL, NULL, hex({value.sql}))" if value.type_oid == BYTEA else value.sql


def _scope_of(items: list[RangeItem], columns: list[Any], scope: Scope) -> Scope:
    return Scope(ctx=scope.ctx, parent=scope.parent, ctes=scope.ctes, items=items, columns=columns, clause="MERGE WHEN")


def _branches(nodes: list[Node], item: RangeItem, source: Source, scope: Scope) -> list[_Branch]:
    ctx, relation = scope.ctx, item.relation
    assert relation is not None
    row = _row(item)
    both = _scope_of([item, *source.items], [*item.columns, *source.columns], scope)
    alone = _scope_of(source.items, source.columns, scope)
    found, closed = [], set()
    for node in nodes:
        fields = node["MergeWhenClause"]
        kind = fields.get("matchKind", _MATCHED)
        if kind not in (_MATCHED, _NOT_MATCHED):
            raise ctx.unsupported("WHEN NOT MATCHED BY SOURCE", hint="PostgreSQL 15 has it not either.")
        if kind in closed:
            raise ctx.error("42601", "unreachable WHEN clause specified after unconditional WHEN clause")
        inner = both if kind == _MATCHED else alone
        test = f"{row} IS {'NOT ' if kind == _MATCHED else ''}NULL"
        if "condition" in fields:
            test += f" AND {expect_boolean(fields['condition'], inner, 'MERGE WHEN').sql}"
        else:
            closed.add(kind)
        columns, values = _values(fields, relation, inner)
        found.append(_Branch(fields.get("commandType", "CMD_NOTHING"), test, columns, values))
    return found


def _assignments(nodes: list[Node], relation: Relation, scope: Scope) -> tuple[list[ColumnInfo], list[TypedSql]]:
    """The SET list of a WHEN clause."""
    columns = [dml.named_column(node["ResTarget"], relation, scope) for node in nodes]
    scope.ctx.rights.updates(relation.oid, (column.attnum for column in columns))
    values = []
    for node, column in zip(nodes, columns, strict=True):
        value = node["ResTarget"]["val"]
        multi = value.get("MultiAssignRef")
        if multi is not None:
            if "RowExpr" not in multi["source"]:
                raise scope.ctx.unsupported("assigning a row of a subquery in MERGE", hint="Assign the columns singly.")
            value = row_fields(multi["source"], scope)[multi["colno"] - 1]
        if not isinstance(value, TypedSql) and "SetToDefault" in value:
            values.append(dml.column_default(column, scope))
            continue
        if column.identity == "a":
            message = f'column "{column.name}" can only be updated to DEFAULT'
            detail = f'Column "{column.name}" is an identity column defined as GENERATED ALWAYS.'
            raise scope.ctx.error("428C9", message, detail=detail)
        given = value if isinstance(value, TypedSql) else translate(value, scope)
        values.append(dml.assigned(given, column, scope))
    return columns, values


def _values(fields: dict[str, Any], relation: Relation, scope: Scope) -> tuple[list[ColumnInfo], list[TypedSql]]:
    """The columns that a WHEN clause fills, and what with."""
    command = fields.get("commandType")
    if command == "CMD_UPDATE":
        return _assignments(fields["targetList"], relation, scope)
    if command != "CMD_INSERT":
        return [], []
    named = [dml.named_column(node["ResTarget"], relation, scope) for node in fields.get("targetList", [])]
    nodes = fields.get("values", [])
    override = fields.get("override", "OVERRIDING_NOT_SET")
    shown = {"cols": fields.get("targetList", []), "selectStmt": {"SelectStmt": {"targetList": nodes}}}
    given = dml.given_columns(relation, named, len(nodes), shown, scope) if nodes else []
    values = []
    for column, node in zip(given, nodes, strict=True):
        if "SetToDefault" in node or dml.overridden(column, override):
            values.append(dml.column_default(column, scope))
            continue
        dml.check_identity(column, override, scope)
        values.append(dml.assigned(translate(node, scope), column, scope))
    defaults = [column for column in relation.columns if column not in given and dml.needs_default(column)]
    return given + defaults, values + [dml.column_default(column, scope) for column in defaults]
