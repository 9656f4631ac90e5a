"""Users' types in texts that outlive a type's name, and in messages that were written without the catalog."""

from __future__ import annotations

from typing import Any, Final

from helios_cli.engine.datatypes import registry
from helios_cli.engine.datatypes.usertypes import kind_of, named, pinned_function, pinned_function_oid, pinned_name
from helios_cli.engine.errors import HeliosError
from helios_cli.engine.sql import tree
from helios_cli.engine.sql.extensions import is_member_function
from helios_cli.engine.sql.functions import REGISTRY
from helios_cli.engine.sql.oids import POLYMORPHIC
from helios_cli.engine.sql.relation import CatalogReader, UserType
from helios_cli.engine.sql.sqltext import pg_identifier
from helios_cli.engine.sql.typed import Node

_KEEP_EXPRESSIONS: Final = frozenset(
    (
        "CreateStmt",
        "AlterTableStmt",
        "IndexStmt",
        "CreateDomainStmt",
        "AlterDomainStmt",
        "CreatePolicyStmt",
        "AlterPolicyStmt",
        "CreateTrigStmt",
    )
)
"""Definitions whose expressions are kept; others keep their text as it was written."""


def pin_types(node: Node, catalog: CatalogReader) -> None:
    """Name users' types and functions in a definition by their OIDs, which a later RENAME leaves as they are."""
    keeps = tree.tag(node) in _KEEP_EXPRESSIONS
    for part in tree.walk(node):
        if keeps and isinstance(part.get("FuncCall"), dict):
            _pin_function(part["FuncCall"], catalog)
        cast = part.get("TypeCast")
        if not isinstance(cast, dict):
            continue
        names = tree.strings(cast["typeName"]["names"])
        if registry.by_internal_name(names[-1]) is not None and (len(names) == 1 or names[0] == "pg_catalog"):
            continue
        found = catalog.user_type(names[-2] if len(names) > 1 else None, names[-1])
        if found is not None:
            cast["typeName"]["names"] = [{"String": {"sval": pinned_name(found.oid).strip('"')}}]


def _pin_function(call: dict[str, Any], catalog: CatalogReader) -> None:
    """Name the function of a call by its OID where nothing else has the name."""
    names = tree.strings(call["funcname"])
    if is_member_function(names, catalog.extensions()):
        call["funcname"] = call["funcname"][-1:]
        return
    if call.get("func_variadic") or any("NamedArgExpr" in part for part in call.get("args", ())):
        return
    found = catalog.functions(names[-2] if len(names) > 1 else None, names[-1])
    if len(found) == 1 and not REGISTRY.candidates(names[-1]):
        call["funcname"] = [{"String": {"sval": pinned_function(found[0].oid)}}]
        for position, (node, oid) in enumerate(zip(call.get("args", ()), found[0].args, strict=False)):
            known = registry.find_oid(oid)
            if "sval" in node.get("A_Const", {}) and oid not in POLYMORPHIC and (kind_of(oid) or known is not None):
                call["args"][position] = _literal(node, oid)


def _literal(node: Node, oid: int) -> Node:
    """A string constant as a literal of the type that a function's parameter has."""
    known = registry.find_oid(oid)
    name = known.name if known is not None and not kind_of(oid) else pinned_name(oid & ~1).strip('"')
    typename: dict[str, Any] = {"names": [{"String": {"sval": name}}], "typemod": -1, "location": -1}
    if kind_of(oid) and oid & 1:
        typename["arrayBounds"] = [{"Integer": {"ival": -1}}]
    return {"TypeCast": {"arg": node, "typeName": typename, "location": node["A_Const"].get("location", -1)}}


def unpinned(names: list[str], catalog: CatalogReader) -> list[str]:
    """A function's name as messages and new objects show it."""
    oid = pinned_function_oid(names[-1])
    routine = catalog.routine(oid) if oid else None
    return [routine.name] if routine is not None else names


def shown_type(found: UserType, catalog: CatalogReader) -> str:
    """A type's name in messages, with its schema where the search path does not find it."""
    visible = catalog.user_type(None, found.name)
    hidden = visible is None or visible.oid != found.oid
    return f"{f'{pg_identifier(found.schema)}.' * hidden}{pg_identifier(found.name)}"


def named_types(text: str, catalog: CatalogReader) -> str:
    """A text with the names of users' types where it has what stands for them."""

    def name_of(oid: int) -> str:
        found = catalog.type_by_oid(oid & ~1)
        return (shown_type(found, catalog) if found is not None else str(oid)) + "[]" * (oid & 1)

    return named(text, name_of)


def name_types(error: HeliosError, catalog: CatalogReader) -> None:
    """Put the names of users' types into an error's texts."""
    error.args = tuple(named_types(part, catalog) if isinstance(part, str) else part for part in error.args)
    for name in ("message", "detail", "hint"):
        text = getattr(error, name, None)
        if isinstance(text, str):
            setattr(error, name, named_types(text, catalog))
