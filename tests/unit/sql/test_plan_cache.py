"""One plan for a shape; plans apart where a literal's value decides."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.planner_bench import Bench

from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql import plan_cache
from helios_cli.engine.sql.plan import Kind
from helios_cli.engine.sql.plan_cache import PlanCache
from helios_cli.engine.sql.planner import Planner, bind


@pytest.fixture
def bench() -> Iterator[Bench]:
    found = Bench()
    found.run("CREATE TABLE t (a int PRIMARY KEY, b text, n numeric(6,2), c char(4), at timestamp)")
    yield found
    found.close()


def test_other_literals_share_a_plan(bench: Bench) -> None:
    (first, one), *_ = bench.cache.get("SELECT b FROM t WHERE a = 1 AND b = 'x'", bench.catalog)
    (second, two), *_ = bench.cache.get("SELECT b FROM t WHERE a = 22 AND b = 'yy'", bench.catalog)
    assert first is second
    assert (tuple(one), tuple(two)) == ((1, "x"), (22, "yy"))
    assert (bench.cache.hits, len(bench.cache)) == (1, 1)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("SELECT a, b FROM t ORDER BY 1", "SELECT a, b FROM t ORDER BY 2"),
        ("SELECT a, count(*) FROM t GROUP BY 1", "SELECT a, count(*) FROM t GROUP BY 2"),
        ("SELECT b::varchar(3) FROM t", "SELECT b::varchar(5) FROM t"),
        ("SELECT a + 1 FROM t GROUP BY a + 1", "SELECT a + 2 FROM t GROUP BY a + 1"),
        ('SELECT a AS "x 1" FROM t', 'SELECT a AS "x 2" FROM t'),
        ("SELECT 'item'::regtype FROM t", "SELECT 'text'::regtype FROM t"),
    ],
)
def test_values_that_decide_keep_plans_apart(bench: Bench, one: str, other: str) -> None:
    answers: list[tuple[object, object]] = []
    for sql in (one, other, one):
        try:
            plan = bench.cache.get(sql, bench.catalog)[0][0]
            answers.append((plan.steps, plan.columns))
        except SqlError as error:
            answers.append((error.message, None))
    assert answers[0] != answers[1]
    assert answers[0] == answers[2]


def test_bound_and_free_literals_mix(bench: Bench) -> None:
    bench.run("INSERT INTO t VALUES (1, 'x', 1.5, 'q', NULL), (2, 'y', 2.5, 'r', NULL), (3, 'z', 3.5, 's', NULL)")
    assert bench.run("SELECT a FROM t WHERE a > 1 ORDER BY 1 LIMIT 1").rows == (("2",),)
    misses = bench.cache.misses
    assert bench.run("SELECT a FROM t WHERE a > 2 ORDER BY 1 LIMIT 5").rows == (("3",),)
    assert bench.cache.misses == misses


def test_literals_are_fitted_to_their_columns(bench: Bench) -> None:
    (plan, literals), *_ = bench.cache.get("INSERT INTO t (a, n, c) VALUES (1, 2.345, 'ab')", bench.catalog)
    assert plan.steps == ('INSERT INTO "t" ("a", "n", "c") VALUES (?1, ?2, ?3)',)
    assert list(bind(plan, (), literals, ())) == [1, "2.35", "ab  "]
    (plan, literals), *_ = bench.cache.get("INSERT INTO t (a, n, c) VALUES (1, 99999.1, 'ab')", bench.catalog)
    with pytest.raises(SqlError, match="numeric field overflow"):
        bind(plan, (), literals, ())


def test_a_schema_change_makes_plans_stale(bench: Bench) -> None:
    before = bench.cache.get("SELECT * FROM t", bench.catalog)[0][0]
    bench.run("ALTER TABLE t ADD COLUMN z int")
    after = bench.cache.get("SELECT * FROM t", bench.catalog)[0][0]
    assert after is not before
    assert len(after.columns or ()) == len(before.columns or ()) + 1


def test_the_cache_is_bounded(bench: Bench) -> None:
    cache = PlanCache(bench.cache.planner, shapes_max=4)
    for number in range(20):
        cache.get(f"SELECT a AS x{number} FROM t", bench.catalog)
    assert len(cache) == 4


def test_what_is_used_stays(bench: Bench) -> None:
    cache = PlanCache(bench.cache.planner, shapes_max=4)
    kept = cache.get("SELECT a FROM t", bench.catalog)[0][0]
    for number in range(20):
        cache.get(f"SELECT a AS x{number} FROM t", bench.catalog)
        assert cache.get("SELECT a FROM t", bench.catalog)[0][0] is kept


def test_statements_behind_ddl_wait_their_turn(bench: Bench) -> None:
    planned = bench.cache.get("CREATE TABLE u (x int); INSERT INTO u VALUES (5); SELECT x FROM u", bench.catalog)
    assert [plan.kind for plan, _ in planned] == [Kind.DDL, Kind.EMPTY, Kind.EMPTY]
    assert [plan.catalog_version for plan, _ in planned][1:] == [-1, -1]
    assert [plan.source for plan, _ in planned][1:] == ["INSERT INTO u VALUES (5)", "SELECT x FROM u"]


def test_no_statement_is_no_plan(bench: Bench) -> None:
    assert list(bench.cache.get("  -- nothing\n;", bench.catalog)) == []


def test_simple_queries_have_no_parameters(bench: Bench) -> None:
    with pytest.raises(SqlError) as caught:
        bench.cache.get("SELECT $1", bench.catalog)
    assert (caught.value.sqlstate, caught.value.position) == ("42P02", 8)


@pytest.mark.parametrize(
    ("sql", "oids", "types"),
    [
        ("SELECT b FROM t WHERE a = $1", (), (23,)),
        ("SELECT $1", (), (25,)),
        ("SELECT $1::int8 + 1, $2 || 'x'", (), (20, 25)),
        ("INSERT INTO t VALUES ($1, $2, $3, $4, $5)", (), (23, 25, 1700, 1042, 1114)),
        ("UPDATE t SET b = $2 WHERE a = $1", (), (23, 25)),
        ("SELECT * FROM t WHERE a = ANY($1)", (), (1007,)),
        ("SELECT * FROM t WHERE a IN ($1, $2) LIMIT $3", (), (23, 23, 20)),
        ("SELECT $1 + a FROM t", (), (23,)),
        ("SELECT coalesce($1, b) FROM t", (), (25,)),
        ("SELECT a = $1 FROM t", (20,), (20,)),
        ("SELECT a = $1, $2::date FROM t", (0, 705), (23, 1082)),
    ],
)
def test_parameter_types(bench: Bench, sql: str, oids: tuple[int, ...], types: tuple[int, ...]) -> None:
    assert bench.cache.get(sql, bench.catalog, oids)[0][0].param_types == types


def test_a_parameter_without_a_type(bench: Bench) -> None:
    with pytest.raises(SqlError, match="could not determine data type of parameter \\$1") as caught:
        bench.cache.get("SELECT $2::int", bench.catalog, ())
    assert caught.value.sqlstate == "42P18"


def test_parameters_come_before_literals(bench: Bench) -> None:
    plan, literals = bench.cache.get("SELECT a FROM t WHERE b = 'q' AND a = $1", bench.catalog, ())[0]
    assert plan.steps[0].endswith('WHERE (("t"."b" = ?2) AND ("t"."a" = ?1))')
    assert list(bind(plan, (7,), literals, ())) == [7, "q"]


@pytest.mark.parametrize(
    ("sql", "position"),
    [("select 1 frm x y", 14), ("select 'é' frm x", 16), ("selec 1", 1), ("select 'éé', nosuch", 14)],
)
def test_error_positions_count_characters(bench: Bench, sql: str, position: int) -> None:
    with pytest.raises(SqlError) as caught:
        Planner().plan(sql, catalog=bench.catalog)
    assert caught.value.position == position


def test_long_queries_are_kept_by_their_text_until_the_schema_changes(bench: Bench) -> None:
    sql = f"SELECT a FROM t WHERE b IN ({', '.join(repr(str(number)) for number in range(9000))})"
    cache, catalog = PlanCache(Planner(bench.cache.planner.functions)), bench.catalog
    planned = cache.get(sql, catalog)
    assert cache.of_text(sql, catalog, None) is None
    cache.keep_text(sql, catalog, None, planned)
    assert cache.of_text(sql, catalog, None) is planned
    assert cache.of_text(sql, catalog, ()) is None
    assert cache.of_text(sql + " ", catalog, None) is None
    bench.run("CREATE TABLE later (a int)")
    assert cache.of_text(sql, catalog, None) is None


def test_long_writes_are_not_kept_by_their_text(bench: Bench) -> None:
    sql = "INSERT INTO t (a) VALUES (1)"
    bench.cache.keep_text(sql, bench.catalog, None, bench.cache.get(sql, bench.catalog))
    assert bench.cache.of_text(sql, bench.catalog, None) is None


def long_query(value: int) -> str:
    return f"SELECT a, b, n, c, at FROM t WHERE a = {value} AND {' AND '.join('b IS NOT NULL' for _ in range(20))}"


def test_a_text_that_comes_again_is_not_taken_apart(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    cache, catalog = PlanCache(Planner(bench.cache.planner.functions)), bench.catalog
    first = cache.get(long_query(1), catalog)
    again = cache.get(long_query(1), catalog)
    other = cache.get(long_query(2), catalog)
    monkeypatch.setattr(plan_cache, "lift", lambda sql: pytest.fail(f"{sql} is taken apart"))
    for _ in range(2):
        assert cache.get(long_query(1), catalog) is again
        assert cache.get(long_query(2), catalog) is other
    assert again[0][0] is other[0][0] is first[0][0] and (again[0][1], other[0][1]) == ((1,), (2,))
    assert (cache.hits, cache.misses) == (6, 1)
    monkeypatch.undo()
    bench.run("CREATE TABLE later (a int)")
    assert cache.get(long_query(1), catalog)[0][0] is not first[0][0]


def test_texts_that_are_kept_are_bounded(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    cache, catalog = PlanCache(Planner(bench.cache.planner.functions)), bench.catalog
    monkeypatch.setattr(plan_cache, "TEXTS_MAX", 3 * len(long_query(1)))
    for value in (1, 1, 2, 3, 3, 4):
        cache.get(long_query(value), catalog)
    kept = [value for value in range(1, 5) if cache.of_text(long_query(value), catalog, None) is not None]
    assert kept == [2, 3, 4]
