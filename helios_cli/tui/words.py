"""Numbers and times for people, short enough for a table; and small pictures of series."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

NOTHING: Final = "–"  # noqa: RUF001
"""What is not known, or cannot be."""

BARS: Final = "▁▂▃▄▅▆▇█"
GAP: Final = "·"


def size(count: float | None) -> str:
    """Bytes in four or five characters and a unit."""
    if count is None:
        return NOTHING
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= factor * 9.95:
            return f"{count / factor:.0f} {unit}"
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count:.0f} B"


def count(value: int | None) -> str:
    """A number of things."""
    return NOTHING if value is None else str(value)


def rate(value: float | None) -> str:
    """A count in a second."""
    if value is None:
        return NOTHING
    if value >= 99_950:
        return f"{value / 1000:.0f}k"
    if value >= 9_995:
        return f"{value / 1000:.1f}k"
    return f"{value:.1f}" if 0 < value < 9.95 else f"{value:.0f}"


def milliseconds(value: float | None) -> str:
    """Milliseconds, or seconds and more where there are many."""
    if value is None:
        return NOTHING
    if value < 1:
        return "0 ms" if value < 0.05 else f"{value:.1f} ms"
    return f"{value:.0f} ms" if value < 9_950 else duration(value / 1000)


def duration(seconds: float | None) -> str:
    """A length of time: two parts at most, such as ``3 h 20 m``."""
    if seconds is None:
        return NOTHING
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    parts = (("d", whole // 86400), ("h", whole // 3600 % 24), ("m", whole // 60 % 60), ("s", whole % 60))
    first = next(i for i, (_, count) in enumerate(parts) if count)
    return " ".join(f"{count} {unit}" for unit, count in parts[first : first + 2] if count)


def brief(seconds: float | None) -> str:
    """A length of time in one part, for narrow places."""
    if seconds is None:
        return NOTHING
    for unit, length, most in (("s", 1, 120), ("m", 60, 120), ("h", 3600, 48)):
        if seconds < length * most:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds / 86400:.0f} d"


def age(seconds: float | None) -> str:
    """How old something is."""
    return "never" if seconds is None else duration(seconds)


def clock(at_s: float) -> str:
    """The time of day, UTC."""
    return f"{datetime.fromtimestamp(at_s, UTC):%H:%M:%S}"


def moment(at_s: float, now_s: float) -> str:
    """When something was: the time of day with milliseconds, with the date where that is not today's."""
    at, now = datetime.fromtimestamp(at_s, UTC), datetime.fromtimestamp(now_s, UTC)
    text = f"{at:%H:%M:%S}.{at.microsecond // 1000:03d}"
    return text if at.date() == now.date() else f"{at:%m-%d} {text[:8]}"


def sparkline(values: Sequence[float | None], width: int) -> str:
    """The newest ``width`` values as bars, the largest of them full; a dot where there is none.

    It is always ``width`` long: what is missing at the beginning is blank.
    """
    shown = list(values)[-width:]
    largest = max((value for value in shown if value is not None), default=0.0)
    bars = [GAP if value is None else BARS[_step(value, largest)] for value in shown]
    return "".join(bars).rjust(width)


def _step(value: float, largest: float) -> int:
    return 0 if largest <= 0 or value <= 0 else max(1, round(value / largest * (len(BARS) - 1)))


def shortened(text: str, width: int) -> str:
    """The end of a text that is too long, as of a path; the beginning becomes an ellipsis."""
    return text if len(text) <= width else "…" + text[len(text) - width + 1 :] if width > 1 else "…"[:width]


def cut(text: str, width: int) -> str:
    """The beginning of a text that is too long; the end becomes an ellipsis."""
    return text if len(text) <= width else text[: max(0, width - 1)] + "…"[:width]
