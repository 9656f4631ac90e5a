"""Statements that are run step by step instead of as one SQLite statement: DO, CALL, and TRUNCATE with triggers."""

from __future__ import annotations

from dataclasses import dataclass

from helios_cli.engine.sql.relation import Relation


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


@dataclass(frozen=True, slots=True)
class TriggeredTruncate:
    """TRUNCATE of tables, some of which have triggers for it; the plan's steps empty them."""

    relations: tuple[Relation, ...]
    """Every table that is emptied, in the order in which triggers fire."""
