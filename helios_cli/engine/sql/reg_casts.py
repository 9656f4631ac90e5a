"""regclass and its kin: OIDs that are shown as names, by functions that look them up in the catalog."""

from __future__ import annotations

from typing import Final

from helios_cli.engine.datatypes import registry
from helios_cli.engine.sql.coercion import category
from helios_cli.engine.sql.context import Context
from helios_cli.engine.sql.oids import (
    REG_TYPES,
    REGCLASS,
    REGCOLLATION,
    REGCONFIG,
    REGDICTIONARY,
    REGPROC,
    REGPROCEDURE,
    REGTYPE,
)

_ALONG_PATH: Final = frozenset((REGCLASS, REGTYPE, REGPROC, REGPROCEDURE, REGCOLLATION))


def object_name(type_oid: int, sql: str, ctx: Context) -> str:
    """SQLite text for the name of the object whose OID an expression of type regclass and the like is."""
    return f"pg_{registry.by_oid(type_oid).name}_out({sql}{_path(type_oid, ctx)})"


def leaving(type_oid: int, sql: str, ctx: Context) -> str:
    """SQLite text for such a value as it leaves: with its name for a client, as the name alone for a function."""
    shown = object_name(type_oid, sql, ctx)
    return shown if ctx.nested else shown.replace("_out(", "_send(", 1)


def object_oid(type_oid: int, sql: str, ctx: Context) -> str:
    """SQLite text for a name as a value of such a type."""
    return f"pg_{registry.by_oid(type_oid).name}_in({sql}{_path(type_oid, ctx)})"


def _path(type_oid: int, ctx: Context) -> str:
    return f", {ctx.session_value('search_path')}" if type_oid in _ALONG_PATH and ctx.session_allowed else ""


def reg_cast(source: int, target: int, sql: str, ctx: Context) -> str:
    """SQLite text for a cast from or to such a type."""
    if REGCONFIG in (source, target):
        return f"pg_regconfig({sql})" if target == REGCONFIG else sql
    if REGDICTIONARY in (source, target):
        return sql
    if source in REG_TYPES and category(target) == "S":
        return object_name(source, sql, ctx)
    if target in REG_TYPES and category(source) == "S":
        return object_oid(target, sql, ctx)
    return sql
