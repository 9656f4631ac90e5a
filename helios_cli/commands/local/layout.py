"""Which processes a new cluster gets: names, modes and ports."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator, Sequence
from typing import Final

from helios_cli.commands.local import machines
from helios_cli.commands.local.clusterfile import HOST, LocalCluster, LocalNode, LocalProxy, Member
from helios_cli.engine.errors import HeliosError
from helios_cli.engine.observe.machine import port_use
from helios_cli.engine.remote.machine import together

PG_PORT: Final = 5432
HTTP_PORT: Final = 8080
PROXY_PORT: Final = 5400
ADMIN_PORT: Final = 9090
FREE_FROM: Final = 15400
"""Where free ports are looked for: below what systems give to clients' own ends."""

RANGE: Final = 100
"""Free ports are looked for in ranges of so many."""

NAMED_MAX: Final = 3
"""Of ports that are taken so many are named."""

STEP: Final = 10
"""From the PostgreSQL port of one node to that of the next."""


STRICTEST: Final = ("sync", "quorum", "semi-sync", "async")
"""Of several classes of standbys the first of these is the mode of their cluster."""


def standby_modes(count: int, mode: str | None) -> list[str]:
    """Classes of ``count`` standbys: all of ``mode``; without one the first is sync and the others are async."""
    return [mode or ("sync" if number == 0 else "async") for number in range(count)]


def ports_of(number: int, base: int | None) -> tuple[int, int, int]:
    """PostgreSQL, native and HTTP port of the node ``number``, from 0.

    Without a base: 5432/5433/8080, 5442/5443/8081, 5452/5453/8082, ... With one all three lie side by side.
    """
    if base is None:
        return PG_PORT + STEP * number, PG_PORT + 1 + STEP * number, HTTP_PORT + number
    return base + STEP * number, base + STEP * number + 1, base + STEP * number + 2


def new_nodes(
    count: int, mode: str | None, base: int | None, observers: int = 0, modes: Sequence[str] = ()
) -> tuple[LocalNode, ...]:
    """A primary and ``count - 1`` standbys, and observers behind them.

    ``modes``: the class of each standby; the primary's is ``mode``, else the strictest of theirs.
    """
    own_mode = mode or next((one for one in STRICTEST if one in modes), "sync")
    nodes = [LocalNode("primary", "primary", own_mode, *ports_of(0, base))]
    for number, own in enumerate(modes or standby_modes(count - 1, mode), 1):
        nodes.append(LocalNode(standby_name(own, nodes), "standby", own, *ports_of(number, base)))
    for number in range(observers):
        name = "observer" if number == 0 else f"observer-{number + 1}"
        nodes.append(LocalNode(name, "observer", "", 0, *ports_of(count + number, base)[1:]))
    return tuple(nodes)


def new_proxy(before: int, base: int | None) -> LocalProxy:
    """The proxy of a new cluster: 5400 and 9090; with a base behind the ports of ``before`` nodes."""
    if base is None:
        return LocalProxy(PROXY_PORT, ADMIN_PORT)
    return LocalProxy(*ports_of(before, base)[:2])


@contextlib.contextmanager
def free_base(processes: int) -> Iterator[int]:
    """The first base from :data:`FREE_FROM` on that gives only free ports to so many processes.

    Nobody else is given it before the context ends: by then the processes should listen.

    Raises:
        HeliosError: there is none.
    """
    for base in range(FREE_FROM, 65536 - STEP * processes, RANGE):
        with contextlib.ExitStack() as claimed:
            if all(_claim(claimed, first) for first in range(base, base + STEP * processes, RANGE)) and all(
                port_use(HOST, port).free for number in range(processes) for port in ports_of(number, base)
            ):
                yield base
                return
    raise HeliosError("there are no free ports for a cluster", hint="Name the first one with --base-port.")


def _claim(claimed: contextlib.ExitStack, first: int) -> bool:
    """Claim the range of ports from ``first`` on; False when somebody has it.

    The claim is a name without a file in the network namespace, as ports are; it ends with its process at the latest.
    """
    claim = claimed.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
    try:
        claim.bind(f"\0heliosdb-nano/ports/{first}")
    except OSError:
        return False
    return True


def standby_name(mode: str, taken: Sequence[LocalNode]) -> str:
    """``standby-sync``, and ``standby-sync-2`` when that is taken."""
    names = {one.name for one in taken}
    first = f"standby-{mode}"
    return first if first not in names else next(
        name for number in range(2, len(names) + 3) if (name := f"{first}-{number}") not in names
    )  # fmt: skip


def free_ports_after(nodes: Sequence[LocalNode]) -> tuple[int, int, int]:
    """Ports for one more node, in the manner of those that are there, and free.

    Raises:
        HeliosError: there are none up to 65535.
    """
    taken = {port for one in nodes for port in one.ports.values()}
    last = max(nodes, key=lambda one: one.native_port)
    pg, native, http = last.native_port - 1 if last.is_observer else last.pg_port, last.native_port, last.http_port
    beside = http == native + 1
    while True:
        pg, native, http = pg + STEP, native + STEP, http + (STEP if beside else 1)
        if max(pg, native, http) > 65535:
            raise HeliosError(
                "there are no free ports for another node", hint="Give --pg-port, --native-port, --http-port."
            )
        if not taken & {pg, native, http} and all(port_use(HOST, port).free for port in (pg, native, http)):
            return pg, native, http


def proxy_after(nodes: Sequence[LocalNode]) -> LocalProxy:
    """A proxy for nodes that are there, on free ports behind theirs. Raises what :func:`free_ports_after` raises."""
    return LocalProxy(*free_ports_after(nodes)[:2])


def refuse_used_ports(cluster: LocalCluster, members: Sequence[Member], hint: str) -> None:
    """Raise when somebody listens on a port of these processes.

    Raises:
        HeliosError: 55006; the message names the first of these ports and their holders. HostError: a host cannot be
            reached.
    """
    used = [
        f"{face} port {port} of {one.name} is held by {use.holder}"
        for one in members
        if not one.host
        for face, port in one.ports.items()
        if not (use := port_use(HOST, port)).free
    ]
    for found in together(lambda one: _used_there(cluster, one), [one for one in members if one.host]):
        used += found
    if used:
        more = f"; and {len(used) - NAMED_MAX} ports more" if len(used) > NAMED_MAX else ""
        raise HeliosError("; ".join(used[:NAMED_MAX]) + more, sqlstate="55006", hint=hint)


def _used_there(cluster: LocalCluster, member: Member) -> list[str]:
    """The ports of something on a host that somebody holds there, in words."""
    address = machines.listens_on(cluster, member)
    wanted = [[address, port] for port in member.ports.values()]
    used = machines.of(cluster, member).ask("used_ports", wanted)
    return [
        f"{face} port {port} of {member.name} is held by another process of {member.host}"
        for face, port in member.ports.items() if port in used
    ]  # fmt: skip


def host_for_one_more(cluster: LocalCluster) -> str:
    """Where another node goes: the host with the fewest nodes; empty, this machine, where all of it runs here."""
    if not any(one.host for one in cluster.nodes):
        return ""
    return min((one.name for one in cluster.hosts), key=lambda name: sum(node.host == name for node in cluster.nodes))
