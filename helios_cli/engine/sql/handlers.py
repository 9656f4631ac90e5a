"""Functions with EXCEPTION blocks: each block is a savepoint, which SQLite refuses while a statement writes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

from helios_cli.engine.sql import tree
from helios_cli.engine.sql.relation import CatalogReader
from helios_cli.engine.sql.routines import UserFunction

_HANDLER: Final = re.compile(r"\bexception\s+when\b", re.IGNORECASE)
_CALLED: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_$]*)\s*\(")


def calls_handlers(statement: dict[str, Any], catalog: CatalogReader) -> bool:
    """Whether a function that a statement calls, or one that such a function calls, has an EXCEPTION block."""
    made: list[UserFunction] = []
    for part in tree.walk(statement):
        call = part.get("FuncCall")
        if isinstance(call, dict):
            names = tree.strings(call["funcname"])
            made += catalog.functions(names[-2] if len(names) > 1 else None, names[-1])
    return bool(made) and _any_handles(made, catalog, set())


def _any_handles(functions: Iterable[UserFunction], catalog: CatalogReader, seen: set[int]) -> bool:
    for function in functions:
        if function.oid in seen:
            continue
        seen.add(function.oid)
        routine = catalog.routine(function.oid)
        if routine is None:
            continue
        text = routine.body or routine.sql_body
        if _HANDLER.search(text) is not None:
            return True
        called = (found for name in set(_CALLED.findall(text)) for found in catalog.functions(None, name.lower()))
        if _any_handles(called, catalog, seen):
            return True
    return False
