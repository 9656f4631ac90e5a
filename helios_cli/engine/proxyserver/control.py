"""What an operator can ask of a proxy, and have it do: over HTTP and on database heliosproxy alike."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol

from helios_cli.engine.config.proxy import ProxySettings
from helios_cli.engine.errors import ConfigError, HeliosError
from helios_cli.engine.proxy.figures import Figures
from helios_cli.engine.proxy.statement import Access, Control
from helios_cli.engine.proxy.unit import Unit
from helios_cli.engine.proxyserver.survey import survey
from helios_cli.engine.types import Lsn, Token

if TYPE_CHECKING:
    from helios_cli.engine.config.proxy_change import Change
    from helios_cli.engine.proxyserver.login import Entrance
    from helios_cli.engine.proxyserver.node import Node
    from helios_cli.engine.proxyserver.proxy import Proxy

LOOK_S: Final = 0.02
"""Between two looks whether anything is under way."""


class Administration(Protocol):
    """One proxy, of one process or of several."""

    @property
    def settings(self) -> ProxySettings:
        """As they are now."""

    async def figures(self, *, clients: bool = False, servers: bool = False) -> Figures:
        """Everything that there is to tell; clients and servers where they are asked for."""

    async def explain(self, sql: str, floor: str = "", hint: str = "") -> dict[str, Any]:
        """Where a statement would go now. ``floor``: a token, or an LSN. Raises HeliosError: that cannot be read."""

    async def pause(self, wait_s: float = 0.0) -> int:
        """Send nothing new to any node; gives what is still under way after so long at most."""

    async def resume(self) -> None:
        """Go on."""

    async def drain(self, name: str, *, force: bool = False) -> None:
        """Give a node nothing new. Raises HeliosError: 42704, no such node; 55000, it is the primary."""

    async def undrain(self, name: str) -> None:
        """Give it statements again. Raises HeliosError: 42704."""

    async def reload(self) -> Change:
        """Read the configuration again. Raises ConfigError."""

    async def kill(self, client: int) -> None:
        """End a session. Raises HeliosError: 42704, there is none of this number."""


class OwnAdministration:
    """Of the proxy in this process."""

    def __init__(
        self, proxy: Proxy, reload: Callable[[], Change] | None = None, entrance: Entrance | None = None
    ) -> None:
        self.proxy = proxy
        self._entrance = entrance
        self._reload = reload

    @property
    def settings(self) -> ProxySettings:
        """As they are now."""
        return self.proxy.settings

    async def figures(self, *, clients: bool = False, servers: bool = False) -> Figures:
        """As :meth:`Administration.figures`."""
        return survey(self.proxy, self._entrance, clients=clients, servers=servers)

    async def explain(self, sql: str, floor: str = "", hint: str = "") -> dict[str, Any]:
        """As :meth:`Administration.explain`."""
        return explain(self.proxy, sql, read_floor(floor), hint)

    async def pause(self, wait_s: float = 0.0) -> int:
        """As :meth:`Administration.pause`."""
        self.proxy.pause()
        deadline = self.proxy.loop.time() + wait_s
        while (left := self.proxy.under_way) and self.proxy.loop.time() < deadline:
            await asyncio.sleep(LOOK_S)
        return left

    async def resume(self) -> None:
        """As :meth:`Administration.resume`."""
        self.proxy.resume()

    async def drain(self, name: str, *, force: bool = False) -> None:
        """As :meth:`Administration.drain`."""
        node = self._node(name)
        if node.role == "primary" and not force:
            raise HeliosError(
                f"node {name} is the primary: without it writes would wait, and fail after "
                f"{self.settings.write_timeout:g} s",
                sqlstate="55000",
                hint="Have another node take over first (heliosdb-nano switchover), or pause the proxy; "
                "--force (?force=1) drains it all the same.",
            )
        self.proxy.drain_node(node)

    async def undrain(self, name: str) -> None:
        """As :meth:`Administration.undrain`."""
        self.proxy.cluster.undrain(self._node(name))

    async def reload(self) -> Change:
        """As :meth:`Administration.reload`."""
        if self._reload is None:
            raise ConfigError("this proxy has no file to read again")
        return self._reload()

    async def kill(self, client: int) -> None:
        """As :meth:`Administration.kill`."""
        found = self.proxy.clients.get(client)
        if found is None:
            raise HeliosError(f"there is no client {client}", sqlstate="42704", hint="SHOW CLIENTS lists them.")
        found.fatal(HeliosError("terminating connection due to administrator command", sqlstate="57P01"))

    def _node(self, name: str) -> Node:
        node = self.proxy.cluster.nodes.get(name)
        if node is None:
            names = ", ".join(self.proxy.cluster.nodes) or "none"
            raise HeliosError(f'the proxy has no node "{name}"', sqlstate="42704", hint=f"Its nodes: {names}.")
        return node


@dataclasses.dataclass(slots=True)
class _Asking:
    """A session as far as the choice of a node looks at it."""

    floor: int
    block: None = None
    preferred: Any = None


def explain(proxy: Proxy, sql: str, floor: int, hint: str) -> dict[str, Any]:
    """Where a statement would go now, and why. It is not run."""
    statement = proxy.classes.of(sql)
    unit = Unit(simple=True)
    unit.touch(statement)
    unit.executed.append(statement)
    unit.hint = hint or unit.hint
    cluster = proxy.cluster
    chosen = proxy.choose(_Asking(floor), unit)  # type: ignore[arg-type]
    reads = unit.access is Access.READ and (statement.control is not Control.BEGIN or unit.reads_only)
    if not reads or unit.hint == "primary":
        could = [cluster.primary] if cluster.primary is not None else []
    else:
        could = cluster.readers(floor)
    names = [node.name for node in could]
    if chosen is not None and chosen.name not in names:
        names.append(chosen.name)
    return {
        "sql": sql,
        "access": statement.access.name.lower(),
        "why": statement.why,
        "node": chosen.name if chosen is not None else None,
        "candidates": names,
        "named": statement.named,
        "pins": statement.pins,
        "hint": unit.hint,
        "floor": str(Lsn(floor)),
        "paused": proxy.paused,
    }


def read_floor(text: str) -> int:
    """The LSN of a token, or an LSN itself; 0 for an empty text. Raises HeliosError: it is neither."""
    try:
        return int(Token.parse(text).lsn) if text else 0
    except ValueError as error:
        raise HeliosError(str(error), sqlstate="22023", hint="SHOW helios.lsn gives one.") from None
