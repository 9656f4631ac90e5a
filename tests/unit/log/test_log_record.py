"""The record codec: every field back, and a reason for every kind of damage."""

from __future__ import annotations

import struct

import pytest
from google_crc32c import value as crc32c

from helios_cli.engine.errors import LogDamaged
from helios_cli.engine.log.chain import ChainTracker
from helios_cli.engine.log.encoder import MAX_PART_PAGES, RecordEncoder, split_chain
from helios_cli.engine.log.record import (
    HEADER_BYTES,
    Flags,
    Kind,
    Record,
    RecordDamaged,
    decode_header,
    decode_record,
    encode_record,
    max_record_bytes,
    peek_length,
    peek_lsn,
)
from helios_cli.engine.types import PAGE_SIZE, Lsn, Position, Term

PAGE = b"compressible ".ljust(PAGE_SIZE, b".")


def noise(seed: int) -> bytes:
    """A page that LZ4 cannot make smaller."""
    out = bytearray()
    state = seed or 1
    while len(out) < PAGE_SIZE:
        state = (state * 6364136223846793005 + 1442695040888963407) & 0xFFFFFFFFFFFFFFFF
        out += (state >> 16).to_bytes(6, "little")
    return bytes(out[:PAGE_SIZE])


def sample(pages: dict[int, bytes] | None = None) -> bytes:
    return encode_record(
        {7: PAGE} if pages is None else pages,
        term=Term(3, 0xAAAA),
        lsn=0x1000,
        prev_lsn=0xF00,
        prev_term=Term(2, 0xBBBB),
        wall_us=1_700_000_000_000_000,
        config_version=5,
        committed_lsn=0xE00,
        flushed_lsn=0xF80,
        db_pages=9,
        db_checksum=0xDEADBEEF,
    )


def reseal(record: bytes, at: int, patch: bytes) -> bytes:
    """Change header bytes and make the header checksum right again."""
    header = bytearray(record[:HEADER_BYTES])
    header[at : at + len(patch)] = patch
    header[-4:] = struct.pack("<I", crc32c(bytes(header[:-4])))
    return bytes(header) + record[HEADER_BYTES:]


def test_every_field_comes_back() -> None:
    header = decode_header(sample())
    assert header.kind is Kind.DATA
    assert header.flags == Flags.LZ4
    assert header.page_count == 1
    assert (header.term, header.prev_term) == (Term(3, 0xAAAA), Term(2, 0xBBBB))
    assert (header.lsn, header.prev_lsn) == (Lsn(0x1000), Lsn(0xF00))
    assert header.wall_us == 1_700_000_000_000_000
    assert header.config_version == 5
    assert (header.committed_lsn, header.flushed_lsn) == (Lsn(0xE00), Lsn(0xF80))
    assert (header.db_pages, header.db_checksum) == (9, 0xDEADBEEF)
    assert header.raw_length == PAGE_SIZE
    assert header.end == Lsn(0x1000 + len(sample()))
    assert header.position == Position(Term(3, 0xAAAA), header.end, 0xDEADBEEF)


def test_records_are_padded_to_eight_bytes_and_lengths_can_be_peeked() -> None:
    for count in range(5):
        record = sample({number + 1: PAGE[: number * 7].ljust(PAGE_SIZE, b"!") for number in range(count)})
        assert len(record) % 8 == 0
        assert peek_length(record) == len(record) == decode_header(record).length
        assert peek_lsn(record) == 0x1000
        assert len(record) <= max_record_bytes(count)


def test_pages_that_do_not_compress_are_stored_as_they_are() -> None:
    pages = {1: noise(1), 5: noise(2)}
    record = decode_record(sample(pages))
    assert record.header.flags == 0
    assert len(record.raw) == HEADER_BYTES + 2 * 4 + 2 * PAGE_SIZE <= max_record_bytes(2)
    assert record.pages() == pages
    assert record.page_numbers() == (1, 5)


def test_memory_views_and_offsets_work_as_well() -> None:
    data = b"before--" + sample({3: PAGE, 2: noise(3)})
    record = decode_record(memoryview(bytearray(data)), 8, lsn=Lsn(0x1000))
    assert list(record.pages()) == [3, 2]
    view = memoryview(bytearray(PAGE))
    assert encode_record(
        {7: view}, term=Term(1), lsn=0, prev_lsn=0, prev_term=Term(0), wall_us=0, db_pages=7, db_checksum=0
    ) == encode_record(
        {7: PAGE}, term=Term(1), lsn=0, prev_lsn=0, prev_term=Term(0), wall_us=0, db_pages=7, db_checksum=0
    )


def test_a_page_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="not 1 pages of 4096"):
        sample({1: b"short"})


@pytest.mark.parametrize(
    ("damaged", "reason"),
    [
        (sample()[: HEADER_BYTES - 1], "cut short"),
        (sample()[:-8], "cut short"),
        (b"\0" * 4096, "does not begin as a record does"),
        (b"\xff" + sample()[1:], "does not begin as a record does"),
        (sample()[:40] + b"\x01" + sample()[41:], "header checksum"),
        (sample()[:-1] + b"\x01", "body checksum"),
        (reseal(sample(), 5, b"\x09"), "contradicts itself"),
        (reseal(sample(), 5, b"\x02"), "contradicts itself"),
        (reseal(sample(), 8, b"\x40"), "contradicts itself"),
        (reseal(sample(), 8, bytes([Flags.CHAIN_END | Flags.CHAIN_PART])), "contradicts itself"),
        (reseal(sample(), 12, b"\x02"), "contradicts itself"),
        (reseal(sample(), 108, struct.pack("<I", 1 << 31)), "contradicts itself"),
        (reseal(sample(), 112, struct.pack("<I", 4)), "contradicts itself"),
    ],
)
def test_damage_is_named_with_its_lsn(damaged: bytes, reason: str) -> None:
    with pytest.raises(LogDamaged, match=reason) as caught:
        decode_record(damaged, lsn=Lsn(0x1000))
    assert isinstance(caught.value, RecordDamaged)
    assert caught.value.lsn == 0x1000
    assert "page log record at 0/1000 is damaged" in caught.value.message
    assert caught.value.hint


def test_a_record_at_another_place_than_its_own_is_refused() -> None:
    with pytest.raises(RecordDamaged, match="it belongs at 0/1000"):
        decode_header(sample(), lsn=Lsn(0x2000))


def test_an_intact_record_of_a_later_version_is_told_apart_from_damage() -> None:
    later = bytearray(sample()[: HEADER_BYTES - 4] + bytes(20))
    later[4] = 2
    struct.pack_into("<H", later, 6, len(later) + 4)
    with pytest.raises(RecordDamaged, match="format version 2") as caught:
        decode_header(bytes(later) + struct.pack("<I", crc32c(bytes(later))) + bytes(100))
    assert caught.value.hint is not None
    assert "release" in caught.value.hint


def test_a_body_that_unpacks_to_another_length_is_damage() -> None:
    record = decode_record(sample({1: PAGE, 2: PAGE}))
    for shorter in (PAGE_SIZE, 3 * PAGE_SIZE):
        lying = Record(record.header._replace(raw_length=shorter), record.raw)
        with pytest.raises(RecordDamaged, match="body"):
            lying.pages()


def test_the_log_matching_rule_looks_at_place_and_term() -> None:
    encoder = RecordEncoder(Term(1, 1), last=None, db_pages=0, db_checksum=0)
    first, second = (decode_header(encoder.seal(0)) for _ in range(2))
    assert second.follows(first)
    assert not first.follows(second)
    assert not second.follows(first._replace(term=Term(1, 2)))
    assert not second.follows(first._replace(lsn=Lsn(8)))


class TestEncoder:
    def test_records_link_to_each_other_and_carry_the_state(self) -> None:
        encoder = RecordEncoder(Term(4, 9), last=None, db_pages=0, db_checksum=0)
        start = decode_record(encoder.term_start(10)).header
        encoder.committed_lsn, encoder.flushed_lsn, encoder.config_version = start.end, start.end, 3
        data = decode_record(encoder.data({1: PAGE}, 1, 77, 20)).header
        seal = decode_record(encoder.seal(30)).header
        assert (start.kind, data.kind, seal.kind) == (Kind.TERM_START, Kind.DATA, Kind.SEAL)
        assert (start.lsn, start.prev_lsn, start.prev_term) == (0, 0, Term(0))
        assert data.follows(start)
        assert seal.follows(data)
        assert (seal.db_pages, seal.db_checksum) == (1, 77), "a record without pages keeps the state"
        assert (seal.committed_lsn, seal.flushed_lsn, seal.config_version) == (start.end, start.end, 3)
        assert encoder.lsn == seal.end

    def test_a_new_term_goes_on_behind_the_last_record(self) -> None:
        old = RecordEncoder(Term(1, 1), last=None, db_pages=5, db_checksum=6)
        last = decode_header(old.seal(0))
        new = RecordEncoder(Term(2, 2), last=last, db_pages=5, db_checksum=6)
        start = decode_header(new.term_start(0))
        assert start.follows(last)
        assert start.term == Term(2, 2)


class TestChains:
    @staticmethod
    def chain(count: int) -> tuple[list[Record], RecordEncoder]:
        encoder = RecordEncoder(Term(1, 1), last=None, db_pages=2, db_checksum=50)
        seen: list[int] = []

        def apply(pages: object, db_pages: int) -> int:
            assert db_pages == 9000
            seen.append(1)
            return 50 + len(seen)

        pages = ((number + 1, PAGE) for number in range(count))
        records = [decode_record(raw) for raw in encoder.chain(pages, 9000, apply, 0)]
        return records, encoder

    def test_parts_move_no_checksum_and_no_size(self) -> None:
        records, encoder = self.chain(2 * MAX_PART_PAGES + 1)
        first, second, end = (record.header for record in records)
        assert first.is_part
        assert first.opens_chain
        assert second.is_part
        assert not second.opens_chain
        assert end.ends_chain
        assert not end.is_part
        assert [(h.db_pages, h.db_checksum) for h in (first, second)] == [(2, 50), (2, 50)]
        assert (end.db_pages, end.db_checksum) == (9000, 53) == (encoder.db_pages, encoder.db_checksum)
        assert [h.raw_length for h in (first, second)] == [1 << 20, 1 << 20]
        assert [number for record in records for number in record.pages()] == list(range(1, 2 * MAX_PART_PAGES + 2))

    def test_what_fits_one_part_is_an_ordinary_record(self) -> None:
        records, _ = self.chain(MAX_PART_PAGES)
        assert len(records) == 1
        assert records[0].header.flags & ~Flags.LZ4 == 0
        assert records[0].header.db_checksum == 51

    def test_parts_are_made_lazily(self) -> None:
        taken = 0

        def endless() -> object:
            nonlocal taken
            while True:
                taken += 1
                yield taken, PAGE

        parts = split_chain(endless(), 4)  # type: ignore[arg-type]
        part, is_last = next(parts)
        assert len(part) == 4
        assert not is_last
        assert taken == 5
        assert list(split_chain([])) == [({}, True)]

    def test_the_tracker_says_where_a_change_starts(self) -> None:
        records, encoder = self.chain(3 * MAX_PART_PAGES)
        tracker = ChainTracker()
        starts = [tracker.feed(record.header) for record in records]
        assert starts == [None, None, records[0].header.lsn]
        assert tracker.open_start is None
        seal = decode_header(encoder.seal(0))
        assert tracker.feed(seal) == seal.lsn

    def test_a_record_that_does_not_continue_a_chain_voids_it(self) -> None:
        records, encoder = self.chain(3 * MAX_PART_PAGES)
        tracker = ChainTracker()
        tracker.feed(records[0].header)
        tracker.feed(decode_header(encoder.term_start(0)))
        assert tracker.open_start is None
        with pytest.raises(RecordDamaged, match="not begun"):
            tracker.feed(records[1].header)

    def test_a_retry_starts_a_new_chain(self) -> None:
        records, _ = self.chain(3 * MAX_PART_PAGES)
        tracker = ChainTracker()
        tracker.feed(records[0].header)
        again = records[0].header._replace(lsn=Lsn(1 << 30))
        tracker.feed(again)
        assert tracker.feed(records[2].header) == 1 << 30

    def test_a_chain_is_not_continued_in_another_term(self) -> None:
        records, _ = self.chain(3 * MAX_PART_PAGES)
        tracker = ChainTracker()
        tracker.feed(records[0].header)
        with pytest.raises(RecordDamaged):
            tracker.feed(records[2].header._replace(term=Term(1, 2)))
