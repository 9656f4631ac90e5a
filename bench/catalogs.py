"""``python -m bench.catalogs``: what queries over the catalogs cost, as they come and after a change of the schema.

The queries are those that psql, pg_dump, SQLAlchemy, JDBC, pgcli and Django send, and such as ORMs and administration
tools do (the tests' ``catalog_queries``), over so many tables with keys, indexes, checks, comments and views. Each is
asked first behind the start of a node, again, after a COMMENT and after a CREATE TABLE on another connection. A time is
what the node spends until it has the rows: planning, bringing the catalog to its version, and SQLite; in time of the
thread's processor, so that other programs on the machine hardly matter.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import apsw
from rich.console import Console
from rich.table import Table

from helios_cli.engine.net import interpreter
from helios_cli.engine.node import catalog_warmup
from helios_cli.engine.node.setup import ConnectionSetup
from helios_cli.engine.node.steps import run_steps
from helios_cli.engine.sql.ddl import SYSTEM_SCHEMA
from helios_cli.engine.sql.functions import REGISTRY
from helios_cli.engine.sql.plan_cache import PlanCache
from helios_cli.engine.sql.planner import Planner, bind
from helios_cli.engine.storage import catalog_tables
from helios_cli.engine.storage.catalog import SqliteCatalog
from helios_cli.engine.storage.connection import create_database, open_connection

QUERIES: Final = Path(__file__).resolve().parent.parent / "tests" / "adapters" / "catalog_queries"
LIMIT_MS: Final = 50.0
_SESSION: Final = {
    "search_path": '["public"]', "current_user": "helios", "session_user": "helios", "current_database": "heliosdb",
    "current_schema": "public", "timezone": "UTC",
}  # fmt: skip
_SCHEMAS: Final = ("public", "app", "audit")


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m bench.catalogs", description=__doc__)
    made.add_argument("--tables", type=int, default=500, metavar="N", help="tables of the schema [500]")
    made.add_argument("--tries", type=int, default=3, metavar="N", help="how often each is asked; the least counts [3]")
    made.add_argument("--only", metavar="NAME", default="", help="only the queries whose name holds NAME")
    return made


class Catalogs:
    """A database with two connections: one changes the schema, the other asks."""

    def __init__(self, directory: str, tables: int) -> None:
        path = f"{directory}/db"
        create_database(path)
        setup = ConnectionSetup()
        self.writer = open_connection(path, setup)
        self.reader = open_connection(path, setup)
        self.catalog = SqliteCatalog(self.writer)
        self.plans = PlanCache(Planner(REGISTRY))
        self._changes = 0
        self.writer.execute("BEGIN")
        for statement in SYSTEM_SCHEMA:
            self.writer.execute(statement)
        self.writer.execute("COMMIT")
        for schema in _SCHEMAS[1:]:
            self.run(f"CREATE SCHEMA {schema}")
        for number in range(tables):
            self._table(number)
        oids = self.writer.execute("SELECT oid FROM helios_relation WHERE relkind = 'r'").fetchall()
        self.oids = "{" + ",".join(str(oid) for (oid,) in oids) + "}"

    def borrow(self) -> apsw.Connection:
        """The connection that asks, for what a node does when it has started."""
        return self.reader

    def pin(self, connection: apsw.Connection) -> int:
        """Open a snapshot."""
        connection.execute("BEGIN")
        return 1

    def give_back(self, connection: apsw.Connection) -> None:
        """Nothing: there is one connection."""

    def _table(self, number: int) -> None:
        name, before = (f"{_SCHEMAS[at % 3]}.t{at}" for at in (number, max(number - 3, number % 3)))
        self.run(
            f"CREATE TABLE {name} (id serial PRIMARY KEY, parent int REFERENCES {before}(id), "
            "name varchar(40) NOT NULL DEFAULT 'x', amount numeric(10,2) DEFAULT 0 CHECK (amount >= 0), "
            "created timestamptz NOT NULL DEFAULT now(), flags text[], data jsonb)"
        )
        self.run(f"CREATE INDEX t{number}_name ON {name} (name, lower(name)) WHERE amount > 10")
        self.run(f"COMMENT ON TABLE {name} IS 'table {number}'")
        if number % 10 == 0:
            self.run(f"CREATE VIEW {_SCHEMAS[number % 3]}.v{number} AS SELECT id, name FROM {name} WHERE amount > 5")

    def run(self, sql: str) -> None:
        """A change of the schema, as the node makes it."""
        self.catalog.refresh()
        plan = self.plans.get(sql, self.catalog)[-1][0]
        self.writer.execute("BEGIN")
        run_steps(self.writer, plan, ())
        self.writer.execute("COMMIT")
        self.catalog.refresh()

    def comment(self) -> None:
        """Change the comment of a table."""
        self._changes += 1
        self.run(f"COMMENT ON TABLE app.t1 IS 'changed {self._changes}'")

    def create(self) -> None:
        """Add a table."""
        self._changes += 1
        self.run(f"CREATE TABLE app.more{self._changes} (id serial PRIMARY KEY, t1 int REFERENCES app.t1(id))")

    def ask(self, sql: str) -> float:
        """Milliseconds of a query."""
        start = time.thread_time()
        plan, literals = self.plans.get(sql.replace("{tables}", self.oids), self.catalog)[-1]
        values: list[Any] = list(bind(plan, (), literals, [_SESSION.get(name, -1) for name in plan.session_values]))
        self.reader.execute("BEGIN")
        with catalog_tables.held(self.reader):
            self.reader.execute(catalog_tables.ready(self.reader, plan.steps[-1]), values).fetchall()
        self.reader.execute("COMMIT")
        return (time.thread_time() - start) * 1e3

    def cost(self, sql: str, tries: int, change: Callable[[], None] | None) -> float:
        """The least of several times of a query, each after a change."""
        times = []
        for _ in range(tries):
            if change is not None:
                change()
            times.append(self.ask(sql))
        return min(times)

    def close(self) -> None:
        self.writer.close()
        self.reader.close()


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    names = ("first", "again", "after COMMENT", "after CREATE TABLE")
    table = Table("query", *names)
    for column in table.columns[1:]:
        column.justify = "right"
    costs: list[list[float]] = []
    with tempfile.TemporaryDirectory() as directory:
        catalogs = Catalogs(directory, options.tables)
        catalog_warmup.read_catalog(catalogs)
        interpreter.tune()
        for path in sorted(QUERIES.glob("*.sql")):
            if options.only not in path.stem:
                continue
            sql = path.read_text()
            first = catalogs.ask(sql)
            changed = [
                catalogs.cost(sql, options.tries, change) for change in (None, catalogs.comment, catalogs.create)
            ]
            costs.append([first, *changed])
            table.add_row(path.stem, *(f"{value:.1f}" for value in costs[-1]))
        catalogs.close()
    if costs:
        columns = list(zip(*costs, strict=True))
        table.add_section()
        table.add_row("median ms", *(f"{statistics.median(column):.1f}" for column in columns))
        table.add_row(
            f"over {LIMIT_MS:.0f} ms", *(str(sum(value > LIMIT_MS for value in column)) for column in columns)
        )
    Console(width=None if sys.stdout.isatty() else 120).print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
