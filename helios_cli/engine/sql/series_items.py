"""Set-returning functions as FROM items of SQLite: alone, those of the select list, and several side by side."""

from __future__ import annotations

from helios_cli.engine.sql.oids import INTEGERS, OID, TEXT
from helios_cli.engine.sql.scope import Scope
from helios_cli.engine.sql.sqltext import quote_identifier
from helios_cli.engine.sql.typed import TypedSql

Series = tuple[str, str]
"""SQLite's alias, and the text of a JSON array with one element a row."""


def zipped(calls: list[str], widths: list[int]) -> str:
    """The text of one JSON array of rows from several: side by side, those that end early filled with NULLs."""
    return f"pg_zip('{','.join(map(str, widths))}', {', '.join(calls)})"


def with_series(source: str, series: list[Series]) -> str:
    """Add the set-returning calls of a select list to FROM. Several advance together, as in PostgreSQL since 10.

    Those that take what others give have rows for each row of these.
    """
    if not series:
        return source
    names = [f"{quote_identifier(alias)}." for alias, _ in series]
    outer = [one for one in series if any(name in one[1] for name in names)]
    if outer:
        inner = [one for one in series if one not in outer]
        return with_series(with_series(source, inner), outer) if inner else _beside(source, outer)
    return _beside(source, series)


def _beside(source: str, series: list[Series]) -> str:
    if len(series) == 1:
        items = [f"json_each({series[0][1]}) AS {quote_identifier(series[0][0])}"]
    else:
        rows = quote_identifier(f"rows of {series[0][0]}")
        items = [f"json_each({zipped([call for _, call in series], [0] * len(series))}) AS {rows}"]
        items += [
            # One row each, so that every value has the alias that the select list knows it by.
            f"json_each(json_array({rows}.value ->> {number})) AS {quote_identifier(alias)}"
            for number, (alias, _) in enumerate(series)
        ]
    return " CROSS JOIN ".join([source, *items] if source else items)


def kept_rows(rows: str, type_oid: int) -> str:
    """A function's rows, which are the same for every row that they are joined to.

    SQLite would walk json_each() anew for each of those. Behind a LIMIT the rows are made once, and an index is made
    over them where they are searched, which takes values of a declared kind.
    """
    kind = "INTEGER" if type_oid in (*INTEGERS, OID) else "TEXT" if type_oid == TEXT else ""
    value = f"CAST(value AS {kind}) AS value" if kind else "value"
    return f"(SELECT key, {value} FROM json_each({rows}) LIMIT -1)"


def series(values: list[TypedSql], scope: Scope) -> str:
    """generate_series over constants, as rows that are made when they are asked for."""
    start, stop = values[0].sql, values[1].sql
    step = values[2].sql if len(values) > 2 else "1"
    if step == "1":
        going, more = f"{start} <= {stop}", f"value < {stop}"
    else:
        # The function raises for a step of zero.
        going = f"CASE WHEN pg_series_step({step}) > 0 THEN {start} <= {stop} ELSE {start} >= {stop} END"
        more = f"CASE WHEN {step} > 0 THEN value + {step} <= {stop} ELSE value + {step} >= {stop} END"
    alias = quote_identifier(scope.ctx.unique_alias("series"))
    return (
        f"(WITH RECURSIVE {alias}(value) AS (SELECT {start} WHERE {going} "
        f"UNION ALL SELECT value + {step} FROM {alias} WHERE {more}) SELECT value FROM {alias})"
    )
