"""What the monitor's screen shows: its text, and the contrast of every cell of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from rich.color import Color
from textual.pilot import Pilot

from helios_cli.tui.app import MonitorApp
from helios_cli.tui.palette import contrast

DRAWN = set("─│╭╮╰╯├┤┬┴┼═┄━┏┓┗┛┃▔▁▎▊▐▌█▂▃▄▅▆▇ ·⎯⎸▕▏")
"""Lines, bars and blanks: what they say is said beside them."""


def strips(app: MonitorApp) -> list[Any]:
    """The rows of the screen, drawn anew."""
    return app.screen._compositor.render_strips()


def text_of(app: MonitorApp) -> str:
    """The whole screen as text."""
    return "\n".join(strip.text.rstrip() for strip in strips(app))


def contrasts(app: MonitorApp, within: str = "") -> dict[str, float]:
    """Each piece of text on the screen, or of a widget of it, that is no drawing, and its worst contrast."""
    found: dict[str, float] = {}
    rows = strips(app)
    if within:
        place = app.screen.query_one(within).region
        rows = [strip.crop(place.x, place.right) for strip in rows[place.y : place.bottom]]
    for strip in rows:
        for segment in strip:
            text, style = segment.text.strip(), segment.style
            if not text or set(text) <= DRAWN or style is None or style.color is None or style.bgcolor is None:
                continue
            front, back = (_hex(colour) for colour in (style.color, style.bgcolor))
            if style.reverse:
                front, back = back, front
            found[text] = min(found.get(text, 21.0), contrast(front, back))
    return found


def _hex(colour: Color) -> str:
    return colour.get_truecolor().hex


async def until(pilot: Pilot[None], condition: Callable[[], bool], what: str, seconds: float = 30.0) -> None:
    """Let the app run until something is so."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not in {seconds:g} s: {what}\n{text_of(pilot.app)}")  # type: ignore[arg-type]
        await pilot.pause()
        await asyncio.sleep(0.01)


async def seen(pilot: Pilot[None], text: str, seconds: float = 30.0) -> None:
    """Let the app run until its screen has a text."""
    await until(pilot, lambda: text in text_of(pilot.app), f"{text!r} on the screen", seconds)  # type: ignore[arg-type]


async def clicked(pilot: Pilot[None], widget: Any, offset: tuple[int, int] = (1, 0), seconds: float = 30.0) -> None:
    """Click at a place of a widget, as soon as it lies where it is drawn."""
    end = time.monotonic() + seconds
    while not await pilot.click(widget, offset=offset):
        assert time.monotonic() < end, f"{widget} cannot be clicked"
        await asyncio.sleep(0.01)
