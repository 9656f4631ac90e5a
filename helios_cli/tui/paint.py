"""Lines with tones as what Textual draws."""

from __future__ import annotations

from collections.abc import Iterable

from rich.style import Style
from rich.text import Text

from helios_cli.tui.lines import Line
from helios_cli.tui.palette import Palette


def text(line: Line, palette: Palette) -> Text:
    """One line; what is strong or bad is bold as well."""
    found = Text(no_wrap=True, overflow="crop", end="")
    for part, tone in line:
        found.append(part, Style(color=palette.of(tone), bold=tone in ("strong", "bad")))
    return found


def block(lines: Iterable[Line], palette: Palette) -> Text:
    """Several lines."""
    return Text("\n", no_wrap=True, overflow="crop", end="").join(text(line, palette) for line in lines)
