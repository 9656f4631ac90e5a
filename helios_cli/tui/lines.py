"""Lines of text whose parts have a meaning: what the widgets colour, and ``--once`` prints as it is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from helios_cli.tui.snapshot import NodeSeen, Tone

Span = tuple[str, Tone]
Line = tuple[Span, ...]
"""Parts of one line, from left to right."""

GLYPHS: Final[dict[Tone, str]] = {"ok": "●", "warn": "◐", "bad": "✖", "dim": "○", "": "○", "accent": "◆", "strong": "★"}
"""What a tone looks like to those who do not see its colour."""

SEVERITY_TONES: Final[dict[str, Tone]] = {"info": "ok", "warning": "warn", "error": "bad"}
SEVERITY_GLYPHS: Final = {"info": "·", "warning": "!", "error": "✖"}


def plain(line: Line) -> str:
    """The text alone."""
    return "".join(text for text, _ in line)


def width_of(line: Line) -> int:
    """Characters of a line; all that we draw are one cell wide."""
    return sum(len(text) for text, _ in line)


def fitted(line: Line, width: int) -> Line:
    """A line of exactly ``width`` characters: filled up, or cut with an ellipsis."""
    have = width_of(line)
    if have <= width:
        return (*line, (" " * (width - have), "")) if have < width else line
    kept: list[Span] = []
    room = width - 1
    for text, tone in line:
        if room <= 0:
            break
        kept.append((text[:room], tone))
        room -= len(text[:room])
    return (*kept, ("…", "dim"))


def beside(left: Sequence[Line], left_width: int, right: Sequence[Line], gap: str = "  ") -> list[Line]:
    """Two blocks side by side; the shorter one is filled up with blanks."""
    count = max(len(left), len(right))
    rows = [(*left, *[()] * (count - len(left))), (*right, *[()] * (count - len(right)))]
    return [(*fitted(one, left_width), (gap, ""), *two) for one, two in zip(*rows, strict=True)]


def wrapped(text: str, width: int) -> list[str]:
    """A text in lines of at most ``width`` characters, broken between words where that is possible."""
    import textwrap

    return textwrap.wrap(text, max(8, width), break_on_hyphens=False) or [""]


def indented(lines: Iterable[Line], by: int) -> list[Line]:
    """The lines, further to the right."""
    return [((" " * by, ""), *line) for line in lines]


def mark(node: NodeSeen) -> Span:
    """The glyph of a node: a star for who leads, else that of its state."""
    if node.leads:
        return "★", "ok"
    return GLYPHS[node.tone], node.tone
