"""Entries as bytes and as records, the ring that keeps them, and the fan-out to replicas, over TCP too."""

from __future__ import annotations

import socket
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.node_process import wait_until

from helios_cli.engine.errors import ConfigError, LogDamaged, ProtocolViolation
from helios_cli.engine.log.record import Flags, encode_record
from helios_cli.engine.net.batchlink import PREFACE, BatchServer
from helios_cli.engine.net.pgclient import CannotConnect
from helios_cli.engine.types import Term
from helios_cli.replication import (
    AsyncReplicator,
    EntryReceiver,
    ReplicaRefused,
    ReplicationError,
    SocketSink,
    UnknownReplica,
    WalEntry,
    WalStreamer,
)
from helios_cli.replication.batches import pack, unpack
from helios_cli.replication.entries import RecordDecoder, decode_entries, encode_entries

ADDRESS = "127.0.0.1:5433"


def entry(lsn: int, data: bytes = b"\1\2\3\4") -> WalEntry:
    return WalEntry(
        lsn=lsn, txn_id=42, timestamp=1.5, operation="INSERT", table="users", data=data, checksum=0
    ).sealed()


def entries(first: int, last: int) -> list[WalEntry]:
    return [entry(lsn) for lsn in range(first, last + 1)]


# Entries


@given(
    st.lists(
        st.builds(
            WalEntry,
            lsn=st.integers(0, 2**64 - 1),
            txn_id=st.integers(0, 2**64 - 1),
            timestamp=st.floats(0, 2e9),
            operation=st.sampled_from(["INSERT", "DELETE", "é"]),
            table=st.text(max_size=20),
            data=st.binary(max_size=300),
        ).map(WalEntry.sealed),
        max_size=20,
    ),
    st.booleans(),
)
def test_entries_survive_the_way(given_entries: list[WalEntry], compress: bool) -> None:
    body, raw_bytes = pack(given_entries, compress=compress)
    assert unpack(body) == given_entries
    assert len(body) <= raw_bytes + 1


@given(st.binary(max_size=200))
def test_other_bytes_are_no_entries(data: bytes) -> None:
    for read in (decode_entries, unpack):
        try:
            found = read(data)
        except ProtocolViolation:
            continue
        assert all(isinstance(one, WalEntry) for one in found)


def test_a_changed_entry_is_found() -> None:
    damaged = encode_entries([entry(1, b"abcdefgh")]).replace(b"abcdefgh", b"abcdefgX")
    with pytest.raises(ProtocolViolation, match="does not match its checksum"):
        decode_entries(damaged)


def test_a_batch_that_unpacks_to_too_much_is_refused() -> None:
    with pytest.raises(ProtocolViolation):
        unpack(b"\1" + (1 << 30).to_bytes(4, "little") + b"x")


def record(lsn: int, prev: int, flags: int = 0, kind: int = 1) -> bytes:
    pages = {1: bytes([lsn % 251]) * 4096} if kind == 1 else {}
    return encode_record(
        pages, term=Term(3, 9), lsn=lsn, prev_lsn=prev, prev_term=Term(3, 9), wall_us=5_000_000, db_pages=1,
        db_checksum=7, flags=flags, kind=kind,
    )  # fmt: skip


def test_records_become_entries_of_their_transactions() -> None:
    plan = [
        (0, 2),
        (0, 1),
        (Flags.CHAIN_PART | Flags.CHAIN_START, 1),
        (Flags.CHAIN_PART, 1),
        (Flags.CHAIN_END, 1),
        (0, 1),
    ]
    data, prev = b"", 0
    for flags, kind in plan:
        start = len(data)
        data += record(start, prev, int(flags), kind)
        prev = start
    found = list(RecordDecoder().feed(data))
    starts = [one.lsn for one in found]
    assert [one.operation for one in found] == ["TERM_START", "DATA", "DATA", "DATA", "DATA", "DATA"]
    assert [one.txn_id for one in found] == [starts[0], starts[1], starts[2], starts[2], starts[2], starts[5]]
    assert [one.end_lsn for one in found] == [*starts[1:], len(data)]
    assert all(one.is_intact and one.timestamp == 5.0 for one in found)
    assert found[1].record().header.db_checksum == 7
    assert found[1].record().pages() == {1: bytes([starts[1] % 251]) * 4096}
    # Read from the middle of the chain: what is left of it belongs to itself.
    rest = list(RecordDecoder().feed(data[starts[3] :]))
    assert [one.txn_id for one in rest] == starts[3:]
    with pytest.raises(LogDamaged):
        list(RecordDecoder().feed(data[1:]))
    with pytest.raises(LogDamaged):
        entry(5).record()


# The ring


def test_the_ring_of_the_walkthrough() -> None:
    streamer = WalStreamer("127.0.0.1:5432", 1000)
    streamer.append(entry(100))
    assert [one.lsn for one in streamer.get_entries_from(50, 100)] == [100]
    stats = streamer.get_stats()
    assert (stats.buffer_size, stats.current_lsn) == (1, 100)
    stream = streamer.stream_to_replica(ADDRESS, 100)
    received = stream.recv(1.0)
    assert received is not None and received.lsn == 100
    assert stream.recv(0.0) is None
    streamer.close()
    assert list(stream) == []


def test_the_ring_keeps_the_newest() -> None:
    streamer = WalStreamer("127.0.0.1:5432", 50)
    early = streamer.stream_to_replica(ADDRESS, 3)
    for lsn in range(1, 1001):
        streamer.append(entry(lsn))
        stats = streamer.get_stats()
        assert stats.buffer_size == min(lsn, 50) and stats.oldest_lsn == max(1, lsn - 49)
    assert [one.lsn for one in streamer.get_entries_from(0, 3)] == [951, 952, 953]
    assert streamer.get_entries_from(1001, 10) == []
    assert streamer.get_stats().total_entries == 1000
    with pytest.raises(ReplicationError, match="have left the buffer"):
        early.recv()
    with pytest.raises(ReplicationError, match="does not come behind"):
        streamer.append(entry(1000))


def test_streams_wait_for_what_comes() -> None:
    streamer = WalStreamer("127.0.0.1:5432", 1000)
    got: list[int] = []
    stream = streamer.stream_to_replica(ADDRESS, 0)
    reader = threading.Thread(target=lambda: got.extend(one.lsn for one in stream))
    reader.start()
    assert streamer.get_stats().streams == 1
    for lsn in range(1, 200):
        streamer.append(entry(lsn))
    wait_until(lambda: len(got) == 199, "everything was streamed")
    streamer.close()
    reader.join(5)
    assert not reader.is_alive() and got == list(range(1, 200))
    stream.close()
    assert streamer.get_stats().streams == 0


# The fan-out


def test_the_fan_out_of_the_walkthrough() -> None:
    with AsyncReplicator("127.0.0.1:5432", 1024 * 1024, 100, True) as replicator:
        replicator.register_replica("127.0.0.1:5433", 0)
        replicator.register_replica("127.0.0.1:5434", 0)
        replicator.replicate_batch(entries(1, 250))
        assert replicator.get_replica_lag("127.0.0.1:5433") == 250
        replicator.acknowledge("127.0.0.1:5433", 100)
        replicator.acknowledge("127.0.0.1:5433", 60)
        assert replicator.get_replica_lag("127.0.0.1:5433") == 150
        assert replicator.get_replica_lag("127.0.0.1:5434") == 250
        metrics = replicator.get_metrics()
        assert (metrics.total_entries_sent, metrics.total_batches_sent, metrics.replicas) == (250, 3, 2)
        assert metrics.compression_ratio > 2
        assert metrics.total_bytes_sent == metrics.buffer_bytes
        sizes = [len(replicator.receive("127.0.0.1:5434")) for _ in range(4)]
        assert sizes == [100, 100, 50, 0]


def test_without_compression_the_ratio_is_one() -> None:
    with AsyncReplicator("127.0.0.1:5432", compression=False) as replicator:
        assert replicator.get_metrics().compression_ratio == 1.0
        replicator.replicate_batch(entries(1, 100))
        assert 0.99 < replicator.get_metrics().compression_ratio <= 1.0
        replicator.replicate_batch([])
        assert replicator.get_metrics().total_entries_sent == 100


def test_a_replica_that_comes_later_is_caught_up_from_the_buffer() -> None:
    with AsyncReplicator("127.0.0.1:5432", batch_size=10) as replicator:
        replicator.replicate_batch(entries(1, 100))
        replicator.register_replica(ADDRESS, 35)
        got = [one.lsn for _ in range(7) for one in replicator.receive(ADDRESS)]
        assert got == list(range(31, 101)), "whole batches, from the one that holds 36"
        with pytest.raises(ReplicaRefused):
            replicator.register_replica(ADDRESS)
        replicator.unregister_replica(ADDRESS)
        with pytest.raises(UnknownReplica):
            replicator.receive(ADDRESS)


def test_who_lags_beyond_the_buffer_is_told() -> None:
    with AsyncReplicator("127.0.0.1:5432", buffer_size=2000, batch_size=10, compression=False) as replicator:
        replicator.register_replica(ADDRESS)
        replicator.replicate_batch(entries(1, 1000))
        assert replicator.get_metrics().buffer_bytes <= 2000
        with pytest.raises(ReplicationError, match="lags beyond the buffer"):
            replicator.receive(ADDRESS)
        assert replicator.get_replica_error(ADDRESS) == "it lags beyond the buffer"


def test_entries_must_rise() -> None:
    with AsyncReplicator("127.0.0.1:5432") as replicator:
        replicator.replicate_batch(entries(5, 9))
        for wrong in ([entry(9)], [entry(11), entry(10)]):
            with pytest.raises(ReplicationError, match="does not come behind"):
                replicator.replicate_batch(wrong)
        assert replicator.get_metrics().total_entries_sent == 5


def test_over_tcp_everything_arrives_once_and_is_acknowledged() -> None:
    got: list[list[int]] = [[], []]
    with (
        EntryReceiver(lambda batch: got[0].extend(one.lsn for one in batch)) as first,
        EntryReceiver(lambda batch: got[1].extend(one.lsn for one in batch)) as second,
        AsyncReplicator("127.0.0.1:5432", 16 << 20, 50) as replicator,
    ):
        for number, receiver in enumerate((first, second)):
            name = f"receiver-{number}"
            sink = SocketSink(
                "127.0.0.1",
                receiver.port,
                lambda lsn, name=name: replicator.acknowledge(name, lsn),  # type: ignore[misc]
            )
            replicator.register_replica(name, 0, sink)
        for first_lsn in range(1, 5001, 500):
            replicator.replicate_batch(entries(first_lsn, first_lsn + 499))
        assert replicator.wait_acknowledged(10)
        assert got == [list(range(1, 5001))] * 2
        assert [replicator.get_replica_lag(f"receiver-{number}") for number in (0, 1)] == [0, 0]
        with pytest.raises(ReplicationError, match="has a sink"):
            replicator.receive("receiver-0")


def test_a_receiver_that_goes_does_not_hold_up_the_others() -> None:
    got: list[int] = []
    gone = EntryReceiver(lambda batch: None)
    with (
        EntryReceiver(lambda batch: got.extend(one.lsn for one in batch)) as stays,
        AsyncReplicator("127.0.0.1:5432", 16 << 20, 10) as replicator,
    ):
        for name, receiver in (("gone", gone), ("stays", stays)):
            sink = SocketSink("127.0.0.1", receiver.port, lambda lsn, name=name: replicator.acknowledge(name, lsn))  # type: ignore[misc]
            replicator.register_replica(name, 0, sink)
        gone.close()
        lsn = 0
        while not replicator.get_replica_error("gone"):
            replicator.replicate_batch([entry(lsn := lsn + 1)])
        replicator.unregister_replica("gone")
        assert replicator.wait_acknowledged(10)
        assert got == list(range(1, lsn + 1))


def test_damage_on_the_way_ends_the_connection() -> None:
    got: list[WalEntry] = []
    with EntryReceiver(got.extend) as receiver, socket.create_connection(("127.0.0.1", receiver.port)) as sender:
        sender.settimeout(5)
        sender.sendall(PREFACE + (3).to_bytes(4, "little") + b"\0\0\0\0abc")
        seen = b""
        while piece := sender.recv(100):
            seen += piece
        assert seen == PREFACE and got == []


def test_who_is_no_receiver_is_not_sent_to() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=lambda: listener.accept()[0].close(), daemon=True).start()
        with pytest.raises(CannotConnect):
            SocketSink("127.0.0.1", listener.getsockname()[1], lambda lsn: None)


def test_only_this_machine_is_served_without_tls() -> None:
    with pytest.raises(ConfigError, match="from other machines"):
        BatchServer("0.0.0.0", 0, len)
