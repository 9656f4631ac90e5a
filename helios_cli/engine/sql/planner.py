"""From a query string to plans."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import pgparse

from helios_cli.engine.datatypes import registry
from helios_cli.engine.errors import FeatureNotSupported, SqlError
from helios_cli.engine.sql import actions, dml, folded, shape, tree, utility
from helios_cli.engine.sql.context import Context, LiftedLiteral, Unfoldable
from helios_cli.engine.sql.copy_statement import copy_columns, copy_insert, read_options, refuse_files
from helios_cli.engine.sql.ddl import STATEMENTS as DDL_STATEMENTS
from helios_cli.engine.sql.ddl import plan_ddl
from helios_cli.engine.sql.function_spec import FunctionRegistry
from helios_cli.engine.sql.oids import REG_TYPES, TEXT, UNKNOWN
from helios_cli.engine.sql.plan import Column, Kind, Plan, SqliteValue
from helios_cli.engine.sql.query import Output
from helios_cli.engine.sql.relation import CatalogReader
from helios_cli.engine.sql.rows import Fold
from helios_cli.engine.sql.scope import Scope
from helios_cli.engine.sql.select import translate_query
from helios_cli.engine.sql.shape import Literal
from helios_cli.engine.sql.translators import MODULES
from helios_cli.engine.sql.typed import Node
from helios_cli.engine.sql.typenames import resolve_type

assert MODULES

_QUERIES: Final = frozenset(("SelectStmt", "InsertStmt", "UpdateStmt", "DeleteStmt"))
_MAX_PARAMETERS: Final = 32766
"""SQLITE_MAX_VARIABLE_NUMBER of the SQLite that APSW carries."""
_LIFTED_MAX: Final = 32000
"""Literals that may become SQLite parameters; a statement with more is written out with its constants."""
NESTING_MAX: Final = 4_000_000
"""Characters of one statement outside of strings, comments and quoted names: so many can nest half as deep."""
_OPAQUE: Final = re.compile(
    r"[eE]'(?:[^'\\]|\\.|'')*+(?:'|\Z)|'[^']*+(?:'|\Z)|\"[^\"]*+(?:\"|\Z)|--[^\n]*+|/\*.*?(?:\*/|\Z)"
    r"|\$([A-Za-z_]\w*|)\$.*?(?:\$\1\$|\Z)",
    re.DOTALL,
)
"""Strings, quoted names and comments; an unended one reaches to the end of the text, so that each is looked at once."""
_DEFERS: Final = frozenset(("SetVariable", "ResetVariable"))
"""Actions after which the next statement of the same query string must be planned anew."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a query string, parsed."""

    node: Node
    text: str
    """Its own text."""
    offset: int = 0
    """Where it starts in the query string, in characters."""


def parse(sql: str) -> list[Statement]:
    """Split and parse a query string.

    Raises:
        SqlError: 42601 with PostgreSQL's text and position.
    """
    if "\0" in sql:
        raise SqlError('invalid byte sequence for encoding "UTF8": 0x00', sqlstate="22021")
    if len(sql) > NESTING_MAX and max(map(len, _OPAQUE.sub("", sql).split(";"))) > NESTING_MAX:
        raise too_deep()
    try:
        parsed: Any = pgparse.parse(sql)
    except pgparse.PGQueryError as error:
        raise _syntax_error(error) from None
    except RecursionError:
        raise too_deep() from None
    if len(parsed) == 1:
        return [Statement(parsed[0]["stmt"], sql)]
    encoded = sql.encode()
    statements = []
    for item in parsed:
        start = item.get("stmt_location", 0)
        length = item.get("stmt_len", len(encoded) - start)
        text = encoded[start : start + length].decode()
        blank = len(text) - len(text.lstrip())
        statements.append(Statement(item["stmt"], text.strip(), len(encoded[:start].decode()) + blank))
    return statements


def too_deep() -> SqlError:
    """The error for a statement whose expressions are nested too deeply."""
    hint = "Split the statement, or nest its expressions less deeply."
    return SqlError("stack depth limit exceeded", sqlstate="54001", hint=hint)


def _syntax_error(error: Any) -> SqlError:
    message = str(error.args[0])
    position = error.args[1] if len(error.args) > 1 and error.args[1] else None
    sqlstate = "22P05" if message.startswith("invalid Unicode") else "42601"
    return SqlError(message, sqlstate=sqlstate, position=position)


def bind(
    plan: Plan, params: Sequence[Any], literals: Sequence[Literal], session: Sequence[Any]
) -> Sequence[SqliteValue]:
    """The values for a plan's SQLite parameters: parameters, literals, session values, in this order.

    Raises:
        SqlError: 22P02 and its kin, a literal is no value of the type its place has.
    """
    values: Sequence[SqliteValue] = literals
    converters = plan.literal_in
    if converters:
        values = [
            value if convert is None else convert(value) for convert, value in zip(converters, literals, strict=True)
        ]
    if params or session:
        return (*params, *values, *session)
    return values


class Planner:
    """Plans statements. Holds no state of sessions or statements."""

    def __init__(self, functions: FunctionRegistry | None = None) -> None:
        """``functions`` is what statements may call; None takes the whole library."""
        if functions is None:
            from helios_cli.engine.sql.functions import REGISTRY

            functions = REGISTRY
        self.functions = functions

    def plan(self, sql: str, param_oids: tuple[int, ...] | None = None, *, catalog: CatalogReader) -> list[Plan]:
        """Plan every statement of a query string, constants written in place.

        A statement that stands behind one that changes the schema or a setting is planned when its turn comes:
        its plan has ``catalog_version`` -1 and only ``source``. ``param_oids`` None: there are no parameters.

        Raises:
            SqlError: the statement is wrong.
        """
        statements = parse(sql)
        if len(statements) == 1:
            return [self.plan_statement(statements[0], sql, param_oids, catalog)]
        if param_oids and statements:
            raise SqlError("cannot insert multiple commands into a prepared statement", sqlstate="42601")
        plans: list[Plan] = []
        deferred = False
        for statement in statements:
            if deferred:
                plans.append(Plan(Kind.EMPTY, "", source=statement.text, catalog_version=-1))
                continue
            plan = self._plan_one_of_several(statement, catalog)
            plan.source = statement.text
            plans.append(plan)
            deferred = plan.kind is Kind.DDL or type(plan.action).__name__ in _DEFERS
        return plans

    def _plan_one_of_several(self, statement: Statement, catalog: CatalogReader) -> Plan:
        """Plan a statement by its own text; errors point into the whole query string."""
        try:
            return self.plan_statement(parse(statement.text)[0], statement.text, None, catalog)
        except SqlError as error:
            if error.position is not None:
                error.position += statement.offset
            raise

    def plan_lifted(
        self, sql: str, literals: Sequence[Literal], param_oids: tuple[int, ...] | None, catalog: CatalogReader
    ) -> tuple[list[Plan], frozenset[int]]:
        """Plan a query string whose literals were taken out by ``shape.lift``.

        Returns the plans and the positions of the literals that the plan depends on; the others are SQLite
        parameters. Anything but a single query depends on all of them.
        """
        statements = parse(sql)
        is_query = len(statements) == 1 and tree.tag(statements[0].node) in _QUERIES
        if not is_query or not 0 < len(literals) <= _LIFTED_MAX:
            return self.plan(sql, param_oids, catalog=catalog), frozenset(range(len(literals)))
        ctx = self._context(sql, param_oids, catalog)
        _attach(ctx, sql, literals)
        plan = self._query(statements[0].node, ctx)
        return [plan], frozenset(ctx.bound)

    def plan_folded(self, fold: Fold, param_oids: tuple[int, ...] | None, catalog: CatalogReader) -> Plan | None:
        """Plan a text by its reduced form, the rows its only literal. None: it has to be planned whole.

        Raises:
            SqlError: the statement is wrong, whatever its rows are.
        """
        try:
            statements = parse(fold.reduced)
        except SqlError:
            return None
        if len(statements) != 1 or tree.tag(statements[0].node) not in _QUERIES:
            return None
        if not folded.attach(statements[0].node, fold):
            return None
        ctx = self._context(fold.reduced, param_oids, catalog)
        ctx.fold = fold
        try:
            return self._query(statements[0].node, ctx)
        except Unfoldable:
            return None
        except SqlError as error:
            if error.position is not None:
                error.position = fold.original(error.position)
            raise

    def plan_statement(
        self, statement: Statement, source: str, param_oids: tuple[int, ...] | None, catalog: CatalogReader
    ) -> Plan:
        """Plan one parsed statement; ``source`` is the text its tree's offsets count."""
        kind = tree.tag(statement.node)
        if kind in _QUERIES:
            return self._query(statement.node, self._context(source, param_oids, catalog))
        handler = utility.HANDLERS.get(kind)
        if handler is not None:
            plan = handler(statement.node[kind], catalog)
            plan.catalog_version = catalog.version
            return plan
        if kind in DDL_STATEMENTS:
            return plan_ddl(statement.node, catalog, self.functions, source=source)  # type: ignore[arg-type]
        own = _PLANNED.get(kind)
        if own is not None:
            return own(self, statement, self._context(source, param_oids, catalog))
        if kind in utility.UNSUPPORTED:
            name, hint = utility.UNSUPPORTED[kind]
            raise FeatureNotSupported(f"{name} is not supported", hint=hint)
        raise FeatureNotSupported(f"{_shown(kind)} is not supported")

    # -- queries ----------------------------------------------------------------------------------

    def _context(self, source: str, param_oids: tuple[int, ...] | None, catalog: CatalogReader) -> Context:
        return Context(
            catalog=catalog,
            functions=self.functions,
            source=source,
            encoded=source.encode(),
            params=[0 if oid == UNKNOWN else oid for oid in param_oids or ()],
            parameters_allowed=param_oids is not None,
        )

    def _query(self, node: Node, ctx: Context) -> Plan:
        kind = tree.tag(node)
        try:
            if kind == "SelectStmt":
                return self._select(node[kind], ctx)
            return self._write(kind, node[kind], ctx)
        except RecursionError:
            raise too_deep() from None

    def _select(self, fields: dict[str, Any], ctx: Context) -> Plan:
        query = translate_query(fields, Scope(ctx=ctx))
        query.resolve_unknowns(ctx)
        takes_writer = ctx.writes or ctx.locks_rows
        name_objects(query.outputs)
        plan = finish_plan(Kind.WRITE if takes_writer else Kind.READ, "SELECT", [query.render()], ctx)
        plan.columns = result_columns(query.outputs)
        plan.groupable = takes_writer
        return plan

    def _write(self, kind: str, fields: dict[str, Any], ctx: Context) -> Plan:
        translator, tag = _WRITES[kind]
        write = translator(fields, Scope(ctx=ctx))
        plan = finish_plan(Kind.WRITE, tag, [write.sql], ctx)
        plan.columns = result_columns(write.outputs) if write.returning else None
        plan.groupable = True
        return plan


_WRITES: Final = {
    "InsertStmt": (dml.translate_insert, "INSERT 0"),
    "UpdateStmt": (dml.translate_update, "UPDATE"),
    "DeleteStmt": (dml.translate_delete, "DELETE"),
}


def _attach(ctx: Context, sql: str, literals: Sequence[Literal]) -> None:
    """Tell the context where the lifted literals stand."""
    letters = shape.literal_classes(shape.lift(sql)[0])
    spans = shape.literal_spans(sql)
    ascii_only = sql.isascii()
    for index, ((start, _), letter, value) in enumerate(zip(spans, letters, literals, strict=True)):
        offset = start if ascii_only else len(sql[:start].encode())
        ctx.lifted[index] = LiftedLiteral(offset, letter, value)
        ctx.lifted_at[offset] = index


def finish_plan(kind: Kind, tag: str, texts: list[str], ctx: Context) -> Plan:
    """Number the placeholders and put a plan together.

    Raises:
        SqlError: 42P18, nothing gave a parameter its type; 54000, too many parameters.
    """
    for number, oid in enumerate(ctx.params, 1):
        if not oid:
            raise SqlError(f"could not determine data type of parameter ${number}", sqlstate="42P18")
    if len(ctx.params) > _MAX_PARAMETERS:
        raise SqlError("too many parameters", sqlstate="54000")
    steps, converters = ctx.finish(texts)
    return Plan(
        kind,
        tag,
        steps=steps,
        param_types=tuple(ctx.params),
        literal_in=converters,
        session_values=tuple(ctx.session),
        volatile=ctx.volatile or ctx.writes,
        locks_rows=ctx.locks_rows,
        catalog_version=ctx.catalog.version,
        notices=tuple(ctx.notices),
    )


def name_objects(outputs: list[Output]) -> None:
    """OIDs of named objects (regclass and its kin) leave as names."""
    for output in outputs:
        if output.value.type_oid in REG_TYPES and output.value.sql:
            text = f"pg_{registry.by_oid(output.value.type_oid).name}_out({output.value.sql})"
            output.value = replace(output.value, sql=text)


def result_columns(outputs: list[Output]) -> tuple[Column, ...]:
    """The columns of a result set."""
    return tuple(
        Column(output.name, value.type_oid, value.typmod, value.table_oid, value.attnum)
        for output in outputs
        for value in (output.value,)
    )


# -- statements with queries inside ---------------------------------------------------------------

_NAME: Final = r'(?:"(?:[^"]|"")*"|[\w$.]+)'
_PREPARE: Final = re.compile(
    rf"\s*PREPARE\s+{_NAME}\s*(?:\((?:[^()]|\([^()]*\))*\))?\s*AS\s+(.*)", re.IGNORECASE | re.DOTALL
)
_DECLARE: Final = re.compile(
    rf"\s*DECLARE\s+{_NAME}\s+[\w\s]*?CURSOR\s+(?:(?:WITH|WITHOUT)\s+HOLD\s+)?FOR\s+(.*)", re.IGNORECASE | re.DOTALL
)


def _inner_text(pattern: re.Pattern[str], statement: Statement) -> str:
    """The text of the query inside PREPARE or DECLARE."""
    match = pattern.fullmatch(statement.text)
    if match is None:
        raise FeatureNotSupported("comments before the query of PREPARE or DECLARE are not supported")
    return match[1].rstrip().removesuffix(";")


def _prepare(planner: Planner, statement: Statement, ctx: Context) -> Plan:
    fields = statement.node["PrepareStmt"]
    types = tuple(resolve_type(node["TypeName"], ctx)[0] for node in fields.get("argtypes", []))
    text = _inner_text(_PREPARE, statement)
    plan = planner.plan(text, types, catalog=ctx.catalog)[0]
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
        inner = planner._context(ctx.source, None, ctx.catalog)
        plans.append(planner._select({"targetList": [target], "op": "SETOP_NONE"}, inner))
    action = actions.Execute(fields["name"], tuple(plans), tuple(texts), tuple(is_text))
    return Plan(Kind.UTILITY, "EXECUTE", action=action)


_BINARY, _SCROLL, _NO_SCROLL, _HOLD = 0x1, 0x2, 0x4, 0x20


def _declare(planner: Planner, statement: Statement, ctx: Context) -> Plan:
    fields = statement.node["DeclareCursorStmt"]
    options = fields.get("options", 0)
    query = planner._query(fields["query"], ctx)
    text = _inner_text(_DECLARE, statement)
    action = actions.DeclareCursor(
        fields["portalname"],
        query,
        text,
        hold=bool(options & _HOLD),
        scroll=True if options & _SCROLL else False if options & _NO_SCROLL else None,
        binary=bool(options & _BINARY),
    )
    plan = utility.utility_plan("DECLARE CURSOR", action)
    plan.param_types, plan.session_values = query.param_types, query.session_values
    plan.catalog_version = ctx.catalog.version
    return plan


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
    if tree.tag(inner) not in _QUERIES:
        raise FeatureNotSupported(f"EXPLAIN of {_shown(tree.tag(inner))} is not supported")
    query = planner._query(inner, ctx)
    action = actions.Explain(
        query,
        analyze="analyze" in options and utility.flag(options["analyze"]),
        verbose="verbose" in options and utility.flag(options["verbose"]),
        format=form,
    )
    plan = utility.utility_plan("EXPLAIN", action, (Column("QUERY PLAN", TEXT),))
    plan.param_types, plan.session_values = query.param_types, query.session_values
    plan.catalog_version = ctx.catalog.version
    return plan


def _copy(planner: Planner, statement: Statement, ctx: Context) -> Plan:
    fields = statement.node["CopyStmt"]
    refuse_files(fields)
    options = read_options(fields.get("options", []), is_from=bool(fields.get("is_from")))
    if fields.get("is_from"):
        return _copy_from(fields, options, ctx)
    if "query" in fields:
        query = planner._query(fields["query"], ctx)
        if query.columns is None:
            raise SqlError("COPY query must have a RETURNING clause", sqlstate="0A000")
    else:
        query = planner._select(_table_query(fields), ctx)
    plan = Plan(Kind.COPY, "COPY", action=actions.CopyOut(query, options), catalog_version=ctx.catalog.version)
    plan.session_values = query.session_values
    return plan


def _table_query(fields: dict[str, Any]) -> dict[str, Any]:
    """The SELECT that COPY table (columns) TO stands for."""
    names = tree.strings(fields.get("attlist", []))
    references = [[{"String": {"sval": name}}] for name in names] or [[{"A_Star": {}}]]
    targets = [{"ResTarget": {"val": {"ColumnRef": {"fields": reference, "location": -1}}}} for reference in references]
    return {"targetList": targets, "fromClause": [{"RangeVar": fields["relation"]}], "op": "SETOP_NONE"}


def _copy_from(fields: dict[str, Any], options: actions.CopyOptions, ctx: Context) -> Plan:
    scope = Scope(ctx=ctx)
    relation, columns = copy_columns(fields, scope)
    ctx.params = [column.type_oid for column in columns]
    insert = finish_plan(Kind.WRITE, "INSERT 0", [copy_insert(relation, columns, scope)], ctx)
    action = actions.CopyIn(
        relation.name,
        tuple(column.name for column in columns),
        tuple((column.type_oid, column.typmod) for column in columns),
        insert,
        options,
    )
    plan = Plan(Kind.COPY, "COPY", action=action, catalog_version=ctx.catalog.version)
    plan.session_values = insert.session_values
    return plan


def _truncate(_planner: Planner, statement: Statement, ctx: Context) -> Plan:
    fields = statement.node["TruncateStmt"]
    steps = dml.translate_truncate(fields, Scope(ctx=ctx))
    plan = finish_plan(Kind.WRITE, "TRUNCATE TABLE", steps, ctx)
    plan.counts_rows = False
    return plan


def _shown(kind: str) -> str:
    """A statement's name from its node type: 'CreateFunctionStmt' is CREATE FUNCTION."""
    words = re.findall(r"[A-Z][a-z]*", kind.removesuffix("Stmt"))
    return " ".join(words).upper()


_PLANNED: Final = {
    "PrepareStmt": _prepare,
    "ExecuteStmt": _execute,
    "DeclareCursorStmt": _declare,
    "ExplainStmt": _explain,
    "CopyStmt": _copy,
    "TruncateStmt": _truncate,
}
