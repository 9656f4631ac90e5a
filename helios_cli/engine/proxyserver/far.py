"""Administration across the line between two processes of one proxy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from helios_cli.engine.config.proxy import ProxySettings
from helios_cli.engine.config.proxy_change import Change
from helios_cli.engine.errors import FeatureNotSupported
from helios_cli.engine.proxy.figures import Figures
from helios_cli.engine.proxyserver.control import Administration
from helios_cli.engine.proxyserver.peer import CALL_S, Peer

CALLS: Final = ("figures", "explain", "pause", "resume", "drain", "undrain", "reload", "kill")

FIGURES_S: Final = 2.0
"""Longest wait for figures: who asks for them has a health check to answer."""


async def serve(administration: Administration, name: str, given: dict[str, Any]) -> Any:
    """Do what the other side asks for. Raises HeliosError."""
    if name not in CALLS:
        raise FeatureNotSupported(f"no such call: {name}")
    result = await getattr(administration, name)(**given)
    if isinstance(result, Change):
        return {"at_once": result.at_once, "at_restart": result.at_restart}
    return result


class FarAdministration:
    """What is at the other end of a line."""

    def __init__(self, peer: Peer, settings: Callable[[], ProxySettings]) -> None:
        self.peer = peer
        self._settings = settings

    @property
    def settings(self) -> ProxySettings:
        """As they are now."""
        return self._settings()

    async def figures(self, *, clients: bool = False, servers: bool = False) -> Figures:
        """As :meth:`Administration.figures`."""
        return msgspec.convert(await self.peer.call("figures", FIGURES_S, clients=clients, servers=servers), Figures)

    async def explain(self, sql: str, floor: str = "", hint: str = "") -> dict[str, Any]:
        """As :meth:`Administration.explain`."""
        return dict(await self.peer.call("explain", sql=sql, floor=floor, hint=hint))

    async def pause(self, wait_s: float = 0.0) -> int:
        """As :meth:`Administration.pause`."""
        return int(await self.peer.call("pause", wait_s + CALL_S, wait_s=wait_s))

    async def resume(self) -> None:
        """As :meth:`Administration.resume`."""
        await self.peer.call("resume")

    async def drain(self, name: str, *, force: bool = False) -> None:
        """As :meth:`Administration.drain`."""
        await self.peer.call("drain", name=name, force=force)

    async def undrain(self, name: str) -> None:
        """As :meth:`Administration.undrain`."""
        await self.peer.call("undrain", name=name)

    async def reload(self) -> Change:
        """As :meth:`Administration.reload`."""
        found = await self.peer.call("reload")
        return Change(self.settings, tuple(found["at_once"]), tuple(found["at_restart"]))

    async def kill(self, client: int) -> None:
        """As :meth:`Administration.kill`."""
        await self.peer.call("kill", client=client)
