"""Whether operations on one object could have happened one after the other, each between its call and its return.

The search is that of Wing and Gong, with the memory of Lowe ("Testing for Linearizability", 2016): walk the calls in
their order, take the first whose answer fits the state, and come back when a return is met that was not taken. What
was tried (the set of operations taken, and the state they led to) is not tried again. An operation whose outcome its
client never heard may have happened at any time after its call, or never.

    history = [Operation(0, 3, Write(1)), Operation(1, 2, Read(1)), Operation(4, math.inf, Write(2))]
    check_register(history).is_valid
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeAlias, TypeVar

from helios_cli.engine.histories.verdict import Outcome, Verdict

BUDGET: Final = 2_000_000
"""Steps of the search: some seconds. Histories of a few thousand operations with a dozen clients take far less."""


Act = TypeVar("Act")
State = TypeVar("State", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Operation(Generic[Act]):
    """One call of one client."""

    called: float
    """By one clock for all clients, in any unit."""
    returned: float
    """``math.inf`` when its outcome was never heard. What is known not to have happened is no part of a history."""
    act: Act


@dataclass(frozen=True, slots=True)
class Read:
    """It answered with this value."""

    value: int | None


@dataclass(frozen=True, slots=True)
class Write:
    """It set this value, whatever there was."""

    value: int


@dataclass(frozen=True, slots=True)
class Swap:
    """It set ``new`` where ``old`` was; ``happened`` is False when it found another value, None when nobody knows."""

    old: int
    new: int
    happened: bool | None


Register: TypeAlias = Read | Write | Swap


def step_register(value: int | None, act: Register) -> tuple[bool, int | None]:
    """Whether a register with this value can answer so, and its value afterwards."""
    match act:
        case Read(seen):
            return seen == value, value
        case Write(new):
            return True, new
        case Swap(old, new, happened):
            fits = old == value
            return (True, new if fits else value) if happened is None else (fits == happened, new if fits else value)


def check_register(history: Sequence[Operation[Register]], initial: int | None = None, budget: int = BUDGET) -> Verdict:
    """Whether one register could have answered so."""
    return check(history, initial, step_register, budget)


def check_registers(
    histories: Mapping[int, Sequence[Operation[Register]]], initial: int | None = None, budget: int = BUDGET
) -> Verdict:
    """Of several registers by number; a system is linearizable when each of its objects is (Herlihy and Wing, 1990)."""
    verdicts = {key: check_register(history, initial, budget) for key, history in histories.items()}
    for outcome in (Outcome.INVALID, Outcome.UNKNOWN):
        found = {key: verdict for key, verdict in verdicts.items() if verdict.outcome is outcome}
        if found:
            told = tuple(f"register {key}: {text}" for key, verdict in found.items() for text in verdict.reasons)
            return Verdict(outcome, told)
    return Verdict(Outcome.VALID)


def check(
    history: Sequence[Operation[Act]],
    initial: State,
    step: Callable[[State, Act], tuple[bool, State]],
    budget: int = BUDGET,
) -> Verdict:
    """Whether one object, which begins as ``initial`` and answers as ``step`` says, could have answered so.

    ``step`` gives whether the act fits the state, and the state after it; it must not depend on anything else.
    """
    ordered = sorted(history, key=lambda operation: operation.called)
    search: _Search[State] = _Search([(one.called, one.returned) for one in ordered])
    state, spent = initial, 0
    while not search.is_over:
        if search.at_return:
            # Nothing that was called before this return is left to try: undo the last choice.
            if not search.choices:
                return Verdict(Outcome.INVALID, (_stuck(ordered, search.furthest),))
            state = search.undo()
            continue
        spent += 1
        if spent > budget:
            return Verdict(Outcome.UNKNOWN, (f"{budget} steps were not enough for {len(history)} operations",))
        fits, after = step(state, ordered[search.operation].act)
        if fits and search.take(state, after):
            state = after
        else:
            search.skip()
    return Verdict(Outcome.VALID)


def _stuck(ordered: Sequence[Operation[Act]], operation: int) -> str:
    one = ordered[operation]
    return f"no order explains {one.act}, called at {one.called:g} and answered at {one.returned:g}"


class _Search(Generic[State]):
    """Calls and returns in a doubly linked list, of which taken operations are out, and the choices that led here.

    Entry 0 is the head, the last one the end; between them the events in the order of time, a call before a return of
    the same moment: two that touch are taken for concurrent.
    """

    def __init__(self, spans: Sequence[tuple[float, float]]) -> None:
        events = sorted(
            [(called, 0, number) for number, (called, _) in enumerate(spans)]
            + [(returned, 1, number) for number, (_, returned) in enumerate(spans) if returned != math.inf]
        )
        self._end = len(events) + 1
        self._next = list(range(1, self._end + 2))
        self._previous = [*range(-1, self._end), self._end - 1]
        self._operation = [-1, *(number for _, _, number in events), -1]
        self._is_return = [False, *(bool(kind) for _, kind, _ in events), True]
        self._return_of = [0] * len(spans)
        for place, (_, kind, number) in enumerate(events, 1):
            if kind:
                self._return_of[number] = place
        self._left = sum(1 for place in self._return_of if place)
        self._taken = 0
        self._tried: set[tuple[int, State]] = set()
        self.choices: list[tuple[int, State]] = []
        """The calls that were taken, each with the state before it."""
        self._most_taken = -1
        self.furthest = 0
        """The operation whose return stopped the search that came furthest."""
        self._at = self._next[0]

    @property
    def is_over(self) -> bool:
        """Everything that returned is taken."""
        return not self._left

    @property
    def at_return(self) -> bool:
        """No call is left before the next return that was not taken, or none at all."""
        if not self._is_return[self._at]:
            return False
        if len(self.choices) > self._most_taken and self._at != self._end:
            self._most_taken, self.furthest = len(self.choices), self._operation[self._at]
        return True

    @property
    def operation(self) -> int:
        """The one whose call is looked at."""
        return self._operation[self._at]

    def skip(self) -> None:
        """Look at the next call."""
        self._at = self._next[self._at]

    def take(self, before: State, after: State) -> bool:
        """Take the operation, unless that was tried: the same ones taken, the same state."""
        number = self.operation
        taken = self._taken | 1 << number
        if (taken, after) in self._tried:
            return False
        self._tried.add((taken, after))
        self.choices.append((self._at, before))
        self._taken = taken
        for place in self._places(self._at, number):
            self._next[self._previous[place]] = self._next[place]
            self._previous[self._next[place]] = self._previous[place]
        self._left -= bool(self._return_of[number])
        self._at = self._next[0]
        return True

    def undo(self) -> State:
        """Put the last one back and look behind it; the state before it."""
        place, before = self.choices.pop()
        number = self._operation[place]
        self._taken &= ~(1 << number)
        for each in reversed(self._places(place, number)):
            self._next[self._previous[each]] = each
            self._previous[self._next[each]] = each
        self._left += bool(self._return_of[number])
        self._at = self._next[place]
        return before

    def _places(self, call: int, number: int) -> tuple[int, ...]:
        return (call, self._return_of[number]) if self._return_of[number] else (call,)
