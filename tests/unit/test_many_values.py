"""VALUES with many rows, and statements with more parameters than SQLite has."""

from __future__ import annotations

from helios_cli.engine.sql.many_parameters import LAST, Spilled, spilled_text, spilled_values
from helios_cli.engine.sql.value_rows import FEW, value_rows


def test_among_many_rows_none_is_constant_when_one_is_not() -> None:
    constant, other = ["1", "?2"], ["random()", "?3"]
    assert value_rows([constant, other]) == "(1, ?2), (random(), ?3)"
    assert value_rows([constant] * (FEW + 1)) == ", ".join(["(1, ?2)"] * (FEW + 1))
    mixed = value_rows([constant] * FEW + [other])
    assert mixed.startswith("(CASE WHEN random() NOT NULL THEN 1 END, ?2), (CASE")
    assert mixed.endswith("(CASE WHEN random() NOT NULL THEN random() END, ?3)")
    assert mixed.count("NOT NULL") == FEW + 1


def test_the_parameters_that_are_left_come_as_one_list() -> None:
    sql = f"SELECT ?1, ?{LAST - 1}, '?{LAST}', \"?{LAST}\", ?{LAST}, ?{LAST + 12}"
    assert spilled_text(sql) == (
        f"SELECT ?1, ?{LAST - 1}, '?{LAST}', \"?{LAST}\", pg_parameter(?{LAST}, 0), pg_parameter(?{LAST}, 12)"
    )
    values = spilled_values(range(1, LAST + 14))
    assert len(values) == LAST
    assert values[LAST - 2 :] == (LAST - 1, Spilled(range(LAST, LAST + 14)))
