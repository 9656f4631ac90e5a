"""``cluster``: the nodes of a cluster as real processes of this machine."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from helios_cli.commands import _options
from helios_cli.commands._errors import ExitCode, Refused
from helios_cli.commands._output import print_json
from helios_cli.commands._progress import Progress
from helios_cli.engine.errors import ConfigError, HeliosError

if TYPE_CHECKING:
    from helios_cli.commands.local.clusterfile import LocalCluster, LocalNode
    from helios_cli.commands.local.launch import Step
    from helios_cli.commands.local.observation import Observation

app = typer.Typer(add_completion=False, help="Run a cluster of real processes on this machine.", no_args_is_help=True)

Directory = Annotated[
    str | None,
    typer.Option("--dir", metavar="DIR", help="Directory of the cluster and its cluster.toml (HELIOSDB_CLUSTER)."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and leave everything as it is.")]
Node = Annotated[str, typer.Argument(metavar="NODE", help="Name of the node, or @primary for who leads now.")]
Timeout = Annotated[float, typer.Option("--timeout", metavar="SECONDS", min=0, help="Longest wait.")]
Authority = Annotated[
    str | None,
    typer.Option("--authority", metavar="embedded|etcd", help="Who decides who leads in a new cluster. \\[embedded]"),
]
EtcdEndpoints = Annotated[
    str | None, typer.Option("--etcd-endpoints", metavar="A,B", help="Members of the etcd cluster, host:port.")
]

LEADER: Final = "@primary"


@app.command()
def up(
    nodes: Annotated[
        int | None, typer.Option("--nodes", min=1, max=64, help="Data nodes of a new cluster. \\[3]")
    ] = None,
    observers: Annotated[
        int | None, typer.Option("--observers", min=0, max=9, help="Observers of a new cluster, besides. \\[0]")
    ] = None,
    mode: Annotated[
        str | None,
        typer.Option(
            "--mode",
            metavar="async|semi-sync|sync|quorum",
            help="Of the primary and of every standby. \\[sync, and async from the third node on]",
        ),
    ] = None,
    directory: Directory = None,
    base_port: Annotated[
        int | None,
        typer.Option(
            "--base-port", min=1, max=65000, help="First of the ports; the next node is 10 higher. \\[5432/5433/8080]"
        ),
    ] = None,
    sets: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A setting of every node; may be repeated.")
    ] = None,
    authority: Authority = None,
    etcd_endpoints: EtcdEndpoints = None,
    timeout: Timeout = 60.0,
    dry_run: DryRun = False,
    as_json: _options.Json = False,
) -> int:
    """Start a cluster, or what is down of it, and wait until every standby streams.

    A new cluster is a primary and standbys on loopback, each with a data directory, a log and a record of its process
    in DIR, described by DIR/cluster.toml. The processes go on when the command ends. Observers vote and hold no data:
    two data nodes and an observer replace a lost primary by themselves.

    Examples:

        heliosdb-nano cluster up

        heliosdb-nano cluster up --nodes 5 --mode quorum --dir q --base-port 7000

        heliosdb-nano cluster up --nodes 2 --mode semi-sync --observers 1

        heliosdb-nano cluster up --authority etcd --etcd-endpoints 127.0.0.1:2379

        heliosdb-nano cluster up --dir q --dry-run
    """  # fmt: skip
    from helios_cli.commands.local import clusterfile, launch, observation

    given = {"authority": authority, "etcd_endpoints": etcd_endpoints}
    sets = [*(sets or ()), *(f"{name}={value}" for name, value in given.items() if value is not None)]
    cluster, new = _made_or_found(directory, nodes, observers, mode, base_port, sets)
    seen = observation.observe(cluster)
    steps = launch.plan(cluster, seen)
    if dry_run:
        return _print_plan(cluster, steps, as_json)
    with Progress(quiet=as_json) as progress:
        if new:
            launch.refuse_used_ports(cluster.nodes)
            cluster.directory.mkdir(parents=True, exist_ok=True)
            clusterfile.write(cluster)
            progress.say(f"wrote {cluster.path}")
        launch.launch(cluster, steps)
        if steps:
            progress.say(f"started {', '.join(step.node.name for step in steps)}")
        seen = launch.wait_streaming(cluster, timeout, progress)
    _show(cluster, seen, as_json)
    return ExitCode.OK


def _made_or_found(
    directory: str | None,
    count: int | None,
    observers: int | None,
    mode: str | None,
    base: int | None,
    sets: list[str],
) -> tuple[LocalCluster, bool]:
    """The cluster of the file, or a new one and True. What was asked for must agree with the file."""
    from helios_cli.commands.local import clusterfile, layout

    if mode is not None and mode not in clusterfile.MODES:
        raise typer.BadParameter(f"--mode is one of {', '.join(clusterfile.MODES)}, not {mode!r}")
    if observers and "authority=etcd" in sets:
        raise typer.BadParameter("etcd decides who leads: an observer has nothing to vote on there")
    found = clusterfile.find(directory, os.environ) or Path(clusterfile.DIRECTORY)
    wanted = layout.new_nodes(count or 3, mode, base, observers or 0)
    if not (found / clusterfile.NAME).exists():
        _options.load({}, None, sets)  # refuses what is no setting, before anything is written
        return clusterfile.LocalCluster(found, wanted, tuple(sets)), True
    cluster = clusterfile.read(found)
    data, first = len(cluster.data_nodes), cluster.data_nodes[0]
    others = len(cluster.nodes) - data
    asked = ((count, data), (observers, others), (mode, first.mode), (base, first.pg_port))
    if any(wish is not None and wish != there for wish, there in asked) or (sets and tuple(sets) != cluster.settings):
        watched = f", {others} observer{'s' if others > 1 else ''}" if others else ""
        raise ConfigError(
            f"{cluster.path} describes another cluster: {data} nodes{watched}, mode {first.mode}, "
            f"first port {first.pg_port}",
            hint="Name another directory with --dir, or start this one without further options.",
        )
    return cluster, False


def _print_plan(cluster: LocalCluster, steps: Sequence[Step], as_json: bool) -> int:
    if as_json:
        print_json(
            {"cluster": str(cluster.path), "start": [{"node": one.node.name, "command": one.command} for one in steps]}
        )
        return ExitCode.OK
    typer.echo(f"# {cluster.path}: {len(cluster.nodes)} nodes, {len(steps)} to start")
    for step in steps:
        typer.echo(" ".join(step.command))
    return ExitCode.OK


def _show(cluster: LocalCluster, seen: Sequence[Observation], as_json: bool) -> None:
    from helios_cli.commands.local import observation, picture

    picture.show(cluster, seen, as_json=as_json)
    primary = observation.primary_of(seen)
    if primary is not None and not as_json:
        typer.echo(f'connect: heliosdb-cli --port {primary.node.pg_port} -c "SHOW TOPOLOGY"', err=True)


@app.command()
def status(
    directory: Directory = None,
    watch: Annotated[bool, typer.Option("--watch", help="Again every second until Ctrl-C.")] = False,
    as_json: _options.Json = False,
) -> int:
    """Processes, roles, ports and lag of every node; exit code 6 when one is missing or does not stream.

    Examples:

        heliosdb-nano cluster status

        heliosdb-nano cluster status --watch
    """
    from helios_cli.commands.local import clusterfile, observation, picture

    cluster = clusterfile.load(directory)
    if watch:
        picture.watch(cluster, lambda: observation.observe(cluster), as_json=as_json)
        return ExitCode.OK
    seen = observation.observe(cluster)
    picture.show(cluster, seen, as_json=as_json)
    return ExitCode.OK if observation.healthy(seen) else ExitCode.DEGRADED


@app.command()
def kill(node: Node, directory: Directory = None, dry_run: DryRun = False, as_json: _options.Json = False) -> int:
    """SIGKILL to a node: what a crash of its process is to the others.

    Examples:

        heliosdb-nano cluster kill @primary

        heliosdb-nano cluster kill standby-sync --dir q
    """
    return _signal(node, directory, signal.SIGKILL, "killed", dry_run, as_json)


@app.command()
def freeze(node: Node, directory: Directory = None, dry_run: DryRun = False, as_json: _options.Json = False) -> int:
    """SIGSTOP to a node: it keeps its ports and connections, and does nothing.

    Examples:

        heliosdb-nano cluster freeze standby-async
    """
    return _signal(node, directory, signal.SIGSTOP, "frozen", dry_run, as_json)


@app.command()
def thaw(node: Node, directory: Directory = None, dry_run: DryRun = False, as_json: _options.Json = False) -> int:
    """SIGCONT to a node that was frozen.

    Examples:

        heliosdb-nano cluster thaw standby-async
    """
    return _signal(node, directory, signal.SIGCONT, "thawed", dry_run, as_json)


def _signal(name: str, directory: str | None, number: signal.Signals, done: str, dry_run: bool, as_json: bool) -> int:
    """Send a signal to the process of a node, and wait for its end when it ends."""
    from helios_cli.commands.local import clusterfile, processes

    cluster = clusterfile.load(directory)
    node = _named(cluster, name)
    process = processes.find(cluster, node)
    if process is None:
        raise HeliosError(f"{node.name} is not running", hint=f"heliosdb-nano cluster start {node.name} starts it.")
    if not dry_run:
        process.send(number)
        if number == signal.SIGKILL:
            process.wait_gone(10.0)
            processes.forget(cluster, node)
    text = (
        f"would send {number.name} to {node.name}, process {process.pid}"
        if dry_run
        else f"{done} {node.name}, process {process.pid}"
    )
    _say(as_json, {"node": node.name, "pid": process.pid, "signal": number.name, "done": not dry_run}, text)
    return ExitCode.OK


def _named(cluster: LocalCluster, name: str) -> LocalNode:
    """The node that is meant."""
    from helios_cli.commands.local import observation

    if name != LEADER:
        return cluster.node(name)
    primary = observation.primary_of(observation.observe(cluster))
    if primary is None:
        raise HeliosError(
            "no node of the cluster leads now", hint="Name the node; heliosdb-nano cluster status shows them."
        )
    return primary.node


@app.command()
def start(
    node: Annotated[str, typer.Argument(metavar="NODE", help="Name of the node.")],
    directory: Directory = None,
    timeout: Timeout = 60.0,
    dry_run: DryRun = False,
    as_json: _options.Json = False,
) -> int:
    """Start a node that is down, and wait until it leads or streams. One that runs is left alone.

    Examples:

        heliosdb-nano cluster start standby-sync
    """
    from helios_cli.commands.local import clusterfile, launch, observation

    cluster = clusterfile.load(directory)
    wanted = cluster.node(node)
    steps = [step for step in launch.plan(cluster, observation.observe(cluster)) if step.node == wanted]
    if dry_run:
        return _print_plan(cluster, steps, as_json)
    with Progress(quiet=as_json) as progress:
        launch.launch(cluster, steps)
        seen = launch.wait_streaming(cluster, timeout, progress, [wanted])
    _show(cluster, seen, as_json)
    return ExitCode.OK


@app.command()
def down(
    directory: Directory = None,
    timeout: Timeout = 30.0,
    hard: Annotated[bool, typer.Option("--kill", help="SIGKILL to what still runs after the wait.")] = False,
    delete: Annotated[
        bool, typer.Option("--delete", help="Remove the cluster's file, logs and data directories too.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --delete: the data may go.")] = False,
    dry_run: DryRun = False,
    as_json: _options.Json = False,
) -> int:
    """Stop every node in order, the primary first, so that the standbys have all it wrote. None running is no error.

    Examples:

        heliosdb-nano cluster down

        heliosdb-nano cluster down --dir q --delete --yes
    """
    from helios_cli.commands.local import clusterfile

    cluster = clusterfile.load(directory)
    if delete and not yes and not dry_run:
        raise Refused(
            f"this would remove the data of {len(cluster.nodes)} nodes in {cluster.directory}", hint="Add --yes."
        )
    stopped = _stop_nodes(cluster, timeout, hard, dry_run, Progress(quiet=as_json))
    removed = _delete(cluster, dry_run) if delete else []
    would = "would stop" if dry_run else "stopped"
    lines = [f"{would} {', '.join(stopped)}" if stopped else "no node was running"]
    lines += [f"{'would remove' if dry_run else 'removed'} {path}" for path in removed]
    _say(
        as_json,
        {"cluster": str(cluster.path), "stopped": stopped, "removed": removed, "done": not dry_run},
        "\n".join(lines),
    )
    return ExitCode.OK


def _stop_nodes(cluster: LocalCluster, timeout: float, hard: bool, dry_run: bool, progress: Progress) -> list[str]:
    """Names of the nodes that were stopped, in the order in which they were."""
    from helios_cli.commands.local import observation, processes

    seen = observation.observe(cluster)
    primary = observation.primary_of(seen)
    running = [(one.node, one.process) for one in sorted(seen, key=lambda one: one is not primary) if one.process]
    leading = [process for node, process in running if primary is not None and node == primary.node]
    if not dry_run:
        with progress:
            progress(f"stopping {', '.join(node.name for node, _ in running)}")
            left = processes.end_all(leading, timeout, signal.SIGINT)
            left += processes.end_all([process for _, process in running if process not in leading], timeout)
            _end_hard(left, hard, timeout)
        for node, _ in running:
            processes.forget(cluster, node)
    return [node.name for node, _ in running]


def _end_hard(left: Sequence[Any], hard: bool, timeout: float) -> None:
    """SIGKILL to what is left, when that is wanted.

    Raises:
        HeliosError: something still runs (57014).
    """
    if hard:
        for process in left:
            process.send(signal.SIGKILL)
            process.wait_gone(10.0)
    elif left:
        numbers = ", ".join(str(process.pid) for process in left)
        raise HeliosError(
            f"still running after {timeout:g} s: process {numbers}",
            sqlstate="57014",
            hint="Wait longer, or add --kill.",
        )


def _delete(cluster: LocalCluster, dry_run: bool) -> list[str]:
    """Remove what ``cluster up`` made, and the directory when nothing else is in it; the paths."""
    paths = [
        path for one in cluster.nodes for path in (cluster.data_dir(one), cluster.log_file(one), cluster.pid_file(one))
    ]
    paths = [path for path in (*paths, cluster.secret_file, cluster.path) if path.exists()]
    if not dry_run:
        for path in paths:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        if cluster.directory != Path() and not any(cluster.directory.iterdir()):
            cluster.directory.rmdir()
    return [str(path) for path in paths]


def _say(as_json: bool, record: dict[str, object], text: str) -> None:
    if as_json:
        print_json(record)
    else:
        typer.echo(text)
