"""A scrub finds what has rotted beneath a running node, and repairs it from whoever has the page as it should be."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from support.inner_node import InnerNode
from support.node_process import wait_until

from helios_cli.engine.errors import LogDamaged
from helios_cli.engine.log.checksum import page_hash
from helios_cli.engine.log.wal import FRAME_HEADER_BYTES, WAL_HEADER_BYTES, frame_offset
from helios_cli.engine.log.walindex import BLOCK_BYTES, put
from helios_cli.engine.node import page_check, page_repair, scrub
from helios_cli.engine.node.clock import SystemClock
from helios_cli.engine.node.page_check import Frames
from helios_cli.engine.storage.files import OsFiles
from helios_cli.engine.storage.livepages import Boundary, FrameBoundary, LivePages
from helios_cli.engine.storage.pagelog import LogRemoved
from helios_cli.engine.storage.scrubstate import BAD_KEPT, ScrubState, load_scrub, save_scrub
from helios_cli.engine.storage.store import Store
from helios_cli.engine.types import PAGE_SIZE

SETTLED_S = 30.0
ROWS = 3000
ROTTEN = 40
"""A page in the middle of the table."""


def fill(node: InnerNode) -> None:
    with node.connect() as writer:
        writer.execute("CREATE TABLE t (a int PRIMARY KEY, b text)")
        writer.execute(f"INSERT INTO t SELECT i, repeat('x', 300) FROM generate_series(1, {ROWS}) i")


@contextmanager
def pair(directory: Path) -> Iterator[tuple[InnerNode, InnerNode]]:
    for name in ("one", "two"):
        (directory / name).mkdir()
    with InnerNode(directory / "one", node_id="n1", replication_role="primary") as primary:
        fill(primary)
        upstream = {"primary_host": "127.0.0.1", "primary_port": primary.settings.native_port}
        with InnerNode(directory / "two", node_id="n2", replication_role="standby", **upstream) as standby:
            primary_sum = primary.node.database.checksums
            wait_until(lambda: standby.node.database.checksums.total == primary_sum.total, "it follows", SETTLED_S)
            wait_until(lambda: members(primary) == {"n1", "n2"} == members(standby), "both are members", SETTLED_S)
            yield primary, standby


def members(node: InnerNode) -> set[str]:
    return node.on_loop(lambda: {member.node_id for member in node.node.replication.config.members})


def run(node: InnerNode, work: Any) -> Any:
    return asyncio.run_coroutine_threadsafe(work, node.node.engine.loop).result(SETTLED_S)


async def checkpoint(node: InnerNode) -> None:
    await node.node.checkpointer.request()


def rot(node: InnerNode, *numbers: int) -> None:
    """Other bytes in the database file, where no frame of the WAL hides them."""
    run(node, checkpoint(node))
    wait_until(lambda: node.node.checkpointer.complete, "everything is in the file")
    for number in numbers:
        rewrite(node, number, bytes(50), at=1000)


def rewrite(node: InnerNode, number: int, data: bytes, *, at: int = 0) -> None:
    # By the node's own descriptor: to close another one in this process would drop SQLite's locks.
    os.pwrite(node.node.checkpointer._file, data, (number - 1) * PAGE_SIZE + at)


def in_file(node: InnerNode, number: int) -> bool:
    """Whether the file has the page as it should be."""
    image = node.node.checkpointer.read_file(PAGE_SIZE, (number - 1) * PAGE_SIZE)
    return page_hash(number, image) == node.node.database.checksums.hash_of(number)


def scrubbed(node: InnerNode) -> dict[str, Any]:
    """What a whole scrub says."""
    inner = node.node.scrub
    node.on_loop(lambda: inner.request(0))
    wait_until(lambda: not inner.running, "the scrub is over", SETTLED_S)
    assert inner.state.finished_us >= inner.state.started_us, inner.state.last_error
    return node.on_loop(inner.record)


def kinds(node: InnerNode) -> list[str]:
    return [event.kind for event in node.node.events.recent()]


def rows_read(node: InnerNode) -> Any:
    with node.connect() as reader:
        return reader.execute("SELECT count(*), count(*) FILTER (WHERE b = repeat('x', 300)) FROM t").fetchone()


def test_all_pages_of_a_sound_database_are_read(tmp_path: Path) -> None:
    with InnerNode(tmp_path) as node:
        fill(node)
        for checkpointed in (False, True):
            if checkpointed:
                run(node, checkpoint(node))
            found = scrubbed(node)
            assert found["pages_bad"] == 0 and found["pages_checked"] == node.node.database.checksums.pages > 100
        assert node.node.scrub.alarms() == []
        assert "page_damaged" not in kinds(node)


def test_a_node_alone_keeps_the_alarm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with InnerNode(tmp_path) as node:
        fill(node)
        rot(node, ROTTEN)
        # Its log is as if it began later.
        monkeypatch.setattr(page_repair, "in_log", lambda *_: {})
        found = scrubbed(node)
        assert found["pages_bad"] == 1 and found["bad_pages"] == [ROTTEN]
        (alarm,) = node.node.scrub.alarms()
        assert f"page {ROTTEN} of the database file is damaged" in alarm and "from a backup" in alarm
        events = [event for event in node.node.events.recent() if event.kind == "page_not_repaired"]
        assert len(events) == 1 and f"page {ROTTEN}" in events[0].message
        with node.connect() as reader:
            row = reader.execute("SELECT is_running, pages_bad, bad_pages, last_error FROM helios_scrub").fetchone()
        assert row is not None and row[:3] == (False, 1, [ROTTEN]) and "does not reach back" in row[3]
    # The alarm outlives the process; a page that is right again ends it.
    monkeypatch.undo()
    with InnerNode(tmp_path) as node:
        wait_until(lambda: "page_repaired" in kinds(node), "it is repaired from the log", SETTLED_S)
        wait_until(lambda: node.node.scrub.alarms() == [], "no page is damaged", SETTLED_S)


def test_a_repair_that_is_tried_again_does_not_search_the_log_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[set[int]] = []

    def nothing(_: object, wanted: dict[int, int]) -> dict[int, bytes]:
        asked.append(set(wanted))
        return {}

    monkeypatch.setattr(page_repair, "in_log", nothing)
    with InnerNode(tmp_path) as node:
        fill(node)
        rot(node, ROTTEN)
        scrubbed(node)
        run(node, node.node.scrub._again())
        assert asked == [{ROTTEN}] and node.node.scrub.state.bad == (ROTTEN,)
        rot(node, ROTTEN + 5)
        assert scrubbed(node)["pages_bad"] == 2 and asked[1:] == [{ROTTEN, ROTTEN + 5}]


def test_a_node_alone_repairs_from_its_log(tmp_path: Path) -> None:
    with InnerNode(tmp_path) as node:
        fill(node)
        rot(node, ROTTEN, ROTTEN + 1)
        end = node.node.store.log.end
        found = scrubbed(node)
        assert (found["pages_bad"], found["pages_repaired"]) == (0, 2)
        assert in_file(node, ROTTEN) and in_file(node, ROTTEN + 1)
        assert rows_read(node) == (ROWS, ROWS)
        assert node.node.store.log.end - end < PAGE_SIZE, "no page image was logged"


def test_the_log_is_read_on_when_its_oldest_part_goes_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with InnerNode(tmp_path) as node:
        fill(node)
        log, wanted = node.node.store.log, {ROTTEN: node.node.database.checksums.hash_of(ROTTEN)}
        tries = iter([LogRemoved("the log begins later")])
        records = log.records

        def overtaken(*range_: Any) -> Any:
            for error in tries:
                raise error
            return records(*range_)

        monkeypatch.setattr(log, "records", overtaken)
        assert page_repair.in_log(log, wanted).keys() == {ROTTEN}


def test_an_image_that_the_table_does_not_lead_to_is_not_put(tmp_path: Path) -> None:
    with InnerNode(tmp_path) as node:
        fill(node)
        inner, applier = node.node, node.node.scrub._applier
        assert applier is not None
        wrong = {ROTTEN: b"w" * PAGE_SIZE}
        assert run(node, page_repair.put_images(inner, applier, wrong)) == []
        right = inner.store.log.records(inner.store.log.start)
        images = {number: image for record in right for number, image in record.pages().items() if number == ROTTEN}
        assert run(node, page_repair.put_images(inner, applier, images | {9999: wrong[ROTTEN]})) == [ROTTEN]
        end = inner.store.log.end
        with node.connect() as writer:
            writer.execute("UPDATE t SET b = 'changed' WHERE a = 1")
        logged = {number for record in inner.store.log.records(end) for number in record.page_numbers()}
        assert logged and ROTTEN not in logged, "it is not taken for the next commit's"
        assert rows_read(node) == (ROWS, ROWS - 1)


def test_a_commit_that_overtakes_a_repair_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with InnerNode(tmp_path) as node:
        fill(node)
        inner, applier, put = node.node, node.node.scrub._applier, page_repair._put
        database, loop = inner.database, inner.engine.loop
        assert applier is not None
        records = inner.store.log.records(inner.store.log.start)
        images = {number: image for record in records for number, image in record.pages().items() if number == ROTTEN}

        def overtakes() -> None:
            """As a group that has waited for room, and is run when the commit before it is flushed."""
            database.writer.execute("BEGIN IMMEDIATE")
            database.writer.execute("UPDATE t SET b = 'changed' WHERE a = 1")
            commit = database.commit(database.writer)
            assert commit is not None
            inner.pipeline.submit(commit)

        def overtaken(*arguments: Any) -> list[int]:
            loop.call_soon(overtakes)
            return put(*arguments)

        monkeypatch.setattr(page_repair, "_put", overtaken)
        assert run(node, page_repair.put_images(inner, applier, images)) == [ROTTEN]
        wait_until(lambda: not node.in_flight, "the commit is flushed")
        assert inner.pipeline.committed_seq == database.commit_seq, "it is read"
        assert inner.pipeline.committed_lsn == inner.store.log.end
        assert rows_read(node) == (ROWS, ROWS - 1)


def test_a_record_without_pages_that_overtakes_a_repair_stays_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with InnerNode(tmp_path) as node:
        fill(node)
        inner, applier, put = node.node, node.node.scrub._applier, page_repair._put
        assert applier is not None
        records = inner.store.log.records(inner.store.log.start)
        images = {number: image for record in records for number, image in record.pages().items() if number == ROTTEN}

        def overtaken(*arguments: Any) -> list[int]:
            inner.engine.loop.call_soon(
                lambda: inner.pipeline.submit_apart(lambda: inner.database.records.seal(SystemClock.wall_us()))
            )
            return put(*arguments)

        monkeypatch.setattr(page_repair, "_put", overtaken)
        assert run(node, page_repair.put_images(inner, applier, images)) == [ROTTEN]
        wait_until(lambda: not inner.pipeline.in_flight, "the record is flushed")
        assert inner.pipeline.committed_lsn == inner.store.log.end
        assert inner.pipeline.committed_seq == inner.database.commit_seq


def test_a_repair_conflicts_with_no_snapshot_but_those_it_makes_old(tmp_path: Path) -> None:
    """A transaction whose snapshot is older than the repair cannot write over it, and is told in the usual way."""
    with InnerNode(tmp_path) as node:
        fill(node)
        rot(node, ROTTEN)
        with node.connect(autocommit=False) as reader, node.connect() as writer:
            reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            reader.execute("SELECT b FROM t WHERE a = 2")
            assert scrubbed(node)["pages_repaired"] == 1
            with pytest.raises(psycopg.errors.SerializationFailure):
                reader.execute("UPDATE t SET b = 'z' WHERE a = 1")
            reader.rollback()
            reader.execute("UPDATE t SET b = 'z' WHERE a = 1")
            reader.commit()
            assert writer.execute("SELECT b FROM t WHERE a = 1").fetchone() == ("z",)


async def is_settled(node: InnerNode) -> bool:
    try:
        async with page_check.settled(node.node):
            return True
    except page_check.NotSettled:
        return False


def test_pages_are_compared_between_two_commits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_check, "SETTLED_S", 0.05)
    with pair(tmp_path) as (primary, standby):
        database, seen = primary.node.database, []
        record = database.record

        def recording(commit: Any) -> None:
            seen.append(database.unrecorded)
            record(commit)

        monkeypatch.setattr(database, "record", recording)
        with primary.connect() as writer:
            writer.execute("INSERT INTO t VALUES (-1, 'one')")
        assert seen and all(seen), "SQLite has a commit that the table does not know of"
        assert not database.unrecorded and run(primary, is_settled(primary))
        database.unrecorded = True
        assert not run(primary, is_settled(primary))
        database.unrecorded = False
        with database.commit_lock:
            assert not run(primary, is_settled(primary))
        following, table = standby.node.replication.following, standby.node.database.checksums
        assert following is not None
        wait_until(lambda: following.applicator.position[1] == database.checksums.total, "it follows", SETTLED_S)
        assert run(standby, is_settled(standby))
        table.total ^= 1
        assert not run(standby, is_settled(standby)), "its table is ahead of its pages"
        table.total ^= 1


def test_no_checkpoint_writes_the_file_while_it_is_read(tmp_path: Path) -> None:
    with InnerNode(tmp_path) as node:
        fill(node)
        held = node.node.checkpointer.file_held

        async def waits(work: Any) -> bool:
            """Whether it does not end while the file is held."""
            async with held:
                task = asyncio.ensure_future(work)
                done, _ = await asyncio.wait([task], timeout=0.1)
            await task
            return not done

        assert run(node, waits(node.node.scrub._check.pages(1)))
        assert run(node, waits(node.node.scrub._check.frames(Frames(0, None))))
        assert run(node, waits(checkpoint(node)))


@pytest.mark.parametrize("damaged", ["standby", "primary"])
def test_a_page_is_repaired_from_another_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damaged: str) -> None:
    monkeypatch.setattr(page_repair, "in_log", lambda *_: {})
    with pair(tmp_path) as (primary, standby):
        node = standby if damaged == "standby" else primary
        rot(node, ROTTEN, ROTTEN + 2)
        with node.connect() as reader:
            # The connections that stay open have read the rot.
            reader.execute("SELECT count(b) FROM t").fetchone()
            found = scrubbed(node)
            assert (found["pages_bad"], found["pages_repaired"]) == (0, 2), node.node.scrub.alarms()
            assert in_file(node, ROTTEN) and in_file(node, ROTTEN + 2)
            query = "SELECT count(*) FROM t WHERE b = repeat('x', 300)"
            assert reader.execute(query).fetchone() == (ROWS,)
        message = next(event.message for event in node.node.events.recent() if event.kind == "page_repaired")
        assert f"from node {'n1' if damaged == 'standby' else 'n2'}" in message
        with primary.connect() as writer:
            writer.execute("UPDATE t SET b = b || 'y' WHERE a % 7 = 0")
        table, other = standby.node.database.checksums, primary.node.database.checksums
        wait_until(lambda: table.total == other.total, "the standby goes on", SETTLED_S)
        for one in (primary, standby):
            assert scrubbed(one)["pages_bad"] == 0
            assert one.node.failure is None


def test_a_page_that_is_damaged_elsewhere_too_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_repair, "in_log", lambda *_: {})
    with pair(tmp_path) as (primary, standby):
        for node in (primary, standby):
            rot(node, ROTTEN)
        rewrite(standby, ROTTEN, b"other", at=2000)
        before = standby.node.checkpointer.read_file(PAGE_SIZE, (ROTTEN - 1) * PAGE_SIZE)
        found = scrubbed(standby)
        assert found["bad_pages"] == [ROTTEN] and "n1 has other bytes there" in found["last_error"]
        assert standby.node.checkpointer.read_file(PAGE_SIZE, (ROTTEN - 1) * PAGE_SIZE) == before
        assert "Scrub its primary" in standby.node.scrub.alarms()[0]


def test_writes_and_checkpoints_meanwhile_are_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_check, "PIECE_PAGES", 16)
    with pair(tmp_path) as (primary, standby):
        with primary.connect() as writer:
            for round_no in range(6):
                for node in (primary, standby):
                    node.on_loop(lambda node=node: node.node.scrub.request(0))  # type: ignore[misc]
                for number in range(60):
                    writer.execute("UPDATE t SET b = repeat('x', 300) || %s WHERE a %% 60 = %s", (round_no, number))
                start = ROWS + 1 + round_no * 500
                writer.execute(f"INSERT INTO t SELECT i, 'new' FROM generate_series({start}, {start + 499}) i")
                run(primary, checkpoint(primary))
        for node in (primary, standby):
            wait_until(lambda node=node: not node.node.scrub.running, "the scrub is over", SETTLED_S)  # type: ignore[misc]
            assert node.node.scrub.pages_read >= node.node.scrub.state.pages > 100, "all were read, writes or not"
            assert "page_damaged" not in kinds(node) and scrubbed(node)["pages_bad"] == 0
            assert node.node.failure is None


def test_a_frame_that_waits_for_a_checkpoint_is_read_too(tmp_path: Path) -> None:
    """The file's page is old then, and right all the same; a frame that is not what was logged is damage."""
    with InnerNode(tmp_path) as node:
        fill(node)
        run(node, checkpoint(node))
        with node.connect() as writer:
            writer.execute("UPDATE t SET b = 'changed' WHERE a = 1500")
        check = node.node.scrub._check
        checked, wrong = run(node, check.pages(1))
        assert checked > 100 and wrong == [], "what the file has of the page is old, and nobody reads it"
        read, wrong, part = run(node, check.frames(Frames(0, None)))
        assert read > 0 and wrong == [] and part is None
        frames = node.node.database.capture.frames
        wal = os.open(node.node.database.path + "-wal", os.O_RDWR)
        os.pwrite(wal, b"rot", frame_offset(frames) + FRAME_HEADER_BYTES + 500)
        os.close(wal)
        _, wrong, _ = run(node, check.frames(Frames(0, None)))
        assert len(wrong) == 1
        # The log has it.
        assert scrubbed(node)["pages_repaired"] == 1
        assert run(node, check.still_wrong(wrong)) == []
        assert rows_read(node) == (ROWS, ROWS - 1)


def test_only_the_newest_frame_of_a_page_counts(tmp_path: Path) -> None:
    """So do those of pages behind the end of the database, which a transaction may leave."""
    name, hashes = made_file(tmp_path, 5)
    images = [bytes([byte]) * PAGE_SIZE for byte in (70, 71, 72, 73)]
    pages = [2, 4, 2, 9]
    frames = [bytes(FRAME_HEADER_BYTES) + image for image in images]
    (tmp_path / "db-wal").write_bytes(bytes(WAL_HEADER_BYTES) + b"".join(frames))
    index = bytearray(BLOCK_BYTES)
    put(memoryview(index), 1, pages)
    (tmp_path / "db-shm").write_bytes(index)
    live = LivePages(name)
    assert live.pages_of_frames(0, 4) == pages and live.pages_of_frames(2, 4) == pages[2:]
    right = {2: page_hash(2, images[2]), 4: page_hash(4, images[1]), 9: 0}

    def boundary(after: int, end: int) -> FrameBoundary:
        numbers = pages[after:end]
        return FrameBoundary(after, numbers, [right[number] for number in numbers], 5, 4)

    assert live.wrong_frames(boundary(0, 4)) == live.wrong_frames(boundary(0, 2)) == []
    right[4] ^= 1
    assert live.wrong_frames(boundary(0, 4)) == live.wrong_frames(boundary(1, 2)) == [4]
    assert live.wrong(Boundary(1, hashes, 4, 4)) == []
    hashes[1] ^= 1
    assert live.wrong(Boundary(1, hashes, 4, 0)) == [], "a page that waits in the WAL is left out"
    assert live.wrong(Boundary(1, hashes, 4, 4)) == [2]
    live.close()


def test_a_scrub_is_due_an_interval_after_the_last_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrub, "POLL_S", 0.01)
    monkeypatch.setattr(scrub, "AGAIN_S", 0.01)
    with InnerNode(tmp_path, scrub_interval=50) as node:
        wait_until(lambda: kinds(node).count("scrubbed") >= 2, "it scrubs by itself", SETTLED_S)
        last = node.node.scrub.state.finished_us
    with InnerNode(tmp_path, scrub_interval=0) as node:
        state = node.node.scrub.state
        assert state.finished_us >= last, "a restart remembers when the last one was"
        assert not node.node.scrub._due()
        assert node.on_loop(node.node.scrub.record)["next_us"] == 0


def test_a_scrub_that_fails_says_so_and_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object) -> list[int]:
        raise OSError(5, "Input/output error")

    with InnerNode(tmp_path) as node:
        with monkeypatch.context() as patch:
            patch.setattr(LivePages, "wrong", failing)
            node.on_loop(node.node.scrub.request)
            wait_until(lambda: not node.node.scrub.running, "it has failed", SETTLED_S)
            record = node.on_loop(node.node.scrub.record)
            assert "Input/output error" in record["last_error"] and record["finished_us"] < record["started_us"]
        assert scrubbed(node)["last_error"] == ""


# The files ------------------------------------------------------------------------------------------------------------


def made_file(path: Path, pages: int) -> tuple[str, list[int]]:
    """A file of pages with an empty WAL, and the hashes of its pages."""
    images = [bytes([number]) * PAGE_SIZE for number in range(1, pages + 1)]
    (path / "db").write_bytes(b"".join(images))
    (path / "db-wal").write_bytes(b"")
    (path / "db-shm").write_bytes(bytes(32768))
    return str(path / "db"), [page_hash(number, image) for number, image in enumerate(images, 1)]


def test_a_page_behind_the_end_of_the_file_is_zeros(tmp_path: Path) -> None:
    name, hashes = made_file(tmp_path, 5)
    live = LivePages(name)
    assert live.wrong(Boundary(1, hashes, 0, 0)) == []
    assert live.wrong(Boundary(3, hashes[2:], 0, 0)) == []
    assert live.wrong(Boundary(1, [*hashes, 0, 0], 0, 0)) == []
    assert live.wrong(Boundary(1, [*hashes, 0, 77], 0, 0)) == [7]
    assert live.wrong(Boundary(6, [], 0, 0)) == []
    live.close()


def test_a_page_that_cannot_be_read_is_damaged_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name, hashes = made_file(tmp_path, 8)
    live, read = LivePages(name), os.preadv

    def failing(file: int, buffers: Any, offset: int) -> int:
        if offset <= 4 * PAGE_SIZE < offset + len(buffers[0]):
            raise OSError(errno.EIO, "Input/output error")
        return read(file, buffers, offset)

    monkeypatch.setattr(os, "preadv", failing)
    assert live.wrong(Boundary(1, hashes, 0, 0)) == [5]
    monkeypatch.undo()
    assert live.wrong(Boundary(1, hashes, 0, 0)) == []
    live.close()


def test_a_file_system_without_direct_reads_is_read_through_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, hashes = made_file(tmp_path, 8)
    live, read = LivePages(name), os.preadv
    direct = live._direct

    def refusing(file: int, buffers: Any, offset: int) -> int:
        if file == direct >= 0:
            raise OSError(errno.EINVAL, "Invalid argument")
        return read(file, buffers, offset)

    monkeypatch.setattr(os, "preadv", refusing)
    assert live.wrong(Boundary(1, hashes, 0, 0)) == []
    assert not live.past_cache
    live.close()


def test_the_state_is_read_back_and_nonsense_is_none(tmp_path: Path) -> None:
    files, directory = OsFiles(), str(tmp_path)
    assert load_scrub(files, directory) == ScrubState()
    state = ScrubState(1, 2, 3, 4, 5, 6, 7.5, tuple(range(1, 400)), "why")
    save_scrub(files, directory, state)
    assert load_scrub(files, directory) == state
    save_scrub(files, directory, ScrubState(bad=tuple(range(1, 2000))))
    assert load_scrub(files, directory).bad == tuple(range(1, BAD_KEPT + 1))
    for bad in (b"{}", b"[1]", b"x", state.to_bytes().replace(b'"pages": 4', b'"pages": "4"')):
        with pytest.raises((ValueError, KeyError)):
            ScrubState.from_bytes(bad)
    (tmp_path / "scrub").write_bytes(b"rotten")
    assert load_scrub(files, directory) == ScrubState()


def test_the_whole_file_is_read_after_an_unclean_stop(tmp_path: Path) -> None:
    with InnerNode(tmp_path) as node:
        fill(node)
        rot(node, ROTTEN)
        control = node.node.store.control
        copy = tmp_path / "copy"
        run(node, checkpoint(node))
        assert not control.record.clean
        shutil.copytree(tmp_path / "data", copy, ignore=shutil.ignore_patterns("*.lock", "lock"))
    with pytest.raises(LogDamaged, match=f"differs from its log on 1 pages, the first is page {ROTTEN}"):
        Store(str(copy))
