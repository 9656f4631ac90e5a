"""Encodings that clients may speak, with PostgreSQL's names and numbers (pg_wchar.h, encnames.c); here all is UTF-8."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from typing import Final

from helios_cli.engine.errors import SqlError

_TABLE: Final = """
1 EUC_JP euc_jp; 2 EUC_CN gb2312; 3 EUC_KR euc_kr; 5 EUC_JIS_2004 euc_jis_2004; 8 LATIN1 latin_1 iso88591;
9 LATIN2 iso8859_2 iso88592; 10 LATIN3 iso8859_3 iso88593; 11 LATIN4 iso8859_4 iso88594; 12 LATIN5 iso8859_9 iso88599;
13 LATIN6 iso8859_10 iso885910; 14 LATIN7 iso8859_13 iso885913; 15 LATIN8 iso8859_14 iso885914;
16 LATIN9 iso8859_15 iso885915; 17 LATIN10 iso8859_16 iso885916; 18 WIN1256 cp1256 windows1256;
19 WIN1258 cp1258 windows1258 abc tcvn tcvn5712 vscii; 20 WIN866 cp866 alt windows866; 21 WIN874 cp874 windows874;
22 KOI8R koi8_r koi8; 23 WIN1251 cp1251 win windows1251; 24 WIN1252 cp1252 windows1252; 25 ISO_8859_5 iso8859_5;
26 ISO_8859_6 iso8859_6; 27 ISO_8859_7 iso8859_7; 28 ISO_8859_8 iso8859_8; 29 WIN1250 cp1250 windows1250;
30 WIN1253 cp1253 windows1253; 31 WIN1254 cp1254 windows1254; 32 WIN1255 cp1255 windows1255;
33 WIN1257 cp1257 windows1257; 34 KOI8U koi8_u; 35 SJIS cp932 mskanji shiftjis win932 windows932;
36 BIG5 cp950 win950 windows950; 37 GBK gbk win936 windows936; 38 UHC cp949 win949 windows949; 39 GB18030 gb18030;
40 JOHAB johab; 41 SHIFT_JIS_2004 shift_jis_2004
"""
"""PostgreSQL's number and name, Python's codec, other names."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """One that text is converted from and to."""

    number: int
    name: str
    codec: str

    def to_utf8(self, data: bytes) -> bytes:
        """A client's text in UTF-8.

        Raises:
            SqlError: 22021 malformed, 22P05 a character that Unicode has not.
        """
        if data.isascii():
            return data
        try:
            return data.decode(self.codec).encode()
        except UnicodeDecodeError as error:
            shown = _shown(data[error.start : error.end])
            if len(data[error.start : error.end]) == 1 and self.codec.startswith(("iso8859", "cp125", "cp874", "koi8")):
                raise _untranslatable(shown, self.name, "UTF8") from None
            message = f'invalid byte sequence for encoding "{self.name}": {shown}'
            raise SqlError(message, sqlstate="22021") from None

    def from_utf8(self, data: bytes) -> bytes:
        """Our text for the client. Raises SqlError 22P05 for a character that it cannot be told of."""
        if data.isascii():
            return data
        text = data.decode("utf-8", "replace")
        try:
            return text.encode(self.codec)
        except UnicodeEncodeError as error:
            raise _untranslatable(_shown(text[error.start].encode()), "UTF8", self.name) from None

    def readable(self, data: bytes) -> bytes:
        """As :meth:`from_utf8` for what has to be told in any case: a question mark for a character that cannot."""
        return data if data.isascii() else data.decode("utf-8", "replace").encode(self.codec, "replace")

    def decoder(self) -> codecs.IncrementalDecoder:
        """For data that comes in pieces."""
        return codecs.getincrementaldecoder(self.codec)()


def _shown(data: bytes) -> str:
    return " ".join(f"0x{byte:02x}" for byte in data)


def _untranslatable(shown: str, source: str, target: str) -> SqlError:
    message = f'character with byte sequence {shown} in encoding "{source}" has no equivalent in encoding "{target}"'
    return SqlError(message, sqlstate="22P05")


def folded(name: str) -> str:
    """A name as it is looked up: PostgreSQL takes its letters and digits alone."""
    return "".join(letter for letter in name.lower() if letter.isalnum())


def _read() -> dict[str, Encoding]:
    found = {}
    for entry in _TABLE.split(";"):
        number, name, codec, *others = entry.split()
        made = Encoding(int(number), name, codec)
        found.update(dict.fromkeys((folded(name), *others), made))
    return found


BY_NAME: Final = _read()
"""By every name, folded."""
NAMES: Final = {0: "SQL_ASCII", 6: "UTF8"} | {encoding.number: encoding.name for encoding in BY_NAME.values()}
"""PostgreSQL's names by its numbers."""


def encoding_name(name: str) -> str | None:
    """The proper name of an encoding; None: it is not known."""
    key = folded(name)
    if key in ("utf8", "unicode"):
        return "UTF8"
    if key == "sqlascii":
        return "SQL_ASCII"
    return BY_NAME[key].name if key in BY_NAME else None
