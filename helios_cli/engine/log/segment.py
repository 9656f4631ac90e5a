"""The header of a segment file. It lies outside the LSN space: LSNs count record bytes only.

A segment's records start right behind its header; the byte of LSN x in a segment whose first LSN is f is at offset
SEGMENT_HEADER_BYTES + x - f. A record never spans two segments, so the rest of a segment may stay unused.
"""

from __future__ import annotations

import re
import struct
from typing import Final, NamedTuple

from google_crc32c import value as crc32c

from helios_cli.engine.errors import LogDamaged
from helios_cli.engine.log.record import VERIFY_HINT
from helios_cli.engine.types import Lsn, Term

SEGMENT_HEADER_BYTES: Final = 4096
MAGIC: Final = b"HNSG"
VERSION: Final = 1
SUFFIX: Final = ".seg"
# magic, version, cluster id, first lsn, term number, term id, first lsn of the segment before
_FIELDS: Final = struct.Struct("<4sI16sQQQQ")
_CRC: Final = struct.Struct("<I")
_CRC_AT: Final = SEGMENT_HEADER_BYTES - _CRC.size
_NAME: Final = re.compile(r"([0-9a-f]{16})\.seg")


class SegmentHeader(NamedTuple):
    """What a segment file says about itself."""

    cluster_id: bytes
    """16 bytes; a log of another cluster is refused."""
    first_lsn: Lsn
    term: Term
    """Term of the first record; Term(0) when the segment was made before there was one."""
    prev_segment: Lsn
    """First LSN of the segment before, by which a missing file is noticed; the own first LSN when there is none."""


def segment_name(first_lsn: int) -> str:
    """The file name of the segment that begins at an LSN."""
    return f"{int(first_lsn):016x}{SUFFIX}"


def parse_segment_name(name: str) -> Lsn | None:
    """The first LSN of a segment file; None when the name is no segment's."""
    match = _NAME.fullmatch(name)
    return None if match is None else Lsn(int(match[1], 16))


def encode_segment_header(header: SegmentHeader) -> bytes:
    """The first SEGMENT_HEADER_BYTES bytes of a segment file."""
    term = header.term
    fields = _FIELDS.pack(
        MAGIC, VERSION, header.cluster_id, header.first_lsn, term.number, term.term_id, header.prev_segment
    )
    padded = fields.ljust(_CRC_AT, b"\0")
    return padded + _CRC.pack(crc32c(padded))


def decode_segment_header(data: bytes, name: str) -> SegmentHeader:
    """Read and verify a segment header; ``name`` is the file's, for the message and to check the first LSN.

    Raises:
        LogDamaged: it is cut short, fails its checksum, has an unknown version, or belongs under another name.
    """
    if len(data) < SEGMENT_HEADER_BYTES:
        raise _damaged(name, "its header is cut short")
    magic, version, cluster_id, first_lsn, number, term_id, prev = _FIELDS.unpack_from(data)
    if magic != MAGIC or _CRC.unpack_from(data, _CRC_AT)[0] != crc32c(data[:_CRC_AT]):
        raise _damaged(name, "its header fails its checksum")
    if version != VERSION:
        raise LogDamaged(
            f"page log segment {name} has format version {version}",
            hint=f"Run the release that wrote it, or a later one; this one reads version {VERSION}.",
        )
    if parse_segment_name(name) != first_lsn:
        raise _damaged(name, f"its header says that it begins at {Lsn(first_lsn)}")
    return SegmentHeader(cluster_id, Lsn(first_lsn), Term(number, term_id), Lsn(prev))


def _damaged(name: str, reason: str) -> LogDamaged:
    first = parse_segment_name(name)
    where = "" if first is None else f" (from LSN {first})"
    return LogDamaged(f"page log segment {name}{where} is damaged: {reason}", hint=VERIFY_HINT)
