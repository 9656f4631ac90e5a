"""Latencies in buckets whose width grows with the value: little memory, and percentiles that are off by 3 % at most.

As HdrHistogram has it (Tene, hdrhistogram.org): a power of two of microseconds is one range, cut into 32 equal buckets.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

_BITS: Final = 5
_PARTS: Final = 1 << _BITS
SHARES: Final = (("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p99.9", 0.999))
BAR: Final = "█"
EIGHTHS: Final = " ▏▎▍▌▋▊▉"


@dataclass(slots=True)
class Histogram:
    """Of one client, or of all."""

    counts: Counter[int] = field(default_factory=Counter)
    """By the number of the bucket."""
    total: int = 0
    sum_s: float = 0.0
    max_s: float = 0.0

    def add(self, seconds: float) -> None:
        """One more."""
        self.counts[bucket_of(round(seconds * 1e6))] += 1
        self.total += 1
        self.sum_s += seconds
        self.max_s = max(self.max_s, seconds)

    def merge(self, other: Histogram) -> None:
        """All of another one, which its owner may add to meanwhile."""
        self.counts.update(other.counts.copy())
        self.total += other.total
        self.sum_s += other.sum_s
        self.max_s = max(self.max_s, other.max_s)

    def percentile_s(self, share: float) -> float:
        """The upper end of the bucket in which the value lies that ``share`` of all do not exceed; 0.0 of none."""
        left = math.ceil(share * self.total)
        for bucket in sorted(self.counts):
            left -= self.counts[bucket]
            if left <= 0:
                return min(span_us(bucket)[1] / 1e6, self.max_s)
        return self.max_s

    def record_ms(self) -> dict[str, float]:
        """Mean, percentiles and maximum, in milliseconds."""
        mean = self.sum_s / self.total if self.total else 0.0
        found = {"mean": mean, **{name: self.percentile_s(share) for name, share in SHARES}, "max": self.max_s}
        return {name: round(value * 1000, 3) for name, value in found.items()}

    def buckets_ms(self) -> list[list[float]]:
        """``[from, to, count]`` of each bucket that is not empty, in milliseconds; the ends are exclusive."""
        return [
            [low / 1000, high / 1000, self.counts[one]] for one in sorted(self.counts) for low, high in (span_us(one),)
        ]

    def picture(self, width: int = 40) -> list[str]:
        """A line for each factor of two that values lie in, or between: its span, a bar, count and share."""
        if not self.total:
            return ["no latency was measured"]
        octaves: Counter[int] = Counter()
        for bucket, count in self.counts.items():
            octaves[max(span_us(bucket)[0], 1).bit_length() - 1] += count
        top = max(octaves.values())
        lines = []
        for octave in range(min(octaves), max(octaves) + 1):
            count = octaves[octave]
            span = f"{_time(1 << octave)} - {_time(2 << octave)}"
            lines.append(
                f"{span:>19}  {bar(count / top, width):<{width}}  {count:>9,} {100 * count / self.total:5.1f} %"
            )
        return lines


def bucket_of(microseconds: int) -> int:
    """The number of the bucket of a value; values below 32 have one each."""
    value = max(microseconds, 0)
    shift = max(0, value.bit_length() - _BITS - 1)
    return (shift << _BITS) + (value >> shift)


def span_us(bucket: int) -> tuple[int, int]:
    """The values of a bucket, in microseconds; the end is exclusive."""
    shift = max(0, (bucket >> _BITS) - 1)
    low = (bucket - (shift << _BITS)) << shift
    return low, low + (1 << shift)


def merged(histograms: Iterable[Histogram]) -> Histogram:
    """All in one."""
    found = Histogram()
    for one in histograms:
        found.merge(one)
    return found


def bar(share: float, width: int) -> str:
    """A bar of so much of the width, to an eighth of a character; something for anything above 0."""
    eighths = min(width * 8, math.ceil(share * width * 8))
    return (BAR * (eighths // 8) + EIGHTHS[eighths % 8]).rstrip()


def _time(microseconds: int) -> str:
    if microseconds < 1000:
        return f"{microseconds} us"
    return f"{microseconds / 1000:.3g} ms" if microseconds < 1_000_000 else f"{microseconds / 1e6:.3g} s"
