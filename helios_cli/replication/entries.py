"""Log entries as values: records of the log decoded, or what an application puts into a stream itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Self

import msgspec
from google_crc32c import value as crc32c

from helios_cli.engine.errors import ProtocolViolation
from helios_cli.engine.log.chain import ChainTracker
from helios_cli.engine.log.record import Record, decode_record
from helios_cli.engine.types import Lsn


class WalEntry(msgspec.Struct, frozen=True, array_like=True):
    """One entry of a log.

    An entry decoded from the cluster's log is one record: what one group commit changed, as page images. It has no
    table, because a page holds no name of one, and its ``data`` is the record verbatim.
    """

    lsn: int
    """Where it begins."""
    txn_id: int
    """Which entries belong together. Of a record: where the first record of its transaction begins."""
    timestamp: float
    """Seconds since 1970-01-01 UTC."""
    operation: str
    """``INSERT`` and so on; of a record ``DATA``, ``TERM_START``, ``SEAL`` or ``CONFIG``."""
    table: str
    data: bytes
    checksum: int = 0
    """CRC-32C of ``data``; 0 for one that has none."""

    @property
    def end_lsn(self) -> Lsn:
        """Behind it; of a record, where the next one begins."""
        return Lsn(self.lsn + len(self.data))

    @property
    def is_intact(self) -> bool:
        """Whether the data match the checksum, or there is none."""
        return self.checksum == 0 or self.checksum == crc32c(self.data)

    def sealed(self) -> Self:
        """The same with its checksum."""
        return msgspec.structs.replace(self, checksum=crc32c(self.data))

    def record(self) -> Record:
        """The record that the entry was decoded from, verified: its header, its page numbers, its pages.

        Raises:
            RecordDamaged: it was decoded from none, or is damaged.
        """
        return decode_record(self.data, lsn=Lsn(self.lsn))


class RecordDecoder:
    """Turns a stream of whole records into entries. Records of one large transaction get one ``txn_id``."""

    def __init__(self) -> None:
        self._chains = ChainTracker()

    def feed(self, data: bytes) -> Iterator[WalEntry]:
        """The entries of whole records, in order; nothing for no bytes.

        Raises:
            RecordDamaged: they are none, or continue a transaction that is not open.
        """
        at = 0
        while at < len(data):
            record = decode_record(data, at)
            at += record.header.length
            yield self._entry(record)

    def _entry(self, record: Record) -> WalEntry:
        header = record.header
        continues = (header.is_part and not header.opens_chain) or header.ends_chain
        start: int | None = header.lsn
        if not continues or self._chains.open_start is not None:
            start = self._chains.feed(header)
        # Else the log was cut within a transaction, and what is read of it is all that there is.
        if start is None:
            start = self._chains.open_start
        return WalEntry(
            int(header.lsn),
            int(header.lsn if start is None else start),
            header.wall_us / 1e6,
            header.kind.name,
            "",
            record.raw,
            crc32c(record.raw),
        )


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[WalEntry])


def encode_entries(entries: Sequence[WalEntry]) -> bytes:
    """Entries as bytes (MessagePack arrays)."""
    return _encoder.encode(entries)


def decode_entries(data: bytes) -> list[WalEntry]:
    """The inverse of :func:`encode_entries`.

    Raises:
        ProtocolViolation: these are no entries, or one does not match its checksum.
    """
    try:
        entries = _decoder.decode(data)
    except msgspec.MsgspecError as error:
        raise ProtocolViolation("damaged log entries", detail=str(error)) from error
    for entry in entries:
        if not entry.is_intact:
            raise ProtocolViolation(f"the log entry at {Lsn(entry.lsn)} does not match its checksum")
    return entries
