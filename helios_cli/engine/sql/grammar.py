"""PostgreSQL's parser, libpg_query, called such that a long text does not keep the interpreter from other threads.

``pgparse`` holds the GIL from the first byte to the last node: more than a second for 600 kB, in which an event loop
stands still. The library inside it is called without the GIL here, and its answer is read in steps that may be
interrupted (github.com/pganalyze/libpg_query: ``pg_query_parse`` gives the tree as JSON, and is safe in threads).
"""

from __future__ import annotations

import ctypes
import json
from collections.abc import Callable
from typing import Any, Final

import pgparse

SHORT_MAX: Final = 4096
"""Characters of a text that takes a few milliseconds, however it is parsed."""


class _Result(ctypes.Structure):
    """``PgQueryParseResult`` of pg_query.h."""

    _fields_ = (("tree", ctypes.c_char_p), ("messages", ctypes.c_char_p), ("error", ctypes.c_void_p))


def parse(sql: str) -> list[Any]:
    """The statements of a query string, as ``pgparse.parse`` gives them; without a null character in it.

    Raises:
        pgparse.PGQueryError: it is no SQL.
        RecursionError: it is nested too deeply.
    """
    if len(sql) > SHORT_MAX and _FUNCTIONS is not None:
        run, free = _FUNCTIONS
        result = run(sql.encode())
        try:
            tree = result.tree if not result.error else None
        finally:
            free(result)
        if tree is not None:
            statements: list[Any] = json.loads(tree, object_hook=_same)["stmts"]
            return statements
    parsed: list[Any] = pgparse.parse(sql)
    return parsed


def _same(node: dict[str, Any]) -> dict[str, Any]:
    """Called for every node: between calls of Python's functions other threads may have the interpreter."""
    return node


def _functions() -> tuple[Callable[[bytes], Any], Callable[[Any], None]] | None:
    """The library's own functions, where pgparse's module lets them be called."""
    try:
        library = ctypes.CDLL(pgparse.__file__)
        run, free = library.pg_query_parse, library.pg_query_free_parse_result
    except (AttributeError, OSError, TypeError):
        return None
    run.argtypes, run.restype = (ctypes.c_char_p,), _Result
    free.argtypes, free.restype = (_Result,), None
    return run, free


_FUNCTIONS: Final = _functions()
