"""TRUNCATE beside foreign keys and sequences, answered as PostgreSQL 15 answers it."""

from __future__ import annotations

import pytest
from support.local_database import LocalDatabase

from helios_cli.engine.errors import SqlError

TABLES = (
    "create table parent(a int primary key)",
    "create table child(b serial, a int references parent)",
    "insert into parent values (1), (2)",
    "insert into child(a) values (1), (null)",
)


@pytest.fixture
def database() -> LocalDatabase:
    made = LocalDatabase()
    for statement in TABLES:
        made.run(statement)
    return made


def test_a_table_that_others_refer_to_is_refused(database: LocalDatabase) -> None:
    with pytest.raises(SqlError) as refused:
        database.run("truncate parent")
    assert refused.value.sqlstate == "0A000"
    assert refused.value.message == "cannot truncate a table referenced in a foreign key constraint"
    assert refused.value.detail == 'Table "child" references "parent".'
    assert database.value("select count(*) from child") == "2"


def test_cascade_empties_those_that_refer_to_it(database: LocalDatabase) -> None:
    database.run("truncate parent cascade")
    assert database.notices == ['truncate cascades to table "child"']
    assert database.value("select (select count(*) from child) + (select count(*) from parent)") == "0"


def test_both_in_one_statement_in_any_order(database: LocalDatabase) -> None:
    database.run("truncate parent, child")
    assert database.value("select (select count(*) from child) + (select count(*) from parent)") == "0"
