"""The gauges and counters of replication: what an operator sets alarms on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from helios_cli.engine.observe.metrics import Registry, Sample
from helios_cli.engine.replication.relations import followers
from helios_cli.engine.replication.view import ClusterView, NodeView

if TYPE_CHECKING:
    from helios_cli.engine.node.replication import Replication

ROLES: Final = ("standalone", "primary", "standby")


SEEN_S: Final = 0.05
"""The metrics of one scrape share a view, which with many standbys is not free."""

Read = Callable[[ClusterView], float]

_COUNTERS: Final[dict[str, tuple[str, Read]]] = {
    "heliosdb_replication_sent_bytes_total": ("Bytes of log sent to standbys.", lambda view: view.bytes_sent),
    "heliosdb_replication_sent_records_total": ("Records sent to standbys.", lambda view: view.records_sent),
    "heliosdb_replication_received_bytes_total": ("Bytes of log received.", lambda view: view.bytes_received),
    "heliosdb_replication_applied_records_total": ("Records applied.", lambda view: view.records_applied),
    "heliosdb_replication_reconnects_total": (
        "Connections with other nodes made again.",
        lambda view: view.counters.reconnects,
    ),
}

_GAUGES: Final[dict[str, tuple[str, Read]]] = {
    "heliosdb_standbys_connected": (
        "Standbys with a stream from this node.",
        lambda view: sum(1 for node in followers(view) if node.connected),
    ),
    "heliosdb_in_sync_nodes": (
        "Nodes whose copies count for the mode, the primary among them.",
        lambda view: sum(1 for node in view.nodes if node.in_sync),
    ),
    "heliosdb_durability_gaps_open": (
        "Nodes that the cluster goes on without although its mode wants their copies.",
        lambda view: sum(1 for gap in view.gaps if gap.to_lsn is None),
    ),
    "heliosdb_upstream_connected": (
        "1 while a standby has a stream from the node that it follows; 1 on a primary.",
        lambda view: float(view.upstream is None or view.upstream.streaming),
    ),
    "heliosdb_replication_lag_bytes": (
        "Bytes of log that this node knows of and has not applied; 0 on a primary.",
        lambda view: view.local.lag_bytes,
    ),
    "heliosdb_replication_lag_seconds": (
        "Age of the newest thing that this node lacks, or since when it has heard nothing; 0 on a primary.",
        lambda view: view.local.lag_ms / 1000,
    ),
}

_STANDBY_GAUGES: Final[dict[str, tuple[str, bool, Callable[[NodeView], float]]]] = {
    "heliosdb_standby_connected": (
        "1 while the standby has a stream from this node.",
        False,
        lambda node: float(node.connected),
    ),
    "heliosdb_standby_in_sync": (
        "1 while the standby's copies count for the mode.",
        False,
        lambda node: float(node.in_sync),
    ),
    "heliosdb_standby_lag_bytes": ("Bytes of log that the standby has not applied.", True, lambda node: node.lag_bytes),
    "heliosdb_standby_lag_seconds": (
        "Age of the newest thing that the standby lacks.",
        True,
        lambda node: node.lag_ms / 1000,
    ),
}
"""Text, whether it is left out while the lag is not known, and what to read."""


class _Seen:
    """The node's view, made anew for each scrape."""

    def __init__(self, replication: Replication) -> None:
        self._replication = replication
        self._view: ClusterView | None = None
        self._at = 0.0

    def __call__(self) -> ClusterView:
        now = self._replication.now()
        if self._view is None or now - self._at > SEEN_S:
            self._view, self._at = self._replication.view(), now
        return self._view


def register_cluster_metrics(registry: Registry, replication: Replication) -> None:
    """Let the scrape read the node's view of its cluster."""
    seen = _Seen(replication)
    for name, (text, read) in _COUNTERS.items():
        registry.observe("counter", name, text, _number(seen, read))
    for name, (text, read) in _GAUGES.items():
        registry.observe("gauge", name, text, _number(seen, read))
    for name, (kind, text, measure) in replication.authority.metrics().items():
        registry.observe(kind, name, text, measure)
    role = "1 for the role that the node has, 0 for the others."
    registry.observe("gauge", "heliosdb_role", role, lambda: _roles(seen()), ("role",))
    for name, (text, needs_lag, of_node) in _STANDBY_GAUGES.items():
        registry.observe("gauge", name, text, _of_standbys(seen, needs_lag, of_node), ("standby",))


def _number(seen: _Seen, read: Read) -> Callable[[], float]:
    return lambda: read(seen())


def _roles(view: ClusterView) -> list[Sample]:
    return [((role,), float(role == view.local.role)) for role in ROLES]


def _of_standbys(seen: _Seen, needs_lag: bool, read: Callable[[NodeView], float]) -> Callable[[], Iterable[Sample]]:
    return lambda: [((node.node_id,), read(node)) for node in followers(seen()) if node.lag_known or not needs_lag]
