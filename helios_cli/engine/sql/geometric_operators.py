"""Operators of the geometric types (PostgreSQL manual, 9.11)."""

from __future__ import annotations

from collections.abc import Iterator

from helios_cli.engine.sql.functions.geometry_operators import ENTRIES
from helios_cli.engine.sql.operator_spec import Operator


def geometric_operators() -> Iterator[Operator]:
    """All of them."""
    for name, left, right, result, _ in ENTRIES:
        args = (left, right) if left else (right,)
        places = ", ".join(f"{{{at}}}" for at in range(len(args)))
        yield Operator(name, args, result, f"pg_geometric_{len(args)}('{name}', {left}, {right}, {places})")
