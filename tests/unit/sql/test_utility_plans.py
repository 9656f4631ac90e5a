"""Statements that the node carries out: their records, tags and result columns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from support.planner_bench import Bench

from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql import actions
from helios_cli.engine.sql.plan import Kind, Plan


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    found = Bench()
    found.run("CREATE TABLE t (a int PRIMARY KEY, b text DEFAULT 'd', c char(3))")
    found.run("CREATE TABLE u (x int)")
    yield found
    found.close()


def plan(bench: Bench, sql: str) -> Plan:
    """The one plan of a statement."""
    return bench.cache.get(sql, bench.catalog)[0][0]


@pytest.mark.parametrize(
    ("sql", "tag", "action"),
    [
        ("BEGIN", "BEGIN", actions.Begin()),
        (
            "START TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY, DEFERRABLE",
            "START TRANSACTION",
            actions.Begin("serializable", True, True),
        ),
        ("BEGIN READ WRITE", "BEGIN", actions.Begin(read_only=False)),
        ("END", "COMMIT", actions.Commit()),
        ("COMMIT AND CHAIN", "COMMIT", actions.Commit(chain=True)),
        ("ABORT", "ROLLBACK", actions.Rollback()),
        ("SAVEPOINT s", "SAVEPOINT", actions.Savepoint("s")),
        ("RELEASE SAVEPOINT s", "RELEASE", actions.Release("s")),
        ("ROLLBACK TO s", "ROLLBACK", actions.RollbackTo("s")),
        ("SET search_path = a, B", "SET", actions.SetVariable("search_path", "a, b")),
        ("SET LOCAL x.y TO 'v'", "SET", actions.SetVariable("x.y", "v", local=True)),
        ("SET work_mem = DEFAULT", "SET", actions.SetVariable("work_mem", None)),
        ("SET TIME ZONE 'UTC'", "SET", actions.SetVariable("timezone", "UTC")),
        ("SET TRANSACTION READ ONLY", "SET", actions.SetTransaction(read_only=True)),
        (
            "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ",
            "SET",
            actions.SetTransaction("repeatable read", session=True),
        ),
        ("RESET ALL", "RESET", actions.ResetVariable(None)),
        ("RESET a", "RESET", actions.ResetVariable("a")),
        ("SHOW server_version", "SHOW", actions.Show("server_version")),
        ("SHOW ALL", "SHOW", actions.Show(None)),
        ("ALTER SYSTEM SET a = 'b'", "ALTER SYSTEM", actions.AlterSystem("a", "b")),
        ("ALTER SYSTEM RESET ALL", "ALTER SYSTEM", actions.AlterSystem(None, None)),
        ("DEALLOCATE ALL", "DEALLOCATE ALL", actions.Deallocate(None)),
        ("CLOSE c", "CLOSE CURSOR", actions.CloseCursor("c")),
        ("FETCH 5 FROM c", "FETCH", actions.Fetch("c", actions.Direction.FORWARD, 5)),
        ("FETCH ALL c", "FETCH", actions.Fetch("c", actions.Direction.FORWARD, None)),
        ("MOVE LAST c", "MOVE", actions.Fetch("c", actions.Direction.ABSOLUTE, -1, move=True)),
        ("LISTEN a", "LISTEN", actions.Listen("a")),
        ("UNLISTEN *", "UNLISTEN", actions.Unlisten(None)),
        ("NOTIFY a, 'p'", "NOTIFY", actions.Notify("a", "p")),
        ("DISCARD ALL", "DISCARD ALL", actions.Discard("all")),
        ("CHECKPOINT", "CHECKPOINT", actions.Checkpoint()),
        ("VACUUM ANALYZE t", "VACUUM", actions.Vacuum(True, True, False, ("t",))),
        ("ANALYZE", "ANALYZE", actions.Vacuum(False, True)),
        ("LOCK TABLE t IN SHARE MODE NOWAIT", "LOCK TABLE", actions.LockTable(("t",), "SHARE", True)),
        ("SET CONSTRAINTS ALL DEFERRED", "SET CONSTRAINTS", actions.SetConstraints((), True)),
    ],
)
def test_actions(bench: Bench, sql: str, tag: str, action: object) -> None:
    found = plan(bench, sql)
    assert (found.kind, found.tag, found.action) == (Kind.UTILITY, tag, action)


def test_show_has_one_text_column(bench: Bench) -> None:
    assert [(column.name, column.type_oid) for column in plan(bench, "SHOW work_mem").columns or ()] == [
        ("work_mem", 25)
    ]


def test_truncate_is_a_delete_of_each(bench: Bench) -> None:
    found = plan(bench, "TRUNCATE TABLE t, u RESTART IDENTITY CASCADE")
    assert (found.kind, found.tag, found.counts_rows) == (Kind.WRITE, "TRUNCATE TABLE", False)
    assert found.steps == ('DELETE FROM "t"', 'DELETE FROM "u"')


def _copy(bench: Bench, sql: str) -> Any:
    return plan(bench, sql).action


def test_copy_from(bench: Bench) -> None:
    action = _copy(bench, "copy t from stdin with (freeze on)")
    assert isinstance(action, actions.CopyIn)
    assert (action.columns, action.types) == (("a", "b", "c"), ((23, -1), (25, -1), (1042, 7)))
    assert action.insert.steps == ('INSERT INTO "t" ("a", "b", "c") VALUES (?1, ?2, ?3)',)
    assert action.options.freeze and action.options.delimiter == "\t"


def test_copy_from_some_columns_fills_the_defaults(bench: Bench) -> None:
    action = _copy(bench, "copy t (a) from stdin (format csv, header match, null 'N', force_not_null (a))")
    assert action.insert.steps == ('INSERT INTO "t" ("a", "b") VALUES (?1, \'d\')',)
    options = action.options
    assert (options.format, options.delimiter, options.null, options.header_match) == ("csv", ",", "N", True)
    assert options.force_not_null == ("a",)


def test_copy_to(bench: Bench) -> None:
    action = _copy(bench, "copy (select a, b from t where a > 5) to stdout (format csv, force_quote *)")
    assert [column.name for column in action.query.columns] == ["a", "b"]
    assert action.options.force_quote is None
    assert _copy(bench, "copy t (b) to stdout").query.steps == ('SELECT "t"."b" FROM "t"',)


@pytest.mark.parametrize(
    ("sql", "sqlstate"),
    [
        ("copy t from '/etc/passwd'", "0A000"),
        ("copy t from stdin (format xml)", "22023"),
        ("copy t from stdin (nosuch 1)", "42601"),
        ("copy t from stdin (delimiter 'ab')", "0A000"),
        ("copy t from stdin (quote 'x')", "0A000"),
        ("copy t (nosuch) from stdin", "42703"),
        ("copy nosuch from stdin", "42P01"),
        ("lock table nosuch", "42P01"),
        ("vacuum nosuch", "42P01"),
        ("do language sql $$ select 1 $$", "0A000"),
        ("explain (nosuch) select 1", "42601"),
    ],
)
def test_refusals(bench: Bench, sql: str, sqlstate: str) -> None:
    with pytest.raises(SqlError) as caught:
        plan(bench, sql)
    assert caught.value.sqlstate == sqlstate


def test_prepare_and_execute(bench: Bench) -> None:
    action = plan(bench, "PREPARE p (int) AS SELECT b FROM t WHERE a = $1;").action
    assert isinstance(action, actions.Prepare)
    assert (action.name, action.param_types, action.query) == ("p", (23,), "SELECT b FROM t WHERE a = $1")
    execute = plan(bench, "EXECUTE p ('5', 1 + 2, NULL)").action
    assert isinstance(execute, actions.Execute)
    assert (execute.argument_texts, execute.is_text) == (("5", None, None), (True, False, True))


def test_declare_keeps_the_query(bench: Bench) -> None:
    action = plan(bench, "DECLARE c SCROLL CURSOR WITH HOLD FOR SELECT a FROM t").action
    assert isinstance(action, actions.DeclareCursor)
    assert (action.query, action.hold, action.scroll) == ("SELECT a FROM t", True, True)


def test_explain_wraps_the_plan(bench: Bench) -> None:
    action = plan(bench, "EXPLAIN (ANALYZE, FORMAT json) SELECT a FROM t WHERE a = 3").action
    assert isinstance(action, actions.Explain)
    assert (action.analyze, action.format) == (True, "json")
    assert action.plan.steps == ('SELECT "t"."a" FROM "t" WHERE ("t"."a" = 3)',)


def test_routing_marks(bench: Bench) -> None:
    select = plan(bench, "SELECT a FROM t FOR UPDATE")
    assert (select.kind, select.tag, select.locks_rows) == (Kind.WRITE, "SELECT", True)
    assert plan(bench, "SELECT random()").volatile
    assert plan(bench, "INSERT INTO u VALUES (1)").groupable
    assert plan(bench, "SELECT a FROM t").kind is Kind.READ
