"""The rows of the system views about the cluster, made from what the local node knows of it.

The four ``pg_replication_*`` views say it in the words of the manual's monitoring chapter, ``pg_stat_replication`` and
its kin in PostgreSQL's, ``helios_*`` in full. Times are microseconds since 2000-01-01 UTC, as timestamps are stored;
LSNs and intervals are text.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, Final

from helios_cli.engine.consensus.config import address
from helios_cli.engine.replication.view import (
    CATCHING_UP,
    HELD_UP,
    STREAMING,
    ClusterView,
    NodeView,
    UpstreamView,
)
from helios_cli.engine.types import Lsn

Row = dict[str, Any]

PG_EPOCH_US: Final = 946_684_800_000_000
"""Microseconds from 1970-01-01 to 2000-01-01."""

PRIMARY_ROLES: Final = ("primary", "standalone")


def timestamp(us: int) -> int | None:
    """A timestamptz from microseconds since 1970-01-01 UTC; None for 0, which is never."""
    return us - PG_EPOCH_US if us else None


def interval(milliseconds: float) -> str | None:
    """``HH:MM:SS.ffffff``; None for 0.0, as PostgreSQL shows a standby that lacks nothing."""
    if milliseconds <= 0:
        return None
    seconds, us = divmod(round(milliseconds * 1000), 1_000_000)
    text = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return f"{text}.{us:06}".rstrip("0") if us else text


def whole_ms(milliseconds: float) -> int:
    """Milliseconds rounded up, so that only a node that lacks nothing shows 0."""
    return math.ceil(milliseconds)


def _lag_bytes(node: NodeView) -> int | None:
    return node.lag_bytes if node.lag_known else None


def _lag_ms(node: NodeView) -> float | None:
    """It is a lower bound where the bytes are not known: since when nothing was heard."""
    return node.lag_ms if node.lag_known or node.lag_ms > 0 else None


def standbys(view: ClusterView) -> Iterator[NodeView]:
    """The others that are known to be standbys, whomever they follow."""
    return (node for node in view.nodes if not node.is_local and node.role == "standby")


def followers(view: ClusterView) -> Iterator[NodeView]:
    """The standbys of the local node; of a primary those too that are not connected."""
    leads = view.upstream is None
    return (node for node in standbys(view) if node.follows == view.local.node_id or (leads and not node.connected))


def _lsn(lsn: Lsn) -> str | None:
    """Text; None for 0: nothing is known of it yet."""
    return str(lsn) if lsn else None


def current_lsn(node: NodeView) -> str | None:
    """How far a node is as a reader of it sees it; for another standby, as far as it has said; None: not known."""
    return _lsn(node.committed or node.applied)


# The manual's views --------------------------------------------------------------------------------------------------


def pg_replication_status(view: ClusterView) -> Iterator[Row]:
    """Every node that is known, the local one first."""
    count = sum(1 for node in followers(view) if node.connected)
    for node in view.nodes:
        primary = node.role in PRIMARY_ROLES
        uptime = (view.now_us - view.started_us) // 1_000_000
        yield {
            "node_id": node.node_id,
            "role": node.role,
            "sync_mode": node.mode,
            "listen_address": address(node.host, node.pg_port),
            "replication_port": node.native_port,
            "current_lsn": current_lsn(node),
            "is_read_only": int(not primary),
            "standby_count": count if node.is_local else None,
            "uptime_seconds": uptime if node.is_local else None,
        }


def _standby_state(node: NodeView) -> str:
    if not node.connected:
        return "disconnected"
    if node.state in HELD_UP:
        return "catching_up"
    if node.state != STREAMING:
        return "connecting"
    return "synced" if node.lag_bytes <= 0 else "streaming"


def pg_replication_standbys(view: ClusterView) -> Iterator[Row]:
    """Whoever follows this node; on a primary those too that should and are not connected."""
    for node in followers(view):
        yield {
            "node_id": node.node_id,
            "address": address(node.host, node.pg_port),
            "sync_mode": node.mode,
            "state": _standby_state(node),
            "current_lsn": _lsn(node.written),
            "flush_lsn": _lsn(node.flushed),
            "apply_lsn": _lsn(node.applied),
            "lag_bytes": _lag_bytes(node),
            "lag_ms": None if (lag := _lag_ms(node)) is None else whole_ms(lag),
            "connected_at": timestamp(node.connected_since_us),
            "last_heartbeat": timestamp(node.heard_us),
        }


def _upstream_state(upstream: UpstreamView) -> str:
    if upstream.connected:
        return "streaming" if upstream.streaming else "connected"
    if upstream.error:
        return "error"
    return "disconnected" if upstream.heard_us else "connecting"


def pg_replication_primary(view: ClusterView) -> Iterator[Row]:
    """What this node follows; empty on a primary."""
    upstream, local = view.upstream, view.local
    if upstream is None:
        return
    heard = upstream.heard_us > 0
    yield {
        "node_id": upstream.node_id or None,
        "address": address(upstream.host, upstream.native_port),
        "state": _upstream_state(upstream),
        "primary_lsn": str(upstream.end) if heard else None,
        "local_lsn": str(local.applied),
        "lag_bytes": _lag_bytes(local),
        "lag_ms": None if (lag := _lag_ms(local)) is None else whole_ms(lag),
        "fencing_token": view.term,
        "connected_at": timestamp(upstream.connected_since_us),
        "last_heartbeat": timestamp(upstream.heard_us),
    }


def pg_replication_metrics(view: ClusterView) -> Iterator[Row]:
    """One row: what this node has done since it was started."""
    counters = view.counters
    yield {
        "wal_writes": counters.log_writes,
        "wal_bytes_written": counters.log_bytes,
        "records_replicated": view.records_sent,
        "bytes_replicated": view.bytes_sent,
        "heartbeats_sent": counters.heartbeats_sent,
        "heartbeats_received": counters.heartbeats_received,
        "reconnect_count": counters.reconnects,
        "last_wal_write": timestamp(counters.log_written_us),
        "last_replication": timestamp(counters.replicated_us),
    }


# In full -------------------------------------------------------------------------------------------------------------


def checksum(node: NodeView) -> str | None:
    """Sixteen hexadecimal digits; None when it is not known."""
    return f"{node.db_checksum:016x}" if node.db_checksum else None


def identical(node: NodeView, local: NodeView) -> int | None:
    """Whether a node's database equals the local one; None while the two are not known at the same LSN."""
    if not node.db_checksum or not local.db_checksum or node.applied != local.applied:
        return None
    return int(node.db_checksum == local.db_checksum)


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, 3)


def _lag(node: NodeView) -> Row:
    return {
        "replication_lag_bytes": _lag_bytes(node),
        "replication_lag_ms": _rounded(_lag_ms(node)),
        "catch_up_seconds": _rounded(node.catch_up_s),
        "lag_cause": node.lag_cause or None,
    }


def helios_replication_status(view: ClusterView) -> Iterator[Row]:
    """Every node that is known, the local one first, with its positions, lag and checksum."""
    for node in view.nodes:
        yield {
            "node_id": node.node_id,
            "role": node.role,
            "mode": node.mode,
            "state": node.state,
            "in_sync": int(node.in_sync),
            "is_local": int(node.is_local),
            "term": node.term,
            "written_lsn": _lsn(node.written),
            "flushed_lsn": _lsn(node.flushed),
            "applied_lsn": _lsn(node.applied),
            "committed_lsn": _lsn(node.committed),
            **_lag(node),
            "checksum": checksum(node),
            "identical": identical(node, view.local),
            "last_heard": timestamp(view.now_us if node.is_local else node.heard_us),
        }


def helios_standby_nodes(view: ClusterView) -> Iterator[Row]:
    """The standbys that are known, the local node too when it is one."""
    local = [view.local] if view.local.role not in PRIMARY_ROLES else []
    slots = {slot.name: slot for slot in view.slots}
    for node in (*local, *standbys(view)):
        slot = slots.get(node.node_id)
        yield {
            "node_id": node.node_id,
            "address": address(node.host, node.pg_port),
            "native_address": address(node.host, node.native_port),
            "mode": node.mode,
            "state": node.state,
            "in_sync": int(node.in_sync),
            "sent_lsn": _lsn(node.sent),
            "written_lsn": _lsn(node.written),
            "flushed_lsn": _lsn(node.flushed),
            "applied_lsn": _lsn(node.applied),
            **_lag(node),
            "round_trip_ms": _rounded(node.round_trip_ms) if node.round_trip_ms else None,
            "checksum": checksum(node),
            "identical": identical(node, view.local),
            "slot_lsn": str(slot.restart_lsn) if slot is not None else None,
            "connected_at": timestamp(node.connected_since_us),
            "last_heard": timestamp(view.now_us if node.is_local else node.heard_us),
        }


def helios_durability_gaps(view: ClusterView) -> Iterator[Row]:
    """The times in which the cluster acknowledged commits with fewer copies than its mode wants, oldest first."""
    for gap in view.gaps:
        until = gap.until_us if gap.until_us is not None else view.now_us
        yield {
            "node_id": gap.node_id,
            "from_lsn": str(gap.from_lsn),
            "to_lsn": None if gap.to_lsn is None else str(gap.to_lsn),
            "is_open": int(gap.to_lsn is None),
            "began_at": timestamp(gap.since_us),
            "ended_at": timestamp(gap.until_us or 0),
            "seconds": _rounded(max(0, until - gap.since_us) / 1e6),
            "reason": gap.reason,
        }


def helios_topology(view: ClusterView) -> Iterator[Row]:
    """The nodes of the cluster, the local one first, and its observers: who and where they are, whom they follow."""
    for node in view.nodes:
        yield {
            "node_id": node.node_id,
            "role": node.role,
            "mode": node.mode,
            "state": node.state,
            "pg_address": address(node.host, node.pg_port),
            "native_address": address(node.host, node.native_port),
            "http_address": address(node.host, node.http_port),
            "follows": node.follows or None,
            "term": node.term,
            "lsn": current_lsn(node),
            "in_sync": int(node.in_sync),
            "is_local": int(node.is_local),
            "votes": int(node.node_id in view.voters),
            "lag_bytes": _lag_bytes(node),
            "lag_ms": _rounded(_lag_ms(node)),
        }
    for observer in view.observers:
        yield {
            "node_id": observer.node_id,
            "role": "observer",
            "mode": None,
            "state": observer.state,
            "pg_address": None,
            "native_address": address(observer.host, observer.native_port),
            "http_address": address(observer.host, observer.http_port),
            "follows": view.primary_id or None,
            "term": None,
            "lsn": None,
            "in_sync": 0,
            "is_local": 0,
            "votes": int(observer.votes),
            "lag_bytes": None,
            "lag_ms": None,
        }


# PostgreSQL's --------------------------------------------------------------------------------------------------------


def _sync_state(node: NodeView, mode: str) -> str:
    if mode == "async":
        return "async"
    if not node.in_sync:
        return "potential" if node.mode == mode else "async"
    return "quorum" if mode == "quorum" else "sync"


def pg_stat_replication(view: ClusterView) -> Iterator[Row]:
    """One row for each stream from this node."""
    for node in followers(view):
        if not node.connected:
            continue
        sync_state = _sync_state(node, view.mode)
        yield {
            "pid": view.pid or None,
            "usesysid": 10,
            "usename": "postgres",
            "application_name": node.node_id,
            "client_addr": node.host or None,
            "client_port": node.native_port,
            "backend_start": timestamp(node.connected_since_us),
            "state": CATCHING_UP if node.state in HELD_UP else node.state,
            "sent_lsn": str(node.sent),
            "write_lsn": str(node.written),
            "flush_lsn": str(node.flushed),
            "replay_lsn": str(node.applied),
            "write_lag": interval(node.write_lag_ms),
            "flush_lag": interval(node.flush_lag_ms),
            "replay_lag": interval(node.lag_ms),
            "sync_priority": int(sync_state != "async"),
            "sync_state": sync_state,
            "reply_time": timestamp(node.heard_us),
        }


def pg_stat_wal_receiver(view: ClusterView) -> Iterator[Row]:
    """One row while this node receives a stream."""
    upstream, local = view.upstream, view.local
    if upstream is None or not upstream.connected:
        return
    yield {
        "pid": view.pid or None,
        "status": "streaming" if upstream.streaming else "starting",
        "receive_start_lsn": str(upstream.started_at),
        "receive_start_tli": view.term,
        "written_lsn": str(local.written),
        "flushed_lsn": str(local.flushed),
        "received_tli": view.term,
        "last_msg_send_time": timestamp(upstream.sent_us),
        "last_msg_receipt_time": timestamp(upstream.heard_us),
        "latest_end_lsn": str(upstream.end),
        "latest_end_time": timestamp(upstream.heard_us),
        "slot_name": local.node_id,
        "sender_host": upstream.host,
        "sender_port": upstream.native_port,
        "conninfo": f"host={upstream.host} port={upstream.native_port} application_name={local.node_id}",
    }


def pg_replication_slots(view: ClusterView) -> Iterator[Row]:
    """The slots that hold this node's log, one for each standby it has had."""
    for slot in view.slots:
        yield {
            "slot_name": slot.name,
            "slot_type": "physical",
            "temporary": 0,
            "active": int(slot.connected),
            "restart_lsn": str(slot.restart_lsn),
            "wal_status": "extended" if slot.room_bytes is not None and slot.room_bytes < 0 else "reserved",
            "safe_wal_size": slot.room_bytes,
            "two_phase": 0,
        }


MAKERS: Final[dict[str, Callable[[ClusterView], Iterator[Row]]]] = {
    maker.__name__: maker
    for maker in (
        pg_replication_status, pg_replication_standbys, pg_replication_primary, pg_replication_metrics,
        helios_replication_status, helios_standby_nodes, helios_durability_gaps, helios_topology,
        pg_stat_replication, pg_stat_wal_receiver, pg_replication_slots,
    )
}  # fmt: skip
"""View by name."""
