"""A standby applies many records as one, and still says of each whether it led where it should."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest

from helios_cli.engine.errors import DiskFull, LogDamaged
from helios_cli.engine.log.checksum import ChecksumTable
from helios_cli.engine.log.encoder import RecordEncoder
from helios_cli.engine.log.record import decode_header
from helios_cli.engine.node import applicator
from helios_cli.engine.node.applicator import WalApplicator
from helios_cli.engine.node.clock import SystemClock
from helios_cli.engine.storage.database import Commit, Database
from helios_cli.engine.storage.store import Store
from helios_cli.engine.types import PAGE_SIZE, Lsn, Term

PAGES = 9
DEADLINE_S = 20.0


class Standby:
    """Store, database and applicator; what the applicator tells is kept."""

    def __init__(self, directory: Path, logged: bytes) -> None:
        self.store = store = Store(str(directory))
        if logged:
            store.log.write_through(logged)
        self.database = Database(
            store.db_path, log=store.log, checksums=store.checksums, records=store.encoder(store.new_term()),
            clock=SystemClock(), setup=None, ring_size=4,
        )  # fmt: skip
        # Pages of tests are no tables: nobody shall read them.
        self.database.ring.wanted = 0
        self.commits: list[Commit] = []
        self.flushed: list[bytes] = []
        self.failed: list[BaseException] = []
        self.refused: list[LogDamaged] = []
        self.diverged: list[Any] = []
        self.applicator = WalApplicator(
            store.log, store.timeline, store.configs, self.database, asyncio.get_running_loop(), applied=Lsn(0),
            boundaries_max=4, on_flushed=self.flushed.append, on_applied=self.commits.append,
            on_failed=self.failed.append,
        )  # fmt: skip
        self.applicator.on_refused = self.refused.append
        self.applicator.on_diverged = self.diverged.append

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not condition():
                assert not self.failed, self.failed
                await asyncio.sleep(0.001)


@asynccontextmanager
async def standby(directory: Path, logged: bytes = b"") -> AsyncIterator[Standby]:
    """One whose log holds ``logged`` already, none of it applied."""
    made = Standby(directory, logged)
    made.applicator.start()
    try:
        yield made
    finally:
        made.applicator.stop()
        made.applicator.close()
        made.database.close()
        made.store.close()


class Primary:
    """Makes records of random pages, and knows the state that each leads to."""

    def __init__(self) -> None:
        self.rng = Random(7)
        self.table = ChecksumTable()
        self.encoder = RecordEncoder(Term(1, 11), last=None, db_pages=0, db_checksum=0)

    def page(self) -> bytes:
        return self.rng.randbytes(100).ljust(PAGE_SIZE, b"z")

    def record(self, *numbers: int, unlogged: dict[int, bytes] | None = None) -> bytes:
        """Of these pages; ``unlogged`` are others that changed too, and that the record has not."""
        pages = {number: self.page() for number in numbers}
        return self.encoder.data(pages, PAGES, self.table.apply(pages | (unlogged or {}), PAGES), 1)


def test_records_that_wait_become_one_commit(tmp_path: Path) -> None:
    async def run() -> None:
        primary = Primary()
        whole = primary.encoder.term_start(1) + b"".join(primary.record(2, 2 + n % 5) for n in range(300))
        async with standby(tmp_path) as one:
            one.applicator.queue.feed(whole)
            await one.until(lambda: one.applicator.applied == len(whole))
            assert one.applicator.position == (len(whole), primary.table.total)
            assert one.applicator.records_applied == 301
            assert [commit.lsn_end for commit in one.commits] == [len(whole)]
            assert one.applicator.pages_applied == 5, "each page once, in its newest form"
            assert one.flushed == [whole]

    asyncio.run(run())


def test_a_state_that_is_not_the_primary_s_is_found_at_its_record(tmp_path: Path) -> None:
    async def run() -> None:
        primary = Primary()
        before = primary.encoder.term_start(1) + primary.record(2, 3)
        lost = {7: primary.page(), 8: primary.page()}
        bad = primary.record(4, unlogged=lost)
        # One of the pages that are wrong there is overwritten before the run ends.
        rest = b"".join(primary.record(2 + n % 3) for n in range(20)) + primary.record(7)
        async with standby(tmp_path) as one:
            one.applicator.queue.feed(before + bad + rest)
            await one.until(lambda: one.diverged)
            ((error, header, own),) = one.diverged
            assert header == decode_header(bad)
            assert str(header.lsn) in error.message
            assert own.total != header.db_checksum
            assert not one.commits, "nothing behind the last right state is shown"
            one.applicator.repaired(lost, Lsn(0))
            await one.until(lambda: one.applicator.applied == len(before + bad + rest))
            assert one.applicator.position[1] == primary.table.total
            assert one.applicator.pages_applied == len({2, 3, 4, 7, 8})
            assert len(one.diverged) == 1

    asyncio.run(run())


@pytest.mark.parametrize("logged", [False, True], ids=["fed", "in the log already"])
def test_transactions_of_several_records(tmp_path: Path, logged: bool) -> None:
    async def run() -> None:
        primary = Primary()
        encoder = primary.encoder
        parts = [(n, primary.page()) for n in range(2, 8)]
        whole = encoder.term_start(1) + primary.record(2, 3)
        whole += b"".join(encoder.chain(parts, PAGES, primary.table.apply, 1, part_pages=2))
        # One that is given up after its first part, and what comes instead.
        whole += next(iter(encoder.chain(parts, PAGES, lambda pages, size: 1, 1, part_pages=2)))
        whole += primary.record(8)
        async with standby(tmp_path, whole if logged else b"") as one:
            if logged:
                async with one.applicator.queue.paused(lambda: True):
                    assert (one.applicator.applied, one.applicator.said) == (0, len(whole))
                one.applicator.queue.let_go()
            else:
                one.applicator.queue.feed(whole)
            await one.until(lambda: one.applicator.applied == len(whole))
            assert one.applicator.position[1] == primary.table.total
            assert one.flushed == ([] if logged else [whole])

    asyncio.run(run())


def test_records_that_are_damaged_are_not_taken(tmp_path: Path) -> None:
    async def run() -> None:
        primary = Primary()
        first = primary.encoder.term_start(1) + primary.record(2)
        second = primary.record(3)
        damaged = second[:-9] + bytes((second[-9] ^ 1,)) + second[-8:]
        async with standby(tmp_path) as one:
            one.applicator.queue.feed(first)
            await one.until(lambda: one.applicator.applied == len(first))
            one.applicator.queue.feed(damaged)
            await one.until(lambda: one.refused)
            assert one.store.log.end == len(first) == one.applicator.queue.written
            one.applicator.queue.feed(second)
            await one.until(lambda: one.applicator.applied == len(first + second))
            assert one.applicator.position[1] == primary.table.total

    asyncio.run(run())


def test_a_transaction_that_another_record_has_ended_does_not_go_on(tmp_path: Path) -> None:
    async def run() -> None:
        primary = Primary()
        begun = primary.encoder.term_start(1) + primary.record(2)
        parts = primary.encoder.chain([(3, primary.page()), (4, primary.page())], PAGES, lambda *_: 1, 1, part_pages=1)
        begun += next(parts) + primary.record(5)
        async with standby(tmp_path) as one:
            one.applicator.queue.feed(begun)
            await one.until(lambda: one.applicator.applied == len(begun))
            one.applicator.queue.feed(next(parts))
            with pytest.raises(AssertionError, match="was not begun"):
                await one.until(lambda: False)

    asyncio.run(run())


def test_a_full_disk_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        monkeypatch.setattr(applicator, "NO_ROOM_S", 0.01)
        primary = Primary()
        first = primary.encoder.term_start(1) + primary.record(2)
        second = primary.record(3)
        async with standby(tmp_path) as one:
            one.applicator.queue.feed(first)
            await one.until(lambda: one.applicator.applied == len(first))
            told: list[DiskFull] = []
            one.applicator.on_no_room = told.append
            is_full = True
            reserve, write = one.store.log.reserve, one.store.log.write_through

            def full(size: int, at: Lsn | None = None) -> None:
                if is_full:
                    raise DiskFull("could not reserve room in the page log")
                reserve(size, at)

            def written(data: bytes) -> None:
                if is_full:
                    raise DiskFull("could not write the page log")
                write(data)

            monkeypatch.setattr(one.store.log, "reserve", full)
            monkeypatch.setattr(one.store.log, "write_through", written)
            one.applicator.queue.feed(second)
            await one.until(lambda: len(told) > 2)
            async with asyncio.timeout(DEADLINE_S), one.applicator.queue.paused(lambda: True):
                # A checkpoint has SQLite's WAL for itself, and may make room.
                assert one.applicator.applied == len(first)
                is_full = False
            await one.until(lambda: one.applicator.applied == len(first + second))
            assert one.applicator.position[1] == primary.table.total
            is_full = True
            one.applicator.queue.feed(primary.record(4))
            await one.until(lambda: len(told) > 6)
            await asyncio.wait_for(asyncio.to_thread(one.applicator.finish), DEADLINE_S)
            assert one.store.log.end == len(first + second) and not one.failed

    asyncio.run(run())
