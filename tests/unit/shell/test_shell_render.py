"""Results as text."""

from __future__ import annotations

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helios_cli.commands.shell.meta import catalog_query, like, switch
from helios_cli.commands.shell.render import Table, aligned, as_csv, as_json_lines, expanded, json_value, width

SAMPLE = Table(("id", "name"), (23, 25), [("1", "a'b"), ("20", None), ("3", "two\nlines")], "SELECT 3")


def test_aligned_is_what_psql_prints() -> None:
    assert aligned(SAMPLE) == (" id | name\n----+-------\n  1 | a'b\n 20 |\n  3 | two  +\n    | lines\n(3 rows)")
    assert aligned(Table(("a",), (23,), [("1",)], "SELECT 1")).endswith("(1 row)")
    assert aligned(Table(("a",), (23,), [], "SELECT 0")) == " a\n---\n(0 rows)"


def test_wide_characters_take_two_columns_and_control_characters_are_shown() -> None:
    assert width("日本") == 4
    assert width("e\u0301") == 1
    text = aligned(Table(("x",), (25,), [("日本",), ("\x1b[31m",)], "SELECT 2"))
    assert "\\x1B[31m" in text and "\x1b" not in text


def test_expanded() -> None:
    assert expanded(SAMPLE).splitlines()[:3] == ["-[ RECORD 1 ]+--------------------", "id   | 1", "name | a'b"]
    assert expanded(Table(("a",), (23,), [], "SELECT 0")) == "(0 rows)"


def test_csv_tells_null_from_an_empty_text() -> None:
    table = Table(("a", "b"), (25, 25), [("", None), (None, 'q"x'), ("", 'q",x')], "SELECT 3")
    assert as_csv(table) == 'a,b\n"",\n,"q""x"\n"","q"",x"'
    assert as_csv(Table(("a",), (25,), [(None,), ("",)], "SELECT 2")) == 'a\n\n""'


@given(st.lists(st.tuples(st.text(st.characters(codec="utf-8", exclude_characters="\0\r")), st.text("a,\"\n '"))))
def test_csv_reads_back(rows: list[tuple[str, str]]) -> None:
    text = as_csv(Table(("a", "b"), (25, 25), rows, "SELECT"))
    assert [tuple(row) for row in csv.reader(io.StringIO(text + "\n"))][1:] == rows


@pytest.mark.parametrize(
    ("text", "oid", "value"),
    [
        ("9007199254740993", 20, 9007199254740993),
        ("1.5", 701, 1.5),
        ("NaN", 701, "NaN"),
        ("1.10", 1700, "1.10"),
        ("t", 16, True),
        ("f", 16, False),
        ('{"a": [1]}', 3802, {"a": [1]}),
        (None, 23, None),
        ("x", 25, "x"),
    ],
)
def test_json_values_lose_nothing(text: str | None, oid: int, value: object) -> None:
    assert json_value(text, oid) == value


def test_json_lines() -> None:
    assert [json.loads(line) for line in as_json_lines(SAMPLE).splitlines()] == [
        {"id": 1, "name": "a'b"},
        {"id": 20, "name": None},
        {"id": 3, "name": "two\nlines"},
    ]
    assert as_json_lines(Table((), (), [], "INSERT 0 1")) == '{"tag": "INSERT 0 1"}'


def test_backslash_commands_become_queries() -> None:
    tables = catalog_query("\\dt", "s.a_b*")
    assert tables is not None and "LIKE 's'" in tables and "LIKE 'a\\_b%'" in tables
    assert catalog_query("\\d", "t") is None, "describes one relation"
    assert catalog_query("\\q", "") is None
    assert "pg_database" in str(catalog_query("\\l+", ""))
    assert like('"Mixed*"') == "Mixed%"
    assert like("UPPER?") == "upper_"


def test_switches() -> None:
    assert switch(False, "") is True
    assert switch(True, " off ") is False
    with pytest.raises(ValueError, match="on or off"):
        switch(True, "perhaps")
