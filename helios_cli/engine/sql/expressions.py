"""Translate one PostgreSQL expression tree into SQLite text with its type."""

from __future__ import annotations

from helios_cli.engine.sql.function_spec import FunctionRegistry
from helios_cli.engine.sql.relation import CatalogReader, Relation
from helios_cli.engine.sql.scope import Scope
from helios_cli.engine.sql.typed import Node, TypedSql


def translate(node: Node, scope: Scope) -> TypedSql:
    """Translate an expression; names are resolved in ``scope``.

    Raises:
        SqlError: PostgreSQL's own error (42703, 42883, ...) or 0A000 for what has no translation.
    """
    raise NotImplementedError


def translate_for_column(
    node: Node,
    relation: Relation | None,
    *,
    catalog: CatalogReader,
    functions: FunctionRegistry,
    type_oid: int | None = None,
    typmod: int = -1,
    purpose: str = "CHECK",
    source: str = "",
) -> TypedSql:
    """Translate a CHECK, DEFAULT or index expression for use inside SQLite's own DDL.

    Column names refer to ``relation`` (None: none may be named) and come out unqualified. Literals are
    written in place, nothing is a parameter. With ``type_oid`` the result is coerced to it by
    PostgreSQL's assignment rules. ``purpose`` is 'CHECK', 'DEFAULT', 'INDEX' or 'GENERATED' and decides
    which functions are allowed (``needs_planner`` of the result's scope is not expressible: 0A000).

    Raises:
        SqlError: as :func:`translate`; 42P17 for a volatile or stable function in an index; 0A000 when
            the expression needs a value of the session (now(), current_user), which SQLite's DDL cannot have.
    """
    raise NotImplementedError
