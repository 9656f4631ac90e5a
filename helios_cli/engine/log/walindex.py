"""SQLite's WAL index (the ``-shm`` file) as bytes: its header, and where each page's newest frame is.

The format is sqlite.org/walformat.html, section 2; every integer has the machine's byte order. Blocks of 32 KiB hold
page numbers by frame, and a hash table from page number to frame.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

from helios_cli.engine.types import PAGE_SIZE

BLOCK_BYTES: Final = 32768
HEADER_BYTES: Final = 48
"""One copy of the header; two stand side by side."""
INDEX_VERSION: Final = 3007000
_HEADER: Final = struct.Struct("=IIIBBHIIIIIIII")
_HEADER_WORDS: Final = struct.Struct("=10I")
_WORD: Final = struct.Struct("=I")
_SLOT: Final = struct.Struct("=H")
_BACKFILL_AT: Final = 96
_FIRST_PAGES_AT: Final = 136
_HASH_AT: Final = 16384
_SLOTS: Final = 8192
_FIRST_FRAMES: Final = 4062
_FRAMES: Final = 4096

Memory = memoryview
"""A writable view of the whole index."""


class IndexHeader(NamedTuple):
    """What readers look at to find their snapshot."""

    change: int
    """Counts commits, so that a reader notices one."""
    frames: int
    """The last valid frame; 0 for an empty WAL."""
    db_pages: int
    """Size of the database in pages after it."""
    frame_checksum: tuple[int, int]
    """The running checksum over the frames, with which SQLite's own writer goes on."""
    salts: bytes
    """salt-1 and salt-2 as they stand in the WAL."""
    big_endian: bool = False


def read_header(memory: Memory | bytes) -> IndexHeader | None:
    """The header; None when it is not initialized, or its two copies differ, which a change under way leaves.

    A WAL that nobody has written to yet has no page size, and salts of zeros.
    """
    first = bytes(memory[:HEADER_BYTES])
    if first != memory[HEADER_BYTES : 2 * HEADER_BYTES]:
        return None
    version, _, change, is_init, big_endian, page_size, frames, pages, sum1, sum2, _, _, own1, own2 = _HEADER.unpack(
        first
    )
    if not is_init or version != INDEX_VERSION or _checksum(first) != (own1, own2):
        return None
    if page_size != PAGE_SIZE and (page_size or frames):
        return None
    return IndexHeader(change, frames, pages, (sum1, sum2), first[32:40], bool(big_endian))


def write_header(memory: Memory, header: IndexHeader) -> None:
    """Publish a header: the second copy, then the first, since readers compare them in the other order.

    The caller holds SQLite's write lock, and every frame that the header counts is in the WAL and in the index.
    """
    fields = _HEADER.pack(
        INDEX_VERSION, 0, header.change & 0xFFFFFFFF, 1, header.big_endian, PAGE_SIZE, header.frames, header.db_pages,
        *header.frame_checksum, *struct.unpack("=II", header.salts), 0, 0,
    )  # fmt: skip
    whole = fields[:40] + struct.pack("=II", *_checksum(fields))
    memory[HEADER_BYTES : 2 * HEADER_BYTES] = whole
    memory[:HEADER_BYTES] = whole


def frames_checkpointed(memory: Memory | bytes) -> int:
    """Frames that are in the database file already (nBackfill)."""
    count: int = _WORD.unpack_from(memory, _BACKFILL_AT)[0]
    return count


def frame_pages(memory: Memory | bytes, after: int, end: int) -> list[int]:
    """The page number of each frame behind ``after`` up to ``end``; ``memory`` holds their blocks."""
    pages: list[int] = []
    frame = after + 1
    while frame <= end:
        block = _block_of(frame)
        first = _first_frame(block)
        count = min(end - frame + 1, first + (_FIRST_FRAMES if block == 0 else _FRAMES) - frame)
        pages_at = block * BLOCK_BYTES + (_FIRST_PAGES_AT if block == 0 else 0) + 4 * (frame - first)
        pages += struct.unpack_from(f"={count}I", memory, pages_at)
        frame += count
    return pages


def bytes_for(frames: int) -> int:
    """How large the index is when the WAL holds ``frames`` frames."""
    return (_block_of(max(frames, 1)) + 1) * BLOCK_BYTES


def put(memory: Memory, frame: int, pages: Sequence[int]) -> None:
    """Note that the frames from ``frame`` (1-based) on hold ``pages``. Frames are put in order, each once."""
    at = 0
    while at < len(pages):
        block = _block_of(frame + at)
        position = frame + at - _first_frame(block) + 1
        room = (_FIRST_FRAMES if block == 0 else _FRAMES) - position + 1
        _put_in_block(memory, block, position, pages[at : at + room])
        at += room


def _put_in_block(memory: Memory, block: int, position: int, pages: Sequence[int]) -> None:
    """Note frames that one block has room for; ``position`` is the first one's place in it, from 1 on."""
    base = block * BLOCK_BYTES
    pages_at = base + (_FIRST_PAGES_AT if block == 0 else 0)
    if position == 1:
        memory[pages_at : base + BLOCK_BYTES] = bytes(base + BLOCK_BYTES - pages_at)
    elif _WORD.unpack_from(memory, pages_at + 4 * (position - 1))[0]:
        _forget_from(memory, block, position)
    struct.pack_into(f"={len(pages)}I", memory, pages_at + 4 * (position - 1), *pages)
    with memory[base + _HASH_AT : base + BLOCK_BYTES] as table, table.cast("H") as slots:
        for place, page_no in enumerate(pages, position):
            slot = page_no * 383 & _SLOTS - 1
            while slots[slot]:
                slot = slot + 1 & _SLOTS - 1
            slots[slot] = place


def _forget_from(memory: Memory, block: int, position: int) -> None:
    """Remove what an append that was given up left behind in a block, from ``position`` on."""
    base = block * BLOCK_BYTES
    pages_at = base + (_FIRST_PAGES_AT if block == 0 else 0)
    start = pages_at + 4 * (position - 1)
    memory[start : base + _HASH_AT] = bytes(base + _HASH_AT - start)
    for at in range(base + _HASH_AT, base + BLOCK_BYTES, 2):
        if _SLOT.unpack_from(memory, at)[0] >= position:
            _SLOT.pack_into(memory, at, 0)


def _block_of(frame: int) -> int:
    return 0 if frame <= _FIRST_FRAMES else (frame - _FIRST_FRAMES - 1) // _FRAMES + 1


def _first_frame(block: int) -> int:
    return 1 if block == 0 else _FIRST_FRAMES + (block - 1) * _FRAMES + 1


def _checksum(header: bytes) -> tuple[int, int]:
    """SQLite's checksum over the first 40 bytes of a header, in the machine's byte order (walformat.html, 4.2)."""
    first = second = 0
    words = _HEADER_WORDS.unpack_from(header)
    for at in range(0, 10, 2):
        first = first + words[at] + second & 0xFFFFFFFF
        second = second + words[at + 1] + first & 0xFFFFFFFF
    return first, second
