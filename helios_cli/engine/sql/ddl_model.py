"""What DDL knows of existing objects: plain records, and the catalog port that serves them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from helios_cli.engine.sql.authority import Acting
from helios_cli.engine.sql.databases import DatabaseFacts, FileObject
from helios_cli.engine.sql.made_objects import UserOperator
from helios_cli.engine.sql.policies import Policy, RowSecurity
from helios_cli.engine.sql.relation import CatalogReader, Partition, Relation, UserType
from helios_cli.engine.sql.rights import Facts
from helios_cli.engine.sql.routines import Routine, Trigger
from helios_cli.engine.sql.text_collations import Collation

_COLLATE: Final = " COLLATE "


@dataclass(slots=True)
class ColumnDef:
    """One column of a table, as the system tables hold it."""

    name: str
    type_oid: int
    typmod: int
    attnum: int
    type_name: str = ""
    """The declared type of the SQLite column (``engine.datatypes``), with ``COLLATE`` and a collation's word."""
    not_null: bool = False
    default: str | None = None
    """The default, or the generation expression, as PostgreSQL text."""
    identity: str = ""
    """'' | 'a' (ALWAYS) | 'd' (BY DEFAULT)."""
    generated: str = ""
    """'' | 's' (STORED)."""
    sqlite_default: bool = False
    """SQLite's own column has a DEFAULT clause: the value that rows older than the column show."""
    domain: int = 0
    """The domain's OID when the column has one; ``type_oid`` and ``typmod`` are then the base type's."""
    local: bool = True
    """It was defined for the table itself, not only inherited."""
    dims: int = 0
    """The pairs of brackets that an array was declared with, as ``pg_attribute.attndims`` tells them."""

    @property
    def collation(self) -> str:
        """The word of its collation (``text_collations``), '' for the database's."""
        return self.type_name.partition(_COLLATE)[2]

    @collation.setter
    def collation(self, word: str) -> None:
        self.type_name = f"{self.type_name.partition(_COLLATE)[0]}{_COLLATE}{word}" if word else ""

    @property
    def shown_oid(self) -> int:
        """The type as pg_attribute shows it: the domain's OID where there is one."""
        return self.domain or self.type_oid


@dataclass(slots=True)
class IndexKey:
    """One key of an index: a column or an expression as PostgreSQL text, never both."""

    column: str | None
    expression: str | None = None
    descending: bool = False
    nulls_first: bool = False
    opclass: str | None = None
    collation: str | None = None
    """The name of a collation that every database has, else the collation's word; None for the column's own."""
    operator: str | None = None
    """Of an EXCLUDE constraint: what two rows are compared by."""


NULLS_ALIKE: Final = 1
DEFERRABLE: Final = 2
DEFERRED: Final = 4
EXCLUSION: Final = 8
INCOMPLETE: Final = 16


@dataclass(slots=True)
class IndexDef:
    """One index, explicit or behind a primary key or unique constraint."""

    oid: int
    schema: str
    name: str
    sqlite_name: str
    table_oid: int
    unique: bool
    primary: bool
    method: str
    keys: tuple[IndexKey, ...]
    include: tuple[str, ...] = ()
    predicate: str | None = None
    rules: int = 0
    """Bits of :data:`NULLS_ALIKE`, :data:`DEFERRABLE` and :data:`DEFERRED`, for a unique one, :data:`EXCLUSION`, and
    :data:`INCOMPLETE`."""

    options: str | None = None
    """Storage parameters of a new one, as pg_class.reloptions shows them."""

    @property
    def nulls_alike(self) -> bool:
        """NULLS NOT DISTINCT."""
        return bool(self.rules & NULLS_ALIKE)

    @property
    def excludes(self) -> bool:
        """Behind an EXCLUDE constraint."""
        return bool(self.rules & EXCLUSION)

    @property
    def incomplete(self) -> bool:
        """Of a partitioned table: some partition has no index that belongs to it."""
        return bool(self.rules & INCOMPLETE)

    @property
    def deferrable(self) -> bool:
        """Checked behind the statement, or at COMMIT."""
        return bool(self.rules & DEFERRABLE)

    @property
    def deferred(self) -> bool:
        """Checked at COMMIT unless SET CONSTRAINTS says otherwise."""
        return bool(self.rules & DEFERRED)


@dataclass(slots=True)
class ConstraintDef:
    """One constraint; which fields count depends on ``kind``."""

    oid: int
    table_oid: int
    name: str
    kind: str
    """'p' primary key, 'u' unique, 'c' check, 'f' foreign key, 'x' exclusion."""
    columns: tuple[str, ...] = ()
    """For a check: the columns its expression names, in order of first mention."""
    index_oid: int = 0
    expression: str | None = None
    """A check's expression as PostgreSQL text."""
    ref_oid: int = 0
    ref_columns: tuple[str, ...] = ()
    ref_index_oid: int = 0
    on_update: str = "a"
    on_delete: str = "a"
    """PostgreSQL's letters: a no action, r restrict, c cascade, n set null, d set default."""
    match: str = "s"
    deferrable: bool = False
    deferred: bool = False
    validated: bool = True
    """False: it was added NOT VALID, and rows from before need not meet it."""
    local: bool = True
    """It was defined for the table itself, not only inherited."""
    no_inherit: bool = False
    """A CHECK with NO INHERIT, which tables that inherit do not get."""
    enabled: bool = True
    """False: a foreign key of a table all of whose triggers are disabled, which nobody looks at."""
    delete_columns: tuple[str, ...] = ()
    """Of ON DELETE SET NULL and SET DEFAULT: the columns that are set; empty for all."""


@dataclass(slots=True)
class TableDef:
    """A table with everything needed to write its SQLite form anew."""

    oid: int
    schema: str
    name: str
    sqlite_name: str
    temp: bool
    columns: list[ColumnDef]
    constraints: list[ConstraintDef] = field(default_factory=list)
    indexes: list[IndexDef] = field(default_factory=list)
    partition: Partition | None = None
    """Of a partitioned table and of a partition."""

    @property
    def parted(self) -> bool:
        """Whether it is partitioned."""
        return self.partition is not None and bool(self.partition.strategy)

    @property
    def is_partition(self) -> bool:
        """Whether it is a partition."""
        return self.partition is not None and bool(self.partition.bound)

    def column(self, name: str) -> ColumnDef | None:
        """The column of that name, or None."""
        return next((column for column in self.columns if column.name == name), None)

    def constraint(self, name: str) -> ConstraintDef | None:
        """The constraint of that name, or None."""
        return next((constraint for constraint in self.constraints if constraint.name == name), None)

    def primary_key(self) -> ConstraintDef | None:
        """The primary key, or None."""
        return next((constraint for constraint in self.constraints if constraint.kind == "p"), None)


@dataclass(slots=True)
class ViewDef:
    """A view: its query as PostgreSQL text and its SQLite name."""

    oid: int
    schema: str
    name: str
    sqlite_name: str
    temp: bool
    text: str


@dataclass(slots=True)
class SequenceDef:
    """A sequence's parameters; the value is the storage's business."""

    oid: int
    schema: str
    name: str
    temp: bool
    type_oid: int
    start: int
    increment: int
    minimum: int
    maximum: int
    cache: int
    cycle: bool
    owner_oid: int = 0
    owner_attnum: int = 0
    internal: bool = False
    """Belongs to an identity column."""


@dataclass(slots=True, frozen=True)
class RoleDef:
    """A role's name, attributes by PostgreSQL's column names, and roles it is a member of."""

    oid: int
    name: str
    superuser: bool
    can_login: bool


class DdlCatalog(CatalogReader, Protocol):
    """What planning a DDL statement needs to know beyond names and columns."""

    acting: Acting
    """As whom the statement is planned."""
    checks_bodies: bool
    """Whether the bodies of new functions are looked through."""

    @property
    def privileges(self) -> Facts:
        """Roles, owners and rights."""

    search_path: tuple[str, ...]
    """Schemas in order, ``pg_catalog`` left out when it is implied."""

    def next_oid(self, temp: bool) -> int:
        """The first free OID of the database, or of the session's temporary objects."""

    def drawn_version(self) -> int:
        """A number for the version of the schema that a change makes, drawn by lot: one that counted would give the
        change behind a ROLLBACK the version that was rolled back, under which plans and rows are still kept.
        """

    def schema_oid(self, name: str) -> int | None:
        """The OID of a schema, or None."""

    def constraint_of_index(self, oid: int) -> ConstraintDef | None:
        """The constraint that an index stands behind, or None."""

    def policies(self, oid: int) -> tuple[Policy, ...]:
        """The policies of a table, by name."""

    def row_security(self, oid: int) -> RowSecurity | None:
        """What a table enforces; None: it has neither policies nor a switch that was ever touched."""

    def securities(self) -> dict[int, tuple[bool, bool, tuple[Policy, ...]]]:
        """By table: whether row level security is enabled, whether it is forced, and the policies by name."""

    def views_naming(self, word: str) -> tuple[Relation, ...]:
        """Views, materialized ones too, whose query holds a text, by OID."""

    def tables_naming(self, word: str, *, in_defaults: bool = False) -> tuple[int, ...]:
        """Tables with a default, a generated column, a CHECK or an index whose kept expression holds a text, by OID.

        With ``in_defaults`` only the first two count.
        """

    def options(self, oid: int) -> str | None:
        """The storage parameters of a relation, as pg_class shows them; None for none."""

    def schema_sequences(self, name: str) -> tuple[str, ...]:
        """The names of every sequence of a schema."""

    def schema_objects(self, name: str) -> tuple[Relation, ...]:
        """Every table, view and sequence of a schema, by OID."""

    def object_kind(self, schema: str, name: str) -> str | None:
        """'r' 'v' 'i' 'S' of the object that has this name in the schema, or None when the name is free."""

    @property
    def name_prefix(self) -> str:
        """What SQLite's names of permanent objects begin with: nothing in the first database."""

    @property
    def database(self) -> DatabaseFacts:
        """The database whose objects are seen."""

    def databases(self) -> dict[str, DatabaseFacts]:
        """All databases by name."""

    def of_database(self, oid: int) -> DdlCatalog:
        """The catalog of another database, as of the same moment."""

    def file_objects(self, oid: int) -> tuple[FileObject, ...]:
        """Everything that SQLite has of another database than the first."""

    def sqlite_name_taken(self, sqlite_name: str, temp: bool) -> bool:
        """Whether SQLite has a table, view or index whose name differs at most in case."""

    def has_temp_tables(self) -> bool:
        """Whether the session's temporary system tables exist."""

    def table_def(self, oid: int) -> TableDef | None:
        """The whole definition of a table, None when the OID is no table's. The caller may change it."""

    def table_by_sqlite_name(self, sqlite_name: str) -> TableDef | None:
        """The definition of the table that SQLite knows under this name, temporary ones first; None when absent."""

    def constraint_by_oid(self, oid: int) -> ConstraintDef | None:
        """A constraint of any table, or None."""

    def view_def(self, oid: int) -> ViewDef | None:
        """The definition of a view, materialized ones too, or None."""

    session_value: Callable[[str], Any]
    """A value of the session for which a statement is planned, by its name: ``timezone``, ``now``."""

    def index_def(self, schema: str | None, name: str) -> IndexDef | None:
        """Find an index by name; with schema None along the search path."""

    def sequence_def(self, oid: int) -> SequenceDef | None:
        """The parameters of a sequence, or None."""

    def owned_sequences(self, table_oid: int) -> tuple[SequenceDef, ...]:
        """The sequences that go when the table goes."""

    def referencing(self, table_oid: int) -> tuple[ConstraintDef, ...]:
        """Foreign keys of other tables, and of itself, that point to the table."""

    def children(self, oid: int) -> tuple[int, ...]:
        """The tables that inherit from a table directly, by OID."""

    def partition(self, oid: int) -> Partition | None:
        """How a table is parted, or which rows of another it has; None for other tables."""

    def next_place(self, oid: int) -> int:
        """The number that one more parent of a table gets."""

    def dependents(self, oid: int) -> tuple[Relation, ...]:
        """Views that read a relation, call a function or name a type directly, by OID."""

    def dependent_columns(self, view_oid: int, oid: int) -> tuple[str, ...]:
        """The columns of the relation that the view names; empty when that is not known."""

    def relation_by_oid(self, oid: int) -> Relation | None:
        """The table, view or sequence of that OID."""

    def columns_of_type(self, oid: int) -> tuple[tuple[int, str, int], ...]:
        """Columns that have a user's type or an array of it: (relation's OID, name, the column's type)."""

    def all_types(self) -> tuple[UserType, ...]:
        """Every type that users made, by OID."""

    def all_routines(self) -> tuple[Routine, ...]:
        """Every function and procedure that users made."""

    def all_operators(self) -> list[UserOperator]:
        """Every operator that users made, by OID."""

    def user_collations(self) -> list[Collation]:
        """The collations that users made, by OID."""

    def collated_column(self, collation: Collation) -> tuple[str, str] | None:
        """(table, column) of a column that has a collation; None when none has."""

    def all_triggers(self) -> tuple[Trigger, ...]:
        """Every trigger."""

    def role(self, name: str) -> RoleDef | None:
        """A role by name."""
