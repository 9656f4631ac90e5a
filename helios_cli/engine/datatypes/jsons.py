"""json (kept as given) and jsonb (canonical text, as PostgreSQL prints it)."""

from __future__ import annotations

import json
import re
from typing import Any

from helios_cli.engine.datatypes.faults import insufficient_data
from helios_cli.engine.datatypes.json_errors import check_escapes, json_error
from helios_cli.engine.datatypes.numeric import parse_numeric
from helios_cli.engine.datatypes.strings import format_string
from helios_cli.engine.datatypes.utf8 import decode_utf8
from helios_cli.engine.errors import SqlError

_SURROGATE = re.compile("[\ud800-\udfff]")
_ESCAPES = {"\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "\\": "\\\\"}
_ESCAPES |= {chr(code): f"\\u{code:04x}" for code in range(32) if chr(code) not in _ESCAPES}
_TO_ESCAPE = re.compile(r'["\\\x00-\x1f]')


class _Number(str):
    """A JSON number's text, told apart from a JSON string."""

    __slots__ = ()


class _Members(list[tuple[str, Any]]):
    """A JSON object's members in canonical order."""

    __slots__ = ()


def _constant(word: str) -> Any:
    raise ValueError(word)


def parse_json(text: str) -> str:
    """The text as given, once it is known to be JSON. Raises 22P02, 54001 when nested too deeply."""
    _load(text, json.JSONDecoder(parse_constant=_constant, parse_int=_Number, parse_float=_Number))
    return text


def _load(text: str, decoder: json.JSONDecoder) -> Any:
    try:
        return decoder.decode(text)
    except RecursionError:
        raise SqlError("stack depth limit exceeded", sqlstate="54001") from None
    except ValueError:
        raise json_error(text) from None


def parse_jsonb(text: str) -> str:
    """The canonical text: members by key length then bytes, the last of equal keys, numbers as numeric."""
    decoder = json.JSONDecoder(
        parse_constant=_constant, parse_int=_number, parse_float=_number, object_pairs_hook=_members
    )
    out: list[str] = []
    try:
        loaded = _load(text, decoder)
        if "\\u" in text:
            check_escapes(text)
        _write(loaded, out)
    except RecursionError:
        raise SqlError("stack depth limit exceeded", sqlstate="54001") from None
    return "".join(out)


def _number(text: str) -> _Number:
    return _Number(parse_numeric(text))


def _members(pairs: list[tuple[str, Any]]) -> _Members:
    unique = {key: value for key, value in pairs}
    encoded = sorted((len(key_bytes), key_bytes, key) for key in unique for key_bytes in (_utf8(key),))
    return _Members((key, unique[key]) for _, _, key in encoded)


def _utf8(key: str) -> bytes:
    return key.encode("utf-8", "surrogatepass")


def _write(node: Any, out: list[str]) -> None:
    """Append the canonical text of a decoded value."""
    if isinstance(node, _Number):
        out.append(node)
    elif isinstance(node, str):
        out.append(quote_json(node))
    elif isinstance(node, _Members):
        for index, (key, value) in enumerate(node):
            out.append(("{" if index == 0 else ", ") + quote_json(key) + ": ")
            _write(value, out)
        out.append("}" if node else "{}")
    elif isinstance(node, list):
        for index, value in enumerate(node):
            out.append("[" if index == 0 else ", ")
            _write(value, out)
        out.append("]" if node else "[]")
    else:
        out.append("null" if node is None else "true" if node else "false")


def quote_json(text: str) -> str:
    """A JSON string literal with PostgreSQL's escapes. Raises 22P05 for NUL, 22P02 for half a surrogate pair."""
    if "\0" in text:
        raise SqlError(
            "unsupported Unicode escape sequence", sqlstate="22P05", detail="\\u0000 cannot be converted to text."
        )
    if _SURROGATE.search(text):
        raise SqlError(
            "invalid input syntax for type json",
            sqlstate="22P02",
            detail="Unicode low surrogate must follow a high surrogate.",
        )
    return '"' + _TO_ESCAPE.sub(lambda match: _ESCAPES[match[0]], text) + '"'


def parse_json_binary(data: bytes) -> str:
    """The same as the text form."""
    return parse_json(decode_utf8(data))


def parse_jsonb_binary(data: bytes) -> str:
    """A version byte of 1, then the text form."""
    if data[:1] != b"\1":
        if not data:
            raise insufficient_data()
        raise SqlError(f"unsupported jsonb version number {data[0]}", sqlstate="XX000")
    return parse_jsonb(decode_utf8(data[1:]))


def format_jsonb_binary(value: Any) -> bytes:
    """A version byte of 1, then the text form."""
    return b"\1" + format_string(value)
