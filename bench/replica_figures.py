"""Figures of replication beside what is promised: values, verdicts, the table. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from rich.table import Table

from bench.report import number
from bench.results import Better, Verdict, median

_STYLES: Final = {"met": "green", "missed": "bold red", "failed": "bold red", "skipped": "yellow", "": ""}


@dataclass(slots=True)
class Figure:
    """One promise, and what was measured."""

    name: str
    unit: str
    promise: float
    better: Better = "higher"
    values: list[float] = field(default_factory=list)
    """One for each round, in the order of measuring; empty when it was not measured."""
    note: str = ""
    """How it was measured, or why it was not."""
    error: str = ""
    """What went wrong; a figure with an error has failed."""

    @property
    def value(self) -> float | None:
        """The median of the rounds; None when it was not measured."""
        return median(self.values)

    @property
    def verdict(self) -> Verdict:
        """``met`` or ``missed`` against the promise."""
        if self.error:
            return "failed"
        value = self.value
        if value is None:
            return "skipped"
        met = value >= self.promise if self.better == "higher" else value <= self.promise
        return "met" if met else "missed"

    def record(self) -> dict[str, Any]:
        """Everything, JSON-able."""
        return {
            "name": self.name,
            "unit": self.unit,
            "better": self.better,
            "promise": self.promise,
            "rounds": self.values,
            "median": self.value,
            "verdict": self.verdict,
            "note": self.note,
            "error": self.error,
        }


@dataclass(frozen=True, slots=True)
class Promise:
    """A figure to be measured, and how."""

    name: str
    unit: str
    promise: float
    better: Better
    measure: Callable[[], tuple[float, str]] | None
    """Gives one value and a note; None: what is promised is not of this benchmark, and the note says of which."""
    note: str = ""

    def run(self, rounds: int) -> Figure:
        """Measure it so many times; what goes wrong is in the figure."""
        figure = Figure(self.name, self.unit, self.promise, self.better, note=self.note)
        if self.measure is None:
            return figure
        try:
            for _ in range(rounds):
                value, figure.note = self.measure()
                figure.values.append(value)
        except Exception as error:
            figure.error = f"{type(error).__name__}: {error}"
        return figure


def table(figures: Sequence[Figure]) -> Table:
    """Each figure beside its promise."""
    view = Table(title="Replication, measured beside what is promised")
    for title in ("figure", "unit"):
        view.add_column(title, no_wrap=True)
    for title in ("promised", "measured"):
        view.add_column(title, justify="right", no_wrap=True)
    view.add_column("verdict", no_wrap=True)
    view.add_column("how")
    for figure in figures:
        sign = "≥ " if figure.better == "higher" else "≤ "
        view.add_row(
            figure.name,
            figure.unit,
            sign + number(figure.promise),
            number(figure.value),
            figure.verdict,
            figure.error or figure.note,
            style=_STYLES[figure.verdict],
        )
    return view


def exit_code(figures: Sequence[Figure], *, full: bool) -> int:
    """1 when a figure failed, or missed its promise in a full run; else 0. A short run proves no speed."""
    bad = {"failed", "missed"} if full else {"failed"}
    return int(any(figure.verdict in bad for figure in figures))
