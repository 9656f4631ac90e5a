"""A query string as PostgreSQL's scanner cuts it: comments, strings and quoted names, and the hints in comments."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from typing import Final

from helios_cli.engine.sql.shape import literal_spans

_PIECE: Final = re.compile(
    # One leading character class lets the engine skip quickly; what stands before it is checked afterwards.
    r"[\'\"$/-](?:"
    r"(?<=[eE]\')(?<![\w$][eE]\')(?P<escaped>[^\'\\]*+(?:(?:\\.|\'\')[^\'\\]*+)*+\'?)"
    r"|(?<=\')[^\']*+(?:\'\'[^\']*+)*+\'?"
    r'|(?<=")[^"]*+(?:""[^"]*+)*+"?'
    r"|(?<=-)-[^\n\r]*+"
    r"|(?<=/)\*"
    r"|(?<=\$)(?<![\w$]\$)(?:[^\W\d]\w*)?\$)",
    re.DOTALL,
)
"""Where a string, a quoted name or a comment is, or begins. One without an end reaches to the end of the text."""
_EDGE: Final = re.compile(r"/\*|\*/")
_HINT: Final = re.compile(r"(?:--|/\*)\s*\+?\s*helios\s*:\s*([^\s*/;,]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Pieces:
    """Where code is not code. Spans are (start, end) in characters, in order."""

    comments: tuple[tuple[int, int], ...]
    strings: tuple[tuple[int, int], ...]
    """All that is quoted: strings of every kind, and names."""
    escapes: bool
    """There is a string with backslashes, E'...', whose continuation on another line has them, too."""


_MARKS: Final = "'\"$/-"
_NONE: Final = Pieces((), (), escapes=False)


def cut(sql: str) -> Pieces:
    """Find comments and strings. Linear in the length of the text."""
    if not any(mark in sql for mark in _MARKS):
        return _NONE
    comments, strings = [], []
    escapes = False
    at = 0
    while (match := _PIECE.search(sql, at)) is not None:
        start, at = match.span()
        first = sql[start]
        if first == "/":
            at = _end_of_comment(sql, at)
            comments.append((start, at))
        elif first == "-":
            comments.append((start, at))
        else:
            if first == "$":
                end = sql.find(match[0], at)
                at = len(sql) if end < 0 else end + len(match[0])
            escapes |= match["escaped"] is not None
            strings.append((start, at))
    return Pieces(tuple(comments), tuple(strings), escapes)


def _end_of_comment(sql: str, at: int) -> int:
    """Where the comment ends whose opening is before ``at``; comments nest."""
    depth = 1
    for match in _EDGE.finditer(sql, at):
        depth += 1 if match[0] == "/*" else -1
        if not depth:
            return match.end()
    return len(sql)


def without(sql: str, spans: tuple[tuple[int, int], ...]) -> str:
    """The text with a blank in the place of each span."""
    parts, at = [], 0
    for start, end in spans:
        parts.append(sql[at:start])
        at = end
    parts.append(sql[at:])
    return " ".join(parts)


def hint(sql: str, pieces: Pieces) -> str:
    """What the first comment ``/* helios: ... */`` asks for, the words for roles folded; empty without one."""
    for start, end in pieces.comments:
        match = _HINT.match(sql, start, end)
        if match is not None:
            word = match[1]
            return word.lower() if word.lower() in ("primary", "standby") else word
    return ""


def is_lifted_cleanly(sql: str, pieces: Pieces) -> bool:
    """Whether what ``shape.lift`` takes out of a text are its literals, and so are those of all texts of its shape.

    Where each piece begins outside of strings and comments and ends with its token, other literals in its place leave
    the rest of the text the code that it is.
    """
    if pieces.escapes:
        return False
    quoted = sorted(pieces.strings + pieces.comments)
    starts, whole = [span[0] for span in quoted], frozenset(pieces.strings)
    for span in literal_spans(sql):
        if span in whole:
            continue
        before = bisect_right(starts, span[0]) - 1
        if sql[span[0]] == "'" or (before >= 0 and quoted[before][1] > span[0]):
            return False
    return True
