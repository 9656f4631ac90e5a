"""Names of writes: each is used once, and a series goes on where a write was answered."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from helios_cli.engine.proxy.names import SPARE_MAX, Names
from helios_cli.engine.types import WriteId


def names() -> Names:
    series = iter(range(1 << 32))
    return Names(lambda: next(series).to_bytes(16, "big"))


def test_a_series_goes_on_where_a_write_was_answered() -> None:
    some = names()
    first = some.take()
    some.give_back(first)
    second = some.take()
    assert (second.client, second.seq) == (first.client, first.seq + 1) and second.is_last


def test_writes_at_the_same_time_are_of_different_series() -> None:
    some = names()
    assert some.take().client != some.take().client


@given(st.lists(st.booleans()))
def test_no_name_is_given_twice(steps: list[bool]) -> None:
    some, given_out = names(), set[str]()
    held: list[WriteId] = []
    for takes in steps:
        if takes or not held:
            name = some.take()
            assert name.name not in given_out
            given_out.add(name.name)
            held.append(name)
        else:
            some.give_back(held.pop())


def test_what_is_left_over_is_bounded() -> None:
    some = names()
    for name in [some.take() for _ in range(SPARE_MAX + 10)]:
        some.give_back(name)
    assert len({some.take().client for _ in range(SPARE_MAX + 20)}) == SPARE_MAX + 20
