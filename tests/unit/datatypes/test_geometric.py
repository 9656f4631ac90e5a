"""Geometric types: what PostgreSQL 15 answers, recorded."""

from __future__ import annotations

import pytest

from helios_cli.engine.datatypes.registry import TYPES, by_name
from helios_cli.engine.errors import SqlError

ANSWERS = [
    ("point", " ( 1 , 2 ) ", "(1,2)"), ("point", "1.5e30,-0", "(1.5e+30,-0)"), ("point", "(nan,inf)", "(NaN,Infinity)"),
    ("lseg", "((1,2),(3,4))", "[(1,2),(3,4)]"), ("lseg", "1,2,3,4", "[(1,2),(3,4)]"),
    ("box", "(3,1),(1,5)", "(3,5),(1,1)"), ("path", "1,2,3,4", "((1,2),(3,4))"), ("path", "[(1,2)]", "[(1,2)]"),
    ("polygon", "(1,2),(3,4),(5,6)", "((1,2),(3,4),(5,6))"), ("circle", "((1,2),3)", "<(1,2),3>"),
    ("circle", "1,2,3", "<(1,2),3>"), ("line", "{1,2,3}", "{1,2,3}"), ("line", "[(1,1),(2,3)]", "{2,-1,-1}"),
    ("line", "(0,0),(0,5)", "{-1,0,0}"),
    ("box[]", "{(1,2),(3,4);(5,6),(7,8)}", "{(3,4),(1,2);(7,8),(5,6)}"),
    ("point[]", '{"(1,2)",NULL}', '{"(1,2)",NULL}'),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "shown"), ANSWERS)
def test_values_are_read_and_shown_in_both_formats(name: str, text: str, shown: str) -> None:
    found = by_name(name)
    assert found is not None
    value = found.parse_text(text)
    assert found.format_text(value).decode() == shown
    assert found.parse_binary(found.format_binary(value)) == value


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("point", "(1,2", 'invalid input syntax for type point: "(1,2"'),
        ("point", "", 'invalid input syntax for type point: ""'),
        ("lseg", "[((1,2),(3,4))]", 'invalid input syntax for type lseg: "[((1,2),(3,4))]"'),
        ("circle", "<(1,2),-1>", 'invalid input syntax for type circle: "<(1,2),-1>"'),
        ("line", "{0,0,1}", "invalid line specification: A and B cannot both be zero"),
        ("line", "[(1,1),(1,1)]", "invalid line specification: must be two distinct points"),
    ],
)
def test_what_is_no_value_is_refused_as_postgresql_does(name: str, text: str, message: str) -> None:
    found = by_name(name)
    assert found is not None
    with pytest.raises(SqlError) as caught:
        found.parse_text(text)
    assert (caught.value.sqlstate, caught.value.message) == ("22P02", message)


def test_the_binary_form_of_a_path_says_whether_it_is_closed() -> None:
    path = TYPES[602]
    assert path.format_binary("((1,2))")[:5] == b"\1\0\0\0\1"
    assert path.format_binary("[(1,2)]")[:5] == b"\0\0\0\0\1"
    with pytest.raises(SqlError) as caught:
        path.parse_binary(b"\1\0\0\0\2" + bytes(16))
    assert caught.value.sqlstate == "08P01"
