"""Makes log records in order: the one place that knows the next LSN of a primary."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from helios_cli.engine.log.checksum import ChecksumTable
from helios_cli.engine.log.record import Flags, Kind, RecordHeader, encode_record
from helios_cli.engine.ports import Clock
from helios_cli.engine.storage.capture import Pages
from helios_cli.engine.types import Lsn, Term


class RecordWriter:
    """Encodes records at the end of the log. Used by the holder of the writer's token only.

    ``append`` takes the finished parts of a chain straight to the log; the last record of everything is handed
    back to be written with the sync that its clients wait for.
    """

    def __init__(
        self,
        *,
        term: Term,
        lsn: Lsn,
        last: RecordHeader | None,
        clock: Clock,
        append: Callable[[bytes], None],
    ) -> None:
        self.term = term
        self.lsn = lsn
        """Where the next record goes."""
        self.committed_lsn = lsn
        self.config_version = 0
        self.records_made = 0
        self.bytes_made = 0
        self.pages_made = 0
        self._prev_lsn = last.lsn if last is not None else lsn
        self._prev_term = last.term if last is not None else term
        self._db_pages = last.db_pages if last is not None else 0
        self._db_checksum = last.db_checksum if last is not None else 0
        self._wall_us = clock.wall_us
        self._append = append

    def data(self, pages: Pages, db_pages: int, db_checksum: int) -> tuple[bytes, Lsn]:
        """The record of one group and the LSN after it."""
        self._db_pages = db_pages
        self._db_checksum = db_checksum
        return self._encode(pages, Kind.DATA, 0)

    def chain(self, parts: Iterator[Pages], db_pages: int, checksums: ChecksumTable) -> tuple[bytes, Lsn]:
        """Append all parts of a large transaction but the last, which is returned with the LSN after it.

        The parts carry the size and checksum of before: only the end makes them true.
        """
        pages = next(parts)
        flags = Flags.CHAIN_PART | Flags.CHAIN_START
        for following in parts:
            checksums.apply(pages, db_pages)
            self._append(self._encode(pages, Kind.DATA, flags)[0])
            flags = Flags.CHAIN_PART
            pages = following
        total = checksums.apply(pages, db_pages)
        self._db_pages = db_pages
        self._db_checksum = total
        alone = flags & Flags.CHAIN_START
        return self._encode(pages, Kind.DATA, 0 if alone else Flags.CHAIN_END)

    def mark(self, kind: Kind) -> tuple[bytes, Lsn]:
        """A record without pages: the start of a term, or a seal."""
        return self._encode({}, kind, 0)

    def _encode(self, pages: Pages, kind: int, flags: int) -> tuple[bytes, Lsn]:
        lsn = self.lsn
        data = encode_record(
            pages,
            term=self.term,
            lsn=lsn,
            prev_lsn=self._prev_lsn,
            prev_term=self._prev_term,
            wall_us=self._wall_us(),
            db_pages=self._db_pages,
            db_checksum=self._db_checksum,
            committed_lsn=self.committed_lsn,
            flushed_lsn=self.committed_lsn,
            config_version=self.config_version,
            kind=kind,
            flags=flags,
        )
        self._prev_lsn = lsn
        self._prev_term = self.term
        self.lsn = Lsn(lsn + len(data))
        self.records_made += 1
        self.bytes_made += len(data)
        self.pages_made += len(pages)
        return data, self.lsn
