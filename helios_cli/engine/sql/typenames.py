"""TypeName nodes to type OIDs and modifiers."""

from __future__ import annotations

from typing import Any

from helios_cli.engine.datatypes import registry
from helios_cli.engine.datatypes.typmods import typmod_of
from helios_cli.engine.datatypes.usertypes import pinned_oid
from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql import tree
from helios_cli.engine.sql.context import Context
from helios_cli.engine.sql.extensions import TYPE_EXTENSIONS


def resolve_type(type_name: dict[str, Any], ctx: Context) -> tuple[int, int]:
    """The (type OID, typmod) a TypeName's fields denote.

    Raises:
        SqlError: 42704 ``type "x" does not exist``, 22023 for a bad modifier.
    """
    names = tree.strings(type_name["names"])
    at = type_name.get("location", 0)
    found = registry.by_internal_name(names[-1]) if _is_built_in(names, ctx) else None
    if found is None:
        return _user_type(names, type_name, ctx, at)
    element_oid = found.oid
    modifiers = [_modifier(node, ctx) for node in type_name.get("typmods", [])]
    typmod = _typmod(element_oid, modifiers, ctx, at)
    if type_name.get("arrayBounds"):
        if not found.array_oid:
            raise ctx.error("42704", f"could not find array type for data type {found.sql_name}", at)
        return found.array_oid, typmod
    return element_oid, typmod


def _user_type(names: list[str], type_name: dict[str, Any], ctx: Context, at: int) -> tuple[int, int]:
    """A type of the catalog; a domain comes back as itself, not as its base type."""
    if len(names) == 3:
        names = names[1:]
    schema = names[0] if len(names) > 1 else None
    pinned = pinned_oid(names[-1])
    if pinned:
        return pinned + bool(type_name.get("arrayBounds")), -1
    found = ctx.catalog.user_type(schema, names[-1])
    if found is None and names[-1].startswith("_"):
        element = ctx.catalog.user_type(schema, names[-1][1:])
        if element is not None:
            return element.oid + 1, -1
    if found is None:
        if schema is not None and schema != "pg_catalog" and not ctx.catalog.has_schema(schema):
            raise ctx.error("3F000", f'schema "{schema}" does not exist', at)
        raise ctx.error("42704", f'type "{".".join(names)}" does not exist', at)
    if type_name.get("typmods"):
        raise ctx.error("42601", f'type modifier is not allowed for type "{found.name}"', at)
    return (found.oid + 1 if type_name.get("arrayBounds") else found.oid), -1


def _is_built_in(names: list[str], ctx: Context) -> bool:
    """Whether a name may be that of a built-in type: those of an extension are in the schema it was created in."""
    extension = TYPE_EXTENSIONS.get(names[-1])
    if extension is None:
        return len(names) == 1 or names[0] == "pg_catalog"
    created = ctx.catalog.extensions().get(extension)
    return created is not None and (len(names) == 1 or names[0] == created[1])


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
