"""Reading from the replicas of a running cluster: choice, sessions, lag, changes of the fleet, the log as a stream.

    python examples/replica_setup.py --primary 127.0.0.1:5432 --replica 127.0.0.1:5442 [--replica ...] [--promote]

Makes the table ``replica_example`` on the primary and leaves it there. Exits with 1 when something did not work.
"""

from __future__ import annotations

import argparse
import sys
import time
from datetime import timedelta

from helios_cli.engine.errors import HeliosError
from helios_cli.engine.net.pgclient import PgClient, connect
from helios_cli.replication import (
    AsyncReplicator,
    Endpoint,
    EntryReceiver,
    LoadBalancingStrategy,
    NoHealthyReplicas,
    ReplicaConfig,
    ReplicaManager,
    ReplicationMode,
    SocketSink,
    WalEntry,
    WalStreamer,
)


def main() -> int:
    """Run every part against the cluster that the command line names."""
    options = arguments()
    config = ReplicaConfig(
        primary_address=options.primary,
        replica_addresses=options.replica,
        replication_mode=ReplicationMode.ASYNC,
        lag_threshold_ms=1000,
        health_check_interval=timedelta(seconds=1),
        lag_monitor_interval=timedelta(milliseconds=200),
        min_replicas=1,
        user=options.user,
    )
    try:
        with ReplicaManager(config) as manager:
            choose(manager)
            read_own_writes(manager, options.user)
            show(manager)
            change_the_fleet(manager)
            stream_the_log(config)
            if options.promote:
                promote(manager)
    except HeliosError as error:
        print(f"error: {error.message}" + (f" (hint: {error.hint})" if error.hint else ""), file=sys.stderr)
        return 1
    return 0


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Read from the replicas of a running cluster.")
    parser.add_argument("--primary", required=True, metavar="HOST:PORT", help="the primary's PostgreSQL address")
    parser.add_argument("--replica", required=True, action="append", metavar="HOST:PORT", help="one of a replica")
    parser.add_argument("--user", default="helios", help="who logs in [helios]")
    parser.add_argument("--promote", action="store_true", help="at the end, make the first replica the primary")
    return parser.parse_args()


def choose(manager: ReplicaManager) -> None:
    """Every strategy, and what to do when there is nobody to read from."""
    print("--- Load balancing")
    for strategy in LoadBalancingStrategy:
        print(f"{strategy.value}: {manager.get_replica_for_read(strategy)}")
    try:
        address = manager.get_replica_for_read(LoadBalancingStrategy.LATENCY_BASED)
    except NoHealthyReplicas:
        address = manager.primary_address
    print(f"Using replica: {address}")


def primary(manager: ReplicaManager, user: str) -> PgClient:
    """A connection to whoever leads."""
    where = Endpoint.parse(manager.primary_address)
    return connect(where.host, where.port, user=user)


def read_own_writes(manager: ReplicaManager, user: str) -> None:
    """Write on the primary, read at once from a replica, and find the write there."""
    print("--- Read-your-writes")
    session_id = "user-session-12345"
    with primary(manager, user) as writer:
        writer.execute("CREATE TABLE IF NOT EXISTS replica_example (id serial PRIMARY KEY, word text)")
        for word in ("one", "two", "three"):
            (result,) = writer.execute(f"INSERT INTO replica_example (word) VALUES ('{word}') RETURNING id")
            lsn = manager.record_write(session_id)
            with manager.connection(session_id=session_id) as reader:
                found = reader.execute(f"SELECT word FROM replica_example WHERE id = {result.rows[0][0]}")[0].rows
            print(f"wrote '{word}' up to LSN {lsn}, a replica has {found}")
    print(f"next read goes to {manager.get_replica_for_read_with_session(session_id)}")


def show(manager: ReplicaManager) -> None:
    """What is known of each replica, and of all of them."""
    print("--- Status")
    manager.check_now()
    for status in manager.get_all_status():
        print(f"Replica: {status.address}")
        print(f"  Healthy: {status.is_healthy}")
        print(f"  Lag: {status.lag_ms}ms")
        print(f"  LSN: {status.last_applied_lsn}")
        print(f"  Connections: {status.connection_count}")
        print(f"  Bytes replicated: {status.bytes_replicated}")
        lag = manager.lag_monitor.summary(status.address)
        print(f"  Lag p50 / p95 / p99: {lag.p50_ms:.1f} / {lag.p95_ms:.1f} / {lag.p99_ms:.1f} ms")
    stats = manager.get_stats()
    print(f"Total replicas: {stats.total_replicas}")
    print(f"Healthy replicas: {stats.healthy_replicas}")
    print(f"Average lag: {stats.avg_lag_ms:.2f}ms")
    print(f"Max lag: {stats.max_lag_ms}ms")
    print(f"Failover count: {stats.failover_count}")


def change_the_fleet(manager: ReplicaManager) -> None:
    """Take the last replica out and put it back, while others could be reading."""
    replicas = [status.address for status in manager.get_all_status()]
    if len(replicas) < 2:
        return
    print("--- Changing the fleet")
    manager.remove_replica(replicas[-1])
    print(f"without {replicas[-1]}: {manager.get_stats().total_replicas} replicas")
    print(f"added again: {manager.add_replica(replicas[-1]).address}")
    print(f"Lag: {manager.get_lag(replicas[-1])}ms")


def stream_the_log(config: ReplicaConfig) -> None:
    """Follow the primary's log and send its entries on, to a receiver that could be in another process."""
    print("--- The log as a stream")
    archive: list[WalEntry] = []
    with (
        WalStreamer(config.primary_address, 10_000) as streamer,
        EntryReceiver(archive.extend) as receiver,
        AsyncReplicator(config.primary_address, 1024 * 1024, 100, True) as replicator,
    ):
        streamer.follow(config, name="replica-example")
        sink = SocketSink("127.0.0.1", receiver.port, lambda lsn: replicator.acknowledge("archive", lsn))
        replicator.register_replica("archive", 0, sink)
        first = streamer.stream_to_replica("archive", 0).recv(10)
        if first is None:
            raise HeliosError("the primary's log was not received", hint="Is its native port reachable?")
        seen = -1
        deadline = time.monotonic() + 1
        while time.monotonic() < deadline:
            entries = streamer.get_entries_from(seen + 1, 1000)
            replicator.replicate_batch(entries)
            seen = entries[-1].lsn if entries else seen
            time.sleep(0.02)
        replicator.wait_acknowledged(10)
        stats, metrics = streamer.get_stats(), replicator.get_metrics()
        print(f"Buffer size: {stats.buffer_size}, current LSN: {stats.current_lsn}")
        print(f"Total entries: {metrics.total_entries_sent}, archived: {len(archive)}")
        print(f"Total bytes: {metrics.total_bytes_sent}")
        print(f"Compression ratio: {metrics.compression_ratio:.2f}x")
        print(f"Lag: {replicator.get_replica_lag('archive')}")


def promote(manager: ReplicaManager) -> None:
    """Make the first replica the primary."""
    print("--- Promotion")
    event = manager.promote_replica(manager.get_all_status()[0].address)
    print(f"{event.new_primary} has replaced {event.old_primary} in {event.duration_ms:.0f} ms")
    print(f"Failovers performed: {manager.get_stats().failover_count}")


if __name__ == "__main__":
    sys.exit(main())
