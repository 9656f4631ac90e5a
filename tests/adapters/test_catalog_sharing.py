"""A change of the schema costs the catalog what it changed, and one connection of a node what it costs."""

from __future__ import annotations

import random
from pathlib import Path

import apsw
import pytest
from support.catalog_schema import Schema, read

from helios_cli.engine.node.setup import ConnectionSetup
from helios_cli.engine.sql.ddl import SYSTEM_SCHEMA
from helios_cli.engine.sql.ddl_schema import VERSIONS, new_version
from helios_cli.engine.storage import catalog_versions
from helios_cli.engine.storage.catalog import SqliteCatalog
from helios_cli.engine.storage.catalog_tables import system_of
from helios_cli.engine.storage.connection import create_database, open_connection
from helios_cli.engine.storage.definition_log import Touched
from helios_cli.engine.storage.snapshot_reader import read_snapshot
from helios_cli.engine.storage.system_copy import SystemCopy
from helios_cli.engine.storage.system_relations import SYSTEM_RELATIONS
from helios_cli.engine.storage.system_snapshot import Snapshot

CHANGES = {
    "COMMENT ON TABLE t3 IS 'another'": 1,
    "CREATE TABLE another (id serial PRIMARY KEY, a int REFERENCES t3 (id))": 7,
    "ALTER TABLE t3 ADD COLUMN a int": 1,
    "GRANT SELECT ON t3 TO PUBLIC": 1,
    "DROP TABLE t11": 5,
}
"""How many objects at most each adds to a relation, or changes in it."""
RELATIONS = ("pg_class", "pg_attribute", "pg_index", "pg_constraint", "pg_type", "pg_depend", "pg_indexes")


@pytest.mark.parametrize("change", CHANGES)
def test_only_rows_of_what_changed_are_made_anew(change: str) -> None:
    schema = Schema(12)
    schema.run("ALTER TABLE t11 DROP COLUMN parent")
    system = system_of(schema.connection)
    kept = [SYSTEM_RELATIONS["pg_catalog", name] for name in RELATIONS]
    system.version()
    before = {relation.name: system.kept_rows(relation).parts for relation in kept}
    schema.run(change)
    system.version()
    changed = 0
    for relation in kept:
        parts = system.kept_rows(relation).parts
        others = sum(before[relation.name].get(number) is not part for number, part in parts.items())
        assert others <= CHANGES[change] + 2, relation.name
        changed += others + sum(number not in parts for number in before[relation.name])
    assert changed or change.startswith("COMMENT")


QUERY = 'SELECT "relname" FROM "pg_catalog.pg_class" WHERE "oid" >= 16384 AND "relkind" = \'r\' ORDER BY "oid"'


class Shared:
    """A database that has a table, and the connections of a node to it."""

    def __init__(self, path: Path) -> None:
        self.path = str(path / "db")
        create_database(self.path)
        self.setup = ConnectionSetup()
        self.writer = self.connect()
        for statement in SYSTEM_SCHEMA:
            self.writer.execute(statement)
        self.add("shared", 16384)

    def connect(self) -> apsw.Connection:
        return open_connection(self.path, self.setup)

    def add(self, name: str, oid: int) -> None:
        self.writer.execute(
            "INSERT INTO helios_relation(oid, nspname, relname, relkind, relowner, sqlite_name) "
            "VALUES (?, 'public', ?, 'r', 10, ?)",
            (oid, name, name),
        )
        self.writer.execute(new_version(False, random.randrange(VERSIONS)))


def test_connections_share_what_one_has_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = Shared(tmp_path)
    times: list[int] = []
    real = read_snapshot

    def counted(catalog: SqliteCatalog, before: Snapshot | None, touched: Touched | None) -> Snapshot:
        times.append(catalog.version)
        return real(catalog, before, touched)

    monkeypatch.setattr(catalog_versions, "read_snapshot", counted)
    readers = [shared.connect() for _ in range(3)]
    for number in range(3):
        assert [read(reader, QUERY, []) for reader in readers] == [
            [("shared",), *((f"t{n}",) for n in range(number))]
        ] * 3
        shared.add(f"t{number}", 20_000 + number)
    assert len(times) == 3


def test_what_is_not_committed_is_seen_by_its_own_connection_alone(tmp_path: Path) -> None:
    shared = Shared(tmp_path)
    reader = shared.connect()
    for _ in range(2):
        shared.writer.execute("BEGIN")
        shared.add("own", 20_000)
        assert read(shared.writer, QUERY, []) == [("shared",), ("own",)]
        assert read(reader, QUERY, []) == [("shared",)]
        shared.writer.execute("ROLLBACK")
        assert read(shared.writer, QUERY, []) == read(reader, QUERY, []) == [("shared",)]


def test_an_older_snapshot_keeps_its_version(tmp_path: Path) -> None:
    shared = Shared(tmp_path)
    reader, older = shared.connect(), shared.connect()
    older.execute("BEGIN")
    assert read(older, QUERY, []) == [("shared",)]
    for number in range(catalog_versions.KEPT + 2):
        shared.add(f"t{number}", 20_000 + number)
        assert len(read(reader, QUERY, [])) == number + 2
        assert read(older, QUERY, []) == [("shared",)]
    older.execute("COMMIT")
    assert read(older, QUERY, []) == read(reader, QUERY, [])


def test_over_a_copy_tables_of_other_programs_are_found(tmp_path: Path) -> None:
    shared = Shared(tmp_path)
    shared.writer.execute("CREATE TABLE of_others (id INTEGER PRIMARY KEY, name VARCHAR(9))")
    copy = SystemCopy(shared.writer)
    catalog = SqliteCatalog(shared.writer).over(copy)
    found = catalog.relation(None, "of_others")
    assert found is not None
    assert [column.name for column in found.columns] == ["id", "name"]
    assert catalog.relation(None, "of_nobody") is None
    assert [catalog.sqlite_name_taken(name, False) for name in ("OF_others", "SHARED", "free")] == [True, True, False]
