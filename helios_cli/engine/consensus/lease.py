"""The leader's lease: for how long nobody else can have been elected.

A voter that has heard from the primary votes for nobody else until the time that the primary named is over
(:class:`Loyalty`); so a primary that was heard by a majority of the voters knows until when it is the only one
(:class:`Lease`). Both count on their own steady clocks, the primary from when it asked and the voter from when it
heard, which is later; the primary gives up an eighth of the time for clocks that do not run alike
(Gray and Cheriton, Leases, SOSP 1989; Ongaro, Consensus: Bridging Theory and Practice, 6.3).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

from helios_cli.engine.consensus.config import Voter

MARGIN: Final = 1 / 8
"""The part of a lease that a primary does not use."""


def majority(voters: int) -> int:
    """How many of so many voters are more than half of them."""
    return voters // 2 + 1


class Lease:
    """The primary's side, for one term. Times are seconds of its steady clock."""

    def __init__(self, own: Voter) -> None:
        self._own = own
        self._until: dict[Voter, float] = {}

    def confirmed(self, voter: Voter, asked_at: float, seconds: float) -> bool:
        """A voter has heard what was sent at ``asked_at``: it votes for nobody else for ``seconds`` from then on.

        Whether that is longer than was known.
        """
        until = asked_at + seconds * (1 - MARGIN)
        if until <= self._until.get(voter, -math.inf):
            return False
        self._until[voter] = until
        return True

    def until(self, voters: Iterable[Voter]) -> float:
        """When the lease ends that a majority of ``voters`` has granted; infinite where this node alone decides."""
        ends = sorted([self._end_of(voter) for voter in voters], reverse=True)
        return ends[majority(len(ends)) - 1] if ends else -math.inf

    def until_all(self, voters: Iterable[Voter]) -> float:
        """When the first of ``voters`` may listen to somebody else; infinite where there is none but this node."""
        return min(map(self._end_of, voters), default=math.inf)

    def missing(self, voters: Iterable[Voter], now: float) -> list[str]:
        """The names of the voters whose word has run out."""
        return sorted(voter[0] for voter in voters if self._end_of(voter) <= now)

    def _end_of(self, voter: Voter) -> float:
        return math.inf if voter == self._own else self._until.get(voter, -math.inf)


class Loyalty:
    """A voter's side: whom it has heard of as the primary, and until when it votes for nobody else.

    It does not survive the process, so that one which has just begun waits as long as any lease may last that it has
    forgotten.
    """

    def __init__(self, now: float, longest_s: float) -> None:
        """``longest_s`` is the longest lease that it may have granted in the life before."""
        self._until = now + longest_s
        self.heard_at = now
        """When a primary was heard of last, or this life began."""

    def heard(self, now: float, lease_s: float) -> None:
        """The primary has been heard of; a lease of 0 releases this voter at once.

        A shorter one than before takes nothing back: the primary may have heard of the longer one alone.
        """
        self.heard_at = now
        self._until = max(self._until, now + lease_s) if lease_s else now

    def end(self) -> None:
        """The primary that was heard of leads no more."""
        self._until = -math.inf

    def holds(self, now: float) -> bool:
        """Whether it may vote for nobody but the primary that it heard of."""
        return now < self._until

    def remaining(self, now: float) -> float:
        """Seconds until it may vote; 0.0 when it may."""
        return max(0.0, self._until - now)
