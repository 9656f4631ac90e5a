"""What a proxy tells of itself, as plain values: of one process, or of all its workers together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec


class NodeRow(msgspec.Struct):
    """One node, as it is seen now."""

    name: str
    host: str
    port: int
    role: str
    """``primary``, ``standby``, ``deposed``, or empty before it has been heard."""
    state: str
    """``healthy``, ``unhealthy``, ``draining``, ``disabled``."""
    enabled: bool
    weight: int
    term: int
    lsn: str
    lag_bytes: int
    lag_ms: float
    latency_ms: float
    active: int
    """Backends that a client has."""
    backends: int
    is_heliosdb: bool
    reason: str
    """Why it is unhealthy; empty else."""


class PoolRow(msgspec.Struct):
    """The backends of one node, user and database."""

    node: str
    user: str
    database: str
    mode: str
    size: int
    active: int
    idle: int
    opening: int
    waiting: int
    """Clients in its queue."""
    wait_ms: float
    """How long the first of them has been there."""


class ClientRow(msgspec.Struct):
    """One session."""

    id: int
    user: str
    database: str
    application_name: str
    address: str
    tls: bool
    state: str
    """``idle``, ``active``, ``waiting`` for a backend or a node, ``transaction``: idle in one."""
    node: str
    """Whose backend it has; empty for none."""
    pinned: str
    """Why it keeps it; empty else."""
    age_s: float
    idle_s: float
    """Since it last sent something; 0 unless it is idle."""
    statements: int
    """Units: what was sent until an answer was awaited."""


class ServerRow(msgspec.Struct):
    """One backend."""

    node: str
    user: str
    database: str
    state: str
    """``active``, ``idle``, ``kept``: a client has it and asks nothing."""
    address: str
    pid: int
    client: int
    """Which client has it; 0 for none."""
    prepared: int
    """Statements that are prepared there."""
    idle_s: float


class Spread(msgspec.Struct):
    """Times by their length: one count for each bound and a last one for what exceeds them all."""

    counts: list[int] = []
    total: float = 0.0


class Units(msgspec.Struct):
    """Units that one node has answered."""

    node: str
    reads: int
    writes: int


class Figures(msgspec.Struct):
    """All of it. Clients and servers are there only when they were asked for."""

    workers: int = 1
    uptime_s: float = 0.0
    paused: bool = False
    stopping: bool = False
    counts: dict[str, int] = {}
    """What was counted since the start, by name."""
    states: dict[str, int] = {}
    """Likewise, what there is now."""
    stall_max_s: float = 0.0
    stall_recent_s: float = 0.0
    waited: Spread = msgspec.field(default_factory=Spread)
    """How long units waited for a node or a backend, of those that had to."""
    loop: Spread = msgspec.field(default_factory=Spread)
    """How late the event loop ran its timers."""
    units: list[Units] = []
    nodes: list[NodeRow] = []
    pools: list[PoolRow] = []
    clients: list[ClientRow] = []
    servers: list[ServerRow] = []


_GRAVITY: Final = ("unhealthy", "disabled", "draining", "healthy")
"""Of what two workers say of a node the first counts."""


def merge(parts: Sequence[Figures]) -> Figures:
    """The figures of all workers as those of one proxy: counts are added, of states the worst is told."""
    if len(parts) == 1:
        return parts[0]
    return Figures(
        workers=sum(part.workers for part in parts),
        uptime_s=max((part.uptime_s for part in parts), default=0.0),
        paused=any(part.paused for part in parts),
        stopping=any(part.stopping for part in parts),
        counts=_added([part.counts for part in parts]),
        states=_added([part.states for part in parts]),
        stall_max_s=max((part.stall_max_s for part in parts), default=0.0),
        stall_recent_s=max((part.stall_recent_s for part in parts), default=0.0),
        waited=_joined([part.waited for part in parts]),
        loop=_joined([part.loop for part in parts]),
        units=_units(parts),
        nodes=_nodes(parts),
        pools=_pools(parts),
        clients=[row for part in parts for row in part.clients],
        servers=[row for part in parts for row in part.servers],
    )


def _added(tables: Sequence[dict[str, int]]) -> dict[str, int]:
    names = dict.fromkeys(name for table in tables for name in table)
    return {name: sum(table.get(name, 0) for table in tables) for name in names}


def _joined(spreads: Sequence[Spread]) -> Spread:
    length = max((len(spread.counts) for spread in spreads), default=0)
    counts = [sum(one.counts[at] for one in spreads if at < len(one.counts)) for at in range(length)]
    return Spread(counts, sum(spread.total for spread in spreads))


def _units(parts: Sequence[Figures]) -> list[Units]:
    found: dict[str, Units] = {}
    for row in [row for part in parts for row in part.units]:
        known = found.setdefault(row.node, Units(row.node, 0, 0))
        known.reads += row.reads
        known.writes += row.writes
    return list(found.values())


def _nodes(parts: Sequence[Figures]) -> list[NodeRow]:
    found: dict[str, NodeRow] = {}
    for row in [row for part in parts for row in part.nodes]:
        known = found.get(row.name)
        if known is None:
            found[row.name] = msgspec.structs.replace(row)
            continue
        active, backends = known.active + row.active, known.backends + row.backends
        if _GRAVITY.index(row.state) < _GRAVITY.index(known.state):
            known = found[row.name] = msgspec.structs.replace(row)
        known.active, known.backends = active, backends
    return list(found.values())


def _pools(parts: Sequence[Figures]) -> list[PoolRow]:
    found: dict[tuple[str, str, str], PoolRow] = {}
    for row in [row for part in parts for row in part.pools]:
        key = (row.node, row.user, row.database)
        known = found.get(key)
        if known is None:
            found[key] = msgspec.structs.replace(row)
            continue
        known.size += row.size
        known.active += row.active
        known.idle += row.idle
        known.opening += row.opening
        known.waiting += row.waiting
        known.wait_ms = max(known.wait_ms, row.wait_ms)
    return list(found.values())


def stats(figures: Figures) -> list[tuple[str, int | float]]:
    """Everything that is one number: what was counted ends in ``_total``, the rest is a state of now."""
    rows: list[tuple[str, int | float]] = [
        ("workers", figures.workers),
        ("uptime_s", round(figures.uptime_s, 1)),
        ("paused", int(figures.paused)),
        *figures.states.items(),
        ("nodes", len(figures.nodes)),
        ("nodes_healthy", sum(row.state == "healthy" for row in figures.nodes)),
        ("backends", sum(row.size for row in figures.pools)),
        ("backends_idle", sum(row.idle for row in figures.pools)),
        ("clients_queued", sum(row.waiting for row in figures.pools)),
        ("waited_seconds_total", round(figures.waited.total, 3)),
        ("loop_stall_max_s", round(figures.stall_max_s, 6)),
        ("loop_stall_recent_s", round(figures.stall_recent_s, 6)),
    ]
    rows += [(f"{name}_total", value) for name, value in figures.counts.items()]
    for units in figures.units:
        rows += [(f"reads_{units.node}_total", units.reads), (f"writes_{units.node}_total", units.writes)]
    return rows


def health(figures: Figures) -> str | None:
    """None while the proxy serves, else why it does not."""
    if figures.stopping:
        return "the proxy is stopping"
    if not figures.workers:
        return "no worker of the proxy answers"
    if any(row.state == "healthy" for row in figures.nodes):
        return None
    if not figures.nodes:
        return "no node is known"
    return "no node can be reached: " + "; ".join(f"{row.name} is {_told(row)}" for row in figures.nodes)


def ready(figures: Figures) -> str | None:
    """None while writes have somewhere to go, else why they do not."""
    reason = health(figures)
    if reason is not None:
        return reason
    if figures.paused:
        return "the proxy is paused"
    if any(row.state == "healthy" and row.role == "primary" for row in figures.nodes):
        return None
    return "there is no primary: " + "; ".join(f"{row.name} is {_told(row)}" for row in figures.nodes)


def _told(row: NodeRow) -> str:
    parts = [part for part in (row.state, f"a {row.role}" if row.role else "", row.reason) if part]
    return ", ".join(parts)
