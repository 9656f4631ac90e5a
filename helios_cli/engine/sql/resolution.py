"""Choosing one of several functions or operators by argument types (parse_func.c, parse_oper.c)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from helios_cli.engine.datatypes.range_types import multirange_of, range_of, subtype_of
from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql.coercion import (
    NOTHING_MADE,
    Made,
    array_of,
    can_coerce,
    category,
    common_type,
    element_of,
    is_preferred,
)
from helios_cli.engine.sql.coercion import Context as How
from helios_cli.engine.sql.function_spec import Function
from helios_cli.engine.sql.oids import (
    ANYARRAY,
    ANYCOMPATIBLE,
    ANYCOMPATIBLEARRAY,
    ANYCOMPATIBLEMULTIRANGE,
    ANYCOMPATIBLENONARRAY,
    ANYCOMPATIBLERANGE,
    ANYELEMENT,
    ANYENUM,
    ANYMULTIRANGE,
    ANYNONARRAY,
    ANYRANGE,
    POLYMORPHIC,
    TEXT,
    UNKNOWN,
)


class Candidate(Protocol):
    """What can be chosen: something with argument types."""

    @property
    def args(self) -> tuple[int, ...]:
        """Type OIDs of the arguments."""


C = TypeVar("C", bound=Candidate)


class Ambiguous(SqlError):
    """Several candidates fit equally well."""

    sqlstate = "42725"


def choose(
    candidates: Sequence[tuple[C, tuple[int, ...]]], given: tuple[int, ...], made: Made = NOTHING_MADE
) -> C | None:
    """The candidate PostgreSQL would choose. Each comes with its argument types as declared; ``made`` are users' casts.

    None: none fits.

    Raises:
        Ambiguous: more than one is left.
    """
    for candidate, declared in candidates:
        if declared == given:
            return candidate
    fitting = [pair for pair in candidates if _fits(pair[1], given, made)]
    if len(fitting) <= 1:
        return fitting[0][0] if fitting else None
    fitting = _best(fitting, given)
    if len(fitting) == 1:
        return fitting[0][0]
    raise Ambiguous("could not choose a best candidate")


def _fits(declared: tuple[int, ...], given: tuple[int, ...], made: Made = NOTHING_MADE) -> bool:
    if not all(can_coerce(source, target, How.IMPLICIT, made) for source, target in zip(given, declared, strict=True)):
        return False
    return bind_polymorphic(declared, given) is not None


def _best(pairs: list[tuple[C, tuple[int, ...]]], given: tuple[int, ...]) -> list[tuple[C, tuple[int, ...]]]:
    """Apply func_select_candidate's rules in turn until one candidate is left."""
    pairs = _most(pairs, lambda args: sum(a == g and g != UNKNOWN for a, g in zip(args, given, strict=True)))
    if len(pairs) == 1:
        return pairs
    pairs = _most(pairs, lambda args: sum(_exact_or_preferred(a, g) for a, g in zip(args, given, strict=True)))
    if len(pairs) == 1 or UNKNOWN not in given:
        return pairs
    pairs = _by_category(pairs, given)
    if len(pairs) == 1:
        return pairs
    return _assume_same(pairs, given)


def _exact_or_preferred(declared: int, given: int) -> bool:
    if given == UNKNOWN:
        return False
    return declared == given or (is_preferred(declared) and category(declared) == category(given))


def _most(pairs: list[tuple[C, tuple[int, ...]]], score: object) -> list[tuple[C, tuple[int, ...]]]:
    assert callable(score)
    scores = [score(args) for _, args in pairs]
    best = max(scores)
    return [pair for pair, points in zip(pairs, scores, strict=True) if points == best]


def _by_category(pairs: list[tuple[C, tuple[int, ...]]], given: tuple[int, ...]) -> list[tuple[C, tuple[int, ...]]]:
    """For each unknown argument settle on one category: string if any candidate takes one, else the only one."""
    wanted: dict[int, tuple[str, bool]] = {}
    for index, source in enumerate(given):
        if source != UNKNOWN:
            continue
        categories = [category(args[index]) for _, args in pairs]
        if "S" in categories:
            chosen = "S"
        elif len(set(categories)) == 1:
            chosen = categories[0]
        else:
            return pairs
        prefers = any(category(args[index]) == chosen and is_preferred(args[index]) for _, args in pairs)
        wanted[index] = (chosen, prefers)
    kept = [pair for pair in pairs if all(_in_category(pair[1][i], *want) for i, want in wanted.items())]
    return kept or pairs


def _in_category(declared: int, wanted: str, preferred_only: bool) -> bool:
    return category(declared) == wanted and (is_preferred(declared) or not preferred_only)


def _assume_same(pairs: list[tuple[C, tuple[int, ...]]], given: tuple[int, ...]) -> list[tuple[C, tuple[int, ...]]]:
    """If the known arguments all have one type, assume the unknown ones have it too."""
    known = {source for source in given if source != UNKNOWN}
    if len(known) != 1:
        return pairs
    same = known.pop()
    kept = [pair for pair in pairs if _fits(pair[1], (same,) * len(given))]
    return kept if len(kept) == 1 else pairs


# -- functions ------------------------------------------------------------------------------------


def choose_function(
    candidates: Sequence[Function], given: tuple[int, ...], made: Made = NOTHING_MADE
) -> Function | None:
    """Choose among overloads; variadic ones and defaults are expanded to the number of arguments given.

    None: none fits.

    Raises:
        Ambiguous: several fit equally well.
    """
    expanded = [(function, args) for function in candidates if (args := _matched(function, len(given))) is not None]
    plain = [pair for pair in expanded if not pair[0].variadic]
    try:
        chosen = choose(plain, given, made)
    except Ambiguous:
        if len({pair[1] for pair in plain}) > 1:
            raise
        # Functions that differ in domains alone: that of the types themselves comes first.
        chosen = next((function for function, _ in plain if not function.base_args), plain[0][0])
    return chosen if chosen is not None else choose([pair for pair in expanded if pair[0].variadic], given, made)


def expand(function: Function, count: int) -> tuple[int, ...] | None:
    """A function's argument types for a call with ``count`` arguments; None when it takes no such number."""
    return _listed(function, function.args, count)


def _matched(function: Function, count: int) -> tuple[int, ...] | None:
    """The types that a call's arguments are compared with: a value is of a domain's base type."""
    return _listed(function, function.base_args or function.args, count)


def _listed(function: Function, args: tuple[int, ...], count: int) -> tuple[int, ...] | None:
    if function.variadic:
        fixed = len(args) - 1
        return args[:fixed] + (args[-1],) * (count - fixed) if count > fixed else None
    if len(args) - function.defaults <= count <= len(args):
        return args[:count]
    return None


def bind_polymorphic(declared: Sequence[int], given: Sequence[int]) -> dict[int, int] | None:
    """What each polymorphic pseudo-type stands for in a call; None when the arguments disagree."""
    if POLYMORPHIC.isdisjoint(declared):
        return {}
    exact = _ranges(declared, given, ANYRANGE, ANYMULTIRANGE)
    wide = _ranges(declared, given, ANYCOMPATIBLERANGE, ANYCOMPATIBLEMULTIRANGE)
    if exact is None or wide is None:
        return None
    element = _family(declared, given, (ANYELEMENT, ANYNONARRAY, ANYENUM), ANYARRAY, exact)
    compatible = _family(declared, given, (ANYCOMPATIBLE, ANYCOMPATIBLENONARRAY), ANYCOMPATIBLEARRAY, wide, exact=False)
    if element is None or compatible is None:
        return None
    return {
        ANYELEMENT: element,
        ANYNONARRAY: element,
        ANYENUM: element,
        ANYARRAY: array_of(element),
        ANYRANGE: exact,
        ANYMULTIRANGE: multirange_of(exact),
        ANYCOMPATIBLE: compatible,
        ANYCOMPATIBLENONARRAY: compatible,
        ANYCOMPATIBLEARRAY: array_of(compatible),
        ANYCOMPATIBLERANGE: wide,
        ANYCOMPATIBLEMULTIRANGE: multirange_of(wide),
    }


def _ranges(declared: Sequence[int], given: Sequence[int], single: int, many: int) -> int | None:
    """The range type that a pair of pseudo-types stands for, 0 when none is given; None when they disagree."""
    found = {
        source if target == single else range_of(source)
        for target, source in zip(declared, given, strict=True)
        if target in (single, many) and source != UNKNOWN
    }
    return None if len(found) > 1 else found.pop() if found else 0


def _family(
    declared: Sequence[int],
    given: Sequence[int],
    scalars: tuple[int, ...],
    array: int,
    found_range: int,
    *,
    exact: bool = True,
) -> int | None:
    """The element type a family of pseudo-types stands for; text when all are unknown, None when they disagree.

    With a range among the arguments it is the type of its bounds.
    """
    types: list[int] = []
    for target, source in zip(declared, given, strict=True):
        if source == UNKNOWN:
            continue
        if target in scalars:
            types.append(source)
        elif target == array:
            types.append(element_of(source))
    if found_range:
        types.append(subtype_of(found_range))
    if not types:
        return TEXT
    if exact:
        return types[0] if len(set(types)) == 1 else None
    common = types[-1] if found_range else common_type(types)
    if common is None or not all(can_coerce(source, common) for source in types):
        return None
    return common
