"""The numbers of nodes over time, as a chart wants them: runs without holes, ticks that are round."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from helios_cli.tui import words
from helios_cli.tui.lines import Line
from helios_cli.tui.snapshot import Snapshot, Tone, series

WINDOW: Final = 600
"""Snapshots that a chart shows at most."""

TONES: Final[tuple[Tone, ...]] = ("ok", "warn", "accent", "bad", "strong", "dim")
"""Of the curves, one after the other; a number at its end tells a curve from others, too."""


@dataclass(frozen=True, slots=True)
class Measure:
    """Something that nodes have a number for."""

    title: str
    field: str
    show: Callable[[float | None], str]
    step: float = 1000.0
    """A tick is 1, 2 or 5 times a power of ten, and so many of a unit make the next one."""


MEASURES: Final = (
    Measure("Lag in bytes", "lag_bytes", words.size),
    Measure("Statements in a second", "statements_s", words.rate),
    Measure("Lag in time", "lag_ms", words.milliseconds),
    Measure("Commits in a second", "commits_s", words.rate),
    Measure("Log written in a second", "log_bytes_s", words.size),
    Measure("Clients", "clients", words.rate),
    Measure("Processor", "cpu", lambda value: words.NOTHING if value is None else f"{value:.0%}"),
    Measure("Memory", "memory_bytes", words.size),
)


@dataclass(frozen=True, slots=True)
class Curve:
    """One node's numbers."""

    number: int
    """From 1, in the order of the table."""
    name: str
    tone: Tone
    runs: tuple[tuple[tuple[float, float], ...], ...]
    """Pieces without a hole: (seconds before the newest snapshot, value), oldest first; never empty ones."""
    last: float | None
    """The newest value; None where it is not known now."""


def curves(window: Sequence[Snapshot], field: str) -> list[Curve]:
    """A curve for each node of the newest snapshot that has such a number in the window."""
    if not window:
        return []
    end_s = window[-1].at_s
    found = []
    for number, node in enumerate(window[-1].nodes, 1):
        values = series(window, node.name, field)
        runs: list[list[tuple[float, float]]] = [[]]
        for snapshot, value in zip(window, values, strict=True):
            if value is None:
                runs.append([])
            else:
                runs[-1].append((snapshot.at_s - end_s, value))
        kept = tuple(tuple(run) for run in runs if run)
        if kept:
            found.append(Curve(number, node.name, TONES[(number - 1) % len(TONES)], kept, values[-1]))
    return found


def top_of(drawn: Sequence[Curve], step: float = 1.0) -> float:
    """The upper end of the axis: the first of 1, 2, 5 times a power of ten that no value exceeds; at least ``step``."""
    largest = max((value for curve in drawn for run in curve.runs for _, value in run), default=0.0)
    if largest <= step:
        return step
    power = 10.0 ** math.floor(math.log10(largest))
    return next(factor * power for factor in (1, 2, 5, 10) if largest <= factor * power * 1.0001)


def legend(drawn: Sequence[Curve], show: Callable[[float | None], str], width: int) -> Line:
    """Number, name and newest value of each curve; names are cut where there is no room."""
    room = max(4, (width + 3 - sum(6 + len(show(curve.last)) for curve in drawn)) // max(1, len(drawn)))
    parts: list[tuple[str, Tone]] = []
    for curve in drawn:
        parts += [(f"{curve.number} {words.shortened(curve.name, room)} ", curve.tone), (f"{show(curve.last)}   ", "")]
    return tuple(parts) if drawn else (("no numbers yet", "dim"),)
