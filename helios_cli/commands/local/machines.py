"""Which machine a node or the proxy runs on, and what of the cluster's files has to be there."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from helios_cli.commands.local import clusterfile
from helios_cli.commands.local.clusterfile import LocalCluster, LocalProxy, Member
from helios_cli.commands.local.hosts import HostEntry
from helios_cli.engine.config.checks import is_loopback
from helios_cli.engine.remote.machine import HERE, Machine, There, there, together


def of_host(cluster: LocalCluster, host: HostEntry) -> There:
    """The machine of a host of the file."""
    return there(host.login(cluster.directory))


def of(cluster: LocalCluster, member: Member) -> Machine:
    """The machine that something runs on."""
    host = cluster.host_of(member)
    return of_host(cluster, host) if host is not None else HERE


def named(cluster: LocalCluster, member: Member, path: Path) -> str:
    """A path as people write it: with the host before it where it is not this machine's."""
    return f"{member.host}:{path}" if member.host else str(path)


def whole(cluster: LocalCluster, member: Member, path: Path) -> str:
    """A path from the root of its machine. Raises HostError when that has to be asked and cannot be reached."""
    host = cluster.host_of(member)
    if host is None:
        return str(path.resolve())
    return expanded(of_host(cluster, host), str(path))


def expanded(machine: There, path: str) -> str:
    """A path of a host, with ``~`` as the home there."""
    return str(machine.about["home"]) + path[1:] if path.startswith("~/") else path


def listens_on(cluster: LocalCluster, member: Member) -> str:
    """Where its sockets listen: on loopback, or on every address of its machine, which may be behind another one.

    In a network namespace: on its address there; the proxy's are handed to it, and are of loopback.
    """
    if cluster.netns and not isinstance(member, LocalProxy):
        return cluster.address(member)
    address = cluster.asked_at(member)
    if is_loopback(address):
        return address
    return "::" if ":" in address else "0.0.0.0"


def equip(cluster: LocalCluster, members: Sequence[Member]) -> None:
    """Have the files on the machines that these need there, readable for their owner alone.

    Raises:
        HostError: a host cannot be reached. OSError: a file cannot be written.
    """
    together(lambda one: _equip(cluster, one), [one for one in members if one.host])


def _equip(cluster: LocalCluster, member: Member) -> None:
    files = [(cluster.secret_file, 0o600), (cluster.password_file, 0o600)]
    if isinstance(member, LocalProxy):
        files = [(cluster.proxy_token_file, 0o600), (cluster.password_file, 0o600), (cluster.proxy_file, 0o644)]
    of(cluster, member).ask("make", str(cluster.place(member)), 0o700)
    for file, mode in files:
        send_file(cluster, member, file, mode)


def send_file(cluster: LocalCluster, member: Member, file: Path, mode: int) -> None:
    """Have a file of this machine on that of a member, under its name. Raises what :func:`equip` raises."""
    of(cluster, member).ask("write", str(cluster.place(member) / file.name), file.read_bytes(), mode)


def program(cluster: LocalCluster, member: Member) -> list[str]:
    """The words that run ``heliosdb-nano`` on its machine."""
    host = cluster.host_of(member)
    if host is None:
        return [sys.executable, "-m", "helios_cli"]
    return [expanded(of_host(cluster, host), host.program_path)]


def is_founded(cluster: LocalCluster, member: clusterfile.LocalNode) -> bool:
    """Whether a node has a history: then it knows its own role."""
    return bool(of(cluster, member).ask("exists", str(cluster.data_dir(member) / "control")))


def child_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What a node inherits: nothing that would set it up otherwise than its ``cluster.toml``.

    The package's own directory is on the path, so that a checkout starts its own nodes from anywhere.
    """
    kept = {name: text for name, text in environ.items() if not name.startswith("HELIOSDB_")}
    here = str(Path(__file__).resolve().parents[3])
    kept["PYTHONPATH"] = os.pathsep.join(dict.fromkeys([here, *kept.get("PYTHONPATH", "").split(os.pathsep)])).rstrip(
        ":"
    )
    return kept
