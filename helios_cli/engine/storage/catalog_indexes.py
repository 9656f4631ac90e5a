"""By which columns the system relations are looked up: PostgreSQL's indexes, and what its own queries join by."""

from __future__ import annotations

from typing import Final

_PG_CATALOG: Final = """
pg_am: oid
pg_amop: amopfamily amopstrategy, amopopr, oid
pg_amproc: amprocfamily, oid
pg_aggregate: aggfnoid
pg_attrdef: adrelid adnum, oid
pg_attribute: attrelid attnum, attrelid attname, atttypid
pg_auth_members: roleid member, member roleid
pg_authid: oid, rolname
pg_cast: castsource casttarget, oid
pg_class: oid, relname relnamespace, reltype
pg_collation: oid, collname
pg_constraint: oid, conrelid contype, confrelid, contypid, conindid, conname
pg_conversion: oid
pg_database: oid
pg_default_acl: oid
pg_depend: objid classid, refobjid refclassid
pg_description: objoid classoid objsubid
pg_enum: enumtypid enumsortorder, oid
pg_extension: oid
pg_index: indexrelid, indrelid
pg_indexes: tablename schemaname, indexname
pg_init_privs: objoid classoid
pg_language: oid
pg_matviews: matviewname
pg_namespace: oid, nspname
pg_opclass: oid, opcname
pg_operator: oid, oprname
pg_opfamily: oid
pg_proc: oid, proname
pg_range: rngtypid
pg_rewrite: ev_class, oid
pg_roles: oid, rolname
pg_sequence: seqrelid
pg_shdescription: objoid classoid
pg_stat_all_indexes: indexrelid, relid
pg_stat_all_tables: relid
pg_stat_user_indexes: indexrelid, relid
pg_stat_user_tables: relid
pg_tables: tablename schemaname
pg_tablespace: oid
pg_trigger: tgrelid, oid, tgconstraint
pg_type: oid, typname typnamespace, typrelid, typelem, typarray
pg_views: viewname
"""

_INFORMATION_SCHEMA: Final = """
check_constraints: constraint_name
columns: table_name table_schema
constraint_column_usage: constraint_name, table_name
constraint_table_usage: constraint_name, table_name
key_column_usage: constraint_name, table_name
parameters: specific_name
referential_constraints: constraint_name, unique_constraint_name
routines: specific_name, routine_name
table_constraints: constraint_name, table_name
tables: table_name table_schema
views: table_name
"""


def _read(schema: str, text: str) -> dict[str, tuple[tuple[str, ...], ...]]:
    found = {}
    for line in text.strip().splitlines():
        name, _, listed = line.partition(": ")
        found[f"{schema}.{name}"] = tuple(tuple(columns.split()) for columns in listed.split(", "))
    return found


INDEXES: Final = _read("pg_catalog", _PG_CATALOG) | _read("information_schema", _INFORMATION_SCHEMA)
"""Module of a system relation -> the columns of each index of its copy (``engine.storage.catalog_tables``)."""
