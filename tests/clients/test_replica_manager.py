"""Managing the replicas of real nodes: reads, sessions, losses, promotion, the log, and the example that shows it."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.node_process import MakeNode, NodeProcess, wait_until

from helios_cli.commands.proving.tcp_link import TcpLink
from helios_cli.engine.errors import TooManyConnections
from helios_cli.engine.types import Lsn
from helios_cli.replication import (
    AsyncReplicator,
    LoadBalancingStrategy,
    NoHealthyReplicas,
    PromotionRefused,
    ReplicaConfig,
    ReplicaManager,
    WalEntry,
    WalStreamer,
)

WAIT_S = 20.0


def address(node: NodeProcess) -> str:
    return f"127.0.0.1:{node.pg_port}"


def cluster(make: Callable[..., NodeProcess], standbys: int, mode: str = "async") -> list[NodeProcess]:
    flags = ("--replication-mode", mode)
    primary = make("--replication-role", "primary", "--node-id", "n1", *flags)
    names = [f"n{number + 2}" for number in range(standbys)]
    return [primary, *(make(*standby(primary.native_port), "--node-id", name, *flags) for name in names)]


def standby(upstream_port: int) -> tuple[str, ...]:
    return ("--replication-role", "standby", "--primary-host", "127.0.0.1", "--primary-port", str(upstream_port))


def config(nodes: list[NodeProcess], **changes: Any) -> ReplicaConfig:
    given: dict[str, Any] = {
        "primary_address": address(nodes[0]),
        "replica_addresses": [address(node) for node in nodes[1:]],
        "health_check_interval": 0.1,
        "lag_monitor_interval": 0.05,
        "health_check_timeout": 1.0,
        "user": "postgres",
    }
    return ReplicaConfig(**(given | changes))


def healthy(manager: ReplicaManager) -> set[str]:
    return {status.address for status in manager.get_all_status() if status.is_healthy}


@pytest.fixture(scope="module")
def trio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[NodeProcess]]:
    """A primary and two standbys for all tests that leave them as they were; each has a table of its own."""
    made: list[NodeProcess] = []

    def make(*flags: str) -> NodeProcess:
        made.append(NodeProcess(tmp_path_factory.mktemp("node"), flags))
        return made[-1].start()

    try:
        yield cluster(make, 2)
    finally:
        for node in made:
            node.kill()


def test_two_replicas_serve_reads_and_one_is_lost_and_comes_back(trio: list[NodeProcess]) -> None:
    primary, one, two = trio
    with ReplicaManager(config(trio)) as manager, primary.connect() as writer:
        writer.execute("CREATE TABLE t (a int PRIMARY KEY, b text)")
        wait_until(lambda: healthy(manager) == {address(one), address(two)}, "both replicas are healthy", WAIT_S)
        for number in range(50):
            writer.execute("INSERT INTO t VALUES (%s, 'x')", (number,))
            manager.record_write("session")
            with manager.connection(LoadBalancingStrategy.RANDOM, session_id="session") as reader:
                assert reader.execute("SELECT count(*) FROM t")[0].rows == [(str(number + 1),)]
        manager.check_now()
        first, second = manager.get_all_status()
        assert (first.node_id, first.role, second.node_id) == ("n2", "standby", "n3")
        wait_until(
            lambda: len({one.db_checksum for one in manager.get_all_status()}) == 1, "checksums are equal", WAIT_S
        )
        assert first.last_applied_lsn > 0 and first.connection_count >= 1 and first.latency_ms > 0
        stats = manager.get_stats()
        assert (stats.total_replicas, stats.healthy_replicas, stats.primary_healthy) == (2, 2, True)
        one.kill()
        with manager.connection() as reader:
            assert reader.execute("SELECT 1")[0].rows == [("1",)]
        wait_until(lambda: healthy(manager) == {address(two)}, "the loss is noticed", WAIT_S)
        assert {manager.get_replica_for_read() for _ in range(4)} == {address(two)}
        one.start()
        wait_until(lambda: healthy(manager) == {address(one), address(two)}, "it is back", WAIT_S)
        assert manager.lag_monitor.summary(address(one)).samples > 0


def test_a_frozen_replica_is_noticed_in_time_and_everything_ends(trio: list[NodeProcess]) -> None:
    _, one, two = trio
    manager = ReplicaManager(config(trio, health_check_timeout=0.3))
    wait_until(lambda: len(healthy(manager)) == 2, "both replicas are healthy", WAIT_S)
    one.send(signal.SIGSTOP)
    try:
        out = "the frozen replica is out, and not for a moment only"
        wait_until(lambda: healthy(manager) == {address(two)} == {manager.get_replica_for_read()}, out, WAIT_S)
    finally:
        one.send(signal.SIGCONT)
    wait_until(lambda: len(healthy(manager)) == 2, "it is back", WAIT_S)
    manager.close()
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("replica-")]


def test_a_lagging_replica_is_not_read_from(trio: list[NodeProcess], make_node: MakeNode) -> None:
    primary = trio[0]
    with TcpLink(primary.native_port) as link, primary.connect() as writer:
        # Where the primary would tell it of itself, past the link, nobody listens.
        late = make_node(*standby(link.port), "--node-id", "late", "--advertise-address", "127.0.0.9")
        with ReplicaManager(config([primary, late], lag_threshold_ms=200)) as manager:
            wait_until(lambda: bool(healthy(manager)), "the replica is healthy", WAIT_S)
            link.cut()
            writer.execute("CREATE TABLE lagging (a int)")
            wait_until(lambda: "it lags" in manager.get_all_status()[0].reason, "the replica lags", WAIT_S)
            assert manager.get_lag(address(late)) >= 200
            assert manager.get_all_status()[0].lag_bytes > 0
            with pytest.raises(NoHealthyReplicas, match="0 healthy replicas, 1 are needed"):
                manager.get_replica_for_read()
            link.mend()
            wait_until(lambda: bool(healthy(manager)), "it has caught up", WAIT_S)
            assert manager.lag_monitor.summary(address(late)).max_ms >= 200


def test_adding_and_removing_under_load(trio: list[NodeProcess]) -> None:
    one, two = trio[1:]
    stop = threading.Event()
    errors: list[BaseException] = []
    with ReplicaManager(config(trio[:2])) as manager:

        def read() -> None:
            try:
                while not stop.is_set():
                    with manager.connection() as reader:
                        reader.execute("SELECT count(*) FROM pg_class")
            except BaseException as error:
                errors.append(error)

        readers = [threading.Thread(target=read) for _ in range(4)]
        for thread in readers:
            thread.start()
        for _ in range(10):
            assert manager.add_replica(address(two)).is_healthy
            manager.remove_replica(address(two))
        manager.add_replica(address(two))
        manager.remove_replica(address(one))
        assert manager.get_replica_for_read() == address(two)
        stop.set()
        for thread in readers:
            thread.join(10)
        assert errors == []


def test_pools_are_bounded_and_connections_come_back_clean(trio: list[NodeProcess]) -> None:
    nodes = trio[:2]
    with ReplicaManager(config(nodes, connection_pool_size=2)) as manager:
        pool = manager._fleet.find(address(nodes[1])).pool
        with pool.connection() as first, pool.connection():
            first.execute("BEGIN")
            with pytest.raises(TooManyConnections), pool.connection(0.05):
                pass
        assert (pool.open, pool.in_use) == (2, 0)
        with pool.connection() as again:
            assert again.transaction_status == "I"
        with pytest.raises(ZeroDivisionError), pool.connection() as broken:
            broken.close()
            raise ZeroDivisionError
        assert pool.open == 1


def test_promotion_hands_over_from_a_primary_that_is_there(make_node: MakeNode) -> None:
    primary, one = nodes = cluster(make_node, 1)
    with primary.connect() as writer:
        writer.execute("CREATE TABLE t (a int PRIMARY KEY, b text)")
    with ReplicaManager(config(nodes)) as manager:
        wait_until(lambda: bool(healthy(manager)), "the replica is healthy", WAIT_S)
        promoted = []

        def promote() -> bool:
            try:
                promoted.append(manager.promote_replica(address(one)))
            except PromotionRefused as error:
                # Until the standby's copies count.
                assert "do not count" in error.message, error.message
                return False
            return True

        wait_until(promote, "the lead is handed over", WAIT_S)
        assert promoted[0].succeeded and manager.primary_address == address(one)
        with one.connect() as writer:
            writer.execute("INSERT INTO t VALUES (1, 'by n2')")
        manager.record_write("s")
        wait_until(lambda: healthy(manager) == {address(primary)}, "the old primary follows", WAIT_S)
        with manager.connection(session_id="s") as reader:
            assert reader.execute("SELECT b FROM t")[0].rows == [("by n2",)]
        assert manager.get_stats().failover_count == 1


def test_a_lost_primary_is_replaced_by_itself(make_node: MakeNode) -> None:
    nodes = cluster(make_node, 1, "sync")
    primary, standby = nodes
    with primary.connect() as writer:
        writer.execute("CREATE TABLE t (a int PRIMARY KEY)")
    with ReplicaManager(config(nodes, auto_failover=True, health_check_timeout=0.5)) as manager:
        wait_until(lambda: len(healthy(manager)) == 1, "the replica is healthy", WAIT_S)
        with primary.connect() as writer:
            wait_until(
                lambda: writer.execute("INSERT INTO t SELECT count(*) FROM t RETURNING a").rowcount == 1,
                "a write",
                WAIT_S,
            )
            rows = writer.execute("SELECT count(*) FROM t").fetchone()
        primary.kill()
        wait_until(lambda: manager.primary_address == address(standby), "the standby leads", WAIT_S)
        (event,) = [event for event in manager.failover.history if event.succeeded]
        assert event.automatic and event.new_primary == address(standby)
        with standby.connect() as writer:
            assert writer.execute("SELECT count(*) FROM t").fetchone() == rows
        with pytest.raises(NoHealthyReplicas):
            manager.get_replica_for_read()


def test_the_log_of_a_primary_as_entries(trio: list[NodeProcess]) -> None:
    primary = trio[0]
    with (
        WalStreamer(address(primary), 10_000) as streamer,
        AsyncReplicator(address(primary), 64 << 20) as replicator,
        primary.connect() as writer,
    ):
        writer.execute("CREATE TABLE logged (a int PRIMARY KEY, b text)")
        streamer.follow(config(trio), name="reader")
        stream = streamer.stream_to_replica("cache", 0)
        replicator.register_replica("cache", 0)
        for number in range(20):
            writer.execute("INSERT INTO logged VALUES (%s, 'x')", (number,))
        row = writer.execute("SELECT pg_current_wal_lsn()").fetchone()
        assert row is not None
        end = Lsn.parse(str(row[0]))
        got: list[WalEntry] = []
        while not got or got[-1].end_lsn < end:
            entry = stream.recv(WAIT_S)
            assert entry is not None
            got.append(entry)
        assert got[0].lsn == 0 and got[0].operation == "TERM_START"
        assert [entry.lsn for entry in got[1:]] == [entry.end_lsn for entry in got[:-1]], "without a gap"
        assert sum(entry.operation == "DATA" for entry in got) >= 20
        assert all(len(entry.record().pages()) for entry in got if entry.operation == "DATA")
        replicator.replicate_batch(got)
        assert replicator.receive("cache") == got[:100]
        wait_until(primary_is_back(primary, streamer, writer), "the reader follows again after a restart", WAIT_S)


def test_a_log_whose_beginning_is_gone(make_node: MakeNode) -> None:
    small = ("--wal-checkpoint-mb", "1", "--log-segment-mb", "1", "--log-retention-mb", "0")
    node = make_node("--replication-role", "primary", *small)

    def log_start() -> Lsn:
        return Lsn.parse(node.http("/status")[1]["log_start_lsn"])

    with node.connect() as writer, WalStreamer(address(node), 100_000) as streamer:
        writer.execute("CREATE TABLE t (a text)")

        def write_until_gone() -> bool:
            writer.execute("INSERT INTO t SELECT md5(i::text) FROM generate_series(1, 20000) i")
            return log_start() > 0

        wait_until(write_until_gone, "the log's beginning is gone", WAIT_S)
        streamer.follow(ReplicaConfig(primary_address=address(node), user="postgres"))
        first = streamer.stream_to_replica("reader", 0).recv(WAIT_S)
        assert first is not None and first.lsn > 0
        writer.execute("INSERT INTO t VALUES ('last')")
        row = writer.execute("SELECT pg_current_wal_lsn()").fetchone()
        assert row is not None
        end = Lsn.parse(str(row[0]))
        wait_until(lambda: streamer.get_entries_from(0, 100_000)[-1].end_lsn >= end, "all of it was read", WAIT_S)


def primary_is_back(primary: NodeProcess, streamer: WalStreamer, writer: Any) -> Any:
    """Restart the primary and write; whether the streamer has got that."""
    writer.close()
    assert primary.http("/admin/pause", body={})[0] == 200, "no standby takes its place meanwhile"
    primary.restart()
    with primary.connect() as again:
        again.execute("INSERT INTO logged VALUES (1000, 'after')")
        row = again.execute("SELECT pg_current_wal_lsn()").fetchone()
    assert row is not None
    end = Lsn.parse(str(row[0]))
    return lambda: bool(found := streamer.get_entries_from(0, 10_000)) and found[-1].end_lsn >= end


def test_the_example(trio: list[NodeProcess], project_root: Path) -> None:
    primary, one, two = trio
    command = [sys.executable, "examples/replica_setup.py", "--primary", address(primary), "--user", "postgres"]
    command += ["--replica", address(one), "--replica", address(two)]
    run = subprocess.run(
        command, cwd=project_root, capture_output=True, text=True, timeout=60, env={"PYTHONPATH": str(project_root)}
    )
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    for expected in ("Healthy replicas: 2", "Failover count: 0", "Lag: 0", "Total replicas: 2"):
        assert expected in lines, run.stdout
    assert sum("a replica has [(" in line for line in lines) == 3
    (total,) = [line for line in lines if line.startswith("Total entries: ")]
    sent, archived = (int(part.split()[-1]) for part in total.split(","))
    assert sent == archived > 3
