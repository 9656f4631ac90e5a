"""Names a statement can see: the FROM items of each query level, its CTEs, and what its clauses allow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql.context import Context
from helios_cli.engine.sql.relation import ColumnInfo, Relation
from helios_cli.engine.sql.sqltext import quote_identifier
from helios_cli.engine.sql.typed import Node, TypedSql, relocated, weakened

if TYPE_CHECKING:
    from helios_cli.engine.sql.grouping import Grouping


Stored = tuple[ColumnInfo, int, str, bool]
"""A column of a relation: what it is, the relation's OID, what its name follows in SQLite, and whether it is
never NULL."""


class ScopeColumn:
    """One column that may be named: its PostgreSQL name and the SQLite text that reads it.

    Of the columns of a relation most are never named, so their texts are made when they are.
    """

    __slots__ = ("_value", "name")

    def __init__(self, name: str, value: TypedSql | Stored) -> None:
        self.name = name
        self._value = value

    @property
    def value(self) -> TypedSql:
        """What reads it."""
        found = self._value
        if type(found) is tuple:
            column, relation, prefix, not_null = found
            found = self._value = TypedSql(
                prefix + quote_identifier(column.name), column.type_oid, column.typmod, not_null, True, relation,
                column.attnum, collation=column.collation,
            )  # fmt: skip
        return found  # type: ignore[return-value]

    def nullable(self) -> ScopeColumn:
        """The same column on the side of an outer join that may be filled with NULLs."""
        found = self._value
        if type(found) is tuple:
            return ScopeColumn(self.name, (*found[:3], False)) if found[3] else self
        return ScopeColumn(self.name, weakened(self.value)) if self.value.not_null else self


@dataclass(slots=True)
class RangeItem:
    """One FROM item: a table, subquery, CTE, function or aliased join."""

    name: str
    """Its alias, or the table's own name."""
    columns: list[ScopeColumn]
    relation: Relation | None = None
    schema: str | None = None
    """Set for an unaliased table: ``schema.table.column`` may name it."""
    nullable: bool = False
    """On the outer side of a join."""
    visible: bool = True
    """False while only qualified names may not reach it (excluded by JOIN ... AS)."""
    alias: str = ""
    """SQLite's alias."""
    scalar: bool = False
    """A function that gives values, no rows: as a whole it is its only column."""
    row_type: int = 0
    """The named type of its rows, of a function that returns such; 0: they are those of the relation, or records."""
    derived: bool = False
    """A query stands in SQLite for the table: its rows have no numbers."""
    numbered: bool = False
    """But for this query, which gives them as ``inheritance.ROW``."""
    expanded: bool = False
    """It has the rows of the tables that inherit from it too, and the column ``tableoid``."""
    renamed: int = 0
    """How many of its columns, the first ones, have names of the query's: ``t (a, b)``."""


@dataclass(slots=True)
class Cte:
    """A WITH query: its name, SQLite's name for it, and its columns."""

    name: str
    alias: str
    columns: list[tuple[str, TypedSql]]
    returns: bool = True
    """False for a change of data without RETURNING, which nothing may read."""
    met: Callable[[str], list[str]] | None = None
    """Told of each reference by SQLite's alias; gives conditions for WHERE. Of the recursive term of a query that has
    SEARCH or CYCLE."""
    error: Exception | None = None
    """What computing a constant in it raises: the statement's error once something reads it."""


@dataclass(slots=True)
class Scope:
    """One query level."""

    ctx: Context
    parent: Scope | None = None
    items: list[RangeItem] = field(default_factory=list)
    columns: list[ScopeColumn] = field(default_factory=list)
    """Columns reachable without qualifier, in the order ``*`` gives them."""
    ctes: dict[str, Cte] = field(default_factory=dict)
    windows: dict[str, dict[str, Any]] = field(default_factory=dict)
    grouping: Grouping | None = None
    """Set while the select list, HAVING and ORDER BY of a grouped query are translated."""
    clause: str = ""
    """Where an expression stands, as PostgreSQL's messages name it: 'WHERE', 'GROUP BY' ..."""
    aggregates_allowed: bool = False
    windows_allowed: bool = False
    in_aggregate: bool = False
    case_value: TypedSql | None = None
    lateral_only: list[RangeItem] = field(default_factory=list)
    """Items of this level that only LATERAL could see: named in a hint when a lookup fails."""
    bare_columns: bool = False
    """Columns come out unqualified: SQLite's own DDL."""
    pending_srf: list[tuple[str, str]] | None = None
    """(SQLite alias, table function) of set-returning calls in the select list; None where they may not stand."""
    no_sets_in: str = ""
    """The construct in which set-returning functions may not stand, though they may in the clause."""

    def child(self) -> Scope:
        """A scope for a subquery: it sees this one's columns and CTEs."""
        return Scope(ctx=self.ctx, parent=self)

    def begin_anew(self) -> None:
        """Forget what translating its clauses has told of the level; its WITH queries are kept."""
        self.items, self.columns, self.windows, self.lateral_only = [], [], {}, []
        self.grouping, self.clause, self.pending_srf = None, "", None
        self.aggregates_allowed = self.windows_allowed = False

    def seeing(self, items: list[RangeItem], columns: list[ScopeColumn]) -> Scope:
        """The same level with other items and columns; ``dataclasses.replace()`` takes four times as long."""
        return Scope(
            self.ctx, self.parent, items, columns, self.ctes, self.windows, self.grouping, self.clause,
            self.aggregates_allowed, self.windows_allowed, self.in_aggregate, self.case_value, self.lateral_only,
            self.bare_columns, self.pending_srf, self.no_sets_in,
        )  # fmt: skip

    def find_cte(self, name: str) -> Cte | None:
        """The nearest WITH query of a name; None when there is none."""
        scope: Scope | None = self
        while scope is not None:
            found = scope.ctes.get(name)
            if found is not None:
                return found
            scope = scope.parent
        return None

    # -- columns ----------------------------------------------------------------------------------

    def column(self, name: str, at: int) -> TypedSql:
        """Resolve an unqualified column name, outward through the levels.

        Raises:
            SqlError: 42703 none, 42702 several.
        """
        found = self.find_column(name, at)
        if found is None:
            raise self.ctx.error("42703", f'column "{name}" does not exist', at, hint=self._column_hint(name))
        return found

    def find_column(self, name: str, at: int) -> TypedSql | None:
        """As :meth:`column`, but None when no level has it."""
        scope: Scope | None = self
        while scope is not None:
            matches = [column for column in scope.columns if column.name == name]
            if len(matches) > 1:
                raise self.ctx.error("42702", f'column reference "{name}" is ambiguous', at)
            if matches:
                if self.ctx.mentions is not None:
                    self.ctx.mentions.column(matches[0], scope, at, seen_from=self)
                return scope.checked(matches[0].value, name, at, scope is not self)
            scope = scope.parent
        return None

    def qualified(self, qualifier: list[str], name: str, at: int) -> TypedSql:
        """Resolve ``table.column`` or ``schema.table.column``.

        Raises:
            SqlError: 42P01 no such table here, 42703 no such column in it, 42702 several.
        """
        scope, item = self.find_item(qualifier, at)
        matches = [column for column in item.columns if column.name == name]
        if not matches:
            raise self.ctx.error("42703", f"column {qualifier[-1]}.{name} does not exist", at)
        if len(matches) > 1:
            raise self.ctx.error("42702", f'column reference "{name}" is ambiguous', at)
        if self.ctx.mentions is not None:
            self.ctx.mentions.column(matches[0], scope, at, item, seen_from=self)
        value = matches[0].value
        if item.nullable and value.not_null:
            value = weakened(value)
        return scope.checked(value, f"{item.name}.{name}", at, scope is not self)

    def find_item(self, qualifier: list[str], at: int) -> tuple[Scope, RangeItem]:
        """The FROM item a qualifier names, with the level that has it.

        Raises:
            SqlError: 42P01 with PostgreSQL's hints.
        """
        scope: Scope | None = self
        while scope is not None:
            for item in scope.items:
                if item.visible and _names(item, qualifier):
                    return scope, item
            scope = scope.parent
        raise self._missing_item(qualifier, at)

    def has_item(self, name: str) -> bool:
        """Whether a FROM item of this level or an outer one has the name."""
        scope: Scope | None = self
        while scope is not None:
            if any(item.visible and item.name == name for item in scope.items):
                return True
            scope = scope.parent
        return False

    def has_column(self, names: list[str], at: int) -> bool:
        """Whether a possibly qualified name is a column's, at this level or outside of it."""
        if len(names) == 1:
            return self.find_column(names[0], at) is not None
        scope: Scope | None = self
        while scope is not None:
            for item in scope.items:
                if item.visible and _names(item, names[:-1]):
                    return any(column.name == names[-1] for column in item.columns)
            scope = scope.parent
        return False

    def checked(self, value: TypedSql, shown: str, at: int, within: bool = False) -> TypedSql:
        """Check a column of this level against GROUP BY, when this level is grouped; ``within`` a subquery of it."""
        if value.table_oid:
            self.ctx.rights.reads(value.table_oid, value.attnum)
        if self.grouping is not None and not self.in_aggregate:
            value = self.grouping.check_column(self, value, shown, at, within)
        return relocated(value, at)

    def _missing_item(self, qualifier: list[str], at: int) -> SqlError:
        name = qualifier[-1]
        shown = ".".join(qualifier)
        scope: Scope | None = self
        while scope is not None:
            for item in scope.items + scope.lateral_only:
                if item.relation is not None and item.relation.name == name and item.name != name:
                    hint = f'Perhaps you meant to reference the table alias "{item.name}".'
                    return self._from_clause_error(shown, "invalid reference to", at, hint=hint)
                if item in scope.lateral_only and item.name == name:
                    entry = f'There is an entry for table "{name}"'
                    detail = f"{entry}, but it cannot be referenced from this part of the query."
                    return self._from_clause_error(shown, "invalid reference to", at, detail=detail)
            scope = scope.parent
        return self._from_clause_error(shown, "missing", at)

    def _from_clause_error(self, shown: str, what: str, at: int, **more: Any) -> SqlError:
        return self.ctx.error("42P01", f'{what} FROM-clause entry for table "{shown}"', at, **more)

    def _column_hint(self, name: str) -> str | None:
        """PostgreSQL's suggestion of the one column whose name is close."""
        scope: Scope | None = self
        best: list[tuple[int, str]] = []
        while scope is not None:
            for item in scope.items:
                for column in item.columns:
                    distance = edit_distance(name, column.name, 3)
                    if distance <= 3 and distance * 2 <= max(len(name), 1):
                        best.append((distance, f'"{item.name}.{column.name}"'))
            scope = scope.parent
        if not best:
            return None
        closest = min(distance for distance, _ in best)
        names = [shown for distance, shown in best if distance == closest]
        if len(names) > 2:
            return None
        return f"Perhaps you meant to reference the column {' or the column '.join(names)}."


def _names(item: RangeItem, qualifier: list[str]) -> bool:
    if len(qualifier) == 1:
        return item.name == qualifier[0]
    return item.name == qualifier[-1] and item.schema == qualifier[-2]


def edit_distance(one: str, other: str, limit: int) -> int:
    """Levenshtein distance, or ``limit + 1`` when it is larger."""
    if abs(len(one) - len(other)) > limit:
        return limit + 1
    previous = list(range(len(other) + 1))
    for row, letter in enumerate(one, 1):
        current = [row]
        for column, candidate in enumerate(other, 1):
            substitution = previous[column - 1] + (letter != candidate)
            current.append(min(previous[column] + 1, current[-1] + 1, substitution))
        previous = current
    return min(previous[-1], limit + 1)


def column_node(name: str) -> Node:
    """A ColumnRef node for a bare name."""
    return {"ColumnRef": {"fields": [{"String": {"sval": name}}], "location": -1}}
