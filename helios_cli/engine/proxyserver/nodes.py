"""The nodes behind the proxy: what is known of each, and which of them gets a statement."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Final

from helios_cli.engine.proxy.reads import Limits, Reader, readers
from helios_cli.engine.proxy.roles import Claim, lead_of
from helios_cli.engine.proxyserver.choice import Choice
from helios_cli.engine.proxyserver.members import Members
from helios_cli.engine.proxyserver.node import Node, State
from helios_cli.engine.replication.lag import LogClock
from helios_cli.engine.types import Lsn

if TYPE_CHECKING:
    from helios_cli.engine.config.proxy import ProxySettings
    from helios_cli.engine.proxyserver.questions import Announcement, Report

log = logging.getLogger(__name__)

HANDOVER_S: Final = 15.0
"""A switchover of which nothing more is heard for so long has come to nothing."""


class Cluster(Members):
    """All nodes, who of them leads, and the watches that keep this true. One per proxy process."""

    def __init__(self, settings: ProxySettings, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(settings, loop)
        self.primary: Node | None = None
        """Who takes writes now; None while nobody is known to."""
        self.term = 0
        """The highest that was heard; a node that claims to lead in a lower one is not believed."""
        self.on_change: list[Callable[[Node], None]] = []
        """Called when a node's state, role or generation has changed."""
        self._choice = Choice()
        self._log_clock = LogClock()
        """When the primary was where, for standbys that do not know how far behind they are."""
        self._log_end, self._log_at_us = Lsn(0), 0
        """Where it was last, and when that was so."""
        self._waiting: dict[object, Callable[[], None]] = {}
        self._told: dict[str, tuple[State, str, int]] = {}
        """Of each node what others were told last: state, role, generation."""
        self._led_by: tuple[str, int] | None = None
        """The last primary and its term; None: there was none yet."""
        self._since = loop.time()
        """There has been no primary."""
        self._tried = asyncio.Event()
        self._routing = ""

    async def start(self) -> None:
        """Watch the nodes, and find out who leads: until all of them were asked, for a health check's time at most."""
        self.configure(self._settings)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.health_check_timeout):
                while not self._watches or not all(watch.has_tried for watch in self._watches.values()):
                    self._tried.clear()
                    await self._tried.wait()

    def apply(self, settings: ProxySettings) -> None:
        """Other settings: nodes come and go, limits change.

        Raises:
            ConfigError: a file of ``[backend_tls]`` cannot be used; everything stays as it was.
        """
        self.configure(settings)
        self._settle()

    # What statements ask -----------------------------------------------------------------------------------------

    def reader(self, floor: int = 0, avoid: Collection[Node] = ()) -> Node | None:
        """A node for a read, by the balancer: healthy, within the lag limits, with the floor; None: there is none now.

        The primary counts as a reader, unless the settings say otherwise.
        """
        return self._choice.one(floor, avoid)

    def greeter(self) -> Node | None:
        """A node that lets a new session in, by turns of its own: a session of one read would else take two turns, and
        with two nodes its reads would all go to the same one.
        """
        return self._choice.login()

    def readers(self, floor: int = 0) -> list[Node]:
        """All nodes of which :meth:`reader` gives one."""
        return self._choice.all(floor)

    def when_changed(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back once, when something has changed that a waiting statement may go by; gives what cancels that."""
        key = object()
        self._waiting[key] = callback

        def cancel() -> None:
            self._waiting.pop(key, None)

        return cancel

    def suspect(self, node: Node, reason: str) -> None:
        """A connection to the node broke or was refused: ask it at once, and give it nothing until it answers."""
        watch = self._watches.get(node.name)
        if watch is not None and watch.node is node and watch.health.is_answering:
            watch.suspect(reason)
            node.began_anew = True
            self._settle()

    def look(self, floor: int) -> None:
        """A read found no standby with this floor: ask them how far they are, unless that was just done."""
        for node in self._choice.lacking(floor):
            watch = self._watches.get(node.name)
            if watch is not None:
                watch.look()

    def is_behind(self, floor: int) -> bool:
        """Whether some node that takes reads is not known to show the floor."""
        return floor > self._choice.least

    def saw(self, node: Node, lsn: int) -> None:
        """The node itself has said on another connection how far it is."""
        if lsn > node.lsn and not (node.is_lost or node.began_anew):
            node.lsn = lsn
            self._choice.moved()

    def drain(self, node: Node) -> None:
        """Give the node nothing new from now on."""
        node.is_draining = True
        self._settle()

    def undrain(self, node: Node) -> None:
        """Give it statements again."""
        node.is_draining = False
        self._settle()

    # What the watches tell ---------------------------------------------------------------------------------------

    def heard(self, node: Node, told: Report, *, looked: bool = False) -> None:
        """The node has answered; ``looked``: because somebody wants to know how far it is."""
        if self._is_no_news(node, told):
            moved = told.lsn > node.lsn
            if moved:
                node.lsn = told.lsn
                self._choice.moved()
            if moved or looked:
                self._wake()
            return
        # Without its term a claim to lead says nothing: that is asked for next.
        node.leads = told.leads and (node.leads or told.term is not None)
        node.is_handing_over = node.is_handing_over and node.leads
        node.is_lost = False
        if node.began_anew or told.term not in (None, node.term):
            node.lsn = told.lsn
        # One that was on its way may say less than is known since.
        node.lsn = max(node.lsn, told.lsn)
        node.began_anew = False
        if told.term is not None:
            node.term = told.term
        if told.is_full:
            self._lag(node, told)
        if self._discovery is not None and told.places:
            self._discovery.heard(node, told)
        self._settle()
        self._wake()
        self._tried.set()

    def _is_no_news(self, node: Node, told: Report) -> bool:
        """Whether an answer, of those that come often, says nothing but how far a node is."""
        return (
            not told.is_full
            and told.leads == node.leads
            and told.term in (None, node.term)
            and not (node.is_lost or node.began_anew)
            and node.state is self._state(node)
        )

    def _lag(self, node: Node, told: Report) -> None:
        """How far it is behind the primary. While nobody leads nothing is written, and nobody falls back further."""
        if self.primary is not None:
            self._log_at_us = int(self._loop.time() * 1e6)
        if node.leads:
            node.lag_bytes, node.lag_ms = 0, 0.0
            if node is self.primary:
                self._log_end = Lsn(node.lsn)
                self._log_clock.sample(self._log_end, self._log_at_us)
        elif told.lag_bytes is not None:
            node.lag_bytes, node.lag_ms = told.lag_bytes, told.lag_ms or 0.0
        else:
            node.lag_bytes = max(0, self._log_end - node.lsn)
            node.lag_ms = self._log_clock.lag_ms(Lsn(node.lsn), self._log_end, self._log_at_us)

    def lost(self, node: Node) -> None:
        """Its connection broke, and it has to show that it is there."""
        node.began_anew = True
        self._settle()

    def failed(self, node: Node) -> None:
        """It is not there: nobody listens, or no answer came in time."""
        node.began_anew = True
        if not node.is_lost:
            node.is_lost = True
            node.generation += 1
            node.is_handing_over = False
        if self._discovery is not None:
            self._discovery.lost(node)
        self._settle()
        self._tried.set()

    def follows_now(self, node: Node) -> None:
        """It has told that it takes no writes any more."""
        node.leads = False
        self._settle()

    def announced(self, node: Node, told: Announcement) -> None:
        """It has told something unasked."""
        if told.term > self.term:
            self._newer_term(told.term)
        if told.leads and told.term >= self.term:
            node.leads, node.term, node.is_lost = True, told.term, False
        elif not told.leads:
            node.leads = False
        node.is_handing_over = told.event == "handover" and told.leads
        if node.is_handing_over:
            node.handover_ends = self._loop.time() + HANDOVER_S
            self._loop.call_later(HANDOVER_S, self._handover_over, node)
        for one in (node, self.primary):
            if one is not None and one.name in self._watches:
                self._watches[one.name].check()
        self._settle()

    def _newer_term(self, term: int) -> None:
        self.term = term
        for watch in self._watches.values():
            watch.check()

    def _handover_over(self, node: Node) -> None:
        if node.is_handing_over and self._loop.time() >= node.handover_ends:
            node.is_handing_over = False
            self._settle()

    # What follows from it ----------------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Draw the conclusions: states, who leads, who is read from; then tell of what has changed."""
        for node in self.nodes.values():
            node.state = self._state(node)
        self._find_lead()
        changed = self._choose()
        told = [node for node in self.nodes.values() if self._told.get(node.name) != _face(node)]
        for node in told:
            self._tell(node)
        if changed:
            self._tell_routing()
        if told or changed:
            self._wake()

    def _wake(self) -> None:
        """Have those that wait look again."""
        if self._waiting:
            waiting, self._waiting = self._waiting, {}
            for callback in waiting.values():
                callback()

    def _state(self, node: Node) -> State:
        watch = self._watches.get(node.name)
        if watch is None:
            return State.DISABLED
        if not watch.health.is_answering:
            return State.UNHEALTHY
        return State.DRAINING if node.is_draining else State.HEALTHY

    def _find_lead(self) -> None:
        claims = [
            Claim(node.name, node.leads, node.term, node.state is not State.UNHEALTHY, node.hint == "primary")
            for node in self.nodes.values()
            if node.state is not State.DISABLED
        ]
        lead = lead_of(claims, known_term=self.term, current=self._led_by[0] if self._led_by is not None else None)
        if lead.term > self.term:
            self._newer_term(lead.term)
        for node in self.nodes.values():
            role = "deposed" if node.name in lead.deposed else _role(node)
            if node.role == "primary" and role != "primary":
                node.generation += 1
            node.role = role
        found = self.nodes[lead.primary] if lead.primary is not None else None
        if self._led_by is None and found is not None and found.hint != "primary" and self._awaits_hinted():
            found = None
        if found is not None and (found.is_handing_over or found.state is not State.HEALTHY):
            found = None
        before, self.primary = self.primary, found
        if found is None:
            self._since = self._loop.time() if before is not None else self._since
            return
        led_by = (found.name, found.term)
        if self._led_by is not None and self._led_by[0] != found.name:
            log.info(
                "failover: node %s is the primary of term %d in place of %s, after %.0f ms without one",
                found.name, found.term, self._led_by[0], (self._loop.time() - self._since) * 1000,
            )  # fmt: skip
        self._led_by = led_by

    def _awaits_hinted(self) -> bool:
        """Whether the node that the configuration calls the primary has not been asked yet."""
        return any(self.nodes[name].hint == "primary" and not one.has_tried for name, one in self._watches.items())

    def _choose(self) -> bool:
        """Whether others take reads, or the writes, than before."""
        settings = self._settings
        leader = next((node for node in self.nodes.values() if node.role == "primary"), None)
        fit = [
            Reader(
                node.name, node is leader, not node.is_heliosdb or node.term >= self.term, node.lag_bytes, node.lag_ms
            )
            for node in self.nodes.values()
            if node.state is State.HEALTHY and node.role in ("primary", "standby")
        ]
        limits = Limits(settings.max_lag_bytes, None if settings.max_lag is None else settings.max_lag * 1000)
        names = readers(fit, limits, read_from_primary=settings.read_from_primary)
        return self._choice.set([self.nodes[name] for name in names], leader, settings.balancer)

    def _tell(self, node: Node) -> None:
        before, now = self._told.get(node.name), _face(node)
        self._told[node.name] = now
        if node.role and (before is None or before[1] != node.role):
            was = f", was {before[1]}" if before is not None and before[1] else ""
            log.info("role change: node %s is %s in term %d%s", node.name, _article(node.role), node.term, was)
        self._call(node)

    def gone(self, node: Node) -> None:
        """A node is none any more."""
        self._told.pop(node.name, None)
        self._call(node)

    def _call(self, node: Node) -> None:
        for callback in self.on_change:
            callback(node)

    def _tell_routing(self) -> None:
        writes = f"node {self.primary.name}" if self.primary is not None else "nobody"
        reads = ", ".join(node.name for node in self._choice.nodes) or "nobody"
        text = f"routing: writes go to {writes}, reads to {reads}"
        if text != self._routing:
            self._routing = text
            log.info("%s", text)


def _role(node: Node) -> str:
    if node.leads:
        return "primary"
    return "standby" if node.lsn or node.term else ""


def _article(role: str) -> str:
    return role if role == "deposed" else f"a {role}" if role == "standby" else "the primary"


def _face(node: Node) -> tuple[State, str, int]:
    return node.state, node.role, node.generation
