"""The proxy's figures as Prometheus text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from helios_cli.engine.observe.metrics import SECONDS, Histogram, Reading, Registry
from helios_cli.engine.observe.process import register_process_metrics
from helios_cli.engine.proxy.figures import Figures, NodeRow, PoolRow, Spread
from helios_cli.engine.proxyserver.counts import WAITED_S
from helios_cli.engine.types import Lsn

_COUNTS: Final = {
    "sessions": "Sessions that have begun.",
    "errors": "Units that were answered with an error.",
    "waits": "Units that waited for a node.",
    "timeouts": "Units that waited for a node in vain.",
    "lost": "Units whose node was lost while it had them.",
    "repeated": "Units that were sent again.",
    "asked": "Outcomes that were asked after.",
    "unknown": "Units whose outcome nobody knows (08007).",
    "replayed": "Blocks that were run again on another primary.",
    "replays_failed": "Blocks that could not be run again (40001).",
    "differed": "Answers that were cut and came out otherwise elsewhere (40001).",
    "failed_logins": "Logins that failed.",
    "refused_clients": "Clients that were refused because there were max_clients.",
}

Samples = list[tuple[tuple[str, ...], float]]


class Exposition:
    """Renders figures; one for the process."""

    def __init__(self) -> None:
        self._figures = Figures()
        self._registry = registry = Registry()
        register_process_metrics(registry)
        self._waited = registry.histogram(
            "heliosdb_proxy_wait_seconds", "How long units waited for a node or a backend, if they had to.", WAITED_S
        )
        self._loop = registry.histogram("heliosdb_loop_lag_seconds", "How late the event loop ran its timers.", SECONDS)
        for name, told in _COUNTS.items():
            self._count(name, told)
        self._states()
        self._units()
        self._nodes()
        self._pools()

    def render(self, figures: Figures) -> str:
        """The whole text."""
        self._figures = figures
        _fill(self._waited, figures.waited)
        _fill(self._loop, figures.loop)
        return self._registry.render()

    def _count(self, name: str, told: str) -> None:
        self._registry.observe(
            "counter", f"heliosdb_proxy_{name}_total", told, lambda: self._figures.counts.get(name, 0)
        )

    def _states(self) -> None:
        states: dict[str, tuple[str, Callable[[], float]]] = {
            "heliosdb_proxy_clients": ("Sessions now.", lambda: self._figures.states.get("clients", 0)),
            "heliosdb_proxy_logins": ("Connections that log in.", lambda: self._figures.states.get("logins", 0)),
            "heliosdb_proxy_memory_bytes": (
                "Resident memory of all processes that serve.", lambda: self._figures.states.get("memory_bytes", 0),
            ),
            "heliosdb_proxy_workers": ("Processes that serve.", lambda: self._figures.workers),
            "heliosdb_proxy_paused": ("1 while it is paused.", lambda: int(self._figures.paused)),
            "heliosdb_loop_stall_max_seconds": (
                "Longest event-loop stall since the start.", lambda: self._figures.stall_max_s,
            ),
            "heliosdb_loop_stall_recent_seconds": (
                "Longest event-loop stall of the last one to two minutes.", lambda: self._figures.stall_recent_s,
            ),
        }  # fmt: skip
        for name, (told, read) in states.items():
            self._registry.observe("gauge", name, told, read)

    def _units(self) -> None:
        def read() -> Samples:
            rows = self._figures.units
            return [
                sample
                for row in rows
                for sample in (((row.node, "read"), row.reads), ((row.node, "write"), row.writes))
            ]

        self._registry.observe(
            "counter", "heliosdb_proxy_units_total", "Units that were answered, by node and class.", read,
            ("node", "class"),
        )  # fmt: skip

    def _nodes(self) -> None:
        def up(row: NodeRow) -> float:
            return int(row.state == "healthy")

        def state() -> Samples:
            return [((row.name, row.state, row.role), 1) for row in self._figures.nodes]

        self._registry.observe(
            "gauge", "heliosdb_proxy_node_state", "1 for the state and role that the node has now.", state,
            ("node", "state", "role"),
        )  # fmt: skip
        told: dict[str, tuple[str, Callable[[NodeRow], float]]] = {
            "up": ("1 while the node is healthy.", up),
            "primary": ("1 for the primary.", lambda row: int(row.role == "primary")),
            "term": ("Its term, or its timeline.", lambda row: row.term),
            "lsn_bytes": ("How far it is.", lambda row: int(Lsn.parse(row.lsn))),
            "lag_bytes": ("How far it is behind the primary.", lambda row: row.lag_bytes),
            "lag_seconds": ("Likewise, as time.", lambda row: row.lag_ms / 1000),
            "latency_seconds": ("Its answering time, smoothed.", lambda row: row.latency_ms / 1000),
            "active": ("Backends that a client has.", lambda row: row.active),
            "backends": ("Backends, those that log in included.", lambda row: row.backends),
        }
        for name, (text, read) in told.items():
            self._registry.observe(
                "gauge", f"heliosdb_proxy_node_{name}", text,
                lambda read=read: [((row.name,), read(row)) for row in self._figures.nodes], ("node",),  # type: ignore[misc]
            )  # fmt: skip

    def _pools(self) -> None:
        def samples(read: Callable[[PoolRow], float]) -> Reading:
            return [((row.node, row.user, row.database), read(row)) for row in self._figures.pools]

        told: dict[str, tuple[str, Callable[[PoolRow], float]]] = {
            "idle": ("Backends that nobody has.", lambda row: row.idle),
            "active": ("Backends that a client has.", lambda row: row.active),
            "opening": ("Backends that log in.", lambda row: row.opening),
            "waiting": ("Clients that wait for one.", lambda row: row.waiting),
            "wait_seconds": ("How long the first of them has.", lambda row: row.wait_ms / 1000),
        }
        for name, (text, read) in told.items():
            self._registry.observe(
                "gauge", f"heliosdb_proxy_pool_{name}", text,
                lambda read=read: samples(read), ("node", "user", "database"),  # type: ignore[misc]
            )  # fmt: skip


def _fill(histogram: Histogram, spread: Spread) -> None:
    counts = spread.counts or [0] * len(histogram.counts)
    histogram.counts, histogram.total = list(counts), spread.total
