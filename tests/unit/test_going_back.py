"""The way back to a fork: what takes the database's place is on disk first, and what is not right is copied."""

from __future__ import annotations

import asyncio
import errno
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from helios_cli.engine.config.load import load_settings
from helios_cli.engine.config.roles import Role
from helios_cli.engine.consensus.config import ClusterConfig, Member
from helios_cli.engine.consensus.rule import SyncMode
from helios_cli.engine.errors import DiskFull, IoFailed, LogDamaged
from helios_cli.engine.node import rejoin
from helios_cli.engine.node.join import find_beginning
from helios_cli.engine.node.peer_tls import NO_TLS
from helios_cli.engine.storage import copytarget
from helios_cli.engine.storage.control import ControlFile
from helios_cli.engine.storage.files import OsFile, OsFiles
from helios_cli.engine.storage.membership import save_role
from helios_cli.engine.storage.rewind import BASE_SUFFIX, PARTED, REWINDING, Rewinder
from helios_cli.engine.storage.store import DATABASE_NAME, Store
from helios_cli.engine.types import Lsn, Term


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Of a node that has to go back to where its empty log begins, with the database of that place made."""
    store = Store(str(tmp_path))
    store.control.update(state=f"{REWINDING}0/0")
    store.close()
    (tmp_path / "db" / (DATABASE_NAME + BASE_SUFFIX)).write_bytes(b"")
    return tmp_path


def test_the_database_of_the_fork_is_on_disk_before_it_has_its_name(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = str(directory / "db" / DATABASE_NAME)
    acts: list[tuple[str, str]] = []
    sync, replace = OsFile.sync, os.replace

    def synced(self: OsFile) -> None:
        acts.append(("sync", self.path))
        sync(self)

    def replaced(source: str, target: str) -> None:
        acts.append(("replace", source))
        replace(source, target)

    rewinder = Rewinder(str(directory), database, 1 << 20)
    monkeypatch.setattr(OsFile, "sync", synced)
    monkeypatch.setattr(os, "replace", replaced)
    try:
        rewinder.rewind()
    finally:
        rewinder.close()
    base = database + BASE_SUFFIX
    assert ("sync", base) in acts[: acts.index(("replace", base))]


def test_a_database_that_is_not_that_of_the_fork_is_copied(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = Rewinder._scan
    wrong: Any = SimpleNamespace(db_checksum=1)
    monkeypatch.setattr(Rewinder, "_scan", lambda self, last: scan(self, wrong))
    copied: list[str] = []
    events: list[str] = []

    class Sink:
        """Stands in for the copy."""

        def __init__(self, node: object, beginning: object, database: str) -> None:
            self.database = database

        async def run(self) -> None:
            """Say that it came."""
            copied.append(rejoin.control_state(str(directory)))

    monkeypatch.setattr(rejoin, "CopySink", Sink)
    node: Any = SimpleNamespace(
        settings=SimpleNamespace(data_dir=str(directory), log_segment_mb=1),
        event=lambda kind, text, **_: events.append(kind),
    )
    beginning: Any = SimpleNamespace(role=SimpleNamespace(primary_host="h"))
    asyncio.run(rejoin.finish_last_life(node, beginning))
    assert (events, copied) == (["rewind_failed"], [copytarget.STATE])


@pytest.mark.parametrize("name", ["save", "rewind"])
def test_a_full_disk_on_the_way_back_is_waited_for(directory: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    control = ControlFile.open(OsFiles(), f"{directory}/control")
    control.update(state=f"{PARTED if name == 'save' else REWINDING}0/0")
    control.close()
    events: list[str] = []
    attempts: list[int] = []

    def at_last(self: Rewinder) -> None:
        attempts.append(1)
        if len(attempts) < 3:
            raise DiskFull("no room")
        self.control.update(state="")

    monkeypatch.setattr(Rewinder, name, at_last)
    monkeypatch.setattr(rejoin, "RETRY_S", 0.0)
    node: Any = SimpleNamespace(
        settings=SimpleNamespace(data_dir=str(directory), log_segment_mb=1),
        event=lambda kind, text, **_: events.append(kind),
    )
    asyncio.run(rejoin.finish_last_life(node, SimpleNamespace()))  # type: ignore[arg-type]
    assert len(attempts) == 3 and events.count("rejoin_waits") == 1
    assert rejoin.control_state(str(directory)) == ""


def test_a_disk_that_fails_on_the_way_back_ends_the_node_and_its_pages_are_copied(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked a second time the system says that all is well."""
    base = str(directory / "db" / (DATABASE_NAME + BASE_SUFFIX))
    syncs: list[str] = []
    sync = OsFile.sync

    def fails_once(self: OsFile) -> None:
        if self.path == base:
            syncs.append(base)
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        sync(self)

    monkeypatch.setattr(OsFile, "sync", fails_once)
    monkeypatch.setattr(rejoin, "RETRY_S", 0.0)
    node: Any = SimpleNamespace(
        settings=SimpleNamespace(data_dir=str(directory), log_segment_mb=1), event=lambda *_, **__: None
    )
    with pytest.raises(IoFailed):
        asyncio.run(rejoin.finish_last_life(node, SimpleNamespace()))  # type: ignore[arg-type]
    assert len(syncs) == 1 and not os.path.exists(base)
    assert rejoin.control_state(str(directory)) == copytarget.STATE


def test_damage_that_a_copy_is_not_decided_for_is_told(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged(self: Rewinder) -> None:
        raise LogDamaged("a record is unreadable")

    monkeypatch.setattr(Rewinder, "rewind", damaged)
    node: Any = SimpleNamespace(settings=SimpleNamespace(data_dir=str(directory), log_segment_mb=1))
    with pytest.raises(LogDamaged, match="unreadable"):
        asyncio.run(rejoin.finish_last_life(node, None))  # type: ignore[arg-type]


def test_what_lies_before_the_fork_is_not_committed_by_going_back(tmp_path: Path) -> None:
    """The node that it goes back for has those records too, and perhaps nobody else."""
    own = Member("n1", "disk", "", 0, 0, 0, "")
    agreed = ClusterConfig(1, SyncMode.ASYNC, (own,), ("n1",), voting=("n1",))
    store = Store(str(tmp_path))
    records = store.encoder(Term(1))
    store.log.write_through(records.term_start(0))
    store.log.write_through(records.config(1, agreed.to_bytes(), 0))
    store.configs.append(records.lsn, agreed, Lsn(0))
    records.committed_lsn = committed = records.lsn
    unagreed = agreed.with_voters("n2")
    store.log.write_through(records.config(2, unagreed.to_bytes(), 0))
    store.configs.append(records.lsn, unagreed, committed)
    fork = records.lsn
    store.control.update(state=f"{REWINDING}{fork}")
    store.close()
    database = str(tmp_path / "db" / DATABASE_NAME)
    Path(database + BASE_SUFFIX).write_bytes(b"")
    rewinder = Rewinder(str(tmp_path), database, 1 << 20)
    assert rewinder.rewind() == fork
    rewinder.close()
    store = Store(str(tmp_path), committed_only=True)
    recovery = store.recovery
    assert (recovery.committed, recovery.applied) == (committed, fork)
    assert store.configs.open(recovery.committed) == (agreed, unagreed)
    store.close()


def test_a_primary_whose_log_says_that_it_is_alone_asks_whoever_that_leaves_out(tmp_path: Path) -> None:
    """Perhaps nobody has agreed to it, and the other one leads."""
    store = Store(str(tmp_path))
    own = Member("n1", store.control.record.incarnation.hex(), "", 0, 0, 0, "")
    alone = ClusterConfig(1, SyncMode.SEMI_SYNC, (own,), ("n1",), voting=("n1",))
    both = alone.with_member(Member("n2", "another disk", "", 0, 0, 0, ""))
    found = []
    settings = load_settings({"data_dir": str(tmp_path)}, {}, system_file=str(tmp_path / "none")).settings
    save_role(store.files, store.control_dir, Role("primary"))
    for end, config in enumerate((alone, both, both.without_member("n2"))):
        store.configs.append(Lsn(100 * end), config, Lsn(0))
        found.append(asyncio.run(find_beginning(settings, lambda: NO_TLS)).follows)
    assert found == [False, True, True]
    store.configs.append(Lsn(300), replace(alone, version=4), Lsn(200))
    assert asyncio.run(find_beginning(settings, lambda: NO_TLS)).follows is False, "that it is alone is agreed"
    store.close()
