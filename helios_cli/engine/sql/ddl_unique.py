"""What SQLite needs besides an index for a unique key that PostgreSQL checks late, or in which NULLs are alike.

A key that is checked behind the statement or at COMMIT has an index that is not unique. Triggers list each row whose
key another row has in ``helios_duplicate_now`` or ``helios_duplicate_late``, whose rows refer to one that is never
there: so SQLite itself counts the key among its foreign keys, at the end of the statement, at COMMIT, and under
``PRAGMA defer_foreign_keys``, and takes it from the count when the other row has gone or changed.

Where NULLs are alike a second unique index has the rows with one.
"""

from __future__ import annotations

from typing import Final

from helios_cli.engine.sql.collating import collation_of
from helios_cli.engine.sql.ddl_model import IndexDef, TableDef
from helios_cli.engine.sql.sqltext import quote_identifier
from helios_cli.engine.sql.text_collations import sqlite_collation

NULLS: Final = " nulls"
"""What the SQLite name of the index over rows with NULLs ends with."""
_ROW_IDS: Final = ("rowid", "_rowid_", "oid")
_EVENTS: Final = ("insert", "update", "delete")
LISTS: Final = {False: "helios_duplicate_now", True: "helios_duplicate_late"}
"""By whether the key is deferred: the table that lists duplicates."""


def tables(db: str) -> list[str]:
    """The steps that make the lists of duplicates in one of SQLite's schemas, where they are not there yet."""
    steps = [f"CREATE TABLE IF NOT EXISTS {db}.helios_nothing(id INTEGER PRIMARY KEY)"]
    for deferred, name in LISTS.items():
        wait = " DEFERRABLE INITIALLY DEFERRED" if deferred else ""
        steps.append(
            f"CREATE TABLE IF NOT EXISTS {db}.{name}(key INTEGER NOT NULL, row INTEGER NOT NULL, "
            f"absent INTEGER NOT NULL DEFAULT 0 REFERENCES helios_nothing(id){wait}, PRIMARY KEY(key, row))"
        )
    return steps


def triggers(table: TableDef, index: IndexDef, db: str) -> list[str]:
    """The steps that make the triggers of a late key."""
    late = Late(table, index, db)
    return [*tables(db), late.on_insert(), late.on_update(), late.on_delete()]


def drop_triggers(index: IndexDef, db: str) -> list[str]:
    """The steps that remove what :func:`triggers` has made."""
    steps = [f"DROP TRIGGER IF EXISTS {db}.{trigger_name(index, event)}" for event in _EVENTS]
    return [*steps, f"DELETE FROM {db}.{LISTS[index.deferred]} WHERE key = {index.oid}"]


def nulls_index(table: TableDef, index: IndexDef, db: str, where: str, texts: list[str]) -> str:
    """CREATE INDEX over the rows in which a part of the key is NULL; ``where`` is the index's own condition.

    ``texts`` are the parts: quoted columns, expressions in parentheses.
    """
    keys, nulls = [], []
    for key, quoted in zip(index.keys, texts, strict=True):
        column = table.column(key.column or "")
        collation = ""
        if column is not None:
            collation = sqlite_collation(column.collation, column.type_oid) if column.collation else ""
            collation = collation or collation_of(column.type_oid)
        keys += [f"{quoted} IS NULL", f"ifnull({quoted}, 0)" + (f" COLLATE {collation}" if collation else "")]
        nulls.append(f"{quoted} IS NULL")
    name = quote_identifier(index.sqlite_name + NULLS)
    condition = " OR ".join(nulls) + (f") AND ({where}" if where else "")
    target = quote_identifier(table.sqlite_name)
    return f"CREATE UNIQUE INDEX {db}.{name} ON {target} ({', '.join(keys)}) WHERE ({condition})"


def drop_index(index: IndexDef, db: str) -> list[str]:
    """The steps that remove the index itself."""
    steps = [f"DROP INDEX {db}.{quote_identifier(index.sqlite_name)}"]
    if index.nulls_alike:
        steps.append(f"DROP INDEX {db}.{quote_identifier(index.sqlite_name + NULLS)}")
    return steps


def row_id_of(table: TableDef) -> str:
    """A name of SQLite's row number that no column has taken."""
    taken = {column.name.lower() for column in table.columns}
    return next(name for name in _ROW_IDS if name not in taken)


def trigger_name(index: IndexDef, event: str) -> str:
    """SQLite's name of a trigger, quoted."""
    return quote_identifier(f"{index.sqlite_name} {event}")


class Late:
    """The texts of one late key's triggers."""

    def __init__(self, table: TableDef, index: IndexDef, db: str) -> None:
        self.row = row_id_of(table)
        self.table, self.index, self.db = quote_identifier(table.sqlite_name), index, db
        self.list = LISTS[index.deferred]
        self.columns = [quote_identifier(key.column or "") for key in index.keys]

    def _same(self, alias: str, other: str) -> str:
        word = "IS" if self.index.nulls_alike else "="
        return " AND ".join(f"{alias}.{column} {word} {other}.{column}" for column in self.columns)

    def _create(self, event: str, head: str, body: list[str]) -> str:
        name = f"{self.db}.{trigger_name(self.index, event)}"
        return f"CREATE TRIGGER {name} AFTER {head} BEGIN {' '.join(f'{step};' for step in body)} END"

    def _taken(self) -> str:
        another = f"{self._same('o', 'NEW')} AND o.{self.row} <> NEW.{self.row}"
        return f"EXISTS (SELECT 1 FROM {self.table} AS o WHERE {another})"

    def _list_new(self, where: str = "") -> str:
        return f"INSERT INTO {self.list}(key, row) SELECT {self.index.oid}, NEW.{self.row}{where}"

    def _list_old(self) -> list[str]:
        """The rows that have the old key, anew: all but the first are duplicates."""
        row, same = self.row, self._same("o", "OLD")
        first = f"SELECT min(p.{row}) FROM {self.table} AS p WHERE {self._same('p', 'OLD')}"
        return [
            f"DELETE FROM {self.list} WHERE key = {self.index.oid} AND (row = OLD.{row} OR row IN "
            f"(SELECT o.{row} FROM {self.table} AS o WHERE {same}))",
            f"INSERT INTO {self.list}(key, row) SELECT {self.index.oid}, o.{row} FROM {self.table} AS o "
            f"WHERE {same} AND o.{row} > ({first})",
        ]

    def on_insert(self) -> str:
        """A new row."""
        return self._create("insert", f"INSERT ON {self.table} WHEN {self._taken()}", [self._list_new()])

    def on_update(self) -> str:
        """A row whose key may have changed."""
        moved = " OR ".join(f"NEW.{column} IS NOT OLD.{column}" for column in self.columns)
        head = f"UPDATE OF {', '.join(self.columns)} ON {self.table} WHEN {moved}"
        return self._create("update", head, [*self._list_old(), self._list_new(f" WHERE {self._taken()}")])

    def on_delete(self) -> str:
        """A row that goes."""
        return self._create("delete", f"DELETE ON {self.table}", self._list_old())
