"""What exactly is wrong with a text that is not JSON, in PostgreSQL's words (common/jsonapi.c)."""

from __future__ import annotations

import re
from typing import Final

from helios_cli.engine.errors import SqlError

_SPACE: Final = re.compile(r"[ \t\n\r]*")
_NUMBER: Final = re.compile(
    r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?(?![A-Za-z0-9_.+\-]|[^\x00-\x7f])", re.ASCII
)
_WORD: Final = re.compile(r"-?(?:[A-Za-z0-9_.+\-]|[^\x00-\x7f])+", re.ASCII)
_CONTEXT_CHARS: Final = 50

# What is expected -> the words for it.
_EXPECTED: Final = {
    "value": "JSON value",
    "end": "end of input",
    "array start": "JSON value",
    "array next": '"," or "]"',
    "object start": 'string or "}"',
    "label": '":"',
    "object next": '"," or "}"',
    "key": "string",
}


class _Found(Exception):
    """The first mistake: its detail, and where its token ends."""

    def __init__(self, detail: str, end: int) -> None:
        super().__init__(detail)
        self.detail = detail
        self.end = end


def json_error(text: str) -> SqlError:
    """22P02 with PostgreSQL's detail and context for a text that is not JSON."""
    detail, end = "The input string ended unexpectedly.", len(text)
    try:
        _Walk(text).run()
    except _Found as found:
        detail, end = found.detail, found.end
    error = SqlError("invalid input syntax for type json", sqlstate="22P02", detail=detail)
    error.context = _context(text, end)
    return error


_UNICODE: Final = re.compile(r"\\(?:u([0-9a-fA-F]{4})|.)|\"", re.DOTALL)


def check_escapes(text: str) -> None:
    r"""Refuse \u0000 and halves of surrogate pairs in the strings of a JSON document.

    Raises:
        SqlError: 22P05, 22P02.
    """
    high_end = -1
    for match in _UNICODE.finditer(text):
        code = int(match[1], 16) if match[1] else 0
        is_low, is_high = 0xDC00 <= code < 0xE000, 0xD800 <= code < 0xDC00
        follows = high_end == match.start()
        if high_end >= 0 and is_high and follows:
            raise _refused("Unicode high surrogate must not follow a high surrogate.", text, match.end())
        if high_end >= 0 and not (is_low and follows):
            raise _refused("Unicode low surrogate must follow a high surrogate.", text, high_end + 1)
        if is_low and high_end < 0:
            raise _refused("Unicode low surrogate must follow a high surrogate.", text, match.end())
        if match[1] and not code:
            error = SqlError("unsupported Unicode escape sequence", sqlstate="22P05")
            error.detail, error.context = "\\u0000 cannot be converted to text.", _context(text, match.end())
            raise error
        high_end = match.end() if is_high else -1


def _refused(detail: str, text: str, end: int) -> SqlError:
    error = SqlError("invalid input syntax for type json", sqlstate="22P02", detail=detail)
    error.context = _context(text, end)
    return error


def _context(text: str, end: int) -> str:
    """The line up to the mistake, its last fifty characters."""
    line_no = 1 + text.count("\n", 0, end)
    start = text.rfind("\n", 0, end) + 1
    shown = text[start:end]
    before = "..." if len(shown.encode("utf-8", "replace")) >= _CONTEXT_CHARS else ""
    while len(shown.encode("utf-8", "replace")) >= _CONTEXT_CHARS:
        shown = shown[1:]
    after = "..." if end < len(text) and text[end] not in "\r\n" else ""
    return f"JSON data, line {line_no}: {before}{shown}{after}"


class _Walk:
    """A pushdown reader that knows what it expects next and raises at the first thing that is not it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.expected = "value"
        self.open: list[str] = []

    def run(self) -> None:
        """Read to the end. Raises _Found."""
        while True:
            start, kind, end = self._token()
            if kind == "end":
                if self.expected == "end":
                    return
                raise _Found("The input string ended unexpectedly.", end)
            if not self._step(kind):
                token = self.text[start:end]
                raise _Found(f'Expected {_EXPECTED[self.expected]}, but found "{token}".', end)
            self.at = end

    def _step(self, kind: str) -> bool:
        """Move on over one token; False when it may not stand here."""
        expected = self.expected
        if kind == "]" and expected in ("array start", "array next"):
            return self._leave()
        if kind == "}" and expected in ("object start", "object next"):
            return self._leave()
        if expected in ("value", "array start"):
            return self._value(kind)
        if expected in ("object start", "key"):
            self.expected = "label" if kind == "string" else expected
            return kind == "string"
        if expected == "label" and kind == ":":
            self.expected = "value"
            return True
        if expected in ("array next", "object next") and kind == ",":
            self.expected = "value" if expected == "array next" else "key"
            return True
        return False

    def _value(self, kind: str) -> bool:
        if kind in "[{":
            self.open.append(kind)
            self.expected = "array start" if kind == "[" else "object start"
            return True
        if kind not in ("string", "number", "word"):
            return False
        self.expected = self._after_value()
        return True

    def _leave(self) -> bool:
        self.open.pop()
        self.expected = self._after_value()
        return True

    def _after_value(self) -> str:
        if not self.open:
            return "end"
        return "array next" if self.open[-1] == "[" else "object next"

    def _token(self) -> tuple[int, str, int]:
        """(start, kind, end) of the next token. Raises _Found for one that is malformed in itself."""
        space = _SPACE.match(self.text, self.at)
        start = space.end() if space else self.at
        if start >= len(self.text):
            return start, "end", start
        char = self.text[start]
        if char in "{}[]:,":
            return start, char, start + 1
        if char == '"':
            return start, "string", self._string_end(start)
        number = _NUMBER.match(self.text, start)
        if number is not None:
            return start, "number", number.end()
        word = _WORD.match(self.text, start)
        end = word.end() if word else start + 1
        if self.text[start:end] in ("true", "false", "null"):
            return start, "word", end
        raise _Found(f'Token "{self.text[start:end]}" is invalid.', end)

    def _string_end(self, start: int) -> int:
        text, at = self.text, start + 1
        while at < len(text):
            char = text[at]
            if char == '"':
                return at + 1
            if char < " ":
                raise _Found(f"Character with value 0x{ord(char):02x} must be escaped.", at)
            if char == "\\":
                at = self._escape_end(at)
            else:
                at += 1
        raise _Found(f'Token "{text[start:]}" is invalid.', len(text))

    def _escape_end(self, at: int) -> int:
        sign = self.text[at + 1 : at + 2]
        if not sign:
            return at + 1
        if sign == "u":
            digits = self.text[at + 2 : at + 6]
            if not re.fullmatch("[0-9a-fA-F]{4}", digits):
                good = len(digits) - len(re.sub("^[0-9a-fA-F]*", "", digits))
                raise _Found('"\\u" must be followed by four hexadecimal digits.', min(at + 3 + good, len(self.text)))
            return at + 6
        if sign not in '"\\/bfnrt':
            raise _Found(f'Escape sequence "\\{sign}" is invalid.', at + 2)
        return at + 2
