"""Foreign keys that refer to partitioned tables.

SQLite's foreign keys refer to one table. So for each unique index of a partitioned table that foreign keys refer to
there is a table with the keys of all partitions that have no NULL, which triggers of the partitions keep in step.
SQLite's foreign keys refer to it, and so do what they do to the rows that refer to a key that changes or goes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from helios_cli.engine.datatypes import registry
from helios_cli.engine.sql.collating import collation_of
from helios_cli.engine.sql.ddl_model import ConstraintDef, DdlCatalog, IndexDef, TableDef
from helios_cli.engine.sql.ddl_render import database_of
from helios_cli.engine.sql.sqltext import constant, quote_identifier, quote_string
from helios_cli.engine.sql.text_collations import sqlite_collation

if TYPE_CHECKING:
    from helios_cli.engine.sql.ddl_build import Builder

_EVENTS: Final = ("insert", "update", "delete")


def keys_name(catalog: DdlCatalog, index_oid: int, *, temp: bool) -> str:
    """SQLite's name of the table with the keys of an index of a partitioned table."""
    return f"{'' if temp else catalog.name_prefix}helios_keys_{index_oid}"


def referred(catalog: DdlCatalog, constraint: ConstraintDef, target: TableDef) -> tuple[str, list[str]]:
    """SQLite's names of what a foreign key refers to: the table, and its columns in the order of the key's own."""
    if not target.parted:
        return target.sqlite_name, list(constraint.ref_columns)
    columns = [_key_column(target, name) for name in constraint.ref_columns]
    return keys_name(catalog, constraint.ref_index_oid, temp=target.temp), columns


def _key_column(target: TableDef, name: str) -> str:
    column = target.column(name)
    assert column is not None
    return f"c{column.attnum}"


@dataclass(frozen=True, slots=True)
class PartKey:
    """What foreign keys refer to in a partitioned table, for a row that goes from one partition to another."""

    target: TableDef
    table: str
    """SQLite's name of the table of the keys, quoted."""
    columns: tuple[tuple[str, str], ...]
    """Those of the partitioned table, and in the table of the keys."""

    def move(self, old: dict[str, Any], new: dict[str, Any]) -> list[tuple[str, list[Any]]]:
        """The statements, with their values, that make one key another one, which is that of a row by now.

        What refers to it is changed as ON UPDATE says.
        """
        before, after = ([row[name] for name, _ in self.columns] for row in (old, new))
        if before == after or None in before:
            return []
        count = len(self.columns)
        same = " AND ".join(f"{column} = ?{at}" for at, (_, column) in enumerate(self.columns, 1))
        sets = ", ".join(f"{column} = ?{at}" for at, (_, column) in enumerate(self.columns, count + 1))
        return [
            (f"DELETE FROM {self.table} WHERE {same}", after),
            (f"UPDATE {self.table} SET {sets} WHERE {same}", [*before, *after]),
        ]


def part_keys(catalog: DdlCatalog, oid: int) -> list[PartKey]:
    """What foreign keys refer to in the partitioned tables above a partition."""
    found = []
    for target, index in _above(catalog, oid):
        names = [key.column or "" for key in index.keys]
        name = quote_identifier(keys_name(catalog, index.oid, temp=target.temp))
        found.append(PartKey(target, name, tuple((name, _key_column(target, name)) for name in names)))
    return found


class Keys:
    """The steps for the keys of one index of a partitioned table."""

    def __init__(self, builder: Builder, target: TableDef, index: IndexDef) -> None:
        self._target, self._index = target, index
        self._db = database_of(target.temp)
        self._name = keys_name(builder.catalog, index.oid, temp=target.temp)
        self._table = quote_identifier(self._name)
        self._names = [key.column or "" for key in index.keys]
        self._columns = [_key_column(target, name) for name in self._names]

    def table(self) -> str:
        """The step that makes the table."""
        listed = ", ".join([*map(self._column, self._names), f"UNIQUE ({', '.join(self._columns)})"])
        return f"CREATE TABLE IF NOT EXISTS {self._db}.{self._table} ({listed})"

    def _column(self, name: str) -> str:
        column = self._target.column(name)
        assert column is not None
        parts = [_key_column(self._target, name), registry.decl_of(column.type_oid, column.typmod)]
        collation = sqlite_collation(column.collation, column.type_oid) if column.collation else ""
        collation = collation or collation_of(column.type_oid)
        return " ".join([*parts, f"COLLATE {collation}"] if collation else parts)

    def drop(self) -> str:
        """The step that removes the table."""
        return f"DROP TABLE IF EXISTS {self._db}.{self._table}"

    def fill(self, leaf: TableDef) -> str:
        """The step that takes the keys of a partition's rows."""
        own = [quote_identifier(name) for name in self._names]
        whole = " AND ".join(f"{name} IS NOT NULL" for name in own)
        source = f"SELECT {', '.join(own)} FROM {self._db}.{quote_identifier(leaf.sqlite_name)} WHERE {whole}"
        return f"INSERT INTO {self._db}.{self._table} {source} ON CONFLICT DO NOTHING"

    def forget(self, leaf: TableDef) -> str:
        """The step that removes the keys of a partition's rows."""
        other = self._db + "." + quote_identifier(leaf.sqlite_name)
        pairs = zip(map(quote_identifier, self._names), self._columns, strict=True)
        same = " AND ".join(f"o.{name} = {self._table}.{column}" for name, column in pairs)
        return f"DELETE FROM {self._db}.{self._table} WHERE EXISTS (SELECT 1 FROM {other} AS o WHERE {same})"

    # -- triggers -------------------------------------------------------------------------------------------------

    def _trigger(self, leaf: TableDef, event: str) -> str:
        return f"{self._db}.{quote_identifier(f'{self._name}_{leaf.oid} {event}')}"

    def drop_triggers(self, leaf: TableDef) -> list[str]:
        """The steps that remove what :meth:`triggers` has made."""
        return [f"DROP TRIGGER IF EXISTS {self._trigger(leaf, event)}" for event in _EVENTS]

    def triggers(self, leaf: TableDef) -> list[str]:
        """The steps that make the triggers of a partition."""
        table = quote_identifier(leaf.sqlite_name)
        heads = (f"INSERT ON {table}", f"UPDATE ON {table} WHEN {self._moved()}", f"DELETE ON {table}")
        bodies = (self._inserted("1"), self._updated(), self._deleted())
        return [
            f"CREATE TRIGGER IF NOT EXISTS {self._trigger(leaf, event)} AFTER {head} BEGIN {body}; END"
            for event, head, body in zip(_EVENTS, heads, bodies, strict=True)
        ]

    def _of(self, row: str) -> list[str]:
        return [f"{row}.{quote_identifier(name)}" for name in self._names]

    def _same(self, row: str, word: str = "=") -> str:
        return " AND ".join(
            f"{column} {word} {value}" for column, value in zip(self._columns, self._of(row), strict=True)
        )

    def _moved(self) -> str:
        return " OR ".join(f"{new} IS NOT {old}" for new, old in zip(self._of("NEW"), self._of("OLD"), strict=True))

    def _inserted(self, where: str) -> str:
        whole = " AND ".join(f"{value} IS NOT NULL" for value in self._of("NEW"))
        source = f"SELECT {', '.join(self._of('NEW'))} WHERE {whole} AND {where}"
        return f"INSERT INTO {self._table} {source} ON CONFLICT DO NOTHING"

    def _deleted(self) -> str:
        return f"DELETE FROM {self._table} WHERE {self._same('OLD')}"

    def _updated(self) -> str:
        """A key that gets a NULL changes what refers to it, and is no key any more."""
        sets = ", ".join(f"{column} = {value}" for column, value in zip(self._columns, self._of("NEW"), strict=True))
        null = {row: " OR ".join(f"{value} IS NULL" for value in self._of(row)) for row in ("OLD", "NEW")}
        steps = [
            f"UPDATE {self._table} SET {sets} WHERE {self._same('OLD')}",
            f"DELETE FROM {self._table} WHERE ({null['NEW']}) AND {self._same('NEW', 'IS')}",
            self._inserted(f"({null['OLD']})"),
        ]
        return "; ".join(steps)


def leaves(builder: Builder, table: TableDef) -> Iterator[TableDef]:
    """The partitions with rows below a table, or the table itself where it is one."""
    if not table.parted:
        yield table
        return
    for oid in builder.catalog.children(table.oid):
        child = builder.catalog.table_def(oid)
        if child is not None:
            yield from leaves(builder, child)


def _above(catalog: DdlCatalog, oid: int) -> Iterator[tuple[TableDef, IndexDef]]:
    """The indexes that foreign keys refer to of a partitioned table, or of those above a partition."""
    table = catalog.table_def(oid)
    if table is None:
        return
    wanted = {constraint.ref_index_oid for constraint in catalog.referencing(oid)} if table.parted else set()
    yield from ((table, index) for index in table.indexes if index.oid in wanted)
    for parent in catalog.parents(oid) if table.is_partition else ():
        yield from _above(catalog, parent)


def keep_keys(builder: Builder, target: TableDef, index: IndexDef) -> None:
    """Write the steps for a foreign key that refers to an index of a partitioned table."""
    keys = Keys(builder, target, index)
    builder.last.pop((index.oid, 0), None)
    known = any(one.ref_index_oid == index.oid for one in builder.catalog.referencing(target.oid))
    parts = list(leaves(builder, target))
    if not known:
        builder.add(keys.table(), *map(keys.fill, parts))
    for leaf in parts:
        builder.last[index.oid, leaf.oid] = keys.triggers(leaf)


def join_keys(builder: Builder, table: TableDef, parent: TableDef, *, filled: bool = False) -> None:
    """Write the steps for the keys of a new partition of ``parent``; ``filled``: it has rows already."""
    for target, index in _above(builder.catalog, parent.oid):
        keys = Keys(builder, target, index)
        for leaf in leaves(builder, table):
            builder.add(*([keys.fill(leaf)] if filled else ()))
            builder.last[index.oid, leaf.oid] = keys.triggers(leaf)


def leave_keys(builder: Builder, table: TableDef, parent: TableDef) -> None:
    """Write the steps for a partition that is one no more.

    They raise 23503 when rows refer to it (RI_PartitionRemove_Check, ri_triggers.c).
    """
    for target, index in _above(builder.catalog, parent.oid):
        keys = Keys(builder, target, index)
        for leaf in leaves(builder, table):
            for constraint in builder.catalog.referencing(target.oid):
                if constraint.ref_index_oid == index.oid:
                    builder.add(*_unreferenced(builder, leaf, table, constraint))
            builder.last[index.oid, leaf.oid] = [*keys.drop_triggers(leaf), keys.forget(leaf)]


def _unreferenced(builder: Builder, leaf: TableDef, part: TableDef, constraint: ConstraintDef) -> list[str]:
    """The step that fails when a row refers to one of a partition."""
    child = builder.catalog.table_def(constraint.table_oid)
    if child is None or child.parted or not constraint.enabled:
        return []
    db = database_of(leaf.temp)
    pairs = list(zip(constraint.columns, constraint.ref_columns, strict=True))
    same = " AND ".join(f"c.{quote_identifier(own)} = p.{quote_identifier(other)}" for own, other in pairs)
    message = f'removing partition "{part.name}" violates foreign key constraint "{constraint.name}"'
    values = " || ', ' || ".join(f"c.{quote_identifier(own)}" for own, _ in pairs)
    named = ", ".join(own for own, _ in pairs)
    still = constant(f') is still referenced from table "{child.name}".')
    detail = f"{constant(f'Key ({named})=(')} || {values} || {still}"
    fields = ", ".join(constant(name) for name in (child.schema, child.name, constraint.name))
    return [
        f"SELECT pg_raise('23503', {quote_string(message)}, {detail}, {fields}) "
        f"FROM {db}.{quote_identifier(child.sqlite_name)} AS c JOIN {db}.{quote_identifier(leaf.sqlite_name)} AS p "
        f"ON {same} LIMIT 1"
    ]


def rebuilt_keys(builder: Builder, table: TableDef) -> None:
    """Write the steps for a table that is made anew: its triggers are gone, its columns may be of other types."""
    if table.parted:
        wanted = {constraint.ref_index_oid for constraint in builder.catalog.referencing(table.oid)}
        for index in [one for one in table.indexes if one.oid in wanted]:
            keys = Keys(builder, table, index)
            anew = [keys.drop(), keys.table(), *map(keys.fill, leaves(builder, table))]
            builder.last.setdefault((index.oid, 0), anew)
    elif table.is_partition:
        for target, index in _above(builder.catalog, table.oid):
            builder.last.setdefault((index.oid, table.oid), Keys(builder, target, index).triggers(table))


def drop_keys(builder: Builder, constraints: list[ConstraintDef], gone: set[int]) -> None:
    """Write the steps for foreign keys that go. ``gone`` has their OIDs, and those of the tables that go."""
    for constraint in constraints:
        target = builder.catalog.table_def(constraint.ref_oid)
        if target is None or not target.parted:
            continue
        left = (one for one in builder.catalog.referencing(target.oid) if not {one.oid, one.table_oid} & gone)
        if target.oid not in gone and any(one.ref_index_oid == constraint.ref_index_oid for one in left):
            continue
        index = next((one for one in target.indexes if one.oid == constraint.ref_index_oid), None)
        if index is not None:
            keys = Keys(builder, target, index)
            for leaf in leaves(builder, target):
                builder.last[index.oid, leaf.oid] = keys.drop_triggers(leaf)
            builder.last[index.oid, 0] = [keys.drop()]
