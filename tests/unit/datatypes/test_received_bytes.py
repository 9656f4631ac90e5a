"""Binary values with bytes behind them, or that end too early: the SQLSTATEs that PostgreSQL 15 gives them."""

from __future__ import annotations

import pytest

from helios_cli.engine.datatypes import registry
from helios_cli.engine.errors import SqlError

VALUES = {
    "tsvector": "'a':1A,2 'bc'", "tsquery": "'a' & !'b' <-> 'c':*A", "hstore": '"a"=>"1", "b"=>NULL',
    "int4range": "[1,5)", "numrange": "[1.5,)", "tsrange": "empty", "int4multirange": "{[1,3),[5,6)}",
    "inet": "10.1.2.3/8", "cidr": "10.0.0.0/8", "macaddr": "08:00:2b:01:02:03", "macaddr8": "08:00:2b:01:02:03:04:05",
    "bit": "101", "varbit": "10101", "numeric": "123.456", "regclass": "1259", "_int4": "{1,NULL,3}",
}  # fmt: skip


def state(name: str, data: bytes) -> str:
    found = registry.by_internal_name(name)
    assert found is not None
    try:
        found.parse_binary(data)
    except SqlError as error:
        return error.sqlstate
    return "taken"


@pytest.mark.parametrize("name", VALUES)
def test_what_is_left_over_or_missing_is_refused(name: str) -> None:
    found = registry.by_internal_name(name)
    assert found is not None
    data = found.format_binary(found.parse_text(VALUES[name]))
    assert state(name, data) == "taken"
    behind = "08P01" if "range" in name else "22P03"
    assert state(name, data + b"\0") == state(name, data + b"abcd") == behind
    missing = "22P03" if name == "_int4" else "08P01"
    assert (state(name, data[:-1]), state(name, b"")) == (missing, "08P01")


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("tsvector", "7fff000161000000", "XX000"),
        ("tsvector", "0000000161000002c004c002", "XX000"),
        ("tsquery", "000000010101010161000000", "22P03"),
        ("tsquery", "000000010201", "XX000"),
        ("tsquery", "00000001011f006100", "XX000"),
        ("numeric", "00000000c000ff00", "22P03"),
        ("numeric", "0001000000ff00000001", "22P03"),
        ("_int4", "00000001000000000000001900000001000000010000000400000001", "42804"),
        ("_int4", "00000001000000000000431900000001000000010000000400000001", "taken"),
    ],
)
def test_what_cannot_be_is_refused(name: str, data: str, expected: str) -> None:
    assert state(name, bytes.fromhex(data)) == expected
