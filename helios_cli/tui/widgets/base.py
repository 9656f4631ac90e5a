"""What the widgets of the monitor have in common: lines that fit the place they have."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from textual.containers import VerticalScroll
from textual.events import Resize
from textual.widgets import Static

from helios_cli.tui import paint
from helios_cli.tui.lines import Line, plain
from helios_cli.tui.palette import PALETTES, Palette

Draw = Callable[[int, int], Sequence[Line]]
"""Lines for a width and a height."""


class Lines(Static):
    """Lines drawn for the width that there is, and again when that changes."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__("", id=id, classes=classes, markup=False)
        self._draw: Draw = lambda width, height: ()
        self.shown: tuple[str, ...] = ()
        """The text on it, line by line."""

    def draw(self, lines: Draw) -> None:
        """Show these lines from now on."""
        self._draw = lines
        self.redraw()

    def redraw(self) -> None:
        """Make the lines again."""
        if not self.is_attached or not self.size.width:
            return
        lines = list(self._draw(self.size.width, self.room))
        self.shown = tuple(plain(line) for line in lines)
        self.update(paint.block(lines, palette_of(self)))

    @property
    def room(self) -> int:
        """Lines that can be seen at once."""
        parent = self.parent
        return parent.size.height if isinstance(parent, VerticalScroll) else self.size.height

    def on_resize(self, event: Resize) -> None:
        """Lines depend on the width."""
        self.redraw()


class Panel(VerticalScroll):
    """A framed place for lines, which scrolls when they are many."""

    can_focus = False

    def __init__(self, title: str, *, id: str) -> None:
        super().__init__(id=id, classes="panel")
        self.border_title = title
        self.lines = Lines()

    def compose(self) -> Iterable[Lines]:
        """The lines alone."""
        yield self.lines

    def draw(self, lines: Draw) -> None:
        """Show these lines from now on."""
        self.lines.draw(lines)

    def redraw(self) -> None:
        """Make the lines again."""
        self.lines.redraw()


def palette_of(widget: Static | VerticalScroll) -> Palette:
    """The palette in force."""
    return PALETTES["dark" if widget.app.current_theme.dark else "light"]
