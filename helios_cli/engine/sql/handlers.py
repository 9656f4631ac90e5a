"""Functions for which the rows of a write are found before any is changed.

Those with EXCEPTION blocks: each block is a savepoint, which SQLite refuses while a statement writes. And STABLE and
IMMUTABLE ones that read tables: they see these as they were before the statement.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

from helios_cli.engine.sql import tree
from helios_cli.engine.sql.relation import CatalogReader
from helios_cli.engine.sql.routines import UserFunction

_HANDLER: Final = re.compile(r"\bexception\s+when\b", re.IGNORECASE)
_READS: Final = re.compile(r"\b(?:from|join|table|execute)\b", re.IGNORECASE)
_CALLED: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_$]*)\s*\(")


def finds_rows_first(statement: dict[str, Any], catalog: CatalogReader, *, one_row: bool = False) -> bool:
    """Whether the rows of a write are to be found before it changes any; ``one_row``: it is an INSERT of one."""
    made = called_functions(statement, catalog)
    if not made:
        return False
    settled = [function for function in made if not function.effects and not one_row]
    return _any_has(_HANDLER, made, catalog, set()) or _any_has(_READS, settled, catalog, set())


def called_functions(statement: dict[str, Any], catalog: CatalogReader) -> list[UserFunction]:
    """The functions of users that a statement names, with all of the name."""
    made: list[UserFunction] = []
    for part in tree.walk(statement):
        call = part.get("FuncCall")
        if isinstance(call, dict):
            names = tree.strings(call["funcname"])
            made += catalog.functions(names[-2] if len(names) > 1 else None, names[-1])
    return made


def _any_has(what: re.Pattern[str], functions: Iterable[UserFunction], catalog: CatalogReader, seen: set[int]) -> bool:
    """Whether the body of a function, or of one that it calls, has a word."""
    for function in functions:
        if function.oid in seen:
            continue
        seen.add(function.oid)
        routine = catalog.routine(function.oid)
        if routine is None:
            continue
        text = routine.body or routine.sql_body
        if what.search(text) is not None:
            return True
        called = (found for name in set(_CALLED.findall(text)) for found in catalog.functions(None, name.lower()))
        if _any_has(what, called, catalog, seen):
            return True
    return False
