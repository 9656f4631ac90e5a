"""EXPLAIN: SQLite's plan in PostgreSQL's formats; with ANALYZE what running the statement took."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final
from xml.sax.saxutils import escape

from helios_cli.engine.errors import FeatureNotSupported, SqlError
from helios_cli.engine.node import prepared
from helios_cli.engine.node.portal import Portal
from helios_cli.engine.sql import actions
from helios_cli.engine.sql.databases import without_prefixes
from helios_cli.engine.sql.inner import Inner
from helios_cli.engine.sql.plan import Kind, Plan
from helios_cli.engine.sql.plpgsql.frame import Outcome
from helios_cli.engine.storage.access import bind_count
from helios_cli.engine.wire import backend

if TYPE_CHECKING:
    from helios_cli.engine.node.routine_host import RoutineHost
    from helios_cli.engine.node.session import Session

_SCAN: Final = re.compile(r"(?:SCAN|SEARCH) (?P<name>\S+)(?: USING (?:COVERING )?INDEX (?P<index>\S+))?")
_ALIAS: Final = re.compile(r'"([^"]+)" AS "([^"]+)"')
_KINDS: Final = (
    ("SEARCH", "Index Scan"), ("SCAN CONSTANT", "Result"), ("SCAN", "Seq Scan"), ("USE TEMP B-TREE FOR ORDER", "Sort"),
    ("USE TEMP B-TREE", "Aggregate"), ("COMPOUND", "Append"), ("UNION", "Append"), ("MERGE", "Merge Append"),
    ("RECURSIVE", "Recursive Union"), ("CO-ROUTINE", "Subquery Scan"), ("MATERIALIZE", "CTE Scan"),
)  # fmt: skip
"""PostgreSQL's names for SQLite's steps, for programs that read the plan; the first that fits."""
_THREAD: Final = "worker thread"
_COMMANDS: Final = {"INSERT 0": "Insert", "UPDATE": "Update", "DELETE": "Delete"}


@dataclass(slots=True)
class Step:
    """One step of SQLite's plan, with those below it."""

    detail: str
    tables: dict[str, str]
    """The tables of the whole plan by their aliases; those without one are not in it."""
    below: list[Step] = field(default_factory=list)

    def record(self) -> dict[str, Any]:
        """As the structured formats show it."""
        found = _SCAN.match(self.detail)
        kind = next((name for word, name in _KINDS if self.detail.startswith(word)), "Result")
        shown: dict[str, Any] = {"Node Type": kind, "Parallel Aware": False, "Async Capable": False}
        if found is not None and kind in ("Index Scan", "Seq Scan"):
            table = self.tables.get(found["name"], found["name"])
            shown |= {"Relation Name": table.removeprefix("pg_catalog."), "Alias": found["name"]}
            if found["index"]:
                shown["Index Name"] = found["index"]
        shown["Detail"] = self.detail
        if self.below:
            shown["Plans"] = [{**step.record(), "Parent Relationship": "Outer"} for step in self.below]
        return shown

    def lines(self, depth: int = 0) -> list[str]:
        """As text, a line a step."""
        own = f"{'  ' * depth}->  {self.detail}" if depth else self.detail
        return [own, *(line for step in self.below for line in step.lines(depth + 1))]


@dataclass(slots=True)
class Measured:
    """What running it took."""

    rows: int
    planning_ms: float
    execution_ms: float

    def actual(self) -> str:
        """As text shows it behind the first step."""
        return f" (actual time={self.execution_ms:.3f}..{self.execution_ms:.3f} rows={self.rows} loops=1)"


def explain(session: Session, action: actions.Explain, portal: Portal, _rows_max: int) -> bool:
    """EXPLAIN [ANALYZE]. A statement that is analyzed is run, and its rows are counted and thrown away."""
    started = time.perf_counter()
    if isinstance(action.plan.action, actions.Execute):
        plan, portal.binds = prepared.named(session, action.plan.action)
        session.check_rights(plan)
        action = replace(action, plan=plan)
    own = session.transaction.connection if session.transaction is not None else None
    steps = _steps(own or session.private or session.shown(), action.plan)
    planning_ms = (time.perf_counter() - started) * 1000
    if not action.analyze:
        return _answer(session, action, portal, steps, None)

    def answer(measured: Measured) -> bool:
        return _answer(session, action, portal, steps, measured)

    return _analyze(session, action, portal, answer, planning_ms)


def explain_inside(host: RoutineHost, explained: Plan, values: Sequence[Any]) -> Outcome:
    """EXPLAIN [ANALYZE] in a function, on the thread that runs it.

    Raises:
        HeliosError: what the statement raises when it is analyzed; 0A000 for EXECUTE, and in a function that is not
            volatile.
    """
    if host.volatility != "v":
        raise SqlError("EXPLAIN is not allowed in a non-volatile function", sqlstate="0A000")
    action = explained.action
    assert isinstance(action, actions.Explain)
    plan = action.plan
    if isinstance(plan.action, actions.Execute):
        raise FeatureNotSupported("EXPLAIN EXECUTE inside a function is not supported")
    steps = _steps(host.connection, plan)
    measured = None
    if action.analyze:
        started = time.perf_counter()
        done = host.run(Inner(plan, ()), values)
        measured = Measured(len(done.rows), 0.0, (time.perf_counter() - started) * 1000)
    rows = _rows(action, steps, measured, _THREAD)
    return Outcome(rows, explained.columns, len(rows), "EXPLAIN")


def _steps(reader: Any, plan: Plan) -> list[Step]:
    if plan.kind not in (Kind.READ, Kind.WRITE) or not plan.steps:
        return []
    tables = {alias: table for table, alias in _ALIAS.findall(plan.steps[0])}
    roots: list[Step] = []
    found: dict[Any, Step] = {}
    # SQLite compiles an EXPLAIN with the schema that the connection read last; any other statement looks at it first.
    reader.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchall()
    for number, parent, _unused, detail in reader.execute(
        f"EXPLAIN QUERY PLAN {plan.steps[0]}", [None] * bind_count(plan), can_cache=False
    ).fetchall():
        step = found[number] = Step(without_prefixes(str(detail)), tables)
        (found[parent].below if parent in found else roots).append(step)
    return roots


class _Counted(Portal):
    """Runs a statement and sends nothing of it."""

    __slots__ = ("count",)

    def __init__(self, session: Session, plan: Plan, portal: Portal) -> None:
        super().__init__(session, "", plan, portal.binds, (0,) * len(plan.columns or ()), False)
        self.completes = False
        self.count = 0
        self.encode = self._take

    def _take(self, rows: Any) -> bytes:
        self.count += len(rows)
        return b""

    def send_result(self, rows: list[Any] | None, changes: int) -> None:
        """The whole answer of a write."""
        self.done = True
        self.count = len(rows) if rows is not None else 0


def _analyze(
    session: Session,
    action: actions.Explain,
    portal: Portal,
    answer: Callable[[Measured], bool],
    planning_ms: float,
) -> bool:
    from helios_cli.engine.node import utility

    inner = _Counted(session, action.plan, portal)
    started = time.perf_counter()

    def finished() -> None:
        execution_ms = (time.perf_counter() - started) * 1000
        answer(Measured(inner.count, planning_ms, execution_ms))

    session.after_statement = finished
    runner = session.runner
    try:
        over = runner.read(inner, 0) if action.plan.kind is Kind.READ else utility.run_write(session, inner)
    except BaseException:
        session.after_statement = None
        raise
    if over:
        session.run_after_statement()
    return over


def _answer(
    session: Session, action: actions.Explain, portal: Portal, steps: list[Step], measured: Measured | None
) -> bool:
    rows = _rows(action, steps, measured, _where(session, action.plan))
    portal.send_description()
    session.out.append(portal.encoder()(rows))
    session.out.append(backend.command_complete("EXPLAIN"))
    portal.done = True
    return True


def _rows(action: actions.Explain, steps: list[Step], measured: Measured | None, where: str) -> list[tuple[str]]:
    structured = {"json": _json, "yaml": _yaml, "xml": _xml}.get(action.format)
    if structured is not None:
        return [(structured(_document(action, steps, measured, where)),)]
    return [(line,) for line in _text(action, steps, measured, where)]


def _text(action: actions.Explain, steps: list[Step], measured: Measured | None, where: str) -> list[str]:
    lines = [line for step in steps for line in step.lines()] or [action.plan.tag]
    if measured is not None:
        lines[0] += measured.actual() if action.timing else f" (actual rows={measured.rows} loops=1)"
    lines.append(f"Runs on: {where}")
    if measured is not None and action.summary:
        lines += [f"Planning Time: {measured.planning_ms:.3f} ms", f"Execution Time: {measured.execution_ms:.3f} ms"]
    return lines


def _where(session: Session, plan: Plan) -> str:
    return "event loop" if session.private is None and session.engine.is_inline(plan, session.ring) else _THREAD


def _document(action: actions.Explain, steps: list[Step], measured: Measured | None, where: str) -> dict[str, Any]:
    records = [step.record() for step in steps] or [{"Node Type": "Result"}]
    top: dict[str, Any] = records[0] if len(records) == 1 else {"Node Type": "Nested Loop", "Plans": records}
    command = _COMMANDS.get(action.plan.tag)
    if command is not None:
        top = {"Node Type": "ModifyTable", "Operation": command, "Plans": [top]}
    if measured is not None:
        top["Actual Rows"], top["Actual Loops"] = measured.rows, 1
        if action.timing:
            top["Actual Startup Time"] = top["Actual Total Time"] = round(measured.execution_ms, 3)
    document: dict[str, Any] = {"Plan": top, "Runs On": where}
    if measured is not None and action.summary:
        document["Planning Time"] = round(measured.planning_ms, 3)
        document["Triggers"] = []
        document["Execution Time"] = round(measured.execution_ms, 3)
    return document


def _json(document: dict[str, Any]) -> str:
    return json.dumps([document], indent=2)


def _yaml(document: dict[str, Any]) -> str:
    return "- " + "\n  ".join(_yaml_lines(document))


def _yaml_lines(value: dict[str, Any]) -> list[str]:
    lines: list[str] = []
    for key, item in value.items():
        if isinstance(item, dict):
            lines += [f"{key}:", *(f"  {line}" for line in _yaml_lines(item))]
        elif isinstance(item, list):
            lines.append(f"{key}:")
            for part in item:
                first, *rest = _yaml_lines(part)
                lines += [f"  - {first}", *(f"    {line}" for line in rest)]
        else:
            lines.append(f"{key}: {json.dumps(item)}")
    return lines


def _xml(document: dict[str, Any]) -> str:
    lines = ['<explain xmlns="http://www.postgresql.org/2009/explain">', "  <Query>"]
    lines += [f"    {line}" for line in _xml_lines(document)]
    return "\n".join([*lines, "  </Query>", "</explain>"])


def _xml_lines(value: dict[str, Any]) -> list[str]:
    lines: list[str] = []
    for key, item in value.items():
        name = key.replace(" ", "-")
        if isinstance(item, dict):
            lines += [f"<{name}>", *(f"  {line}" for line in _xml_lines(item)), f"</{name}>"]
        elif isinstance(item, list):
            lines.append(f"<{name}>")
            for part in item:
                lines += [
                    f"  <{name.removesuffix('s')}>",
                    *(f"    {line}" for line in _xml_lines(part)),
                    f"  </{name.removesuffix('s')}>",
                ]
            lines.append(f"</{name}>")
        else:
            shown = json.dumps(item) if isinstance(item, bool) else str(item)
            lines.append(f"<{name}>{escape(shown)}</{name}>")
    return lines
