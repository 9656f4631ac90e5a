"""Finding the nodes of a cluster from one address."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from helios_cli.engine.errors import HeliosError
from helios_cli.engine.proxy.topology import Place, known_nodes, place_of, seen_from
from helios_cli.engine.proxyserver.link import Account, Link
from helios_cli.engine.proxyserver.questions import HELIOS_CHECK, PRODUCT, Report, report

if TYPE_CHECKING:
    from helios_cli.engine.config.proxy import ProxySettings
    from helios_cli.engine.proxyserver.node import Node

log = logging.getLogger(__name__)

SEEK_S: Final = 0.25
"""Between two attempts to reach the address, while no node is known to answer."""
DEFAULT: Final = "127.0.0.1:5432"
"""Where a node is looked for when the configuration names none."""


class Discovery:
    """The nodes by what those that answer say; while none does, the configured address is asked."""

    def __init__(
        self, settings: ProxySettings, loop: asyncio.AbstractEventLoop, found: Callable[[dict[str, Place]], None]
    ) -> None:
        """``found`` gets all nodes, when they have changed."""
        self._loop, self._found = loop, found
        self._settings = settings
        self._account: Account | None = None
        self._places: dict[str, Place] = {}
        self._reports: dict[str, tuple[Place, ...]] = {}
        self._leads: set[str] = set()
        self._seeker: asyncio.Task[None] | None = None
        self._told = ""

    def apply(self, settings: ProxySettings, account: Account) -> None:
        """Begin, or go on with other settings. Another address counts when no node answers."""
        self._settings, self._account = settings, account
        self._seek()

    async def stop(self) -> None:
        """Look for nobody any more."""
        if self._seeker is not None:
            self._seeker.cancel()
            await asyncio.gather(self._seeker, return_exceptions=True)

    def heard(self, node: Node, told: Report) -> None:
        """A node has said which ones there are."""
        name = told.node_id or node.name
        self._take(name, seen_from(told.places, node.host, node.port), leads=told.leads and node.role != "deposed")

    def lost(self, node: Node) -> None:
        """A node does not answer: its word does not count any more."""
        self._reports.pop(node.name, None)
        self._leads.discard(node.name)
        self._seek()

    def _take(self, name: str, places: tuple[Place, ...], *, leads: bool) -> None:
        self._reports[name] = places
        self._leads.discard(name)
        if leads:
            self._leads.add(name)
        primary = next(iter(self._leads)) if len(self._leads) == 1 else None
        found = known_nodes(self._reports, primary, self._places)
        if found != self._places:
            self._places = found
            for gone in [one for one in self._reports if one not in found]:
                del self._reports[gone]
            self._found(found)

    # The configured address --------------------------------------------------------------------------------------

    def _seek(self) -> None:
        if not self._reports and (self._seeker is None or self._seeker.done()):
            self._seeker = self._loop.create_task(self._seek_on())

    async def _seek_on(self) -> None:
        while not self._reports:
            address = self._settings.discover or DEFAULT
            seed = place_of(address, address, is_local=True)
            if seed is None:
                log.error("discover is no host:port: %s", address)
                return
            try:
                async with asyncio.timeout(self._settings.health_check_timeout):
                    await self._ask(seed)
            except (OSError, HeliosError, TimeoutError) as error:
                reason = getattr(error, "message", "") or str(error) or "no answer in time"
                if reason != self._told:
                    self._told = reason
                    log.warning("no node of the cluster is known: %s: %s", address, reason)
                await asyncio.sleep(SEEK_S)

    async def _ask(self, seed: Place) -> None:
        assert self._account is not None
        link = Link(lambda _channel, _payload: None, lambda _name, _value: None, lambda _link, _reason: None)
        try:
            await link.open(seed.host, seed.port, self._account)
            if PRODUCT not in link.parameters.get("server_version", ""):
                # Plain PostgreSQL knows nobody else.
                self._take(seed.name, (seed,), leads=False)
                return
            told = report(await link.query(HELIOS_CHECK), is_heliosdb=True)
        finally:
            link.close()
        self._take(told.node_id or seed.name, seen_from(told.places, seed.host, seed.port), leads=told.leads)
