"""Operators and functions of pgbench's expressions, on values: integers of 64 bits, doubles, booleans and null.

What each gives, and where it refuses, is as pgbench 15 has it (``evalStandardFunc`` in its ``pgbench.c``); ``hash`` and
``permute`` give the very same numbers.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

Value: TypeAlias = bool | int | float | None

INT_MIN: Final = -(1 << 63)
INT_MAX: Final = (1 << 63) - 1
_MASK: Final = (1 << 64) - 1

GAUSSIAN_MIN: Final = 2.0
ZIPFIAN_MIN: Final = 1.001
ZIPFIAN_MAX: Final = 1000.0
ANY: Final = 16
"""So many arguments a function takes at most."""


class NotReckoned(ValueError):
    """An expression has no value; the message says why."""


def type_name(value: object) -> str:
    """As pgbench calls it."""
    names = {bool: "boolean", int: "int", float: "double"}
    return "null" if value is None else names.get(type(value), "text")


def as_int(value: Value) -> int:
    """A number without its fraction, rounded to the nearest, halves to even."""
    if isinstance(value, float):
        if not math.isfinite(value) or not INT_MIN <= value < INT_MAX:
            raise NotReckoned(f"double to int overflow for {value:g}")
        return round(value)
    if value is None or isinstance(value, bool):
        raise NotReckoned(f"cannot coerce {type_name(value)} to int")
    return value


def as_double(value: Value) -> float:
    """A number."""
    if value is None or isinstance(value, bool):
        raise NotReckoned(f"cannot coerce {type_name(value)} to double")
    return float(value)


def as_bool(value: Value) -> bool:
    """A boolean, and nothing else."""
    if not isinstance(value, bool):
        raise NotReckoned(f"cannot coerce {type_name(value)} to boolean")
    return value


def is_true(value: Value) -> bool:
    """Of a condition: numbers are true unless they are 0, null is false."""
    return value is not None and bool(value)


# Operators ------------------------------------------------------------------------------------------------------------


def _checked(result: int, what: str) -> int:
    if not INT_MIN <= result <= INT_MAX:
        raise NotReckoned(f"bigint {what} out of range")
    return result


def _wrapped(result: int) -> int:
    """As 64 bits have it."""
    result &= _MASK
    return result - (1 << 64) if result > INT_MAX else result


def _arithmetic(what: str, of_ints: Callable[[int, int], int], of_doubles: Callable[[float, float], float]) -> Any:
    def operate(left: Value, right: Value) -> Value:
        if isinstance(left, float) or isinstance(right, float):
            return of_doubles(as_double(left), as_double(right))
        return _checked(of_ints(as_int(left), as_int(right)), what)

    return operate


def _quotient(left: int, right: int) -> int:
    """Towards zero, as C divides."""
    if right == 0:
        raise NotReckoned("division by zero")
    return abs(left) // abs(right) * (1 if (left < 0) == (right < 0) else -1)


def _double_quotient(left: float, right: float) -> float:
    if right:
        return left / right
    return math.nan if not left or math.isnan(left) else math.copysign(math.inf, left) * math.copysign(1.0, right)


def _remainder(left: Value, right: Value) -> int:
    """With the sign of what is divided; of integers alone."""
    one, other = as_int(left), as_int(right)
    return one - other * _quotient(one, other)


def _comparison(of_numbers: Callable[[float, float], bool]) -> Any:
    def operate(left: Value, right: Value) -> bool:
        if isinstance(left, float) or isinstance(right, float):
            return of_numbers(as_double(left), as_double(right))
        return of_numbers(as_int(left), as_int(right))

    return operate


def _bits(of_ints: Callable[[int, int], int]) -> Any:
    return lambda left, right: _wrapped(of_ints(as_int(left), as_int(right)))


OPERATORS: Final[Mapping[str, Callable[[Value, Value], Value]]] = {
    "+": _arithmetic("add", lambda a, b: a + b, lambda a, b: a + b),
    "-": _arithmetic("sub", lambda a, b: a - b, lambda a, b: a - b),
    "*": _arithmetic("mul", lambda a, b: a * b, lambda a, b: a * b),
    "/": _arithmetic("div", _quotient, _double_quotient),
    "%": _remainder,
    "=": _comparison(lambda a, b: a == b),
    "<>": _comparison(lambda a, b: a != b),
    "<": _comparison(lambda a, b: a < b),
    "<=": _comparison(lambda a, b: a <= b),
    ">": _comparison(lambda a, b: a > b),
    ">=": _comparison(lambda a, b: a >= b),
    "&": _bits(lambda a, b: a & b),
    "|": _bits(lambda a, b: a | b),
    "#": _bits(lambda a, b: a ^ b),
    "<<": _bits(lambda a, b: a << (b & 63)),
    ">>": _bits(lambda a, b: a >> (b & 63)),
}
"""Of two values neither of which is null."""


# Functions ------------------------------------------------------------------------------------------------------------


def _real(function: Callable[[float], float], below: float, at_zero: float) -> Callable[..., float]:
    """A function of a double as C has it: no errors, but infinities and not-a-number."""

    def operate(_rng: random.Random, value: Value) -> float:
        number = as_double(value)
        try:
            return function(number)
        except OverflowError:
            return math.inf
        except ValueError:
            return at_zero if number == 0 else below

    return operate


def _power(_rng: random.Random, base: Value, exponent: Value) -> float:
    low, high = as_double(base), as_double(exponent)
    try:
        return math.pow(low, high)
    except OverflowError:
        return -math.inf if low < 0 and high % 2 == 1 else math.inf
    except ValueError:
        return math.inf if low == 0 else math.nan


def _extreme(choose: Callable[[Any], Any]) -> Callable[..., Value]:
    def operate(_rng: random.Random, *values: Value) -> Value:
        if any(isinstance(one, float) for one in values):
            return float(choose([as_double(one) for one in values]))
        return int(choose([as_int(one) for one in values]))

    return operate


def _abs(_rng: random.Random, value: Value) -> Value:
    return abs(value) if isinstance(value, float) else abs(as_int(value))


def _range(low: Value, high: Value) -> tuple[int, int]:
    first, last = as_int(low), as_int(high)
    if first > last:
        raise NotReckoned("empty range given to random")
    if last - first >= INT_MAX:
        raise NotReckoned("random range is too large")
    return first, last


def _uniform(rng: random.Random, low: Value, high: Value) -> int:
    return rng.randint(*_range(low, high))


def _gaussian(rng: random.Random, low: Value, high: Value, parameter: Value) -> int:
    """Truncated at ``parameter`` deviations on either side (Box and Muller)."""
    (first, last), width = _range(low, high), as_double(parameter)
    if width < GAUSSIAN_MIN:
        raise NotReckoned(f"gaussian parameter must be at least {GAUSSIAN_MIN:f} (not {width:f})")
    while True:
        deviation = rng.gauss(0.0, 1.0)
        if -width <= deviation < width:
            return first + int((last - first + 1) * (deviation + width) / (2 * width))


def _exponential(rng: random.Random, low: Value, high: Value, parameter: Value) -> int:
    (first, last), rate = _range(low, high), as_double(parameter)
    if rate <= 0:
        raise NotReckoned(f"exponential parameter must be greater than zero (not {rate:f})")
    cut = math.exp(-rate)
    drawn = -math.log(cut + (1 - cut) * (1 - rng.random())) / rate
    return first + int((last - first + 1) * drawn)


def _zipfian(rng: random.Random, low: Value, high: Value, parameter: Value) -> int:
    """By rejection (Devroye, Non-Uniform Random Variate Generation, 1986, p. 550)."""
    (first, last), skew = _range(low, high), as_double(parameter)
    if not ZIPFIAN_MIN <= skew <= ZIPFIAN_MAX:
        raise NotReckoned(f"zipfian parameter must be in range [{ZIPFIAN_MIN:.3f}, {ZIPFIAN_MAX:.0f}] (not {skew:f})")
    count = last - first + 1
    if count <= 1:
        return first
    bound = math.pow(2.0, skew - 1)
    while True:
        chance, other = 1 - rng.random(), rng.random()
        try:
            rank = math.floor(chance ** (-1 / (skew - 1)))
        except OverflowError:
            continue
        if rank > count:
            continue
        ratio = (1 + 1 / rank) ** (skew - 1)
        if other * rank * (ratio - 1) / (bound - 1) <= ratio / bound:
            return first - 1 + int(rank)


def _murmur2(_rng: random.Random, value: Value, seed: Value) -> int:
    """MurmurHash64A of the eight bytes (Appleby)."""
    factor = 0xC6A4A7935BD1E995
    key = as_int(value) * factor & _MASK
    key = (key ^ key >> 47) * factor & _MASK
    result = ((as_int(seed) & _MASK) ^ 0x35253C9ADE8F4CA8 ^ key) * factor & _MASK
    result = (result ^ result >> 47) * factor & _MASK
    return _wrapped(result ^ result >> 47)


def _fnv1a(_rng: random.Random, value: Value, seed: Value) -> int:
    """FNV-1a of the eight bytes (Fowler, Noll, Vo)."""
    result = 0xCBF29CE484222325 ^ (as_int(seed) & _MASK)
    for byte in (as_int(value) & _MASK).to_bytes(8, "little"):
        result = (result ^ byte) * 0x100000001B3 & _MASK
    return _wrapped(result)


class _Xoroshiro:
    """xoroshiro128** from a seed that splitmix64 spreads (Blackman and Vigna), as PostgreSQL's ``pg_prng.c``."""

    def __init__(self, seed: int) -> None:
        self._seed = seed & _MASK
        self._s0, self._s1 = self._spread(), self._spread()

    def _spread(self) -> int:
        self._seed = (self._seed + 0x9E3779B97F4A7C15) & _MASK
        value = (self._seed ^ self._seed >> 30) * 0xBF58476D1CE4E5B9 & _MASK
        value = (value ^ value >> 27) * 0x94D049BB133111EB & _MASK
        return value ^ value >> 31

    def draw(self) -> int:
        """64 bits."""
        s0, mixed = self._s0, self._s1 ^ self._s0
        self._s0 = _rotated(s0, 24) ^ mixed ^ (mixed << 16 & _MASK)
        self._s1 = _rotated(mixed, 37)
        return _rotated(s0 * 5 & _MASK, 7) * 9 & _MASK

    def below(self, count: int) -> int:
        """One of so many numbers."""
        if count < 2:
            return 0
        shift = 64 - (count - 1).bit_length()
        while (drawn := self.draw() >> shift) >= count:
            pass
        return drawn


def _rotated(value: int, bits: int) -> int:
    return (value << bits | value >> (64 - bits)) & _MASK


def _permute(_rng: random.Random, value: Value, size: Value, seed: Value) -> int:
    """Where a number below ``size`` goes to in the permutation that ``seed`` says."""
    count = as_int(size)
    if count <= 0:
        raise NotReckoned("permute size parameter must be greater than zero")
    if count < 2:
        return 0
    draw = _Xoroshiro(as_int(seed))
    place = (as_int(value) & _MASK) % count
    bits = count.bit_length() - 1
    mask = (1 << bits) - 1

    def mixed(half: int) -> int:
        factor, other = draw.draw() & mask | 1, draw.draw() & mask
        if half > mask:
            return half
        half = (half * factor ^ other) & mask
        return (half << 1 & mask) | (half >> (bits - 1))

    for _ in range(6):
        place = mixed(place)
        place = count - 1 - mixed(count - 1 - place)
        place = (place + draw.below(count)) % count
    return place


FUNCTIONS: Final[Mapping[str, tuple[int, int, Callable[..., Value]]]] = {
    "abs": (1, 1, _abs),
    "double": (1, 1, lambda _rng, value: as_double(value)),
    "exp": (1, 1, _real(math.exp, math.nan, math.nan)),
    "greatest": (1, ANY, _extreme(max)),
    "hash": (2, 2, _murmur2),
    "hash_fnv1a": (2, 2, _fnv1a),
    "hash_murmur2": (2, 2, _murmur2),
    "int": (1, 1, lambda _rng, value: as_int(value)),
    "least": (1, ANY, _extreme(min)),
    "ln": (1, 1, _real(math.log, math.nan, -math.inf)),
    "mod": (2, 2, lambda _rng, left, right: _remainder(left, right)),
    "permute": (3, 3, _permute),
    "pi": (0, 0, lambda _rng: math.pi),
    "pow": (2, 2, _power),
    "power": (2, 2, _power),
    "random": (2, 2, _uniform),
    "random_exponential": (3, 3, _exponential),
    "random_gaussian": (3, 3, _gaussian),
    "random_zipfian": (3, 3, _zipfian),
    "sqrt": (1, 1, _real(math.sqrt, math.nan, 0.0)),
}
"""Least and greatest number of arguments, none of which is null, and what is done with them."""

SEEDED: Final = ("hash", "hash_fnv1a", "hash_murmur2", "permute")
"""The last argument of these may be left out: ``:default_seed`` is taken."""
