"""Lag in time, paces, and what holds a follower up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helios_cli.engine.replication.lag import (
    FINE_KEPT,
    OFFSET_US,
    ClockOffset,
    LogClock,
    Pace,
    catch_up_s,
    lag_cause,
)
from helios_cli.engine.types import Lsn

START_US = 1_795_000_000_000_000


def test_lag_counts_from_the_first_thing_that_is_lacking() -> None:
    clock = LogClock()
    clock.sample(Lsn(100), START_US)
    clock.sample(Lsn(200), START_US + 10_000)
    clock.sample(Lsn(300), START_US + 30_000)
    now = START_US + 50_000
    assert clock.lag_ms(Lsn(300), Lsn(300), now) == 0.0
    assert clock.lag_ms(Lsn(200), Lsn(300), now) == 20.0
    assert clock.lag_ms(Lsn(150), Lsn(300), now) == 40.0
    assert clock.lag_ms(Lsn(0), Lsn(300), now) == 50.0


def test_a_standby_that_lacks_nothing_of_an_idle_log_does_not_lag() -> None:
    clock = LogClock()
    clock.sample(Lsn(100), START_US)
    clock.sample(Lsn(100), START_US + 60_000_000)
    assert clock.lag_ms(Lsn(100), Lsn(100), START_US + 61_000_000) == 0.0


def test_records_of_one_millisecond_share_a_sample() -> None:
    clock = LogClock()
    clock.sample(Lsn(100), START_US)
    clock.sample(Lsn(200), START_US + 400)
    clock.sample(Lsn(300), START_US + 10_000_000)
    # What came 400 us after the first sample is 400 us younger than is said, not ten seconds.
    assert clock.lag_ms(Lsn(100), Lsn(300), START_US + 10_000_000) == 10_000.0
    assert clock.lag_ms(Lsn(200), Lsn(300), START_US + 10_000_000) == 0.0


def test_what_is_older_than_the_fine_samples_is_known_to_a_quarter_of_a_second() -> None:
    clock = LogClock()
    for millisecond in range(3 * FINE_KEPT):
        clock.sample(Lsn(millisecond + 1), START_US + millisecond * 1000)
    now = START_US + 3 * FINE_KEPT * 1000
    for behind in (10, FINE_KEPT - 10, FINE_KEPT + 2000, 3 * FINE_KEPT - 500):
        end = Lsn(3 * FINE_KEPT)
        lag = clock.lag_ms(Lsn(end - behind), end, now)
        assert behind <= lag <= behind + 250, behind


@given(st.lists(st.tuples(st.integers(1, 500), st.integers(0, 5_000_000)), min_size=1, max_size=200), st.data())
def test_lag_is_never_understated_and_by_a_millisecond_at_most_overstated(
    steps: list[tuple[int, int]], data: st.DataObject
) -> None:
    clock, end, now = LogClock(), 0, START_US
    went: list[tuple[int, int]] = []
    for size, pause in steps:
        now += pause
        went.append((end, now))
        end += size
        clock.sample(Lsn(end), now)
    applied = data.draw(st.integers(0, end - 1))
    true_ms = (now - max(when for start, when in went if start <= applied)) / 1000
    assert true_ms <= clock.lag_ms(Lsn(applied), Lsn(end), now) <= true_ms + 1.0


def test_the_fastest_message_tells_how_two_clocks_differ() -> None:
    offset, skew = ClockOffset(), 7_000_000
    assert offset.local_us(START_US + skew, START_US + 900) == START_US + 900
    assert offset.local_us(START_US + skew + 100_000, START_US + 100_200) == START_US + 100_200
    # A message that took 50 ms longer was sent 50 ms before it came.
    assert offset.local_us(START_US + skew + 200_000, START_US + 250_200) == START_US + 200_200


def test_a_clock_that_was_set_is_noticed() -> None:
    offset = ClockOffset()
    offset.local_us(START_US, START_US + 200)
    for minute in (1, 2):
        late = START_US + minute * (OFFSET_US + 1)
        offset.local_us(late - 5_000_000, late + 200)
    late = START_US + 3 * (OFFSET_US + 1)
    assert offset.local_us(late - 5_000_000, late + 200) == late + 200


def test_a_pace_is_the_mean_of_the_last_seconds() -> None:
    pace = Pace()
    assert pace.bytes_per_s() == 0.0
    for tenth in range(200):
        pace.sample(tenth * 100 if tenth < 100 else 10_000 + (tenth - 100) * 1000, START_US + tenth * 100_000)
    assert pace.bytes_per_s() == pytest.approx(10_000.0)


def test_catching_up_takes_what_is_lacking_by_what_is_gained() -> None:
    assert catch_up_s(0, 0.0, 100.0) == 0.0
    assert catch_up_s(1000, 300.0, 100.0) == 5.0
    assert catch_up_s(1000, 100.0, 100.0) is None
    assert catch_up_s(1000, 0.0, 0.0) is None


def cause(*, silent: bool = False, connected: bool = True, at: tuple[int, int, int, int]) -> str:
    """Of a follower of a log that ends at 900; ``at`` is sent, written, flushed, applied."""
    sent, written, flushed, applied = (Lsn(position) for position in at)
    return lag_cause(
        connected=connected, silent=silent, end=Lsn(900), sent=sent, written=written, flushed=flushed, applied=applied
    )


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ((900, 900, 900, 900), ""),
        ((100, 90, 90, 90), "sending"),
        ((900, 100, 90, 90), "network"),
        ((900, 890, 100, 90), "flush"),
        ((900, 890, 880, 100), "apply"),
        ((890, 870, 860, 850), "network"),
    ],
)
def test_the_largest_part_of_the_way_is_the_cause(at: tuple[int, int, int, int], expected: str) -> None:
    assert cause(at=at) == expected


def test_without_a_word_nothing_else_is_known() -> None:
    assert cause(silent=True, at=(900, 900, 900, 900)) == "silent"
    assert cause(connected=False, at=(900, 900, 900, 900)) == "disconnected"
