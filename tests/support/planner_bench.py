"""A planner with a SQLite connection behind it: run a statement, get what a client would see as text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import apsw

from helios_cli.engine.datatypes import registry
from helios_cli.engine.errors import HeliosError
from helios_cli.engine.node.steps import run_steps
from helios_cli.engine.sql import runtime
from helios_cli.engine.sql.ddl import SYSTEM_SCHEMA
from helios_cli.engine.sql.functions import AGGREGATES, REGISTRY, SCALARS
from helios_cli.engine.sql.plan import Kind, Plan
from helios_cli.engine.sql.plan_cache import PlanCache
from helios_cli.engine.sql.planner import Planner, bind
from helios_cli.engine.sql.sqlite_errors import to_helios
from helios_cli.engine.storage import sequences, upserts, user_functions
from helios_cli.engine.storage.catalog import SqliteCatalog

SESSION: dict[str, Any] = {
    "now": 700_000_000_000_000,
    "statement_now": 700_000_000_000_000,
    "timezone": "UTC",
    "current_user": "postgres",
    "session_user": "postgres",
    "current_database": "heliosdb",
    "current_schema": "public",
    "search_path": "public",
    "pid": 1,
}


@dataclass(frozen=True)
class Answer:
    """What came back: columns as (name, type OID), rows as text, the command tag; or an error's SQLSTATE and text."""

    columns: tuple[tuple[str, int], ...] = ()
    rows: tuple[tuple[str | None, ...], ...] = ()
    tag: str = ""
    sqlstate: str = ""
    message: str = ""


class Bench:
    """One in-memory database with the node's functions, collations and catalog."""

    def __init__(self) -> None:
        self.connection: Any = apsw.Connection(":memory:")
        for scalars in (runtime.SCALARS, SCALARS):
            for name, (call, count, deterministic) in scalars.items():
                self.connection.create_scalar_function(name, call, count, deterministic=deterministic)
        for aggregates in (runtime.AGGREGATES, AGGREGATES):
            for name, (factory, count) in aggregates.items():
                if hasattr(factory(), "inverse"):
                    self.connection.create_window_function(name, factory, count)
                else:
                    self.connection.create_aggregate_function(name, factory, count)
        for name, compare in runtime.COLLATIONS.items():
            self.connection.create_collation(name, compare)
        for name in ("pg_regtype_out", "pg_regtype_send"):
            self.connection.create_scalar_function(name, _regtype_out, 2, deterministic=True)
        self.connection.create_scalar_function("cat_format_type", _format_type, 3)
        self.connection.create_scalar_function("pg_clock", _clock, 0)
        user_functions.register(self.connection)
        upserts.register(self.connection)
        upserts.register(self.connection)
        self.connection.execute("PRAGMA foreign_keys = ON")
        for statement in SYSTEM_SCHEMA:
            self.connection.execute(statement)
        self.catalog = SqliteCatalog(self.connection)
        sequences.register(self.connection, sequences.Sequences(), self.catalog)
        self.cache = PlanCache(Planner(REGISTRY))

    def close(self) -> None:
        """Close the database."""
        self.connection.close()

    def run(self, sql: str, *, lifted: bool = True) -> Answer:
        """Plan (through the cache, or with constants in place), bind and run a query string; the last answer counts."""
        try:
            if lifted:
                planned = [(plan, literals) for plan, literals in self.cache.get(sql, self.catalog)]
            else:
                planned = [(plan, ()) for plan in self.cache.planner.plan(sql, catalog=self.catalog)]
            answer = Answer()
            for plan, literals in planned:
                answer = self._execute(plan, literals)
            return answer
        except HeliosError as error:
            return Answer(sqlstate=error.sqlstate, message=error.message)
        except (apsw.ConstraintError, apsw.SQLError) as error:
            code = int(getattr(error, "extendedresult", 0))
            found = to_helios(str(error), code, self.catalog)
            return Answer(sqlstate=found.sqlstate, message=found.message)

    def _execute(self, plan: Plan, literals: Any) -> Answer:
        session = [None if name.startswith("saved.") else SESSION[name] for name in plan.session_values]
        values = bind(plan, (), literals, session)
        if plan.kind in (Kind.UTILITY, Kind.COPY, Kind.EMPTY):
            return Answer(tag=plan.tag)
        rows: list[Any] = []
        changes = 0
        with self.connection:
            if plan.program is not None:
                result = run_steps(self.connection, plan, values)
                rows, changes = result.rows or [], result.changes
            for position, step in enumerate(plan.steps if plan.program is None else ()):
                before = self.connection.total_changes()
                rows = self.connection.execute(step, values if position == len(plan.steps) - 1 else ()).fetchall()
                changes = self.connection.total_changes() - before
        if plan.kind is Kind.DDL:
            self.catalog.refresh()
        columns = tuple((column.name, column.type_oid) for column in plan.columns or ())
        texts = tuple(
            tuple(as_text(oid, value) for (_, oid), value in zip(columns, row, strict=True)) for row in rows if columns
        )
        count = len(texts) if columns else changes
        return Answer(columns, texts, f"{plan.tag} {count}" if plan.counts_rows else plan.tag)


def _format_type(*given: Any) -> str | None:
    oid, typmod, _ = given
    return None if oid is None else registry.format_type(oid, -1 if typmod is None else typmod)


def _clock(*_: Any) -> int:
    return 700_000_000_000_001


def _regtype_out(*oids: Any) -> str | None:
    return None if oids[0] is None else registry.format_type(int(oids[0]))


def as_text(oid: int, value: Any) -> str | None:
    """A value in PostgreSQL's text form."""
    if value is None:
        return value
    return registry.by_oid(oid).format_text(value).decode()
