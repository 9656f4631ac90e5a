"""The colours of the monitor, dark and light: each readable on each ground, and none the only sign of anything.

The tones differ in lightness too, and are told apart with the common kinds of colour blindness (blue-green, amber,
vermilion, after Okabe and Ito); a glyph or a word says the same as each of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from helios_cli.tui.snapshot import Tone

CONTRAST_MIN: Final = 4.5
"""Between text and ground, WCAG 2.2, 1.4.3."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Palette:
    """Colours as ``#rrggbb``."""

    name: str
    dark: bool
    background: str
    surface: str
    """Ground of what lies above: dialogs, inputs."""
    panel: str
    """Ground of bars and headings."""
    cursor: str
    """Ground of the row that is chosen."""
    foreground: str
    strong: str
    dim: str
    ok: str
    warn: str
    bad: str
    accent: str
    edge: str
    """Of borders, which carry no text."""

    def of(self, tone: Tone) -> str:
        """The colour of a tone."""
        return {
            "ok": self.ok, "warn": self.warn, "bad": self.bad, "dim": self.dim, "accent": self.accent,
            "strong": self.strong,
        }.get(tone, self.foreground)  # fmt: skip

    @property
    def grounds(self) -> tuple[str, ...]:
        """All that text stands on."""
        return (self.background, self.surface, self.panel, self.cursor)

    @property
    def inks(self) -> tuple[str, ...]:
        """All that text is written in."""
        return (self.foreground, self.strong, self.dim, self.ok, self.warn, self.bad, self.accent)


DARK: Final = Palette(
    name="helios-dark", dark=True, background="#0f141b", surface="#161d27", panel="#1c2531", cursor="#22344a",
    foreground="#dce4ed", strong="#ffffff", dim="#9dabbc", ok="#56c9a6", warn="#f0b94d", bad="#ff8d7c",
    accent="#79bcff", edge="#3d4e62",
)  # fmt: skip
LIGHT: Final = Palette(
    name="helios-light", dark=False, background="#fcfbf8", surface="#f3f1ec", panel="#e7e4dd", cursor="#d3e4f5",
    foreground="#1d2733", strong="#000000", dim="#525c68", ok="#005f48", warn="#704700", bad="#a0241a",
    accent="#124d88", edge="#a8a49a",
)  # fmt: skip
PALETTES: Final = {"dark": DARK, "light": LIGHT}


def contrast(one: str, other: str) -> float:
    """The contrast of two colours, 1.0 to 21.0 (WCAG 2.2, "contrast ratio")."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
