"""Where statements end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helios_cli.commands.shell.split import split, split_script


@pytest.mark.parametrize(
    ("text", "statements", "rest", "state"),
    [
        ("", (), "", "="),
        ("select 1", (), "select 1", "-"),
        ("select 1;", ("select 1",), "", "="),
        (" ; ;select 1 ; ", ("select 1",), " ", "="),
        ("select ';'; x", ("select ';'",), " x", "-"),
        ("select 'it''s;", (), "select 'it''s;", "'"),
        (r"select e'\';'; x", (r"select e'\';'",), " x", "-"),
        (r"select '\'; x", (r"select '\'",), " x", "-"),
        ('select "a;""b"; x', ('select "a;""b"',), " x", "-"),
        ('select "a', (), 'select "a', '"'),
        ("do $$ begin; end $$; x", ("do $$ begin; end $$",), " x", "-"),
        ("do $a$ $b$ ; $a$; x", ("do $a$ $b$ ; $a$",), " x", "-"),
        ("do $a$ ;", (), "do $a$ ;", "$"),
        ("select $1; x", ("select $1",), " x", "-"),
        ("select a$b$c; x", ("select a$b$c",), " x", "-"),
        ("select 1 -- ;\n; x", ("select 1 -- ;",), " x", "-"),
        ("-- only a comment;\n", (), "-- only a comment;\n", "="),
        ("/* /* ; */ ; */ select 1;", ("/* /* ; */ ; */ select 1",), "", "="),
        ("/* open ;", (), "/* open ;", "*"),
        ("create rule r as do (a; b); x", ("create rule r as do (a; b)",), " x", "-"),
        ("select (1", (), "select (1", "("),
        ("select 'ü;ß'; x", ("select 'ü;ß'",), " x", "-"),
    ],
)
def test_statements_rest_and_state(text: str, statements: tuple[str, ...], rest: str, state: str) -> None:
    cut = split(text)
    assert (cut.statements, cut.rest, cut.state) == (statements, rest, state)


def test_a_script_needs_no_last_semicolon() -> None:
    assert split_script("a; b") == ["a", "b"]
    assert split_script("a; -- end\n") == ["a"]
    assert split_script(" \n") == []


@given(st.text("a1'\"$;()-*/ \n\\e", max_size=40))
def test_no_text_is_lost_and_cutting_twice_changes_nothing(text: str) -> None:
    cut = split(text)
    position = 0
    for statement in cut.statements:
        position = text.index(statement, position) + len(statement)
    assert text.endswith(cut.rest)
    for statement in cut.statements:
        # It may end in a comment that lasts to the end of its line.
        assert split(statement + "\n;").statements == (statement,)


@given(st.lists(st.sampled_from(["select 1", "insert into t values ('a;b')", "do $x$ ; $x$", '"q;"']), max_size=5))
def test_joined_statements_come_apart_again(statements: list[str]) -> None:
    assert split_script(";\n".join(statements)) == statements
