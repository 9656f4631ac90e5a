"""What the verbs of ``cluster`` share: options, and what they print."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from helios_cli.commands._errors import ExitCode
from helios_cli.commands._output import print_json

if TYPE_CHECKING:
    from helios_cli.commands.local.clusterfile import LocalCluster
    from helios_cli.commands.local.launch import Step
    from helios_cli.commands.local.observation import Observation

Directory: TypeAlias = Annotated[
    str | None,
    typer.Option("--dir", metavar="DIR", help="Directory of the cluster and its cluster.toml (HELIOSDB_CLUSTER)."),
]
DryRun: TypeAlias = Annotated[
    bool, typer.Option("--dry-run", help="Say what would be done, and leave everything as it is.")
]
Node: TypeAlias = Annotated[
    str, typer.Argument(metavar="NODE", help="Name of a node, @primary for who leads now, or proxy.")
]
Timeout: TypeAlias = Annotated[float, typer.Option("--timeout", metavar="SECONDS", min=0, help="Longest wait.")]
Hard: TypeAlias = Annotated[bool, typer.Option("--kill", help="SIGKILL to what still runs after the wait.")]


def say(as_json: bool, record: dict[str, object], text: str) -> int:
    """The outcome of a verb."""
    if as_json:
        print_json(record)
    else:
        typer.echo(text)
    return ExitCode.OK


def print_plan(cluster: LocalCluster, steps: Sequence[Step], as_json: bool) -> int:
    """What would be started."""
    if as_json:
        started = [{"node": one.node.name, "command": one.command} for one in steps]
        print_json({"cluster": str(cluster.path), "start": started})
        return ExitCode.OK
    more = " and a proxy" if cluster.proxy is not None else ""
    typer.echo(f"# {cluster.path}: {len(cluster.nodes)} nodes{more}, {len(steps)} to start")
    for step in steps:
        typer.echo(" ".join(step.command))
    return ExitCode.OK


def show(cluster: LocalCluster, seen: Sequence[Observation], as_json: bool) -> int:
    """The cluster, and how one gets in."""
    from helios_cli.commands.local import observation, picture

    picture.show(cluster, seen, observation.observe_proxy(cluster), as_json=as_json)
    primary = observation.primary_of(seen)
    if primary is not None and not as_json:
        way = cluster.proxy or primary.node
        host = f" --host {cluster.asked_at(way)}" if way.host else ""
        password = f"PGUSER=helios PGPASSWORD=$(cat {cluster.password_file}) " if cluster.is_guarded else ""
        typer.echo(f'connect: {password}heliosdb-cli{host} --port {way.ports["pg"]} -c "SHOW TOPOLOGY"', err=True)
    return ExitCode.OK
