"""Dialogs: a box in the middle with lines in it, and the question before something is done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Button, OptionList, Static
from textual.widgets.option_list import Option

from helios_cli.engine.errors import HeliosError
from helios_cli.tui import paint
from helios_cli.tui.gateway import Act, Plan
from helios_cli.tui.lines import Line, plain, wrapped
from helios_cli.tui.palette import PALETTES, Palette


class Dialog(ModalScreen[bool]):
    """Lines that are read and closed."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter", "close", "close"),
        Binding("up,k", "scroll(-1)", show=False),
        Binding("down,j", "scroll(1)", show=False),
        Binding("pageup", "scroll(-10)", show=False),
        Binding("pagedown,space", "scroll(10)", show=False),
    ]

    def __init__(self, title: str, lines: Sequence[Line]) -> None:
        super().__init__()
        self._title = title
        self._lines = lines

    def compose(self) -> ComposeResult:
        """A box with the lines."""
        with Vertical(classes="dialog") as box:
            box.border_title = self._title
            box.border_subtitle = "Esc closes"
            with VerticalScroll(classes="dialog-body", can_focus=False):
                yield Static(paint.block(self._lines, palette(self)), id="lines", markup=False)

    @property
    def text(self) -> str:
        """What it says."""
        return "\n".join(plain(line) for line in self._lines)

    def action_close(self) -> None:
        """Go back."""
        self.dismiss(False)

    def action_scroll(self, lines: int) -> None:
        """Move what is seen."""
        self.query_one(VerticalScroll).scroll_relative(y=lines, animate=False)


class Choice(ModalScreen[str]):
    """One of several, each with a sentence about it; empty: none."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q", "leave", "leave it")]

    def __init__(self, title: str, options: Sequence[tuple[str, str]]) -> None:
        super().__init__()
        self._title = title
        self._options = options

    def compose(self) -> ComposeResult:
        """The list."""
        with Vertical(classes="dialog") as box:
            box.border_title = self._title
            box.border_subtitle = "Enter chooses, Esc leaves"
            width = max(20, min(96, self.app.size.width - 8))
            yield OptionList(*(Option(self._prompt(name, told, width), id=name) for name, told in self._options))

    def _prompt(self, name: str, told: str, width: int) -> Text:
        lines: list[Line] = [((name, "strong"),), *(((f"  {text}", "dim"),) for text in wrapped(told, width - 4))]
        return paint.block(lines, palette(self))

    @on(OptionList.OptionSelected)
    def _chosen(self, message: OptionList.OptionSelected) -> None:
        self.dismiss(str(message.option_id))

    def action_leave(self) -> None:
        """None of them."""
        self.dismiss("")


class Question(ModalScreen[bool]):
    """Whether an act is to be done: its dry run comes first, and the answer that changes nothing is the easy one."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,n,q", "refuse", "leave it"),
        Binding("y", "agree", "do it"),
        Binding("left,right", "other", show=False),
    ]

    def __init__(self, act: Act) -> None:
        super().__init__()
        self.act = act
        self.state = "asking"
        """``asking`` for the dry run, ``ready``, ``refused``, ``doing``, ``done`` or ``failed``."""
        self.text = ""
        """What it says."""

    def compose(self) -> ComposeResult:
        """The plan and two buttons."""
        with Vertical(classes="dialog question") as box:
            box.border_title = self.act.title
            with VerticalScroll(classes="dialog-body", can_focus=False):
                yield Static("", id="plan", markup=False)
            with Horizontal(classes="buttons"):
                yield Button("Leave it  Esc", id="leave", compact=True)
                yield Button("Do it  y", id="do", variant="warning", compact=True, disabled=True)

    def on_mount(self) -> None:
        """The dry run is under way."""
        self._say([(("asking what it would do ...", "dim"),)])
        self.query_one("#leave", Button).focus()

    def show_plan(self, plan: Plan) -> None:
        """The dry run is here."""
        self.state = "ready"
        lines: list[Line] = [((text, ""),) for one in plan.lines for text in wrapped(one, self._width)]
        command = wrapped(plan.command, self._width - 4) if plan.command else []
        heads = ["as  ", *["    "] * len(command)]
        same: list[Line] = [((head, "dim"), (text, "accent")) for head, text in zip(heads, command, strict=False)]
        self._say([*lines, *([()] if same else []), *same])
        self.query_one("#do", Button).disabled = False

    def show_refusal(self, error: HeliosError) -> None:
        """It would be refused, or was, or went wrong."""
        self.state = "failed" if self.state == "doing" else "refused"
        head = "it failed: " if self.state == "failed" else "it would be refused: "
        self._say(self._error(head, error))
        self._over()

    def show_result(self, told: Sequence[str]) -> None:
        """It is done."""
        self.state = "done"
        lines = [text for one in told for text in wrapped(one, self._width - 2)]
        first: Line = (("✓ ", "ok"), (lines[0] if lines else "done", "strong"))
        self._say([first, *(((f"  {text}", ""),) for text in lines[1:])])
        self._over()

    def _error(self, head: str, error: HeliosError) -> list[Line]:
        texts = wrapped(f"✖ {head}{error.message} ({error.sqlstate})", self._width)
        lines: list[Line] = [((text, "bad"),) for text in texts]
        for name, text in (("detail", error.detail), ("hint", error.hint)):
            lines += [((part, "dim"),) for part in wrapped(f"{name}: {text}", self._width)] if text else []
        return lines

    def _over(self) -> None:
        self.query_one("#do", Button).display = False
        self.query_one("#leave", Button).label = "Close  Esc"
        self.query_one("#leave", Button).focus()

    @property
    def _width(self) -> int:
        return max(20, min(96, self.app.size.width - 8))

    def _say(self, lines: Sequence[Line]) -> None:
        self.text = "\n".join(plain(line) for line in lines)
        self.query_one("#plan", Static).update(paint.block(lines, palette(self)))

    def action_refuse(self) -> None:
        """Leave it; what is under way goes on."""
        self.dismiss(False)

    def action_agree(self) -> None:
        """Do it, once."""
        if self.state != "ready":
            return
        self.state = "doing"
        self._say([(("doing it ...", "dim"),)])
        self.query_one("#do", Button).disabled = True
        self.app.carry_out(self)  # type: ignore[attr-defined]

    def action_other(self) -> None:
        """The other button."""
        self.focus_next(Button)

    @on(Button.Pressed, "#leave")
    def _left(self) -> None:
        self.action_refuse()

    @on(Button.Pressed, "#do")
    def _agreed(self) -> None:
        self.action_agree()


def palette(screen: ModalScreen[bool] | ModalScreen[str]) -> Palette:
    """The palette in force."""
    return PALETTES["dark" if screen.app.current_theme.dark else "light"]
