"""How a session's unit comes to a backend: the choice of the node, the pool's queue, the wait for a primary."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, cast

from helios_cli.engine.errors import HeliosError
from helios_cli.engine.proxy.block import Block
from helios_cli.engine.proxy.functions import SEQUENCE
from helios_cli.engine.proxy.unit import Unit
from helios_cli.engine.proxyserver.backend import Backend
from helios_cli.engine.proxyserver.dialogue import Dialogue

if TYPE_CHECKING:
    from helios_cli.engine.proxyserver.client import Client
    from helios_cli.engine.proxyserver.node import Node
    from helios_cli.engine.proxyserver.pool import Pool
    from helios_cli.engine.proxyserver.proxy import Proxy
    from helios_cli.engine.wire.scram import ClientKeys

FINAL: Final = ("28", "3D", "42704", "53")
"""Classes of refusals that another attempt does not change."""


class Placing(Dialogue):
    """The part of a session that finds backends."""

    def __init__(
        self,
        proxy: Proxy,
        transport: asyncio.Transport,
        parameters: dict[str, str],
        keys: ClientKeys | str | None,
    ) -> None:
        super().__init__(proxy, transport)
        self.user = parameters["user"]
        self.database = parameters.get("database") or self.user
        self.parameters = parameters
        self.keys = keys
        """What logs in at the nodes as this user: keys, a password, or None where they ask for nothing."""
        self.backend: Backend | None = None
        self.block: Block | None = None
        self.floor = 0
        """LSN that the session's reads must show."""
        self.last_node: Node | None = None
        """Where its last unit went."""
        self.preferred: Node | None = None
        """Of a sticky session."""
        self.waits_since = 0.0
        """When the unit in hand began to wait for a node or a backend; 0 while it does not."""
        self._pools: dict[Node, Pool] = {}
        self._pool: Pool | None = None
        """Whose backend the session waits for."""
        self._timer: asyncio.TimerHandle | None = None
        self._stop_waiting: Callable[[], None] | None = None

    def choose(self, unit: Unit) -> None:
        """Find the node for a unit, and a backend there; or wait for either."""
        proxy = self.proxy
        node = proxy.choose(self, unit)
        if node is None:
            self.wait_for_node(unit)
            return
        pool = self._pools.get(node)
        if pool is None:
            pool = self._pools[node] = proxy.pools.of(node, self.user, self.database)
            pool.keys = self.keys
        wants_own = not unit.plain and any(statement.pins == SEQUENCE for statement in unit.statements)
        backend = (wants_own and pool.take_last_of(self.pid)) or pool.take()
        if backend is not None:
            self.got(backend)
            return
        self._pool = pool
        self.waits_since = self.waits_since or proxy.loop.time()
        if self._timer is None:
            self._timer = proxy.loop.call_later(proxy.settings.queue_timeout, self._queued_too_long)
        pool.wait(self)

    def choose_for_block(self, pause: float) -> None:
        """The same for the unit in hand after a loss, a moment later: it is not on its way."""
        self._sent = False
        self._dispatched = True
        self._sent_steps = 0
        if self.unit is None:
            return
        self._end_wait()
        if pause:
            self._timer = self.proxy.loop.call_later(pause, self._look_again)
        else:
            self.choose(self.unit)

    def got(self, backend: Backend) -> None:
        """A backend is at hand."""
        unit = self.unit
        self._pool = None
        if self.waits_since:
            self._waited()
        if unit is None or self.closing:
            backend.pool.release(backend)
            return
        self.backend = backend
        self.last_node = backend.node
        backend.client = cast("Client", self)
        self.agree(unit, backend)

    def refused(self, node: Node, error: HeliosError) -> None:
        """No backend there."""
        self._pool = None
        unit = self.unit
        if unit is None or self.closing:
            return
        self._end_wait()
        if error.sqlstate.startswith(FINAL):
            self._waited()
            self.give_up(error)
        else:
            self.wait_for_node(unit)

    def detach(self, backend: Backend) -> None:
        """The session has nothing to do with it any more."""
        backend.client = None
        backend.unpause()
        if self.backend is backend:
            self.let_go()

    def let_go(self) -> None:
        """There is no backend any more whose pace matters."""
        self.backend = None
        if self._stopped:
            self.backend_writable(True)

    def give_back(self, backend: Backend) -> None:
        """Let the next client have it; not before what would cancel its statement has arrived."""
        self.detach(backend)
        backend.last_user = self.pid
        if backend.cancelling:
            backend.waits_for_cancel = True
        else:
            backend.pool.release(backend)

    # Waiting ---------------------------------------------------------------------------------------------------------

    def wait_for_node(self, unit: Unit) -> None:
        """Until something changes among the nodes, but not for ever."""
        proxy = self.proxy
        now = proxy.loop.time()
        if not unit.deadline:
            unit.deadline = now + proxy.settings.write_timeout
            proxy.stats.waits += 1
        if now >= unit.deadline:
            self._waited_too_long()
            return
        self.waits_since = self.waits_since or now
        self._end_wait()
        self._timer = proxy.loop.call_later(unit.deadline - now, self._waited_too_long)
        self._stop_waiting = proxy.when_changed(self._look_again)

    def _look_again(self) -> None:
        self._stop_waiting = None
        self._end_wait()
        if self.unit is None or self.closing:
            return
        if self.backend is None:
            self.choose(self.unit)
        elif self.proxy.paused:
            self.wait_for_node(self.unit)
        else:
            self._waited()
            self.agree(self.unit, self.backend)

    def postponed(self) -> None:
        """The pool's queue is of no use for now: the proxy is paused, or the node drained."""
        self._pool = None
        self._end_wait()
        if self.unit is not None and not self.closing:
            self.wait_for_node(self.unit)

    def _end_wait(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._stop_waiting is not None:
            self._stop_waiting()
            self._stop_waiting = None

    def _waited(self) -> None:
        """It has come to an end, whichever."""
        self._end_wait()
        if self.waits_since:
            self.proxy.stats.waited.observe(self.proxy.loop.time() - self.waits_since)
            self.waits_since = 0.0

    def leave_queue(self) -> bool:
        """Wait for nothing any more; whether it did."""
        waited = self._pool is not None or self._timer is not None
        pool, self._pool = self._pool, None
        self._waited()
        if pool is not None:
            pool.give_up(self)
        return waited

    def _waited_too_long(self) -> None:
        self._timer = None
        self._waited()
        unit, proxy = self.unit, self.proxy
        if unit is None:
            return
        proxy.stats.timeouts += 1
        what = "a primary" if unit.access or self.block is not None else "a node that can answer"
        hint = "GET /nodes of the proxy's admin address tells why none is there."
        if proxy.paused:
            what, hint = "the proxy, which is paused", "POST /resume at the proxy's admin address ends that."
        self.give_up(
            HeliosError(
                f"timed out after {proxy.settings.write_timeout:g} s of waiting for {what}", sqlstate="57P03", hint=hint
            )
        )

    def _queued_too_long(self) -> None:
        self._timer = None
        self.leave_queue()
        self.give_up(
            HeliosError(
                f"timed out after {self.proxy.settings.queue_timeout:g} s of waiting for a free backend",
                sqlstate="53300", hint="Raise pool_size or queue_timeout_secs, or make transactions shorter.",
            )
        )  # fmt: skip

    @abstractmethod
    def agree(self, unit: Unit, backend: Backend) -> None:
        """Make the backend's session like the client's, then send."""

    @abstractmethod
    def give_up(self, error: HeliosError) -> None:
        """The unit in hand cannot be done."""
