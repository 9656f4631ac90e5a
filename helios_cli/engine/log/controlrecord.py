"""The control record as bytes: what a node must remember besides its database and its log."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from google_crc32c import value as crc32c

from helios_cli.engine.errors import LogDamaged
from helios_cli.engine.types import Lsn, Term

SLOT_BYTES: Final = 4096
MAGIC: Final = b"HNCT"
VERSION: Final = 1
MAX_TEXT_BYTES: Final = 1000
_CLEAN: Final = 1
_OWN_TERM: Final = 2
# magic, version, sequence, cluster id, incarnation, term number, term id, checkpoint, flushed, committed,
# db checksum, db pages, checksum file, flags, length of voted_for, length of state
_FIELDS: Final = struct.Struct("<4sIQ16s16sQQQQQQIbBHH")
_CRC: Final = struct.Struct("<I")
_CRC_AT: Final = SLOT_BYTES - _CRC.size


@dataclass(frozen=True, slots=True)
class ControlRecord:
    """One state of the control file."""

    cluster_id: bytes
    """16 bytes, drawn when the cluster was born."""
    incarnation: bytes
    """16 bytes, drawn when this data directory was made; a node whose disk was lost comes back with another."""
    term: Term = Term(0)
    """The newest term this node has promised to."""
    voted_for: str = ""
    """The node this one voted for, in that term or an older one that its log does not hold; empty: none."""
    clean: bool = False
    """Whether the node was stopped in order and everything is in the database file."""
    checkpoint_lsn: Lsn = Lsn(0)
    """Up to here the database file holds every change, synced; redo starts here."""
    flushed_lsn: Lsn = Lsn(0)
    """What was known to be on disk in the page log; unreadable records below it are damage."""
    committed_lsn: Lsn = Lsn(0)
    """What was known to be committed; nothing beyond is shown before the cluster says so again."""
    state: str = ""
    """Empty in normal life, or the act that a crash may have interrupted, such as ``rewinding to 0/1A2B``."""
    db_pages: int = 0
    """Size of the database at the checkpoint, in pages."""
    db_checksum: int = 0
    """Checksum of the database at the checkpoint."""
    checksum_file: int = -1
    """Which of the two checksum files belongs to the checkpoint; -1 when none was saved."""
    is_own_term: bool = False
    """Whether it was this node that took :attr:`term`, to lead in it: no other node makes records of it."""

    @property
    def own_term(self) -> Term | None:
        """The term in which records are this node's own; None when it has promised a newer one to another."""
        return self.term if self.is_own_term else None


def encode_control(record: ControlRecord, sequence: int) -> bytes:
    """One slot of the control file, SLOT_BYTES long.

    Raises:
        ValueError: a text is longer than MAX_TEXT_BYTES, or an id is not 16 bytes.
    """
    voted, state = record.voted_for.encode(), record.state.encode()
    if max(len(voted), len(state)) > MAX_TEXT_BYTES or len(record.cluster_id) != 16 or len(record.incarnation) != 16:
        raise ValueError("a text or an id does not fit the control record")
    fields = _FIELDS.pack(
        MAGIC, VERSION, sequence, record.cluster_id, record.incarnation, record.term.number, record.term.term_id,
        record.checkpoint_lsn, record.flushed_lsn, record.committed_lsn, record.db_checksum, record.db_pages,
        record.checksum_file, (_CLEAN if record.clean else 0) | (_OWN_TERM if record.is_own_term else 0),
        len(voted), len(state),
    )  # fmt: skip
    padded = (fields + voted + state).ljust(_CRC_AT, b"\0")
    return padded + _CRC.pack(crc32c(padded))


def decode_control(slot: bytes) -> tuple[ControlRecord, int]:
    """Read one slot: the record and its sequence number.

    Raises:
        LogDamaged: it fails its checksum, or another release wrote it.
    """
    if len(slot) != SLOT_BYTES or _CRC.unpack_from(slot, _CRC_AT)[0] != crc32c(slot[:_CRC_AT]):
        raise LogDamaged("a slot of the control file fails its checksum")
    (
        magic, version, sequence, cluster_id, incarnation, number, term_id, checkpoint, flushed, committed,
        db_checksum, db_pages, checksum_file, flags, voted_length, state_length,
    ) = _FIELDS.unpack_from(slot)  # fmt: skip
    if magic != MAGIC or version != VERSION:
        raise LogDamaged(
            f"the control file has format version {version}",
            hint=f"Run the release that wrote it, or a later one; this one reads version {VERSION}.",
        )
    voted_end = _FIELDS.size + voted_length
    record = ControlRecord(
        cluster_id=cluster_id,
        incarnation=incarnation,
        term=Term(number, term_id),
        voted_for=slot[_FIELDS.size : voted_end].decode(),
        clean=bool(flags & _CLEAN),
        checkpoint_lsn=Lsn(checkpoint),
        flushed_lsn=Lsn(flushed),
        committed_lsn=Lsn(committed),
        state=slot[voted_end : voted_end + state_length].decode(),
        db_pages=db_pages,
        db_checksum=db_checksum,
        checksum_file=checksum_file,
        is_own_term=bool(flags & _OWN_TERM),
    )
    return record, sequence
