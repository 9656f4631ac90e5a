"""The shape of a statement: its text with the literals taken out, so that equal shapes share one plan.

``lift`` is the hot path of the simple query protocol. It is a scanner, not a parser, and may take out
something that is no literal (a number in a comment, say). That is safe because the planner compares each
lifted piece with the constants of the parsed tree and makes every piece that does not match exactly part
of the cache key again (``engine.sql.plan_cache``).
"""

from __future__ import annotations

import re
from typing import Final

Literal = int | str
"""A lifted literal: an int for integer classes, the text of a numeric constant, or a string's contents."""

MARK: Final = "\0"
"""Precedes the class letter where a literal stood. A statement cannot hold it: the protocol ends strings with it."""

LIFTED_MAX: Final = 32000
"""Literals that may become SQLite parameters; a statement with more is written out with its constants."""
LONG_MIN: Final = 64 * 1024
"""Characters of a text that is looked through a literal at a time, so that other threads get their turn meanwhile."""

INT4, INT8, NUMERIC, STRING, EDGE = "i", "l", "n", "s", "e"
"""Classes of literals. EDGE is 2**31 or 2**63, whose type depends on a minus sign before it."""

_DELIMITED = r"(?<=[\s=(,<>+*/|%\[-][0-9])"
_LITERAL: Final = re.compile(
    # One leading character class lets the engine skip quickly; what stands before it is checked afterwards.
    rf"(['0-9](?:{_DELIMITED}[0-9]*(?![\w.$])"
    rf"|{_DELIMITED}[0-9]*(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?(?![\w.$])"
    r"|(?<=')(?<![\w&$\"']')[^']*'(?:'[^']*')*))",
    re.ASCII,
)
_split = _LITERAL.split


def lift(sql: str) -> tuple[str, tuple[Literal, ...]]:
    """Take the literals out of a query string.

    Returns the shape, in which each literal is replaced by ``MARK`` and its class, and the literals in order
    of appearance. A text without literals is its own shape, and so is one with more than :data:`LIFTED_MAX`.
    """
    parts = _split(sql) if len(sql) < LONG_MIN else _split_long(sql)
    count = len(parts)
    if count == 1:
        return sql, ()
    if count == 3:
        before, text, after = parts
        if len(text) < 10 and text.isdigit():
            return f"{before}\0i{after}", (int(text),)
    literals: list[Literal] = []
    for index in range(1, count, 2):
        text = parts[index]
        if len(text) < 10 and text.isdigit():
            parts[index] = "\0i"
            literals.append(int(text))
        elif text[0] == "'":
            parts[index] = "\0s"
            literals.append(text[1:-1].replace("''", "'"))
        else:
            letter, value = _classify_number(text)
            parts[index] = MARK + letter
            literals.append(value)
    return "".join(parts), tuple(literals)


def _split_long(sql: str) -> list[str]:
    parts: list[str] = []
    at = 0
    for match in _LITERAL.finditer(sql):
        parts += (sql[at : match.start()], match[0])
        at = match.end()
        if len(parts) > 2 * LIFTED_MAX:
            return [sql]
    parts.append(sql[at:])
    return parts


def contains(text: str, word: str) -> bool:
    """``word in text``, ten times as fast where a letter of it is not in the text, which constants are made of."""
    return all(map(text.__contains__, word)) and word in text


def literal_spans(sql: str) -> list[tuple[int, int]]:
    """Start and end (in characters) of each piece that :func:`lift` takes out, in the same order."""
    return [match.span() for match in _LITERAL.finditer(sql)]


def literal_places(sql: str) -> list[tuple[int, str]]:
    """Start (in characters) and class of each piece that :func:`lift` takes out, in the same order."""
    places = []
    for match in _LITERAL.finditer(sql):
        text = match[0]
        short = len(text) < 10 and text.isdigit()
        letter = STRING if text[0] == "'" else INT4 if short else _classify_number(text)[0]
        places.append((match.start(), letter))
    return places


def _classify_number(text: str) -> tuple[str, Literal]:
    """Give a number longer than nine characters, or with a point or exponent, its class and value."""
    if not text.isdigit():
        return NUMERIC, text
    value = int(text)
    if value in (2**31, 2**63):
        return EDGE, text
    if value < 2**31:
        return INT4, value
    if value < 2**63:
        return INT8, value
    return NUMERIC, text
