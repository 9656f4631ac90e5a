"""How the node and its cluster were before, for whoever begins to look only when something has happened.

A moment is what ``/status`` says, less what nobody asks of the past, and a few counters. One is kept at every tenth
second of the wall clock, so that those of different nodes belong together, and at once when who leads, a role or a link
changes. They lie in ``state.db`` beside the events, of which they have no reasons.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from helios_cli.engine.node import report
from helios_cli.engine.node.clock import SystemClock
from helios_cli.engine.replication.view import CATCHING_UP, STREAMING, ClusterView

if TYPE_CHECKING:
    from helios_cli.engine.node.node import Node

PERIOD_US: Final = 10_000_000
LOOK_US: Final = 1_000_000
"""How often it is looked whether something has changed."""

LIMIT: Final = 500
"""Moments in one answer, at most."""

_OWN: Final = (
    "node_id", "version", "role", "mode", "state", "read_only_reason", "pid", "started_us", "term", "written_lsn",
    "flushed_lsn", "committed_lsn", "log_bytes_kept", "database_pages", "database_checksum", "sessions", "ports",
    "data_dir", "alarms",
)  # fmt: skip
_CLUSTER: Final = ("term", "mode", "primary_id", "voters", "lease_ms", "paused")
_NODE: Final = (
    "node_id", "role", "mode", "host", "pg_port", "http_port", "state", "in_sync", "lag_bytes", "lag_ms",
    "catch_up_s", "lag_cause", "identical", "round_trip_ms", "follows",
)  # fmt: skip
_OBSERVER: Final = ("node_id", "host", "native_port", "http_port", "votes", "state")
_COUNTERS: Final = (
    "heliosdb_statements_total", "heliosdb_commits_total", "heliosdb_log_bytes_total",
    "heliosdb_process_cpu_seconds_total", "heliosdb_process_resident_memory_bytes",
)  # fmt: skip


async def keep(node: Node) -> None:
    """Keep moments until the life of the node ends. On the loop."""
    before: tuple[object, ...] = ()
    while True:
        now_us = SystemClock.wall_us()
        try:
            now = (now_us // PERIOD_US, *_signs(node.replication.view()))
            if now != before:
                before = now
                node.events.remember(now_us, moment(node, now_us))
        except Exception as error:
            node.engine.unexpected(error)
        await asyncio.sleep((LOOK_US - now_us % LOOK_US) / 1e6)


def moment(node: Node, now_us: int) -> dict[str, Any]:
    """The node as it is, by the names of ``/status``; with ``time_us``, and ``counters`` by those of ``/metrics``."""
    status = report.status(node)
    view = status["cluster"]
    cluster = {
        **_only(view, _CLUSTER),
        "nodes": [_only(one, _NODE) for one in view["nodes"]],
        "observers": [_only(one, _OBSERVER) for one in view["observers"]],
        "gaps": [one for one in view["gaps"] if one["until_us"] is None],
    }
    counters = node.registry.numbers(_COUNTERS)
    return {"time_us": now_us, **_only(status, _OWN), "cluster": cluster, "counters": counters}


async def recall(node: Node, before_us: int | None, limit: int) -> Mapping[str, Any]:
    """Up to ``limit`` moments before a time, None: before now; newest first."""
    until_us = SystemClock.wall_us() if before_us is None else before_us
    found = await asyncio.get_running_loop().run_in_executor(None, node.events.moments, until_us, limit)
    return {"node_id": report.node_id(node.settings), "moments": [msgspec.Raw(one) for one in found]}


def _signs(view: ClusterView) -> tuple[object, ...]:
    """What a moment is kept for at once. One that catches up and one that has caught up take turns under load."""
    links = tuple(
        (one.node_id, one.role, STREAMING if one.state == CATCHING_UP else one.state, one.in_sync) for one in view.nodes
    )
    watchers = tuple((one.node_id, one.votes, one.state) for one in view.observers)
    gaps = sum(gap.until_us is None for gap in view.gaps)
    return view.term, view.primary_id, view.mode, view.paused, links, watchers, gaps


def _only(record: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: record[name] for name in names}
