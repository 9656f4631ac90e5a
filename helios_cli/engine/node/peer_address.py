"""Where nodes are reached that have only been told what to listen on: every interface, perhaps."""

from __future__ import annotations

import asyncio
import ipaddress
from typing import Final

from helios_cli.engine.config.checks import is_loopback
from helios_cli.engine.net.gate import GATE
from helios_cli.engine.node.peer_call import CONNECT_S
from helios_cli.engine.node.peer_link import PeerLink

CALLERS_MAX: Final = 64

Place = tuple[str, int]
"""Host and port."""


def reachable(link: PeerLink, host: str) -> str:
    """``host`` as the other side of ``link`` says it; its address there when that is no address for this node.

    That is so for every interface at once (0.0.0.0), and for the loopback of another machine.
    """
    return link.address if is_unspecified(host) or (is_loopback(host) and not link.is_loopback) else host


def is_unspecified(host: str) -> bool:
    """Whether ``host`` names every interface at once, or nothing."""
    try:
        return ipaddress.ip_address(host.strip("[]").partition("%")[0]).is_unspecified
    except ValueError:
        return host == ""


async def fault_of(place: Place) -> str:
    """Why nobody answers there; empty: somebody does."""
    try:
        async with asyncio.timeout(CONNECT_S):
            await GATE.passes(*place)
            _, writer = await asyncio.open_connection(*place)
    except TimeoutError:
        return "nobody answers"
    except OSError as error:
        return error.strerror or str(error)
    writer.close()
    return ""


class Callers:
    """Where primaries have called from that say to be somewhere else: that may be an address for other nodes alone."""

    def __init__(self) -> None:
        self._hosts: dict[Place, str] = {}

    def called(self, link: PeerLink, said: Place) -> None:
        """The node that says to be at ``said`` has called on ``link``."""
        if link.address and (said in self._hosts or len(self._hosts) < CALLERS_MAX):
            self._hosts[said] = link.address

    def places(self, said: Place) -> list[Place]:
        """Where to call the node that says to be at ``said``, in the order of trying."""
        host = self._hosts.get(said, said[0])
        return [said] if host == said[0] else [said, (host, said[1])]


class OwnAddress:
    """What this node tells others to reach it by. On the loop."""

    def __init__(self, advertised: str, listens_on: str) -> None:
        """The settings: ``advertised`` is empty when nothing was said, and then counts what is listened on."""
        self._told = advertised or ("" if is_unspecified(listens_on) else listens_on)
        self._far = self._near = ""

    def met(self, link: PeerLink) -> None:
        """A node has been met on ``link``: where this side of it is, others reach it too. The first one counts."""
        name = link.transport.get_extra_info("sockname")
        here = str(name[0]) if isinstance(name, tuple) else ""
        if link.is_loopback:
            self._near = self._near or here
        else:
            self._far = self._far or here

    def host(self, known: str, fallback: str) -> str:
        """The address: as it was said, or where other machines meet this node, or where they did.

        Args:
            known: what the cluster's configuration says of this node; empty for nothing.
            fallback: what it is before anybody has been met.
        """
        met = self._far or ("" if is_unspecified(known) or is_loopback(known) else known) or self._near
        return self._told or met or fallback
