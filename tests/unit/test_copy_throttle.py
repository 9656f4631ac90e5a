"""The hashes of a large database are sent at the pace of whoever takes them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from helios_cli.engine.log.checksum import ChecksumTable
from helios_cli.engine.node import copy_source
from helios_cli.engine.replication import copying
from helios_cli.engine.types import Lsn, Term
from helios_cli.engine.wire.peer import Frame, FrameReader, Kind, PeerProtocolError

PAGES = 3 * copying.HASHES_MAX + 7
FRAME_BYTES = 16 << 20


class Taken(Exception):
    """All hashes have been taken."""


class Taker:
    """A connection whose other side takes a frame when the test says so, and has room for one."""

    def __init__(self) -> None:
        self.writable, self.closed = True, False
        self.waiting: list[bytes] = []
        self.most = 0
        self.hashes: list[int] = []
        self.on_room: Callable[[], None] = lambda: None

    def send(self, kind: Kind, body: bytes) -> None:
        """The snapshot."""

    def write(self, frame: bytes) -> None:
        self.waiting.append(frame)
        self.most = max(self.most, len(self.waiting))
        self.writable = False

    def take(self) -> None:
        reader = FrameReader(FRAME_BYTES)
        frames: list[Frame] = list(reader.feed(self.waiting.pop(0)))
        for frame in frames:
            first, more = copying.read_hashes(frame.body)
            assert first == len(self.hashes) + 1
            self.hashes += more
        self.writable = True
        self.on_room()

    async def receive(self, *kinds: Kind) -> None:
        raise Taken


def node(table: ChecksumTable) -> Any:
    checkpoint: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    checkpoint.set_result(None)
    found: list[Any] = [(Lsn(10), table)]

    async def call(work: Callable[[], Any]) -> Any:
        return found.pop() if found else work()

    return SimpleNamespace(
        checkpointer=SimpleNamespace(request=lambda: checkpoint, base_copies={}),
        engine=SimpleNamespace(read_workers=SimpleNamespace(call=call)),
        pipeline=SimpleNamespace(committed_lsn=Lsn(20)),
        replication=SimpleNamespace(term=lambda: Term(1, 1)),
        store=SimpleNamespace(configs=SimpleNamespace(before=lambda lsn: None), timeline=SimpleNamespace(history=None)),
    )


def give(monkeypatch: pytest.MonkeyPatch, link: Taker, meanwhile: Callable[[], None]) -> BaseException | None:
    """What ends the giving of a copy; ``meanwhile`` is called in every turn of the loop."""
    table = ChecksumTable.of_hashes(range(1, PAGES + 1))
    monkeypatch.setattr(copying.Snapshot, "to_body", lambda self: b"")

    async def run() -> BaseException | None:
        given: Any = link
        hello: Any = SimpleNamespace(node_id="n2")
        task = asyncio.create_task(copy_source._give(node(table), given, hello))
        while not task.done():
            meanwhile()
            await asyncio.sleep(0)
        return task.exception()

    return asyncio.run(run())


def test_the_next_hashes_wait_until_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    link = Taker()
    turns = iter(range(1_000_000))

    def slowly() -> None:
        if next(turns) % 50 == 49 and link.waiting:
            link.take()

    assert isinstance(give(monkeypatch, link, slowly), Taken)
    assert link.hashes == list(range(1, PAGES + 1))
    assert link.most == 1


def test_who_takes_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copy_source, "ROOM_S", 0.05)
    ended = give(monkeypatch, Taker(), lambda: None)
    assert isinstance(ended, PeerProtocolError) and "has taken nothing" in ended.message


def test_who_has_gone_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copy_source, "ROOM_POLL_S", 0.01)
    link = Taker()

    def go() -> None:
        link.closed = bool(link.waiting)

    ended = give(monkeypatch, link, go)
    assert isinstance(ended, PeerProtocolError) and "has gone" in ended.message
