"""SASLprep (RFC 4013) of passwords, with PostgreSQL's fallback to the raw bytes."""

from __future__ import annotations

import stringprep
import unicodedata
from typing import Final

_PROHIBITED: Final = (
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
    stringprep.in_table_a1,
)


def prepare_password(password: str | bytes) -> bytes:
    """The bytes that go into the key derivation.

    A password that is not UTF-8, or that SASLprep prohibits or empties, is used as it is, and ASCII is never looked
    at, as PostgreSQL does.
    """
    raw = password.encode("utf-8", "surrogateescape") if isinstance(password, str) else password
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return raw
    if text.isascii():
        return raw
    prepared = saslprep(text)
    return raw if prepared is None else prepared.encode()


def saslprep(text: str) -> str | None:
    """The prepared text; None when the profile prohibits it."""
    mapped = "".join(
        " " if stringprep.in_table_c12(char) else char for char in text if not stringprep.in_table_b1(char)
    )
    if not mapped:
        return None
    normal = unicodedata.normalize("NFKC", mapped)
    if not normal or any(check(char) for char in normal for check in _PROHIBITED):
        return None
    return normal if _bidi_allowed(normal) else None


def _bidi_allowed(text: str) -> bool:
    """RFC 3454 section 6: right-to-left text begins and ends right-to-left and holds nothing left-to-right."""
    if not any(stringprep.in_table_d1(char) for char in text):
        return True
    if any(stringprep.in_table_d2(char) for char in text):
        return False
    return stringprep.in_table_d1(text[0]) and stringprep.in_table_d1(text[-1])
