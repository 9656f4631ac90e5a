"""Heartbeats, remembered until they are echoed: when each was sent, and for how long it asked for a vote."""

from __future__ import annotations

from typing import Final

SENT_MAX: Final = 2048
"""Heartbeats of the last seconds: the echo of an older one is worth nothing any more."""


class Asked:
    """By the wall clock that each bears.

    That clock may jump, back too: each heartbeat bears a time of its own, and nothing is reckoned by it.
    """

    def __init__(self) -> None:
        self._sent: dict[int, tuple[float, int | None]] = {}

    def sent(self, wall_us: int, now: float, lease_ms: int, *, asks: bool) -> int:
        """The time that a heartbeat bears: even, so that an odd one is the same heartbeat without a word of votes.

        ``now`` is of the steady clock, in seconds. The echo of one that does not ask for a vote grants none.
        """
        sent_us = wall_us & ~1
        while sent_us in self._sent:
            sent_us += 2
        self._sent[sent_us] = (now, lease_ms if asks else None)
        if len(self._sent) > SENT_MAX:
            del self._sent[next(iter(self._sent))]
        return sent_us

    def asked(self, echo_us: int) -> tuple[float, int] | None:
        """When the heartbeat was sent that bears this time, and the lease in ms. None: it asked for none, or is old."""
        at, lease_ms = self._sent.get(echo_us, (0.0, None))
        return None if lease_ms is None else (at, lease_ms)

    def sent_at(self, echo_us: int) -> float | None:
        """When the heartbeat was sent that bears this time, whatever it asked for; None: it is old."""
        found = self._sent.get(echo_us & ~1)
        return None if found is None else found[0]
