"""A node's one vote, which two threads may give: to the primary that is heard, or to a candidate."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from helios_cli.engine.consensus.lease import Loyalty
from helios_cli.engine.types import Term


class Vote:
    """Who hears the primary and who answers a candidate ask here first; times are seconds of the steady clock."""

    def __init__(self, loyalty: Loyalty, lock: AbstractContextManager[object] | None = None) -> None:
        """``lock`` is held while the vote is given, where there are several threads."""
        self._loyalty = loyalty
        self._lock = nullcontext() if lock is None else lock
        self._pledged = 0
        """The newest term that a candidate was promised, or is about to be once that is on disk."""

    @property
    def heard_at(self) -> float:
        """When a primary was heard of last, or this life began."""
        return self._loyalty.heard_at

    def holds(self, now: float) -> bool:
        """Whether it belongs to the primary that was heard."""
        return self._loyalty.holds(now)

    def remaining(self, now: float) -> float:
        """Seconds until it may be given to somebody else."""
        return self._loyalty.remaining(now)

    def heard(self, now: float, lease_s: float, term: Term) -> bool:
        """The primary of a term asks for it; whether it is the primary's now, and that may be told."""
        with self._lock:
            if term.number < self._pledged:
                return False
            self._loyalty.heard(now, lease_s)
            return True

    def leads(self) -> None:
        """This node has come to lead itself: whom it heard before leads no more, and it may give its place away."""
        with self._lock:
            self._loyalty.end()

    def pledge(self, now: float, term: int, *, excused: bool = False) -> bool:
        """A candidate of that term asks for it, this node perhaps; whether it may be given, and is kept for that.

        ``excused``: the primary that it belongs to has given it away itself.
        """
        with self._lock:
            if self._loyalty.holds(now) and not excused:
                return False
            self._pledged = max(self._pledged, term)
            return True

    def withdraw(self, term: int) -> None:
        """What was pledged beyond ``term``, the newest on this node's disk, was given to nobody: it came to nothing."""
        with self._lock:
            self._pledged = min(self._pledged, term)
