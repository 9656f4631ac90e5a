"""Everything that the planner's own SQL text calls: to be registered on every SQLite connection."""

from __future__ import annotations

from typing import Final

from helios_cli.engine.datatypes.orders import NAMED
from helios_cli.engine.sql import (
    many_parameters,
    runtime_arrays,
    runtime_exclusion,
    runtime_frames,
    runtime_json,
    runtime_lsn,
    runtime_money,
    runtime_numbers,
    runtime_parts,
    runtime_rows,
    runtime_text,
    runtime_times,
    runtime_values,
    runtime_variadic,
    runtime_xml,
)
from helios_cli.engine.sql.function_spec import AggregateTable, CollationTable, ScalarTable
from helios_cli.engine.sql.functions import ranges

SCALARS: Final[ScalarTable] = {
    **runtime_numbers.SCALARS,
    **runtime_times.SCALARS,
    **runtime_text.SCALARS,
    **runtime_arrays.SCALARS,
    **runtime_json.SCALARS,
    **runtime_lsn.SCALARS,
    **runtime_money.SCALARS,
    **runtime_parts.SCALARS,
    **runtime_exclusion.SCALARS,
    **runtime_frames.SCALARS,
    **runtime_rows.SCALARS,
    **runtime_values.SCALARS,
    **runtime_variadic.SCALARS,
    **runtime_xml.SCALARS,
    **many_parameters.SCALARS,
}
AGGREGATES: Final[AggregateTable] = {**runtime_arrays.AGGREGATES}
COLLATIONS: Final[CollationTable] = {**NAMED, **runtime_rows.COLLATIONS, **ranges.COLLATIONS}
