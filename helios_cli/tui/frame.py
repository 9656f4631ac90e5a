"""One frame as text, for ``--once`` and for pipes; and the same as a record for programs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from helios_cli.engine.errors import HeliosError
from helios_cli.engine.types import Lsn
from helios_cli.tui import nodetable, topology, words
from helios_cli.tui.history import Happening, History
from helios_cli.tui.lines import SEVERITY_GLYPHS, SEVERITY_TONES, Line, fitted, width_of, wrapped
from helios_cli.tui.nodetable import Scene
from helios_cli.tui.snapshot import NodeSeen, Snapshot, Tone, verdict


def heading(snapshot: Snapshot, now_s: float, width: int) -> Line:
    """One line: which cluster, how it is, and how old that is; a narrow one leaves out what the table says too."""
    tone, text = verdict(snapshot)
    glyph = {"ok": "●", "warn": "◐"}.get(tone, "✖")
    newest = snapshot.newest_s()
    age = words.age(None if newest is None else max(0.0, now_s - newest))
    right: Line = ((f"{glyph} {text}", tone), ("  data ", "dim"), (f"{age} old", "dim"))
    facts = [f"mode {snapshot.mode}"] if snapshot.mode else []
    facts += [f"term {snapshot.term}"] if snapshot.term else []
    middle = "  ".join(facts)
    room = width - width_of(right) - len(middle) - 4
    left: Line = ((words.shortened(snapshot.source, max(8, room)), "strong"), ("  ", ""), (middle, "dim"))
    if width_of(left) + width_of(right) + 2 > width:
        left = ((words.shortened(snapshot.source, max(0, width - width_of(right) - 2)), "strong"),)
    return (*fitted(left, max(0, width - width_of(right))), *right)


def frame(history: History, now_s: float, width: int, *, events: int = 10) -> list[Line]:
    """The newest snapshot: heading, nodes, drawing, alarms, events. There must be one."""
    snapshot = history[-1]
    scene = Scene(snapshot, history.window(-1, nodetable.LOOKS), now_s)
    lines: list[Line] = [heading(snapshot, now_s, width), (), *table(scene, width), ()]
    lines += [*topology.draw(scene, width, 100), ()]
    lines += alarm_lines(snapshot.alarms, width)
    happened = history.events()[:events]
    lines += [line for one in happened for line in event_lines(one, now_s, width)]
    if not happened:
        lines.append(((snapshot.untold or "nothing has happened yet", "dim"),))
    return lines


def table(scene: Scene, width: int) -> list[Line]:
    """The table of nodes as aligned lines."""
    layout = nodetable.layout(scene, width)
    columns, height, gap = layout.columns, layout.height, " " * layout.gap
    cells = [[column.cell(scene, node) for column in columns] for node in scene.snapshot.nodes]
    widths = nodetable.widths(scene, columns)
    titles: Line = tuple((_aligned(column, widths[i]) + gap, "dim") for i, column in enumerate(columns))
    lines: list[Line] = [titles]
    for row in cells:
        for number in range(height):
            parts: list[tuple[str, Any]] = []
            for i, column in enumerate(columns):
                cell = row[i][number]
                pad = " " * (widths[i] - width_of(cell))
                parts += [(pad, ""), *cell, (gap, "")] if column.right else [*cell, (pad + gap, "")]
            lines.append(tuple(parts))
    return lines


def _aligned(column: nodetable.Column, width: int) -> str:
    return column.title.rjust(width) if column.right else column.title.ljust(width)


def event_lines(one: Happening, now_s: float, width: int) -> list[Line]:
    """An event, in as many lines as its message needs."""
    tone = SEVERITY_TONES.get(one.severity, "")
    when = words.moment(one.at_s, now_s)
    head = f"{when:<14} {SEVERITY_GLYPHS.get(one.severity, '·')} "
    who = f"{one.node}: "
    text = wrapped(who + one.message, width - len(head))
    first: Line = (
        (f"{when:<14} ", "dim"), (f"{SEVERITY_GLYPHS.get(one.severity, '·')} ", tone),
        (text[0][: len(who)], "strong"), (text[0][len(who) :], "" if one.severity == "info" else tone),
    )  # fmt: skip
    rest: list[Line] = [((" " * len(head), ""), (line, "" if one.severity == "info" else tone)) for line in text[1:]]
    return [first, *rest]


def alarm_lines(alarms: Sequence[tuple[str, str]], width: int, acknowledged: int = 0) -> list[Line]:
    """What somebody has to look after, and how much of it is known."""
    found: list[Line] = []
    for node, text in alarms:
        first, *rest = wrapped(f"alarm: {node}: {text}", width - 2)
        found += [(("! ", "warn"), (first, "warn")), *((("  ", ""), (line, "warn")) for line in rest)]
    if acknowledged:
        found.append(((f"✓ {acknowledged} acknowledged, k shows {'it' if acknowledged == 1 else 'them'}", "dim"),))
    return found


def log_lines(outcome: Sequence[str] | HeliosError, width: int) -> list[Line]:
    """The end of a log, the newest line first; or why there is none."""
    if isinstance(outcome, HeliosError):
        hint = wrapped(outcome.hint or "", width) if outcome.hint else []
        return [((outcome.message, "warn"),), *(((line, "dim"),) for line in hint)]
    found: list[Line] = []
    for text in reversed(outcome):
        tone: Tone = "bad" if _ERRORS.search(text) else "warn" if " WARNING " in text else ""
        first, *rest = wrapped(text, width)
        found += [((first, tone),), *((("  ", ""), (line, tone)) for line in rest)]
    return found or [(("the log is empty", "dim"),)]


_ERRORS: Final = re.compile(r" (ERROR|CRITICAL) ")


def record(history: History, now_s: float, events: int = 50) -> dict[str, Any]:
    """The newest snapshot for programs: LSNs as text, times in seconds since 1970-01-01 UTC."""
    snapshot = history[-1]
    tone, text = verdict(snapshot)
    primary = snapshot.primary
    return {
        "at": round(snapshot.at_s, 3),
        "source": snapshot.source,
        "healthy": tone == "ok",
        "verdict": text,
        "mode": snapshot.mode or None,
        "term": snapshot.term or None,
        "primary": primary.name if primary else None,
        "paused": snapshot.paused,
        "nodes": [node_record(one, snapshot, now_s) for one in snapshot.nodes],
        "proxy": _proxy_record(snapshot),
        "alarms": [{"node": node, "text": text} for node, text in snapshot.alarms],
        "events": [_event_record(one) for one in history.events()[:events]],
        "events_missing": snapshot.untold or None,
    }


def node_record(one: NodeSeen, snapshot: Snapshot, now_s: float) -> dict[str, Any]:
    """One node for programs; what is not known is null."""
    facts = one.facts
    age_s = one.age_s(now_s)
    holds = facts is not None and facts.role != "observer"
    return {
        "name": one.name, "http": one.address, "address": facts.address if facts else None, "role": one.role or None,
        "mode": (facts.mode or None) if facts else None, "state": one.state, "leads": one.leads,
        "error": one.error or None, "stale": one.is_stale(now_s), "age_s": None if age_s is None else round(age_s, 3),
        "term": facts.term if facts else None,
        "committed_lsn": str(Lsn(facts.committed_lsn)) if facts and holds else None,
        "flushed_lsn": str(Lsn(facts.flushed_lsn)) if facts and holds else None,
        "checksum": (facts.checksum or None) if facts else None, "identical": one.identical, "counts": one.in_sync,
        "lag_bytes": one.lag_bytes, "lag_ms": one.lag_ms, "eta_s": one.eta_s,
        "clients": facts.clients if facts and holds else None, "statements_s": _rounded(one.statements_s),
        "commits_s": _rounded(one.commits_s), "log_bytes_s": _rounded(one.log_bytes_s), "cpu": _rounded(one.cpu),
        "alarms": list(facts.alarms) if facts else [],
    }  # fmt: skip


def _proxy_record(snapshot: Snapshot) -> dict[str, Any] | None:
    proxy = snapshot.proxy
    if proxy is None:
        return None
    facts = proxy.facts
    return {
        "admin": proxy.address, "state": proxy.state, "error": proxy.error or None,
        "statements_s": _rounded(proxy.statements_s), "nodes": list(facts.nodes) if facts else [],
        "pools": list(facts.pools) if facts else [], "stats": dict(facts.stats) if facts else {},
    }  # fmt: skip


def _event_record(one: Happening) -> dict[str, Any]:
    return {
        "at": round(one.at_s, 6), "node": one.node, "severity": one.severity, "kind": one.kind,
        "message": one.message, "by": one.by,
    }  # fmt: skip


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def text_of(lines: Sequence[Line]) -> str:
    """The lines as plain text, without blanks at their ends."""
    return "\n".join("".join(text for text, _ in line).rstrip() for line in lines)
