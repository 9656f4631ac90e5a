"""How long clients were without an acknowledged write, and where a distribution lies."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

SHARES: Final = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0))


def outage_s(answers: Sequence[float], begin: float, end: float) -> float:
    """The longest time between ``begin`` and ``end`` in which a client had no write acknowledged.

    ``answers`` are the moments of its acknowledgements, sorted. A wait that begins in that time is counted to its end,
    which may lie behind ``end``; one that never ends counts up to ``end``.
    """
    longest, since = 0.0, begin
    for answer in answers[bisect_left(answers, begin) :]:
        longest, since = max(longest, answer - since), answer
        if answer >= end:
            return longest
    return max(longest, end - since)


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that ``share`` of them do not exceed; 0.0 of none."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0


def distribution_ms(seconds: Iterable[float]) -> dict[str, float]:
    """``p50``, ``p95``, ``p99`` and ``max`` in milliseconds, and how many ``samples`` there are."""
    ordered = sorted(seconds)
    found = {name: round(percentile(ordered, share) * 1000, 1) for name, share in SHARES}
    return {**found, "samples": len(ordered)}


def distribution_text(found: Mapping[str, float]) -> str:
    """For people."""
    return ", ".join(f"{name} {found[name]:,.1f}" for name, _ in SHARES) + " ms"
