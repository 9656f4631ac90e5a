"""The control file, the checksum files, the slots and the lock of a data directory."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from helios_cli.engine.errors import DataDirectoryInUse, DiskFull, IoFailed, LogDamaged
from helios_cli.engine.log.checksum import ChecksumTable
from helios_cli.engine.log.controlrecord import SLOT_BYTES, ControlRecord
from helios_cli.engine.sim.files import PowerCut, SimFiles
from helios_cli.engine.storage.control import ControlFile
from helios_cli.engine.storage.dirlock import DirectoryLock, read_holder, running_holder
from helios_cli.engine.storage.files import OsFiles, ReadOnlyOsFiles
from helios_cli.engine.storage.slots import Slot, SlotDropped, SlotStore, removable_below
from helios_cli.engine.storage.twoslots import TwoSlots
from helios_cli.engine.types import PAGE_SIZE, Lsn, Term

D = "/d/control"
FIRST = ControlRecord(b"cluster-of-tests", b"incarnation-no-1")


def table(*fills: bytes) -> ChecksumTable:
    return ChecksumTable.scan([fill * PAGE_SIZE for fill in fills], len(fills))


def poke(files: SimFiles, path: str, offset: int, data: bytes) -> None:
    files.open(path).pwrite(data, offset)


class TestControlFile:
    def test_updates_are_there_at_the_next_start(self) -> None:
        files = SimFiles()
        control = ControlFile.create(files, D, FIRST)
        assert ControlFile.exists(files, D)
        changes: list[dict[str, Any]] = [
            {"term": Term(5, 77), "voted_for": "node-2"},
            {"state": "rewinding to 0/1A2B", "clean": True},
            {"flushed_lsn": Lsn(900), "committed_lsn": Lsn(800)},
        ]
        expected = FIRST
        for change in changes:
            expected = replace(expected, **change)
            assert control.update(**change) == expected == control.record
            assert ControlFile.open(files.power_cut(1), D).record == expected

    def test_a_torn_update_leaves_the_one_before(self) -> None:
        files = SimFiles()
        control = ControlFile.create(files, D, FIRST)
        for number in range(1, 6):
            before = control.record
            control.update(term=Term(number, 1))
            for slot in (0, 1):
                survivor = files.power_cut(1)
                poke(survivor, f"{D}/control", slot * SLOT_BYTES + 20, b"torn")
                assert ControlFile.open(survivor, D).record in (before, control.record)

    def test_both_slots_bad_is_damage(self) -> None:
        files = SimFiles()
        ControlFile.create(files, D, FIRST).update(clean=True)
        poke(files, f"{D}/control", 100, b"rot")
        poke(files, f"{D}/control", SLOT_BYTES + 100, b"rot")
        with pytest.raises(LogDamaged, match="no slot of it is readable") as caught:
            ControlFile.open(files, D)
        assert caught.value.hint

    def test_a_missing_file_is_an_error_that_names_it(self) -> None:
        with pytest.raises(IoFailed, match=f"could not read {D}/control"):
            ControlFile.open(SimFiles(), D)

    def test_a_full_disk_can_still_vote_and_step_down(self) -> None:
        files = SimFiles(capacity=2 * SLOT_BYTES)
        control = ControlFile.create(files, D, FIRST)
        assert files.free_bytes(D) == 0
        for number in range(1, 9):
            control.update(term=Term(number, number), voted_for="x" * number, state="rewinding to 0/0")
        assert ControlFile.open(files, D).record.term == Term(8, 8)

    def test_a_failed_sync_leaves_the_record_and_ends_the_updates(self) -> None:
        files = SimFiles()
        control = ControlFile.create(files, D, FIRST)
        files.fail_sync_at = files.syncs + 1
        with pytest.raises(IoFailed):
            control.update(term=Term(9))
        assert control.record == FIRST
        with pytest.raises(IoFailed, match="takes no more updates"):
            control.update(term=Term(9))

    def test_what_was_not_synced_in_one_life_does_not_cost_the_next_what_was(self) -> None:
        for steps in range(1, 5):
            for seed in range(20):
                files = SimFiles()
                control = ControlFile.create(files, D, FIRST)
                control.update(term=Term(5, 5))
                files.fail_sync_at = files.syncs + 1
                with pytest.raises(IoFailed):
                    control.update(clean=True)
                # The cache has what the disk has not.
                control = ControlFile.open(files, D)
                assert control.record.clean
                files.cut_at = files.steps + steps
                with pytest.raises(PowerCut):
                    control.update(flushed_lsn=Lsn(7))
                assert ControlFile.open(files.power_cut(seed), D).record.term == Term(5, 5)

    def test_creation_is_all_or_nothing(self) -> None:
        files = SimFiles()
        files.makedirs(D)
        ControlFile.create(files, D, FIRST)
        for steps in range(1, files.steps + 1):
            for seed in range(10):
                half = SimFiles()
                half.cut_at = steps
                with pytest.raises(Exception, match="power lost"):
                    ControlFile.create(half, D, FIRST)
                after = half.power_cut(seed)
                if ControlFile.exists(after, D):
                    assert ControlFile.open(after, D).record == FIRST

    def test_a_text_that_does_not_fit_is_refused(self) -> None:
        with pytest.raises(ValueError, match="does not fit"):
            ControlFile.create(SimFiles(), D, FIRST).update(state="x" * 1001)


class TestTwoSlots:
    PATH = f"{D}/role"

    def test_what_was_not_synced_in_one_life_does_not_cost_the_next_what_was(self) -> None:
        for steps in range(1, 5):
            for seed in range(20):
                files = self.two_contents()
                files.fail_sync_at = files.syncs + 1
                with pytest.raises(IoFailed):
                    TwoSlots(files, self.PATH, 1024).replace(b"third" * 100)
                file = TwoSlots(files, self.PATH, 1024)
                files.cut_at = files.steps + steps
                with pytest.raises(PowerCut):
                    file.replace(b"fourth" * 100)
                found = TwoSlots(files.power_cut(seed), self.PATH, 1024).content
                assert found in (b"second" * 100, b"third" * 100, b"fourth" * 100)

    def test_a_file_that_has_grown_is_the_one_that_is_written_though_its_name_was_not_synced(self) -> None:
        class Failing(SimFiles):
            fails = False

            def sync_dir(self, path: str) -> None:
                if self.fails:
                    raise OSError(errno.EIO, os.strerror(errno.EIO))
                super().sync_dir(path)

        files = Failing()
        files.makedirs(D)
        file = TwoSlots(files, self.PATH, 1024)
        file.replace(b"first")
        files.fails = True
        with pytest.raises(IoFailed):
            file.replace(b"long" * 1000)
        files.fails = False
        file.replace(b"short")
        assert TwoSlots(files, self.PATH, 1024).content == b"short"

    def two_contents(self) -> SimFiles:
        files = SimFiles()
        files.makedirs(D)
        file = TwoSlots(files, self.PATH, 1024)
        for content in (b"first", b"second"):
            file.replace(content * 100)
        return files


class TestChecksumFiles:
    def test_the_table_of_a_checkpoint_is_loaded_again(self) -> None:
        files = SimFiles()
        control = ControlFile.create(files, D, FIRST)
        fresh = control.load_checksums()
        assert fresh is not None
        assert fresh.pages == 0
        for number in range(1, 5):
            saved = table(*[bytes([number])] * (6 - number))
            record = control.checkpoint(Lsn(number * 100), saved, clean=True)
            assert (record.checkpoint_lsn, record.db_pages, record.clean) == (number * 100, 6 - number, True)
            loaded = ControlFile.open(files.power_cut(number), D).load_checksums()
            assert loaded is not None
            assert loaded.differing(saved) == []

    def test_an_interrupted_checkpoint_leaves_the_older_one_whole(self) -> None:
        for cut in range(1, 6):
            for seed in range(20):
                files = SimFiles()
                control = ControlFile.create(files, D, FIRST)
                control.checkpoint(Lsn(100), table(b"a", b"b"))
                control.checkpoint(Lsn(200), table(b"c", b"d"))
                files.cut_at = files.steps + cut
                with pytest.raises(Exception, match="power lost"):
                    control.checkpoint(Lsn(300), table(b"e", b"f"))
                    control.update()
                after = ControlFile.open(files.power_cut(seed), D)
                loaded = after.load_checksums()
                assert loaded is not None
                expected = {200: table(b"c", b"d"), 300: table(b"e", b"f")}[int(after.record.checkpoint_lsn)]
                assert loaded.total == expected.total

    def test_a_damaged_or_missing_table_is_none(self) -> None:
        files = SimFiles()
        control = ControlFile.create(files, D, FIRST)
        control.checkpoint(Lsn(100), table(b"a"))
        name = next(name for name in files.listdir(D) if name.startswith("checksums"))
        poke(files, f"{D}/{name}", 40, b"rot")
        assert control.load_checksums() is None
        files.unlink(f"{D}/{name}")
        assert control.load_checksums() is None

    def test_a_table_of_another_checkpoint_is_none(self) -> None:
        files = SimFiles()
        control = ControlFile.create(files, D, FIRST)
        control.checkpoint(Lsn(100), table(b"a"))
        control.update(checkpoint_lsn=Lsn(101))
        assert control.load_checksums() is None

    def test_a_full_disk_fails_the_checkpoint_and_nothing_else(self) -> None:
        files = SimFiles(capacity=2 * SLOT_BYTES)
        control = ControlFile.create(files, D, FIRST)
        with pytest.raises(DiskFull):
            control.checkpoint(Lsn(100), table(b"a"))
        assert control.record == FIRST
        control.update(term=Term(2))


class TestRemovableBelow:
    def test_recovery_itself_needs_the_log(self) -> None:
        base = {"checkpoint": Lsn(500), "committed": Lsn(600)}
        assert removable_below(**base) == 500  # type: ignore[arg-type]
        assert removable_below(checkpoint=Lsn(700), committed=Lsn(600)) == 600
        assert removable_below(checkpoint=Lsn(700), committed=Lsn(600), base_copies=[Lsn(300)]) == 300

    @pytest.mark.parametrize(
        ("settings", "expected"),
        [
            ({"slots": [Lsn(900), Lsn(400)]}, 400),
            ({"archived": Lsn(300)}, 300),
            ({"end": Lsn(1000), "keep_bytes": 800}, 200),
            ({"end": Lsn(1000), "keep_bytes": 8000}, 0),
            ({"end": Lsn(1000), "slots": [Lsn(999)], "archived": Lsn(999), "base_copies": [Lsn(999)]}, 500),
        ],
    )
    def test_every_reader_counts(self, settings: dict[str, object], expected: int) -> None:
        found = removable_below(checkpoint=Lsn(500), committed=Lsn(600), **settings)  # type: ignore[arg-type]
        assert found == expected


class TestSlots:
    def test_they_are_kept_on_disk(self) -> None:
        files = SimFiles()
        store = SlotStore.open(files, D)
        assert (store.all(), store.oldest()) == ([], None)
        store.add("b", Lsn(300), Term(1, 2), 7)
        store.add("a", Lsn(200), Term(1, 2), 8)
        store.save()
        after = SlotStore.open(files.power_cut(3), D)
        assert after.all() == [Slot("a", Lsn(200), Term(1, 2), 8), Slot("b", Lsn(300), Term(1, 2), 7)]
        assert after.oldest() == 200

    def test_they_move_forward_in_memory_and_are_saved_together(self) -> None:
        files = SimFiles()
        store = SlotStore(files, D)
        store.add("a", Lsn(200), Term(1, 2), 0)
        store.save()
        store.advance("a", Lsn(500), Term(1, 2))
        store.advance("a", Lsn(400), Term(1, 2))
        store.advance("unknown", Lsn(1), Term(1))
        assert store.oldest() == 500
        assert SlotStore.open(files, D).oldest() == 200
        store.save()
        assert SlotStore.open(files, D).oldest() == 500
        store.advance("a", Lsn(450), Term(2, 1))
        assert store.all()[0].restart_lsn == 450, "after a rewind a standby is where the new term has it"

    def test_removing(self) -> None:
        files = SimFiles()
        store = SlotStore(files, D)
        assert store.add("a", Lsn(200), Term(1), 0) and not store.add("a", Lsn(300), Term(1), 0)
        assert store.remove("a") == Slot("a", Lsn(200), Term(1), 0)
        assert store.remove("a") is None
        store.save()
        assert SlotStore.open(files, D).all() == []

    def test_a_slot_that_lags_too_far_is_dropped_without_a_write(self) -> None:
        files = SimFiles()
        store = SlotStore(files, D)
        for name, lsn in (("late", 99), ("in time", 100), ("copied", 1)):
            store.add(name, Lsn(lsn), Term(1), 0)
        store.save()
        late = Slot("late", Lsn(99), Term(1), 0)
        assert store.drop_lagging(Lsn(1100), 1000, spared=("copied",)) == [SlotDropped(late, 1001, 1000)]
        assert store.unsaved and len(SlotStore.open(files, D).all()) == 3
        assert store.drop_lagging(Lsn(1100), 1000, spared=("copied",)) == []

    def test_what_could_not_be_saved_is_saved_later(self) -> None:
        files = SimFiles(capacity=0)
        store = SlotStore(files, D)
        assert store.add("a", Lsn(200), Term(1), 0)
        with pytest.raises(DiskFull):
            store.save()
        assert store.unsaved
        files.capacity = 1 << 20
        store.save()
        assert not store.unsaved
        assert [slot.name for slot in SlotStore.open(files, D).all()] == ["a"]

    @pytest.mark.parametrize("text", ["", "{}", "[]", '{"version": 9, "slots": []}', '{"version": 1, "slots": [{}]}'])
    def test_an_unreadable_file_is_damage(self, text: str) -> None:
        files = SimFiles()
        files.makedirs(D)
        files.open(f"{D}/slots.json", create=True).pwrite(text.encode() + b" ", 0)
        with pytest.raises(LogDamaged, match="cannot be read"):
            SlotStore.open(files, D)


HOLD = """
import sys
from helios_cli.engine.storage.dirlock import DirectoryLock
lock = DirectoryLock.acquire(sys.argv[1], ports={"pg": 5432, "http": 8080}, started_us=5, pid=4711)
print("held", flush=True)
sys.stdin.read()
"""


class TestDirectoryLock:
    def test_the_second_process_is_told_who_has_it(self, tmp_path: Path, project_root: Path) -> None:
        directory = str(tmp_path / "node")
        holder = subprocess.Popen(
            [sys.executable, "-c", HOLD, directory],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(project_root)},
        )
        with holder:
            assert holder.stdout is not None
            assert holder.stdout.readline() == b"held\n"
            with pytest.raises(DataDirectoryInUse) as caught:
                DirectoryLock.acquire(directory, ports={}, started_us=0, pid=1)
            assert caught.value.message == (
                f'data directory "{directory}" is in use by process 4711 (ports 5432, 8080)'
            )
            assert "--data-dir" in (caught.value.hint or "")
            assert caught.value.sqlstate == "55006"
            found = running_holder(directory)
            assert found is not None
            assert (found.pid, found.ports, found.started_us) == (4711, {"pg": 5432, "http": 8080}, 5)
            holder.kill()
        assert running_holder(directory) is None, "the system drops the lock of a killed process"
        DirectoryLock.acquire(directory, ports={}, started_us=0, pid=1).release()

    def test_it_can_be_released_and_described_again(self, tmp_path: Path) -> None:
        lock = DirectoryLock.acquire(str(tmp_path), ports={}, started_us=1, pid=10)
        lock.describe(ports={"pg": 1}, started_us=1, pid=10)
        holder = read_holder(str(tmp_path))
        assert holder is not None
        assert holder.ports == {"pg": 1}
        lock.release()
        lock.release()
        DirectoryLock.acquire(str(tmp_path), ports={}, started_us=1, pid=11).release()

    @pytest.mark.parametrize("text", ["", "nonsense", "[]", json.dumps({"pid": 1}), json.dumps({"pid": 1, "ports": 5})])
    def test_a_lock_file_that_makes_no_sense_names_nobody(self, tmp_path: Path, text: str) -> None:
        assert read_holder(str(tmp_path)) is None
        (tmp_path / "lock").write_text(text)
        assert read_holder(str(tmp_path)) is None
        assert running_holder(str(tmp_path)) is None


class TestRealFiles:
    def test_the_control_directory_on_disk(self, tmp_path: Path) -> None:
        files, directory = OsFiles(), str(tmp_path / "control")
        control = ControlFile.create(files, directory, FIRST)
        control.checkpoint(Lsn(5), table(b"x"))
        slots = SlotStore(files, directory)
        slots.add("a", Lsn(1), Term(1), 0)
        slots.save()
        control.close()
        with pytest.raises(IoFailed):
            control.update(clean=True)
        assert (tmp_path / "control" / "control").stat().st_size == 2 * SLOT_BYTES
        again = ControlFile.open(files, directory)
        assert again.record.checkpoint_lsn == 5
        assert SlotStore.open(files, directory).oldest() == 1
        again.close()

    def test_files_handle_short_reads_and_missing_names(self, tmp_path: Path) -> None:
        files = OsFiles()
        file = files.open(str(tmp_path / "a"), create=True)
        file.pwrite(memoryview(b"hello"), 2)
        assert file.pread(100, 0) == b"\0\0hello"
        file.allocate(0)
        file.allocate(4096)
        assert file.size() == 4096
        file.truncate(3)
        file.sync()
        file.close()
        file.close()
        readonly = ReadOnlyOsFiles().open(str(tmp_path / "a"))
        with pytest.raises(PermissionError):
            ReadOnlyOsFiles().open(str(tmp_path / "new"), create=True)
        with pytest.raises(OSError, match="Bad file descriptor"):
            readonly.pwrite(b"x", 0)
        readonly.close()
        assert files.listdir(str(tmp_path)) == ["a"]
        assert files.listdir(str(tmp_path / "none")) == []
        assert files.free_bytes(str(tmp_path)) > 0
        with pytest.raises(FileNotFoundError):
            files.open(str(tmp_path / "b"))
