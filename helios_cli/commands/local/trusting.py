"""Keys of hosts that are taken because a person has said so."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace

from helios_cli.commands.local import clusterfile
from helios_cli.commands.local.clusterfile import LocalCluster
from helios_cli.commands.local.hosts import HostEntry
from helios_cli.engine.remote import login as logins
from helios_cli.engine.remote.errors import HostKeyRefused, LoginRefused

HEAD = "# Keys of the hosts of cluster.toml, noted by: heliosdb-nano cluster hosts trust\n"


@dataclass(frozen=True, slots=True)
class ShownKey:
    """A key that a host shows, and that is not known to be its."""

    host: HostEntry
    key: str
    """``ssh-ed25519 AAAA...``"""
    changed: bool
    """Whether another one was known."""

    @property
    def kind(self) -> str:
        """``ssh-ed25519`` and the like."""
        return self.key.split()[0]

    @property
    def fingerprint(self) -> str:
        """As ssh prints it."""
        return logins.fingerprint(self.key)


def ask(cluster: LocalCluster, host: HostEntry) -> ShownKey | None:
    """The key that a host shows; None when it is known to be its. Raises HostError when nobody answers."""
    try:
        with contextlib.suppress(LoginRefused):  # who it is was settled before
            logins.close(logins.connect(host.login(cluster.directory)))
    except HostKeyRefused as refused:
        return ShownKey(host, refused.shown, refused.changed)
    return None


def take(cluster: LocalCluster, shown: ShownKey) -> None:
    """Note that a key is a host's: in cluster.toml where that has one, else in known_hosts beside it.

    Raises:
        OSError: the file cannot be written.
    """
    if shown.host.host_key:
        hosts = tuple(replace(one, host_key=shown.key) if one.name == shown.host.name else one for one in cluster.hosts)
        clusterfile.write(replace(cluster, hosts=hosts))
        return
    login = shown.host.login(cluster.directory)
    path = cluster.directory / "known_hosts"
    kept = path.read_text(encoding="utf-8") if path.exists() else HEAD
    lines = [line for line in kept.splitlines() if line.split(" ")[0] != login.known_as]
    clusterfile.write_text(path, "\n".join([*lines, f"{login.known_as} {shown.key}"]) + "\n")
