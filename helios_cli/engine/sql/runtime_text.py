"""Pattern matching: LIKE, ILIKE, SIMILAR TO and POSIX regular expressions."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final

from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql.function_spec import ScalarTable
from helios_cli.engine.sql.sqltext import like_to_glob

_CLASSES: Final = {
    "alpha": "^\\W\\d_", "digit": "\\d", "alnum": "^\\W_", "upper": "A-Z", "lower": "a-z", "space": "\\s",
    "punct": "!-/:-@\\[-`{-~", "xdigit": "0-9A-Fa-f", "blank": " \\t", "cntrl": "\\x00-\\x1f\\x7f",
    "print": " -~", "graph": "!-~",
}  # fmt: skip
_ESCAPES: Final = {
    "m": r"\b(?=\w)", "M": r"\b(?<=\w)", "y": r"\b", "Y": r"\B", "A": r"\A", "Z": r"\Z", "e": "\x1b",
    "b": r"\x08", "B": r"\\",
}  # fmt: skip

_CODE: Final = re.compile(r"\\x([0-9a-fA-F]+)")
_CODE_MAX: Final = 0x7FFFFFFE
"""CHR_MAX (regcustom.h)."""
_LAST_CHARACTER: Final = 0x10FFFF
_REASONS: Final = (
    ("subpattern", "parentheses () not balanced"), ("unbalanced parenthesis", "parentheses () not balanced"),
    ("character set", "brackets [] not balanced"), ("repeat", "quantifier operand invalid"),
    ("escape", "invalid escape \\ sequence"), ("group reference", "invalid backreference number"),
    ("character range", "invalid character range"),
)  # fmt: skip


def malformed(error: re.error) -> SqlError:
    """2201B: Python's complaint in PostgreSQL's words (regerrs.h)."""
    words = next((words for part, words in _REASONS if part in error.msg), error.msg)
    return SqlError(f"invalid regular expression: {words}", sqlstate="2201B")


@lru_cache(maxsize=1024)
def pg_like_glob(pattern: Any) -> str | None:
    """The GLOB pattern of a LIKE pattern. Raises 22025."""
    return None if pattern is None else like_to_glob(str(pattern))


def pg_like_escape(pattern: Any, escape: Any) -> str | bytes | None:
    """A LIKE pattern with another escape character, rewritten to use the backslash. Raises 22019, 22025."""
    if pattern is None or escape is None:
        return None
    if isinstance(pattern, bytes):
        text = pg_like_escape(pattern.decode("latin-1"), escape.decode("latin-1"))
        return text.encode("latin-1") if isinstance(text, str) else None
    if len(escape) > 1:
        raise SqlError("invalid escape string", sqlstate="22025", hint="Escape string must be empty or one character.")
    if escape == "\\":
        return str(pattern)
    out: list[str] = []
    characters = iter(str(pattern))
    for character in characters:
        if escape and character == escape:
            out.append("\\" + next(characters, ""))
        else:
            out.append("\\\\" if character == "\\" else character)
    return "".join(out)


def ends_in_escape(pattern: str) -> bool:
    """Whether nothing follows the last escape of a pattern."""
    return (len(pattern) - len(pattern.rstrip("\\"))) % 2 == 1


def match_dangling(text: str, pattern: str) -> bool | None:
    """Whether a text is like a pattern that ends in an escape, None where no later start can match either.

    Such a pattern matches nothing; what counts is whether the text reaches its end (MatchText, like_match.c).

    Raises:
        SqlError: 22025, it does.
    """
    at, where = 0, 0
    while at < len(text) and where < len(pattern):
        character = pattern[where]
        if character == "%":
            return _match_behind_percent(text, at, pattern, where + 1)
        if character == "\\":
            where += 1
            if where == len(pattern):
                raise _dangling()
            character = pattern[where]
        elif character == "_":
            character = text[at]
        if text[at] != character:
            return False
        at, where = at + 1, where + 1
    return False if at < len(text) else None


def _match_behind_percent(text: str, at: int, pattern: str, where: int) -> bool | None:
    """The rest of :func:`match_dangling` behind a percent sign: every later start is tried."""
    while pattern[where] in "%_":
        if pattern[where] == "_":
            if at == len(text):
                return None
            at += 1
        where += 1
    if pattern[where:] == "\\":
        raise _dangling()
    first = pattern[where + 1] if pattern[where] == "\\" else pattern[where]
    for start in range(at, len(text)):
        if text[start] == first and match_dangling(text[start:], pattern[where:]) is not False:
            return None
    return None


def _dangling() -> SqlError:
    return SqlError("LIKE pattern must not end with escape character", sqlstate="22025")


@lru_cache(maxsize=1024)
def _ilike(pattern: str) -> re.Pattern[str]:
    out: list[str] = []
    characters = iter(pattern)
    for character in characters:
        if character == "\\":
            out.append(re.escape(next(characters)))
        else:
            out.append({"%": ".*", "_": "."}.get(character) or re.escape(character))
    return re.compile("".join(out), re.IGNORECASE | re.DOTALL)


def pg_ilike(text: Any, pattern: Any) -> int | None:
    """ILIKE. Raises 22025 when it reaches an escape that nothing follows."""
    if text is None or pattern is None:
        return None
    text, pattern = str(text), str(pattern)
    if pattern.endswith("\\") and ends_in_escape(pattern):
        return int(match_dangling(text.lower(), pattern.lower()) is True)
    return int(_ilike(pattern).fullmatch(text) is not None)


@lru_cache(maxsize=1024)
def compile_regex(pattern: str, flags: str) -> re.Pattern[str]:
    """A POSIX advanced regular expression as Python's.

    Raises:
        SqlError: 2201B for one that is wrong; 0A000 for back references with constructs Python has not.
    """
    options = re.DOTALL
    for flag in flags:
        if flag == "i":
            options |= re.IGNORECASE
        elif flag in ("n", "m"):
            options = (options & ~re.DOTALL) | re.MULTILINE
        elif flag == "x":
            options |= re.VERBOSE
        elif flag not in "gcst":
            raise SqlError(f'invalid regular expression option: "{flag}"', sqlstate="22023")
    if pattern.startswith("***="):
        return re.compile(re.escape(pattern[4:]), options)
    if pattern.startswith("***:"):
        pattern = pattern[4:]
    try:
        return re.compile(python_regex(pattern, "$" if options & re.MULTILINE else r"\Z"), options)
    except re.error as error:
        raise malformed(error) from None


def python_regex(pattern: str, end: str) -> str:
    """Rewrite what differs: bracket classes, word boundaries, ``$`` that ends the text only."""
    out: list[str] = []
    at = 0
    while at < len(pattern):
        character = pattern[at]
        code = _CODE.match(pattern, at)
        if code is not None:
            out.append(_character(int(code[1], 16)))
            at = code.end()
        elif character == "\\" and at + 1 < len(pattern):
            out.append(_ESCAPES.get(pattern[at + 1], pattern[at : at + 2]))
            at += 2
        elif character == "[":
            text, at = bracket(pattern, at)
            out.append(text)
        elif character == "$":
            out.append(end)
            at += 1
        else:
            out.append(character)
            at += 1
    return "".join(out)


def _character(code: int) -> str:
    """The character with a code as Python writes it; one that no text has is one that nothing matches. 2201B."""
    if code > _CODE_MAX:
        raise SqlError("invalid regular expression: invalid escape \\ sequence", sqlstate="2201B")
    return re.escape(chr(code)) if code <= _LAST_CHARACTER else "(?!)"


def bracket(pattern: str, start: int) -> tuple[str, int]:
    """One bracket expression as Python writes it, and where it ends."""
    if pattern.startswith("[[:<:]]", start):
        return r"\b(?=\w)", start + 7
    if pattern.startswith("[[:>:]]", start):
        return r"\b(?<=\w)", start + 7
    at = start + 1
    negated = pattern.startswith("^", at)
    at += negated
    parts: list[str] = []
    nested: list[str] = []
    first = True
    while at < len(pattern) and (pattern[at] != "]" or first):
        first = False
        if pattern.startswith("[:", at):
            end = pattern.find(":]", at)
            name = pattern[at + 2 : end]
            if end < 0 or name not in _CLASSES:
                raise SqlError("invalid regular expression: invalid character class", sqlstate="2201B")
            body = _CLASSES[name]
            (nested if body.startswith("^") else parts).append(body)
            at = end + 2
        elif pattern[at] == "\\" and at + 1 < len(pattern):
            parts.append(pattern[at : at + 2])
            at += 2
        else:
            parts.append("\\" + pattern[at] if pattern[at] in "[&~|" else pattern[at])
            at += 1
    if at >= len(pattern):
        raise SqlError("invalid regular expression: brackets [] not balanced", sqlstate="2201B")
    return _bracket_text(parts, nested, negated), at + 1


def _bracket_text(parts: list[str], nested: list[str], negated: bool) -> str:
    """Python has no union of a set and a negated one: alternatives stand for it."""
    body = "".join("\\]" if part == "]" else part for part in parts)
    if not nested:
        return f"[{'^' if negated else ''}{body}]"
    options = [f"[{text}]" for text in nested] + ([f"[{body}]" if body else ""] if body else [])
    union = "|".join(options)
    return f"(?!{union})." if negated else f"(?:{union})"


def pg_regex(text: Any, pattern: Any, flags: str) -> int | None:
    """Whether a regular expression matches anywhere. Raises 2201B."""
    if text is None or pattern is None:
        return None
    return int(compile_regex(str(pattern), flags).search(str(text)) is not None)


@lru_cache(maxsize=1024)
def similar_regex(pattern: str, escape: str) -> re.Pattern[str]:
    """The regular expression of a SIMILAR TO pattern (similar_escape_internal, regexp.c). Raises 22019, 2201B."""
    out: list[str] = []
    at, in_bracket = 0, False
    while at < len(pattern):
        character = pattern[at]
        if escape and character == escape and at + 1 < len(pattern):
            at += 1
            out.append(re.escape(pattern[at]))
        elif in_bracket:
            in_bracket = character != "]"
            out.append("\\\\" if character == "\\" else character)
        elif character == "[":
            in_bracket = True
            out.append("[")
        else:
            simple = {"%": ".*", "_": ".", "(": "(?:", ".": r"\.", "^": r"\^", "$": r"\$", "\\": "\\\\"}
            out.append(simple.get(character, character))
        at += 1
    try:
        return re.compile("".join(out), re.DOTALL)
    except re.error as error:
        raise malformed(error) from None


def pg_similar(text: Any, pattern: Any, escape: Any = "\\") -> int | None:
    """SIMILAR TO."""
    if text is None or pattern is None or escape is None:
        return None
    if len(escape) > 1:
        raise SqlError("invalid escape string", sqlstate="22025", hint="Escape string must be empty or one character.")
    return int(similar_regex(str(pattern), escape).fullmatch(str(text)) is not None)


SCALARS: Final[ScalarTable] = {
    "pg_like_glob": (pg_like_glob, 1, True),
    "pg_like_escape": (pg_like_escape, 2, True),
    "pg_ilike": (pg_ilike, 2, True),
    "pg_regex": (pg_regex, 3, True),
    "pg_similar": (pg_similar, -1, True),
}
