"""Rows of pg_type, pg_enum and what else in pg_catalog and information_schema describes types."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from helios_cli.engine.datatypes import registry
from helios_cli.engine.datatypes.arrays import BOX, BOX_DELIMITER
from helios_cli.engine.datatypes.io_functions import DOMAIN, layout_of
from helios_cli.engine.datatypes.pgtype import PgType
from helios_cli.engine.datatypes.range_types import multirange_of
from helios_cli.engine.datatypes.ranges import KINDS
from helios_cli.engine.datatypes.type_functions import (
    FIXED_ELEMENTS,
    analysis_function,
    modifier_functions,
    subscript_function,
)
from helios_cli.engine.datatypes.usertypes import functions_named, kind_of, named, number_of
from helios_cli.engine.sql.extensions import TYPE_EXTENSIONS
from helios_cli.engine.sql.opclasses import default_class
from helios_cli.engine.sql.relation import ColumnInfo, UserType
from helios_cli.engine.sql.sqltext import pg_identifier
from helios_cli.engine.storage import extension_names
from helios_cli.engine.storage.system_extensions import type_namespace
from helios_cli.engine.storage.system_snapshot import Snapshot

Row = dict[str, Any]
Rows = Iterator[Row]

DATABASE_NAME: Final = "heliosdb"
PG_CLASS, PG_TYPE, PG_PROC = 1259, 1247, 1255


def shown_name(snapshot: Snapshot, oid: int) -> str:
    """A user's type as format_type prints it; with its schema unless the search path shows it."""
    schema, name = type_name(snapshot, oid & ~1)
    if not name:
        return "???"
    shown = schema in snapshot.path and not is_hidden(schema, name, snapshot.path)
    text = pg_identifier(name) if shown else f"{pg_identifier(schema)}.{pg_identifier(name)}"
    return text + "[]" * (oid & 1)


def is_hidden(schema: str, name: str, path: Sequence[str]) -> bool:
    """Whether a type of a schema in ``path`` stands behind PostgreSQL's own one of that name.

    ``pg_catalog`` is searched first where the path does not name it, behind temporary types.
    """
    if registry.by_internal_name(name) is None or name in TYPE_EXTENSIONS:
        return False
    return schema != "pg_temp" and "pg_catalog" not in path[path.index(schema) :]


def type_name(snapshot: Snapshot, oid: int) -> tuple[str, str]:
    """Schema and name of a user's type or a relation's row type; two empty texts for none."""
    found = snapshot.types.get(oid)
    if found is not None:
        return found.schema, found.name
    relation = snapshot.row_types.get(oid)
    return (relation.schema, relation.name) if relation is not None else ("", "")


def shown_text(snapshot: Snapshot, text: str | None) -> str | None:
    """A stored expression with the names of types and functions as they are now."""
    if text is None:
        return None
    text = extension_names.expression_text(snapshot, text)
    text = functions_named(text, lambda oid: _function_name(snapshot, oid))
    return named(text, lambda oid: shown_name(snapshot, oid))


def _function_name(snapshot: Snapshot, oid: int) -> str:
    """A user's function; with its schema unless the search path shows it."""
    found = snapshot.routines_by_oid.get(oid)
    if found is None:
        return "???"
    name = pg_identifier(found.name)
    return name if found.schema in snapshot.path else f"{pg_identifier(found.schema)}.{name}"


def format_type(snapshot: Snapshot, oid: int, typmod: int = -1) -> str:
    """format_type() over users' types too."""
    if not kind_of(oid):
        return extension_names.type_text(snapshot, registry.format_type(oid, typmod))
    return named(registry.format_type(oid, typmod), lambda found: shown_name(snapshot, found))


def _pg_type(found: PgType, **more: Any) -> Row:
    kind = more.get("typtype", "c" if more.get("typrelid") else found.kind)
    element = found.elem_oid
    layout = layout_of(found.oid, kind, element=element)
    modifiers = modifier_functions(found.oid, element)
    names = ("typinput", "typoutput", "typreceive", "typsend")
    return {
        **{name: oid for name, (_, oid) in zip(names, layout.functions, strict=True)},
        "oid": found.oid, "typname": found.name, "typnamespace": 11, "typowner": 10, "typlen": found.typlen,
        "typbyval": layout.by_value, "typtype": found.kind, "typcategory": found.category,
        "typispreferred": int(found.preferred), "typisdefined": 1,
        "typdelim": BOX_DELIMITER if BOX in (found.oid, element) else ",",
        "typelem": element or FIXED_ELEMENTS.get(found.oid, 0), "typmodin": modifiers[0], "typmodout": modifiers[1],
        "typsubscript": subscript_function(found.oid, element),
        "typanalyze": analysis_function(found.oid, kind, element),
        "typarray": found.array_oid, "typalign": layout.align, "typstorage": layout.storage,
        "typtypmod": -1,
        "typcollation": built_in_collation(found.oid),
        **more,
    }  # fmt: skip


def built_in_collation(oid: int) -> int:
    """The OID of the collation that values of a type have, arrays that of their elements; 0: they have none."""
    found = registry.find_oid(oid)
    if found is not None and found.elem_oid:
        return built_in_collation(found.elem_oid)
    return 950 if oid == 19 else 100 if oid == 194 or (found is not None and found.category == "S") else 0


def collation_of(snapshot: Snapshot, oid: int) -> int:
    """The same of every type."""
    found = snapshot.types.get(oid)
    own = found.collation if found is not None and found.kind == "d" else 0
    return own or built_in_collation(found.base_oid if found is not None and found.kind == "d" else oid)


def known_types(snapshot: Snapshot) -> Rows:
    """PostgreSQL's own types, and those of created extensions."""
    for known in registry.TYPES.values():
        namespace = type_namespace(snapshot, known.name)
        if namespace:
            yield _pg_type(known, typnamespace=namespace)


def user_types(snapshot: Snapshot, oid: int) -> Rows:
    """A type that a user made, and the array over it."""
    found = snapshot.types[oid]
    yield from _pair(snapshot, found.oid, found.schema, found.name, found.owner, **_facts(found))


def row_types(snapshot: Snapshot, oid: int) -> Rows:
    """The row type of a table or view, and the array over it."""
    relation = snapshot.row_types[oid]
    yield from _pair(snapshot, oid, relation.schema, relation.name, relation.owner, typrelid=relation.oid)


def _pair(snapshot: Snapshot, oid: int, schema: str, name: str, owner: int, **more: Any) -> Rows:
    """A user's type and the array over it."""
    place = {"typnamespace": snapshot.schema_oid(schema), "typowner": owner}
    more["typacl"] = snapshot.acl_text(PG_TYPE, oid)
    yield _pg_type(registry.by_oid(oid), **{**place, "typname": name, "typalign": "d" if "typrelid" in more else "i",
                                            **more})  # fmt: skip
    shared = {key: value for key, value in more.items() if key == "typcollation" or (key, value) == ("typalign", "d")}
    yield _pg_type(registry.by_oid(oid + 1), **{**place, "typname": f"_{name}"[:63], **shared})


def _facts(found: UserType) -> Row:
    if found.kind == "c":
        return {"typrelid": number_of(found.oid)}
    if found.kind == "e":
        return {"typbyval": 1, "typstorage": "p"}
    base = registry.by_oid(found.base_oid)
    if found.kind in ("r", "m"):
        return {"typalign": "d" if layout_of(base.oid, "b", element=base.elem_oid).align == "d" else "i"}
    kind = kind_of(base.oid) or base.kind
    kept = layout_of(base.oid, kind, element=base.elem_oid)
    return {
        "typinput": DOMAIN[0][1], "typoutput": kept.functions[1][1],
        "typreceive": DOMAIN[1][1], "typsend": kept.functions[3][1],
        "typanalyze": analysis_function(base.oid, kind, base.elem_oid),
        "typalign": kept.align, "typstorage": kept.storage,
        "typbasetype": found.parent or found.base_oid, "typtypmod": found.base_typmod, "typlen": base.typlen,
        "typcategory": base.category, "typnotnull": int(found.not_null), "typdefault": found.default,
        "typdefaultbin": found.default, "typcollation": found.collation or built_in_collation(base.oid),
        "typbyval": int(base.typlen in (1, 2, 4, 8)),
    }  # fmt: skip


def pg_enum(snapshot: Snapshot) -> Rows:
    """Labels of enums."""
    for oid, type_oid, place, label in snapshot.labels:
        yield {"oid": oid, "enumtypid": type_oid, "enumsortorder": place, "enumlabel": label}


def built_in_ranges() -> Rows:
    """PostgreSQL's own range types with their subtypes and multiranges."""
    for kind in KINDS:
        canonical, difference = _RANGE_FUNCTIONS[kind[0]]
        yield {
            "rngtypid": kind[0], "rngsubtype": kind[3], "rngmultitypid": kind[4], "rngcollation": 0,
            "rngsubopc": default_class(kind[3]), "rngcanonical": canonical, "rngsubdiff": difference,
        }  # fmt: skip


def user_ranges(snapshot: Snapshot, oid: int) -> Rows:
    """The row of a user's range type in pg_range."""
    found = snapshot.types[oid]
    if found.made_of is not None:
        facts = found.made_of
        yield {
            "rngtypid": oid, "rngsubtype": found.parent or found.base_oid, "rngmultitypid": multirange_of(oid),
            "rngcollation": facts.collation, "rngsubopc": facts.opclass, "rngcanonical": 0,
            "rngsubdiff": facts.diff_oid or DIFFERENCES.get(facts.diff_name, 0),
        }  # fmt: skip


def range_depends(snapshot: Snapshot, oid: int) -> Rows:
    """What a user's range and its multirange depend on: each other, a domain, a function."""
    found = snapshot.types[oid]
    if found.kind == "m":
        yield _depends(oid, PG_TYPE, found.parent, "i")
    elif found.made_of is not None:
        if found.parent:
            yield _depends(oid, PG_TYPE, found.parent, "n")
        if found.made_of.diff_oid:
            yield _depends(oid, PG_PROC, found.made_of.diff_oid, "n")


def _depends(oid: int, catalog: int, on: int, kind: str) -> Row:
    return {
        "classid": PG_TYPE, "objid": oid, "objsubid": 0, "refclassid": catalog, "refobjid": on, "refobjsubid": 0,
        "deptype": kind,
    }  # fmt: skip


_RANGE_FUNCTIONS: Final = {
    3904: (3914, 3922), 3926: (3928, 3923), 3906: (0, 3924), 3912: (3915, 3925), 3908: (0, 3929), 3910: (0, 3930),
}  # fmt: skip
"""The functions that make ranges canonical and tell the difference of two bounds, by type."""
DIFFERENCES: Final = {
    "float8mi": 219, "int4range_subdiff": 3922, "int8range_subdiff": 3923, "numrange_subdiff": 3924,
    "daterange_subdiff": 3925, "tsrange_subdiff": 3929, "tstzrange_subdiff": 3930,
}  # fmt: skip
SUPPORT_NAMES: Final = {
    **{oid: name for name, oid in DIFFERENCES.items()},
    3914: "int4range_canonical", 3915: "daterange_canonical", 3928: "int8range_canonical",
}  # fmt: skip
"""The names of the functions that pg_range shows."""


def composite_types(snapshot: Snapshot) -> Iterator[UserType]:
    """Row types of their own, which pg_class lists with relkind 'c'."""
    return (found for found in snapshot.types.values() if found.kind == "c")


def domain_constraints(snapshot: Snapshot, oid: int) -> Rows:
    """CHECKs of domains in pg_constraint."""
    found = snapshot.types[oid]
    for check in found.checks[len(found.checks) - found.own_checks :]:
        yield {
            "oid": check.oid, "conname": check.name, "connamespace": snapshot.schema_oid(found.schema),
            "contype": "c", "convalidated": int(check.validated), "contypid": found.oid, "conislocal": 1,
            "conkey": None, "conbin": check.expression, "confupdtype": " ", "confdeltype": " ", "confmatchtype": " ",
        }  # fmt: skip


# -- information_schema ---------------------------------------------------------------------------


def udt_facts(snapshot: Snapshot, type_oid: int, domain: int = 0) -> Row:
    """data_type, udt_* and domain_* of a column, field or domain."""
    known = registry.find_oid(type_oid)
    is_array = bool(known and known.elem_oid)
    user = kind_of(type_oid)
    schema, name = type_name(snapshot, type_oid & ~1) if user else ("pg_catalog", known.name if known else "")
    created = snapshot.extensions.get(TYPE_EXTENSIONS.get(name, ""))
    if created is not None and not user:
        schema = created[1]
    outside = user or created is not None
    word = "ARRAY" if is_array else "USER-DEFINED" if outside else registry.sql_type_name(type_oid)
    row: Row = {
        "data_type": word, "udt_catalog": DATABASE_NAME, "udt_schema": schema,
        "udt_name": f"_{name}" if user and is_array else name,
    }  # fmt: skip
    if domain:
        domain_schema, domain_name = type_name(snapshot, domain)
        row.update(domain_catalog=DATABASE_NAME, domain_schema=domain_schema, domain_name=domain_name)
    return row


def domains(snapshot: Snapshot, facts: Callable[[ColumnInfo], Row]) -> Rows:
    """information_schema.domains; ``facts`` gives lengths and precisions of a column."""
    for found in snapshot.types.values():
        if found.kind == "d":
            base = ColumnInfo(found.name, found.base_oid, found.base_typmod)
            yield {
                "domain_catalog": DATABASE_NAME, "domain_schema": found.schema, "domain_name": found.name,
                "domain_default": shown_text(snapshot, found.default), "dtd_identifier": "1",
                **udt_facts(snapshot, found.base_oid), **facts(base),
            }  # fmt: skip


def domain_constraint_rows(snapshot: Snapshot) -> Rows:
    """information_schema.domain_constraints."""
    for found in snapshot.types.values():
        for check in found.checks[len(found.checks) - found.own_checks :]:
            yield {
                "constraint_catalog": DATABASE_NAME, "constraint_schema": found.schema, "constraint_name": check.name,
                "domain_catalog": DATABASE_NAME, "domain_schema": found.schema, "domain_name": found.name,
                "is_deferrable": "NO", "initially_deferred": "NO",
            }  # fmt: skip


def user_defined_types(snapshot: Snapshot) -> Rows:
    """information_schema.user_defined_types: composite types."""
    for found in composite_types(snapshot):
        yield {
            "user_defined_type_catalog": DATABASE_NAME, "user_defined_type_schema": found.schema,
            "user_defined_type_name": found.name, "user_defined_type_category": "STRUCTURED",
            "is_instantiable": "YES",
        }  # fmt: skip


def attributes(snapshot: Snapshot, facts: Callable[[ColumnInfo], Row]) -> Rows:
    """information_schema.attributes: fields of composite types."""
    for found in composite_types(snapshot):
        for field in found.fields:
            udt = udt_facts(snapshot, field.type_oid)
            yield {
                "udt_catalog": DATABASE_NAME, "udt_schema": found.schema, "udt_name": found.name,
                "attribute_name": field.name, "ordinal_position": field.attnum, "is_nullable": "YES",
                "dtd_identifier": str(field.attnum), "is_derived_reference_attribute": "NO",
                "data_type": udt["data_type"], "attribute_udt_catalog": DATABASE_NAME,
                "attribute_udt_schema": udt["udt_schema"], "attribute_udt_name": udt["udt_name"], **facts(field),
            }  # fmt: skip
