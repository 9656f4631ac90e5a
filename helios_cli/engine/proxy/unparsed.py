"""Judging by words: texts that are too long to be parsed for every use, and those that the parser does not take."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from helios_cli.engine.proxy import functions, lexical, queries
from helios_cli.engine.proxy.functions import Call
from helios_cli.engine.proxy.lexical import Pieces
from helios_cli.engine.proxy.statement import Access, Statement
from helios_cli.engine.sql.shape import contains

_CHANGING: Final = ("insert", "update", "delete", "merge")
_CHANGE: Final = re.compile(rf"\s*({'|'.join(_CHANGING)})\s", re.IGNORECASE)
_CHANGES: Final = {word: Statement(Access.WRITE, word.upper(), named=True) for word in _CHANGING}
_SPECIAL: Final = (
    "currval", "lastval", "setseed", "set_config", "advisory_lock", "origin_session", "pg_settings", "helios",
)  # fmt: skip
"""Words that may stand for what a statement leaves in its session, or for a hint."""

_FIRST: Final = re.compile(r"[\s;(]*(\w+)")
_NAME: Final = r'["A-Za-z_\x80-\U0010ffff](?:(?<=")[^"]*+"|[\w$]*+)'
_WORDS: Final = re.compile(rf"({_NAME}(?:\s*+\.\s*+{_NAME})*+)(\s*+\()?")
"""A name with its qualifiers, and whether a parenthesis follows."""
_LAST_NAME: Final = re.compile(rf"({_NAME}(?:\s*+\.\s*+{_NAME})*+)\s*+\Z")
_LOOK_BACK: Final = 300
"""Characters before a parenthesis in which the name that is called stands."""
_CALLS_MAX: Final = 500
_LONG_MIN: Final = 16 * 1024
"""Characters of a text whose words are not all gathered: that takes a tenth of a microsecond for each."""
_QUERIES: Final = ("select", "values", "table", "with")
_LOCKS: Final = re.compile(r"\bfor\s+(?:no\s+key\s+update|update|key\s+share|share)\b", re.IGNORECASE)
_INTO: Final = re.compile(r"\b(insert|merge)\s+into\b", re.IGNORECASE)
_LOOKED_THROUGH_MAX: Final = 1 << 20
"""A text of more characters is not looked through: that would take a tenth of a second."""
_MORE: Final = frozenset(("into", "set_config", *functions.PINS, *queries.OF_PRIMARY))
"""Words that make more of a query than a query."""
_HINTS: Final = frozenset("pg_" if word.startswith("pg_") else word for word in (*_MORE, *_CHANGING))
"""A text that has a word of :data:`_MORE` or :data:`_CHANGING` has one of these in it."""
_KEYWORDS: Final = (
    "all and any array as between by case cast char decimal distinct else except exists filter float from group having "
    "in intersect is like limit ilike materialized not numeric nullif coalesce greatest least offset on only or order "
    "over partition precision precedes range row rows select similar some then time timestamp to union using values "
    "varchar when where with within interval join lateral cube rollup sets xmlelement trim"
)
_BEFORE_PARENTHESIS: Final = frozenset(_KEYWORDS.split())
"""Words of SQL that stand before a parenthesis and are no functions."""
_CONTROL: Final = re.compile(
    r"(?:^|;)\s*(?:begin|start|commit|end|rollback|abort|prepare\s+transaction)\b", re.IGNORECASE
)
LONG: Final = "a text too long to be read"
"""The pin of what nobody has looked at: there may be settings or temporary tables in it."""


def change(sql: str) -> Statement | None:
    """The class of a plain INSERT, UPDATE or DELETE, by its first word. None: it has to be looked at.

    A nanosecond for each character: rows by the thousand are neither lifted nor parsed.
    """
    match = _CHANGE.match(sql)
    if match is None:
        return None
    end = sql.find(";")
    if end >= 0 and sql[end + 1 :].strip():
        return None
    folded = sql.lower()
    if any(word in folded for word in _SPECIAL):
        return None
    return _CHANGES[match[1].lower()]


def query(code: str) -> Statement | None:
    """The class of a SELECT or the like by the words of its :func:`code`. None: it has to be looked at."""
    if ";" in code.rstrip("; \t\r\n\f") or _first(code) not in _QUERIES:
        return None
    if len(code) > _LOOKED_THROUGH_MAX:
        return None
    folded, locks = code.lower(), 0
    if contains(folded, "into"):
        code = _INTO.sub(r"\1", code)
    if contains(folded, "for") and (contains(folded, "update") or contains(folded, "share")):
        code, locks = _LOCKS.subn(" ", code)
    why = ""
    for word, called in _words(code, folded):
        names = [_folded(name.strip()) for name in word.split(".")]
        name = names[-1]
        if name in _MORE:
            return None
        if name in _CHANGING and not called:
            why = why or f"WITH {name.upper()}"
        elif called and name not in _BEFORE_PARENTHESIS:
            call = functions.judge(names)
            if call is Call.PRIMARY:
                return None
            why = why or ("" if call is Call.READS else f"calls {name}()")
    if why:
        return Statement(Access.WRITE, why, named=True)
    return Statement(Access.WRITE, "FOR UPDATE") if locks else Statement(Access.READ, "SELECT")


def _words(code: str, folded: str) -> Iterable[tuple[str, str]]:
    """The names in a text, each once, and the parenthesis that follows it or ''.

    Of a long one only those that are called, when no other can matter: most of it is constants and columns.
    """
    if (
        len(code) < _LONG_MIN
        or '"' in code
        or code.count("(") > _CALLS_MAX
        or any(contains(folded, it) for it in _HINTS)
    ):
        return dict.fromkeys(_WORDS.findall(code))
    found: dict[tuple[str, str], None] = {}
    at = code.find("(")
    while at >= 0:
        start = max(0, at - _LOOK_BACK)
        name = _LAST_NAME.search(code, start, at)
        before = code[start : at if name is None else name.start()].rstrip()
        if start and (not before or before.endswith(".")):
            return dict.fromkeys(_WORDS.findall(code))  # there may be more of the name
        if name is not None:
            found[name[1], "("] = None
        at = code.find("(", at + 1)
    return found


def judge(sql: str, pieces: Pieces, *, wrong: bool) -> Statement:
    """The class of any text, on the safe side: what may be a write is one. The server tells what is wrong with it.

    ``wrong``: the parser has refused it, so that it will hardly leave anything behind.
    """
    only_code = code(sql, pieces)
    found = query(only_code)
    if found is not None:
        return found
    count = sum(1 for part in only_code.split(";") if part.strip())
    has_control = _CONTROL.search(only_code) is not None
    why = f"{_first(only_code)[:20].upper() or 'a text'} that is {'wrong' if wrong else 'long'}"
    return Statement(Access.WRITE, why, count=count, has_control=has_control, pins="" if wrong else LONG)


def code(sql: str, pieces: Pieces) -> str:
    """The text without comments and strings; quoted names stay."""
    spans = pieces.comments + tuple(span for span in pieces.strings if sql[span[0]] != '"')
    return lexical.without(sql, tuple(sorted(spans)))


def _first(text: str) -> str:
    match = _FIRST.match(text)
    return match[1].lower() if match is not None else ""


def _folded(name: str) -> str:
    return name[1:-1] if name.startswith('"') else name.lower()
