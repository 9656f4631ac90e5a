"""Statements over system tables as another database than the first has to run them."""

from __future__ import annotations

import pytest

from helios_cli.engine.sql.database_copies import copied
from helios_cli.engine.sql.databases import (
    DatabaseFacts,
    FileObject,
    is_of_another,
    own_name,
    own_text,
    prefix_of,
    reached,
    without_prefixes,
)
from helios_cli.engine.sql.ddl_schema import DATABASE_OID


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT 1 FROM main.helios_relation", 'SELECT 1 FROM main."@7.helios_relation"'),
        ("CREATE INDEX main.helios_a ON helios_b(c)", 'CREATE INDEX main."@7.helios_a" ON "@7.helios_b"(c)'),
        ("SELECT 1 FROM main.helios_role r", "SELECT 1 FROM main.helios_role r"),
        ('SELECT 1 FROM main."helios_meta"', 'SELECT 1 FROM main."helios_meta"'),
        ("SELECT 1 FROM temp.helios_relation", "SELECT 1 FROM temp.helios_relation"),
        ("CREATE INDEX temp.helios_a ON helios_b(c)", "CREATE INDEX temp.helios_a ON helios_b(c)"),
        ("SELECT 'main.helios_relation', 'it''s main.helios_index'",) * 2,
        ('SELECT "main.helios_relation" FROM "t"',) * 2,
        ("INSERT INTO main.helios_write VALUES ('x', (SELECT oid FROM main.helios_sequence))",
         "INSERT INTO main.helios_write VALUES ('x', (SELECT oid FROM main.\"@7.helios_sequence\"))"),
    ],
)  # fmt: skip
def test_only_names_of_own_system_tables_are_others(sql: str, expected: str) -> None:
    assert own_text(7, sql) == expected


def test_the_first_database_is_meant_by_quoted_names() -> None:
    assert own_text(DATABASE_OID, "TABLE main.helios_relation") == 'TABLE main."helios_relation"'
    assert own_name(DATABASE_OID, "helios_type") == "helios_type"
    assert (own_name(7, "helios_type"), own_name(7, "helios_role")) == ("@7.helios_type", "helios_role")


def test_names_of_other_databases_are_told_apart() -> None:
    assert is_of_another(prefix_of(16390) + "t")
    assert not any(map(is_of_another, ("t", "@t", "@7", '"@7".t', "a@7.t", prefix_of(DATABASE_OID) + "t")))
    assert without_prefixes("SCAN @7.t USING INDEX @7.t_pkey") == "SCAN t USING INDEX t_pkey"
    assert without_prefixes("SCAN mail@7.t") == "SCAN mail@7.t"


def test_names_that_stand_for_the_first_database() -> None:
    first, made = DatabaseFacts(DATABASE_OID, "heliosdb"), DatabaseFacts(7, "app")
    databases = {one.name: one for one in (first, made)}
    assert [reached(databases, name, "ann") for name in ("heliosdb", "postgres", "template1", "ann", "")] == [first] * 5
    assert reached(databases, "app", "ann") is reached(databases, "", "app") is made
    assert reached(databases, "template0", "ann") is reached(databases, "nope", "ann") is None


def test_a_copy_has_other_names_and_the_same_texts() -> None:
    objects = (
        FileObject("index", "@7.i", 'CREATE INDEX "@7.i" ON "@7.t" ("a")'),
        FileObject("table", "@7.t", """CREATE TABLE "@7.t" ("a" TEXT DEFAULT '"@7.t"', "b" AS (1))""", ("a",)),
    )
    steps = list(copied(objects, 7, 8))
    assert steps[:3] == [
        """CREATE TABLE "@8.t" ("a" TEXT DEFAULT '"@7.t"', "b" AS (1))""",
        'INSERT INTO main."@8.t"("a") SELECT "a" FROM main."@7.t"',
        'CREATE INDEX "@8.i" ON "@8.t" ("a")',
    ]
