"""Calls with more arguments than SQLite takes in one (1000): calls of calls that come to the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

ARGUMENTS_MAX: Final = 500
"""Of one call; well below SQLite's limit, since a few come on top."""


def coalesce(texts: Sequence[str]) -> str:
    """The first that is not NULL, of at least one. What comes behind it is not computed."""
    if len(texts) == 1:
        return texts[0]
    if len(texts) <= ARGUMENTS_MAX:
        return f"coalesce({', '.join(texts)})"
    return f"coalesce({', '.join(texts[:ARGUMENTS_MAX])}, {coalesce(texts[ARGUMENTS_MAX:])})"


def extreme(name: str, texts: Sequence[str]) -> str:
    """SQLite's min() or max() of at least two values."""
    if len(texts) <= ARGUMENTS_MAX:
        return f"{name}({', '.join(texts)})"
    middle = len(texts) // 2
    return f"{name}({extreme(name, texts[:middle])}, {extreme(name, texts[middle:])})"


def array(element: int, texts: Sequence[str]) -> str:
    """An array of scalar values of a type."""
    return _pieces("pg_array", [str(element)], texts)


def array_of_arrays(texts: Sequence[str]) -> str:
    """An array of arrays, of at least one."""
    return _pieces("pg_array_nest", [], texts)


def _pieces(name: str, first: list[str], texts: Sequence[str]) -> str:
    if len(texts) <= ARGUMENTS_MAX:
        return f"{name}({', '.join([*first, *texts])})"
    middle = len(texts) // 2
    return f"pg_array_concat({_pieces(name, first, texts[:middle])}, {_pieces(name, first, texts[middle:])})"
