"""The admin tokens: a file in the data directory that only its owner may read, and one that the cluster shares."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
from pathlib import Path
from typing import Final

from helios_cli.engine.errors import ConfigError

TOKEN_FILE: Final = "http.token"
_MIN_LENGTH: Final = 16

_CLUSTER_LABEL: Final = b"heliosdb-nano admin token 1"
"""What the cluster's secret signs; a later way to make the token has another number. What a proof between
nodes signs begins with a length, so that none of them is this token."""


def load_or_create_token(data_dir: Path) -> str:
    """The token of ``data_dir``; see :func:`token_in`."""
    return token_in(data_dir / TOKEN_FILE)


def token_in(path: Path) -> str:
    """The token that a file holds, drawn and stored with mode 0600 when there is none yet.

    A file that others may read is closed to them. Raises ConfigError when the stored token is too short to be
    safe, OSError when the directory cannot be written. Touches the disk: not for the event loop.
    """
    if not path.exists():
        _create(path)
    if path.stat().st_mode & 0o077:
        path.chmod(0o600)
    token = path.read_text(encoding="ascii", errors="replace").strip()
    if len(token) < _MIN_LENGTH:
        raise ConfigError(
            f'token file "{path}" holds fewer than {_MIN_LENGTH} characters',
            hint="Remove the file and restart to have a new token drawn.",
        )
    return token


def cluster_token(secret: bytes) -> str:
    """The token that every node of a cluster takes, made of its secret; empty where that has under 16 characters.

    HMAC-SHA-256 (RFC 2104) of a fixed label, in hexadecimal: it does not give the secret away.
    """
    return hmac.new(secret, _CLUSTER_LABEL, hashlib.sha256).hexdigest() if len(secret) >= _MIN_LENGTH else ""


def _create(path: Path) -> None:
    """Write a complete file aside and link it in, so that neither a crash nor a second starter leaves half a token."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        try:
            os.write(descriptor, secrets.token_urlsafe(32).encode() + b"\n")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        with contextlib.suppress(FileExistsError):
            os.link(aside, path)
    finally:
        os.unlink(aside)
