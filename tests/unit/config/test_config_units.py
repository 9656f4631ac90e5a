"""Durations, sizes and truth values, as PostgreSQL reads them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helios_cli.engine.config.units import (
    MEMORY_BYTES,
    TIME_US,
    BadValue,
    format_quantity,
    parse_bool,
    parse_float,
    parse_integer,
    parse_quantity,
)


@pytest.mark.parametrize(
    ("raw", "base", "expected"),
    [
        ("30s", "ms", 30_000),
        ("500ms", "ms", 500),
        ("500 ms", "ms", 500),
        ("1.5min", "ms", 90_000),
        ("2h", "s", 7200),
        ("1d", "ms", 86_400_000),
        ("42", "ms", 42),
        (42, "ms", 42),
        (1.5, "s", 2),
        ("2500us", "ms", 2),
        ("-1", "ms", -1),
        ("64MB", "MB", 64),
        ("1GB", "MB", 1024),
        ("1024kB", "MB", 1),
        ("16 MB", "B", 16 << 20),
        ("1e3", "ms", 1000),
    ],
)
def test_a_quantity_is_read_in_its_base_unit(raw: object, base: str, expected: int) -> None:
    assert parse_quantity(raw, base) == expected


@pytest.mark.parametrize("raw", ["", "s", "1 parsec", "1mb", "64MB", True, "1 0", "0x10", None])
def test_a_wrong_duration_is_refused_with_the_units_that_would_do(raw: object) -> None:
    with pytest.raises(BadValue) as caught:
        parse_quantity(raw, "ms")
    assert caught.value.hint == 'Valid units for this parameter are "us", "ms", "s", "min", "h", and "d".'


def test_a_huge_quantity_is_refused() -> None:
    with pytest.raises(BadValue, match="too large"):
        parse_quantity("1e300d", "ms")


@given(st.integers(0, 2**31 - 1), st.sampled_from([*TIME_US, *MEMORY_BYTES]))
def test_a_printed_quantity_reads_back(value: int, base: str) -> None:
    assert parse_quantity(format_quantity(value, base), base) == value


@pytest.mark.parametrize(
    ("value", "base", "shown"),
    [(0, "ms", "0"), (-1, "ms", "-1"), (60_000, "ms", "1min"), (1024, "MB", "1GB"), (90_000, "ms", "90s")],
)
def test_a_quantity_is_shown_in_the_largest_unit_that_divides_it(value: int, base: str, shown: str) -> None:
    assert format_quantity(value, base) == shown


@pytest.mark.parametrize(
    ("raw", "expected"), [("on", True), ("of", False), ("T", True), ("n", False), ("1", True), (False, False)]
)
def test_any_unambiguous_beginning_is_a_truth_value(raw: object, expected: bool) -> None:
    assert parse_bool(raw) is expected


@pytest.mark.parametrize("raw", ["o", "", "maybe", "2", 3])
def test_other_words_are_no_truth_values(raw: object) -> None:
    with pytest.raises(BadValue):
        parse_bool(raw)


@pytest.mark.parametrize("raw", ["1.5", "x", "", True, "1s"])
def test_a_whole_number_has_no_fraction_and_no_unit(raw: object) -> None:
    with pytest.raises(BadValue):
        parse_integer(raw)


def test_numbers() -> None:
    assert parse_integer(" 7 ") == 7
    assert parse_float("0.25") == 0.25
    with pytest.raises(BadValue):
        parse_float("1s")
