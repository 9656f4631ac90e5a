"""The whole catalog of a database read at once, for the relations of pg_catalog and information_schema."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from helios_cli.engine.datatypes.usertypes import row_oid
from helios_cli.engine.sql.authority import BOOTSTRAP, DATABASE_OWNER, PREDEFINED, PREDEFINED_MEMBERS, valid_until
from helios_cli.engine.sql.ddl_model import ColumnDef, ConstraintDef, IndexDef, SequenceDef
from helios_cli.engine.sql.ddl_render import NOT_VALID, keys_from_json
from helios_cli.engine.sql.ddl_schema import PUBLIC_OID
from helios_cli.engine.sql.privileges import PG_NAMESPACE, Acl, text_of
from helios_cli.engine.sql.relation import UserType
from helios_cli.engine.sql.routines import Routine, Trigger
from helios_cli.engine.sql.text_collations import Collation
from helios_cli.engine.storage.catalog import SqliteCatalog
from helios_cli.engine.storage.catalog_privileges import birth_acl, read_acls
from helios_cli.engine.storage.role_settings import settings_of


@dataclass(slots=True)
class RelationRow:
    """A row of ``helios_relation``."""

    oid: int
    schema: str
    name: str
    kind: str
    owner: int
    sqlite_name: str
    definition: str | None
    temp: bool
    options: str | None = None
    """Storage parameters of an index, as pg_class.reloptions shows them."""


@dataclass
class Snapshot:
    """Everything the system tables hold, by OID."""

    version: int
    namespaces: list[tuple[int, str, int]] = field(default_factory=list)
    relations: dict[int, RelationRow] = field(default_factory=dict)
    columns: dict[int, list[ColumnDef]] = field(default_factory=lambda: defaultdict(list))
    indexes: dict[int, IndexDef] = field(default_factory=dict)
    constraints: dict[int, ConstraintDef] = field(default_factory=dict)
    sequences: dict[int, SequenceDef] = field(default_factory=dict)
    sequence_values: dict[int, tuple[int, bool]] = field(default_factory=dict)
    roles: list[dict[str, Any]] = field(default_factory=list)
    settings: dict[tuple[int, int], list[str]] = field(default_factory=dict)
    """What ALTER ROLE and ALTER DATABASE have set, by database and role."""
    members: list[tuple[int, int, int]] = field(default_factory=list)
    descriptions: list[tuple[int, int, int, str]] = field(default_factory=list)
    depends: list[tuple[int, int]] = field(default_factory=list)
    extensions: dict[str, tuple[int, str]] = field(default_factory=dict)
    collations: list[Collation] = field(default_factory=list)
    """Those that users made."""
    """Name -> (OID, schema)."""
    types: dict[int, UserType] = field(default_factory=dict)
    labels: list[tuple[int, int, float, str]] = field(default_factory=list)
    """(the label's own OID, the enum's, its place, the label)."""
    path: tuple[str, ...] = ("public", "pg_temp")
    """Schemas whose names are left out where a name is printed."""

    @cached_property
    def row_types(self) -> dict[int, RelationRow]:
        """Relations by the OID of their row type."""
        return {row_oid(found.oid): found for found in self.relations.values() if found.kind in ("r", "v", "m", "M")}

    @cached_property
    def names(self) -> frozenset[tuple[str, str]]:
        """Schema and name of every relation."""
        return frozenset((found.schema, found.name) for found in self.relations.values())

    @cached_property
    def role_names(self) -> dict[int, str]:
        """The name of each role."""
        return {int(role["oid"]): str(role["rolname"]) for role in self.roles}

    @cached_property
    def schema_oids(self) -> dict[str, int]:
        """The OID of each schema."""
        return {name: oid for oid, name, _owner in self.namespaces}

    @cached_property
    def comments(self) -> dict[tuple[int, int], list[tuple[int, str]]]:
        """By object and column: the class of the object, and the comment."""
        found: dict[tuple[int, int], list[tuple[int, str]]] = {}
        for oid, class_oid, column, text in self.descriptions:
            found.setdefault((oid, column), []).append((class_oid, text))
        return found

    @cached_property
    def owned_sequences(self) -> dict[tuple[int, int], SequenceDef]:
        """The sequence that belongs to a column, by table and number."""
        return {(found.owner_oid, found.owner_attnum): found for found in reversed(self.sequences.values())}

    @cached_property
    def table_indexes(self) -> dict[int, list[IndexDef]]:
        """The indexes of each table, by OID."""
        found: dict[int, list[IndexDef]] = {}
        for index in self.indexes.values():
            found.setdefault(index.table_oid, []).append(index)
        return found

    @cached_property
    def routines_by_oid(self) -> dict[int, Routine]:
        """Users' functions."""
        return {routine.oid: routine for routine in self.routines}

    acls: dict[tuple[int, int, int], Acl] = field(default_factory=dict)
    """Rights that somebody has changed, by (class, object, column)."""

    def acl_text(self, class_oid: int, oid: int, column: int = 0) -> str | None:
        """The rights on an object as ``aclitem[]`` text; None: nobody has changed them."""
        acl = self.acls.get((class_oid, oid, column))
        if acl is None and class_oid == PG_NAMESPACE:
            owner = next((owner for known, _name, owner in self.namespaces if known == oid), 10)
            acl = birth_acl(class_oid, oid, owner)
        return self.text_of_acl(acl)

    def text_of_acl(self, acl: Acl | None) -> str | None:
        """Rights as ``aclitem[]`` text; None for None."""
        return text_of(acl, lambda role: self.role_names.get(role, str(role))) if acl is not None else None

    calls: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """The users' functions that definitions call, by SQLite's name of the table or view."""
    routines: tuple[Routine, ...] = ()
    triggers: tuple[Trigger, ...] = ()

    def schema_oid(self, name: str) -> int:
        """The OID of a schema, 0 when there is none."""
        return self.schema_oids.get(name, 0)

    def attnum(self, relation: int, column: str) -> int:
        """A column's number, 0 when there is none."""
        return next((found.attnum for found in self.columns.get(relation, ()) if found.name == column), 0)

    def indexes_of(self, relation: int) -> list[IndexDef]:
        """The indexes of a table, by OID."""
        return self.table_indexes.get(relation, [])


def read_snapshot(catalog: SqliteCatalog) -> Snapshot:
    """Read everything, a statement a table."""
    snapshot = Snapshot(catalog.version)
    snapshot.namespaces = [
        (oid, name, DATABASE_OWNER if oid == PUBLIC_OID and owner == BOOTSTRAP else owner)
        for oid, name, owner in catalog.rows("SELECT oid, nspname, nspowner FROM main.helios_namespace ORDER BY oid")
    ]
    for temp in (False, True) if catalog.has_temp_tables() else (False,):
        _read_objects(catalog, snapshot, temp)
    if catalog.has_temp_tables():
        snapshot.namespaces.append((16000, "pg_temp", 10))
    names = (
        "oid", "rolname", "rolpassword", "rolsuper", "rolinherit", "rolcreaterole", "rolcreatedb", "rolcanlogin",
        "rolreplication", "rolbypassrls", "rolconnlimit", "rolvaliduntil",
    )  # fmt: skip
    roles = catalog.rows(f"SELECT {', '.join(names)} FROM main.helios_role ORDER BY oid")
    snapshot.roles = [dict(zip(names, row, strict=True)) for row in roles]
    snapshot.roles += [
        {**dict.fromkeys(names, 0), "oid": oid, "rolname": name, "rolpassword": None, "rolinherit": 1,
         "rolconnlimit": -1, "rolvaliduntil": None}
        for oid, name in PREDEFINED.items()
    ]  # fmt: skip
    snapshot.roles.sort(key=lambda role: int(role["oid"]))
    for role in snapshot.roles:
        role["rolvaliduntil"] = valid_until(role["rolvaliduntil"])
    snapshot.settings = settings_of(catalog)
    snapshot.members = catalog.rows("SELECT roleid, member, admin_option FROM main.helios_auth_member")
    snapshot.types = {found.oid: found for found in catalog.types.all()}
    snapshot.labels = catalog.types.labels()
    snapshot.members += PREDEFINED_MEMBERS
    for db in ("main", "temp") if catalog.has_temp_tables() else ("main",):
        snapshot.acls.update(read_acls(catalog, db))
    snapshot.extensions = dict(catalog.extensions())
    snapshot.collations = catalog.user_collations()
    snapshot.calls = catalog.stored_calls()
    snapshot.routines = catalog.all_routines()
    snapshot.triggers = catalog.all_triggers()
    return snapshot


def _read_objects(catalog: SqliteCatalog, snapshot: Snapshot, temp: bool) -> None:
    db = "temp" if temp else "main"
    for row in catalog.rows(
        "SELECT oid, nspname, relname, relkind, relowner, sqlite_name, definition, options "
        f"FROM {db}.helios_relation ORDER BY oid"
    ):
        oid, schema, name, kind, owner, sqlite_name, definition, options = row
        snapshot.relations[oid] = RelationRow(oid, schema, name, kind, owner, sqlite_name, definition, temp, options)
    for relid, *row in catalog.rows(
        "SELECT relid, attname, atttypid, atttypmod, attnum, typname, attnotnull, default_text, attidentity, "
        "attgenerated "
        f"FROM {db}.helios_attribute ORDER BY relid, attnum"
    ):
        name, type_oid, typmod, attnum, decl, not_null, default, identity, generated = row
        column = ColumnDef(name, type_oid, typmod, attnum, decl, bool(not_null), default, identity, generated)
        snapshot.columns[relid].append(catalog.types.with_base(column))
    _read_indexes(catalog, snapshot, db)
    _read_constraints(catalog, snapshot, db)
    for row in catalog.rows(
        "SELECT oid, seqtypid, seqstart, seqincrement, seqmin, seqmax, seqcache, seqcycle, owner_relid, owner_attnum, "
        f"owner_internal FROM {db}.helios_sequence"
    ):
        relation = snapshot.relations[row[0]]
        snapshot.sequences[row[0]] = SequenceDef(
            row[0], relation.schema, relation.name, temp, row[1], row[2], row[3], row[4], row[5], row[6], bool(row[7]),
            row[8], row[9], bool(row[10]),
        )  # fmt: skip
    snapshot.descriptions += catalog.rows(
        f"SELECT objoid, classoid, objsubid, description FROM {db}.helios_description"
    )
    snapshot.depends += catalog.rows(f"SELECT DISTINCT objid, refobjid FROM {db}.helios_depend")


def read_sequence_values(catalog: SqliteCatalog, snapshot: Snapshot) -> None:
    """Where the sequences are now, which changes without the schema."""
    for db in ("main", "temp") if catalog.has_temp_tables() else ("main",):
        for oid, value, called in catalog.rows(f"SELECT oid, last_value, is_called FROM {db}.helios_sequence"):
            snapshot.sequence_values[oid] = (value, bool(called))


def _read_indexes(catalog: SqliteCatalog, snapshot: Snapshot, db: str) -> None:
    for row in catalog.rows(
        "SELECT i.oid, i.relid, i.indisunique, i.indisprimary, i.method, i.keys, i.include, i.predicate "
        f"FROM {db}.helios_index i ORDER BY i.oid"
    ):
        oid, relid, unique, primary, method, keys, include, predicate = row
        relation = snapshot.relations[oid]
        snapshot.indexes[oid] = IndexDef(
            oid, relation.schema, relation.name, relation.sqlite_name, relid, bool(unique & 1), bool(primary), method,
            keys_from_json(keys), tuple(json.loads(include)), predicate, unique >> 1,
        )  # fmt: skip


def _read_constraints(catalog: SqliteCatalog, snapshot: Snapshot, db: str) -> None:
    for row in catalog.rows(
        "SELECT oid, relid, conname, contype, columns, conindid, expression, confrelid, confcolumns, confindid, "
        f"confupdtype, confdeltype, confmatchtype, condeferrable, condeferred FROM {db}.helios_constraint ORDER BY oid"
    ):
        snapshot.constraints[row[0]] = ConstraintDef(
            row[0], row[1], row[2], row[3], tuple(json.loads(row[4])), row[5], row[6], row[7],
            tuple(json.loads(row[8])), row[9], row[10], row[11], row[12], bool(row[13] & 1), bool(row[14]),
            not row[13] & NOT_VALID,
        )  # fmt: skip
