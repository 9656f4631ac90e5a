"""Everything SQL can call, put together once when the module is imported."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from helios_cli.engine.datatypes.orders import NAMED
from helios_cli.engine.sql.function_spec import AggregateTable, CollationTable, Function, FunctionRegistry, ScalarTable
from helios_cli.engine.sql.functions import (
    aggregates,
    arrays,
    bits,
    datetime,
    datetime_fields,
    digests,
    enums,
    geometry,
    hstore,
    introspection,
    json_parts,
    jsonb,
    jsonpath,
    large_objects,
    ltrees,
    network,
    normalizing,
    numbers,
    ordered_sets,
    privileges,
    ranges,
    regexps,
    regression,
    series,
    sessions,
    strings,
    system,
    text_search,
    to_char,
    to_number,
    trigonometry,
    trigrams,
    unaccent,
    uuids,
)
from helios_cli.engine.sql.functions.define import Library


def _build() -> Library:
    library = Library()
    for module in (
        strings,
        bits,
        regexps,
        numbers,
        privileges,
        trigonometry,
        to_char,
        to_number,
        aggregates,
        regression,
        ordered_sets,
        datetime,
        datetime_fields,
        enums,
        jsonb,
        json_parts,
        hstore,
        geometry,
        ltrees,
        uuids,
        digests,
        trigrams,
        unaccent,
        jsonpath,
        network,
        normalizing,
        ranges,
        arrays,
        series,
        sessions,
        large_objects,
        system,
        text_search,
        introspection,
    ):
        module.install(library)
    return library


_LIBRARY: Final = _build()
_NOT_STRICT: Final = frozenset((
    "hstore", "array_append", "array_cat", "array_fill", "array_position", "array_positions", "array_prepend",
    "array_remove", "array_replace", "array_to_string", "concat", "concat_ws", "daterange", "enum_first",
    "enum_last", "enum_range", "format", "format_type", "helios_token_create", "helios_token_revoke",
    "helios_write_outcome", "helios_write_restore", "inet_client_addr", "inet_client_port", "inet_server_addr",
    "inet_server_port", "int4range", "int8range", "json_build_array", "json_build_object", "jsonb_build_array",
    "jsonb_build_object", "num_nonnulls", "num_nulls", "numrange", "overlaps", "pg_current_logfile",
    "pg_notify", "pg_typeof", "quote_nullable", "set_config", "string_to_array", "tsrange", "tstzrange",
))  # fmt: skip
"""Functions that PostgreSQL calls for NULLs too (pg_proc.proisstrict), aggregates and sets apart."""


def _marked(function: Function) -> Function:
    special = function.aggregate or function.window or function.set_returning or function.ordered_set
    if function.strict or special or function.name in _NOT_STRICT or function.writes:
        return function
    return replace(function, strict=True)


REGISTRY: Final = FunctionRegistry(map(_marked, _LIBRARY.functions))
"""Specs for the planner."""
SCALARS: Final[ScalarTable] = _LIBRARY.scalars
"""Functions to be registered on every connection."""
AGGREGATES: Final[AggregateTable] = _LIBRARY.aggregates
"""Aggregates to be registered on every connection, as window functions."""
COLLATIONS: Final[CollationTable] = {**NAMED, **ltrees.COLLATIONS}
"""Collations to be registered on every connection."""
