"""What a commit waits for: the cluster's mode, changed while it runs, and each session's own word for it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator

import psycopg
import pytest
from support.failover_drill import in_sync, make_cluster
from support.node_process import NodeProcess, wait_until

SETTLED_S = 20.0


@pytest.fixture
def pair(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[list[NodeProcess]]:
    """A primary and a standby in the mode that the test's parameter names."""
    nodes = make_cluster(tmp_path_factory.mktemp("pair"), getattr(request, "param", "async"), count=2)
    yield nodes
    for node in nodes:
        node.kill()


class Waiting:
    """A statement on a connection of its own, in a thread."""

    def __init__(self, node: NodeProcess, *statements: str) -> None:
        self.done = threading.Event()
        self.error: psycopg.Error | None = None
        self._node = node
        self._statements = statements
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            with self._node.connect() as connection:
                for statement in self._statements:
                    connection.execute(statement)
        except psycopg.Error as error:
            self.error = error
        self.done.set()

    def join(self) -> None:
        """Wait for its end."""
        assert self.done.wait(SETTLED_S)
        self._thread.join()


def shown(node: NodeProcess) -> int:
    with node.connect() as reader:
        # A look at keys: what is not known to be short takes a snapshot of the newest state, and waits until that is
        # committed.
        return len(reader.execute("SELECT id FROM drill WHERE id = 1").fetchall())


def freeze(node: NodeProcess) -> Callable[[], None]:
    node.send(signal.SIGSTOP)
    return lambda: node.send(signal.SIGCONT)


@pytest.mark.parametrize("level", ["remote_write", "remote_apply", "semi_sync", "sync", "quorum"])
def test_a_session_may_wait_for_more_than_the_mode(pair: list[NodeProcess], level: str) -> None:
    first, second = pair
    thaw = freeze(second)
    waiting = Waiting(first, f"SET synchronous_commit = {level}", "INSERT INTO drill VALUES (1, 'x')")
    try:
        assert not waiting.done.wait(0.4)
        # The mode is async: others see it, only this answer waits.
        assert shown(first) == 1
    finally:
        thaw()
    waiting.join()
    assert waiting.error is None
    assert shown(first) == 1


@pytest.mark.parametrize("pair", ["sync"], indirect=True)
@pytest.mark.parametrize("level", ["local", "off"])
def test_a_session_may_wait_for_less(pair: list[NodeProcess], level: str) -> None:
    first, second = pair
    with first.connect() as writer:
        writer.execute("ALTER SYSTEM SET on_sync_loss = 'wait'")
        writer.execute(f"SET synchronous_commit = {level}")
        thaw = freeze(second)
        try:
            writer.execute("INSERT INTO drill VALUES (1, 'x')")
            # It is answered, and nobody sees it yet: a failover could take it back.
            assert shown(first) == 0
            own = Waiting(first, "SELECT 1")
            own.join()
        finally:
            thaw()
        assert writer.execute("SELECT id FROM drill WHERE id = 1").fetchall() == [(1,)]
    assert shown(first) == 1


@pytest.mark.parametrize("pair", ["sync"], indirect=True)
def test_with_on_sync_loss_wait_nobody_is_ejected(pair: list[NodeProcess]) -> None:
    first, second = pair
    with first.connect() as writer:
        writer.execute("ALTER SYSTEM SET on_sync_loss = 'wait'")
        writer.execute("ALTER SYSTEM SET eject_after = '200ms'")
    thaw = freeze(second)
    waiting = Waiting(first, "INSERT INTO drill VALUES (1, 'x')")
    try:
        assert not waiting.done.wait(1.5)
        assert in_sync(first) == ["n1", "n2"]
    finally:
        thaw()
    waiting.join()


def test_the_mode_changes_while_the_cluster_runs(pair: list[NodeProcess]) -> None:
    first, second = pair
    for node in pair:
        # The standbys were started as async ones, so they belong to that class for good.
        assert node.http("/status")[1]["cluster"]["mode"] == "async"
    code, answer = first.http("/admin/config", body={"name": "replication_mode", "value": "semi-sync"})
    assert code == 200, answer
    gone = "in it the copies of n2 do not count, started with another --replication-mode: only n1 has every commit"
    assert answer["result"] == f"replication_mode is semi-sync for the cluster; {gone}"
    for node in pair:
        wait_until(lambda node=node: node.http("/status")[1]["cluster"]["mode"] == "semi-sync", "the mode is told")  # type: ignore[misc]
    assert in_sync(first) == ["n1"]
    code, answer = first.http("/admin/config", body={"name": "replication_mode", "value": "sync"})
    assert code == 200 and answer["result"] == "replication_mode is sync for the cluster", (
        "nobody is left to be told of"
    )
    code, answer = second.http("/admin/config", body={"name": "replication_mode", "value": "sync"})
    assert code == 409 and "n2 is not the primary" in answer["error"]
    code, answer = first.http("/admin/config", body={"name": "replication_mode", "value": "often"})
    assert code == 400


def test_a_standby_of_no_class_goes_with_the_mode(tmp_path_factory: pytest.TempPathFactory) -> None:
    directory = tmp_path_factory.mktemp("classless")
    (directory / "n1").mkdir()
    (directory / "n2").mkdir()
    first = NodeProcess(directory / "n1", ["--replication-role", "primary"]).start()
    follows = ["--replication-role", "standby", "--primary-host", "127.0.0.1"]
    second = NodeProcess(directory / "n2", [*follows, "--primary-port", str(first.native_port)]).start()
    try:
        with first.connect() as writer:
            writer.execute("ALTER SYSTEM SET replication_mode = 'sync'")
            writer.execute("CREATE TABLE t (a int)")
        wait_until(lambda: len(in_sync(first)) == 2, "its copy counts", SETTLED_S)
        thaw = freeze(second)
        waiting = Waiting(first, "INSERT INTO t VALUES (1)")
        assert not waiting.done.wait(0.4)
        thaw()
        waiting.join()
        body = {"name": "replication_mode", "value": "async", "dry_run": True}
        told = "replication_mode is async for the cluster; a commit is acknowledged with 1 copy instead of 2"
        assert first.http("/admin/config", body=body)[1]["result"] == f"dry run: {told}"
    finally:
        first.kill()
        second.kill()
