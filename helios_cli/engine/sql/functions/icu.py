"""ICU's order of texts, by way of PyICU, which is imported when a collation first asks for it."""

from __future__ import annotations

import functools
import importlib
import importlib.util
from collections.abc import Callable
from typing import Any

Compare = Callable[[str, str], int]


@functools.cache
def available() -> bool:
    """Whether PyICU is installed."""
    return importlib.util.find_spec("icu") is not None


@functools.cache
def _collator(locale: str) -> Any:
    icu = importlib.import_module("icu")
    made = icu.Locale(locale) if "@" in locale else icu.Locale.forLanguageTag(locale)
    return icu.Collator.createInstance(made)


def comparison(locale: str, *, deterministic: bool, padded: bool) -> Compare:
    """How texts compare in a locale.

    With ``deterministic``, texts that ICU takes for equal are told apart by their code points. With ``padded``, spaces
    at their ends do not count. An unknown locale compares as ICU's root.
    """
    call: Compare = _collator(locale).compare

    def compare(one: str, other: str) -> int:
        if padded:
            one, other = one.rstrip(" "), other.rstrip(" ")
        if one == other:
            return 0
        order = call(one, other)
        return order if order or not deterministic else -1 if one < other else 1

    return compare
