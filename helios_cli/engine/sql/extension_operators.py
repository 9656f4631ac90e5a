"""Operators over the types of extensions: rows for the table of :mod:`.operators`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from helios_cli.engine.sql.oids import BOOL, CITEXT, HSTORE, TEXT

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


def extension_operators() -> Iterator[Row]:
    """Comparisons and patterns of citext without regard to case, and hstore's operators."""
    for sign in ("=", "<>", "<", "<=", ">", ">="):
        yield sign, (CITEXT, CITEXT), BOOL, "({0} " + sign + " {1})", "compare"
    for name, template in _MATCHES:
        for right in (CITEXT, TEXT):
            yield name, (CITEXT, right), BOOL, template, ""
    for sign in ("=", "<>"):
        yield sign, (HSTORE, HSTORE), BOOL, "({0} " + sign + " {1})", "compare"
    for name, right, result, template in _HSTORE:
        yield name, (HSTORE, right), result, template, ""
