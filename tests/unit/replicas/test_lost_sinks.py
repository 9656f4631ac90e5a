"""A replica whose sink is lost is reached again and gets what it has not acknowledged, or it is said to be lost."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence

import pytest
from support.node_process import wait_until

from helios_cli.engine.errors import HeliosError
from helios_cli.replication import AsyncReplicator, EntryReceiver, ReplicaState, SocketSink, WalEntry
from helios_cli.replication import async_replicator as module
from helios_cli.replication.batches import unpack

NAME = "search-index"


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_FIRST_S", 0.001)
    monkeypatch.setattr(module, "RETRY_MAX_S", 0.002)


def entries(first: int, last: int) -> list[WalEntry]:
    return [WalEntry(lsn=lsn, txn_id=lsn, timestamp=0, operation="insert", table="t", data=b"x" * 50)
            for lsn in range(first, last + 1)]  # fmt: skip


class Lost(HeliosError):
    """The sink of the test is gone."""


class Flaky:
    """A sink that the test breaks; it acknowledges what it is told to."""

    def __init__(self) -> None:
        self.got: list[int] = []
        self.broken = self.unreachable = False
        self.attempts = 0
        self.acknowledge: Callable[[int], None] = lambda lsn: None
        self.acknowledges_to = 1 << 60

    def send(self, bodies: Sequence[bytes]) -> None:
        if self.broken:
            raise Lost("it broke")
        for body in bodies:
            self.got += [entry.lsn for entry in unpack(body)]
        if self.got[-1] <= self.acknowledges_to:
            self.acknowledge(self.got[-1])

    def check(self) -> None:
        if self.broken:
            raise Lost("it is found to have broken")

    def reopen(self) -> None:
        self.attempts += 1
        if self.unreachable:
            raise Lost("nobody there")
        self.broken = False

    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def sink() -> Flaky:
    return Flaky()


@pytest.fixture
def replicator(sink: Flaky) -> Iterator[AsyncReplicator]:
    with AsyncReplicator("127.0.0.1:5432", 1 << 20, 10, retries=5) as made:
        sink.acknowledge = lambda lsn: made.acknowledge(NAME, lsn)
        made.register_replica(NAME, 0, sink)
        yield made


def is_(replicator: AsyncReplicator, state: ReplicaState) -> Callable[[], bool]:
    return lambda: replicator.get_replica_state(NAME) is state


def test_what_was_not_acknowledged_is_sent_again(replicator: AsyncReplicator, sink: Flaky) -> None:
    sink.acknowledges_to = 20
    for first in (1, 11, 21, 31):
        replicator.replicate_batch(entries(first, first + 9))
        wait_until(lambda first=first: sink.got[-1:] == [first + 9], "it has arrived")  # type: ignore[misc]
    sink.acknowledges_to = 1 << 60
    sink.broken = True
    replicator.replicate_batch(entries(41, 50))
    assert replicator.wait_acknowledged(10)
    assert sink.got == [*range(1, 41), *range(21, 51)]
    assert (replicator.get_replica_state(NAME), replicator.get_replica_error(NAME)) == (ReplicaState.SENDING, "")
    assert replicator.get_metrics().reconnections == 1


def test_a_loss_is_found_while_nothing_is_sent(replicator: AsyncReplicator, sink: Flaky) -> None:
    sink.broken = sink.unreachable = True
    wait_until(is_(replicator, ReplicaState.LOST), "it is said to be lost")
    assert replicator.get_replica_error(NAME) == "nobody there"
    assert sink.attempts == 5


def test_the_state_tells_that_it_is_tried_again(
    replicator: AsyncReplicator, sink: Flaky, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY_FIRST_S", 60.0)
    monkeypatch.setattr(module, "RETRY_MAX_S", 60.0)
    sink.broken = True
    replicator.replicate_batch(entries(1, 1))
    wait_until(is_(replicator, ReplicaState.RECONNECTING), "it is tried again")
    assert replicator.get_replica_error(NAME) == "it broke"
    assert replicator.get_replica_lag(NAME) == 1
    # A minute is not waited for.
    replicator.close()
    assert sink.attempts == 0


def test_who_lacks_what_has_left_the_buffer_is_lost(sink: Flaky) -> None:
    with AsyncReplicator("127.0.0.1:5432", 2000, 10, compression=False) as replicator:
        sink.acknowledge = lambda lsn: replicator.acknowledge(NAME, lsn)
        sink.acknowledges_to = 10
        replicator.register_replica(NAME, 0, sink)
        for first in range(1, 200, 10):
            replicator.replicate_batch(entries(first, first + 9))
            wait_until(lambda first=first: sink.got[-1:] == [first + 9], "it has arrived")  # type: ignore[misc]
        sink.broken = True
        wait_until(is_(replicator, ReplicaState.LOST), "it is said to be lost")
        assert replicator.get_replica_error(NAME) == "it lags beyond the buffer"
        assert sink.got == list(range(1, 201)), "nothing is left out without a word"


def test_a_sink_that_cannot_be_reached_anew_is_lost_at_once() -> None:
    class Plain:
        def send(self, bodies: Sequence[bytes]) -> None:
            raise Lost("it broke")

        def close(self) -> None:
            """Nothing is open."""

    with AsyncReplicator("127.0.0.1:5432") as replicator:
        replicator.register_replica(NAME, 0, Plain())
        replicator.register_replica("polled")
        assert replicator.get_replica_state("polled") is ReplicaState.POLLED
        replicator.replicate_batch(entries(1, 1))
        wait_until(is_(replicator, ReplicaState.LOST), "it is said to be lost")
        assert replicator.get_replica_error(NAME) == "it broke"


def test_a_receiver_that_comes_back_has_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_MAX_S", 0.05)
    got: set[int] = set()
    lock = threading.Lock()

    def take(batch: list[WalEntry]) -> None:
        with lock:
            got.update(entry.lsn for entry in batch)

    first = EntryReceiver(take)
    port = first.port
    with AsyncReplicator("127.0.0.1:5432", 1 << 20, 10, retries=1000) as replicator:
        replicator.register_replica(
            NAME, 0, SocketSink("127.0.0.1", port, lambda lsn: replicator.acknowledge(NAME, lsn))
        )
        replicator.replicate_batch(entries(1, 100))
        assert replicator.wait_acknowledged(10)
        first.close()
        replicator.replicate_batch(entries(101, 200))
        wait_until(is_(replicator, ReplicaState.RECONNECTING), "the loss is noticed")
        with EntryReceiver(take, port=port):
            assert replicator.wait_acknowledged(20)
            assert replicator.get_replica_state(NAME) is ReplicaState.SENDING
        assert got == set(range(1, 201))
