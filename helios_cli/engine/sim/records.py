"""Records of the simulated page log: the database is modelled as a hash chain over them.

Where a real record has pages and the checksum of the database after it, these have a few bytes and the hash of
everything up to them: two nodes with the same checksum at an LSN have the same log, and the same rows.
"""

from __future__ import annotations

import struct
import zlib
from hashlib import blake2b
from typing import Final, NamedTuple

from helios_cli.engine.types import Lsn, Term

DATA: Final = 0
TERM_START: Final = 1
CONFIG: Final = 2

_HEAD: Final = struct.Struct("<IIQQQBQQ")
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


def chained(before: int, term: Term, lsn: Lsn, body: bytes) -> int:
    """The checksum after a record, from the one before it."""
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
    while at + _HEAD.size <= len(data):
        magic, length, lsn, number, term_id, kind, committed, checksum = _HEAD.unpack_from(data, at)
        end = at + _HEAD.size + length + 4
        if magic != _MAGIC or lsn != at or end > len(data):
            break
        if zlib.crc32(data[at : end - 4]) != int.from_bytes(data[end - 4 : end], "little"):
            break
        body = data[at + _HEAD.size : end - 4]
        records.append(SimRecord(Lsn(at), Lsn(end), Term(number, term_id), kind, Lsn(committed), checksum, body))
        at = end
    return records
