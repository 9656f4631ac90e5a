"""Which cluster the monitor looks at: that of a file, or the one behind an address."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Final

from helios_cli.commands import _admin, _http, _proxy_admin
from helios_cli.commands._admin import Asked, Reach
from helios_cli.commands.local import clusterfile
from helios_cli.commands.local.clusterfile import LocalCluster
from helios_cli.commands.monitoring.gateway import ClusterGateway
from helios_cli.commands.monitoring.naming import naming
from helios_cli.engine.errors import ConfigError, HeliosError

TOPOLOGY: Final = "SELECT http_address FROM helios_topology WHERE is_local"
CONNECT_S: Final = 5.0


def gateway(
    asked: Asked, host: str | None, port: int | None, proxy: str | None, proxy_config: str | None
) -> ClusterGateway:
    """The way to what was asked for: an address where one was named, else the cluster of a file.

    Raises:
        HeliosError: nothing was named and there is no file, or what was named cannot be understood.
    """
    if host is not None or port is not None:
        if asked.node is not None or asked.data_dir is not None:
            raise ConfigError("--host and --port name a node by its SQL address, --node and --data-dir otherwise")
        asked = replace(asked, node=_http_address(host or "127.0.0.1", port or 5432))
    cluster = None
    if asked.data_dir is None and ":" not in (asked.node or ""):
        cluster = _cluster(asked.directory)
    if cluster is not None:
        if asked.node is not None:
            cluster.node(asked.node)
        named, source = _admin.all_of(cluster, asked), str(cluster.path)
    else:
        named = _admin.reaches(asked)
        _check(named[0])
        source = named[0].name
    front = _proxy(proxy, proxy_config, cluster)
    names = naming(asked, cluster, front.token_file if front is not None else None)
    return ClusterGateway(named, source, cluster, front, names)


def _cluster(directory: str | None) -> LocalCluster:
    try:
        return clusterfile.load(directory)
    except ConfigError as error:
        if directory is not None:
            raise
        hint = f"{error.hint or ''} Or name one of its nodes: --node HOST:PORT, its HTTP address.".strip()
        raise ConfigError(error.message, hint=hint) from None


def _check(node: Reach) -> None:
    """One that is down may come back; what is no HTTP, or not trusted, is a mistake that does not mend itself."""
    try:
        _http.get(node.address, "/health", CONNECT_S)
    except _http.Untrusted:
        raise
    except HeliosError:
        return


def _proxy(admin: str | None, config: str | None, cluster: LocalCluster | None) -> _proxy_admin.Asked | None:
    """The proxy that was named, else the cluster's own; None where there is none."""
    if admin is not None or config is not None:
        asked = _proxy_admin.Asked(admin, config, timeout=2.0)
        _proxy_admin.address_of(asked)
        return asked
    own = getattr(cluster, "proxy", None)
    if cluster is None or own is None:
        return None
    token = str(getattr(cluster, "proxy_token_file", "")) or None
    return _proxy_admin.Asked(f"{cluster.asked_at(own)}:{own.admin_port}", None, token, timeout=2.0)


def _http_address(host: str, port: int) -> str:
    """The HTTP address of the node that serves SQL at an address.

    Raises:
        HeliosError: nobody is there, or it is no node.
    """
    from helios_cli.engine.net import pgclient

    user, password = os.environ.get("PGUSER") or "helios", os.environ.get("PGPASSWORD")
    with pgclient.connect(host, port, user, password, timeout=CONNECT_S, application_name="monitor") as client:
        try:
            rows = client.execute(TOPOLOGY)[-1].rows
        except HeliosError as error:
            raise HeliosError(f"{host}:{port} is no node of ours: {error.message}", sqlstate="08001") from None
    text = str(rows[0][0] or "") if rows else ""
    known, _, http_port = text.rpartition(":")
    if not http_port.isdigit():
        raise HeliosError(f"{host}:{port} does not say where its HTTP is", hint="Name it: --node HOST:PORT.")
    return f"{host if known in ('', '0.0.0.0', '127.0.0.1') else known}:{http_port}"
