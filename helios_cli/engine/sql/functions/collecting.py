"""The aggregate that keeps the arguments of every row, in the order in which they come."""

from __future__ import annotations

import marshal
from typing import Any

from helios_cli.engine.sql.functions.define import Library
from helios_cli.engine.sql.functions.distinct import install_distinct
from helios_cli.engine.sql.routines import COLLECT


class Collected:
    """The rows of a group or a frame, as bytes that only this process reads."""

    def __init__(self) -> None:
        self._rows: list[tuple[Any, ...]] = []
        self._gone = 0

    def step(self, *row: Any) -> None:
        """Add a row."""
        self._rows.append(row)

    def inverse(self, *_row: Any) -> None:
        """Take the oldest row out: a frame never loses another one."""
        self._gone += 1

    def value(self) -> bytes:
        """The rows."""
        return marshal.dumps(self._rows[self._gone :])

    final = value


def install(lib: Library) -> None:
    """Declare the aggregate, and the one that leaves out equal rows."""
    lib.aggregates[COLLECT] = (Collected, -1)
    install_distinct(lib, COLLECT)
