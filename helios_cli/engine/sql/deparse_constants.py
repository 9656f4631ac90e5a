"""Constants of stored expressions, as PostgreSQL prints them (get_const_expr, ruleutils.c)."""

from __future__ import annotations

import re
from typing import Any, Final

from helios_cli.engine.datatypes import registry
from helios_cli.engine.datatypes.pgtype import PgType
from helios_cli.engine.datatypes.typmods import typmod_of
from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql import tree
from helios_cli.engine.sql.interval_literals import counted
from helios_cli.engine.sql.oids import BIT, BOOL, BPCHAR, INT4, INT8, INTERVAL, NUMERIC, TIMESTAMPTZ, UNKNOWN
from helios_cli.engine.sql.sqltext import pg_identifier, quote_string
from helios_cli.engine.sql.typed import Node

OF_ANY_LENGTH: Final = {BPCHAR: "bpchar", BIT: '"bit"', 1014: "bpchar[]", 1561: '"bit"[]'}
"""Types whose SQL names mean one of length 1 (format_type_extended)."""


def type_text(type_oid: int) -> str:
    """A type's name for a constant without a modifier."""
    return OF_ANY_LENGTH.get(type_oid) or registry.format_type(type_oid)


def constant_type(fields: dict[str, Any]) -> int:
    """The type of a constant; 705 for a string, 0 for what has none of its own."""
    if "sval" in fields:
        return UNKNOWN
    if "ival" in fields:
        return INT4
    if "fval" not in fields:
        return 0
    return (
        INT8
        if _WHOLE.fullmatch(fields["fval"]["fval"]) and -_INT8_END <= int(fields["fval"]["fval"]) < _INT8_END
        else NUMERIC
    )


_WHOLE: Final = re.compile("-?[0-9]+")
_INT8_END: Final = 1 << 63


def named_type(fields: dict[str, Any]) -> tuple[PgType | None, int, str]:
    """What a TypeName means: the built-in type, None for another; the modifier or -1; how it is printed."""
    names = tree.strings(fields["names"])
    known = registry.by_internal_name(names[-1]) or registry.by_name(names[-1])
    modifiers = [tree.const_value(part["A_Const"]) for part in fields.get("typmods", [])]
    bounds = "[]" if "arrayBounds" in fields else ""
    if known is None:
        return None, -1, ".".join(pg_identifier(name) for name in names) + bounds
    typmod = typmod_of(known.oid, [int(str(part)) for part in modifiers], known.sql_name) if modifiers else -1
    found = registry.find_oid(known.array_oid) if bounds else known
    if found is None:
        return None, -1, known.sql_name + bounds
    return found, typmod, type_text(found.oid) if typmod < 0 else registry.format_type(found.oid, typmod)


def cast_constant(text: str, known: PgType | None, typmod: int, shown: str) -> str:
    """A string constant with its cast: the value that it is, in the type's own words."""
    if known is None:
        return f"{quote_string(text)}::{shown}"
    if known.oid == INTERVAL and typmod >= 0:
        text = counted(text, typmod)
    plain, value = _known_constant(text, known.oid)
    if known.oid == INTERVAL and typmod >= 0:
        value = str(registry.apply_typmod(known.oid, typmod, value))
    if known.oid == BOOL and plain:
        return plain
    if known.oid == NUMERIC and plain and typmod >= 0:
        return f"{plain}::{shown}"
    return plain if plain and typmod < 0 else f"{quote_string(value)}::{shown}"


_SESSION_TIMES: Final = (1082, 1083, 1114, 1184, 1266)
"""Types whose input may name the present."""
_WITH_ZONE: Final = re.compile(r"\d:\d.*([+-]\d\d?(:?\d\d)?|Z|UTC)\s*$")
_PRESENT: Final = re.compile("now|today|tomorrow|yesterday", re.IGNORECASE)


def _known_constant(text: str, target: int) -> tuple[str, str]:
    """A string constant read as its type: (how it is written without quotes, else ''; its canonical text)."""
    if not target or (target in _SESSION_TIMES and _PRESENT.search(text)):
        return "", text
    if target == TIMESTAMPTZ and not _WITH_ZONE.search(text):
        return "", text  # It depends on the session's zone.
    try:
        known = registry.by_oid(target)
        shown = known.format_text(known.parse_text(text)).decode()
    except (KeyError, SqlError):
        return "", text
    if target == 16:
        return ("true" if shown == "t" else "false"), shown
    if (target == INT4 and shown.isdigit()) or (target == NUMERIC and "." in shown and shown[:1].isdigit()):
        return shown, shown
    return "", shown


def interval_default(node: Node, typmod: int) -> str | None:
    """A constant as the default of a column of intervals, whose modifier it takes; None for what is no constant."""
    cast = node.get("TypeCast", {"arg": node})
    constant = cast["arg"].get("A_Const", {})
    known, own, _ = named_type(cast["typeName"]) if "typeName" in cast else (registry.by_oid(INTERVAL), typmod, "")
    if "sval" not in constant or known is None or known.oid != INTERVAL or (own != typmod and typmod >= 0):
        return None
    value = cast_constant(constant["sval"].get("sval", ""), known, own, "")
    return f"{value}{registry.format_type(INTERVAL, typmod)}"


def constant_text(fields: dict[str, Any], target: int) -> str:
    """A constant as a value of ``target`` where that is not 0."""
    value = tree.const_value(fields)
    if value is None:
        return f"NULL::{type_text(target)}" if target else "NULL"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value) if value >= 0 else f"'{value}'::integer"
    if "fval" in fields:
        return _number_text(str(value))
    if "sval" in fields:
        plain, value = _known_constant(str(value), target)
        if plain:
            return plain
        quoted = quote_string(value)
        return f"{quoted}::{type_text(target)}" if target else quoted
    if "bsval" in fields:
        return f"'{value[1:]}'::\"bit\"" if value[:1] == "b" else f"x'{value[1:]}'"
    return str(value)


def _number_text(text: str) -> str:
    """A number that is no integer of four bytes: only a numeric one with a point is written without quotes."""
    if constant_type({"fval": {"fval": text}}) == INT8:
        return f"'{text}'::bigint"
    shown = registry.by_oid(NUMERIC).format_text(registry.by_oid(NUMERIC).parse_text(text)).decode()
    return shown if "." in shown and shown[0].isdigit() else f"'{shown}'::numeric"
