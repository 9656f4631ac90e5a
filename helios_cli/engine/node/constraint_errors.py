"""The DETAIL of a broken constraint: which key is there twice, which row has no parent, which row failed.

SQLite tells the constraint's name at most. So the rows that the write proposed are asked for again, and looked at one
by one, on the connection that it ran on or on the newest committed state. What cannot be told for certain is left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, tzinfo
from itertools import islice
from typing import Any, Final

import apsw

from helios_cli.engine.errors import HeliosError, SqlError
from helios_cli.engine.sql import tree
from helios_cli.engine.sql.ddl_build import as_relation
from helios_cli.engine.sql.ddl_deparse import deparse, parse_expression
from helios_cli.engine.sql.ddl_model import ConstraintDef, DdlCatalog, IndexDef, IndexKey, TableDef
from helios_cli.engine.sql.ddl_part_keys import referred
from helios_cli.engine.sql.ddl_render import generation
from helios_cli.engine.sql.ddl_unique import LISTS
from helios_cli.engine.sql.expressions import translate_for_column
from helios_cli.engine.sql.failing_rows import Proposed, proposed
from helios_cli.engine.sql.foreign_key_errors import late_duplicate
from helios_cli.engine.sql.functions import REGISTRY
from helios_cli.engine.sql.inheritance import keys_to
from helios_cli.engine.sql.plan import Plan
from helios_cli.engine.sql.relation import Relation
from helios_cli.engine.sql.snapshots import row_id
from helios_cli.engine.sql.sqlite_errors import exclusion_error
from helios_cli.engine.sql.sqltext import quote_identifier
from helios_cli.engine.sql.typed import TypedSql
from helios_cli.engine.wire.rows import field_encoder

ROWS_MAX: Final = 1000
"""Rows of a failed statement that are looked at; a culprit behind them is not found."""

SHOWN_MAX: Final = 64
"""Bytes of a value in "Failing row contains", as in PostgreSQL's ExecBuildSlotValueDescription."""

_KEY: Final = re.compile(r"\AKey \(.*\)=\(.*\) ", re.DOTALL)

Row = Sequence[Any]
MayRead = Callable[[TableDef], bool]


class Culprit:
    """The rows of one failed write, and what is wrong with them."""

    def __init__(
        self,
        connection: apsw.Connection,
        catalog: DdlCatalog,
        wanted: Proposed,
        rows: Sequence[Row],
        zone: tzinfo = UTC,
    ) -> None:
        self._connection = connection
        self._catalog = catalog
        self._table = wanted.table
        self._at = {name: number for number, name in enumerate(wanted.names)}
        self._rows = rows
        self._was = wanted.was
        self._zone = zone

    def improve(self, error: HeliosError, plan: Plan) -> HeliosError:
        """The error with its DETAIL, or the error as it is."""
        if error.sqlstate == "23505":
            return self._duplicate(error) if plan.tag != "DELETE" else error
        if error.sqlstate == "23503":
            return self._foreign_key(plan) or self._late_duplicate(plan) or error
        if error.sqlstate == "23502" and error.column in self._at and error.table == self._table.name:
            at = self._at[error.column]
            error.detail = self._failing(next((row for row in self._rows if row[at] is None), None))
        elif error.sqlstate == "23514" and len(self._rows) == 1 and error.table == self._table.name:
            error.detail = self._failing(self._rows[0])
        return error

    # -- values -----------------------------------------------------------------------------------------------

    def _shown(self, name: str, value: Any) -> str:
        column = self._table.column(name)
        assert column is not None
        return field_encoder(column.type_oid, 0, self._zone)(value).decode("utf-8", "replace")

    def _failing(self, row: Row | None) -> str | None:
        if row is None:
            return None
        row = self._generated(row[: len(self._at)])
        texts = []
        for name, at in self._at.items():
            text = "null" if row[at] is None else self._shown(name, row[at])
            encoded = text.encode()
            if len(encoded) > SHOWN_MAX:
                text = encoded[:SHOWN_MAX].decode("utf-8", "ignore") + "..."
            texts.append(text)
        return f"Failing row contains ({', '.join(texts)})."

    def _generated(self, row: Row) -> Row:
        """A row with what its generated columns would have come to."""
        generated = [column for column in self._table.columns if column.generated]
        if not generated:
            return row
        texts = [self._translated(generation(column), column.type_oid, column.typmod).sql for column in generated]
        found = self._computed(texts, row)
        computed = {self._at[column.name]: value for column, value in zip(generated, found, strict=True)}
        return [computed.get(at, value) for at, value in enumerate(row)]

    def _translated(self, text: str, type_oid: int | None = None, typmod: int = -1) -> TypedSql:
        """An expression over the table's columns, of its own type where none is named."""
        return translate_for_column(
            parse_expression(text), as_relation(self._table), catalog=self._catalog, functions=REGISTRY,
            type_oid=type_oid, typmod=typmod, purpose="GENERATED",
        )  # fmt: skip

    def _computed(self, texts: Sequence[str], row: Row) -> Row:
        """What expressions over the table's columns come to in a row."""
        given = ", ".join(f"?{at + 1} AS {quote_identifier(name)}" for name, at in self._at.items())
        query = f"SELECT {', '.join(texts)} FROM (SELECT {given})"
        return self._connection.execute(query, row[: len(self._at)]).fetchone() or ()

    def _key(self, own: Sequence[str], row: Row, shown: Sequence[str] | None = None) -> str:
        cells = [(name, row[self._at[name]]) for name in own]
        values = ", ".join("null" if value is None else self._shown(name, value) for name, value in cells)
        return f"Key ({', '.join(shown or own)})=({values})"

    def _values(self, row: Row, names: Sequence[str], offset: int = 0) -> tuple[Any, ...] | None:
        """The values of a key; None when one of them is NULL, and so the key matches nothing."""
        values = tuple(row[self._at[name] + offset] for name in names)
        return None if None in values else values

    def _moved(self, row: Row, names: Sequence[str]) -> bool:
        """Whether the write gives these columns other values than they had."""
        return not self._was or self._values(row, names) != self._values(row, names, len(self._at))

    def _exists(self, table: str, names: Sequence[str], values: Sequence[Any]) -> bool:
        """Whether a table, by SQLite's name, has a row with a key."""
        condition = " AND ".join(f"{quote_identifier(name)} = ?" for name in names)
        query = f"SELECT 1 FROM {quote_identifier(table)} WHERE {condition} LIMIT 1"
        return self._connection.execute(query, values).fetchone() is not None

    # -- unique keys ------------------------------------------------------------------------------------------

    def _duplicate(self, error: HeliosError) -> HeliosError:
        indexes = sorted((index for index in self._table.indexes if _is_plain(index)), key=lambda index: index.oid)
        seen: set[tuple[str, tuple[Any, ...]]] = set()
        for row in self._rows:
            for index in indexes:
                names = [key.column or "" for key in index.keys]
                values = self._values(row, names)
                if values is None or not self._moved(row, names):
                    continue
                if (index.name, values) in seen or self._exists(self._table.sqlite_name, names, values):
                    return self._duplicate_of(index, self._key(names, row))
                seen.add((index.name, values))
        named = next((index for index in indexes if index.name == error.constraint), None)
        if named is not None and len(self._rows) == 1 and error.table == self._table.name:
            # It was there then, and is gone by now.
            error.detail = f"{self._key([key.column or '' for key in named.keys], self._rows[0])} already exists."
        computed = next((index for index in self._table.indexes if index.name == error.constraint), None)
        if error.detail is None and computed is not None and error.table == self._table.name:
            error.detail = self._computed_duplicate(computed)
        return error

    def _computed_duplicate(self, index: IndexDef) -> str | None:
        """The key that is there twice in an index over expressions, or of some rows; None when it is gone by now."""
        values = [
            self._translated((key.expression or "") if key.column is None else quote_identifier(key.column))
            for key in index.keys
        ]
        texts = [value.sql for value in values]
        holds = "1" if index.predicate is None else self._translated(index.predicate).sql
        same = " AND ".join(f"({text}) = ?" for text in texts)
        there = f"SELECT 1 FROM {quote_identifier(self._table.sqlite_name)} WHERE ({holds}) AND {same} LIMIT 1"
        seen: set[Row] = set()
        for row in self._rows:
            inside, *cells = self._computed([holds, *texts], row)
            key = tuple(cells)
            if not inside or None in key:
                continue
            if key in seen or len(self._rows) == 1 or self._connection.execute(there, key).fetchone() is not None:
                encoded = [
                    field_encoder(value.type_oid, 0, self._zone)(cell) for value, cell in zip(values, key, strict=True)
                ]
                shown = ", ".join(text.decode("utf-8", "replace") for text in encoded)
                return f"Key ({', '.join(map(self._element, index.keys))})=({shown}) already exists."
            seen.add(key)
        return None

    def _element(self, key: IndexKey) -> str:
        """A key of an index as its definition shows it."""
        if key.column is not None:
            return key.column
        node = parse_expression(key.expression or "")
        text = deparse(node, {column.name: column.type_oid for column in self._table.columns}, pretty=True)
        return text if tree.tag(node) == "FuncCall" else f"({text})"

    def _late_duplicate(self, plan: Plan) -> HeliosError | None:
        """The error of a unique key that is checked late, when none of the foreign keys is broken."""
        error = late_duplicate(self._table) if plan.tag != "DELETE" else None
        return self._duplicate(error) if error is not None and error.sqlstate == "23505" else error

    def duplicate_of(self, index: IndexDef) -> HeliosError:
        """The error of the first row, whose key in an index another row has."""
        if index.excludes:
            return exclusion_error(index.name, self._table, None)
        return self._duplicate_of(index, self._key([key.column or "" for key in index.keys], self._rows[0]))

    def _duplicate_of(self, index: IndexDef, key: str) -> HeliosError:
        return SqlError(
            f'duplicate key value violates unique constraint "{index.name}"', sqlstate="23505",
            detail=f"{key} already exists.",
            schema=self._table.schema, table=self._table.name, constraint=index.name,
        )  # fmt: skip

    # -- foreign keys -----------------------------------------------------------------------------------------

    def _foreign_key(self, plan: Plan) -> HeliosError | None:
        own = [found for found in self._table.constraints if found.kind == "f"]
        others = keys_to(self._catalog, self._table.oid)
        for row in self._rows:
            for constraint in sorted(own, key=_order) if plan.tag != "DELETE" else ():
                found = self.orphan(row, constraint)
                if found is not None:
                    return found
            for constraint in sorted(others, key=_order) if plan.tag != "INSERT 0" else ():
                found = self._parent(row, constraint, plan.tag)
                if found is not None:
                    return found
        return None

    def broken(self, event: str, named: Relation, *, undone: bool) -> HeliosError | None:
        """The error of a row that was written and breaks a key, unless the key waits for COMMIT."""
        row, offset = self._rows[0], len(self._at) if self._was else 0
        own = [found for found in self._table.constraints if found.kind == "f" and not found.deferred]
        for constraint in sorted(own, key=_order) if event in ("INSERT", "UPDATE") else ():
            found = self.orphan(row, constraint)
            if found is not None:
                return found
        others = [found for found in keys_to(self._catalog, self._table.oid) if not found.deferred]
        for constraint in sorted(others, key=_order) if event != "INSERT" else ():
            target = self._catalog.table_def(constraint.ref_oid)
            values = self._values(row, constraint.ref_columns, offset)
            if target is None or values is None:
                continue
            if not undone and self._exists(*referred(self._catalog, constraint, target), values):
                continue
            shown = self._table.name if constraint.ref_oid == self._table.oid else named.name
            found = self._parent(row, constraint, event, shown)
            if found is not None:
                return found
        return None

    def orphan(self, row: Row, constraint: ConstraintDef) -> HeliosError | None:
        """The error of a row whose key is in no row of the other table; None when it is, or is NULL."""
        parent = self._catalog.table_def(constraint.ref_oid)
        values = self._values(row, constraint.columns)
        if parent is None or values is None or self._exists(*referred(self._catalog, constraint, parent), values):
            return None
        if parent.oid == self._table.oid and any(
            self._values(other, constraint.ref_columns) == values for other in self._rows
        ):
            return None
        return SqlError(
            f'insert or update on table "{self._table.name}" violates foreign key constraint "{constraint.name}"',
            sqlstate="23503",
            detail=f'{self._key(constraint.columns, row)} is not present in table "{parent.name}".',
            schema=self._table.schema, table=self._table.name, constraint=constraint.name,
        )  # fmt: skip

    def _parent(self, row: Row, constraint: ConstraintDef, tag: str, table: str = "") -> HeliosError | None:
        """Whether a row of another table points at the one that goes, which ``table`` names where it is not its own."""
        child = self._catalog.table_def(constraint.table_oid)
        action = constraint.on_delete if tag == "DELETE" else constraint.on_update
        offset = len(self._at) if self._was else 0
        values = self._values(row, constraint.ref_columns, offset)
        if child is None or values is None or action not in "ard" or not self._moved(row, constraint.ref_columns):
            return None
        if not self._exists(child.sqlite_name, constraint.columns, values):
            return None
        key = self._key(constraint.ref_columns, row[offset:] if offset else row)
        return self._referenced(constraint, child, key, table or self._table.name)

    def left(self, row: Row, constraint: ConstraintDef, parent: TableDef) -> HeliosError:
        """The error of a row whose parent has gone."""
        key = self._key(constraint.columns, row, constraint.ref_columns)
        return self._referenced(constraint, self._table, key, parent.name)

    def _referenced(self, constraint: ConstraintDef, child: TableDef, key: str, table: str) -> HeliosError:
        whole, shown = self._whole(constraint, child)
        return SqlError(
            f'update or delete on table "{table}" violates foreign key constraint "{whole.name}" '
            f'on table "{shown.name}"',
            sqlstate="23503", detail=f'{key} is still referenced from table "{shown.name}".',
            schema=shown.schema, table=shown.name, constraint=whole.name,
        )  # fmt: skip

    def _whole(self, constraint: ConstraintDef, child: TableDef) -> tuple[ConstraintDef, TableDef]:
        """The foreign key of the partitioned table that one of a partition belongs to, and its table."""
        above = self._catalog.parents(constraint.oid) if child.is_partition else ()
        found = self._catalog.constraint_by_oid(above[0]) if above else None
        table = self._catalog.table_def(found.table_oid) if found is not None else None
        return (constraint, child) if found is None or table is None else self._whole(found, table)


def broken_key(
    connection: apsw.Connection,
    catalog: DdlCatalog,
    changes: Iterable[tuple[Relation, Relation, str, Row | None, Row | None]],
    may_read: MayRead,
    zone: tzinfo = UTC,
    *,
    undone: bool = False,
) -> HeliosError | None:
    """The error of the first row of a statement that breaks a key which does not wait for COMMIT; None: there is none.

    ``changes``: the row's table, the one to be named, the event, the old row and the new one; MOVE of an old row that
    is in another partition now. ``undone``: what broke
    the key was refused, so that the old row is there still.
    """
    for relation, named, event, old, new in changes:
        table = catalog.table_def(relation.oid)
        if table is None:
            continue
        names = tuple(column.name for column in relation.columns)
        rows = [[*(new or ()), *(old or ())]]
        culprit = Culprit(connection, catalog, Proposed(table, "", names, event == "UPDATE"), rows, zone)
        told = culprit.broken(event, named, undone=undone)
        if told is not None:
            return told if may_read(table) else _without_values(told)
    return None


def with_detail(
    error: HeliosError,
    plan: Plan,
    binds: Sequence[Any],
    connection: apsw.Connection,
    catalog: DdlCatalog,
    may_read: MayRead,
    zone: tzinfo = UTC,
) -> HeliosError:
    """What PostgreSQL would say of a broken constraint; ``error`` itself when no more can be told.

    Who may not read the table is shown no row and no key of it (CVE-2014-8161).
    """
    if not error.sqlstate.startswith("23") or len(plan.steps) != 1:
        return error
    try:
        wanted = proposed(plan.steps[0], catalog.table_by_sqlite_name)
        if wanted is None:
            return error
        given = binds[: _parameters(wanted.sql)]
        rows = list(islice(connection.execute(wanted.sql, given), ROWS_MAX))
        told = Culprit(connection, catalog, wanted, rows, zone).improve(error, plan)
        return told if may_read(wanted.table) else _without_values(told)
    except (apsw.Error, HeliosError, ValueError, TypeError):
        # The detail is a courtesy: what keeps it from being told must not hide the error itself.
        return error


def left_orphan(
    connection: apsw.Connection,
    catalog: DdlCatalog,
    may_read: MayRead,
    zone: tzinfo = UTC,
    keys: frozenset[int] | None = None,
) -> HeliosError | None:
    """The row without a parent that keeps an open transaction from being committed; None when none is found.

    ``keys``: OIDs of the constraints that are looked at; None: all.
    """
    query = "SELECT oid FROM {}.helios_constraint WHERE contype = 'f' AND condeferrable & 1 ORDER BY oid"
    try:
        duplicate = left_duplicate(connection, catalog, may_read, zone, keys)
        if duplicate is not None:
            return duplicate
        homes = ("main", "temp") if catalog.has_temp_tables() else ("main",)
        oids = [int(str(row[0])) for home in homes for row in connection.execute(query.format(home)).fetchall()]
        wanted = oids if keys is None else [oid for oid in oids if oid in keys]
        found = [one for one in map(catalog.constraint_by_oid, wanted) if one is not None]
        return first_orphan(connection, catalog, found, may_read, zone)
    except (apsw.Error, HeliosError):
        # As for with_detail().
        return None


def first_orphan(
    connection: apsw.Connection,
    catalog: DdlCatalog,
    constraints: Iterable[ConstraintDef],
    may_read: MayRead,
    zone: tzinfo = UTC,
    above: int | None = None,
    *,
    gone: bool = False,
) -> HeliosError | None:
    """The error of a row that breaks one of these foreign keys; None when none does. It reads their tables.

    ``above``: only rows behind this number are looked at. ``gone``: it is the row it refers to that was changed.
    """
    for constraint in constraints:
        child, parent = catalog.table_def(constraint.table_oid), catalog.table_def(constraint.ref_oid)
        if child is None or parent is None:
            continue
        sql, names = _orphans(catalog, child, parent, constraint, above), tuple(column.name for column in child.columns)
        rows = connection.execute(sql).fetchall()
        if rows:
            culprit = Culprit(connection, catalog, Proposed(child, sql, names, False), rows, zone)
            told = culprit.left(rows[0], constraint, parent) if gone else culprit.orphan(rows[0], constraint)
            return told if told is None or may_read(child) else _without_values(told)
    return None


def left_duplicate(
    connection: apsw.Connection,
    catalog: DdlCatalog,
    may_read: MayRead,
    zone: tzinfo = UTC,
    keys: frozenset[int] | None = None,
) -> HeliosError | None:
    """The error of a unique key that an open transaction leaves broken; None when there is none."""
    of_these = "" if keys is None else f"AND c.oid IN ({', '.join(map(str, sorted(keys)))})"
    for db in ("main", "temp"):
        for name in LISTS.values():
            there = connection.execute(f"SELECT 1 FROM {db}.sqlite_schema WHERE name = ?", (name,)).fetchone()
            query = (
                f"SELECT c.relid, d.key, d.row FROM {db}.{name} d "
                f"JOIN {db}.helios_constraint c ON c.conindid = d.key AND c.contype <> 'f' {of_these} LIMIT 1"
            )
            found: Any = connection.execute(query).fetchone() if there else None
            if found is not None:
                return _duplicate_row(connection, catalog, found, may_read, zone)
    return None


def _duplicate_row(
    connection: apsw.Connection, catalog: DdlCatalog, found: Row, may_read: MayRead, zone: tzinfo
) -> HeliosError | None:
    """The error of a listed duplicate: the OIDs of table and index, and the row's number."""
    table = catalog.table_def(found[0])
    index = next((one for one in table.indexes if one.oid == found[1]), None) if table is not None else None
    if table is None or index is None:
        return None
    names = tuple(column.name for column in table.columns)
    query = (
        f"SELECT {', '.join(map(quote_identifier, names))} FROM {quote_identifier(table.sqlite_name)} "
        f"WHERE {row_id(as_relation(table))} = {found[2]}"
    )
    rows = connection.execute(query).fetchall()
    told = Culprit(connection, catalog, Proposed(table, query, names, False), rows, zone).duplicate_of(index)
    return told if may_read(table) else _without_values(told)


def _without_values(error: HeliosError) -> HeliosError:
    """The error for somebody who may not see the row."""
    keyless = error.sqlstate == "23503" and error.detail
    error.detail = _KEY.sub("Key ", keyless) if keyless else None
    return error


def _orphans(
    catalog: DdlCatalog, child: TableDef, parent: TableDef, constraint: ConstraintDef, above: int | None
) -> str:
    """A query for one row of ``child`` (behind the number ``above``) whose key is whole and in no row of ``parent``."""
    table, others = referred(catalog, constraint, parent)
    pairs = list(zip(map(quote_identifier, constraint.columns), map(quote_identifier, others), strict=True))
    whole = " AND ".join(f"c.{own} IS NOT NULL" for own, _ in pairs)
    equal = " AND ".join(f"p.{other} = c.{own}" for own, other in pairs)
    columns = ", ".join(f"c.{quote_identifier(column.name)}" for column in child.columns)
    if above is not None:
        whole += f" AND c.{row_id(as_relation(child))} > {above}"
    return (
        f"SELECT {columns} FROM {quote_identifier(child.sqlite_name)} AS c WHERE {whole} AND NOT EXISTS "
        f"(SELECT 1 FROM {quote_identifier(table)} AS p WHERE {equal}) LIMIT 1"
    )


def _parameters(sql: str) -> int:
    """The greatest number of a placeholder."""
    return max(
        (int(piece[: len(piece) - len(piece.lstrip("0123456789"))] or 0) for piece in sql.split("?")[1:]), default=0
    )


def _is_plain(index: IndexDef) -> bool:
    return index.unique and index.predicate is None and all(key.column is not None for key in index.keys)


def _order(constraint: ConstraintDef) -> tuple[bool, int]:
    """Keys that are checked at once come before those that wait for the COMMIT."""
    return constraint.deferred, constraint.oid
