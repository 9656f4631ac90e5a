"""Where a statement ends: the lexical rules of PostgreSQL (manual, 4.1), and nothing of its grammar. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_TOKEN: Final = re.compile(
    r"""
      (?P<line_comment>--[^\n]*)
    | (?P<block_comment>/\*)
    | (?P<escape_string>\b[eE]'(?:[^'\\]|\\.|'')*(?P<escape_end>')?)
    | (?P<string>'(?:[^']|'')*(?P<string_end>')?)
    | (?P<identifier>"(?:[^"]|"")*(?P<identifier_end>")?)
    | (?P<dollar>\$(?P<tag>(?:[A-Za-z_\x80-\U0010ffff][\w\x80-\U0010ffff]*)?)\$)
    | (?P<end>;)
    | (?P<word>[A-Za-z_\x80-\U0010ffff][\w$\x80-\U0010ffff]*)
    | (?P<open>\() | (?P<close>\))
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Split:
    """Statements that are complete, and what is left."""

    statements: tuple[str, ...]
    """Without their semicolon and surrounding space; never empty ones."""
    rest: str
    """Text after the last semicolon, as it was typed."""
    state: str
    """What the rest is inside of, as the character of psql's prompt: ``'``, ``"``, ``$``, ``*``, ``(``, ``-`` for an
    unfinished statement, ``=`` when nothing is left."""


def split(text: str) -> Split:
    """Cut a text at the semicolons that end statements: those outside of quotes, comments and parentheses."""
    statements: list[str] = []
    start = position = depth = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        assert match is not None, "the last alternative takes any character"
        end = match.end()
        kind = match.lastgroup
        if match["block_comment"]:
            after = _skip_comment(text, position)
            if after is None:
                return Split(tuple(statements), text[start:], "*")
            end = after
        elif match["dollar"]:
            close = text.find(match["dollar"], end)
            if close < 0:
                return Split(tuple(statements), text[start:], "$")
            end = close + len(match["dollar"])
        elif state := _unclosed(match):
            return Split(tuple(statements), text[start:], state)
        elif kind == "open":
            depth += 1
        elif kind == "close":
            depth = max(0, depth - 1)
        elif kind == "end" and depth == 0:
            if statement := text[start:position].strip():
                statements.append(statement)
            start = end
        position = end
    rest = text[start:]
    return Split(tuple(statements), rest, "=" if _is_blank(rest) else "(" if depth else "-")


def split_script(text: str) -> list[str]:
    """Every statement of a script; the last one needs no semicolon."""
    cut = split(text)
    last = [] if _is_blank(cut.rest) else [cut.rest.strip()]
    return [*cut.statements, *last]


def _unclosed(match: re.Match[str]) -> str | None:
    """The prompt character of a quote that does not end."""
    if (match["string"] and not match["string_end"]) or (match["escape_string"] and not match["escape_end"]):
        return "'"
    return '"' if match["identifier"] and not match["identifier_end"] else None


def _skip_comment(text: str, position: int) -> int | None:
    """The end of a block comment, which may hold others; None when it does not end."""
    depth = 0
    for match in re.finditer(r"/\*|\*/", text[position:]):
        depth += 1 if match[0] == "/*" else -1
        if depth == 0:
            return position + match.end()
    return None


def _is_blank(text: str) -> bool:
    """Whether nothing but space and comments is there."""
    while text := text.strip():
        if text.startswith("--"):
            text = text.partition("\n")[2]
        elif text.startswith("/*") and (end := _skip_comment(text, 0)) is not None:
            text = text[end:]
        else:
            return False
    return True
