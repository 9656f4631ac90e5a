"""What the proxy view says: how it is, its nodes, its pools; as lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from helios_cli.tui import words
from helios_cli.tui.lines import GLYPHS, Line, Span, wrapped
from helios_cli.tui.snapshot import ProxySeen, Tone

NODE_COLUMNS: Final = ("node", "role", "state", "lag", "latency", "active", "backends", "reason")
POOL_COLUMNS: Final = ("node", "user", "database", "active", "idle", "size", "waiting", "longest wait")
COUNTED: Final = (
    ("clients", "clients"), ("clients_queued", "waiting"), ("reads_total", "reads"), ("writes_total", "writes"),
    ("lost_total", "lost nodes"), ("repeated_total", "sent again"), ("replayed_total", "blocks run again"),
    ("errors_total", "errors"),
)  # fmt: skip
"""Figures of the proxy, and how they are called here."""

NONE: Final = "no proxy is known: heliosdb-nano monitor --proxy HOST:PORT, its admin address"


def proxy_lines(proxy: ProxySeen | None, now_s: float, width: int) -> list[Line]:
    """Everything about the proxy; the fuller the pool, the longer its bar."""
    if proxy is None:
        return [((NONE, "dim"),)]
    facts = proxy.facts
    age = None if proxy.seen_at_s is None else now_s - proxy.seen_at_s
    head: list[Span] = [(f"{GLYPHS[proxy.tone]} {proxy.state}", proxy.tone), (f"  {proxy.address}", "")]
    head.append((f"  {words.age(age)} old", "warn" if proxy.error else "dim"))
    lines: list[Line] = [tuple(head)]
    for why in (proxy.error, facts.health if facts else ""):
        lines += [((why, "bad"),)] if why else []
    if facts is None:
        return lines
    told = [f"{words.rate(proxy.statements_s)} statements/s"]
    told += [f"{facts.stats[name]:.0f} {text}" for name, text in COUNTED if name in facts.stats]
    lines += [*(((line, ""),) for line in wrapped("  ".join(told), width)), ()]
    lines += _table(NODE_COLUMNS, [_node(one) for one in facts.nodes], width)
    lines += [(), *_table(POOL_COLUMNS, [_pool(one) for one in facts.pools], width)]
    return lines if facts.pools else [*lines[:-1], (("no backend has been opened yet", "dim"),)]


def _node(one: Mapping[str, Any]) -> list[Span]:
    state = str(one.get("state") or "")
    tone: Tone = {"healthy": "ok", "draining": "warn", "disabled": "dim"}.get(state, "bad")  # type: ignore[assignment]
    lag = "" if one.get("role") == "primary" else words.size(one.get("lag_bytes"))
    return [
        (str(one.get("name")), "strong"), (str(one.get("role") or words.NOTHING), ""),
        (f"{GLYPHS[tone]} {state}", tone), (lag, ""), (words.milliseconds(one.get("latency_ms")), ""),
        (str(one.get("active")), ""), (str(one.get("backends")), ""), (str(one.get("reason") or ""), "warn"),
    ]  # fmt: skip


def _pool(one: Mapping[str, Any]) -> list[Span]:
    waiting = int(one.get("waiting") or 0)
    active, size = int(one.get("active") or 0), int(one.get("size") or 0)
    wait = words.milliseconds(one.get("wait_ms")) if waiting else words.NOTHING
    return [
        (str(one.get("node")), "strong"), (str(one.get("user")), ""), (str(one.get("database")), ""),
        (str(active), "warn" if size and active >= size else ""), (str(one.get("idle")), ""), (str(size), ""),
        (str(waiting), "bad" if waiting else ""), (wait, "bad" if waiting else "dim"),
    ]  # fmt: skip


def _table(titles: Sequence[str], rows: Sequence[Sequence[Span]], width: int) -> list[Line]:
    """Aligned columns; the last one takes what is left."""
    widths = [max(len(title), *(len(row[i][0]) for row in rows), 0) for i, title in enumerate(titles)]
    head: Line = tuple((title.ljust(widths[i] + 2), "dim") for i, title in enumerate(titles))
    return [head, *(tuple((text.ljust(widths[i] + 2), tone) for i, (text, tone) in enumerate(row)) for row in rows)]
