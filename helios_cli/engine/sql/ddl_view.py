"""CREATE VIEW, CREATE TABLE AS and SELECT INTO."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from helios_cli.engine.datatypes.registry import format_type
from helios_cli.engine.datatypes.usertypes import RECORD, RECORD_ARRAY, pinned_oid
from helios_cli.engine.sql import grammar, tree
from helios_cli.engine.sql.coercion import type_name
from helios_cli.engine.sql.context import IN_QUERY, Context
from helios_cli.engine.sql.ddl_build import TEMP_SCHEMA_NAME, Builder, unsupported
from helios_cli.engine.sql.ddl_create import check_columns, check_storage, write_table
from helios_cli.engine.sql.ddl_model import ColumnDef, TableDef
from helios_cli.engine.sql.ddl_render import attribute_rows, delete, insert, qualified, relation_row
from helios_cli.engine.sql.ddl_schema import FIRST_TEMP_OID
from helios_cli.engine.sql.ddl_sequence_names import sequence_named
from helios_cli.engine.sql.ddl_storage import storage_options
from helios_cli.engine.sql.ddl_type_rights import check_types
from helios_cli.engine.sql.plan import Plan
from helios_cli.engine.sql.relation import Relation
from helios_cli.engine.sql.scope import Scope
from helios_cli.engine.sql.select import translate_query
from helios_cli.engine.sql.sqltext import quote_identifier
from helios_cli.engine.sql.stored_names import settled_query
from helios_cli.engine.sql.text_collations import UNDECIDED
from helios_cli.engine.sql.typed import Node
from helios_cli.engine.sql.view_checks import (
    check_option_of,
    check_takes_option,
    check_view_options,
    view_options,
    without_option,
)


def _translate(
    builder: Builder,
    query: Node,
    names: list[str],
    *,
    reads_now: bool = False,
    is_view: bool = False,
    called: set[int] | None = None,
) -> tuple[str, list[ColumnDef]]:
    """A query as SQLite text with every constant in place, and its columns under the given names.

    What it needs of the session the text asks for where it runs. ``called`` gets the OIDs of the users' functions that
    it calls.

    Raises:
        SqlError: 42601 more names than columns.
    """
    ctx = Context(
        catalog=builder.catalog, functions=builder.functions, source=builder.source, encoded=builder.source.encode(),
        parameters_allowed=False, session_form=IN_QUERY, unsecured=is_view,
    )  # fmt: skip
    if reads_now and builder.variables is not None:
        ctx.variables, ctx.parameters_allowed = builder.variables, True
    translated = translate_query(query["SelectStmt"], Scope(ctx=ctx))
    translated.resolve_unknowns(ctx)
    translated.separate = is_view and translated.effects
    if len(names) > len(translated.outputs):
        raise builder.error("42601", "CREATE VIEW specifies more column names than columns")
    columns = []
    for position, output in enumerate(translated.outputs):
        if position < len(names):
            output.name = names[position]
        value = output.value
        if is_view and value.type_oid in (RECORD, RECORD_ARRAY):
            raise builder.error("42P16", f'column "{output.name}" has pseudo-type {type_name(value.type_oid)}')
        column = ColumnDef(output.name, value.type_oid, value.typmod, position + 1)
        column.collation = "" if value.collation == UNDECIDED else value.collation
        columns.append(column)
    if called is not None:
        called.update(ctx.rights.functions, ctx.made)
    if reads_now:
        builder.rightful().check(ctx.rights.listed())
    texts, _converters = ctx.finish([translated.render(named=True)])
    builder.variable_keys = tuple(ctx.variable_keys)
    return texts[0], columns


# -- views --------------------------------------------------------------------------------------------------------


def translate_stored(
    builder: Builder, query: Node, names: list[str], called: set[int] | None = None
) -> tuple[str, list[ColumnDef]]:
    """A query that is kept: SQLite's text and the columns under the given names; ``called`` gets what it calls."""
    return _translate(builder, query, names, called=called)


def made_anew(builder: Builder, view: Relation, text: str) -> tuple[str, str]:
    """The steps that give a view's SQLite form another query, DROP and CREATE.

    Raises:
        FeatureNotSupported: a ``*`` in it has come to mean other columns.
    """
    names = [column.name for column in view.columns]
    parsed: Any = grammar.parse(text)
    sql, columns = _translate(builder, parsed[0]["stmt"], names, is_view=True)
    if len(columns) != len(names):
        raise unsupported(f'changing what view "{view.name}" reads', "Make the view anew with its columns' names.")
    shown = qualified(view.sqlite_name, view.oid >= FIRST_TEMP_OID)
    listed = ", ".join(quote_identifier(name) for name in names) or '""'
    return f"DROP VIEW {shown}", f"CREATE VIEW {shown} ({listed}) AS {sql}"


def create_view(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan CREATE [OR REPLACE] VIEW.

    Raises:
        SqlError: 42P07 the name is taken, 42P16 a replacement that drops or changes columns.
    """
    check_view_options(builder, fields.get("options", []))
    option = check_option_of(fields)
    range_var = fields["view"]
    query: Node = fields["query"]
    if not builder.is_temporary(range_var) and _is_temporary(builder, query):
        builder.notices.append(f'view "{range_var["relname"]}" will be a temporary view')
        range_var = {**range_var, "relpersistence": "t"}
    schema, name = builder.creation_schema(range_var), range_var["relname"]
    for part in tree.walk(query):
        if isinstance(part.get("ParamRef"), dict):
            raise builder.error("42P02", "there is no parameter $1", part["ParamRef"].get("location", -1))
    names = tree.strings(fields.get("aliases", []))
    called: set[int] = set()
    sql, columns = _translate(builder, query, names, is_view=True, called=called)
    old = builder.catalog.relation(schema, name)
    if old is not None and fields.get("replace"):
        oid, sqlite_name = _replace(builder, old.oid, columns), old.sqlite_name
    else:
        builder.claim_name(schema, name)
        oid, sqlite_name = builder.oid(), builder.sqlite_name(schema, name)
    check_types(builder, *(column.type_oid for column in columns))
    _check_view_columns(builder, columns)
    listed = ", ".join(quote_identifier(column.name) for column in columns) or '""'
    builder.add(f"CREATE VIEW {qualified(sqlite_name, builder.temp)} ({listed}) AS {sql}")
    text = view_text(builder.source, range_var.get("location", 0))
    if option:
        check_takes_option(builder, query["SelectStmt"])
        text = without_option(text)
    text = settled_query(builder, text)
    options = storage_options(view_options(fields, option))
    builder.add(relation_row(builder.temp, oid, schema, name, "v", sqlite_name, definition=text, options=options))
    builder.add(*attribute_rows(builder.temp, oid, columns))
    record_dependencies(builder, oid, query, called)
    return builder.finish("CREATE VIEW")


def _named_relations(query: Node) -> Iterator[dict[str, Any]]:
    """The relations that a query names, but for its own WITH queries."""
    local = {part["CommonTableExpr"]["ctename"] for part in tree.walk(query) if "CommonTableExpr" in part}
    for part in tree.walk(query):
        named = part.get("RangeVar")
        if isinstance(named, dict) and ("schemaname" in named or named["relname"] not in local):
            yield named


def _is_temporary(builder: Builder, query: Node) -> bool:
    """Whether a query reads temporary relations, so that a view of it is one (isQueryUsingTempRelation)."""
    found = (builder.catalog.relation(one.get("schemaname"), one["relname"]) for one in _named_relations(query))
    return any(one is not None and (one.kind == "t" or one.schema == TEMP_SCHEMA_NAME) for one in found)


def _check_view_columns(builder: Builder, columns: list[ColumnDef]) -> None:
    check_columns(builder, TableDef(0, "", "", "", False, columns))


def _replace(builder: Builder, oid: int, columns: list[ColumnDef]) -> int:
    view, relation = builder.catalog.view_def(oid), builder.catalog.relation_by_oid(oid)
    if view is None or relation is None or relation.kind != "v":
        shown = relation.name if relation is not None else "?"
        raise builder.error("42809", f'"{shown}" is not a view')
    if len(columns) < len(relation.columns):
        raise builder.error("42P16", "cannot drop columns from view")
    for old, new in zip(relation.columns, columns, strict=False):
        if old.name != new.name:
            message = f'cannot change name of view column "{old.name}" to "{new.name}"'
            hint = "Use ALTER VIEW ... RENAME COLUMN ... to change name of view column instead."
            raise builder.error("42P16", message, hint=hint)
        if (old.type_oid, old.typmod) != (new.type_oid, new.typmod):
            types = format_type(old.type_oid, old.typmod), format_type(new.type_oid, new.typmod)
            message = f'cannot change data type of view column "{old.name}" from {types[0]} to {types[1]}'
            raise builder.error("42P16", message)
    builder.temp = view.temp
    builder.add(f"DROP VIEW {qualified(view.sqlite_name, view.temp)}")
    builder.add(
        delete(view.temp, "helios_relation", oid=oid), delete(view.temp, "helios_attribute", relid=oid),
        delete(view.temp, "helios_depend", objid=oid),
    )  # fmt: skip
    return oid


def view_text(source: str, name_at: int) -> str:
    """The query of a CREATE VIEW statement: what follows the first AS behind the view's name.

    The name stands at byte ``name_at``. A list of column names or options before AS holds no keyword, so the
    first bare word AS outside quotes and parentheses is the one.
    """
    text = source.encode()[name_at:].decode(errors="replace")
    depth, at = 0, 0
    while at < len(text):
        letter = text[at]
        if letter == '"':
            at = text.index('"', at + 1)
        elif letter == "(":
            depth += 1
        elif letter == ")":
            depth -= 1
        elif depth == 0 and text[at : at + 2].lower() == "as" and _is_word(text, at):
            return _first_statement(text[at + 2 :].strip())
        at += 1
    return ""


def _is_word(text: str, at: int) -> bool:
    before = text[at - 1] if at else " "
    after = text[at + 2] if at + 2 < len(text) else " "
    return not (before.isalnum() or before in "_$") and not (after.isalnum() or after in "_$")


def _first_statement(text: str) -> str:
    """The text up to the end of its first statement, when more follow in the same query string."""
    try:
        parsed: Any = grammar.parse(text)
    except grammar.Refused:
        return text.rstrip("; \n\t")
    length = parsed[0].get("stmt_len", 0) if parsed else 0
    whole = text.encode()[:length].decode(errors="replace") if length else text
    return whole.rstrip("; \n\t")


def record_dependencies(builder: Builder, oid: int, query: Node, called: set[int]) -> None:
    """Rows that say what the view needs: relations with columns, of which names alone decide, functions and types."""
    for other in sorted(_named_functions(builder, query, called) | _types_of(query) | _sequences_of(builder, query)):
        builder.add(insert(builder.temp, "helios_depend", objid=oid, refobjid=other, refcolumn=""))
    named = {
        part["ColumnRef"]["fields"][-1]["String"]["sval"]
        for part in tree.walk(query)
        if isinstance(part.get("ColumnRef"), dict) and "String" in part["ColumnRef"]["fields"][-1]
    }
    starred = any("A_Star" in part for part in tree.walk(query))
    seen: set[int] = set()
    for fields in _named_relations(query):
        relation = builder.catalog.relation(fields.get("schemaname"), fields["relname"])
        if relation is None or relation.kind == "c" or relation.oid in seen:
            continue
        seen.add(relation.oid)
        if _leads_to(builder, relation, oid):
            # PostgreSQL takes the definition, and says this whenever the view is read.
            raise builder.error("42P17", f'infinite recursion detected in rules for relation "{relation.name}"')
        if not builder.temp and (relation.kind == "t" or relation.schema == TEMP_SCHEMA_NAME):
            raise unsupported("a permanent view over a temporary table", "Use CREATE TEMP VIEW.")
        used = [column.name for column in relation.columns if starred or column.name in named]
        for column in ["", *used]:
            builder.add(insert(builder.temp, "helios_depend", objid=oid, refobjid=relation.oid, refcolumn=column))


def _leads_to(builder: Builder, relation: Relation, oid: int) -> bool:
    """Whether a relation is the one with that OID, or a view over it."""
    known = {relation.oid}
    open_ends = [relation]
    while open_ends:
        found = open_ends.pop()
        if found.oid == oid:
            return True
        below = builder.catalog.read_by_view(found.oid) if found.kind == "v" else ()
        open_ends += [one for one in below if one.oid not in known]
        known |= {one.oid for one in below}
    return False


def _named_functions(builder: Builder, query: Node, called: set[int]) -> set[int]:
    """The operators and casts that it uses, and the functions that it calls itself, not through a view."""
    names = {
        tree.strings(part["FuncCall"]["funcname"])[-1]
        for part in tree.walk(query)
        if isinstance(part.get("FuncCall"), dict)
    }
    found = {oid: builder.catalog.routine(oid) for oid in called}
    return {oid for oid, routine in found.items() if routine is None or routine.name in names}


def _types_of(query: Node) -> set[int]:
    """The users' types that casts name."""
    found = set()
    for part in tree.walk(query):
        names = tree.strings(part["TypeCast"]["typeName"]["names"]) if isinstance(part.get("TypeCast"), dict) else []
        oid = pinned_oid(names[-1]) if names else 0
        if oid:
            found.add(oid & ~1)
    return found


def _sequences_of(builder: Builder, query: Node) -> set[int]:
    """The sequences whose names stand in calls of nextval and the like."""
    named = (sequence_named(part) for part in tree.walk(query))
    found = (builder.catalog.relation(*names) for names in named if names is not None)
    return {relation.oid for relation in found if relation is not None and relation.kind == "S"}


# -- CREATE TABLE AS ----------------------------------------------------------------------------------------------


def create_table_as(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan CREATE TABLE AS; its tag is ``SELECT n`` as PostgreSQL's.

    Raises:
        SqlError: 42P07 exists already; 0A000 a materialized view or EXECUTE.
    """
    if fields.get("objtype", "OBJECT_TABLE") == "OBJECT_MATVIEW":
        from helios_cli.engine.sql.ddl_matview import create_matview

        return create_matview(builder, fields)
    if "SelectStmt" not in fields["query"]:
        raise unsupported("CREATE TABLE AS EXECUTE")
    into = fields["into"]
    return _create_from(builder, into, fields["query"], bool(fields.get("if_not_exists")))


def select_into(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan SELECT ... INTO table."""
    select = deepcopy(fields)
    into = select.pop("intoClause")
    return _create_from(builder, into, {"SelectStmt": select}, False)


def _create_from(builder: Builder, into: dict[str, Any], query: Node, if_not_exists: bool) -> Plan:
    check_storage({"options": into.get("options", []), "tablespacename": into.get("tableSpaceName", "pg_default")})
    range_var = into["rel"]
    schema, name = builder.creation_schema(range_var), range_var["relname"]
    if if_not_exists and not builder.name_is_free(schema, name):
        builder.notices.append(f'relation "{name}" already exists, skipping')
        builder.steps.clear()
        return builder.finish("CREATE TABLE AS")
    builder.claim_name(schema, name)
    sql, columns = _translate(builder, query, tree.strings(into.get("colNames", [])), reads_now=True)
    table = TableDef(builder.oid(), schema, name, builder.sqlite_name(schema, name), builder.temp, columns)
    check_types(builder, *(column.type_oid for column in columns))
    check_columns(builder, table)
    write_table(builder, table, [], into.get("onCommit", "ONCOMMIT_NOOP"))
    plan = builder.finish("SELECT")
    if not into.get("skipData"):
        listed = ", ".join(quote_identifier(column.name) for column in columns)
        copy = f"INSERT INTO {qualified(table.sqlite_name, table.temp)} ({listed}) {sql}"
        plan.steps = (*plan.steps, copy)
        plan.counts_rows = True
    else:
        plan.tag = "CREATE TABLE AS"
    return plan
