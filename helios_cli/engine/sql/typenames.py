"""TypeName nodes to type OIDs and modifiers."""

from __future__ import annotations

from typing import Any

from helios_cli.engine.datatypes import registry
from helios_cli.engine.datatypes.typmods import typmod_of
from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql import tree
from helios_cli.engine.sql.context import Context


def resolve_type(type_name: dict[str, Any], ctx: Context) -> tuple[int, int]:
    """The (type OID, typmod) a TypeName's fields denote.

    Raises:
        SqlError: 42704 ``type "x" does not exist``, 22023 for a bad modifier.
    """
    names = tree.strings(type_name["names"])
    at = type_name.get("location", 0)
    found = registry.by_internal_name(names[-1]) if len(names) == 1 or names[0] == "pg_catalog" else None
    if found is None:
        raise ctx.error("42704", f'type "{".".join(names)}" does not exist', at)
    element_oid = found.oid
    modifiers = [_modifier(node, ctx) for node in type_name.get("typmods", [])]
    typmod = _typmod(element_oid, modifiers, ctx, at)
    if type_name.get("arrayBounds"):
        if not found.array_oid:
            raise ctx.error("42704", f"could not find array type for data type {found.sql_name}", at)
        return found.array_oid, typmod
    return element_oid, typmod


def _modifier(node: dict[str, Any], ctx: Context) -> int:
    fields = node.get("A_Const", {})
    value = tree.const_value(fields)
    at = fields.get("location", 0)
    ctx.bind_constant(ctx.literal_at(at, value))
    if isinstance(value, bool) or not isinstance(value, int):
        raise ctx.error("22023", "type modifiers must be simple constants or identifiers", at)
    return value


def _typmod(type_oid: int, modifiers: list[int], ctx: Context, at: int) -> int:
    try:
        return typmod_of(type_oid, modifiers, registry.by_oid(type_oid).sql_name)
    except SqlError as error:
        error.position = ctx.position(at)
        raise
