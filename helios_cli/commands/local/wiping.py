"""Removing what a cluster has on hosts."""

from __future__ import annotations

from collections.abc import Iterable

from helios_cli.commands.local import machines, partitions, units
from helios_cli.commands.local.clusterfile import LocalCluster, LocalProxy, Member
from helios_cli.engine.remote.machine import There, together


def wipe_hosts(cluster: LocalCluster, *, dry_run: bool) -> list[str]:
    """Remove data, logs, secrets and units of nodes and proxy from hosts; the program stays. What was, or would be.

    Raises:
        HostError: a host cannot be reached. OSError: it does not let something go.
    """
    found = together(lambda one: _wipe(cluster, one, dry_run), [one for one in cluster.members if one.host])
    shared = together(
        lambda name: _wipe_shared(cluster, name, dry_run), sorted({one.host for one in cluster.members if one.host})
    )
    return [path for paths in (*found, *shared) for path in paths]


def _wipe(cluster: LocalCluster, member: Member, dry_run: bool) -> list[str]:
    host = cluster.host_of(member)
    assert host is not None
    machine, place = machines.of_host(cluster, host), cluster.place(member)
    if host.is_systemd and not dry_run:
        units.uninstall(machine, host, member)
    if isinstance(member, LocalProxy):
        paths = [place / cluster.proxy_file.name, place / cluster.proxy_token_file.name, place / partitions.NAME]
    else:
        paths = [cluster.data_dir(member)]
    paths += [cluster.log_file(member), cluster.pid_file(member), place / f"{member.name}.program"]
    return _remove(machine, map(str, paths), dry_run)


def _wipe_shared(cluster: LocalCluster, name: str, dry_run: bool) -> list[str]:
    """What all nodes of a host use, and its directory when nothing else is in it."""
    host = next(one for one in cluster.hosts if one.name == name)
    machine = machines.of_host(cluster, host)
    files = [f"{host.directory}/{one.name}" for one in (cluster.secret_file, cluster.password_file)]
    removed = _remove(machine, files, dry_run)
    if not dry_run:
        machine.ask("remove_empty", host.directory)
    return removed


def _remove(machine: There, paths: Iterable[str], dry_run: bool) -> list[str]:
    verb = "exists" if dry_run else "remove"
    return [f"{machine.name}:{path}" for path in paths if machine.ask(verb, path)]
