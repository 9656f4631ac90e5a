"""A database in memory with the planner, the function library and the catalogs, and no node: for tests of SQL."""

from __future__ import annotations

from typing import Any

import apsw

from helios_cli.engine.datatypes import registry
from helios_cli.engine.sql import functions, runtime
from helios_cli.engine.sql.ddl import SYSTEM_SCHEMA
from helios_cli.engine.sql.plan import Kind, Plan
from helios_cli.engine.sql.planner import Planner
from helios_cli.engine.sql.sqlite_errors import to_helios
from helios_cli.engine.storage import system_catalog
from helios_cli.engine.storage.catalog import SqliteCatalog
from helios_cli.engine.storage.programs import parameter_counts
from helios_cli.engine.storage.sequences import Sequences

NOW_US = 845_000_000_000_000
"""2026-10-11 02:13:20 UTC in microseconds since 2000-01-01."""

SESSION: dict[str, Any] = {
    "now": NOW_US, "statement_now": NOW_US, "timezone": "UTC", "current_user": "helios",
    "session_user": "helios", "acting_role": "helios", "pid": 7,
    "current_database": "heliosdb", "current_schema": "public", "schemas": '["public"]',
    "search_path": '["public"]', "version": "PostgreSQL 15.0", "in_recovery": 0, "current_lsn": "0/1",
    "insert_lsn": "0/1", "flush_lsn": "0/1", "received_lsn": None, "replayed_lsn": None, "replayed_time": None,
    "settings": '{"work_mem": "4MB"}', "txid": 5, "client_addr": None,
    "temp_schema": 0,
}  # fmt: skip


def _never(*_arguments: Any) -> int:
    return 0


class LocalDatabase:
    """Runs PostgreSQL statements against SQLite in memory, each in a transaction of its own."""

    def __init__(self) -> None:
        self.connection = apsw.Connection(":memory:")
        self.connection.execute("PRAGMA foreign_keys=ON")
        self.connection.config(apsw.SQLITE_DBCONFIG_DQS_DML, 0)
        self.connection.config(apsw.SQLITE_DBCONFIG_DQS_DDL, 0)
        for library in (functions, runtime):
            for name, (scalar, count, deterministic) in library.SCALARS.items():
                self.connection.create_scalar_function(name, scalar, count, deterministic=deterministic)
            for name, (factory, count) in library.AGGREGATES.items():
                windowed = hasattr(factory(), "inverse")
                create = (
                    self.connection.create_window_function if windowed else self.connection.create_aggregate_function
                )
                create(name, factory, count)
            for name, compare in library.COLLATIONS.items():
                self.connection.create_collation(name, compare)
        # What only a running node answers; without one every role sees every row.
        self.connection.create_scalar_function("pg_row_security_state", _never, 1)
        self.sequences = Sequences()
        self.system = system_catalog.register(self.connection, sequences=self.sequences)
        for statement in SYSTEM_SCHEMA:
            self.connection.execute(statement)
        self.catalog = SqliteCatalog(self.connection)
        self.planner = Planner()
        self.notices: list[str] = []
        self.tag = ""

    def plan(self, sql: str) -> list[Plan]:
        """Plan a query string against the current schema."""
        self.catalog.refresh()
        return self.planner.plan(sql, catalog=self.catalog)

    def run(self, sql: str) -> list[tuple[str | None, ...]]:
        """Run every statement of a query string; the rows of the last as text. Raises HeliosError."""
        rows: list[tuple[str | None, ...]] = []
        for plan in self.plan(sql):
            while plan.catalog_version == -1:
                plan = self.plan(plan.source)[0]
            rows = self._transaction(plan)
        return rows

    def value(self, sql: str) -> str | None:
        """The first column of the first row."""
        return self.run(sql)[0][0]

    def _transaction(self, plan: Plan) -> list[tuple[str | None, ...]]:
        self.notices = list(plan.notices)
        self.tag = plan.tag
        if self.connection.in_transaction:
            return self._steps(plan)
        self.connection.execute("BEGIN")
        if plan.fk_off:
            self.connection.config(apsw.SQLITE_DBCONFIG_ENABLE_FKEY, 0)
        try:
            rows = self._steps(plan)
            if plan.fk_off:
                assert not self.connection.execute("PRAGMA foreign_key_check").fetchall()
            self.connection.execute("COMMIT")
            return rows
        except apsw.Error as error:
            self._roll_back()
            raise to_helios(str(error), getattr(error, "extendedresult", 0), self.catalog) from error
        except BaseException:
            self._roll_back()
            raise
        finally:
            self.connection.config(apsw.SQLITE_DBCONFIG_ENABLE_FKEY, 1)

    def _roll_back(self) -> None:
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")

    def _steps(self, plan: Plan) -> list[tuple[str | None, ...]]:
        binds = [SESSION[name] for name in plan.session_values]
        found: list[Any] = []
        for step, count in zip(plan.steps, parameter_counts(plan), strict=True):
            given = binds[:count] if plan.kind is Kind.DDL else binds
            found = self.connection.execute(step, given).fetchall()
        if plan.columns is None:
            return []
        types = [registry.find_oid(column.type_oid) or registry.by_oid(25) for column in plan.columns]
        return [
            tuple(
                None if value is None else kind.format_text(value).decode()
                for kind, value in zip(types, row, strict=True)
            )
            for row in found
        ]
