"""A cursor whose rows are all at hand: where FETCH and MOVE go in them (pquery.c, DoPortalRunFetch)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from helios_cli.engine.sql.actions import Direction, Fetch


@dataclass(slots=True)
class KeptRows:
    """The rows of a cursor, and its place among them."""

    rows: list[Any] = field(default_factory=list)
    place: int = 0
    """0: before the first row; n: on the n-th; one more than there are: behind the last."""

    def goes_back(self, action: Fetch) -> bool:
        """Whether a FETCH leaves the way forward, which a NO SCROLL cursor refuses."""
        return goes_back(action, self.place)

    def take(self, action: Fetch) -> Sequence[Any]:
        """The rows that a FETCH gives, in its order; the place moves."""
        count = action.count
        if action.direction is Direction.ABSOLUTE:
            return self._absolute(count or 0)
        if action.direction is Direction.RELATIVE:
            return self._current() if not count else self._absolute_at(self.place + count)
        if action.direction is Direction.BACKWARD:
            return self._move(None if count is None else -count, backward=count is None)
        return self._move(count, backward=False)

    def _move(self, count: int | None, *, backward: bool) -> Sequence[Any]:
        end = len(self.rows)
        if count == 0:
            return self._current()
        if backward or (count is not None and count < 0):
            last = max(self.place - 1, 0)
            first = 0 if count is None else last + count
            self.place = 0 if count is None or first < 0 else first + 1
            return self.rows[max(first, 0) : last][::-1]
        first = min(self.place, end)
        found = self.rows[first:] if count is None else self.rows[first : first + count]
        self.place = end + 1 if count is None or len(found) < count else first + len(found)
        return found

    def _current(self) -> Sequence[Any]:
        return self.rows[self.place - 1 : self.place] if 1 <= self.place <= len(self.rows) else []

    def _absolute(self, number: int) -> Sequence[Any]:
        return self._absolute_at(number if number >= 0 else len(self.rows) + number + 1)

    def _absolute_at(self, place: int) -> Sequence[Any]:
        self.place = min(max(place, 0), len(self.rows) + 1)
        return self._current()


def goes_back(action: Fetch, place: int) -> bool:
    """Whether a FETCH from a place leaves the way forward."""
    count = action.count
    if action.direction is Direction.BACKWARD:
        rewinds = action.move and count is None
        return (count is None and (place > 0 or not rewinds)) or (count is not None and count >= 0)
    if action.direction is Direction.ABSOLUTE:
        return count is None or count < 0 or (count <= place and place > 0)
    if action.direction is Direction.RELATIVE:
        return count is None or count <= 0
    return count is not None and (count < 0 or (count == 0 and place > 0))


def stays_before(action: Fetch) -> bool:
    """Whether a FETCH of a cursor that stands before its first row leaves it there, with no row read."""
    if action.direction is Direction.BACKWARD:
        return action.count is None or action.count >= 0
    return action.count == 0 or (action.direction is Direction.FORWARD and (action.count or 0) < 0)
