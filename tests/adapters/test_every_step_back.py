"""Going back to a fork, and being copied anew: cut at every single step, and without room at every single step."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest
from support.cuts import CHANGES, ROOM, Cut, no_room, steps
from support.inner_node import InnerNode

from helios_cli.engine.errors import DiskFull, IoFailed
from helios_cli.engine.log.checksum import ChecksumTable
from helios_cli.engine.replication.copying import Snapshot
from helios_cli.engine.storage.copytarget import STATE as COPYING
from helios_cli.engine.storage.copytarget import CopyTarget
from helios_cli.engine.storage.rewind import PARTED, REWINDING, Rewinder
from helios_cli.engine.storage.store import DATABASE_NAME, Store
from helios_cli.engine.types import PAGE_SIZE, Lsn

SEGMENT = 1 << 20


def database_of(directory: Path) -> Path:
    return directory / "db" / DATABASE_NAME


@pytest.fixture(scope="module")
def parted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Lsn]:
    """Two directories of a node that has three commits behind a fork, and the fork.

    The last checkpoint of the first lies before the fork, that of the second at the end.
    """
    base = tmp_path_factory.mktemp("parted")
    with InnerNode(base, log_segment_mb=1) as inner, inner.connect() as client:
        client.execute("CREATE TABLE t (a int PRIMARY KEY, b text)")
        client.execute("INSERT INTO t SELECT i, 'old' FROM generate_series(1, 300) i")
        client.execute("CHECKPOINT")
        client.execute("INSERT INTO t VALUES (1000, 'kept')")
        fork = inner.on_loop(lambda: inner.node.pipeline.committed_lsn)
        client.execute("UPDATE t SET b = 'lost' WHERE a = 5")
        client.execute("DELETE FROM t WHERE a = 7")
        client.execute("INSERT INTO t VALUES (2000, 'lost too')")
        shutil.copytree(base / "data", base / "before")
    shutil.copytree(base / "data", base / "behind")
    return base / "before", base / "behind", fork


def go_back(directory: Path, fork: Lsn, *, retries: int = 0) -> None:
    """As a node does it when it starts; a full disk is waited for ``retries`` times."""
    rewinder = Rewinder(str(directory), str(database_of(directory)), SEGMENT)
    try:
        while rewinder.control.record.state:
            try:
                if rewinder.control.record.state.startswith(PARTED):
                    rewinder.save()
                else:
                    assert rewinder.control.record.state == f"{REWINDING}{fork}"
                    rewinder.rewind()
            except (OSError, DiskFull):
                retries -= 1
                if retries < 0:
                    raise
    finally:
        rewinder.close()


def assert_back(directory: Path, fork: Lsn) -> None:
    """The node is at the fork, with one salvage of what was behind it."""
    store = Store(str(directory), segment_bytes=SEGMENT, committed_only=True)
    assert (store.log.end, store.recovery.applied) == (fork, fork)
    store.close()
    rows_there = apsw.Connection(str(database_of(directory))).execute("SELECT a, b FROM t").fetchall()
    found: dict[Any, Any] = dict(rows_there)  # type: ignore[arg-type]
    assert (found[5], found[7], found[1000], found.get(2000)) == ("old", "old", "kept", None)
    (salvage,) = [one for one in (directory / "salvage").iterdir() if not one.name.endswith(".unfinished")]
    rows = [json.loads(line) for line in (salvage / "rows.jsonl").read_text().splitlines()]
    assert sorted((row["op"], row["key"]["a"]) for row in rows) == [
        ("delete", "7"),
        ("insert", "2000"),
        ("update", "5"),
    ]
    assert json.loads((salvage / "manifest.json").read_text())["exact"] is True


def every_step(prepare: Callable[[], Path], act: Callable[[Path, int], None], check: Callable[[Path], None]) -> None:
    """Run ``act`` with each of its steps cut off, and then to its end; and with each step in need of room without."""
    for error, names in ((Cut, CHANGES), (no_room, ROOM)):
        directory = prepare()
        with steps(0, error, names) as counter:
            act(directory, 0)
        check(directory)
        assert counter.taken > 10
        for at in range(1, counter.taken + 1):
            directory = prepare()
            if error is Cut:
                with pytest.raises(Cut), steps(at, error, names):
                    act(directory, 0)
                act(directory, 0)
            else:
                try:
                    with steps(at, error, names):
                        act(directory, 1)
                except (IoFailed, DiskFull):
                    # A control file that could not be written takes nothing more before a restart.
                    act(directory, 0)
            check(directory)


@pytest.mark.parametrize("checkpoint", ["before", "behind"])
def test_the_way_back_may_end_at_every_step(parted: tuple[Path, Path, Lsn], tmp_path: Path, checkpoint: str) -> None:
    before, behind, fork = parted

    def prepare() -> Path:
        directory = tmp_path / "data"
        shutil.rmtree(directory, ignore_errors=True)
        shutil.copytree(before if checkpoint == "before" else behind, directory)
        rewinder = Rewinder(str(directory), str(database_of(directory)), SEGMENT)
        rewinder.control.update(state=f"{PARTED}{fork}")
        rewinder.close()
        return directory

    every_step(
        prepare,
        lambda directory, retries: go_back(directory, fork, retries=retries),
        lambda one: assert_back(one, fork),
    )


class Source:
    """What another node would send of its closed directory."""

    def __init__(self, directory: Path, start: Lsn) -> None:
        store = Store(str(directory), segment_bytes=SEGMENT)
        self.image = database_of(directory).read_bytes()
        self.pages = ChecksumTable.scan([self.image], len(self.image) // PAGE_SIZE)
        self.snapshot = Snapshot(start, self.pages.pages, store.timeline.history)
        self.term, self.end = store.control.record.term, store.log.end
        self.records = [bytes(store.log.chunk(start, SEGMENT))]
        assert start + len(self.records[0]) == self.end
        store.close()


def copy(source: Source, target: Path, retries: int) -> None:
    """As a node does it that is copied anew."""
    copied = CopyTarget(str(target), str(database_of(target)), SEGMENT)
    try:
        while copied.control.record.state == COPYING:
            try:
                wanted = copied.differing(source.pages)
                for number in wanted:
                    copied.write({number: source.image[(number - 1) * PAGE_SIZE : number * PAGE_SIZE]})
                copied.begin_log(source.snapshot.start)
                for records in filter(None, source.records):
                    copied.append(records)
                copied.finish(source.snapshot, source.end, source.term)
            except DiskFull:
                retries -= 1
                if retries < 0:
                    raise
    finally:
        copied.close()


def test_a_copy_may_end_at_every_step(parted: tuple[Path, Path, Lsn], tmp_path: Path) -> None:
    """The target is a member that was away: its pages and its log are of an older day."""
    before, behind, fork = parted
    source = Source(behind, fork)

    def prepare() -> Path:
        directory = tmp_path / "data"
        shutil.rmtree(directory, ignore_errors=True)
        shutil.copytree(before, directory)
        return directory

    def check(directory: Path) -> None:
        store = Store(str(directory), segment_bytes=SEGMENT, committed_only=True)
        assert store.control.record.state == ""
        assert store.recovery.applied == store.log.end > fork == store.log.start
        store.close()
        assert database_of(directory).read_bytes() == source.image

    every_step(prepare, lambda directory, retries: copy(source, directory, retries), check)


def test_a_copy_as_of_the_log_s_end_is_a_database(parted: tuple[Path, Path, Lsn], tmp_path: Path) -> None:
    """Its log begins there, and has no record yet."""
    before, behind, _ = parted
    store = Store(str(behind), segment_bytes=SEGMENT)
    end = store.log.end
    store.close()
    source = Source(behind, end)
    directory = tmp_path / "data"
    shutil.copytree(before, directory)
    copy(source, directory, 0)
    for _ in range(2):
        store = Store(str(directory), segment_bytes=SEGMENT, committed_only=True)
        assert store.log.last is None and not store.recovery.born
        assert store.log.end == store.recovery.applied == end == store.encoder(source.term).lsn
        assert store.checksums.total == source.pages.total
        store.close()
        assert database_of(directory).read_bytes() == source.image
