"""On which line of a TOML file a key is: the parser of the standard library does not tell."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

Path = tuple[str | int, ...]
"""Keys from the top; a number counts the entries of an array of tables from 0."""

_HEADER: Final = re.compile(r"\s*(\[\[?)\s*([^\]]+?)\s*\]\]?\s*(?:#.*)?")
_KEY: Final = re.compile(
    r"""\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*="""
)
_WORD: Final = re.compile(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""")
_TOKEN: Final = re.compile(
    r'"""(?:\\.|[^\\])*?"""' r"|'''.*?'''" r'|"(?:\\.|[^"\\\n])*"' r"|'[^'\n]*'" r"|#[^\n]*|[\[\]{}]", re.S
)


def lines_of(text: str) -> dict[Path, int]:
    """Lines, from 1, of the tables and keys of a text that is TOML. Keys of inline tables are left out."""
    found: dict[Path, int] = {}
    counts: dict[Path, int] = {}
    table: Path = ()
    for line, statement in _statements(text):
        header = _HEADER.fullmatch(statement)
        key = None if header is not None else _KEY.match(statement)
        if header is not None:
            table = _table(_words(header[2]), counts, many=header[1] == "[[")
            found.setdefault(table, line)
        elif key is not None:
            for end in range(1, len(words := _words(key[1])) + 1):
                found.setdefault((*table, *words[:end]), line)
    return found


def line_of(lines: Mapping[Path, int], path: Path) -> int:
    """The line of a key, or of the table around it; 1 when nothing of it is known."""
    return next((lines[path[:end]] for end in range(len(path), 0, -1) if path[:end] in lines), 1)


def _words(dotted: str) -> list[str]:
    return [word.strip("\"'") for word in _WORD.findall(dotted)]


def _table(words: list[str], counts: dict[Path, int], *, many: bool) -> Path:
    """The path of a header; ``many``: it begins a new entry of an array of tables."""
    path: Path = ()
    for number, word in enumerate(words, 1):
        path = (*path, word)
        if many and number == len(words):
            counts[path] = counts.get(path, -1) + 1
        if path in counts:
            path = (*path, counts[path])
    return path


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Each statement and the line it begins on; one with brackets or long texts reaches over several lines."""
    start, at, depth = 0, 0, 0
    while at <= len(text):
        token = _TOKEN.search(text, at)
        newline = text.find("\n", at)
        newline = len(text) if newline < 0 else newline
        if token is not None and token.start() < newline:
            depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(token[0], 0)
            at = token.end()
            continue
        if depth <= 0:
            yield text.count("\n", 0, start) + 1, text[start:newline]
            start, depth = newline + 1, 0
        at = newline + 1
