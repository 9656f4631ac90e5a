"""The ratios as bars, with the line each must reach."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench.report import number
from bench.results import Measurement, median

_COLORS: Final = {"met": "#2a9d5c", "missed": "#c8372d", "": "#4a6fa5", "failed": "#c8372d", "skipped": "#999999"}
_LIMIT: Final = 3.0
"""Where bars are cut off, so that one large ratio does not flatten the others; the label tells the figure."""


def draw(measurements: Sequence[Measurement], path: Path, subtitle: str = "") -> bool:
    """Write a PNG with one bar for every cell that has a ratio; False, and no file, when none has."""
    shown = [item for item in measurements if item.ratio is not None]
    if not shown:
        return False
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(11, 1.6 + 0.34 * len(shown)))
    rows = range(len(shown))
    ratios = [item.ratio or 0.0 for item in shown]
    axes.barh(rows, [min(value, _LIMIT) for value in ratios], height=0.66, color=[_COLORS[i.verdict] for i in shown])
    for row, item in enumerate(shown):
        _label(axes, row, item)
    axes.axvline(1.0, color="#222222", linewidth=1.2)
    axes.set_yticks(rows, [item.name for item in shown])
    axes.invert_yaxis()
    axes.set_xlim(0, _LIMIT + 1.4)
    axes.set_xticks([0, 0.5, 1, 1.5, 2, 2.5, 3])
    axes.set_xlabel("times as good as PostgreSQL (1 = equal, right is better); dashed: must")
    axes.set_title("HeliosDB Nano against PostgreSQL" + (f"\n{subtitle}" if subtitle else ""), fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120, bbox_inches="tight")
    pyplot.close(figure)
    return True


def _label(axes: object, row: int, item: Measurement) -> None:
    """The figures behind the bar, and the must as a dashed stroke across it."""
    from matplotlib.axes import Axes

    assert isinstance(axes, Axes)
    figures = f"{number(item.ratio)}   ({number(median(item.ours))} / {number(median(item.theirs))} {item.unit})"
    behind = max(min(item.ratio or 0.0, _LIMIT), item.must or 0.0, 1.0)
    axes.text(behind + 0.05, row, figures, va="center", fontsize=8)
    if item.must is not None:
        axes.plot([item.must, item.must], [row - 0.45, row + 0.45], color="#111111", linewidth=2, linestyle=(0, (2, 1)))
