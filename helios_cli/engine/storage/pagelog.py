"""The page log on disk: segments of records, appended and synced by one thread, read by any.

Layout and rules are those of docs/FORMAT.md. Three facts keep recovery simple: records never span segments; a
segment gets its name only after everything before it is on disk, so only the last can have a torn tail; and room
for a record is promised before the commit that needs it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Final

from helios_cli.engine.errors import HeliosError, IoFailed, LogDamaged
from helios_cli.engine.log.record import (
    HEADER_BYTES,
    VERIFY_HINT,
    Record,
    RecordDamaged,
    RecordHeader,
    decode_header,
    last_header,
    peek_length,
    peek_lsn,
)
from helios_cli.engine.log.segment import SEGMENT_HEADER_BYTES, SegmentHeader, encode_segment_header, segment_name
from helios_cli.engine.ports import File, Files
from helios_cli.engine.storage.files import as_helios_error
from helios_cli.engine.storage.segmentfile import (
    Segment,
    Tail,
    find_tail,
    iter_records,
    list_segments,
    read_whole,
    refuse_damage,
    settle,
)
from helios_cli.engine.storage.spare import RunBackground, SparePool, in_thread
from helios_cli.engine.types import Lsn, Term

SEGMENT_BYTES: Final = 16 << 20


class LogRemoved(HeliosError):
    """Records that were asked for have been removed by retention."""

    sqlstate = "58P01"


class PageLog:
    """The records of one node between :attr:`start` and :attr:`end`.

    Threads: ``reserve`` is for the event loop, ``write`` and ``sync`` for one syncer thread, ``records`` for any.
    ``truncate_to``, ``reset`` and ``close`` are called while nobody writes. After a failed write or sync the object
    takes nothing more: what is on disk is then unknown until the log is opened again.
    """

    def __init__(
        self, files: Files, directory: str, cluster_id: bytes, segment_bytes: int, run_background: RunBackground
    ) -> None:
        """Use :meth:`open`."""
        self._files = files
        self._directory = directory
        self._cluster_id = cluster_id
        self._lock = threading.RLock()
        self._spares = SparePool(files, directory, segment_bytes, run_background)
        self._segments: list[Segment] = []
        self._failed: str | None = None
        self._dirty = False
        self._last: RecordHeader | None = None
        self._last_raw: bytes | None = None
        self._file: File = None  # type: ignore[assignment]  # until a segment is opened
        self.end = Lsn(0)
        """LSN behind the last written record."""
        self.flushed = Lsn(0)
        """LSN up to which everything is on disk."""
        self.dropped_bytes = 0
        """Bytes of the torn tail that opening cut off; 0 after an orderly stop."""

    @classmethod
    def open(
        cls,
        files: Files,
        directory: str,
        *,
        cluster_id: bytes,
        segment_bytes: int = SEGMENT_BYTES,
        flushed_floor: Lsn = Lsn(0),
        own_term: Term | None = None,
        first_lsn: Lsn = Lsn(0),
        rewind_to: Lsn | None = None,
        run_background: RunBackground = in_thread,
    ) -> PageLog:
        """Open the log of a directory, or begin one at ``first_lsn`` where there is none.

        A torn tail is cut off and the cut synced. ``flushed_floor`` is what is known to have been on disk; anything
        unreadable below it, or below what a later record proves, is damage and is refused; ``own_term`` is the
        term whose records were made here, which prove more than those of others. ``rewind_to`` finishes a
        :meth:`truncate_to` that a crash interrupted: everything behind it goes, whatever it looks like.

        Raises:
            LogDamaged: a segment is missing, damaged or of another cluster; or a record known to be on disk is bad.
            DiskFull, IoFailed: the file system refused.
        """
        log = cls(files, directory, cluster_id, segment_bytes, run_background)
        try:
            files.makedirs(directory)
            log._spares.adopt_leftovers()
            log._segments = list_segments(files, directory, cluster_id)
            # A process that died between a rename and its sync left a name that a power cut can still take away.
            files.sync_dir(directory)
            if not log._segments:
                log._begin(first_lsn, flushed_floor)
            elif rewind_to is not None:
                log._cut(rewind_to)
            else:
                log._recover(flushed_floor, own_term)
        except OSError as error:
            log.close()
            raise as_helios_error(error, f"open the page log in {directory}") from error
        except HeliosError:
            log.close()
            raise
        return log

    @property
    def start(self) -> Lsn:
        """LSN of the oldest record kept; equal to :attr:`end` when the log is empty."""
        return self._segments[0].first_lsn

    @property
    def last(self) -> RecordHeader | None:
        """Header of the last record; None when the log holds none."""
        raw = self._last_raw
        return self._last if raw is None else decode_header(raw)

    @property
    def segment_count(self) -> int:
        """Segments that hold the log, the spare one not counted."""
        return len(self._segments)

    # Opening.

    def _begin(self, first_lsn: Lsn, flushed_floor: Lsn) -> None:
        if flushed_floor > first_lsn:
            raise LogDamaged(
                f"page log in {self._directory} is empty, but it was on disk up to {flushed_floor}", hint=VERIFY_HINT
            )
        self._spares.forget()
        spare = self._spares.take(0, zero_fill=True)
        self._use_segment(spare, SegmentHeader(self._cluster_id, first_lsn, Term(0), first_lsn))
        self.end = self.flushed = first_lsn

    def _recover(self, flushed_floor: Lsn, own_term: Term | None) -> None:
        segment = self._segments[-1]
        file = self._files.open(segment.path)
        tail = find_tail(file, segment.first_lsn)
        if tail.damage is not None:
            refuse_damage(file, segment.first_lsn, tail.damage, flushed_floor, own_term)
        if tail.end < flushed_floor:
            raise RecordDamaged(tail.end, f"the log ends there, but it was on disk up to {flushed_floor}")
        shift = SEGMENT_HEADER_BYTES - segment.first_lsn
        self.dropped_bytes = settle(file, max(segment.first_lsn, flushed_floor) + shift, tail.end + shift)
        self._resume(file, tail)

    def _resume(self, file: File, tail: Tail) -> None:
        """Make the last segment the one to write to; ``tail`` is where it ends."""
        self._last, self._last_raw = tail.last or self._last_of_previous(), None
        self.end = self.flushed = tail.end
        self._dirty = False
        self._use_file(file)

    def _last_of_previous(self) -> RecordHeader | None:
        """The record before a last segment that holds none yet."""
        if len(self._segments) < 2:
            return None
        segment, following = self._segments[-2:]
        file = self._files.open(segment.path)
        try:
            tail = find_tail(file, segment.first_lsn, following.first_lsn)
        finally:
            file.close()
        if tail.damage is not None:
            raise tail.damage
        if tail.end != following.first_lsn:
            raise RecordDamaged(following.first_lsn, f"no record starts there; one ends at {tail.end}")
        return tail.last

    def _use_file(self, file: File) -> None:
        first = self._segments[-1].first_lsn
        capacity = file.size() - SEGMENT_HEADER_BYTES
        self._file = file
        self._shift = SEGMENT_HEADER_BYTES - first
        self._half = first + capacity // 2
        # Written last: reserve() compares with it without taking the lock.
        self._room_end = first + capacity

    def _use_segment(self, spare: tuple[File, str], header: SegmentHeader) -> None:
        """Turn a spare file into the log's next segment; all of it is on disk before a record goes in."""
        file, spare_path = spare
        path = f"{self._directory}/{segment_name(header.first_lsn)}"
        file.pwrite(encode_segment_header(header), 0)
        file.sync()
        self._files.rename(spare_path, path)
        self._files.sync_dir(self._directory)
        self._segments.append(Segment(path, header))
        self._use_file(file)

    # Writing.

    def reserve(self, n_bytes: int, at: Lsn | None = None) -> None:
        """Promise that records of ``n_bytes`` together, starting at ``at``, can be written without DiskFull.

        ``at`` is where the next record will start when others are made and not yet written; None means
        :attr:`end`. Takes well under a microsecond unless the present segment is nearly full and no spare one is
        ready; then a file is allocated on the spot.

        Raises:
            DiskFull: there is no room. Nothing changed; it may be asked again.
            IoFailed: the log cannot be written any more.
        """
        if (self.end if at is None else at) + n_bytes <= self._room_end and self._failed is None:
            return
        with self._lock:
            self._check_usable()
            outstanding = 0 if at is None else at - self.end
            # If everything outstanding fits a spare segment, it also fits split over the present one and that.
            try:
                self._spares.ensure(outstanding + n_bytes)
            except OSError as error:
                raise as_helios_error(error, "reserve room in the page log") from error

    def write(self, data: bytes) -> None:
        """Append one or several whole records that continue the log; not durable before :meth:`sync`.

        Raises:
            LogDamaged: the first record does not start at :attr:`end`.
            DiskFull, IoFailed: the log is unusable from here on.
        """
        if not data:
            return
        self._check_takes(data)
        try:
            if self.end + len(data) <= self._room_end:
                self._append(data)
            else:
                self._append_rolling(data)
        except OSError as error:
            raise self.failed(error, "write the page log") from error
        if self.end >= self._half:
            self._spares.prepare()

    def write_through(self, data: bytes) -> None:
        """Append records and put all that was appended on disk, by one call if possible; raises as these two do."""
        if not self._fits_through(data):
            self.write(data)
            self.sync()
            return
        try:
            self._file.pwrite_through(data, self.end + self._shift)
        except OSError as error:
            raise self.failed(error, "write the page log") from error
        self.written_through(data)

    def place_through(self, data: bytes) -> tuple[int, int] | None:
        """Descriptor and offset for others' durable write of ``data``, who then call :meth:`written_through`.

        None: only :meth:`write_through` can do it.
        """
        descriptor = self._file.through_descriptor() if self._fits_through(data) else None
        return None if descriptor is None else (descriptor, self.end + self._shift)

    def _fits_through(self, data: bytes) -> bool:
        """Whether ``data`` fits the segment, and nothing before it has to be synced."""
        self._check_takes(data)
        return not self._dirty and self.end + len(data) <= self._room_end

    def written_through(self, data: bytes) -> None:
        """Take in what has been appended durably."""
        self._last_raw = last_header(data)
        self.end = self.flushed = Lsn(self.end + len(data))
        if self.end >= self._half:
            self._spares.prepare()

    def _check_takes(self, data: bytes) -> None:
        self._check_usable()
        if peek_lsn(data) != self.end:
            raise LogDamaged(f"page log ends at {self.end}; a record of {peek_lsn(data)} does not continue it")

    def _append(self, data: bytes) -> None:
        self._file.pwrite(data, self.end + self._shift)
        self._dirty = True
        self._last_raw = last_header(data)
        self.end = Lsn(self.end + len(data))

    def _append_rolling(self, data: bytes) -> None:
        """Fill the present segment with the records that fit, then go on in the next."""
        start = at = 0
        while at < len(data):
            length = peek_length(data, at)
            if self.end + (at - start) + length > self._room_end:
                if at > start:
                    self._append(data[start:at])
                self._roll(data[at : at + HEADER_BYTES], length)
                start = at
            at += length
        self._append(data[start:])

    def _roll(self, next_header: bytes, length: int) -> None:
        """Begin a segment at :attr:`end` for a record of ``length`` bytes.

        The present segment is synced first: that a later segment exists then proves that this one is whole.
        """
        self._sync_file()
        with self._lock:
            spare = self._spares.take(length, zero_fill=False)
            self._file.close()
            term = decode_header(next_header).term
            self._use_segment(spare, SegmentHeader(self._cluster_id, self.end, term, self._segments[-1].first_lsn))

    def sync(self) -> None:
        """Put everything written on disk and move :attr:`flushed` up to :attr:`end`.

        Raises:
            IoFailed: what reached the disk is unknown; the log is unusable from here on.
        """
        self._check_usable()
        try:
            self._sync_file()
        except OSError as error:
            raise self.failed(error, "sync the page log") from error

    def _sync_file(self) -> None:
        if self._dirty:
            end = self.end
            self._file.sync()
            self._dirty = False
            self.flushed = end

    def failed(self, error: OSError, doing: str) -> HeliosError:
        """Take no more; the error to tell of."""
        failure = as_helios_error(error, doing)
        self._failed = failure.message
        return failure

    def _check_usable(self) -> None:
        if self._failed is not None:
            raise IoFailed(f"the page log takes no more records: {self._failed}", hint="Restart the node.")

    # Reading.

    def records(self, start: Lsn, end: Lsn | None = None) -> Iterator[Record]:
        """The records from ``start``, which must begin one, up to ``end`` or what is written now; verified.

        Parts of chains come one by one. Streams: memory is a read buffer. Other threads may write meanwhile.

        Raises:
            LogRemoved: ``start`` lies before :attr:`start`, or retention overtook the reader.
            RecordDamaged: the bytes at an LSN are no record.
        """
        stop = self.end if end is None else min(end, self.end)
        lsn = start
        while lsn < stop:
            with self._lock:
                segment, segment_end = self._find(lsn, stop)
                file = self._files.open(segment.path)
            try:
                for record in iter_records(file, segment.first_lsn, lsn, segment_end):
                    yield record
                    lsn = record.end
            except RecordDamaged as damage:
                # A segment that was recycled under the reader holds other bytes now.
                self._check_kept(damage.lsn)
                raise
            finally:
                file.close()

    def chunk(self, start: Lsn, max_bytes: int) -> bytes:
        """Whole records from ``start``, which must begin one, verbatim and unverified; empty at the log's end.

        At most ``max_bytes``, but one record at least. They come from one segment. Other threads may write meanwhile.

        Raises:
            LogRemoved: ``start`` lies before :attr:`start`, or retention overtook the reader.
            RecordDamaged: no record starts there.
        """
        stop = self.end
        if start >= stop:
            return b""
        with self._lock:
            segment, segment_end = self._find(start, stop)
            file = self._files.open(segment.path)
        try:
            data = read_whole(file, segment.first_lsn, start, segment_end, max_bytes)
        finally:
            file.close()
            # A segment that was recycled under the reader holds other bytes now.
            self._check_kept(start)
        return data

    def _find(self, lsn: Lsn, stop: Lsn) -> tuple[Segment, Lsn]:
        """The segment that holds ``lsn``, and where to stop reading it."""
        self._check_kept(lsn)
        following = stop
        for segment in reversed(self._segments):
            if segment.first_lsn <= lsn:
                return segment, min(following, stop)
            following = segment.first_lsn
        raise AssertionError("the first segment starts at the log's start")

    def _check_kept(self, lsn: Lsn) -> None:
        if lsn < self.start:
            raise LogRemoved(
                f"page log before {self.start} has been removed; {lsn} was asked for",
                hint="Raise log_retention_mb to keep more of the log.",
            )

    # Removing.

    def retain_from(self, lsn: Lsn) -> int:
        """Remove the segments whose records all lie before ``lsn``; returns how many.

        The oldest goes first, each removal synced, so that a crash leaves no gap. The last record that is on disk
        always stays: without one nothing would say where the log has come to.

        Raises:
            IoFailed: the file system refused; what was removed stays removed.
        """
        removed = 0
        try:
            while len(self._segments) > 1 and self._segments[1].first_lsn <= min(lsn, self.flushed - 1):
                with self._lock:
                    segment = self._segments.pop(0)
                    if not self._spares.recycle(segment.path):
                        self._files.unlink(segment.path)
                self._files.sync_dir(self._directory)
                removed += 1
        except OSError as error:
            raise as_helios_error(error, "remove old page log segments") from error
        return removed

    def truncate_to(self, lsn: Lsn) -> None:
        """Forget every record from ``lsn`` on, where one must start or the log end; synced.

        A crash in between leaves a log that only ``open(..., rewind_to=lsn)`` accepts, so the intention is recorded
        in the control file first, and what lies before ``lsn`` is synced before that.

        Raises:
            LogRemoved: ``lsn`` lies before :attr:`start`.
            RecordDamaged: no record starts there.
            LogDamaged: the log ends before it.
        """
        self._check_usable()
        self._check_kept(lsn)
        self._file.close()
        try:
            self._cut(lsn)
        except OSError as error:
            raise self.failed(error, "truncate the page log") from error

    def _cut(self, lsn: Lsn) -> None:
        self._check_kept(lsn)
        while self._segments[-1].first_lsn > lsn:
            self._files.unlink(self._segments[-1].path)
            self._files.sync_dir(self._directory)
            self._segments.pop()
        segment = self._segments[-1]
        file = self._files.open(segment.path)
        tail = find_tail(file, segment.first_lsn, lsn)
        if tail.damage is not None:
            raise tail.damage
        if tail.end != lsn:
            raise RecordDamaged(lsn, f"no record starts there; one ends at {tail.end}")
        settle(file, SEGMENT_HEADER_BYTES, SEGMENT_HEADER_BYTES + lsn - segment.first_lsn)
        self._resume(file, tail)

    def reset(self, first_lsn: Lsn) -> None:
        """Drop the whole log and begin an empty one at ``first_lsn``, as seeding from a peer does."""
        self._check_usable()
        self._file.close()
        try:
            for segment in reversed(self._segments):
                self._files.unlink(segment.path)
                self._files.sync_dir(self._directory)
            self._segments = []
            self._last = self._last_raw = None
            self._dirty = False
            self._begin(first_lsn, Lsn(0))
        except OSError as error:
            raise self.failed(error, "reset the page log") from error

    def close(self) -> None:
        """Release the files; never syncs."""
        self._spares.close()
        self._failed = self._failed or "it is closed"
        if self._file is not None:
            self._file.close()
