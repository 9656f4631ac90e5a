"""Tokens for the HTTP API: rows of ``helios_token``, with a hash of the secret and never the secret.

They are in the replicated database, so a token holds at every node, and its revocation too.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from typing import Any, Final

import apsw

from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql.ddl_schema import TOKEN_TABLE

PREFIX: Final = "hdb"
"""What a token begins with, so that one that was leaked is recognized."""

LIFE_MAX_S: Final = 10 * 365 * 86400
PG_EPOCH_S: Final = 946_684_800

_CREATE: Final = "INSERT INTO main.helios_token(id, name, role, hash, created_us, expires_us) VALUES (?, ?, ?, ?, ?, ?)"
_FIND: Final = (
    "SELECT t.hash, t.role, t.expires_us FROM main.helios_token t JOIN main.helios_role r ON r.rolname = t.role "
    "WHERE t.id = ? AND r.rolcanlogin"
)
_REVOKE: Final = "DELETE FROM main.helios_token WHERE name = ? RETURNING id"
_LIST: Final = "SELECT name, role, created_us, expires_us FROM main.helios_token ORDER BY name"


def _hash(secret: str) -> bytes:
    """The secret has 256 bits of its own, so a plain hash cannot be searched for."""
    return hashlib.sha256(secret.encode()).digest()


def create(connection: apsw.Connection, name: str, role: str, seconds: float | None, now_us: int) -> str:
    """Make a token for a role, in the open transaction; what is returned is kept nowhere.

    Raises:
        SqlError: 42704 no such role, 42710 the name is taken, 22023 a lifetime out of range.
    """
    if not name or len(name) > 63:
        raise SqlError("the name of a token has 1 to 63 characters", sqlstate="22023")
    if seconds is not None and not 0 < seconds <= LIFE_MAX_S:
        raise SqlError("the lifetime of a token is positive, and at most ten years", sqlstate="22023")
    if not connection.execute("SELECT 1 FROM main.helios_role WHERE rolname = ?", (role,)).fetchall():
        raise SqlError(f'role "{role}" does not exist', sqlstate="42704")
    if connection.execute("SELECT 1 FROM main.helios_token WHERE name = ?", (name,)).fetchall():
        raise SqlError(f'token "{name}" already exists', sqlstate="42710", hint="Revoke it, or choose another name.")
    token_id, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
    expires = None if seconds is None else now_us + int(seconds * 1_000_000)
    connection.execute(_CREATE, (token_id, name, role, _hash(secret), now_us, expires))
    return f"{PREFIX}_{token_id}_{secret}"


def revoke(connection: apsw.Connection, name: str) -> bool:
    """Whether there was a token of that name; it is no more."""
    return bool(connection.execute(_REVOKE, (name,)).fetchall())


def role_of(connection: apsw.Connection, token: str, now_us: int) -> str | None:
    """The role that a token stands for; None: it is none, or revoked, or expired, or its role may not log in."""
    prefix, _, rest = token.partition("_")
    token_id, _, secret = rest.partition("_")
    try:
        rows: list[Any] = connection.execute(_FIND, (token_id,)).fetchall()
    except apsw.SQLError:
        return None
    known, role, expires = rows[0] if rows else (bytes(32), None, None)
    right = hmac.compare_digest(_hash(secret), known)
    if prefix != PREFIX or not right or role is None or (expires is not None and expires <= now_us):
        return None
    return str(role)


def listed(connection: apsw.Connection) -> list[dict[str, Any]]:
    """The rows of ``helios_tokens``: never a hash."""
    try:
        rows = connection.execute(_LIST).fetchall()
    except apsw.SQLError:
        return []
    names = ("name", "role_name", "created_at", "expires_at")
    return [dict(zip(names, row, strict=True)) for row in rows]


def missing_tables(connection: apsw.Connection) -> tuple[str, ...]:
    """What makes the table in a database that was born without it; empty when it is there."""
    found = connection.execute("SELECT 1 FROM main.sqlite_schema WHERE name = 'helios_token'").fetchall()
    return () if found else (TOKEN_TABLE,)


def register(connection: apsw.Connection) -> None:
    """Make ``node_token_create`` and ``node_token_revoke`` callable on a connection."""

    def make(name: str | None, role: str | None, seconds: float | None, user: str) -> str | None:
        if name is None:
            return None
        wanted = role or user
        if wanted != user:
            _check_superuser(connection, user)
        now_us = time.time_ns() // 1000 - PG_EPOCH_S * 1_000_000
        return create(connection, name, wanted, seconds, now_us)

    def drop(name: str | None, user: str) -> int | None:
        if name is None:
            return None
        owners = connection.execute("SELECT role FROM main.helios_token WHERE name = ?", (name,)).fetchall()
        if owners and owners[0][0] != user:
            _check_superuser(connection, user)
        return int(revoke(connection, name))

    functions: dict[str, tuple[Callable[..., Any], int]] = {
        "node_token_create": (make, 4), "node_token_revoke": (drop, 2)
    }  # fmt: skip
    for function, (call, count) in functions.items():
        connection.create_scalar_function(function, call, count)


def _check_superuser(connection: apsw.Connection, user: str) -> None:
    rows = connection.execute("SELECT rolsuper FROM main.helios_role WHERE rolname = ?", (user,)).fetchall()
    if rows and not rows[0][0]:
        raise SqlError("must be superuser to manage the tokens of other roles", sqlstate="42501")
