"""The simulated network: connections that keep their order, single questions, and cuts between nodes, also one way.

As with TCP, nothing is lost within a connection that stands: what a cut holds up comes after it, or the connection
ends, with all that was under way in it. One end may learn of that long after the other, or never, so a node may have
two connections with the same other one. Questions and their answers are lost, come twice and overtake each other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from random import Random
from typing import Any, Protocol

from helios_cli.engine.sim.clock import SimClock
from helios_cli.engine.types import Term


class Host(Protocol):
    """A node, as the network needs it."""

    name: str
    life: int
    """Counts its starts: what was meant for an earlier one does not arrive."""
    up: bool

    @property
    def doom(self) -> object | None:
        """Where it is to end; None: nowhere."""

    def meet(self, point: str) -> None:
        """May end the life there."""

    def run(self, life: int, action: Callable[..., None], *arguments: Any) -> None:
        """Do something in that life, when it is not frozen."""


class Link:
    """A connection between two nodes; ``ends`` are the caller and the one that was called."""

    def __init__(self, network: SimNetwork, caller: Host, called: Host) -> None:
        self._network = network
        self.ends = (caller, called)
        self.lives = (caller.life, called.life)
        self.member: Any = None
        """Who calls, as it says itself."""
        self.open = [True, True]
        self.on_message: list[Callable[[Term, str, Any], None] | None] = [None, None]
        self.on_closed: list[Callable[[], None] | None] = [None, None]
        self._arrives = [0, 0]
        self._under_way: tuple[deque[Any], deque[Any]] = (deque(), deque())
        """From each end, the oldest first: whenever something arrives, it is that."""
        self._held = [0, 0]
        """How many of them have come to a cut."""
        self.is_broken = False

    def send(self, end: int, term: Term, kind: str, body: Any = None) -> None:
        """Send from one of the ends: 0 the caller's, 1 the other."""
        if self.open[end]:
            host = self.ends[end]
            if host.doom is None:
                self._post(end, (term, kind, body))
                return
            host.meet("before a message is sent")
            self._post(end, (term, kind, body))
            host.meet("after a message is sent")

    def close(self, end: int) -> None:
        """End it from one side; the other hears of it in its turn."""
        if self.open[end]:
            self.open[end] = False
            self._post(end, None)

    def _post(self, end: int, message: Any) -> None:
        self._under_way[end].append(message)
        self._set_out(end)

    def _set_out(self, end: int) -> None:
        clock = self._network.clock
        at = max(self._arrives[end], clock.now_us + self._network.delay())
        self._arrives[end] = at
        clock.after(at - clock.now_us, self._arrive, end)

    def _arrive(self, end: int) -> None:
        other = 1 - end
        if self.is_broken:
            return
        if self._held[end] or not self._network.passes(self.ends[end].name, self.ends[other].name):
            self._network.was_held(self)
            self._held[end] += 1
            return
        message = self._under_way[end].popleft()
        host = self.ends[other]
        if not host.up or host.life != self.lives[other]:
            # Its life is over: the machine answers that nobody is there, unless it is down itself.
            if host.up:
                self._network.clock.after(self._network.delay(), self._hears_of_end, end)
            return
        host.run(self.lives[other], self._deliver, other, message)

    def _deliver(self, end: int, message: Any) -> None:
        if message is None:
            self._ended(end)
        elif self.open[end]:
            handler = self.on_message[end]
            if handler is not None:
                handler(*message)

    def _hears_of_end(self, end: int) -> None:
        self.ends[end].run(self.lives[end], self._ended, end)

    def _ended(self, end: int) -> None:
        host = self.ends[end]
        if self.open[end] and host.life == self.lives[end]:
            self.open[end] = False
            closed = self.on_closed[end]
            if closed is not None:
                closed()

    def release(self) -> None:
        """The cut is over: what was held up goes on, in order."""
        for end in (0, 1):
            waiting, self._held[end] = self._held[end], 0
            self._arrives[end] = self._network.clock.now_us
            for _ in range(waiting):
                self._set_out(end)

    def break_off(self, *, silently: bool = False) -> None:
        """The machines give the connection up: what was under way is lost, and both ends hear of it when they can.

        ``silently``: neither does; each finds out when it has heard nothing for too long.
        """
        self.is_broken = True
        for end in (0, 1):
            self._under_way[end].clear()
            if not silently:
                self._network.clock.after(self._network.delay(), self._hears_of_end, end)


class SimNetwork:
    """Delays and cuts, drawn from the run's random numbers."""

    def __init__(self, clock: SimClock, rng: Random) -> None:
        self.clock = clock
        self._rng = rng
        self.delay_us = (100, 1500)
        """Of a message, between these."""
        self.loss = self.twice = 0.0
        """How many of the questions, and of the answers, are lost, and how many come twice."""
        self.lost_count = self.twice_count = 0
        self._links: list[Link] = []
        self._cuts: set[tuple[str, str]] = set()
        self._waiting: list[Link] = []

    def delay(self) -> int:
        """How long the next message takes, microseconds; a few take much longer."""
        low, high = self.delay_us
        drawn = self._rng.random()
        return int(low + (high - low) * drawn) * (20 if drawn > 0.98 else 1)

    def passes(self, source: str, target: str) -> bool:
        """Whether a message gets through in this direction."""
        return not self._cuts or (source, target) not in self._cuts

    def cut(self, source: str, target: str) -> None:
        """Let nothing through in one direction."""
        self._cuts.add((source, target))

    def heal(self) -> None:
        """Let everything through again. Connections that a cut held up go on, or have been given up meanwhile."""
        self._cuts.clear()
        waiting, self._waiting = self._waiting, []
        for link in waiting:
            if self._rng.random() < 0.5:
                link.release()
            else:
                link.break_off()

    def was_held(self, link: Link) -> None:
        """A connection has something to say that does not get through."""
        if link not in self._waiting:
            self._waiting.append(link)

    def connect(self, caller: Host, called: Host) -> Link | None:
        """A new connection; None when there is nobody, or no way."""
        if not called.up or not self.passes(caller.name, called.name) or not self.passes(called.name, caller.name):
            return None
        self._links = [link for link in self._links if any(link.open) and not link.is_broken]
        link = Link(self, caller, called)
        self._links.append(link)
        return link

    def break_links(self, name: str, *, silently: bool) -> None:
        """Every connection of a node ends, with all that was under way in it."""
        for link in self._links:
            if name in (link.ends[0].name, link.ends[1].name):
                link.break_off(silently=silently)

    def ask(self, caller: Host, called: Host, question: Callable[[], Any], answered: Callable[[Any], None]) -> None:
        """A single question: ``question`` runs at the called node, its result comes back, or nothing does."""
        life = caller.life
        heard: list[Any] = []

        def arrive() -> None:
            if called.up and self.passes(caller.name, called.name):
                called.run(called.life, reply)

        def reply() -> None:
            answer = question()
            called.meet("before an answer is sent")
            self._deliver(lambda: back(answer))
            called.meet("after an answer is sent")

        def back(answer: Any) -> None:
            if self.passes(called.name, caller.name) and not heard:
                heard.append(answer)
                caller.run(life, answered, answer)

        self._deliver(arrive)

    def _deliver(self, arrive: Callable[[], None]) -> None:
        drawn = self._rng.random()
        if drawn < self.loss:
            self.lost_count += 1
            return
        self.clock.after(self.delay(), arrive)
        if drawn > 1 - self.twice:
            self.twice_count += 1
            self.clock.after(3 * self.delay(), arrive)
