"""DISTINCT of several arguments: an aggregate over the rows that differ from the one before, which come in order."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from helios_cli.engine.sql.functions.define import Library


class DistinctRows:
    """Hands each row of equal ones to another aggregate once."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._inner = make()
        self._last: tuple[Any, ...] | None = None

    def step(self, *row: Any) -> None:
        """Add a row."""
        if row != self._last:
            self._last = row
            self._inner.step(*row)

    def inverse(self, *_row: Any) -> None:
        """There is no DISTINCT over a window."""
        raise NotImplementedError

    def value(self) -> Any:
        """The result of the other."""
        return self._inner.value()

    final = value


def install_distinct(lib: Library, name: str) -> str:
    """Declare ``<name>_distinct`` for an aggregate that SQLite knows; its name."""
    make, count = lib.aggregates[name]
    lib.aggregates[f"{name}_distinct"] = (partial(DistinctRows, make), count)
    return f"{name}_distinct"
