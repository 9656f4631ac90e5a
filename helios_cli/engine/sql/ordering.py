"""ORDER BY terms: direction, PostgreSQL's place for NULLs, collation."""

from __future__ import annotations

from typing import Any, Final

from helios_cli.engine.sql import casts, sqltext, tree
from helios_cli.engine.sql.coercion import element_of, type_name
from helios_cli.engine.sql.expressions import translate
from helios_cli.engine.sql.oids import GEOMETRIC, JSON, JSONPATH, POLYMORPHIC, XID, XML
from helios_cli.engine.sql.scope import Scope
from helios_cli.engine.sql.typed import Node, TypedSql


def sort_terms(nodes: list[Node], scope: Scope) -> str:
    """The terms of an ORDER BY inside an aggregate or a window, where names are input columns."""
    return sort_values(nodes, scope)[0]


def sort_values(nodes: list[Node], scope: Scope) -> tuple[str, list[TypedSql]]:
    """The same, and the values that are sorted by."""
    terms, values = [], []
    for node in nodes:
        sort = node["SortBy"]
        value = casts.to_text_if_unknown(translate(sort["node"], scope), scope.ctx)
        terms.append(sort_term(value, sort, scope))
        values.append(value)
    return ", ".join(terms), values


def sort_term(value: TypedSql, sort: dict[str, Any], scope: Scope, text: str = "") -> str:
    """One term. ``text`` stands for the value where an ordinal does.

    SQLite sorts NULLs lowest, PostgreSQL highest. Where a value cannot be NULL nothing is said about them, so
    that an index gives the order.

    Raises:
        FeatureNotSupported: USING with an operator.
    """
    check_sortable(value, scope, tree.location(sort["node"]) if "node" in sort else None)
    direction = sort.get("sortby_dir", "SORTBY_DEFAULT")
    if direction == "SORTBY_USING":
        direction = _using(sort, value, scope)
    descending = direction == "SORTBY_DESC"
    nulls = sort.get("sortby_nulls", "SORTBY_NULLS_DEFAULT")
    nulls_first = descending if nulls == "SORTBY_NULLS_DEFAULT" else nulls == "SORTBY_NULLS_FIRST"
    term = _collated(value, text) + (" DESC" if descending else "")
    if value.not_null:
        return term
    return term + (" NULLS FIRST" if nulls_first else " NULLS LAST")


def _using(sort: dict[str, Any], value: TypedSql, scope: Scope) -> str:
    """The direction that an operator of ORDER BY ... USING stands for. Raises SqlError 42809."""
    name = tree.strings(sort.get("useOp", []))[-1]
    direction = {"<": "SORTBY_ASC", ">": "SORTBY_DESC"}.get(name)
    if direction is None:
        hint = 'Ordering operators must be "<" or ">" members of btree operator families.'
        raise scope.ctx.error("42809", f"operator {name} is not a valid ordering operator", value.location, hint=hint)
    return direction


def _collated(value: TypedSql, text: str) -> str:
    if not text:
        plain = casts.collated(value)
        if sqltext.may_fold(plain):
            return f"coalesce({plain}, NULL)"
        # A bare number would be the place of a result column.
        return f"({plain} + 0)" if plain.strip("(-)").isdigit() else plain
    collation = casts.collation_of_value(value)
    return f"{text} COLLATE {collation}" if collation else text


_NOT_COMPARED: Final = frozenset((JSON, XML, JSONPATH, *GEOMETRIC)) | POLYMORPHIC
"""Types without a class of btree or hash operators; so have their arrays none."""
_NOT_SORTED: Final = _NOT_COMPARED | {XID}


def check_comparable(value: TypedSql, scope: Scope, at: int | None = None) -> None:
    """Refuse types without an equality for DISTINCT, GROUP BY, UNION and the like. ``at``: the place, if not its own.

    Raises:
        SqlError: 42883 ``could not identify an equality operator for type json``.
    """
    if value.type_oid in _NOT_COMPARED or element_of(value.type_oid) in _NOT_COMPARED:
        message = f"could not identify an equality operator for type {type_name(value.type_oid)}"
        raise scope.ctx.error("42883", message, value.location if at is None else at)


def check_sortable(value: TypedSql, scope: Scope, at: int | None = None) -> None:
    """Refuse types without an order, as PostgreSQL does.

    Raises:
        SqlError: 42883 ``could not identify an ordering operator for type json``.
    """
    if value.type_oid in _NOT_SORTED or element_of(value.type_oid) in _NOT_SORTED:
        message = f"could not identify an ordering operator for type {type_name(value.type_oid)}"
        hint = "Use an explicit ordering operator or modify the query."
        raise scope.ctx.error("42883", message, value.location if at is None else at, hint=hint)
