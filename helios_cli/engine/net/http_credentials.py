"""What a request over HTTP shows of who sends it; whether that is true is for nodes and proxies to find out.

Passwords and tokens are taken over TLS or from this machine alone, so that nobody on the way reads them.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
from typing import Final

from helios_cli.engine.config.hba import is_loopback
from helios_cli.engine.errors import HeliosError
from helios_cli.engine.net.http_message import Request

HINT: Final = "Set the certificate of the HTTP address, and use https. Whoever was on the way may know them now."


class NoCredentials(HeliosError):
    """The request names nobody, or gives a wrong password or token."""

    sqlstate = "28P01"


class NotAllowed(HeliosError):
    """Who or where the request comes from is reason enough to refuse it."""

    sqlstate = "28000"


def shown(request: Request, hint: str = HINT) -> tuple[str, str]:
    """Scheme, in lower case, and credentials of a request; both are empty where it has none.

    Raises:
        NotAllowed: they came in the clear from another machine.
    """
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    given = given.strip()
    if not given:
        return "", ""
    if request.tls is None and not is_loopback(request.peer[0]):
        raise NotAllowed("credentials are not taken in the clear from another machine", hint=hint)
    return scheme.lower(), given


def name_and_password(given: str) -> tuple[str, str]:
    """What HTTP Basic carries. Raises NoCredentials: it cannot be read."""
    try:
        user, colon, password = base64.b64decode(given, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise NoCredentials("the Basic credentials cannot be read") from None
    if not colon or not user or "\0" in user or "\0" in password:
        raise NoCredentials("the Basic credentials cannot be read")
    return user, password


def check_trusted(request: Request, *, everywhere: bool) -> None:
    """Let a request without credentials through: from this machine, or from ``everywhere``, asking for an address.

    Raises:
        NotAllowed: else.
    """
    if not is_loopback(request.peer[0]) and not everywhere:
        raise NotAllowed("requests without credentials are taken from this machine alone")
    if not names_this_machine(request.headers.get("host", "")):
        # A page from elsewhere whose name leads here must not speak for the user who looks at it (DNS rebinding).
        raise NotAllowed(
            "requests without credentials must ask for localhost or an address",
            hint="Use http://localhost or http://127.0.0.1, or give the roles passwords.",
        )


def names_this_machine(host: str) -> bool:
    """Whether a Host header is localhost or an address; with or without a port."""
    name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
    name = name.strip("[]")
    if name.lower() == "localhost":
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
