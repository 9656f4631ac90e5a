"""Statements that are run step by step instead of as one SQLite statement: DO and CALL."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DoBlock:
    """DO: an anonymous block in PL/pgSQL."""

    body: str


@dataclass(frozen=True, slots=True)
class CallProcedure:
    """CALL: the procedure, and the query of one row that gives its arguments.

    The query is the plan's only step.
    """

    oid: int
    types: tuple[int, ...]
    """Of the input arguments."""
