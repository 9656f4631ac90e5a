"""Operators of ltree with paths, patterns, searches and arrays of them (contrib/ltree)."""

from __future__ import annotations

from collections.abc import Iterator

from helios_cli.engine.sql.oids import BOOL, LQUERY, LTREE, LTXTQUERY, TEXT
from helios_cli.engine.sql.operator_spec import Operator

_MANY = 1
"""The OID of the array over each of the three is the next one."""


def ltree_operators() -> Iterator[Operator]:
    """All of them."""
    for sign in ("=", "<>", "<", "<=", ">", ">="):
        yield Operator(sign, (LTREE, LTREE), BOOL, "({0} " + sign + " {1})", "compare")
    yield Operator("||", (LTREE, LTREE), LTREE, "pg_ltree_join({0}, {1})")
    yield Operator("||", (LTREE, TEXT), LTREE, f"pg_ltree_join({{0}}, pg_in({LTREE}, {{1}}))")
    yield Operator("||", (TEXT, LTREE), LTREE, f"pg_ltree_join(pg_in({LTREE}, {{0}}), {{1}})")
    for prefix in ("", "^"):
        for sign, right, word in (
            ("@>", LTREE, "contains"), ("<@", LTREE, "inside"), ("~", LQUERY, "matches"), ("@", LTXTQUERY, "holds"),
        ):  # fmt: skip
            yield Operator(prefix + sign, (LTREE, right), BOOL, f"pg_ltree_{word}({{0}}, {{1}})")
            yield Operator(prefix + sign, (LTREE + _MANY, right), BOOL, f"pg_ltrees_{word}({{0}}, {{1}})")
        for sign, left, word in (("~", LQUERY, "matches"), ("@", LTXTQUERY, "holds")):
            yield Operator(prefix + sign, (left, LTREE), BOOL, f"pg_ltree_{word}({{1}}, {{0}})")
            yield Operator(prefix + sign, (left, LTREE + _MANY), BOOL, f"pg_ltrees_{word}({{1}}, {{0}})")
        yield Operator(f"{prefix}<@", (LTREE, LTREE + _MANY), BOOL, "pg_ltrees_contains({1}, {0})")
        yield Operator(f"{prefix}@>", (LTREE, LTREE + _MANY), BOOL, "pg_ltrees_inside({1}, {0})")
        yield Operator(f"{prefix}?", (LTREE, LQUERY + _MANY), BOOL, "pg_ltree_matches_any({0}, {1})")
        yield Operator(f"{prefix}?", (LQUERY + _MANY, LTREE), BOOL, "pg_ltree_matches_any({1}, {0})")
    for sign, right, word in (
        ("?@>", LTREE, "contains"), ("?<@", LTREE, "inside"), ("?~", LQUERY, "matches"), ("?@", LTXTQUERY, "holds"),
    ):  # fmt: skip
        yield Operator(sign, (LTREE + _MANY, right), LTREE, f"pg_ltrees_first_{word}({{0}}, {{1}})")
