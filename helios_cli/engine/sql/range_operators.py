"""Operators of ranges and multiranges (PostgreSQL manual, 9.20)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from helios_cli.engine.sql.oids import ANYELEMENT, ANYMULTIRANGE, ANYRANGE, BOOL
from helios_cli.engine.sql.operator_spec import Operator

_TESTS: Final = {
    "&&": "overlaps", "<<": "before", ">>": "after", "&<": "not_right", "&>": "not_left", "-|-": "touches",
    "@>": "contains", "<@": "inside",
}  # fmt: skip
_COMPARISONS: Final = ("=", "<>", "<", "<=", ">", ">=")


def range_operators() -> Iterator[Operator]:
    """All of them. In templates ``{range}`` is the OID of the range type, ``{multirange}`` that of its multirange."""
    for some, key in ((ANYRANGE, "{range}"), (ANYMULTIRANGE, "{multirange}")):
        for name in _COMPARISONS:
            yield Operator(name, (some, some), BOOL, f"({{0}} {name} {{1}})", "compare")
        for name in "+*-":
            yield Operator(name, (some, some), some, f"pg_range_compute({key}, '{name}', {{0}}, {{1}})")
        yield Operator("@>", (some, ANYELEMENT), BOOL, "pg_range_holds({range}, {0}, {1})")
        yield Operator("<@", (ANYELEMENT, some), BOOL, "pg_range_holds({range}, {1}, {0})")
        for other in (ANYRANGE, ANYMULTIRANGE):
            for name, word in _TESTS.items():
                yield Operator(name, (some, other), BOOL, f"pg_range_test({{range}}, '{word}', {{0}}, {{1}})")
