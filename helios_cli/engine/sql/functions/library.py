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
    collecting,
    datetime,
    datetime_fields,
    digests,
    enums,
    geometry,
    geometry_operators,
    hstore,
    introspection,
    json_parts,
    jsonb,
    jsonpath,
    keywords,
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
    type_facts,
    unaccent,
    uuids,
)
from helios_cli.engine.sql.functions.define import Library
from helios_cli.engine.sql.functions.strictness import takes_nulls
from helios_cli.engine.sql.functions.volatility import is_stable


def _build() -> Library:
    library = Library()
    for module in (
        strings,
        bits,
        collecting,
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
        geometry_operators,
        ltrees,
        uuids,
        digests,
        trigrams,
        unaccent,
        jsonpath,
        keywords,
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
        type_facts,
    ):
        module.install(library)
    return library


_LIBRARY: Final = _build()


def _marked(function: Function) -> Function:
    if is_stable(function):
        function = replace(function, stable=True)
    special = function.aggregate or function.window or function.set_returning or function.ordered_set
    if function.strict or special or takes_nulls(function) or function.writes:
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
