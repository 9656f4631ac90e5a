"""A node's storage under random writes, a power cut at a random step, recovery, and what must be true then.

The page log and the control file live in simulated files that forget what was not synced. The SQLite file is real;
after the cut it is mixed from its last synced image and its present one, sector by sector, and its WAL is lost, kept
or cut short.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import apsw

from helios_cli.engine.errors import HeliosError
from helios_cli.engine.node.checkpointer import Checkpointer
from helios_cli.engine.node.clock import SystemClock
from helios_cli.engine.node.pipeline import CommitPipeline
from helios_cli.engine.node.readers import ReadPool, Workers
from helios_cli.engine.node.writer import GroupWrite, WriterQueue
from helios_cli.engine.sim.files import PowerCut, SimFiles
from helios_cli.engine.sql.plan import Kind, Plan
from helios_cli.engine.storage.database import Database
from helios_cli.engine.storage.store import DATABASE_NAME, Store
from helios_cli.engine.types import Lsn, Term

SECTOR = 512
ACCOUNTS = 20
START_BALANCE = 100

INSERT = Plan(Kind.WRITE, "INSERT 0", ("INSERT INTO acked VALUES (?1, ?2, zeroblob(?3))",), groupable=True)
TRANSFER = Plan(
    Kind.WRITE,
    "UPDATE",
    ("UPDATE account SET balance = balance + CASE id WHEN ?1 THEN -?3 ELSE ?3 END WHERE id IN (?1, ?2)",),
    groupable=True,
)
DELETE = Plan(Kind.WRITE, "DELETE", ("DELETE FROM filler WHERE id % 3 = ?1",), groupable=True)
FILL = Plan(Kind.WRITE, "INSERT 0", ("INSERT INTO filler SELECT NULL, randomblob(2000) FROM account",), groupable=True)


@dataclass
class Model:
    """What the clients were told."""

    acked: set[int] = field(default_factory=set)
    sent: set[int] = field(default_factory=set)
    next_key: int = 0
    checkpoints: int = 0
    committed: Lsn = Lsn(0)
    """Up to where the log was confirmed by others."""


def open_store(directory: Path, files: SimFiles, **options: Any) -> Store:
    """Open and recover a node's directory, the database's beside the simulated rest."""
    return Store("/node", files=files, database_dir=str(directory), segment_bytes=128 << 10, **options)


class StorageCore:
    """The storage half of a node in one process, over the files it is given."""

    def __init__(self, store: Store, files: SimFiles, term: Term, loop: asyncio.AbstractEventLoop) -> None:
        self.fatal: asyncio.Future[BaseException] = loop.create_future()
        self.files = files
        self.store = store
        self.database = Database(
            store.db_path, log=store.log, checksums=store.checksums, records=store.encoder(term), clock=SystemClock(),
            setup=None, ring_size=6,
        )  # fmt: skip
        self.stable_image = b""
        self.remember_image()
        self.pipeline = CommitPipeline(self.database, loop, in_flight_max=4, on_fatal=self.stop_with)
        self.queue = WriterQueue(self.database, self.pipeline, loop)
        self.queue.on_fatal = self.stop_with
        self.workers = Workers(loop, 1, "reader")
        self.checkpointer = Checkpointer(
            store, self.database, self.pipeline, self.queue, ReadPool(self.database, self.workers, jobs_max=4),
            threshold_mb=1, wal_max_mb=1024, log_retention_mb=0, max_slot_lag_mb=1024, on_old_reader=lambda: None,
            on_event=lambda kind, message: None, sync_file=lambda fd: self.remember_image(),
        )  # fmt: skip

    def stop_with(self, error: BaseException) -> None:
        """It has lost its power, or failed."""
        if not self.fatal.done():
            self.fatal.set_result(error)

    def remember_image(self) -> None:
        """The database file has been synced: this is what a power cut cannot take away."""
        self.stable_image = Path(self.store.db_path).read_bytes()

    def close(self) -> None:
        """What the operating system does with a dead process: descriptors are closed, nothing is written."""
        self.files.cut_at = self.files.steps
        self.pipeline.stop()
        self.workers.stop()
        self.checkpointer.close()
        self.database.close()
        self.checkpointer.close_file()


def catch_power_cuts(core: Callable[[], StorageCore | None]) -> None:
    """Whatever callback of the loop meets the cut stops the core of that moment."""

    def on_error(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error, now = context.get("exception"), core()
        if now is None or not isinstance(error, PowerCut):
            raise AssertionError(f"unexpected: {context}")
        now.stop_with(error)

    asyncio.get_running_loop().set_exception_handler(on_error)


class Core(StorageCore):
    """That of a node that writes."""

    def __init__(self, directory: Path, files: SimFiles, loop: asyncio.AbstractEventLoop) -> None:
        store = open_store(directory, files)
        super().__init__(store, files, store.new_term(), loop)
        self.database.before_chain = self.pipeline.drain_log

    def create_tables(self) -> None:
        run = self.database.writer.execute
        run("BEGIN IMMEDIATE")
        run("CREATE TABLE acked (key INTEGER PRIMARY KEY, client INT, pad BLOB)")
        run("CREATE TABLE account (id INTEGER PRIMARY KEY, balance INT)")
        run("CREATE TABLE filler (id INTEGER PRIMARY KEY, pad BLOB)")
        for number in range(ACCOUNTS):
            run("INSERT INTO account VALUES (?, ?)", (number, START_BALANCE))
        commit = self.database.commit(self.database.writer)
        assert commit is not None
        self.pipeline.submit(commit)


async def workload(core: Core, model: Model, rng: Random, writes: int) -> None:
    """Random groups, large and small, with checkpoints between; ends early when the node stops."""
    for _ in range(writes):
        if core.fatal.done():
            return
        waiting: list[asyncio.Future[None]] = []
        for client in range(rng.randint(1, 5)):
            waiting.append(submit(core, model, rng, client))
        if rng.random() < 0.08:
            waiting.append(asyncio.ensure_future(checkpoint(core, model)))
        # A checkpoint that meets the power cut ends with an error of its own, which is no more than that.
        everything = asyncio.ensure_future(settle(waiting))
        either: list[asyncio.Future[Any]] = [everything, core.fatal]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if core.fatal.done():
            everything.cancel()
            await asyncio.wait([everything])
            return


async def settle(waiting: list[asyncio.Future[None]]) -> None:
    await asyncio.gather(*waiting, return_exceptions=True)


async def checkpoint(core: Core, model: Model) -> None:
    await core.checkpointer.checkpoint()
    model.checkpoints += 1


def submit(core: Core, model: Model, rng: Random, client: int) -> asyncio.Future[None]:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    kind = rng.random()
    key: int | None = None
    if kind < 0.7:
        key = model.next_key
        model.next_key += 1
        model.sent.add(key)
        plan, binds = INSERT, (key, client, rng.choice((10, 300, 9000)))
    elif kind < 0.85:
        source, target = rng.sample(range(ACCOUNTS), 2)
        plan, binds = TRANSFER, (source, target, rng.randrange(50))
    elif kind < 0.93:
        plan, binds = FILL, ()  # type: ignore[assignment]
    else:
        plan, binds = DELETE, (rng.randrange(3),)  # type: ignore[assignment]

    def done(write: GroupWrite) -> None:
        if write.error is None and key is not None:
            model.acked.add(key)
        if not future.done():
            future.set_result(None)

    core.queue.submit(GroupWrite(plan, binds, done))
    return future


def mixed_image(stable: bytes, present: bytes, rng: Random) -> bytes:
    """The database file after the cut: each sector that differs is the old or the new one."""
    keep = rng.choice((0.0, 0.3, 0.7, 1.0))
    size = len(stable) if rng.random() < 0.5 else len(present)
    old, new = stable.ljust(size, b"\0"), present.ljust(size, b"\0")
    image = bytearray(old[:size])
    for at in range(0, size, SECTOR):
        if new[at : at + SECTOR] != old[at : at + SECTOR] and rng.random() < keep:
            image[at : at + SECTOR] = new[at : at + SECTOR]
    return bytes(image)


def crash(core: StorageCore, directory: Path, target: Path, rng: Random) -> None:
    """Copy the database as the disk has it after the cut."""
    target.mkdir()
    present = (directory / DATABASE_NAME).read_bytes()
    (target / DATABASE_NAME).write_bytes(mixed_image(core.stable_image, present, rng))
    wal = (directory / (DATABASE_NAME + "-wal")).read_bytes()
    fate = rng.random()
    if fate < 0.5:
        (target / (DATABASE_NAME + "-wal")).write_bytes(wal[: rng.randrange(len(wal) + 1)] if fate < 0.3 else wal)


def verify(core: Core, model: Model) -> None:
    """Every acknowledged row is there, no group is torn, the checksum and SQLite agree."""
    rows = core.database.ring.current.execute
    found = {key for (key,) in rows("SELECT key FROM acked").fetchall()}
    missing = model.acked - found
    assert not missing, f"{len(missing)} acknowledged rows are gone, the first is {min(missing)}"
    assert found <= model.sent, "rows that nobody wrote"
    total = rows("SELECT sum(balance) FROM account").fetchall()[0][0]
    assert total == ACCOUNTS * START_BALANCE, f"a transfer was torn: the accounts hold {total}"
    assert rows("PRAGMA integrity_check").fetchall() == [("ok",)]


def verify_member(directory: Path, files: SimFiles, model: Model) -> None:
    """What a member of a cluster shows before it hears anybody: whole transactions, and none that may be taken back."""
    store = open_store(directory, files, committed_only=True)
    recovery = store.recovery
    store.close()
    assert recovery.committed <= recovery.applied <= model.committed, f"{recovery} of {model.committed}"
    reader = apsw.Connection(store.db_path)
    try:
        if not reader.execute("SELECT 1 FROM sqlite_schema").fetchall():
            # Not even the tables are known to be committed.
            return
        keys = {key for (key,) in reader.execute("SELECT key FROM acked")}
        total = reader.execute("SELECT sum(balance) FROM account").fetchall()[0][0]
    finally:
        reader.close()
    assert keys <= model.sent, "rows that nobody wrote"
    assert total == ACCOUNTS * START_BALANCE, f"a transfer was torn: the accounts hold {total}"


async def confirm(core: Core, model: Model, rng: Random) -> None:
    """Others confirm what this node has flushed, late and in pieces."""
    pipeline = core.pipeline
    while not core.fatal.done():
        await asyncio.sleep(rng.choice((0, 0, 0.001, 0.004)))
        flushed = [commit.lsn_end for commit in pipeline.in_flight if 0 < commit.lsn_end <= core.store.log.flushed]
        if flushed:
            model.committed = max(model.committed, rng.choice(flushed))
            pipeline.advance(model.committed)


async def one_cut(seed: int, base: Path, *, skip_sync: bool = False, member: bool = False, cuts: int = 2) -> Model:
    """Run, cut the power, recover and verify, ``cuts`` times over on the same node.

    ``skip_sync`` leaves the sync of the page log out, which must be noticed. A ``member`` of a cluster has its commits
    confirmed by others, and takes no more for committed than it knows to be when it comes back.
    """
    rng = Random(seed)
    loop = asyncio.get_running_loop()
    model = Model()
    core: Core | None = None

    catch_power_cuts(lambda: core)
    files = SimFiles()
    directory = base / "0"
    directory.mkdir(parents=True)
    for number in range(cuts + 1):
        if member and number:
            verify_member(directory, files, model)
        core = Core(directory, files, loop)
        others: asyncio.Task[None] | None = None
        try:
            if core.store.recovery.born:
                assert not model.acked
                core.create_tables()
                await core.pipeline.quiesce()
                model.acked.clear()
            else:
                verify(core, model)
            if number == cuts:
                return model
            if skip_sync:
                core.store.log.write_through = core.store.log.write  # type: ignore[method-assign]
            if member:
                model.committed = core.store.log.end
                core.pipeline.rule = lambda _: model.committed
                others = loop.create_task(confirm(core, model, rng))
            files.cut_at = files.steps + rng.randint(1, 120)
            await workload(core, model, rng, rng.randint(5, 40))
            files.cut_at = None
        finally:
            if others is not None:
                others.cancel()
            core.close()
        target = base / str(number + 1)
        crash(core, directory, target, rng)
        shutil.rmtree(directory)
        directory, files = target, files.power_cut(rng.randrange(1 << 30))
    raise AssertionError("unreachable")


def run_seed(seed: int, base: Path, **options: Any) -> Model:
    """One seed to its end; raises AssertionError or HeliosError when something was lost."""
    directory = base / f"seed-{seed}"
    try:
        return asyncio.run(one_cut(seed, directory, **options))
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def losses(seeds: range, base: Path, report: Callable[[int, BaseException], None], **options: Any) -> int:
    """How many seeds lose something; each is reported."""
    count = 0
    for seed in seeds:
        try:
            run_seed(seed, base, **options)
        except (AssertionError, HeliosError, apsw.Error) as error:
            count += 1
            report(seed, error)
    return count
