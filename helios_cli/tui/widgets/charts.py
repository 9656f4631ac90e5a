"""Charts of the nodes' numbers over time, drawn by plotext."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Container, Grid
from textual.events import Resize
from textual.widgets import Static
from textual_plotext.plot import Plot

from helios_cli.tui import paint, words
from helios_cli.tui.curves import MEASURES, Curve, Measure, curves, legend, top_of
from helios_cli.tui.lines import Line, plain
from helios_cli.tui.palette import PALETTES, Palette
from helios_cli.tui.snapshot import Snapshot

CELL = (56, 10)
"""Characters and lines that a chart should have."""

TREND = (50, 14)
"""The same of one beside other things."""


class Chart(Static):
    """One measure of all nodes."""

    def __init__(self, measure: Measure, *, id: str | None = None) -> None:
        super().__init__("", id=id, classes="panel chart", markup=False)
        self._window: Sequence[Snapshot] = ()
        self.measure = measure
        self.border_title = measure.title
        self.legend: Line = ()

    def of(self, measure: Measure) -> None:
        """Show another one."""
        self.measure = measure
        self.border_title = measure.title

    def show(self, window: Sequence[Snapshot]) -> None:
        """Draw these snapshots, oldest first."""
        self._window = window
        width, height = self.size
        if width < 12 or height < 4 or not window:
            return
        drawn = curves(window, self.measure.field)
        palette = PALETTES["dark" if self.app.current_theme.dark else "light"]
        self.legend = legend(drawn, self.measure.show, width)
        picture = _picture(self.measure, window, drawn, (width, height - 1), palette)
        self.update(Text("\n", end="").join([paint.text(self.legend, palette), picture]))

    def on_resize(self, event: Resize) -> None:
        """A chart depends on its place."""
        self.show(self._window)

    @property
    def text(self) -> str:
        """What it says in words."""
        return plain(self.legend)


def _picture(
    measure: Measure, window: Sequence[Snapshot], drawn: Sequence[Curve], size: tuple[int, int], palette: Palette
) -> Text:
    """The axes and the curves, each with its number where it ends."""
    width, height = size
    span_s = max(10.0, window[-1].at_s - window[0].at_s)
    top = top_of(drawn, 0.1 if measure.field == "cpu" else 1.0)
    plot = Plot()
    plot.plotsize(width, height)
    plot._set_size(width, height)
    plot.canvas_color(_rgb(palette.background))
    plot.axes_color(_rgb(palette.background))
    plot.ticks_color(_rgb(palette.dim))
    plot.xaxes(True, False)
    plot.yaxes(True, False)
    plot.xlim(-span_s, 0)
    plot.ylim(0, top)
    middle = [top / 2] if height >= 8 else []
    plot.yticks([0, *middle, top], [measure.show(value) for value in (0, *middle, top)])
    plot.xticks([-span_s, -span_s / 2, 0], [words.brief(span_s), words.brief(span_s / 2), "now"])
    for curve in drawn:
        colour = _rgb(palette.of(curve.tone))
        for run in curve.runs:
            plot.plot([at for at, _ in run], [value for _, value in run], marker="braille", color=colour)
    for curve in drawn:
        at, value = curve.runs[-1][-1]
        plot.text(str(curve.number), x=at, y=value, color=_rgb(palette.of(curve.tone)), alignment="right")
    found = Text.from_ansi(plot.build())
    found.no_wrap, found.overflow, found.end = True, "crop", ""
    return found


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


class Charts(Container):
    """As many charts as there is room for, and the others behind them."""

    def __init__(self, *, id: str, cell: tuple[int, int] = CELL) -> None:
        super().__init__(id=id)
        self._cell = cell
        self._first = 0
        self._window: Sequence[Snapshot] = ()

    def compose(self) -> ComposeResult:
        """A chart for each measure; those that have no room are not shown."""
        with Grid(classes="chart-grid"):
            for measure in MEASURES:
                yield Chart(measure)

    @property
    def shape(self) -> tuple[int, int]:
        """Columns and rows that there is room for."""
        width, height = self.size
        return max(1, min(4, width // self._cell[0])), max(1, min(4, height // self._cell[1]))

    def next(self) -> None:
        """Show those behind the ones that are shown."""
        columns, rows = self.shape
        self._first += columns * rows
        if self._first >= len(MEASURES):
            self._first = 0
        self.place()

    def place(self) -> None:
        """Show what there is room for."""
        columns, rows = self.shape
        count = min(columns * rows, len(MEASURES))
        charts = list(self.query(Chart))
        shown = [(self._first + i) % len(MEASURES) for i in range(count)] if count < len(MEASURES) else range(count)
        for i, chart in enumerate(charts):
            chart.display = i in shown
        grid = self.query_one(Grid)
        grid.styles.grid_size_columns = columns
        grid.styles.grid_size_rows = -(-count // columns)
        self.call_after_refresh(self._redraw)

    def _redraw(self) -> None:
        """Draw the newest ones again, in the places that there are now."""
        self.show(self._window)

    def show(self, window: Sequence[Snapshot]) -> None:
        """Draw these snapshots, oldest first."""
        self._window = window
        for chart in self.query(Chart):
            if chart.display:
                chart.show(window)

    def on_resize(self, event: Resize) -> None:
        """There is other room."""
        self.place()
