"""PostgreSQL's parser, libpg_query, called such that a long text does not keep the interpreter from other threads.

``pgparse`` holds the GIL from the first byte to the last node: more than a second for 600 kB, in which an event loop
stands still. The library inside it is called without the GIL here, and its answer is read in steps that may be
interrupted (github.com/pganalyze/libpg_query: ``pg_query_parse`` gives the tree as JSON, and is safe in threads).
"""

from __future__ import annotations

import codecs
import ctypes
from collections.abc import Callable, Iterator
from typing import Any, Final

import pgparse

from helios_cli.engine.sql import json_steps
from helios_cli.engine.sql.nesting import pause, with_room_to_nest

Refused: Final = pgparse.PGQueryError
"""What a text that is no SQL raises: message, and position in characters from 1 on or 0."""
SHORT_MAX: Final = 4096
"""Characters of a text that takes a few milliseconds, however it is parsed."""
DROPPED_AT_ONCE: Final = 500
"""Items of a list of a tree that are freed at a stretch."""


class _Error(ctypes.Structure):
    """``PgQueryError`` of pg_query.h."""

    _fields_ = (
        ("message", ctypes.c_char_p), ("function", ctypes.c_char_p), ("file", ctypes.c_char_p),
        ("line", ctypes.c_int), ("position", ctypes.c_int), ("context", ctypes.c_char_p),
    )  # fmt: skip


class _Result(ctypes.Structure):
    """``PgQueryParseResult`` of pg_query.h."""

    _fields_ = (("tree", ctypes.c_void_p), ("messages", ctypes.c_char_p), ("error", ctypes.POINTER(_Error)))


def parse(sql: str) -> list[Any]:
    """The statements of a query string, as ``pgparse.parse`` gives them; without a null character in it.

    Raises:
        Refused: it is no SQL.
        RecursionError, SqlError: it is nested too deeply.
    """
    return with_room_to_nest(sql, lambda: _parse(sql))


def parse_routine(sql: str) -> list[Any]:
    """The body of a function in PL/pgSQL, as ``pgparse.parse_pgsql`` gives it. Raises as :func:`parse`."""
    parsed: list[Any] = with_room_to_nest(sql, lambda: pgparse.parse_pgsql(sql))
    return parsed


def _parse(sql: str) -> list[Any]:
    if len(sql) <= SHORT_MAX or _FUNCTIONS is None:
        parsed: list[Any] = pgparse.parse(sql)
        return parsed
    run, free, length = _FUNCTIONS
    result = run(sql.encode())
    try:
        if result.error:
            error = result.error.contents
            raise Refused(error.message.decode(), error.position)
        statements: list[Any] = json_steps.load(_pieces(result.tree, length(result.tree)))["stmts"]
        return statements
    finally:
        free(result)


def _pieces(address: int, size: int) -> Iterator[str]:
    """UTF-8 that lies somewhere in memory, a little at a time."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    for at in range(0, size, json_steps.PIECE):
        pause()
        yield decoder.decode(ctypes.string_at(address + at, min(json_steps.PIECE, size - at)))


def drop(tree: object) -> None:
    """Take a tree that nobody wants any more apart, a little at a time.

    Freed in one go, what a text of megabytes has become keeps the interpreter for a tenth of a second.
    """
    nodes = [tree]
    while nodes:
        node = nodes.pop()
        if isinstance(node, dict):
            nodes += node.values()
        elif isinstance(node, list) and len(node) <= DROPPED_AT_ONCE:
            nodes += node
        elif isinstance(node, list):
            shorten(node, 0)


def shorten(nodes: list[Any], size: int) -> None:
    """Drop what a list of a tree has behind so many items, a little at a time."""
    while len(nodes) > size:
        del nodes[max(size, len(nodes) - DROPPED_AT_ONCE) :]


def _functions() -> tuple[Callable[[bytes], Any], Callable[[Any], None], Callable[[int], int]] | None:
    """The library's own functions, where pgparse's module lets them be called, and the length of what they return."""
    try:
        library = ctypes.CDLL(pgparse.__file__)
        run, free, length = library.pg_query_parse, library.pg_query_free_parse_result, ctypes.CDLL(None).strlen
    except (AttributeError, OSError, TypeError):
        return None
    run.argtypes, run.restype = (ctypes.c_char_p,), _Result
    free.argtypes, free.restype = (_Result,), None
    length.argtypes, length.restype = (ctypes.c_void_p,), ctypes.c_size_t
    return run, free, length


_FUNCTIONS: Final = _functions()
