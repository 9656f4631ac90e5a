"""The table of a cluster: for people, for programs, and again and again."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from helios_cli.commands._output import console, fitting, print_json, print_table
from helios_cli.commands.local import observation, partitions
from helios_cli.commands.local.clusterfile import LocalCluster
from helios_cli.commands.local.machines import named
from helios_cli.commands.local.observation import Observation, ProxyObservation
from helios_cli.engine.remote.errors import HostError, HostKeyRefused

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

COLUMNS: Final = ("node", "role", "mode", "state", "term", "ports", "pid", "shown up to", "lag", "checksum")
DROPPABLE: Final = ("shown up to", "term", "checksum", "mode", "pid")
COLOURS: Final = {
    "serving": "green",
    "streaming": "green",
    "observing": "green",
    "catchup": "yellow",
    "starting": "yellow",
    "waiting": "yellow",
    "deposed": "yellow",
    "lapsed": "yellow",
    "frozen": "cyan",
}
WATCH_S: Final = 1.0
PAUSED: Final = "automatic failover is paused: nobody takes a lost primary's place; heliosdb-nano resume ends that"


def record(cluster: LocalCluster, seen: Sequence[Observation], proxy: ProxyObservation | None = None) -> dict[str, Any]:
    """Everything, for programs."""
    primary = observation.primary_of(seen)
    return {
        "cluster": str(cluster.path),
        "primary": primary.node.name if primary else None,
        "healthy": observation.healthy(seen, proxy),
        "paused": observation.is_paused(seen),
        "nodes": [
            {
                "name": one.node.name, "role": _role(one, primary), "mode": one.node.mode,
                "state": _state(one, primary), "term": one.term, "pid": one.process.pid if one.process else None,
                "ports": one.node.ports, "flushed_lsn": one.status.get("flushed_lsn"),
                "committed_lsn": one.status.get("committed_lsn"), "lag_bytes": observation.lag_bytes(one, primary),
                "lag_ms": _lag_ms(one), "database_checksum": one.checksum or None,
                "host": one.node.host or None, "address": cluster.asked_at(one.node),
                "data_dir": named(cluster, one.node, cluster.data_dir(one.node)),
                "log": named(cluster, one.node, cluster.log_file(one.node)), "alarms": one.alarms,
            }
            for one in seen
        ],
        "proxy": _proxy_record(cluster, proxy),
        "cut": partitions.cut_links(cluster),
    }  # fmt: skip


def _proxy_record(cluster: LocalCluster, one: ProxyObservation | None) -> dict[str, Any] | None:
    if one is None:
        return None
    return {
        "name": one.proxy.name, "state": one.state, "reason": one.reason or None,
        "pid": one.process.pid if one.process else None, "ports": one.proxy.ports,
        "config": str(cluster.proxy_file), "log": named(cluster, one.proxy, cluster.log_file(one.proxy)),
        "host": one.proxy.host or None, "address": cluster.asked_at(one.proxy),
    }  # fmt: skip


def columns(seen: Sequence[Observation], proxy: ProxyObservation | None = None) -> tuple[str, ...]:
    """The heads of the table; hosts where there are any."""
    has_hosts = any(one.node.host for one in seen) or (proxy is not None and proxy.proxy.host)
    return (*COLUMNS[:1], "host", *COLUMNS[1:]) if has_hosts else COLUMNS


def rows(seen: Sequence[Observation], proxy: ProxyObservation | None = None) -> list[tuple[object, ...]]:
    """The table, row by row, in the order of :func:`columns`."""
    found = _rows(seen, proxy)
    if len(columns(seen, proxy)) == len(COLUMNS):
        return found
    hosts = [one.node.host for one in seen] + ([proxy.proxy.host] if proxy is not None else [])
    return [(row[0], host, *row[1:]) for row, host in zip(found, hosts, strict=True)]


def _rows(seen: Sequence[Observation], proxy: ProxyObservation | None) -> list[tuple[object, ...]]:
    primary = observation.primary_of(seen)
    found: list[tuple[object, ...]] = [
        (
            one.node.name, _role(one, primary), one.node.mode, _state(one, primary), one.term or "",
            "/".join(map(str, one.node.ports.values())), one.process.pid if one.process else "",
            _shown(one), "" if one is primary else _lag(one, primary), one.checksum[:8],
        )
        for one in seen
    ]  # fmt: skip
    if proxy is not None:
        ports = "/".join(map(str, proxy.proxy.ports.values()))
        pid = proxy.process.pid if proxy.process else ""
        found.append((proxy.proxy.name, "proxy", "", proxy.state, "", ports, pid, "", "", ""))
    return found


def _role(one: Observation, primary: Observation | None) -> str:
    """What it says it is; of one that does not answer what the primary knows of it, else what it was made as."""
    if one.status or primary is None:
        return one.role
    known = next((member for member in observation.members(primary) if member.get("node_id") == one.node.name), {})
    return str(known.get("role") or ("" if one.role == "primary" else one.role))


def _state(one: Observation, primary: Observation | None) -> str:
    """Its state; ``deposed`` where it does not know yet that another leads in a newer term."""
    return "deposed" if one.leads and one is not primary else one.state


def _shown(one: Observation) -> str:
    return str(one.committed) if one.status and not one.node.is_observer else ""


def _lag_ms(one: Observation) -> float | None:
    value = (observation.local_view(one.status) or {}).get("lag_ms")
    return float(value) if isinstance(value, (int, float)) else None


def _lag(one: Observation, primary: Observation | None) -> str:
    lag = observation.lag_bytes(one, primary)
    if lag is None:
        return ""
    ms = _lag_ms(one)
    return size(lag) + (f", {ms:.0f} ms" if lag and ms else "")


def size(count: int) -> str:
    """Bytes for people."""
    if count < 10_000:
        return f"{count} B"
    return f"{count / 1e3:.0f} kB" if count < 10_000_000 else f"{count / 1e6:.0f} MB"


def show(
    cluster: LocalCluster, seen: Sequence[Observation], proxy: ProxyObservation | None = None, *, as_json: bool
) -> None:
    """Print it once."""
    if as_json:
        print_json(record(cluster, seen, proxy))
    elif sys.stdout.isatty():
        console().print(table(cluster, seen, proxy))
    else:
        print_table(columns(seen, proxy), rows(seen, proxy))
    if not as_json:
        for line in remarks(cluster, seen, proxy):
            print(line)


def remarks(cluster: LocalCluster, seen: Sequence[Observation], proxy: ProxyObservation | None = None) -> list[str]:
    """What has to be said below the table."""
    alarms = [f"alarm: {one.node.name}: {text}" for one in seen for text in one.alarms]
    alarms += dict.fromkeys(_unreached(one.problem) for one in seen if one.problem is not None)
    waits = [text for one in seen if (text := _leading(one, observation.primary_of(seen)))]
    waits += [f"{proxy.proxy.name} waits: {proxy.reason}"] if proxy is not None and proxy.reason else []
    cut = ", ".join(partitions.told(partitions.cut_links(cluster)))
    cuts = [f"cut: {cut}; heliosdb-nano cluster heal mends it"] if cut else []
    return [*alarms, *waits, *cuts, *([PAUSED] if observation.is_paused(seen) else [])]


def _unreached(problem: HostError) -> str:
    """Why a host cannot be asked."""
    trusts = isinstance(problem, HostKeyRefused) and not problem.changed
    return problem.message + ("; heliosdb-nano cluster hosts trust" if trusts else "")


def _leading(one: Observation, primary: Observation | None) -> str:
    """What there is to say of one that says it leads; empty when it does, and takes writes."""
    if one.leads and one is not primary and primary is not None:
        return f"{one.node.name} is deposed: {primary.node.name} leads in term {primary.term}, and is not heard there"
    return f"{one.node.name}: {one.waits}" if one.waits else ""


def table(cluster: LocalCluster, seen: Sequence[Observation], proxy: ProxyObservation | None = None) -> Table:
    """As rich draws it; in a narrow terminal without some columns."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    drawn = Table(title=escape(str(cluster.path)), title_justify="left", box=box.SIMPLE_HEAD, header_style="bold")
    cells = [[escape(str(cell)) for cell in row] for row in rows(seen, proxy)]
    heads = columns(seen, proxy)
    shown = fitting(heads, cells, DROPPABLE, console().width)
    for i in shown:
        drawn.add_column(heads[i], justify="right" if heads[i] in ("term", "pid") else "left", no_wrap=True)
    leader, role, state = observation.primary_of(seen), heads.index("role"), heads.index("state")
    for row in cells:
        row[role] = f"[bold]{row[role]}[/]" if leader is not None and row[0] == leader.node.name else row[role]
        row[state] = f"[{COLOURS.get(row[state], 'red')}]{row[state]}[/]"
        drawn.add_row(*(row[i] for i in shown))
    return drawn


def _whole(cluster: LocalCluster, seen: Sequence[Observation], proxy: ProxyObservation | None) -> Group:
    """The table and what has to be said below it."""
    from rich.console import Group
    from rich.text import Text

    return Group(table(cluster, seen, proxy), *map(Text, remarks(cluster, seen, proxy)))


def wait_for_end() -> None:
    """Come back at Ctrl-C."""
    try:
        while True:
            time.sleep(WATCH_S)
    except KeyboardInterrupt:
        return


def watch(
    cluster: LocalCluster,
    look: Callable[[], tuple[Sequence[Observation], ProxyObservation | None]],
    *,
    as_json: bool,
) -> None:
    """Print it every second until Ctrl-C; on a terminal in place, as JSON a document a line."""
    try:
        if as_json or not sys.stdout.isatty():
            while True:
                show(cluster, *look(), as_json=as_json)
                sys.stdout.flush()
                time.sleep(WATCH_S)
        from rich.live import Live

        with Live(_whole(cluster, *look()), auto_refresh=False) as live:
            while True:
                time.sleep(WATCH_S)
                live.update(_whole(cluster, *look()), refresh=True)
    except KeyboardInterrupt:
        return
