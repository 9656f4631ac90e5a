"""ALTER TYPE ... ADD, DROP, ALTER and RENAME ATTRIBUTE of composite types."""

from __future__ import annotations

import json
from typing import Any, Final

from helios_cli.engine.datatypes.usertypes import number_of
from helios_cli.engine.sql.ddl_build import Builder, unsupported
from helios_cli.engine.sql.ddl_columns import refuse_collation
from helios_cli.engine.sql.ddl_render import database_of, delete, update
from helios_cli.engine.sql.ddl_type_rights import check_types, refuse_itself
from helios_cli.engine.sql.ddl_types import check_own, definition_text, find_type, home_of, users_of
from helios_cli.engine.sql.plan import Plan
from helios_cli.engine.sql.relation import UserType
from helios_cli.engine.sql.sqltext import constant, quote_identifier
from helios_cli.engine.sql.typenames import resolve_type

PG_CLASS: Final = 1259

Attributes = list[list[Any]]
"""[name, type OID, typmod] of each attribute, as ``helios_type`` holds them."""


def alter_attributes(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan ALTER TYPE with its list of changes; values that are stored get or lose the attributes.

    Raises:
        SqlError: 42701 an attribute is there, 42703 it is not, 0A000 where PostgreSQL too refuses it.
    """
    found = _composite(builder, fields["relation"])
    attributes = _attributes(found)
    kept: list[int | None] = list(range(len(attributes)))
    for node in fields["cmds"]:
        _change(builder, found, attributes, kept, node["AlterTableCmd"])
    _write(builder, found, attributes)
    if kept != list(range(len(found.fields))):
        _reshape(builder, found, kept)
    return builder.finish("ALTER TYPE")


def rename_attribute(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan ALTER TYPE ... RENAME ATTRIBUTE. Raises 42703 and 42701."""
    found = _composite(builder, fields["relation"])
    attributes = _attributes(found)
    if all(known[0] != fields["subname"] for known in attributes):
        raise builder.error("42703", f'column "{fields["subname"]}" does not exist')
    at = _position(builder, found, attributes, fields["subname"])
    if any(known[0] == fields["newname"] for known in attributes):
        raise builder.error("42701", f'column "{fields["newname"]}" of relation "{found.name}" already exists')
    attributes[at][0] = fields["newname"]
    _write(builder, found, attributes)
    return builder.finish("ALTER TYPE")


def _composite(builder: Builder, range_var: dict[str, Any]) -> UserType:
    names = [range_var["schemaname"]] if "schemaname" in range_var else []
    found = find_type(builder, [*names, range_var["relname"]])
    assert found is not None
    check_own(builder, found)
    if found.kind != "c":
        raise builder.error("42809", f'"{found.name}" is not a composite type')
    return found


def _attributes(found: UserType) -> Attributes:
    return [[field.name, field.domain or field.type_oid, field.typmod] for field in found.fields]


def _position(builder: Builder, found: UserType, attributes: Attributes, name: str) -> int:
    for at, known in enumerate(attributes):
        if known[0] == name:
            return at
    raise builder.error("42703", f'column "{name}" of relation "{found.name}" does not exist')


def _change(
    builder: Builder, found: UserType, attributes: Attributes, kept: list[int | None], command: dict[str, Any]
) -> None:
    kind = command["subtype"]
    if kind == "AT_AddColumn":
        column = command["def"]["ColumnDef"]
        refuse_collation(builder, column.get("collClause"), "an attribute")
        if any(known[0] == column["colname"] for known in attributes):
            raise builder.error("42701", f'column "{column["colname"]}" of relation "{found.name}" already exists')
        type_oid, typmod = resolve_type(column["typeName"], builder.context())
        check_types(builder, type_oid)
        refuse_itself(builder, found.name, found.oid, type_oid)
        attributes.append([column["colname"], type_oid, typmod])
        kept.append(None)
    elif kind == "AT_DropColumn":
        if command.get("missing_ok") and all(known[0] != command["name"] for known in attributes):
            notice = f'column "{command["name"]}" of relation "{found.name}" does not exist, skipping'
            builder.notices.append(notice)
            return
        at = _position(builder, found, attributes, command["name"])
        del attributes[at], kept[at]
        _forget_comment(builder, found, at + 1)
    elif kind == "AT_AlterColumnType":
        at = _position(builder, found, attributes, command["name"])
        for relation, column_name, _ in users_of(builder, found.oid):
            message = f'cannot alter type "{found.name}" because column "{relation.name}.{column_name}" uses it'
            raise builder.error("0A000", message)
        type_oid, typmod = resolve_type(command["def"]["ColumnDef"]["typeName"], builder.context())
        check_types(builder, type_oid)
        refuse_itself(builder, found.name, found.oid, type_oid)
        attributes[at][1:] = type_oid, typmod
    else:
        raise unsupported("this form of ALTER TYPE")


def _forget_comment(builder: Builder, found: UserType, attnum: int) -> None:
    """The comment goes with its attribute; those of the attributes behind it go down with these."""
    temp, number = home_of(builder, found.oid), number_of(found.oid)
    builder.add(
        delete(temp, "helios_description", objoid=number, classoid=PG_CLASS, objsubid=attnum),
        f"UPDATE {database_of(temp)}.helios_description SET objsubid = objsubid - 1 "
        f"WHERE objoid = {number} AND classoid = {PG_CLASS} AND objsubid > {attnum}",
    )


def _write(builder: Builder, found: UserType, attributes: Attributes) -> None:
    text = definition_text({"fields": attributes})
    builder.add(update(home_of(builder, found.oid), "helios_type", {"definition": text}, oid=found.oid))


def _reshape(builder: Builder, found: UserType, kept: list[int | None]) -> None:
    """The steps that bring stored values into the new form. Raises 0A000 for values inside other rows."""
    for other in builder.catalog.all_types():
        if any(field.type_oid & ~1 == found.oid for field in other.fields) and users_of(builder, other.oid):
            raise unsupported(f'changing a type whose values lie in columns of type "{other.name}"')
    for relation, column, type_oid in users_of(builder, found.oid):
        if relation.kind == "v":
            continue
        name = quote_identifier(column)
        builder.add(
            f"UPDATE {quote_identifier(relation.sqlite_name)} SET {name} = pg_row_reshape({name}, "
            f"{constant(json.dumps(kept))}, {type_oid & 1}) WHERE {name} IS NOT NULL"
        )
