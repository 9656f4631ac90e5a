"""The palettes as themes of Textual."""

from __future__ import annotations

from textual.theme import Theme

from helios_cli.tui.palette import Palette


def theme(palette: Palette) -> Theme:
    """A theme in which every colour of the stylesheet is one of the palette's."""
    return Theme(
        name=palette.name, dark=palette.dark, primary=palette.accent, secondary=palette.accent, accent=palette.accent,
        warning=palette.warn, error=palette.bad, success=palette.ok, foreground=palette.foreground,
        background=palette.background, surface=palette.surface, panel=palette.panel, boost=palette.panel,
        variables={
            "cursor": palette.cursor, "edge": palette.edge, "text-dim": palette.dim, "strong": palette.strong,
            "ok": palette.ok, "warn": palette.warn, "bad": palette.bad,
            "footer-background": palette.panel, "footer-item-background": palette.panel,
            "footer-foreground": palette.foreground, "footer-description-foreground": palette.dim,
            "footer-description-background": palette.panel, "footer-key-background": palette.panel,
            "footer-key-foreground": palette.accent,
            "block-cursor-background": palette.cursor, "block-cursor-foreground": palette.strong,
            "block-hover-background": palette.panel, "input-cursor-background": palette.foreground,
            "input-cursor-foreground": palette.background, "input-selection-background": palette.cursor,
            "border": palette.accent, "border-blurred": palette.edge, "scrollbar": palette.edge,
            "scrollbar-hover": palette.accent, "scrollbar-active": palette.accent,
            "scrollbar-background": palette.background, "scrollbar-corner-color": palette.background,
            "scrollbar-background-hover": palette.background, "scrollbar-background-active": palette.background,
            "text": palette.foreground, "text-muted": palette.dim, "text-disabled": palette.dim,
        },
    )  # fmt: skip
