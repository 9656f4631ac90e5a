"""Planning of SQL inside functions, where names may be variables."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from helios_cli.engine.datatypes.usertypes import kind_of
from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql import casts, tree
from helios_cli.engine.sql.coercion import Context as How
from helios_cli.engine.sql.coercion import can_coerce
from helios_cli.engine.sql.context import Context
from helios_cli.engine.sql.ddl import VARIABLE_KEYS
from helios_cli.engine.sql.finishing import finish_plan, name_objects, result_columns
from helios_cli.engine.sql.oids import BOOL, RECORD, TEXT, UNKNOWN, VOID
from helios_cli.engine.sql.plan import Kind, Plan
from helios_cli.engine.sql.planner import Planner, parse
from helios_cli.engine.sql.query import Query, type_in
from helios_cli.engine.sql.relation import CatalogReader
from helios_cli.engine.sql.scope import Scope
from helios_cli.engine.sql.select import translate_query
from helios_cli.engine.sql.typed import Node, TypedSql

STORED: Final = '"\x05stored"'
"""The call ``STORED(a, a[1], x)`` gives ``a`` with that part replaced by ``x``; no text of a user's can name it."""


class Variables(Protocol):
    """The variables that a piece of SQL may name."""

    column_wins: bool | None
    """Which one a name means that is both: True the column, False the variable, None neither: that is an error."""

    def find(self, names: Sequence[str]) -> tuple[Hashable, int] | None:
        """What identifies the variable of a possibly qualified name, and its type; None when there is none."""

    def fields(self, names: Sequence[str]) -> tuple[str, ...] | None:
        """The fields of a record of that name; None when it is no record."""

    def absent(self, names: Sequence[str]) -> bool:
        """Whether a record, which :meth:`fields` knows, is NULL as a whole."""

    def table(self, name: str) -> tuple[Hashable, tuple[tuple[str, int], ...]] | None:
        """What identifies a table that only the function sees, and its columns. Its rows are a JSON array of arrays."""


@dataclass(slots=True)
class Inner:
    """A planned piece of SQL."""

    plan: Plan
    keys: tuple[Any, ...]
    """The variables to bind as its parameters, in order."""
    outputs: tuple[int, ...] = ()
    """Types of an expression's results."""


class InnerPlanner(Planner):
    """Plans one piece of SQL with the variables of its place."""

    def __init__(self, base: Planner, variables: Variables | None) -> None:
        super().__init__(base.functions)
        self.variables, self.compute = variables, base.compute
        self._ctx: Context | None = None

    def context(self, source: str, param_oids: tuple[int, ...] | None, catalog: CatalogReader) -> Context:
        """As ``Planner.context``, with the variables of the place."""
        ctx = super().context(source, param_oids, catalog)
        ctx.nested = True
        if self.variables is not None:
            ctx.variables = self.variables
            ctx.parameters_allowed = True
            self._ctx = ctx
        return ctx

    def statement(self, text: str, catalog: CatalogReader) -> Inner:
        """Plan a statement.

        Raises:
            SqlError: it is wrong.
        """
        parsed = parse(text)
        if not parsed:
            return Inner(Plan(Kind.EMPTY, ""), ())
        statement = parsed[0]
        if self.variables is not None:
            statement = replace(statement, node=spread_records(statement.node, self.variables))
        plan = self.plan_statement(statement, text, () if self.variables is None else None, catalog)
        return Inner(plan, plan.cache.get(VARIABLE_KEYS) or self._keys())

    def expression(self, text: str, catalog: CatalogReader, target: tuple[int, int] | None) -> Inner:
        """Plan an expression as a query of one row, its value converted to ``target``, a type and its modifier.

        Raises:
            SqlError: it is wrong.
        """
        source = f"SELECT {text}"
        node = _with_parts(parse(source)[0].node)
        if self.variables is not None:
            node = spread_records(node, self.variables)
        if "SelectStmt" not in node:
            raise SqlError(f'syntax error at or near "{text.split()[0]}"', sqlstate="42601")
        ctx = self.context(source, None, catalog)
        query = translate_query(node["SelectStmt"], Scope(ctx=ctx))
        if target is not None and len(query.outputs) == 1:
            _convert(query, target, ctx)
        query.resolve_unknowns(ctx)
        outputs = tuple(type_in(output.value, ctx) for output in query.outputs)
        name_objects(query, ctx)
        takes_writer = ctx.writes or ctx.locks_rows
        plan = finish_plan(Kind.WRITE if takes_writer else Kind.READ, "SELECT", [query.render()], ctx)
        plan.columns = result_columns(query.outputs)
        return Inner(plan, self._keys(), outputs)

    def _keys(self) -> tuple[Any, ...]:
        return tuple(self._ctx.variable_keys) if self._ctx is not None else ()


def _with_parts(node: Node) -> Node:
    """A query whose only output is a call of STORED with what that stands for."""
    select = node.get("SelectStmt", {})
    target = select.get("targetList", [{}])[0].get("ResTarget", {})
    call = target.get("val", {}).get("FuncCall")
    if call is None or call["funcname"][-1].get("String", {}).get("sval") != STORED.strip('"'):
        return node
    base, part, value = call["args"]
    inside = part.get("A_Indirection", {"arg": part, "indirection": []})
    way = inside["arg"]["ColumnRef"]["fields"][len(base["ColumnRef"]["fields"]) :] + inside["indirection"]
    changed = {"StoredPart": {"arg": base, "way": way, "value": value}}
    return {"SelectStmt": {**select, "targetList": [{"ResTarget": {**target, "val": changed}}]}}


def _convert(query: Query, target: tuple[int, int], ctx: Context) -> None:
    """Convert the only output as PL/pgSQL does: by an assignment cast, else through its output function's text."""
    type_oid, typmod = target
    if type_oid in (RECORD, VOID):
        return
    source = type_in(query.outputs[0].value, ctx)
    if not kind_of(type_oid) and not can_coerce(source, type_oid, How.ASSIGNMENT, ctx.catalog.casts()):
        _through_text(query, target, ctx)
        return
    try:
        query.coerce(0, type_oid, typmod, How.ASSIGNMENT, ctx)
    except SqlError as error:
        if error.sqlstate not in ("42804", "42846") or source == UNKNOWN:
            raise
        _through_text(query, target, ctx)


def _through_text(query: Query, target: tuple[int, int], ctx: Context) -> None:
    value = query.outputs[0].value
    if type_in(value, ctx) == BOOL:
        # As a text a boolean is true or false, its output function writes a letter.
        query.outputs[0].value = TypedSql(f"substr('ft', {value.sql} + 1, 1)", TEXT)
    else:
        query.coerce(0, TEXT, -1, How.EXPLICIT, ctx)
    query.outputs[0].value = casts.explicit_cast(query.outputs[0].value, *target, ctx, -1)


def spread_records(node: Any, variables: Variables) -> Any:
    """A copy of a tree with whole records written out as rows of their fields, and ``record.*`` as the list of them."""
    if isinstance(node, list):
        result: list[Any] = []
        for item in node:
            spread = _spread_star(item, variables)
            result += spread if spread is not None else [spread_records(item, variables)]
        return result
    if not isinstance(node, dict):
        return node
    if "ColumnRef" in node:
        return _spread_reference(node, variables)
    if "FuncCall" in node:
        return _spread_call(node, variables)
    return {key: spread_records(value, variables) for key, value in node.items()}


def _record_of(node: Any, variables: Variables, *, star: bool) -> tuple[list[str], tuple[str, ...]] | None:
    reference = node.get("ColumnRef") if isinstance(node, dict) else None
    if reference is None or ("A_Star" in reference["fields"][-1]) is not star:
        return None
    names = tree.strings(reference["fields"][:-1] if star else reference["fields"])
    fields = variables.fields(names) if names else None
    return (names, fields) if fields is not None else None


def _field(names: Sequence[str], name: str) -> Node:
    return {"ColumnRef": {"fields": [{"String": {"sval": part}} for part in (*names, name)], "location": -1}}


def _spread_star(item: Any, variables: Variables) -> list[Any] | None:
    """``r.*`` as an item of a list becomes its fields."""
    if not isinstance(item, dict):
        return None
    target = item.get("ResTarget")
    found = _record_of(target["val"] if target is not None and "val" in target else item, variables, star=True)
    if found is None:
        return None
    names, fields = found
    references = [_field(names, name) for name in fields]
    if target is None:
        return references
    return [
        {"ResTarget": {"name": name, "val": reference, "location": -1}}
        for name, reference in zip(fields, references, strict=True)
    ]


def _spread_reference(node: Node, variables: Variables) -> Node:
    found = _record_of(node, variables, star=False) or _record_of(node, variables, star=True)
    if found is None:
        return node
    names, fields = found
    if variables.absent(names):
        return {"A_Const": {"isnull": True, "location": -1}}
    arguments = [_field(names, name) for name in fields]
    return {"RowExpr": {"args": arguments, "row_format": "COERCE_IMPLICIT_CAST", "location": -1}}


_ROW_TO_JSON = {"row_to_json": "json_build_object", "to_json": "json_build_object", "to_jsonb": "jsonb_build_object"}


def _spread_call(node: Node, variables: Variables) -> Node:
    """``to_jsonb(record)`` and its kin are built from the fields."""
    call = node["FuncCall"]
    name = tree.strings(call["funcname"])[-1]
    arguments = call.get("args", [])
    if name in _ROW_TO_JSON and len(arguments) == 1:
        found = _record_of(arguments[0], variables, star=False) or _record_of(arguments[0], variables, star=True)
        if found is not None:
            names, fields = found
            pairs: list[Node] = []
            for field in fields:
                pairs += [{"A_Const": {"sval": {"sval": field}, "location": -1}}, _field(names, field)]
            made = [{"String": {"sval": "pg_catalog"}}, {"String": {"sval": _ROW_TO_JSON[name]}}]
            return {"FuncCall": {**call, "funcname": made, "args": pairs}}
    return {"FuncCall": {key: spread_records(value, variables) for key, value in call.items()}}
