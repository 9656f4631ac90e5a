"""Operators of ranges and multiranges (PostgreSQL manual, 9.20), spelled out for each type."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from helios_cli.engine.datatypes.ranges import KINDS
from helios_cli.engine.sql.oids import BOOL
from helios_cli.engine.sql.operator_spec import Operator

_TESTS: Final = {
    "&&": "overlaps", "<<": "before", ">>": "after", "&<": "not_right", "&>": "not_left", "-|-": "touches",
    "@>": "contains", "<@": "inside",
}  # fmt: skip
_COMPARISONS: Final = ("=", "<>", "<", "<=", ">", ">=")


def range_operators() -> Iterator[Operator]:
    """All of them."""
    for kind in KINDS:
        one, subtype, many = kind[0], kind[3], kind[4]
        for oid in (one, many):
            for name in _COMPARISONS:
                yield Operator(name, (oid, oid), BOOL, f"({{0}} {name} {{1}})", "compare")
            for name in "+*-":
                yield Operator(name, (oid, oid), oid, f"pg_range_compute({oid}, '{name}', {{0}}, {{1}})")
            yield Operator("@>", (oid, subtype), BOOL, f"pg_range_holds({oid}, {{0}}, {{1}})")
            yield Operator("<@", (subtype, oid), BOOL, f"pg_range_holds({oid}, {{1}}, {{0}})")
        for left, right in ((one, one), (one, many), (many, one), (many, many)):
            for name, word in _TESTS.items():
                yield Operator(name, (left, right), BOOL, f"pg_range_test({one}, '{word}', {{0}}, {{1}})")
