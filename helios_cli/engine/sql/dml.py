"""INSERT, UPDATE and DELETE with RETURNING."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

from helios_cli.engine.sql import casts, constants, current_rows, tree
from helios_cli.engine.sql.coercion import Context as How
from helios_cli.engine.sql.expressions import expect_boolean, translate
from helios_cli.engine.sql.folded import KEY, FoldedRows
from helios_cli.engine.sql.from_clause import find_relation, table_columns, translate_from
from helios_cli.engine.sql.inheritance import all_rows, is_expanded, members
from helios_cli.engine.sql.oids import UNKNOWN
from helios_cli.engine.sql.partitions import is_parted, routed
from helios_cli.engine.sql.privileges import DELETE, INSERT, SELECT, TRUNCATE, UPDATE
from helios_cli.engine.sql.query import Output, Query, Select, Values, type_in
from helios_cli.engine.sql.relation import ColumnInfo, Relation
from helios_cli.engine.sql.returning import returned
from helios_cli.engine.sql.scope import RangeItem, Scope, ScopeColumn
from helios_cli.engine.sql.secured_writes import SHOWN, VIEW_OWNER, Secured, shown_name
from helios_cli.engine.sql.select import translate_query, translate_with
from helios_cli.engine.sql.sqltext import quote_identifier
from helios_cli.engine.sql.stored import stored_default
from helios_cli.engine.sql.stored_calls import note_calls
from helios_cli.engine.sql.triggered import Parts, are_seen, heirs_changed, replaced_by_triggers, rows_to_change
from helios_cli.engine.sql.typed import Node, TypedSql, changed
from helios_cli.engine.sql.user_casts import assigned_domain
from helios_cli.engine.sql.value_rows import value_rows
from helios_cli.engine.sql.view_checks import view_checks, with_checks

RIGHTS: Final = {"INSERT": INSERT, "COPY": INSERT, "UPDATE": UPDATE, "DELETE": DELETE, "TRUNCATE": TRUNCATE,
                 "NOTHING": SELECT}  # fmt: skip
"""What a statement needs on the table that it changes, by its word; NOTHING is that of MERGE."""


@dataclass(slots=True)
class Write:
    """A translated data change."""

    sql: str
    outputs: list[Output] = field(default_factory=list)
    """RETURNING's columns."""
    returning: bool = False
    parts: Parts | None = None
    """What the write is made of, when triggers have to see it."""
    checked: bool = False
    """A view's check option looks at each row."""


def target_relation(fields: dict[str, Any], scope: Scope, word: str) -> Relation:
    """The table a statement changes.

    Raises:
        SqlError: 42P01 no such relation, 42501 a system catalog, 0A000 a view.
    """
    relation = find_relation(fields, scope)
    at = fields.get("location", 0)
    if relation.kind == "c":
        raise scope.ctx.error("42501", f"permission denied for table {relation.name}", at)
    if relation.kind == "v" and not replaced_by_triggers(relation, word, scope):
        raise scope.ctx.unsupported(f'{word} on view "{relation.name}"', at, hint="Change the table under it.")
    if relation.kind in ("m", "M"):
        raise scope.ctx.error("42809", f'cannot change materialized view "{relation.name}"', at)
    if relation.kind == "S":
        raise scope.ctx.error("42809", f'cannot change sequence "{relation.name}"', at)
    scope.ctx.rights.relation(relation, RIGHTS[word], qualified="schemaname" in fields)
    note_calls(relation, scope.ctx)
    return relation


def _through_views(word: str, fields: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """The statement on the table under a simple view; the same when it names a table."""
    relation = find_relation(fields["relation"], scope)
    while relation.kind == "v" and not replaced_by_triggers(relation, word, scope):
        from helios_cli.engine.sql.updatable_views import through_view

        if "CurrentOfExpr" in fields.get("whereClause", {}):
            raise scope.ctx.error("0A000", "WHERE CURRENT OF on a view is not implemented")
        scope.ctx.rights.relation(relation, RIGHTS[word], qualified="schemaname" in fields["relation"])
        fields = {**through_view(word, fields, relation, scope), VIEW_OWNER: relation.reader}
        view, relation = relation, find_relation(fields["relation"], scope)
        scope.ctx.rights.through(view, relation)
    return fields


def find_column(relation: Relation, name: str, scope: Scope, at: int) -> ColumnInfo:
    """A column of the target.

    Raises:
        SqlError: 42703.
    """
    for column in relation.columns:
        if column.name == name:
            return column
    raise scope.ctx.error("42703", f'column "{name}" of relation "{relation.name}" does not exist', at)


def _target(fields: dict[str, Any], relation: Relation, scope: Scope) -> tuple[RangeItem, str]:
    """The target as a FROM item, and its text after INSERT INTO, UPDATE or DELETE FROM."""
    name = fields.get("alias", {}).get("aliasname", relation.name)
    alias = scope.ctx.unique_alias(name)
    columns = table_columns(relation, alias)
    if SHOWN in fields:
        columns = [ScopeColumn(shown_name(column.name, fields[SHOWN]), column.value) for column in columns]
    item = RangeItem(name, columns, relation, relation.schema, alias=alias)
    item.renamed = len(columns) if SHOWN in fields else 0
    table = quote_identifier(relation.sqlite_name or relation.name)
    return item, table if alias == relation.sqlite_name else f"{table} AS {quote_identifier(alias)}"


def _rows_target(fields: dict[str, Any], relation: Relation, scope: Scope) -> tuple[RangeItem, str]:
    """The target of UPDATE or DELETE, put into ``scope`` as the first item; with its heirs unless there is ONLY."""
    item, table = _target(fields, relation, scope)
    if is_expanded(relation, fields, scope.ctx):
        item.derived = item.expanded = True
        table = f"{all_rows(relation, scope.ctx, numbered=True)} AS {quote_identifier(item.alias)}"
        for member in members(relation, scope.ctx):
            note_calls(member, scope.ctx)
    scope.items.append(item)
    scope.columns += item.columns
    return item, table


# -- INSERT ---------------------------------------------------------------------------------------


def translate_insert(fields: dict[str, Any], scope: Scope) -> Write:
    """Translate an InsertStmt."""
    with_clause = translate_with(fields.get("withClause"), scope)
    fields = _through_views("INSERT", fields, scope)
    relation = target_relation(fields["relation"], scope, "INSERT")
    item, into = _target(fields["relation"], relation, scope)
    item.expanded = is_parted(relation)
    named = [named_column(node["ResTarget"], relation, scope) for node in fields.get("cols", [])]
    _check_twice(named, fields.get("cols", []), scope)
    override = fields.get("override", "OVERRIDING_NOT_SET")
    source, columns = _insert_source(fields, relation, named, override, scope)
    from helios_cli.engine.sql.on_conflict import on_conflict, upsert_of

    secured = Secured(relation, item, fields, scope.ctx)
    conflict = ""
    if "onConflictClause" in fields:
        several = not is_one_row(fields)
        conflict = on_conflict(fields["onConflictClause"], item, scope, secured.on_conflict(), several)
        # Without WHERE, SQLite would take ON CONFLICT behind a SELECT for a join condition.
        if several and "node_upsert_once(" in conflict:
            source = f"SELECT * FROM ({source}) WHERE node_upsert_begin(1)"
        elif source.startswith("SELECT"):
            source = f"SELECT * FROM ({source}) WHERE 1"
    returning, outputs, _ = returned(fields.get("returningList", []), item, scope)
    checks = [*secured.inserted(), *view_checks(fields, item, scope)]
    listed = ", ".join(quote_identifier(column.name) for column in columns)
    body = f"({listed}) {source}" if columns else "DEFAULT VALUES"
    sql = f"{with_clause}INSERT INTO {into} {body}{conflict}{with_checks(returning, outputs, checks)}"
    parts = None
    if item.expanded or are_seen(
        relation, ("INSERT", "UPDATE") if "onConflictClause" in fields else ("INSERT",), scope
    ):
        upsert = upsert_of(fields.get("onConflictClause"), item, scope, secured.on_conflict())
        names = tuple(column.name for column in columns)
        rows = f"{with_clause}{source}" if columns else ""
        parts = Parts(
            "INSERT", relation, rows, names, outputs, conflict, upsert, checks=checks, with_clause=with_clause
        )  # fmt: skip
        routed(parts, item, scope)
    return Write(sql, outputs, bool(returning), parts, checked=bool(checks))


def is_one_row(fields: dict[str, Any]) -> bool:
    """Whether an INSERT proposes one row alone."""
    select = fields.get("selectStmt", {}).get("SelectStmt")
    return select is None or (len(select.get("valuesLists", ())) == 1 and KEY not in select)


def named_column(target: dict[str, Any], relation: Relation, scope: Scope) -> ColumnInfo:
    """The column that a target names. Raises SqlError 42703."""
    return find_column(relation, target["name"], scope, target.get("location", 0))


def _check_twice(columns: list[ColumnInfo], nodes: list[Node], scope: Scope) -> None:
    seen: set[str] = set()
    for column, node in zip(columns, nodes, strict=True):
        if column.name in seen and "indirection" not in node["ResTarget"]:
            at = node["ResTarget"].get("location", -1)
            raise scope.ctx.error("42701", f'column "{column.name}" specified more than once', at)
        seen.add(column.name)


def _insert_source(
    fields: dict[str, Any], relation: Relation, named: list[ColumnInfo], override: str, scope: Scope
) -> tuple[str, list[ColumnInfo]]:
    """The text that gives the rows, and the columns they fill, defaults included."""
    from helios_cli.engine.sql.dml_parts import insert_parts, names_part

    select = fields.get("selectStmt", {}).get("SelectStmt")
    if any(map(names_part, fields.get("cols", []))):
        return insert_parts(select, fields["cols"], relation, scope)
    if select is None:
        given: list[ColumnInfo] = []
        query: Query | None = None
    elif "valuesLists" in select and not any(
        key in select for key in ("sortClause", "limitCount", "limitOffset", "withClause")
    ):
        return _insert_values(select, relation, named, override, fields, scope)
    else:
        query = translate_query(select, Scope(ctx=scope.ctx, ctes=scope.ctes))
        given = _given_columns(relation, named, len(query.outputs), fields, scope)
        for column in given:
            if overridden(column, override):
                raise scope.ctx.unsupported("OVERRIDING USER VALUE with a query", hint="Leave the column out.")
            _check_identity(column, override, scope)
    defaults = [column for column in relation.columns if column not in given and needs_default(column)]
    default_values = [column_default(column, scope) for column in defaults]
    if query is None:
        if not defaults:
            return "", []
        return f"VALUES ({', '.join(value.sql for value in default_values)})", defaults
    return _insert_query(query, given, default_values, scope), given + defaults


def _given_columns(
    relation: Relation, named: list[ColumnInfo], count: int, fields: dict[str, Any], scope: Scope
) -> list[ColumnInfo]:
    """The columns that ``count`` expressions fill.

    Raises:
        SqlError: 42601 too many or too few expressions.
    """
    targets = named or list(relation.columns)
    if count > len(targets):
        at = _expression_location(fields["selectStmt"]["SelectStmt"], len(targets))
        raise scope.ctx.error("42601", "INSERT has more expressions than target columns", at)
    if named and count < len(targets):
        at = fields["cols"][count]["ResTarget"].get("location", -1)
        raise scope.ctx.error("42601", "INSERT has more target columns than expressions", at)
    scope.ctx.rights.inserts(relation.oid, (column.attnum for column in targets[:count]))
    return targets[:count]


def _expression_location(select: dict[str, Any], number: int) -> int:
    """Where an expression of the first row stands; -1: it is one of several that a star stands for."""
    rows = select.get("valuesLists")
    nodes = rows[0]["List"]["items"] if rows else select.get("targetList", [])
    return tree.location(nodes[number]) if number < len(nodes) else -1


def overridden(column: ColumnInfo, override: str) -> bool:
    """Whether a value that is given for a column is to be left aside for its sequence's."""
    return bool(column.identity) and override == "OVERRIDING_USER_VALUE"


def _check_identity(column: ColumnInfo, override: str, scope: Scope) -> None:
    if column.identity == "a" and override != "OVERRIDING_SYSTEM_VALUE":
        message = f'cannot insert a non-DEFAULT value into column "{column.name}"'
        detail = f'Column "{column.name}" is an identity column defined as GENERATED ALWAYS.'
        hint = "Use OVERRIDING SYSTEM VALUE to override."
        raise scope.ctx.error("428C9", message, detail=detail, hint=hint)


def _insert_values(
    select: dict[str, Any],
    relation: Relation,
    named: list[ColumnInfo],
    override: str,
    fields: dict[str, Any],
    scope: Scope,
) -> tuple[str, list[ColumnInfo]]:
    if KEY in select:
        return _insert_folded(select[KEY], relation, named, override, fields, scope)
    lists = [node["List"]["items"] for node in select["valuesLists"]]
    if any(len(items) != len(lists[0]) for items in lists):
        raise scope.ctx.error("42601", "VALUES lists must all be the same length")
    given = _given_columns(relation, named, len(lists[0]), fields, scope)
    defaults = [column for column in relation.columns if column not in given and needs_default(column)]
    rows = []
    inner = Scope(ctx=scope.ctx, ctes=scope.ctes, clause="VALUES")
    computed = _left_to_default(given, lists)
    for items in lists:
        texts = []
        for column, node in zip(given, items, strict=True):
            if column.name in computed:
                continue
            if "SetToDefault" in node or overridden(column, override):
                texts.append(column_default(column, scope).sql)
                continue
            _check_identity(column, override, scope)
            texts.append(assigned(translate(node, inner), column, scope).sql)
        texts += [column_default(column, scope).sql for column in defaults]
        rows.append(texts)
    given = [column for column in given if column.name not in computed]
    return f"VALUES {value_rows(rows)}", given + defaults


def _left_to_default(given: list[ColumnInfo], lists: list[list[Node]]) -> set[str]:
    """The generated columns for which every row says DEFAULT."""
    return {
        column.name
        for position, column in enumerate(given)
        if column.generated and all("SetToDefault" in items[position] for items in lists)
    }


def _insert_folded(
    rows: FoldedRows,
    relation: Relation,
    named: list[ColumnInfo],
    override: str,
    fields: dict[str, Any],
    scope: Scope,
) -> tuple[str, list[ColumnInfo]]:
    """VALUES whose rows were taken out of the text: one row of expressions over them."""
    given = _given_columns(relation, named, len(rows.items), fields, scope)
    defaults = [column for column in relation.columns if column not in given and needs_default(column)]
    source = rows.source(scope)
    inner = Scope(ctx=scope.ctx, ctes=scope.ctes, clause="VALUES")
    texts = []
    for number, column in enumerate(given):
        if rows.is_default(number) or overridden(column, override):
            texts.append(column_default(column, scope).sql)
            continue
        _check_identity(column, override, scope)
        values = rows.constants(number, inner)
        texts.append(rows.converted(number, values, partial(assigned, column=column, scope=scope), scope.ctx).sql)
    texts += [column_default(column, scope).sql for column in defaults]
    return f"SELECT {', '.join(texts)} FROM {source}", given + defaults


def assigned(value: TypedSql, column: ColumnInfo, scope: Scope) -> TypedSql:
    """A value converted as an assignment to a column does. Raises SqlError 42804."""
    bare = value.literal >= 0 or value.value is not None
    value = casts.assign(value, column.name, column.type_oid, column.typmod, scope.ctx)
    if bare and not value.simple and scope.ctx.evaluate is not None:
        value = constants.computed(value, scope)
    return assigned_domain(value, column, scope.ctx) if column.domain else value


def _insert_query(query: Query, given: list[ColumnInfo], defaults: list[TypedSql], scope: Scope) -> str:
    """INSERT ... SELECT: columns converted for assignment, defaults added behind them."""
    for position, column in enumerate(given):
        output = query.outputs[position]
        if type_in(output.value, scope.ctx) == UNKNOWN or isinstance(query, Select | Values):
            if isinstance(query, Values):
                query.rows = [
                    [assigned(value, column, scope) if n == position else value for n, value in enumerate(row)]
                    for row in query.rows
                ]
            else:
                assigned(changed(output.value), column, scope)
                query.coerce(position, column.domain or column.type_oid, column.typmod, How.ASSIGNMENT, scope.ctx)
        else:
            assigned(changed(output.value, sql="NULL", param=0, literal=-1, value=None), column, scope)
            query.coerce(position, column.domain or column.type_oid, column.typmod, How.ASSIGNMENT, scope.ctx)
    if not defaults:
        return query.render()
    inner = query.render(named=True)
    columns = [quote_identifier(name) for name in query.names()]
    return f"SELECT {', '.join(columns + [value.sql for value in defaults])} FROM ({inner})"


def needs_default(column: ColumnInfo) -> bool:
    """Whether a column left out gets something else than NULL, or its domain has to be asked."""
    return column.default is not None or column.domain != 0


def column_default(column: ColumnInfo, scope: Scope) -> TypedSql:
    """A column's default, translated in place; NULL when it has none."""
    if column.default is None:
        return assigned_domain(TypedSql("NULL", column.type_oid, column.typmod, simple=True), column, scope.ctx)
    value = stored_default(column.default, column, scope)
    # Whoever may insert into the table may have its identity's next value.
    return replace(value, sql=value.sql.replace("pg_nextval(", "pg_nextval_identity(")) if column.identity else value


# -- UPDATE and DELETE ----------------------------------------------------------------------------


def translate_update(fields: dict[str, Any], scope: Scope) -> Write:
    """Translate an UpdateStmt."""
    from helios_cli.engine.sql.assignments import assignment_pairs, assignments_of

    with_clause = translate_with(fields.get("withClause"), scope)
    fields = _through_views("UPDATE", fields, scope)
    relation = target_relation(fields["relation"], scope, "UPDATE")
    item, table = _rows_target(fields["relation"], relation, scope)
    source, conditions = translate_from(fields.get("fromClause", []), scope)
    conditions += _untouched(relation, item, scope)
    scope.clause = "UPDATE"
    assignments = assignments_of(fields["targetList"], relation, scope)
    where = _where(fields, conditions, scope)
    returning, outputs, others = returned(fields.get("returningList", []), item, scope)
    secured = Secured(relation, item, fields, scope.ctx)
    where = secured.where(where, "w")
    checks = [*secured.updated(), *view_checks(fields, item, scope)]
    from_text = f" FROM {source}" if source else ""
    sql = f"{with_clause}UPDATE {table} SET {assignments}{from_text}{where}{with_checks(returning, outputs, checks)}"
    parts = None
    if item.expanded or are_seen(relation, ("UPDATE",), scope) or others:
        pairs = assignment_pairs(fields["targetList"], relation, scope)
        rows = rows_to_change(relation, item, [*(value for _, value in pairs), *others])
        found = f"{with_clause}SELECT {rows} FROM {table}{', ' + source if source else ''}{where}"
        names = tuple(name for name, _ in pairs)
        heirs = heirs_changed(item, scope)
        parts = Parts(
            "UPDATE", relation, found, names, outputs, others=len(others), checks=checks, heirs=heirs,
            with_clause=with_clause,
        )  # fmt: skip
        routed(parts, item, scope)
        sql = found if item.expanded else sql
    return Write(sql, outputs, bool(outputs), parts, checked=bool(checks))


def _untouched(relation: Relation, item: RangeItem, scope: Scope) -> list[str]:
    """Conditions that leave alone what another part of the statement has changed."""
    snapshots = scope.ctx.snapshots
    return snapshots.untouched(relation, item.alias) if snapshots is not None and not item.expanded else []


def _where(fields: dict[str, Any], conditions: list[str], scope: Scope) -> str:
    if "whereClause" in fields:
        if "CurrentOfExpr" in fields["whereClause"]:
            condition = current_rows.condition(fields["whereClause"]["CurrentOfExpr"], scope)
        else:
            condition = expect_boolean(fields["whereClause"], scope, "WHERE").sql
        conditions = [*conditions, condition]
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""


def translate_delete(fields: dict[str, Any], scope: Scope) -> Write:
    """Translate a DeleteStmt. USING becomes EXISTS over the other tables."""
    with_clause = translate_with(fields.get("withClause"), scope)
    fields = _through_views("DELETE", fields, scope)
    relation = target_relation(fields["relation"], scope, "DELETE")
    item, table = _rows_target(fields["relation"], relation, scope)
    source, conditions = translate_from(fields.get("usingClause", []), scope)
    conditions += _untouched(relation, item, scope)
    where = _where(fields, conditions, scope)
    returning, outputs, others = returned(fields.get("returningList", []), item, scope)
    secured = Secured(relation, item, fields, scope.ctx)
    where = where if source else secured.where(where, "d")
    parts = None
    if item.expanded or are_seen(relation, ("DELETE",), scope) or others:
        joined = f", {source}" if source else ""
        visible = secured.where(where, "d") if source else where
        found = f"{with_clause}SELECT {rows_to_change(relation, item, others)} FROM {table}{joined}{visible}"
        parts = Parts(
            "DELETE", relation, found, (), outputs, others=len(others), heirs=heirs_changed(item, scope),
            with_clause=with_clause,
        )  # fmt: skip
        if item.expanded:
            return Write(found, outputs, bool(outputs), parts)
    if source:
        where = secured.where(f" WHERE EXISTS (SELECT 1 FROM {source}{where})", "d")
    return Write(f"{with_clause}DELETE FROM {table}{where}{returning}", outputs, bool(outputs), parts)


# What MERGE does alike.
target_item, given_columns = _target, _given_columns
check_identity, check_twice = _check_identity, _check_twice

__all__ = ["Write", "translate_delete", "translate_insert", "translate_update"]
