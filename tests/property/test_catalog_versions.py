"""The catalog's relations follow any sequence of changes of the schema: they show what one made from nothing shows.

Two connections share their versions: one changes the schema, in transactions that are committed or rolled back, and
has temporary tables; the other sees what is committed. After every step both are compared with a catalog that was
read by a connection that knows nothing of the steps before.
"""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import apsw
import pytest

from helios_cli.engine.errors import HeliosError
from helios_cli.engine.node.setup import ConnectionSetup
from helios_cli.engine.node.steps import run_steps
from helios_cli.engine.sql.ddl import SYSTEM_SCHEMA
from helios_cli.engine.sql.functions import REGISTRY
from helios_cli.engine.sql.plan_cache import PlanCache
from helios_cli.engine.sql.planner import Planner
from helios_cli.engine.storage import catalog_tables, information_rows, system_rows
from helios_cli.engine.storage.catalog import SqliteCatalog
from helios_cli.engine.storage.catalog_versions import Version, maker_of
from helios_cli.engine.storage.connection import create_database, open_connection
from helios_cli.engine.storage.relation_rows import RelationRows
from helios_cli.engine.storage.snapshot_reader import read_snapshot
from helios_cli.engine.storage.system_copy import SystemCopy, is_copied, version_of
from helios_cli.engine.storage.system_relations import SYSTEM_RELATIONS

STEPS = 120
RELATIONS = [
    relation
    for (schema, name), relation in sorted(SYSTEM_RELATIONS.items())
    if name in (system_rows.MAKERS if schema == "pg_catalog" else information_rows.MAKERS)
]

STATEMENTS = """
CREATE TABLE {t} (id serial PRIMARY KEY, a int CHECK (a > 0), b varchar(20) NOT NULL DEFAULT 'x', c numeric(10,2)[])
CREATE TABLE {t} (id int GENERATED ALWAYS AS IDENTITY, p int, d date DEFAULT now(), UNIQUE (p, d))
CREATE TABLE {s}.{t} (id bigint PRIMARY KEY, e {y}, g int GENERATED ALWAYS AS (id + 1) STORED)
CREATE TEMP TABLE {t} (id serial PRIMARY KEY, a text DEFAULT 'temporary')
CREATE TEMP TABLE {t} (a int CHECK (a < 5), b text)
DROP TABLE {t} CASCADE
DROP TABLE {s}.{t}
ALTER TABLE {t} ADD COLUMN {c} int REFERENCES {t2} (id)
ALTER TABLE {t} ADD COLUMN {c} text DEFAULT 'new'
ALTER TABLE {t} DROP COLUMN {c} CASCADE
ALTER TABLE {t} RENAME COLUMN {c} TO {c2}
ALTER TABLE {t} RENAME TO {t2}
ALTER TABLE {t} SET SCHEMA {s}
ALTER TABLE {s}.{t} SET SCHEMA public
ALTER TABLE {t} ADD CONSTRAINT {k} CHECK (a <> 7)
ALTER TABLE {t} ADD CONSTRAINT {k} FOREIGN KEY (a) REFERENCES {t2} (id) ON DELETE SET NULL
ALTER TABLE {t} ADD CONSTRAINT {k} UNIQUE (a)
ALTER TABLE {t} DROP CONSTRAINT {k}
ALTER TABLE {t} RENAME CONSTRAINT {k} TO {k}_renamed
ALTER TABLE {t} ALTER COLUMN a SET NOT NULL
ALTER TABLE {t} ALTER COLUMN a DROP NOT NULL
ALTER TABLE {t} ALTER COLUMN a SET DEFAULT 3
ALTER TABLE {t} ALTER COLUMN b DROP DEFAULT
ALTER TABLE {t} ALTER COLUMN a TYPE bigint
ALTER TABLE {t} OWNER TO {r}
CREATE INDEX {i} ON {t} (a, lower(b)) WHERE a > 3
CREATE UNIQUE INDEX {i} ON {t} (b DESC)
DROP INDEX {i}
ALTER INDEX {i} RENAME TO {i2}
ALTER INDEX t{n1}_pkey RENAME TO {i2}
CREATE VIEW {v} AS SELECT id, a FROM {t} WHERE a > 1
CREATE OR REPLACE VIEW {v} AS SELECT id FROM {t}
CREATE MATERIALIZED VIEW {v} AS SELECT id FROM {t}
DROP VIEW {v}
DROP MATERIALIZED VIEW {v}
CREATE SEQUENCE {q} INCREMENT 3 OWNED BY {t}.a
CREATE SEQUENCE {q}
ALTER SEQUENCE {q} INCREMENT 5 MAXVALUE 700
ALTER SEQUENCE {q} OWNED BY NONE
DROP SEQUENCE {q}
CREATE SCHEMA {s}
DROP SCHEMA {s} CASCADE
ALTER SCHEMA {s} OWNER TO {r}
COMMENT ON TABLE {t} IS 'said of {t} {n}'
COMMENT ON COLUMN {t}.a IS 'said of a {n}'
COMMENT ON SCHEMA {s} IS 'said of {s} {n}'
COMMENT ON TABLE {t} IS NULL
CREATE TYPE {y} AS ENUM ('one', 'two')
ALTER TYPE {y} ADD VALUE 'n{n}'
CREATE TYPE {y} AS (x int, y text)
CREATE DOMAIN {y} AS int CHECK (VALUE > {n}) DEFAULT 9
ALTER DOMAIN {y} SET NOT NULL
ALTER DOMAIN {y} DROP DEFAULT
ALTER TYPE {y} RENAME TO {y2}
DROP TYPE {y} CASCADE
DROP DOMAIN {y} CASCADE
CREATE ROLE {r}
CREATE ROLE {r} LOGIN CONNECTION LIMIT {n}
ALTER ROLE {r} CREATEDB
ALTER ROLE {r} RENAME TO {r2}
DROP ROLE {r}
GRANT {r} TO {r2}
REVOKE {r} FROM {r2}
GRANT SELECT, UPDATE ON {t} TO {r} WITH GRANT OPTION
GRANT UPDATE (a) ON {t} TO {r}
REVOKE ALL ON {t} FROM {r} CASCADE
GRANT USAGE ON SCHEMA {s} TO {r}
GRANT CONNECT ON DATABASE heliosdb TO {r}
ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO {r}
CREATE FUNCTION {f}(a int, b text DEFAULT 'z') RETURNS int LANGUAGE sql AS 'SELECT {n}'
CREATE OR REPLACE FUNCTION {f}() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'
DROP FUNCTION {f}
CREATE TRIGGER {g} BEFORE INSERT ON {t} FOR EACH ROW EXECUTE FUNCTION {f}()
DROP TRIGGER {g} ON {t}
CREATE EXTENSION IF NOT EXISTS citext
DROP EXTENSION citext CASCADE
CREATE COLLATION {l} (provider = icu, locale = 'de-DE')
DROP COLLATION {l}
BEGIN
BEGIN
BEGIN
COMMIT
COMMIT
ROLLBACK
ROLLBACK
SAVEPOINT here
ROLLBACK TO here
""".strip().splitlines()


class Pair:
    """The connection that changes the schema, and one that looks."""

    def __init__(self, path: str) -> None:
        self.path = path
        create_database(path)
        setup = ConnectionSetup()
        self.writer = open_connection(path, setup)
        self.writer.execute("BEGIN")
        for statement in SYSTEM_SCHEMA:
            self.writer.execute(statement)
        self.writer.execute("COMMIT")
        self.reader = open_connection(path, setup)
        self.catalog = SqliteCatalog(self.writer)
        self.plans = PlanCache(Planner(REGISTRY))
        self.done = 0
        self.definitions = setup.catalog_versions.definitions
        self.copy: SystemCopy | None = None
        self.followed = 0
        """How often the copy for planners was brought to a new version."""

    def compare_system_copy(self, after: str) -> None:
        """The copy of the system tables that planners read has the rows that the tables have."""
        if self.writer.in_transaction:
            return
        before = self.copy.version if self.copy is not None else 0
        self.copy = self.definitions.planner_copy(self.copy, version_of(self.writer))
        if self.copy is None or self.copy.version == before:
            return
        self.followed += before != 0
        names = "SELECT name FROM main.sqlite_schema WHERE name LIKE 'helios%' AND type = 'table'"
        for (name,) in self.writer.execute(names).fetchall():
            if is_copied(str(name)):
                query = f'SELECT * FROM main."{name}"'
                kept, there = (Counter(found.execute(query)) for found in (self.copy.connection, self.writer))
                assert kept == there, f"{name} after {after}"

    def run(self, sql: str) -> None:
        """A statement; one that fails changes nothing."""
        word = sql.split()[0]
        if word in ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT"):
            if (word == "BEGIN") == self.writer.in_transaction or (" TO" in sql and self.done == 0):
                return
            try:
                self.writer.execute(sql)
            except apsw.SQLError as error:
                assert "no such savepoint" in str(error)
            return
        self.catalog.refresh()
        self.writer.execute("SAVEPOINT statement")
        try:
            for plan, _literals in self.plans.get(sql, self.catalog):
                run_steps(self.writer, plan, ())
            self.done += 1
        except (HeliosError, apsw.Error):
            self.writer.execute("ROLLBACK TO statement")
        self.writer.execute("RELEASE statement")


def made_from_nothing(connection: apsw.Connection) -> dict[str, RelationRows]:
    version = Version(read_snapshot(SqliteCatalog(connection)))
    found = {}
    for relation in RELATIONS:
        maker = maker_of(relation)
        assert maker is not None
        found[relation.module] = version.rows(relation, maker)
    return found


def compare(connection: apsw.Connection, after: str) -> None:
    """What the connection knows is what one would that knew nothing."""
    system = catalog_tables.system_of(connection)
    system.version()
    expected = made_from_nothing(connection)
    for relation in RELATIONS:
        known = system.kept_rows(relation).parts
        assert known == expected[relation.module].parts, f"{relation.module} after {after}"


def compare_copies(connection: apsw.Connection, after: str) -> None:
    """And so do its tables in memory show."""
    text = "; ".join(f'SELECT * FROM "{relation.module}"' for relation in RELATIONS)
    queries = catalog_tables.ready(connection, text).split("; ")
    for query, (name, state) in zip(queries, made_from_nothing(connection).items(), strict=True):
        found = connection.execute(query).fetchall()
        assert Counter(map(plain, found)) == Counter(map(plain, state.rows)), f"{name} after {after}"


def plain(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """A row without the difference that a column's affinity makes."""
    return tuple([float(value) if isinstance(value, int) else value for value in row])


@pytest.mark.parametrize("seed", range(2))
def test_relations_follow_the_schema(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    pair = Pair(str(tmp_path / "db"))
    for number in range(4):
        pair.run(f"CREATE TABLE t{number} (id serial PRIMARY KEY, a int, b text, p int REFERENCES t0 (id))")
        pair.run(f"CREATE INDEX i{number} ON t{number} (a)")
    for number in range(STEPS):
        names = {key: f"{key}{chance.randrange(4)}" for key in "tscikvqyrfgl"}
        names |= {f"{key}2": f"{key}{chance.randrange(4)}" for key in "tcyri"}
        names["n1"] = str(chance.randrange(4))
        names["c"], names["c2"] = chance.choice("abcde"), chance.choice("abcdef")
        statement = chance.choice(STATEMENTS).format(n=number, **names)
        pair.run(statement)
        compare(pair.writer, statement)
        pair.compare_system_copy(statement)
        if number % 5 == 0:
            compare(pair.reader, statement)
        if number % 30 == 0:
            compare_copies(pair.writer, statement)
    assert pair.done > STEPS / 8
    assert pair.followed > pair.done / 8
    for connection in (pair.writer, pair.reader):
        compare_copies(connection, "the end")
        connection.close()
