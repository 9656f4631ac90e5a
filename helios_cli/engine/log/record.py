"""One page-log record: a fixed header, the numbers of the changed pages, their images (docs/FORMAT.md).

A record is what one group commit changed. Every node stores and ships the same bytes at the same LSN, so a
record carries all that a reader needs to trust it: its place, the record before it, the state it leads to,
and a checksum over the header and another over the body.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from enum import IntEnum, IntFlag
from typing import Final, NamedTuple

import lz4.block
from google_crc32c import value as crc32c

from helios_cli.engine.errors import LogDamaged
from helios_cli.engine.types import PAGE_SIZE, Lsn, Position, Term

Buffer = bytes | bytearray | memoryview
"""What holds page images or records in memory."""

MAGIC: Final = b"HNLR"
VERSION: Final = 1
ALIGNMENT: Final = 8
"""Every record starts at a multiple of this many bytes and is padded to one."""

MAX_RAW_BYTES: Final = 1 << 30
"""Page bytes a header may claim; a larger claim is damage, and is refused before memory is taken for it."""

# magic, version, kind, header length, flags, page count, term number, term id, lsn, prev lsn, prev term number,
# prev term id, wall us, config version, committed, flushed, db checksum, db pages, raw length, body length, body crc
_FIELDS: Final = struct.Struct("<4sBBHIIQQQQQQqQQQQIIII4x")
_CRC: Final = struct.Struct("<I")
_PREFIX: Final = struct.Struct("<4sBBH")
HEADER_BYTES: Final = _FIELDS.size + _CRC.size
_LSN_AT: Final = struct.Struct("<32xQ")
_BODY_LENGTH_AT: Final = struct.Struct("<112xI")
PLACE: Final = struct.Struct("<8xIIQQQQQQ32xQIIII")
"""Of a header what places a record and checks its body: flags, page count, term number, term id, lsn, prev lsn, prev
term number, prev term id, db checksum, db pages, raw length, body length, body crc."""
BODY: Final = struct.Struct("<8xII92xII")
"""Of a header what the body is unpacked by: flags, page count, raw length, body length."""
_ONE_NUMBER: Final = struct.Struct("<I")
_PADDING: Final = tuple(bytes(-length % ALIGNMENT) for length in range(ALIGNMENT))
_MAX_HEADER_BYTES: Final = 4096

_compress = lz4.block.compress
_decompress = lz4.block.decompress


class Kind(IntEnum):
    """What a record is for."""

    DATA = 1
    """Page images of a group, or a part of a large transaction."""
    TERM_START = 2
    """The first record of a primary's term; no pages."""
    SEAL = 3
    """Written by an idle primary to carry its flushed and committed LSN; no pages."""
    CONFIG = 4
    """A version of the cluster's configuration; its body is JSON, not pages."""


class Flags(IntFlag):
    """How the body is stored, and the record's place in a chain."""

    LZ4 = 1
    """The page images are one LZ4 block; otherwise they are stored as they are."""
    CHAIN_PART = 2
    """Part of a large transaction that does not take effect before its end."""
    CHAIN_END = 4
    """The last part: the whole chain takes effect here."""
    CHAIN_START = 8
    """With CHAIN_PART: the first part. An older open chain is void."""


# Operators of IntFlag cost a microsecond each, so the decoder works on plain integers.
_LZ4: Final = int(Flags.LZ4)
_PART: Final = int(Flags.CHAIN_PART)
_END: Final = int(Flags.CHAIN_END)
_START: Final = int(Flags.CHAIN_START)
_VALID_FLAGS: Final = frozenset(chain | lz4 for chain in (0, _PART, _PART | _START, _END) for lz4 in (0, _LZ4))
_KINDS: Final = {int(kind): kind for kind in Kind}
_CONFIG: Final = int(Kind.CONFIG)


VERIFY_HINT: Final = (
    'Run "heliosdb-nano log verify" to see how far the damage reaches, then restore the data directory from a backup.'
)


class RecordDamaged(LogDamaged):
    """The bytes at an LSN are no record of ours."""

    def __init__(self, lsn: Lsn, reason: str, *, hint: str | None = None) -> None:
        super().__init__(
            f"page log record at {lsn} is damaged: {reason}",
            hint=hint or VERIFY_HINT,
        )
        self.lsn = lsn
        self.reason = reason


class RecordHeader(NamedTuple):
    """The decoded header of a record. Lengths are bytes; see docs/FORMAT.md for every field."""

    kind: Kind
    flags: int
    """Bits of :class:`Flags`; a plain integer because the replay of a log tests them millions of times."""
    page_count: int
    term: Term
    lsn: Lsn
    prev_lsn: Lsn
    """Where the record before this one starts; equal to ``lsn`` for the first record of all."""
    prev_term: Term
    wall_us: int
    """The primary's wall clock, microseconds since 1970-01-01 UTC."""
    config_version: int
    committed_lsn: Lsn
    """What the writer knew to be committed when it made the record."""
    flushed_lsn: Lsn
    """What the writer had on its own disk when it made the record."""
    db_checksum: int
    """Checksum of the whole database after the record; for a chain part, before the chain."""
    db_pages: int
    """Size of the database after the record in pages; for a chain part, before the chain."""
    raw_length: int
    body_length: int
    body_crc: int

    @property
    def length(self) -> int:
        """Bytes the record takes in the log, padding included."""
        return HEADER_BYTES + self.body_length + (-self.body_length % ALIGNMENT)

    @property
    def end(self) -> Lsn:
        """LSN of the byte after the record."""
        return Lsn(self.lsn + self.length)

    @property
    def position(self) -> Position:
        """The position that the log reaches with this record."""
        return Position(self.term, self.end, self.db_checksum)

    @property
    def opens_chain(self) -> bool:
        """Whether this is the first part of a chain."""
        return bool(self.flags & _START)

    @property
    def is_part(self) -> bool:
        """Whether the record takes no effect by itself."""
        return bool(self.flags & _PART)

    @property
    def ends_chain(self) -> bool:
        """Whether the record closes a chain."""
        return bool(self.flags & _END)

    def follows(self, prev: RecordHeader) -> bool:
        """Whether this record was written right after ``prev``, by LSN and by term."""
        return self.prev_lsn == prev.lsn and self.prev_term == prev.term and self.lsn == prev.end


class Record(NamedTuple):
    """A record whose header and body checksums have been verified."""

    header: RecordHeader
    raw: bytes
    """The record's bytes, verbatim, padding included."""

    @property
    def end(self) -> Lsn:
        """LSN of the byte after the record."""
        return self.header.end

    def page_numbers(self) -> tuple[int, ...]:
        """Numbers of the pages in the body, in stored order; empty for a record without pages."""
        return struct.unpack_from(f"<{self.header.page_count}I", self.raw, HEADER_BYTES)

    def text(self) -> bytes:
        """The body of a record of the configuration."""
        return self.raw[HEADER_BYTES : HEADER_BYTES + self.header.body_length]

    def pages(self) -> dict[int, bytes]:
        """The page images by page number, in stored order.

        Raises:
            RecordDamaged: the body does not unpack to what the header says.
        """
        header = self.header
        count = header.page_count
        if count == 0:
            return {}
        start = HEADER_BYTES + 4 * count
        block = self.raw[start : HEADER_BYTES + header.body_length]
        images = _unpack_images(header, block) if header.flags & _LZ4 else block
        if len(images) != header.raw_length:
            raise RecordDamaged(header.lsn, "its body has another length than its header says")
        numbers = self.page_numbers()
        if count == 1:
            return {numbers[0]: images}
        return {
            number: images[at : at + PAGE_SIZE]
            for number, at in zip(numbers, range(0, header.raw_length, PAGE_SIZE), strict=True)
        }


def _unpack_images(header: RecordHeader, block: bytes) -> bytes:
    try:
        images: bytes = _decompress(block, uncompressed_size=header.raw_length)
    except lz4.block.LZ4BlockError as error:
        raise RecordDamaged(header.lsn, f"its body does not decompress ({error})") from error
    return images


def encode_record(
    pages: Mapping[int, Buffer],
    *,
    term: Term,
    lsn: int,
    prev_lsn: int,
    prev_term: Term,
    wall_us: int,
    db_pages: int,
    db_checksum: int,
    committed_lsn: int = 0,
    flushed_lsn: int = 0,
    config_version: int = 0,
    kind: int = 1,
    flags: int = 0,
    text: bytes = b"",
) -> bytes:
    """The bytes of one record, padding included; about 7 microseconds for one page.

    ``pages`` holds images of exactly PAGE_SIZE bytes by page number, in the order they shall be stored; empty for
    a record without pages. ``flags`` gives the chain bits only. ``text`` is the body of a configuration.

    Raises:
        ValueError: an image has another size.
    """
    count = len(pages)
    images: bytes = b"".join(pages.values())
    raw_length = len(images)
    if raw_length != count * PAGE_SIZE:
        raise ValueError(f"page images take {raw_length} bytes, not {count} pages of {PAGE_SIZE}")
    if count:
        block: bytes = _compress(images, store_size=False)
        if len(block) < raw_length:
            flags |= _LZ4
        else:
            block = images
        numbers = _ONE_NUMBER.pack(*pages) if count == 1 else struct.pack(f"<{count}I", *pages)
        body_length = len(numbers) + len(block)
        body = b"".join((numbers, block, _PADDING[body_length % ALIGNMENT]))
    else:
        raw_length = body_length = len(text)
        body = text + _PADDING[body_length % ALIGNMENT] if text else b""
    fields = _FIELDS.pack(
        MAGIC, VERSION, kind, HEADER_BYTES, flags, count,
        term.number, term.term_id, lsn, prev_lsn, prev_term.number, prev_term.term_id,
        wall_us, config_version, committed_lsn, flushed_lsn, db_checksum, db_pages,
        raw_length, body_length, crc32c(body),
    )  # fmt: skip
    return b"".join((fields, _CRC.pack(crc32c(fields)), body))


def decode_header(buffer: Buffer, offset: int = 0, *, lsn: Lsn | None = None) -> RecordHeader:
    """The header at ``offset``, checked; the body is not looked at.

    ``lsn`` is where the log says that the header stands; a header of another place (what a recycled segment
    still holds) is then refused.

    Raises:
        RecordDamaged: too few bytes, a wrong checksum, an unknown version, or fields that contradict each other.
    """
    where = Lsn(0) if lsn is None else lsn
    if offset + HEADER_BYTES > len(buffer):
        raise RecordDamaged(where, "it is cut short")
    fields = bytes(buffer[offset : offset + HEADER_BYTES])
    if _CRC.unpack_from(fields, _FIELDS.size)[0] != crc32c(fields[: _FIELDS.size]):
        raise _refused(buffer, offset, fields, where)
    (
        magic, version, kind, header_length, flags, count,
        term_number, term_id, own_lsn, prev_lsn, prev_number, prev_id,
        wall_us, config_version, committed, flushed, db_checksum, db_pages,
        raw_length, body_length, body_crc,
    ) = _FIELDS.unpack_from(fields)  # fmt: skip
    if lsn is not None and own_lsn != lsn:
        raise RecordDamaged(where, f"it belongs at {Lsn(own_lsn)}")
    where = Lsn(own_lsn)
    if magic != MAGIC or version != VERSION or header_length != HEADER_BYTES:
        raise _refused(buffer, offset, fields, where)
    if not _consistent(kind, flags, count, raw_length, body_length):
        raise RecordDamaged(where, "its header contradicts itself")
    term = Term(term_number, term_id)
    prev_term = term if prev_number == term_number and prev_id == term_id else Term(prev_number, prev_id)
    return RecordHeader(
        _KINDS[kind], flags, count, term, where, Lsn(prev_lsn), prev_term, wall_us, config_version,
        Lsn(committed), Lsn(flushed), db_checksum, db_pages, raw_length, body_length, body_crc,
    )  # fmt: skip


def _consistent(kind: int, flags: int, count: int, raw_length: int, body_length: int) -> bool:
    """Whether the fields that drive the decoding of the body agree with each other."""
    if flags not in _VALID_FLAGS or raw_length > MAX_RAW_BYTES:
        return False
    if kind == _CONFIG:
        return count == flags == 0 and 0 < raw_length == body_length
    if kind != 1:
        return kind in _KINDS and count == flags == raw_length == body_length == 0
    if raw_length != count * PAGE_SIZE:
        return False
    stored = body_length - 4 * count
    return 0 < stored < raw_length if flags & _LZ4 else stored == raw_length


def _refused(buffer: Buffer, offset: int, fields: bytes, lsn: Lsn) -> RecordDamaged:
    """Say why a header is not ours: another version's is intact, by the checksum that ends every version's header."""
    magic, version, _, header_length = _PREFIX.unpack_from(fields)
    if magic != MAGIC:
        return RecordDamaged(lsn, "it does not begin as a record does")
    if version != VERSION and HEADER_BYTES <= header_length <= _MAX_HEADER_BYTES:
        whole = bytes(buffer[offset : offset + header_length])
        if len(whole) == header_length and _CRC.unpack(whole[-4:])[0] == crc32c(whole[:-4]):
            hint = f"Run the release that wrote it, or a later one; this one reads version {VERSION}."
            return RecordDamaged(lsn, f"it has format version {version}", hint=hint)
    return RecordDamaged(lsn, "its header checksum does not match")


def decode_record(buffer: Buffer, offset: int = 0, *, lsn: Lsn | None = None) -> Record:
    """The record at ``offset`` with header and body verified; page images are unpacked only when asked for.

    Raises:
        RecordDamaged: as :func:`decode_header`, or the body is cut short or fails its checksum.
    """
    header = decode_header(buffer, offset, lsn=lsn)
    raw = bytes(buffer[offset : offset + header.length])
    check_body(header, raw)
    return Record(header, raw)


def check_body(header: RecordHeader, raw: bytes) -> None:
    """Verify the body of a record whose verbatim bytes are ``raw``.

    Raises:
        RecordDamaged: it is cut short or fails its checksum.
    """
    if len(raw) != header.length:
        raise RecordDamaged(header.lsn, "it is cut short")
    if crc32c(raw[HEADER_BYTES:]) != header.body_crc:
        raise RecordDamaged(header.lsn, "its body checksum does not match")


def max_record_bytes(page_count: int) -> int:
    """The most that a record of ``page_count`` pages can take in the log, for reserving room before a commit."""
    return HEADER_BYTES + page_count * (4 + PAGE_SIZE) + ALIGNMENT


def peek_lsn(buffer: Buffer, offset: int = 0) -> Lsn:
    """The LSN in a header that the caller has made or checked itself; nothing is verified."""
    return Lsn(_LSN_AT.unpack_from(buffer, offset)[0])


def peek_length(buffer: Buffer, offset: int = 0) -> int:
    """Bytes of a record that the caller has made or checked itself, padding included; nothing is verified."""
    body_length: int = _BODY_LENGTH_AT.unpack_from(buffer, offset)[0]
    return HEADER_BYTES + body_length + (-body_length % ALIGNMENT)


def last_header(data: bytes) -> bytes:
    """The header bytes of the last of several whole records, made or checked by the caller."""
    at, length = 0, peek_length(data)
    while at + length < len(data):
        at += length
        length = peek_length(data, at)
    return data[at : at + HEADER_BYTES]
