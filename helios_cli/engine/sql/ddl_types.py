"""CREATE, ALTER and DROP TYPE: enums and composite types."""

from __future__ import annotations

import json
from typing import Any, Final

from helios_cli.engine.datatypes.usertypes import composite_oid, enum_oid, is_temporary, number_of
from helios_cli.engine.sql import tree
from helios_cli.engine.sql.ddl_build import Builder, list_names
from helios_cli.engine.sql.ddl_columns import refuse_collation
from helios_cli.engine.sql.ddl_dropping import drop_things
from helios_cli.engine.sql.ddl_grant import give_rights
from helios_cli.engine.sql.ddl_ownership import new_owner
from helios_cli.engine.sql.ddl_render import database_of, delete, insert, refuse_temporary, update
from helios_cli.engine.sql.ddl_schema import TYPE_TABLES
from helios_cli.engine.sql.ddl_thing import TYPE, Thing
from helios_cli.engine.sql.ddl_type_rights import check_types
from helios_cli.engine.sql.plan import Plan
from helios_cli.engine.sql.privileges import PG_TYPE
from helios_cli.engine.sql.relation import Relation, UserType
from helios_cli.engine.sql.sqltext import constant
from helios_cli.engine.sql.typenames import resolve_type

LABEL_BYTES_MAX: Final = 63
CHANGED: Final = "SELECT pg_enum_changed()"
"""Makes the connection that runs the step read labels anew."""


# -- what CREATE shares ---------------------------------------------------------------------------


def new_name(builder: Builder, names: list[str]) -> tuple[str, str]:
    """Schema and name of a new type.

    Raises:
        SqlError: 3F000 no such schema, 42710 the name is taken by a type, 42P07 by a relation.
    """
    range_var: dict[str, Any] = {"relname": names[-1]}
    if len(names) > 1:
        range_var["schemaname"] = names[-2]
    schema = builder.creation_schema(range_var)
    check_free(builder, schema, names[-1])
    return schema, names[-1]


def check_free(builder: Builder, schema: str, name: str) -> None:
    """Refuse a type name that is taken, by the row type of a table too."""
    if builder.catalog.user_type(schema, name) is not None or builder.catalog.object_kind(schema, name) == "S":
        raise builder.error("42710", f'type "{name}" already exists')


def type_row(builder: Builder, oid: int, schema: str, name: str, kind: str, definition: dict[str, Any]) -> list[str]:
    """The steps that write a type down."""
    text, temp = definition_text(definition), home_of(builder, oid)
    if not temp:
        fields = [type_oid for _, type_oid, _ in definition.get("fields", ())]
        refuse_temporary(*fields, definition.get("base", 0), definition.get("parent", 0))
    return [*([] if temp else TYPE_TABLES), insert(
        temp, "helios_type", oid=oid, nspname=schema, typname=name, typtype=kind, definition=text,
        typowner=builder.catalog.acting.oid,
    )]  # fmt: skip


def home_of(builder: Builder, oid: int) -> bool:
    """Whether the system tables that hold a type are the session's, which then change."""
    temp = is_temporary(oid)
    builder.touch(temp)
    return temp


def definition_text(definition: dict[str, Any]) -> str:
    """What ``helios_type.definition`` holds."""
    return json.dumps(definition, separators=(",", ":"))


def find_type(builder: Builder, names: list[str], *, missing_ok: bool = False) -> UserType | None:
    """A type by its possibly qualified name; None only with ``missing_ok``, after a notice. Raises 42704."""
    shown = ".".join(names)
    schema = names[-2] if len(names) > 1 else None
    found = builder.catalog.user_type(schema, names[-1])
    if found is not None:
        return found
    if missing_ok:
        if schema is not None and not builder.catalog.has_schema(schema):
            builder.notices.append(f'schema "{schema}" does not exist, skipping')
        else:
            builder.notices.append(f'type "{shown}" does not exist, skipping')
        return None
    raise builder.error("42704", f'type "{shown}" does not exist')


def type_names(node: dict[str, Any]) -> list[str]:
    """The name that an object node of ALTER or DROP TYPE holds."""
    if "TypeName" in node:
        return tree.strings(node["TypeName"]["names"])
    return list_names(node)


# -- enums ----------------------------------------------------------------------------------------


def create_enum(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan CREATE TYPE ... AS ENUM.

    Raises:
        SqlError: 42710 the name is taken, 42602 a label too long, 23505 a label twice.
    """
    schema, name = new_name(builder, tree.strings(fields["typeName"]))
    labels = tree.strings(fields.get("vals", []))
    oid = enum_oid(builder.oid())
    builder.add(*type_row(builder, oid, schema, name, "e", {}))
    for place, label in enumerate(labels, 1):
        _check_label(builder, label)
        if label in labels[: place - 1]:
            message = 'duplicate key value violates unique constraint "pg_enum_typid_label_index"'
            raise builder.error("23505", message, detail=f"Key (enumtypid, enumlabel)=({oid}, {label}) already exists.")
        builder.add(_label_row(builder, oid, float(place), label))
    builder.add(CHANGED)
    return builder.finish("CREATE TYPE")


def _check_label(builder: Builder, label: str) -> None:
    if not label or len(label.encode()) > LABEL_BYTES_MAX:
        detail = f"Labels must be {LABEL_BYTES_MAX} bytes or less."
        raise builder.error("42602", f'invalid enum label "{label}"', detail=detail)


def _label_row(builder: Builder, oid: int, place: float, label: str) -> str:
    temp = home_of(builder, oid)
    return insert(temp, "helios_enum", enumtypid=oid, enumsortorder=place, enumlabel=label, oid=builder.oid(temp))


def alter_enum(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan ALTER TYPE ... ADD VALUE and RENAME VALUE.

    Raises:
        SqlError: 42704 no such type, 42809 no enum, 42710 the label is there, 22023 the neighbor is not.
    """
    found = find_type(builder, tree.strings(fields["typeName"]))
    assert found is not None
    if found.kind != "e":
        raise builder.error("42809", f"{found.name} is not an enum")
    new = fields["newVal"]
    _check_label(builder, new)
    if "oldVal" in fields:
        # The module that does it needs this one.
        from helios_cli.engine.sql.ddl_enum_labels import rename_value

        return rename_value(builder, found, fields["oldVal"], new)
    if new in found.labels:
        if fields.get("skipIfNewValExists"):
            builder.notices.append(f'enum label "{new}" already exists, skipping')
            return builder.finish("ALTER TYPE")
        raise builder.error("42710", f'enum label "{new}" already exists')
    builder.add(*_add_value(builder, found, new, fields), CHANGED)
    return builder.finish("ALTER TYPE")


def _add_value(builder: Builder, found: UserType, new: str, fields: dict[str, Any]) -> list[str]:
    """A label at the end or halfway between two; when no number is left between them all are numbered anew."""
    neighbor = fields.get("newValNeighbor")
    if neighbor is not None and neighbor not in found.labels:
        raise builder.error("22023", f'"{neighbor}" is not an existing enum label')
    labels = list(found.labels)
    place = len(labels)
    if neighbor is not None:
        place = labels.index(neighbor) + (1 if fields.get("newValIsAfter") else 0)
    labels.insert(place, new)
    temp = home_of(builder, found.oid)
    number = builder.oid(temp)
    # The real numbers of the old labels are not known here; whole ones in the new order serve as well.
    steps = [
        f"UPDATE {database_of(temp)}.helios_enum SET enumsortorder = {float(at)} "
        f"WHERE enumtypid = {found.oid} AND enumlabel = {constant(label)}"
        for at, label in enumerate(labels, 1)
        if label != new and at > place
    ]
    return [
        *steps,
        insert(temp, "helios_enum", enumtypid=found.oid, enumsortorder=float(place + 1), enumlabel=new, oid=number),
    ]


# -- composite types ------------------------------------------------------------------------------


def create_composite(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan CREATE TYPE ... AS (...).

    Raises:
        SqlError: 42710 and 42P07 the name is taken, 42701 a field twice, 42704 an unknown type.
    """
    range_var = fields["typevar"]
    names = [range_var["schemaname"]] if "schemaname" in range_var else []
    schema, name = new_name(builder, [*names, range_var["relname"]])
    listed: list[list[Any]] = []
    for node in fields.get("coldeflist", []):
        column = node["ColumnDef"]
        refuse_collation(builder, column.get("collClause"), "an attribute")
        if any(known[0] == column["colname"] for known in listed):
            raise builder.error("42701", f'column "{column["colname"]}" specified more than once')
        type_oid, typmod = resolve_type({**column["typeName"], "location": -1}, builder.context())
        check_types(builder, type_oid)
        listed.append([column["colname"], type_oid, typmod])
    oid = composite_oid(builder.oid())
    builder.add(*type_row(builder, oid, schema, name, "c", {"fields": listed}))
    return builder.finish("CREATE TYPE")


# -- renaming, moving, owners ---------------------------------------------------------------------


def rename_type(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan ALTER TYPE and ALTER DOMAIN ... RENAME TO."""
    tag = "ALTER DOMAIN" if fields["renameType"] == "OBJECT_DOMAIN" else "ALTER TYPE"
    found = find_type(builder, type_names(fields["object"]))
    assert found is not None
    check_own(builder, found)
    check_free(builder, found.schema, fields["newname"])
    builder.add(update(home_of(builder, found.oid), "helios_type", {"typname": fields["newname"]}, oid=found.oid))
    return builder.finish(tag)


def check_own(builder: Builder, found: UserType) -> None:
    """Refuse a table's row type. Raises 42809."""
    if found.relation:
        hint = "Use ALTER TABLE instead."
        raise builder.error("42809", f"{found.name} is a table's row type", hint=hint)


def move_type(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan ALTER TYPE and ALTER DOMAIN ... SET SCHEMA."""
    tag = "ALTER DOMAIN" if fields["objectType"] == "OBJECT_DOMAIN" else "ALTER TYPE"
    found = find_type(builder, type_names(fields["object"]))
    assert found is not None
    check_own(builder, found)
    schema = fields["newschema"]
    if "pg_temp" in (schema, found.schema):
        raise builder.error("0A000", "cannot move objects into or out of temporary schemas")
    if not builder.catalog.has_schema(schema):
        raise builder.error("3F000", f'schema "{schema}" does not exist')
    if builder.catalog.user_type(schema, found.name) is not None:
        raise builder.error("42710", f'type "{found.name}" already exists in schema "{schema}"')
    builder.add(update(False, "helios_type", {"nspname": schema}, oid=found.oid))
    return builder.finish(tag)


def own_type(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan ALTER TYPE and ALTER DOMAIN ... OWNER TO."""
    tag = "ALTER DOMAIN" if fields["objectType"] == "OBJECT_DOMAIN" else "ALTER TYPE"
    found = find_type(builder, type_names(fields["object"]))
    assert found is not None
    check_own(builder, found)
    owner = new_owner(builder, fields["newowner"], found.owner, found.schema)
    builder.add(update(home_of(builder, found.oid), "helios_type", {"typowner": owner}, oid=found.oid))
    give_rights(builder, (PG_TYPE, found.oid, 0), found.owner, owner)
    return builder.finish(tag)


# -- DROP -----------------------------------------------------------------------------------------


def users_of(builder: Builder, oid: int) -> list[tuple[Relation, str, int]]:
    """The columns of tables that have the type or an array of it: (table, column, the column's type)."""
    found = []
    for relation_oid, name, type_oid in builder.catalog.columns_of_type(oid):
        relation = builder.catalog.relation_by_oid(relation_oid)
        if relation is not None:
            found.append((relation, name, type_oid))
    return found


def drop_types(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan DROP TYPE and DROP DOMAIN.

    Raises:
        SqlError: 42704 missing, 2BP01 columns or types use it, without CASCADE.
    """
    tag = "DROP DOMAIN" if fields["removeType"] == "OBJECT_DOMAIN" else "DROP TYPE"
    dropping: list[UserType] = []
    for node in fields["objects"]:
        found = find_type(builder, type_names(node), missing_ok=bool(fields.get("missing_ok")))
        if found is None:
            continue
        if tag == "DROP DOMAIN" and found.kind != "d":
            raise builder.error("42809", f'"{found.name}" is not a domain')
        if found.kind == "m":
            refuse_alone(builder, found, dropping)
        if found.relation:
            hint = f"You can drop table {found.name} instead."
            message = f"cannot drop type {found.name} because table {found.name} requires it"
            raise builder.error("2BP01", message, hint=hint)
        dropping.append(found)
    drop_things(builder, [Thing(TYPE, found.oid) for found in dropping], fields)
    return builder.finish(tag)


def refuse_alone(builder: Builder, found: UserType, dropping: list[UserType]) -> None:
    """A multirange goes with its range alone. Raises 2BP01."""
    one = builder.catalog.type_by_oid(found.parent)
    if one is not None and all(known.oid != one.oid for known in dropping):
        message = f"cannot drop type {found.name} because type {one.name} requires it"
        raise builder.error("2BP01", message, hint=f"You can drop type {one.name} instead.")


def forget_type(builder: Builder, oid: int) -> None:
    """Write the steps that remove a type from the system tables."""
    temp = home_of(builder, oid)
    found = builder.catalog.type_by_oid(oid)
    checks = found.checks[len(found.checks) - found.own_checks :] if found is not None else ()
    described = (oid, number_of(oid), *(check.oid for check in checks))
    builder.add(
        delete(temp, "helios_type", oid=oid), delete(temp, "helios_enum", enumtypid=oid),
        *(delete(temp, "helios_description", objoid=one) for one in described), CHANGED,
    )  # fmt: skip
    if not temp:
        builder.add(delete(False, "helios_privilege", objid=oid))
