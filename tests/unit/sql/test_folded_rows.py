"""Long lists of constants travel as one parameter, and mean what they meant in the text."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.planner_bench import Answer, Bench

from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql import rows
from helios_cli.engine.sql.plan import Plan
from helios_cli.engine.sql.planner import bind

TABLE = """
CREATE TABLE t (
    id serial PRIMARY KEY, i int, l bigint, s smallint, n numeric, m numeric(8,2), f float8, r real, b bool, x text,
    v varchar(8), c char(6), y bytea, d date, at timestamp, z timestamptz, k interval, u uuid, j jsonb, a int[]
)
"""


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    found = Bench()
    assert not found.run(TABLE).sqlstate
    assert not found.run("CREATE TABLE p (a int PRIMARY KEY, b text)").sqlstate
    yield found
    found.close()


def repeated(items: list[str], count: int = 400) -> str:
    """Rows of these, again and again, until they are long enough."""
    return ", ".join(items[number % len(items)] for number in range(count))


def plan_of(bench: Bench, sql: str) -> Plan:
    (plan, _), *_ = bench.cache.get(sql, bench.catalog)
    return plan


def is_folded(bench: Bench, sql: str) -> bool:
    return "json_each" in plan_of(bench, sql).steps[0]


def both(bench: Bench, sql: str, result: str, reset: str) -> tuple[Answer, Answer]:
    """What a table holds after the statement, with its rows taken out and with its constants in place."""
    answers = []
    for lifted in (True, False):
        assert not bench.run(reset).sqlstate
        done = bench.run(sql, lifted=lifted)
        answers.append(done if done.sqlstate else bench.run(result))
    return answers[0], answers[1]


@pytest.mark.parametrize(
    ("columns", "items"),
    [
        ("i, x", ["(1, 'one')", "(-2, 'two''s')", "( - 3 , NULL)", "(null,'é \\ \" \n')"]),
        ("i", ["(2147483647)", "(-2147483648)", "('12')", "(NULL)"]),
        ("l", ["(1)", "(9223372036854775807)", "(-9223372036854775808)", "('7')", "(2147483648)"]),
        ("s", ["(1)", "(-32768)"]),
        ("n", ["(1)", "(2.50)", "(-3.5e3)", "('4.10')", "(123456789012345678901234567890)", "(.5)", "(-.5)", "(7.)"]),
        ("m", ["(1)", "(2.567)", "(-3.5)", "('4.105')", "(NULL)"]),
        ("f", ["(1)", "(2.5)", "(-1e300)", "('nan')", "('infinity')", "(0.1)", "('-inf')"]),
        ("r", ["(1)", "(2.5)", "(0.1)"]),
        ("b", ["(true)", "(FALSE)", "('t')", "('off')", "(NULL)"]),
        ("x", ["('')", "('a')", "(NULL)"]),
        ("x", ["(5)", "(-6)"]),
        ("x", ["(5.5)", "(-6.5)"]),
        ("v", ["('a')", "('12345678   ')", "(NULL)"]),
        ("c", ["('a')", "('abc')", "(NULL)"]),
        ("y", ["('\\x00ff')", "('abc')", "(NULL)"]),
        ("d", ["('2024-02-29')", "('infinity')", "(NULL)", "('today')"]),
        ("at, z", ["('2024-02-29 12:00', '2024-02-29 12:00+02')", "(NULL, NULL)", "('now', 'now')"]),
        ("k", ["('1 day 2 hours')", "(NULL)"]),
        ("u", ["('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11')", "(NULL)"]),
        ("j", ["('{\"a\": [1, 2]}')", "('null')", "(NULL)"]),
        ("a", ["('{1,2,NULL}')", "('{}')", "(NULL)"]),
        ("id, x", ["(DEFAULT, 'a')", "(default, 'b')"]),
        ("j, z, v", ["('{}'::jsonb, '2024-01-01 00:00:00+00'::timestamptz, 'abc'::varchar(2))"]),
        (
            "at, x",
            [
                "('2024-01-01'::timestamp without time zone, '5'::text)",
                "(NULL::timestamp without time zone, '6'::text)",
            ],
        ),
        ("l, f", ["(1::bigint, 2::float8)", "('3'::bigint, 4.5::float8)"]),
        ("a", ["('{1,2}'::int[])", "(NULL::int[])"]),
    ],
)
def test_inserted_rows(bench: Bench, columns: str, items: list[str]) -> None:
    sql = f"INSERT INTO t ({columns}) VALUES {repeated(items)}"
    assert is_folded(bench, sql)
    shown = ", ".join(columns.replace("id, ", "").split(", "))
    one, other = both(bench, sql, f"SELECT {shown} FROM t ORDER BY id", "DELETE FROM t")
    assert not one.sqlstate and len(one.rows) == 400
    assert one == other


@pytest.mark.parametrize(
    ("columns", "items"),
    [
        ("i", ["(1)", "(2.5)"]),  # rounded in some rows
        ("x", ["('a')", "(1)", "(true)"]),
        ("id, x", ["(DEFAULT, 'a')", "(1000000, 'b')"]),
        ("i", ["(1 + 1)"]),
        ("x", ["(E'a\\n')"]),
        ("x", ["('a' /* (1), (2) */)"]),
        ("l", ["(-1::bigint)"]),
        ("k", ["('1'::interval hour)"]),
        ("i", ["(1)", "(2::int)"]),
    ],
)
def test_rows_that_are_not_alike_go_the_long_way(bench: Bench, columns: str, items: list[str]) -> None:
    rows_text = repeated(items[1:] or items) if "DEFAULT" not in items[0] else items[0]
    sql = f"INSERT INTO t ({columns}) VALUES {repeated(items, 600) if len(items) == 1 else items[0] + ', ' + rows_text}"
    if "1000000" in sql:
        sql = f"INSERT INTO t (id, x) VALUES (DEFAULT, 'a'), {', '.join(f'({n + 10**6}, NULL)' for n in range(200))}"
    assert not is_folded(bench, sql)
    one, other = both(bench, sql, "SELECT i, l, x, k FROM t ORDER BY id", "DELETE FROM t")
    assert not one.sqlstate
    assert one == other


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM (VALUES {rows}) AS v (a, b, c) ORDER BY a, b LIMIT 7",
        "VALUES {rows} ORDER BY 1 DESC, 2 OFFSET 390",
        "WITH v (a, b, c) AS (VALUES {rows}) SELECT a, count(*), max(c) FROM v GROUP BY a ORDER BY a",
        "SELECT column1 FROM (VALUES {rows}) AS v UNION SELECT 77 ORDER BY 1",
        "SELECT coalesce(b, 'none'), least(c, 1.25) FROM (VALUES {rows}) AS v (a, b, c) ORDER BY 1, 2",
        "SELECT p.a FROM p WHERE p.a IN (SELECT column1 FROM (VALUES {rows}) AS v)",
        "INSERT INTO p (a, b) SELECT DISTINCT a, b FROM (VALUES {rows}) AS v (a, b, c) WHERE a < 2 RETURNING *",
    ],
)
def test_values_in_queries(bench: Bench, sql: str) -> None:
    text = sql.format(rows=repeated(["(1, 'a', 1.5)", "(2, NULL, 7)", "(NULL, 'b', -3)", "(3000000000, '', 0.5)"]))
    if text.startswith("INSERT"):
        text = text.replace("NULL, 'b'", "0, 'b'")
    assert is_folded(bench, text)
    answers = []
    for lifted in (True, False):
        bench.run("DELETE FROM p")
        answers.append(bench.run(text, lifted=lifted))
    assert answers[0] == answers[1]
    assert answers[0].rows or "FROM p" in text


@pytest.mark.parametrize("test", ["IN", "NOT IN"])
@pytest.mark.parametrize(
    ("column", "items"),
    [
        ("i", [str(number) for number in range(0, 4000, 2)]),
        ("l", [str(number * 3) for number in range(1000)] + ["5000000000", "NULL"]),
        ("n", [f"{number}.50" for number in range(1000)]),
        ("x", [f"'x{number}'" for number in range(1000)]),
        ("d", [f"'2024-01-{number % 28 + 1:02}'" for number in range(1000)]),
        ("c", [f"'x{number}'" for number in range(0, 1000, 3)] * 3),
    ],
)
def test_in_lists(bench: Bench, test: str, column: str, items: list[str]) -> None:
    bench.run("DELETE FROM t")
    for number in range(8):
        bench.run(
            f"INSERT INTO t (i, l, n, x, d, c) VALUES "
            f"({number}, {number}, {number}.5, 'x{number}', '2024-01-{number + 26:02}', 'x{number}')"
        )
    bench.run("INSERT INTO t (s) VALUES (1)")
    sql = f"SELECT i FROM t WHERE {column} {test} ({', '.join(items)}) ORDER BY i"
    assert is_folded(bench, sql)
    one, other = bench.run(sql), bench.run(sql, lifted=False)
    assert one == other and not one.sqlstate


def test_conflicts_and_what_is_returned(bench: Bench) -> None:
    values = ", ".join(f"({number}, 'v{number}')" for number in range(200))
    sql = (
        f"INSERT INTO p AS q VALUES {values} ON CONFLICT (a) DO UPDATE SET b = q.b || '+' || excluded.b RETURNING a, b"
    )
    assert is_folded(bench, sql)
    answers = []
    for lifted in (True, False):
        bench.run("DELETE FROM p")
        bench.run("INSERT INTO p VALUES (10, 'was')")
        answers.append(bench.run(sql, lifted=lifted))
    assert answers[0] == answers[1]
    assert len(answers[0].rows) == 200 and answers[0].rows[10] == ("10", "was+v10")
    assert bench.run(sql.replace("(199, ", "(0, ")).sqlstate == "21000"
    ignored = f"INSERT INTO p VALUES {values} ON CONFLICT DO NOTHING"
    assert is_folded(bench, ignored)
    assert bench.run(ignored).tag.endswith(" 0")


def test_a_failing_row_leaves_none_behind(bench: Bench) -> None:
    bench.run("DELETE FROM p")
    values = ", ".join(f"({number}, 'v')" for number in [*range(300), 7])
    assert is_folded(bench, f"INSERT INTO p VALUES {values}")
    assert bench.run(f"INSERT INTO p VALUES {values}").sqlstate == "23505"
    assert bench.run("SELECT count(*) FROM p").rows == (("0",),)


def test_one_plan_serves_any_number_of_rows(bench: Bench) -> None:
    plans = {
        id(plan_of(bench, f"INSERT INTO p VALUES {repeated([f'({number}, NULL)'], count)} ON CONFLICT DO NOTHING"))
        for number, count in ((1, 200), (23, 201), (456, 999))
    }
    assert len(plans) == 1


def error_of(bench: Bench, sql: str) -> SqlError:
    with pytest.raises(SqlError) as caught:
        for plan, literals in bench.cache.get(sql, bench.catalog):
            bind(plan, (), literals, [None] * len(plan.session_values))
    return caught.value


@pytest.mark.parametrize(
    ("sql", "sqlstate", "where"),
    [
        ("INSERT INTO p VALUES {rows}, ('oops', 'b'), (3, 'c')", "22P02", "'oops'"),
        ("INSERT INTO p (b, a) VALUES {swapped}, ('x', 'wrong'), ('y', 'later')", "22P02", "'wrong'"),
        ("INSERT INTO p VALUES {rows}, (2, 'b', 3)", "42601", None),
        ("INSERT INTO p VALUES {rows}, (2, 'b') RETURNING nothing", "42703", "nothing"),
        ("INSERT INTO p (a, c) VALUES {rows}", "42703", "c)"),
        ("INSERT INTO absent VALUES {rows}", "42P01", "absent"),
        ("INSERT INTO p VALUES {rows} ON CONFLICT (b) DO NOTHING", "42P10", None),
        ("INSERT INTO p VALUES {rows}, (true, 'b')", "42804", "true"),
        ("SELECT * FROM (VALUES {rows}, (true, 'b')) AS v", "42804", "true"),
        ("INSERT INTO p VALUES {rows}, (1, 'b'", "42601", None),
        ("INSERT INTO p VALUES {rows} RETURNIN a", "42601", "RETURNIN"),
        ("SELECT 'é', a FROM (VALUES {rows}) AS v (a, b) WHERE d = 1", "42703", "d ="),
    ],
)
def test_errors_point_into_the_whole_text(bench: Bench, sql: str, sqlstate: str, where: str | None) -> None:
    text = sql.format(rows=repeated(["(1, 'ä')"]), swapped=repeated(["('ä', 1)"]))
    error = error_of(bench, text)
    assert error.sqlstate == sqlstate
    if where is not None:
        assert error.position is not None and text[error.position - 1 :].startswith(where)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT '{rows}'",
        "SELECT $$ VALUES {plain} $$",
        "SELECT 1 /* VALUES {plain} */",
        "SELECT 1 -- VALUES {plain}",
        'SELECT "VALUES {plain}" FROM (SELECT 1) AS v ("VALUES {plain}")',
        "SELECT 1; SELECT column1 FROM (VALUES {plain}) AS v",
        "SELECT E'\\' VALUES {plain}, (\\'' || 'x'",
    ],
)
def test_what_only_looks_like_rows(bench: Bench, text: str) -> None:
    sql = text.format(plain=repeated(["(1, 2)"]), rows=repeated(["(1, ''a'')"]))
    one, other = bench.run(sql), bench.run(sql, lifted=False)
    assert one == other and not one.sqlstate


def test_short_lists_are_left_alone() -> None:
    assert rows.find("INSERT INTO t VALUES (1, 2), (3, 4)") is None
    assert rows.find(f"SELECT 1 WHERE 1 IN ({', '.join(['1'] * 1000)})") is None
