"""What DDL leaves in the SQLite file: types that hold, rebuilds that lose nothing, a catalog that keeps up."""

from __future__ import annotations

import re

import apsw
import pytest
from support.local_database import LocalDatabase

from helios_cli.engine.errors import HeliosError
from helios_cli.engine.node.setup import ConnectionSetup
from helios_cli.engine.sql.ddl_roles import SetRolePassword
from helios_cli.engine.sql.function_spec import Function
from helios_cli.engine.sql.functions import AGGREGATES, REGISTRY, SCALARS
from helios_cli.engine.sql.sqlite_errors import to_helios
from helios_cli.engine.storage.catalog import SqliteCatalog


@pytest.fixture
def database() -> LocalDatabase:
    return LocalDatabase()


def refused(database: LocalDatabase, sql: str) -> HeliosError:
    with pytest.raises(HeliosError) as caught:
        database.run(sql)
    return caught.value


@pytest.mark.parametrize(
    ("column", "value", "sqlstate", "message"),
    [
        ("i int", "3000000000", "22003", "integer out of range"),
        ("i smallint", "40000", "22003", "smallint out of range"),
        ("i int", "'word'", "22003", "integer out of range"),
        ("i int", "1.5", "22003", "integer out of range"),
        ("i bigint", "1e30", "22003", "bigint out of range"),
        ("i boolean", "2", "22P02", "invalid value for type boolean"),
        ("i varchar(3)", "'four'", "22001", "value too long for type character varying(3)"),
        ("i char(3)", "'four'", "22001", "value too long for type character(3)"),
        ("i text", "x'00'", "22P02", "invalid value for type text"),
        ("i bytea", "'text'", "22P02", "invalid value for type bytea"),
        ("i double precision", "'text'", "22P02", "invalid value for type double precision"),
        ("i timestamptz", "'text'", "22003", "value out of range"),
    ],
)
def test_types_hold_for_writers_that_are_not_the_planner(
    database: LocalDatabase, column: str, value: str, sqlstate: str, message: str
) -> None:
    database.run(f"create table t({column})")
    database.connection.execute("INSERT INTO t VALUES (NULL)")
    with pytest.raises(apsw.ConstraintError) as caught:
        database.connection.execute(f"INSERT INTO t VALUES ({value})")
    error = to_helios(str(caught.value), getattr(caught.value, "extendedresult", 0), database.catalog)
    assert (error.sqlstate, error.message) == (sqlstate, message)


def test_a_float_column_takes_nan_and_infinity(database: LocalDatabase) -> None:
    database.run("create table t(f float8)")
    database.run("insert into t values ('NaN'), ('Infinity'), (1)")
    assert database.run("select f from t order by f") == [("1",), ("Infinity",), ("NaN",)]


def test_constraint_errors_name_their_parts(database: LocalDatabase) -> None:
    database.run("create table t(a int primary key, b int not null, c int constraint low check (c < 5))")
    database.run("insert into t values (1, 1, 1)")
    duplicate = refused(database, "insert into t values (1, 1, 1)")
    assert (duplicate.sqlstate, duplicate.schema, duplicate.table, duplicate.constraint) == (
        "23505",
        "public",
        "t",
        "t_pkey",
    )
    missing = refused(database, "insert into t values (2, null, 1)")
    assert (missing.sqlstate, missing.table, missing.column) == ("23502", "t", "b")
    low = refused(database, "insert into t values (2, 1, 9)")
    assert (low.sqlstate, low.table, low.constraint) == ("23514", "t", "low")


def test_foreign_key_errors_are_named_when_the_table_is_known(database: LocalDatabase) -> None:
    database.run("create table p(a int primary key); create table c(a int references p)")
    child, parent = database.catalog.relation(None, "c"), database.catalog.relation(None, "p")
    assert child is not None and parent is not None
    own = to_helios("FOREIGN KEY constraint failed", 787, database.catalog, child.oid)
    assert own.message == 'insert or update on table "c" violates foreign key constraint "c_a_fkey"'
    other = to_helios("FOREIGN KEY constraint failed", 787, database.catalog, parent.oid)
    assert other.message == 'update or delete on table "p" violates foreign key constraint "c_a_fkey" on table "c"'


def test_a_rebuild_keeps_rows_children_views_and_indexes(database: LocalDatabase) -> None:
    database.run("create table p(a int primary key, b text); insert into p values (1, 'x'), (2, 'y')")
    database.run("create table c(a int references p on delete cascade); insert into c values (1), (2)")
    database.run("create index pb on p(b); create view v as select a from p where a > 1")
    database.run("alter table p alter column b type varchar(10)")
    assert database.run("select a, b from p order by a") == [("1", "x"), ("2", "y")]
    assert database.run("select a from c order by a") == [("1",), ("2",)]
    assert database.run("select a from v") == [("2",)]
    assert refused(database, "insert into p values (1, 'z')").constraint == "p_pkey"
    assert refused(database, "insert into c values (9)").sqlstate == "23503"
    database.run("delete from p where a = 1")
    assert database.run("select a from c") == [("2",)]
    assert database.connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_check_survives_rename_and_rebuild(database: LocalDatabase) -> None:
    database.run("create table t(a int, b varchar(9) check (b in ('x', 'y')), constraint pos check (a > 0))")
    database.run("alter table t rename column b to bb; alter table t rename constraint pos to positive")
    database.run("alter table t rename to u; alter table u alter column a type bigint")
    assert refused(database, "insert into u values (0, 'x')").constraint == "positive"
    assert refused(database, "insert into u values (1, 'z')").constraint == "t_b_check"
    database.run("insert into u values (1, 'x')")
    database.run("alter table u drop constraint positive")
    database.run("insert into u values (0, 'x')")


def test_a_default_that_changes_leaves_old_rows_alone(database: LocalDatabase) -> None:
    database.run("create table t(a int); insert into t values (1)")
    database.run("alter table t add column b int default 5")
    database.run("alter table t alter column b set default 7; insert into t(a) values (2)")
    database.run("alter table t alter column b drop default; insert into t(a) values (3)")
    assert database.run("select a, b from t order by a") == [("1", "5"), ("2", "7"), ("3", None)]


def test_numeric_keys_compare_by_value(database: LocalDatabase) -> None:
    database.run("create table t(n numeric primary key); insert into t values (1.0), (10), (9)")
    assert refused(database, "insert into t values (1.00)").constraint == "t_pkey"
    assert database.run("select n from t order by n") == [("1.0",), ("9",), ("10",)]


def test_names_that_differ_in_case_are_two_tables(database: LocalDatabase) -> None:
    database.run('create table t(a int); create table "T"(b int); insert into "T" values (7)')
    assert database.run("select * from t") == []
    assert database.run('select b from "T"') == [("7",)]


def test_reserved_names_are_refused(database: LocalDatabase) -> None:
    assert refused(database, "create table helios_x(a int)").sqlstate == "42939"
    assert refused(database, "create index sqlite_x on pg_class(oid)").sqlstate == "42501"
    assert refused(database, "create schema pg_mine").sqlstate == "42939"


def test_temporary_tables_leave_no_trace_in_the_database(database: LocalDatabase) -> None:
    before = database.connection.execute("SELECT count(*), total(oid) FROM main.helios_relation").fetchall()
    database.run("create table t(a int); insert into t values (1)")
    database.run("create temp table t(a serial primary key, b int check (b > 0)); insert into t(b) values (5)")
    assert database.run("select a, b from t") == [("1", "5")]
    database.run("drop table t")
    assert database.run("select a from t") == [("1",)]
    database.run("drop table t")
    assert database.connection.execute("SELECT count(*), total(oid) FROM main.helios_relation").fetchall() == before


def test_sequences_never_give_a_value_twice_after_a_rollback(database: LocalDatabase) -> None:
    database.run("create sequence s")
    assert database.value("select nextval('s')") == "1"
    database.connection.execute("BEGIN")
    oid = database.catalog.relation(None, "s")
    assert oid is not None
    given = [database.sequences.next_value(database.connection, oid.oid, 1) for _ in range(3)]
    database.connection.execute("ROLLBACK")
    assert given == [2, 3, 4]
    assert database.value("select nextval('s')") == "5"
    database.run("alter sequence s restart with 2")
    assert database.value("select nextval('s')") == "2"
    database.run("select setval('s', 1)")
    assert database.value("select nextval('s')") == "2"


def test_a_password_stays_out_of_the_statements(database: LocalDatabase) -> None:
    plan = database.plan("create role bob login password 'very secret'")[0]
    assert plan.action == SetRolePassword("bob", "very secret")
    assert "secret" not in repr(plan.action) + "".join(plan.steps)
    assert [step for step in plan.steps if "?1" in step] == [step for step in plan.steps if "rolpassword" in step]


def test_the_catalog_version_moves_with_every_change(database: LocalDatabase) -> None:
    seen = {database.catalog.version}
    for statement in (
        "create table t(a int)", "alter table t alter column a set default 3", "comment on table t is 'x'",
        "create temp table u(a int)", "alter table u alter column a set default 4", "drop table t",
    ):  # fmt: skip
        database.run(statement)
        assert database.catalog.refresh()
        assert database.catalog.version not in seen
        seen.add(database.catalog.version)
    assert not database.catalog.refresh()


def test_oids_are_never_reused(database: LocalDatabase) -> None:
    database.run("create table a(x int); drop table a; create table b(x int)")
    first = database.catalog.next_oid(False)
    again = SqliteCatalog(database.connection)
    assert again.next_oid(False) == first
    assert again.relation(None, "b") == database.catalog.relation(None, "b")


def test_tables_of_other_programs_are_readable(database: LocalDatabase) -> None:
    database.connection.execute(
        "CREATE TABLE foreign_made(id INTEGER PRIMARY KEY, name VARCHAR(9), note TEXT NOT NULL)"
    )
    database.connection.execute("INSERT INTO foreign_made VALUES (1, 'n', 'm')")
    relation = SqliteCatalog(database.connection).relation(None, "foreign_made")
    assert relation is not None
    assert [(column.name, column.type_oid, column.not_null) for column in relation.columns] == [
        ("id", 23, True), ("name", 1043, False), ("note", 25, True),
    ]  # fmt: skip
    assert relation.indexes[0].primary and relation.indexes[0].columns == ("id",)
    assert database.run("select id, name from foreign_made") == [("1", "n")]


def test_pgbench_finds_its_table(database: LocalDatabase) -> None:
    database.run("create table pgbench_accounts(aid int not null, filler char(84)) with (fillfactor=100)")
    rows = database.run(
        "select o.n, p.partstrat, pg_catalog.count(i.inhparent) from pg_catalog.pg_class as c join "
        "pg_catalog.pg_namespace as n on (n.oid = c.relnamespace) cross join lateral (select pg_catalog.array_position("
        "pg_catalog.current_schemas(true), n.nspname)) as o(n) left join pg_catalog.pg_partitioned_table as p on "
        "(p.partrelid = c.oid) left join pg_catalog.pg_inherits as i on (c.oid = i.inhparent) where c.relname = "
        "'pgbench_accounts' and o.n is not null group by 1, 2 order by 1 asc limit 1"
    )
    assert rows == [("2", None, "0")]


def _called(function: Function) -> list[str]:
    names = re.findall(r"\b((?:fn|agg|cat|node|pg)_\w+)\(", function.sql)
    return [name for name in names if not name.startswith("{")]


def test_every_template_calls_a_function_that_a_connection_of_a_node_has() -> None:
    connection = apsw.Connection(":memory:")
    ConnectionSetup()(connection)
    known = {row[0] for row in connection.execute("SELECT name FROM pragma_function_list")}
    missing = {name for function in REGISTRY for name in _called(function) if name not in known}
    assert missing == set()
    assert len(SCALARS) > 150 and len(AGGREGATES) > 15


def test_columns_named_as_keywords_are_quoted_where_expressions_are_kept(database: LocalDatabase) -> None:
    database.run('CREATE TABLE "end" ("order" int, "true" int CHECK ("true" <> 1), "user" text CHECK ("user" > \'a\'))')
    database.run('ALTER TABLE "end" ADD "limit" int GENERATED ALWAYS AS ("order" + 1) STORED')
    database.run('CREATE INDEX i ON "end" (("order" + 1)) WHERE "true" > 3')
    database.run('INSERT INTO "end" ("order", "true", "user") VALUES (1, 4, \'b\')')
    assert database.run('SELECT "limit" FROM "end"') == [("2",)]
    shown = database.run("SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'c' ORDER BY conname")
    assert shown == [('CHECK (("true" <> 1))',), ("CHECK ((\"user\" > 'a'::text))",)]
    assert refused(database, 'INSERT INTO "end" ("true") VALUES (1)').constraint == "end_true_check"


def test_literals_in_stored_expressions_are_read_when_they_are_stored(database: LocalDatabase) -> None:
    database.run("CREATE TABLE stamped (id int, ts timestamptz CHECK (ts > '2020-01-01'), d date, iv interval)")
    for predicate in (
        "ts > '2021-01-01 00:00:00+00'", "ts > '2021-01-01'::timestamptz", "d > '2020-01-01'", "iv > '1 day'",
    ):  # fmt: skip
        database.run(f"CREATE INDEX ON stamped (id) WHERE {predicate}")
    database.run("ALTER TABLE stamped ADD late boolean GENERATED ALWAYS AS (d > '2020-01-01') STORED")
    database.run("INSERT INTO stamped (id, d) VALUES (1, '2021-01-01'), (2, '2019-01-01')")
    assert database.run("SELECT id, late FROM stamped ORDER BY id") == [("1", "t"), ("2", "f")]
    assert refused(database, "CREATE INDEX ON stamped (id) WHERE ts > now()").sqlstate == "42P17"
