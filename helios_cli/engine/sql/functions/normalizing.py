"""Unicode normal forms, encodings, and the parts of a qualified identifier."""

from __future__ import annotations

import unicodedata
from typing import Final, Literal

from helios_cli.engine.datatypes.arrays import PgArray, write_array
from helios_cli.engine.datatypes.encodings import NAMES, encoding_name
from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql.functions.define import Library

_Form = Literal["NFC", "NFD", "NFKC", "NFKD"]
_FORMS: Final[dict[str, _Form]] = {"NFC": "NFC", "NFD": "NFD", "NFKC": "NFKC", "NFKD": "NFKD"}
_CODECS: Final = {
    "UTF8": "utf-8", "SQLASCII": "utf-8", "LATIN1": "latin-1", "ISO88591": "latin-1", "WIN1250": "cp1250",
    "WIN1251": "cp1251", "WIN1252": "cp1252", "WIN1253": "cp1253", "WIN1254": "cp1254", "WIN1257": "cp1257",
    "KOI8R": "koi8-r", "KOI8U": "koi8-u", "EUCJP": "euc_jp", "EUCKR": "euc_kr", "EUCCN": "gb2312", "SJIS": "shift_jis",
    "BIG5": "big5", "GBK": "gbk", "GB18030": "gb18030", "UHC": "cp949",
    "ISO88595": "iso8859-5", "ISO88597": "iso8859-7",
    "LATIN2": "iso8859-2", "LATIN3": "iso8859-3", "LATIN4": "iso8859-4", "LATIN5": "iso8859-9", "LATIN9": "iso8859-15",
    "UNICODE": "utf-8",
}  # fmt: skip
"""PostgreSQL's names of encodings, without their signs -> Python's codecs."""


def _form(name: str) -> _Form:
    found = _FORMS.get(name.upper())
    if found is None:
        raise SqlError(f"invalid normalization form: {name}", sqlstate="22023")
    return found


def normalize(text: str, form: str = "NFC") -> str:
    """normalize(text, form)."""
    return unicodedata.normalize(_form(form), text)


def is_normalized(text: str, form: str = "NFC") -> int:
    """``text IS form NORMALIZED``."""
    return int(unicodedata.is_normalized(_form(form), text))


def _codec(name: str) -> str | None:
    return _CODECS.get("".join(letter for letter in name.upper() if letter.isalnum()))


def convert_from(data: bytes, encoding: str) -> str:
    """The text that bytes spell in an encoding. Raises 22023 for an unknown one, 22021 for bytes it has not."""
    codec = _codec(encoding)
    if codec is None:
        raise SqlError(f'invalid source encoding name "{encoding}"', sqlstate="22023")
    name = "UTF8" if codec == "utf-8" else encoding.upper()
    if b"\0" in data:
        raise SqlError(f'invalid byte sequence for encoding "{name}": 0x00', sqlstate="22021")
    try:
        return data.decode(codec)
    except UnicodeDecodeError as error:
        shown = " ".join(f"0x{byte:02x}" for byte in data[error.start : error.end])
        raise SqlError(f'invalid byte sequence for encoding "{name}": {shown}', sqlstate="22021") from None


def convert_to(text: str, encoding: str) -> bytes:
    """The bytes of a text in an encoding. Raises 22023 for an unknown one, 22P05 for a character it has not."""
    codec = _codec(encoding)
    if codec is None:
        raise SqlError(f'invalid destination encoding name "{encoding}"', sqlstate="22023")
    try:
        return text.encode(codec)
    except UnicodeEncodeError as error:
        shown = " ".join(f"0x{byte:02x}" for byte in text[error.start].encode())
        message = f'character with byte sequence {shown} in encoding "UTF8" has no equivalent in encoding'
        raise SqlError(f'{message} "{encoding.upper()}"', sqlstate="22P05") from None


_ENCODINGS: Final = 42
"""So many encodings PostgreSQL has (pg_wchar.h), those of clients alone included."""


def to_ascii(text: str, encoding: str | int = "UTF8") -> str:
    """to_ascii(text), which knows no UTF-8. Raises 42704 for an unknown encoding, 0A000."""
    if isinstance(encoding, int):
        if not 0 <= encoding < _ENCODINGS:
            raise SqlError(f"{encoding} is not a valid encoding code", sqlstate="42704")
        encoding = NAMES.get(encoding, str(encoding))
    elif encoding_name(encoding) is None:
        raise SqlError(f"{encoding} is not a valid encoding name", sqlstate="42704")
    raise SqlError(f"encoding conversion from {encoding} to ASCII not supported", sqlstate="0A000")


def parse_ident(text: str, strict: int = 1) -> str:
    """The parts of a qualified identifier, folded to lower case where they are not quoted. Raises 22023."""
    parts: list[str | None] = []
    rest = text.strip()
    while True:
        part, rest = _part(text, rest, after_dot=bool(parts))
        parts.append(part)
        rest = rest.lstrip()
        if not rest.startswith("."):
            break
        rest = rest[1:].lstrip()
    if rest and strict:
        raise _invalid(text)
    return write_array(PgArray(parts, (len(parts),), (1,)), str)


def _part(text: str, rest: str, *, after_dot: bool) -> tuple[str, str]:
    """(a part, what is behind it)."""
    if rest.startswith('"'):
        at, found = 1, ""
        while True:
            end = rest.find('"', at)
            if end < 0:
                raise _invalid(text, "String has unclosed double quotes.")
            found += rest[at:end]
            if rest[end + 1 : end + 2] != '"':
                break
            found, at = found + '"', end + 2
        if not found:
            raise _invalid(text, "Quoted identifier must not be empty.")
        return found, rest[end + 1 :]
    length = 0
    while length < len(rest) and _in_word(rest[length], first=not length):
        length += 1
    if not length:
        where = "after" if after_dot else "before"
        detail = f'No valid identifier {where} ".".' if after_dot or rest.startswith(".") else None
        raise _invalid(text, detail)
    return rest[:length].lower(), rest[length:]


def _in_word(letter: str, *, first: bool) -> bool:
    return letter == "_" or letter >= "\x80" or (letter.isalpha() if first else letter.isalnum() or letter == "$")


def _invalid(text: str, detail: str | None = None) -> SqlError:
    return SqlError(f'string is not a valid identifier: "{text}"', sqlstate="22023", detail=detail)


def install(lib: Library) -> None:
    """Declare them."""
    d = lib.define
    d("normalize", "text -> text", lambda text: normalize(text))
    d("normalize", "text text -> text", normalize)
    d("is_normalized", "text -> bool", lambda text: is_normalized(text))
    d("is_normalized", "text text -> bool", is_normalized)
    d("convert_from", "bytea name -> text", convert_from)
    d("convert_to", "text name -> bytea", convert_to)
    d("convert", "bytea name name -> bytea", lambda data, one, other: convert_to(convert_from(data, one), other))
    d("length", "bytea name -> int4", lambda data, encoding: len(convert_from(data, encoding)))
    d("to_ascii", "text -> text", lambda text: to_ascii(text))
    d("to_ascii", "text name -> text", to_ascii)
    d("to_ascii", "text int4 -> text", to_ascii)
    d("parse_ident", "text -> text[]", lambda text: parse_ident(text))
    d("parse_ident", "text bool -> text[]", parse_ident)
