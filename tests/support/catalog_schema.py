"""A schema in memory, and queries over its catalog as a session reads them."""

from __future__ import annotations

from typing import Any

import apsw
from support.planner_bench import SESSION

from helios_cli.engine.node.setup import ConnectionSetup
from helios_cli.engine.sql.ddl import SYSTEM_SCHEMA
from helios_cli.engine.sql.functions import REGISTRY
from helios_cli.engine.sql.plan_cache import PlanCache
from helios_cli.engine.sql.planner import Planner, bind
from helios_cli.engine.storage import catalog_tables
from helios_cli.engine.storage.catalog import SqliteCatalog


class Schema:
    """A database of so many tables, each with keys, indexes, a check, a comment and a sequence."""

    def __init__(self, tables: int = 0) -> None:
        self.connection = apsw.Connection(":memory:")
        ConnectionSetup()(self.connection)
        self.connection.execute("PRAGMA foreign_keys = ON")
        for statement in SYSTEM_SCHEMA:
            self.connection.execute(statement)
        self.catalog = SqliteCatalog(self.connection)
        self.plans = PlanCache(Planner(REGISTRY))
        self.oids = ""
        """What stands for {tables} in a query: an array of the OIDs of all tables, as pg_dump sends it."""
        for number in range(tables):
            self.run(
                f"CREATE TABLE t{number} (id serial PRIMARY KEY, parent int REFERENCES t{max(number - 1, 0)}(id), "
                "name varchar(40) NOT NULL DEFAULT 'x', amount numeric(10,2) DEFAULT 0 CHECK (amount >= 0))"
            )
            self.run(f"CREATE INDEX t{number}_name ON t{number} (name, lower(name)) WHERE amount > 10")
            self.run(f"COMMENT ON TABLE t{number} IS 'table {number}'")
        oids = self.connection.execute("SELECT oid FROM helios_relation WHERE relkind = 'r'").fetchall()
        self.oids = "{" + ",".join(str(oid) for (oid,) in oids) + "}"

    def plan(self, sql: str) -> tuple[str, list[Any]]:
        """The SQLite text of a statement's last step, and its values."""
        plan, literals = self.plans.get(sql.replace("{tables}", self.oids), self.catalog)[-1]
        session = ['["public"]' if name == "search_path" else SESSION.get(name, -1) for name in plan.session_values]
        return plan.steps[-1], list(bind(plan, (), literals, session))

    def run(self, sql: str) -> None:
        """Run a statement that changes the schema."""
        plan, _literals = self.plans.get(sql, self.catalog)[-1]
        for step in plan.steps:
            self.connection.execute(step)
        self.catalog.refresh()

    def rows(self, sql: str) -> list[Any]:
        """The rows of a query over the catalog, as a session reads them."""
        text, values = self.plan(sql)
        return read(self.connection, text, values)


def read(connection: apsw.Connection, text: str, values: list[Any]) -> list[Any]:
    with catalog_tables.held(connection):
        return connection.execute(catalog_tables.ready(connection, text), values).fetchall()
