"""Operators of tsvector and tsquery (PostgreSQL manual, 9.13)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from helios_cli.engine.sql.oids import BOOL, TEXT, TSQUERY, TSVECTOR
from helios_cli.engine.sql.operator_spec import Operator

_TEMPLATES: Final = (
    ("@@", (TSVECTOR, TSQUERY), BOOL, "fn_ts_match({0}, {1})"),
    ("@@", (TSQUERY, TSVECTOR), BOOL, "fn_ts_match({1}, {0})"),
    ("@@", (TEXT, TSQUERY), BOOL, "fn_ts_match_text({0}, {1}, {settings})"),
    ("@@", (TEXT, TEXT), BOOL, "fn_ts_match_texts({0}, {1}, {settings})"),
    ("||", (TSVECTOR, TSVECTOR), TSVECTOR, "fn_tsvector_concat({0}, {1})"),
    ("||", (TSQUERY, TSQUERY), TSQUERY, "fn_tsquery_or({0}, {1})"),
    ("&&", (TSQUERY, TSQUERY), TSQUERY, "fn_tsquery_and({0}, {1})"),
    ("<->", (TSQUERY, TSQUERY), TSQUERY, "fn_tsquery_phrase({0}, {1})"),
    ("!!", (TSQUERY,), TSQUERY, "fn_tsquery_not({0})"),
    ("@>", (TSQUERY, TSQUERY), BOOL, "fn_tsquery_contains({0}, {1})"),
    ("<@", (TSQUERY, TSQUERY), BOOL, "fn_tsquery_contains({1}, {0})"),
)


def text_search_operators() -> Iterator[Operator]:
    """All of them. The texts are canonical; equal queries may differ in their weights."""
    for name, args, result, template in _TEMPLATES:
        yield Operator(name, args, result, template)
        if name == "@@":
            yield Operator("@@@", args, result, template)
    for sign in ("=", "<>"):
        yield Operator(sign, (TSVECTOR, TSVECTOR), BOOL, f"({{0}} {sign} {{1}})")
        yield Operator(sign, (TSQUERY, TSQUERY), BOOL, f"(fn_tsquery_cmp({{0}}, {{1}}) {sign} 0)")
    for sign in ("<", "<=", ">", ">="):
        yield Operator(sign, (TSVECTOR, TSVECTOR), BOOL, f"(fn_tsvector_cmp({{0}}, {{1}}) {sign} 0)")
        yield Operator(sign, (TSQUERY, TSQUERY), BOOL, f"(fn_tsquery_cmp({{0}}, {{1}}) {sign} 0)")
