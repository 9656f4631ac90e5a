"""The way back to a fork: what takes the database's place is on disk first, and what is not right is copied."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from helios_cli.engine.errors import LogDamaged
from helios_cli.engine.node import rejoin
from helios_cli.engine.storage import copytarget
from helios_cli.engine.storage.files import OsFile
from helios_cli.engine.storage.rewind import BASE_SUFFIX, REWINDING, Rewinder
from helios_cli.engine.storage.store import DATABASE_NAME, Store


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


def test_damage_that_a_copy_is_not_decided_for_is_told(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged(self: Rewinder) -> None:
        raise LogDamaged("a record is unreadable")

    monkeypatch.setattr(Rewinder, "rewind", damaged)
    node: Any = SimpleNamespace(settings=SimpleNamespace(data_dir=str(directory), log_segment_mb=1))
    with pytest.raises(LogDamaged, match="unreadable"):
        asyncio.run(rejoin.finish_last_life(node, None))  # type: ignore[arg-type]
