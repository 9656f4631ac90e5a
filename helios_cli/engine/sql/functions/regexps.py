"""Regular expression functions. PostgreSQL's advanced expressions are run by Python's ``re`` after translation."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import islice
from typing import Any, Final

from helios_cli.engine.datatypes.arrays import PgArray, write_array
from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql.functions.define import Library
from helios_cli.engine.sql.functions.regex_matching import Expression, Found
from helios_cli.engine.sql.runtime_text import malformed, python_regex, similar_regex

_LINES: Final = {
    "s": re.DOTALL, "n": re.MULTILINE, "m": re.MULTILINE, "p": re.NOFLAG, "w": re.DOTALL | re.MULTILINE
}  # fmt: skip
"""What lines mean to an expression: whether a dot is a line's end, and whether ^ and $ are at its ends."""


def translate_pattern(pattern: str, lines: bool = False) -> str:
    """PostgreSQL's escapes and bracket classes in Python's syntax."""
    if pattern.startswith("***"):
        if pattern.startswith("***="):
            return re.escape(pattern[4:])
        pattern = pattern[4:]
    return python_regex(pattern, "$" if lines else r"\Z")


@lru_cache(maxsize=512)
def compiled(pattern: str, flags: str) -> Expression:
    """The compiled expression.

    Raises:
        SqlError: 2201B for a malformed one, 22023 for an unknown flag.
    """
    options, literal = re.DOTALL, False
    for letter in flags:
        if letter in _LINES:
            options = (options & ~(re.DOTALL | re.MULTILINE)) | _LINES[letter]
        elif letter in "ci":
            options = options & ~re.IGNORECASE if letter == "c" else options | re.IGNORECASE
        elif letter == "x":
            options |= re.VERBOSE
        elif letter == "q":
            literal = True
        elif letter not in "gbet":
            raise SqlError(f'invalid regular expression option: "{letter}"', sqlstate="22023")
    try:
        lines = bool(options & re.MULTILINE)
        finder = re.compile(re.escape(pattern) if literal else translate_pattern(pattern, lines), options)
    except re.error as error:
        raise malformed(error) from None
    return Expression(finder, None if literal or "x" in flags else pattern)


def _replacement(text: str, groups: int) -> list[str | int]:
    """The pieces of a new text: groups by their numbers; a reference to one that is not there is nothing."""
    pieces: list[str | int] = []
    at = 0
    while at < len(text):
        letter = text[at + 1 : at + 2] if text[at] == "\\" else ""
        if not letter:
            pieces.append(text[at])
        elif letter.isascii() and letter.isdigit():
            pieces += [int(letter)] if int(letter) <= groups else []
        elif letter == "&":
            pieces.append(0)
        else:
            pieces.append("\\" if letter == "\\" else "\\" + letter)
        at += 2 if letter else 1
    return pieces


def regexp_replace(text: str, pattern: str, new: str, flags: str = "") -> str:
    """Replace the first match, or all with the flag g."""
    return _replaced(text, compiled(pattern, flags), new, 0, 0 if "g" in flags else 1)


def _replaced(text: str, expression: Expression, new: str, start: int, count: int) -> str:
    """The text with the match of number ``count`` from ``start`` on replaced, or all of them for 0."""
    replacement = _replacement(new, expression.groups)
    out: list[str] = []
    done = 0
    for number, match in enumerate(expression.matches(text, start), 1):
        if count in (0, number):
            out.append(text[done : match.start()])
            out += [piece if isinstance(piece, str) else match[piece] or "" for piece in replacement]
            done = match.end()
        if number == count:
            break
    return "".join(out) + text[done:]


def regexp_match(text: str, pattern: str, flags: str = "") -> str | None:
    """The captured groups of the first match, or the whole match, as an array; NULL without a match."""
    if "g" in flags:
        message = 'regexp_match() does not support the "global" option'
        raise SqlError(message, sqlstate="22023", hint="Use the regexp_matches function instead.")
    match = compiled(pattern, flags).search(text)
    return _groups(match) if match is not None else None


def _groups(match: Found) -> str:
    items: list[str | None] = match.groups() or [match[0]]
    return write_array(PgArray(items, (len(items),), (1,)), str)


def regexp_matches(text: str, pattern: str, flags: str = "") -> str:
    """The JSON array of the groups of the first match, or of all with the flag g."""
    found = compiled(pattern, flags).matches(text)
    return json.dumps([_groups(match) for match in (found if "g" in flags else islice(found, 1))], ensure_ascii=False)


def regexp_split(text: str, pattern: str, flags: str = "") -> list[str]:
    """The pieces between matches; an empty one never splits at the start or end, or right behind another match."""
    pieces, last, before = [], 0, 0
    for match in compiled(pattern, flags).matches(text):
        if match.start() < len(text) and match.end() > before:
            pieces.append(text[last : match.start()])
            last = match.end()
        before = match.end()
    return [*pieces, text[last:]]


def _positive(**parameters: int) -> None:
    for name, value in parameters.items():
        if value < (0 if name in ("endoption", "subexpr") else 1) or (name == "endoption" and value > 1):
            raise SqlError(f'invalid value for parameter "{name}": {value}', sqlstate="22023")


def _no_global(name: str, flags: str) -> None:
    if "g" in flags:
        raise SqlError(f'{name}() does not support the "global" option', sqlstate="22023")


def _nth(text: str, pattern: str, start: int, count: int, flags: str) -> Found | None:
    """The match of that number from a character position on, None when there are fewer."""
    found = compiled(pattern, flags).matches(text, min(start - 1, len(text)))
    return next(islice(found, count - 1, None), None)


def regexp_count(text: str, pattern: str, start: int = 1, flags: str = "") -> int:
    """How often the expression matches from a character position on."""
    _positive(start=start)
    expression = compiled(pattern, flags)
    _no_global("regexp_count", flags)
    return sum(1 for _ in expression.matches(text, start - 1))


def regexp_substr(
    text: str, pattern: str, start: int = 1, count: int = 1, flags: str = "", subexpr: int = 0
) -> str | None:
    """The n-th match or one of its groups, or NULL."""
    _positive(start=start, n=count, subexpr=subexpr)
    expression = compiled(pattern, flags)
    _no_global("regexp_substr", flags)
    match = _nth(text, pattern, start, count, flags)
    if expression.groups == 0 and subexpr == 1:
        subexpr = 0
    return match[subexpr] if match is not None and subexpr <= expression.groups else None


def regexp_like(text: str, pattern: str, flags: str = "") -> int:
    """Whether the expression matches anywhere."""
    expression = compiled(pattern, flags)
    _no_global("regexp_like", flags)
    return int(expression.search(text) is not None)


def regexp_replace_nth(text: str, pattern: str, new: str, start: int, count: int | None = None, flags: str = "") -> str:
    """Replace the n-th match from a character position on; all of them when ``count`` is 0."""
    _positive(start=start)
    if count is None:
        count = 0 if "g" in flags else 1
    elif count < 0:
        raise SqlError(f'invalid value for parameter "n": {count}', sqlstate="22023")
    return _replaced(text, compiled(pattern, flags), new, start - 1, count)


def regexp_substring(text: str, pattern: str) -> str | None:
    """substring(text from pattern): the first group, or the whole match."""
    expression = compiled(pattern, "")
    match = expression.search(text)
    return None if match is None else match[1 if expression.groups else 0]


_ESCAPED: Final = {"%": ".*", "_": ".", "(": "(?:"} | {character: f"\\{character}" for character in "\\.^$"}
"""What the characters of a SIMILAR TO pattern are in a regular expression, where they are another."""


def similar_to_escape(pattern: str, escape: str = "\\") -> str:
    """The regular expression that a SIMILAR TO pattern stands for (similar_escape_internal, regexp.c).

    Raises 22025, 2200C.
    """
    if len(escape) > 1:
        hint = "Escape string must be empty or one character."
        raise SqlError("invalid escape string", sqlstate="22025", hint=hint)
    out: list[str] = ["^(?:"]
    parts, in_bracket = iter(("){1,1}?(", "){1,1}(?:")), False
    characters = iter(pattern)
    for character in characters:
        if character == escape:
            escaped = next(characters, "")
            if escaped == '"' and not in_bracket:
                out.append(_next_part(parts))
            else:
                out.append(f"\\{escaped}" if escaped else "")
        elif in_bracket:
            in_bracket = character != "]"
            out.append("\\\\" if character == "\\" else character)
        else:
            in_bracket = character == "["
            out.append(_ESCAPED.get(character, character))
    return "".join([*out, ")$"])


def _next_part(parts: Iterator[str]) -> str:
    found = next(parts, None)
    if found is None:
        message = "SQL regular expression may not contain more than two escape-double-quote separators"
        raise SqlError(message, sqlstate="2200C")
    return found


def similar_substring(text: str, pattern: str, escape: str) -> str | None:
    """SUBSTRING(text SIMILAR pattern ESCAPE escape): what the pattern between two escape-double-quotes matches.

    What is before it takes as little as it can (similar_escape_internal, regexp.c). Raises 22025, 2200C, 2201B.
    """
    if len(escape) > 1:
        hint = "Escape string must be empty or one character."
        raise SqlError("invalid escape string", sqlstate="22025", hint=hint)
    parts = pattern.split(f'{escape}"') if escape else [pattern]
    if len(parts) > 3:
        message = "SQL regular expression may not contain more than two escape-double-quote separators"
        raise SqlError(message, sqlstate="2200C")
    pieces = [similar_regex(part, escape).pattern for part in parts]
    if len(parts) == 1:
        return regexp_substring(text, f"^(?:{pieces[0]})$")
    first, middle, last = (*pieces, "")[:3]
    return regexp_substring(text, f"^(?:{first}){{1,1}}?({middle}){{1,1}}(?:{last})$")


def regexp_instr(
    text: str, pattern: str, start: int = 1, count: int = 1, endoption: int = 0, flags: str = "", subexpr: int = 0
) -> int:
    """The 1-based position of the n-th match or one of its groups, or of what follows it; 0 without one."""
    _positive(start=start, n=count, endoption=endoption, subexpr=subexpr)
    expression = compiled(pattern, flags)
    _no_global("regexp_instr", flags)
    match = _nth(text, pattern, start, count, flags)
    if match is None:
        return 0
    if expression.groups == 0 and subexpr == 1:
        subexpr = 0  # Without groups the match is kept in the first one's place (setup_regexp_matches).
    if subexpr > expression.groups or match.start(subexpr) < 0:
        return 0
    return (match.end(subexpr) if endoption else match.start(subexpr)) + 1


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
    d("regexp_split_to_array", "text text text -> text[]", _split3)
    d("regexp_split_to_table", "text text text -> text", _rows3, set_returning=True)
    for more in ("int4", "int4 int4", "int4 int4 text"):
        d("regexp_replace", f"text text text {more} -> text", _call(regexp_replace_nth))
    for more in ("", "int4", "int4 text"):
        d("regexp_count", f"text text {more} -> int4", _call(regexp_count))
    for more in ("", "int4", "int4 int4", "int4 int4 text", "int4 int4 text int4"):
        d("regexp_substr", f"text text {more} -> text", _call(regexp_substr))
    for more in ("", "int4", "int4 int4", "int4 int4 int4", "int4 int4 int4 text", "int4 int4 int4 text int4"):
        d("regexp_instr", f"text text {more} -> int4", _call(regexp_instr))
    for more in ("", "text"):
        d("regexp_like", f"text text {more} -> bool", _call(regexp_like))
    for name in ("similar_to_escape", "similar_escape"):
        d(name, "text text -> text", _call(similar_to_escape))
    d("similar_to_escape", "text -> text", _call(similar_to_escape))
    lib.helper("fn_regexp_substring", regexp_substring, 2)
    lib.helper("pg_similar_substring", similar_substring, 3)


def _call(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as one that takes what it is given: SQLite counts the arguments of the call."""
    return lambda *arguments: function(*arguments)


def _split3(text: str, pattern: str, flags: str) -> str:
    _no_global("regexp_split_to_array", flags)
    return _array(regexp_split(text, pattern, flags))


def _rows3(text: str, pattern: str, flags: str) -> str:
    _no_global("regexp_split_to_table", flags)
    return _json(regexp_split(text, pattern, flags))


def _replace4(text: str, pattern: str, new: str, flags: str) -> str:
    return regexp_replace(text, pattern, new, flags)


def _match3(text: str, pattern: str, flags: str) -> str | None:
    return regexp_match(text, pattern, flags)


def _matches3(text: str, pattern: str, flags: str) -> str:
    return regexp_matches(text, pattern, flags)


__all__ = ["compiled", "install", "regexp_replace", "translate_pattern"]
