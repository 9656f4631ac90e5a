"""Going back to a fork, and being copied anew: cut at every single step, and without room at every single step."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import apsw
import pytest
from support.cuts import CHANGES, ROOM, Cut, no_room, steps
from support.inner_node import InnerNode

from helios_cli.engine.errors import DiskFull, IoFailed
from helios_cli.engine.log.checksum import ChecksumTable
from helios_cli.engine.log.history import History
from helios_cli.engine.node import copy_sink
from helios_cli.engine.node.copy_sink import CopySink
from helios_cli.engine.node.peer_link import PeerRefused
from helios_cli.engine.replication.copying import Snapshot
from helios_cli.engine.storage.control import ControlFile
from helios_cli.engine.storage.copytarget import STATE as COPYING
from helios_cli.engine.storage.copytarget import CopyTarget
from helios_cli.engine.storage.files import OsFile, OsFiles
from helios_cli.engine.storage.rewind import PARTED, REWINDING, Rewinder
from helios_cli.engine.storage.store import DATABASE_NAME, Store
from helios_cli.engine.types import PAGE_SIZE, Lsn, Term

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


def test_a_copy_that_could_not_be_synced_keeps_no_page(
    parted: tuple[Path, Path, Lsn], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are in the cache alone, where they would be found right."""
    before, behind, fork = parted
    source = Source(behind, fork)
    directory = tmp_path / "data"
    shutil.copytree(before, directory)
    database, sync = str(database_of(directory)), OsFile.sync

    def fails(self: OsFile) -> None:
        if self.path == database:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        sync(self)

    with monkeypatch.context() as patched, pytest.raises(IoFailed):
        patched.setattr(OsFile, "sync", fails)
        copy(source, directory, 0)
    copied = CopyTarget(str(directory), database, SEGMENT)
    assert len(copied.differing(source.pages)) == source.pages.pages
    copied.close()
    copy(source, directory, 0)
    assert database_of(directory).read_bytes() == source.image


@pytest.mark.parametrize("from_another", [True, False])
def test_a_copy_ends_where_the_own_disk_fails(
    parted: tuple[Path, Path, Lsn], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, from_another: bool
) -> None:
    """A control file that could not be written takes nothing more: no attempt would ever succeed."""
    directory = tmp_path / "data"
    shutil.copytree(parted[0], directory)
    broken: list[bool] = []

    async def attempt(self: CopySink, host: str, port: int, *, leads: bool) -> None:
        if leads is not from_another:
            raise PeerRefused("not this one")
        with steps(0 if broken else 1, failing, ("sync",)):
            broken.append(True)
            self._target.begin_log(Lsn(0))

    monkeypatch.setattr(copy_sink, "RETRY_S", 0.01)
    monkeypatch.setattr(CopySink, "_copy_from", attempt)
    monkeypatch.setattr(CopySink, "_members", lambda self: [("other", 1)])
    node: Any = SimpleNamespace(
        settings=SimpleNamespace(data_dir=str(directory), log_segment_mb=1), event=lambda *_, **__: None
    )
    beginning: Any = SimpleNamespace(role=SimpleNamespace(primary_host="first", primary_port=1))

    async def run() -> None:
        async with asyncio.timeout(5):
            await CopySink(node, beginning, str(database_of(directory))).run()

    with pytest.raises(IoFailed):
        asyncio.run(run())
    assert len(broken) == 1


def failing() -> OSError:
    """What a disk answers that has failed."""
    return OSError(errno.EIO, os.strerror(errno.EIO))


def test_what_was_had_of_the_log_is_known_until_it_is_had_again(parted: tuple[Path, Path, Lsn], tmp_path: Path) -> None:
    """Also when the node dies in the middle of a copy; of a log that went another way, up to where that parts."""
    _, behind, fork = parted
    source = Source(behind, fork)
    directory = tmp_path / "data"
    shutil.copytree(behind, directory)
    history, end = source.snapshot.history, source.end
    control = ControlFile.open(OsFiles(), f"{directory}/control")
    control.update(state=COPYING, flushed_lsn=end)
    control.close()
    other = history.cut_at(fork).followed_by(Term(history.starts[-1].term.number + 1, 1), fork)
    for _ in range(2):
        copied = CopyTarget(str(directory), str(database_of(directory)), SEGMENT)
        assert copied.had(history) == end
        assert copied.had(other) == fork
        assert copied.had(History()) == 0
        copied.begin_log(fork)
        copied.close()
    copy(source, directory, 0)
    control = ControlFile.open(OsFiles(), f"{directory}/control")
    assert (control.record.state, control.record.flushed_lsn) == ("", end)
    control.close()
