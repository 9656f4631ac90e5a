"""pgcrypto: digests and keyed digests of texts and bytes (PostgreSQL manual, F.28). What enciphers is 0A000."""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql.functions.define import Library

_ALGORITHMS: Final = ("md5", "sha1", "sha224", "sha256", "sha384", "sha512")
_REFUSED: Final = (
    "crypt text text -> text", "gen_salt text -> text", "gen_salt text int4 -> text",
    "encrypt bytea bytea text -> bytea", "decrypt bytea bytea text -> bytea",
    "encrypt_iv bytea bytea bytea text -> bytea", "decrypt_iv bytea bytea bytea text -> bytea",
    "pgp_sym_encrypt text text -> bytea", "pgp_sym_encrypt text text text -> bytea",
    "pgp_sym_decrypt bytea text -> text", "pgp_sym_decrypt bytea text text -> text",
    "pgp_pub_encrypt text bytea -> bytea", "pgp_pub_decrypt bytea bytea -> text",
    "armor bytea -> text", "dearmor text -> bytea", "pgp_key_id bytea -> text",
)  # fmt: skip


def _algorithm(name: str, what: str) -> str:
    """Raises SqlError 22023."""
    found = name.lower().replace("-", "")
    if found not in _ALGORITHMS:
        raise SqlError(f'Cannot use "{name}": No such {what} algorithm', sqlstate="22023")
    return found


def _octets(data: str | bytes) -> bytes:
    return data.encode() if isinstance(data, str) else bytes(data)


def _digest(data: str | bytes, name: str) -> bytes:
    return hashlib.new(_algorithm(name, "hash"), _octets(data), usedforsecurity=False).digest()


def _hmac(data: str | bytes, key: str | bytes, name: str) -> bytes:
    return hmac.new(_octets(key), _octets(data), _algorithm(name, "hash")).digest()


def install(lib: Library) -> None:
    """Declare them."""
    d = lib.define
    for kind in ("text", "bytea"):
        d("digest", f"{kind} text -> bytea", _digest)
        d("hmac", f"{kind} {kind} text -> bytea", _hmac)
    d("gen_random_bytes", "int4 -> bytea", volatile=True, strict=True, sql=(
        "CASE WHEN {0} BETWEEN 1 AND 1024 THEN randomblob({0}) WHEN {0} IS NOT NULL THEN "
        "pg_raise('22023', 'Length not in range') END"
    ))  # fmt: skip
    for signature in _REFUSED:
        name, _, types = signature.partition(" ")
        d(name, types, sql=f"pg_raise('0A000', 'the function {name}() is not supported')")
