"""How a command is told the cluster that the monitor looks at: what the monitor was told itself, where that matters."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from helios_cli.commands._admin import Asked, Reach
from helios_cli.commands.local import clusterfile
from helios_cli.commands.local.clusterfile import LocalCluster


@dataclass(frozen=True, slots=True)
class Naming:
    """Options of commands, each word quoted for a shell."""

    cluster: tuple[str, ...] = ()
    """That name the cluster, for what any of its nodes may be asked."""
    files: tuple[str, ...] = ()
    """Tokens and certificates."""
    has_names: bool = False
    """Whether nodes can be named by their names."""
    proxy_files: tuple[str, ...] = ()

    def of_cluster(self, verb: str, *more: str) -> str:
        """A command for the cluster as a whole."""
        return shlex.join(("heliosdb-nano", *verb.split(), *more, *self.cluster, *self.files))

    def of_node(self, verb: str, node: Reach) -> str:
        """A command for one node."""
        scheme = "https://" if node.address.tls and "--ca" not in self.files else ""
        named = (node.name, *self.cluster) if self.has_names else (f"{scheme}{node.address}",)
        return shlex.join(("heliosdb-nano", *verb.split(), "--node", *named, *self.files))

    def of_proxy(self, verb: str, admin: str, *more: str) -> str:
        """A command for the proxy."""
        return shlex.join(("heliosdb-nano", *verb.split(), *more, "--admin", admin, *self.proxy_files))


def naming(
    asked: Asked,
    cluster: LocalCluster | None,
    proxy_token: str | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Naming:
    """The options for commands about what the monitor was asked to look at."""
    given = (("--ca", asked.ca), ("--token-file", asked.token_file), ("--cluster-secret-file", asked.secret_file))
    files = tuple(word for option, value in given if value for word in (option, value))
    if cluster is not None:
        found = clusterfile.find(None, environ)
        is_found = found is not None and _same(found, cluster.directory)
        where = () if is_found else ("--dir", str(cluster.directory.resolve()))
        return Naming(where, files, True, ("--token-file", proxy_token) if proxy_token and not is_found else ())
    places = (("--data-dir", asked.data_dir), ("--config", asked.config))
    own = tuple(word for option, value in places if value for word in (option, value))
    proxied = ("--token-file", proxy_token) if proxy_token else ()
    return Naming(own if asked.node is None else ("--node", asked.node, *own), files, False, proxied)


def _same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve()
