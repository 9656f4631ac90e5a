"""``proxy.toml`` of a cluster: written once, afterwards only its addresses and nodes are kept right."""

from __future__ import annotations

import secrets
from typing import Any, Final

from helios_cli.commands.local import machines
from helios_cli.commands.local.clusterfile import LocalCluster, write_text
from helios_cli.engine.errors import ConfigError

HEAD: Final = """HeliosProxy before the cluster of cluster.toml, written by: heliosdb-nano cluster up
Further settings stay as they are written here (docs/PROXY.md); a change is taken over while it runs.
"""
DEFAULTS: Final = {"health_check_interval_secs": 5, "failure_threshold": 3, "write_timeout_secs": 30}
"""What the tutorials' proxy.toml says."""


def write(cluster: LocalCluster) -> None:
    """Write the file where the cluster has a proxy; comments and settings of one that is there are kept.

    Raises:
        ConfigError: the file that is there is no TOML. OSError: it cannot be read or written. HostError: the proxy's
            host cannot be reached.
    """
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    if cluster.proxy is None:
        return
    before = cluster.proxy_file.read_text(encoding="utf-8") if cluster.proxy_file.exists() else None
    try:
        document = tomlkit.parse(before) if before is not None else _new(cluster)
        _set_addresses(document, cluster)
        _set_nodes(document, cluster)
    except (TOMLKitError, AttributeError, TypeError) as error:
        raise ConfigError(
            f"{cluster.proxy_file} is not in order: {error}", hint="heliosdb-nano proxy check --config names its lines."
        ) from None
    text = tomlkit.dumps(document)
    if text != before:
        write_text(cluster.proxy_file, text)
        if (
            before is not None and cluster.proxy.host
        ):  # one that runs takes it over; a new one is sent it when it starts
            machines.send_file(cluster, cluster.proxy, cluster.proxy_file, 0o644)
    if cluster.proxy.host and not cluster.proxy_token_file.exists():
        # A proxy draws its own where there is none; this one is asked from here, and knows it from the first on.
        write_text(cluster.proxy_token_file, secrets.token_hex(32) + "\n", 0o600)


def _new(cluster: LocalCluster) -> Any:
    import tomlkit

    document = tomlkit.document()
    for line in HEAD.splitlines():
        document.add(tomlkit.comment(line))
    document.add(tomlkit.nl())
    table = tomlkit.table()
    table.update({"listen_addr": "", "admin_addr": "", **DEFAULTS})
    if cluster.faults and not cluster.netns:
        table["allow_faults"] = True
    if cluster.is_guarded:
        table.update({"auth_user": "helios", "auth_password_file": cluster.password_file.name})
    document["proxy"] = table
    return document


def _set_addresses(document: Any, cluster: LocalCluster) -> None:
    """The ports are those of cluster.toml; a host that was written by hand stays."""
    table, proxy = document["proxy"], cluster.proxy
    assert proxy is not None
    listens = machines.listens_on(cluster, proxy)
    for name, port in (("listen_addr", proxy.pg_port), ("admin_addr", proxy.admin_port)):
        host, _, was = str(table.get(name, "")).rpartition(":")
        if was != str(port):
            table[name] = f"{host or (f'[{listens}]' if ':' in listens else listens)}:{port}"


def _set_nodes(document: Any, cluster: LocalCluster) -> None:
    """A ``[[nodes]]`` for each data node; of one that is there only what is wrong changes."""
    import tomlkit

    if document["proxy"].get("discover"):
        return
    kept = {str(entry.get("name")): entry for entry in document.get("nodes", ())}
    tables = tomlkit.aot()
    for node in cluster.data_nodes:
        table = kept.get(node.name)
        if table is None:
            table = tomlkit.table()
            table.update({"name": node.name, "host": cluster.address(node), "port": node.pg_port, "role": node.role})
        elif table.get("port") != node.pg_port:
            table["port"] = node.pg_port
        tables.append(table)
    document["nodes"] = tables
