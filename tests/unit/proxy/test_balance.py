"""Whose turn it is."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pytest

from helios_cli.engine.proxy.balance import (
    BALANCERS,
    CYCLE_MAX,
    LATENCY_BASED,
    LEAST_CONNECTIONS,
    RANDOM,
    ROUND_ROBIN,
    chooser,
    turns,
)


@dataclass(eq=False)
class One:
    name: str
    weight: int = 1
    active: int = 0
    latency_s: float = 0.0


def names(balancer: str, nodes: list[One], count: int, uniform: float = 0.0) -> list[str]:
    choose = chooser(balancer, nodes, lambda: uniform)
    return [one.name for _ in range(count) if (one := choose()) is not None]


def test_equal_nodes_take_turns() -> None:
    assert "".join(names(ROUND_ROBIN, [One("a"), One("b"), One("c")], 7)) == "abcabca"


def test_weights_are_turns_and_are_spread() -> None:
    assert "".join(one.name for one in turns([One("a", 5), One("b"), One("c")])) == "aabacaa"  # nginx's own example


@pytest.mark.parametrize(("weights", "expected"), [((2, 4), (1, 2)), ((0, 3), (0, 1)), ((0, 0), (1, 1))])
def test_turns_are_the_smallest_numbers(weights: tuple[int, int], expected: tuple[int, int]) -> None:
    found = Counter(one.name for one in turns([One("a", weights[0]), One("b", weights[1])]))
    assert (found["a"], found["b"]) == expected


def test_odd_weights_do_not_make_endless_cycles() -> None:
    found = Counter(one.name for one in turns([One("a", 1_000_003), One("b", 499_979), One("c", 1)]))
    assert found.total() <= CYCLE_MAX + 3
    assert found["c"] == 1
    assert 1.9 < found["a"] / found["b"] < 2.1


def test_the_least_loaded_is_chosen_by_its_weight_and_equals_take_turns() -> None:
    a, b = One("a", active=3), One("b", active=2)
    assert set(names(LEAST_CONNECTIONS, [a, b], 4)) == {"b"}
    a.weight = 2
    assert set(names(LEAST_CONNECTIONS, [a, b], 4)) == {"a"}
    assert sorted(names(LEAST_CONNECTIONS, [One("a"), One("b")], 4)) == ["a", "a", "b", "b"]


def test_a_load_that_changes_is_seen_by_a_choice_made_before() -> None:
    a, b = One("a"), One("b")
    choose = chooser(LEAST_CONNECTIONS, [a, b], lambda: 0.0)
    a.active = 1
    assert choose() is b
    b.active = 2
    assert choose() is a


def test_the_fastest_is_chosen_and_near_ones_take_turns() -> None:
    assert set(names(LATENCY_BASED, [One("a", latency_s=0.009), One("b", latency_s=0.002)], 4)) == {"b"}
    assert set(names(LATENCY_BASED, [One("a", latency_s=0.00001), One("b", latency_s=0.00002)], 4)) == {"a", "b"}


def test_random_follows_the_weights() -> None:
    nodes = [One("a", 3), One("b", 1)]
    found = [names(RANDOM, nodes, 1, at / 100)[0] for at in range(100)]
    assert Counter(found) == {"a": 75, "b": 25}


@pytest.mark.parametrize("balancer", BALANCERS)
def test_nobody_and_the_only_one(balancer: str) -> None:
    assert names(balancer, [], 3) == []
    assert names(balancer, [One("a", 0)], 3) == ["a"] * 3
