"""Clients that do not speak UTF-8; the answers are PostgreSQL 15's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from support.node_process import NodeProcess
from support.raw_wire import SYNC, RawClient, bind, copy_data, describe, execute, message, parse

Connection = psycopg.Connection[tuple[Any, ...]]
EURO = "\u20ac"


@pytest.fixture
def wire(server: NodeProcess) -> Iterator[RawClient]:
    with RawClient(server.pg_port, parameters={"client_encoding": "latin1"}) as client:
        yield client


def raw(client: RawClient, sql: bytes) -> list[Any]:
    return client.ask(message("Q", sql + b"\0"))


def test_text_is_converted_both_ways(wire: RawClient) -> None:
    assert wire.parameters["client_encoding"] == "LATIN1"
    head, row, *_ = wire_answer(wire, b"SELECT 'h\xe9'::text AS \"\xfc\", length('\xe9'), octet_length('\xe9')")
    assert head.startswith(b"\0\3\xfc\0")
    assert row == b"\0\3" + b"".join(len(part).to_bytes(4, "big") + part for part in (b"h\xe9", b"1", b"2"))
    answers = wire.ask(
        parse("SELECT $1::text, $2::text, $3::bytea, $4::jsonb", oids=(25, 25, 17, 3802)),
        bind([b"\xe9", b"\xe8", b"\xe9\xff", b'\1"\xe7"'], formats=(0, 1, 1, 1), results=(1, 0, 1, 1)),
        describe("P"), execute(), SYNC,
    )  # fmt: skip
    assert ("D", (b"\xe9", b"\xe8", b"\xe9\xff", b'\1"\xe7"')) in answers
    assert b'Mcolumn "nosuch\xe9" does not exist' in wire_answer(wire, b"SELECT nosuch\xe9")[0]


def wire_answer(client: RawClient, sql: bytes) -> list[bytes]:
    """Bodies of the messages up to CommandComplete, as they are."""
    client.send(message("Q", sql + b"\0"))
    bodies = []
    while True:
        head = client.read_exactly(5)
        bodies.append(client.read_exactly(int.from_bytes(head[1:], "big") - 4))
        if head[:1] == b"Z":
            return bodies


def test_what_has_no_equivalent(wire: RawClient) -> None:
    error, ready = raw(wire, b"SELECT chr(8364)")[-2:]
    assert (error[0], error[1]["C"], ready) == ("E", "22P05", ("Z", "I"))
    expected = 'character with byte sequence 0xe2 0x82 0xac in encoding "UTF8" has no equivalent in encoding "LATIN1"'
    assert error[1]["M"] == expected
    raw(wire, b"SET client_encoding = 'EUC_JP'")
    error = raw(wire, b"SELECT '\xe9'")[0][1]
    assert (error["C"], error["M"].partition(":")[0]) == ("22021", 'invalid byte sequence for encoding "EUC_JP"')
    raw(wire, b"SET client_encoding = 'WIN1252'")
    assert raw(wire, b"SELECT '\x80' = U&'\\20AC', '\x80'")[1] == ("D", (b"t", b"\x80"))
    answers = raw(wire, b"SET client_encoding = 'nope'")
    assert (answers[0][1]["C"], answers[0][1]["M"]) == (
        "22023", 'invalid value for parameter "client_encoding": "nope"',
    )  # fmt: skip
    raw(wire, b"SET NAMES 'UTF8'")
    assert raw(wire, f"SELECT '{EURO}'".encode())[1] == ("D", (EURO.encode(),))
    assert raw(wire, b"SELECT pg_char_to_encoding('latin1'), pg_encoding_to_char(24)")[1] == ("D", (b"8", b"WIN1252"))


def test_copy_and_its_own_encoding(wire: RawClient) -> None:
    raw(wire, b"CREATE TEMP TABLE t (a text)")
    wire.send(message("Q", b"COPY t FROM STDIN\0"))
    assert wire.receive()[0] == "G"
    wire.ask(copy_data(b"\xe9\n"), message("c"))
    wire.send(message("Q", b"COPY t FROM STDIN (FORMAT csv, ENCODING 'win1252')\0"))
    assert wire.receive()[0] == "G"
    wire.ask(copy_data(b"\x80"), copy_data(b"uro\n"), message("c"))
    assert raw(wire, b"SELECT string_agg(length(a)::text, ',' ORDER BY a) FROM t")[1] == ("D", (b"1,4",))
    sent = raw(wire, b"COPY t TO STDOUT (ENCODING 'utf8')")
    assert b"".join(body for code, body in sent if code == "d") == f"\u00e9\n{EURO}uro\n".encode()
    assert raw(wire, b"COPY t TO STDOUT")[-2][1]["C"] == "22P05"
    raw(wire, b"DELETE FROM t WHERE length(a) > 1")
    assert ("d", b"\xe9\n") in raw(wire, b"COPY t TO STDOUT")


def test_a_driver_and_prepared_statements(server: NodeProcess) -> None:
    with server.connect(client_encoding="LATIN2", prepare_threshold=0) as client:
        for binary in (False, True):
            for _ in range(3):
                cursor = client.execute("SELECT %s::text, %s", ("\u0141\u00f3d\u017a", "\u0105"), binary=binary)
                assert cursor.fetchone() == ("\u0141\u00f3d\u017a", "\u0105")
        client.execute("CREATE TABLE polish (a int PRIMARY KEY, b text)")
        with client.transaction():
            client.execute("INSERT INTO polish VALUES (1, %s)", ("\u017b",))
            assert client.execute("SELECT b FROM polish WHERE a = 1").fetchone() == ("\u017b",)
        client.execute("SET client_encoding = 'UTF8'")
        assert client.execute("SELECT b, octet_length(b) FROM polish WHERE a = 1").fetchone() == ("\u017b", 2)
