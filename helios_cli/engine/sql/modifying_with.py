"""WITH queries that change data: each becomes a SQLite statement of its own, whose RETURNING rows the others read."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final

from helios_cli.engine.sql import dml, tree
from helios_cli.engine.sql.context import Context
from helios_cli.engine.sql.dml import Write
from helios_cli.engine.sql.finishing import name_objects
from helios_cli.engine.sql.from_clause import find_relation
from helios_cli.engine.sql.inheritance import is_expanded
from helios_cli.engine.sql.plan import Program
from helios_cli.engine.sql.query import Output
from helios_cli.engine.sql.scope import Cte, Scope
from helios_cli.engine.sql.select import translate_cte, translate_query
from helios_cli.engine.sql.snapshots import Snapshots, saved_columns
from helios_cli.engine.sql.sqltext import quote_identifier
from helios_cli.engine.sql.triggered import Parts
from helios_cli.engine.sql.typed import Node

Translator = Callable[[dict[str, Any], Scope], Write]

WRITES: Final[dict[str, Translator]] = {
    "InsertStmt": dml.translate_insert,
    "UpdateStmt": dml.translate_update,
    "DeleteStmt": dml.translate_delete,
}
_WITH: Final = re.compile(r"WITH (RECURSIVE )?")


@dataclass(slots=True)
class Part:
    """One SQLite statement of the whole."""

    name: str
    """Of the WITH query; '' for the main statement."""
    sql: str
    saves: str
    """The session value that its rows become; '' when nothing reads them."""
    reads: set[str]
    """The data-modifying WITH queries that it reads, also through others."""
    seen: Parts | None = None
    """What it is made of, when triggers have to see it."""


@dataclass(slots=True)
class Modifying:
    """A translated statement: its steps in the order in which they run."""

    steps: list[str]
    parts: list[Parts | None]
    """For each step what it is made of, when triggers have to see it."""
    outputs: list[Output]
    returning: bool
    program: Program


@dataclass(slots=True)
class _State:
    scope: Scope
    recursive: bool
    texts: list[str] = field(default_factory=list)
    """WITH queries so far, as SQLite takes them."""
    parts: list[Part] = field(default_factory=list)
    reads: dict[str, set[str]] = field(default_factory=dict)
    """For each WITH query the data-modifying ones that it reads."""

    def prefixed(self, sql: str) -> str:
        """A statement with the WITH queries before it that it may read."""
        if not self.texts:
            return sql
        head = f"WITH {'RECURSIVE ' if self.recursive else ''}{', '.join(self.texts)}"
        own = _WITH.match(sql)
        return f"{head}, {sql[own.end() :]}" if own else f"{head} {sql}"

    def seen(self, parts: Parts | None) -> Parts | None:
        """What a write is made of, with the WITH queries before it."""
        if parts is None or not parts.source:
            return parts
        return replace(parts, source=self.prefixed(parts.source))

    def depends_on(self, node: Any) -> set[str]:
        """The data-modifying WITH queries that a tree reads."""
        found: set[str] = set()
        for part in tree.walk(node):
            name = part["RangeVar"].get("relname", "") if isinstance(part.get("RangeVar"), dict) else ""
            found |= self.reads.get(name, set())
        return found


def modifies(fields: dict[str, Any]) -> bool:
    """Whether a statement's WITH clause changes data."""
    clause = fields.get("withClause")
    return clause is not None and any(
        "SelectStmt" not in node["CommonTableExpr"]["ctequery"] for node in clause["ctes"]
    )


def translate_modifying(kind: str, fields: dict[str, Any], ctx: Context) -> Modifying:
    """Translate a statement whose WITH clause changes data.

    Raises:
        SqlError: as the translation of each part does; 0A000 for a data-modifying WITH below the top level.
    """
    clause = fields["withClause"]
    scope = Scope(ctx=ctx)
    state = _State(scope, bool(clause.get("recursive")))
    nodes = [node["CommonTableExpr"] for node in clause["ctes"]]
    ctx.snapshots = Snapshots(ctx, _writers(nodes, kind, fields, scope))
    for number, cte in enumerate(nodes):
        ctx.snapshots.part = number
        _with_query(cte, number, state)
    ctx.snapshots.part, ctx.snapshots.is_main = len(nodes), True
    main = {key: value for key, value in fields.items() if key != "withClause"}
    depends = state.depends_on(main)
    write = _main(kind, main, scope)
    state.parts.append(Part("", state.prefixed(write.sql), "", depends, state.seen(write.parts)))
    ordered = _in_order(state.parts)
    program = Program(
        tuple(part.saves for part in ordered),
        (next(at for at, part in enumerate(ordered) if not part.name),),
        tuple(ctx.snapshots.watched.values()),
    )
    seen = [part.seen for part in ordered]
    return Modifying([part.sql for part in ordered], seen, write.outputs, write.returning, program)


def _main(kind: str, fields: dict[str, Any], scope: Scope) -> Write:
    if kind != "SelectStmt":
        return WRITES[kind](fields, scope)
    query = translate_query(fields, scope)
    query.resolve_unknowns(scope.ctx)
    name_objects(query, scope.ctx)
    return Write(query.render(), query.outputs, True)


def _writers(nodes: list[dict[str, Any]], kind: str, fields: dict[str, Any], scope: Scope) -> dict[int, set[int]]:
    """The numbers of the parts that change each table."""
    found: dict[int, set[int]] = {}
    parts: list[Node] = [*(node["ctequery"] for node in nodes), {kind: fields}]
    for number, node in enumerate(parts):
        word = tree.tag(node)
        if word in WRITES:
            relation = find_relation(node[word]["relation"], scope)
            expanded = is_expanded(relation, node[word]["relation"], scope.ctx)
            for oid in (relation.oid, *(relation.heirs if expanded else ())):
                found.setdefault(oid, set()).add(number)
    return found


def _with_query(cte: dict[str, Any], number: int, state: _State) -> None:
    scope, ctx = state.scope, state.scope.ctx
    name, body, at = cte["ctename"], cte["ctequery"], cte.get("location", 0)
    if name in scope.ctes:
        raise ctx.error("42712", f'WITH query name "{name}" specified more than once', at)
    kind = tree.tag(body)
    depends = state.depends_on(body)
    if kind == "SelectStmt":
        state.texts.append(translate_cte(cte, state.recursive, scope))
        state.reads[name] = depends
        return
    if kind not in WRITES:
        raise ctx.unsupported(f"{kind.removesuffix('Stmt').upper()} in WITH", at)
    alias = ctx.unique_alias(name)
    write = WRITES[kind](body[kind], Scope(ctx=ctx, ctes=scope.ctes))
    saves = f"saved.{number}" if write.returning else ""
    state.parts.append(Part(name, state.prefixed(write.sql), saves, depends, state.seen(write.parts)))
    state.reads[name] = depends | {name}
    scope.ctes[name] = _saved_cte(name, alias, write, tree.strings(cte.get("aliascolnames", [])), scope, at)
    if write.returning:
        columns = [value for _, value in scope.ctes[name].columns]
        shown = ", ".join(quote_identifier(value.sql) for value in columns)
        texts = ", ".join(saved_columns(columns, "value"))
        source = f"SELECT {texts} FROM json_each({ctx.session_value(saves)})"
        state.texts.append(f"{quote_identifier(alias)}({shown}) AS ({source})")


def _saved_cte(name: str, alias: str, write: Write, renamed: list[str], scope: Scope, at: int) -> Cte:
    if len(renamed) > len(write.outputs):
        count = len(write.outputs)
        message = f'WITH query "{name}" has {count} columns available but {len(renamed)} columns specified'
        raise scope.ctx.error("42P10", message, at)
    columns = []
    for position, output in enumerate(write.outputs):
        shown = renamed[position] if position < len(renamed) else output.name
        value = replace(output.value, sql=f"c{position + 1}", raw="", param=0, literal=-1, value=None, not_null=False)
        columns.append((shown, value))
    return Cte(name, alias, columns, write.returning)


def _in_order(parts: list[Part]) -> list[Part]:
    """What the main statement reads comes before it; the others behind it, the last first, as PostgreSQL runs them."""
    by_name = {part.name: part for part in parts}
    main = by_name.pop("")
    ordered: list[Part] = []

    def add(part: Part) -> None:
        for other in by_name.values():
            if other.name in part.reads and other is not part and other not in ordered:
                add(other)
        if part not in ordered:
            ordered.append(part)

    add(main)
    for part in reversed(by_name.values()):
        add(part)
    return ordered
