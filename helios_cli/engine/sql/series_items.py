"""Set-returning functions as FROM items of SQLite: those of the select list, and several side by side."""

from __future__ import annotations

from helios_cli.engine.sql.sqltext import quote_identifier

Series = tuple[str, str]
"""SQLite's alias, and the text of a JSON array with one element a row."""


def zipped(calls: list[str], widths: list[int]) -> str:
    """The text of one JSON array of rows from several: side by side, those that end early filled with NULLs."""
    return f"pg_zip('{','.join(map(str, widths))}', {', '.join(calls)})"


def with_series(source: str, series: list[Series]) -> str:
    """Add the set-returning calls of a select list to FROM. Several advance together, as in PostgreSQL since 10."""
    if not series:
        return source
    if len(series) == 1:
        items = [f"json_each({series[0][1]}) AS {quote_identifier(series[0][0])}"]
    else:
        rows = quote_identifier(f"rows of {series[0][0]}")
        items = [f"json_each({zipped([call for _, call in series], [1] * len(series))}) AS {rows}"]
        items += [
            # One row each, so that every value has the alias that the select list knows it by.
            f"json_each(json_array({rows}.value ->> {number})) AS {quote_identifier(alias)}"
            for number, (alias, _) in enumerate(series)
        ]
    return " CROSS JOIN ".join([source, *items] if source else items)
