"""Regular expression functions. PostgreSQL's advanced expressions are run by Python's ``re`` after translation."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Final

from helios_cli.engine.datatypes.arrays import PgArray, write_array
from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql.functions.define import Library

_CLASSES: Final = {
    "alpha": "a-zA-Z", "digit": "0-9", "alnum": "a-zA-Z0-9", "upper": "A-Z", "lower": "a-z", "space": r"\s",
    "punct": r"!-/:-@\[-`{-~", "blank": r" \t", "xdigit": "0-9A-Fa-f", "cntrl": r"\x00-\x1f", "print": r"\x20-\x7e",
    "graph": r"\x21-\x7e", "word": r"\w",
}  # fmt: skip
_REASONS: Final = (
    ("subpattern", "parentheses () not balanced"), ("unbalanced parenthesis", "parentheses () not balanced"),
    ("character set", "brackets [] not balanced"), ("repeat", "quantifier operand invalid"),
    ("escape", "invalid escape \\ sequence"), ("group reference", "invalid backreference number"),
    ("character range", "invalid character range"),
)  # fmt: skip
_FLAGS: Final = {"i": re.IGNORECASE, "s": re.DOTALL, "n": re.MULTILINE, "m": re.MULTILINE, "x": re.VERBOSE}


def translate_pattern(pattern: str) -> str:
    """PostgreSQL's escapes and bracket classes in Python's syntax."""
    if pattern.startswith("***"):
        if pattern.startswith("***="):
            return re.escape(pattern[4:])
        pattern = pattern[4:]
    out = re.sub(r"\[:(\w+):\]", lambda match: _CLASSES.get(match[1], match[0]), pattern)
    out = out.replace(r"[[:<:]]", r"\b(?=\w)").replace(r"[[:>:]]", r"\b(?<=\w)")
    return re.sub(r"\\([mMyYAZ])", lambda match: _ESCAPES[match[1]], out)


_ESCAPES: Final = {"m": r"\b(?=\w)", "M": r"\b(?<=\w)", "y": r"\b", "Y": r"\B", "A": r"\A", "Z": r"\Z"}


@lru_cache(maxsize=512)
def compiled(pattern: str, flags: str) -> re.Pattern[str]:
    """The compiled expression.

    Raises:
        SqlError: 2201B for a malformed one, 22023 for an unknown flag.
    """
    options = re.DOTALL if "n" not in flags else re.MULTILINE
    for letter in flags:
        if letter in "gc":
            options = options & ~re.IGNORECASE if letter == "c" else options
        elif letter in _FLAGS:
            options |= _FLAGS[letter]
        elif letter == "q":
            return re.compile(re.escape(pattern), options)
        else:
            raise SqlError(f'invalid regular expression option: "{letter}"', sqlstate="22023")
    try:
        return re.compile(translate_pattern(pattern), options)
    except re.error as error:
        raise SqlError(f"invalid regular expression: {_reason(error.msg)}", sqlstate="2201B") from None


def _reason(message: str) -> str:
    """Python's complaint in PostgreSQL's words (regerrs.h)."""
    for part, words in _REASONS:
        if part in message:
            return words
    return message


def _replacement(text: str) -> str:
    """PostgreSQL's references to groups in Python's form."""

    def one(match: re.Match[str]) -> str:
        letter = match[1]
        if letter.isdigit():
            return f"\\g<{letter}>"
        return "\\g<0>" if letter == "&" else "\\\\" if letter == "\\" else "\\\\" + letter

    return re.sub(r"\\(.)", one, text, flags=re.DOTALL)


def regexp_replace(text: str, pattern: str, new: str, flags: str = "") -> str:
    """Replace the first match, or all with the flag g."""
    return compiled(pattern, flags).sub(_replacement(new), text, count=0 if "g" in flags else 1)


def regexp_match(text: str, pattern: str, flags: str = "") -> str | None:
    """The captured groups of the first match, or the whole match, as an array; NULL without a match."""
    if "g" in flags:
        message = 'regexp_match() does not support the "global" option'
        raise SqlError(message, sqlstate="22023", hint="Use the regexp_matches function instead.")
    match = compiled(pattern, flags).search(text)
    return _groups(match) if match is not None else None


def _groups(match: re.Match[str]) -> str:
    items: list[str | None] = list(match.groups()) or [match[0]]
    return write_array(PgArray(items, (len(items),), (1,)), str)


def regexp_matches(text: str, pattern: str, flags: str = "") -> str:
    """The JSON array of the groups of the first match, or of all with the flag g."""
    expression = compiled(pattern, flags)
    found = list(expression.finditer(text)) if "g" in flags else [one for one in [expression.search(text)] if one]
    return json.dumps([_groups(match) for match in found], ensure_ascii=False)


def regexp_split(text: str, pattern: str, flags: str = "") -> list[str]:
    """The pieces between matches; an empty match never splits at the start or end."""
    pieces, last = [], 0
    for match in compiled(pattern, flags).finditer(text):
        if match.end() == 0 or (match.start() == match.end() and match.start() >= len(text)):
            continue
        pieces.append(text[last : match.start()])
        last = match.end()
    return [*pieces, text[last:]]


def regexp_count(text: str, pattern: str, start: int = 1, flags: str = "") -> int:
    """How often the expression matches from a character position on."""
    if start < 1:
        raise SqlError(f'invalid value for parameter "start": {start}', sqlstate="22023")
    return sum(1 for _ in compiled(pattern, flags).finditer(text, start - 1))


def regexp_substr(text: str, pattern: str) -> str | None:
    """The first match, or NULL."""
    match = compiled(pattern, "").search(text)
    return match[0] if match is not None else None


def regexp_substring(text: str, pattern: str) -> str | None:
    """substring(text from pattern): the first group, or the whole match."""
    match = compiled(pattern, "").search(text)
    if match is None:
        return None
    return match[1] if match.re.groups else match[0]


def regexp_instr(text: str, pattern: str) -> int:
    """The 1-based position of the first match, 0 without one."""
    match = compiled(pattern, "").search(text)
    return match.start() + 1 if match is not None else 0


def _array(pieces: list[str]) -> str:
    return write_array(PgArray(list(pieces), (len(pieces),), (1,)), str)


def _json(pieces: list[str]) -> str:
    return json.dumps(pieces, ensure_ascii=False)


def install(lib: Library) -> None:
    """Declare the regular expression functions."""
    d = lib.define
    d("regexp_replace", "text text text -> text", regexp_replace)
    d("regexp_replace", "text text text text -> text", _replace4)
    d("regexp_match", "text text -> text[]", regexp_match)
    d("regexp_match", "text text text -> text[]", _match3)
    d("regexp_matches", "text text -> text[]", regexp_matches, set_returning=True)
    d("regexp_matches", "text text text -> text[]", _matches3, set_returning=True)
    d("regexp_split_to_array", "text text -> text[]", lambda text, pattern: _array(regexp_split(text, pattern)))
    d(
        "regexp_split_to_table",
        "text text -> text",
        lambda text, pattern: _json(regexp_split(text, pattern)),
        set_returning=True,
    )
    d("regexp_count", "text text -> int4", regexp_count)
    d("regexp_substr", "text text -> text", regexp_substr)
    d("regexp_instr", "text text -> int4", regexp_instr)
    d("regexp_like", "text text -> bool", lambda text, pattern: int(compiled(pattern, "").search(text) is not None))
    lib.helper("fn_regexp_substring", regexp_substring, 2)


def _replace4(text: str, pattern: str, new: str, flags: str) -> str:
    return regexp_replace(text, pattern, new, flags)


def _match3(text: str, pattern: str, flags: str) -> str | None:
    return regexp_match(text, pattern, flags)


def _matches3(text: str, pattern: str, flags: str) -> str:
    return regexp_matches(text, pattern, flags)


__all__ = ["compiled", "install", "regexp_replace", "translate_pattern"]
