"""What there is to tell of one proxy process, as it is now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import psutil

from helios_cli.engine.observe.metrics import Histogram
from helios_cli.engine.proxy.figures import ClientRow, Figures, NodeRow, PoolRow, ServerRow, Spread, Units
from helios_cli.engine.proxyserver.sending import IDLE
from helios_cli.engine.types import Lsn

if TYPE_CHECKING:
    from helios_cli.engine.proxyserver.backend import Backend
    from helios_cli.engine.proxyserver.client import Client
    from helios_cli.engine.proxyserver.login import Entrance
    from helios_cli.engine.proxyserver.node import Node
    from helios_cli.engine.proxyserver.pool import Pool
    from helios_cli.engine.proxyserver.proxy import Proxy

_PROCESS: Final = psutil.Process()


def survey(proxy: Proxy, entrance: Entrance | None = None, *, clients: bool = False, servers: bool = False) -> Figures:
    """The figures of a process, in time that grows with its clients only where they are asked for."""
    monitor, counts = proxy.monitor, proxy.stats
    pools = list(proxy.pools)
    backends: dict[Node, int] = {}
    for pool in pools:
        backends[pool.node] = backends.get(pool.node, 0) + pool.size
    return Figures(
        uptime_s=proxy.loop.time() - proxy.began_at,
        paused=proxy.paused,
        stopping=proxy.ending or proxy.stopping,
        counts=counts.totals() | _at_the_entrance(entrance),
        states={
            "clients": len(proxy.clients),
            "logins": len(entrance.logins) if entrance is not None else 0,
            "memory_bytes": _PROCESS.memory_info().rss,
        },
        stall_max_s=monitor.worst_s,
        stall_recent_s=monitor.recent_s,
        waited=_spread(counts.waited),
        loop=_spread(monitor.lag),
        units=[Units(name, reads, writes) for name, (reads, writes) in counts.by_node.items()],
        nodes=[_node(node, backends.get(node, 0)) for node in proxy.cluster.nodes.values()],
        pools=[_pool(pool) for pool in pools if pool.size or pool.waiting],
        clients=[_client(client) for client in tuple(proxy.clients.values())] if clients else [],
        servers=[_server(backend) for pool in pools for backend in tuple(pool.all)] if servers else [],
    )


def _at_the_entrance(entrance: Entrance | None) -> dict[str, int]:
    if entrance is None:
        return {}
    return {"failed_logins": entrance.failed_logins, "refused_clients": entrance.refused_clients}


def _spread(times: Histogram) -> Spread:
    return Spread(list(times.counts), times.total)


def _node(node: Node, backends: int) -> NodeRow:
    return NodeRow(
        node.name, node.host, node.port, node.role, node.state.value, node.is_enabled, node.weight, node.term,
        str(Lsn(node.lsn)), node.lag_bytes, round(node.lag_ms, 3), round(node.latency_s * 1000, 3), node.active,
        backends, node.is_heliosdb, node.reason if node.state.value == "unhealthy" else "",
    )  # fmt: skip


def _pool(pool: Pool) -> PoolRow:
    waits_since = getattr(pool.waiting[0], "waits_since", 0.0) if pool.waiting else 0.0
    wait_s = pool.proxy.loop.time() - waits_since if waits_since else 0.0
    return PoolRow(
        pool.node.name, pool.user, pool.database, pool.proxy.settings.pool_mode, pool.size,
        len(pool.all) - len(pool.idle), len(pool.idle), pool.connecting, len(pool.waiting), round(wait_s * 1000, 1),
    )  # fmt: skip


def _client(client: Client) -> ClientRow:
    now, backend = client.proxy.loop.time(), client.backend
    if client.waits_since:
        state = "waiting"
    elif client.unit is not None:
        state = "active"
    else:
        state = "idle" if client.status == IDLE else "transaction"
    name = client.told.get("application_name") or client.parameters.get("application_name", "")
    return ClientRow(
        client.pid, client.user, client.database, name, client.shown_address,
        client.transport.get_extra_info("ssl_object") is not None, state,
        backend.node.name if backend is not None else "", ", ".join(sorted(client.pins)),
        round(now - client.began_at, 3), round(now - client.asked_at, 3) if client.unit is None else 0.0, client.units,
    )  # fmt: skip


def _server(backend: Backend) -> ServerRow:
    pool, client = backend.pool, backend.client
    state = "idle" if not backend.held else "active" if backend.busy else "kept"
    return ServerRow(
        pool.node.name, pool.user, pool.database, state, f"{pool.node.host}:{pool.node.port}", backend.pid,
        getattr(client, "pid", 0), len(backend.statements.known),
        0.0 if backend.held else round(pool.proxy.loop.time() - backend.idle_since, 3),
    )  # fmt: skip
