"""A run as one picture for any browser: how long operations took, and how many there were each second."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

from helios_cli.commands.load.statistics import gap_text

WIDTH, HEIGHT = 800, 500
LEFT, RIGHT = 64, 776
LATENCY, THROUGHPUT = (64, 250), (330, 452)
"""Top and bottom of the two parts."""
BINS: Final = 8
"""Of a factor of two: each is as wide as any other on the scale, which is logarithmic."""
MARKED: Final = ("p50", "p99", "p99.9", "max")

STYLE: Final = """
  svg { background: #ffffff; font: 12px system-ui, sans-serif; }
  text { fill: #222222; } .dim { fill: #5b5b5b; } .title { font-size: 15px; font-weight: 600; }
  .told { fill: #b02a0b; paint-order: stroke; stroke: #ffffff; stroke-width: 4px; }
  .bar { fill: #4477aa; } .mark { stroke: #b02a0b; } .grid { stroke: #d5d5d5; }
  .out { fill: #cc3311; fill-opacity: 0.16; } .line { fill: none; stroke: #4477aa; stroke-width: 1.5; }
  @media (prefers-color-scheme: dark) {
    svg { background: #16181c; } text { fill: #e8e8e8; } .dim { fill: #a8adb5; } .grid { stroke: #3a3f47; }
    .bar { fill: #77aadd; } .line { stroke: #77aadd; } .mark { stroke: #ff9a7a; }
    .told { fill: #ff9a7a; stroke: #16181c; }
    .out { fill: #ff7755; fill-opacity: 0.25; }
  }"""


def drawn(record: Mapping[str, Any]) -> str:
    """The text of an SVG file; ``record`` is what :meth:`Driver.record` gives."""
    pace = f"{record['rate']:g} a second" if record["rate"] else "as fast as they go"
    title = f"{record['workload']}: {record['clients']} clients, {pace}, {record['seconds']:.1f} s"
    counts = f"{record['successful']:,} operations, {record['failed']:,} failed"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        f"<title>{escape(title)}</title><style>{STYLE}</style>",
        _text(LEFT, 26, title, kind="title"),
        _text(RIGHT, 26, counts, "end"),
        *_latency(record),
        *_throughput(record),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _text(x: float, y: float, text: str, anchor: str = "start", kind: str = "") -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{named}>{escape(text)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str = "grid") -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


# Latency --------------------------------------------------------------------------------------------------------------


def _binned(buckets: Sequence[Sequence[float]]) -> Counter[int]:
    """Counts by the number of the bin; ``buckets`` are ``[from, to, count]`` in milliseconds."""
    bins: Counter[int] = Counter()
    for low, high, count in buckets:
        bins[math.floor(math.log2(max((low + high) / 2, 1e-3)) * BINS)] += int(count)
    return bins


def _latency(record: Mapping[str, Any]) -> list[str]:
    """On logarithmic scales in both directions: a few slow operations among many are seen, too."""
    top, bottom = LATENCY
    since = ", from when each was due" if record["rate"] else ""
    parts = [_text(LEFT, top - 14, f"Latency{since}", kind="dim")]
    bins = _binned(record["histogram_ms"])
    if not bins:
        return [*parts, _text(LEFT, (top + bottom) / 2, "no latency was measured")]
    first, last = min(bins) - 1, max(bins) + 2
    decades = max(1, math.ceil(math.log10(max(bins.values()) + 1)))

    def across(milliseconds: float) -> float:
        place = math.log2(max(milliseconds, 1e-3)) * BINS
        return LEFT + (min(max(place, first), last) - first) / (last - first) * (RIGHT - LEFT)

    def up(count: float) -> float:
        return bottom - math.log10(count + 1) / decades * (bottom - top)

    for exponent in range(decades + 1):
        count = 10**exponent if exponent else 1
        parts += [_line(LEFT, up(count), RIGHT, up(count)), _text(LEFT - 8, up(count) + 4, f"{count:,}", "end", "dim")]
    for number, count in sorted(bins.items()):
        x, y = across(2 ** (number / BINS)), up(count)
        width = max(1.0, (RIGHT - LEFT) / (last - first) - 1)
        parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{bottom - y:.1f}" class="bar"/>')
    parts += [_text(across(tick), bottom + 18, _span(tick), "middle", "dim") for tick in _ticks(first, last)]
    return parts + _marks(record["latency_ms"], across)


def _marks(latency: Mapping[str, float], across: Any) -> list[str]:
    """A line for each percentile, its text where no other one stands."""
    top, bottom = LATENCY
    parts: list[str] = []
    ends: list[float] = []
    for name in MARKED:
        x, told = across(latency[name]), f"{name} {_span(latency[name])}"
        width = 7.0 * len(told)
        left = x + 4 if x + 4 + width < RIGHT else x - 4 - width
        row = next((row for row, end in enumerate(ends) if end + 4 < left), len(ends))
        ends[row : row + 1] = [left + width]
        parts += [_line(x, top, x, bottom, "mark"), _text(left, top + 12 + 15 * row, told, kind="told")]
    return parts


def _ticks(first: int, last: int) -> list[float]:
    """1, 2 and 5 of each power of ten of milliseconds, or 1 alone where these would be many."""
    low, high = 2 ** (first / BINS), 2 ** (last / BINS)
    steps = (1, 2, 5) if high / low < 2000 else (1,)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [found for power in powers for step in steps if low <= (found := step * 10.0**power) <= high]


def _span(milliseconds: float) -> str:
    if milliseconds < 1:
        return f"{milliseconds * 1000:.3g} us"
    return f"{milliseconds:.3g} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.3g} s"


# Throughput -----------------------------------------------------------------------------------------------------------


def _throughput(record: Mapping[str, Any]) -> list[str]:
    """Operations of each second, and the times in which none succeeded."""
    top, bottom = THROUGHPUT
    seconds = max(float(record["seconds"]), 1e-3)
    whole = [float(one) for one in record["series"][: max(1, int(seconds))]]
    most = max(whole, default=0.0) or 1.0
    parts = [_text(LEFT, top - 14, "Operations a second", kind="dim")]

    def across(second: float) -> float:
        return LEFT + min(second, seconds) / seconds * (RIGHT - LEFT)

    for share in (0.0, 0.5, 1.0):
        y = bottom - share * (bottom - top)
        parts += [_line(LEFT, y, RIGHT, y), _text(LEFT - 8, y + 4, f"{most * share:,.0f}", "end", "dim")]
    for one in record["outages"]:
        x, end = across(one["at_s"]), across(one["at_s"] + one["seconds"])
        told = f"outage {gap_text(one['seconds'])}"
        anchor, place = ("start", x + 4) if x < (LEFT + RIGHT) / 2 else ("end", end - 4)
        parts += [
            f'<rect x="{x:.1f}" y="{top}" width="{max(1.0, end - x):.1f}" height="{bottom - top}" class="out"/>',
            _text(place, top + 14, told, anchor, "told"),
        ]
    places = [
        f"{across(edge):.1f},{bottom - value / most * (bottom - top):.1f}"
        for second, value in enumerate(whole)
        for edge in (second, second + 1)
    ]
    parts.append(f'<polyline points="{" ".join(places)}" class="line"/>')
    step = _step(seconds)
    for number in range(int(seconds / step + 1e-6) + 1):
        parts.append(_text(across(number * step), bottom + 18, f"{number * step:g} s", "middle", "dim"))
    return parts


def _step(seconds: float) -> float:
    """1, 2 or 5 of a power of ten: so many seconds that four to ten of them are the whole."""
    power = 10.0 ** math.floor(math.log10(seconds / 4))
    return next((found for times in (5, 2) if (found := times * power) <= seconds / 4), power)
