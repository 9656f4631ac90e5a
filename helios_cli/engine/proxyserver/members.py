"""Which nodes there are: those of the configuration, or those that are found; and a watch over each."""

from __future__ import annotations

import asyncio
import logging
from abc import abstractmethod
from collections.abc import Coroutine
from typing import TYPE_CHECKING

from helios_cli.engine.proxyserver.discovery import Discovery
from helios_cli.engine.proxyserver.node import Node, State
from helios_cli.engine.proxyserver.watch import Keeper, Watch, account_of

if TYPE_CHECKING:
    from helios_cli.engine.config.proxy import ProxySettings
    from helios_cli.engine.proxy.topology import Place
    from helios_cli.engine.proxyserver.link import Account

log = logging.getLogger(__name__)


class Members(Keeper):
    """The part of a cluster that nodes come to and leave."""

    def __init__(self, settings: ProxySettings, loop: asyncio.AbstractEventLoop) -> None:
        self.nodes: dict[str, Node] = {}
        self.account = account_of(settings)
        """As whom the watches log in."""
        self._settings = settings
        self._loop = loop
        self._watches: dict[str, Watch] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._discovery = Discovery(settings, loop, self._found) if not settings.nodes else None

    @abstractmethod
    def gone(self, node: Node) -> None:
        """A node is none any more."""

    async def stop(self) -> None:
        """End every watch."""
        if self._discovery is not None:
            await self._discovery.stop()
        watches, self._watches = list(self._watches.values()), {}
        await asyncio.gather(*(watch.end() for watch in watches), *self._ending)

    def configure(self, settings: ProxySettings) -> None:
        """Have the nodes of these settings, or look for them.

        Raises:
            ConfigError: a file of ``[backend_tls]`` cannot be used; everything stays as it was.
        """
        self._log_in_as(account_of(settings))
        self._settings = settings
        for watch in self._watches.values():
            watch.set(settings, self.account)
        if settings.nodes:
            if self._discovery is not None:
                self._later(self._discovery.stop())
                self._discovery = None
            wanted = {one.name: one for one in settings.nodes}
            for name in [name for name in self.nodes if name not in wanted]:
                self._remove(name)
            for one in settings.nodes:
                node = self._add(one.name, one.host, one.port, enabled=one.enabled)
                node.weight, node.hint = one.weight, one.role
            self.nodes = {name: self.nodes[name] for name in wanted}
            return
        if self._discovery is None:
            self._discovery = Discovery(settings, self._loop, self._found)
        self._discovery.apply(settings, self.account)

    def _found(self, places: dict[str, Place]) -> None:
        """The cluster has these nodes."""
        for name in [name for name in self.nodes if name not in places]:
            log.info("node %s is gone from the cluster", name)
            self._remove(name)
        for place in places.values():
            if place.name not in self.nodes:
                log.info("node %s of the cluster is at %s:%d", place.name, place.host, place.port)
            self._add(place.name, place.host, place.port)

    def _add(self, name: str, host: str, port: int, *, enabled: bool = True) -> Node:
        node = self.nodes.get(name)
        if node is not None and (node.host, node.port) != (host, port):
            node.host, node.port = host, port
            node.generation += 1
            if name in self._watches:
                self._watches[name].suspect("another address")
        if node is None:
            node = self.nodes[name] = Node(name, host, port, enabled=enabled)
        node.is_enabled = enabled
        if enabled and name not in self._watches:
            self._watches[name] = Watch(node, self._settings, self.account, self._loop, self)
            self._watches[name].begin()
        elif not enabled and name in self._watches:
            self._later(self._watches.pop(name).end())
            node.generation += 1
        return node

    def _remove(self, name: str) -> None:
        node, watch = self.nodes.pop(name), self._watches.pop(name, None)
        if watch is not None:
            self._later(watch.end())
        node.is_enabled, node.leads = False, False
        node.state = State.DISABLED
        node.generation += 1
        self.gone(node)

    def _later(self, work: Coroutine[None, None, None]) -> None:
        task = self._loop.create_task(work)
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    def _log_in_as(self, account: Account) -> None:
        before, self.account = self.account, account
        if (before.user, before.password, before.database) != (account.user, account.password, account.database):
            for watch in self._watches.values():
                watch.suspect("another account")
