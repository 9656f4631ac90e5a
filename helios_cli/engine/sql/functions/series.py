"""generate_series: a JSON array of the rows, up to a bound. Constant integer series the planner makes lazily."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import zip_longest
from typing import Any, Final

from helios_cli.engine.datatypes import calendar as cal
from helios_cli.engine.datatypes.interval import split_interval
from helios_cli.engine.datatypes.numeric import EXACT
from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql.functions.datetime import local_to_zoned, zoned_to_local
from helios_cli.engine.sql.functions.define import Library
from helios_cli.engine.sql.functions.numbers import scale_of, show_decimal, to_decimal

MAX_ROWS: Final = 5_000_000
"""Rows one call may make; beyond it the statement fails rather than the node."""


def _checked(rows: Iterator[Any]) -> str:
    found: list[Any] = []
    for row in rows:
        found.append(row)
        if len(found) > MAX_ROWS:
            message = f"generate_series() would return more than {MAX_ROWS} rows here"
            raise SqlError(message, sqlstate="54000", hint="Use integer constants, or LIMIT with a recursive query.")
    return json.dumps(found)


def _zero_step() -> SqlError:
    return SqlError("step size cannot equal zero", sqlstate="22023")


def integers(start: int, stop: int, step: int = 1) -> str:
    """Rows from start to stop, both inclusive."""
    if step == 0:
        raise _zero_step()
    return _checked(iter(range(start, stop + (1 if step > 0 else -1), step)))


def numerics(start: str, stop: str, step: str = "1") -> str:
    """As :func:`integers`, of numerics. Raises 22023 for NaN and infinities."""
    for what, text in (("start", start), ("stop", stop), ("step size", step)):
        if text in ("NaN", "Infinity", "-Infinity"):
            name = "NaN" if text == "NaN" else "infinity"
            raise SqlError(f"{what}{' value' if what != 'step size' else ''} cannot be {name}", sqlstate="22023")
    low, high, by = to_decimal(start), to_decimal(stop), to_decimal(step)
    if by == 0:
        raise _zero_step()
    places = max(scale_of(low), scale_of(by))

    def rows() -> Iterator[str]:
        value = low
        if (value <= high) if by > 0 else (value >= high):
            yield show_decimal(value)
            value = EXACT.add(value, by)
        while (value <= high) if by > 0 else (value >= high):
            yield show_decimal(value.quantize(Decimal(1).scaleb(-places), context=EXACT))
            value = EXACT.add(value, by)

    return _checked(rows())


def add_interval(us: int, months: int, days: int, rest: int) -> int:
    """A local timestamp plus an interval's fields; the day is clipped to the month's length."""
    if months:
        day, clock = divmod(us, cal.DAY_US)
        year, month, of_month = cal.civil_from_days(day)
        total = year * 12 + month - 1 + months
        year, month = total // 12, total % 12 + 1
        us = cal.days_from_civil(year, month, min(of_month, cal.days_in_month(year, month))) * cal.DAY_US + clock
    return us + days * cal.DAY_US + rest


def _steps(start: int, stop: int, step: str, add: Callable[[int, int, int, int], int]) -> str:
    months, days, rest = split_interval(step)
    sign = months * 30 * cal.DAY_US + days * cal.DAY_US + rest
    if sign == 0:
        raise _zero_step()
    if stop != start and stop == (cal.TIMESTAMP_INFINITY if sign > 0 else cal.TIMESTAMP_MINUS_INFINITY):
        # Whatever the step, the rows end where timestamps do.
        raise SqlError("timestamp out of range", sqlstate="22008")

    def rows() -> Iterator[int]:
        value = start
        while (value <= stop) if sign > 0 else (value >= stop):
            yield value
            value = add(value, months, days, rest)

    return _checked(rows())


def timestamps(start: int, stop: int, step: str) -> str:
    """Rows of timestamps."""
    return _steps(start, stop, step, add_interval)


def timestamps_zoned(start: int, stop: int, step: str, zone: str) -> str:
    """Rows of timestamptz; days and months are the zone's."""

    def add(us: int, months: int, days: int, rest: int) -> int:
        if not months and not days:
            return us + rest
        return local_to_zoned(zone, add_interval(zoned_to_local(zone, us), months, days, 0)) + rest

    return _steps(start, stop, step, add)


def zip_rows(widths: str, *arrays: str | None) -> str:
    """Several sets of rows side by side, as a JSON array. NULL is no rows.

    ``widths`` are their numbers of columns, 0 for values: rows are arrays, also of one column.
    """
    sets = [json.loads(array) if array is not None else [] for array in arrays]
    if widths.strip("0,") == "":
        return json.dumps(list(zip_longest(*sets)))
    counts = [int(width) for width in widths.split(",")]
    found: list[list[Any]] = []
    for number in range(max(map(len, sets))):
        row: list[Any] = []
        for rows, width in zip(sets, counts, strict=True):
            value = rows[number] if number < len(rows) else None
            row += [value] if not width else value if value is not None else [None] * width
        found.append(row)
    return json.dumps(found)


def install(lib: Library) -> None:
    """Declare generate_series."""
    lib.helper("pg_zip", zip_rows, -1, strict=False)
    for kind in ("int4", "int8"):
        lib.define("generate_series", f"{kind} {kind} -> {kind}", integers, set_returning=True)
        lib.define("generate_series", f"{kind} {kind} {kind} -> {kind}", _integers3, set_returning=True)
    lib.define("generate_series", "numeric numeric -> numeric", numerics, set_returning=True)
    lib.define("generate_series", "numeric numeric numeric -> numeric", _numerics3, set_returning=True)
    lib.define("generate_series", "timestamp timestamp interval -> timestamp", timestamps, set_returning=True)
    lib.define(
        "generate_series", "timestamptz timestamptz interval -> timestamptz", timestamps_zoned, set_returning=True,
        session_values=("timezone",), stable=True,
    )  # fmt: skip


def _integers3(start: int, stop: int, step: int) -> str:
    return integers(start, stop, step)


def _numerics3(start: str, stop: str, step: str) -> str:
    return numerics(start, stop, step)
