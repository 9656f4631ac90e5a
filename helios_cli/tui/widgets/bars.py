"""The one-line bars: the heading above, the views between, the keys below."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.events import Click, Resize
from textual.message import Message
from textual.widgets import Footer, Input, Static
from textual.widgets._footer import FooterKey

from helios_cli.tui.keys import KEYS, VIEWS


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


class KeyBar(Footer):
    """The keys that do something now, the more important ones where there is no room for all; clicked, they do it."""

    RANKS: ClassVar[dict[str, int]] = {key.action: key.rank for key in KEYS}
    OWN = 3
    """The rank of keys of what has the focus."""

    def __init__(self) -> None:
        super().__init__(show_command_palette=False)

    def compose(self) -> ComposeResult:
        """Those that there is room for."""
        room = self.app.size.width
        keys = [one for one in super().compose() if isinstance(one, FooterKey)]
        if isinstance(self.screen.focused, Input):  # letters are typed there
            keys = [one for one in keys if one.action not in self.RANKS]
        for key in sorted(keys, key=lambda one: self.RANKS.get(one.action, self.OWN) or self.OWN):
            room -= len(key.key_display) + len(key.description) + 3
            if room < 0:
                break
            yield key

    def on_resize(self, event: Resize) -> None:
        """There is other room."""
        self.refresh(recompose=True)
