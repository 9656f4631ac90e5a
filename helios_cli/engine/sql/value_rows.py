"""The text of VALUES with many rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

FEW: Final = 200
"""Rows that are written as they are."""


def value_rows(rows: Sequence[Sequence[str]]) -> str:
    """Rows of expressions, to be put behind VALUES.

    SQLite puts constant rows and others into different parts of a compound query, and goes into as many of these one
    inside the other as the rows change between the two: its C stack ends after some ten thousand. So among many rows
    either all are constant, or none is.
    """
    if len(rows) > FEW and any("(" in text for row in rows for text in row):
        rows = [(f"CASE WHEN random() NOT NULL THEN {row[0]} END", *row[1:]) for row in rows]
    return ", ".join(f"({', '.join(row)})" for row in rows)
