"""Whether transactions that read lists and append to them could have happened one after the other, in real time.

Each value is appended once, so a list that was read tells the order of its appends, and with it which transaction came
before which. An order that goes in a circle cannot be (Kingsbury and Alvaro, "Elle", 2020, sections 4 and 5):

- ww: of two values side by side in a list, the transaction that appended the first came first;
- wr: who read a value as the last one came after who appended it;
- rw: who read a list without a value that others read behind it came before who appended that;
- real time: who was answered before another one called came first.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

from helios_cli.engine.histories.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Append:
    """``value``, which nobody appends twice, to the end of list ``key``."""

    key: int
    value: int


@dataclass(frozen=True, slots=True)
class ReadList:
    """List ``key``, as it was read."""

    key: int
    values: tuple[int, ...]


Act: TypeAlias = Append | ReadList


@dataclass(frozen=True, slots=True)
class Transaction:
    """What one client did at once."""

    called: float
    returned: float
    """``math.inf`` when nobody knows whether it was committed; its reads are not looked at then."""
    acts: tuple[Act, ...]
    aborted: bool = False
    """Certainly undone: nobody may read what it appended."""


def check_lists(history: Sequence[Transaction]) -> Verdict:
    """Whether the history is strictly serializable. What is wrong is named as Adya and Elle name it."""
    seen = _Seen(history)
    wrong = [*seen.wrong(), *_lost(history, seen)]
    return Verdict.of(wrong or [_circle_told(history, circle) for circle in _circles(_edges(history, seen))])


class _Seen:
    """Who appended what, and the longest list that was read under each key."""

    def __init__(self, history: Sequence[Transaction]) -> None:
        self.history = history
        self.writer: dict[tuple[int, int], int] = {}
        self.longest: dict[int, tuple[int, ...]] = {}
        for number, one in enumerate(history):
            for act in one.acts:
                if isinstance(act, Append):
                    self.writer[act.key, act.value] = number
        for _, act in self.reads():
            if len(act.values) > len(self.longest.get(act.key, ())):
                self.longest[act.key] = act.values
        self.place = {key: {value: at for at, value in enumerate(values)} for key, values in self.longest.items()}

    def reads(self) -> Iterator[tuple[int, ReadList]]:
        """What committed transactions read, and the number of each."""
        for number, one in enumerate(self.history):
            if not one.aborted and one.returned != math.inf:
                for act in one.acts:
                    if isinstance(act, ReadList):
                        yield number, act

    def wrong(self) -> Iterator[str]:
        """What one look at a read shows."""
        for number, act in self.reads():
            told = f"transaction {number} read list {act.key} as {list(act.values)}"
            if self.longest.get(act.key, ())[: len(act.values)] != act.values:
                yield f"incompatible order: {told}, another one as {list(self.longest[act.key])}"
            if len(set(act.values)) != len(act.values):
                yield f"duplicate: {told}"
            for value in act.values:
                writer = self.writer.get((act.key, value))
                if writer is None:
                    yield f"garbage: {told}; nobody appended {value}"
                elif self.history[writer].aborted:
                    yield f"aborted read (G1a): {told}; transaction {writer}, which appended {value}, was undone"


def _lost(history: Sequence[Transaction], seen: _Seen) -> Iterator[str]:
    """Committed appends that a list read later does not have."""
    latest: dict[int, tuple[float, int, tuple[int, ...]]] = {}
    for number, act in seen.reads():
        called = history[number].called
        if act.key not in latest or called > latest[act.key][0]:
            latest[act.key] = (called, number, act.values)
    for (key, value), number in seen.writer.items():
        one = history[number]
        if key in latest and not one.aborted and one.returned < latest[key][0] and value not in latest[key][2]:
            yield f"lost append: transaction {latest[key][1]} read list {key} without {value} of transaction {number}"


def _edges(history: Sequence[Transaction], seen: _Seen) -> list[list[int]]:
    """Who came before whom: transactions by number, behind them a barrier for each return, which carries real time."""
    after: list[list[int]] = [[] for _ in history]

    def order(first: int | None, second: int | None) -> None:
        if first is not None and second is not None and first != second:
            after[first].append(second)

    for key, values in seen.longest.items():
        for one, following in pairwise(values):
            order(seen.writer.get((key, one)), seen.writer.get((key, following)))
    for number, act in seen.reads():
        longest = seen.longest.get(act.key, ())
        if act.values:
            order(seen.writer.get((act.key, act.values[-1])), number)
        if len(act.values) < len(longest):
            order(number, seen.writer.get((act.key, longest[len(act.values)])))
    events = [(one.called, 1, number) for number, one in enumerate(history) if not one.aborted]
    events += [(one.returned, 0, n) for n, one in enumerate(history) if not one.aborted and one.returned != math.inf]
    barrier: int | None = None
    for _, kind, number in sorted(events):
        if kind:
            if barrier is not None:
                after[barrier].append(number)
            continue
        after.append([])
        after[number].append(len(after) - 1)
        if barrier is not None:
            after[barrier].append(len(after) - 1)
        barrier = len(after) - 1
    return after


def _circles(after: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """The strongly connected parts of more than one (Tarjan, 1972), without recursion."""
    found = [0] * len(after)
    low = [0] * len(after)
    on_stack = bytearray(len(after))
    stack: list[int] = []
    count = 0
    for start in range(len(after)):
        if found[start]:
            continue
        path = [(start, iter(after[start]))]
        count += 1
        found[start] = low[start] = count
        stack.append(start)
        on_stack[start] = 1
        while path:
            node, following = path[-1]
            for other in following:
                if not found[other]:
                    count += 1
                    found[other] = low[other] = count
                    stack.append(other)
                    on_stack[other] = 1
                    path.append((other, iter(after[other])))
                    break
                if on_stack[other]:
                    low[node] = min(low[node], found[other])
            else:
                path.pop()
                if path:
                    low[path[-1][0]] = min(low[path[-1][0]], low[node])
                if low[node] == found[node]:
                    part = [stack.pop()]
                    while part[-1] != node:
                        part.append(stack.pop())
                    for each in part:
                        on_stack[each] = 0
                    if len(part) > 1:
                        yield part


def _circle_told(history: Sequence[Transaction], circle: Sequence[int]) -> str:
    members = sorted(number for number in circle if number < len(history))
    shown = "; ".join(f"{number}: {_acts_told(history[number])}" for number in members[:6])
    return f"circle (G-single or stronger) of {len(members)} transactions: {shown}"


def _acts_told(one: Transaction) -> str:
    told = (
        f"append {a.value} to {a.key}" if isinstance(a, Append) else f"read {a.key} {list(a.values)}" for a in one.acts
    )
    return ", ".join(told) + f" from {one.called:g} to {one.returned:g}"
