"""``cluster up``: a new cluster of real processes on this machine, or what is down of one."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias

import typer

from helios_cli.commands import _options
from helios_cli.commands._cluster import Directory, DryRun, Timeout, print_plan, show
from helios_cli.commands._errors import ExitCode
from helios_cli.engine.errors import ConfigError

if TYPE_CHECKING:
    from helios_cli.commands.local.clusterfile import LocalCluster
    from helios_cli.commands.local.launch import Step
    from helios_cli.commands.local.observation import Observation

NODES: Final = 3
STOP_S: Final = 30.0
UP_HINT: Final = "heliosdb-nano cluster up goes on with it; cluster down --wipe --yes removes it."

Count: TypeAlias = Annotated[int | None, typer.Option("--nodes", min=1, max=64, help="Data nodes. \\[3]")]
Observers: TypeAlias = Annotated[
    int | None, typer.Option("--observers", min=0, max=9, help="Observers besides. \\[1; 0 for one node, or with etcd]")
]
Mode: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--mode",
        metavar="async|semi-sync|sync|quorum",
        help="Of the primary and of every standby. \\[sync, and async from the third node on]",
    ),
]
Modes: TypeAlias = Annotated[
    str | None,
    typer.Option("--modes", metavar="MODE,MODE,...", help="Of each standby, in their order: sync,async,semi-sync."),
]
WithProxy: TypeAlias = Annotated[
    bool | None, typer.Option("--proxy/--no-proxy", help="A proxy before the nodes. \\[a new cluster has one]")
]
Data: TypeAlias = Annotated[
    Path | None, typer.Option("--data", metavar="DIR", help="Where the nodes' data goes. \\[beside cluster.toml]")
]
BasePort: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--base-port",
        min=0,
        max=65000,
        help="First of the ports, the next process is 10 higher; 0: free ones. \\[5432/5433/8080, proxy 5400/9090]",
    ),
]
Detach: TypeAlias = Annotated[
    bool, typer.Option("--detach/--no-detach", help="Leave them running; else they are shown, and stopped at Ctrl-C.")
]
Sets: TypeAlias = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A setting of every node; may be repeated.")
]
Netns: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--netns", help="Give each process of a new cluster a network namespace: what is cut are packets then (root)."
    ),
]
Authority: TypeAlias = Annotated[
    str | None,
    typer.Option("--authority", metavar="embedded|etcd", help="Who decides who leads in a new cluster. \\[embedded]"),
]
EtcdEndpoints: TypeAlias = Annotated[
    str | None, typer.Option("--etcd-endpoints", metavar="A,B", help="Members of the etcd cluster, host:port.")
]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for; None and empty: nothing was said."""

    nodes: int | None
    observers: int | None
    mode: str | None
    modes: tuple[str, ...]
    proxy: bool | None
    data: Path | None
    base: int | None
    sets: tuple[str, ...]
    netns: bool


def up(
    nodes: Count = None, observers: Observers = None, mode: Mode = None, modes: Modes = None, proxy: WithProxy = None,
    directory: Directory = None, data: Data = None, base_port: BasePort = None, detach: Detach = True,
    netns: Netns = False, sets: Sets = None, authority: Authority = None, etcd_endpoints: EtcdEndpoints = None,
    timeout: Timeout = 60.0, dry_run: DryRun = False, as_json: _options.Json = False,
) -> int:  # fmt: skip
    """Start a cluster, or what is down of it, and wait until every standby streams and the proxy serves.

    A new cluster is a primary, standbys, an observer and a proxy on loopback, each with a log and a record of its
    process in DIR, described by DIR/cluster.toml; proxy.toml is the proxy's. The processes go on when the command ends.
    The observer votes and holds no data: with two data nodes it makes them replace a lost primary by themselves.
    The options shape a new cluster; of one that is there only --proxy adds something. Nodes that cluster.toml has on
    hosts are started there, over SSH.

    Examples:

        heliosdb-nano cluster up

        heliosdb-nano cluster up --modes sync,async,semi-sync --base-port 0

        heliosdb-nano cluster up --nodes 5 --mode quorum --dir q --base-port 7000 --no-proxy

        heliosdb-nano cluster up --nodes 2 --mode semi-sync --data /srv/data --no-detach

        heliosdb-nano cluster up --netns

        heliosdb-nano cluster up --authority etcd --etcd-endpoints 127.0.0.1:2379

        heliosdb-nano cluster up --dir q --dry-run
    """  # fmt: skip
    from helios_cli.commands.local import bringup, clusterfile, launch, network, observation

    given = {"authority": authority, "etcd_endpoints": etcd_endpoints}
    all_sets = (*(sets or ()), *(f"{name}={value}" for name, value in given.items() if value is not None))
    wanted = Wanted(nodes, observers, mode, _modes(modes), proxy, data, base_port, all_sets, netns)
    with ExitStack() as claims:
        cluster, new = _made_or_found(directory, wanted, claims)
        seen = observation.observe(cluster)
        launch.refuse_unreachable(seen)
        steps = launch.plan(cluster, seen)
        if dry_run:
            return print_plan(cluster, steps, as_json)
        with _undone_by_ctrl_c(cluster, steps), bringup.BringUp(cluster, quiet=as_json) as display:
            if new:
                if cluster.netns:
                    network.check()
                launch.refuse_used_ports(cluster, [step.node for step in steps])
                cluster.directory.mkdir(parents=True, exist_ok=True)
                clusterfile.write(cluster)
                display.say(f"wrote {cluster.path}")
            with _ctrl_c_waits():
                launch.launch(cluster, steps)
            if steps:
                display.say(f"started {', '.join(step.node.name for step in steps)}")
            seen = launch.wait_streaming(cluster, timeout, display, saw=display.saw)
    return show(cluster, seen, as_json) if detach else _stay(cluster, seen, as_json)


@contextmanager
def _undone_by_ctrl_c(cluster: LocalCluster, steps: Sequence[Step]) -> Iterator[None]:
    """Ctrl-C and SIGTERM end what was being started, and come through; its files stay."""
    from helios_cli.commands.local import network, processes

    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        typer.echo("interrupted: stopping what was started", err=True)
        started = [one for step in steps if (one := processes.find(cluster, step.node))]
        for left in processes.end_all(started, STOP_S, signal.SIGINT):
            left.send(signal.SIGKILL)
        for step in steps:
            processes.forget(cluster, step.node)
            network.remove(cluster, step.node)
        typer.echo(f"hint: {UP_HINT}", err=True)
        raise
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _ctrl_c_waits() -> Iterator[None]:
    """Ctrl-C and SIGTERM come when this is over: no process is started that nobody has written down."""
    came: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda given, _: came.append(given)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if came:
        raise KeyboardInterrupt


def _modes(text: str | None) -> tuple[str, ...]:
    from helios_cli.commands.local.clusterfile import MODES

    found = tuple(one.strip() for one in text.split(",")) if text else ()
    for one in found:
        if one not in MODES:
            raise typer.BadParameter(f"--modes takes {', '.join(MODES)}, separated by commas, not {one!r}")
    return found


def _made_or_found(directory: str | None, wanted: Wanted, claims: ExitStack) -> tuple[LocalCluster, bool]:
    """The cluster of the file, or a new one, and whether a file has to be written. What was asked for must agree.

    ``claims`` holds the free ports that were found.
    """
    from helios_cli.commands.local import clusterfile, layout

    _check(wanted)
    found = clusterfile.find(directory, os.environ) or Path(clusterfile.DIRECTORY)
    if not (found / clusterfile.NAME).exists():
        _options.load({}, None, list(wanted.sets))  # refuses what is no setting, before anything is written
        return _made(found, wanted, claims), True
    cluster = clusterfile.read(found)
    _agree(cluster, wanted)
    if not wanted.proxy or cluster.proxy is not None:
        return cluster, False
    default = cluster.data_nodes[0].pg_port == layout.PG_PORT
    proxy = layout.new_proxy(0, None) if default else layout.proxy_after(cluster.nodes)
    return clusterfile.with_proxy(cluster, proxy), True


def _check(wanted: Wanted) -> None:
    from helios_cli.commands.local.clusterfile import MODES

    if wanted.mode is not None and wanted.mode not in MODES:
        raise typer.BadParameter(f"--mode is one of {', '.join(MODES)}, not {wanted.mode!r}")
    if wanted.modes and wanted.nodes not in (None, len(wanted.modes) + 1):
        raise typer.BadParameter(f"--modes names {len(wanted.modes)} standbys, --nodes {wanted.nodes} nodes in all")
    if wanted.observers and "authority=etcd" in wanted.sets:
        raise typer.BadParameter("etcd decides who leads: an observer has nothing to vote on there")


def _made(directory: Path, wanted: Wanted, claims: ExitStack) -> LocalCluster:
    """A new one. Alone, or where etcd decides, an observer would have nothing to do."""
    from helios_cli.commands.local import clusterfile, layout, network

    count = len(wanted.modes) + 1 if wanted.modes else wanted.nodes or NODES
    votes = count > 1 and "authority=etcd" not in wanted.sets
    observers = wanted.observers if wanted.observers is not None else int(votes)
    has_proxy = wanted.proxy is not False
    free = layout.free_base(count + observers + has_proxy)
    base = wanted.base if wanted.base != 0 else claims.enter_context(free)
    nodes = layout.new_nodes(count, wanted.mode, base, observers, wanted.modes)
    proxy = layout.new_proxy(len(nodes), base) if has_proxy else None
    data = str(wanted.data.absolute()) if wanted.data is not None else ""
    netns = network.new_name() if wanted.netns else ""
    return clusterfile.LocalCluster(directory, nodes, wanted.sets, proxy, data, faults=True, netns=netns)


def _agree(cluster: LocalCluster, wanted: Wanted) -> None:
    """Raises ConfigError when something else was asked for than the file says."""
    first, *others = cluster.data_nodes
    observers = len(cluster.nodes) - len(cluster.data_nodes)
    asked: Sequence[tuple[Any, Any]] = (
        (wanted.nodes, len(cluster.data_nodes)),
        (wanted.observers, observers),
        (wanted.mode, first.mode),
        (wanted.modes or None, tuple(one.mode for one in others)),
        (wanted.base or None, first.pg_port),
        (wanted.proxy or None, True),  # one that lacks is added
        (False if wanted.proxy is False else None, cluster.proxy is not None),
        (wanted.data and wanted.data.absolute(), (cluster.directory / cluster.data).absolute()),
        (wanted.sets or None, cluster.settings),
        (wanted.netns or None, bool(cluster.netns)),
    )
    if any(wish is not None and wish != there for wish, there in asked):
        watched = f", {observers} observer{'s' if observers > 1 else ''}" if observers else ""
        proxied = ", a proxy" if cluster.proxy is not None else ""
        raise ConfigError(
            f"{cluster.path} describes another cluster: {len(cluster.data_nodes)} nodes{watched}{proxied}, "
            f"mode {first.mode}, first port {first.pg_port}",
            hint="Name another directory with --dir, or start this one without further options.",
        )


def _stay(cluster: LocalCluster, seen: Sequence[Observation], as_json: bool) -> int:
    """Show the cluster until Ctrl-C or SIGTERM, again and again on a terminal; then stop it."""
    from helios_cli.commands.local import acts, network, observation, picture

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt):  # which may come before anybody waits for it
        if as_json or not sys.stdout.isatty():
            show(cluster, seen, as_json)
            sys.stdout.flush()
            picture.wait_for_end()
        else:
            picture.watch(
                cluster, lambda: (observation.observe(cluster), observation.observe_proxy(cluster)), as_json=False
            )
    typer.echo("stopping", err=True)
    acts.Acts(cluster).stop_all(STOP_S)
    network.remove(cluster)
    return ExitCode.OK
