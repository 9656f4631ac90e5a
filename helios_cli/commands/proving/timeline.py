"""What happened when: faults, changes of the lead, and how many writes were acknowledged meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from helios_cli.commands.drill.display import BARS
from helios_cli.commands.local import observation
from helios_cli.commands.local.clusterfile import LocalCluster

LOOK_S: Final = 0.25
WIDTH: Final = 76


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the timeline."""

    at_s: float
    """Since the load began."""
    kind: str
    """``load``, ``fault``, ``back``, ``lead``, ``clients``, ``whole`` or ``end``."""
    text: str


class Timeline:
    """Events in the order of time. Any thread may add one."""

    def __init__(self, tell: Callable[[str], object]) -> None:
        self.events: list[Event] = []
        self.began = time.monotonic()
        self._tell = tell
        self._lock = threading.Lock()

    def begin(self) -> None:
        """The load begins: times count from here."""
        self.began = time.monotonic()

    def add(self, kind: str, text: str, at: float | None = None) -> None:
        """Something happened, now or at a moment of the monotonic clock that is over."""
        with self._lock:
            moment = time.monotonic() if at is None else at
            self.events.append(Event(round(moment - self.began, 3), kind, text))
            self.events.sort(key=lambda one: one.at_s)
            self._tell(text)


class LeadWatch:
    """A thread that asks the nodes who leads, and puts each change on the timeline."""

    def __init__(self, cluster: LocalCluster, timeline: Timeline) -> None:
        self._cluster, self._timeline = cluster, timeline
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lead-watch", daemon=True)
        self._led: tuple[str, int] | None = None
        self.changes = 0
        """Of the lead, since the first primary."""

    def __enter__(self) -> LeadWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(10)

    def _run(self) -> None:
        while not self._over.wait(LOOK_S):
            leader = observation.primary_of(observation.observe(self._cluster))
            # A primary of an old term that has just woken up may be the only one that answers.
            if leader is None or (self._led is not None and leader.term <= self._led[1]):
                continue
            before, self._led = self._led, (leader.node.name, leader.term)
            if before is not None:
                self.changes += 1
                self._timeline.add("lead", f"{leader.node.name} leads in term {leader.term}")


def picture(answers: Sequence[float], seconds: float, events: Sequence[Event], width: int = WIDTH) -> list[str]:
    """Acknowledged writes over time as a row of bars, and a mark below for each fault; seconds, a legend.

    ``answers`` are seconds since the beginning, in any order. A part in which nothing was acknowledged is left blank.
    """
    seconds = max(seconds, 1e-3)
    counts = [0] * width
    for answer in answers:
        if 0 <= answer < seconds:
            counts[int(answer / seconds * width)] += 1
    top = max(counts, default=0) or 1
    bars = "".join(BARS[min(len(BARS) - 1, count * len(BARS) // top)] if count else " " for count in counts)
    marks = [" "] * width
    for event in events:
        if event.kind in ("fault", "lead"):
            at = min(width - 1, int(event.at_s / seconds * width))
            marks[at] = "✗" if event.kind == "fault" or marks[at] == "✗" else "▲"
    end = f"{seconds:.0f} s"
    return [
        bars,
        "".join(marks).rstrip(),
        f"0{end:>{width - 1}}",
        f"{top * width / seconds:,.0f} writes/s at most   ✗ fault   ▲ another node leads",
    ]
