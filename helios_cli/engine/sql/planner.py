"""From a query string to plans."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from helios_cli.engine.errors import FeatureNotSupported, SqlError
from helios_cli.engine.sql import dml, folded, grammar, literal_positions, shape, tree, utility, wrapped
from helios_cli.engine.sql.context import Context, LiftedLiteral, Unfoldable
from helios_cli.engine.sql.database_names import check_databases
from helios_cli.engine.sql.ddl import STATEMENTS as DDL_STATEMENTS
from helios_cli.engine.sql.ddl import plan_ddl
from helios_cli.engine.sql.finishing import QUERIES, finish_plan, name_objects, result_columns
from helios_cli.engine.sql.function_spec import FunctionRegistry
from helios_cli.engine.sql.handlers import finds_rows_first
from helios_cli.engine.sql.many_parameters import spilled_values
from helios_cli.engine.sql.modifying_with import modifies, translate_modifying
from helios_cli.engine.sql.nesting import too_deep
from helios_cli.engine.sql.oids import UNKNOWN
from helios_cli.engine.sql.plan import Kind, Plan, SqliteValue
from helios_cli.engine.sql.relation import CatalogReader
from helios_cli.engine.sql.rows import Fold
from helios_cli.engine.sql.scope import Scope
from helios_cli.engine.sql.select import translate_query
from helios_cli.engine.sql.select_list import OUTPUTS_MAX
from helios_cli.engine.sql.shape import LIFTED_MAX, Literal
from helios_cli.engine.sql.system_writes import plan_system_update
from helios_cli.engine.sql.translators import MODULES
from helios_cli.engine.sql.triggered import plan_program, plan_triggered
from helios_cli.engine.sql.type_pins import name_types
from helios_cli.engine.sql.typed import Node

assert MODULES

_WITH_QUERY: Final = frozenset(("ViewStmt", "CreateTableAsStmt", "ExecuteStmt", "PrepareStmt", "RuleStmt"))
NESTING_MAX: Final = 4_000_000
"""Characters of one statement outside of strings, comments and quoted names: so many can nest half as deep."""
_OPAQUE: Final = re.compile(
    r"[eE]'(?:[^'\\]|\\.|'')*+(?:'|\Z)|'[^']*+(?:'|\Z)|\"[^\"]*+(?:\"|\Z)|--[^\n]*+|/\*.*?(?:\*/|\Z)"
    r"|\$([A-Za-z_]\w*|)\$.*?(?:\$\1\$|\Z)",
    re.DOTALL,
)
"""Strings, quoted names and comments; an unended one reaches to the end of the text, so that each is looked at once."""
_READ_BEFORE: Final = ("42883", "42804", "42846", "42809", "42725", "42703")
"""Errors of a place in the statement: the literals before it are read first."""
_DEFERS: Final = frozenset(("SetVariable", "ResetVariable", "Rollback", "RollbackTo"))
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
        parsed = grammar.parse(sql)
    except grammar.Refused as error:
        raise _syntax_error(error, sql) from None
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


def _cut_off(statements: list[Statement]) -> None:
    """Drop what a select list has behind the entry that is one too many: an error comes there at the latest."""
    for statement in statements:
        targets = statement.node.get("SelectStmt", {}).get("targetList")
        if targets is not None and len(targets) > OUTPUTS_MAX + 1:
            grammar.shorten(targets, OUTPUTS_MAX + 1)


_RUNS: Final = re.compile(
    r"(?:\s|--[^\n]*+|/\*[^*]*+\*/|\()*+(?:select|insert|update|delete|merge|values|with|table)\b", re.IGNORECASE
)
"""How a statement begins that defines nothing: a cheap no for nearly all."""


def is_definition(sql: str) -> bool:
    """Whether a query string is one statement of which PostgreSQL checks no more than the grammar before it runs.

    Raises SqlError 42601.
    """
    if _RUNS.match(sql):
        return False
    statements = parse(sql)
    kind = tree.tag(statements[0].node) if len(statements) == 1 else ""
    return kind in DDL_STATEMENTS and kind != "CreateTableAsStmt"


_NOT_SUPPORTED: Final = re.compile(
    "(TRIGGER is not supported|not yet implemented|not supported on recursive views|constraints cannot be marked .*|"
    "cannot include schema elements)$"
)
"""Messages of PostgreSQL's grammar that are no syntax errors (gram.y)."""


def _syntax_error(error: Any, sql: str) -> SqlError:
    message = str(error.args[0])
    position = error.args[1] if len(error.args) > 1 and error.args[1] else None
    sqlstate, hint = "42601", None
    if message == "invalid Unicode escape":
        hint = r"Unicode escapes must be \XXXX or \+XXXXXX."
        if sql[(position or 1) - 1 :][:2] in ("\\u", "\\U"):
            sqlstate, hint = "22025", r"Unicode escapes must be \uXXXX or \UXXXXXXXX."
    sqlstate = "42P20" if message.startswith(("frame start", "frame end")) else sqlstate
    sqlstate = "22021" if message.startswith("invalid byte sequence") else sqlstate
    sqlstate = "0A000" if _NOT_SUPPORTED.search(message) else sqlstate
    return SqlError(message, sqlstate=sqlstate, hint=hint, position=position)


def bind(
    plan: Plan, params: Sequence[Any], literals: Sequence[Literal], session: Sequence[Any], text: str = ""
) -> Sequence[SqliteValue]:
    """The values for a plan's SQLite parameters: parameters, literals, session values, in this order.

    ``text`` is the statement that the literals were taken out of, to find the position of a wrong one.

    Raises:
        SqlError: 22P02 and its kin, a literal is no value of the type its place has, or what a constant raises.
    """
    if plan.constant_error is not None:
        raise plan.constant_error.with_traceback(None)
    values: Sequence[SqliteValue] = literals
    converters = plan.literal_in
    if converters:
        try:
            values = [
                value if convert is None else convert(value)
                for convert, value in zip(converters, literals, strict=True)
            ]
        except SqlError as error:
            error.position = error.position or literal_positions.of_bound(plan, literals, text)
            raise
    if params or session:
        values = (*params, *values, *session)
    return spilled_values(values) if plan.spills else values


class Planner:
    """Plans statements. Holds no state of sessions or statements."""

    variables: Any = None
    """The ``inner.Variables`` that statements inside a function may name."""

    def __init__(self, functions: FunctionRegistry | None = None, evaluate: Callable[[str], Any] | None = None) -> None:
        """``functions`` is what statements may call; None takes the whole library.

        ``evaluate`` computes constants while statements are planned; None leaves them to run time.
        """
        if functions is None:
            from helios_cli.engine.sql.functions import REGISTRY

            functions = REGISTRY
        self.functions = functions
        self.evaluate = self.compute = evaluate

    def plan(self, sql: str, param_oids: tuple[int, ...] | None = None, *, catalog: CatalogReader) -> list[Plan]:
        """Plan every statement of a query string, constants written in place.

        A statement that stands behind one that changes the schema or a setting is planned when its turn comes, as is
        a wrong one behind others: its plan has ``catalog_version`` -1 and only ``source``. ``param_oids`` None: there
        are no parameters.

        Raises:
            SqlError: the statement is wrong.
        """
        return self._plan_parsed(parse(sql), sql, param_oids, catalog)

    def _plan_parsed(
        self, statements: list[Statement], sql: str, param_oids: tuple[int, ...] | None, catalog: CatalogReader
    ) -> list[Plan]:
        if len(statements) == 1:
            return [self.plan_statement(statements[0], sql, param_oids, catalog)]
        if param_oids is not None and statements:
            raise SqlError("cannot insert multiple commands into a prepared statement", sqlstate="42601")
        plans: list[Plan] = []
        deferred = False
        for statement in statements:
            plan = None if deferred else self._plan_one_of_several(statement, catalog, bool(plans))
            if plan is None:
                deferred = True
                late = Plan(Kind.EMPTY, "", source=statement.text, source_offset=statement.offset, catalog_version=-1)
                plans.append(late)
                continue
            plan.source = statement.text
            plans.append(plan)
            deferred = plan.kind is Kind.DDL or type(plan.action).__name__ in _DEFERS
        return plans

    def _plan_one_of_several(self, statement: Statement, catalog: CatalogReader, may_fail: bool) -> Plan | None:
        """Plan a statement by its own text; errors point into the whole query string.

        With ``may_fail`` None stands for an error: the statements before it run, and are answered, before anybody
        hears of it.
        """
        try:
            return self.plan_statement(parse(statement.text)[0], statement.text, None, catalog)
        except SqlError as error:
            if may_fail:
                return None
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
        _cut_off(statements)
        try:
            return self._plan_lifted(statements, sql, literals, param_oids, catalog)
        except SqlError:
            if len(sql) > grammar.SHORT_MAX:
                grammar.drop([statement.node for statement in statements])
            raise

    def _plan_lifted(
        self,
        statements: list[Statement],
        sql: str,
        literals: Sequence[Literal],
        param_oids: tuple[int, ...] | None,
        catalog: CatalogReader,
    ) -> tuple[list[Plan], frozenset[int]]:
        is_query = len(statements) == 1 and _is_query(statements[0].node)
        if not is_query or not 0 < len(literals) <= LIFTED_MAX:
            return self._plan_parsed(statements, sql, param_oids, catalog), frozenset(range(len(literals)))
        check_databases(statements[0].node, sql, catalog)
        ctx = self.context(sql, param_oids, catalog)
        _attach(ctx, sql, literals)
        plan = self.query(statements[0].node, ctx)
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
        if len(statements) != 1 or not _is_query(statements[0].node):
            return None
        if not folded.attach(statements[0].node, fold):
            return None
        check_databases(statements[0].node, fold.reduced, catalog)
        ctx = self.context(fold.reduced, param_oids, catalog)
        ctx.fold, ctx.evaluate = fold, None
        try:
            return self.query(statements[0].node, ctx)
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
        check_databases(statement.node, source, catalog)
        if _is_query(statement.node):
            return self.query(statement.node, self.context(source, param_oids, catalog))
        try:
            return self._plan_utility(kind, statement, source, param_oids, catalog)
        except SqlError as error:
            if error.sqlstate == "42P01" and kind not in _WITH_QUERY and "query" not in statement.node[kind]:
                # PostgreSQL looks their relations up when it runs them, and has no place to point at then.
                error.position = None
            raise

    def _plan_utility(
        self, kind: str, statement: Statement, source: str, param_oids: tuple[int, ...] | None, catalog: CatalogReader
    ) -> Plan:
        handler = utility.HANDLERS.get(kind)
        if handler is not None:
            plan = handler(statement.node[kind], catalog)
            plan.catalog_version = catalog.version
            return plan
        if kind in DDL_STATEMENTS or kind == "SelectStmt":
            try:
                return plan_ddl(
                    statement.node,
                    catalog,  # type: ignore[arg-type]
                    self.functions,
                    source=source,
                    variables=self.variables,
                    evaluate=self.compute,
                )
            except SqlError as error:
                name_types(error, catalog)
                raise
        own = wrapped.HANDLERS.get(kind)
        if own is not None:
            return own(self, statement, self.context(source, param_oids, catalog))
        if kind in utility.UNSUPPORTED:
            name, hint = utility.UNSUPPORTED[kind]
            raise FeatureNotSupported(f"{name} is not supported", hint=hint)
        raise FeatureNotSupported(f"{wrapped.shown_statement(kind)} is not supported")

    # -- queries ----------------------------------------------------------------------------------

    def context(self, source: str, param_oids: tuple[int, ...] | None, catalog: CatalogReader) -> Context:
        """The state of one statement's translation; ``param_oids`` None: there are no parameters."""
        return Context(
            catalog=catalog,
            functions=self.functions,
            source=source,
            encoded=source.encode(),
            params=[0 if oid == UNKNOWN else oid for oid in param_oids or ()],
            parameters_allowed=param_oids is not None,
            evaluate=self.evaluate,
        )

    def query(self, node: Node, ctx: Context) -> Plan:
        """Plan a SELECT, INSERT, UPDATE or DELETE."""
        kind = tree.tag(node)
        try:
            if modifies(node[kind]):
                plan = _modifying(kind, node[kind], ctx)
            elif kind == "SelectStmt":
                plan = self.select(node[kind], ctx)
            else:
                plan = self._write(kind, node[kind], ctx)
            if ctx.constant_error is not None:
                _met(ctx.constant_error, plan, ctx)
            if ctx.planning_error is not None:
                ctx.read_met()
                raise ctx.planning_error
            return plan
        except RecursionError:
            raise too_deep() from None
        except SqlError as error:
            if error.sqlstate in _READ_BEFORE and kind != "InsertStmt":
                # A literal before what does not exist is read first, and may be no value of its type.
                ctx.read_met()
            name_types(error, ctx.catalog)
            raise

    def select(self, fields: dict[str, Any], ctx: Context) -> Plan:
        """Plan a SelectStmt by its fields."""
        query = translate_query(fields, Scope(ctx=ctx))
        query.resolve_unknowns(ctx)
        takes_writer = ctx.writes or ctx.locks_rows
        name_objects(query, ctx)
        plan = finish_plan(Kind.WRITE if takes_writer else Kind.READ, "SELECT", [query.render()], ctx)
        plan.columns = result_columns(query.outputs)
        plan.groupable = takes_writer and not ctx.calls
        return plan

    def _write(self, kind: str, fields: dict[str, Any], ctx: Context) -> Plan:
        translator, tag = _WRITES[kind]
        system = plan_system_update(fields, ctx) if kind == "UpdateStmt" else None
        if system is not None:
            return system
        one_row = kind == "InsertStmt" and dml.is_one_row(fields)
        ctx.row_by_row = finds_rows_first(fields, ctx.catalog, one_row=one_row)
        write = translator(fields, Scope(ctx=ctx))
        if write.parts is not None:
            return plan_triggered(write.parts, write.sql, tag, ctx)
        plan = finish_plan(Kind.WRITE, tag, [write.sql], ctx)
        plan.columns = result_columns(write.outputs) if write.returning else None
        plan.groupable = not ctx.calls and not write.checked
        return plan


def _met(error: Exception, plan: Plan, ctx: Context) -> None:
    """What computing a constant raised: raise it, or keep it for who binds the statement, in a Parse or PREPARE."""
    if not ctx.parameters_allowed or ctx.variables is not None:
        raise error
    if isinstance(error, SqlError):
        name_types(error, ctx.catalog)
    plan.constant_error = error


def _is_query(node: Node) -> bool:
    """Whether a statement is planned as a query: SELECT INTO makes a table."""
    kind = tree.tag(node)
    return kind in QUERIES and "intoClause" not in node[kind]


_WRITES: Final = {
    "InsertStmt": (dml.translate_insert, "INSERT 0"),
    "UpdateStmt": (dml.translate_update, "UPDATE"),
    "DeleteStmt": (dml.translate_delete, "DELETE"),
}


def _modifying(kind: str, fields: dict[str, Any], ctx: Context) -> Plan:
    """A statement whose WITH clause changes data."""
    found = translate_modifying(kind, fields, ctx)
    tag = "SELECT" if kind == "SelectStmt" else _WRITES[kind][1]
    plan = plan_program(found.steps, found.parts, found.program, tag, ctx)
    plan.columns = result_columns(found.outputs) if found.returning else None
    return plan


def _attach(ctx: Context, sql: str, literals: Sequence[Literal]) -> None:
    """Tell the context where the lifted literals stand."""
    ascii_only = sql.isascii()
    for index, ((start, letter), value) in enumerate(zip(shape.literal_places(sql), literals, strict=True)):
        offset = start if ascii_only else len(sql[:start].encode())
        ctx.lifted[index] = LiftedLiteral(offset, letter, value)
        ctx.lifted_at[offset] = index
