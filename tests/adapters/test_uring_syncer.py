"""The page log written by the kernel: durable in order, the thread where the kernel cannot, nothing after a failure."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from helios_cli.engine.errors import IoFailed
from helios_cli.engine.log.encoder import RecordEncoder
from helios_cli.engine.storage.files import OsFiles
from helios_cli.engine.storage.pagelog import PageLog
from helios_cli.engine.storage.uring import Uring, open_uring
from helios_cli.engine.storage.uring_syncer import UringSyncer
from helios_cli.engine.types import PAGE_SIZE, Term

CLUSTER = b"uring-syncertest"
SEGMENT_BYTES = 64 << 10


def has_uring() -> bool:
    try:
        Uring()
    except OSError:
        return False
    return True


needs_uring = pytest.mark.skipif(not has_uring(), reason="this system has no io_uring")


class FakeUring:
    """Ends writes as it is told to: with a function of the descriptor, the data and the offset."""

    def __init__(self, end: Callable[[int, bytes, int], int]) -> None:
        self.end = end
        self.fileno, self._writer = os.pipe()
        os.set_blocking(self.fileno, False)
        self._started: tuple[int, bytes, int] | None = None
        self.starts = 0

    def start(self, descriptor: int, data: bytes, offset: int) -> None:
        assert self._started is None, "one at a time"
        self._started = descriptor, data, offset
        self.starts += 1
        os.write(self._writer, b"!")

    def result(self) -> int | None:
        os.read(self.fileno, 16)
        assert self._started is not None
        started, self._started = self._started, None
        return self.end(*started)

    def wait(self) -> int | None:
        return None if self._started is None else self.result()


class Rig:
    """A log, its syncer, and a maker of records."""

    def __init__(self, directory: Path, uring: Any) -> None:
        self.directory = str(directory)
        self.log = self.open()
        self.made = RecordEncoder(Term(1, 1), last=None, db_pages=0, db_checksum=0)
        self.random = Random(7)
        self.flushed: list[int] = []
        self.failures: list[BaseException] = []
        self.syncer: UringSyncer[int] = UringSyncer(
            self.log, asyncio.get_running_loop(), uring, self._on_flushed, self.failures.append
        )
        self.records: list[bytes] = []
        self.ends: list[int] = []

    def open(self) -> PageLog:
        return PageLog.open(OsFiles(), self.directory, cluster_id=CLUSTER, segment_bytes=SEGMENT_BYTES)

    def _on_flushed(self, tokens: list[int]) -> None:
        assert self.log.flushed >= self.ends[tokens[-1]]
        self.flushed += tokens

    def record(self) -> bytes:
        image = self.random.randbytes(self.random.randint(10, 3000)).ljust(PAGE_SIZE, b"\0")
        self.log.reserve(8192, self.made.lsn)
        record = self.made.data({1: image}, 1, 0, 0)
        self.records.append(record)
        self.ends.append(self.made.lsn)
        return record

    def submit(self, count: int = 1) -> None:
        for _ in range(count):
            self.syncer.submit(self.record(), len(self.records) - 1)

    def stop(self) -> None:
        self.syncer.leave_loop()
        self.syncer.stop()

    async def all_flushed(self) -> None:
        async with asyncio.timeout(20):
            while len(self.flushed) < len(self.records) and not self.failures:
                await asyncio.sleep(0.001)

    def on_disk(self) -> list[bytes]:
        """What another process would find."""
        log = self.open()
        found = [record.raw for record in log.records(log.start)]
        log.close()
        return found


def run(body: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(body())  # type: ignore[arg-type]


@needs_uring
def test_records_are_durable_in_order_across_segments(tmp_path: Path) -> None:
    async def body() -> None:
        rig = Rig(tmp_path, Uring())
        for _ in range(60):
            rig.submit(rig.random.randint(1, 4))
            if rig.random.random() < 0.5:
                await rig.all_flushed()
        await rig.all_flushed()
        assert rig.flushed == list(range(len(rig.records)))
        assert rig.log.segment_count > 2, "the log has rolled"
        # Many records at once are one sync.
        assert 20 < rig.syncer.sync_count < len(rig.records)
        assert rig.on_disk() == rig.records
        rig.stop()

    run(body)


@needs_uring
def test_stopping_flushes_what_is_queued(tmp_path: Path) -> None:
    async def body() -> None:
        rig = Rig(tmp_path, Uring())
        rig.submit(3)
        await asyncio.sleep(0)
        rig.submit(40)
        rig.stop()
        assert rig.on_disk() == rig.records
        await rig.all_flushed()
        assert rig.flushed == list(range(43))

    run(body)


@needs_uring
def test_a_thread_that_drains_may_append_by_itself(tmp_path: Path) -> None:
    async def body() -> None:
        rig = Rig(tmp_path, Uring())
        rig.submit(5)
        own = [rig.record() for _ in range(3)]

        def append() -> None:
            rig.syncer.drain()
            assert rig.log.end == rig.log.flushed
            for record in own[:2]:
                rig.log.write(record)

        await asyncio.to_thread(append)
        assert rig.flushed == [0, 1, 2, 3, 4]
        # What the thread has written is not on disk yet, so the next write is not left to the kernel alone.
        rig.syncer.submit(own[2], 7)
        async with asyncio.timeout(20):
            while 7 not in rig.flushed:
                await asyncio.sleep(0.001)
        assert rig.log.flushed == rig.made.lsn
        rig.stop()
        assert rig.on_disk() == rig.records

    run(body)


@needs_uring
def test_the_loop_itself_may_drain_and_hears_of_it_later(tmp_path: Path) -> None:
    async def body() -> None:
        rig = Rig(tmp_path, Uring())
        for _ in range(30):
            told = len(rig.flushed)
            # One is with the kernel, or the thread at the end of a segment, the others wait for it.
            rig.submit(3)
            rig.syncer.drain()
            assert rig.log.end == rig.log.flushed == rig.made.lsn
            assert len(rig.flushed) == told, "whoever drains is in the middle of something"
            rig.log.write(rig.record())
            rig.syncer.submit(rig.record(), len(rig.records) - 1)
            rig.flushed.append(len(rig.records) - 2)
            await rig.all_flushed()
        assert sorted(rig.flushed) == list(range(len(rig.records)))
        assert rig.log.segment_count > 1
        rig.stop()
        assert rig.on_disk() == rig.records

    run(body)


def test_a_write_that_fails_is_the_last(tmp_path: Path) -> None:
    async def body() -> None:
        uring = FakeUring(lambda descriptor, data, offset: -errno.EIO)
        rig = Rig(tmp_path, uring)
        rig.submit(2)
        late = rig.record()
        await rig.all_flushed()
        assert [type(error) for error in rig.failures] == [IoFailed]
        rig.syncer.submit(late, 2)
        assert uring.starts == 1, "what a failed sync left behind is unknown: nothing is written behind it"
        assert rig.flushed == []
        with pytest.raises(IoFailed):
            rig.log.write(late)
        rig.stop()

    run(body)


def test_a_failure_ends_the_wait_of_a_thread(tmp_path: Path) -> None:
    async def body() -> None:
        rig = Rig(tmp_path, FakeUring(lambda descriptor, data, offset: -errno.EIO))
        rig.submit()
        with pytest.raises(Exception, match="can no longer be written"):
            await asyncio.to_thread(rig.syncer.drain)
        rig.stop()

    run(body)


@pytest.mark.parametrize("result", [-errno.EINVAL, -errno.EAGAIN, 100], ids=["refused", "busy", "short"])
def test_what_the_kernel_leaves_undone_a_thread_writes(tmp_path: Path, result: int) -> None:
    async def body() -> None:
        threads: set[str] = set()

        def end(descriptor: int, data: bytes, offset: int) -> int:
            if result > 0:
                os.pwrite(descriptor, data[:result], offset)
            return result

        uring = FakeUring(end)
        rig = Rig(tmp_path, uring)
        write_through = rig.log.write_through

        def noted(data: bytes) -> None:
            threads.add(threading.current_thread().name)
            write_through(data)

        rig.log.write_through = noted  # type: ignore[method-assign]
        for _ in range(3):
            rig.submit(2)
            await rig.all_flushed()
        assert rig.flushed == list(range(6)) and not rig.failures
        assert threads == {"log-syncer"}
        # A way that was refused is not tried again; a short write says nothing of the next one.
        assert uring.starts == (6 if result > 0 else 1)
        rig.stop()
        assert rig.on_disk() == rig.records

    run(body)


def test_the_setting_chooses_the_thread_or_insists_on_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    assert open_uring("worker") is None

    def refuse(self: Uring) -> None:
        raise OSError(errno.EPERM, "not permitted")

    monkeypatch.setattr(Uring, "__init__", refuse)
    assert open_uring("auto") is None
    with pytest.raises(IoFailed, match="not permitted") as caught:
        open_uring("io_uring")
    assert caught.value.hint is not None and "worker" in caught.value.hint
