"""EXCLUDE constraints: an ordinary index beside triggers of SQLite's that look for a row in conflict.

Conflicts that are checked late are listed, as those of late unique keys are (``ddl_unique``).
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any, Final

from helios_cli.engine.datatypes.range_types import is_range, subtype_of
from helios_cli.engine.sql import ddl_unique, tree
from helios_cli.engine.sql.coercion import type_name
from helios_cli.engine.sql.context import IN_EXPRESSION, Context
from helios_cli.engine.sql.ddl_build import Builder, as_relation, lists_for_arrays, unsupported
from helios_cli.engine.sql.ddl_deparse import column_names, deparse, parse_expression
from helios_cli.engine.sql.ddl_index import index_key, key_names
from helios_cli.engine.sql.ddl_model import DEFERRABLE, DEFERRED, EXCLUSION, ConstraintDef, IndexDef, IndexKey, TableDef
from helios_cli.engine.sql.ddl_render import create_index_sql, database_of
from helios_cli.engine.sql.scope import RangeItem, Scope
from helios_cli.engine.sql.sqltext import quote_identifier, quote_string
from helios_cli.engine.sql.typed import Node

_METHODS: Final = ("btree", "gist", "hash", "spgist")
_GIST_TYPES: Final = frozenset((600, 603, 604, 718, 3614, 3615))
"""Types that GiST has operator classes for by itself, ranges apart."""


def add_exclusion(builder: Builder, table: TableDef, fields: dict[str, Any]) -> ConstraintDef:
    """Add an EXCLUDE constraint and its index to a definition. No steps are written.

    Raises:
        SqlError: 42703 unknown column, 42704 a type without an operator class, 42809 an operator that is none of its.
    """
    method = fields.get("access_method", "btree")
    if method not in _METHODS:
        message = f'access method "{method}" does not support exclusion constraints'
        raise builder.error("0A000" if method in ("gin", "brin") else "42704", message)
    pairs = [node["List"]["items"] for node in fields["exclusions"]]
    for element, _ in pairs:
        column = element["IndexElem"].get("name")
        if column is not None and table.column(column) is None:
            raise builder.error("42703", f'column "{column}" named in key does not exist', fields.get("location", -1))
    keys = tuple(
        replace(index_key(builder, table, element["IndexElem"]), operator=tree.strings(operator["List"]["items"])[-1])
        for element, operator in pairs
    )
    deferred = bool(fields.get("initdeferred"))
    deferrable = deferred or bool(fields.get("deferrable"))
    name = fields.get("conname")
    if name is None:
        parts = key_names(builder, [element for element, _ in pairs], keys)
        name = builder.choose_relation_name(table.schema, table.name, "_".join(parts), "excl")
    else:
        builder.claim_name(table.schema, name)
    predicate = _predicate(builder, table, fields.get("where_clause"))
    index = IndexDef(
        oid=builder.oid(table.temp), schema=table.schema, name=name,
        sqlite_name=builder.sqlite_name(table.schema, name, table.temp), table_oid=table.oid, unique=False,
        primary=False, method=method, keys=keys, predicate=predicate,
        include=tuple(tree.strings(fields.get("including", []))),
        rules=EXCLUSION | (DEFERRABLE if deferrable else 0) | (DEFERRED if deferred else 0),
    )  # fmt: skip
    Conditions(builder, table, index).check()
    constraint = ConstraintDef(
        oid=builder.oid(table.temp), table_oid=table.oid, name=name, kind="x",
        columns=tuple(key.column or "" for key in keys), index_oid=index.oid, deferrable=deferrable, deferred=deferred,
    )  # fmt: skip
    table.indexes.append(index)
    table.constraints.append(constraint)
    return constraint


def _predicate(builder: Builder, table: TableDef, node: Node | None) -> str | None:
    if node is None:
        return None
    builder.translate_node(table, node, "PREDICATE")
    return deparse(node, {column.name: column.type_oid for column in table.columns})


class Conditions:
    """SQLite's texts for two rows of a table that exclude each other."""

    def __init__(self, builder: Builder, table: TableDef, index: IndexDef) -> None:
        self.builder, self.table, self.index = builder, table, index
        self._relation = as_relation(table)

    def check(self) -> None:
        """Look whether the operators go with the types. Raises SqlError 42704, 42809."""
        for key in self.index.keys:
            self._check_key(key, self._value(key, "o")[1])

    def _check_key(self, key: IndexKey, oid: int) -> None:
        if self.index.method in ("gist", "spgist") and key.opclass is None:
            by_itself = (
                oid in _GIST_TYPES
                or subtype_of(oid) != 0
                or (self.index.method == "gist" and oid in (869, 650) and key.opclass)
            )
            if not by_itself and "btree_gist" not in self.builder.catalog.extensions():
                message = f"data type {type_name(oid)} has no default operator class for access method " + (
                    f'"{self.index.method}"'
                )
                hint = (
                    "You must specify an operator class for the index or define a default operator class for the "
                    "data type."
                )
                raise self.builder.error("42704", message, hint=hint)
        if self.index.method in ("btree", "hash") and key.operator != "=":
            named = "anyrange" if is_range(oid) else type_name(oid)
            shown = f"{key.operator}({named},{named})"
            detail = "The exclusion operator must be related to the index operator class for the constraint."
            family = "range_ops" if is_range(oid) else f"{type_name(oid)}_ops"
            message = f'operator {shown} is not a member of operator family "{family}"'
            raise self.builder.error("42809", message, detail=detail)

    def _scope(self, *aliases: str) -> Scope:
        from helios_cli.engine.sql.from_clause import table_columns

        ctx = Context(
            catalog=self.builder.catalog, functions=self.builder.functions, parameters_allowed=False,
            session_form=IN_EXPRESSION,
        )  # fmt: skip
        scope = Scope(ctx=ctx, clause="exclusion constraints")
        scope.items = [RangeItem(alias, table_columns(self._relation, alias), self._relation) for alias in aliases]
        scope.columns = [column for item in scope.items for column in item.columns]
        return scope

    def _text(self, node: Node, *aliases: str) -> tuple[str, int]:
        from helios_cli.engine.sql import translators
        from helios_cli.engine.sql.expressions import translate

        assert translators.MODULES
        scope = self._scope(*aliases)
        value = translate(lists_for_arrays(node), scope)
        (text,), _ = scope.ctx.finish([value.sql])
        return text, value.type_oid

    def _value(self, key: IndexKey, alias: str) -> tuple[str, int]:
        return self._text(_of(_node(key), alias), alias)

    def values(self, alias: str) -> list[str]:
        """The key's values in a row."""
        return [self._value(key, alias)[0] for key in self.index.keys]

    def types(self) -> str:
        """The OIDs of their types."""
        return ",".join(str(self._value(key, "o")[1]) for key in self.index.keys)

    def holds(self, alias: str) -> str:
        """The constraint's WHERE for a row; '' for none."""
        if self.index.predicate is None:
            return ""
        return self._text(_of(parse_expression(self.index.predicate), alias), alias)[0]

    def excluded(self, alias: str, other: str) -> str:
        """Whether two rows, told apart by their numbers, exclude each other."""
        row = ddl_unique.row_id_of(self.table)
        parts = [self._pair(key, alias, other) for key in self.index.keys]
        parts += [f"({text})" for text in (self.holds(alias), self.holds(other)) if text]
        return " AND ".join([*parts, f"{alias}.{row} <> {other}.{row}"])

    def _pair(self, key: IndexKey, alias: str, other: str) -> str:
        node = _node(key)
        compared = {
            "A_Expr": {
                "kind": "AEXPR_OP", "name": [{"String": {"sval": key.operator or "="}}], "lexpr": _of(node, alias),
                "rexpr": _of(node, other), "location": -1,
            }
        }  # fmt: skip
        return f"({self._text(compared, alias, other)[0]})"

    def columns(self) -> list[str]:
        """The columns whose change may make a conflict."""
        found: dict[str, None] = {}
        for key in self.index.keys:
            found.update(dict.fromkeys(column_names(_node(key))))
        if self.index.predicate is not None:
            found.update(dict.fromkeys(column_names(parse_expression(self.index.predicate))))
        return list(found)


def _node(key: IndexKey) -> Node:
    if key.column is not None:
        return {"ColumnRef": {"fields": [{"String": {"sval": key.column}}], "location": -1}}
    return parse_expression(key.expression or "NULL")


def _of(node: Node, alias: str) -> Node:
    """An expression over one row, its columns under the row's alias."""
    copied: Node = deepcopy(node)
    for part in tree.walk(copied):
        reference = part.get("ColumnRef")
        if isinstance(reference, dict):
            reference["fields"] = [{"String": {"sval": alias}}, reference["fields"][-1]]
    return copied


def exclusion_sql(builder: Builder, table: TableDef, index: IndexDef) -> str:
    """The statements that make the index and what looks for conflicts."""
    if any("json_each(" in text for text in Conditions(builder, table, index).values("o")):
        raise unsupported("an EXCLUDE constraint over an array's elements")
    plain = replace(index, rules=0)
    made = [create_index_sql(table, plain, builder.translate)]
    triggers = _Late(builder, table, index) if index.deferrable else _AtOnce(builder, table, index)
    return ";\n".join([*made, *triggers.steps()])


def existing_conflict_sql(builder: Builder, table: TableDef, index: IndexDef) -> str:
    """The step that fails when two rows that are there exclude each other."""
    conditions = Conditions(builder, table, index)
    target = quote_identifier(table.sqlite_name)
    message = quote_string(f'could not create exclusion constraint "{index.name}"')
    row = ddl_unique.row_id_of(table)
    detail = _detail(conditions, "o", "p", "conflicts with key")
    return (
        f"SELECT pg_raise('23P01', {message}, {detail}) FROM {target} AS o, {target} AS p "
        f"WHERE o.{row} < p.{row} AND {conditions.excluded('o', 'p')} LIMIT 1"
    )


def drop_steps(index: IndexDef, db: str) -> list[str]:
    """The steps that remove the triggers."""
    if index.deferrable:
        return ddl_unique.drop_triggers(index, db)
    return [f"DROP TRIGGER IF EXISTS {db}.{ddl_unique.trigger_name(index, event)}" for event in ("insert", "update")]


def _detail(conditions: Conditions, alias: str, other: str, words: str) -> str:
    keys = ", ".join(key.column or key.expression or "" for key in conditions.index.keys)
    values = ", ".join((*conditions.values(alias), *conditions.values(other)))
    given = f"{quote_string(keys)}, {quote_string(conditions.types())}, {quote_string(words)}"
    return f"pg_exclusion_detail({given}, json_array({values}))"


class _AtOnce:
    """A constraint that each new row has to meet at once."""

    def __init__(self, builder: Builder, table: TableDef, index: IndexDef) -> None:
        self.conditions = Conditions(builder, table, index)
        self.index, self.db = index, database_of(table.temp)
        self.table = quote_identifier(table.sqlite_name)

    def steps(self) -> list[str]:
        """The triggers."""
        columns = ", ".join(map(quote_identifier, self.conditions.columns()))
        return [self._trigger("insert", "INSERT"), self._trigger("update", f"UPDATE OF {columns}")]

    def _trigger(self, event: str, when: str) -> str:
        name = f"{self.db}.{ddl_unique.trigger_name(self.index, event)}"
        detail = _detail(self.conditions, "NEW", "o", "conflicts with existing key")
        message = f"'23P01:{self.index.oid}:' || {detail}"
        return (
            f"CREATE TRIGGER {name} AFTER {when} ON {self.table} BEGIN "
            f"SELECT RAISE(ABORT, {message}) FROM {self.table} AS o WHERE {self.conditions.excluded('o', 'NEW')} "
            f"LIMIT 1; END"
        )


class _Late(ddl_unique.Late):
    """A constraint that is checked behind the statement or at COMMIT."""

    def __init__(self, builder: Builder, table: TableDef, index: IndexDef) -> None:
        super().__init__(table, index, database_of(table.temp))
        self.conditions = Conditions(builder, table, index)
        self.columns = [quote_identifier(name) for name in self.conditions.columns()]

    def steps(self) -> list[str]:
        """The lists of conflicts, and the triggers."""
        return [*ddl_unique.tables(self.db), self.on_insert(), self.on_update(), self.on_delete()]

    def _taken(self) -> str:
        return f"EXISTS (SELECT 1 FROM {self.table} AS o WHERE {self.conditions.excluded('o', 'NEW')})"

    def _list_old(self) -> list[str]:
        """The rows that the old one was in conflict with, anew: those that have another one."""
        row = self.row
        near = self.conditions.excluded("o", "OLD")
        other = f"EXISTS (SELECT 1 FROM {self.table} AS p WHERE {self.conditions.excluded('p', 'o')})"
        return [
            f"DELETE FROM {self.list} WHERE key = {self.index.oid} AND (row = OLD.{row} OR row IN "
            f"(SELECT o.{row} FROM {self.table} AS o WHERE {near}))",
            f"INSERT INTO {self.list}(key, row) SELECT {self.index.oid}, o.{row} FROM {self.table} AS o "
            f"WHERE {near} AND {other}",
        ]
