"""Routines as PostgreSQL prints them: argument lists, results, pg_get_functiondef."""

from __future__ import annotations

import re
from typing import Final

from helios_cli.engine.datatypes.usertypes import RECORD, is_row
from helios_cli.engine.sql.coercion import type_name
from helios_cli.engine.sql.oids import REFCURSOR
from helios_cli.engine.sql.relation import CatalogReader
from helios_cli.engine.sql.routines import Argument, Routine
from helios_cli.engine.sql.sqltext import pg_identifier
from helios_cli.engine.sql.type_pins import named_types

_MODE_WORDS: Final = {"i": "", "o": "OUT ", "b": "INOUT ", "v": "VARIADIC ", "t": ""}


def header_of(routine: Routine) -> str:
    """The beginning of a CREATE FUNCTION statement, up to its body, for the parser of PL/pgSQL."""
    result = ""
    if routine.kind == "f" and not (routine.outputs and not routine.returns_set):
        kind = "record" if is_row(routine.result) else type_name(routine.result)
        result = f" RETURNS {'SETOF ' * routine.returns_set}{kind}"
    if any(argument.mode == "t" for argument in routine.arguments):
        table = ", ".join(_named(argument) for argument in routine.arguments if argument.mode == "t")
        result = f" RETURNS TABLE({table})"
    word = "PROCEDURE" if routine.kind == "p" else "FUNCTION"
    shown = ", ".join(
        f"{_MODE_WORDS[argument.mode]}{_named(argument)}" for argument in routine.arguments if argument.mode != "t"
    )
    return f"CREATE {word} {pg_identifier(routine.name)}({shown}){result} LANGUAGE plpgsql AS"


def _named(argument: Argument) -> str:
    return f"{quoted(argument.name)} {type_name(argument.type_oid)}".strip()


def declared_arguments(routine: Routine) -> dict[str, str]:
    """The arguments that are variables of a body, with the words that declare them: cursors, and rows given back."""
    gives_back = routine.kind == "f"
    found = {}
    for one in routine.arguments:
        if one.name and one.type_oid == REFCURSOR:
            found[one.name] = "refcursor"
        elif one.name and is_row(one.type_oid) and one.type_oid != RECORD:
            changed = one.mode in "ib" and _is_changed(one.name, routine.body)
            if changed or (one.mode == "o" and gives_back):
                found[one.name] = "record"
    return found


def _is_changed(name: str, body: str) -> bool:
    """Whether a body may assign to fields of an argument: they stand where a statement begins, or behind INTO."""
    shown = rf'(?:\b{re.escape(name)}|"{re.escape(name)}")'
    begins = rf"(?:;|\b(?:begin|then|else|loop)\b|>>|\*/|\n)\s*{shown}\s*\.[^;:=]*:?="
    return re.search(rf"{begins}|\binto\s+(?:strict\s+)?{shown}", body, re.IGNORECASE) is not None


def quoted(name: str) -> str:
    """A name in quotes; nothing for no name."""
    return '"' + name.replace('"', '""') + '"' if name else ""


def shown_signature(routine: Routine) -> str:
    """``f(integer,text)``, as CONTEXT lines and messages have it."""
    return f"{pg_identifier(routine.name)}({','.join(type_name(oid) for oid in routine.signature())})"


def visible_signature(routine: Routine, catalog: CatalogReader) -> str:
    """The same with the names of users' types, and with the schema of what the search path does not find."""
    hidden = routine.schema not in catalog.search_path
    return f"{f'{pg_identifier(routine.schema)}.' * hidden}{named_types(shown_signature(routine), catalog)}"


def function_arguments(routine: Routine, *, defaults: bool = True) -> str:
    """pg_get_function_arguments."""
    parts = []
    for argument in routine.arguments:
        if argument.mode == "t":
            continue
        name = f"{pg_identifier(argument.name)} " if argument.name else ""
        # A procedure's IN is written out where other modes are; PostgreSQL leaves it out of functions.
        mode = "IN " if routine.kind == "p" and argument.mode == "i" else _MODE_WORDS[argument.mode]
        text = f"{mode}{name}{type_name(argument.type_oid)}"
        if defaults and argument.default is not None:
            text += f" DEFAULT {argument.default}"
        parts.append(text)
    return ", ".join(parts)


def function_result(routine: Routine, relation: str) -> str | None:
    """pg_get_function_result; ``relation`` names the table whose rows it returns. None for a procedure."""
    if routine.kind == "p":
        return None
    table = [argument for argument in routine.arguments if argument.mode == "t"]
    if table:
        return f"TABLE({', '.join(f'{pg_identifier(a.name)} {type_name(a.type_oid)}' for a in table)})"
    shown = relation or type_name(routine.result)
    return f"SETOF {shown}" if routine.returns_set else shown


def function_definition(routine: Routine, relation: str) -> str:
    """pg_get_functiondef."""
    word = "PROCEDURE" if routine.kind == "p" else "FUNCTION"
    name = f"{pg_identifier(routine.schema)}.{pg_identifier(routine.name)}"
    lines = [f"CREATE OR REPLACE {word} {name}({function_arguments(routine)})"]
    result = function_result(routine, relation)
    if result is not None:
        lines.append(f" RETURNS {result}")
    lines.append(f" LANGUAGE {pg_identifier(routine.language)}")
    options = _options(routine)
    if options:
        lines.append(f" {' '.join(options)}")
    lines += [f" SET {name} TO {_setting(name, value)}" for name, value in routine.settings.items()]
    if routine.sql_body:
        lines.append(routine.sql_body)
    else:
        tag = "function" if routine.kind == "f" else "procedure"
        while f"${tag}$" in routine.body:
            tag += "x"
        lines.append(f"AS ${tag}${routine.body}${tag}$")
    return "\n".join(lines) + "\n"


def _setting(name: str, value: str) -> str:
    if name == "search_path":
        return ", ".join("'" + part.strip().replace("'", "''") + "'" for part in value.split(","))
    return "'" + value.replace("'", "''") + "'"


def _options(routine: Routine) -> list[str]:
    options = []
    if routine.volatility != "v":
        options.append({"s": "STABLE", "i": "IMMUTABLE"}[routine.volatility])
    if routine.parallel != "u":
        options.append({"s": "PARALLEL SAFE", "r": "PARALLEL RESTRICTED"}[routine.parallel])
    if routine.strict:
        options.append("STRICT")
    if routine.security_definer:
        options.append("SECURITY DEFINER")
    if routine.leakproof:
        options.append("LEAKPROOF")
    if routine.cost != 100:
        options.append(f"COST {routine.cost:g}")
    if routine.rows and routine.rows != 1000:
        options.append(f"ROWS {routine.rows:g}")
    return options
