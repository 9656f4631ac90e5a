"""Binary COPY: what it is refused with, and a fast path for nobody's hostile lengths."""

from __future__ import annotations

import struct

import pytest

from helios_cli.engine.errors import HeliosError
from helios_cli.engine.wire.copy_binary import HEADER, BinaryParser
from helios_cli.engine.wire.copy_options import CopyColumn

COLUMNS = [CopyColumn("a", 23), CopyColumn("b", 1043, 7)]
ROW = b"\0\2\0\0\0\4\0\0\0\5\0\0\0\1x"


def refused(data: bytes) -> tuple[str, str, str | None]:
    parser = BinaryParser("t", COLUMNS)
    with pytest.raises(HeliosError) as failed:
        parser.feed(data)
        parser.finish()
    return failed.value.sqlstate, failed.value.message, failed.value.context


def test_rows_and_nulls() -> None:
    parser = BinaryParser("t", COLUMNS)
    assert parser.feed(HEADER + ROW + b"\0\2\xff\xff\xff\xff\xff\xff\xff\xff" + b"\xff\xff") == [(5, "x"), (None, None)]
    assert parser.finish() == []
    assert parser.line_no == 2


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", ("22P04", "COPY file signature not recognized", None)),
        (b"not a header at all, really", ("22P04", "COPY file signature not recognized", None)),
        (HEADER[:11] + b"\0\1\0\0" + bytes(4), ("22P04", "invalid COPY file header (WITH OIDS)", None)),
        (HEADER[:11] + b"\0\2\0\0" + bytes(4), ("22P04", "unrecognized critical flags in COPY file header", None)),
        (HEADER[:15] + b"\xff\xff\xff\xff", ("22P04", "invalid COPY file header (missing length)", None)),
        (HEADER + b"\0\1", ("22P04", "row field count is 1, expected 2", "COPY t, line 1")),
        (HEADER + ROW + b"\0\2\0", ("22P04", "unexpected EOF in COPY data", "COPY t, line 2")),
        (HEADER + b"\xff\xffx", ("22P04", "received copy data after EOF marker", None)),
        (
            HEADER + b"\0\2\0\0\0\3abc" + ROW[10:],
            ("08P01", "insufficient data left in message", "COPY t, line 1, column a"),
        ),
        (
            HEADER + ROW[:10] + b"\0\0\0\4abcd",
            ("22001", "value too long for type character varying(3)", "COPY t, line 1, column b"),
        ),
    ],
)
def test_refusals(data: bytes, expected: tuple[str, str, str | None]) -> None:
    assert refused(data) == expected


@pytest.mark.parametrize("length", [2**30, 2**31 - 1, 2**31, 2**32 - 2])
def test_no_field_of_impossible_length_is_waited_for(length: int) -> None:
    found = refused(HEADER + b"\0\2" + struct.pack("!I", length))
    assert found == ("22P04", "invalid field size", "COPY t, line 1, column a")
