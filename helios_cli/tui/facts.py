"""What one look at a cluster gives: the little of each node's status record that is kept, so that hours of it fit.

Knows the names in ``/status``, ``/metrics`` and the proxy's admin pages. Does not know how they are asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from helios_cli.engine.types import Lsn

LEADING: Final = ("primary", "standalone")


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerFacts:
    """What a node says of another one, or of itself, as a member of the cluster."""

    name: str
    role: str
    mode: str
    address: str
    """``host:pg_port``; of an observer that of its native port."""
    http_port: int
    state: str
    in_sync: bool
    """Whether its copy counts; of an observer whether its vote does."""
    lag_bytes: int | None
    lag_ms: float | None
    catch_up_s: float | None
    """Seconds until it lacks nothing; None: nobody knows, or never at this pace."""
    lag_cause: str
    identical: bool | None
    """Whether its database is that of the node that says so, page by page; None: they are not at the same place."""
    round_trip_ms: float | None
    follows: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFacts:
    """What a node says of itself; LSNs as numbers, times in microseconds since 1970-01-01 UTC."""

    name: str
    role: str
    mode: str
    state: str
    term: int
    version: str
    pid: int
    started_us: int
    address: str
    written_lsn: int
    flushed_lsn: int
    committed_lsn: int
    checksum: str
    clients: int | None
    """Its sessions; None where only others speak of it."""
    primary_id: str
    cluster_mode: str
    paused: bool
    voters: tuple[str, ...]
    lease_ms: int
    alarms: tuple[str, ...]
    gaps: tuple[str, ...]
    read_only_reason: str
    peers: tuple[PeerFacts, ...]
    """Itself first, then the others it knows; observers behind the data nodes."""
    log_bytes_kept: int
    database_pages: int
    data_dir: str
    counters: Mapping[str, float]
    """Of the metrics those in :data:`KEPT`, by their names there."""
    told_us: int = 0
    """When it said so, by its own clock; 0: it does not tell."""

    @property
    def leads(self) -> bool:
        """Whether it says that it is the primary, or alone."""
        return self.role in LEADING

    @property
    def local(self) -> PeerFacts | None:
        """What it says of itself as a member; None of an observer."""
        return self.peers[0] if self.peers and self.peers[0].name == self.name else None

    def peer(self, name: str) -> PeerFacts | None:
        """What it says of a node; None when it does not know it."""
        return next((one for one in self.peers if one.name == name), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSample:
    """What came of asking one node."""

    name: str
    address: str
    """Where its HTTP is."""
    facts: NodeFacts | None = None
    error: str = ""
    """Why there are no facts; empty when there are."""
    process: str = ""
    """``running``, ``frozen`` or ``down`` where its process can be seen, else empty."""
    took_ms: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyFacts:
    """What the proxy says of itself: its pages, as they are."""

    address: str
    health: str
    """Empty while it serves, else why not."""
    nodes: tuple[Mapping[str, Any], ...] = ()
    pools: tuple[Mapping[str, Any], ...] = ()
    stats: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxySample:
    """What came of asking the proxy."""

    address: str
    facts: ProxyFacts | None = None
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An event that a node has put down."""

    node: str
    at_us: int
    kind: str
    severity: str
    """``info``, ``warning`` or ``error``."""
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One look at the whole cluster."""

    at_s: float
    """Seconds since 1970-01-01 UTC."""
    source: str
    """Where the list of nodes comes from: the cluster's file, or an address."""
    nodes: tuple[NodeSample, ...]
    proxy: ProxySample | None = None
    told: tuple[Told, ...] = ()
    """Events that have not been in a sample before, in no order."""
    untold: str = ""
    """Why events of some node cannot be had; empty when they can."""
    is_kept: bool = False
    """Whether it is of before the monitor began, from what the nodes have kept."""


KEPT: Final = (
    "heliosdb_statements_total", "heliosdb_commits_total", "heliosdb_log_syncs_total",
    "heliosdb_grouped_writes_total", "heliosdb_forwarded_total", "heliosdb_log_bytes_total",
    "heliosdb_replication_sent_bytes_total", "heliosdb_replication_received_bytes_total",
    "heliosdb_process_resident_memory_bytes", "heliosdb_process_cpu_seconds_total",
    "heliosdb_loop_stall_recent_seconds", "heliosdb_writer_queue", "heliosdb_replication_reconnects_total",
)  # fmt: skip
"""The metrics that are kept of each node."""


def metrics_of(text: str) -> dict[str, float]:
    """Of a Prometheus text the metrics in :data:`KEPT`; lines that are none are passed over."""
    found: dict[str, float] = {}
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        if name in KEPT:
            try:
                found[name] = float(value)
            except ValueError:
                continue
    return found


def facts_of(status: Mapping[str, Any], metrics: Mapping[str, float]) -> NodeFacts:
    """A status record and the node's metrics as facts; what is not there is empty or 0."""
    cluster = status.get("cluster")
    view: Mapping[str, Any] = cluster if isinstance(cluster, Mapping) else {}
    nodes = [_peer(one) for one in _records(view.get("nodes"))]
    observers = [_observer(one) for one in _records(view.get("observers"))]
    is_observer = status.get("role") == "observer"
    ports = status.get("ports") if isinstance(status.get("ports"), Mapping) else {}
    return NodeFacts(
        name=_text(status.get("node_id")),
        role=_text(status.get("role")),
        mode="" if is_observer else _text(status.get("mode")),
        state=_state(status, nodes),
        term=_number(status.get("term")),
        version=_text(status.get("version")),
        pid=_number(status.get("pid")),
        started_us=_number(status.get("started_us")),
        address=nodes[0].address if nodes else f":{_number((ports or {}).get('native'))}",
        written_lsn=_lsn(status.get("written_lsn")),
        flushed_lsn=_lsn(status.get("flushed_lsn")),
        committed_lsn=_lsn(status.get("committed_lsn")),
        checksum=_text(status.get("database_checksum")),
        clients=_number(status.get("sessions")),
        primary_id=_text(view.get("primary_id") or status.get("primary_id")),
        cluster_mode=_text(view.get("mode")),
        paused=bool(view.get("paused")),
        voters=tuple(map(str, view.get("voters") or status.get("voters") or ())),
        lease_ms=_number(view.get("lease_ms") or status.get("lease_ms")),
        alarms=tuple(map(str, status.get("alarms") or ())),
        gaps=tuple(
            f"{one.get('node_id')} is missing from {one.get('from_lsn')} on ({one.get('reason')})"
            for one in _records(view.get("gaps"))
            if one.get("until_us") is None
        ),
        read_only_reason=_text(status.get("read_only_reason")),
        peers=(*nodes, *observers),
        log_bytes_kept=_number(status.get("log_bytes_kept")),
        database_pages=_number(status.get("database_pages")),
        data_dir=_text(status.get("data_dir")),
        counters=dict(metrics),
        told_us=_number(status.get("time_us") or view.get("now_us")),
    )


def _state(status: Mapping[str, Any], nodes: Sequence[PeerFacts]) -> str:
    """One word for what a node does, as ``cluster status`` has it."""
    if status.get("role") == "observer":
        return "observing" if status.get("reaches_primary") else "disconnected"
    if status.get("role") == "standby":
        return nodes[0].state if nodes else "disconnected"
    return "serving" if status.get("state") == "running" else _text(status.get("state"))


def _peer(one: Mapping[str, Any]) -> PeerFacts:
    return PeerFacts(
        name=_text(one.get("node_id")),
        role=_text(one.get("role")),
        mode=_text(one.get("mode")),
        address=f"{_text(one.get('host'))}:{_number(one.get('pg_port'))}",
        http_port=_number(one.get("http_port")),
        state=_text(one.get("state")),
        in_sync=bool(one.get("in_sync")),
        lag_bytes=_maybe_int(one.get("lag_bytes")),
        lag_ms=_maybe(one.get("lag_ms")),
        catch_up_s=_maybe(one.get("catch_up_s")),
        lag_cause=_text(one.get("lag_cause")),
        identical=one.get("identical") if isinstance(one.get("identical"), bool) else None,
        round_trip_ms=_maybe(one.get("round_trip_ms")),
        follows=_text(one.get("follows")),
    )


def _observer(one: Mapping[str, Any]) -> PeerFacts:
    return PeerFacts(
        name=_text(one.get("node_id")),
        role="observer",
        mode="",
        address=f"{_text(one.get('host'))}:{_number(one.get('native_port'))}",
        http_port=_number(one.get("http_port")),
        state=_text(one.get("state")),
        in_sync=bool(one.get("votes")),
        lag_bytes=None,
        lag_ms=None,
        catch_up_s=None,
        lag_cause="",
        identical=None,
        round_trip_ms=None,
        follows="",
    )


def _records(value: object) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _number(value: object) -> int:
    return int(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else 0


def _maybe(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _maybe_int(value: object) -> int | None:
    return None if (found := _maybe(value)) is None else int(found)


def _lsn(value: object) -> int:
    try:
        return int(Lsn.parse(value)) if isinstance(value, str) else _number(value)
    except ValueError:
        return 0
