"""Parts of values: array elements and slices, members of jsonb, fields of rows; reading them and storing into them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from helios_cli.engine.datatypes.usertypes import is_row
from helios_cli.engine.sql import casts, hstore_parts, row_values, tree, vectors
from helios_cli.engine.sql.coercion import Context as How
from helios_cli.engine.sql.coercion import can_coerce, element_of, type_name
from helios_cli.engine.sql.expressions import TRANSLATORS, translate
from helios_cli.engine.sql.oids import HSTORE, INT4, INTEGERS, JSONB, TEXT, UNKNOWN
from helios_cli.engine.sql.relation import ColumnInfo
from helios_cli.engine.sql.scope import Scope
from helios_cli.engine.sql.typed import Node, TypedSql


def _indirection(fields: dict[str, Any], scope: Scope) -> TypedSql:
    value = translate(fields["arg"], scope)
    steps = fields["indirection"]
    while steps:
        taken = 0
        if "String" in steps[0]:
            value, taken = row_values.field(value, steps[0]["String"]["sval"], scope.ctx, value.location), 1
        elif "A_Star" in steps[0]:
            raise scope.ctx.error("42601", 'row expansion via "*" is not supported here', value.location)
        else:
            while taken < len(steps) and "A_Indices" in steps[taken]:
                taken += 1
            value = _subscripted(value, steps[:taken], scope)
        steps = steps[taken:]
    return value


def _subscripted(value: TypedSql, steps: list[Node], scope: Scope) -> TypedSql:
    """``value[1][2:3]``."""
    if not element_of(value.type_oid):
        if vectors.has_elements(value.type_oid):
            return vectors.element(value, steps, scope)
        if value.type_oid == JSONB:
            return TypedSql(
                f"pg_json_path({value.sql}, {_path(steps, scope)}, {JSONB})", JSONB, location=value.location
            )
        if value.type_oid == HSTORE:
            return hstore_parts.member(value, steps, scope)
        message = f"cannot subscript type {type_name(value.type_oid)} because it does not support subscripting"
        raise scope.ctx.error("42804", message, value.location)
    texts, slices = _limits(steps, scope)
    element = element_of(value.type_oid)
    if slices:
        return TypedSql(
            f"pg_array_slice({element}, {value.sql}, {', '.join(texts)})",
            value.type_oid,
            value.typmod,
            shape=value.shape,
        )
    text = f"pg_array_get({element}, {value.sql}, {', '.join(texts)})"
    got = TypedSql(text, element, value.typmod, location=value.location)
    return row_values.carry_shape(got, [value], scope.ctx)


def _limits(steps: list[Node], scope: Scope) -> tuple[list[str], bool]:
    """The subscripts, or, when one of them is a slice, pairs of lower and upper limit, '' for none."""
    slices = any(step["A_Indices"].get("is_slice") for step in steps)
    texts: list[str] = []
    for step in steps:
        indices = step["A_Indices"]
        if slices and not indices.get("is_slice"):
            texts += ["1", _subscript(indices["uidx"], scope)]
        elif slices:
            texts += [_subscript(indices[key], scope) if key in indices else "''" for key in ("lidx", "uidx")]
        else:
            texts.append(_subscript(indices["uidx"], scope))
    return texts, slices


def _path(steps: list[Node], scope: Scope) -> str:
    """The subscripts of a jsonb value as an array of texts. Raises 0A000 for a slice, 42804 for other types."""
    texts = []
    for step in steps:
        indices = step["A_Indices"]
        if indices.get("is_slice"):
            raise scope.ctx.error("0A000", "jsonb subscript does not support slices", -1)
        value = translate(indices["uidx"], scope)
        if value.type_oid not in (*INTEGERS, TEXT, UNKNOWN) and not can_coerce(value.type_oid, TEXT):
            hint = "jsonb subscript must be coercible to either integer or text."
            message = f"subscript type {type_name(value.type_oid)} is not supported"
            raise scope.ctx.error("42804", message, value.location, hint=hint)
        texts.append(casts.coerce(value, TEXT, -1, How.EXPLICIT, scope.ctx).sql)
    return f"pg_array({TEXT}, {', '.join(texts)})"


def _subscript(node: Node, scope: Scope) -> str:
    value = translate(node, scope)
    if not can_coerce(value.type_oid, INT4, How.ASSIGNMENT):
        raise scope.ctx.error("42804", "array subscript must have type integer", value.location)
    return casts.coerce(value, INT4, -1, How.ASSIGNMENT, scope.ctx).sql


# -- storing into a part --------------------------------------------------------------------------


@dataclass(slots=True)
class Target:
    """A column that a statement fills, whole or in parts."""

    column: ColumnInfo
    parts: list[tuple[list[Node], Node]] = field(default_factory=list)
    """(the way to the part, the expression that goes there), in the order of the statement."""


def store(current: TypedSql, way: list[Node], value: TypedSql, column: ColumnInfo, scope: Scope) -> TypedSql:
    """The value of a column after one of its parts was replaced.

    Raises:
        SqlError: 42804 the value is of the wrong type or the column has no parts, 42703 no such field.
    """
    return _store(current, way, value, column.name, (column.type_oid, column.typmod), scope)


def _store(
    current: TypedSql, way: list[Node], value: TypedSql, name: str, target: tuple[int, int], scope: Scope
) -> TypedSql:
    if not way:
        return casts.assign(value, name, *target, scope.ctx)
    if "String" in way[0]:
        return _store_field(current, way, value, name, scope)
    taken = next((at for at, step in enumerate(way) if "A_Indices" not in step), len(way))
    if current.type_oid == JSONB and taken == len(way):
        document = _as_jsonb(value, name, scope)
        numbers = "".join(str(int(_is_number(step, scope))) for step in way)
        sql = f"pg_jsonb_store({current.sql}, {_path(way, scope)}, '{numbers}', {document})"
        return TypedSql(sql, JSONB, location=value.location)
    if current.type_oid == HSTORE and taken == len(way):
        return hstore_parts.stored(current, way, value, name, scope)
    element = element_of(current.type_oid)
    if not element:
        message = f"cannot subscript type {type_name(current.type_oid)} because it does not support subscripting"
        raise scope.ctx.error("42804", message, value.location)
    limits, slices = _limits(way[:taken], scope)
    if taken < len(way):
        inner = _subscripted(current, way[:taken], scope)
        value = _store(inner, way[taken:], value, name, (inner.type_oid, -1), scope)
    wanted = current.type_oid if slices else element
    value = casts.assign(value, name, wanted, target[1], scope.ctx)
    call = "pg_array_store_slice" if slices else "pg_array_store"
    sql = f"{call}({element}, {current.sql}, {value.sql}, {', '.join(limits)})"
    return TypedSql(sql, current.type_oid, location=value.location, shape=current.shape)


def _stored_part(fields: dict[str, Any], scope: Scope) -> TypedSql:
    current = translate(fields["arg"], scope)
    name = tree.strings(fields["arg"]["ColumnRef"]["fields"])[-1]
    value = translate(fields["value"], scope)
    return _store(current, fields["way"], value, name, (current.type_oid, current.typmod), scope)


def _as_jsonb(value: TypedSql, name: str, scope: Scope) -> str:
    if value.type_oid == UNKNOWN and value.sql == "NULL":
        return "NULL"
    return casts.assign(value, name, JSONB, -1, scope.ctx).sql


def _is_number(step: Node, scope: Scope) -> bool:
    return translate(step["A_Indices"]["uidx"], scope).type_oid in INTEGERS


def _store_field(current: TypedSql, way: list[Node], value: TypedSql, name: str, scope: Scope) -> TypedSql:
    wanted = way[0]["String"]["sval"]
    shape = row_values.shape_of(current, scope.ctx)
    if not is_row(current.type_oid) or shape is None:
        message = f'cannot assign to field "{wanted}" of column "{name}" because its type '
        message += f"{type_name(current.type_oid)} is not a composite type"
        raise scope.ctx.error("42804", message, value.location)
    if all(found.name != wanted for found in shape.fields):
        message = f'cannot assign to field "{wanted}" of column "{name}" because there is no such column in data type '
        raise scope.ctx.error("42703", message + type_name(current.type_oid), value.location)
    plain = replace(current, not_null=current.not_null and bool(current.row))
    fields = []
    for position, found in enumerate(shape.fields):
        part = row_values.field_at(plain, shape, position, -1)
        if found.name == wanted:
            part = _store(part, way[1:], value, wanted, (found.type_oid, found.typmod), scope)
        fields.append(part)
    row = row_values.make_row(fields, [found.name for found in shape.fields], scope.ctx, current.type_oid)
    return replace(row, shape=shape)


def gathered(targets: list[tuple[ColumnInfo, list[Node], Node]], scope: Scope) -> list[Target]:
    """The columns of a statement's targets, parts of one column together.

    Raises:
        SqlError: 42601 a column is given twice.
    """
    found: dict[str, Target] = {}
    for column, way, node in targets:
        known = found.setdefault(column.name, Target(column))
        if known.parts and (not way or not known.parts[0][0]):
            raise scope.ctx.error("42601", f'multiple assignments to same column "{column.name}"')
        known.parts.append((way, node))
    return list(found.values())


def stored(target: Target, current: TypedSql, scope: Scope, inside: Scope | None = None) -> TypedSql:
    """The value of a column of which parts are replaced; ``inside`` is where the new parts' names are looked up."""
    for way, node in target.parts:
        current = store(current, way, translate(node, inside or scope), target.column, scope)
    return current


TRANSLATORS["A_Indirection"] = _indirection
TRANSLATORS["StoredPart"] = _stored_part
