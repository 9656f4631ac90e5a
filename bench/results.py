"""Measurements as values: rounds, medians, ratios and verdicts. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Better = Literal["higher", "lower"]
Verdict = Literal["met", "missed", "failed", "skipped", ""]


@dataclass(slots=True)
class Measurement:
    """One cell: what both servers showed, round by round in the order of measuring."""

    name: str
    unit: str
    better: Better = "higher"
    must: float | None = None
    """The least ratio that is acceptable; None when nothing is demanded."""
    limit: float | None = None
    """What our figure must reach, or must not exceed where lower is better, whatever PostgreSQL does."""
    ours: list[float] = field(default_factory=list)
    theirs: list[float] = field(default_factory=list)
    """Empty when PostgreSQL is not installed."""
    latency_ms: dict[str, float] = field(default_factory=dict)
    """Mean latency of the last round by side, where the tool tells."""
    errors: list[str] = field(default_factory=list)
    """What went wrong, each led by the side it happened on; a cell with errors has failed."""
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """How many times as good as PostgreSQL (1 is equal, above 1 is better); None without both sides."""
        return ratio(median(self.ours), median(self.theirs), self.better)

    @property
    def verdict(self) -> Verdict:
        """``met`` or ``missed`` against the must; empty when there is none to hold it against."""
        if self.errors:
            return "failed"
        if self.limit is not None:
            return self._against_the_limit(self.limit)
        if self.must is None:
            return ""
        if self.ratio is None:
            return "skipped"
        return "met" if self.ratio >= self.must else "missed"

    def _against_the_limit(self, limit: float) -> Verdict:
        value = median(self.ours)
        if value is None:
            return "skipped"
        return "met" if (value >= limit if self.better == "higher" else value <= limit) else "missed"

    def record(self) -> dict[str, Any]:
        """Everything, JSON-able."""
        return {
            "name": self.name,
            "unit": self.unit,
            "better": self.better,
            "ours": {"rounds": self.ours, "median": median(self.ours)},
            "postgresql": {"rounds": self.theirs, "median": median(self.theirs)},
            "latency_ms": self.latency_ms,
            "ratio": self.ratio,
            "must": self.must,
            "limit": self.limit,
            "verdict": self.verdict,
            "errors": self.errors,
            "note": self.note,
        }


def median(values: Sequence[float]) -> float | None:
    """The median; None of nothing."""
    return statistics.median(values) if values else None


def ratio(ours: float | None, theirs: float | None, better: Better) -> float | None:
    """``ours`` over ``theirs``, turned round where lower is better; None when a side is missing or the divisor 0."""
    above, below = (ours, theirs) if better == "higher" else (theirs, ours)
    if above is None or below is None or below == 0:
        return None
    return above / below


def exit_code(measurements: Sequence[Measurement], *, full: bool) -> int:
    """1 when a cell of which something is demanded failed, or missed it in a full run; else 0.

    A short run proves no speed.
    """
    for measurement in measurements:
        if measurement.must is None and measurement.limit is None:
            continue
        if measurement.verdict == "failed" or (full and measurement.verdict == "missed"):
            return 1
    return 0
