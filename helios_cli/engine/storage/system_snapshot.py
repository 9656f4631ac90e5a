"""The whole catalog of a database as of one version, for the relations of pg_catalog and information_schema."""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, TypeVar

from helios_cli.engine.datatypes.usertypes import row_oid
from helios_cli.engine.sql.databases import FIRST, FIRST_NAME, DatabaseFacts
from helios_cli.engine.sql.ddl_model import ColumnDef, ConstraintDef, IndexDef, SequenceDef
from helios_cli.engine.sql.made_objects import UserCast, UserOperator
from helios_cli.engine.sql.policies import Policy
from helios_cli.engine.sql.privileges import PG_NAMESPACE, Acl, text_of
from helios_cli.engine.sql.relation import Partition, UserType
from helios_cli.engine.sql.routines import Routine, Trigger
from helios_cli.engine.sql.text_collations import Collation
from helios_cli.engine.storage.catalog_privileges import birth_acl

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


def _grouped(pairs: Iterable[tuple[Key, Value]]) -> dict[Key, list[Value]]:
    found: dict[Key, list[Value]] = {}
    for key, value in pairs:
        found.setdefault(key, []).append(value)
    return found


@dataclass(frozen=True, slots=True)
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


Keyed = tuple[str, Callable[[Any], Any]]
"""The mapping that a derived one is made of, and what tells the key of an object in it; None leaves it out."""

BY_ONE: Final[dict[str, Keyed]] = {
    "row_types": ("relations", lambda found: row_oid(found.oid) if found.kind in ("r", "v", "m", "M") else None),
    "names": ("relations", lambda found: (found.schema, found.name)),
    "sqlite_names": ("relations", lambda found: found.sqlite_name or None),
    "standard_constraints": ("constraints", lambda found: found.oid if found.kind != "x" else None),
    "tables": ("relations", lambda found: found.oid if found.kind == "r" else None),
    "views": ("relations", lambda found: found.oid if found.kind == "v" else None),
}
"""Mappings in which a key has one object."""
BY_GROUP: Final[dict[str, Keyed]] = {
    "table_indexes": ("indexes", lambda found: found.table_oid),
    "table_constraints": ("constraints", lambda found: found.table_oid),
    "referencing": ("constraints", lambda found: found.ref_oid if found.kind == "f" else None),
    "column_sequences": (
        "sequences", lambda found: (found.owner_oid, found.owner_attnum) if found.owner_oid else None,
    ),
}  # fmt: skip
"""Mappings in which a key has a list of objects, by their OIDs."""
BY_FIELD: Final = {
    "role_names": "roles", "schema_oids": "namespaces", "comments": "descriptions", "depends_of": "depends",
    "table_triggers": "triggers", "triggers_by_oid": "triggers", "routines_by_oid": "routines",
}  # fmt: skip
"""Other derived mappings, and what each is made of."""


@dataclass
class Snapshot:
    """Everything the system tables hold, by OID. Nobody changes one: all connections of a version share it."""

    version: int
    source: dict[str, list[Any]] = field(default_factory=dict)
    """The rows of the system tables that the objects were made of, for the next version to compare with."""
    database: str = FIRST_NAME
    """The name of the database that it is of."""
    databases: tuple[DatabaseFacts, ...] = (FIRST,)
    """All of them, by OID."""
    namespaces: list[tuple[int, str, int]] = field(default_factory=list)
    relations: dict[int, RelationRow] = field(default_factory=dict)
    columns: dict[int, list[ColumnDef]] = field(default_factory=dict)
    indexes: dict[int, IndexDef] = field(default_factory=dict)
    constraints: dict[int, ConstraintDef] = field(default_factory=dict)
    sequences: dict[int, SequenceDef] = field(default_factory=dict)
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
    operators: dict[int, UserOperator] = field(default_factory=dict)
    """Those that users made, as are the casts."""
    casts: dict[int, UserCast] = field(default_factory=dict)
    types: dict[int, UserType] = field(default_factory=dict)
    labels: list[tuple[int, int, float, str]] = field(default_factory=list)
    """(the label's own OID, the enum's, its place, the label)."""
    path: tuple[str, ...] = ("public", "pg_temp")
    """Schemas whose names are left out where a name is printed."""

    @cached_property
    def row_types(self) -> dict[int, RelationRow]:
        """Relations by the OID of their row type."""
        return self._by_one("row_types")

    @cached_property
    def names(self) -> dict[tuple[str, str], RelationRow]:
        """Every relation by its schema and name."""
        return self._by_one("names")

    @cached_property
    def sqlite_names(self) -> dict[str, RelationRow]:
        """Relations by the name that SQLite knows them under."""
        return self._by_one("sqlite_names")

    @cached_property
    def tables(self) -> dict[int, RelationRow]:
        """Relations of kind 'r'."""
        return self._by_one("tables")

    @cached_property
    def views(self) -> dict[int, RelationRow]:
        """Relations of kind 'v'."""
        return self._by_one("views")

    @cached_property
    def table_indexes(self) -> dict[int, list[IndexDef]]:
        """The indexes of each table, by OID."""
        return self._by_group("table_indexes")

    @cached_property
    def table_constraints(self) -> dict[int, list[ConstraintDef]]:
        """The constraints of each table, by OID."""
        return self._by_group("table_constraints")

    @cached_property
    def standard_constraints(self) -> dict[int, ConstraintDef]:
        """Those that the SQL standard knows: all but EXCLUDE."""
        return self._by_one("standard_constraints")

    @cached_property
    def referencing(self) -> dict[int, list[ConstraintDef]]:
        """The foreign keys to each table, by OID."""
        return self._by_group("referencing")

    @cached_property
    def column_sequences(self) -> dict[tuple[int, int], list[SequenceDef]]:
        """The sequences that belong to a column, by table and number."""
        return self._by_group("column_sequences")

    def _by_one(self, name: str) -> dict[Any, Any]:
        source, key_of = BY_ONE[name]
        return {key: found for found in getattr(self, source).values() if (key := key_of(found)) is not None}

    def _by_group(self, name: str) -> dict[Any, list[Any]]:
        source, key_of = BY_GROUP[name]
        found = _grouped((key_of(one), one) for one in getattr(self, source).values())
        found.pop(None, None)
        return found

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
        return _grouped(((oid, column), (class_oid, text)) for oid, class_oid, column, text in self.descriptions)

    @cached_property
    def depends_of(self) -> dict[int, list[int]]:
        """The relations that each view reads."""
        return _grouped((view, target) for view, target in self.depends)

    @cached_property
    def table_triggers(self) -> dict[int, list[Trigger]]:
        """The triggers of each relation, in the order of their names."""
        return _grouped((trigger.relation, trigger) for trigger in self.triggers)

    @cached_property
    def routines_by_oid(self) -> dict[int, Routine]:
        """Users' functions."""
        return {routine.oid: routine for routine in self.routines}

    @cached_property
    def triggers_by_oid(self) -> dict[int, Trigger]:
        """Triggers."""
        return {trigger.oid: trigger for trigger in self.triggers}

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

    securities: dict[int, tuple[bool, bool, tuple[Policy, ...]]] = field(default_factory=dict)
    """By table: whether row level security is enabled, whether it is forced, and the policies."""
    parents: dict[int, tuple[int, ...]] = field(default_factory=dict)
    """The tables that a table inherits from directly, in their order."""
    children: dict[int, tuple[int, ...]] = field(default_factory=dict)
    """The tables that inherit from a table directly, by OID."""
    partitions: dict[int, Partition] = field(default_factory=dict)
    """The partitioned tables and partitions."""
    calls: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """The users' functions that definitions call, by SQLite's name of the table or view."""
    routines: tuple[Routine, ...] = ()
    triggers: tuple[Trigger, ...] = ()

    def along(self, path: tuple[str, ...]) -> Snapshot:
        """The same for a session with another search path."""
        if path == self.path:
            return self
        other = copy.copy(self)
        other.path = path
        return other

    def schema_oid(self, name: str) -> int:
        """The OID of a schema, 0 when there is none."""
        return self.schema_oids.get(name, 0)

    def attnum(self, relation: int, column: str) -> int:
        """A column's number, 0 when there is none."""
        return next((found.attnum for found in self.columns.get(relation, ()) if found.name == column), 0)

    def owned_sequence(self, relation: int, attnum: int) -> SequenceDef | None:
        """The first sequence that belongs to a column; None for a column without."""
        found = self.column_sequences.get((relation, attnum))
        return found[0] if found else None

    def indexes_of(self, relation: int) -> list[IndexDef]:
        """The indexes of a table, by OID."""
        return self.table_indexes.get(relation, [])
