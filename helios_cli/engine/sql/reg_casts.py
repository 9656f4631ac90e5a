"""regclass and its kin: OIDs that are shown as names, by functions that look them up in the catalog."""

from __future__ import annotations

from typing import Final

from helios_cli.engine.datatypes import registry
from helios_cli.engine.datatypes.composite import NAMED
from helios_cli.engine.sql.coercion import category, element_of
from helios_cli.engine.sql.context import Context
from helios_cli.engine.sql.oids import (
    INTEGERS,
    OID,
    REG_TYPES,
    REGCLASS,
    REGCOLLATION,
    REGCONFIG,
    REGDICTIONARY,
    REGPROC,
    REGPROCEDURE,
    REGTYPE,
)

_BY_NAME: Final = (REGCONFIG, REGDICTIONARY)
"""Those whose values are names."""
NUMBERS: Final = (OID, *INTEGERS)
_ALONG_PATH: Final = frozenset((REGCLASS, REGTYPE, REGPROC, REGPROCEDURE, REGCOLLATION))


def is_named(type_oid: int) -> bool:
    """Whether values of a type are OIDs of named objects, or arrays of them."""
    return type_oid in NAMED


def _function(type_oid: int) -> str:
    element = element_of(type_oid)
    return f"pg_{registry.by_oid(element).name}s" if element else f"pg_{registry.by_oid(type_oid).name}"


def object_name(type_oid: int, sql: str, ctx: Context) -> str:
    """SQLite text for the name of the object whose OID an expression of type regclass and the like is."""
    return f"{_function(type_oid)}_out({sql}{_path(type_oid, ctx)})"


def leaving(type_oid: int, sql: str, ctx: Context) -> str:
    """SQLite text for such a value as it leaves: with its name for a client, as the name alone for a function."""
    shown = object_name(type_oid, sql, ctx)
    return shown if ctx.nested else shown.replace("_out(", "_send(", 1)


def object_oid(type_oid: int, sql: str, ctx: Context) -> str:
    """SQLite text for a name as a value of such a type."""
    return f"{_function(type_oid)}_in({sql}{_path(type_oid, ctx)})"


def _path(type_oid: int, ctx: Context) -> str:
    along = (element_of(type_oid) or type_oid) in _ALONG_PATH and ctx.session_allowed
    return f", {ctx.session_value('search_path')}" if along else ""


def reg_cast(source: int, target: int, sql: str, ctx: Context) -> str:
    """SQLite text for a cast from or to such a type."""
    if source in _BY_NAME and target in NUMBERS:
        return f"{_function(source)}_oid({sql})"
    if target in _BY_NAME and source in NUMBERS:
        return f"{_function(target)}_named({sql})"
    if REGCONFIG in (source, target):
        return f"pg_regconfig({sql})" if target == REGCONFIG else sql
    if REGDICTIONARY in (source, target):
        return sql
    if source in REG_TYPES and category(target) == "S":
        return object_name(source, sql, ctx)
    if target in REG_TYPES and category(source) == "S":
        return object_oid(target, sql, ctx)
    return sql


def reg_array_cast(source: int, target: int, sql: str, ctx: Context) -> str:
    """The same of arrays; '' where the elements can be cast one by one, without the catalog."""
    if is_named(source) and category(element_of(target)) == "S":
        return object_name(source, sql, ctx)
    if is_named(target) and category(element_of(source)) == "S":
        return object_oid(target, sql, ctx)
    if element_of(source) in _BY_NAME and element_of(target) in NUMBERS:
        return f"{_function(source)}_oid({sql})"
    return ""
