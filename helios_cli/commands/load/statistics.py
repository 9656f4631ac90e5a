"""What a load has come to: counts, latencies, the longest silence."""

from __future__ import annotations

import math
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

_BUCKETS: Final = 32
"""Buckets of the histogram for each factor of e: a percentile is off by at most 3 %."""


@dataclass(slots=True)
class Statistics:
    """Shared by the clients of one run."""

    iterations: int = 0
    successful: int = 0
    acknowledged: int = 0
    unknown: int = 0
    refused: int = 0
    reads_failed: int = 0
    reads_missing: int = 0
    """Reads that did not find a row that had been acknowledged."""
    longest_gap_s: float = 0.0
    """Between two acknowledged writes, of whichever clients."""
    errors: Counter[str] = field(default_factory=Counter)
    """``SQLSTATE message`` of what went wrong."""
    _slowest_s: float = 0.0
    _last_s: float = 0.0
    _histogram: Counter[int] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def failed(self) -> int:
        """Iterations in which anything went wrong."""
        return self.iterations - self.successful

    def begin(self, now_s: float) -> None:
        """The load starts now: the first gap counts from here."""
        self._last_s = now_s

    def end(self, now_s: float) -> None:
        """The load is over: the last gap ends here."""
        with self._lock:
            self.longest_gap_s = max(self.longest_gap_s, now_s - self._last_s)

    def add(self, insert: str, select: str, elapsed_s: float, now_s: float, errors: list[str]) -> int:
        """One iteration more; its number, from 1."""
        with self._lock:
            self.iterations += 1
            self.successful += insert == "ok" and select == "ok"
            self.unknown += insert == "unknown"
            self.refused += insert == "failed"
            self.reads_failed += select == "failed"
            self.reads_missing += select == "missing"
            if insert == "ok":
                self.acknowledged += 1
                self.longest_gap_s = max(self.longest_gap_s, now_s - self._last_s)
                self._last_s = now_s
            for error in errors:
                self.errors[error if error in self.errors or len(self.errors) < 100 else "others"] += 1
            self._histogram[round(math.log(max(elapsed_s, 1e-6)) * _BUCKETS)] += 1
            self._slowest_s = max(self._slowest_s, elapsed_s)
            return self.iterations

    def percentile_ms(self, share: float) -> float:
        """Latency of iterations that ``share`` of them did not exceed, milliseconds; 0 without any, 1.0 the slowest."""
        if share >= 1 or not self._histogram:
            return self._slowest_s * 1000
        left = share * self.iterations
        for bucket in sorted(self._histogram):
            left -= self._histogram[bucket]
            if left <= 0:
                return min(math.exp(bucket / _BUCKETS), self._slowest_s) * 1000
        return self._slowest_s * 1000


def success_rate(successful: int, total: int) -> str:
    """``100%`` only when nothing failed, ``98.33%`` cut off and never rounded up; ``0%`` for nothing done."""
    if not total or not successful:
        return "0%"
    if successful == total:
        return "100%"
    return f"{math.floor(successful * 10_000 / total) / 100:.2f}%"


def gap_text(seconds: float) -> str:
    """A duration for people."""
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
