"""Which snapshot is shown: the newest, or one of before."""

from __future__ import annotations

from bisect import bisect_left

from helios_cli.tui import words
from helios_cli.tui.history import History


class TimeTravel:
    """A place in the history that stays where it is while more is seen."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._at_s: float | None = None
        """When it is; None: now."""

    @property
    def is_live(self) -> bool:
        """Whether the newest snapshot is shown."""
        return self._at_s is None

    @property
    def index(self) -> int:
        """The number of the snapshot that is shown. There must be one."""
        return len(self._history) - 1 if self._at_s is None else self._history.index_at(self._at_s)

    def taken(self) -> None:
        """Another snapshot is there: one that the ring has lost cannot be shown any longer."""
        if self._at_s is not None:
            self._at_s = max(self._at_s, self._history[0].at_s)

    def step(self, looks: int) -> None:
        """So many snapshots on; behind the newest one is the present."""
        if not len(self._history):
            return
        wanted = self.index + looks
        self._at_s = None if wanted >= len(self._history) - 1 else self._history[max(0, wanted)].at_s

    def to_event(self, direction: int) -> None:
        """To the first snapshot at or behind the next event, or that of the one before; the oldest where none is."""
        if not len(self._history):
            return
        now_s = self._history[self.index].at_s
        times = self._history.times()
        last = len(times) - 1
        indexes = sorted({min(bisect_left(times, one.at_s), last) for one in self._history.events()})
        before = [i for i in indexes if i < self.index]
        after = [i for i in indexes if i > self.index]
        if direction < 0:
            self._at_s = self._history[before[-1] if before else 0].at_s
        else:
            self._at_s = self._history[after[0]].at_s if after else None
        if self._at_s is not None and self._at_s >= self._history[-1].at_s and now_s >= self._at_s:
            self._at_s = None

    def live(self) -> None:
        """The present again."""
        self._at_s = None

    def hold(self) -> None:
        """Stay at the newest snapshot, or leave what is held for the present."""
        self._at_s = None if self._at_s is not None or not len(self._history) else self._history[-1].at_s

    def sentence(self, long: bool) -> str:
        """Where in time it is, in a few words."""
        if self._at_s is None:
            return "live"
        behind_s = self._history[-1].at_s - self._at_s
        if not long:
            return f"held {words.clock(self._at_s)}, {words.brief(behind_s)} ago"
        place = f"{self.index + 1} of {len(self._history)}"
        kept = "kept by the nodes  " if self._history[self.index].is_kept else ""
        return f"{kept}held at {words.clock(self._at_s)}, {words.duration(behind_s)} ago  {place}"
