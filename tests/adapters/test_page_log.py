"""The page log over simulated and real files: rolling, recovery, damage, room, removal."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from helios_cli.engine.errors import DiskFull, IoFailed, LogDamaged
from helios_cli.engine.log.encoder import MAX_PART_PAGES, RecordEncoder
from helios_cli.engine.log.record import HEADER_BYTES, RecordDamaged
from helios_cli.engine.log.segment import SEGMENT_HEADER_BYTES
from helios_cli.engine.node.apply_queue import BATCH_BYTES
from helios_cli.engine.node.streamer import CHUNK_BYTES
from helios_cli.engine.ports import Files
from helios_cli.engine.sim.files import PowerCut, SimFiles
from helios_cli.engine.storage.files import OsFiles
from helios_cli.engine.storage.pagelog import LogRemoved, PageLog
from helios_cli.engine.storage.segmentfile import WRITE_MAX_BYTES, proof_of_flush
from helios_cli.engine.storage.spare import RunBackground, inline
from helios_cli.engine.types import PAGE_SIZE, Lsn, Term

CLUSTER = b"page-log-tests!!"
CAPACITY = 8192
SEGMENT_BYTES = SEGMENT_HEADER_BYTES + CAPACITY
D = "/d/log"


def reopen(files: Files, directory: str = D, run: RunBackground = inline, **settings: object) -> PageLog:
    settings = {"segment_bytes": SEGMENT_BYTES} | settings
    return PageLog.open(files, directory, cluster_id=CLUSTER, run_background=run, **settings)  # type: ignore[arg-type]


def encoder(log: PageLog, term: int = 1) -> RecordEncoder:
    return RecordEncoder(Term(term, term), last=log.last, db_pages=0, db_checksum=0, first_lsn=log.start)


def noise(seed: int, length: int) -> dict[int, bytes]:
    return {1: Random(seed).randbytes(length).ljust(PAGE_SIZE, b"\0")}


def fill(log: PageLog, count: int, length: int = 800, term: int = 1) -> list[bytes]:
    """Write and sync ``count`` records of about ``length`` bytes, each knowing what was flushed before it."""
    make = encoder(log, term)
    records = []
    for number in range(count):
        make.flushed_lsn = log.flushed
        record = make.data(noise(number, length), 1, number, 0)
        log.reserve(len(record))
        log.write(record)
        log.sync()
        records.append(record)
    return records


def contents(log: PageLog, start: Lsn | None = None) -> list[bytes]:
    return [record.raw for record in log.records(log.start if start is None else start)]


def raw_file(files: SimFiles, index: int = -1) -> tuple[str, bytearray]:
    """Path and content of a segment file."""
    path = f"{D}/{[name for name in files.listdir(D) if name.endswith('.seg')][index]}"
    file = files.open(path)
    return path, bytearray(file.pread(file.size(), 0))


def overwrite(files: SimFiles, path: str, offset: int, data: bytes) -> None:
    file = files.open(path)
    file.pwrite(data, offset)
    file.sync()


@pytest.fixture
def files() -> SimFiles:
    return SimFiles()


class TestAppendAndRead:
    def test_a_new_log_is_empty(self, files: SimFiles) -> None:
        log = reopen(files)
        assert (log.start, log.end, log.flushed, log.last) == (0, 0, 0, None)
        assert contents(log) == []
        log.close()
        log = reopen(files)
        assert (log.end, log.last, log.dropped_bytes) == (0, None, 0)

    def test_a_log_may_begin_anywhere(self, files: SimFiles) -> None:
        log = reopen(files, first_lsn=Lsn(1 << 40))
        assert log.start == log.end == 1 << 40
        log.close()
        assert reopen(files).end == 1 << 40

    @pytest.mark.parametrize("batch", [1, 2, 7])
    def test_records_roll_over_segments_and_never_span_two(self, files: SimFiles, batch: int) -> None:
        log = reopen(files)
        make = encoder(log)
        records = [make.data(noise(n, 1500), 1, n, 0) for n in range(28)]
        for at in range(0, 28, batch):
            log.write(b"".join(records[at : at + batch]))
        log.sync()
        assert log.segment_count >= 6
        assert contents(log) == records
        assert log.end == sum(map(len, records)) == log.flushed, "LSNs count record bytes only"
        assert log.last is not None
        assert log.last.lsn == log.end - len(records[-1])
        assert contents(log, Lsn(len(records[0]))) == records[1:]
        assert [r.raw for r in log.records(Lsn(0), Lsn(len(records[0])))] == records[:1]
        log.close()
        log = reopen(files)
        assert contents(log) == records
        assert log.last is not None
        assert log.last.end == log.end

    def test_a_record_larger_than_a_segment_gets_one_of_its_own(self, files: SimFiles) -> None:
        log = reopen(files)
        make = encoder(log)
        small = make.data(noise(1, 100), 1, 0, 0)
        large = make.data({n: Random(n).randbytes(PAGE_SIZE) for n in range(1, 9)}, 9, 0, 0)
        after = make.data(noise(2, 100), 9, 0, 0)
        log.reserve(len(small + large + after))
        log.write(small + large + after)
        log.sync()
        assert contents(log) == [small, large, after]
        log.close()
        assert contents(reopen(files)) == [small, large, after]

    def test_what_does_not_continue_the_log_is_refused(self, files: SimFiles) -> None:
        log = reopen(files)
        record = encoder(log).seal(0)
        log.write(record)
        with pytest.raises(LogDamaged, match="page log ends at 0/80"):
            log.write(record)
        log.write(b"")
        assert log.end == len(record)

    def test_reading_before_the_start_or_at_no_record(self, files: SimFiles) -> None:
        log = reopen(files, first_lsn=Lsn(4096))
        fill(log, 1)
        with pytest.raises(LogRemoved, match="0/10 was asked for") as caught:
            list(log.records(Lsn(16)))
        assert caught.value.sqlstate == "58P01"
        with pytest.raises(RecordDamaged):
            list(log.records(Lsn(4096 + 8)))

    def test_a_reader_sees_what_is_written_while_it_reads(self, tmp_path: Path) -> None:
        log = PageLog.open(OsFiles(), str(tmp_path / "log"), cluster_id=CLUSTER, segment_bytes=64 << 10)
        make = encoder(log)
        records = [make.data(noise(n % 5, 900), 1, n, 0) for n in range(400)]
        failures: list[BaseException] = []
        done = threading.Event()

        def follow() -> None:
            lsn = Lsn(0)
            try:
                while not (done.is_set() and lsn == log.end):
                    for record in log.records(lsn):
                        lsn = record.end
            except BaseException as error:
                failures.append(error)

        reader = threading.Thread(target=follow)
        reader.start()
        for record in records:
            log.write(record)
        log.sync()
        done.set()
        reader.join(30)
        assert not reader.is_alive()
        assert failures == []
        assert contents(log) == records
        log.close()


class TestTornTail:
    def test_it_is_cut_off_and_cleared_before_anything_is_appended(self, files: SimFiles) -> None:
        """Else an old record behind the cut could come back behind a new one that ends where it starts."""
        log = reopen(files)
        kept = fill(log, 2)
        make = encoder(log)
        torn, after = make.data(noise(7, 500), 1, 7, 0), make.data(noise(8, 500), 1, 8, 0)
        log.write(torn + after)
        log.close()
        path, data = raw_file(files)
        end = SEGMENT_HEADER_BYTES + sum(map(len, kept))
        overwrite(files, path, end + HEADER_BYTES + 10, b"torn")
        log = reopen(files)
        assert contents(log) == kept
        assert log.dropped_bytes > HEADER_BYTES
        assert raw_file(files)[1][end:] == bytes(len(data) - end)
        syncs = files.syncs
        again = RecordEncoder(Term(1, 1), last=log.last, db_pages=0, db_checksum=0).data(noise(7, 500), 1, 7, 0)
        assert len(again) == len(torn)
        log.write(again)
        assert syncs == files.syncs
        log.sync()
        log.close()
        assert contents(reopen(files)) == [*kept, again]
        survivor = files.power_cut(1)
        assert contents(reopen(survivor)) == [*kept, again]

    def test_an_intact_record_behind_an_unsynced_torn_one_proves_nothing(self, files: SimFiles) -> None:
        log = reopen(files)
        kept = fill(log, 1)
        make = encoder(log)
        make.flushed_lsn = log.flushed
        log.write(make.data(noise(1, 900), 1, 0, 0) + make.seal(0))
        log.close()
        overwrite(files, raw_file(files)[0], SEGMENT_HEADER_BYTES + len(kept[0]) + 300, b"torn")
        assert contents(reopen(files)) == kept


class TestDamage:
    def test_a_bad_record_below_what_was_flushed_is_refused_not_truncated(self, files: SimFiles) -> None:
        log = reopen(files)
        records = fill(log, 2)
        end = log.end
        log.close()
        path, data = raw_file(files)
        at = SEGMENT_HEADER_BYTES + len(records[0]) + HEADER_BYTES + 50
        overwrite(files, path, at, b"rot")
        with pytest.raises(LogDamaged, match=f"at {Lsn(len(records[0]))} is damaged.*known up to {end}") as caught:
            reopen(files, flushed_floor=end)
        assert "log verify" in (caught.value.hint or "")
        assert raw_file(files)[1][at + 3 :] == data[at + 3 :], "the damage was written over"
        assert contents(reopen(files, flushed_floor=Lsn(len(records[0])))) == records[:1]

    def test_a_bad_record_that_a_later_one_knows_to_be_flushed_is_refused(self, files: SimFiles) -> None:
        log = reopen(files)
        records = fill(log, 3)
        log.close()
        overwrite(files, raw_file(files)[0], SEGMENT_HEADER_BYTES + len(records[0]) + 40, b"rot")
        with pytest.raises(LogDamaged, match=f"at {Lsn(len(records[0]))} .*record at .* proves that it was on disk"):
            reopen(files, own_term=Term(1, 1))

    def test_a_seal_protects_the_last_acknowledged_record_of_an_idle_node(self, files: SimFiles) -> None:
        log = reopen(files)
        records = fill(log, 1)
        make = encoder(log)
        make.flushed_lsn = log.flushed
        log.write(make.seal(0))
        log.close()
        overwrite(files, raw_file(files)[0], SEGMENT_HEADER_BYTES + len(records[0]) - 9, b"rot")
        with pytest.raises(LogDamaged, match="proves that it was on disk"):
            reopen(files, own_term=Term(1, 1))

    def test_records_of_another_node_that_a_power_cut_scattered_are_a_torn_tail(self) -> None:
        """Their headers say what was on that one's disk: many come at once, and reach this one's in any order."""
        outcomes = set()
        for seed in range(40):
            here, there = SimFiles(), SimFiles()
            sent = fill(reopen(there), 6)
            log = reopen(here)
            log.write_through(b"".join(sent[:2]))
            acknowledged = log.flushed
            here.cut_at = here.steps + 2
            with pytest.raises(PowerCut):
                log.write_through(b"".join(sent[2:]))
            again = reopen(here.power_cut(seed))
            assert again.end >= acknowledged
            assert contents(again) == sent[: len(contents(again))]
            outcomes.add(len(contents(again)))
        assert outcomes >= {2, 6}

    def test_damage_far_before_the_end_of_records_of_another_node_is_refused(self) -> None:
        """Before a record that lies so far behind it was written, it had been synced."""
        for size, is_damage in ((WRITE_MAX_BYTES, True), (WRITE_MAX_BYTES // 2, False)):
            files = SimFiles()
            log = reopen(files, segment_bytes=3 * WRITE_MAX_BYTES)
            records = fill(log, 2)
            make = encoder(log)
            while make.prev_lsn < size + len(records[0]):
                make.flushed_lsn = log.flushed
                pages = {number: Random(number).randbytes(PAGE_SIZE) for number in range(1, 257)}
                log.write_through(make.data(pages, 256, 0, 0))
            log.close()
            overwrite(files, raw_file(files)[0], SEGMENT_HEADER_BYTES + len(records[0]) + 40, b"rot")
            if is_damage:
                with pytest.raises(LogDamaged, match="proves that it was on disk"):
                    reopen(files)
            else:
                assert contents(reopen(files)) == records[:1]

    def test_what_is_written_at_once_of_other_nodes_stays_below_the_limit(self) -> None:
        most_in_a_frame = max(CHUNK_BYTES, 2 * MAX_PART_PAGES * PAGE_SIZE)
        assert BATCH_BYTES + most_in_a_frame <= WRITE_MAX_BYTES

    def test_a_log_that_lost_its_end_is_refused(self, files: SimFiles) -> None:
        log = reopen(files)
        fill(log, 12)
        end = log.end
        log.close()
        files.unlink(raw_file(files)[0])
        with pytest.raises(LogDamaged, match=f"was on disk.*{end}"):
            reopen(files, flushed_floor=end)
        for name in files.listdir(D):
            files.unlink(f"{D}/{name}")
        with pytest.raises(LogDamaged, match="is empty"):
            reopen(files, flushed_floor=end)

    def test_a_missing_segment_is_noticed(self, files: SimFiles) -> None:
        log = reopen(files)
        fill(log, 30)
        assert log.segment_count > 3
        log.close()
        path, _ = raw_file(files, 1)
        first = Lsn(int(path.split("/")[-1][:16], 16))
        files.unlink(path)
        with pytest.raises(LogDamaged, match=f"gap: segment .*LSN {first}.* is missing"):
            reopen(files)

    def test_a_bad_record_in_an_earlier_segment_is_damage_when_it_is_read(self, files: SimFiles) -> None:
        log = reopen(files)
        fill(log, 30)
        log.close()
        overwrite(files, raw_file(files, 0)[0], SEGMENT_HEADER_BYTES + 10, b"rot")
        log = reopen(files)
        with pytest.raises(RecordDamaged, match="at 0/0"):
            contents(log)

    @pytest.mark.parametrize("index", [0, -1])
    def test_a_bad_segment_header_is_refused(self, files: SimFiles, index: int) -> None:
        log = reopen(files)
        fill(log, 30)
        log.close()
        overwrite(files, raw_file(files, index)[0], 30, b"rot")
        with pytest.raises(LogDamaged, match=r"segment .* is damaged: its header fails its checksum"):
            reopen(files)

    def test_the_log_of_another_cluster_is_refused(self, files: SimFiles) -> None:
        reopen(files).close()
        with pytest.raises(LogDamaged, match="belongs to cluster"):
            PageLog.open(files, D, cluster_id=bytes(16), segment_bytes=SEGMENT_BYTES, run_background=inline)

    def test_a_segment_under_another_name_is_refused(self, files: SimFiles) -> None:
        reopen(files).close()
        files.rename(raw_file(files)[0], f"{D}/{4096:016x}.seg")
        with pytest.raises(LogDamaged, match="says that it begins at 0/0"):
            reopen(files)

    def test_records_that_do_not_link_are_refused(self, files: SimFiles) -> None:
        log = reopen(files)
        first, foreign = encoder(log).seal(0), RecordEncoder(Term(5, 5), last=None, db_pages=0, db_checksum=0)
        log.write(first)
        foreign.lsn = foreign.prev_lsn = Lsn(len(first))
        log.write(foreign.seal(0))
        log.close()
        with pytest.raises(LogDamaged, match="at 0/80 does not continue the one at 0/0"):
            reopen(files)


class TestRoom:
    def test_what_was_reserved_can_be_written(self) -> None:
        """With groups in flight too: records are made and reserved for before the earlier ones are written."""
        for seed in range(60):
            rng = Random(seed)
            files = SimFiles(capacity=rng.randint(3, 9) * SEGMENT_BYTES + rng.randint(0, 5000))
            log = reopen(files)
            make = encoder(log)
            waiting: list[bytes] = []
            for number in range(300):
                bound = rng.choice((700, 2000, 5000, 20000))
                try:
                    log.reserve(bound, make.lsn)
                except DiskFull as error:
                    assert error.sqlstate == "53100"
                    assert error.hint
                    break
                record = make.data(noise(number, rng.randint(0, min(bound, PAGE_SIZE + 400) - 400)), 1, 0, 0)
                assert len(record) <= bound
                waiting.append(record)
                if len(waiting) > rng.randint(0, 4):
                    log.write(b"".join(waiting))
                    waiting.clear()
                    if rng.random() < 0.5:
                        log.sync()
            else:
                pytest.fail("the disk never filled")
            log.write(b"".join(waiting))
            log.sync()

    def test_records_in_flight_count(self) -> None:
        files = SimFiles(capacity=2 * SEGMENT_BYTES)
        log = reopen(files)
        make = encoder(log)
        log.write(make.data(noise(0, 3900), 1, 0, 0))
        log.write(make.data(noise(0, 3000), 1, 0, 0))
        waiting = b""
        with pytest.raises(DiskFull):
            for number in range(3):
                log.reserve(4200, make.lsn)
                waiting += make.data(noise(number, 3900), 1, 0, 0)
        assert waiting
        log.write(waiting)
        log.sync()

    def test_it_goes_on_when_there_is_room_again(self) -> None:
        files = SimFiles(capacity=3 * SEGMENT_BYTES)
        log = reopen(files)
        with pytest.raises(DiskFull):
            for _ in range(100):
                fill(log, 1)
        written = contents(log)
        files.capacity = 9 * SEGMENT_BYTES
        assert contents(log) == written
        assert len(fill(log, 5)) == 5

    def test_room_is_made_by_removing_old_segments(self) -> None:
        files = SimFiles(capacity=3 * SEGMENT_BYTES)
        log = reopen(files)
        for _ in range(100):
            fill(log, 1)
            log.retain_from(log.flushed)
        assert log.segment_count == 1

    def test_the_next_segment_is_made_when_the_present_one_is_half_full(self, files: SimFiles) -> None:
        jobs: list[Callable[[], None]] = []

        def later(job: Callable[[], None]) -> Callable[[], None]:
            jobs.append(job)
            return lambda: None

        log = reopen(files, run=later)
        fill(log, 3)
        assert jobs == []
        fill(log, 3)
        assert len(jobs) == 1
        jobs.pop()()
        assert any(name.startswith("spare-") for name in files.listdir(D))
        steps = files.steps
        log.reserve(CAPACITY)
        assert files.steps == steps, "the loop had to make a file"

    def test_a_roll_without_room_fails_and_the_log_takes_no_more(self) -> None:
        files = SimFiles(capacity=SEGMENT_BYTES)
        log = reopen(files)
        make = encoder(log)
        with pytest.raises(DiskFull):
            for number in range(20):
                log.write(make.data(noise(number, 2000), 1, 0, 0))
        with pytest.raises(IoFailed, match="No space left"):
            log.reserve(1)
        log.close()
        files.capacity = None
        log = reopen(files)
        fill(log, 3, term=2)


class TestFailedSync:
    def test_it_is_never_tried_again(self, files: SimFiles) -> None:
        log = reopen(files)
        fill(log, 1)
        flushed = log.flushed
        log.write(encoder(log).seal(0))
        files.fail_sync_at = files.syncs + 1
        with pytest.raises(IoFailed, match="could not sync the page log"):
            log.sync()
        assert log.flushed == flushed
        for act in (log.sync, lambda: log.reserve(1), lambda: log.write(encoder(log).seal(0))):
            with pytest.raises(IoFailed, match="takes no more records"):
                act()

    def test_what_the_next_process_finds_is_on_disk_before_it_counts(self, files: SimFiles) -> None:
        """The cache calls clean what a failed sync should have saved: the next sync alone saves nothing of it."""
        log = reopen(files)
        fill(log, 2)
        log.write(encoder(log).seal(0))
        files.fail_sync_at = files.syncs + 1
        with pytest.raises(IoFailed):
            log.sync()
        restarted = reopen(files)
        found = contents(restarted)
        assert (len(found), restarted.flushed) == (3, restarted.end)
        for seed in range(20):
            assert contents(reopen(files.power_cut(seed), flushed_floor=restarted.flushed)) == found

    def test_a_sync_without_writes_costs_nothing(self, files: SimFiles) -> None:
        log = reopen(files)
        fill(log, 1)
        syncs = files.syncs
        log.sync()
        assert files.syncs == syncs


class TestRemoval:
    def test_whole_segments_below_go_and_one_is_recycled(self, files: SimFiles) -> None:
        log = reopen(files)
        records = fill(log, 40)
        before = log.segment_count
        bound = Lsn(sum(map(len, records[:25])) + 8)
        removed = log.retain_from(bound)
        assert removed == before - log.segment_count > 1
        assert log.start <= bound
        with pytest.raises(LogRemoved):
            list(log.records(Lsn(0)))
        start = log.start
        kept = contents(log)
        assert kept == records[-len(kept) :]
        assert log.retain_from(bound) == 0
        log.close()
        log = reopen(files)
        assert (log.start, contents(log)) == (start, kept)

    def test_the_last_segment_stays(self, files: SimFiles) -> None:
        log = reopen(files)
        fill(log, 30)
        log.retain_from(Lsn(1 << 60))
        assert log.segment_count == 1
        assert log.start <= log.end
        fill(log, 3)

    def test_the_last_record_on_disk_stays(self, files: SimFiles) -> None:
        """Without one the log would begin empty, behind a checkpoint, when the power is lost now."""
        log = reopen(files)
        fill(log, 1)
        make = encoder(log)
        while log.segment_count == 1:
            record = make.data(noise(7, 800), 1, 7, 0)
            log.reserve(len(record))
            log.write(record)
        before = log.start
        log.retain_from(Lsn(1 << 60))
        assert log.segment_count == 2 and log.start == before
        log.sync()
        log.retain_from(Lsn(1 << 60))
        assert log.segment_count == 1 and before < log.start < log.flushed

    def test_old_bytes_of_a_recycled_segment_are_never_records(self, files: SimFiles) -> None:
        log = reopen(files)
        for _ in range(12):
            fill(log, 7)
            log.retain_from(log.flushed)
            log.close()
            end = log.end
            log = reopen(files, flushed_floor=end)
            assert log.end == end
            assert log.last is not None
            assert log.last.end == end

    def test_old_bytes_of_a_recycled_segment_prove_nothing(self, files: SimFiles) -> None:
        log = reopen(files)
        while log.segment_count < 5:
            fill(log, 1)
        log.retain_from(log.flushed)
        spare = next(name for name in files.listdir(D) if name.startswith("spare-"))
        old = files.open(f"{D}/{spare}")
        assert proof_of_flush(old, Lsn(0), Lsn(0), Term(1, 1)) is not None, "the old records are still in it"
        assert proof_of_flush(old, log.end, log.end, Term(1, 1)) is None

    def test_a_log_that_starts_over_does_not_use_a_recycled_segment(self, files: SimFiles) -> None:
        log = reopen(files)
        while log.segment_count < 5:
            fill(log, 1)
        log.retain_from(log.flushed)
        assert any(name.startswith("spare-") for name in files.listdir(D)), "nothing was recycled"
        log.reset(Lsn(0))
        assert (log.start, log.end, log.last) == (0, 0, None)
        log.close()
        log = reopen(files)
        assert log.end == 0, "records of the dropped log came back"
        assert len(fill(log, 20, term=2)) == 20
        log.close()
        assert reopen(files).last is not None

    def test_a_reader_that_is_overtaken_is_told_so(self, files: SimFiles) -> None:
        log = reopen(files)
        fill(log, 40)
        reader = log.records(Lsn(0))
        next(reader)
        log.retain_from(log.flushed)
        fill(log, 12)
        with pytest.raises(LogRemoved):
            for _ in reader:
                pass


class TestTruncation:
    @pytest.mark.parametrize("keep", [0, 1, 9, 10, 11, 25, 30])
    def test_the_log_ends_there_and_goes_on_in_a_new_term(self, files: SimFiles, keep: int) -> None:
        log = reopen(files)
        records = fill(log, 30)
        log.truncate_to(Lsn(sum(map(len, records[:keep]))))
        assert contents(log) == records[:keep]
        assert (log.last is None) == (keep == 0)
        more = fill(log, 12, term=2)
        assert contents(log) == records[:keep] + more
        log.close()
        assert contents(reopen(files, flushed_floor=log.flushed)) == records[:keep] + more

    def test_it_can_only_cut_between_records_that_are_there(self, files: SimFiles) -> None:
        log = reopen(files, first_lsn=Lsn(800))
        fill(log, 3)
        with pytest.raises(LogRemoved):
            log.truncate_to(Lsn(0))
        with pytest.raises(LogDamaged):
            reopen(files).truncate_to(Lsn(808))
        with pytest.raises(LogDamaged):
            reopen(files).truncate_to(Lsn(log.end + 8))

    def test_an_interrupted_one_is_finished_at_the_next_start(self, files: SimFiles) -> None:
        log = reopen(files)
        records = fill(log, 30)
        log.close()
        target = Lsn(len(records[0]))
        overwrite(files, raw_file(files, 0)[0], SEGMENT_HEADER_BYTES + target + 20, bytes(300))
        log = reopen(files, rewind_to=target, flushed_floor=log.end)
        assert contents(log) == records[:1]
        assert log.segment_count == 1


class TestRealFiles:
    def test_a_log_on_disk(self, tmp_path: Path) -> None:
        directory = str(tmp_path / "node" / "log")
        log = PageLog.open(OsFiles(), directory, cluster_id=CLUSTER, segment_bytes=SEGMENT_BYTES)
        records = fill(log, 60)
        assert contents(log) == records
        log.retain_from(log.flushed)
        kept = contents(log)
        log.close()
        log = PageLog.open(OsFiles(), directory, cluster_id=CLUSTER, segment_bytes=SEGMENT_BYTES)
        assert contents(log) == kept
        assert (tmp_path / "node").stat().st_mode & 0o777 == 0o700
        assert all(path.stat().st_mode & 0o777 == 0o600 for path in Path(directory).iterdir())
        log.close()

    def test_segments_are_filled_and_whole(self, tmp_path: Path) -> None:
        log = PageLog.open(OsFiles(), str(tmp_path), cluster_id=CLUSTER, segment_bytes=1 << 20)
        (path,) = tmp_path.iterdir()
        assert path.stat().st_size == 1 << 20 == path.stat().st_blocks * 512
        log.close()
