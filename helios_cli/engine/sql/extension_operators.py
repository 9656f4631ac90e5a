"""Operators over the types of extensions: rows for the table of :mod:`.operators`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from helios_cli.engine.sql.functions.trigrams import SIMILARITY_LIMIT, STRICT_WORD_LIMIT, WORD_LIMIT
from helios_cli.engine.sql.oids import BOOL, CITEXT, FLOAT4, HSTORE, LTREE, TEXT
from helios_cli.engine.sql.operator_spec import Operator

TEXT_ARRAY: Final = 1009
Row = tuple[str, tuple[int, ...], int, str, str]
"""Name, operand types, result, SQLite text, style: the fields of an Operator."""

_HSTORE: Final[tuple[tuple[str, int, int, str], ...]] = (
    ("->", TEXT, TEXT, "pg_hstore_get({0}, {1})"),
    ("->", TEXT_ARRAY, TEXT_ARRAY, "pg_hstore_get_many({0}, {1})"),
    ("||", HSTORE, HSTORE, "pg_hstore_concat({0}, {1})"),
    ("?", TEXT, BOOL, "pg_hstore_exists({0}, {1})"),
    ("?|", TEXT_ARRAY, BOOL, "pg_hstore_exists_any({0}, {1})"),
    ("?&", TEXT_ARRAY, BOOL, "pg_hstore_exists_all({0}, {1})"),
    ("@>", HSTORE, BOOL, "pg_hstore_contains({0}, {1})"),
    ("<@", HSTORE, BOOL, "pg_hstore_contains({1}, {0})"),
    ("-", TEXT, HSTORE, "pg_hstore_delete_key({0}, {1})"),
    ("-", TEXT_ARRAY, HSTORE, "pg_hstore_delete_keys({0}, {1})"),
    ("-", HSTORE, HSTORE, "pg_hstore_delete_pairs({0}, {1})"),
)
_TRIGRAMS: Final = (
    ("%", f"(fn_similarity({{0}}, {{1}}) >= {SIMILARITY_LIMIT})"),
    ("<%", f"(fn_word_similarity({{0}}, {{1}}) >= {WORD_LIMIT})"),
    ("%>", f"(fn_word_similarity({{1}}, {{0}}) >= {WORD_LIMIT})"),
    ("<<%", f"(fn_strict_word_similarity({{0}}, {{1}}) >= {STRICT_WORD_LIMIT})"),
    ("%>>", f"(fn_strict_word_similarity({{1}}, {{0}}) >= {STRICT_WORD_LIMIT})"),
    ("<->", "fn_trigram_distance(fn_similarity({0}, {1}))"),
    ("<<->", "fn_trigram_distance(fn_word_similarity({0}, {1}))"),
    ("<->>", "fn_trigram_distance(fn_word_similarity({1}, {0}))"),
    ("<<<->", "fn_trigram_distance(fn_strict_word_similarity({0}, {1}))"),
    ("<->>>", "fn_trigram_distance(fn_strict_word_similarity({1}, {0}))"),
)
"""pg_trgm's. A limit is compared with a real number, which may lie a little above its decimal digits."""
_MATCHES: Final = (
    ("~~", "pg_ilike({0}, {1})"),
    ("~~*", "pg_ilike({0}, {1})"),
    ("!~~", "(NOT pg_ilike({0}, {1}))"),
    ("!~~*", "(NOT pg_ilike({0}, {1}))"),
    ("~", "pg_regex({0}, {1}, 'i')"),
    ("~*", "pg_regex({0}, {1}, 'i')"),
    ("!~", "(NOT pg_regex({0}, {1}, 'i'))"),
    ("!~*", "(NOT pg_regex({0}, {1}, 'i'))"),
)


def extension_of(operator: Operator) -> str:
    """The extension that an operator belongs to, '' for PostgreSQL's own."""
    for oid, name in ((CITEXT, "citext"), (HSTORE, "hstore"), (LTREE, "ltree")):
        if oid in operator.args:
            return name
    return "pg_trgm" if "similarity(" in operator.template else ""


def extension_operators() -> Iterator[Row]:
    """Comparisons and patterns of citext without regard to case, and hstore's operators."""
    for sign in ("=", "<>", "<", "<=", ">", ">="):
        yield sign, (CITEXT, CITEXT), BOOL, "({0} " + sign + " {1})", "compare"
    for name, template in _MATCHES:
        for right in (CITEXT, TEXT):
            yield name, (CITEXT, right), BOOL, template, ""
    for name, template in _TRIGRAMS:
        yield name, (TEXT, TEXT), BOOL if ">=" in template else FLOAT4, template, ""
    for sign in ("=", "<>"):
        yield sign, (HSTORE, HSTORE), BOOL, "({0} " + sign + " {1})", "compare"
    for name, right, result, template in _HSTORE:
        yield name, (HSTORE, right), result, template, ""
