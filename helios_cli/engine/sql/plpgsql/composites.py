"""Values of row types as records, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from helios_cli.engine.datatypes import registry
from helios_cli.engine.datatypes.composite import Field, Shape, join_record, literal_of, sealed, split_record, unsealed
from helios_cli.engine.datatypes.usertypes import RECORD
from helios_cli.engine.sql.plpgsql.frame import Record


def read_row(value: Any, template: Record | None = None) -> Record | None:
    """The record of a row's value; ``template`` tells its fields where the value does not. None for NULL.

    Raises:
        SqlError: a field is no value of its type.
    """
    if value is None:
        return None
    shape, literal = unsealed(value)
    names: tuple[str, ...] = ()
    types: tuple[int, ...] = ()
    if shape is not None:
        names = tuple(field.name for field in shape.fields)
        types = tuple(field.type_oid for field in shape.fields)
    elif template is not None:
        names, types = template.names, template.types
    fields = split_record(literal)
    if not names:
        names, types = tuple(f"f{number}" for number in range(1, len(fields) + 1)), (25,) * len(fields)
    parts = [*fields, *([None] * (len(names) - len(fields)))][: len(names)]
    values = [
        None if part is None else registry.by_oid(type_oid).parse_text(part)
        for part, type_oid in zip(parts, types, strict=True)
    ]
    return Record(names, types, values)


def write_row(types: Sequence[int], values: Sequence[Any]) -> str:
    """A row's value as its literal."""
    return join_record(
        None if value is None else registry.by_oid(type_oid).format_text(value).decode()
        for type_oid, value in zip(types, values, strict=True)
    )


def output_value(value: Any) -> Any:
    """The value of an OUT parameter; one of a row type is NULL where all of its fields are."""
    if not isinstance(value, Record):
        return value
    return write_row(value.types, value.values) if any(part is not None for part in value.values) else None


def row_of(record: Record) -> str | None:
    """A record as the value of a row that tells its fields; None when it is NULL as a whole."""
    if record.absent:
        return None
    fields = tuple(Field(name, type_oid, -1) for name, type_oid in zip(record.names, record.types, strict=True))
    return sealed(Shape(RECORD, fields), write_row(record.types, record.values))


def bare(value: Any) -> Any:
    """A row's value without what tells its fields to the client."""
    return literal_of(value) if value is not None else None
