"""A node that dies in the middle of a checkpoint: the file has pages of commits that no record calls committed yet."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import struct
from pathlib import Path
from typing import Any

import pytest
from support.storage_core import StorageCore

from helios_cli.engine.errors import LogDamaged
from helios_cli.engine.storage.rewind import PARTED, Rewinder
from helios_cli.engine.storage.store import DATABASE_NAME, Store
from helios_cli.engine.types import PAGE_SIZE, Lsn

COLUMNS = "(a int PRIMARY KEY, b text)"


def cut_short(directory: Path, statements: tuple[str, ...]) -> tuple[Path, list[Lsn]]:
    """A data directory as a kill leaves it: two tables are checkpointed; of what followed the file has all pages.

    Gives it, and where each of the statements' transactions ends in the log.
    """

    async def run() -> list[Lsn]:
        core = StorageCore(directory / "alive")
        await core.run(f"CREATE TABLE t {COLUMNS}", f"CREATE TABLE u {COLUMNS}")
        await core.run("INSERT INTO t VALUES (1, 'old')", "INSERT INTO u VALUES (1, 'old')")
        await core.checkpointer.checkpoint()
        ends, known = [], core.pipeline.committed_lsn
        for statement in statements:
            # As of one whose record is made before others have said that they have the ones before it.
            core.database.records.committed_lsn = known
            await core.run(statement)
            ends.append(core.pipeline.committed_lsn)
        settle = core.checkpointer._settle
        core.checkpointer._settle = lambda *_: None  # type: ignore[method-assign]
        await core.checkpointer.checkpoint()
        core.checkpointer._settle = settle  # type: ignore[method-assign]
        shutil.copytree(directory / "alive", directory / "dead")
        core.close()
        return ends

    ends = asyncio.run(run())
    return directory / "dead", ends


def rows(directory: Path, table: str) -> list[Any]:
    connection = sqlite3.connect(f"file:{directory}/db/{DATABASE_NAME}?immutable=1", uri=True)
    try:
        return connection.execute(f"SELECT a, b FROM {table} ORDER BY a").fetchall()
    finally:
        connection.close()


def test_what_the_file_has_of_it_is_committed(tmp_path: Path) -> None:
    dead, ends = cut_short(tmp_path, ("UPDATE t SET b = 'new'", "UPDATE u SET b = 'new'"))
    for _ in range(2):
        store = Store(str(dead), committed_only=True)
        assert store.log.last is not None and store.log.last.committed_lsn < ends[-1] == store.recovery.end
        assert (store.recovery.applied, store.recovery.committed) == (ends[-1], ends[-1])
        store.close()
    assert rows(dead, "t") == rows(dead, "u") == [(1, "new")]


def test_it_is_redone_no_further_than_the_file_needs(tmp_path: Path) -> None:
    """What comes behind may be taken back. The page of the first commit can be what that one made of it again."""
    updates = (
        "UPDATE t SET b = 'new'",
        "UPDATE u SET b = 'new'",
        "UPDATE t SET b = 'newer'",
        "UPDATE u SET b = 'newest'",
    )
    dead, ends = cut_short(tmp_path, updates[:3])
    more, all_ends = cut_short(tmp_path / "more", updates)
    assert ends == all_ends[:3]
    # The file of one, and the log of the other, of which it has all but the last record.
    shutil.rmtree(more / "db")
    shutil.copytree(dead / "db", more / "db")
    store = Store(str(more), committed_only=True)
    assert store.recovery.applied == store.recovery.committed == ends[1] < store.recovery.end
    store.close()
    assert (rows(more, "t"), rows(more, "u")) == ([(1, "new")], [(1, "new")])


def test_a_page_that_no_record_explains_is_damage(tmp_path: Path) -> None:
    dead, _ = cut_short(tmp_path, ("UPDATE t SET b = 'new'", "UPDATE u SET b = 'new'"))
    path = dead / "db" / DATABASE_NAME
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    with pytest.raises(LogDamaged, match="differs from its log on"):
        Store(str(dead), committed_only=True)


def test_going_back_behind_it_takes_its_pages_out_of_the_file(tmp_path: Path) -> None:
    """In async mode what is committed may be lost: the recorded checkpoint lies before the fork, its pages behind."""
    dead, ends = cut_short(tmp_path, ("UPDATE t SET b = 'kept'", "UPDATE u SET b = 'lost'"))
    store = Store(str(dead), committed_only=True)
    store.close()
    cut, _ = cut_short(tmp_path / "again", ("UPDATE t SET b = 'kept'", "UPDATE u SET b = 'lost'"))
    for directory in (dead, cut):
        rewinder = Rewinder(str(directory), f"{directory}/db/{DATABASE_NAME}", 1 << 20)
        rewinder.control.update(state=f"{PARTED}{ends[0]}")
        saved = rewinder.save()
        assert saved is not None and not saved[1].pending
        assert rewinder.rewind() == ends[0]
        rewinder.close()
        store = Store(str(directory), committed_only=True)
        assert store.recovery.applied == ends[0]
        store.close()
        assert (rows(directory, "t"), rows(directory, "u")) == ([(1, "kept")], [(1, "old")])


def test_a_node_that_dies_while_it_makes_its_empty_database_starts_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the log only the beginning of a term is known to be committed, which is behind LSN 0 and has no pages."""
    store = Store(str(tmp_path))
    encoder = store.encoder(store.new_term())
    store.log.write_through(encoder.term_start(0))
    began = encoder.committed_lsn = store.log.end
    store.log.write_through(encoder.seal(0))
    store.close()
    Store(str(tmp_path), committed_only=True).close()

    class Killed(Exception):
        pass

    def die(_path: str) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("helios_cli.engine.storage.store.create_database", die)
        with pytest.raises(Killed):
            Store(str(tmp_path), committed_only=True)
    assert not (tmp_path / "db" / DATABASE_NAME).exists()
    again = Store(str(tmp_path), committed_only=True)
    assert again.recovery.applied == began
    again.close()
    assert (tmp_path / "db" / DATABASE_NAME).exists()


def test_a_journal_that_a_power_cut_brought_back_is_not_rolled_back(tmp_path: Path) -> None:
    """SQLite makes a new database with one, and does not sync that it has removed it: it cuts to no page at all."""
    dead, _ = cut_short(tmp_path, ("UPDATE t SET b = 'new'",))
    magic, records, nonce, pages, sector = bytes.fromhex("d9d505f920a163d7"), 0, 1, 0, 512
    header = struct.pack(">8sIIIII", magic, records, nonce, pages, sector, PAGE_SIZE)
    (dead / "db" / f"{DATABASE_NAME}-journal").write_bytes(header.ljust(sector, b"\0"))
    store = Store(str(dead))
    reader = sqlite3.connect(store.db_path)
    assert reader.execute("SELECT a, b FROM t").fetchall() == [(1, "new")]
    reader.close()
    store.close()
