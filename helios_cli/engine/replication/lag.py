"""How far a follower is behind: in time, at which pace, and what holds it up.

Pure: times are handed in, microseconds of one clock.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from helios_cli.engine.types import Lsn

FINE_US: Final = 1_000
FINE_KEPT: Final = 4_096
COARSE_US: Final = 250_000
COARSE_KEPT: Final = 14_400
"""An hour: what is older than that counts as an hour old."""

PACE_US: Final = 5_000_000
"""A pace is the mean of so long."""

OFFSET_US: Final = 60_000_000
"""The difference of two clocks is looked for anew this often, since clocks drift."""

DISCONNECTED: Final = "disconnected"
SILENT: Final = "silent"
SENDING: Final = "sending"
NETWORK: Final = "network"
FLUSH: Final = "flush"
APPLY: Final = "apply"


class LogClock:
    """When the log reached which LSN: to a millisecond for the last seconds, to a quarter of a second for an hour."""

    def __init__(self) -> None:
        self._fine: deque[tuple[Lsn, int]] = deque(maxlen=FINE_KEPT)
        self._coarse: deque[tuple[Lsn, int]] = deque(maxlen=COARSE_KEPT)
        self._end = Lsn(0)

    def sample(self, end: Lsn, now_us: int) -> None:
        """The log ends at ``end`` now. Called at every record; one that comes within a millisecond costs a look."""
        if end == self._end:
            return
        start, self._end = self._end, end
        fine = self._fine
        if fine and now_us - fine[-1][1] < FINE_US:
            # The first record of a millisecond stands for those that follow: their age is overstated by that much.
            return
        fine.append((start, now_us))
        coarse = self._coarse
        if not coarse or now_us - coarse[-1][1] >= COARSE_US:
            coarse.append(fine[-1])

    def lag_ms(self, applied: Lsn, end: Lsn, now_us: int) -> float:
        """How long ago the log went beyond ``applied``, in milliseconds; 0.0 when it ends there."""
        if applied >= end:
            return 0.0
        since = _passed(self._fine, applied)
        if since is None:
            since = _passed(self._coarse, applied) or _oldest(self._coarse) or now_us
        return max(0.0, (now_us - since) / 1000)


def _passed(samples: deque[tuple[Lsn, int]], lsn: Lsn) -> int | None:
    """When the log went beyond ``lsn``: the newest sample that begins at or below it; None when none does."""
    for start, when in reversed(samples):
        if start <= lsn:
            return when
    return None


def _oldest(samples: deque[tuple[Lsn, int]]) -> int | None:
    return samples[0][1] if samples else None


class ClockOffset:
    """Reads another node's clock by this one: the message that travelled fastest tells how much they differ."""

    def __init__(self) -> None:
        self._least: int | None = None
        self._before: int | None = None
        self._since = 0

    def local_us(self, sent_us: int, heard_us: int) -> int:
        """When, by this node's clock, a message was sent that says ``sent_us`` and came at ``heard_us``.

        The time that even the fastest message takes is left out.
        """
        difference = heard_us - sent_us
        if self._least is None or heard_us - self._since > OFFSET_US:
            self._before, self._least, self._since = self._least, difference, heard_us
        self._least = min(self._least, difference)
        return sent_us + (self._least if self._before is None else min(self._least, self._before))


class Pace:
    """How fast a position moves, over the last few seconds."""

    def __init__(self) -> None:
        self._samples: deque[tuple[int, int]] = deque()

    def sample(self, lsn: int, now_us: int) -> None:
        """The position is ``lsn`` now."""
        samples = self._samples
        samples.append((lsn, now_us))
        while now_us - samples[0][1] > PACE_US and len(samples) > 2:
            samples.popleft()

    def bytes_per_s(self) -> float:
        """0.0 before two samples were taken, and when the position fell."""
        if len(self._samples) < 2:
            return 0.0
        (first, began), (last, ended) = self._samples[0], self._samples[-1]
        return max(0.0, (last - first) * 1e6 / (ended - began)) if ended > began else 0.0


def catch_up_s(lag_bytes: int, follower_pace: float, log_pace: float) -> float | None:
    """Seconds until a follower lacks nothing, when both go on as they do; None: it does not come nearer."""
    if lag_bytes <= 0:
        return 0.0
    gain = follower_pace - log_pace
    return lag_bytes / gain if gain > 0 else None


def lag_cause(*, connected: bool, silent: bool, end: Lsn, sent: Lsn, written: Lsn, flushed: Lsn, applied: Lsn) -> str:
    """Where most of the bytes are that a follower lacks; empty when it lacks none.

    ``disconnected``: there is no stream; ``silent``: there is one and nothing comes over it; ``sending``: the sender
    has not sent them (it reads them from its files, or the connection takes no more); ``network``: under way;
    ``flush``: received, not on the follower's disk; ``apply``: on its disk, not applied.
    """
    if not connected:
        return DISCONNECTED
    if silent:
        return SILENT
    waiting = (
        (end - sent, SENDING),
        (sent - written, NETWORK),
        (written - flushed, FLUSH),
        (flushed - applied, APPLY),
    )
    most, cause = max(waiting, key=lambda pair: pair[0])
    return cause if most > 0 and applied < end else ""
