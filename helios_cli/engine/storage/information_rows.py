"""The rows of information_schema's views."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from helios_cli.engine.datatypes import registry
from helios_cli.engine.datatypes.typmods import numeric_parts, typmod_args
from helios_cli.engine.sql.ddl_model import ColumnDef, ConstraintDef
from helios_cli.engine.sql.relation import ColumnInfo
from helios_cli.engine.storage import collation_rows, information_grants, information_usage, routine_rows, type_rows
from helios_cli.engine.storage.qualified_text import shown_view
from helios_cli.engine.storage.relation_rows import Each, Fixed, Maker, Whole
from helios_cli.engine.storage.system_relations import SYSTEM_RELATIONS
from helios_cli.engine.storage.system_rows import DATABASE_NAME, Row, Rows
from helios_cli.engine.storage.system_snapshot import RelationRow, Snapshot
from helios_cli.engine.storage.updatable_rows import INSERT, relation_events, updatable_columns, view_flags

_BITS: Final = {21: 16, 23: 32, 20: 64, 700: 24, 701: 53}
_RULES: Final = {"a": "NO ACTION", "r": "RESTRICT", "c": "CASCADE", "n": "SET NULL", "d": "SET DEFAULT"}
_KINDS: Final = {"p": "PRIMARY KEY", "u": "UNIQUE", "c": "CHECK", "f": "FOREIGN KEY"}


def _yes(flag: bool) -> str:
    return "YES" if flag else "NO"


def tables(snapshot: Snapshot, oid: int) -> Rows:
    """Tables and views."""
    relation = snapshot.relations[oid]
    if relation.kind in ("r", "v"):
        kind = "LOCAL TEMPORARY" if relation.temp else "VIEW" if relation.kind == "v" else "BASE TABLE"
        yield {
            "table_catalog": DATABASE_NAME, "table_schema": relation.schema, "table_name": relation.name,
            "table_type": kind, "is_insertable_into": _yes(bool(relation_events(snapshot, oid) & INSERT)),
            "is_typed": "NO",
        }  # fmt: skip


def _system_tables() -> Rows:
    for system in SYSTEM_RELATIONS.values():
        yield {
            "table_catalog": DATABASE_NAME, "table_schema": system.schema, "table_name": system.name,
            "table_type": "BASE TABLE" if system.kind == "r" else "VIEW", "is_insertable_into": "NO", "is_typed": "NO",
        }  # fmt: skip


def columns(snapshot: Snapshot, oid: int) -> Rows:
    """Columns of tables and views."""
    relation = snapshot.relations[oid]
    updatable = updatable_columns(snapshot, oid)
    for column in snapshot.columns[oid]:
        yield {**_column(snapshot, relation, column), "is_updatable": _yes(column.name in updatable)}


def _system_columns() -> Rows:
    nothing = Snapshot(0)
    for system in SYSTEM_RELATIONS.values():
        owner = RelationRow(system.oid, system.schema, system.name, system.kind, 10, "", None, False)
        for info in system.columns:
            column = ColumnDef(info.name, info.type_oid, -1, info.attnum, not_null=info.not_null)
            yield _column(nothing, owner, column)


def _column(snapshot: Snapshot, relation: RelationRow, column: ColumnDef) -> Row:
    default = type_rows.shown_text(snapshot, column.default)
    row: Row = {
        "table_catalog": DATABASE_NAME, "table_schema": relation.schema, "table_name": relation.name,
        "column_name": column.name, "ordinal_position": column.attnum,
        "column_default": None if column.generated else default, "is_nullable": _yes(not column.not_null),
        "dtd_identifier": str(column.attnum), **type_rows.udt_facts(snapshot, column.type_oid, column.domain),
        "is_self_referencing": "NO", "is_identity": _yes(bool(column.identity)), "identity_cycle": "NO",
        "is_generated": "ALWAYS" if column.generated else "NEVER",
        "generation_expression": default if column.generated else None,
        "is_updatable": _yes(relation.kind == "r"),
    }  # fmt: skip
    row.update(_type_facts(column))
    row.update(collation_rows.column_facts(snapshot, column.collation))
    if column.identity:
        row.update(_identity(snapshot, relation.oid, column))
    return row


def _type_facts(column: ColumnDef | ColumnInfo) -> dict[str, Any]:
    oid, typmod = column.type_oid, column.typmod
    if oid in (1042, 1043, 1560, 1562):
        limit = typmod_args(oid, typmod)[0] if typmod >= 0 else None
        octets = (limit * 4 if limit is not None else 1073741824) if oid in (1042, 1043) else None
        return {"character_maximum_length": limit, "character_octet_length": octets}
    if oid == 25:
        return {"character_octet_length": 1073741824}
    if oid in _BITS:
        return {
            "numeric_precision": _BITS[oid], "numeric_precision_radix": 2,
            "numeric_scale": 0 if oid in (20, 21, 23) else None,
        }  # fmt: skip
    if oid == 1700:
        precision, scale = numeric_parts(typmod) if typmod >= 0 else (None, None)
        return {"numeric_precision": precision, "numeric_precision_radix": 10, "numeric_scale": scale}
    if oid in (1082, 1083, 1114, 1184, 1266, 1186):
        shown = 0 if oid == 1082 else typmod & 0xFFFF if typmod >= 0 else 6
        return {"datetime_precision": 6 if shown == 0xFFFF else shown}
    return {}


def _identity(snapshot: Snapshot, relation: int, column: ColumnDef) -> dict[str, Any]:
    sequence = snapshot.owned_sequence(relation, column.attnum)
    if sequence is None:
        return {}
    return {
        "identity_generation": "ALWAYS" if column.identity == "a" else "BY DEFAULT",
        "identity_start": str(sequence.start), "identity_increment": str(sequence.increment),
        "identity_maximum": str(sequence.maximum), "identity_minimum": str(sequence.minimum),
        "identity_cycle": _yes(sequence.cycle),
    }  # fmt: skip


def schemata(snapshot: Snapshot) -> Rows:
    """Schemas."""
    owners = {role["oid"]: role["rolname"] for role in snapshot.roles}
    for _oid, name, owner in snapshot.namespaces:
        yield {"catalog_name": DATABASE_NAME, "schema_name": name, "schema_owner": owners.get(owner)}


def _check_option(options: str | None) -> str:
    return "NONE" if not options else "LOCAL" if "=local" in options else "CASCADED"


def views(snapshot: Snapshot, oid: int) -> Rows:
    """Views with their queries."""
    relation = snapshot.views[oid]
    yield {
        "table_catalog": DATABASE_NAME, "table_schema": relation.schema, "table_name": relation.name,
        "view_definition": shown_view(snapshot, relation.oid, relation.definition or ""),
        "check_option": _check_option(relation.options),
        **view_flags(snapshot, oid),
    }  # fmt: skip


def _constraint(snapshot: Snapshot, oid: int) -> tuple[ConstraintDef, RelationRow]:
    constraint = snapshot.standard_constraints[oid]
    return constraint, snapshot.relations[constraint.table_oid]


def table_constraints(snapshot: Snapshot, oid: int) -> Rows:
    """Constraints, NOT NULL among them as PostgreSQL lists it."""
    constraint, table = _constraint(snapshot, oid)
    yield {
        "constraint_catalog": DATABASE_NAME, "constraint_schema": table.schema, "constraint_name": constraint.name,
        "table_catalog": DATABASE_NAME, "table_schema": table.schema, "table_name": table.name,
        "constraint_type": _KINDS[constraint.kind], "is_deferrable": _yes(constraint.deferrable),
        "initially_deferred": _yes(constraint.deferred), "enforced": "YES",
        "nulls_distinct": "YES" if constraint.kind == "u" else None,
    }  # fmt: skip


def _not_null(snapshot: Snapshot, oid: int) -> Iterator[tuple[str, Row]]:
    table = snapshot.relations[oid]
    for column in snapshot.columns[oid]:
        if column.not_null and table.kind == "r":
            yield column.name, {
                "constraint_catalog": DATABASE_NAME, "constraint_schema": table.schema,
                "constraint_name": f"{snapshot.schema_oid(table.schema)}_{oid}_{column.attnum}_not_null",
                "table_catalog": DATABASE_NAME, "table_schema": table.schema, "table_name": table.name,
                "constraint_type": "CHECK", "is_deferrable": "NO", "initially_deferred": "NO", "enforced": "YES",
            }  # fmt: skip


def _not_null_constraints(snapshot: Snapshot, oid: int) -> Rows:
    return (row for _name, row in _not_null(snapshot, oid))


def key_column_usage(snapshot: Snapshot, oid: int) -> Rows:
    """Columns of keys."""
    constraint, table = _constraint(snapshot, oid)
    if constraint.kind not in "puf":
        return
    for position, name in enumerate(constraint.columns, 1):
        yield {
            "constraint_catalog": DATABASE_NAME, "constraint_schema": table.schema,
            "constraint_name": constraint.name,
            "table_catalog": DATABASE_NAME, "table_schema": table.schema, "table_name": table.name,
            "column_name": name, "ordinal_position": position,
            "position_in_unique_constraint": position if constraint.kind == "f" else None,
        }  # fmt: skip


def constraint_column_usage(snapshot: Snapshot, oid: int) -> Rows:
    """Columns a constraint is about; of a foreign key the referenced ones."""
    constraint, table = _constraint(snapshot, oid)
    target = snapshot.relations.get(constraint.ref_oid, table) if constraint.kind == "f" else table
    for name in constraint.ref_columns if constraint.kind == "f" else constraint.columns:
        yield {
            "table_catalog": DATABASE_NAME, "table_schema": target.schema, "table_name": target.name,
            "column_name": name, "constraint_catalog": DATABASE_NAME, "constraint_schema": table.schema,
            "constraint_name": constraint.name,
        }  # fmt: skip


def referential_constraints(snapshot: Snapshot, oid: int) -> Rows:
    """Foreign keys."""
    constraint, table = _constraint(snapshot, oid)
    if constraint.kind != "f":
        return
    target = snapshot.relations.get(constraint.ref_index_oid)
    yield {
        "constraint_catalog": DATABASE_NAME, "constraint_schema": table.schema, "constraint_name": constraint.name,
        "unique_constraint_catalog": DATABASE_NAME, "unique_constraint_schema": target.schema if target else None,
        "unique_constraint_name": target.name if target else None,
        "match_option": "FULL" if constraint.match == "f" else "NONE", "update_rule": _RULES[constraint.on_update],
        "delete_rule": _RULES[constraint.on_delete],
    }  # fmt: skip


def check_constraints(snapshot: Snapshot, oid: int) -> Rows:
    """Checks."""
    constraint, table = _constraint(snapshot, oid)
    if constraint.kind == "c":
        yield {
            "constraint_catalog": DATABASE_NAME, "constraint_schema": table.schema,
            "constraint_name": constraint.name, "check_clause": f"({constraint.expression})",
        }  # fmt: skip


def _not_null_checks(snapshot: Snapshot, oid: int) -> Rows:
    kept = ("constraint_catalog", "constraint_schema", "constraint_name")
    for name, row in _not_null(snapshot, oid):
        yield {**{key: row[key] for key in kept}, "check_clause": f"{name} IS NOT NULL"}


def sequences(snapshot: Snapshot, oid: int) -> Rows:
    """Sequences that belong to no identity column."""
    sequence = snapshot.sequences[oid]
    if not sequence.internal:
        yield {
            "sequence_catalog": DATABASE_NAME, "sequence_schema": sequence.schema, "sequence_name": sequence.name,
            "data_type": registry.sql_type_name(sequence.type_oid), "numeric_precision": _BITS[sequence.type_oid],
            "numeric_precision_radix": 2, "numeric_scale": 0, "start_value": str(sequence.start),
            "minimum_value": str(sequence.minimum), "maximum_value": str(sequence.maximum),
            "increment": str(sequence.increment), "cycle_option": _yes(sequence.cycle),
        }  # fmt: skip


def information_schema_catalog_name() -> Rows:
    """The database's name."""
    yield {"catalog_name": DATABASE_NAME}


_WHOLE: Final[dict[str, Callable[[Snapshot], Rows]]] = {
    "collations": collation_rows.collations,
    "collation_character_set_applicability": collation_rows.applicability,
    "domains": lambda snapshot: type_rows.domains(snapshot, _type_facts),
    "domain_constraints": type_rows.domain_constraint_rows,
    "attributes": lambda snapshot: type_rows.attributes(snapshot, _type_facts),
    "user_defined_types": type_rows.user_defined_types,
    "schemata": schemata,
    "routines": lambda snapshot: iter(routine_rows.routines(snapshot)),
    "parameters": lambda snapshot: iter(routine_rows.parameters(snapshot)),
    "routine_privileges": information_grants.routine_privileges,
    "role_routine_grants": information_grants.routine_privileges,
    "enabled_roles": information_grants.enabled_roles, "applicable_roles": information_grants.applicable_roles,
}  # fmt: skip
_TABLE_PRIVILEGES: Final = (Each("relations", information_grants.table_privileges),)
_COLUMN_PRIVILEGES: Final = (Each("relations", information_grants.column_privileges),)

MAKERS: Final[dict[str, Maker]] = {
    **{name: (Whole(make),) for name, make in _WHOLE.items()},
    "tables": (Each("relations", tables), Fixed(_system_tables)),
    "columns": (Each("columns", columns), Fixed(_system_columns)),
    "views": (Each("views", views),),
    "table_constraints": (Each("standard_constraints", table_constraints), Each("columns", _not_null_constraints)),
    "key_column_usage": (Each("standard_constraints", key_column_usage),),
    "constraint_column_usage": (Each("standard_constraints", constraint_column_usage),),
    "referential_constraints": (Each("standard_constraints", referential_constraints),),
    "check_constraints": (Each("standard_constraints", check_constraints), Each("columns", _not_null_checks)),
    "sequences": (Each("sequences", sequences),),
    "triggers": (Each("table_triggers", routine_rows.triggers),),
    "information_schema_catalog_name": (Fixed(information_schema_catalog_name),),
    "table_privileges": _TABLE_PRIVILEGES, "role_table_grants": _TABLE_PRIVILEGES,
    "column_privileges": _COLUMN_PRIVILEGES, "role_column_grants": _COLUMN_PRIVILEGES,
    "constraint_table_usage": (Each("constraints", information_usage.constraint_table_usage),),
    "view_table_usage": (Each("depends_of", information_usage.view_table_usage),),
    "column_udt_usage": (Each("columns", information_usage.column_udt_usage),),
    "column_domain_usage": (Each("columns", information_usage.column_domain_usage),),
    "element_types": (Each("columns", information_usage.element_types),),
    "character_sets": (Fixed(information_usage.character_sets),),
}  # fmt: skip
"""Views of information_schema that have rows; the others are empty."""
