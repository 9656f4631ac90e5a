"""What the nodes of a cluster are and say, asked all at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from helios_cli.commands import _http
from helios_cli.commands.local import faces, processes
from helios_cli.commands.local.clusterfile import LocalCluster, LocalNode, LocalProxy
from helios_cli.engine.errors import HeliosError
from helios_cli.engine.remote.errors import HostError
from helios_cli.engine.types import Lsn

ASK_S: Final = 2.0
STREAMING: Final = ("streaming", "catchup", "observing")


@dataclass(frozen=True, slots=True)
class Observation:
    """One node, seen from outside."""

    node: LocalNode
    process: processes.Process | None
    state: str
    """``streaming``, ``catchup``, ``disk_full``, ``blocked``, ``silent``, ``disconnected`` of a standby; ``observing``
    or ``disconnected`` of an observer; of a primary ``serving``, or ``lapsed`` while its lease is over; else
    ``starting`` (a process without an answer), ``frozen``, ``down``, or ``unreachable`` where neither
    host nor node answer."""
    status: Mapping[str, Any]
    """The answer of /status; empty without one."""
    problem: HostError | None = None
    """Why its host could not be asked; what the node itself says is known all the same, when it answers."""

    @property
    def role(self) -> str:
        """What it says it is; what it was made as while it does not answer."""
        return str(self.status.get("role") or self.node.role)

    @property
    def leads(self) -> bool:
        """Whether it says that it is the primary (or alone)."""
        return self.status.get("role") in ("primary", "standalone")

    @property
    def waits(self) -> str:
        """Why one that says it leads takes no writes, or does not acknowledge them; empty when it does."""
        reason = str(self.status.get("read_only_reason") or "") if self.leads else ""
        return reason.removeprefix(f"{self.role}: ")

    @property
    def term(self) -> int:
        """The newest term it knows; 0 without an answer."""
        return int(self.status.get("term") or 0)

    @property
    def flushed(self) -> Lsn:
        """Where its log is safe; 0 without an answer."""
        return lsn_of(self.status.get("flushed_lsn"))

    @property
    def committed(self) -> Lsn:
        """What it shows to readers; 0 without an answer."""
        return lsn_of(self.status.get("committed_lsn"))

    @property
    def alarms(self) -> list[str]:
        """What somebody has to look after, and what to do."""
        return [str(text) for text in self.status.get("alarms") or ()]

    @property
    def checksum(self) -> str:
        """Of its database at the end of what it has applied; empty without an answer."""
        return str(self.status.get("database_checksum") or "")


@dataclass(frozen=True, slots=True)
class ProxyObservation:
    """The proxy, seen from outside."""

    proxy: LocalProxy
    process: processes.Process | None
    state: str
    """``serving``; ``waiting`` for a primary or the end of a pause; else ``starting``, ``frozen``, ``down``, or
    ``unreachable`` where its host is."""
    reason: str = ""
    """Why it waits."""


def lsn_of(value: object) -> Lsn:
    """An LSN as JSON has it, text or number; 0 for anything else."""
    try:
        return Lsn.parse(value) if isinstance(value, str) else Lsn(value if isinstance(value, int) else 0)
    except ValueError:
        return Lsn(0)


def observe(cluster: LocalCluster, timeout_s: float = ASK_S) -> list[Observation]:
    """All nodes, in the order of the file."""
    with ThreadPoolExecutor(max_workers=min(32, len(cluster.nodes))) as pool:
        return list(pool.map(lambda node: observe_node(cluster, node, timeout_s), cluster.nodes))


def observe_node(cluster: LocalCluster, node: LocalNode, timeout_s: float = ASK_S) -> Observation:
    """One node."""
    try:
        process = processes.find(cluster, node)
        if process is None:
            return Observation(node, None, "down", {})
        if process.state == "frozen":
            return Observation(node, process, "frozen", {})
    except HostError as error:
        return _without_host(cluster, node, timeout_s, error)
    body = _status(cluster, node, timeout_s)
    return (
        Observation(node, process, "starting", {}) if body is None else Observation(node, process, _state(body), body)
    )


def _without_host(cluster: LocalCluster, node: LocalNode, timeout_s: float, error: HostError) -> Observation:
    """A node whose host does not answer, and which may run all the same."""
    body = _status(cluster, node, timeout_s)
    if body is None:
        return Observation(node, None, "unreachable", {}, error)
    return Observation(node, None, _state(body), body, error)


def _status(cluster: LocalCluster, node: LocalNode, timeout_s: float) -> Mapping[str, Any] | None:
    """The answer of /status; None without one."""
    try:
        answer = _http.get(faces.http_address(cluster, node), "/status", timeout_s)
    except HeliosError:
        answer = None
    return answer.body if answer is not None and answer.status == 200 and isinstance(answer.body, dict) else None


def observe_proxy(cluster: LocalCluster, timeout_s: float = ASK_S) -> ProxyObservation | None:
    """The proxy; None when the cluster has none."""
    proxy = cluster.proxy
    if proxy is None:
        return None
    try:
        process = processes.find(cluster, proxy)
        if process is None or (state := process.state) != "running":
            return ProxyObservation(proxy, process, "down" if process is None else state)
    except HostError as error:
        return ProxyObservation(proxy, None, "unreachable", error.message)
    try:
        answer = _http.get(_http.Address(cluster.asked_at(proxy), proxy.admin_port), "/ready", timeout_s)
    except HeliosError:
        return ProxyObservation(proxy, process, "starting")
    body = answer.body if isinstance(answer.body, dict) else {}
    return ProxyObservation(
        proxy, process, "serving" if answer.status == 200 else "waiting", str(body.get("reason") or "")
    )


def _state(status: Mapping[str, Any]) -> str:
    if status.get("role") == "observer":
        return "observing" if status.get("reaches_primary") else "disconnected"
    if status.get("role") != "standby":
        serves = "serving" if status.get("leads", True) else "lapsed"
        return serves if status.get("state") == "running" else str(status.get("state"))
    return str((local_view(status) or {}).get("state") or "disconnected")


def local_view(status: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What a node's record says of the node itself as a member of its cluster."""
    cluster = status.get("cluster")
    nodes = cluster.get("nodes") if isinstance(cluster, dict) else None
    return nodes[0] if nodes else None


def members(one: Observation) -> Sequence[Mapping[str, Any]]:
    """What a node says of the data nodes of its cluster; empty without an answer."""
    return (one.status.get("cluster") or {}).get("nodes") or ()


def primary_of(seen: Sequence[Observation]) -> Observation | None:
    """Who leads: of several that say so, the one of the newest term; None when nobody does."""
    return max((one for one in seen if one.leads), key=lambda one: one.term, default=None)


def lag_bytes(one: Observation, primary: Observation | None) -> int | None:
    """Log that the primary has and a node does not show yet; None when one of them does not answer, or holds none."""
    if primary is None or not one.status or one.node.is_observer:
        return None
    return max(0, primary.flushed - one.committed)


def healthy(seen: Sequence[Observation], proxy: ProxyObservation | None = None) -> bool:
    """Whether one primary leads, every other node streams, and the proxy serves where there is one."""
    serves = proxy is None or proxy.state == "serving"
    return serves and primary_of(seen) is not None and not lacking(seen)


def is_paused(seen: Sequence[Observation]) -> bool:
    """Whether automatic failover is suspended, as the node of the newest term knows it."""
    known = max((one for one in seen if one.status.get("cluster")), key=lambda one: one.term, default=None)
    return known is not None and bool(known.status["cluster"].get("paused"))


def lacking(seen: Sequence[Observation], only: Sequence[Observation] | None = None) -> list[str]:
    """Each node, of all or of ``only``, that is not as it should be, and how it is."""
    primary = primary_of(seen)
    wanted = ((one, ("serving",) if one is primary else STREAMING) for one in (seen if only is None else only))
    return [f"{one.node.name} is {one.state}" for one, fine in wanted if one.state not in fine]
