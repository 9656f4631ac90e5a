"""The SQL console: a line to type in, and the answer below."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Input

from helios_cli.engine.errors import HeliosError
from helios_cli.tui.gateway import SqlAnswer
from helios_cli.tui.sqlhistory import SqlHistory
from helios_cli.tui.sqlview import answer_lines
from helios_cli.tui.widgets.base import Panel


class StatementInput(Input):
    """One statement, with those of before."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "submit", "run", key_display="↵"),
        Binding("up", "before", "the one before", key_display="↑"),
        Binding("down", "after", show=False),
        Binding("escape", "leave", "to the nodes", key_display="Esc"),
        Binding("f1", "app.help", "help", key_display="F1"),
        Binding("ctrl+q", "app.quit", "quit", key_display="^q"),
    ]

    def __init__(self, history: SqlHistory) -> None:
        super().__init__(id="statement", placeholder="SELECT ...", compact=True)
        self.history = history

    def action_before(self) -> None:
        """The statement before."""
        self.value = self.history.before(self.value)
        self.cursor_position = len(self.value)

    def action_after(self) -> None:
        """The statement after."""
        self.value = self.history.after(self.value)
        self.cursor_position = len(self.value)

    def action_leave(self) -> None:
        """Back to the nodes."""
        self.app.set_focus(self.app.query_one("#nodes"))


class Console(Vertical):
    """Where statements are typed and answered."""

    def __init__(self, history: SqlHistory) -> None:
        super().__init__(id="sql")
        self.history = history

    def compose(self) -> ComposeResult:
        """The line, and the answer."""
        yield StatementInput(self.history)
        yield Panel("Answer", id="answer")

    def show(self, text: str, outcome: SqlAnswer | HeliosError | None) -> None:
        """Show what came of a statement; None: it is under way."""
        self.query_one(Panel).draw(lambda width, _: answer_lines(text, outcome, width))
        self.query_one(Panel).scroll_home(animate=False)

    def aim(self, node: str) -> None:
        """Show where the next statement goes."""
        self.query_one(StatementInput).border_title = f"SQL at {node}" if node else "SQL"
