"""A standby's storage under a stream of records, a power cut at a random step, recovery, and what must be true then.

Files are simulated as in :mod:`support.power_cut`; what is streamed is the log of a primary that ran before.
"""

from __future__ import annotations

import asyncio
import bisect
import shutil
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from support.power_cut import Core, Model, StorageCore, catch_power_cuts, crash, open_store, submit

from helios_cli.engine.log.record import Kind
from helios_cli.engine.node.applicator import WalApplicator
from helios_cli.engine.sim.files import PowerCut, SimFiles
from helios_cli.engine.storage.database import Commit
from helios_cli.engine.types import Lsn, Term

DEADLINE_S = 60.0
LARGE = "INSERT INTO filler SELECT NULL, randomblob(3000) FROM account a, account b"
"""A transaction that takes a chain of records."""


@dataclass
class Source:
    """The log of a primary."""

    cluster_id: bytes
    term: Term
    data: bytes
    ends: list[Lsn] = field(default_factory=list)
    """Where each record ends."""
    states: dict[Lsn, int] = field(default_factory=lambda: {Lsn(0): 0})
    """The checksum of the database behind each record that ends a transaction."""
    committed: dict[Lsn, Lsn] = field(default_factory=lambda: {Lsn(0): Lsn(0)})
    """What each record says to be committed, by its end."""


@dataclass
class Told:
    """What the standby has said, and heard."""

    flushed: Lsn = Lsn(0)
    committed: Lsn = Lsn(0)
    checkpoints: int = 0


async def make_source(seed: int, directory: Path) -> Source:
    """Some hundred transactions of all sizes."""
    rng = Random(seed)
    loop = asyncio.get_running_loop()
    directory.mkdir(parents=True)
    core = Core(directory, SimFiles(), loop)
    try:
        core.create_tables()
        await core.pipeline.quiesce()
        model = Model()
        for round_no in range(rng.randint(20, 60)):
            await asyncio.gather(*[submit(core, model, rng, client) for client in range(rng.randint(1, 5))])
            if round_no % 15 == 7:
                await _large(core)
        await core.pipeline.quiesce()
        log = core.store.log
        source = Source(core.store.control.record.cluster_id, core.store.control.record.term, b"")
        data = bytearray()
        while chunk := log.chunk(Lsn(len(data)), 1 << 20):
            data += chunk
        source.data = bytes(data)
        for record in log.records(Lsn(0)):
            header = record.header
            source.ends.append(header.end)
            source.committed[header.end] = header.committed_lsn
            if header.kind is not Kind.DATA or not header.is_part:
                source.states[header.end] = header.db_checksum
        return source
    finally:
        core.close()
        shutil.rmtree(directory)


async def _large(core: Core) -> None:
    await core.queue.acquire_async(first=True)
    try:
        core.database.writer.execute("BEGIN IMMEDIATE")
        core.database.writer.execute(LARGE)
        commit = core.database.commit(core.database.writer)
        assert commit is not None
        core.pipeline.submit(commit)
    finally:
        core.queue.release()
    await core.pipeline.quiesce()


class StandbyCore(StorageCore):
    """That of a node that follows."""

    def __init__(
        self, directory: Path, files: SimFiles, loop: asyncio.AbstractEventLoop, source: Source, told: Told
    ) -> None:
        store = open_store(directory, files, committed_only=True, cluster_id=source.cluster_id)
        if store.control.record.term < source.term:
            store.promise(source.term)
        super().__init__(store, files, source.term, loop)
        self.told = told
        self.checkpointer.others_write = True
        self.checkpointer.hold = self._nothing_applied
        self.applicator = applicator = WalApplicator(
            store.log, store.timeline, store.configs, self.database, loop, applied=store.recovery.applied,
            boundaries_max=4, on_flushed=self._flushed, on_applied=self._applied, on_failed=self.stop_with,
        )  # fmt: skip
        self.pipeline.committed_lsn, self.pipeline.committed_checksum = applicator.position
        self.pipeline.database_lsn = lambda: applicator.applied
        applicator.start()

    @asynccontextmanager
    async def _nothing_applied(self) -> AsyncIterator[None]:
        async with self.applicator.queue.paused(lambda: self.applicator.is_alive):
            yield

    def _flushed(self, _data: bytes) -> None:
        self.told.flushed = max(self.told.flushed, self.store.log.flushed)

    def _applied(self, commit: Commit) -> None:
        self.pipeline.submit_applied(commit)
        self.show()

    def show(self) -> None:
        """What is known to be committed may be read."""
        commits = self.pipeline.advance(self.told.committed)
        pinned = sum(1 for commit in commits if commit.reader is not None)
        if pinned:
            self.applicator.queue.release(pinned)

    def close(self) -> None:
        """What the operating system does with a dead process."""
        self.files.cut_at = self.files.steps
        self.applicator.stop()
        self.applicator.close()
        super().close()


async def follow(core: StandbyCore, source: Source, rng: Random, *, whole: bool) -> None:
    """Take records in batches, hear of what is committed, and checkpoint; until all is there or the power is lost."""
    told = core.told
    checkpoints: set[asyncio.Task[None]] = set()
    at = told.flushed = core.store.log.end
    async with asyncio.timeout(DEADLINE_S):
        while not core.fatal.done():
            if core.files.cut_at is not None and core.files.steps >= core.files.cut_at:
                # Whichever thread has met it, and whoever waits for that one now.
                core.stop_with(PowerCut("power lost"))
                continue
            if whole or rng.random() < 0.9:
                core.applicator.queue.let_go()
            if at < len(source.data) and rng.random() < 0.7:
                index = bisect.bisect_right(source.ends, at)
                end = source.ends[min(index + rng.choice((0, 3, 30)), len(source.ends) - 1)]
                core.applicator.queue.feed(source.data[at:end])
                at = end
            if rng.random() < 0.5 or whole:
                known = bisect.bisect_right(source.ends, told.flushed)
                if known:
                    told.committed = max(told.committed, source.ends[known - 1 if whole else rng.randrange(known)])
                    core.show()
            if rng.random() < 0.05 and not checkpoints:
                task = asyncio.ensure_future(_checkpoint(core))
                checkpoints.add(task)
                task.add_done_callback(checkpoints.discard)
            if core.pipeline.committed_lsn == len(source.data) and not checkpoints:
                break
            await asyncio.sleep(rng.choice((0, 0, 0.001)))
    for task in checkpoints:
        task.cancel()
    await asyncio.gather(*checkpoints, return_exceptions=True)


async def _checkpoint(core: StandbyCore) -> None:
    try:
        await core.checkpointer.checkpoint()
        core.told.checkpoints += 1
    except PowerCut as error:
        core.stop_with(error)


def verify(core: StandbyCore, source: Source) -> None:
    """Its log is the primary's, with all that it said to have; its database is a state of it that is committed."""
    store, told = core.store, core.told
    end, applied = store.log.end, store.recovery.applied
    assert end >= told.flushed, f"{told.flushed} was said to be on disk, and the log ends at {end}"
    data = bytearray()
    start = store.log.start
    while chunk := store.log.chunk(Lsn(start + len(data)), 1 << 20):
        data += chunk
    assert bytes(data) == source.data[start:end], "the log is not the primary's"
    committed = max(told.committed, source.committed[end])
    assert applied <= committed, f"{applied} is shown, and {committed} is committed"
    assert core.database.checksums.total == source.states[applied], (
        f"the database at {applied} is none that the primary had: {store.recovery}, control {store.control.record}, "
        f"that of {[str(at) for at, state in source.states.items() if state == core.database.checksums.total]}"
    )


async def one_cut(seed: int, base: Path, *, cuts: int = 3) -> Told:
    """Stream, cut the power, recover and verify, ``cuts`` times over on the same node; then to the end."""
    rng = Random(seed)
    loop = asyncio.get_running_loop()
    core: StandbyCore | None = None

    source = await make_source(seed % 8, base / "primary")
    catch_power_cuts(lambda: core)
    told, files = Told(), SimFiles()
    directory = base / "0"
    directory.mkdir(parents=True)
    for number in range(cuts + 1):
        core = StandbyCore(directory, files, loop, source, told)
        try:
            verify(core, source)
            is_last = number == cuts
            files.cut_at = None if is_last else files.steps + rng.randint(1, 60)
            await follow(core, source, rng, whole=is_last)
            if core.fatal.done() and (is_last or not isinstance(core.fatal.result(), PowerCut)):
                raise AssertionError(f"the standby failed: {core.fatal.result()!r}")
            if is_last:
                assert core.pipeline.committed_lsn == len(source.data)
                assert core.database.checksums.total == source.states[Lsn(len(source.data))]
        finally:
            core.close()
        target = base / str(number + 1)
        crash(core, directory, target, rng)
        shutil.rmtree(directory)
        directory, files = target, files.power_cut(rng.randrange(1 << 30))
    return told


def run_seed(seed: int, base: Path) -> Told:
    """One seed to its end; raises AssertionError or HeliosError when something was lost, or cannot be opened."""
    directory = base / f"seed-{seed}"
    report, threading.excepthook = threading.excepthook, _without_power
    try:
        return asyncio.run(one_cut(seed, directory))
    finally:
        threading.excepthook = report
        shutil.rmtree(directory, ignore_errors=True)


def _without_power(thread: threading.ExceptHookArgs) -> None:
    """A thread that makes a file ahead of its use loses its power like all others."""
    if not isinstance(thread.exc_value, PowerCut):
        threading.__excepthook__(thread)
