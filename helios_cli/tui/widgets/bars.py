"""The one-line bars: the heading above, the views between."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.events import Click
from textual.message import Message
from textual.widgets import Static

from helios_cli.tui.keys import VIEWS


class Tab(Static):
    """The name of one view."""

    class Chosen(Message):
        """It was clicked."""

        def __init__(self, view: str) -> None:
            super().__init__()
            self.view = view

    def __init__(self, number: int, view: str, title: str) -> None:
        super().__init__(f" {number} {title} ", id=f"tab-{view}", classes="tab", markup=False)
        self.view = view

    def on_click(self, event: Click) -> None:
        """As if its number had been pressed."""
        event.stop()
        self.post_message(self.Chosen(self.view))


class Tabs(Horizontal):
    """The names of all views, the one that is shown set off."""

    def compose(self) -> ComposeResult:
        """One for each view."""
        for number, (view, title) in enumerate(VIEWS, 1):
            yield Tab(number, view, title)

    def choose(self, view: str) -> None:
        """Set off this one."""
        for tab in self.query(Tab):
            tab.set_class(tab.view == view, "chosen")
