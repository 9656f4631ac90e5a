"""Defaults that take the next value of a sequence follow it when it gets another name or schema."""

from __future__ import annotations

from helios_cli.engine.sql.ddl_build import Builder
from helios_cli.engine.sql.sqltext import constant, pg_identifier, quote_string

_CALLS = ("nextval", "currval", "setval")


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
