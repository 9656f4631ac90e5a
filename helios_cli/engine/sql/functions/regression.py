"""Aggregates over pairs (PostgreSQL manual, 9.21): corr, covar_pop and the regr_ family, of Y and X in this order.

The sums are those of float8_regr_accum (float.c, after Youngs and Cramer), so that results agree to the last digit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from helios_cli.engine.sql.functions.define import Library
from helios_cli.engine.sql.functions.distinct import install_distinct


@dataclass(slots=True)
class Sums:
    """What the results are made of."""

    count: int = 0
    x: float = 0.0
    xx: float = 0.0
    y: float = 0.0
    yy: float = 0.0
    xy: float = 0.0

    def add(self, y: float, x: float) -> None:
        """Take a pair in."""
        before, self.count = self.count, self.count + 1
        self.x += x
        self.y += y
        if before:
            from_x, from_y = x * self.count - self.x, y * self.count - self.y
            scale = 1.0 / (self.count * before)
            self.xx += from_x * from_x * scale
            self.yy += from_y * from_y * scale
            self.xy += from_x * from_y * scale
        elif not (math.isfinite(x) and math.isfinite(y)):
            self.xx += math.nan if not math.isfinite(x) else 0.0
            self.yy += math.nan if not math.isfinite(y) else 0.0
            self.xy = math.nan


def _corr(s: Sums) -> float | None:
    return None if s.xx == 0 or s.yy == 0 else s.xy / math.sqrt(s.xx * s.yy)


def _r2(s: Sums) -> float | None:
    if s.xx == 0:
        return None
    return 1.0 if s.yy == 0 else (s.xy * s.xy) / (s.xx * s.yy)


_RESULTS: Final[dict[str, Callable[[Sums], float | None]]] = {
    "corr": _corr,
    "covar_pop": lambda s: s.xy / s.count,
    "covar_samp": lambda s: s.xy / (s.count - 1) if s.count > 1 else None,
    "regr_avgx": lambda s: s.x / s.count,
    "regr_avgy": lambda s: s.y / s.count,
    "regr_intercept": lambda s: None if s.xx == 0 else (s.y - s.x * s.xy / s.xx) / s.count,
    "regr_r2": _r2,
    "regr_slope": lambda s: None if s.xx == 0 else s.xy / s.xx,
    "regr_sxx": lambda s: s.xx,
    "regr_sxy": lambda s: s.xy,
    "regr_syy": lambda s: s.yy,
}


class PairAggregate:
    """Keeps the pairs in the window; NULL in either place is no pair."""

    def __init__(self, result: Callable[[Sums], float | None]) -> None:
        self.result = result
        self.pairs: list[tuple[float, float]] = []

    def step(self, y: Any, x: Any) -> None:
        """Add a pair."""
        if y is not None and x is not None:
            self.pairs.append((float(y), float(x)))

    def inverse(self, y: Any, x: Any) -> None:
        """Take a pair out."""
        if y is not None and x is not None:
            self.pairs.remove((float(y), float(x)))

    def value(self) -> Any:
        """The result; NULL of no pairs."""
        if not self.pairs:
            return None
        sums = Sums()
        for y, x in self.pairs:
            sums.add(y, x)
        found = self.result(sums)
        return "NaN" if found is not None and math.isnan(found) else found

    final = value


class PairCount:
    """regr_count: how many rows have both."""

    def __init__(self) -> None:
        self.count = 0

    def step(self, y: Any, x: Any) -> None:
        """Add a pair."""
        self.count += y is not None and x is not None

    def inverse(self, y: Any, x: Any) -> None:
        """Take a pair out."""
        self.count -= y is not None and x is not None

    def value(self) -> int:
        """How many there are."""
        return self.count

    final = value


def install(lib: Library) -> None:
    """Declare them."""
    for name, result in _RESULTS.items():
        lib.aggregates[f"agg_{name}"] = (partial(PairAggregate, result), 2)
        lib.define(
            name, "float8 float8 -> float8", sql=f"agg_{name}({{0}}, {{1}})", aggregate=True,
            distinct_sql=f"{install_distinct(lib, f'agg_{name}')}({{0}}, {{1}})",
        )  # fmt: skip
    lib.aggregates["agg_regr_count"] = (PairCount, 2)
    lib.define(
        "regr_count", "float8 float8 -> int8", sql="agg_regr_count({0}, {1})", aggregate=True,
        distinct_sql=f"{install_distinct(lib, 'agg_regr_count')}({{0}}, {{1}})",
    )  # fmt: skip
