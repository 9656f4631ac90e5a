"""The table of nodes, with a cursor."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.widgets import DataTable

from helios_cli.tui import nodetable, paint
from helios_cli.tui.lines import Line
from helios_cli.tui.nodetable import Scene
from helios_cli.tui.palette import PALETTES

MARGIN = 4
"""Characters of a line that frames and blanks take."""


def told(scene: Scene) -> str:
    """How many nodes there are, and how many of them answer."""
    nodes = scene.snapshot.nodes
    answering = sum(not one.error for one in nodes)
    return f"{len(nodes)} nodes" if answering == len(nodes) else f"{answering} of {len(nodes)} nodes answer"


class NodeTable(DataTable[Text]):
    """One row for each node, of one line or two, as the width allows."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "select_cursor", "details", key_display="↵"),
        Binding("pagedown", "app.scroll_view(1)", show=False),
        Binding("pageup", "app.scroll_view(-1)", show=False),
    ]

    def __init__(self) -> None:
        super().__init__(
            id="nodes", cursor_type="row", zebra_stripes=False, cell_padding=0, cursor_foreground_priority="renderable"
        )
        self.border_title = "Nodes"
        self._drawn: tuple[object, ...] = ()

    @property
    def chosen(self) -> str:
        """The name of the node under the cursor; empty without nodes."""
        rows = list(self.rows)
        return str(rows[self.cursor_row].value) if 0 <= self.cursor_row < len(rows) else ""

    def show(self, scene: Scene, width: int) -> None:
        """Draw this; the cursor stays with its node."""
        palette = PALETTES["dark" if self.app.current_theme.dark else "light"]
        layout = nodetable.layout(scene, self.scrollable_content_region.width or width - MARGIN)
        columns, height, gap = layout.columns, layout.height, " " * layout.gap
        nodes = scene.snapshot.nodes
        shape = (tuple(column.title for column in columns), gap, tuple(node.name for node in nodes), height)
        self.border_subtitle = told(scene)
        if shape != self._drawn:
            chosen = self.chosen
            self.clear(columns=True)
            for number, column in enumerate(columns):
                title = (str.rjust if column.right else str.ljust)(column.title, column.least)
                label = Text((gap if number else "") + title, justify="right" if column.right else "left")
                self.add_column(label, key=column.title)
            for node in nodes:
                self.add_row(*[Text("")] * len(columns), key=node.name, height=height)
            self._drawn = shape
            names = [node.name for node in nodes]
            if chosen in names:
                self.move_cursor(row=names.index(chosen), animate=False)
        for node in nodes:
            for number, column in enumerate(columns):
                before: Line = ((gap if number else "", ""),)
                cell = Text("\n").join(paint.text((*before, *line), palette) for line in column.cell(scene, node))
                cell.justify = "right" if column.right else "left"
                if cell.markup != self.get_cell(node.name, column.title).markup:
                    self.update_cell(node.name, column.title, cell, update_width=True)
