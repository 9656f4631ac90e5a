"""A translated expression together with its PostgreSQL type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from helios_cli.engine.datatypes.composite import Shape

Node = dict[str, Any]
"""A node of libpg_query's tree: one key, the node's type, over its fields. Default values are left out."""


@dataclass(slots=True)
class TypedSql:
    """SQLite text that computes a value of one PostgreSQL type.

    ``sql`` is complete: it may stand wherever an operand may (it is parenthesised where it has to be).
    ``type_oid`` 705 (unknown) is an untyped literal or parameter that takes its type from its context.
    """

    sql: str
    type_oid: int
    typmod: int = -1
    not_null: bool = False
    """Known never to be NULL."""
    simple: bool = False
    """A column, parameter or constant: evaluating it twice costs nothing and changes nothing."""
    table_oid: int = 0
    attnum: int = 0
    """Where a plain column comes from; 0 for everything else."""
    param: int = 0
    """The number n of a bare ``$n`` whose type is still unknown, else 0."""
    literal: int = -1
    """The index of the bare literal in the statement's list of literals, else -1."""
    value: Any = None
    """For a bare literal that was not lifted, its text."""
    raw: str = ""
    """For integer and float arithmetic: the text without the range check around it, else ''."""
    location: int = -1
    """Byte offset in the statement, -1 when unknown."""
    shape: Shape | None = None
    """What a row, or an array of rows, is made of; None where the type's OID tells (``row_values.shape_of``)."""
    collation: str = ""
    """The word of a text's collation (``text_collations``), '' for the database's."""
    explicit: bool = False
    """A COLLATE clause said the collation."""
    row: tuple[TypedSql, ...] = ()
    """The fields of a row that is put together here, in the order of the shape's; empty for any other value."""


def relocated(value: TypedSql, location: int) -> TypedSql:
    """The same value named at another place of the statement."""
    # The constructor takes a tenth of the time of dataclasses.replace(), and this is done for every column named.
    return TypedSql(
        value.sql, value.type_oid, value.typmod, value.not_null, value.simple, value.table_oid, value.attnum,
        value.param, value.literal, value.value, value.raw, location, value.shape, value.collation, value.explicit,
        value.row,
    )  # fmt: skip


def changed(value: TypedSql, /, **fields: Any) -> TypedSql:
    """The same value but for some fields; ``dataclasses.replace()`` takes three times as long."""
    made = relocated(value, value.location)
    for name, field in fields.items():
        setattr(made, name, field)
    return made


def weakened(value: TypedSql) -> TypedSql:
    """The same value where it may be NULL: on the side of an outer join that is filled."""
    return changed(value, not_null=False)


def derived(value: TypedSql, sql: str) -> TypedSql:
    """The same value read from a column of a subquery."""
    return TypedSql(
        sql, value.type_oid, value.typmod, value.not_null, True, value.table_oid, value.attnum,
        location=value.location, shape=value.shape, collation=value.collation,
    )  # fmt: skip


def common_typmod(values: list[TypedSql]) -> int:
    """The modifier that all of some values of one type have, -1 when they differ."""
    return values[0].typmod if len({value.typmod for value in values}) == 1 else -1
