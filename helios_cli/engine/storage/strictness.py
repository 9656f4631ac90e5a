"""Which functions of the library are called with NULL arguments."""

from __future__ import annotations

from typing import Final

from helios_cli.engine.sql.function_spec import Function

NOT_STRICT: Final = frozenset(
    (
        "concat", "concat_ws", "format", "quote_nullable", "array_append", "array_prepend", "array_cat", "array_fill",
        "array_remove", "array_replace", "array_position", "array_positions", "array_to_string", "string_to_array",
        "string_to_table", "json_build_object", "jsonb_build_object", "json_build_array", "jsonb_build_array",
        "jsonb_set_lax", "num_nulls", "num_nonnulls", "pg_typeof", "int4range", "int8range", "numrange", "daterange",
        "tsrange", "tstzrange", "overlaps", "pg_notify", "enum_first", "enum_last",
        "enum_range", "array_to_tsvector", "textanycat", "anytextcat",
    )
)  # fmt: skip
"""Functions that are called with NULL arguments."""


def is_strict(function: Function) -> int:
    """Whether a function of the library is not called with NULL arguments."""
    return int(not function.aggregate and not function.window and function.name not in NOT_STRICT)
