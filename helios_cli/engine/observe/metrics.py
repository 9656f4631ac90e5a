"""Metrics and their Prometheus text (exposition format 0.0.4).

Hot counters are plain ints on the objects that own them; :meth:`Registry.observe` registers a callable that reads
them at scrape time, so counting costs an integer addition and nothing else. The instruments below are for the rest.
"""

from __future__ import annotations

import contextlib
import logging
import math
import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Generic, Literal, TypeVar

log = logging.getLogger(__name__)

Kind = Literal["counter", "gauge", "histogram"]
Sample = tuple[tuple[str, ...], float]
"""Label values in the order of the family's label names, and the value."""
Reading = float | Iterable[Sample]

SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Default histogram bounds for a time in seconds, inclusive upper ends."""

_NAME = re.compile(r"heliosdb_[a-z0-9_]*[a-z0-9]")
_LABEL = re.compile(r"[a-z_][a-z0-9_]*")


class Counter:
    """A number that only grows."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: float = 0

    def inc(self, amount: float = 1) -> None:
        """Add ``amount``; raises ValueError when it is negative."""
        if amount < 0:
            raise ValueError("a counter cannot fall")
        self.value += amount


class Gauge:
    """A number that goes both ways."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: float = 0

    def set(self, value: float) -> None:
        """Replace the value."""
        self.value = value


class Histogram:
    """Observations counted by size; ``counts`` has one entry per bound and a last one for what exceeds all."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float] = SECONDS) -> None:
        if not bounds or list(bounds) != sorted(set(bounds)):
            raise ValueError("histogram bounds must be distinct and ascending")
        self.bounds = tuple(float(bound) for bound in bounds)
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


Instrument = TypeVar("Instrument", Counter, Gauge, Histogram)


class Labelled(Generic[Instrument]):
    """Instruments of one name told apart by label values; ask once with :meth:`labels` and keep the child.

    At most ``limit`` combinations are kept: a label fed from user input must not grow without bound. What comes
    later shares one child whose label values are all ``other``.
    """

    def __init__(self, make: Callable[[], Instrument], label_count: int, limit: int = 1000) -> None:
        self._make: Callable[[], Instrument] = make
        self._label_count = label_count
        self._limit = limit
        self.children: dict[tuple[str, ...], Instrument] = {}

    def labels(self, *values: str) -> Instrument:
        """The instrument of these label values, made at the first request. Raises ValueError on a wrong count."""
        if len(values) != self._label_count:
            raise ValueError(f"{self._label_count} label values are needed, not {len(values)}")
        child = self.children.get(values)
        if child is None:
            if len(self.children) >= self._limit:
                values = ("other",) * self._label_count
            child = self.children.setdefault(values, self._make())
        return child


@dataclass(frozen=True, slots=True)
class _Family:
    """One metric name; ``read`` gives its lines at scrape time."""

    name: str
    help: str
    kind: Kind
    read: Callable[[], list[str]]

    def text(self) -> str:
        """HELP, TYPE and the samples, each line ended."""
        escaped = self.help.replace("\\", "\\\\").replace("\n", "\\n")
        return "\n".join([f"# HELP {self.name} {escaped}", f"# TYPE {self.name} {self.kind}", *self.read(), ""])


class Registry:
    """Every metric of a node; rendering visits them in the order of their names."""

    def __init__(self) -> None:
        self._families: dict[str, _Family] = {}
        self.scrape_errors = 0
        """Metrics left out of a scrape because their callable failed."""
        self.observe(
            "counter",
            "heliosdb_scrape_errors_total",
            "Metrics left out of a scrape because reading them failed.",
            lambda: self.scrape_errors,
        )

    def counter(self, name: str, help: str) -> Counter:
        """A new counter without labels."""
        return self.counters(name, help, ()).labels()

    def counters(self, name: str, help: str, labels: Sequence[str]) -> Labelled[Counter]:
        """A new counter for every combination of label values."""
        return self._add_numbers("counter", name, help, labels, Counter)

    def gauge(self, name: str, help: str) -> Gauge:
        """A new gauge without labels."""
        return self.gauges(name, help, ()).labels()

    def gauges(self, name: str, help: str, labels: Sequence[str]) -> Labelled[Gauge]:
        """A new gauge for every combination of label values."""
        return self._add_numbers("gauge", name, help, labels, Gauge)

    def histogram(self, name: str, help: str, bounds: Sequence[float] = SECONDS) -> Histogram:
        """A new histogram without labels."""
        return self.histograms(name, help, (), bounds).labels()

    def histograms(
        self, name: str, help: str, labels: Sequence[str], bounds: Sequence[float] = SECONDS
    ) -> Labelled[Histogram]:
        """A new histogram for every combination of label values."""
        family = Labelled(lambda: Histogram(bounds), len(labels))
        self._add("histogram", name, help, labels, lambda: _histogram_lines(name, labels, family.children))
        return family

    def observe(
        self,
        kind: Literal["counter", "gauge"],
        name: str,
        help: str,
        read: Callable[[], Reading],
        labels: Sequence[str] = (),
    ) -> None:
        """Register a callable that is asked at scrape time: one number, or with ``labels`` the samples it yields.

        It runs on the event loop and must not wait. When it raises, its metric is left out of that scrape.
        """
        self._add(kind, name, help, labels, lambda: _reading_lines(name, labels, read()))

    def render(self) -> str:
        """The whole text, ended by a newline."""
        texts = []
        for name in sorted(self._families):
            try:
                texts.append(self._families[name].text())
            except Exception:
                self.scrape_errors += 1
                log.exception("reading metric %s failed", name)
        return "".join(texts)

    def numbers(self, names: Iterable[str]) -> dict[str, float]:
        """The values of metrics without labels, by name; one that there is not, or cannot be read, is left out."""
        found: dict[str, float] = {}
        for name in names:
            with contextlib.suppress(Exception):
                (line,) = self._families[name].read()
                found[name] = float(line.removeprefix(f"{name} "))
        return found

    def _add_numbers(
        self, kind: Kind, name: str, help: str, labels: Sequence[str], make: Callable[[], Instrument]
    ) -> Labelled[Instrument]:
        family = Labelled(make, len(labels))
        self._add(kind, name, help, labels, lambda: _number_lines(name, labels, family.children))
        return family

    def _add(self, kind: Kind, name: str, help: str, labels: Sequence[str], read: Callable[[], list[str]]) -> None:
        """Check the name (prefix, `_total` on counters alone, units last) and keep the family."""
        if not _NAME.fullmatch(name) or (kind == "counter") != name.endswith("_total"):
            raise ValueError(f"not a name for a {kind}: {name!r}")
        if name in self._families:
            raise ValueError(f"metric {name!r} is registered already")
        if any(not _LABEL.fullmatch(label) or label == "le" for label in labels) or len(set(labels)) != len(labels):
            raise ValueError(f"not label names: {list(labels)!r}")
        self._families[name] = _Family(name, help, kind, read)


def _number_lines(
    name: str, labels: Sequence[str], children: Mapping[tuple[str, ...], Counter | Gauge | Histogram]
) -> list[str]:
    numbers = ((values, child) for values, child in children.items() if not isinstance(child, Histogram))
    return [f"{name}{_label_text(labels, values)} {_number(child.value)}" for values, child in numbers]


def _reading_lines(name: str, labels: Sequence[str], reading: Reading) -> list[str]:
    samples: Iterable[Sample] = [((), reading)] if isinstance(reading, int | float) else reading
    return [f"{name}{_label_text(labels, values)} {_number(value)}" for values, value in samples]


def _histogram_lines(name: str, labels: Sequence[str], children: Mapping[tuple[str, ...], Histogram]) -> list[str]:
    lines = []
    for values, child in children.items():
        running = 0
        for bound, count in zip((*child.bounds, math.inf), child.counts, strict=True):
            running += count
            bucket = _label_text((*labels, "le"), (*values, _number(bound)))
            lines.append(f"{name}_bucket{bucket} {running}")
        lines.append(f"{name}_sum{_label_text(labels, values)} {_number(child.total)}")
        lines.append(f"{name}_count{_label_text(labels, values)} {running}")
    return lines


def _label_text(labels: Sequence[str], values: Sequence[str]) -> str:
    """``{a="x",b="y"}``, or nothing without labels. Raises ValueError when the counts differ."""
    if not labels and not values:
        return ""
    pairs = zip(labels, values, strict=True)
    return "{" + ",".join(f'{label}="{_escape(value)}"' for label, value in pairs) + "}"


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if math.isnan(value):
        return "NaN"
    return repr(value)
