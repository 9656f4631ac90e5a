"""Calling another node: connect, and TLS where it is wanted; what is told of one whose certificate has another name."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, Final

from helios_cli.engine.net.gate import GATE
from helios_cli.engine.node.peer_link import PeerLink
from helios_cli.engine.node.peer_tls import OtherName, PeerTls
from helios_cli.engine.wire import peer
from helios_cli.engine.wire.peer import PeerProtocolError

CONNECT_S: Final = 2.0
"""A host that does not answer is called anew: TCP would wait longer and longer."""
ASK_S: Final = 2.0


async def reach(link: PeerLink, host: str, port: int) -> None:
    """Connect a calling link. Raises OSError, HeliosError, TimeoutError."""
    link.host = host
    async with asyncio.timeout(CONNECT_S):
        await GATE.passes(host, port)
        await asyncio.get_running_loop().create_connection(lambda: link, host, port)
        GATE.called(link, host, port)
    try:
        await link.ready()
    except OtherName:
        raise _named(host, await _shown_names(link.tls, host, port)) from None


async def _shown_names(tls: PeerTls, host: str, port: int) -> tuple[str, ...]:
    """For which names the certificate is that a node shows; empty when it does not say again within two seconds.

    It is asked on a connection of its own: what has been refused for its name is not told of the other one.
    """
    with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
        async with asyncio.timeout(ASK_S):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(peer.TLS_WANTED)
                if await reader.readexactly(peer.PREFACE_BYTES) == peer.TLS_WANTED and tls.nameless is not None:
                    await writer.start_tls(tls.nameless, server_hostname=host)
                    shown: Any = writer.get_extra_info("ssl_object").getpeercert()
                    return tuple(str(name) for _kind, name in shown.get("subjectAltName", ()))
            finally:
                writer.transport.abort()
    return ()


def _named(host: str, names: tuple[str, ...]) -> PeerProtocolError:
    """What is told when a node was called by another name than those of its certificate."""
    shown = " and ".join(f'"{name}"' for name in names) or "other names"
    return PeerProtocolError(
        f'TLS failed: the certificate of the node that was called as "{host}" is for {shown}',
        hint=f'Call it by that name (advertise_address there, primary_host here), give it a certificate for "{host}", '
        "or set peer_tls = verify-ca, which checks no name.",
    )
