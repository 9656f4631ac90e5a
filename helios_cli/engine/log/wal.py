"""SQLite's write-ahead log as bytes: its header, its frames, and the pages a transaction left in them.

The format is sqlite.org/walformat.html; every integer is big endian. A frame is a 24-byte header and one page.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from helios_cli.engine.errors import LogDamaged
from helios_cli.engine.log.record import Buffer
from helios_cli.engine.types import LOCK_BYTE_PAGE, PAGE_SIZE

WAL_HEADER_BYTES: Final = 32
FRAME_HEADER_BYTES: Final = 24
FRAME_BYTES: Final = FRAME_HEADER_BYTES + PAGE_SIZE
WAL_FORMAT: Final = 3007000
_MAGICS: Final = (0x377F0682, 0x377F0683)
_WAL_HEADER: Final = struct.Struct(">IIIIIIII")
_FRAME: Final = struct.Struct(">IIQ")
_UNCHECKED_FRAME: Final = struct.Struct(">II8s8x")
_unpack_frame = _FRAME.unpack_from


class WalHeader(NamedTuple):
    """The first 32 bytes of a WAL file."""

    big_endian_checksums: bool
    page_size: int
    checkpoint_sequence: int
    salts: int
    """salt-1 and salt-2 as one 64-bit number; a frame belongs to this WAL when it carries the same."""


class WalCommit(NamedTuple):
    """What a run of frames that ends in a commit did to the database."""

    pages: dict[int, bytes]
    """The newest image of each page the database still has, in the order the pages first appeared."""
    db_pages: int
    """Size of the database in pages after the commit."""
    salts: int
    """The salts that all of the frames carry."""


def frame_offset(frame_no: int) -> int:
    """Where frame ``frame_no`` (1-based, as SQLite counts them) begins in the WAL file."""
    return WAL_HEADER_BYTES + (frame_no - 1) * FRAME_BYTES


def parse_header(data: Buffer) -> WalHeader:
    """Read and verify the header of a WAL file.

    Raises:
        LogDamaged: it is too short, fails its checksum, or has another format or page size.
    """
    if len(data) < WAL_HEADER_BYTES:
        raise LogDamaged("the SQLite WAL has no header")
    magic, version, page_size, sequence, salt1, salt2, sum1, sum2 = _WAL_HEADER.unpack_from(data)
    if magic not in _MAGICS or version != WAL_FORMAT:
        raise LogDamaged("the SQLite WAL has an unknown format")
    big_endian = bool(magic & 1)
    if checksum(bytes(data[:24]), big_endian=big_endian) != (sum1, sum2):
        raise LogDamaged("the SQLite WAL header fails its checksum")
    if page_size != PAGE_SIZE:
        raise LogDamaged(f"the SQLite WAL has pages of {page_size} bytes instead of {PAGE_SIZE}")
    return WalHeader(big_endian, page_size, sequence, salt1 << 32 | salt2)


def wal_header(salts: bytes, sequence: int = 0) -> bytes:
    """The header of a WAL file that begins now; ``salts`` are the 8 bytes that its frames carry."""
    fields = struct.pack(">IIII", _MAGICS[0], WAL_FORMAT, PAGE_SIZE, sequence) + salts
    return fields + struct.pack(">II", *checksum(fields))


def unchecked_frame(page_no: int, db_pages: int, salts: bytes) -> bytes:
    """A frame's header without its checksum; ``db_pages`` is 0 but in the last frame of a commit.

    SQLite reads frames through the index and does not look at checksums; its recovery takes such a WAL as empty.
    """
    return _UNCHECKED_FRAME.pack(page_no, db_pages, salts)


def checksum(data: bytes, start: tuple[int, int] = (0, 0), *, big_endian: bool = False) -> tuple[int, int]:
    """SQLite's running checksum over a multiple of 8 bytes (walformat.html, 4.2); slow, meant for headers."""
    first, second = start
    words = struct.unpack(f"{'>' if big_endian else '<'}{len(data) // 4}I", data)
    for at in range(0, len(words), 2):
        first = (first + words[at] + second) & 0xFFFFFFFF
        second = (second + words[at + 1] + first) & 0xFFFFFFFF
    return first, second


def newest_pages(frames: bytes) -> WalCommit:
    """The pages that consecutive frames leave behind; under 2 microseconds for one frame.

    ``frames`` are the whole frames of one or more committed transactions. Pages beyond the final size are dropped
    (a committed transaction may hold them), and so is the lock-byte page, which is zero everywhere.

    Raises:
        LogDamaged: no whole frames, frames of another WAL among them, or no commit at the end.
    """
    if len(frames) == FRAME_BYTES:
        page_no, db_pages, salts = _unpack_frame(frames)
        if db_pages == 0:
            raise _not_committed()
        if page_no > db_pages or page_no == LOCK_BYTE_PAGE:
            return WalCommit({}, db_pages, salts)
        return WalCommit({page_no: frames[FRAME_HEADER_BYTES:]}, db_pages, salts)
    index: dict[int, int] = {}
    db_pages, salts = index_frames(frames, 0, index)
    if db_pages == 0:
        raise _not_committed()
    pages = {
        page_no: frames[at : at + PAGE_SIZE]
        for page_no, at in index.items()
        if page_no <= db_pages and page_no != LOCK_BYTE_PAGE
    }
    return WalCommit(pages, db_pages, salts)


def index_frames(frames: Buffer, at: int, index: dict[int, int], salts: int | None = None) -> tuple[int, int]:
    """Note where each page's newest image lies, for a transaction too large to be held in memory at once.

    ``frames`` are whole frames that begin at offset ``at`` of the WAL file. ``index`` is filled with page number ->
    offset of the page image in the file. Returns the database size in the last frame (0: it commits nothing) and
    the salts; ``salts`` are those of the frames before, or None at the beginning.

    Raises:
        LogDamaged: no whole frames, or frames with other salts among them.
    """
    length = len(frames)
    if length == 0 or length % FRAME_BYTES:
        raise LogDamaged(f"{length} bytes of the SQLite WAL are no whole number of frames")
    db_pages = 0
    for offset in range(0, length, FRAME_BYTES):
        page_no, db_pages, own_salts = _unpack_frame(frames, offset)
        if salts is None:
            salts = own_salts
        elif own_salts != salts:
            raise LogDamaged("the SQLite WAL was restarted in the middle of the frames that were read")
        index[page_no] = at + offset + FRAME_HEADER_BYTES
    assert salts is not None
    return db_pages, salts


def _not_committed() -> LogDamaged:
    return LogDamaged("the frames read from the SQLite WAL do not end with a commit")
