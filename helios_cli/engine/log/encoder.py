"""Building the next records of a log: what a primary keeps between one record and the next."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from helios_cli.engine.log.record import Buffer, Flags, Kind, RecordHeader, encode_record
from helios_cli.engine.types import PAGE_SIZE, Lsn, Term

MAX_PART_PAGES = (1 << 20) // PAGE_SIZE
"""Pages in one part of a chain: 1 MiB of images, so that both sides hold little at a time."""

_PART_ONLY = int(Flags.CHAIN_PART)
_PART_FIRST = int(Flags.CHAIN_PART | Flags.CHAIN_START)
_END = int(Flags.CHAIN_END)


class RecordEncoder:
    """Makes consecutive records of one term; each call moves on to the LSN behind the record it made.

    ``committed_lsn``, ``flushed_lsn`` and ``config_version`` are set by the owner as they change and go into every
    record. ``db_pages`` and ``db_checksum`` are the state after the last record that took effect.
    """

    __slots__ = (
        "committed_lsn", "config_version", "db_checksum", "db_pages", "flushed_lsn", "lsn", "prev_lsn", "prev_term",
        "term",
    )  # fmt: skip

    def __init__(
        self, term: Term, *, last: RecordHeader | None, db_pages: int, db_checksum: int, first_lsn: Lsn = Lsn(0)
    ) -> None:
        """``last`` is the log's last record; None when the log is empty and starts at ``first_lsn``."""
        self.term = term
        self.lsn = first_lsn if last is None else last.end
        """Where the next record will start."""
        self.prev_lsn = first_lsn if last is None else last.lsn
        self.prev_term = Term(0) if last is None else last.term
        self.db_pages = db_pages
        self.db_checksum = db_checksum
        self.committed_lsn: int = 0 if last is None else last.committed_lsn
        self.flushed_lsn: int = 0 if last is None else last.flushed_lsn
        self.config_version = 0 if last is None else last.config_version

    def data(self, pages: Mapping[int, Buffer], db_pages: int, db_checksum: int, wall_us: int) -> bytes:
        """The record of one group: the images it changed, and the database's size and checksum after it."""
        self.db_pages = db_pages
        self.db_checksum = db_checksum
        return self._next(pages, wall_us, 1, 0)

    def term_start(self, wall_us: int) -> bytes:
        """The record that opens a primary's term."""
        return self._next({}, wall_us, int(Kind.TERM_START), 0)

    def seal(self, wall_us: int) -> bytes:
        """The record an idle primary writes so that its flushed and committed LSN are on disk."""
        return self._next({}, wall_us, int(Kind.SEAL), 0)

    def config(self, version: int, text: bytes, wall_us: int) -> bytes:
        """The record of a version of the cluster's configuration."""
        self.config_version = version
        return self._next({}, wall_us, int(Kind.CONFIG), 0, text)

    def chain(
        self,
        pages: Iterable[tuple[int, Buffer]],
        db_pages: int,
        apply: Callable[[Mapping[int, Buffer], int], int],
        wall_us: int,
        part_pages: int = MAX_PART_PAGES,
    ) -> Iterator[bytes]:
        """The records of a large transaction, one at a time: parts of ``part_pages``, closed by an end.

        ``pages`` holds each changed page once with its final image and is read lazily. ``apply`` takes the pages of
        a part and the final size, and returns the database's checksum with them
        (:meth:`~helios_cli.engine.log.checksum.ChecksumTable.apply`). Parts carry size and checksum of before, since
        they change nothing until the end is written. A transaction that fits one part becomes an ordinary record.
        """
        checksum = self.db_checksum
        first = True
        for part, is_last in split_chain(pages, part_pages):
            checksum = apply(part, db_pages)
            if is_last:
                self.db_pages, self.db_checksum = db_pages, checksum
                flags = 0 if first else _END
            else:
                flags = _PART_FIRST if first else _PART_ONLY
            first = False
            yield self._next(part, wall_us, 1, flags)

    def _next(self, pages: Mapping[int, Buffer], wall_us: int, kind: int, flags: int, text: bytes = b"") -> bytes:
        record = encode_record(
            pages,
            term=self.term,
            lsn=self.lsn,
            prev_lsn=self.prev_lsn,
            prev_term=self.prev_term,
            wall_us=wall_us,
            db_pages=self.db_pages,
            db_checksum=self.db_checksum,
            committed_lsn=self.committed_lsn,
            flushed_lsn=self.flushed_lsn,
            config_version=self.config_version,
            kind=kind,
            flags=flags,
            text=text,
        )
        self.prev_lsn = self.lsn
        self.prev_term = self.term
        self.lsn = Lsn(self.lsn + len(record))
        return record


def split_chain(
    pages: Iterable[tuple[int, Buffer]], part_pages: int = MAX_PART_PAGES
) -> Iterator[tuple[dict[int, Buffer], bool]]:
    """Cut pages into parts, each with whether it is the last; no pages give one empty last part.

    At most ``part_pages`` + 1 pages are held at a time.
    """
    part: dict[int, Buffer] = {}
    for page_no, data in pages:
        if len(part) == part_pages:
            yield part, False
            part = {}
        part[page_no] = data
    yield part, True
