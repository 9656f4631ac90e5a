"""SQLite's text for tables and indexes, and the rows that describe them in the system tables."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypedDict

from helios_cli.engine.datatypes import registry
from helios_cli.engine.datatypes.typmods import typmod_args
from helios_cli.engine.datatypes.usertypes import is_temporary
from helios_cli.engine.errors import FeatureNotSupported
from helios_cli.engine.sql import ddl_unique
from helios_cli.engine.sql.casts import collation_of
from helios_cli.engine.sql.ddl_checks import type_check, user_check_name
from helios_cli.engine.sql.ddl_model import ColumnDef, ConstraintDef, IndexDef, IndexKey, SequenceDef, TableDef
from helios_cli.engine.sql.oids import NUMERIC, TIME, TIMESTAMP, TIMESTAMPTZ
from helios_cli.engine.sql.sqltext import constant, quote_identifier
from helios_cli.engine.sql.text_collations import sqlite_collation, stored_word

Translate = Callable[[TableDef, str, str], str]
"""(table, PostgreSQL text, purpose) to SQLite text; purpose as in ``translate_for_column``."""

_ACTIONS = {"a": "NO ACTION", "r": "RESTRICT", "c": "CASCADE", "n": "SET NULL", "d": "NO ACTION"}
"""SET DEFAULT is the node's own: SQLite does not know the defaults."""


def database_of(temp: bool) -> str:
    """SQLite's schema that holds permanent or temporary objects."""
    return "temp" if temp else "main"


def qualified(sqlite_name: str, temp: bool) -> str:
    """A SQLite object's quoted name with its SQLite schema."""
    return f"{database_of(temp)}.{quote_identifier(sqlite_name)}"


_ROUNDED: Final = (NUMERIC, TIME, TIMESTAMP, TIMESTAMPTZ)
"""Types whose modifier changes a value rather than refuse it."""


def generation(column: ColumnDef) -> str:
    """A generation expression as it is computed: rounded to the column's modifier where it has one."""
    text = column.default or ""
    if column.type_oid not in _ROUNDED or column.typmod < 0:
        return text
    arguments = ",".join(map(str, typmod_args(column.type_oid, column.typmod)))
    name = {NUMERIC: "numeric", TIME: "time", TIMESTAMP: "timestamp", TIMESTAMPTZ: "timestamptz"}[column.type_oid]
    return f"CAST({text} AS {name}({arguments}))"


def column_clause(table: TableDef, column: ColumnDef, translate: Translate, sqlite_default: str | None = None) -> str:
    """One column of CREATE TABLE, or of ADD COLUMN.

    ``sqlite_default`` is a SQLite constant, or None for no DEFAULT clause.
    """
    parts = [quote_identifier(column.name), registry.decl_of(column.type_oid, column.typmod)]
    collation = sqlite_collation(column.collation, column.type_oid) if column.collation else ""
    collation = collation or collation_of(column.type_oid)
    if collation:
        parts.append(f"COLLATE {collation}")
    if column.not_null:
        parts.append("NOT NULL")
    if sqlite_default is not None:
        parts.append(f"DEFAULT {sqlite_default}")
    if column.generated and column.default is not None:
        parts.append(f"GENERATED ALWAYS AS ({translate(table, generation(column), 'GENERATED')}) STORED")
    check = type_check(column.name, column.type_oid, column.typmod)
    if check is not None:
        parts.append(f"CONSTRAINT {quote_identifier(check[0])} CHECK ({check[1]})")
    return " ".join(parts)


def check_clause(table: TableDef, constraint: ConstraintDef, translate: Translate) -> str:
    """A user's CHECK constraint."""
    name = quote_identifier(user_check_name(constraint.oid, constraint.name))
    return f"CONSTRAINT {name} CHECK ({translate(table, constraint.expression or '', 'CHECK')})"


def partition_check_name(oid: int) -> str:
    """SQLite's name for the condition on the rows of a partition."""
    return quote_identifier(f"23514p:{oid}")


def partition_clause(table: TableDef, translate: Translate) -> str:
    """The condition on the rows of a partition."""
    text = table.partition.check if table.partition is not None else ""
    return f"CONSTRAINT {partition_check_name(table.oid)} CHECK ({translate(table, text, 'CHECK')})"


def foreign_key_clause(constraint: ConstraintDef, referred: tuple[str, list[str]]) -> str:
    """A FOREIGN KEY constraint."""
    own = ", ".join(quote_identifier(name) for name in constraint.columns)
    other = ", ".join(quote_identifier(name) for name in referred[1])
    text = f"FOREIGN KEY ({own}) REFERENCES {quote_identifier(referred[0])} ({other})"
    if constraint.on_update != "a":
        text += f" ON UPDATE {_ACTIONS[constraint.on_update]}"
    if constraint.on_delete != "a":
        text += f" ON DELETE {_ACTIONS[constraint.on_delete]}"
    if constraint.deferrable and constraint.deferred:
        text += " DEFERRABLE INITIALLY DEFERRED"
    return text


def _match_full_clause(constraint: ConstraintDef) -> str:
    """A CHECK that the columns of a MATCH FULL key are all NULL or none is, which SQLite does not look at."""
    first, *others = (quote_identifier(name) for name in constraint.columns)
    same = " AND ".join(f"({first} IS NULL) = ({other} IS NULL)" for other in others)
    name = quote_identifier(f"23503:{constraint.oid}:{constraint.name}")
    return f"CONSTRAINT {name} CHECK ({same})"


def create_table_sql(
    table: TableDef,
    translate: Translate,
    refers_to: Callable[[ConstraintDef], tuple[str, list[str]]],
    *,
    sqlite_name: str | None = None,
    defaults: dict[str, str] | None = None,
) -> str:
    """CREATE TABLE for a definition; ``refers_to`` gives SQLite's names of a foreign key's table and columns."""
    kept = defaults or {}
    parts = [column_clause(table, column, translate, kept.get(column.name)) for column in table.columns]
    checks = [constraint for constraint in table.constraints if constraint.kind == "c"]
    # PostgreSQL checks them in the order of their names.
    parts += [check_clause(table, check, translate) for check in sorted(checks, key=lambda check: check.name)]
    for constraint in table.constraints:
        if constraint.kind == "f" and constraint.enabled:
            parts.append(foreign_key_clause(constraint, refers_to(constraint)))
            if constraint.match == "f" and len(constraint.columns) > 1:
                parts.append(_match_full_clause(constraint))
    if table.partition is not None and table.partition.check:
        parts.append(partition_clause(table, translate))
    name = qualified(sqlite_name or table.sqlite_name, table.temp)
    return f"CREATE TABLE {name} (\n  " + ",\n  ".join(parts or ['"" blob']) + "\n)"


def create_index_sql(table: TableDef, index: IndexDef, translate: Translate) -> str:
    """CREATE INDEX for a definition. INCLUDE columns follow the keys only where uniqueness is not at stake.

    A unique key that is checked late, or in which NULLs are alike, takes several statements (``ddl_unique``).
    """
    text = _create_index(table, index, translate, unique=index.unique)
    db = database_of(table.temp)
    if index.nulls_alike:
        where = translate(table, index.predicate, "PREDICATE") if index.predicate is not None else ""
        text += ";\n" + ddl_unique.nulls_index(
            table, index, db, where, [_key_text(table, key, translate) for key in index.keys]
        )
    if not index.deferrable:
        return text
    # The rows that are there must be unique already.
    drops = ddl_unique.drop_index(index, db)
    anew = _create_index(table, index, translate, unique=False)
    return ";\n".join([text, *drops, anew, *ddl_unique.triggers(table, index, db)])


def _create_index(table: TableDef, index: IndexDef, translate: Translate, *, unique: bool) -> str:
    keys = [_index_key(table, key, translate) for key in index.keys]
    if not index.unique:
        keys += [quote_identifier(name) for name in index.include]
    word = "UNIQUE " if unique else ""
    name = qualified(index.sqlite_name, table.temp)
    text = f"CREATE {word}INDEX {name} ON {quote_identifier(table.sqlite_name)} ({', '.join(keys)})"
    if index.predicate is not None:
        text += f" WHERE {translate(table, index.predicate, 'PREDICATE')}"
    return text


def _type_of(table: TableDef, key: IndexKey) -> int:
    column = table.column(key.column) if key.column is not None else None
    return column.type_oid if column is not None else 0


def _key_text(table: TableDef, key: IndexKey, translate: Translate) -> str:
    if key.column is not None:
        return quote_identifier(key.column)
    return f"({translate(table, key.expression or '', 'INDEX')})"


def _index_key(table: TableDef, key: IndexKey, translate: Translate) -> str:
    text = _key_text(table, key, translate)
    if key.collation:
        text += f" COLLATE {sqlite_collation(stored_word(key.collation), _type_of(table, key))}"
    return f"{text} DESC" if key.descending else text


# -- rows of the system tables ------------------------------------------------------------------------------------


def insert(temp: bool, table: str, **values: object) -> str:
    """An INSERT of one row into a system table."""
    return _insert(temp, table, [values])


def _insert(temp: bool, table: str, rows: Sequence[dict[str, object]]) -> str:
    """An INSERT of rows that name the same columns."""
    lists = ", ".join(f"({', '.join(_constants(row.values()))})" for row in rows)
    return f"INSERT INTO {database_of(temp)}.{table}({', '.join(rows[0])}) VALUES {lists}"


def delete(temp: bool, table: str, **where: object) -> str:
    """A DELETE by equality from a system table."""
    return f"DELETE FROM {database_of(temp)}.{table} WHERE {_conditions(where)}"


def update(temp: bool, table: str, changes: dict[str, object], **where: object) -> str:
    """An UPDATE by equality of a system table."""
    sets = ", ".join(f"{name} = {value}" for name, value in zip(changes, _constants(changes.values()), strict=True))
    return f"UPDATE {database_of(temp)}.{table} SET {sets} WHERE {_conditions(where)}"


def _constants(values: Iterable[object]) -> list[str]:
    return [constant(value) for value in values]


def _conditions(where: dict[str, object]) -> str:
    return " AND ".join(f"{name} = {constant(value)}" for name, value in where.items())


DELETE_ROWS: Final = "on_commit=delete_rows"
DROP: Final = "on_commit=drop"
"""What ``helios_relation.options`` says of temporary tables that do not keep their rows, or themselves."""


def on_commit_option(word: str) -> str | None:
    """The option for the parser's word, None for tables that stay as they are."""
    return {"ONCOMMIT_DROP": DROP, "ONCOMMIT_DELETE_ROWS": DELETE_ROWS}.get(word)


def relation_row(
    temp: bool, oid: int, schema: str, name: str, kind: str, sqlite_name: str, *,
    definition: str | None = None, options: str | None = None, owner: int = 10,
) -> str:  # fmt: skip
    """The row of ``helios_relation`` for any relation."""
    return insert(
        temp, "helios_relation", oid=oid, nspname=schema, relname=name, relkind=kind, sqlite_name=sqlite_name,
        definition=definition, options=options, relowner=owner,
    )  # fmt: skip


def declared_type(column: ColumnDef) -> str:
    """The type of SQLite's column, and the word of its collation, as the system table keeps them."""
    declared = registry.decl_of(column.type_oid, column.typmod)
    return f"{declared} COLLATE {column.collation}" if column.collation else declared


def refuse_temporary(*oids: int) -> None:
    """Raise FeatureNotSupported when something that stays is made of a session's own type."""
    if any(map(is_temporary, oids)):
        raise FeatureNotSupported(
            "a temporary type in a permanent object is not supported", hint="Create the type in a schema."
        )


def attribute_rows(temp: bool, oid: int, columns: Sequence[ColumnDef]) -> list[str]:
    """The rows of ``helios_attribute`` for some columns, all in one step; none for no columns.

    Raises FeatureNotSupported for a type that others cannot see.
    """
    if not temp:
        refuse_temporary(*(column.shown_oid for column in columns))
    rows = [_attribute(oid, column) for column in columns]
    return [_insert(temp, "helios_attribute", rows)] if rows else []


def _attribute(oid: int, column: ColumnDef) -> dict[str, object]:
    return {
        "relid": oid, "attnum": column.attnum, "attname": column.name, "typname": declared_type(column),
        "atttypid": column.shown_oid, "atttypmod": -1 if column.domain else column.typmod,
        "attnotnull": stored_not_null(column), "default_text": column.default, "attidentity": column.identity,
        "attgenerated": column.generated, "sqlite_default": int(column.sqlite_default),
    }  # fmt: skip


def stored_rules(index: IndexDef) -> int:
    """``helios_index.indisunique``."""
    return int(index.unique) | index.rules << 1


def index_rows(temp: bool, index: IndexDef) -> list[str]:
    """The rows of ``helios_relation`` and ``helios_index`` for one index."""
    return [
        relation_row(temp, index.oid, index.schema, index.name, "i", index.sqlite_name, options=index.options),
        insert(
            temp, "helios_index", oid=index.oid, relid=index.table_oid,
            indisunique=stored_rules(index),
            indisprimary=int(index.primary), method=index.method, keys=keys_json(index.keys),
            include=json.dumps(index.include), predicate=index.predicate,
        ),
    ]  # fmt: skip


def keys_json(keys: Iterable[IndexKey]) -> str:
    """Index keys as the system table stores them: lists in the record's field order, without an operator of None."""
    return json.dumps(
        [
            [key.column, key.expression, int(key.descending), int(key.nulls_first), key.opclass, key.collation]
            + ([key.operator] if key.operator is not None else [])
            for key in keys
        ]
    )


def keys_from_json(text: str) -> tuple[IndexKey, ...]:
    """The reverse of :func:`keys_json`."""
    return tuple(
        IndexKey(column, expression, bool(descending), bool(nulls_first), opclass, collation, *operator)
        for column, expression, descending, nulls_first, opclass, collation, *operator in json.loads(text)
    )


NOT_VALID: Final = 2
NOT_LOCAL: Final = 4
NO_INHERIT: Final = 8
DISABLED: Final = 16
"""Bits of ``helios_constraint.condeferrable``; the lowest is for DEFERRABLE."""
_NOT_LOCAL_COLUMN: Final = 2
"""The bit of ``helios_attribute.attnotnull`` for a column that is only inherited; the lowest is for NOT NULL."""
_DIMS_SHIFT: Final = 2
"""The bits above count the dimensions of an array."""


class ColumnFlags(TypedDict):
    """What ``helios_attribute.attnotnull`` holds of a :class:`ColumnDef`."""

    not_null: bool
    local: bool
    dims: int


def stored_deferral(constraint: ConstraintDef) -> int:
    """``helios_constraint.condeferrable``."""
    return (
        int(constraint.deferrable)
        | (0 if constraint.validated else NOT_VALID)
        | (0 if constraint.local else NOT_LOCAL)
        | (NO_INHERIT if constraint.no_inherit else 0)
        | (0 if constraint.enabled else DISABLED)
    )


def stored_not_null(column: ColumnDef) -> int:
    """``helios_attribute.attnotnull``."""
    return int(column.not_null) | (0 if column.local else _NOT_LOCAL_COLUMN) | column.dims << _DIMS_SHIFT


def column_flags(stored: int) -> ColumnFlags:
    """What :func:`stored_not_null` made a number of."""
    return {"not_null": bool(stored & 1), "local": not stored & _NOT_LOCAL_COLUMN, "dims": stored >> _DIMS_SHIFT}


def constraint_row(temp: bool, constraint: ConstraintDef) -> str:
    """The row of ``helios_constraint`` for one constraint."""
    return insert(
        temp, "helios_constraint", oid=constraint.oid, relid=constraint.table_oid, conname=constraint.name,
        contype=constraint.kind, conindid=constraint.index_oid, columns=json.dumps(constraint.columns),
        confrelid=constraint.ref_oid, confcolumns=json.dumps(constraint.ref_columns),
        confindid=constraint.ref_index_oid, confupdtype=constraint.on_update, confdeltype=constraint.on_delete,
        confmatchtype=constraint.match, condeferrable=stored_deferral(constraint),
        condeferred=int(constraint.deferred), expression=stored_expression(constraint),
    )  # fmt: skip


def stored_expression(constraint: ConstraintDef) -> str | None:
    """``helios_constraint.expression``: of a foreign key the columns that ON DELETE sets, if not all, as JSON."""
    return json.dumps(constraint.delete_columns) if constraint.delete_columns else constraint.expression


CONSTRAINT_COLUMNS: Final = (
    "oid, relid, conname, contype, columns, conindid, expression, confrelid, confcolumns, confindid, "
    "confupdtype, confdeltype, confmatchtype, condeferrable, condeferred"
)
"""What :func:`read_constraint` takes, in order."""


def read_constraint(row: Sequence[Any]) -> ConstraintDef:
    """A row of ``helios_constraint``."""
    bits, is_key = row[13], row[3] == "f"
    return ConstraintDef(
        row[0], row[1], row[2], row[3], tuple(json.loads(row[4])), row[5], None if is_key else row[6], row[7],
        tuple(json.loads(row[8])), row[9], row[10], row[11], row[12], bool(bits & 1), bool(row[14]),
        not bits & NOT_VALID, not bits & NOT_LOCAL, bool(bits & NO_INHERIT), not bits & DISABLED,
        tuple(json.loads(row[6])) if is_key and row[6] else (),
    )  # fmt: skip


NEW_EPOCH: Final = "random() >> 1"
"""Of a new sequence, by which a node remembers it: OIDs and counters come again after a rollback, this does not."""
RESTARTED: Final = f"(epoch & {-1 << 32}) | (random() & {(1 << 32) - 1})"
"""Of one that was restarted: what the node remembers of its values counts no more, but that of its sessions does."""


def sequence_rows(sequence: SequenceDef) -> list[str]:
    """The rows of ``helios_relation`` and ``helios_sequence`` for a new sequence, which has given no value yet."""
    temp = sequence.temp
    shown = f"{sequence.schema}.{sequence.name}"
    return [
        relation_row(temp, sequence.oid, sequence.schema, sequence.name, "S", f"sequence:{shown}"),
        insert(
            temp, "helios_sequence", oid=sequence.oid, seqtypid=sequence.type_oid, seqstart=sequence.start,
            seqincrement=sequence.increment, seqmin=sequence.minimum, seqmax=sequence.maximum,
            seqcache=sequence.cache, seqcycle=int(sequence.cycle), last_value=sequence.start, is_called=0,
            owner_relid=sequence.owner_oid, owner_attnum=sequence.owner_attnum,
            owner_internal=int(sequence.internal),
        ),
        f"UPDATE {database_of(temp)}.helios_sequence SET epoch = {NEW_EPOCH} WHERE oid = {sequence.oid}",
    ]  # fmt: skip
