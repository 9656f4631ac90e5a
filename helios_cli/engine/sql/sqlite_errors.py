"""SQLite's messages turned into PostgreSQL's errors.

Constraint names carry what the error needs: ``22003:integer`` for a column's type, ``23514:<oid>:<name>`` for a
user's CHECK; primary keys and unique constraints are indexes whose columns SQLite names.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from helios_cli.engine.errors import (
    DiskFull,
    FeatureNotSupported,
    HeliosError,
    IoFailed,
    LogDamaged,
    QueryCanceled,
    ReadOnlyError,
    SerializationFailure,
    SqlError,
)
from helios_cli.engine.sql.ddl_model import ConstraintDef, DdlCatalog, TableDef
from helios_cli.engine.sql.ddl_unique import NULLS
from helios_cli.engine.sql.inheritance import keys_to

_BUSY, _LOCKED, _NOMEM, _READONLY, _INTERRUPT, _IOERR, _CORRUPT = 5, 6, 7, 8, 9, 10, 11
_FULL, _TOOBIG, _CONSTRAINT, _MISMATCH = 13, 18, 19, 20

_FAILED: Final = re.compile(r"(CHECK|UNIQUE|NOT NULL) constraint failed: (.*)", re.DOTALL)
_INDEX: Final = re.compile(r"index '(.*)'")
_NO_TABLE: Final = re.compile(r"no such (?:table|view): (?:main\.|temp\.)?(.*)", re.DOTALL)
_NO_COLUMN: Final = re.compile(r"no such column: (.*)", re.DOTALL)
_REBUILT: Final = re.compile(r"helios_rebuild_(\d+)")
_GENERATED: Final = re.compile(r'cannot (INSERT into|UPDATE) generated column "(.*)"', re.DOTALL)
_RAISED: Final = re.compile(r"\s*([0-9A-Z]{5}):(.*)", re.DOTALL)
_FRAME: Final = re.compile(r"frame (starting|ending) offset must be a non-negative")
_OUT_OF_RANGE: Final = frozenset(("smallint", "integer", "bigint", "oid", "date", "time without time zone"))


def to_helios(message: str, extended_code: int, catalog: DdlCatalog | None = None, table_oid: int = 0) -> HeliosError:
    """The PostgreSQL error for one SQLite error.

    ``catalog`` finds the names of constraints; without it only what SQLite's message holds is told.
    ``table_oid`` is the table the statement wrote to, for foreign keys, of which SQLite names none; 0 unknown.
    """
    code = extended_code & 0xFF
    handler = _BY_CODE.get(code)
    if handler is not None:
        return handler(message)
    if message.startswith("ON CONFLICT clause does not match"):
        text = "there is no unique or exclusion constraint matching the ON CONFLICT specification"
        return SqlError(text, sqlstate="42P10")
    if code == _CONSTRAINT:
        return _constraint(message, catalog, table_oid)
    return _generic(message)


def _read_only(_message: str) -> HeliosError:
    return ReadOnlyError("cannot execute a write in a read-only transaction")


def _busy(_message: str) -> HeliosError:
    return SerializationFailure("could not serialize access due to concurrent update")


def _interrupted(_message: str) -> HeliosError:
    return QueryCanceled("canceling statement due to user request")


def _full(_message: str) -> HeliosError:
    return DiskFull("could not extend the database: No space left on device", hint="Check free disk space.")


def _too_big(_message: str) -> HeliosError:
    return SqlError("value exceeds the limit of 1000000000 bytes", sqlstate="54000")


def _io_error(message: str) -> HeliosError:
    return IoFailed(f"could not read or write the database file: {message}")


def _damaged(message: str) -> HeliosError:
    hint = "Stop the node and restore its data directory from a backup."
    return LogDamaged(f"the database file is damaged: {message}", hint=hint)


def _out_of_memory(_message: str) -> HeliosError:
    return HeliosError("out of memory", sqlstate="53200")


def _mismatch(_message: str) -> HeliosError:
    return SqlError("a value has another type than its column", sqlstate="42804")


_BY_CODE: Final[dict[int, Callable[[str], HeliosError]]] = {
    _BUSY: _busy,
    _LOCKED: _busy,
    _NOMEM: _out_of_memory,
    _READONLY: _read_only,
    _INTERRUPT: _interrupted,
    _IOERR: _io_error,
    _CORRUPT: _damaged,
    26: _damaged,
    _FULL: _full,
    _TOOBIG: _too_big,
    _MISMATCH: _mismatch,
}


def _constraint(message: str, catalog: DdlCatalog | None, table_oid: int) -> HeliosError:
    match = _FAILED.fullmatch(message)
    if match is None:
        if message.startswith(_EXCLUSION):
            return _excluded(message, catalog)
        if message.startswith("FOREIGN KEY"):
            return _foreign_key(catalog, table_oid)
        return SqlError("existing rows violate the new constraint", sqlstate="23514")
    kind, what = match.groups()
    if kind == "CHECK":
        return _check(what, catalog)
    if kind == "UNIQUE":
        return _unique(what, catalog)
    return _not_null(what, catalog)


_EXCLUSION: Final = "23P01:"
"""What the triggers of EXCLUDE constraints raise: this, the OID of the index, and the DETAIL (``ddl_exclusion``)."""


def _excluded(message: str, catalog: DdlCatalog | None) -> HeliosError:
    oid_text, _, detail = message.removeprefix(_EXCLUSION).partition(":")
    found = catalog.constraint_of_index(int(oid_text)) if catalog is not None else None
    table = catalog.table_def(found.table_oid) if catalog is not None and found is not None else None
    name = found.name if found is not None else "?"
    return exclusion_error(name, table, detail)


def exclusion_error(name: str, table: TableDef | None, detail: str | None) -> SqlError:
    """23P01 for a row that another one excludes."""
    return SqlError(
        f'conflicting key value violates exclusion constraint "{name}"', sqlstate="23P01", detail=detail,
        schema=table.schema if table else None, table=table.name if table else None, constraint=name,
    )  # fmt: skip


# -- CHECK --------------------------------------------------------------------------------------------------------


def _check(name: str, catalog: DdlCatalog | None) -> HeliosError:
    state, _, rest = name.partition(":")
    if state == "23514":
        return _user_check(rest, catalog)
    if state == "23514p":
        return _outside(rest, catalog)
    if state == "23503":
        return _mixed_nulls(rest, catalog)
    if state == "22001":
        return SqlError(f"value too long for type {rest}", sqlstate=state)
    if state == "22003":
        subject = "value" if rest not in _OUT_OF_RANGE and rest else rest
        return SqlError(f"{subject or 'value'} out of range", sqlstate=state)
    if state == "22P02":
        return SqlError(f"invalid value for type {rest}", sqlstate=state)
    return SqlError(f'new row violates check constraint "{name}"', sqlstate="23514", constraint=name)


def _outside(oid: str, catalog: DdlCatalog | None) -> HeliosError:
    table = catalog.table_def(int(oid)) if catalog is not None and oid.isdigit() else None
    name = table.name if table is not None else "?"
    return SqlError(
        f'new row for relation "{name}" violates partition constraint', sqlstate="23514",
        schema=table.schema if table else None, table=table.name if table else None,
    )  # fmt: skip


def _mixed_nulls(rest: str, catalog: DdlCatalog | None) -> HeliosError:
    oid_text, _, name = rest.partition(":")
    constraint = catalog.constraint_by_oid(int(oid_text)) if catalog is not None else None
    table = catalog.table_def(constraint.table_oid) if catalog is not None and constraint is not None else None
    shown = constraint.name if constraint is not None else name
    return SqlError(
        f'insert or update on table "{table.name if table else "?"}" violates foreign key constraint "{shown}"',
        sqlstate="23503", detail="MATCH FULL does not allow mixing of null and nonnull key values.",
        schema=table.schema if table else None, table=table.name if table else None, constraint=shown,
    )  # fmt: skip


def _user_check(rest: str, catalog: DdlCatalog | None) -> HeliosError:
    oid_text, _, name = rest.partition(":")
    constraint, table = None, None
    if catalog is not None and oid_text.isdigit():
        constraint = catalog.constraint_by_oid(int(oid_text))
        table = catalog.table_def(constraint.table_oid) if constraint is not None else None
    shown = constraint.name if constraint is not None else name
    if table is None:
        return SqlError(f'new row violates check constraint "{shown}"', sqlstate="23514", constraint=shown)
    return SqlError(
        f'new row for relation "{table.name}" violates check constraint "{shown}"', sqlstate="23514",
        schema=table.schema, table=table.name, constraint=shown,
    )  # fmt: skip


# -- UNIQUE and NOT NULL ------------------------------------------------------------------------------------------


def _find(what: str, catalog: DdlCatalog | None) -> tuple[TableDef | None, list[str], str]:
    """The table and columns of ``t.a, t.b``; SQLite's table names may hold dots, so every split is tried."""
    first = what.split(", ")[0]
    parts = first.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        sqlite_name = ".".join(parts[:cut])
        table = _table_of(sqlite_name, catalog)
        if table is not None:
            return table, [part[len(sqlite_name) + 1 :] for part in what.split(", ")], sqlite_name
    return None, [part.rpartition(".")[2] for part in what.split(", ")], ".".join(parts[:-1])


def _table_of(sqlite_name: str, catalog: DdlCatalog | None) -> TableDef | None:
    """The table behind a SQLite name; a table being rebuilt stands for the one it replaces."""
    if catalog is None:
        return None
    rebuilt = _REBUILT.fullmatch(sqlite_name)
    return catalog.table_def(int(rebuilt[1])) if rebuilt else catalog.table_by_sqlite_name(sqlite_name)


def _unique(what: str, catalog: DdlCatalog | None) -> HeliosError:
    match = _INDEX.fullmatch(what)
    if match is not None:
        return _duplicate(match[1], *_index_owner(match[1], catalog))
    table, columns, _sqlite_name = _find(what, catalog)
    if table is None:
        return _duplicate(f"{what.split('.')[0]}_{'_'.join(columns)}_key", None, None)
    for index in table.indexes:
        if index.unique and [key.column for key in index.keys] == columns:
            return _duplicate(index.name, table, index.name)
    # No index has these columns yet: it was being made.
    name = f"{table.name}_{'_'.join(columns)}_key"
    return SqlError(
        f'could not create unique index "{name}"', sqlstate="23505",
        detail=f"Key ({', '.join(columns)}) is duplicated.",
        schema=table.schema, table=table.name, constraint=name,
    )  # fmt: skip


_COUNTED: Final = re.compile("~[0-9]+$")
"""Behind SQLite's name of an index where another differs from it in case alone."""


def _index_owner(sqlite_name: str, catalog: DdlCatalog | None) -> tuple[TableDef | None, str | None]:
    if catalog is None:
        return None, None
    schema, _, name = sqlite_name.removeprefix(catalog.name_prefix).rpartition(".")
    name = name.removesuffix(NULLS)
    index = catalog.index_def(schema or None, name) or catalog.index_def(schema or None, _COUNTED.sub("", name))
    return (catalog.table_def(index.table_oid), index.name) if index is not None else (None, None)


def _duplicate(sqlite_name: str, table: TableDef | None, name: str | None) -> HeliosError:
    shown = name or sqlite_name.removesuffix(NULLS)
    return SqlError(
        f'duplicate key value violates unique constraint "{shown}"', sqlstate="23505",
        schema=table.schema if table else None, table=table.name if table else None, constraint=shown,
    )  # fmt: skip


def _not_null(what: str, catalog: DdlCatalog | None) -> HeliosError:
    table, columns, sqlite_name = _find(what, catalog)
    shown = table.name if table is not None else sqlite_name
    return SqlError(
        f'null value in column "{columns[0]}" of relation "{shown}" violates not-null constraint', sqlstate="23502",
        schema=table.schema if table else None, table=shown, column=columns[0],
    )  # fmt: skip


# -- FOREIGN KEY --------------------------------------------------------------------------------------------------


def _foreign_key(catalog: DdlCatalog | None, table_oid: int) -> HeliosError:
    """SQLite does not say which key failed; it is told when only one can have."""
    table = catalog.table_def(table_oid) if catalog is not None and table_oid else None
    if catalog is None or table is None:
        return SqlError("insert or update or delete violates a foreign key constraint", sqlstate="23503")
    own = [found for found in table.constraints if found.kind == "f"]
    others = [found for found in keys_to(catalog, table.oid) if found.table_oid != table.oid]
    if len(own) == 1 and not others:
        return _own_key(table, own[0])
    if len(others) == 1 and not own:
        return _other_key(catalog, table, others[0])
    return SqlError(
        f'insert or update or delete on table "{table.name}" violates a foreign key constraint', sqlstate="23503",
        schema=table.schema, table=table.name,
    )  # fmt: skip


def _own_key(table: TableDef, constraint: ConstraintDef) -> HeliosError:
    return SqlError(
        f'insert or update on table "{table.name}" violates foreign key constraint "{constraint.name}"',
        sqlstate="23503", schema=table.schema, table=table.name, constraint=constraint.name,
    )  # fmt: skip


def _other_key(catalog: DdlCatalog, table: TableDef, constraint: ConstraintDef) -> HeliosError:
    other = catalog.table_def(constraint.table_oid)
    shown = other.name if other is not None else "?"
    return SqlError(
        f'update or delete on table "{table.name}" violates foreign key constraint "{constraint.name}" '
        f'on table "{shown}"',
        sqlstate="23503", schema=other.schema if other else None, table=shown, constraint=constraint.name,
    )  # fmt: skip


# -- everything else ----------------------------------------------------------------------------------------------


_WINDOW_ARGUMENTS: Final = {
    "argument of ntile must be a positive integer": ("ntile", "22014"),
    "second argument to nth_value must be a positive integer": ("nth_value", "22016"),
}


_OFFSET: Final = re.compile(r"(frame (?:starting|ending) offset must )be a non-negative (number|integer)")
"""What SQLite says of an offset of ROWS and GROUPS (an integer) or RANGE (a number)."""


def _generic(message: str) -> HeliosError:
    frame = _FRAME.match(message)
    if frame is not None:
        return SqlError(f"frame {frame[1]} offset must not be negative", sqlstate="22013")
    raised = _RAISED.match(message)
    if raised is not None:
        return SqlError(raised[2].strip(), sqlstate=raised[1])
    if message in _WINDOW_ARGUMENTS:
        name, state = _WINDOW_ARGUMENTS[message]
        return SqlError(f"argument of {name} must be greater than zero", sqlstate=state)
    offset = _OFFSET.fullmatch(message)
    if offset is not None:
        ranged = "invalid preceding or following size in window function"
        return SqlError(ranged if offset[2] == "number" else f"{offset[1]}not be negative", sqlstate="22013")
    missing = _NO_TABLE.fullmatch(message)
    if missing is not None:
        return SqlError(f'relation "{missing[1]}" does not exist', sqlstate="42P01")
    column = _NO_COLUMN.fullmatch(message)
    if column is not None:
        return SqlError(f'column "{column[1]}" does not exist', sqlstate="42703")
    generated = _GENERATED.fullmatch(message)
    if generated is not None:
        verb = "insert a non-DEFAULT value into" if generated[1] == "INSERT into" else "update"
        return SqlError(
            f'cannot {verb} column "{generated[2]}"',
            sqlstate="428C9",
            detail=f'Column "{generated[2]}" is a generated column.',
        )
    if message.startswith("ON CONFLICT clause does not match"):
        message = "there is no unique or exclusion constraint matching the ON CONFLICT specification"
        return SqlError(message, sqlstate="42P10")
    if message == "integer overflow":
        return SqlError("bigint out of range", sqlstate="22003")
    if message.startswith(("too many", "Expression tree is too large", "parser stack overflow", "at most")):
        return FeatureNotSupported(f"the statement is too complex for the engine: {message}", sqlstate="54001")
    return HeliosError(f"internal error: {message}", sqlstate="XX000")
