"""The storage half of a node on real files in one process, for tests that look inside."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from helios_cli.engine.node.checkpointer import Checkpointer
from helios_cli.engine.node.clock import SystemClock
from helios_cli.engine.node.guard import InlineGuard
from helios_cli.engine.node.pipeline import CommitPipeline
from helios_cli.engine.node.readers import ReadPool, Workers
from helios_cli.engine.node.writer import GroupWrite, WriterQueue
from helios_cli.engine.sql.plan import Column, Kind, Plan
from helios_cli.engine.storage.database import Database
from helios_cli.engine.storage.ring import PinnedReader
from helios_cli.engine.storage.store import Store


class StorageCore:
    """Store, database, pipeline, writer queue and checkpointer, wired as a node wires them."""

    def __init__(self, directory: Path, *, in_flight_max: int = 4, threshold_mb: int = 64) -> None:
        loop = asyncio.get_running_loop()
        self.loop = loop
        self.fatal: list[BaseException] = []
        self.slow: list[GroupWrite] = []
        self.store = Store(str(directory))
        self.database = Database(
            self.store.db_path,
            log=self.store.log,
            checksums=self.store.checksums,
            records=self.store.encoder(self.store.new_term()),
            clock=SystemClock(),
            setup=None,
            ring_size=in_flight_max + 2,
        )
        self.pipeline = CommitPipeline(self.database, loop, in_flight_max=in_flight_max, on_fatal=self.fatal.append)
        self.database.before_chain = self.pipeline.drain_log
        self.queue = WriterQueue(self.database, self.pipeline, loop)
        self.queue.on_fatal = self.fatal.append
        self.queue.on_slow = self.slow.append
        self.queue.guard = InlineGuard()
        self.queue.guard.watch(self.database.writer)
        self.disk_full = 0
        self.queue.on_disk_full = self._count_disk_full
        self.workers = Workers(loop, 1, "reader")
        self.checkpointer = Checkpointer(
            self.store,
            self.database,
            self.pipeline,
            self.queue,
            ReadPool(self.database, self.workers, jobs_max=4),
            threshold_mb=threshold_mb,
            wal_max_mb=1024,
            log_retention_mb=0,
            max_slot_lag_mb=1024,
            on_old_reader=lambda: None,
            on_event=lambda kind, message: None,
        )

    def _count_disk_full(self) -> None:
        self.disk_full += 1

    async def run(self, *statements: str) -> None:
        """Statements as one committed transaction."""
        for statement in statements:
            self.database.writer.execute("BEGIN IMMEDIATE") if statement is statements[0] else None
            self.database.writer.execute(statement)
        commit = self.database.commit(self.database.writer, schema_changed=True)
        assert commit is not None
        self.pipeline.submit(commit)
        await self.pipeline.quiesce()

    def submit(self, sql: str, *binds: Any, returning: bool = False) -> asyncio.Future[GroupWrite]:
        """Queue a write for the next group."""
        future: asyncio.Future[GroupWrite] = self.loop.create_future()
        columns = (Column("x", 23),) if returning else None
        plan = Plan(Kind.WRITE, "UPDATE", (sql,), groupable=True, columns=columns)
        self.queue.submit(GroupWrite(plan, binds, future.set_result))
        return future

    async def group(self, *statements: str) -> list[GroupWrite]:
        """Run statements as one group and wait for all their outcomes."""
        return list(await asyncio.gather(*[self.submit(statement) for statement in statements]))

    def committed(self, sql: str) -> list[Any]:
        """What a new statement would read: the ring's current snapshot."""
        return self._reader().execute(sql).fetchall()

    def _reader(self) -> PinnedReader:
        """The reader of the committed state; when it cannot be had at once, the one of before."""
        return self.pipeline.reader() or self.database.ring.current

    def close(self, *, flush: bool = True) -> None:
        """Stop the threads and close every file."""
        if flush:
            self.pipeline.stop()
        self.workers.stop()
        self.checkpointer.close()
        self.database.close()
        self.checkpointer.close_file()
        self.store.close()
