"""Constants of stored expressions, as PostgreSQL prints them (get_const_expr, ruleutils.c)."""

from __future__ import annotations

import re
from typing import Any, Final

from helios_cli.engine.datatypes import registry
from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql import tree
from helios_cli.engine.sql.oids import BIT, BPCHAR, INT4, NUMERIC, UNKNOWN
from helios_cli.engine.sql.sqltext import quote_string

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
    return NUMERIC if "fval" in fields else 0


_SESSION_TIMES: Final = (1082, 1083, 1114, 1184, 1266)
"""Types whose input may name the present."""
_PRESENT: Final = re.compile("now|today|tomorrow|yesterday", re.IGNORECASE)


def _known_constant(text: str, target: int) -> tuple[str, str]:
    """A string constant read as its type: (how it is written without quotes, else ''; its canonical text)."""
    if not target or (target in _SESSION_TIMES and _PRESENT.search(text)) or target == 1184:
        return "", text
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


def constant_text(fields: dict[str, Any], target: int) -> str:
    """A constant as a value of ``target`` where that is not 0."""
    value = tree.const_value(fields)
    if value is None:
        return f"NULL::{type_text(target)}" if target else "NULL"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value) if value >= 0 else f"'{value}'::integer"
    if "sval" in fields:
        plain, value = _known_constant(str(value), target)
        if plain:
            return plain
        quoted = quote_string(value)
        return f"{quoted}::{type_text(target)}" if target else quoted
    if "bsval" in fields:
        return f"'{value[1:]}'::\"bit\"" if value[:1] == "b" else f"x'{value[1:]}'"
    return str(value) if not str(value).startswith("-") else f"'{value}'::numeric"
