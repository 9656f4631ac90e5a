"""Where a node listens: the address it may bind, TLS, and what a taken port is called."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from helios_cli.engine.config.settings import Settings
from helios_cli.engine.errors import HeliosError
from helios_cli.engine.node import report
from helios_cli.engine.node.peer_tls import PeerTls

if TYPE_CHECKING:
    from helios_cli.engine.node.node import Node

LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")


def listen_address(node: Node) -> str:
    """The address to bind: narrowed to loopback when the network could come in without a password."""
    settings = node.settings
    address: str = settings.listen_address
    if address in LOOPBACK or settings.allow_insecure_network or settings.auth == "scram":
        return address
    if node.engine.hba_rules:
        return address
    if node.engine.roles.password_set():
        return address
    node.event(
        "narrowed",
        f"listening on 127.0.0.1 instead of {address}: no role has a password. Set one with "
        "ALTER ROLE ... PASSWORD (a new database takes HELIOSDB_INITIAL_PASSWORD), or use auth = scram, or "
        "allow_insecure_network",
        severity="warning",
    )
    return "127.0.0.1"


def peer_address(settings: Settings, tls: PeerTls, secret: bytes, event: Callable[..., None]) -> str:
    """The address of the native port: narrowed to loopback when nodes of other machines could prove nothing."""
    address: str = settings.listen_address
    guarded = bool(secret) or (tls.server is not None and tls.certificates)
    if address in LOOPBACK or guarded or settings.allow_insecure_network:
        return address
    event(
        "narrowed",
        f"other nodes are served on 127.0.0.1 instead of {address}: there is no cluster secret. Set "
        "HELIOSDB_CLUSTER_SECRET or cluster_secret_file, or use peer_auth = certificate",
        severity="warning",
    )
    return "127.0.0.1"


async def bind(name: str, port: int, start: Callable[[int], Awaitable[int]]) -> None:
    """Start a face on its port. Raises HeliosError that names who holds the port when it is taken."""
    try:
        await start(port)
    except OSError as error:
        holder = report.port_holder(port)
        raise HeliosError(
            f"cannot listen on {name} {port}: {error.strerror or error}" + (f", held by {holder}" if holder else ""),
            sqlstate="55006",
            hint=f"Stop the other process or choose another port with --{name.replace('_', '-')}.",
        ) from error
