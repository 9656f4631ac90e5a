"""The checkers find what a database must not do, and nothing in what it may."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Sequence

import pytest

from helios_cli.engine.histories.linearizability import (
    Operation,
    Read,
    Register,
    Swap,
    Write,
    check_register,
    check_registers,
    step_register,
)
from helios_cli.engine.histories.list_append import Append, ReadList, Transaction, check_lists
from helios_cli.engine.histories.totals import Addition, Count, check_bank, check_counter, check_set
from helios_cli.engine.histories.verdict import Outcome

Span = tuple[float, float]


def at(span: Span, act: Register) -> Operation[Register]:
    return Operation(*span, act)


VALID = {
    "nothing": [],
    "a read during a write sees either": [at((0, 9), Write(1)), at((1, 2), Read(None)), at((3, 4), Read(1))],
    "a lost answer that happened": [at((0, math.inf), Write(1)), at((5, 6), Read(1))],
    "a lost answer that did not": [at((0, math.inf), Write(1)), at((5, 6), Read(None)), at((7, 8), Read(None))],
    "a lost answer that happens late": [at((0, math.inf), Write(1)), at((5, 6), Read(None)), at((7, 8), Read(1))],
    "a swap that failed": [at((0, 1), Write(1)), at((2, 3), Swap(2, 3, False)), at((4, 5), Read(1))],
    "a swap nobody knows of": [at((0, 1), Write(1)), at((2, math.inf), Swap(1, 2, None)), at((4, 5), Read(2))],
}
INVALID = {
    "a stale read": [at((0, 1), Write(1)), at((2, 3), Write(2)), at((4, 5), Read(1))],
    "a lost write": [at((0, 1), Write(1)), at((2, 3), Read(None))],
    "back in time": [at((0, 9), Write(1)), at((1, 2), Read(1)), at((3, 4), Read(None))],
    "a swap of what is not there": [at((0, 1), Write(1)), at((2, 3), Swap(2, 3, True))],
    "two swaps of one value": [at((0, 1), Write(1)), at((2, 9), Swap(1, 2, True)), at((2, 9), Swap(1, 3, True))],
    "a lost answer that happened and was undone": [
        at((0, math.inf), Write(1)), at((5, 6), Read(1)), at((7, 8), Read(None)),
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", VALID)
def test_registers_that_are_right(name: str) -> None:
    assert check_register(VALID[name]).outcome is Outcome.VALID


@pytest.mark.parametrize("name", INVALID)
def test_registers_that_are_wrong(name: str) -> None:
    verdict = check_register(INVALID[name])
    assert verdict.outcome is Outcome.INVALID and "no order explains" in verdict.reasons[0]
    both = check_registers({1: VALID["a swap that failed"], 7: INVALID[name]})
    assert both.outcome is Outcome.INVALID and both.reasons[0].startswith("register 7: ")


def explained_by_some_order(history: Sequence[Operation[Register]]) -> bool:
    """The definition: try every order of every choice of the operations that nobody knows of."""
    known = [one for one in history if one.returned != math.inf]
    unknown = [one for one in history if one.returned == math.inf]
    for count in range(len(unknown) + 1):
        for chosen in itertools.combinations(unknown, count):
            for order in itertools.permutations([*known, *chosen]):
                if _in_time(order) and _fits(order):
                    return True
    return False


def _in_time(order: Sequence[Operation[Register]]) -> bool:
    return all(first.called <= second.returned for first, second in itertools.combinations(order, 2))


def _fits(order: Sequence[Operation[Register]]) -> bool:
    value: int | None = None
    for one in order:
        fits, value = step_register(value, one.act)
        if not fits:
            return False
    return True


def test_the_search_agrees_with_the_definition() -> None:
    rng = random.Random(5)
    outcomes = []
    for _ in range(1500):
        history = []
        for _ in range(rng.randint(1, 6)):
            called = rng.randint(0, 8)
            returned = math.inf if rng.random() < 0.2 else called + rng.randint(1, 4)
            number = rng.randint(1, 2)
            acts: list[Register] = [Write(number), Read(rng.choice([None, 1, 2])), Swap(number, 3 - number, True)]
            if returned == math.inf:
                acts = [Write(number), Swap(number, 3 - number, None)]
            history.append(at((called, returned), rng.choice(acts)))
        # Ends that touch are concurrent; distinct moments keep the two readings of that apart.
        verdict = check_register(history)
        assert (verdict.outcome is Outcome.VALID) == explained_by_some_order(history), history
        outcomes.append(verdict.outcome)
    assert 300 < outcomes.count(Outcome.VALID) < 1200


def test_a_budget_that_is_spent_is_no_pass() -> None:
    history = [at((0, 100), Write(number)) for number in range(30)]
    history += [at((0, 100), Read(number)) for number in range(30)] + [at((200, 201), Read(999))]
    verdict = check_register(history, budget=1000)
    assert verdict.outcome is Outcome.UNKNOWN and "1000 steps" in verdict.reasons[0]
    assert check_registers({1: VALID["nothing"], 2: history}, budget=1000).outcome is Outcome.UNKNOWN


# Lists ---------------------------------------------------------------------------------------------------------------


def test_lists_that_are_right() -> None:
    assert check_lists([]).is_valid
    assert check_lists(serial_lists(200, seed=1)).is_valid
    lost_answer = [
        Transaction(0, math.inf, (Append(1, 1), ReadList(1, (99,)))), Transaction(2, 3, (ReadList(1, (1,)),)),
        Transaction(4, math.inf, (Append(1, 2),)), Transaction(5, 6, (ReadList(1, (1,)),)),
    ]  # fmt: skip
    assert check_lists(lost_answer).is_valid


def serial_lists(count: int, seed: int) -> list[Transaction]:
    """What a correct database shows to clients that overlap: each happens at a point inside of its span."""
    rng = random.Random(seed)
    lists: dict[int, tuple[int, ...]] = {}
    history = []
    for number in range(count):
        acts: list[Append | ReadList] = []
        for turn in range(rng.randint(1, 4)):
            key = rng.randint(1, 5)
            if rng.random() < 0.5:
                lists[key] = (*lists.get(key, ()), number * 10 + turn)
                acts.append(Append(key, number * 10 + turn))
            else:
                acts.append(ReadList(key, lists.get(key, ())))
        history.append(Transaction(number - rng.random() * 5, number + rng.random() * 5, tuple(acts)))
    return history


WRONG_LISTS = {
    "incompatible order": [
        Transaction(0, 1, (Append(1, 1),)), Transaction(0, 1, (Append(1, 2),)),
        Transaction(2, 3, (ReadList(1, (1, 2)),)), Transaction(2, 3, (ReadList(1, (2,)),)),
    ],
    "aborted read": [Transaction(0, 1, (Append(1, 1),), aborted=True), Transaction(2, 3, (ReadList(1, (1,)),))],
    "garbage": [Transaction(2, 3, (ReadList(1, (1,)),))],
    "duplicate": [Transaction(0, 1, (Append(1, 1),)), Transaction(2, 3, (ReadList(1, (1, 1)),))],
    "lost append": [
        Transaction(0, 1, (Append(1, 1),)), Transaction(2, 3, (Append(1, 2),)), Transaction(4, 5, (ReadList(1, (2,)),)),
    ],
    "circle": [
        Transaction(0, 9, (Append(1, 1), ReadList(2, ()))), Transaction(0, 9, (Append(2, 2), ReadList(1, ()))),
        Transaction(10, 11, (ReadList(1, (1,)), ReadList(2, (2,)))),
    ],
    "circle (G-single or stronger) of 2": [
        # A stale read: only real time says that it is one.
        Transaction(0, 1, (Append(1, 1),)), Transaction(2, 3, (ReadList(1, ()),)),
        Transaction(4, 5, (ReadList(1, (1,)),)),
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG_LISTS)
def test_lists_that_are_wrong(name: str) -> None:
    verdict = check_lists(WRONG_LISTS[name])
    assert verdict.outcome is Outcome.INVALID
    assert any(text.startswith(name) for text in verdict.reasons), verdict.reasons


def test_a_single_stale_read_is_found_among_many() -> None:
    history = serial_lists(300, seed=3)
    number, read = next(
        (number, act)
        for number, one in enumerate(history)
        for act in one.acts
        if number > 200 and isinstance(act, ReadList) and len(act.values) > 20
    )
    stale = tuple(ReadList(a.key, a.values[:-15]) if a is read else a for a in history[number].acts)
    history[number] = Transaction(history[number].called, history[number].returned, stale)
    assert check_lists(history).outcome is Outcome.INVALID


# Sums ----------------------------------------------------------------------------------------------------------------


def test_sets() -> None:
    assert check_set({1, 2}, [1, 2, 4], failed={3}, unknown={4, 5}).is_valid
    assert check_set({1, 2, 3}, [1]).reasons == ("2 acknowledged and lost: 2, 3",)
    assert check_set({1}, [1, 3], failed={3}).reasons == ("1 refused and there: 3",)
    assert check_set({1}, [1, 9]).reasons == ("1 there, and never written: 9",)
    assert check_set({1, 2}, [1, 2, 2]).reasons == ("1 there twice: 2",)
    assert check_set(set(range(9)), []).reasons == ("9 acknowledged and lost: 0, 1, 2, 3, 4, ...",)


def test_counters() -> None:
    additions = [Addition(0, 1), Addition(2, math.inf), Addition(4, 5, amount=3)]
    assert check_counter(additions, [Count(1.5, 1.6, 1), Count(6, 7, 4), Count(6, 7, 5), Count(4, 4.5, 5)]).is_valid
    for wrong in (Count(1.5, 1.6, 0), Count(6, 7, 3), Count(6, 7, 6), Count(3, 3.5, 4)):
        assert not check_counter(additions, [wrong]).is_valid


def test_banks() -> None:
    assert check_bank([(50, 50), (0, 100)], 100).is_valid
    assert check_bank([(50, 49)], 100).reasons == ("balances of 99 in all, where 100 are: [50, 49]",)
    assert not check_bank([(-1, 101)], 100).is_valid
