"""What a node says about itself: status record and metrics."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from helios_cli import __version__
from helios_cli.engine.config.settings import Settings
from helios_cli.engine.consensus.config import address
from helios_cli.engine.node.clock import SystemClock
from helios_cli.engine.node.cluster_metrics import register_cluster_metrics
from helios_cli.engine.node.following import trouble
from helios_cli.engine.node.streamer import BLOCKED_S
from helios_cli.engine.observe.process import register_process_metrics
from helios_cli.engine.replication.view import ClusterView
from helios_cli.engine.replication.viewrecord import view_record

if TYPE_CHECKING:
    from helios_cli.engine.node.node import Node


def node_id(settings: Settings) -> str:
    """The name of a node."""
    return settings.node_id or f"node-{settings.pg_port}"


def status(node: Node) -> Mapping[str, Any]:
    """The record behind /status. LSNs are text, times are microseconds since 1970-01-01 UTC."""
    engine, pipeline, database, store = node.engine, node.pipeline, node.database, node.store
    settings = node.settings
    return {
        "node_id": node_id(settings),
        "version": __version__,
        "role": node.replication.role.name,
        "mode": settings.replication_mode,
        "state": "running" if node.serving else "stopping",
        "read_only_reason": node.ready(),
        "leads": node.serves_as("primary") is None,
        "pid": os.getpid(),
        "started_us": node.started_us,
        "uptime_s": round((SystemClock.wall_us() - node.started_us) / 1e6, 3),
        "cluster_id": store.control.record.cluster_id.hex(),
        "term": node.replication.term().number,
        "written_lsn": str(store.log.end),
        "flushed_lsn": str(store.log.flushed),
        "committed_lsn": str(pipeline.committed_lsn),
        "checkpoint_lsn": str(node.checkpointer.checkpoint_lsn),
        "log_start_lsn": str(store.log.start),
        "log_bytes_kept": store.log.end - store.log.start,
        "database_pages": database.checksums.pages,
        "database_checksum": None if pipeline.committed_checksum is None else f"{pipeline.committed_checksum:016x}",
        "wal_frames": database.capture.frames,
        "sessions": len(engine.sessions),
        "writer_queue": len(engine.queue),
        "groups_in_flight": len(pipeline.in_flight),
        "groups": engine.queue.group_count,
        "grouped_writes": engine.queue.write_count,
        "commits": pipeline.commit_count,
        "syncs": pipeline.sync_count,
        "checkpoints": node.checkpointer.count,
        "loop_stall_recent_s": round(node.loop_monitor.recent_s, 6),
        "recovery": {
            "clean": store.recovery.clean,
            "records": store.recovery.records,
            "dropped_bytes": store.recovery.dropped_bytes,
        },
        "ports": {"pg": settings.pg_port, "native": settings.native_port, "http": settings.http_port},
        "data_dir": os.path.abspath(settings.data_dir),
        "alarms": alarms(node),
        "scrub": node.scrub.record(),
        "authority": node.replication.authority.record(),
        "cluster": view_record(node.replication.view()),
    }


def register_metrics(node: Node) -> None:
    """Let the scrape read the counters that the hot paths keep as plain numbers."""
    registry = node.registry
    register_process_metrics(registry)
    engine, pipeline, database, store = node.engine, node.pipeline, node.database, node.store
    counters = {
        "heliosdb_statements_total": ("Statements of clients run at this node.", lambda: engine.statement_count),
        "heliosdb_commits_total": ("Commits made durable.", lambda: pipeline.commit_count),
        "heliosdb_log_syncs_total": ("Syncs of the page log.", lambda: pipeline.sync_count),
        "heliosdb_groups_total": ("Groups of autocommit writes executed.", lambda: engine.queue.group_count),
        "heliosdb_grouped_writes_total": ("Autocommit writes executed in groups.", lambda: engine.queue.write_count),
        "heliosdb_log_bytes_total": ("Bytes of the page log written, as the LSN counts.", lambda: int(store.log.end)),
        "heliosdb_checkpoints_total": ("Checkpoints completed.", lambda: node.checkpointer.count),
        "heliosdb_scrub_pages_total": ("Pages read again by scrubs.", lambda: node.scrub.pages_read),
        "heliosdb_internal_errors_total": ("Errors nobody foresaw (XX000).", lambda: engine.errors_unexpected),
        "heliosdb_events_lost_total": ("Events that did not get into state.db.", lambda: node.events.dropped),
        "heliosdb_forwarded_total": (
            "Statements and transactions taken to the primary.",
            lambda: engine.forwarded_count,
        ),
        "heliosdb_plan_cache_hits_total": ("Statements whose plan was cached.", lambda: engine.plans.hits),
        "heliosdb_plan_cache_misses_total": ("Statements that had to be planned.", lambda: engine.plans.misses),
    }
    gauges = {
        "heliosdb_up": ("1 when the node serves.", lambda: int(node.serving)),
        "heliosdb_sessions": ("Client sessions.", lambda: len(engine.sessions)),
        "heliosdb_writer_queue": ("Sessions waiting for the writer.", lambda: len(engine.queue)),
        "heliosdb_groups_in_flight": ("Commits on their way to the disk.", lambda: len(pipeline.in_flight)),
        "heliosdb_committed_lsn": ("Committed LSN, in bytes.", lambda: int(pipeline.committed_lsn)),
        "heliosdb_checkpoint_lsn": (
            "LSN of the last checkpoint, in bytes.",
            lambda: int(node.checkpointer.checkpoint_lsn),
        ),
        "heliosdb_log_kept_bytes": ("Bytes of page log kept.", lambda: store.log.end - store.log.start),
        "heliosdb_wal_frames": ("Frames in SQLite's WAL.", lambda: database.capture.frames),
        "heliosdb_database_bytes": ("Size of the database.", lambda: database.checksums.pages * 4096),
        "heliosdb_damaged_pages": ("Pages known to be damaged on the disk.", lambda: len(node.scrub.state.bad)),
        "heliosdb_scrub_finished_seconds": (
            "When a whole scrub last ended, in seconds since 1970; 0: never.",
            lambda: node.scrub.state.finished_us // 1_000_000,
        ),
        "heliosdb_term": ("Newest term that this node knows.", lambda: node.replication.term().number),
        "heliosdb_read_only": (
            "1 when a full disk keeps the node from writing.",
            lambda: int(engine.disk_full_since is not None or node.replication.has_no_room),
        ),
    }
    register_cluster_metrics(registry, node.replication)
    node.tls.certificates.register(registry)
    for name, (text, read) in counters.items():
        registry.observe("counter", name, text, read)
    for name, (text, read) in gauges.items():
        registry.observe("gauge", name, text, read)


def alarms(node: Node) -> list[str]:
    """What somebody has to look after although the node serves, and what to do."""
    leading = node.replication.leading
    unreached = leading.unreached.values() if leading is not None else ()
    followed = [text for text in (trouble(node.replication), node.replication.authority.trouble()) if text]
    return [*node.scrub.alarms(), *_of_the_disk(node), *followed, *unreached, *node.tls.certificates.alarms()]


def _of_the_disk(node: Node) -> list[str]:
    following = node.replication.following
    place = os.path.abspath(node.settings.data_dir)
    if following is not None and following.has_no_room:
        return [f"the disk is full: no more records are taken. Free space on the file system of {place}."]
    if node.engine.disk_full_since is not None:
        return [f"the disk is full: the node takes no writes. Free space on the file system of {place}."]
    if following is not None and following.blocked_s > BLOCKED_S:
        return [f"the disk has taken nothing for {following.blocked_s:.0f} s. Look at the disk of {place}."]
    return []


def port_holder(port: int) -> str | None:
    """Process that listens on a port of this machine, as ``name (pid n)``; None when it cannot be told."""
    import psutil

    try:
        for entry in psutil.net_connections("inet"):
            if entry.laddr and entry.laddr.port == port and entry.status == psutil.CONN_LISTEN and entry.pid:
                return f"{psutil.Process(entry.pid).name()} (pid {entry.pid})"
    except psutil.Error:
        return None
    return None


def serves_as(node: Node, role: str) -> str | None:
    """None when the node serves clients as ``primary`` or as ``standby``, else what it does instead."""
    reason = node.health()
    if reason is not None:
        return reason
    leads = node.engine.standby_refusal is None
    if role == "standby":
        return f"{node.replication.role.name}: it takes writes" if leads else None
    return _without_lease(node) if leads else standby_reason(node.replication.view())


def _without_lease(node: Node) -> str | None:
    """Why a primary is none for who looks for one: somebody else may have been elected. None when it is."""
    leading = node.replication.leading
    if leading is None or not leading.lease.has_lapsed:
        return None
    return "primary: its lease is over, and commits wait until a majority of the voters is heard of"


def refuses_writes(node: Node) -> str | None:
    """None when the node takes writes, its own or to its primary, else why not."""
    engine = node.engine
    if node.health() is not None:
        return node.health()
    if engine.standby_refusal is None:
        return "disk full: read-only" if engine.disk_full_since is not None else _waits(node)
    view = node.replication.view()
    if engine.forwarder is None:
        return standby_reason(view)
    reached = view.upstream is not None and view.upstream.streaming
    if reached:
        return None
    why = trouble(node.replication)
    return "standby: writes go to the primary, which is not reached" + (f": {why}" if why else "")


def _waits(node: Node) -> str | None:
    """What the commits of a primary wait for; None when they do not wait."""
    leading = node.replication.leading
    return (leading.why_commits_wait() if leading is not None else None) or _without_lease(node)


def standby_reason(view: ClusterView) -> str:
    """Why a node that follows takes no writes, and where they go."""
    primary = next((node for node in view.nodes if node.node_id == view.primary_id and not node.is_local), None)
    if primary is None:
        return "standby: it takes no writes, and does not know the primary"
    return f"standby: it takes no writes; the primary is {primary.node_id} at {address(primary.host, primary.pg_port)}"
