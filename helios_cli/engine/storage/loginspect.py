"""Looking into a page log from outside: read-only, also beside a running node, and past whatever is damaged.

Nothing here opens the SQLite database: the state that a replay is compared with comes from the records and from the
checksum file of the last checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Final

from helios_cli.engine.errors import HeliosError, LogDamaged
from helios_cli.engine.log.chain import ChainTracker
from helios_cli.engine.log.checksum import ChecksumTable
from helios_cli.engine.log.controlrecord import SLOT_BYTES, ControlRecord
from helios_cli.engine.log.record import HEADER_BYTES, MAGIC, Record, RecordDamaged, RecordHeader, peek_lsn
from helios_cli.engine.log.segment import (
    SEGMENT_HEADER_BYTES,
    SegmentHeader,
    decode_segment_header,
    parse_segment_name,
    segment_name,
)
from helios_cli.engine.ports import File, Files
from helios_cli.engine.storage.control import CHECKSUM_NAMES, NAME, read_control
from helios_cli.engine.storage.files import ReadOnlyOsFiles
from helios_cli.engine.storage.segmentfile import iter_records, proof_of_flush
from helios_cli.engine.types import Lsn

Progress = Callable[[int], None]
"""Told the bytes of a segment file once it has been read."""

_TORN_ADVICE: Final = "This is how a log looks after a crash or while it is written; the next start cuts it off."
_DAMAGE_ADVICE: Final = (
    "Records that were on disk cannot be read any more. Check the disk, keep a copy of the data directory, and "
    "restore a backup."
)


class NoLog(HeliosError):
    """A directory holds no page log."""

    sqlstate = "58P01"


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong, and where."""

    lsn: Lsn | None
    """None when the place has no LSN."""
    segment: str
    offset: int
    """Byte in the segment file."""
    reason: str
    damage: bool
    """False for a torn tail, which is normal."""

    @property
    def advice(self) -> str:
        """What to do about it."""
        return _DAMAGE_ADVICE if self.damage else _TORN_ADVICE


@dataclass(slots=True)
class SegmentReport:
    """What one segment file holds."""

    name: str
    first_lsn: Lsn
    end_lsn: Lsn
    """LSN behind the last readable record."""
    file_bytes: int
    records: int = 0
    pages: int = 0
    raw_bytes: int = 0
    """Page images before compression."""
    terms: list[int] = field(default_factory=list)

    @property
    def stored_bytes(self) -> int:
        """Bytes of the records."""
        return self.end_lsn - self.first_lsn

    def count(self, header: RecordHeader) -> None:
        """Take in one record."""
        self.records += 1
        self.pages += header.page_count
        self.raw_bytes += header.raw_length
        self.end_lsn = header.end
        if header.term.number not in self.terms:
            self.terms.append(header.term.number)


@dataclass(slots=True)
class Survey:
    """The result of reading a whole log."""

    segments: list[SegmentReport] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    replayed_from: Lsn | None = None
    """Where the comparison of database checksums began; None when it was not asked for."""

    @property
    def damaged(self) -> bool:
        """Whether anything was found that a crash does not explain."""
        return any(problem.damage for problem in self.problems)


class LogReader:
    """The page log of a data directory, read where it lies."""

    def __init__(self, data_dir: str, files: Files | None = None) -> None:
        """``files`` None: the real ones, opened read-only.

        Raises:
            NoLog: there is no page log.
        """
        self._files = ReadOnlyOsFiles() if files is None else files
        self._directory = f"{data_dir}/log"
        self._control = f"{data_dir}/control"
        if not self.segment_names():
            raise NoLog(
                f"no page log in {self._directory}",
                hint='Give the data directory of a node with "--data-dir"; its log is in the folder "log".',
            )

    def segment_names(self) -> list[str]:
        """Names of the segment files in LSN order."""
        return [name for name in self._files.listdir(self._directory) if parse_segment_name(name) is not None]

    def total_bytes(self) -> int:
        """Bytes of all segment files, for a progress bar."""
        return sum(self._size(name) for name in self.segment_names())

    def control(self) -> ControlRecord | None:
        """The control record; None when it cannot be read."""
        try:
            file = self._files.open(f"{self._control}/{NAME}")
            try:
                return read_control(file.pread(2 * SLOT_BYTES, 0), NAME)[0]
            finally:
                file.close()
        except (OSError, LogDamaged):
            return None

    def checkpoint_checksums(self) -> tuple[ChecksumTable, Lsn] | None:
        """The checksums saved with the newest checkpoint and its LSN; None when there are none to read."""
        best: tuple[ChecksumTable, Lsn] | None = None
        for name in CHECKSUM_NAMES:
            try:
                file = self._files.open(f"{self._control}/{name}")
                try:
                    table, lsn = ChecksumTable.from_bytes(file.pread(file.size(), 0))
                finally:
                    file.close()
            except (OSError, LogDamaged):
                continue
            if best is None or lsn > best[1]:
                best = table, lsn
        return best

    def records(self, start: Lsn | None = None, end: Lsn | None = None) -> Iterator[Record]:
        """The records that begin at or after ``start`` and before ``end``; the log may end earlier.

        Raises:
            RecordDamaged: a record before the log's end cannot be read.
        """
        names = self.segment_names()
        firsts = [parse_segment_name(name) or Lsn(0) for name in names]
        for index, name in enumerate(names):
            following = firsts[index + 1] if index + 1 < len(names) else None
            if start is not None and following is not None and following <= start:
                continue
            for item in self._segment_records(name, firsts[index], following):
                if isinstance(item, Problem):
                    if item.damage:
                        raise RecordDamaged(item.lsn or firsts[index], item.reason)
                    return
                if end is not None and item.header.lsn >= end:
                    return
                if start is None or item.header.lsn >= start:
                    yield item

    def survey(self, *, deep: bool, replay: bool = False, progress: Progress | None = None) -> Survey:
        """Read every segment and report; ``deep`` also unpacks every page image and checks links and chains.

        ``replay`` compares the database checksum of every record with a replay, from the empty database when the
        log reaches back to LSN 0, else from the last checkpoint.
        """
        survey = Survey()
        names = self.segment_names()
        checker = _Checker(survey, deep, self._replay_base(names, survey) if replay else None, self.records)
        prev: SegmentHeader | None = None
        for index, name in enumerate(names):
            first = parse_segment_name(name) or Lsn(0)
            following = parse_segment_name(names[index + 1]) if index + 1 < len(names) else None
            prev = self._check_header(name, prev, survey)
            self._survey_segment(name, first, following, survey, checker)
            if progress is not None:
                progress(self._size(name))
        return survey

    def _survey_segment(self, name: str, first: Lsn, following: Lsn | None, survey: Survey, checker: _Checker) -> None:
        report = SegmentReport(name, first, first, self._size(name))
        survey.segments.append(report)
        for item in self._segment_records(name, first, following):
            if isinstance(item, Problem):
                survey.problems.append(item)
                checker.lost_track()
                return
            checker.check(item, name, SEGMENT_HEADER_BYTES + item.header.lsn - first)
            report.count(item.header)
        if not self._exists(name):  # Retention was faster.
            survey.segments.pop()
            checker.lost_track()
        elif following is not None and report.end_lsn != following:
            survey.problems.append(_damage(name, first, report.end_lsn, f"no record ends at {following}"))
            checker.lost_track()

    def _segment_records(self, name: str, first: Lsn, following: Lsn | None) -> Iterator[Record | Problem]:
        """The records of one segment; where they stop before they should, a Problem."""
        try:
            file = self._files.open(f"{self._directory}/{name}")
        except FileNotFoundError:
            return
        try:
            lsn, bad, was_on_disk = first, None, False
            while True:
                try:
                    for record in iter_records(file, first, lsn, following):
                        yield record
                        lsn = record.end
                    return
                except RecordDamaged as error:
                    if bad != error.lsn:
                        # A running node may have written it since it was read. What is known to be on disk now
                        # must be there when it is read again.
                        bad = lsn = error.lsn
                        was_on_disk = self._was_on_disk(file, first, bad)
                        continue
                    problem = self._judge(file, name, first, following, error, was_on_disk)
                    if problem is not None:
                        yield problem
                    return
        finally:
            file.close()

    def _judge(
        self, file: File, name: str, first: Lsn, following: Lsn | None, error: RecordDamaged, was_on_disk: bool
    ) -> Problem | None:
        """What unreadable bytes mean; None when they are simply the end of what is there."""
        bad = error.lsn
        if following is not None:
            return _damage(name, first, bad, error.reason) if self._exists(name) else None
        if bad > first and self._exists(segment_name(bad)):
            return None  # The node has gone on in a new segment.
        if not self._exists(name):
            return None  # Retention was faster; it removes the older first, so this is asked after the newer.
        if was_on_disk:
            return _damage(name, first, bad, f"{error.reason}, and it was on disk")
        offset = SEGMENT_HEADER_BYTES + bad - first
        # Old bytes of a recycled segment are no tail of this one: only a record that begins there can be torn.
        if file.pread(len(MAGIC), offset) != MAGIC or peek_lsn(file.pread(HEADER_BYTES, offset)) != bad:
            return None
        return Problem(bad, name, offset, error.reason, False)

    def _was_on_disk(self, file: File, first: Lsn, bad: Lsn) -> bool:
        control = self.control()
        flushed = Lsn(0) if control is None or control.state else control.flushed_lsn
        own_term = None if control is None else control.own_term
        return bad < flushed or proof_of_flush(file, first, bad, own_term) is not None

    def _exists(self, name: str) -> bool:
        return self._files.exists(f"{self._directory}/{name}")

    def _check_header(self, name: str, prev: SegmentHeader | None, survey: Survey) -> SegmentHeader | None:
        first = parse_segment_name(name)
        try:
            file = self._files.open(f"{self._directory}/{name}")
            try:
                header = decode_segment_header(file.pread(SEGMENT_HEADER_BYTES, 0), name)
            finally:
                file.close()
        except FileNotFoundError:
            return None
        except LogDamaged as error:
            if not self._exists(name):
                return None
            survey.problems.append(Problem(first, name, 0, error.message, True))
            return None
        if prev is not None and header.cluster_id != prev.cluster_id:
            survey.problems.append(Problem(first, name, 0, "it belongs to another cluster", True))
        if prev is not None and header.prev_segment != prev.first_lsn:
            reason = f"segment {segment_name(header.prev_segment)} is missing before it"
            survey.problems.append(Problem(header.prev_segment, name, 0, reason, True))
        return header

    def _replay_base(self, names: list[str], survey: Survey) -> tuple[ChecksumTable, Lsn]:
        first = parse_segment_name(names[0]) or Lsn(0)
        if first == 0:
            base: tuple[ChecksumTable, Lsn] | None = (ChecksumTable(), Lsn(0))
        else:
            base = self.checkpoint_checksums()
        if base is None:
            raise NoLog(
                f"the log begins at {first} and no checksums of a checkpoint can be read, so nothing can be replayed",
                hint='Leave out "--replay"; the next checkpoint of the node saves the checksums again.',
            )
        survey.replayed_from = base[1]
        return base

    def _size(self, name: str) -> int:
        try:
            file = self._files.open(f"{self._directory}/{name}")
        except FileNotFoundError:
            return 0
        try:
            return file.size()
        finally:
            file.close()


class _Checker:
    """What is checked from record to record: links, chains, contents, and the replay if there is a base for it."""

    def __init__(
        self,
        survey: Survey,
        deep: bool,
        base: tuple[ChecksumTable, Lsn] | None,
        read: Callable[[Lsn, Lsn], Iterator[Record]],
    ) -> None:
        self._survey = survey
        self._deep = deep
        self._read = read
        self._table: ChecksumTable | None = None
        self.lost_track()
        if base is not None:
            self._table = base[0]
        self._base_lsn = base[1] if base is not None else Lsn(0)

    def lost_track(self) -> None:
        """Begin anew behind something unreadable, or at a log's start, which may lie inside a chain."""
        self._prev: RecordHeader | None = None
        self._chain = ChainTracker()
        self._in_step = False
        self._table = None

    def check(self, record: Record, name: str, offset: int) -> None:
        """Check one record against those before it."""
        header = record.header
        try:
            if self._prev is not None and not header.follows(self._prev):
                raise RecordDamaged(header.lsn, f"it does not continue the one at {self._prev.lsn}")
            if self._deep:
                _check_pages(record)
                self._follow_chain(record)
        except RecordDamaged as error:
            self._survey.problems.append(Problem(header.lsn, name, offset, error.reason, True))
        self._prev = header

    def _follow_chain(self, record: Record) -> None:
        header = record.header
        if not self._in_step:
            continues = (header.is_part and not header.opens_chain) or header.ends_chain
            if continues:
                return
            self._in_step = True
        start = self._chain.feed(header)
        if start is not None and self._table is not None and start >= self._base_lsn:
            self._replay(self._table, start, record)

    def _replay(self, table: ChecksumTable, start: Lsn, record: Record) -> None:
        header = record.header
        # Reading a chain's parts again scans its segment, which is not to be done for every single record.
        parts = self._read(start, header.lsn) if start < header.lsn else ()
        for part in chain(parts, (record,)):
            table.apply(part.pages(), header.db_pages)
        if table.total != header.db_checksum:
            # One report, not one for every record that follows.
            found, self._table = table.total, None
            raise RecordDamaged(
                header.lsn, f"a replay gives the database checksum {found:016x} instead of {header.db_checksum:016x}"
            )


def _check_pages(record: Record) -> None:
    numbers = record.page_numbers()
    if len(set(numbers)) != len(numbers) or 0 in numbers:
        raise RecordDamaged(record.header.lsn, "its page numbers are not distinct positive numbers")
    record.pages()


def _damage(name: str, first: Lsn, lsn: Lsn, reason: str) -> Problem:
    return Problem(lsn, name, SEGMENT_HEADER_BYTES + lsn - first, reason, True)


def newest_image(records: Iterator[Record], page_no: int) -> tuple[bytes, Lsn] | None:
    """The last image of a page among records that took effect, and the LSN of its record; None when there is none."""
    tracker = ChainTracker()
    found: tuple[bytes, Lsn] | None = None
    waiting: tuple[bytes, Lsn] | None = None
    for record in records:
        header = record.header
        if header.opens_chain or not (header.is_part or header.ends_chain):
            waiting = None
        if page_no in record.page_numbers():
            waiting = record.pages()[page_no], header.lsn
        try:
            complete = tracker.feed(header) is not None
        except RecordDamaged:
            complete = False  # The range begins inside a chain.
        if complete and waiting is not None:
            found, waiting = waiting, None
    return found
