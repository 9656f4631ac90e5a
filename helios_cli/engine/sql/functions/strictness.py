"""Which functions are called with NULL arguments (pg_proc.proisstrict)."""

from __future__ import annotations

from typing import Final

from helios_cli.engine.sql.function_spec import Function

_NOT_STRICT: Final = frozenset((
    "array_append", "array_cat", "array_fill", "array_position", "array_positions", "array_prepend", "array_remove",
    "array_replace", "concat", "concat_ws", "daterange", "enum_first", "enum_last", "enum_range", "format",
    "format_type", "helios_token_create", "helios_token_revoke", "helios_write_outcome", "helios_write_restore",
    "hstore",
    "inet_client_addr", "inet_client_port", "inet_server_addr", "inet_server_port", "int4range", "int8range",
    "json_build_array", "json_build_object", "jsonb_build_array", "jsonb_build_object", "jsonb_set_lax", "num_nonnulls",
    "num_nulls", "numrange", "overlaps", "pg_current_logfile", "pg_notify", "pg_typeof", "quote_nullable", "set_config",
    "satisfies_hash_partition", "string_to_array", "string_to_table", "tsrange", "tstzrange",
))  # fmt: skip
_SOME: Final = frozenset((("array_to_string", 3),))
"""Of names with overloads of both kinds: the number of arguments."""


def takes_nulls(function: Function) -> bool:
    """Whether a function, not an aggregate or a window function, is called with NULL arguments."""
    return function.name in _NOT_STRICT or (function.name, len(function.args)) in _SOME


def is_strict(function: Function) -> bool:
    """What pg_proc says of any function of the library."""
    if function.window:
        return bool(function.args)
    return not function.aggregate and not takes_nulls(function)
