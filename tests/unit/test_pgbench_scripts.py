"""Scripts of pgbench: how they are cut, what their expressions give, which way a run of one takes."""

from __future__ import annotations

import random
import statistics
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from helios_cli.commands.load import script, scriptfile
from helios_cli.commands.load.expressions import Scope, compiled
from helios_cli.commands.load.reckoning import NotReckoned, Value
from helios_cli.engine.errors import ConfigError
from helios_cli.engine.net.pgclient import Result
from helios_cli.engine.net.pgextended import Statement
from helios_cli.engine.wire.client import ResultColumn


def reckoned(_text: str, **variables: Value | str) -> Value:
    return compiled(_text, "s")(Scope(dict(variables), random.Random(1)))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 + 2 * 3", 7), ("-:n % 4", -2), ("7 / 2", 3), ("-7 / 2", -3), ("7.0 / 2", 3.5), ("least(:n, 3, 5)", 3),
        ("abs(-:n) + greatest(1, 2)", 12), ("int(sqrt(17))", 4), ("int(2.5)", 2), ("random(5, 5)", 5),
        ("~5 | 1", -5), ("1 << 3 + 1", 16), ("not 1 = 2 and true", True), ("null is null", True), ("1 is true", False),
        ("2 notnull", True), ("null + 1 isnull", True), ("null and false", None), ("false and 1 / 0 = 1", False),
        ("case when :n > 5 then 1 when 1 / 0 = 0 then 2 else 3 end", 1),
        ("case when null then 1 end", None), (":text = 1.5", True), (":yes", True),
        ("-9223372036854775808", -(1 << 63)),
        ("pow(2, 10)", 1024.0), ("1.0 / 0", float("inf")), ("ln(0)", float("-inf")), ("9 # 3", 10), ("7 <> 7", False),
    ],
)  # fmt: skip
def test_expressions(text: str, value: Value) -> None:
    found = reckoned(text, n=10, text="1.5", yes="ye")
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 +", "cut short"), ("(1", "cut short"), ("1 2", "near '2'"), ("1 < 2 < 3", "near '<'"), ("'x'", "character"),
        ("__import__(1)", "no function __import__"), ("random(1)", "number of arguments"), ("case end", "near 'end'"),
        ("99999999999999999999", "no bigint"), ("1 is 2", "near '2'"), ("1e999", "no double"),
    ],
)  # fmt: skip
def test_what_is_no_expression(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        compiled(text, "s:1")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 / 0", "division by zero"), (":missing", "undefined variable"),
        ("9223372036854775807 + 1", "add out of range"),
        ("1 + true", "cannot coerce boolean to int"), ("not 1", "cannot coerce int to boolean"),
        (":word + 1", "malformed"),
        ("random(2, 1)", "empty range"), ("random_gaussian(1, 9, 1.5)", "at least"),
        ("permute(1, 0, 1)", "greater than"),
        ("random_zipfian(1, 9, 1)", "must be in range"), ("random_exponential(1, 9, 0)", "greater than zero"),
        ("int(1e300)", "overflow"), ("random(-9223372036854775807, 9000)", "too large"),
    ],
)  # fmt: skip
def test_what_has_no_value(text: str, message: str) -> None:
    with pytest.raises(NotReckoned, match=message):
        reckoned(text, word="abc")


def test_distributions_are_those_of_the_manual() -> None:
    def drawn(text: str) -> list[int]:
        reckon, scope = compiled(text, "s"), Scope({}, random.Random(5))
        return [int(reckon(scope) or 0) for _ in range(20_000)]

    uniform, gaussian = drawn("random(1, 10)"), drawn("random_gaussian(1, 100, 2.5)")
    assert set(uniform) == set(range(1, 11)) and max(Counter(uniform).values()) < 2300
    assert min(gaussian) >= 1 and max(gaussian) <= 100 and abs(statistics.mean(gaussian) - 50.5) < 1
    middle = sum(40 < one <= 60 for one in gaussian) / 20_000
    assert 0.36 < middle < 0.41, "a fifth of the range about the mean, at 2.5 deviations on either side"
    zipfian = Counter(drawn("random_zipfian(1, 100, 2)"))
    assert set(zipfian) <= set(range(1, 101)) and 3.4 < zipfian[1] / zipfian[2] < 4.7, "2**2 times as often"
    exponential = Counter(drawn("random_exponential(1, 10, 5)"))
    assert set(exponential) == set(range(1, 11)) and 1.5 < exponential[1] / exponential[2] < 1.8, (
        "e**0.5 times as often"
    )
    permuted = [reckoned(f"permute({number}, 1000, 7)") for number in range(1000)]
    assert sorted(int(one or 0) for one in permuted) == list(range(1000)) and permuted != list(range(1000))


# The file -------------------------------------------------------------------------------------------------------------


def commands_of(directory: Path, text: str) -> list[scriptfile.Command]:
    path = directory / "s.sql"
    path.write_text(text)
    return scriptfile.read(path)


def test_a_script_is_cut_into_commands(tmp_path: Path) -> None:
    text = (
        "-- c\n\\set a 1 + \\\n 2\n\nUPDATE t\n  SET n = ';' || :a -- ; no end\n;\n\\sleep 5ms\nSELECT 'x'::text, :a;"
        " SELECT 2;"
        " SELECT 3 AS c \\; SELECT 4 AS d \\aset p_\nSELECT $$;\\$$, (1;2), /* ; /* ; */ */ E'\\';'\n"
    )
    found = commands_of(tmp_path, text)
    assert [(one.line, one.kind) for one in found] == [
        (2, "set"), (5, "sql"), (8, "sleep"), (9, "sql"), (9, "sql"), (9, "sql"), (10, "sql")
    ]  # fmt: skip
    assert found[1].text == "UPDATE t\n  SET n = ';' || :a -- ; no end"
    assert (found[2].text, found[2].name) == ("5", "ms")
    assert (found[5].text, found[5].gather, found[5].name) == ("SELECT 3 AS c ; SELECT 4 AS d", "aset", "p_")
    assert found[6].text == "SELECT $$;\\$$, (1;2), /* ; /* ; */ */ E'\\';'"
    assert script.substituted("SELECT 'x'::text, :a, ':a', :::a, :b", {"a": 3}) == "SELECT 'x'::text, 3, '3', :::a, :b"
    assert script.substituted(":n :b :d :t", {"n": None, "b": True, "d": 0.5, "t": "x y"}) == "NULL true 0.5 x y"
    assert scriptfile.numbered("SELECT :a::int, :b, :a") == ("SELECT $1::int, $2, $3", ("a", "b", "a"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\\set a\nSELECT 1;", "takes a name"), ("\\set 1a 2\nSELECT 1;", "takes a name"),
        ("-- nothing\n", "no statement"),
        ("\\if\nSELECT 1;\n\\endif", "condition is missing"), ("\\if 1\nSELECT 1;", "s.sql:1: .if without matching"),
        ("SELECT 1;\n\\else\n", "s.sql:2: .else without"),
        ("\\if 1\n\\else\n\\elif 1\n\\endif\nSELECT 1;", "after .else"),
        ("SELECT 1;\n\\endif x", "unexpected argument"), ("\\sleep now\nSELECT 1;", "whole number"),
        ("\\gset\nSELECT 1;", "must follow"), ("SELECT 1 \\gset a b\n", "one word"),
        ("\\setshell a date\nSELECT 1;", "refused"),
        ("\\shell date\nSELECT 1;", "refused"), ("\\gexec\nSELECT 1;", "gexec is not understood"),
    ],
)  # fmt: skip
def test_what_is_no_script(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        commands_of(tmp_path, text)


# A run ----------------------------------------------------------------------------------------------------------------


class Session:
    """Remembers what it is asked, and answers every query with the same results."""

    def __init__(self, *results: Result) -> None:
        self.asked: list[Any] = []
        self.results = list(results) or [Result()]
        self.in_transaction = False

    def execute_all(self, sql: str) -> list[Result]:
        self.asked.append(sql)
        return self.results

    def run(self, statements: list[Statement], *, keeps: bool) -> list[Result]:
        self.asked.append((statements, keeps))
        return self.results


class Client:
    """A worker, as far as a script looks at it."""

    number = 1

    def __init__(self, session: Session) -> None:
        self.session, self.rng = session, random.Random(1)


def run(
    directory: Path, text: str, *results: Result, times: int = 1, protocol: str = "simple", **values: Any
) -> Session:
    session = Session(*results)
    made = script.Script(directory / "s.sql", commands_of(directory, text), values, protocol)
    client: Any = Client(session)
    for _ in range(times):
        made.turn(client)
    return session


def rows(name: str, *values: str | None) -> Result:
    return Result((ResultColumn(name, 23, -1, 0, 0, 0),), [(value,) for value in values], "SELECT")


def test_branches(tmp_path: Path) -> None:
    text = (
        "\\if :x = 1\nSELECT 1;\n\\if 1 / 0 = 1 or true\nSELECT 11;\n\\endif\n\\elif :x = 2\nSELECT 2;\n"
        "\\if null\nSELECT 21;\n"
        "\\else\nSELECT 22;\n\\endif\n\\elif 1 / 0 = 0\nSELECT 3;\n\\else\nSELECT 4;\n\\endif\nSELECT 5;"
    )
    assert run(tmp_path, text, x=2).asked == ["SELECT 2", "SELECT 22", "SELECT 5"]
    with pytest.raises(ConfigError, match=r"s\.sql:13: division by zero"):
        run(tmp_path, text, x=3)
    with pytest.raises(ConfigError, match=r"s\.sql:3: division by zero"):
        run(tmp_path, text, x=1)


def test_variables_are_kept_and_taken_from_rows(tmp_path: Path) -> None:
    assert run(tmp_path, "\\set n :n + 1\nSELECT :n;", times=3, n="0").asked == ["SELECT 1", "SELECT 2", "SELECT 3"]
    found = run(tmp_path, "SELECT 1 \\gset p_\nSELECT :p_c, :p_c + :client_id;", rows("b", "1"), rows("c", "7"))
    assert found.asked[1] == "SELECT 7, 7 + 0"
    found = run(tmp_path, "SELECT 1 \\aset\nSELECT :b, ':c';", rows("b", "1", "2"), rows("none"), rows("c", None))
    assert found.asked[1] == "SELECT 2, ''", "the last row of each, and nothing of what has none"
    with pytest.raises(script.NotOneRow, match=r"s\.sql:1: expected one row, got 2"):
        run(tmp_path, "SELECT 1 \\gset\n", rows("b", "1", "2"))
    with pytest.raises(ConfigError, match="invalid variable name"):
        run(tmp_path, "SELECT 1 \\gset\n", rows("?column?", "1"))


def test_parameters_and_pipelines(tmp_path: Path) -> None:
    text = "\\set a 1\nSELECT :a;\n\\startpipeline\nSELECT :a, :b;\n\\set a null\nSELECT :a;\n\\endpipeline\n"
    found = run(tmp_path, text, protocol="prepared", b="x")
    assert found.asked == [
        ([Statement("SELECT $1", ("1",))], True),
        ([Statement("SELECT $1, $2", ("1", "x")), Statement("SELECT $1", (None,))], True),
    ]
    with pytest.raises(ConfigError, match="cannot be used with the simple query protocol"):
        run(tmp_path, text)
    for wrong, message in (
        ("\\startpipeline\nSELECT 1;\n", "ends within a pipeline"), ("SELECT 1;\n\\endpipeline\n", "not in a pipeline"),
        ("\\startpipeline\n\\startpipeline\nSELECT 1;\n", "already in"), ("SELECT :none;", "undefined variable"),
        ("\\startpipeline\nSELECT 1 \\gset\n\\endpipeline", "not allowed"),
        ("\\sleep :none\nSELECT 1;", "undefined variable"),
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=message):
            run(tmp_path, wrong, protocol="extended")


def test_a_script_must_not_leave_a_transaction_open(tmp_path: Path) -> None:
    session = Session()
    session.in_transaction = True
    client: Any = Client(session)
    with pytest.raises(ConfigError, match="ends within a transaction"):
        script.Script(Path("s.sql"), commands_of(tmp_path, "BEGIN;")).turn(client)
