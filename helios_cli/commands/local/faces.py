"""How a node of a cluster.toml is asked over HTTP."""

from __future__ import annotations

from helios_cli.commands import _http, _options
from helios_cli.commands.local.clusterfile import LocalCluster, LocalNode


def http_address(cluster: LocalCluster, node: LocalNode) -> _http.Address:
    """By TLS where its settings have a certificate, which is the one that is trusted.

    Raises:
        HeliosError: the settings of the file cannot be used.
    """
    settings = _options.load({"data_dir": str(cluster.data_dir(node))}, None, list(cluster.settings_of(node))).settings
    own, cluster_ca = settings.tls_cert or None, settings.tls_ca or None
    address = cluster.asked_at(node)
    if node.host:  # its certificate is over there; the CA is taken from where the settings say, on this machine
        return _http.Address(address, node.http_port, own is not None, cluster_ca if own else None)
    return _http.Address(address, node.http_port, own is not None, None, own, cluster_ca)
