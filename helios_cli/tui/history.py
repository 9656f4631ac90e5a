"""What has been seen, and what has happened: a bounded ring of snapshots and a timeline of events.

For the last quarter of an hour every snapshot is kept, before that one in ten seconds and those at which something
happened; with a look a second that is at least six hours.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from helios_cli.tui.facts import Sample, Told
from helios_cli.tui.snapshot import NodeSeen, Snapshot, follow

DENSE: Final = 900
SPARSE: Final = 2160
SPARSE_S: Final = 10.0
EVENTS: Final = 2000


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Happening:
    """One event of the timeline."""

    at_s: float
    node: str
    """The node that it is of; ``proxy`` and ``cluster`` for what is of these."""
    severity: str
    """``info``, ``warning`` or ``error``."""
    kind: str
    message: str
    by: str
    """``node``: it said so itself, ``monitor``: seen from here."""


class History:
    """Snapshots, oldest first, and the events beside them."""

    def __init__(self, *, dense: int = DENSE, sparse: int = SPARSE, sparse_s: float = SPARSE_S) -> None:
        self._dense: deque[tuple[Snapshot, bool]] = deque()
        self._sparse: deque[Snapshot] = deque(maxlen=sparse)
        self._dense_max = dense
        self._sparse_s = sparse_s
        self._events: list[Happening] = []
        self._known: dict[tuple[str, int, str, str], None] = {}

    def __len__(self) -> int:
        return len(self._sparse) + len(self._dense)

    def __getitem__(self, index: int) -> Snapshot:
        """The snapshot of a number from 0, the oldest; negative from the newest."""
        index = index + len(self) if index < 0 else index
        if index < len(self._sparse):
            return self._sparse[index]
        return self._dense[index - len(self._sparse)][0]

    @property
    def newest(self) -> Snapshot | None:
        """The newest snapshot; None before the first."""
        return self._dense[-1][0] if self._dense else None

    def take(self, sample: Sample) -> Snapshot:
        """Add a sample: the snapshot that it makes."""
        before = self.newest
        snapshot = follow(before, sample)
        happened = list(changes(before, snapshot))
        for one in (*happened, *self._fresh(sample.told)):
            insort(self._events, one)
        del self._events[:-EVENTS]
        self._dense.append((snapshot, bool(happened)))
        while len(self._dense) > self._dense_max:
            self._thin(*self._dense.popleft())
        return snapshot

    def put_before(self, samples: Sequence[Sample]) -> None:
        """What was before the first snapshot, oldest first: as much of it as there is room for."""
        first = self[0] if len(self) else None
        before: Snapshot | None = None
        older: list[Snapshot] = []
        for sample in samples:
            if first is not None and sample.at_s >= first.at_s:
                break
            snapshot = follow(before, sample)
            for one in changes(before, snapshot):
                insort(self._events, one)
            older.append(snapshot)
            before = snapshot
        if before is not None and first is not None:
            for one in changes(before, first):
                insort(self._events, one)
        del self._events[:-EVENTS]
        room = (self._sparse.maxlen or 0) - len(self._sparse)
        self._sparse.extendleft(reversed(older[-room:] if room else []))

    def _thin(self, old: Snapshot, something_happened: bool) -> None:
        due = not self._sparse or old.at_s - self._sparse[-1].at_s >= self._sparse_s
        if due or something_happened:
            self._sparse.append(old)

    def _fresh(self, told: tuple[Told, ...]) -> Iterator[Happening]:
        for one in told:
            key = (one.node, one.at_us, one.kind, one.message)
            if key in self._known:
                continue
            self._known[key] = None
            while len(self._known) > 2 * EVENTS:
                del self._known[next(iter(self._known))]
            yield Happening(
                at_s=one.at_us / 1e6,
                node=one.node,
                severity=one.severity,
                kind=one.kind,
                message=one.message,
                by="node",
            )

    def window(self, end: int, count: int) -> list[Snapshot]:
        """The ``count`` snapshots up to and with that of a number, fewer at the beginning; oldest first."""
        end = end + len(self) if end < 0 else end
        return [self[i] for i in range(max(0, end - count + 1), end + 1)]

    def index_at(self, at_s: float) -> int:
        """The number of the newest snapshot that is not later; 0 when all are. There must be one."""
        return max(0, bisect_right(self.times(), at_s) - 1)

    def times(self) -> list[float]:
        """When each snapshot was, oldest first."""
        return [one.at_s for one in self._sparse] + [one.at_s for one, _ in self._dense]

    def events(self, until_s: float | None = None) -> list[Happening]:
        """The events up to a time, or all; newest first."""
        return [one for one in reversed(self._events) if until_s is None or one.at_s <= until_s]


def changes(before: Snapshot | None, after: Snapshot) -> Iterator[Happening]:
    """What has happened between two snapshots, as far as it can be seen from here; nothing before the first."""
    if before is None:
        return
    for node in after.nodes:
        old = before.node(node.name)
        if old is None:
            yield _event(after, node.name, "info", "joined", "is part of the cluster now")
        else:
            yield from _of_node(after, old, node)
    for old in before.nodes:
        if after.node(old.name) is None:
            yield _event(after, old.name, "warning", "left", "is no longer part of the cluster")
    if before.paused != after.paused and after.primary is not None:
        text = "automatic failover is paused" if after.paused else "automatic failover is on again"
        yield _event(after, "cluster", "warning" if after.paused else "info", "failover", text)
    yield from _of_proxy(before, after)


def _of_node(after: Snapshot, old: NodeSeen, node: NodeSeen) -> Iterator[Happening]:
    if node.error and not old.error:
        why = {"down": "its process is gone", "frozen": "its process is frozen"}.get(node.process, node.error)
        yield _event(after, node.name, "error", "lost", f"no answer: {why}")
        return
    if old.error and not node.error:
        away = after.at_s - old.seen_at_s if old.seen_at_s is not None else None
        since = f" after {away:.1f} s" if away is not None else ""
        yield _event(after, node.name, "info", "back", f"answers again{since}, {node.role or 'unknown'}, {node.state}")
    if node.error or node.facts is None or old.facts is None:
        return
    if node.role != old.role:
        text = f"{old.role} became {node.role} in term {node.facts.term}"
        yield _event(after, node.name, "warning", "role", text)
    elif node.state != old.state and not old.error:
        severity = {"ok": "info", "warn": "warning"}.get(node.tone, "error")
        yield _event(after, node.name, severity, "state", f"{old.state} became {node.state}")
    if node.identical is False and old.identical is not False:
        yield _event(after, node.name, "error", "differs", "its database is not the primary's: the checksums differ")
    for text in node.facts.alarms:
        if text not in old.facts.alarms:
            yield _event(after, node.name, "warning", "alarm", text)


def _of_proxy(before: Snapshot, after: Snapshot) -> Iterator[Happening]:
    old, new = before.proxy, after.proxy
    if old is None or new is None:
        return
    if old.state != new.state:
        severity = {"ok": "info", "warn": "warning"}.get(new.tone, "error")
        reason = new.error or (new.facts.health if new.facts else "")
        text = f"{old.state} became {new.state}" + (f": {reason}" if reason else "")
        yield _event(after, "proxy", severity, "proxy", text)
    if new.error or new.facts is None or old.facts is None:
        return
    states = {str(one.get("name")): str(one.get("state")) for one in old.facts.nodes}
    for one in new.facts.nodes:
        name, state = str(one.get("name")), str(one.get("state"))
        if name in states and states[name] != state:
            why = f": {one['reason']}" if one.get("reason") else ""
            severity = "info" if state == "healthy" else "warning"
            yield _event(after, "proxy", severity, "proxy", f"{name} is {state} to it{why}")


def _event(after: Snapshot, node: str, severity: str, kind: str, message: str) -> Happening:
    return Happening(at_s=after.at_s, node=node, severity=severity, kind=kind, message=message, by="monitor")
