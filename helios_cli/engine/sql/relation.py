"""What the planner knows about tables, views and indexes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from helios_cli.engine.sql.databases import DatabaseFacts
    from helios_cli.engine.sql.ddl_model import ConstraintDef
    from helios_cli.engine.sql.made_objects import Casts, UserOperator
    from helios_cli.engine.sql.policies import RowSecurity
    from helios_cli.engine.sql.routines import Routine, Trigger, UserFunction
    from helios_cli.engine.sql.text_collations import Collation


@dataclass(frozen=True, slots=True)
class ColumnInfo:
    """One column of a relation."""

    name: str
    type_oid: int
    typmod: int = -1
    not_null: bool = False
    default: str | None = None
    """The default as PostgreSQL SQL text, None when there is none."""
    identity: str = ""
    """'' | 'a' (GENERATED ALWAYS) | 'd' (BY DEFAULT)."""
    attnum: int = 0
    """1-based position, as in pg_attribute."""
    domain: int = 0
    """The domain's OID when the column has one; ``type_oid`` is then the base type's."""
    collation: str = ""
    """The word of a text column's collation (``text_collations``), '' for the database's."""
    generated: bool = False
    """SQLite computes it from the others."""


@dataclass(frozen=True, slots=True)
class IndexInfo:
    """One index; ``columns`` holds None where an expression stands."""

    name: str
    unique: bool
    primary: bool
    columns: tuple[str | None, ...]
    partial: bool = False
    rules: int = 0
    """Of a unique one: how NULLs count and when it is checked (``ddl_model.IndexDef.rules``)."""


@dataclass(frozen=True, slots=True)
class Partition:
    """How the rows of a table are parted, and which rows of another it has; one of the two or both."""

    strategy: str = ""
    """'l' by list, 'r' by range, 'h' by hash; '' for a table that is not parted."""
    keys: tuple[str, ...] = ()
    """The columns that its rows are parted by; '' stands for an expression."""
    bound: str = ""
    """Of a partition, as pg_get_expr() prints it: ``FOR VALUES IN (1)``; '' for a table that is none."""
    own: str = ""
    """PostgreSQL text of the condition that a partition's bound puts on its rows, tests joined by AND; of DEFAULT it is
    that of none of the others, '' of the only one."""
    check: str = ""
    """The same with those of the partitioned tables above it."""
    expressions: tuple[str, ...] = ()
    """PostgreSQL text of those in ``keys``."""


@dataclass(frozen=True, slots=True)
class Relation:
    """A table, view or system relation that a statement may name."""

    oid: int
    schema: str
    name: str
    kind: str
    """'r' table, 'v' view, 'S' sequence, 't' temporary table, 'c' system catalog relation."""
    columns: tuple[ColumnInfo, ...]
    indexes: tuple[IndexInfo, ...] = ()
    sqlite_name: str = ""
    """The unquoted name of the SQLite object that holds it."""
    owner: int = 10
    """OID of the role that owns it."""
    security: RowSecurity | None = None
    """Row level security of a table; None: it has neither policies nor a switch that was ever touched."""
    by_query: bool = False
    """A view that is read by its query, for SQLite's does not do: over a table with row level security enabled, or that
    others inherit from, directly or through other views."""
    calls: tuple[int, ...] | None = None
    """The users' functions that a view, or what keeps a table's rows right, calls; None: it asks nothing of the session
    that uses it."""
    heirs: tuple[int, ...] = ()
    """The OIDs of the tables that inherit from a table, at once or further on, those that are nearer first."""
    partition: Partition | None = None
    """Of a partitioned table and of a partition."""
    invoker: bool = False
    """A view that reads with the rights of whoever runs the statement, not with its owner's."""

    @property
    def reader(self) -> int:
        """As whom a view reads: its owner; 0: whoever runs the statement."""
        return 0 if self.invoker else self.owner


@dataclass(frozen=True, slots=True)
class DomainCheck:
    """A CHECK of a domain; ``expression`` is PostgreSQL text over VALUE."""

    oid: int
    name: str
    expression: str
    validated: bool = True
    """Whether the values that were there when it was added are known to meet it."""


@dataclass(frozen=True, slots=True)
class RangeFacts:
    """What a user's range is made of, beside its subtype, for the catalogs."""

    opclass: int
    """The OID of the operator class that orders its bounds."""
    collation: int
    """The OID of the collation of its bounds, 0 for none."""
    diff_oid: int = 0
    """The user's function for SUBTYPE_DIFF."""
    diff_name: str = ""
    """Its name, or that of a built-in one; '' for none."""


@dataclass(frozen=True, slots=True)
class UserType:
    """A type that a user made, or the row type of a relation."""

    oid: int
    """It tells the kind: ``datatypes.usertypes``."""
    schema: str
    name: str
    kind: str
    """'e' enum, 'c' row, 'd' domain, 'r' range, 'm' multirange (pg_type.typtype)."""
    labels: tuple[str, ...] = ()
    """Of an enum, in order."""
    fields: tuple[ColumnInfo, ...] = ()
    """Of a row."""
    relation: int = 0
    """The relation whose row type it is, 0 for a type of its own."""
    base_oid: int = 0
    """Of a domain, never itself a domain; of a range the type that its bounds are kept as."""
    base_typmod: int = -1
    not_null: bool = False
    default: str | None = None
    checks: tuple[DomainCheck, ...] = ()
    """Of a domain, those of the domains below it first."""
    collation: int = 0
    """OID of the collation that a domain was made with; 0: its base type's."""
    own_checks: int = 0
    """How many of them are its own."""
    parent: int = 0
    """The domain that a domain or a range is over, 0 when it is over its base type; the range of a multirange."""
    made_of: RangeFacts | None = None
    """Of a range."""
    owner: int = 10


class CatalogReader(Protocol):
    """Where the planner looks names up; one per schema version."""

    version: int
    """Grows with every change of the schema; plans made under another version are stale. Two catalogs with the
    same version and search path see the same relations, unless their sessions do not share a plan cache."""

    search_path: tuple[str, ...]
    """Schemas that an unqualified name is looked for in, pg_catalog apart."""

    @property
    def database(self) -> DatabaseFacts:
        """The database whose objects are seen."""

    def extensions(self) -> dict[str, tuple[int, str]]:
        """The extensions that were created, with the OID and the schema of each."""

    def collation(self, schema: str | None, name: str) -> Collation | None:
        """Find a collation; with schema None in pg_catalog and then along the search path. None when absent."""

    def relation(self, schema: str | None, name: str) -> Relation | None:
        """Find a relation by name; with schema None along the search path. None when absent."""

    def functions(self, schema: str | None, name: str) -> tuple[UserFunction, ...]:
        """The functions and procedures of a name that users made, as overloads; with schema None along the path."""

    def routines(self, schema: str, name: str) -> tuple[Routine, ...]:
        """The functions and procedures of a name in one schema."""

    def routine(self, oid: int) -> Routine | None:
        """A function or procedure by OID."""

    def made_function(self, oid: int) -> UserFunction | None:
        """A function by OID as the planner sees it, without the columns of its result."""

    def operators(self, name: str) -> list[UserOperator]:
        """The operators of a name that users made, by OID."""

    def casts(self) -> Casts:
        """Every cast that users made, by source and target."""

    def relation_by_oid(self, oid: int) -> Relation | None:
        """The table, view or sequence of that OID."""

    def referencing(self, table_oid: int) -> tuple[ConstraintDef, ...]:
        """Foreign keys of other tables, and of itself, that point to the table."""

    def parents(self, oid: int) -> tuple[int, ...]:
        """The tables that a table inherits from directly, in their order."""

    def view_query(self, oid: int) -> str | None:
        """The query of a view as PostgreSQL's SQL, or None."""

    def view_check_option(self, oid: int) -> str:
        """The check option of a view, 'local' or 'cascaded'; '' for one that has none."""
        ...

    def read_by_view(self, oid: int) -> tuple[Relation, ...]:
        """What a view reads directly."""

    def triggers(self, relation_oid: int) -> tuple[Trigger, ...]:
        """The triggers of a table or view, by name, which is the order they fire in."""

    def has_schema(self, name: str) -> bool:
        """Whether there is a schema of that name."""

    def user_type(self, schema: str | None, name: str) -> UserType | None:
        """Find a user's type or a relation's row type by name, along the search path without a schema."""

    def type_by_oid(self, oid: int) -> UserType | None:
        """The type of that OID; None for PostgreSQL's own types, arrays, and types that are gone."""
