"""What differs between two states of one database, row by row and by primary key, with values as PostgreSQL's text.

Both are files that nobody writes. Tables are read side by side in the order of SQLite's row ids, so that memory is
needed for the rows that differ alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import apsw

from helios_cli.engine.datatypes import registry
from helios_cli.engine.sql.databases import FIRST_NAME
from helios_cli.engine.storage.catalog import SqliteCatalog

Row = dict[str, str | None]
"""Column names and values as text; None is NULL."""

Touched = Mapping[tuple[str, int], Sequence[str]]
"""The names of the writes that have changed a row, by the table's name in SQLite and the row id."""

INSERT: Final = "insert"
UPDATE: Final = "update"
DELETE: Final = "delete"


@dataclass(frozen=True, slots=True)
class Change:
    """One row that is not the same in both."""

    op: str
    """``insert``, ``update`` or ``delete``: what leads from the base to the tip."""
    schema: str
    table: str
    key: Row
    """The primary key's columns; empty for a table without one."""
    before: Row | None
    """The whole row in the base; None for an insert."""
    after: Row | None
    """The whole row in the tip; None for a delete."""
    write_ids: list[str] = field(default_factory=list)
    """Names of the writes that are known to have changed it."""
    database: str = FIRST_NAME

    @property
    def full_name(self) -> str:
        """The table, with its database where that is not the first one."""
        return full_name(self.database, self.schema, self.table)


@dataclass(frozen=True, slots=True)
class _Table:
    oid: int
    schema: str
    name: str
    sqlite_name: str
    columns: tuple[tuple[str, int], ...]
    """Name and type of each column that can be written."""
    key: tuple[str, ...]
    database: str

    @property
    def full_name(self) -> str:
        return full_name(self.database, self.schema, self.name)

    @property
    def place(self) -> tuple[str, int]:
        """What it is known by in both states; OIDs may come again in another database."""
        return self.database, self.oid


def full_name(database: str, schema: str, table: str) -> str:
    """A table's name, with its database where that is not the first one."""
    where = "" if database == FIRST_NAME else f" of database {database}"
    return f"{schema}.{table}{where}"


def open_still(path: str) -> apsw.Connection:
    """A connection to a file that nobody writes, and that stays as it is."""
    quoted = path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    return apsw.Connection(f"file:{quoted}?immutable=1", flags=flags)


def differences(base: apsw.Connection, tip: apsw.Connection, touched: Touched | None = None) -> Iterator[Change]:
    """The changes that lead from ``base`` to ``tip``, table by table; tables that only the base has are left out."""
    touched = touched or {}
    before = {table.place: table for table in _tables(base)}
    for table in _tables(tip):
        old = before.get(table.place)
        shared = table if old is None else _shared(old, table)
        yield from _compared(base if old is not None else None, old, tip, table, shared, touched)


def schema_changes(base: apsw.Connection, tip: apsw.Connection) -> list[str]:
    """Tables made, dropped and altered between ``base`` and ``tip``, a line for each; empty when there are none."""
    before = {table.place: table for table in _tables(base)}
    after = {table.place: table for table in _tables(tip)}
    lines = [f"created table {table.full_name}" for place, table in after.items() if place not in before]
    lines += [f"dropped table {table.full_name}" for place, table in before.items() if place not in after]
    lines += [f"altered table {table.full_name}" for place, table in after.items() if before.get(place, table) != table]
    return lines


def _tables(connection: apsw.Connection) -> list[_Table]:
    """The user's tables, by name; none in a file without system tables."""
    if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'helios_relation'").fetchone():
        return []
    databases = SqliteCatalog(connection).databases().values()
    return [table for one in databases for table in _tables_of(SqliteCatalog(connection, database=one.oid), one.name)]


def _tables_of(catalog: SqliteCatalog, database: str) -> list[_Table]:
    generated = {
        (relid, name)
        for relid, name in catalog.rows("SELECT relid, attname FROM main.helios_attribute WHERE attgenerated <> ''")
    }
    found = []
    listed: list[tuple[Any, ...]] = catalog.rows(
        "SELECT oid, nspname, relname, sqlite_name FROM main.helios_relation WHERE relkind IN ('r', 'm', 'M') "
        "ORDER BY nspname, relname"
    )
    for oid, schema, name, sqlite_name in listed:
        relation = catalog.relation(schema, name)
        if relation is None:
            continue
        columns = tuple((c.name, c.type_oid) for c in relation.columns if (oid, c.name) not in generated)
        primary = next((index.columns for index in relation.indexes if index.primary), ())
        key = tuple(column for column in primary if column is not None)
        found.append(_Table(oid, schema, name, sqlite_name, columns, key, database))
    return found


def _shared(old: _Table, new: _Table) -> _Table:
    """The new table with the columns that both have."""
    names = {name for name, _ in old.columns}
    columns = tuple(column for column in new.columns if column[0] in names)
    key = new.key if all(name in names for name in new.key) else ()
    return replace(new, columns=columns, key=key)


def _compared(
    base: apsw.Connection | None,
    old: _Table | None,
    tip: apsw.Connection,
    table: _Table,
    shared: _Table,
    touched: Touched,
) -> Iterator[Change]:
    """The changes of one table: rows are compared by the columns that both have, and told of with all of theirs."""
    gone: dict[Any, list[Any]] = {}
    come: dict[Any, list[Any]] = {}
    names = [name for name, _ in shared.columns]
    extra = [column for column in table.columns if column[0] not in names]
    whole = replace(table, columns=(*shared.columns, *extra), key=shared.key)
    width = len(names)
    keyed = [names.index(name) for name in shared.key]

    def key_of(row: tuple[Any, ...]) -> Any:
        return tuple(row[at] for at in keyed) if keyed else row[:width]

    def change(before: tuple[int, Any] | None, after: tuple[int, Any] | None) -> Change:
        ids: dict[str, None] = {}
        for row in (before, after):
            if row is not None:
                ids.update(dict.fromkeys(touched.get((table.sqlite_name, row[0]), ())))
        return _change(shared, before[1] if before else None, whole, after[1] if after else None, list(ids))

    left = _rows(base, old.sqlite_name, names) if base is not None and old is not None else iter(())
    right = _rows(tip, table.sqlite_name, [name for name, _ in whole.columns])
    for row_id, before, after in _side_by_side(left, right, 1 + width):
        if before is not None:
            gone.setdefault(key_of(before), []).append((row_id, before))
        if after is not None:
            come.setdefault(key_of(after), []).append((row_id, after))
    for key, rows in come.items():
        others = gone.pop(key, [])
        for row in rows:
            other = others.pop() if others else None
            if other is None or other[1] != row[1][:width]:
                yield change(other, row)
        for other in others:
            yield change(other, None)
    for rows in gone.values():
        for row in rows:
            yield change(row, None)


def _rows(connection: apsw.Connection, name: str, columns: list[str]) -> Iterator[tuple[Any, ...]]:
    wanted = ", ".join(_quoted(column) for column in ["rowid", *columns])
    return iter(connection.execute(f"SELECT {wanted} FROM {_quoted(name)} ORDER BY rowid"))


def _side_by_side(
    left: Iterator[tuple[Any, ...]], right: Iterator[tuple[Any, ...]], width: int
) -> Iterator[tuple[int, tuple[Any, ...] | None, tuple[Any, ...] | None]]:
    """Row ids, and rows without them of either side, where the two differ in the first ``width`` values."""
    one, other = next(left, None), next(right, None)
    while one is not None or other is not None:
        if other is None or (one is not None and one[0] < other[0]):
            assert one is not None
            yield one[0], one[1:], None
            one = next(left, None)
        elif one is None or other[0] < one[0]:
            yield other[0], None, other[1:]
            other = next(right, None)
        else:
            if one != other[:width]:
                yield one[0], one[1:], other[1:]
            one, other = next(left, None), next(right, None)


def _change(
    old_table: _Table,
    before: tuple[Any, ...] | None,
    table: _Table,
    after: tuple[Any, ...] | None,
    write_ids: list[str],
) -> Change:
    old, new = _text(old_table, before), _text(table, after)
    present = new if new is not None else old
    assert present is not None
    op = INSERT if old is None else DELETE if new is None else UPDATE
    key = {name: present[name] for name in table.key}
    return Change(op, table.schema, table.name, key, old, new, write_ids, table.database)


def _text(table: _Table, row: tuple[Any, ...] | None) -> Row | None:
    if row is None:
        return None
    return {name: _value(oid, value) for (name, oid), value in zip(table.columns, row, strict=True)}


def _value(oid: int, value: Any) -> str | None:
    if value is None:
        return None
    found = registry.find_oid(oid)
    return found.format_text(value).decode() if found is not None else str(value)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
