"""``standby``: the standbys of a cluster."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Annotated, Any

import typer

from helios_cli.commands import _admin, _options
from helios_cli.commands._admin import Asked, Ca, DryRun, Node, Reach, Timeout
from helios_cli.commands._errors import ExitCode, Refused
from helios_cli.commands._output import print_json, print_table
from helios_cli.commands._progress import Progress
from helios_cli.engine.errors import HeliosError

if TYPE_CHECKING:
    from helios_cli.commands.local.clusterfile import LocalCluster, LocalNode

app = typer.Typer(add_completion=False, help="List, add and remove the standbys of a cluster.", no_args_is_help=True)

PortOption = typer.Option(min=1, max=65535, help="Its port; all three or none. \\[free ones after the others]")


@app.command("list")
@_admin.asks
def list_standbys(
    asked: Asked,
    as_json: _options.Json = False,
) -> int:
    """The standbys that the primary knows, with state and lag.

    Examples:

        heliosdb-nano standby list
    """
    from helios_cli.commands.ha import COLUMNS, DROPPABLE, cluster_view, row

    _, view = cluster_view(asked)
    found = [one for one in view["nodes"] if one.get("role") == "standby"]
    if as_json:
        print_json({"standbys": found})
    else:
        print_table(COLUMNS, [row(one) for one in found], droppable=DROPPABLE)
    return ExitCode.OK


@app.command()
def add(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Its node id. \\[standby-MODE]")] = None,
    mode: Annotated[str, typer.Option("--mode", metavar="async|semi-sync|sync|quorum", help="Its class.")] = "async",
    node: Node = None,
    pg_port: Annotated[int | None, PortOption] = None,
    native_port: Annotated[int | None, PortOption] = None,
    http_port: Annotated[int | None, PortOption] = None,
    host: Annotated[
        str | None, typer.Option("--host", metavar="HOST", help="Host of cluster.toml. \\[the one with fewest nodes]")
    ] = None,
    ca: Ca = None,
    timeout: Timeout = 60.0,
    dry_run: DryRun = False,
    as_json: _options.Json = False,
) -> int:
    """Add a standby to the cluster of cluster.toml, start it, and wait until it streams.

    With --node HOST:PORT, for a cluster of several machines, it prints the command to run on the new one: a standby
    needs an empty directory, the primary's address and the cluster's secret, and nothing has to be told beforehand.

    Examples:

        heliosdb-nano standby add

        heliosdb-nano standby add reports --mode async --dry-run

        heliosdb-nano standby add --node db1.example.com:8080
    """
    from helios_cli.commands.local import clusterfile, layout

    if mode not in clusterfile.MODES:
        raise typer.BadParameter(f"--mode is one of {', '.join(clusterfile.MODES)}, not {mode!r}")
    ports = (pg_port, native_port, http_port)
    if any(ports) and not all(ports):
        raise typer.BadParameter("--pg-port, --native-port and --http-port go together")
    if node is not None or clusterfile.find(None, os.environ) is None:
        return _print_command(Asked(node, ca=ca), name, mode, as_json)
    cluster = clusterfile.load(None)
    name = name or layout.standby_name(mode, cluster.nodes)
    if any(one.name == name for one in cluster.nodes):
        raise HeliosError(
            f'there is a node "{name}" already in {cluster.path}', sqlstate="42710",
            hint="Choose another name, or start that one: heliosdb-nano cluster start.",
        )  # fmt: skip
    chosen = tuple(port for port in ports if port) or layout.free_ports_after(cluster.nodes)
    place = host if host is not None else layout.host_for_one_more(cluster)
    return _add(cluster, clusterfile.LocalNode(name, "standby", mode, *chosen, host=place), timeout, dry_run, as_json)


def _add(cluster: LocalCluster, new: LocalNode, timeout: float, dry_run: bool, as_json: bool) -> int:
    from helios_cli.commands.local import clusterfile, launch, observation, picture

    proxied = observation.observe_proxy(cluster)
    wider = clusterfile.with_nodes(cluster, (*cluster.nodes, new))
    clusterfile.check(wider)
    steps = [step for step in launch.plan(wider, observation.observe(wider)) if step.node == new]
    if dry_run:
        record = {"node": new.name, "ports": new.ports, "command": steps[0].command}
        print_json(record) if as_json else typer.echo(" ".join(steps[0].command))
        return ExitCode.OK
    with Progress(quiet=as_json) as progress:
        launch.launch(wider, steps)
        clusterfile.write(wider)
        progress.say(f"started {new.name}")
        seen = launch.wait_streaming(wider, timeout, progress, [new])
    picture.show(wider, seen, proxied, as_json=as_json)
    return ExitCode.OK


def _print_command(asked: Asked, name: str | None, mode: str, as_json: bool) -> int:
    """The command that makes a standby on another machine."""
    from helios_cli.commands.ha import cluster_view

    _, view = cluster_view(asked)
    primary = next((one for one in view["nodes"] if one.get("node_id") == view.get("primary_id")), None)
    if primary is None:
        raise HeliosError("nobody leads that cluster now", hint="Ask again with --node once a primary is there.")
    command = [
        "heliosdb-nano", "start", "--data-dir", "DIR", "--node-id", name or f"standby-{mode}", "--replication-role",
        "standby", "--replication-mode", mode, "--primary-host", str(primary["host"]), "--primary-port",
        str(primary["native_port"]), "--cluster-secret-file", "FILE",
    ]  # fmt: skip
    if as_json:
        print_json({"command": command})
    else:
        typer.echo("# on the new machine; FILE holds the cluster's secret (control/cluster.secret of a node)", err=True)
        typer.echo(" ".join(command))
    return ExitCode.OK


@app.command()
@_admin.orders
def remove(
    asked: Asked,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its node id.")],
    timeout: Timeout = 30.0,
    dry_run: DryRun = False,
    as_json: _options.Json = False,
) -> int:
    """Take a standby or an observer out of the cluster: its copy or vote no longer counts, and no log is kept for it.

    One of cluster.toml is stopped first and leaves the file; its data directory stays. Others must be stopped before.

    Examples:

        heliosdb-nano standby remove standby-async

        heliosdb-nano standby remove n3 --node db1.example.com:8080 --cluster-secret-file cluster.secret
    """
    nodes = _admin.reaches(asked)
    chosen = _admin.leader(nodes)
    cluster = _listing(name, asked.directory)
    if _admin.status_of(chosen).get("node_id") == name:
        raise Refused(
            f"{name} leads the cluster", hint="heliosdb-nano switchover gives the lead to another node first."
        )
    if dry_run:
        first = f"stop it, take it out of {cluster.path}, " if cluster is not None else ""
        text = f"would {first}ask {chosen.name} ({chosen.address}) to remove {name}"
        print_json({"result": text, "dry_run": True}) if as_json else typer.echo(text)
        return ExitCode.OK
    if cluster is not None:
        _stop(cluster, cluster.node(name), timeout)
    answer = _removed(chosen, name, timeout, listed=cluster is not None)
    if cluster is not None:
        answer["data_dir"] = _take_out(cluster, name)
    if as_json:
        print_json(answer)
    else:
        kept = f"; its data stays in {answer['data_dir']}" if "data_dir" in answer else ""
        typer.echo(f"{answer.get('result', 'removed')}{kept}")
    return ExitCode.OK


def _removed(chosen: Reach, name: str, timeout: float, *, listed: bool) -> dict[str, Any]:
    """What the primary answers. One that is only ``listed`` in cluster.toml, and has never joined, it does not know."""
    try:
        return dict(_admin.ask_primary(chosen, "standby/remove", {"node_id": name}, timeout))
    except HeliosError as error:
        if error.sqlstate != "42704" or not listed:
            raise
        return {"result": f"{name} has never joined the cluster, and is out of its file now"}


def _listing(name: str, directory: str | None) -> LocalCluster | None:
    """The cluster on this machine that lists a node; None when none does."""
    from helios_cli.commands.local import clusterfile

    found = clusterfile.find(directory, os.environ)
    cluster = clusterfile.read(found) if found is not None else None
    return cluster if cluster is not None and any(one.name == name for one in cluster.nodes) else None


def _stop(cluster: LocalCluster, node: LocalNode, timeout: float) -> None:
    from helios_cli.commands.local import network, processes

    process = processes.find(cluster, node)
    if process is not None and processes.end_all([process], timeout):
        process.send(signal.SIGKILL)
        process.wait_gone(timeout)
    processes.forget(cluster, node)
    network.remove(cluster, node)


def _take_out(cluster: LocalCluster, name: str) -> str:
    """Write the file without a node; where its data is."""
    from helios_cli.commands.local import clusterfile, machines, proxyfile

    left = clusterfile.with_nodes(cluster, tuple(one for one in cluster.nodes if one.name != name))
    clusterfile.write(left)
    proxyfile.write(left)
    return machines.named(cluster, cluster.node(name), cluster.data_dir(cluster.node(name)))
