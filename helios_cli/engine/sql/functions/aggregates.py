"""Aggregates (PostgreSQL manual, 9.21). SQLite's own where the answer is the same, else Python's window objects.

``{over}`` in a template is where FILTER and OVER go, so one PostgreSQL aggregate may be several SQLite ones.
"""

from __future__ import annotations

import json
import math
from array import array
from decimal import Decimal
from functools import partial
from typing import Any, Final

from helios_cli.engine.datatypes import interval, registry
from helios_cli.engine.datatypes.arrays import PgArray, read_array, write_array
from helios_cli.engine.datatypes.jsons import parse_jsonb
from helios_cli.engine.datatypes.numeric import EXACT
from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql.functions.define import Library
from helios_cli.engine.sql.functions.distinct import install_distinct
from helios_cli.engine.sql.functions.jsonb import json_key, to_json
from helios_cli.engine.sql.functions.numbers import (
    divide,
    division_scale,
    scale_of,
    show_decimal,
    sqrt_numeric,
    to_decimal,
)
from helios_cli.engine.sql.functions.strings import stored_values, text_of
from helios_cli.engine.sql.runtime_numbers import to_single

_RECORD: Final = 2249
_SPECIAL: Final = ("NaN", "Infinity", "-Infinity")


class NumericSum:
    """Exact sum and count of numerics or integers; a sliding window takes values out again."""

    def __init__(self) -> None:
        self.total = Decimal(0)
        self.count = 0
        self.scales: dict[int, int] = {}
        self.specials: dict[str, int] = {}

    def step(self, value: Any) -> None:
        """Add a value; NULL counts for nothing."""
        self._move(value, 1)

    def inverse(self, value: Any) -> None:
        """Take a value out."""
        self._move(value, -1)

    def _move(self, value: Any, sign: int) -> None:
        if value is None:
            return
        self.count += sign
        if value in _SPECIAL:
            self.specials[value] = self.specials.get(value, 0) + sign
            return
        number = to_decimal(value)
        self.total = EXACT.add(self.total, number) if sign > 0 else EXACT.subtract(self.total, number)
        scale = scale_of(number)
        self.scales[scale] = self.scales.get(scale, 0) + sign

    def special(self) -> str | None:
        """The result when infinities or NaN took part."""
        present = [text for text, count in self.specials.items() if count > 0]
        if not present:
            return None
        return present[0] if len(present) == 1 else "NaN"

    def rounded(self) -> Decimal:
        """The sum at the largest scale of the values now in it."""
        scale = max((scale for scale, count in self.scales.items() if count > 0), default=0)
        return self.total.quantize(Decimal(1).scaleb(-scale), context=EXACT)

    def value(self) -> Any:
        """The sum; NULL of nothing."""
        if not self.count:
            return None
        return self.special() or show_decimal(self.rounded())

    final = value


class NumericAverage(NumericSum):
    """avg(numeric) and avg(int8), with PostgreSQL's scale."""

    def value(self) -> Any:
        """The average; NULL of nothing."""
        if not self.count:
            return None
        return self.special() or average(self.rounded(), self.count)

    final = value


def average(total: Decimal, count: int) -> str:
    """total / count as numeric."""
    divisor = Decimal(count)
    return show_decimal(divide(total, divisor, division_scale(total, divisor)))


def average_of(total: int | None, count: int) -> str | None:
    """avg(int4) from SQLite's sum and count."""
    return None if not count or total is None else average(Decimal(total), count)


class _Floats:
    """The values of a frame, 8 bytes each: floats are summed anew, because taking one out of a sum is not exact."""

    def __init__(self) -> None:
        self.values = array("d")

    def step(self, value: Any) -> None:
        """Add a value; NULL counts for nothing."""
        if value is not None:
            self.values.append(float(value))

    def inverse(self, value: Any) -> None:
        """Take the oldest value out: a frame never loses another one. It may be NaN, which equals nothing."""
        if value is not None:
            del self.values[0]


class FloatMoments(_Floats):
    """Count, mean and squared deviations of floats (Youngs and Cramer, as float8_accum)."""

    def squares(self) -> tuple[int, float]:
        """(count, sum of squared deviations)."""
        total = squares = 0.0
        count = 0
        for value in self.values:
            count += 1
            total += value
            if count > 1:
                deviation = value * count - total
                squares += deviation * deviation / (count * (count - 1))
        if not all(math.isfinite(value) for value in self.values):
            squares = math.nan
        return count, squares


class FloatSum(_Floats):
    """sum of floats in the order they come, as float8pl does; not compensated. Raises 22003."""

    single = False
    mean = False

    def value(self) -> Any:
        """The sum or mean; NULL of nothing."""
        if not self.values:
            return None
        total = self.values[0]
        for value in self.values[1:]:
            added = total + value
            if self.single:
                added = to_single(added)
            if math.isinf(added) and not (math.isinf(total) or math.isinf(value)):
                raise SqlError("value out of range: overflow", sqlstate="22003")
            total = added
        result = total / len(self.values) if self.mean else total
        return "NaN" if result != result else result

    final = value


_SINGLE_SUM: Final = type("SingleSum", (FloatSum,), {"single": True})
_FLOAT_MEAN: Final = type("FloatMean", (FloatSum,), {"mean": True})


class FloatSpread(FloatMoments):
    """stddev and variance of floats."""

    population = False
    root = False

    def value(self) -> Any:
        """The spread; NULL of too few values."""
        count, squares = self.squares()
        divisor = count if self.population else count - 1
        if divisor <= 0:
            return None
        result = squares / divisor
        if result != result:
            return "NaN"
        return math.sqrt(result) if self.root else result

    final = value


class NumericSpread:
    """stddev and variance of integers and numerics: exact sums, one division at the end (numeric_stddev_internal)."""

    population = False
    root = False

    def __init__(self) -> None:
        self.count = 0
        self.total = Decimal(0)
        self.squares = Decimal(0)
        self.scale = 0
        self.specials = 0

    def step(self, value: Any) -> None:
        """Add a value."""
        self._move(value, 1)

    def inverse(self, value: Any) -> None:
        """Take a value out."""
        self._move(value, -1)

    def _move(self, value: Any, sign: int) -> None:
        if value is None:
            return
        number = to_decimal(value)
        self.count += sign
        if not number.is_finite():
            self.specials += sign
            return
        self.scale = max(self.scale, scale_of(number))
        square = EXACT.multiply(number, number)
        move = EXACT.add if sign > 0 else EXACT.subtract
        self.total, self.squares = move(self.total, number), move(self.squares, square)

    def value(self) -> Any:
        """The spread; NULL of too few values."""
        if self.count == 0 or (self.count == 1 and not self.population):
            return None
        if self.specials:
            return "NaN"
        count = Decimal(self.count)
        numerator = EXACT.subtract(EXACT.multiply(count, self.squares), EXACT.multiply(self.total, self.total))
        if numerator <= 0:
            return "0"
        divisor = count * count if self.population else count * (count - 1)
        scale = division_scale(numerator.quantize(Decimal(1).scaleb(-self.scale * 2), context=EXACT), divisor)
        variance = show_decimal(divide(numerator, divisor, scale))
        return sqrt_numeric(variance, scale) if self.root else variance

    final = value


class IntervalSum:
    """sum and avg of intervals, field by field."""

    mean = False

    def __init__(self) -> None:
        self.count = 0
        self.fields = [0, 0, 0]

    def step(self, value: Any) -> None:
        """Add a value."""
        self._move(value, 1)

    def inverse(self, value: Any) -> None:
        """Take a value out."""
        self._move(value, -1)

    def _move(self, value: Any, sign: int) -> None:
        if value is None:
            return
        self.count += sign
        for at, part in enumerate(interval.split_interval(value)):
            self.fields[at] += sign * part

    def value(self) -> Any:
        """The sum or mean; NULL of nothing."""
        if not self.count:
            return None
        months, days, us = self.fields
        if self.mean:
            months, rest = int(months / self.count), months - int(months / self.count) * self.count
            day_total = days + rest * 30 / self.count * self.count
            whole = int(day_total / self.count)
            us = round(us / self.count + (day_total / self.count - whole) * 86_400_000_000)
            days = whole
        return interval.interval_text(interval.Interval(months, days, us))

    final = value


class BitFold:
    """bit_and, bit_or, bit_xor; not for sliding windows."""

    def __init__(self, operation: str) -> None:
        self.operation = operation
        self.seen: list[int] = []

    def step(self, value: Any) -> None:
        """Add a value."""
        if value is not None:
            self.seen.append(value)

    def inverse(self, value: Any) -> None:
        """Take a value out."""
        if value is not None:
            self.seen.remove(value)

    def value(self) -> Any:
        """The folded bits; NULL of nothing."""
        if not self.seen:
            return None
        result = self.seen[0]
        for bits in self.seen[1:]:
            result = (
                result & bits if self.operation == "and" else result | bits if self.operation == "or" else result ^ bits
            )
        return result

    final = value


def _spread(base: type, population: bool, root: bool) -> type:
    return type(base.__name__, (base,), {"population": population, "root": root})


# -- aggregates over SQLite's json_group_array --------------------------------------------------------------------


_decode: Final = json.JSONDecoder().raw_decode
"""Of what SQLite has written, which has no spaces around it: a fifth of what ``json.loads`` costs for short arrays."""


def array_of_json(oid: int, text: str) -> str | None:
    """array_agg: a JSON array of stored values as PostgreSQL's array; NULL of no rows."""
    values, _ = _decode(text)
    if not values:
        return None
    items = [None if value is None else text_of(oid, value) for value in stored_values(oid, values)]
    return write_array(PgArray(items, (len(items),), (1,)), str)


def array_of_arrays(text: str) -> str | None:
    """array_agg of arrays: a JSON array of them as one of a dimension more; NULL of no rows. Raises 22004, 2202E."""
    arrays = json.loads(text)
    if not arrays:
        return None
    parts = [None if array is None else read_array(array, str) for array in arrays]
    first = parts[0]
    if None in parts or first is None:
        raise SqlError("cannot accumulate null arrays", sqlstate="22004")
    if not first.dims:
        raise SqlError("cannot accumulate empty arrays", sqlstate="2202E")
    if any(part is not None and part.dims != first.dims for part in parts):
        raise SqlError("cannot accumulate arrays of different dimensionality", sqlstate="2202E")
    dims = (len(parts), *first.dims)
    return write_array(PgArray([part.items for part in parts if part is not None], dims, (1,) * len(dims)), str)


def json_of_json(oid: int, text: str) -> str | None:
    """json_agg: a JSON array of stored values as json."""
    values = json.loads(text)
    between = ", \n " if oid == _RECORD or _is_array(oid) else ", "
    return "[" + between.join(to_json(oid, value) for value in stored_values(oid, values)) + "]" if values else None


def _is_array(oid: int) -> bool:
    known = registry.find_oid(oid)
    return known is not None and known.elem_oid != 0


def jsonb_of_json(oid: int, text: str) -> str | None:
    """jsonb_agg."""
    plain = json_of_json(oid, text)
    return parse_jsonb(plain) if plain is not None else None


class ObjectAggregate:
    """json_object_agg and jsonb_object_agg."""

    binary = False

    def __init__(self) -> None:
        self.parts: list[str] = []

    def step(self, types: str, key: Any, value: Any) -> None:
        """Add a pair."""
        if key is None:
            raise SqlError("field name must not be null", sqlstate="22023")
        key_type, value_type = (int(part) for part in types.split(","))
        self.parts.append(f"{json_key(key_type, key)} : {to_json(value_type, value)}")

    def inverse(self, _types: str, _key: Any, _value: Any) -> None:
        """Take the oldest pair out."""
        self.parts.pop(0)

    def value(self) -> Any:
        """The object; NULL of no rows."""
        if not self.parts:
            return None
        text = "{ " + ", ".join(self.parts) + " }"
        return parse_jsonb(text) if self.binary else text

    final = value


_JSONB_OBJECT: Final = type("JsonbObjectAggregate", (ObjectAggregate,), {"binary": True})
_INTERVAL_AVERAGE: Final = type("IntervalAverage", (IntervalSum,), {"mean": True})


def install(lib: Library) -> None:
    """Declare the aggregates."""
    d = lib.define
    _install_plain(lib)
    lib.aggregates["agg_numeric_sum"] = (NumericSum, 1)
    lib.aggregates["agg_numeric_avg"] = (NumericAverage, 1)
    lib.aggregates["agg_interval_sum"] = (IntervalSum, 1)
    lib.aggregates["agg_interval_avg"] = (_INTERVAL_AVERAGE, 1)
    lib.helper("fn_average_of", average_of, 2, strict=False)
    for name in ("int2", "int4"):
        d("sum", f"{name} -> int8", sql="sum({0})", aggregate=True)
        d("avg", f"{name} -> numeric", sql="fn_average_of(sum({0}){over}, count({0}){over})", aggregate=True)
    for name in ("int8", "numeric"):
        d("sum", f"{name} -> numeric", sql="agg_numeric_sum({0})", aggregate=True, strict_collation=True)
        d("avg", f"{name} -> numeric", sql="agg_numeric_avg({0})", aggregate=True, strict_collation=True)
    for name, summed in (("float4", _SINGLE_SUM), ("float8", FloatSum)):
        lib.aggregates[f"agg_{name}_sum"] = (summed, 1)
        d("sum", f"{name} -> {name}", sql=f"agg_{name}_sum({{0}})", aggregate=True)
        d("avg", f"{name} -> float8", sql="agg_float_avg({0})", aggregate=True)
    lib.aggregates["agg_float_avg"] = (_FLOAT_MEAN, 1)
    d("sum", "money -> money", sql="sum({0})", aggregate=True)
    d("sum", "interval -> interval", sql="agg_interval_sum({0})", aggregate=True)
    d("avg", "interval -> interval", sql="agg_interval_avg({0})", aggregate=True)
    _install_spread(lib)
    _install_collections(lib)


def _install_plain(lib: Library) -> None:
    d = lib.define
    d("count", "any -> int8", sql="count({0})", aggregate=True)
    types = (
        "int2", "int4", "int8", "float4", "float8", "numeric", "text", "bpchar", "date", "time", "timetz",
        "timestamp", "timestamptz", "interval", "oid", "inet", "money", "pg_lsn", "tid", "xid8",
    )  # fmt: skip
    for name in types:
        for function in ("min", "max"):
            d(function, f"{name} -> {name}", sql=f"{function}({{0}})", aggregate=True, strict_collation=True)
    for function in ("min", "max"):
        d(function, "anyenum -> anyenum", sql=f"{function}({{0}})", aggregate=True, strict_collation=True)
    for name, native in (("bool_and", "min"), ("every", "min"), ("bool_or", "max")):
        d(name, "bool -> bool", sql=f"{native}({{0}})", aggregate=True)
    d("min", "anyarray -> anyarray", sql="min({0})", aggregate=True, strict_collation=True)
    d("max", "anyarray -> anyarray", sql="max({0})", aggregate=True, strict_collation=True)
    for operation in ("and", "or", "xor"):
        lib.aggregates[f"agg_bit_{operation}"] = (partial(BitFold, operation), 1)
        for name in ("int2", "int4", "int8"):
            d(f"bit_{operation}", f"{name} -> {name}", sql=f"agg_bit_{operation}({{0}})", aggregate=True)


def _install_spread(lib: Library) -> None:
    d = lib.define
    names = (
        ("stddev", False, True), ("stddev_samp", False, True), ("stddev_pop", True, True), ("variance", False, False),
        ("var_samp", False, False), ("var_pop", True, False),
    )  # fmt: skip
    for name, population, root in names:
        lib.aggregates[f"agg_float_{name}"] = (_spread(FloatSpread, population, root), 1)
        lib.aggregates[f"agg_numeric_{name}"] = (_spread(NumericSpread, population, root), 1)
        for kind in ("int2", "int4", "int8", "numeric"):
            d(name, f"{kind} -> numeric", sql=f"agg_numeric_{name}({{0}})", aggregate=True)
        for kind in ("float4", "float8"):
            d(name, f"{kind} -> float8", sql=f"agg_float_{name}({{0}})", aggregate=True)


def _install_collections(lib: Library) -> None:
    d = lib.define
    lib.helper("fn_array_of_json", array_of_json, 2)
    lib.helper("fn_array_of_arrays", array_of_arrays, 1)
    lib.helper("fn_json_of_json", json_of_json, 2)
    lib.helper("fn_jsonb_of_json", jsonb_of_json, 2)
    group = "json_group_array({0}){over}"
    d("array_agg", "anyarray -> anyarray", sql=f"fn_array_of_arrays({group})", aggregate=True)
    d("array_agg", "anynonarray -> anyarray", sql=f"fn_array_of_json({{types}}, {group})", aggregate=True)
    d("json_agg", "anyelement -> json", sql=f"fn_json_of_json({{types}}, {group})", aggregate=True)
    d("jsonb_agg", "anyelement -> jsonb", sql=f"fn_jsonb_of_json({{types}}, {group})", aggregate=True)
    lib.aggregates["agg_json_object"] = (ObjectAggregate, 3)
    lib.aggregates["agg_jsonb_object"] = (_JSONB_OBJECT, 3)
    for name in ("json", "jsonb"):
        pairs = "('{types}', {0}, {1})"
        distinct = install_distinct(lib, f"agg_{name}_object") + pairs
        d(
            f"{name}_object_agg", f"any any -> {name}", sql=f"agg_{name}_object{pairs}", aggregate=True,
            distinct_sql=distinct,
        )  # fmt: skip
    for name in ("row_number", "rank", "dense_rank"):
        d(name, "-> int8", sql=f"{name}()", window=True)
    for name in ("percent_rank", "cume_dist"):
        d(name, "-> float8", sql=f"{name}()", window=True)
    d("ntile", "int4 -> int4", sql="ntile({0})", window=True)
    for name in ("lag", "lead"):
        d(name, "anyelement -> anyelement", sql=f"{name}({{0}})", window=True)
        d(name, "anyelement int4 -> anyelement", sql=f"{name}({{0}}, {{1}})", window=True)
        d(name, "anycompatible int4 anycompatible -> anycompatible", sql=f"{name}({{0}}, {{1}}, {{2}})", window=True)
    for name in ("first_value", "last_value"):
        d(name, "anyelement -> anyelement", sql=f"{name}({{0}})", window=True)
    d("nth_value", "anyelement int4 -> anyelement", sql="nth_value({0}, {1})", window=True)
