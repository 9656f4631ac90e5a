"""Which nodes a new cluster gets: names, modes and ports."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from helios_cli.commands.local.clusterfile import HOST, LocalNode
from helios_cli.engine.errors import HeliosError
from helios_cli.engine.observe.machine import port_use

PG_PORT: Final = 5432
HTTP_PORT: Final = 8080
STEP: Final = 10
"""From the PostgreSQL port of one node to that of the next."""


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


def new_nodes(count: int, mode: str | None, base: int | None, observers: int = 0) -> tuple[LocalNode, ...]:
    """A primary and ``count - 1`` standbys, and observers behind them."""
    nodes = [LocalNode("primary", "primary", mode or "sync", *ports_of(0, base))]
    for number, own in enumerate(standby_modes(count - 1, mode), 1):
        nodes.append(LocalNode(standby_name(own, nodes), "standby", own, *ports_of(number, base)))
    for number in range(observers):
        name = "observer" if number == 0 else f"observer-{number + 1}"
        nodes.append(LocalNode(name, "observer", "", 0, *ports_of(count + number, base)[1:]))
    return tuple(nodes)


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


def refuse_used_ports(nodes: Sequence[LocalNode], hint: str) -> None:
    """Raise when somebody listens on a port of these nodes.

    Raises:
        HeliosError: 55006; the message names each port and its holder.
    """
    used = [
        f"{face} port {port} of {one.name} is held by {use.holder}"
        for one in nodes
        for face, port in one.ports.items()
        if not (use := port_use(HOST, port)).free
    ]
    if used:
        raise HeliosError("; ".join(used), sqlstate="55006", hint=hint)
