"""Backend messages, read back with the client's parsers; rows in every storage class."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from helios_cli.engine.datatypes.registry import TYPES
from helios_cli.engine.errors import HeliosError, ProtocolViolation, SqlError
from helios_cli.engine.sql.plan import Column
from helios_cli.engine.wire import backend, client
from helios_cli.engine.wire.rows import row_encoder, rows_encoder


def split(data: bytes) -> list[tuple[str, bytes]]:
    """Whole messages; fails when a length does not fit."""
    found = []
    while data:
        size = int.from_bytes(data[1:5], "big") + 1
        assert 5 <= size <= len(data)
        found.append((chr(data[0]), data[5:size]))
        data = data[size:]
    return found


@pytest.mark.parametrize(
    ("constant", "code"),
    [
        (backend.PARSE_COMPLETE, "1"), (backend.BIND_COMPLETE, "2"), (backend.CLOSE_COMPLETE, "3"),
        (backend.NO_DATA, "n"), (backend.PORTAL_SUSPENDED, "s"), (backend.EMPTY_QUERY, "I"), (backend.COPY_DONE, "c"),
    ],
)  # fmt: skip
def test_fixed_messages(constant: bytes, code: str) -> None:
    assert split(constant) == [(code, b"")]


def test_ready_and_authentication() -> None:
    assert split(backend.READY_IDLE + backend.READY_IN_TRANSACTION + backend.READY_FAILED) == [
        ("Z", b"I"),
        ("Z", b"T"),
        ("Z", b"E"),
    ]
    assert client.parse_auth(split(backend.AUTH_OK)[0][1]) == (0, b"")
    code, rest = client.parse_auth(split(backend.auth_sasl(["A", "B"]))[0][1])
    assert (code, client.parse_mechanisms(rest)) == (10, ["A", "B"])
    assert client.parse_auth(split(backend.auth_sasl_continue(b"x"))[0][1]) == (11, b"x")
    assert client.parse_auth(split(backend.auth_sasl_final(b"y"))[0][1]) == (12, b"y")


def test_row_description_says_type_sizes() -> None:
    columns = [Column("a", 23), Column("é", 1043, 14, 99, 2), Column("?", 4_000_000_000)]
    [(code, data)] = split(backend.row_description(columns, (1, 0, 0)))
    assert code == "T"
    described = client.parse_row_description(data)
    assert [(c.name, c.type_oid, c.typmod, c.table_oid, c.attnum, c.format) for c in described] == [
        ("a", 23, -1, 0, 0, 1),
        ("é", 1043, 14, 99, 2, 0),
        ("?", 4_000_000_000, -1, 0, 0, 0),
    ]
    assert b"\0\0\0\x17\0\4" in data


def test_an_error_carries_every_field() -> None:
    error = SqlError(
        "m\0m", sqlstate="23505", detail="d", hint="h", position=3, schema="s", table="t", column="c", datatype="y",
        constraint="n", context="COPY t, line 1",
    )  # fmt: skip
    [(code, data)] = split(backend.error_response(error))
    assert code == "E"
    assert data.startswith(b"SERROR\0VERROR\0C23505\0Mm")
    read = client.parse_error(data)
    for name in ("sqlstate", "detail", "hint", "position", "schema", "table", "column", "datatype", "constraint"):
        assert getattr(read, name) == getattr(error, name)
    assert (read.context, read.severity) == ("COPY t, line 1", "ERROR")
    assert split(backend.notice("hello", severity="WARNING"))[0] == ("N", b"SWARNING\0VWARNING\0C00000\0Mhello\0\0")
    assert client.parse_error(split(backend.error_response(ProtocolViolation("x")))[0][1]).severity == "FATAL"


def test_an_error_without_its_code_is_survived() -> None:
    assert client.parse_error(b"Mx\0\0").sqlstate == "XX000"
    assert client.parse_error(b"P99999999999999999999\0\0").position is None
    for bad in (b"", b"M", b"Mx", b"Mx\0"):
        with pytest.raises(ProtocolViolation):
            client.parse_error(bad)


def test_the_other_builders() -> None:
    assert split(backend.command_complete("SELECT 1")) == [("C", b"SELECT 1\0")]
    assert client.parse_status(split(backend.parameter_status("a", "b"))[0][1]) == ("a", "b")
    assert client.parse_key_data(split(backend.backend_key_data(7, b"keys"))[0][1]) == (7, b"keys")
    assert split(backend.parameter_description((23, 25))) == [("t", b"\0\2\0\0\0\x17\0\0\0\x19")]
    assert split(backend.negotiate_protocol_version(["_pq_.x"])) == [("v", b"\0\3\0\0\0\0\0\1_pq_.x\0")]
    assert split(backend.copy_in_response(2)) == [("G", b"\0\0\2\0\0\0\0")]
    assert split(backend.copy_out_response(1, binary=True)) == [("H", b"\1\0\1\0\1")]
    assert split(backend.copy_data(b"x")) == [("d", b"x")]
    assert split(backend.notification(1, "c", "p")) == [("A", b"\0\0\0\1c\0p\0")]


def fields(data: bytes) -> list[bytes | None]:
    [(code, row)] = split(data)
    assert code == "D"
    return client.parse_data_row(row)


def test_rows_in_text() -> None:
    encode = row_encoder((23, 25, 16, 701, 1700, 1184, 17), (0,) * 7)
    assert fields(encode((5, "é€", 1, 0.1, "1.50", 0, b"\xff"))) == [
        b"5", "é€".encode(), b"t", b"0.1", b"1.50", b"2000-01-01 00:00:00+00", b"\\xff",
    ]  # fmt: skip
    assert fields(encode((None,) * 7)) == [None] * 7


def test_rows_in_binary() -> None:
    encode = row_encoder((23, 25, 20), (1, 1, 1))
    assert fields(encode((-1, "ab", None))) == [b"\xff\xff\xff\xff", b"ab", None]
    with pytest.raises(HeliosError, match="out of range for type integer"):
        encode((2**31, "", 0))


@pytest.mark.parametrize("size", [0, 1, 2040, 2047, 2048, 5000, 100_000])
@pytest.mark.parametrize("letter", ["x", "é"])
def test_short_and_long_fields(size: int, letter: str) -> None:
    encode = row_encoder((25, 23), (0, 0))
    assert fields(encode((letter * size, 1))) == [(letter * size).encode(), b"1"]


def test_timestamps_follow_the_zone() -> None:
    encode = row_encoder((1184,), (0,), ZoneInfo("Europe/Berlin"))
    assert fields(encode((0,))) == [b"2000-01-01 01:00:00+01"]


STORAGE = [None, 0, -5, 2**62, 1.5, float("inf"), float("nan"), "", "é", "x" * 3000, "\ud800", b"", b"\xff\0"]


@pytest.mark.parametrize("oid", sorted(TYPES))
def test_no_storage_class_breaks_the_framing(oid: int) -> None:
    for value in STORAGE:
        one = row_encoder((oid, 25), (0, 0))((value, "end"))
        assert fields(one)[1] == b"end"
        assert (fields(one)[0] is None) == (value is None)
        assert rows_encoder((oid, 25), (0, 0))([(value, "end")] * 3) == one * 3
        try:
            binary = row_encoder((oid,), (1,))((value,))
        except HeliosError:
            continue
        assert len(fields(binary)) == 1


def test_no_rows_and_no_columns() -> None:
    assert rows_encoder((23,), (0,))([]) == b""
    assert fields(row_encoder((), ())(())) == []
    wide = row_encoder((23,) * 1664, (0,) * 1664)
    assert fields(wide(tuple(range(1664)))) == [str(n).encode() for n in range(1664)]


@pytest.mark.parametrize(
    "data",
    [b"", b"\0", b"\0\1", b"\0\1\0\0\0", b"\0\1\0\0\0\5abc", b"\0\1\xff\xff\xff\xfeabc", b"\0\1\x80\0\0\0", b"\0\0x"],
)
def test_a_hostile_data_row_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        client.parse_data_row(data)


def test_a_server_s_lengths_are_checked() -> None:
    for length in (0, 3, 2**31 - 1, 2**31, 2**32 - 1):
        with pytest.raises(ProtocolViolation):
            client.check_length(68, length, authenticated=True)
    with pytest.raises(ProtocolViolation):
        client.check_length(68, 30_001, authenticated=False)
