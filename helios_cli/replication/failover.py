"""Promotions, one at a time, and their history."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from helios_cli.engine.errors import HeliosError
from helios_cli.engine.types import Lsn
from helios_cli.replication.errors import NoHealthyReplicas

HISTORY_MAX: Final = 1000


@dataclass(frozen=True, slots=True)
class FailoverEvent:
    """One promotion, or one that failed."""

    old_primary: str
    new_primary: str
    """Empty when no replica could be chosen."""
    at_s: float
    """When it began, seconds since 1970-01-01 UTC."""
    duration_ms: float
    automatic: bool
    reason: str
    error: str
    """Why it failed; empty when it succeeded."""

    @property
    def succeeded(self) -> bool:
        """Whether there is a new primary."""
        return not self.error


class Candidate(Protocol):
    """A replica that could be promoted."""

    address: str
    applied: Lsn
    lag_ms: float


class FailoverManager:
    """Promotes and remembers. Any thread may call it; a second promotion waits for the first."""

    def __init__(self, promote: Callable[[str], object], *, history_max: int = HISTORY_MAX) -> None:
        """``promote`` makes the node at an address the primary; it raises HeliosError when that fails."""
        self._promote = promote
        self._turn = threading.Lock()
        self._lock = threading.Lock()
        self._history: deque[FailoverEvent] = deque(maxlen=history_max)
        self._count = 0

    @property
    def failover_count(self) -> int:
        """Promotions that succeeded."""
        return self._count

    @property
    def history(self) -> tuple[FailoverEvent, ...]:
        """Every attempt, oldest first."""
        with self._lock:
            return tuple(self._history)

    @property
    def in_progress(self) -> bool:
        """Whether a promotion runs now."""
        return self._turn.locked()

    @staticmethod
    def choose(replicas: Iterable[Candidate]) -> str:
        """The replica that has the most of the log; of equals the one with the smallest lag.

        Raises:
            NoHealthyReplicas: there is none.
        """
        best = min(replicas, key=lambda replica: (-replica.applied, replica.lag_ms, replica.address), default=None)
        if best is None:
            raise NoHealthyReplicas("there is no healthy replica to promote", hint="Bring a standby back first.")
        return best.address

    def promote(self, old_primary: str, address: str, *, reason: str, automatic: bool = False) -> FailoverEvent:
        """Promote one replica and record it.

        Raises:
            PromotionRefused: the node will not. NodeUnreachable: it does not answer. Both are recorded too.
        """
        with self._turn:
            at_s, start = time.time(), time.perf_counter()
            failure: HeliosError | None = None
            try:
                self._promote(address)
            except HeliosError as error:
                failure = error
            event = FailoverEvent(
                old_primary,
                address,
                at_s,
                (time.perf_counter() - start) * 1000,
                automatic,
                reason,
                failure.message if failure is not None else "",
            )
            self._remember(event)
        if failure is not None:
            raise failure
        return event

    def refused(self, old_primary: str, *, reason: str, error: str) -> None:
        """An automatic failover was called for and not begun."""
        self._remember(FailoverEvent(old_primary, "", time.time(), 0.0, True, reason, error))

    def automatic(
        self, old_primary: str, replicas: Iterable[Candidate], *, needed: int, reason: str
    ) -> FailoverEvent | None:
        """Promote the best of ``replicas`` when there are ``needed`` of them; None when it was not possible.

        Never raises: the history says what happened.
        """
        candidates = list(replicas)
        try:
            if len(candidates) < needed:
                raise NoHealthyReplicas(f"{len(candidates)} healthy replicas, {needed} are needed (min_replicas)")
            address = self.choose(candidates)
        except NoHealthyReplicas as error:
            self.refused(old_primary, reason=reason, error=error.message)
            return None
        try:
            return self.promote(old_primary, address, reason=reason, automatic=True)
        except HeliosError:
            return None

    def _remember(self, event: FailoverEvent) -> None:
        """Append; an automatic attempt that fails as the one before did is said once, not with every check."""
        with self._lock:
            last = self._history[-1] if self._history else None
            again = last is not None and (last.error, last.new_primary) == (event.error, event.new_primary)
            if not (event.automatic and event.error and again):
                self._history.append(event)
            self._count += event.succeeded
