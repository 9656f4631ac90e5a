"""USAGE on types and languages: who may make objects of them."""

from __future__ import annotations

from typing import Any, Final

from helios_cli.engine.datatypes import registry
from helios_cli.engine.datatypes.composite import holds_row
from helios_cli.engine.datatypes.usertypes import is_temporary, kind_of
from helios_cli.engine.sql import privileges, tree
from helios_cli.engine.sql.authority import BOOTSTRAP
from helios_cli.engine.sql.ddl_build import Builder, unsupported
from helios_cli.engine.sql.privileges import PG_LANGUAGE, PG_TYPE, USAGE
from helios_cli.engine.sql.relation import UserType
from helios_cli.engine.sql.rights import denied
from helios_cli.engine.sql.row_values import type_shape
from helios_cli.engine.sql.type_pins import shown_type

LANGUAGES: Final = {"internal": 12, "c": 13, "sql": 14, "plpgsql": 13500}
"""OIDs in pg_language; the last is not fixed in PostgreSQL."""
TRUSTED: Final = frozenset(("sql", "plpgsql"))
"""Languages that are not for superusers only."""


def check_types(builder: Builder, *oids: int) -> None:
    """Raise SqlError 42501 unless the role may use the types, of arrays those of their elements."""
    if builder.catalog.acting.unrestricted:
        return
    rightful = builder.rightful()
    for oid in oids:
        found = builder.catalog.type_by_oid(oid & ~1) if kind_of(oid) else None
        if found is None or found.relation:
            continue
        known = builder.catalog.type_by_oid(found.parent) or found if found.kind == "m" else found
        if not rightful.held(privileges.TYPE, PG_TYPE, known.oid, known.owner, USAGE):
            raise denied("type", shown_type(found, builder.catalog))


def refuse_itself(builder: Builder, name: str, row: int, member: int) -> None:
    """Refuse a row type in itself, at any depth. Raises SqlError 42P16."""
    domain = builder.catalog.type_by_oid(member & ~1) if kind_of(member) == "d" else None
    shape = type_shape(domain.base_oid if domain is not None else member, builder.context())
    if shape is not None and holds_row(shape, row):
        raise builder.error("42P16", f"composite type {name} cannot be made a member of itself")


def check_language(builder: Builder, name: str) -> None:
    """Raise SqlError 42501 unless the role may make functions in a language."""
    if not builder.rightful().held(privileges.LANGUAGE, PG_LANGUAGE, LANGUAGES[name], BOOTSTRAP, USAGE):
        raise denied("language", name)


def granted_type(builder: Builder, node: dict[str, Any], *, domain: bool) -> tuple[int, int, str]:
    """OID, owner and name of the type that a GRANT names.

    Raises:
        SqlError: 42704 there is none, 42809 it is no domain, 0LP01 it is an array; 0A000 it is temporary, or built in.
    """
    names = tree.strings(node["TypeName"]["names"]) if "TypeName" in node else tree.strings(node["List"]["items"])
    found: UserType | None = builder.catalog.user_type(names[-2] if len(names) > 1 else None, names[-1])
    if found is None:
        _refuse_built_in(builder, names)
        raise builder.error("42704", f'type "{".".join(names)}" does not exist')
    if domain and found.kind != "d":
        raise builder.error("42809", f'"{found.name}" is not a domain')
    if is_temporary(found.oid) or found.relation:
        raise unsupported("GRANT on a temporary type, or on a table's row type")
    return found.oid, found.owner, found.name


def _refuse_built_in(builder: Builder, names: list[str]) -> None:
    if names[-1].startswith("_"):
        element = builder.catalog.user_type(names[-2] if len(names) > 1 else None, names[-1][1:])
        if element is not None or registry.by_internal_name(names[-1]) is not None:
            hint = "Set the privileges of the element type instead."
            raise builder.error("0LP01", "cannot set privileges of array types", hint=hint)
    if registry.by_internal_name(names[-1]) is not None:
        raise unsupported("GRANT on a built-in type", "Everybody may use them.")


def granted_language(builder: Builder, name: str) -> tuple[int, int, str]:
    """OID, owner and name of the language that a GRANT names. Raises SqlError 42704, 42809."""
    if name not in LANGUAGES:
        raise builder.error("42704", f'language "{name}" does not exist')
    if name not in TRUSTED:
        why = "because only superusers can use untrusted languages."
        detail = f"GRANT and REVOKE are not allowed on untrusted languages, {why}"
        raise builder.error("42809", f'language "{name}" is not trusted', detail=detail)
    return LANGUAGES[name], BOOTSTRAP, name
