"""The rows of pg_catalog's relations, made from one snapshot of the catalog."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from helios_cli.engine.datatypes import registry
from helios_cli.engine.datatypes.io_functions import IO_FUNCTIONS, layout_of
from helios_cli.engine.datatypes.type_functions import TYPE_FUNCTIONS
from helios_cli.engine.datatypes.usertypes import kind_of, number_of, row_oid
from helios_cli.engine.sql.ddl_schema import INFORMATION_SCHEMA_OID
from helios_cli.engine.sql.functions.proc_oids import FUNCTIONS
from helios_cli.engine.sql.functions.strictness import is_strict
from helios_cli.engine.sql.privileges import DEFAULT_KINDS, PG_DATABASE, PG_DEFAULT_ACL, PG_NAMESPACE
from helios_cli.engine.sql.text_collations import oid_of
from helios_cli.engine.storage import (
    collation_rows,
    depend_rows,
    inherit_rows,
    made_rows,
    role_rows,
    routine_rows,
    statistics_rows,
    text_search_rows,
    type_rows,
)
from helios_cli.engine.storage.depend_rows import default_oid
from helios_cli.engine.storage.description_rows import pg_description, pg_shdescription
from helios_cli.engine.storage.dump_rows import pg_init_privs, system_acl
from helios_cli.engine.storage.policy_rows import pg_policies, pg_policy
from helios_cli.engine.storage.qualified_text import shown_view
from helios_cli.engine.storage.relation_rows import Each, Fixed, Maker, Whole
from helios_cli.engine.storage.system_aggregates import pg_aggregate
from helios_cli.engine.storage.system_amop import pg_amop
from helios_cli.engine.storage.system_casts import pg_cast
from helios_cli.engine.storage.system_definitions import indexdef
from helios_cli.engine.storage.system_extensions import (
    pg_available_extension_versions,
    pg_available_extensions,
    pg_extension,
)
from helios_cli.engine.storage.system_opclasses import (
    ACCESS_METHODS,
    exclusion_operators,
    free_name,
    key_class,
    key_collation,
    key_name,
    stored_type,
)
from helios_cli.engine.storage.system_operators import pg_operator
from helios_cli.engine.storage.system_opfamilies import (
    extension_classes,
    extension_families,
    pg_amproc,
    pg_opclass,
    pg_opfamily,
)
from helios_cli.engine.storage.system_relations import SYSTEM_RELATIONS
from helios_cli.engine.storage.system_snapshot import RelationRow, Snapshot

Row = dict[str, Any]
Rows = Iterator[Row]

DATABASE_NAME: Final = "heliosdb"
PG_CLASS, PG_CONSTRAINT = 1259, 2606


def _array(values: list[Any]) -> str:
    return "{" + ",".join(str(value) for value in values) + "}"


def _catalog_schema(schema: str) -> int:
    return 11 if schema == "pg_catalog" else 13000


def _class_base(oid: int, name: str, namespace: int, kind: str, owner: int, natts: int) -> Row:
    return {
        "oid": oid, "relname": name, "relnamespace": namespace, "relowner": owner,
        "relam": 403 if kind == "i" else 2 if kind in "rm" else 0,
        "relfilenode": oid, "reltuples": -1.0, "relkind": kind, "relpersistence": "p", "relnatts": natts,
        "relispopulated": 1, "relreplident": "d" if kind in "rm" else "n", "relfrozenxid": 3, "relminmxid": 1,
    }  # fmt: skip


def _relation_class(snapshot: Snapshot, oid: int) -> Rows:
    """The row of a table, view, index or sequence in pg_class."""
    relation = snapshot.relations[oid]
    kind = relation.kind.lower() if relation.kind == "M" else relation.kind
    index = snapshot.indexes[oid] if kind == "i" else None
    columns = snapshot.columns.get(oid, ())
    natts = max((one.attnum for one in columns), default=0) if index is None else len(index.keys) + len(index.include)
    row = _class_base(oid, relation.name, snapshot.schema_oid(relation.schema), kind, relation.owner, natts)
    if kind == "i":
        row["relam"] = ACCESS_METHODS.get(snapshot.indexes[oid].method, 403)
        # What PostgreSQL notes of an index that it has made over an empty table.
        row["reltuples"], row["relpages"] = 0.0, 1
    row["reloptions"] = None if relation.temp else relation.options
    row["relacl"] = snapshot.acl_text(PG_CLASS, oid)
    row["relrowsecurity"], row["relforcerowsecurity"] = map(int, snapshot.securities.get(oid, (False, False, ()))[:2])
    row["relpersistence"] = "t" if relation.temp else "p"
    row["relhasindex"] = int(oid in snapshot.table_indexes)
    row["relchecks"] = sum(constraint.kind == "c" for constraint in snapshot.table_constraints.get(oid, ()))
    row["relhasrules"] = int(kind in "vmM")
    row["relispopulated"] = int(relation.kind != "M")
    row["relhastriggers"] = int(oid in snapshot.table_triggers or _has_foreign_key(snapshot, oid))
    row["reltype"] = row_oid(oid) if kind in ("r", "v", "m") else 0
    row["relhassubclass"] = int(oid in snapshot.children)
    row.update(inherit_rows.parted_class(snapshot, oid, kind))
    yield row


def _has_foreign_key(snapshot: Snapshot, oid: int) -> bool:
    """Whether a foreign key leads from a table or to it, which is a trigger in PostgreSQL."""
    if oid in snapshot.referencing or any(found.kind == "f" for found in snapshot.table_constraints.get(oid, ())):
        return True
    part = snapshot.partitions.get(oid)
    above = snapshot.parents.get(oid, ()) if part is not None and part.bound else ()
    return any(_has_foreign_key(snapshot, parent) for parent in above)


def _composite_class(snapshot: Snapshot) -> Rows:
    for composite in type_rows.composite_types(snapshot):
        namespace, number = snapshot.schema_oid(composite.schema), number_of(composite.oid)
        row = _class_base(number, composite.name, namespace, "c", composite.owner, len(composite.fields))
        yield {**row, "reltype": composite.oid}


def _system_class() -> Rows:
    for system in SYSTEM_RELATIONS.values():
        row = _class_base(system.oid, system.name, _catalog_schema(system.schema), system.kind, 10, len(system.columns))
        yield {**row, "relhasrules": int(system.kind == "v"), "relacl": system_acl(system.name)}


def _attribute(relation: int, name: str, type_oid: int, typmod: int, attnum: int, base: int = 0) -> Row:
    """A row of pg_attribute; ``base`` is what a domain is over."""
    found = registry.find_oid(type_oid)
    kept = registry.find_oid(base or type_oid)
    return {
        "attrelid": relation, "attname": name, "atttypid": type_oid, "atttypmod": typmod, "attnum": attnum,
        "attlen": found.typlen if found else -1, "attcacheoff": -1,
        "attstorage": layout_of(kept.oid, kind_of(kept.oid), element=kept.elem_oid).storage if kept else "p",
        "attalign": "i", "attislocal": 1, "attstattarget": -1, "attidentity": "",
        "attcollation": type_rows.built_in_collation(base or type_oid), "attgenerated": "", "attcompression": "",
    }  # fmt: skip


def _column_attributes(snapshot: Snapshot, oid: int) -> Rows:
    """The columns of a relation in pg_attribute, and what PostgreSQL leaves in the place of each that was dropped."""
    number = 0
    for column in snapshot.columns[oid]:
        for gone in range(number + 1, column.attnum):
            row = _attribute(oid, f"........pg.dropped.{gone}........", 0, -1, gone)
            yield {**row, "attstattarget": 0, "attisdropped": 1}
        number = column.attnum
        typmod = -1 if column.domain else column.typmod
        row = _attribute(oid, column.name, column.shown_oid, typmod, column.attnum, column.type_oid)
        row.update(
            attnotnull=int(column.not_null), atthasdef=int(column.default is not None), attidentity=column.identity,
            attgenerated=column.generated, attislocal=int(column.local), attndims=column.dims,
            attinhcount=inherit_rows.column_parents(snapshot, oid, column.name),
            attcollation=oid_of(column.collation)
            if column.collation else type_rows.collation_of(snapshot, column.shown_oid),
            attacl=snapshot.acl_text(PG_CLASS, oid, column.attnum)
            if (PG_CLASS, oid, column.attnum) in snapshot.acls else None,
        )  # fmt: skip
        yield row


def _composite_attributes(snapshot: Snapshot) -> Rows:
    for composite in type_rows.composite_types(snapshot):
        for field in composite.fields:
            number = number_of(composite.oid)
            shown = field.domain or field.type_oid
            yield _attribute(number, field.name, shown, field.typmod, field.attnum, field.type_oid)


def _system_attributes() -> Rows:
    for system in SYSTEM_RELATIONS.values():
        for info in system.columns:
            row = _attribute(system.oid, info.name, info.type_oid, -1, info.attnum)
            yield {**row, "attnotnull": int(info.not_null)}


def _index_attributes(snapshot: Snapshot, oid: int) -> Rows:
    index = snapshot.indexes[oid]
    types = {column.name: column for column in snapshot.columns.get(index.table_oid, ())}
    taken: set[str] = set()
    for position, key in enumerate(index.keys, 1):
        column = types.get(key.column or "")
        stored = stored_type(snapshot, index, key)
        typmod = column.typmod if column and stored == column.type_oid else -1
        row = _attribute(index.oid, key_name(snapshot, key, taken), stored, typmod, position)
        yield {**row, "attcollation": key_collation(snapshot, index, key)}
    for position, name in enumerate(index.include, len(index.keys) + 1):
        column = types[name]
        typmod = -1 if column.domain else column.typmod
        shown = free_name(name, taken)
        row = _attribute(index.oid, shown, column.shown_oid, typmod, position, column.type_oid)
        yield {**row, "attcollation": 0}


def pg_namespace(snapshot: Snapshot) -> Rows:
    """Schemas."""
    for oid, name, owner in snapshot.namespaces:
        yield {"oid": oid, "nspname": name, "nspowner": owner, "nspacl": snapshot.acl_text(PG_NAMESPACE, oid)}


def pg_index(snapshot: Snapshot, oid: int) -> Rows:
    """Indexes."""
    index = snapshot.indexes[oid]
    numbers = [snapshot.attnum(index.table_oid, key.column) if key.column else 0 for key in index.keys]
    numbers += [snapshot.attnum(index.table_oid, name) for name in index.include]
    options = [int(key.descending) | (2 if key.nulls_first else 0) for key in index.keys]
    expressions = [key.expression for key in index.keys if key.expression is not None]
    yield {
        "indexrelid": index.oid, "indrelid": index.table_oid, "indnatts": len(numbers),
        "indnkeyatts": len(index.keys),
        "indisunique": int(index.unique), "indisprimary": int(index.primary),
        "indimmediate": int(not index.deferrable), "indisexclusion": int(index.excludes),
        "indnullsnotdistinct": int(index.nulls_alike), "indisvalid": int(not index.incomplete),
        "indisready": 1, "indislive": 1, "indkey": " ".join(map(str, numbers)), "indoption": " ".join(map(str,
        options)),
        "indcollation": " ".join(str(key_collation(snapshot, index, key)) for key in index.keys),
        "indclass": " ".join(str(key_class(snapshot, index, key)) for key in index.keys),
        "indexprs": ", ".join(expressions) or None, "indpred": index.predicate,
    }  # fmt: skip


def pg_constraint(snapshot: Snapshot, oid: int) -> Rows:
    """Constraints."""
    constraint = snapshot.constraints[oid]
    table, relation = constraint.table_oid, snapshot.relations[constraint.table_oid]
    numbers = [snapshot.attnum(table, name) if name else 0 for name in constraint.columns]
    to_set = [snapshot.attnum(table, name) for name in constraint.delete_columns]
    foreign = [snapshot.attnum(constraint.ref_oid, name) for name in constraint.ref_columns]
    yield {
        "oid": constraint.oid, "conname": constraint.name, "connamespace": snapshot.schema_oid(relation.schema),
        "contype": constraint.kind, "condeferrable": int(constraint.deferrable),
        "condeferred": int(constraint.deferred), "convalidated": int(constraint.validated), "conrelid": table,
        "conindid": constraint.index_oid or constraint.ref_index_oid,
        "confrelid": constraint.ref_oid, "confupdtype": constraint.on_update if constraint.kind == "f" else " ",
        "confdeltype": constraint.on_delete if constraint.kind == "f" else " ",
        "confmatchtype": constraint.match if constraint.kind == "f" else " ",
        "conislocal": int(constraint.local), "conparentid": inherit_rows.key_parent(snapshot, constraint),
        "coninhcount": inherit_rows.inherited_count(snapshot, constraint),
        "connoinherit": int(inherit_rows.is_own(snapshot, constraint)),
        "conexclop": _array(operators) if (operators := exclusion_operators(snapshot, constraint)) else None,
        "conkey": _array(numbers), "confkey": _array(foreign) if foreign else None, "conbin": constraint.expression,
        "confdelsetcols": _array(to_set) if to_set else None,
    }  # fmt: skip


def pg_attrdef(snapshot: Snapshot, relation: int) -> Rows:
    """Defaults and generation expressions of a relation."""
    for column in snapshot.columns[relation]:
        if column.default is not None:
            oid = default_oid(relation, column.attnum)
            yield {"oid": oid, "adrelid": relation, "adnum": column.attnum, "adbin": column.default}


def pg_sequence(snapshot: Snapshot, oid: int) -> Rows:
    """Parameters of sequences."""
    sequence = snapshot.sequences[oid]
    yield {
        "seqrelid": sequence.oid, "seqtypid": sequence.type_oid, "seqstart": sequence.start,
        "seqincrement": sequence.increment, "seqmax": sequence.maximum, "seqmin": sequence.minimum,
        "seqcache": sequence.cache, "seqcycle": int(sequence.cycle),
    }  # fmt: skip


def pg_default_acl(snapshot: Snapshot) -> Rows:
    """What ALTER DEFAULT PRIVILEGES has set."""
    letters = {number: letter for letter, number in DEFAULT_KINDS.items()}
    for class_oid, role, key in sorted(snapshot.acls):
        if class_oid == PG_DEFAULT_ACL:
            yield {
                "oid": role << 8 | key & 0xFF, "defaclrole": role, "defaclnamespace": key // 8,
                "defaclobjtype": letters.get(key % 8, "r"), "defaclacl": snapshot.acl_text(class_oid, role, key),
            }  # fmt: skip


def pg_database(snapshot: Snapshot) -> Rows:
    """The databases."""
    for one in snapshot.databases:
        yield {
            "oid": one.oid, "datname": one.name, "datdba": one.owner, "encoding": 6, "datlocprovider": "c",
            "datistemplate": int(one.is_template), "datallowconn": int(one.allows_connections),
            "datconnlimit": one.connection_limit, "datfrozenxid": 3, "datminmxid": 1, "dattablespace": 1663,
            "datcollate": "C", "datctype": "C.UTF-8", "datacl": snapshot.acl_text(PG_DATABASE, one.oid),
        }  # fmt: skip


def _role_name(snapshot: Snapshot, oid: int) -> str:
    return snapshot.role_names.get(oid, f"unknown (OID={oid})")


def pg_tables(snapshot: Snapshot, oid: int) -> Rows:
    """Tables."""
    relation = snapshot.tables[oid]
    yield {
        "schemaname": relation.schema, "tablename": relation.name, "tableowner": _role_name(snapshot, relation.owner),
        "hasindexes": int(oid in snapshot.table_indexes), "hasrules": 0, "rowsecurity": 0,
        "hastriggers": int(oid in snapshot.table_triggers or _has_foreign_key(snapshot, oid)),
    }  # fmt: skip


def _system_tables(snapshot: Snapshot) -> Rows:
    for system in SYSTEM_RELATIONS.values():
        if system.kind == "r":
            yield {
                "schemaname": system.schema, "tablename": system.name, "tableowner": _role_name(snapshot, 10),
                "hasindexes": 1, "hasrules": 0, "hastriggers": 0, "rowsecurity": 0,
            }  # fmt: skip


def _of_kind(snapshot: Snapshot, kind: str) -> Iterator[RelationRow]:
    return (relation for relation in snapshot.relations.values() if relation.kind == kind)


def pg_views(snapshot: Snapshot, oid: int) -> Rows:
    """Views with their queries."""
    relation = snapshot.views[oid]
    yield {
        "schemaname": relation.schema, "viewname": relation.name, "viewowner": _role_name(snapshot, relation.owner),
        "definition": shown_view(snapshot, relation.oid, relation.definition or ""),
    }  # fmt: skip


def pg_matviews(snapshot: Snapshot) -> Rows:
    """Materialized views with their queries."""
    for kind in "mM":
        for relation in _of_kind(snapshot, kind):
            yield {
                "schemaname": relation.schema, "matviewname": relation.name,
                "matviewowner": _role_name(snapshot, relation.owner),
                "hasindexes": int(relation.oid in snapshot.table_indexes), "ispopulated": int(kind == "m"),
                "definition": shown_view(snapshot, relation.oid, relation.definition or ""),
            }  # fmt: skip


def pg_indexes(snapshot: Snapshot, oid: int) -> Rows:
    """Indexes with their definitions."""
    index = snapshot.indexes[oid]
    table = snapshot.relations[index.table_oid]
    yield {
        "schemaname": table.schema, "tablename": table.name, "indexname": index.name,
        "indexdef": indexdef(snapshot, index.oid),
    }  # fmt: skip


def pg_sequences(snapshot: Snapshot, values: dict[int, tuple[int, bool]]) -> Rows:
    """Sequences with their values."""
    for sequence in snapshot.sequences.values():
        value, called = values[sequence.oid]
        yield {
            "schemaname": sequence.schema, "sequencename": sequence.name, "data_type": sequence.type_oid,
            "sequenceowner": _role_name(snapshot, snapshot.relations[sequence.oid].owner),
            "start_value": sequence.start,
            "min_value": sequence.minimum, "max_value": sequence.maximum, "increment_by": sequence.increment,
            "cycle": int(sequence.cycle), "cache_size": sequence.cache, "last_value": value if called else None,
        }  # fmt: skip


def pg_am(snapshot: Snapshot) -> Rows:
    """Access methods."""
    yield {"oid": 2, "amname": "heap", "amtype": "t"}
    for name, oid in ACCESS_METHODS.items():
        if name != "bloom" or name in snapshot.extensions:
            yield {"oid": oid, "amname": name, "amtype": "i"}


def pg_tablespace() -> Rows:
    """The two tablespaces every server has."""
    yield {"oid": 1663, "spcname": "pg_default", "spcowner": 10}
    yield {"oid": 1664, "spcname": "pg_global", "spcowner": 10}


def pg_language(snapshot: Snapshot) -> Rows:
    """Languages of functions."""
    yield from routine_rows.languages(snapshot)


def pg_trigger(snapshot: Snapshot, oid: int) -> Rows:
    """Triggers of users."""
    yield routine_rows.trigger_row(snapshot, snapshot.triggers_by_oid[oid])


def _trigger_constraint(snapshot: Snapshot, oid: int) -> Rows:
    """Constraint triggers in pg_constraint."""
    row = routine_rows.constraint_row(snapshot, snapshot.triggers_by_oid[oid])
    if row is not None:
        yield row


def _user_functions(snapshot: Snapshot, oid: int) -> Rows:
    yield routine_rows.proc_row(snapshot, snapshot.routines_by_oid[oid])


def _library_functions() -> Rows:
    """The functions of the library in pg_proc."""
    for oid, function in FUNCTIONS.items():
        volatility = "v" if function.volatile else "s" if function.stable else "i"
        yield {
            "oid": oid, "proname": function.name, "proowner": 10, "prolang": 12, "procost": 1.0,
            "pronamespace": 11 if function.schema == "pg_catalog" else INFORMATION_SCHEMA_OID,
            "prokind": "a" if function.aggregate else "w" if function.window else "f",
            "proretset": int(function.set_returning), "provolatile": volatility, "proparallel": "s",
            "proisstrict": int(is_strict(function)),
            "pronargs": len(function.args), "pronargdefaults": function.defaults, "prorettype": function.result,
            "proargtypes": " ".join(map(str, function.args)), "prosrc": function.name,
            "provariadic": function.args[-1] if function.variadic else 0,
        }  # fmt: skip
    for name, (oid, (args, result)) in (*IO_FUNCTIONS.items(), *TYPE_FUNCTIONS.items()):
        volatility = "s" if name.endswith("typanalyze") else "i"
        yield {
            "oid": oid, "proname": name, "pronamespace": 11, "proowner": 10, "prolang": 12, "procost": 1.0,
            "prokind": "f", "proisstrict": 1, "provolatile": volatility, "proparallel": "s", "pronargs": len(args),
            "prorettype": result, "proargtypes": " ".join(map(str, args)), "prosrc": name,
        }  # fmt: skip


def pg_rewrite(snapshot: Snapshot, oid: int) -> Rows:
    """The rule behind a view or materialized view."""
    if snapshot.relations[oid].kind in "vmM":
        yield {
            "oid": oid, "rulename": "_RETURN", "ev_class": oid, "ev_type": "1", "ev_enabled": "O", "is_instead": 1,
        }  # fmt: skip


_WHOLE: Final[dict[str, Callable[[Snapshot], Rows]]] = {
    **role_rows.WHOLE,
    "pg_namespace": pg_namespace, "pg_enum": type_rows.pg_enum, "pg_description": pg_description,
    "pg_shdescription": pg_shdescription, "pg_database": pg_database, "pg_default_acl": pg_default_acl,
    "pg_matviews": pg_matviews, "pg_policy": pg_policy, "pg_policies": pg_policies,
    "pg_am": pg_am, "pg_collation": collation_rows.pg_collation, "pg_init_privs": pg_init_privs,
    "pg_extension": pg_extension, "pg_available_extensions": pg_available_extensions,
    "pg_available_extension_versions": pg_available_extension_versions,
}  # fmt: skip
_FIXED: Final[dict[str, Callable[[], Rows]]] = {
    **text_search_rows.FIXED, "pg_tablespace": pg_tablespace,
    "pg_amop": pg_amop, "pg_amproc": pg_amproc,
}  # fmt: skip

MAKERS: Final[dict[str, Maker]] = {
    **{name: (Whole(make),) for name, make in _WHOLE.items()},
    **{name: (Fixed(fixed),) for name, fixed in _FIXED.items()},
    "pg_class": (Each("relations", _relation_class), Whole(_composite_class), Fixed(_system_class)),
    "pg_attribute": (
        Each("columns", _column_attributes), Each("indexes", _index_attributes), Whole(_composite_attributes),
        Fixed(_system_attributes),
    ),
    "pg_type": (
        Whole(type_rows.known_types), Each("types", type_rows.user_types), Each("row_types", type_rows.row_types),
    ),
    "pg_range": (Fixed(type_rows.built_in_ranges), Each("types", type_rows.user_ranges)),
    "pg_index": (Each("indexes", pg_index),),
    "pg_constraint": (
        Each("constraints", pg_constraint), Each("types", type_rows.domain_constraints),
        Each("triggers_by_oid", _trigger_constraint),
    ),
    "pg_attrdef": (Each("columns", pg_attrdef),),
    "pg_inherits": (Each("parents", inherit_rows.pg_inherits),),
    "pg_partitioned_table": (Each("partitions", inherit_rows.pg_partitioned_table),),
    "pg_sequence": (Each("sequences", pg_sequence),),
    "pg_language": (Whole(pg_language),),
    "pg_depend": depend_rows.MAKER,
    "pg_tables": (Each("tables", pg_tables), Whole(_system_tables)),
    "pg_views": (Each("views", pg_views),),
    "pg_indexes": (Each("indexes", pg_indexes),),
    "pg_proc": (Each("routines_by_oid", _user_functions), Fixed(_library_functions)),
    "pg_operator": (Each("operators", made_rows.operator_row), Fixed(pg_operator)),
    "pg_cast": (Each("casts", made_rows.cast_row), Fixed(pg_cast)),
    "pg_aggregate": (Each("routines_by_oid", made_rows.aggregate_row), Fixed(pg_aggregate)),
    "pg_rewrite": (Each("relations", pg_rewrite),),
    "pg_trigger": (Each("triggers_by_oid", pg_trigger),),
    "pg_opclass": (Fixed(pg_opclass), Whole(extension_classes)),
    "pg_opfamily": (Fixed(pg_opfamily), Whole(extension_families)),
    **statistics_rows.MAKERS,
}  # fmt: skip
"""Relations of pg_catalog that have rows. The others are empty, or the node's (``Hooks``)."""
