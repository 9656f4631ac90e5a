"""DDL: PostgreSQL's statements to lists of SQLite statements."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from helios_cli.engine.sql import tree
from helios_cli.engine.sql.ddl_alter import alter_table
from helios_cli.engine.sql.ddl_build import Builder, unsupported
from helios_cli.engine.sql.ddl_create import create_table
from helios_cli.engine.sql.ddl_drop import drop
from helios_cli.engine.sql.ddl_index import create_index, reindex
from helios_cli.engine.sql.ddl_model import DdlCatalog
from helios_cli.engine.sql.ddl_schema import SYSTEM_SCHEMA
from helios_cli.engine.sql.ddl_sequence import alter_sequence, create_sequence
from helios_cli.engine.sql.function_spec import FunctionRegistry
from helios_cli.engine.sql.plan import Plan
from helios_cli.engine.sql.typed import Node

Handler = Callable[[Builder, dict[str, Any]], Plan]

_HANDLERS: Final[dict[str, Handler]] = {
    "CreateStmt": create_table,
    "AlterTableStmt": alter_table,
    "IndexStmt": create_index,
    "ReindexStmt": reindex,
    "DropStmt": drop,
    "CreateSeqStmt": create_sequence,
    "AlterSeqStmt": alter_sequence,
}

STATEMENTS: Final = frozenset(_HANDLERS)
"""Node types that :func:`plan_ddl` plans."""


def plan_ddl(stmt: Node, catalog: DdlCatalog, functions: FunctionRegistry, *, source: str = "") -> Plan:
    """Plan one DDL statement; ``stmt`` is the one-key node of libpg_query's tree, ``source`` the whole query string.

    The plan holds for ``plan.catalog_version`` only: OIDs are given out while planning.

    Raises:
        SqlError: PostgreSQL's own error; 0A000 with a hint for what cannot be done.
    """
    kind = tree.tag(stmt)
    handler = _HANDLERS.get(kind)
    if handler is None:
        raise unsupported(kind)
    return handler(Builder(catalog, functions, source), stmt[kind])


__all__ = ["STATEMENTS", "SYSTEM_SCHEMA", "plan_ddl"]
