"""The error of a unique index that cannot be built: its name, and a key that is there twice.

SQLite names the columns alone, and the catalog does not know the index yet. So the step that failed is read, and the
rows are asked while its transaction stands.
"""

from __future__ import annotations

import re
from datetime import UTC
from typing import Any, Final

import apsw

from helios_cli.engine.errors import HeliosError, SqlError
from helios_cli.engine.sql.ddl_model import TableDef
from helios_cli.engine.sql.ddl_unique import NULLS
from helios_cli.engine.sql.sqltext import pg_identifier
from helios_cli.engine.storage.catalog import SqliteCatalog
from helios_cli.engine.wire.rows import field_encoder

_NAME: Final = r'"(?:[^"]|"")+"'
_KEY: Final = rf"{_NAME}(?: COLLATE (?:{_NAME}|\w+))?"
_TERM: Final = rf"{_KEY}(?: ASC| DESC)?(?: NULLS (?:FIRST|LAST))?"
_STEP: Final = re.compile(rf'CREATE UNIQUE INDEX (?:"?(?:main|temp)"?\.)?({_NAME}) ON ({_NAME}) \(')
_PLAIN: Final = re.compile(rf"({_TERM}(?:, {_TERM})*)\)(?: WHERE (.*))?", re.DOTALL)
"""Keys that are columns, and the predicate."""


def unique_build_error(connection: apsw.Connection, step: str) -> HeliosError | None:
    """The 23505 error of a step that has failed by a constraint; None for another step."""
    match = _STEP.match(step)
    if match is None:
        return None
    name = _unquoted(match[1]).rpartition(".")[2].removesuffix(NULLS)
    # A catalog of its own: what it reads here is about to be rolled back.
    table = SqliteCatalog(connection).table_by_sqlite_name(_unquoted(match[2]))
    if table is None:
        return None
    return SqlError(
        f'could not create unique index "{name}"', sqlstate="23505", detail=_detail(connection, table, step, match),
        schema=table.schema, table=table.name, constraint=name,
    )  # fmt: skip


def _detail(connection: apsw.Connection, table: TableDef, step: str, match: re.Match[str]) -> str | None:
    """The first key that is there twice; None for one of expressions."""
    plain = _PLAIN.fullmatch(step[match.end() :].partition(";\n")[0])
    if plain is None:
        return None
    keys = re.findall(_KEY, plain[1])
    names = [_unquoted(re.match(_NAME, key)[0]) for key in keys]  # type: ignore[index]
    columns = [table.column(name) for name in names]
    whole = " AND ".join([*(f"{key} IS NOT NULL" for key in keys), *([f"({plain[2]})"] if plain[2] else [])])
    query = f"SELECT {', '.join(keys)} FROM {match[2]} WHERE {whole} GROUP BY {', '.join(keys)} HAVING count(*) > 1"
    try:
        row: Any = connection.execute(f"{query} LIMIT 1").fetchone()
    except apsw.Error:
        # The detail is a courtesy: what keeps it from being told must not hide the error itself.
        return None
    if row is None or None in columns:
        return None
    shown = [
        field_encoder(column.type_oid, 0, UTC)(value).decode("utf-8", "replace")
        for column, value in zip(columns, row, strict=True)
        if column is not None
    ]
    return f"Key ({', '.join(map(pg_identifier, names))})=({', '.join(shown)}) is duplicated."


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"')
