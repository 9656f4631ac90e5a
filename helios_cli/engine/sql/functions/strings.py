"""String functions (PostgreSQL manual, 9.4). Positions and lengths count characters."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import Any, Final

from helios_cli.engine.datatypes import registry
from helios_cli.engine.datatypes.arrays import PgArray, read_array, write_array
from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql.functions.define import Library
from helios_cli.engine.sql.oids import INT4
from helios_cli.engine.sql.sqltext import pg_identifier

MAX_RESULT_BYTES: Final = 256 * 1024 * 1024
"""The longest string a function builds; PostgreSQL allows 1 GB, which SQLite's value limit would not."""


def _bounded(size: int) -> None:
    if size > MAX_RESULT_BYTES:
        raise SqlError("requested length too large", sqlstate="54000")


def _case(text: str, upper: bool) -> str:
    """Character by character, as towupper: one character never becomes two."""
    if text.isascii():
        return text.upper() if upper else text.lower()
    changed = (letter.upper() if upper else letter.lower() for letter in text)
    return "".join(new if len(new) == 1 else old for new, old in zip(changed, text, strict=True))


def lower(text: str) -> str:
    """Lower case."""
    return _case(text, False)


def upper(text: str) -> str:
    """Upper case."""
    return _case(text, True)


def initcap(text: str) -> str:
    """The first letter of each run of letters and digits in upper case, the others in lower case."""
    return re.sub(r"[^\W_]+", lambda match: upper(match[0][0]) + lower(match[0][1:]), text)


def substring(text: str, start: int, length: int | None = None) -> str:
    """Characters from 1-based ``start``; positions before the string count but give nothing."""
    if length is None:
        return text[max(start - 1, 0) :]
    if length < 0:
        raise SqlError("negative substring length not allowed", sqlstate="22011")
    return text[max(start - 1, 0) : max(start - 1 + length, 0)]


def substring_bytes(data: bytes, start: int, length: int | None = None) -> bytes:
    """As ``substring``, of bytes."""
    if length is not None and length < 0:
        raise SqlError("negative substring length not allowed", sqlstate="22011")
    return data[max(start - 1, 0) :] if length is None else data[max(start - 1, 0) : max(start - 1 + length, 0)]


def overlay(text: str, new: str, start: int, length: int | None = None) -> str:
    """Replace ``length`` characters (as many as ``new`` has) from ``start``."""
    if start <= 0:
        raise SqlError("negative substring length not allowed", sqlstate="22011")
    count = len(new) if length is None else length
    if not -(2**31) <= start + count < 2**31:
        raise SqlError("integer out of range", sqlstate="22003")
    return text[: start - 1] + new + text[max(start - 1 + count, 0) :]


def pad(text: str, size: int, fill: str, left: bool) -> str:
    """Fill to ``size`` characters, or cut to it."""
    size = max(size, 0)
    _bounded(size)
    if len(text) >= size or not fill:
        return text[:size]
    missing = size - len(text)
    filling = (fill * (missing // len(fill) + 1))[:missing]
    return filling + text if left else text + filling


def repeat(text: str, count: int) -> str:
    """The text ``count`` times; empty for zero and less."""
    _bounded(len(text) * max(count, 0))
    return text * max(count, 0)


def replace(text: str, old: str, new: str) -> str:
    """Every occurrence replaced; an empty ``old`` changes nothing."""
    return text.replace(old, new) if old else text


def split_part(text: str, delimiter: str, field: int) -> str:
    """Field n, counted from 1, or from the end when negative; empty when there is none."""
    if field == 0:
        raise SqlError("field position must not be zero", sqlstate="22023")
    parts = text.split(delimiter) if delimiter else [text]
    if not text:
        return ""
    position = field - 1 if field > 0 else len(parts) + field
    return parts[position] if 0 <= position < len(parts) else ""


def left_part(text: str, count: int) -> str:
    """The first n characters, or all but the last n."""
    return text[:count] if count >= 0 else text[: max(len(text) + count, 0)]


def right_part(text: str, count: int) -> str:
    """The last n characters, or all but the first n."""
    if count >= 0:
        return text[max(len(text) - count, 0) :]
    return text[min(-count, len(text)) :]


def translate(text: str, source: str, target: str) -> str:
    """Map characters one by one; those without a counterpart are removed."""
    table: dict[int, str | None] = {}
    for position, letter in enumerate(source):
        table.setdefault(ord(letter), target[position] if position < len(target) else None)
    return text.translate(table)


def chr_of(code: int) -> str:
    """The character of a code point."""
    if code < 0:
        raise SqlError("character number must be positive", sqlstate="22023")
    if code == 0:
        raise SqlError("null character not permitted", sqlstate="54000")
    if not 0 < code <= 0x10FFFF or 0xD800 <= code <= 0xDFFF:
        raise SqlError(f"requested character not valid for encoding: {code}", sqlstate="54000")
    return chr(code)


def ascii_of(text: str) -> int:
    """The code point of the first character, 0 for an empty string."""
    return ord(text[0]) if text else 0


def _width(value: Any) -> int:
    """A width that an argument of format() gives. Raises SqlError 22P02 for one that is no number."""
    return 0 if value is None else int(registry.by_oid(INT4).parse_text(str(value)))


def quote_literal(text: str) -> str:
    """A string constant that PostgreSQL reads back as the text."""
    doubled = text.replace("'", "''")
    return "E'" + doubled.replace("\\", "\\\\") + "'" if "\\" in text else f"'{doubled}'"


BOOL: Final = 16


def encode(data: bytes, form: str) -> str:
    """Bytes as hex, base64 (76 characters a line) or escape text."""
    name = form.lower()
    if name == "hex":
        return data.hex()
    if name == "base64":
        plain = base64.b64encode(data).decode()
        return "\n".join(plain[at : at + 76] for at in range(0, len(plain), 76))
    if name == "escape":
        return "".join("\\\\" if byte == 92 else chr(byte) if 0 < byte < 128 else f"\\{byte:03o}" for byte in data)
    raise SqlError(f'unrecognized encoding: "{form}"', sqlstate="22023")


def decode(text: str, form: str) -> bytes:
    """The reverse of :func:`encode`."""
    name = form.lower()
    if name == "hex":
        try:
            return bytes.fromhex(text)
        except ValueError:
            bad = next((letter for letter in text if letter not in "0123456789abcdefABCDEF \n\t\r"), None)
            if bad is None:
                raise SqlError("invalid hexadecimal data: odd number of digits", sqlstate="22023") from None
            raise SqlError(f'invalid hexadecimal digit: "{bad}"', sqlstate="22023") from None
    if name == "base64":
        try:
            return base64.b64decode("".join(text.split()), validate=True)
        except ValueError:
            raise SqlError(
                "invalid base64 end sequence",
                sqlstate="22023",
                hint="Input data is missing padding, is truncated, or is otherwise corrupted.",
            ) from None
    if name == "escape":
        parsed = registry.by_oid(17).parse_text(text)
        return bytes(parsed)
    raise SqlError(f'unrecognized encoding: "{form}"', sqlstate="22023")


def to_hex(number: int, bits: int) -> str:
    """Hexadecimal digits of a two's complement integer."""
    return f"{number & ((1 << bits) - 1):x}"


# -- concat and format: values of any type ------------------------------------------------------------------------


def text_of(oid: int, value: Any) -> str:
    """A value's output text."""
    if isinstance(value, str) and oid in (25, 1043, 1042, 19, 705, 1700):
        return value
    return (
        registry.by_oid(oid if registry.find_oid(oid) is not None else 25).format_text(value).decode("utf-8", "replace")
    )


def stored_values(oid: int, values: list[Any]) -> list[Any]:
    """Values out of a JSON array, in which bytes are hexadecimal, as they are stored."""
    return [None if value is None else bytes.fromhex(value) for value in values] if oid == 17 else values


def concat(types: str, *values: Any) -> str:
    """The texts of all values that are not NULL."""
    oids = types.split(",") if types else []
    return "".join(text_of(int(oid), value) for oid, value in zip(oids, values, strict=True) if value is not None)


def concat_ws(types: str, separator: str | None, *values: Any) -> str | None:
    """The texts of all values that are not NULL with a separator between; NULL for a NULL separator."""
    if separator is None:
        return None
    oids = types.split(",")[1:]
    return separator.join(
        text_of(int(oid), value) for oid, value in zip(oids, values, strict=True) if value is not None
    )


_DIRECTIVE: Final = re.compile(r"%(?:(%)|(\d+\$)?(-*)(\d+|\*(?:\d+\$)?)?(?:([sIL])|(.?)))", re.DOTALL)


def format_text(types: str, template: str | None, *values: Any) -> str | None:
    """format(): %s, %I, %L, %%, positions and widths."""
    if template is None:
        return None
    oids = [int(oid) for oid in types.split(",")][1:]
    cursor = 0

    def argument(position: int) -> tuple[int, Any]:
        if position >= len(values):
            raise SqlError("too few arguments for format()", sqlstate="22023")
        return oids[position], values[position]

    def expand(match: re.Match[str]) -> str:
        nonlocal cursor
        if match[1]:
            return "%"
        if match[5] is None:
            if not match[6]:
                raise SqlError(
                    "unterminated format() type specifier", sqlstate="22023", hint='For a single "%" use "%%".'
                )
            message = f'unrecognized format() type specifier "{match[6]}"'
            raise SqlError(message, sqlstate="22023", hint='For a single "%" use "%%".')
        width, minus = 0, bool(match[3])
        if match[4]:
            if match[4].startswith("*"):
                if match[4] != "*":
                    cursor = _numbered(match[4][1:])
                width = _width(argument(cursor)[1])
                cursor += 1
            else:
                width = int(match[4])
        if match[2]:
            cursor = _numbered(match[2])
        oid, value = argument(cursor)
        cursor += 1
        shown = _directive(match[5], oid, value)
        minus = minus or width < 0
        return shown.ljust(abs(width)) if minus else shown.rjust(abs(width))

    return _DIRECTIVE.sub(expand, template)


def _numbered(text: str) -> int:
    """The place of the argument that ``3$`` names."""
    number = int(text[:-1])
    if number < 1:
        raise SqlError("format specifies argument 0, but arguments are numbered from 1", sqlstate="22023")
    return number - 1


def _directive(letter: str, oid: int, value: Any) -> str:
    if letter == "L":
        return "NULL" if value is None else quote_literal(text_of(oid, value))
    if value is None:
        if letter == "I":
            raise SqlError("null values cannot be formatted as an SQL identifier", sqlstate="22004")
        return ""
    return pg_identifier(text_of(oid, value)) if letter == "I" else text_of(oid, value)


def _to_rows(text: str | None, delimiter: str | None, null: str | None = None) -> str | None:
    """The pieces of string_to_array as a JSON array."""
    found = string_to_array(text, delimiter, null)
    return None if found is None else json.dumps(read_array(found, str).items, ensure_ascii=False)


def string_to_array(text: str | None, delimiter: str | None, null: str | None) -> str | None:
    """Split into an array; a NULL delimiter splits into characters, ``null`` fields become NULL."""
    if text is None:
        return None
    parts: list[str | None] = list(text) if delimiter is None else list(text.split(delimiter)) if delimiter else [text]
    if not text:
        parts = []
    items = [None if null is not None and part == null else part for part in parts]
    return write_array(PgArray(items, (len(items),) if items else (), (1,) if items else ()), str)


def install(lib: Library) -> None:
    """Declare the string functions."""
    d = lib.define
    for name in ("length", "char_length", "character_length"):
        d(name, "text -> int4", sql="length({0})")
        d(name, "bpchar -> int4", sql="length(rtrim({0}, ' '))")
    d("length", "bytea -> int4", sql="length({0})")
    d("octet_length", "text -> int4", sql="octet_length({0})")
    d("octet_length", "bpchar -> int4", sql="octet_length({0})")
    d("octet_length", "bytea -> int4", sql="length({0})")
    d("bit_length", "text -> int4", sql="(8 * octet_length({0}))")
    d("bit_length", "bytea -> int4", sql="(8 * length({0}))")
    d("lower", "text -> text", lower)
    d("upper", "text -> text", upper)
    d("initcap", "text -> text", initcap)
    for name in ("substring", "substr"):
        d(name, "text int4 -> text", substring)
        d(name, "text int4 int4 -> text", _substring3)
        d(name, "bytea int4 -> bytea", substring_bytes)
        d(name, "bytea int4 int4 -> bytea", _substring_bytes3)
    d("substring", "text text -> text", sql="fn_regexp_substring({0}, {1})")
    d("substring", "text text text -> text", sql="pg_similar_substring({0}, {1}, {2})")
    d("overlay", "text text int4 -> text", overlay)
    d("overlay", "text text int4 int4 -> text", _overlay4)
    d("position", "text text -> int4", sql="instr({0}, {1})")
    d("strpos", "text text -> int4", sql="instr({0}, {1})")
    d("position", "bytea bytea -> int4", sql="instr({0}, {1})")
    for name, native in (("btrim", "trim"), ("ltrim", "ltrim"), ("rtrim", "rtrim")):
        d(name, "text -> text", sql=f"{native}({{0}}, ' ')")
        d(name, "text text -> text", sql=f"{native}({{0}}, {{1}})")
    d("lpad", "text int4 -> text", lambda text, size: pad(text, size, " ", True))
    d("lpad", "text int4 text -> text", lambda text, size, fill: pad(text, size, fill, True))
    d("rpad", "text int4 -> text", lambda text, size: pad(text, size, " ", False))
    d("rpad", "text int4 text -> text", lambda text, size, fill: pad(text, size, fill, False))
    d("repeat", "text int4 -> text", repeat)
    d("replace", "text text text -> text", replace)
    d("split_part", "text text int4 -> text", split_part)
    d("left", "text int4 -> text", left_part)
    d("right", "text int4 -> text", right_part)
    d("reverse", "text -> text", lambda text: text[::-1])
    d("translate", "text text text -> text", translate)
    d("starts_with", "text text -> bool", sql="(substr({0}, 1, length({1})) = {1})")
    d("chr", "int4 -> text", chr_of)
    d("ascii", "text -> int4", ascii_of)
    d("md5", "text -> text", lambda text: hashlib.md5(text.encode(), usedforsecurity=False).hexdigest())
    d("md5", "bytea -> text", lambda data: hashlib.md5(data, usedforsecurity=False).hexdigest())
    for bits in (224, 256, 384, 512):
        d(f"sha{bits}", "bytea -> bytea", lambda data, name=f"sha{bits}": hashlib.new(name, data).digest())
    d("to_hex", "int4 -> text", lambda number: to_hex(number, 32))
    d("to_hex", "int8 -> text", lambda number: to_hex(number, 64))
    d("encode", "bytea text -> text", encode)
    d("decode", "text text -> bytea", decode)
    d("quote_ident", "text -> text", pg_identifier)
    d("quote_literal", "text -> text", quote_literal)
    d("quote_literal", "anyelement -> text", _quote_any, sql="{udf}({types}, {0})", strict=True)
    d("quote_nullable", "text -> text", lambda text: "NULL" if text is None else quote_literal(text), strict=False)
    d("quote_nullable", "anyelement -> text", _quote_any_nullable, sql="{udf}({types}, {0})", strict=False)
    d("concat", "any... -> text", concat, sql="{udf}('{types}', {args})", strict=False)
    d("concat_ws", "text any... -> text", concat_ws, sql="{udf}('{types}', {args})", strict=False)
    d("format", "text -> text", format_text, sql="{udf}('{types}', {args})", strict=False)
    d("format", "text any... -> text", format_text, sql="{udf}('{types}', {args})", strict=False)
    d("string_to_array", "text text -> text[]", lambda text, cut: string_to_array(text, cut, None), strict=False)
    d("string_to_array", "text text text -> text[]", string_to_array, strict=False)
    d("string_to_table", "text text -> text", lambda text, cut: _to_rows(text, cut), set_returning=True, strict=False)
    d("string_to_table", "text text text -> text", _to_rows, set_returning=True, strict=False)
    d("unistr", "text -> text", unistr)
    d("textlen", "text -> int4", sql="length({0})")


_UNICODE: Final = re.compile(
    r"\\(?:([0-9a-fA-F]{4})|\+([0-9a-fA-F]{6})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(\\)|)", re.ASCII
)


def unistr(text: str) -> str:
    """Escapes of code points, in any of the four forms, as their characters. Raises 42601."""

    def one(match: re.Match[str]) -> str:
        if match[5]:
            return "\\"
        digits = next((part for part in match.groups()[:4] if part), None)
        if digits is None:
            hint = "Unicode escapes must be \\XXXX, \\+XXXXXX, \\uXXXX, or \\UXXXXXXXX."
            raise SqlError("invalid Unicode escape", sqlstate="42601", hint=hint)
        code = int(digits, 16)
        if not 0 < code <= 0x10FFFF:
            raise SqlError(f"invalid Unicode code point: {code:04X}", sqlstate="22023")
        if 0xDC00 <= code < 0xE000 or 0xD800 <= code < 0xDC00:
            raise SqlError("invalid Unicode surrogate pair", sqlstate="42601")
        return chr(code)

    return _UNICODE.sub(one, text)


def _substring3(text: str, start: int, length: int) -> str:
    return substring(text, start, length)


def _substring_bytes3(data: bytes, start: int, length: int) -> bytes:
    return substring_bytes(data, start, length)


def _overlay4(text: str, new: str, start: int, length: int) -> str:
    return overlay(text, new, start, length)


def _quote_any(oid: int, value: Any) -> str:
    return quote_literal(("true" if value else "false") if oid == BOOL else text_of(oid, value))


def _quote_any_nullable(oid: int, value: Any) -> str:
    return "NULL" if value is None else _quote_any(oid, value)
