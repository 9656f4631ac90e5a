"""Many records in one piece of memory, as a standby receives and applies them: verified in one pass.

Nearly all records of a log are plain: the pages of one group, in the term of the record before. Of those a batch keeps
a few numbers, and never makes the objects that :mod:`helios_cli.engine.log.record` makes; whatever is not plain, or not
right, goes the long way there, which also says what is wrong. What is checked is the same.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

import lz4.block
from google_crc32c import value as crc32c

from helios_cli.engine.errors import LogDamaged
from helios_cli.engine.log.record import (
    ALIGNMENT,
    BODY,
    HEADER_BYTES,
    MAGIC,
    MAX_RAW_BYTES,
    PLACE,
    VERIFY_HINT,
    VERSION,
    Buffer,
    Flags,
    Kind,
    Record,
    RecordHeader,
    decode_header,
    decode_record,
)
from helios_cli.engine.types import PAGE_SIZE, Lsn, Term

_LZ4: Final = int(Flags.LZ4)
_HEAD: Final = struct.Struct("<4sBBHI")
_HEAD_BYTES: Final = _HEAD.size
_PLAIN_HEADS: Final = frozenset(_HEAD.pack(MAGIC, VERSION, Kind.DATA, HEADER_BYTES, flags) for flags in (0, _LZ4))
"""How a plain record begins, its flags included: page images, compressed or not, and no part of a chain."""
_CRC_BYTES: Final = 4
"""A header ends with its own checksum."""
_place = PLACE.unpack_from
_body = BODY.unpack_from
_number = struct.Struct("<I").unpack_from
_decompress = lz4.block.decompress
_new = tuple.__new__


class Change(NamedTuple):
    """One record of a batch."""

    at: int
    """Where it begins in the batch."""
    end: int
    """LSN of the byte after it."""
    db_pages: int
    """As in the record's header, and so the checksum."""
    db_checksum: int
    pages: int
    """How many page images it has."""
    header: RecordHeader | None
    """None for a plain record."""


class Batch:
    """Whole records that follow each other, all of them verified."""

    __slots__ = ("changes", "data")

    def __init__(self, data: bytes, start: Lsn, last: RecordHeader | None) -> None:
        """``start`` is the LSN of the first; ``last`` is the record before it, None when that is not known.

        Raises:
            RecordDamaged: bytes of ``data`` are no record, or not the one that belongs there.
            LogDamaged: a record does not continue the one before.
        """
        self.data = data
        self.changes = _verified(data, start, last)

    def header(self, change: Change) -> RecordHeader:
        """The whole header of one of the records."""
        return change.header or decode_header(self.data, change.at)

    def record(self, change: Change) -> Record:
        """One of the records by itself."""
        return decode_record(self.data, change.at)

    def page(self, change: Change) -> tuple[int, Buffer]:
        """Number and image of the only page of a record that has one: the short way for most records of small writes.

        Raises:
            RecordDamaged: the body does not unpack to what the header says.
        """
        data, at = self.data, change.at
        flags, _, _, body_length = _body(data, at)
        numbers = at + HEADER_BYTES
        image = data[numbers + 4 : numbers + body_length]
        if flags & _LZ4:
            try:
                image = _decompress(image, PAGE_SIZE)
            except lz4.block.LZ4BlockError:
                image = b""
        if len(image) != PAGE_SIZE:
            # The long way says what is wrong.
            (only,) = self.record(change).pages().items()
            return only
        return _number(data, numbers)[0], image

    def pages(self, change: Change) -> dict[int, Buffer]:
        """The page images of one of the records by page number, in stored order.

        Views of what was unpacked: whoever keeps one of them keeps all.

        Raises:
            RecordDamaged: the body does not unpack to what the header says.
        """
        data, at = self.data, change.at
        flags, count, raw_length, body_length = _body(data, at)
        if count == 0:
            return {}
        start = at + HEADER_BYTES
        block = data[start + 4 * count : start + body_length]
        try:
            images = _decompress(block, uncompressed_size=raw_length) if flags & _LZ4 else block
        except lz4.block.LZ4BlockError:
            images = b""
        if len(images) != raw_length:
            # The long way says what is wrong.
            return dict(self.record(change).pages())
        view = memoryview(images)
        numbers = struct.unpack_from(f"<{count}I", data, start)
        return {
            number: view[begin : begin + PAGE_SIZE]
            for number, begin in zip(numbers, range(0, raw_length, PAGE_SIZE), strict=True)
        }


def _verified(data: bytes, start: Lsn, last: RecordHeader | None) -> list[Change]:
    changes: list[Change] = []
    at, size, lsn = 0, len(data), int(start)
    before, before_number, before_id = (-1, 0, 0) if last is None else (last.lsn, *_pair(last.term))
    while at < size:
        body = at + HEADER_BYTES
        if data[at : at + _HEAD_BYTES] in _PLAIN_HEADS and body <= size:
            # fmt: off
            (
                flags, count, number, term_id, own_lsn, prev_lsn, prev_number, prev_id,
                db_checksum, db_pages, raw_length, body_length, body_crc,
            ) = _place(data, at)
            # fmt: on
            stored = body_length - 4 * count
            end = body + body_length + (-body_length % ALIGNMENT)
            if (
                own_lsn == lsn
                and prev_lsn == before
                and number == prev_number == before_number
                and term_id == prev_id == before_id
                and raw_length == count * PAGE_SIZE <= MAX_RAW_BYTES
                and (0 < stored < raw_length if flags else stored == raw_length)
                and crc32c(data[body:end]) == body_crc
                and crc32c(data[at : body - _CRC_BYTES]) == _number(data, body - _CRC_BYTES)[0]
            ):
                before, lsn, at = lsn, lsn + end - at, end
                # Change(...) itself takes as long as both checksums.
                changes.append(_new(Change, (body - HEADER_BYTES, lsn, db_pages, db_checksum, count, None)))
                continue
        header = decode_record(data, at, lsn=Lsn(lsn)).header
        if before >= 0 and (header.prev_lsn, *_pair(header.prev_term)) != (before, before_number, before_id):
            raise LogDamaged(f"record at {header.lsn} does not continue the log of this node", hint=VERIFY_HINT)
        before, (before_number, before_id) = lsn, _pair(header.term)
        lsn = header.end
        changes.append(Change(at, lsn, header.db_pages, header.db_checksum, header.page_count, header))
        at += header.length
    return changes


def _pair(term: Term) -> tuple[int, int]:
    return term.number, term.term_id
