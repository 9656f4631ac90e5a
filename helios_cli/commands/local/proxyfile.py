"""``proxy.toml`` of a cluster on this machine: written once, afterwards only its addresses and nodes are kept right."""

from __future__ import annotations

from typing import Any, Final

from helios_cli.commands.local.clusterfile import HOST, LocalCluster, LocalProxy, write_text
from helios_cli.engine.errors import ConfigError

HEAD: Final = """HeliosProxy before the cluster of cluster.toml, written by: heliosdb-nano cluster up
Further settings stay as they are written here (docs/PROXY.md); a change is taken over while it runs.
"""
DEFAULTS: Final = {"health_check_interval_secs": 5, "failure_threshold": 3, "write_timeout_secs": 30}
"""What the tutorials' proxy.toml says."""


def write(cluster: LocalCluster) -> None:
    """Write the file where the cluster has a proxy; comments and settings of one that is there are kept.

    Raises:
        ConfigError: the file that is there is no TOML. OSError: it cannot be read or written.
    """
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    if cluster.proxy is None:
        return
    before = cluster.proxy_file.read_text(encoding="utf-8") if cluster.proxy_file.exists() else None
    try:
        document = tomlkit.parse(before) if before is not None else _new(cluster)
        _set_addresses(document, cluster.proxy)
        _set_nodes(document, cluster)
    except (TOMLKitError, AttributeError, TypeError) as error:
        raise ConfigError(
            f"{cluster.proxy_file} is not in order: {error}", hint="heliosdb-nano proxy check --config names its lines."
        ) from None
    text = tomlkit.dumps(document)
    if text != before:
        write_text(cluster.proxy_file, text)


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
    document["proxy"] = table
    return document


def _set_addresses(document: Any, proxy: LocalProxy) -> None:
    """The ports are those of cluster.toml; a host that was written by hand stays."""
    table = document["proxy"]
    for name, port in (("listen_addr", proxy.pg_port), ("admin_addr", proxy.admin_port)):
        host, _, was = str(table.get(name, "")).rpartition(":")
        if was != str(port):
            table[name] = f"{host or HOST}:{port}"


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
