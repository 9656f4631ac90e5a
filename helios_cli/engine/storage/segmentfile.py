"""Segment files on disk: making them, finding them, reading records out of one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from helios_cli.engine.errors import LogDamaged
from helios_cli.engine.log.record import (
    HEADER_BYTES,
    MAGIC,
    VERIFY_HINT,
    Record,
    RecordDamaged,
    RecordHeader,
    check_body,
    decode_header,
    peek_length,
)
from helios_cli.engine.log.segment import (
    SEGMENT_HEADER_BYTES,
    SegmentHeader,
    decode_segment_header,
    parse_segment_name,
    segment_name,
)
from helios_cli.engine.ports import File, Files
from helios_cli.engine.types import Lsn, Term

READ_BYTES: Final = 1 << 20

WRITE_MAX_BYTES: Final = 8 << 20
"""More than is ever on its way to the disk at once of what another node has sent."""

_ZEROS: Final = bytes(READ_BYTES)


class Segment(NamedTuple):
    """A segment file that belongs to the log."""

    path: str
    header: SegmentHeader

    @property
    def first_lsn(self) -> Lsn:
        """LSN of the first byte behind the file's header."""
        return self.header.first_lsn


class Tail(NamedTuple):
    """Where the records of a segment end."""

    end: Lsn
    last: RecordHeader | None
    """Header of the last record in this segment; None when it holds none."""
    damage: RecordDamaged | None
    """Why the bytes at ``end`` are no record; None when the segment is full to its last byte."""


def list_segments(files: Files, directory: str, cluster_id: bytes | None) -> list[Segment]:
    """The log's segments in LSN order, each header verified; ``cluster_id`` None accepts any cluster.

    Raises:
        LogDamaged: a header is damaged, of another cluster or version, or a file is missing between two others.
    """
    segments: list[Segment] = []
    for name in files.listdir(directory):
        if parse_segment_name(name) is None:
            continue
        path = f"{directory}/{name}"
        header = _read_header(files, path, name)
        if cluster_id is not None and header.cluster_id != cluster_id:
            raise LogDamaged(
                f"page log segment {name} belongs to cluster {header.cluster_id.hex()}, not to {cluster_id.hex()}",
                hint="Give this node a data directory of its own, or remove the foreign one.",
            )
        if segments and header.prev_segment != segments[-1].first_lsn:
            raise LogDamaged(
                f"page log has a gap: segment {segment_name(header.prev_segment)} (from LSN {header.prev_segment}) "
                f"is missing before {name}",
                hint=VERIFY_HINT,
            )
        segments.append(Segment(path, header))
    return segments


def _read_header(files: Files, path: str, name: str) -> SegmentHeader:
    file = files.open(path)
    try:
        return decode_segment_header(file.pread(SEGMENT_HEADER_BYTES, 0), name)
    finally:
        file.close()


def iter_records(file: File, first_lsn: Lsn, start: Lsn, end: Lsn | None = None) -> Iterator[Record]:
    """The records of one segment from ``start`` on, which must be where a record starts.

    Stops at ``end``; without an end it reads on until the file is full or RecordDamaged is raised at the first
    bytes that are no record, which is how the end of a log looks. Memory: READ_BYTES, or one record if larger.

    Raises:
        RecordDamaged: the bytes at an LSN before ``end`` are no record.
    """
    stop = Lsn(first_lsn + file.size() - SEGMENT_HEADER_BYTES) if end is None else end
    buffer, base, lsn = b"", start, start
    while lsn < stop:
        if lsn - base + HEADER_BYTES > len(buffer):
            buffer, base = file.pread(READ_BYTES, SEGMENT_HEADER_BYTES + lsn - first_lsn), lsn
        at = lsn - base
        header = decode_header(buffer, at, lsn=lsn)
        length = header.length
        if at + length > len(buffer):
            buffer, base, at = file.pread(max(READ_BYTES, length), SEGMENT_HEADER_BYTES + lsn - first_lsn), lsn, 0
        raw = buffer[at : at + length]
        check_body(header, raw)
        yield Record(header, raw)
        lsn = header.end


def read_whole(file: File, first_lsn: Lsn, start: Lsn, end: Lsn, max_bytes: int) -> bytes:
    """The bytes of whole records from ``start`` on, at most ``max_bytes`` but one record at least; unverified.

    Raises:
        RecordDamaged: no record starts there.
    """
    offset = SEGMENT_HEADER_BYTES + start - first_lsn
    data = file.pread(min(max_bytes, end - start), offset)
    first = decode_header(data, lsn=start)
    if len(data) < first.length:
        return file.pread(first.length, offset)
    at = first.length
    while at + HEADER_BYTES <= len(data) and at + (length := peek_length(data, at)) <= len(data):
        at += length
    return data[:at]


def find_tail(file: File, first_lsn: Lsn, end: Lsn | None = None) -> Tail:
    """Read a whole segment, or up to ``end``, and say where its records stop.

    Raises:
        LogDamaged: an intact record does not continue the one before it.
    """
    last: RecordHeader | None = None
    lsn = first_lsn
    try:
        for record in iter_records(file, first_lsn, first_lsn, end):
            header = record.header
            if last is not None and not header.follows(last):
                raise LogDamaged(f"page log record at {lsn} does not continue the one at {last.lsn}", hint=VERIFY_HINT)
            last, lsn = header, header.end
    except RecordDamaged as damage:
        return Tail(lsn, last, damage)
    return Tail(lsn, last, None)


def refuse_damage(file: File, first_lsn: Lsn, damage: RecordDamaged, flushed_floor: Lsn, own_term: Term | None) -> None:
    """Raise RecordDamaged when what does not decode was on disk once; otherwise it is a torn tail.

    Everything before ``flushed_floor`` was, and what a later record proves: :func:`proof_of_flush`.
    """
    if damage.lsn < flushed_floor:
        raise RecordDamaged(damage.lsn, f"{damage.reason}, and it was on disk (known up to {flushed_floor})")
    proof = proof_of_flush(file, first_lsn, damage.lsn, own_term)
    if proof is not None:
        raise RecordDamaged(damage.lsn, f"{damage.reason}, and the record at {proof.lsn} proves that it was on disk")


def proof_of_flush(file: File, first_lsn: Lsn, bad: Lsn, own_term: Term | None) -> RecordHeader | None:
    """A record behind ``bad`` that proves that ``bad`` had been on disk; None when there is none.

    Unsynced records reach the disk in any order, so an intact record behind a broken one proves nothing by itself.
    But its header holds what was flushed where it was made: if that was here, in ``own_term``, and is more than
    ``bad``, the bytes there were once on disk and have been damaged since. What comes from another node tells of the
    disk of that one, and many such records may be written at once, but WRITE_MAX_BYTES at most before they are synced.
    """
    offset = SEGMENT_HEADER_BYTES + bad - first_lsn
    size = file.size()
    while offset < size:
        # Overlapping reads, so that a header across two of them is seen whole.
        chunk = file.pread(READ_BYTES + HEADER_BYTES, offset)
        at = chunk.find(MAGIC)
        while 0 <= at < READ_BYTES:
            header = _header_here(chunk, at, Lsn(first_lsn + offset + at - SEGMENT_HEADER_BYTES))
            if (
                header is not None
                and header.flushed_lsn > bad
                and (header.term == own_term or header.lsn - bad >= WRITE_MAX_BYTES)
            ):
                return header
            at = chunk.find(MAGIC, at + 1)
        offset += READ_BYTES
    return None


def _header_here(chunk: bytes, at: int, lsn: Lsn) -> RecordHeader | None:
    try:
        return decode_header(chunk, at, lsn=lsn)
    except RecordDamaged:
        return None


def clear_behind(file: File, offset: int) -> int:
    """Overwrite with zeros whatever is not zero from ``offset`` on, and sync; returns the bytes found there.

    The figure counts up to the last byte that was not zero.
    """
    found, at = 0, offset
    while chunk := file.pread(READ_BYTES, at):
        if chunk != _ZEROS[: len(chunk)]:
            found = at - offset + len(chunk.rstrip(b"\0"))
            file.pwrite(_ZEROS[: len(chunk)], at)
        at += len(chunk)
    if found:
        file.sync()
    return found


def settle(file: File, start: int, end: int) -> int:
    """Make what a file is found to hold up to ``end`` survive, and nothing behind it; the bytes found there.

    What the last process wrote from ``start`` on may be in the cache alone, and after a sync that failed the cache
    calls it clean: only what is written once more is taken to the disk by the next one.
    """
    for at in range(start, end, READ_BYTES):
        file.pwrite(file.pread(min(READ_BYTES, end - at), at), at)
    dropped = clear_behind(file, end)
    if not dropped:
        file.sync()
    return dropped


def make_spare(files: Files, path: str, size: int, *, zero_fill: bool) -> File:
    """A file of ``size`` bytes ready to become a segment, synced; removed again when that fails.

    Filled with zeros a later sync is a third faster than on space that is only reserved, but making it takes
    longer; ``zero_fill`` chooses.
    """
    file = files.open(path, create=True)
    try:
        file.allocate(size)
        if zero_fill:
            for at in range(0, size, READ_BYTES):
                file.pwrite(_ZEROS[: size - at], at)
                # In steps, so that the log's own syncs never wait behind all of it.
                file.sync()
        file.sync()
    except OSError:
        file.close()
        files.unlink(path)
        raise
    return file
