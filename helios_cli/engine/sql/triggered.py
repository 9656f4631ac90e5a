"""Writes that triggers see: the rows are found first, then changed one by one, each between its triggers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from helios_cli.engine.sql.context import Context
from helios_cli.engine.sql.finishing import finish_plan, result_columns
from helios_cli.engine.sql.inheritance import MEMBER, keys_to, members
from helios_cli.engine.sql.inheritance import ROW as HEIR_ROW
from helios_cli.engine.sql.plan import Kind, Plan, Program
from helios_cli.engine.sql.relation import CatalogReader, Relation
from helios_cli.engine.sql.snapshots import row_id
from helios_cli.engine.sql.sqltext import quote_identifier

if TYPE_CHECKING:
    from helios_cli.engine.sql.ddl_model import ConstraintDef
    from helios_cli.engine.sql.query import Output
    from helios_cli.engine.sql.scope import RangeItem, Scope

_PARAMETER: Final = re.compile(r"\?([0-9]+)")
_QUOTED: Final = re.compile(r"'[^']*'|\"[^\"]*\"")
ROW: Final = "\x04{}\x04"
"""Stands for a value of the row in hand until it is known how many parameters come before."""
_ROW_FOUND: Final = re.compile("\x04([0-9]+)\x04")


@dataclass(slots=True)
class Upsert:
    """ON CONFLICT DO UPDATE."""

    keys: tuple[str, ...]
    """The columns that a row must agree in to be the one in conflict."""
    alias: str
    """Under which its expressions name the table."""
    pairs: list[tuple[str, str]]
    where: str


@dataclass(slots=True)
class Parts:
    """What a write is made of, before placeholders are numbered."""

    event: str
    relation: Relation
    source: str
    """The query of the rows: for INSERT the values of ``columns``; else the row's number, all its columns, and the new
    values of ``columns``. Empty for INSERT of defaults that are all NULL."""
    columns: tuple[str, ...]
    outputs: list[Output]
    """RETURNING."""
    conflict: str = ""
    upsert: Upsert | None = None
    others: int = 0
    """How many values of other tables ``source`` gives behind the rest, which RETURNING takes."""
    checks: list[str] = field(default_factory=list)
    """Calls that look at each new row, and raise what PostgreSQL says of one that may not be."""
    heirs: tuple[Relation, ...] = ()
    """The tables whose rows are changed too. ``source`` of an UPDATE or DELETE then gives a row's table, its number and
    the new values."""
    route: str = ""
    """The query of the partition that a new row goes to (``partitions``); '' for a table that is not partitioned."""
    statement: bool = True
    """As in :class:`TriggeredWrite`."""
    with_clause: str = ""
    """The statement's WITH, which RETURNING and DO UPDATE may read as well as ``source``; with a space behind."""


@dataclass(frozen=True, slots=True)
class TriggeredWrite:
    """A write with its texts ready to run."""

    event: str
    relation: Relation
    source: str
    columns: tuple[str, ...]
    returning: tuple[str, ...]
    """Texts of RETURNING's columns; over a view they name its columns by its name."""
    given: int
    """How many parameters come before those of the row in hand."""
    conflict: str = ""
    """ON CONFLICT ... DO NOTHING; empty for none."""
    upsert_keys: tuple[str, ...] = ()
    upsert_columns: tuple[str, ...] = ()
    others: int = 0
    """Values of other tables at the end of a row of ``source``: the first parameters of the row in hand."""
    heirs: tuple[Relation, ...] = ()
    """As of :class:`Parts`; the texts of RETURNING name the table by ``inheritance.MEMBER``."""
    route: str = ""
    upsert_source: str = ""
    """As ``source`` of an UPDATE, for the row in conflict; its parameters behind the given ones are the new row."""
    statement: bool = True
    """It fires the triggers of statements; of several writes of a MERGE that are alike the first one does."""


@dataclass(frozen=True, slots=True)
class TriggeredProgram:
    """Writes of one statement, some of which triggers see: MERGE, and WITH queries that change data."""

    program: Program
    writes: tuple[TriggeredWrite | None, ...]
    """For each step what is done in its place; None: the step itself."""


def are_seen(relation: Relation, events: tuple[str, ...], scope: Scope) -> bool:
    """Whether triggers of a table have to see a write, or its rows are found before any is changed."""
    triggers = scope.ctx.catalog.triggers(relation.oid)
    if scope.ctx.row_by_row and scope.ctx.snapshots is None:
        return True
    if any(trigger.fires and not set(events).isdisjoint(trigger.events) for trigger in triggers):
        return True
    if "UPDATE" in events and sets_defaults(relation, scope.ctx.catalog):
        return True
    return events == ("DELETE",) and bool(cascades(relation, scope.ctx.catalog))


def cascades(relation: Relation, catalog: CatalogReader) -> list[tuple[ConstraintDef, Relation]]:
    """The foreign keys through which a DELETE changes other tables where triggers see it, at once or further on.

    And those that are ON DELETE SET DEFAULT or set some columns only, which SQLite does not do.
    """
    return [
        pair
        for pair in _children(relation, catalog)
        if pair[0].on_delete == "d" or pair[0].delete_columns or _is_watched(pair[1], catalog, {relation.oid})
    ]


def sets_defaults(relation: Relation, catalog: CatalogReader) -> list[tuple[ConstraintDef, Relation]]:
    """The foreign keys to a table that are ON UPDATE SET DEFAULT, and their tables."""
    found = []
    for constraint in keys_to(catalog, relation.oid):
        child = catalog.relation_by_oid(constraint.table_oid) if constraint.on_update == "d" else None
        if child is not None:
            found.append((constraint, child))
    return found


def _children(relation: Relation, catalog: CatalogReader) -> list[tuple[ConstraintDef, Relation]]:
    found = []
    for constraint in keys_to(catalog, relation.oid):
        acts = constraint.on_delete in "cnd" and constraint.enabled
        child = catalog.relation_by_oid(constraint.table_oid) if acts else None
        if child is not None:
            found.append((constraint, child))
    return found


def _is_watched(relation: Relation, catalog: CatalogReader, known: set[int]) -> bool:
    if any(trigger.fires for trigger in catalog.triggers(relation.oid)):
        return True
    if relation.oid in known:
        return False
    known.add(relation.oid)
    return any(
        constraint.on_delete == "d" or constraint.delete_columns or _is_watched(child, catalog, known)
        for constraint, child in _children(relation, catalog)
    )


def replaced_by_triggers(relation: Relation, event: str, scope: Scope) -> bool:
    """Whether a view has a trigger that does the write instead."""
    return any(
        trigger.timing == "i" and trigger.fires and event in trigger.events
        for trigger in scope.ctx.catalog.triggers(relation.oid)
    )


def heirs_changed(item: RangeItem, scope: Scope) -> tuple[Relation, ...]:
    """The tables whose rows an UPDATE or DELETE changes beside those of its target."""
    relation = item.relation
    if relation is None or not item.expanded:
        return ()
    return tuple(members(relation, scope.ctx)[1:])


def rows_to_change(relation: Relation, item: RangeItem, values: list[str]) -> str:
    """The select list that finds rows to change."""
    alias = quote_identifier(item.alias)
    if item.expanded:
        return ", ".join([f"{alias}.tableoid", f"{alias}.{quote_identifier(HEIR_ROW)}", *values])
    number = "NULL" if relation.kind == "v" else f"{alias}.{row_id(relation)}"
    return ", ".join([number, *(f"{alias}.{quote_identifier(column.name)}" for column in relation.columns), *values])


def plan_triggered(parts: Parts, sql: str, tag: str, ctx: Context) -> Plan:
    """The plan of a write that triggers see; ``sql`` is the write without them."""
    ctx.keep_session_value("pid")
    plan = finish_plan(Kind.WRITE, tag, [sql, *_texts(parts)], ctx)
    plan.routine = _write(parts, plan.steps[1:], _given(plan, ctx))
    plan.steps = plan.steps[:1]
    plan.columns = result_columns(parts.outputs) if parts.outputs else None
    plan.volatile = True
    return plan


def plan_program(steps: list[str], parts: list[Parts | None], program: Program, tag: str, ctx: Context) -> Plan:
    """The plan of a statement of several steps; ``parts`` has what each is made of that triggers see, else None."""
    seen = any(part is not None for part in parts)
    if seen:
        ctx.keep_session_value("pid")
    texts = [_texts(part) if part is not None else [] for part in parts]
    plan = finish_plan(Kind.WRITE, tag, [*steps, *(text for group in texts for text in group)], ctx)
    plan.program, plan.volatile = program, True
    if seen:
        given, at, writes = _given(plan, ctx), len(steps), []
        for part, group in zip(parts, texts, strict=True):
            writes.append(_write(part, plan.steps[at : at + len(group)], given) if part is not None else None)
            at += len(group)
        plan.routine = TriggeredProgram(program, tuple(writes))
        plan.steps = plan.steps[: len(steps)]
    return plan


def _texts(parts: Parts) -> list[str]:
    """What a write that triggers see is run with: the query of its rows, that of the row in conflict, RETURNING."""
    returning = [_within(parts, output.value.sql) for output in parts.outputs]
    if parts.checks:
        test = " AND ".join(parts.checks)
        returning = [f"CASE WHEN {test} THEN {returning[0]} END", *returning[1:]] if returning else [test]
    upsert = _upsert_source(parts) if parts.upsert is not None else ""
    return [parts.source, upsert, parts.route, *returning]


def _within(parts: Parts, value: str) -> str:
    """A value with the queries of WITH in sight, where it has a query in it."""
    return f"({parts.with_clause}SELECT {value})" if parts.with_clause and "SELECT" in value else value


def _given(plan: Plan, ctx: Context) -> int:
    """How many parameters come before those of the row in hand."""
    return len(plan.param_types) + max(len(plan.literal_in or ()), _literals(ctx)) + len(plan.session_values)


def _write(parts: Parts, steps: Sequence[str], given: int) -> TriggeredWrite:
    texts = [_ROW_FOUND.sub(lambda match: f"?{given + 1 + int(match[1])}", text) for text in steps]
    return TriggeredWrite(
        parts.event,
        parts.relation,
        texts[0],
        parts.columns,
        tuple(texts[3:]),
        given,
        _do_nothing(parts.conflict),
        parts.upsert.keys if parts.upsert is not None else (),
        tuple(name for name, _ in parts.upsert.pairs) if parts.upsert is not None else (),
        parts.others,
        parts.heirs,
        texts[2],
        texts[1],
        parts.statement,
    )


def _literals(ctx: Context) -> int:
    """Literals of the statement that are parameters."""
    return sum(1 for index in ctx.lifted if index not in ctx.bound)


def _do_nothing(conflict: str) -> str:
    found = conflict.partition(" DO UPDATE SET ")
    return f"{found[0]} DO NOTHING" if found[1] else conflict


def _upsert_source(parts: Parts) -> str:
    """The query of the row that an INSERT is in conflict with, and of its new values.

    Of a partitioned table the row is in the one that :data:`inheritance.MEMBER` stands for, and has its number alone.
    """
    upsert, relation = parts.upsert, parts.relation
    assert upsert is not None
    alias = quote_identifier(upsert.alias)
    names = [quote_identifier(column.name) for column in relation.columns]
    row = ", ".join(f"{ROW.format(position)} AS {name}" for position, name in enumerate(names))
    whole = [] if parts.route else [f"{alias}.{name}" for name in names]
    selected = [f"{alias}.{row_id(relation)}", *whole, *(value for _, value in upsert.pairs)]
    same = [f"{alias}.{quote_identifier(key)} = excluded.{quote_identifier(key)}" for key in upsert.keys]
    conditions = same + ([upsert.where] if upsert.where else [])
    table = quote_identifier(MEMBER if parts.route else relation.sqlite_name or relation.name)
    return (
        f"{parts.with_clause}SELECT {', '.join(selected)} FROM {table} AS {alias}, (SELECT {row}) AS excluded "
        f"WHERE {' AND '.join(conditions)}"
    )


def highest_parameter(text: str) -> int:
    """How many parameters a text takes."""
    return max((int(number) for number in _PARAMETER.findall(_QUOTED.sub("", text))), default=0)
