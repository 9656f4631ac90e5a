"""Sequences in defaults: named with their schemas, and followed when they get another name or schema.

A default is kept as PostgreSQL shows it where only public is searched: a name without a schema stands for a sequence in
public, in the default of a temporary table for a temporary one.
"""

from __future__ import annotations

import copy
import re
from typing import Any, Final

from helios_cli.engine.sql import tree
from helios_cli.engine.sql.ddl_build import Builder
from helios_cli.engine.sql.ddl_schema import FIRST_TEMP_OID
from helios_cli.engine.sql.sqltext import constant, pg_identifier, quote_string, split_name
from helios_cli.engine.sql.typed import Node

_CALLS = ("nextval", "currval", "setval")
_NAME: Final = r"""(?:"(?:[^"]|"")+"|[a-z_][a-z0-9_$]*)"""
SEQUENCE: Final = re.compile(rf"\b((?:next|curr|set)val\()'(?:({_NAME})\.)?({_NAME})'::regclass")
"""A sequence in a default: the call, the schema or None, the name."""


def named_sequences(builder: Builder, node: Node, *, temp: bool) -> Node:
    """A DEFAULT with the sequences that the search path finds named as such texts are kept."""
    if not any(_sequence_of(part) is not None for part in tree.walk(node)):
        return node
    node = copy.deepcopy(node)
    for part in tree.walk(node):
        literal = _sequence_of(part)
        names = split_name(literal["sval"]["sval"]) if literal is not None else []
        if literal is None or not 1 <= len(names) <= 2:
            continue
        found = builder.catalog.relation(names[0] if len(names) > 1 else None, names[-1])
        if found is not None and found.kind == "S":
            shown = pg_identifier(found.name)
            bare = found.schema == ("pg_temp" if temp else "public")
            literal["sval"]["sval"] = shown if bare else f"{pg_identifier(found.schema)}.{shown}"
    return node


def sequence_named(part: Any) -> tuple[str | None, str] | None:
    """Schema and name of the sequence that a call of nextval and the like names by a constant; None for other nodes."""
    literal = _sequence_of(part)
    names = split_name(literal["sval"]["sval"]) if literal is not None else []
    return (names[0] if len(names) > 1 else None, names[-1]) if 1 <= len(names) <= 2 else None


def _sequence_of(part: Any) -> dict[str, Any] | None:
    """The string constant that names a sequence, of a call of nextval and the like; None for any other node."""
    call = part.get("FuncCall")
    if not isinstance(call, dict) or tree.strings(call["funcname"])[-1] not in _CALLS or not call.get("args"):
        return None
    first = call["args"][0]
    first = first["TypeCast"]["arg"] if "TypeCast" in first else first
    literal = first.get("A_Const")
    return literal if isinstance(literal, dict) and "sval" in literal else None


def planned_default(text: str | None, relation: int) -> str | None:
    """A kept default as it is planned: every sequence with its schema, whatever path is searched."""
    if text is None or "::regclass" not in text:
        return text
    schema = "pg_temp" if relation >= FIRST_TEMP_OID else "public"
    return SEQUENCE.sub(lambda found: f"{found[1]}'{found[2] or schema}.{found[3]}'::regclass", text)


def shown_default(text: str, relation: int, path: tuple[str, ...]) -> str:
    """A kept default as it is shown: sequences with the schemas that are not searched."""
    if "::regclass" not in text or relation >= FIRST_TEMP_OID:
        return text

    def shown(found: re.Match[str]) -> str:
        schema = found[2] or "public"
        plain = schema in (pg_identifier(name) for name in path)
        return f"{found[1]}'{found[3] if plain else f'{schema}.{found[3]}'}'::regclass"

    return SEQUENCE.sub(shown, text)


def follow(builder: Builder, old: tuple[str, str], new: tuple[str, str]) -> None:
    """Write the steps that put a sequence's new schema and name into defaults that name it as it was.

    A name without a schema stands for one in public, which is how defaults are stored.
    """
    for db in ("main", "temp") if builder.catalog.has_temp_tables() else ("main",):
        for before in _forms(*old):
            for call in _CALLS:
                was, becomes = f"{call}({before}::regclass", f"{call}({_forms(*new)[0]}::regclass"
                builder.add(
                    f"UPDATE {db}.helios_attribute SET default_text = replace(default_text, {constant(was)}, "
                    f"{constant(becomes)}) WHERE instr(default_text, {constant(was)})"
                )


def _forms(schema: str, name: str) -> list[str]:
    """How a default may write the name, quoted as a string: the usual form first."""
    whole = quote_string(f"{pg_identifier(schema)}.{pg_identifier(name)}")
    return [quote_string(pg_identifier(name)), whole] if schema in ("public", "pg_temp") else [whole]
