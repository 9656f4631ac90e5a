"""Records of the simulated page log: the database is modelled as a hash chain over them.

Where a real record has pages and the checksum of the database after it, these have a few bytes and the hash of
everything up to them: two nodes with the same checksum at an LSN have the same log, and the same rows.
"""

from __future__ import annotations

import struct
import zlib
from functools import lru_cache
from hashlib import blake2b
from typing import Final, NamedTuple

from helios_cli.engine.types import Lsn, Term

DATA: Final = 0
TERM_START: Final = 1
CONFIG: Final = 2

_HEAD: Final = struct.Struct("<IIQQQBQQ")
_LENGTH: Final = struct.Struct("<II")
_MAGIC: Final = 0x4C4F4753


class SimRecord(NamedTuple):
    """One record."""

    lsn: Lsn
    end: Lsn
    """Behind it, exclusive."""
    term: Term
    kind: int
    committed: Lsn
    """What the primary knew to be committed when it made the record."""
    checksum: int
    """Of the database after it, as the primary has it."""
    body: bytes


@lru_cache(maxsize=4096)
def chained(before: int, term: Term, lsn: Lsn, body: bytes) -> int:
    """The checksum after a record, from the one before it. Every node asks for it, again after each start."""
    text = b"%d %d %d %d " % (before, term.number, term.term_id, lsn)
    return int.from_bytes(blake2b(text + body, digest_size=8).digest(), "little")


def make_record(lsn: Lsn, before: int, term: Term, kind: int, committed: Lsn, body: bytes) -> SimRecord:
    """The record that comes at ``lsn`` behind a database with checksum ``before``."""
    end = Lsn(lsn + _HEAD.size + len(body) + 4)
    return SimRecord(lsn, end, term, kind, committed, chained(before, term, lsn, body), body)


def encode(record: SimRecord) -> bytes:
    """As it lies on the disk: header, body, CRC-32 of both."""
    term = record.term
    head = _HEAD.pack(
        _MAGIC, len(record.body), record.lsn, term.number, term.term_id, record.kind, record.committed, record.checksum
    )
    data = head + record.body
    return data + zlib.crc32(data).to_bytes(4, "little")


def decode_all(data: bytes) -> list[SimRecord]:
    """The whole records at the beginning of a log; what comes behind them is a torn tail."""
    records: list[SimRecord] = []
    at = 0
    while at + _LENGTH.size <= len(data):
        magic, length = _LENGTH.unpack_from(data, at)
        end = at + _HEAD.size + length + 4
        if magic != _MAGIC or end > len(data):
            break
        record = _decoded(data[at:end])
        if record is None or record.lsn != at:
            break
        records.append(record)
        at = end
    return records


@lru_cache(maxsize=4096)
def _decoded(data: bytes) -> SimRecord | None:
    """A whole record; None: it is damaged. Every node reads the same ones, at each of its starts."""
    if zlib.crc32(data[:-4]) != int.from_bytes(data[-4:], "little"):
        return None
    _magic, _length, lsn, number, term_id, kind, committed, checksum = _HEAD.unpack_from(data)
    body = data[_HEAD.size : -4]
    return SimRecord(Lsn(lsn), Lsn(lsn + len(data)), Term(number, term_id), kind, Lsn(committed), checksum, body)
