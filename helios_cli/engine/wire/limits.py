"""PostgreSQL's limits on message sizes (libpq/pqcomm.h, libpq/protocol sources), in bytes."""

from __future__ import annotations

from typing import Final

MAX_STARTUP: Final = 10_000
"""MAX_STARTUP_PACKET_LENGTH: a startup packet, without its length word."""
MAX_SASL: Final = 1_024
"""PG_MAX_SASL_MESSAGE_LENGTH."""
MAX_AUTH_TOKEN: Final = 65_535
"""PG_MAX_AUTH_TOKEN_LENGTH: passwords and GSS tokens."""
MAX_SMALL: Final = 10_000
"""PQ_SMALL_MESSAGE_LIMIT: every message that carries no data."""
MAX_LARGE: Final = 0x3FFF_FFFF
"""PQ_LARGE_MESSAGE_LIMIT: Query, Parse, Bind, CopyData and the like (1 GB - 1)."""

PROTOCOL_3: Final = 196_608
"""Version 3.0, the only one spoken."""
CANCEL_REQUEST: Final = 80_877_102
SSL_REQUEST: Final = 80_877_103
GSSENC_REQUEST: Final = 80_877_104

_LARGE_TYPES = b"QPBFd"
_SMALL_TYPES = b"XHSDECcf"

LIMITS: Final[tuple[int, ...]] = tuple(
    MAX_LARGE if code in _LARGE_TYPES else MAX_SMALL if code in _SMALL_TYPES else 0 for code in range(256)
)
"""The greatest length word for each type byte after authentication; 0 for a byte that starts no message."""
