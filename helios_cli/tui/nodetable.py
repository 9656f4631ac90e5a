"""The table of nodes: which columns there are at a width, and what stands in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from helios_cli.engine.types import Lsn
from helios_cli.tui import words
from helios_cli.tui.lines import Line, fitted, mark, width_of
from helios_cli.tui.snapshot import NodeSeen, Snapshot, Tone, series

LOOKS: Final = 60
"""Snapshots that a sparkline shows at most."""

SPARK: Final = 24
NARROW_SPARK: Final = 6
NAME_MAX: Final = 21
"""Characters of a name in a row of two lines."""

WIDE: Final = 132
"""From this width on every fact may have a column of its own; below, a node has two lines."""

LAG: Final = len("999 MB 999 ms")


@dataclass(frozen=True, slots=True)
class Scene:
    """A snapshot and what came before it, for the sparklines."""

    snapshot: Snapshot
    window: Sequence[Snapshot]
    """Up to and with the snapshot, oldest first."""
    now_s: float
    """The present, by which ages are told."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column; a cell has as many lines as a row."""

    title: str
    cell: Callable[[Scene, NodeSeen], tuple[Line, ...]]
    right: bool = False
    least: int = 0
    """Characters that it is wide at least, so that numbers that grow do not move what is beside them."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Columns that fit a place."""

    columns: tuple[Column, ...]
    gap: int
    """Blanks between two columns."""
    height: int
    """Lines of a row."""


def layout(scene: Scene, width: int) -> Layout:
    """The columns for so many characters: of one line each, or of two; sparklines take what is left.

    Where even that is too wide, the sparkline goes first, then the load: what tells whether a node is well stays.
    """
    if width >= WIDE and (room := width - _natural(scene, _wide(0), 2)) >= NARROW_SPARK:
        return Layout(tuple(_wide(min(LOOKS, room))), 2, 1)
    for gap in (2, 1):
        if (room := width - _natural(scene, _narrow(0), gap)) >= NARROW_SPARK:
            return Layout(tuple(_narrow(min(LOOKS, room))), gap, 2)
    bare = _narrow(0)
    return Layout(tuple(bare if _natural(scene, bare, 1) <= width else bare[:-1]), 1, 2)


def widths(scene: Scene, columns: Sequence[Column]) -> list[int]:
    """Characters that each column needs."""
    return [
        max(len(column.title), column.least, *(width_of(line) for row in rows for line in row), 0)
        for column in columns
        for rows in [[column.cell(scene, node) for node in scene.snapshot.nodes]]
    ]


def _natural(scene: Scene, columns: Sequence[Column], gap: int) -> int:
    return sum(widths(scene, columns)) + gap * (len(columns) - 1)


def name(scene: Scene, node: NodeSeen) -> Line:
    """Who it is."""
    return (mark(node), (" ", ""), (node.name, "strong"))


def role(scene: Scene, node: NodeSeen) -> Line:
    """What it is in the cluster, and in which mode."""
    return _aged(scene, node, ((node.role or words.NOTHING, ""),))


def mode(scene: Scene, node: NodeSeen) -> Line:
    """Its mode; a check mark where its copy, or an observer's vote, counts."""
    text = node.facts.mode if node.facts else ""
    if node.role == "observer":
        text = "votes" if node.in_sync else "no vote"
    counts = " ✓" if node.in_sync and node.role != "observer" else ""
    return _aged(scene, node, ((text or words.NOTHING, ""), (counts, "ok")))


def state(scene: Scene, node: NodeSeen) -> Line:
    """What it does, and since when nothing was heard of it."""
    if node.error and node.seen_at_s is not None:
        return ((node.state, node.tone), (f" {words.brief(node.age_s(scene.now_s))}", "warn"))
    return ((node.state, node.tone),)


def term(scene: Scene, node: NodeSeen) -> Line:
    """The newest term it knows."""
    known = node.facts.term if node.facts else 0
    late: Tone = "warn" if known and known < scene.snapshot.term else ""
    return _aged(scene, node, ((str(known) if known else words.NOTHING, late),))


def position(scene: Scene, node: NodeSeen) -> Line:
    """The LSN that it shows to readers."""
    shown = node.facts.committed_lsn if node.facts and node.role != "observer" else 0
    return _aged(scene, node, ((str(Lsn(shown)) if shown else words.NOTHING, ""),))


def checksum(scene: Scene, node: NodeSeen) -> Line:
    """Of its database, and whether it equals the primary's: = equal, ≠ not, ~ not comparable now."""
    text = node.facts.checksum[:8] if node.facts else ""
    if not text:
        return ((words.NOTHING, "dim"),)
    if node.leads:
        return _aged(scene, node, (("  ", ""), (text, "")))
    sign, tone = _SIGNS[node.identical]
    return _aged(scene, node, ((f"{sign} ", tone), (text, tone if node.identical is False else "")))


_SIGNS: Final[dict[bool | None, tuple[str, Tone]]] = {True: ("=", "ok"), False: ("≠", "bad"), None: ("~", "dim")}


def lag(scene: Scene, node: NodeSeen) -> Line:
    """How much log it has not applied, and how old the oldest of that is."""
    if node.leads or node.role == "observer" or (node.lag_bytes is None and node.lag_ms is None):
        return ((words.NOTHING, "dim"),)
    tone: Tone = "" if (node.lag_ms or 0) < 1000 else "warn" if (node.lag_ms or 0) < 10_000 else "bad"
    parts = ([words.size(node.lag_bytes)] if node.lag_bytes is not None else []) + (
        [words.milliseconds(node.lag_ms)] if node.lag_ms is not None else []
    )
    return _aged(scene, node, ((" ".join(parts), tone),))


def eta(scene: Scene, node: NodeSeen) -> Line:
    """When it will lack nothing; never, where it does not catch up at this pace."""
    if node.leads or node.role == "observer" or node.lag_bytes is None:
        return ((words.NOTHING, "dim"),)
    if not node.lag_bytes:
        return _aged(scene, node, (("now", ""),))
    return _aged(scene, node, (("never", "warn"),) if node.eta_s is None else ((words.brief(node.eta_s), ""),))


def spark(scene: Scene, node: NodeSeen, width: int = SPARK) -> Line:
    """The lag of the last seconds; of the primary its statements."""
    field = "lag_bytes" if not node.leads else "statements_s"
    if node.role == "observer" or not width:
        return (("", ""),)
    return ((words.sparkline(series(scene.window, node.name, field), width), "accent"),)


def clients(scene: Scene, node: NodeSeen) -> Line:
    """Sessions."""
    known = node.facts is not None and node.role != "observer"
    return _aged(scene, node, ((words.count(node.facts.clients) if known and node.facts else words.NOTHING, ""),))


def statements(scene: Scene, node: NodeSeen) -> Line:
    """Statements in a second."""
    return ((words.rate(node.statements_s) if node.role != "observer" else words.NOTHING, ""),)


def seen(scene: Scene, node: NodeSeen) -> Line:
    """Age of what is known of it."""
    tone: Tone = "warn" if node.is_stale(scene.now_s) else "dim"
    return ((words.age(node.age_s(scene.now_s)), tone),)


def _aged(scene: Scene, node: NodeSeen, line: Line) -> Line:
    """The same, in the colour of what is of before when it is; the state beside it says so in words."""
    return tuple((text, "dim" if node.is_stale(scene.now_s) else tone) for text, tone in line)


def _joined(*lines: Line) -> Line:
    return tuple(span for line in lines for span in line)


def _one(*parts: Callable[[Scene, NodeSeen], Line]) -> Callable[[Scene, NodeSeen], tuple[Line, ...]]:
    return lambda scene, node: tuple(part(scene, node) for part in parts)


def _who(scene: Scene, node: NodeSeen) -> tuple[Line, ...]:
    who: Line = (mark(node), (" ", ""), (words.cut(node.name, NAME_MAX - 2), "strong"))
    return (who, _joined((("  ", ""),), role(scene, node), ((" ", ""),), mode(scene, node)))


def _what(scene: Scene, node: NodeSeen) -> tuple[Line, ...]:
    return (state(scene, node), _joined((("term ", "dim"),), term(scene, node)))


def _where(scene: Scene, node: NodeSeen) -> tuple[Line, ...]:
    return (position(scene, node), checksum(scene, node))


def _behind(scene: Scene, node: NodeSeen, spark_width: int) -> tuple[Line, ...]:
    if node.leads:
        return ((("leads", "dim"),), _joined((("stmt/s    ", "dim"),), spark(scene, node, spark_width)))
    if node.role == "observer":
        return (((words.NOTHING, "dim"),), ())
    return (
        lag(scene, node),
        _joined((("eta ", "dim"),), fitted(eta(scene, node), 6), spark(scene, node, spark_width)),
    )


def _busy(scene: Scene, node: NodeSeen) -> tuple[Line, ...]:
    if node.role == "observer":
        return (((words.NOTHING, "dim"),), ())
    return (
        _joined(clients(scene, node), ((" clients", "dim"),)),
        _joined(statements(scene, node), ((" st/s", "dim"),)),
    )


@cache
def _narrow(spark_width: int) -> list[Column]:
    return [
        Column("node · role mode", _who),
        Column("state · term", _what),
        Column("LSN · sum", _where),
        Column("lag · eta", lambda scene, node: _behind(scene, node, spark_width), least=LAG),
        Column("load", _busy),
    ]


@cache
def _wide(spark_width: int) -> list[Column]:
    return [
        Column("node", _one(name)),
        Column("role", _one(role)),
        Column("mode", _one(mode)),
        Column("state", _one(state)),
        Column("term", _one(term), right=True),
        Column("LSN", _one(position)),
        Column("checksum", _one(checksum)),
        Column("lag", _one(lag), right=True, least=LAG),
        Column("eta", _one(eta), right=True, least=5),
        Column("lag, statements", _one(lambda scene, node: spark(scene, node, spark_width))),
        Column("clients", _one(clients), right=True),
        Column("stmt/s", _one(statements), right=True, least=6),
        Column("age", _one(seen), right=True, least=5),
    ]
