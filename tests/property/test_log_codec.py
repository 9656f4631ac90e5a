"""Laws of everything this program puts on disk: back and forth, and any change of a bit or cut is noticed."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helios_cli.engine.errors import LogDamaged
from helios_cli.engine.log.checksum import ChecksumTable
from helios_cli.engine.log.controlrecord import ControlRecord, decode_control, encode_control
from helios_cli.engine.log.record import HEADER_BYTES, decode_record, encode_record
from helios_cli.engine.log.segment import SegmentHeader, decode_segment_header, encode_segment_header, segment_name
from helios_cli.engine.types import PAGE_SIZE, Lsn, Term

u64 = st.integers(0, 2**64 - 1)
u32 = st.integers(0, 2**32 - 1)
lsns = st.builds(Lsn, u64)
terms = st.builds(Term, u64, u64)


@st.composite
def page_images(draw: st.DrawFn) -> bytes:
    """Zero, sparse, repetitive and random pages: all the ways a body is stored."""
    rng = Random(draw(u32))
    length = draw(st.sampled_from([0, 1, 100, 2000, PAGE_SIZE]))
    return rng.randbytes(length).ljust(PAGE_SIZE, draw(st.sampled_from([b"\0", b"x"])))


pages = st.dictionaries(st.integers(1, 2**32 - 1), page_images(), max_size=5)


@st.composite
def records(draw: st.DrawFn) -> bytes:
    images = draw(pages)
    return encode_record(
        images,
        term=draw(terms),
        lsn=draw(u64),
        prev_lsn=draw(u64),
        prev_term=draw(terms),
        wall_us=draw(st.integers(-(2**63), 2**63 - 1)),
        db_pages=draw(u32),
        db_checksum=draw(u64),
        committed_lsn=draw(u64),
        flushed_lsn=draw(u64),
        config_version=draw(u64),
        kind=1 if images else draw(st.integers(1, 3)),
        flags=draw(st.sampled_from([0, 2, 4, 10])) if images else 0,
    )


@given(pages, terms, terms, lsns, lsns)
def test_a_record_comes_back(images: dict[int, bytes], term: Term, prev_term: Term, lsn: Lsn, prev_lsn: Lsn) -> None:
    raw = encode_record(
        images, term=term, lsn=lsn, prev_lsn=prev_lsn, prev_term=prev_term, wall_us=0, db_pages=1, db_checksum=2
    )
    record = decode_record(b"12345678" + raw + b"more", 8, lsn=lsn)
    header = record.header
    assert (header.term, header.prev_term, header.lsn, header.prev_lsn) == (term, prev_term, lsn, prev_lsn)
    assert record.pages() == images
    assert list(record.pages()) == list(images)
    assert record.raw == raw


@settings(max_examples=200)
@given(records(), st.data())
def test_a_flipped_bit_in_a_record_is_noticed(raw: bytes, data: st.DataObject) -> None:
    bit = data.draw(st.integers(0, 8 * len(raw) - 1))
    damaged = bytearray(raw)
    damaged[bit // 8] ^= 1 << bit % 8
    with pytest.raises(LogDamaged):
        decode_record(damaged)


@given(records(), st.data())
def test_a_record_cut_short_is_noticed(raw: bytes, data: st.DataObject) -> None:
    with pytest.raises(LogDamaged):
        decode_record(raw[: data.draw(st.integers(0, len(raw) - 1))])


@given(records(), st.data())
def test_a_torn_record_over_old_bytes_is_noticed(raw: bytes, data: st.DataObject) -> None:
    """What a recycled segment holds shows through where the new bytes did not arrive."""
    old = Random(len(raw)).randbytes(len(raw))
    cut = data.draw(st.integers(0, len(raw) - 1))
    torn = raw[:cut] + old[cut:]
    if torn == raw:
        return
    with pytest.raises(LogDamaged):
        decode_record(torn)


@given(st.binary(max_size=3 * HEADER_BYTES))
def test_noise_is_no_record(noise: bytes) -> None:
    with pytest.raises(LogDamaged):
        decode_record(noise)


@given(st.binary(min_size=16, max_size=16), lsns, terms, lsns)
def test_a_segment_header_comes_back(cluster: bytes, first: Lsn, term: Term, prev: Lsn) -> None:
    header = SegmentHeader(cluster, first, term, prev)
    assert decode_segment_header(encode_segment_header(header), segment_name(first)) == header


@given(st.integers(0, 4096 * 8 - 1))
def test_a_flipped_bit_in_a_segment_header_is_noticed(bit: int) -> None:
    data = bytearray(encode_segment_header(SegmentHeader(bytes(16), Lsn(5), Term(1, 2), Lsn(3))))
    data[bit // 8] ^= 1 << bit % 8
    with pytest.raises(LogDamaged):
        decode_segment_header(bytes(data), segment_name(5))


controls = st.builds(
    ControlRecord,
    cluster_id=st.binary(min_size=16, max_size=16),
    incarnation=st.binary(min_size=16, max_size=16),
    term=terms,
    voted_for=st.text(max_size=40),
    clean=st.booleans(),
    checkpoint_lsn=lsns,
    flushed_lsn=lsns,
    committed_lsn=lsns,
    state=st.text(max_size=40),
    db_pages=u32,
    db_checksum=u64,
    checksum_file=st.sampled_from([-1, 0, 1]),
)


@given(controls, u64)
def test_a_control_record_comes_back(record: ControlRecord, sequence: int) -> None:
    assert decode_control(encode_control(record, sequence)) == (record, sequence)


@given(controls, st.integers(0, 4096 * 8 - 1))
def test_a_flipped_bit_in_a_control_slot_is_noticed(record: ControlRecord, bit: int) -> None:
    data = bytearray(encode_control(record, 9))
    data[bit // 8] ^= 1 << bit % 8
    with pytest.raises(LogDamaged):
        decode_control(bytes(data))


@given(st.lists(st.dictionaries(st.integers(1, 12), page_images(), max_size=4), max_size=6), st.data())
def test_the_checksum_table_agrees_with_a_scan(changes: list[dict[int, bytes]], data: st.DataObject) -> None:
    table, single, model = ChecksumTable(), ChecksumTable(), list[bytes]()
    for change in changes:
        size = data.draw(st.integers(0, 12))
        model = (model + [bytes(PAGE_SIZE)] * size)[:size]
        for number, image in change.items():
            if number <= size:
                model[number - 1] = image
        table.apply(change, size)
        for number, image in change.items():
            single.apply_page(number, image, size)
        assert single.apply({}, size) == table.total
    assert table.total == ChecksumTable.scan([b"".join(model)], len(model)).total
    assert ChecksumTable.from_bytes(table.to_bytes())[0].total == table.total
