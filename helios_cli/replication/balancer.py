"""Choosing among replicas that may be read from."""

from __future__ import annotations

import enum
import itertools
import random
from collections.abc import Sequence
from typing import Protocol, TypeVar

from helios_cli.replication.errors import NoHealthyReplicas


class LoadBalancingStrategy(enum.Enum):
    """By what a replica is chosen. ``RoundRobin`` and so on name the same members."""

    ROUND_ROBIN = "round-robin"
    """One after the other."""
    LEAST_CONNECTIONS = "least-connections"
    """The one that serves the fewest."""
    LATENCY_BASED = "latency-based"
    """The one that answered fastest."""
    RANDOM = "random"

    RoundRobin = ROUND_ROBIN
    LeastConnections = LEAST_CONNECTIONS
    LatencyBased = LATENCY_BASED
    Random = RANDOM

    @classmethod
    def _missing_(cls, value: object) -> LoadBalancingStrategy | None:
        """``round_robin`` and ``RoundRobin`` are understood too."""
        wanted = _plain(str(value))
        return next((member for member in cls if _plain(member.value) == wanted), None)


class Candidate(Protocol):
    """A replica, as the choice needs it."""

    @property
    def address(self) -> str:
        """Where it is."""

    @property
    def load(self) -> int:
        """Connections that it serves, and choices that are on their way to it."""

    @property
    def latency_ms(self) -> float:
        """How long it takes to answer, milliseconds, smoothed."""


C = TypeVar("C", bound=Candidate)


class LoadBalancer:
    """Chooses; remembers nothing but whose turn it is. Any thread may call it."""

    def __init__(
        self,
        strategy: LoadBalancingStrategy = LoadBalancingStrategy.ROUND_ROBIN,
        *,
        rng: random.Random | None = None,
    ) -> None:
        """``strategy`` is the one for calls that name none."""
        self.strategy = strategy
        self._turn = itertools.count()  # Its next() is one step of the interpreter: no two threads get one number.
        self._rng = rng or random.Random()

    def select(self, candidates: Sequence[C], strategy: LoadBalancingStrategy | None = None) -> C:
        """One of ``candidates``; equals take turns. Takes time in proportion to their number at most.

        Raises:
            NoHealthyReplicas: there are none.
        """
        if not candidates:
            raise NoHealthyReplicas("there is no healthy replica", hint="Read from the primary, or try again.")
        turn = next(self._turn) % len(candidates)
        chosen = self.strategy if strategy is None else strategy
        if chosen is LoadBalancingStrategy.ROUND_ROBIN:
            return candidates[turn]
        if chosen is LoadBalancingStrategy.RANDOM:
            return candidates[int(self._rng.random() * len(candidates))]
        rotated = itertools.chain(candidates[turn:], candidates[:turn])
        if chosen is LoadBalancingStrategy.LEAST_CONNECTIONS:
            return min(rotated, key=lambda candidate: candidate.load)
        return min(rotated, key=lambda candidate: candidate.latency_ms)


def _plain(text: str) -> str:
    return text.replace("-", "").replace("_", "").lower()
