"""A batch of records is read as its records are one by one, and refused for whatever they are refused for."""

from __future__ import annotations

import struct
from collections.abc import Callable
from itertools import pairwise
from random import Random

import pytest
from google_crc32c import value as crc32c
from hypothesis import given, settings
from hypothesis import strategies as st

from helios_cli.engine.errors import LogDamaged
from helios_cli.engine.log.batch import Batch
from helios_cli.engine.log.encoder import RecordEncoder
from helios_cli.engine.log.record import HEADER_BYTES, Record, RecordDamaged, decode_record
from helios_cli.engine.log.walindex import bytes_for, put
from helios_cli.engine.types import PAGE_SIZE, Lsn, Term

FIRST_LSN = Lsn(4096)
Make = Callable[[RecordEncoder, Random], bytes]


def data(encoder: RecordEncoder, rng: Random) -> bytes:
    """A group's record: no page, one or some, that compress or do not."""
    count = rng.choice((0, 1, 1, 1, 2, 5))
    numbers = rng.sample(range(1, 50), count)
    images = {n: rng.randbytes(rng.choice((0, 900, PAGE_SIZE))).ljust(PAGE_SIZE, b"x") for n in numbers}
    return encoder.data(images, rng.randrange(1, 60), rng.getrandbits(64), rng.randrange(1 << 40))


def chain(encoder: RecordEncoder, rng: Random) -> bytes:
    images = [(n, rng.randbytes(100).ljust(PAGE_SIZE, b"y")) for n in range(1, rng.randrange(3, 9))]
    return b"".join(encoder.chain(images, 60, lambda part, size: rng.getrandbits(64), 5, part_pages=2))


def new_term(encoder: RecordEncoder, rng: Random) -> bytes:
    encoder.term = Term(encoder.term.number + 1, rng.getrandbits(64))
    return encoder.term_start(1)


def seal(encoder: RecordEncoder, rng: Random) -> bytes:
    return encoder.seal(2)


def config(encoder: RecordEncoder, rng: Random) -> bytes:
    return encoder.config(rng.randrange(100), b"{}" * rng.randrange(1, 9), 3)


kinds: st.SearchStrategy[Make] = st.sampled_from([data, data, data, data, chain, new_term, seal, config])


@st.composite
def logs(draw: st.DrawFn) -> list[bytes]:
    """Some records, each the one that follows the last."""
    rng = Random(draw(st.integers(0, 2**32)))
    encoder = RecordEncoder(Term(3, 33), last=None, db_pages=0, db_checksum=0, first_lsn=FIRST_LSN)
    whole = b"".join(make(encoder, rng) for make in draw(st.lists(kinds, min_size=1, max_size=8)))
    return [record.raw for record in decoded(whole)]


def decoded(whole: bytes) -> list[Record]:
    found, at = [], 0
    while at < len(whole):
        found.append(decode_record(whole, at))
        at += found[-1].header.length
    return found


@settings(deadline=None)
@given(logs(), st.booleans())
def test_a_batch_holds_what_its_records_hold(raws: list[bytes], behind_another: bool) -> None:
    records = decoded(b"".join(raws))
    last = records.pop(0).header if behind_another and len(records) > 1 else None
    whole = b"".join(record.raw for record in records)
    batch = Batch(whole, records[0].header.lsn, last)
    assert [batch.header(change) for change in batch.changes] == [record.header for record in records]
    assert [batch.record(change) for change in batch.changes] == records
    for change, (header, _), record in zip(batch.changes, records, records, strict=True):
        assert (change.end, change.db_pages, change.db_checksum) == (header.end, header.db_pages, header.db_checksum)
        pages = batch.pages(change) if header.kind.name == "DATA" else {}
        assert [(number, bytes(image)) for number, image in pages.items()] == list(record.pages().items())
        if change.pages == 1:
            assert [batch.page(change)] == list(record.pages().items())


@settings(max_examples=200, deadline=None)
@given(logs(), st.data())
def test_a_flipped_bit_in_a_batch_is_noticed(raws: list[bytes], choice: st.DataObject) -> None:
    damaged = bytearray(b"".join(raws))
    bit = choice.draw(st.integers(0, 8 * len(damaged) - 1))
    damaged[bit // 8] ^= 1 << bit % 8
    with pytest.raises(RecordDamaged):
        Batch(bytes(damaged), FIRST_LSN, None)


@settings(deadline=None)
@given(logs(), st.data())
def test_a_batch_cut_short_is_noticed(raws: list[bytes], choice: st.DataObject) -> None:
    whole = b"".join(raws)
    cut = choice.draw(st.integers(len(whole) - len(raws[-1]) + 1, len(whole) - 1))
    with pytest.raises(RecordDamaged):
        Batch(whole[:cut], FIRST_LSN, None)


def three(rng: Random) -> list[bytes]:
    encoder = RecordEncoder(Term(3, 33), last=None, db_pages=0, db_checksum=0, first_lsn=FIRST_LSN)
    return [encoder.data({n: rng.randbytes(PAGE_SIZE)}, 9, n, n) for n in (1, 2, 3)]


def test_records_that_are_missing_or_come_twice_are_noticed() -> None:
    one, two, following = three(Random(1))
    for wrong in (one + following, one + two + two, two + one):
        with pytest.raises(LogDamaged):
            Batch(wrong, FIRST_LSN, None)
    assert len(Batch(one + two + following, FIRST_LSN, None).changes) == 3


@pytest.mark.parametrize("field", ["term", "term_id", "prev_term", "prev_term_id", "prev_lsn"])
def test_a_record_of_another_history_is_noticed(field: str) -> None:
    offset = {"term": 16, "term_id": 24, "prev_lsn": 40, "prev_term": 48, "prev_term_id": 56}[field]
    one, two, following = three(Random(2))
    forged = sealed(two, offset, struct.unpack_from("<Q", two, offset)[0] + 1)
    decode_record(forged)
    with pytest.raises(LogDamaged, match="does not continue"):
        Batch(one + forged + following, FIRST_LSN, None)
    with pytest.raises(LogDamaged, match="does not continue"):
        Batch(following, decode_record(following).header.lsn, decode_record(one).header)


def test_a_record_of_another_place_is_noticed() -> None:
    one, two, _ = three(Random(4))
    with pytest.raises(RecordDamaged, match="it belongs at"):
        Batch(one + sealed(two, 32, 8), FIRST_LSN, None)


@pytest.mark.parametrize(
    ("offset", "width"), [(12, 100), (108, 100), (12, PAGE_SIZE), (108, PAGE_SIZE), (112, PAGE_SIZE)]
)
def test_a_header_that_contradicts_itself_is_noticed(offset: int, width: int) -> None:
    rng = Random(3)
    encoder = RecordEncoder(Term(3, 33), last=None, db_pages=0, db_checksum=0, first_lsn=FIRST_LSN)
    one, two = (encoder.data({1: rng.randbytes(width).ljust(PAGE_SIZE, b"x")}, 9, 9, 9) for _ in range(2))
    forged = sealed(two, offset, struct.unpack_from("<I", two, offset)[0] + 1, "<I")
    with pytest.raises(RecordDamaged, match="contradicts itself"):
        Batch(one + forged, FIRST_LSN, None)


def test_a_body_that_does_not_unpack_is_noticed() -> None:
    encoder = RecordEncoder(Term(3, 33), last=None, db_pages=0, db_checksum=0, first_lsn=FIRST_LSN)
    record = bytearray(encoder.data({1: bytes(PAGE_SIZE)}, 1, 2, 3))
    record[HEADER_BYTES + 4 : HEADER_BYTES + 8] = b"\xff\xff\xff\xff"
    forged = sealed(bytes(record), 120, crc32c(bytes(record[HEADER_BYTES:])), "<I")
    batch = Batch(forged, FIRST_LSN, None)
    for read in (batch.pages, batch.page):
        with pytest.raises(RecordDamaged):
            read(batch.changes[0])


def sealed(record: bytes, offset: int, value: int, form: str = "<Q") -> bytes:
    """The record with a field changed and its checksums right again."""
    forged = bytearray(record)
    struct.pack_into(form, forged, offset, value)
    if offset == 120:
        struct.pack_into("<I", forged, 116, value)
        struct.pack_into("<I", forged, 120, 0)
    struct.pack_into("<I", forged, HEADER_BYTES - 4, crc32c(bytes(forged[: HEADER_BYTES - 4])))
    return bytes(forged)


@pytest.mark.parametrize("seed", range(4))
def test_frames_are_found_however_many_are_noted_at_once(seed: int) -> None:
    rng = Random(seed)
    pages = [rng.randrange(1, 5000) for _ in range(9000)]
    cuts = {0, 9000, *(rng.randrange(9000) for _ in range(5))}
    at_once, in_steps = bytearray(bytes_for(9000)), bytearray(bytes_for(9000))
    with memoryview(at_once) as memory:
        put(memory, 1, pages)
    with memoryview(in_steps) as memory:
        for begin, end in pairwise(sorted(cuts)):
            put(memory, begin + 1, pages[begin:end])
    assert at_once == in_steps
