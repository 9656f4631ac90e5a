"""Reading the whole catalog of a database, by what differs from a version that was read before.

The rows of each system table are read and compared with those of the version before; only of those that differ are
new objects made. So what did not change is the very same object in both versions (``snapshot_changes``).
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import compress, count, groupby
from operator import itemgetter, ne
from typing import Any, Final, TypeVar

from helios_cli.engine.sql.authority import BOOTSTRAP, DATABASE_OWNER, PREDEFINED, PREDEFINED_MEMBERS, valid_until
from helios_cli.engine.sql.ddl_comment import PG_AUTHID
from helios_cli.engine.sql.ddl_model import ColumnDef, IndexDef, SequenceDef
from helios_cli.engine.sql.ddl_render import CONSTRAINT_COLUMNS, column_flags, keys_from_json, read_constraint
from helios_cli.engine.sql.ddl_schema import CLUSTER_DESCRIPTION, FIRST_TEMP_OID, PUBLIC_OID
from helios_cli.engine.sql.privileges import PG_DATABASE, PG_LARGEOBJECT
from helios_cli.engine.storage.catalog import SqliteCatalog
from helios_cli.engine.storage.catalog_privileges import read_acls
from helios_cli.engine.storage.definition_log import Touched
from helios_cli.engine.storage.role_settings import settings_of
from helios_cli.engine.storage.system_snapshot import RelationRow, Snapshot

Known = TypeVar("Known")
Row = Sequence[Any]

_ROLE: Final = (
    "oid", "rolname", "rolpassword", "rolsuper", "rolinherit", "rolcreaterole", "rolcreatedb", "rolcanlogin",
    "rolreplication", "rolbypassrls", "rolconnlimit", "rolvaliduntil",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Table:
    """How a system table is read."""

    name: str
    columns: str
    """The first is the one that leads its primary key."""
    order: str = "oid"

    def query(self, db: str, condition: str = "") -> str:
        """All rows, or those that meet a condition, in order."""
        return f"SELECT DISTINCT {self.columns} FROM {db}.{self.name} {condition} ORDER BY {self.order}"

    @property
    def key(self) -> Callable[[Row], Any]:
        """What rows are ordered by."""
        columns = self.columns.split(", ")
        return itemgetter(*(columns.index(name) for name in self.order.split(", ")))


_RELATION: Final = _Table(
    "helios_relation", "oid, nspname, relname, relkind, relowner, sqlite_name, definition, options"
)
_ATTRIBUTE: Final = _Table(
    "helios_attribute",
    "relid, attname, atttypid, atttypmod, attnum, typname, attnotnull, default_text, attidentity, attgenerated",
    "relid, attnum",
)
_INDEX: Final = _Table("helios_index", "oid, relid, indisunique, indisprimary, method, keys, include, predicate")
_CONSTRAINT: Final = _Table("helios_constraint", CONSTRAINT_COLUMNS)
_SEQUENCE: Final = _Table(
    "helios_sequence",
    "oid, seqtypid, seqstart, seqincrement, seqmin, seqmax, seqcache, seqcycle, owner_relid, owner_attnum, "
    "owner_internal",
)
_DESCRIPTION: Final = _Table(
    "helios_description", "objoid, classoid, objsubid, description", "objoid, classoid, objsubid"
)
_SHARED_DESCRIPTIONS: Final = (
    f"SELECT {_DESCRIPTION.columns} FROM {CLUSTER_DESCRIPTION} WHERE classoid IN ({PG_DATABASE}, {PG_AUTHID})"
)
"""Comments on databases and roles, which the first database has for all."""
_DEPEND: Final = _Table("helios_depend", "objid, refobjid", "objid, refobjid")


def read_snapshot(catalog: SqliteCatalog, before: Snapshot | None = None, touched: Touched | None = None) -> Snapshot:
    """Read everything, a statement a table; what is as in ``before`` is taken over from there.

    With ``touched``, the primary keys of all rows of system tables that may differ from those of ``before``, the other
    rows of long tables are not read.
    """
    return _Reading(catalog, before or Snapshot(0), touched).snapshot()


class _Reading:
    def __init__(self, catalog: SqliteCatalog, before: Snapshot, touched: Touched | None) -> None:
        self._catalog = catalog
        self._before = before
        self._touched = touched
        self._databases = ("main", "temp") if catalog.has_temp_tables() else ("main",)
        self._new = Snapshot(catalog.version)
        self._others: set[int] = set()
        """Relations that are not the objects that they were before."""

    def snapshot(self) -> Snapshot:
        """The version as the catalog's connection sees it."""
        catalog, before, new = self._catalog, self._before, self._new
        new.namespaces = [
            (oid, name, DATABASE_OWNER if oid == PUBLIC_OID and owner == BOOTSTRAP else owner)
            for oid, name, owner in catalog.rows(
                "SELECT oid, nspname, nspowner FROM main.helios_namespace ORDER BY oid"
            )
        ]
        if catalog.has_temp_tables():
            new.namespaces.append((16000, "pg_temp", 10))
        new.databases = tuple(catalog.databases().values())
        new.database = catalog.database.name
        new.types = _kept(before.types, {found.oid: found for found in catalog.types.all()})
        new.labels = catalog.types.labels()
        self._objects()
        self._roles()
        new.acls = _kept(
            before.acls, {key: acl for db in self._databases for key, acl in read_acls(catalog, db).items()}
        )
        new.extensions = dict(catalog.extensions())
        new.collations = catalog.user_collations()
        new.securities = _kept(before.securities, catalog.securities())
        new.parents = _kept(before.parents, catalog.inheritances())
        new.partitions = _kept(before.partitions, catalog.partitions())
        new.children = _kept(before.children, catalog.all_children())
        new.calls = catalog.stored_calls()
        new.routines = catalog.all_routines()
        new.operators = _kept(before.operators, {found.oid: found for found in catalog.all_operators()})
        new.casts = _kept(before.casts, {found.oid: found for found in catalog.casts().values()})
        new.triggers = catalog.all_triggers()
        return new

    def _roles(self) -> None:
        catalog, new = self._catalog, self._new
        rows = catalog.rows(f"SELECT {', '.join(_ROLE)} FROM main.helios_role ORDER BY oid")
        new.roles = [dict(zip(_ROLE, row, strict=True)) for row in rows]
        new.roles += [
            {**dict.fromkeys(_ROLE, 0), "oid": oid, "rolname": name, "rolpassword": None, "rolinherit": 1,
             "rolconnlimit": -1, "rolvaliduntil": None}
            for oid, name in PREDEFINED.items()
        ]  # fmt: skip
        new.roles.sort(key=lambda role: int(role["oid"]))
        for role in new.roles:
            role["rolvaliduntil"] = valid_until(role["rolvaliduntil"])
        new.settings = settings_of(catalog)
        new.members = catalog.rows("SELECT roleid, member, admin_option FROM main.helios_auth_member")
        new.members += PREDEFINED_MEMBERS

    def _objects(self) -> None:
        before, new = self._before, self._new
        new.relations = self._made(_RELATION, before.relations, _relation)
        relations = new.relations
        new.columns = self._columns()
        new.constraints = self._made(_CONSTRAINT, before.constraints, read_constraint)
        new.indexes = self._made(_INDEX, before.indexes, lambda row: _index(relations[row[0]], row), named=True)
        new.sequences = self._made(
            _SEQUENCE, before.sequences, lambda row: _sequence(relations[row[0]], row), named=True
        )
        new.descriptions = self._descriptions()
        new.depends = self._rows(_DEPEND)

    def _rows(self, table: _Table) -> list[Any]:
        """The rows of a system table, those of temporary objects last; the very list of before when it is the same."""
        known = self._before.source.get(table.name)
        if self._touched is not None and known is not None:
            rows = self._patched(table, known, self._touched.get(table.name, set()))
        else:
            rows = [row for db in self._databases for row in self._catalog.rows(table.query(db))]
            if table is _DESCRIPTION and not self._catalog.is_first:
                rows += self._catalog.rows(_SHARED_DESCRIPTIONS)
                rows.sort(key=table.key)
            rows = known if known == rows else rows
        self._new.source[table.name] = rows
        return rows

    def _descriptions(self) -> list[Any]:
        """Comments. Those on large objects go with them, of which no definition tells."""
        rows = self._rows(_DESCRIPTION)
        if self._touched is None or not any(row[1] == PG_LARGEOBJECT for row in rows):
            return rows
        kept = [row for row in rows if row[1] != PG_LARGEOBJECT]
        kept += self._catalog.live_rows(_DESCRIPTION.query("main", f"WHERE classoid = {PG_LARGEOBJECT}"))
        kept.sort(key=_DESCRIPTION.key)
        self._new.source[_DESCRIPTION.name] = kept
        return kept

    def _patched(self, table: _Table, known: list[Any], keys: set[tuple[Any, ...]]) -> list[Any]:
        """The rows of before with those exchanged whose primary keys begin as one of ``keys``."""
        if not keys:
            return known
        first = {key[0] for key in keys}
        listed = ", ".join(map(str, first))
        column = table.columns.partition(",")[0]
        rows = [row for row in known if row[0] not in first]
        rows += self._catalog.rows(table.query("main", f"WHERE {column} IN ({listed})"))
        rows.sort(key=table.key)
        return rows

    def _made(
        self, table: _Table, known: dict[int, Known], make: Callable[[Row], Known], *, named: bool = False
    ) -> dict[int, Known]:
        """Objects by OID; those of ``known`` whose rows are the same are kept, and ``known`` itself when all are.

        An object that is ``named`` is also made of the relation of its OID.
        """
        rows = self._rows(table)
        gone, fresh = _differing(self._before.source.get(table.name, []), rows)
        others = {oid for oid in self._others if oid in known} if named else set()
        if not gone and not fresh and not others:
            return known
        found = dict(known)
        was = {row[0]: row for row in gone}
        for row in fresh:
            if was.pop(row[0], None) != row:
                found[row[0]] = make(row)
        for oid in was:
            del found[oid]
        for row in rows if others else ():
            if row[0] in others:
                found[row[0]] = make(row)
        if table is _RELATION:
            self._others = {row[0] for row in fresh if found[row[0]] is not known.get(row[0])}
        return found

    def _columns(self) -> dict[int, list[ColumnDef]]:
        before, rows = self._before, self._rows(_ATTRIBUTE)
        if self._new.types is not before.types:
            made = {oid: [self._column(row) for row in found] for oid, found in groupby(rows, itemgetter(0))}
            return _kept(before.columns, made)
        gone, fresh = _differing(before.source.get(_ATTRIBUTE.name, []), rows)
        if not gone and not fresh:
            return before.columns
        found = dict(before.columns)
        for oid in {row[0] for row in (*gone, *fresh)}:
            first, last = (bisect(rows, oid, key=itemgetter(0)) for bisect in (bisect_left, bisect_right))
            if first < last:
                found[oid] = [self._column(row) for row in rows[first:last]]
            else:
                del found[oid]
        return found

    def _column(self, row: Row) -> ColumnDef:
        _relid, name, type_oid, typmod, attnum, decl, not_null, default, identity, generated = row
        column = ColumnDef(
            name, type_oid, typmod, attnum, decl, default=default, identity=identity, generated=generated,
            **column_flags(not_null),
        )  # fmt: skip
        return self._catalog.types.with_base(column)


def _differing(before: list[Row], after: list[Row]) -> tuple[list[Row], list[Row]]:
    """What is left of two lists without the rows at their beginning and at their end that are the same."""
    if before is after:
        return [], []
    shorter = min(len(before), len(after))
    first = next(compress(count(), map(ne, before, after)), shorter)
    behind = map(ne, reversed(before), reversed(after))
    same = min(next(compress(count(), behind), shorter), shorter - first)
    return before[first : len(before) - same], after[first : len(after) - same]


Key = TypeVar("Key")


def _kept(known: dict[Key, Known], found: dict[Key, Known]) -> dict[Key, Known]:
    """``found`` with the objects of ``known`` in place of equal ones; ``known`` itself when all are equal."""
    if known == found and list(known) == list(found):
        return known
    return {key: known[key] if key in known and known[key] == value else value for key, value in found.items()}


def _relation(row: Row) -> RelationRow:
    oid, schema, name, kind, owner, sqlite_name, definition, options = row
    return RelationRow(oid, schema, name, kind, owner, sqlite_name, definition, oid >= FIRST_TEMP_OID, options)


def _index(relation: RelationRow, row: Row) -> IndexDef:
    oid, relid, unique, primary, method, keys, include, predicate = row
    return IndexDef(
        oid, relation.schema, relation.name, relation.sqlite_name, relid, bool(unique & 1), bool(primary), method,
        keys_from_json(keys), tuple(json.loads(include)), predicate, unique >> 1,
    )  # fmt: skip


def _sequence(relation: RelationRow, row: Row) -> SequenceDef:
    return SequenceDef(
        row[0], relation.schema, relation.name, relation.temp, row[1], row[2], row[3], row[4], row[5], row[6],
        bool(row[7]), row[8], row[9], bool(row[10]),
    )  # fmt: skip
