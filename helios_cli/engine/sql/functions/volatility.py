"""Functions that PostgreSQL calls STABLE, though nothing of the session is asked for here (pg_proc.provolatile)."""

from __future__ import annotations

from typing import Final

from helios_cli.engine.sql.function_spec import Function

_STABLE: Final = frozenset((
    "array_to_json", "array_to_string", "concat", "concat_ws", "convert", "convert_from", "convert_to", "format",
    "getdatabaseencoding", "json_agg", "json_build_array", "json_build_object", "json_object_agg", "jsonb_agg",
    "jsonb_build_array", "jsonb_build_object", "jsonb_object_agg", "jsonb_path_exists_tz", "jsonb_path_match_tz",
    "jsonb_path_query_array_tz", "jsonb_path_query_first_tz", "jsonb_path_query_tz", "make_timestamptz",
    "pg_char_to_encoding", "pg_column_size", "pg_encoding_to_char", "pg_is_other_temp_schema", "pg_my_temp_schema",
    "pg_options_to_table", "pg_typeof", "to_char", "to_date", "to_json", "to_jsonb", "to_number",
))  # fmt: skip
_SOME: Final = frozenset((
    ("date_trunc", (25, 1184, 25)), ("length", (17, 19)), ("ts_token_type", (25,)),
))  # fmt: skip
"""Of names with overloads of both kinds: the types of the arguments."""


def is_stable(function: Function) -> bool:
    """Whether a function that is not volatile may give something else in the next statement."""
    return function.name in _STABLE or (function.name, function.args) in _SOME
