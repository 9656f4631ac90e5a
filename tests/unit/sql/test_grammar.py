"""Long texts go another way to the parser: the trees and the errors are the same, and other threads run meanwhile."""

from __future__ import annotations

import threading
import time

import pgparse
import pytest

from helios_cli.engine.sql import grammar

LONG = [
    "SELECT 1;" * 1000,
    "SELECT " + "1," * 3000 + "1",
    "INSERT INTO t VALUES " + ", ".join(f"({number}, 'é')" for number in range(1000)),
    "SELECT 'ü' ;\n -- nothing\n; SELECT 2" + " " * 5000,
    " " * 5000,
    "SELECT a FROM t WHERE " + " OR ".join(f"(a = {number} AND b BETWEEN 1 AND 2)" for number in range(500)),
]


@pytest.mark.parametrize("sql", LONG)
def test_trees_are_those_of_pgparse(sql: str) -> None:
    assert grammar._FUNCTIONS is not None, "the library's functions are not there"
    assert len(sql) > grammar.SHORT_MAX
    assert grammar.parse(sql) == pgparse.parse(sql)


@pytest.mark.parametrize("sql", ["SELECT " + "1," * 3000, "SELECT '" + "x" * 5000, "SELEC 1" + " " * 5000])
def test_errors_are_those_of_pgparse(sql: str) -> None:
    with pytest.raises(pgparse.PGQueryError) as found:
        grammar.parse(sql)
    with pytest.raises(pgparse.PGQueryError) as expected:
        pgparse.parse(sql)
    assert found.value.args == expected.value.args


def test_a_chain_that_is_too_deep_is_too_deep() -> None:
    with pytest.raises(RecursionError):
        grammar.parse("SELECT " + "+".join(["1"] * 20_000))


def test_other_threads_run_while_a_long_text_is_parsed() -> None:
    """With pgparse they get the interpreter twice: before it and after it."""
    thread = threading.Thread(target=grammar.parse, args=("SELECT " + "1," * 100_000 + "1",))
    thread.start()
    turns = 0
    while thread.is_alive():
        time.sleep(0.001)
        turns += 1
    assert turns > 10
