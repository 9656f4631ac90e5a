"""What nobody foresaw ends neither the following nor the beat, and what one node said is not taken for another's."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from helios_cli.engine.config.roles import Role
from helios_cli.engine.errors import HeliosError
from helios_cli.engine.node import copy_source, replication
from helios_cli.engine.node import receiver as receiver_module
from helios_cli.engine.node.apply_queue import ApplyQueue
from helios_cli.engine.node.following import Following, Upstream
from helios_cli.engine.node.peer_link import PeerRefused
from helios_cli.engine.node.receiver import WalReceiver
from helios_cli.engine.node.replication import Replication
from helios_cli.engine.replication import copying, messages
from helios_cli.engine.types import Lsn, Term
from helios_cli.engine.wire.peer import Kind

WAIT_S = 10.0


class Told:
    """Who is told of errors, and counts them."""

    def __init__(self) -> None:
        self.errors: list[BaseException] = []
        self.lost: list[object] = []

    def unexpected(self, error: BaseException) -> HeliosError:
        self.errors.append(error)
        return HeliosError(f"internal error: {error}")


def test_the_receiver_connects_again_after_an_error_nobody_foresaw(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        told: Any = Told()
        told.lost = lambda error: None
        again = asyncio.Event()
        receiver = WalReceiver(told, asyncio.get_running_loop(), lambda: [("h", 1)])

        async def follow(host: str, port: int) -> None:
            if told.errors:
                again.set()
                await asyncio.Event().wait()
            raise ZeroDivisionError("a bug")

        monkeypatch.setattr(receiver, "_follow", follow)
        task = asyncio.ensure_future(receiver.run())
        try:
            await asyncio.wait_for(again.wait(), WAIT_S)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        assert [type(error) for error in told.errors] == [ZeroDivisionError]

    asyncio.run(run())


def test_a_node_that_leads_again_is_followed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says so itself; it may have been away for long, and the next try be due only in a while."""
    monkeypatch.setattr(receiver_module, "RETRY_FIRST_S", 1000.0)

    async def run() -> None:
        failed, again = asyncio.Event(), asyncio.Event()
        told: Any = SimpleNamespace(lost=lambda error: failed.set())
        receiver = WalReceiver(told, asyncio.get_running_loop(), lambda: [("h", 1)])
        node: Any = object.__new__(Replication)
        node.role, node.following = Role("standby", "h", 1), SimpleNamespace(receiver=receiver)

        async def follow(host: str, port: int) -> None:
            if failed.is_set():
                again.set()
                await asyncio.Event().wait()
            raise ConnectionRefusedError("nobody listens")

        monkeypatch.setattr(receiver, "_follow", follow)
        task = asyncio.ensure_future(receiver.run())
        try:
            async with asyncio.timeout(WAIT_S):
                await failed.wait()
                node.retarget("n1", "h", 1, 2)
                await again.wait()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())


def test_why_nobody_can_be_followed_is_told_once_it_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    """An election is over within a second or so, and nobody need look after that."""

    async def run() -> None:
        loop, now = asyncio.get_running_loop(), 0.0
        events: list[str] = []
        tried = asyncio.Queue[bool]()
        told: Any = SimpleNamespace(lost=lambda error: tried.put_nowait(True))
        clock: Any = SimpleNamespace(time=lambda: now)
        receiver = WalReceiver(told, clock, lambda: [("h", 1)], on_trouble=events.append)

        async def follow(host: str, port: int) -> None:
            raise PeerRefused("the proof of the cluster's secret is wrong", hint="Give every node the same.")

        monkeypatch.setattr(receiver, "_follow", follow)
        monkeypatch.setattr(receiver_module, "RETRY_MAX_S", 0.01)
        task = loop.create_task(receiver.run())
        try:
            async with asyncio.timeout(WAIT_S):
                for _ in range(3):
                    await tried.get()
                assert receiver.trouble == "" and not events
                now = receiver_module.TROUBLE_S
                for _ in range(4):
                    await tried.get()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        why = "cannot follow h:1: the proof of the cluster's secret is wrong (hint: Give every node the same.)"
        assert receiver.trouble == why and events == [why]

    asyncio.run(run())


def test_the_beat_goes_on_after_an_error_nobody_foresaw(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        told, again = Told(), asyncio.Event()
        node: Any = object.__new__(Replication)
        node.node = SimpleNamespace(engine=told)

        def beat_once() -> None:
            if told.errors:
                again.set()
            raise ZeroDivisionError("a bug")

        node._beat_once = beat_once
        node.watcher = SimpleNamespace(beat=beat_once)
        node.now = lambda: 0.0
        node.pulse_node = SimpleNamespace(beat_at=0.0)
        monkeypatch.setattr(replication, "HEARTBEAT_S", 0)
        monkeypatch.setattr(replication, "WATCH_S", 0)
        task = asyncio.ensure_future(node._beat())
        try:
            await asyncio.wait_for(again.wait(), WAIT_S)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())


def test_what_the_node_before_called_committed_is_forgotten() -> None:
    """Behind the end of the term of before, the new one's log has other commits at the same LSN."""
    following: Any = object.__new__(Following)
    following.upstream = upstream = Upstream()
    upstream.committed = Lsn(900)
    cluster = b"c"
    control = SimpleNamespace(record=SimpleNamespace(cluster_id=cluster))
    following._node = SimpleNamespace(
        store=SimpleNamespace(control=control, promise=lambda term: None),
        event=lambda *_, **__: None,
    )
    following._replication = SimpleNamespace(
        term=lambda: Term(1, 1), meter=SimpleNamespace(joined=lambda name: None), now=lambda: 1.0
    )
    following.applicator = SimpleNamespace(queue=ApplyQueue(Lsn(1000), 1))
    welcome: Any = SimpleNamespace(
        cluster_id=cluster.hex(), role="primary", node_id="n3", mode="sync", host="h", pg_port=1, http_port=2,
        end_lsn=800,
    )  # fmt: skip
    following.joined(welcome, Term(2, 2))
    assert (upstream.node_id, upstream.committed) == ("n3", 0)


def test_a_primary_that_takes_a_newer_term_on_the_same_connection_is_followed() -> None:
    """Its term had ended when it was called; it is the primary of whom a switchover, and a promotion, has to know."""
    following: Any = object.__new__(Following)
    following.upstream = upstream = Upstream()
    following._awaited = None
    terms = [Term(5, 1)]
    control = SimpleNamespace(record=SimpleNamespace(cluster_id=b"c"))
    following._node = SimpleNamespace(store=SimpleNamespace(control=control), event=lambda *_, **__: None)
    following._replication = SimpleNamespace(
        term=lambda: terms[0],
        meter=SimpleNamespace(joined=lambda name: None),
        now=lambda: 1.0,
        log_clock=SimpleNamespace(sample=lambda *_: None),
    )
    following._offset = SimpleNamespace(local_us=lambda *_: 0)
    following._advance = lambda: None
    following.applicator = SimpleNamespace(queue=ApplyQueue(Lsn(1000), 1))
    welcome: Any = SimpleNamespace(
        cluster_id=b"c".hex(), role="primary", node_id="n3", mode="sync", host="h", pg_port=1, http_port=2, end_lsn=800
    )
    following.joined(welcome, Term(4, 2))
    assert not upstream.connected
    following.committed(Lsn(700), Lsn(900), 1)
    assert upstream.connected and (upstream.node_id, upstream.committed, upstream.end) == ("n3", 700, 900)


class Enough(Exception):
    """The test has seen what it wants."""


@pytest.mark.parametrize("held_up", [False, True])
def test_a_copy_begins_though_the_checkpoint_is_held_up(monkeypatch: pytest.MonkeyPatch, held_up: bool) -> None:
    async def run() -> list[Kind]:
        monkeypatch.setattr(copy_source, "CHECKPOINT_S", 0.01)
        checkpoint: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if not held_up:
            checkpoint.set_result(None)
        sent: list[Kind] = []
        table = SimpleNamespace(pages=0)

        async def call(work: object) -> Any:
            return (Lsn(10), table) if len(sent) == 0 else []

        async def receive(*kinds: Kind) -> None:
            raise Enough

        node: Any = SimpleNamespace(
            checkpointer=SimpleNamespace(request=lambda: checkpoint, base_copies={}),
            engine=SimpleNamespace(read_workers=SimpleNamespace(call=call)),
            pipeline=SimpleNamespace(committed_lsn=Lsn(20)),
            store=SimpleNamespace(
                configs=SimpleNamespace(before=lambda lsn: None), timeline=SimpleNamespace(history=None)
            ),
        )
        link: Any = SimpleNamespace(send=lambda kind, body: sent.append(kind), receive=receive)
        monkeypatch.setattr(copying.Snapshot, "to_body", lambda self: b"")
        hello = messages.Hello("n2", "", "", "standby", "h", 1, 2, 3, "async", "", False)
        with pytest.raises(Enough):
            await asyncio.wait_for(copy_source._give(node, link, hello), WAIT_S)
        return sent

    assert asyncio.run(run()) == [Kind.SNAPSHOT]


@pytest.mark.parametrize("turns", range(6))
def test_who_shall_follow_another_node_and_is_stopped_meanwhile_stops(turns: int) -> None:
    async def run() -> None:
        told: Any = Told()
        receiver = WalReceiver(told, asyncio.get_running_loop(), lambda: [])
        task = asyncio.ensure_future(receiver.run())
        await asyncio.sleep(0.01)
        receiver.hurry()
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        _, waiting = await asyncio.wait((task,), timeout=0.5)
        task.cancel()
        assert not waiting, "it goes on to follow, and a promotion waits for its end"

    asyncio.run(run())
