"""docs/FORMAT.md against the code: the tables against what the codecs write, the hex example against the codecs.

Run this file as a script to write the examples anew after a change of the format.
"""

from __future__ import annotations

import dataclasses
import re
import struct
from pathlib import Path
from typing import Any

import pytest

from helios_cli.engine.log import checksum, controlrecord, record, segment
from helios_cli.engine.log.checksum import ChecksumTable
from helios_cli.engine.log.controlrecord import ControlRecord, encode_control
from helios_cli.engine.log.encoder import MAX_PART_PAGES
from helios_cli.engine.log.record import Flags, Kind, decode_record, encode_record
from helios_cli.engine.log.segment import SegmentHeader, encode_segment_header
from helios_cli.engine.replication import copying, forwarding, messages
from helios_cli.engine.storage.pagelog import SEGMENT_BYTES
from helios_cli.engine.types import LOCK_BYTE_PAGE, PAGE_SIZE, Lsn, Term
from helios_cli.engine.wire import peer

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "FORMAT.md"
CLUSTER = bytes(range(0x10, 0x20))
TERM = Term(1, 0x1122334455667788)
HELLO = messages.Hello(
    "n2", CLUSTER.hex(), bytes(16).hex(), "standby", "10.0.0.2", 5432, 5433, 8080, "async", "ab" * 16, True
).to_body()
CHALLENGE = messages.Challenge("cd" * 16, True).to_body()
HEARTBEAT = messages.Heartbeat(Lsn(0x1000), Lsn(0x2000), 1_700_000_000_000_000)
JSON_OF: dict[peer.Kind, Any] = {
    peer.Kind.SNAPSHOT: copying.Snapshot,
    peer.Kind.SESSION: forwarding.OpenSession,
    peer.Kind.CANCEL: forwarding.CancelSession,
}
"""Messages that are not named as their kind."""


def example_record() -> bytes:
    pages = {number: b"HeliosDB page %d " % number * 256 for number in (2, 3)}
    pages = {number: data[:PAGE_SIZE] for number, data in pages.items()}
    table = ChecksumTable()
    total = table.apply({1: b"\1" * PAGE_SIZE} | pages, 3)
    return encode_record(
        pages,
        term=TERM,
        lsn=0,
        prev_lsn=0,
        prev_term=Term(0),
        wall_us=1_700_000_000_000_000,
        db_pages=3,
        db_checksum=total,
        config_version=1,
    )


def example_segment() -> bytes:
    return encode_segment_header(SegmentHeader(CLUSTER, Lsn(0), TERM, Lsn(0)))


def hex_lines(data: bytes, skip: range = range(0)) -> str:
    """Sixteen bytes a line with their offset; lines wholly inside ``skip`` are left out."""
    lines = []
    for at in range(0, len(data), 16):
        if at in skip and at + 15 in skip:
            continue
        chunk = data[at : at + 16]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in chunk)
        lines.append(f"{at:04x}  {chunk.hex(' '):<47}  {text}".rstrip())
    return "\n".join(lines)


def examples() -> dict[str, str]:
    return {
        "record": hex_lines(example_record()),
        "segment": hex_lines(example_segment(), range(64, 4080)),
        "hello": hex_lines(peer.preface() + peer.encode_frame(peer.Kind.HELLO, Term(0), HELLO, compress=False)),
        "proof": hex_lines(
            peer.encode_frame(peer.Kind.CHALLENGE, Term(0), CHALLENGE, compress=False)
            + peer.encode_frame(peer.Kind.PROOF, Term(0), example_proof(), compress=False)
        ),
        "heartbeat": hex_lines(peer.encode_frame(peer.Kind.HEARTBEAT, TERM, HEARTBEAT.to_body(), compress=False)),
    }


def example_proof() -> bytes:
    return messages.Proof(messages.prove(b"an example's secret", "caller", HELLO, CHALLENGE)).to_body()


def block(name: str, text: str) -> re.Match[str]:
    found = re.search(rf"<!-- example: {name} -->\n(.*?)<!-- end -->", text, re.S)
    assert found is not None
    return found


def table_rows(name: str) -> list[tuple[str, str, str]]:
    text = DOCUMENT.read_text()
    _, _, rest = text.partition(f"<!-- table: {name} -->\n")
    rows = [line.strip("| ").split(" | ") for line in rest.partition("\n\n")[0].splitlines()[2:]]
    return [(offset.strip(), length.strip(), field) for offset, length, field in rows]


def fixed_layout(name: str) -> list[tuple[int, int]]:
    """The offsets and lengths of a table that are plain numbers."""
    return [(int(o), int(n)) for o, n, _ in table_rows(name) if o.isdecimal() and n.isdecimal()]


def struct_layout(packed: struct.Struct) -> list[tuple[int, int]]:
    """Offset and length of each field of a struct."""
    codes = re.findall(r"\d*[a-zA-Z]", packed.format.lstrip("<"))
    single = [code for item in codes for code in expand(item)]
    layout, at = [], 0
    for code in single:
        length = struct.calcsize("<" + code)
        layout.append((at, length))
        at += length
    return layout


def expand(item: str) -> list[str]:
    return [item] if item[-1] in "sx" else [item[-1]] * int(item[:-1] or 1)


@pytest.mark.parametrize("name", ["record", "segment", "hello", "proof", "heartbeat"])
def test_the_examples_are_what_the_code_writes(name: str) -> None:
    assert block(name, DOCUMENT.read_text())[1] == f"```\n{examples()[name]}\n```\n"


def test_the_example_reads_back() -> None:
    lines = block("record", DOCUMENT.read_text())[1].splitlines()[1:-1]
    data = b"".join(bytes.fromhex(line[6:53]) for line in lines)
    decoded = decode_record(data)
    assert decoded.page_numbers() == (2, 3)
    assert decoded.pages()[3].startswith(b"HeliosDB page 3 ")


@pytest.mark.parametrize(
    ("name", "fields", "tail"),
    [
        ("record", record._FIELDS, [(124, 4)]),
        ("segment", segment._FIELDS, [(56, 4036), (4092, 4)]),
        ("checksums", checksum._HEADER, []),
        ("control", controlrecord._FIELDS, [(4092, 4)]),
        ("frame", peer._HEADER, [(24, 4)]),
        ("records", messages._RECORDS, []),
        ("heartbeat", messages._HEARTBEAT, []),
        ("acknowledge", messages._ACKNOWLEDGE, []),
        ("observed", messages._OBSERVED, []),
        ("preface", struct.Struct("<6sBB"), []),
    ],
)
def test_the_tables_are_the_layout_of_the_code(name: str, fields: struct.Struct, tail: list[tuple[int, int]]) -> None:
    assert fixed_layout(name) == struct_layout(fields) + tail


def test_the_variable_rows_begin_where_the_fixed_ones_end() -> None:
    rows = table_rows("control")
    assert [offset for offset, _, _ in rows[-3:-1]] == ["106", "106 + *v*"]
    slot = encode_control(ControlRecord(CLUSTER, bytes(16), voted_for="node-2", state="rewinding to 0/0"), 1)
    assert slot[106:112] == b"node-2"
    assert slot[112:128] == b"rewinding to 0/0"
    table = ChecksumTable.scan([b"x" * PAGE_SIZE], 1).to_bytes(5)
    assert table_rows("checksums")[-2][:2] == ("32", "8 \N{MULTIPLICATION SIGN} *p*")
    assert struct.unpack_from("<Q", table, 32)[0] == struct.unpack_from("<Q", table, 24)[0]
    assert len(table) == 32 + 8 + 4


def test_the_numbers_in_the_text_are_those_of_the_code() -> None:
    text = DOCUMENT.read_text()
    rows = {row[0]: row[2] for row in table_rows("record")}
    assert rows["5"] == "kind: " + ", ".join(f"{kind.value} {kind.name}" for kind in Kind)
    assert rows["8"] == "flags: " + ", ".join(f"{flag.value} {flag.name}" for flag in Flags)
    assert rows["0"] == f"magic `{record.MAGIC.decode()}`"
    for name, module in (("segment", segment), ("checksums", checksum), ("control", controlrecord)):
        assert table_rows(name)[0][2] == f"magic `{module.MAGIC.decode()}`"
        assert table_rows(name)[1][2] == f"format version, {module.VERSION}"
    assert rows["4"] == f"format version, {record.VERSION}"
    assert f"lock-byte page {LOCK_BYTE_PAGE}" in text
    assert f"preallocated file, {SEGMENT_BYTES >> 20} MiB by default" in text
    assert f"more than {MAX_PART_PAGES} changed pages" in text
    assert f"a header of {record.HEADER_BYTES} bytes" in text


def message_rows() -> list[list[str]]:
    _, _, rest = DOCUMENT.read_text().partition("<!-- table: messages -->\n")
    return [line.strip("| ").split(" | ") for line in rest.partition("\n\n")[0].splitlines()[2:]]


def test_every_message_has_its_row() -> None:
    assert [(int(row[0]), row[1]) for row in message_rows()] == sorted((kind.value, kind.name) for kind in peer.Kind)
    assert all(len(row) == 5 and row[2] in ("up", "down", "both") and row[4] for row in message_rows())


@pytest.mark.parametrize("kind", peer.Kind, ids=lambda kind: kind.name)
def test_the_row_of_a_message_names_its_fields(kind: peer.Kind) -> None:
    body = next(row[3] for row in message_rows() if row[1] == kind.name)
    name = kind.name.title().replace("_", "")
    message = JSON_OF.get(kind) or getattr(messages, name, None) or getattr(forwarding, name, None)
    if message is None or hasattr(messages, f"_{kind.name}"):
        assert "JSON" not in body
    else:
        fields = [field.name for field in dataclasses.fields(message)]
        assert re.findall(r"`(\w+)`", body.partition("JSON: ")[2]) == fields


def test_the_limits_between_nodes_are_those_of_the_code() -> None:
    text = DOCUMENT.read_text()
    assert fixed_layout("frame")[-1] == (24, 4)
    assert peer.HEADER_BYTES == 28
    assert f"at most {peer.BODY_MAX} |" in text
    assert f"than {peer.BODY_MAX}, or {messages.HANDSHAKE_MAX} before the handshake is over" in text
    assert f"Bodies of {peer.COMPRESS_FROM} bytes and more are compressed" in text
    assert f"printable and at most {messages.TEXT_MAX} characters" in text
    assert f"at most {copying.HASHES_MAX}. WANT_PAGES are at most {copying.PAGES_MAX} page numbers" in text
    assert f"This page describes version {peer.VERSION_MAX}" in text
    assert peer.VERSION_MIN == peer.VERSION_MAX
    for bare in (peer.MAGIC, peer.TLS_WANTED, peer.TLS_UNKNOWN, peer.PULSE_WANTED):
        assert f"`{bare.decode()}`" in text


if __name__ == "__main__":
    document = DOCUMENT.read_text()
    for name, lines in examples().items():
        found = block(name, document)
        document = f"{document[: found.start(1)]}```\n{lines}\n```\n{document[found.end(1) :]}"
    DOCUMENT.write_text(document)
