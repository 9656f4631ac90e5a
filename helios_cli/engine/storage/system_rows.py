"""The rows of pg_catalog's relations, made from one snapshot of the catalog."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, Final

from helios_cli.engine.datatypes import registry
from helios_cli.engine.datatypes.arrays import quote_element
from helios_cli.engine.datatypes.io_functions import IO_FUNCTIONS
from helios_cli.engine.datatypes.usertypes import number_of, row_oid
from helios_cli.engine.sql.ddl_model import IndexDef
from helios_cli.engine.sql.functions.proc_oids import FUNCTIONS
from helios_cli.engine.sql.privileges import DEFAULT_KINDS, PG_DATABASE, PG_DEFAULT_ACL, PG_NAMESPACE
from helios_cli.engine.sql.text_collations import oid_of
from helios_cli.engine.storage import collation_rows, routine_rows, statistics_rows, type_rows
from helios_cli.engine.storage.description_rows import pg_description, pg_shdescription
from helios_cli.engine.storage.dump_rows import default_depends, default_oid, pg_init_privs, system_acl
from helios_cli.engine.storage.strictness import is_strict
from helios_cli.engine.storage.system_aggregates import pg_aggregate
from helios_cli.engine.storage.system_casts import pg_cast
from helios_cli.engine.storage.system_definitions import indexdef
from helios_cli.engine.storage.system_extensions import (
    extension_members,
    pg_available_extension_versions,
    pg_available_extensions,
    pg_extension,
)
from helios_cli.engine.storage.system_opclasses import (
    ACCESS_METHODS,
    exclusion_operators,
    key_class,
    key_collation,
    key_name,
    pg_opclass,
)
from helios_cli.engine.storage.system_operators import pg_operator
from helios_cli.engine.storage.system_relations import SYSTEM_RELATIONS
from helios_cli.engine.storage.system_snapshot import RelationRow, Snapshot

Row = dict[str, Any]
Rows = Iterator[Row]
Maker = Callable[[Snapshot], Rows]

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
        "relispopulated": 1, "relreplident": "d" if kind == "r" else "n", "relfrozenxid": 3, "relminmxid": 1,
    }  # fmt: skip


def pg_class(snapshot: Snapshot) -> Rows:
    """Tables, views, indexes and sequences, the system relations among them."""
    checks: dict[int, int] = {}
    for constraint in snapshot.constraints.values():
        if constraint.kind == "c":
            checks[constraint.table_oid] = checks.get(constraint.table_oid, 0) + 1
    indexed = {index.table_oid for index in snapshot.indexes.values()}
    foreign = [constraint for constraint in snapshot.constraints.values() if constraint.kind == "f"]
    triggered = {trigger.relation for trigger in snapshot.triggers}
    linked = (
        triggered | {constraint.table_oid for constraint in foreign} | {constraint.ref_oid for constraint in foreign}
    )
    for relation in snapshot.relations.values():
        kind = relation.kind.lower() if relation.kind == "M" else relation.kind
        natts = len(snapshot.indexes[relation.oid].keys) if kind == "i" else len(snapshot.columns.get(relation.oid, ()))
        row = _class_base(
            relation.oid, relation.name, snapshot.schema_oid(relation.schema), kind, relation.owner, natts
        )
        if kind == "v":
            row["reloptions"] = relation.options
        if kind == "i":
            row["relam"] = ACCESS_METHODS.get(snapshot.indexes[relation.oid].method, 403)
        row["reloptions"] = None if relation.temp else relation.options
        row["relacl"] = snapshot.acl_text(PG_CLASS, relation.oid)
        row["relpersistence"] = "t" if relation.temp else "p"
        row["relhasindex"] = int(relation.oid in indexed)
        row["relchecks"] = checks.get(relation.oid, 0)
        row["relhasrules"] = int(kind in "vm")
        row["relispopulated"] = int(relation.kind != "M")
        row["relhastriggers"] = int(relation.oid in linked)
        row["reltype"] = row_oid(relation.oid) if kind in ("r", "v", "m") else 0
        yield row
    for composite in type_rows.composite_types(snapshot):
        namespace, number = snapshot.schema_oid(composite.schema), number_of(composite.oid)
        row = _class_base(number, composite.name, namespace, "c", composite.owner, len(composite.fields))
        yield {**row, "reltype": composite.oid}
    for system in SYSTEM_RELATIONS.values():
        row = _class_base(system.oid, system.name, _catalog_schema(system.schema), system.kind, 10, len(system.columns))
        yield {**row, "relhasrules": int(system.kind == "v"), "relacl": system_acl(system.name)}


def _attribute(relation: int, name: str, type_oid: int, typmod: int, attnum: int) -> Row:
    found = registry.find_oid(type_oid)
    collation = (
        100 if found is not None and found.category == "S" and found.name != "name" else 950 if type_oid == 19 else 0
    )
    return {
        "attrelid": relation, "attname": name, "atttypid": type_oid, "atttypmod": typmod, "attnum": attnum,
        "attlen": found.typlen if found else -1, "attcacheoff": -1,
        "attstorage": "p" if found and found.typlen > 0 else "m" if type_oid == 1700 else "x",
        "attalign": "i", "attislocal": 1, "attstattarget": -1, "attcollation": collation, "attidentity": "",
        "attgenerated": "", "attcompression": "",
    }  # fmt: skip


def pg_attribute(snapshot: Snapshot) -> Rows:
    """Columns of every relation, and the keys of indexes."""
    for oid, columns in snapshot.columns.items():
        for column in columns:
            typmod = -1 if column.domain else column.typmod
            row = _attribute(oid, column.name, column.shown_oid, typmod, column.attnum)
            row.update(
                attnotnull=int(column.not_null), atthasdef=int(column.default is not None), attidentity=column.identity,
                attgenerated=column.generated,
                attcollation=oid_of(column.collation) if column.collation else row["attcollation"],
                attacl=snapshot.acl_text(PG_CLASS, oid, column.attnum)
                if (PG_CLASS, oid, column.attnum) in snapshot.acls else None,
            )  # fmt: skip
            yield row
    for index in snapshot.indexes.values():
        yield from _index_attributes(snapshot, index)
    for composite in type_rows.composite_types(snapshot):
        for field in composite.fields:
            number = number_of(composite.oid)
            yield _attribute(number, field.name, field.domain or field.type_oid, field.typmod, field.attnum)
    yield from _system_attributes()


@cache
def _system_attributes() -> tuple[Row, ...]:
    """Columns of the system relations, which are the same in every database. Nobody may change them."""
    return tuple(
        {**_attribute(system.oid, info.name, info.type_oid, -1, info.attnum), "attnotnull": int(info.not_null)}
        for system in SYSTEM_RELATIONS.values()
        for info in system.columns
    )


def _index_attributes(snapshot: Snapshot, index: IndexDef) -> Rows:
    types = {column.name: column for column in snapshot.columns.get(index.table_oid, ())}
    taken: set[str] = set()
    for position, key in enumerate(index.keys, 1):
        column = types.get(key.column or "")
        name = key_name(key, taken)
        yield _attribute(index.oid, name, column.type_oid if column else 25, column.typmod if column else -1, position)


def pg_namespace(snapshot: Snapshot) -> Rows:
    """Schemas."""
    for oid, name, owner in snapshot.namespaces:
        yield {"oid": oid, "nspname": name, "nspowner": owner, "nspacl": snapshot.acl_text(PG_NAMESPACE, oid)}


def pg_index(snapshot: Snapshot) -> Rows:
    """Indexes."""
    for index in snapshot.indexes.values():
        numbers = [snapshot.attnum(index.table_oid, key.column) if key.column else 0 for key in index.keys]
        numbers += [snapshot.attnum(index.table_oid, name) for name in index.include]
        options = [int(key.descending) | (2 if key.nulls_first else 0) for key in index.keys]
        expressions = [key.expression for key in index.keys if key.expression is not None]
        yield {
            "indexrelid": index.oid, "indrelid": index.table_oid, "indnatts": len(numbers),
            "indnkeyatts": len(index.keys),
            "indisunique": int(index.unique), "indisprimary": int(index.primary),
            "indimmediate": int(not index.deferrable), "indisexclusion": int(index.excludes),
            "indnullsnotdistinct": int(index.nulls_alike), "indisvalid": 1,
            "indisready": 1, "indislive": 1, "indkey": " ".join(map(str, numbers)), "indoption": " ".join(map(str,
            options)),
            "indcollation": " ".join(str(key_collation(snapshot, index, key)) for key in index.keys),
            "indclass": " ".join(str(key_class(snapshot, index, key)) for key in index.keys),
            "indexprs": ", ".join(expressions) or None, "indpred": index.predicate,
        }  # fmt: skip


def pg_constraint(snapshot: Snapshot) -> Rows:
    """Constraints."""
    for constraint in snapshot.constraints.values():
        relation = snapshot.relations[constraint.table_oid]
        numbers = [snapshot.attnum(constraint.table_oid, name) if name else 0 for name in constraint.columns]
        foreign = [snapshot.attnum(constraint.ref_oid, name) for name in constraint.ref_columns]
        yield {
            "oid": constraint.oid, "conname": constraint.name, "connamespace": snapshot.schema_oid(relation.schema),
            "contype": constraint.kind, "condeferrable": int(constraint.deferrable),
            "condeferred": int(constraint.deferred),
            "convalidated": int(constraint.validated), "conrelid": constraint.table_oid,
            "conindid": constraint.index_oid or constraint.ref_index_oid,
            "confrelid": constraint.ref_oid, "confupdtype": constraint.on_update if constraint.kind == "f" else " ",
            "confdeltype": constraint.on_delete if constraint.kind == "f" else " ",
            "confmatchtype": constraint.match if constraint.kind == "f" else " ", "conislocal": 1,
            "connoinherit": int(constraint.kind != "c"),
            "conexclop": _array(operators) if (operators := exclusion_operators(snapshot, constraint)) else None,
            "conkey": _array(numbers), "confkey": _array(foreign) if foreign else None, "conbin": constraint.expression,
        }  # fmt: skip
    yield from type_rows.domain_constraints(snapshot)


def pg_attrdef(snapshot: Snapshot) -> Rows:
    """Defaults and generation expressions."""
    for relation, columns in snapshot.columns.items():
        for column in columns:
            if column.default is not None:
                oid = default_oid(relation, column.attnum)
                yield {"oid": oid, "adrelid": relation, "adnum": column.attnum, "adbin": column.default}


def pg_sequence(snapshot: Snapshot) -> Rows:
    """Parameters of sequences."""
    for sequence in snapshot.sequences.values():
        yield {
            "seqrelid": sequence.oid, "seqtypid": sequence.type_oid, "seqstart": sequence.start,
            "seqincrement": sequence.increment, "seqmax": sequence.maximum, "seqmin": sequence.minimum,
            "seqcache": sequence.cache, "seqcycle": int(sequence.cycle),
        }  # fmt: skip


def pg_depend(snapshot: Snapshot) -> Rows:
    """What goes with what: sequences with their columns, indexes with their constraints, views with their tables."""
    for sequence in snapshot.sequences.values():
        if sequence.owner_oid:
            yield {
                "classid": PG_CLASS, "objid": sequence.oid, "refclassid": PG_CLASS, "refobjid": sequence.owner_oid,
                "refobjsubid": sequence.owner_attnum, "deptype": "i" if sequence.internal else "a",
            }  # fmt: skip
    for constraint in snapshot.constraints.values():
        if constraint.index_oid:
            yield {
                "classid": PG_CLASS, "objid": constraint.index_oid, "refclassid": PG_CONSTRAINT,
                "refobjid": constraint.oid,
                "deptype": "i",
            }  # fmt: skip
    yield from extension_members(snapshot)
    yield from default_depends(snapshot)
    for view, target in snapshot.depends:
        yield {"classid": PG_CLASS, "objid": view, "refclassid": PG_CLASS, "refobjid": target, "deptype": "n"}
    for relation in snapshot.relations.values():
        for function in snapshot.calls.get(relation.sqlite_name, ()):
            yield {"classid": PG_CLASS, "objid": relation.oid, "refclassid": 1255, "refobjid": function, "deptype": "n"}


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
    """The one database."""
    yield {
        "oid": 5, "datname": DATABASE_NAME, "datdba": 10, "encoding": 6, "datlocprovider": "c", "datallowconn": 1,
        "datconnlimit": -1, "datfrozenxid": 3, "datminmxid": 1, "dattablespace": 1663, "datcollate": "C",
        "datctype": "C.UTF-8", "datacl": snapshot.acl_text(PG_DATABASE, 5),
    }  # fmt: skip


def pg_authid(snapshot: Snapshot) -> Rows:
    """Roles with their verifiers."""
    yield from snapshot.roles


def _config(snapshot: Snapshot, database: int, role: int) -> str | None:
    found = snapshot.settings.get((database, role))
    return None if found is None else _array([quote_element(text) for text in found])


def pg_ts_config(_snapshot: Snapshot) -> Rows:
    """The configurations of text search."""
    for oid, name in ((3748, "simple"), (12773, "english")):
        yield {"oid": oid, "cfgname": name, "cfgnamespace": 11, "cfgowner": 10, "cfgparser": 3722}


def pg_db_role_setting(snapshot: Snapshot) -> Rows:
    """Settings of roles and of the database."""
    for database, role in sorted(snapshot.settings):
        yield {"setdatabase": database, "setrole": role, "setconfig": _config(snapshot, database, role)}


def pg_roles(snapshot: Snapshot) -> Rows:
    """Roles, passwords hidden."""
    for role in snapshot.roles:
        yield {**role, "rolpassword": "********", "rolconfig": _config(snapshot, 0, role["oid"])}


def pg_user(snapshot: Snapshot) -> Rows:
    """Roles that may log in."""
    for role in snapshot.roles:
        if role["rolcanlogin"]:
            yield {
                "usename": role["rolname"], "usesysid": role["oid"], "usecreatedb": role["rolcreatedb"],
                "usesuper": role["rolsuper"], "userepl": role["rolreplication"], "usebypassrls": role["rolbypassrls"],
                "passwd": "********", "valuntil": role["rolvaliduntil"],
                "useconfig": _config(snapshot, 0, role["oid"]),
            }  # fmt: skip


def pg_shadow(snapshot: Snapshot) -> Rows:
    """As pg_user, with verifiers."""
    verifiers = {role["rolname"]: role["rolpassword"] for role in snapshot.roles}
    for row in pg_user(snapshot):
        yield {**row, "passwd": verifiers[row["usename"]]}


def pg_group(snapshot: Snapshot) -> Rows:
    """Roles that may not log in, with their members."""
    for role in snapshot.roles:
        if not role["rolcanlogin"]:
            members = [member for group, member, _admin in snapshot.members if group == role["oid"]]
            yield {"groname": role["rolname"], "grosysid": role["oid"], "grolist": _array(members)}


def pg_auth_members(snapshot: Snapshot) -> Rows:
    """Membership of roles."""
    for group, member, admin in snapshot.members:
        yield {"roleid": group, "member": member, "grantor": 10, "admin_option": admin}


def _role_name(snapshot: Snapshot, oid: int) -> str:
    return snapshot.role_names.get(oid, f"unknown (OID={oid})")


def pg_tables(snapshot: Snapshot) -> Rows:
    """Tables."""
    indexed = {index.table_oid for index in snapshot.indexes.values()}
    for relation in _of_kind(snapshot, "r"):
        yield {
            "schemaname": relation.schema, "tablename": relation.name, "tableowner": _role_name(snapshot,
            relation.owner),
            "hasindexes": int(relation.oid in indexed), "hasrules": 0, "hastriggers": 0, "rowsecurity": 0,
        }  # fmt: skip
    for system in SYSTEM_RELATIONS.values():
        if system.kind == "r":
            yield {
                "schemaname": system.schema, "tablename": system.name, "tableowner": _role_name(snapshot, 10),
                "hasindexes": 1, "hasrules": 0, "hastriggers": 0, "rowsecurity": 0,
            }  # fmt: skip


def _of_kind(snapshot: Snapshot, kind: str) -> Iterator[RelationRow]:
    return (relation for relation in snapshot.relations.values() if relation.kind == kind)


def pg_views(snapshot: Snapshot) -> Rows:
    """Views with their queries."""
    for relation in _of_kind(snapshot, "v"):
        yield {
            "schemaname": relation.schema, "viewname": relation.name, "viewowner": _role_name(snapshot, relation.owner),
            "definition": f" {relation.definition};",
        }  # fmt: skip


def pg_matviews(snapshot: Snapshot) -> Rows:
    """Materialized views with their queries."""
    indexed = {index.table_oid for index in snapshot.indexes.values()}
    for kind in "mM":
        for relation in _of_kind(snapshot, kind):
            yield {
                "schemaname": relation.schema, "matviewname": relation.name,
                "matviewowner": _role_name(snapshot, relation.owner), "hasindexes": int(relation.oid in indexed),
                "ispopulated": int(kind == "m"), "definition": f" {relation.definition};",
            }  # fmt: skip


def pg_indexes(snapshot: Snapshot) -> Rows:
    """Indexes with their definitions."""
    for index in snapshot.indexes.values():
        table = snapshot.relations[index.table_oid]
        yield {
            "schemaname": table.schema, "tablename": table.name, "indexname": index.name,
            "indexdef": indexdef(snapshot, index.oid),
        }  # fmt: skip


def pg_sequences(snapshot: Snapshot) -> Rows:
    """Sequences with their values."""
    for sequence in snapshot.sequences.values():
        value, called = snapshot.sequence_values[sequence.oid]
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


def pg_tablespace(_snapshot: Snapshot) -> Rows:
    """The two tablespaces every server has."""
    yield {"oid": 1663, "spcname": "pg_default", "spcowner": 10}
    yield {"oid": 1664, "spcname": "pg_global", "spcowner": 10}


def pg_language(_snapshot: Snapshot) -> Rows:
    """Languages of functions."""
    yield from routine_rows.languages()


def pg_trigger(snapshot: Snapshot) -> Rows:
    """Triggers of users."""
    for trigger in snapshot.triggers:
        yield routine_rows.trigger_row(snapshot, trigger)


def pg_proc(snapshot: Snapshot) -> Rows:
    """The functions of the library, and users' own."""
    for routine in snapshot.routines:
        yield routine_rows.proc_row(snapshot, routine)
    for oid, function in FUNCTIONS.items():
        volatility = "v" if function.volatile else "s" if function.stable else "i"
        yield {
            "oid": oid, "proname": function.name, "pronamespace": 11, "proowner": 10, "prolang": 12,
            "procost": 1.0, "prokind": "a" if function.aggregate else "w" if function.window else "f",
            "proretset": int(function.set_returning), "provolatile": volatility, "proparallel": "s",
            "proisstrict": is_strict(function),
            "pronargs": len(function.args), "pronargdefaults": function.defaults, "prorettype": function.result,
            "proargtypes": " ".join(map(str, function.args)), "prosrc": function.name,
            "provariadic": function.args[-1] if function.variadic else 0,
        }  # fmt: skip
    for name, oid in IO_FUNCTIONS.items():
        yield {
            "oid": oid, "proname": name, "pronamespace": 11, "proowner": 10, "prolang": 12, "procost": 1.0,
            "prokind": "f", "proisstrict": 1, "provolatile": "i", "proparallel": "s", "pronargs": 1,
            "prorettype": 2275, "proargtypes": "2281", "prosrc": name,
        }  # fmt: skip


def pg_rewrite(snapshot: Snapshot) -> Rows:
    """The rule behind each view."""
    for relation in _of_kind(snapshot, "v"):
        yield {
            "oid": relation.oid, "rulename": "_RETURN", "ev_class": relation.oid, "ev_type": "1", "ev_enabled": "O",
            "is_instead": 1,
        }  # fmt: skip


MAKERS: Final[dict[str, Maker]] = {
    "pg_class": pg_class, "pg_attribute": pg_attribute, "pg_namespace": pg_namespace, "pg_type": type_rows.pg_type,
    "pg_enum": type_rows.pg_enum, "pg_range": type_rows.pg_range,
    "pg_index": pg_index, "pg_constraint": pg_constraint, "pg_attrdef": pg_attrdef, "pg_sequence": pg_sequence,
    "pg_init_privs": pg_init_privs, "pg_depend": pg_depend, "pg_description": pg_description,
    "pg_shdescription": pg_shdescription,
    "pg_database": pg_database, "pg_authid": pg_authid, "pg_roles": pg_roles, "pg_user": pg_user,
    "pg_default_acl": pg_default_acl,
    "pg_shadow": pg_shadow,
    "pg_group": pg_group, "pg_auth_members": pg_auth_members, "pg_db_role_setting": pg_db_role_setting,
    "pg_ts_config": pg_ts_config,
    "pg_tables": pg_tables, "pg_views": pg_views,
    "pg_matviews": pg_matviews,
    "pg_indexes": pg_indexes, "pg_am": pg_am, "pg_collation": collation_rows.pg_collation,
    "pg_tablespace": pg_tablespace, "pg_language": pg_language, "pg_proc": pg_proc, "pg_rewrite": pg_rewrite,
    "pg_trigger": pg_trigger,
    "pg_extension": pg_extension, "pg_opclass": pg_opclass, "pg_available_extensions": pg_available_extensions,
    "pg_available_extension_versions": pg_available_extension_versions,
    "pg_operator": pg_operator, "pg_cast": pg_cast, "pg_aggregate": pg_aggregate,
    **statistics_rows.MAKERS,
}  # fmt: skip
"""Relations of pg_catalog that have rows. The others are empty, or the node's (``Hooks``)."""
