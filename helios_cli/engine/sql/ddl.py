"""DDL: PostgreSQL's statements to lists of SQLite statements."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from helios_cli.engine.sql import tree
from helios_cli.engine.sql.constants import Evaluate
from helios_cli.engine.sql.ddl_aggregate import create_aggregate
from helios_cli.engine.sql.ddl_alter import alter_table
from helios_cli.engine.sql.ddl_build import Builder, object_words, unsupported
from helios_cli.engine.sql.ddl_cast import create_cast
from helios_cli.engine.sql.ddl_collation import create_collation, own_collation, refresh_collation
from helios_cli.engine.sql.ddl_comment import comment, create_schema, set_schema
from helios_cli.engine.sql.ddl_create import create_table
from helios_cli.engine.sql.ddl_database import (
    alter_database,
    create_database,
    drop_database,
    own_database,
    refresh_database,
)
from helios_cli.engine.sql.ddl_domains import alter_domain, create_domain
from helios_cli.engine.sql.ddl_drop import drop
from helios_cli.engine.sql.ddl_extension import alter_extension, create_extension
from helios_cli.engine.sql.ddl_function import create_function
from helios_cli.engine.sql.ddl_grant import alter_default_privileges, grant
from helios_cli.engine.sql.ddl_index import create_index, reindex
from helios_cli.engine.sql.ddl_large_objects import own_large_object
from helios_cli.engine.sql.ddl_matview import refresh_matview
from helios_cli.engine.sql.ddl_model import DdlCatalog
from helios_cli.engine.sql.ddl_operator import alter_operator, create_operator, own_operator
from helios_cli.engine.sql.ddl_owned import drop_owned, own_schema, reassign_owned
from helios_cli.engine.sql.ddl_ownership import check
from helios_cli.engine.sql.ddl_policy import alter_policy, create_policy
from helios_cli.engine.sql.ddl_ranges import create_range
from helios_cli.engine.sql.ddl_rename import rename
from helios_cli.engine.sql.ddl_roles import alter_role, create_role, drop_role, grant_role
from helios_cli.engine.sql.ddl_routine import WORDS, alter_routine, own_routine
from helios_cli.engine.sql.ddl_schema import SYSTEM_SCHEMA
from helios_cli.engine.sql.ddl_sequence import alter_sequence, create_sequence
from helios_cli.engine.sql.ddl_settings import alter_database_set, alter_role_set
from helios_cli.engine.sql.ddl_trigger import create_trigger
from helios_cli.engine.sql.ddl_types import alter_enum, create_composite, create_enum, own_type
from helios_cli.engine.sql.ddl_view import create_table_as, create_view, select_into
from helios_cli.engine.sql.function_spec import FunctionRegistry
from helios_cli.engine.sql.plan import Plan
from helios_cli.engine.sql.type_pins import pin_types
from helios_cli.engine.sql.typed import Node

Handler = Callable[[Builder, dict[str, Any]], Plan]


def alter_owner(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan ALTER ... OWNER TO of what is no relation.

    Raises:
        SqlError: 0A000 for kinds of objects that have no owner here.
    """
    if fields["objectType"] in ("OBJECT_TYPE", "OBJECT_DOMAIN"):
        return own_type(builder, fields)
    if fields["objectType"] == "OBJECT_SCHEMA":
        return own_schema(builder, fields)
    if fields["objectType"] == "OBJECT_COLLATION":
        return own_collation(builder, fields)
    if fields["objectType"] == "OBJECT_LARGEOBJECT":
        return own_large_object(builder, fields)
    if fields["objectType"] == "OBJECT_OPERATOR":
        return own_operator(builder, fields)
    if fields["objectType"] == "OBJECT_DATABASE":
        return own_database(builder, fields)
    if fields["objectType"] in WORDS:
        return own_routine(builder, fields)
    raise unsupported("ALTER ... OWNER TO for this kind of object")


def define(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan CREATE COLLATION, OPERATOR, AGGREGATE; the other kinds that share its form are 0A000."""
    handler = _DEFINED.get(fields["kind"])
    if handler is not None:
        return handler(builder, fields)
    raise unsupported(f"CREATE {object_words(fields['kind'])}")


_DEFINED: Final[dict[str, Handler]] = {
    "OBJECT_COLLATION": create_collation, "OBJECT_OPERATOR": create_operator, "OBJECT_AGGREGATE": create_aggregate,
}  # fmt: skip

_HANDLERS: Final[dict[str, Handler]] = {
    "CreateStmt": create_table,
    "AlterTableStmt": alter_table,
    "IndexStmt": create_index,
    "ReindexStmt": reindex,
    "DropStmt": drop,
    "CreateSeqStmt": create_sequence,
    "AlterSeqStmt": alter_sequence,
    "CreateTableAsStmt": create_table_as,
    "RefreshMatViewStmt": refresh_matview,
    "SelectStmt": select_into,
    "ViewStmt": create_view,
    "RenameStmt": rename,
    "AlterObjectSchemaStmt": set_schema,
    "CreateSchemaStmt": create_schema,
    "CommentStmt": comment,
    "CreateEnumStmt": create_enum,
    "CreateRangeStmt": create_range,
    "AlterEnumStmt": alter_enum,
    "CreateDomainStmt": create_domain,
    "AlterDomainStmt": alter_domain,
    "CompositeTypeStmt": create_composite,
    "CreateExtensionStmt": create_extension,
    "AlterExtensionStmt": alter_extension,
    "CreateRoleStmt": create_role,
    "AlterRoleStmt": alter_role,
    "AlterRoleSetStmt": alter_role_set,
    "AlterDatabaseSetStmt": alter_database_set,
    "DropRoleStmt": drop_role,
    "CreatedbStmt": create_database,
    "DropdbStmt": drop_database,
    "AlterDatabaseStmt": alter_database,
    "AlterDatabaseRefreshCollStmt": refresh_database,
    "GrantRoleStmt": grant_role,
    "GrantStmt": grant,
    "CreateFunctionStmt": create_function,
    "AlterDefaultPrivilegesStmt": alter_default_privileges,
    "AlterOwnerStmt": alter_owner,
    "ReassignOwnedStmt": reassign_owned,
    "DropOwnedStmt": drop_owned,
    "AlterFunctionStmt": alter_routine,
    "CreateTrigStmt": create_trigger,
    "CreatePolicyStmt": create_policy,
    "AlterPolicyStmt": alter_policy,
    "DefineStmt": define,
    "AlterOperatorStmt": alter_operator,
    "CreateCastStmt": create_cast,
    "AlterCollationStmt": refresh_collation,
}

_REFUSED: Final = {
    "RuleStmt": ("CREATE RULE", "Use a view or the application."),
    "CreateForeignTableStmt": ("CREATE FOREIGN TABLE", None),
    "CreateFdwStmt": ("CREATE FOREIGN DATA WRAPPER", None),
    "CreateForeignServerStmt": ("CREATE SERVER", None),
    "CreateTableSpaceStmt": ("CREATE TABLESPACE", "All data lies in the data directory."),
    "CreatePublicationStmt": ("CREATE PUBLICATION", None),
    "CreateSubscriptionStmt": ("CREATE SUBSCRIPTION", None),
    "CreateStatsStmt": ("CREATE STATISTICS", "Use ANALYZE."),
    "CreateEventTrigStmt": ("CREATE EVENT TRIGGER", None),
    "CreateAmStmt": ("CREATE ACCESS METHOD", None),
    "RefreshMatViewStmt": ("REFRESH MATERIALIZED VIEW", "Use a view."),
    "SecLabelStmt": ("SECURITY LABEL", None),
}
"""Statements that PostgreSQL has and this engine does not: what they are called, and what to do instead."""

STATEMENTS: Final = (frozenset(_HANDLERS) - {"SelectStmt"}) | frozenset(_REFUSED)
"""Node types that :func:`plan_ddl` answers for; besides, a SelectStmt with an ``intoClause``."""


VARIABLE_KEYS: Final = "variable keys"
"""In a plan's cache: what identifies the variables whose values its steps take."""


def plan_ddl(
    stmt: Node,
    catalog: DdlCatalog,
    functions: FunctionRegistry,
    *,
    source: str = "",
    variables: Any = None,
    evaluate: Evaluate | None = None,
) -> Plan:
    """Plan one DDL statement; ``stmt`` is the one-key node of libpg_query's tree, ``source`` the whole query string.

    ``variables`` are the ``inner.Variables`` that the query of CREATE TABLE AS may name; None outside of functions.
    ``evaluate`` computes the bounds of partitions; without it those that have any are refused.

    The plan holds for ``plan.catalog_version`` only: OIDs are given out while planning.

    Raises:
        SqlError: PostgreSQL's own error; 0A000 with a hint for what cannot be done.
    """
    kind = tree.tag(stmt)
    handler = _HANDLERS.get(kind)
    if handler is None:
        what, hint = _REFUSED.get(kind, (kind, None))
        raise unsupported(what, hint)
    pin_types(stmt, catalog)
    builder = Builder(catalog, functions, source)
    builder.variables, builder.evaluate = variables, evaluate
    check(builder, kind, stmt[kind])
    plan = handler(builder, stmt[kind])
    if builder.variable_keys:
        plan.cache[VARIABLE_KEYS] = builder.variable_keys
    return plan


__all__ = ["STATEMENTS", "SYSTEM_SCHEMA", "plan_ddl"]
