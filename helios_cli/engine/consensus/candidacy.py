"""When a node that hears of no primary asks to be elected: by rank, so that they do not ask all at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from helios_cli.engine.consensus.config import ClusterConfig, Member

RANK_S: Final = 0.05
"""Between the first attempts of two candidates: a vote and its answers take less on one site."""
VOTE_TRIPS: Final = 8
"""What it takes to dial, look around and be voted for, in round trips, with TLS."""
JITTER_S: Final = 0.03
RETRY_S: Final = 0.1
"""After the first refusal; twice as long after each further one."""
RETRY_MAX_S: Final = 1.0
VOTED_S: Final = 0.4
"""What a node that has voted for another leaves it, to lead and be heard of: a new term would end its own at once."""


def rank(config: ClusterConfig, node_id: str) -> int | None:
    """How many others try before this node; None when it does not try at all.

    That is one whose priority is 0. The primary comes last of those whose copies count: it is gone, or has given the
    lead away to somebody who did not take it. The others come behind it: where one of them is ahead of all whose copies
    count, with records that the primary has lost since, nobody else can lead.
    """

    def order(member: Member) -> tuple[bool, bool, int, str]:
        name = member.node_id
        return name not in config.in_sync, name == config.primary, -member.priority, name

    fit = sorted((member for member in config.members if member.priority > 0), key=order)
    return next((place for place, member in enumerate(fit) if member.node_id == node_id), None)


def turn(configs: Sequence[ClusterConfig], node_id: str) -> int | None:
    """The same by the newest of the configurations that may be in force by which it tries; None: by none."""
    return next((place for one in reversed(configs) if (place := rank(one, node_id)) is not None), None)


def voted_s(trip_s: float) -> float:
    """:data:`VOTED_S` where a round trip takes so long."""
    return max(VOTED_S, VOTE_TRIPS * trip_s)


class Candidacy:
    """Of one node. Times are seconds of its steady clock; ``draw`` gives random numbers from 0 to 1."""

    def __init__(self, draw: Callable[[], float]) -> None:
        self._draw = draw
        self._next_at: float | None = None
        self._refused = 0

    def due(self, now: float, place: int, *, is_loyal: bool, trip_s: float = 0.0) -> bool:
        """Whether to ask now. To be called often; each time that it is true counts as an attempt.

        ``trip_s`` is the time that a question and its answer are under way.
        """
        if is_loyal:
            self._next_at, self._refused = None, 0
            return False
        if self._next_at is None:
            self._next_at = now + place * max(RANK_S, VOTE_TRIPS * trip_s) + self._draw() * JITTER_S
        if now < self._next_at:
            return False
        pause = max(min(RETRY_MAX_S, RETRY_S * 2**self._refused), VOTE_TRIPS * trip_s)
        self._next_at = now + pause * (0.5 + self._draw())
        self._refused = min(self._refused + 1, 10)
        return True

    def defer(self, now: float, trip_s: float = 0.0) -> None:
        """A vote was given to another node: it is not this one's turn until that one has had the time to lead.

        Raft's followers begin their election timeout anew for the same reason (Ongaro and Ousterhout, 2014, 5.2).
        """
        self._next_at = max(self._next_at or now, now + voted_s(trip_s) * (1 + self._draw()))
