"""Where another node is reached that has only told what it listens on."""

from __future__ import annotations

import ipaddress

from helios_cli.engine.config.checks import is_loopback
from helios_cli.engine.node.peer_link import PeerLink


def reachable(link: PeerLink, host: str) -> str:
    """``host`` as the other side of ``link`` says it; its address there when that is no address for this node.

    That is so for every interface at once (0.0.0.0), and for the loopback of another machine.
    """
    try:
        unspecified = ipaddress.ip_address(host.strip("[]").partition("%")[0]).is_unspecified
    except ValueError:
        unspecified = host == ""
    if unspecified or (is_loopback(host) and not link.is_loopback):
        return link.address
    return host
