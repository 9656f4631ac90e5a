"""Ordered-set aggregates (PostgreSQL manual, 9.21): percentile_cont, percentile_disc, mode.

SQLite hands the rows over in the order of WITHIN GROUP. The arguments before it come with every row.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from helios_cli.engine.datatypes import registry
from helios_cli.engine.datatypes.arrays import PgArray, read_array, write_array
from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql.functions.define import Library
from helios_cli.engine.sql.functions.strings import text_of
from helios_cli.engine.sql.runtime_times import pg_interval_add, pg_interval_multiply

_FLOAT8: Final = 701
_NUMERIC: Final = 1700
_BPCHAR: Final = 1042
_INTERVAL: Final = 1186


def _checked(fraction: float) -> float:
    if not 0 <= fraction <= 1:
        raise SqlError(f"percentile value {fraction:g} is not between 0 and 1", sqlstate="22003")
    return fraction


def checked(fraction: Any, result: Any) -> Any:
    """The result of a percentile, whose fraction is looked at even where there are no rows. Raises 22003."""
    if fraction is not None:
        _checked(fraction)
    return result


def discrete(values: Sequence[Any], fraction: float, _oid: int) -> Any:
    """The first value whose place is at or behind the fraction."""
    return values[max(math.ceil(fraction * len(values)), 1) - 1]


def continuous(values: Sequence[Any], fraction: float, oid: int) -> Any:
    """The value at the fraction, between two neighbours if need be."""
    place = fraction * (len(values) - 1)
    low, high = values[math.floor(place)], values[math.ceil(place)]
    if math.floor(place) == math.ceil(place):
        return low
    part = place - math.floor(place)
    if oid == _INTERVAL:
        return pg_interval_add(low, pg_interval_multiply(pg_interval_add(high, low, -1), part), 1)
    found = float(low) + part * (float(high) - float(low))
    return "NaN" if math.isnan(found) else found


class Percentile:
    """One percentile, or an array of them."""

    def __init__(self, pick: Callable[[Sequence[Any], float, int], Any], several: bool) -> None:
        self.pick = pick
        self.several = several
        self.values: list[Any] = []
        self.wanted: Any = None
        self.oid = 0

    def step(self, oid: int, wanted: Any, value: Any) -> None:
        """Add a value of a type; NULL counts for nothing."""
        self.oid, self.wanted = oid, wanted
        if wanted is not None and not self.several:
            _checked(float(wanted))
        if value is not None:
            self.values.append(value)

    def final(self) -> Any:
        """The value or values; NULL of nothing, or for NULL."""
        if self.wanted is None or not self.values:
            return None
        if not self.several:
            return self.pick(self.values, float(self.wanted), self.oid)
        fractions = read_array(self.wanted, registry.by_oid(_FLOAT8).parse_text)
        return write_array(PgArray(self._picked(fractions.items), fractions.dims, fractions.bounds), str)

    def _picked(self, items: Any) -> Any:
        if isinstance(items, list):
            return [self._picked(item) for item in items]
        return None if items is None else text_of(self.oid, self.pick(self.values, _checked(float(items)), self.oid))


class Mode:
    """The most frequent value; of several the first."""

    def __init__(self) -> None:
        self.best: Any = None
        self.best_count = 0
        self.current: Any = None
        self.first: Any = None
        self.count = 0
        self.oid = 0

    def step(self, oid: int, value: Any) -> None:
        """Add a value; equal ones come one behind the other."""
        if value is None:
            return
        key = _equal_form(oid, value)
        if not self.count or key != self.current:
            self.current, self.first, self.count = key, value, 0
        self.count += 1
        if self.count > self.best_count:
            self.best, self.best_count = self.first, self.count

    def final(self) -> Any:
        """The value; NULL of nothing."""
        return self.best


def _equal_form(oid: int, value: Any) -> Any:
    """What equal values have in common."""
    if oid == _NUMERIC and "." in value:
        return value.rstrip("0").rstrip(".")
    return value.rstrip(" ") if oid == _BPCHAR else value


def install(lib: Library) -> None:
    """Declare them: arguments before WITHIN GROUP, then the one that is sorted by."""
    for name, pick in (("cont", continuous), ("disc", discrete)):
        for suffix, several in (("", False), ("s", True)):
            lib.aggregates[f"agg_percentile{suffix}_{name}"] = (partial(Percentile, pick, several), 3)
    lib.helper("pg_percentile", checked, 2, strict=False)
    for kind in ("float8", "interval"):
        _define(lib, "percentile_cont", f"float8 {kind} -> {kind}", "agg_percentile_cont")
        _define(lib, "percentile_cont", f"float8[] {kind} -> {kind}[]", "agg_percentiles_cont")
    _define(lib, "percentile_disc", "float8 anyelement -> anyelement", "agg_percentile_disc")
    _define(lib, "percentile_disc", "float8[] anyelement -> anyarray", "agg_percentiles_disc")
    lib.aggregates["agg_mode"] = (Mode, 2)
    _define(lib, "mode", "anyelement -> anyelement", "agg_mode")


def _define(lib: Library, name: str, signature: str, aggregate: str) -> None:
    lib.define(name, signature, sql=f"{aggregate}({{type}}, {{args}})", aggregate=True, ordered_set=True)
