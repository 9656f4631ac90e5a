"""Which rights a statement needs, gathered while it is planned, and whether a role has them. Pure.

A plan lists what it needs once; whether a role has it is asked once for each plan and role, because both a plan and
the catalog that answers belong to one version of the schema.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Protocol

from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql import privileges
from helios_cli.engine.sql.authority import BOOTSTRAP, MONITOR, READ_ALL_DATA, READ_ALL_STATS, WRITE_ALL_DATA, Authority
from helios_cli.engine.sql.policies import PUBLIC, RowSecurity
from helios_cli.engine.sql.privileges import (
    COLUMN_RIGHTS,
    DELETE,
    EXECUTE,
    INSERT,
    PG_CLASS,
    PG_LANGUAGE,
    PG_NAMESPACE,
    PG_PROC,
    SELECT,
    UPDATE,
    USAGE,
    Acl,
)
from helios_cli.engine.sql.relation import Relation

KIND_WORDS: Final = {"r": "table", "t": "table", "v": "view", "m": "materialized view", "M": "materialized view",
                     "S": "sequence", "i": "index",
                     "c": "table", "p": "table", "f": "foreign table"}  # fmt: skip
OPEN_SCHEMAS: Final = frozenset(("pg_catalog", "information_schema", "pg_temp"))
"""Schemas that everybody may look into."""
CLOSED_RELATIONS: Final = frozenset(
    ("pg_authid", "pg_shadow", "pg_statistic", "pg_subscription", "pg_user_mapping", "pg_largeobject", "pg_config",
     "pg_hba_file_rules", "pg_ident_file_mappings", "pg_file_settings", "pg_backend_memory_contexts",
     "pg_shmem_allocations", "pg_statistic_ext_data", "pg_replication_origin_status")
)  # fmt: skip
"""Relations of pg_catalog that PostgreSQL shows to superusers only."""


MONITORS_RELATIONS: Final = frozenset(("helios_events",))
"""Relations that members of pg_monitor see, besides superusers."""
CLOSED_FUNCTIONS: Final = frozenset(("pg_reload_conf", "helios_write_restore"))
"""Functions of the library that are not everybody's."""


@dataclass(slots=True)
class RelationRight:
    """What a statement does with one relation."""

    oid: int
    name: str
    kind: str
    schema: str
    owner: int = BOOTSTRAP
    qualified: bool = False
    """The statement names the schema, so that it needs the right to look into it."""
    wanted: int = 0
    selected: set[int] = field(default_factory=set)
    """Numbers of the columns that are read; empty with SELECT wanted: any column's right is enough (``count(*)``)."""
    inserted: set[int] = field(default_factory=set)
    updated: set[int] = field(default_factory=set)
    view: RelationRight | None = None
    """The view through which it is changed: with the rights of the view's owner."""
    any_of: int = 0
    """At least one of these has to be there as well, on the whole relation; 0: nothing."""
    invoker: bool = False
    """See ``Relation.invoker``."""

    @classmethod
    def of(cls, relation: Relation) -> RelationRight:
        """Nothing wanted of a relation yet."""
        known = relation
        return cls(known.oid, known.name, known.kind, known.schema, known.owner, invoker=known.invoker)


@dataclass(frozen=True, slots=True)
class FunctionRight:
    """A call of a function that somebody has made."""

    oid: int
    shown: str
    """As messages name it: without arguments."""
    owner: int
    schema: str = "public"
    word: str = "function"


@dataclass(frozen=True, slots=True)
class LanguageRight:
    """A block in a language."""

    oid: int
    name: str


@dataclass(frozen=True, slots=True)
class ClosedFunction:
    """A call of a function that is for superusers."""

    name: str


@dataclass(frozen=True, slots=True)
class Unsecured:
    """What cannot be done with a table whose policies count for the role."""

    security: RowSecurity
    message: str
    hint: str | None
    sqlstate: str = "0A000"


@dataclass(frozen=True, slots=True)
class PolicyRight:
    """What the condition of a policy reads, for those whom the policy counts for."""

    security: RowSecurity
    roles: tuple[int, ...]
    """The policy's: OIDs, or PUBLIC alone."""
    reader: int
    """As whom it is read: the owner of the view around it; 0: whoever runs the statement."""
    needed: tuple[Right, ...]


@dataclass(frozen=True, slots=True)
class OwnersRight:
    """What whoever a view reads as has to be allowed to do besides reading."""

    owner: int
    """0: whoever runs the statement."""
    needed: RelationRight


Right = OwnersRight | RelationRight | FunctionRight | LanguageRight | ClosedFunction | Unsecured | PolicyRight


def changes_only_temporary(needed: Iterable[Right]) -> bool:
    """Whether a statement that needs these rights changes temporary tables and sequences and nothing else."""
    changed = [
        right for right in needed
        if isinstance(right, RelationRight) and (right.wanted & (INSERT | UPDATE | DELETE) or right.kind == "S")
    ]  # fmt: skip
    return bool(changed) and all(right.schema == "pg_temp" for right in changed)


@dataclass(slots=True)
class Rights:
    """Gathers what one statement needs, in the order in which it is met."""

    relations: dict[int, RelationRight] = field(default_factory=dict)
    functions: dict[int, FunctionRight] = field(default_factory=dict)
    closed: dict[str, ClosedFunction] = field(default_factory=dict)
    not_secured: list[Unsecured] = field(default_factory=list)
    policies: list[PolicyRight] = field(default_factory=list)
    owners: list[OwnersRight] = field(default_factory=list)
    views: dict[int, RelationRight] = field(default_factory=dict)
    """The table that a view's change comes to next, and the view."""
    owned_inside: bool = False
    """A policy reads a view."""

    def relation(self, relation: Relation, wanted: int, *, qualified: bool = False) -> None:
        """The statement reads or changes a relation."""
        known = self.relations.get(relation.oid)
        view = self.views.pop(relation.oid, None)
        if known is not None:
            # Named besides the view: then the role itself needs the rights.
            known.view = None
        else:
            known = RelationRight.of(relation)
            known.view = view
            self.relations[relation.oid] = known
        known.wanted |= wanted
        known.qualified |= qualified

    def through(self, view: Relation, base: Relation) -> None:
        """A change of a view becomes one of what is under it."""
        known = self.relations.get(view.oid)
        if known is not None:
            self.views[base.oid] = known

    def reads(self, oid: int, attnum: int) -> None:
        """A column is read. Nothing for what the statement does not name as a relation."""
        known = self.relations.get(oid)
        if known is not None:
            known.wanted |= SELECT
            known.selected.add(attnum)

    def inserts(self, oid: int, attnums: Iterable[int]) -> None:
        """Columns that are given values."""
        known = self.relations.get(oid)
        if known is not None:
            known.wanted |= INSERT
            known.inserted.update(attnums)

    def updates(self, oid: int, attnums: Iterable[int]) -> None:
        """Columns that are given other values."""
        known = self.relations.get(oid)
        if known is not None:
            known.wanted |= UPDATE
            known.updated.update(attnums)

    def executes(self, oid: int, shown: str, owner: int, schema: str, word: str = "function") -> None:
        """A function of somebody's is called; those of the library are everybody's."""
        self.functions.setdefault(oid, FunctionRight(oid, shown, owner, schema, word))

    def calls(self, name: str) -> None:
        """A function of the library is called."""
        if name in CLOSED_FUNCTIONS:
            self.closed.setdefault(name, ClosedFunction(name))

    def unsecured(self, relation: Relation, message: str, hint: str | None = None, sqlstate: str = "0A000") -> None:
        """The statement is not there for those that a table's policies count for."""
        assert relation.security is not None
        self.not_secured.append(Unsecured(relation.security, message, hint, sqlstate))

    def locks_under(self, owner: int, relation: Relation) -> None:
        """Rows of a relation are locked through a view of somebody's."""
        needed = RelationRight.of(relation)
        needed.wanted = UPDATE
        self.owners.append(OwnersRight(owner, needed))

    def policy(self, security: RowSecurity, roles: tuple[int, ...], reader: int, inside: Rights) -> None:
        """A policy's condition needs what has been gathered while it was translated."""
        needed = inside.listed()
        if needed:
            self.policies.append(PolicyRight(security, roles, reader, needed))
        self.owned_inside |= inside.guarded()

    def takes_view(self, inside: Rights) -> None:
        """What the query of a view needs besides its relations, which the catalog knows."""
        self.functions.update(inside.functions)
        self.policies += inside.policies

    def sees(self, oid: int) -> bool:
        """Whether the statement reads a relation."""
        known = self.relations.get(oid)
        return known is not None and bool(known.wanted & SELECT)

    def guarded(self) -> bool:
        """Whether even a superuser may be refused: a view reads with the rights of its owner."""
        return self.owned_inside or any(right.kind == "v" for right in self.relations.values())

    def listed(self) -> tuple[Right, ...]:
        """What a plan keeps; what everybody may read is left out."""
        relations = (right for right in self.relations.values() if not _is_open(right))
        return (
            *relations,
            *self.functions.values(),
            *self.closed.values(),
            *self.not_secured,
            *self.policies,
            *self.owners,
        )


def _is_open(right: RelationRight) -> bool:
    return right.kind == "c" and right.wanted == SELECT and right.name not in CLOSED_RELATIONS | MONITORS_RELATIONS


class Facts(Protocol):
    """What the catalog knows about owners and rights; one for each version of the schema."""

    def authority(self) -> Authority:
        """The roles."""

    def acl(self, class_oid: int, oid: int) -> Acl | None:
        """The rights on an object; None: nobody has changed the default."""

    def column_acls(self, oid: int) -> dict[int, Acl]:
        """The rights on columns of a relation, by number; those that have none are left out."""

    def relation_owner(self, oid: int) -> int:
        """The owner of a relation."""

    def schema_owner(self, name: str) -> tuple[int, int] | None:
        """OID and owner of a schema; None: there is none."""

    def schemas(self) -> dict[str, tuple[int, int]]:
        """OID and owner of every schema, by name."""

    def owned(self, class_oid: int, role: int) -> tuple[int, ...]:
        """OIDs of the relations, schemas, functions, types or large objects that a role owns."""

    def lists_naming(self, role: int) -> tuple[tuple[tuple[int, int, int], Acl], ...]:
        """The rights in which a role stands: (class, object, column) and the list; default privileges left out."""

    def has_defaults(self, role: int) -> bool:
        """Whether a role has default privileges."""

    def default_acl(self, role: int, schema: int, kind: str) -> Acl | None:
        """What ALTER DEFAULT PRIVILEGES has set for a role's new objects, in a schema or (0) in all; None: nothing."""

    def default_schemas(self, role: int, kind: str) -> list[tuple[int, str]]:
        """Schemas for which a role has default privileges; (0, '') for all schemas."""

    def view_reads(self, oid: int) -> tuple[tuple[Relation, tuple[int, ...]], ...]:
        """What a view reads: each relation with the numbers of the columns that are named."""


def denied(word: str, name: str) -> SqlError:
    """42501 as PostgreSQL words it."""
    return SqlError(f"permission denied for {word} {name}", sqlstate="42501")


def not_owner(word: str, name: str) -> SqlError:
    """42501 for what only the owner may do."""
    return SqlError(f"must be owner of {word} {name}", sqlstate="42501")


class Rightful:
    """What one role may do, by one version of the catalog."""

    def __init__(self, facts: Facts, role: int, *, unrestricted: bool = False) -> None:
        self.facts = facts
        self.role = role
        self.authority = facts.authority()
        self.unrestricted = unrestricted or self.authority.is_superuser(role)
        self.roles = self.authority.privileges_of(role)

    def owns(self, owner: int) -> bool:
        """Whether it may do what only an owner may."""
        return self.unrestricted or owner in self.roles

    def held(self, kind: str, class_oid: int, oid: int, owner: int, wanted: int) -> int:
        """Those of the wanted rights on an object that it has."""
        if self.unrestricted:
            return wanted
        acl = self.facts.acl(class_oid, oid)
        if acl is None:
            acl = privileges.default_acl(kind, owner)
        return privileges.held(acl, self.roles, owner, wanted)

    # -- schemas --------------------------------------------------------------------------------------------------

    def schema_held(self, name: str, wanted: int) -> int:
        """Those of the wanted rights on a schema that it has."""
        if self.unrestricted or (name in OPEN_SCHEMAS and wanted == USAGE):
            return wanted
        found = self.facts.schema_owner(name)
        if found is None:
            return wanted
        mask = self.held(privileges.SCHEMA, PG_NAMESPACE, found[0], found[1], wanted)
        if self.roles & {READ_ALL_DATA, WRITE_ALL_DATA}:
            mask |= wanted & USAGE
        return mask

    def check_schema(self, name: str, wanted: int) -> None:
        """Raise SqlError 42501 unless it has the rights on a schema."""
        if self.schema_held(name, wanted) != wanted:
            raise denied("schema", name)

    # -- relations ------------------------------------------------------------------------------------------------

    def relation_held(self, oid: int, kind: str, name: str, wanted: int) -> int:
        """Those of the wanted rights on a whole relation that it has."""
        if self.unrestricted:
            return wanted
        if kind == "c":
            if name in MONITORS_RELATIONS:
                return wanted & SELECT if self.roles & {MONITOR, READ_ALL_STATS} else 0
            closed = name in CLOSED_RELATIONS
            return wanted & SELECT if not closed or READ_ALL_DATA in self.roles else 0
        owner = self.facts.relation_owner(oid)
        word = privileges.SEQUENCE if kind == "S" else privileges.TABLE
        mask = self.held(word, PG_CLASS, oid, owner, wanted)
        if READ_ALL_DATA in self.roles:
            mask |= wanted & SELECT
        if WRITE_ALL_DATA in self.roles:
            mask |= wanted & (INSERT | UPDATE | privileges.DELETE)
        return mask

    def column_held(self, oid: int, attnum: int, wanted: int) -> int:
        """Those of the wanted rights that it has on one column by that column's own list."""
        acl = self.facts.column_acls(oid).get(attnum)
        return privileges.held(acl, self.roles, 0, wanted) if acl is not None else 0

    def any_column_held(self, oid: int, wanted: int) -> int:
        """Those of the wanted rights that it has on at least one column by the columns' own lists."""
        found = 0
        for acl in self.facts.column_acls(oid).values():
            found |= privileges.held(acl, self.roles, 0, wanted)
        return found

    def may(self, right: RelationRight) -> bool:
        """Whether it may do what a statement does with a relation (ExecCheckRTEPerms)."""
        if right.any_of and not self.relation_held(right.oid, right.kind, right.name, right.any_of):
            return False
        left = right.wanted & ~self.relation_held(right.oid, right.kind, right.name, right.wanted)
        if not left:
            return True
        if left & ~COLUMN_RIGHTS or right.kind == "c":
            return False
        columns = ((SELECT, right.selected), (INSERT, right.inserted), (UPDATE, right.updated))
        return all(self._columns_held(right.oid, bit, numbers) for bit, numbers in columns if left & bit)

    def _columns_held(self, oid: int, bit: int, numbers: set[int]) -> bool:
        if not numbers:
            return bool(self.any_column_held(oid, bit))
        return all(self.column_held(oid, number, bit) for number in numbers)

    # -- statements -----------------------------------------------------------------------------------------------

    def check(self, rights: Iterable[Right]) -> None:
        """Raise SqlError 42501 for the first thing that it may not do."""
        for right in rights:
            if isinstance(right, FunctionRight):
                self.check_function(right)
            elif isinstance(right, Unsecured):
                if self._is_secured(right.security):
                    raise SqlError(right.message, sqlstate=right.sqlstate, hint=right.hint)
            elif isinstance(right, LanguageRight):
                if not self.held(privileges.LANGUAGE, PG_LANGUAGE, right.oid, BOOTSTRAP, USAGE):
                    raise denied("language", right.name)
            elif isinstance(right, ClosedFunction):
                if not self.unrestricted:
                    raise denied("function", right.name)
            elif isinstance(right, PolicyRight):
                self._check_policy(right)
            elif isinstance(right, OwnersRight):
                self._reader(right.owner)._check_inside(right.needed, self)
            else:
                self._check_relation(right)

    def _check_policy(self, right: PolicyRight) -> None:
        reader = self._reader(right.reader)
        if not reader._is_secured(right.security):
            return
        if PUBLIC not in right.roles and not reader.roles.intersection(right.roles):
            return
        for needed in right.needed:
            if isinstance(needed, RelationRight):
                reader._check_inside(needed, self)
            else:
                # Functions are called as whoever runs the statement, in views too.
                self.check((needed,))

    def _is_secured(self, security: RowSecurity) -> bool:
        """Whether a table's policies count for it."""
        facts = self.authority.by_oid.get(self.role)
        if self.unrestricted or (facts is not None and facts.bypass_rls):
            return False
        return security.forced or security.owner not in self.roles

    def check_function(self, right: FunctionRight) -> None:
        """Raise SqlError 42501 unless it may call a function."""
        if not self.schema_held(right.schema, USAGE):
            raise denied("schema", right.schema)
        if not self.unrestricted and not self.held(privileges.FUNCTION, PG_PROC, right.oid, right.owner, EXECUTE):
            raise denied(right.word, right.shown)

    def _check_relation(self, right: RelationRight) -> None:
        if right.view is None and not self.schema_held(right.schema, USAGE):
            if right.qualified:
                raise denied("schema", right.schema)
            # A schema that it may not look into is not in its search path.
            raise SqlError(f'relation "{right.name}" does not exist', sqlstate="42P01")
        if right.view is not None:
            self._check_through(right, right.view)
            return
        if not self.may(right):
            raise denied(KIND_WORDS.get(right.kind, "table"), right.name)
        if right.kind == "v" and (right.wanted & SELECT or right.any_of):
            self._check_view(right, self)

    def _reader(self, role: int) -> Rightful:
        """As whom a view reads; 0: whoever runs the statement."""
        return Rightful(self.facts, role) if role else self

    def _check_through(self, right: RelationRight, view: RelationRight) -> None:
        """What is under a view is changed as its owner; what the statement reads, the role has to see in the view."""
        if right.wanted & SELECT and not self.unrestricted:
            read = RelationRight(view.oid, view.name, view.kind, view.schema, view.owner, wanted=SELECT)
            if not self.may(read):
                raise denied(KIND_WORDS.get(view.kind, "view"), view.name)
        if not self._reader(0 if view.invoker else view.owner).may(right):
            raise denied(KIND_WORDS.get(right.kind, "table"), right.name)

    def _check_view(self, view: RelationRight, asking: Rightful) -> None:
        """A view reads with its owner's rights, or those of whoever asks, and is locked with what it reads."""
        other = asking if view.invoker else Rightful(self.facts, view.owner)
        for relation, columns in self.facts.view_reads(view.oid):
            needed = RelationRight.of(relation)
            if view.any_of:
                needed.any_of = view.any_of
            else:
                needed.wanted, needed.selected = SELECT, set(columns)
            if not _is_open(needed):
                other._check_inside(needed, asking)

    def _check_inside(self, right: RelationRight, asking: Rightful) -> None:
        if not self.may(right):
            raise denied(KIND_WORDS.get(right.kind, "table"), right.name)
        if right.kind == "v" and (right.wanted & SELECT or right.any_of):
            self._check_view(right, asking)
