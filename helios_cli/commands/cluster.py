"""``cluster``: the nodes of a cluster, and its proxy, as real processes of this machine."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from helios_cli.commands import (
    _options,
    cluster_hosts,
    cluster_install,
    cluster_logs,
    cluster_nodes,
    cluster_partition,
    cluster_up,
)
from helios_cli.commands._cluster import Directory, DryRun, Hard, Timeout, say
from helios_cli.commands._errors import ExitCode, Refused
from helios_cli.commands._progress import Progress

if TYPE_CHECKING:
    from helios_cli.commands.local.clusterfile import LocalCluster
    from helios_cli.commands.local.observation import Observation, ProxyObservation

app = typer.Typer(
    add_completion=False, help="Run a cluster of real processes, on this machine or on hosts.", no_args_is_help=True
)
app.command()(cluster_up.up)


@app.command()
def status(
    directory: Directory = None,
    watch: Annotated[bool, typer.Option("--watch", help="Again every second until Ctrl-C.")] = False,
    as_json: _options.Json = False,
) -> int:
    """Processes, roles, ports and lag of every node, and the proxy; exit code 6 when one is missing or not ready.

    Examples:

        heliosdb-nano cluster status

        heliosdb-nano cluster status --watch
    """
    from helios_cli.commands.local import clusterfile, observation, picture

    cluster = clusterfile.load(directory)
    if watch:
        picture.watch(cluster, lambda: _look(cluster), as_json=as_json)
        return ExitCode.OK
    seen, proxy = _look(cluster)
    picture.show(cluster, seen, proxy, as_json=as_json)
    return ExitCode.OK if observation.healthy(seen, proxy) else ExitCode.DEGRADED


def _look(cluster: LocalCluster) -> tuple[list[Observation], ProxyObservation | None]:
    from helios_cli.commands.local import observation

    return observation.observe(cluster), observation.observe_proxy(cluster)


for verb in (cluster_logs.logs, *cluster_nodes.VERBS, *cluster_partition.VERBS, *cluster_install.VERBS):
    app.command()(verb)
app.add_typer(cluster_hosts.app, name="hosts")


@app.command()
def down(
    directory: Directory = None,
    timeout: Timeout = 30.0,
    hard: Hard = False,
    delete: Annotated[
        bool, typer.Option("--delete", "--wipe", help="Remove the cluster's files, logs and data directories too.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --wipe: the data may go.")] = False,
    dry_run: DryRun = False,
    as_json: _options.Json = False,
) -> int:
    """Stop the proxy and every node in order, the primary first, so that the standbys have all it wrote.

    None running is no error.

    Examples:

        heliosdb-nano cluster down

        heliosdb-nano cluster down --dir q --wipe --yes
    """
    from helios_cli.commands.local import acts, clusterfile, network

    cluster = clusterfile.load(directory)
    if delete and not yes and not dry_run:
        raise Refused(
            f"this would remove the data of {len(cluster.nodes)} nodes in {cluster.directory}", hint="Add --yes."
        )
    doing = acts.Acts(cluster)
    stopped = [one.name for one, _ in doing.running_members()]
    if not dry_run and stopped:
        with Progress(quiet=as_json) as progress:
            progress(f"stopping {', '.join(stopped)}")
            doing.stop_all(timeout, hard=hard)
    if not dry_run and doing.cuts():
        doing.heal()
    spaces = network.names(cluster) if dry_run else network.remove(cluster)
    removed = _delete(cluster, dry_run) if delete else []
    would = "would stop" if dry_run else "stopped"
    lines = [f"{would} {', '.join(stopped)}" if stopped else "no node was running"]
    lines += [f"{'would remove' if dry_run else 'removed'} network namespace {name}" for name in spaces]
    lines += [f"{'would remove' if dry_run else 'removed'} {path}" for path in removed]
    record: dict[str, object] = {
        "cluster": str(cluster.path), "stopped": stopped, "namespaces": spaces, "removed": removed, "done": not dry_run,
    }  # fmt: skip
    return say(as_json, record, "\n".join(lines))


def _delete(cluster: LocalCluster, dry_run: bool) -> list[str]:
    """Remove what ``cluster up`` made, and its directories when nothing else is in them; the paths."""
    from helios_cli.commands.local import partitions, wiping
    from helios_cli.commands.playing import runs

    paths = [cluster.data_dir(one) for one in cluster.nodes if not one.host]
    paths += [cluster.directory / runs.DIRECTORY]
    paths += [
        path for one in cluster.members if not one.host for path in (cluster.log_file(one), cluster.pid_file(one))
    ]
    if cluster.proxy is not None:
        paths += [cluster.proxy_file, cluster.proxy_token_file, cluster.directory / partitions.NAME]
    paths += [cluster.secret_file, cluster.password_file]
    if not cluster.hosts:  # else it was written by hand
        paths.append(cluster.path)
    paths = [path for path in paths if path.exists()]
    there = wiping.wipe_hosts(cluster, dry_run=dry_run)
    if not dry_run:
        for path in paths:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        for directory in dict.fromkeys((cluster.directory / cluster.data, cluster.directory)):
            if directory != Path() and directory.is_dir() and not any(directory.iterdir()):
                directory.rmdir()
    return [*there, *map(str, paths)]
