"""The one-byte "char", tid, and what xml prints; as PostgreSQL 15 answers."""

from __future__ import annotations

import pytest

from helios_cli.engine.datatypes.numeric import format_numeric_binary, parse_numeric_binary
from helios_cli.engine.datatypes.system_types import (
    format_char_binary,
    format_tid,
    format_tid_binary,
    format_xml,
    parse_char,
    parse_char_binary,
    parse_tid,
    parse_tid_binary,
)
from helios_cli.engine.errors import SqlError


@pytest.mark.parametrize(
    ("text", "kept"),
    [("é", r"\303"), (r"\303", r"\303"), (r"\303abc", "\\"), (r"\101", "A"), (r"\400", ""), ("abc", "a"), ("", "")],
)
def test_a_char_is_one_byte(text: str, kept: str) -> None:
    assert parse_char(text) == kept


def test_every_byte_of_a_char_survives_the_binary_form() -> None:
    for byte in range(256):
        assert format_char_binary(parse_char_binary(bytes([byte]))) == bytes([byte])


def test_the_place_of_a_row() -> None:
    place = 42 << 16 | 43
    assert parse_tid("(42,43)") == place
    assert format_tid(place) == b"(42,43)"
    assert format_tid_binary(place) == b"\0\0\0*\0+"
    assert parse_tid_binary(b"\0\0\0*\0+") == place
    for number in (1, -1, 1 << 62, -(1 << 63)):
        assert parse_tid(format_tid(number).decode()) == number
    with pytest.raises(SqlError, match="out of range"):
        format_tid_binary(-1)
    for text in ("( 3 , 4 )", "(1,70000)", "(1)", "1,2"):
        with pytest.raises(SqlError, match="invalid input syntax for type tid"):
            parse_tid(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('<?xml version="1.0"?><a/>', b"<a/>"),
        ('<?xml version="1.0" encoding="utf-8"?>\n<a/>', b"<a/>"),
        ('<?xml version="1.0" standalone="no"?>\n<a/>', b'<?xml version="1.0" standalone="no"?>\n<a/>'),
        ('<?xml version="1.1"?><a/>', b'<?xml version="1.1"?><a/>'),
        ("<a/>", b"<a/>"),
    ],
)
def test_the_declaration_of_a_document(text: str, shown: bytes) -> None:
    assert format_xml(text) == shown


def test_a_numeric_of_more_than_32767_groups() -> None:
    text = "1" + "0" * 131071 + "." + "0" * 16382 + "1"
    assert parse_numeric_binary(format_numeric_binary(text)) == text
