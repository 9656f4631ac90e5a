"""How far replicas are behind: an estimate in milliseconds, its history and its percentiles."""

from __future__ import annotations

import math
import threading
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from helios_cli.engine.types import Lsn

HISTORY_MAX: Final = 3600
"""Samples kept of each replica: an hour at one a second."""


class PrimaryClock:
    """When the primary reached which LSN, sampled, so that bytes of lag become milliseconds."""

    def __init__(self, samples_max: int = HISTORY_MAX) -> None:
        self._lsns: deque[int] = deque(maxlen=samples_max)
        self._times: deque[float] = deque(maxlen=samples_max)
        self._lock = threading.Lock()

    def sample(self, lsn: Lsn, at_s: float) -> None:
        """The primary is at ``lsn``. Of a time of rest only its beginning and its end are kept."""
        with self._lock:
            lsns, times = self._lsns, self._times
            if lsns and lsn < lsns[-1]:
                # Another primary, whose log goes on from a lower LSN.
                lsns.clear()
                times.clear()
            if len(lsns) > 1 and lsns[-1] == lsns[-2] == lsn:
                times[-1] = at_s
                return
            lsns.append(lsn)
            times.append(at_s)

    @property
    def newest(self) -> Lsn:
        """Where the primary was last seen; 0 before the first sample."""
        with self._lock:
            return Lsn(self._lsns[-1]) if self._lsns else Lsn(0)

    def lag_ms(self, applied: Lsn, at_s: float) -> float:
        """How long before ``at_s`` the primary went beyond ``applied``; 0.0 when it is not seen to have done so.

        Between two samples the log is taken to have grown evenly.
        """
        with self._lock:
            if not self._lsns or applied >= self._lsns[-1]:
                return 0.0
            lsns, times = list(self._lsns), list(self._times)
        after = bisect_right(lsns, applied)
        if after == 0:
            return max(0.0, (at_s - times[0]) * 1000)
        low, high = lsns[after - 1], lsns[after]
        share = (applied - low) / (high - low)
        passed = times[after - 1] + share * (times[after] - times[after - 1])
        return max(0.0, (at_s - passed) * 1000)


@dataclass(frozen=True, slots=True)
class LagSample:
    """What was found at one time."""

    at_s: float
    """Seconds since 1970-01-01 UTC."""
    lag_ms: float
    lag_bytes: int


@dataclass(frozen=True, slots=True)
class LagSummary:
    """The lag of one replica over its history, milliseconds; all zeros without a sample."""

    samples: int
    current_ms: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float


class LagMonitor:
    """The newest samples of every replica. Any thread may call it."""

    def __init__(self, history_max: int = HISTORY_MAX) -> None:
        self._history_max = history_max
        self._lock = threading.Lock()
        self._samples: dict[str, deque[LagSample]] = {}

    def record(self, address: str, lag_ms: float, *, at_s: float, lag_bytes: int = 0) -> None:
        """One more sample of a replica."""
        with self._lock:
            history = self._samples.get(address)
            if history is None:
                history = self._samples[address] = deque(maxlen=self._history_max)
            history.append(LagSample(at_s, lag_ms, lag_bytes))

    def current(self, address: str) -> LagSample | None:
        """The newest sample; None before the first."""
        with self._lock:
            history = self._samples.get(address)
            return history[-1] if history else None

    def history(self, address: str) -> tuple[LagSample, ...]:
        """Every sample that is kept, oldest first; empty for a replica that is not known."""
        with self._lock:
            return tuple(self._samples.get(address, ()))

    def percentile(self, address: str, percent: float) -> float:
        """The lag in milliseconds that so many percent of the samples do not exceed (nearest rank); 0.0 of none."""
        return percentile(sorted(sample.lag_ms for sample in self.history(address)), percent)

    def p50(self, address: str) -> float:
        """The median, milliseconds."""
        return self.percentile(address, 50)

    def p95(self, address: str) -> float:
        """The 95th percentile, milliseconds."""
        return self.percentile(address, 95)

    def p99(self, address: str) -> float:
        """The 99th percentile, milliseconds."""
        return self.percentile(address, 99)

    def summary(self, address: str) -> LagSummary:
        """Everything at once, over one view of the history."""
        history = self.history(address)
        lags = sorted(sample.lag_ms for sample in history)
        return LagSummary(
            len(lags),
            history[-1].lag_ms if history else 0.0,
            percentile(lags, 50),
            percentile(lags, 95),
            percentile(lags, 99),
            lags[-1] if lags else 0.0,
        )

    def forget(self, address: str) -> None:
        """The replica is gone; so is its history."""
        with self._lock:
            self._samples.pop(address, None)


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The smallest of ``ordered`` that so many percent of them do not exceed; 0.0 of none.

    Raises:
        ValueError: ``percent`` is not between 0 and 100.
    """
    if not 0 <= percent <= 100:
        raise ValueError(f"{percent} is no percentage")
    if not ordered:
        return 0.0
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]
