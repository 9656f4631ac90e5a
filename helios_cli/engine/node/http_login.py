"""Who asks over HTTP: a role's password (Basic), a token (Bearer), or nobody where nobody has to prove who they are.

Passwords and tokens are taken over TLS or from this machine alone, so that nobody on the way reads them.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import ipaddress
from typing import Final

from helios_cli.engine.config.hba import is_loopback
from helios_cli.engine.errors import HeliosError
from helios_cli.engine.net.http_message import Request
from helios_cli.engine.node.authentication import Authentication
from helios_cli.engine.node.engine import Engine
from helios_cli.engine.storage import api_tokens
from helios_cli.engine.wire import scram

ANYBODY: Final = "helios"
"""The role of a request without credentials."""

TOKEN: Final = "a token"
"""As whom wrong tokens are counted among failed logins."""


class NoCredentials(HeliosError):
    """The request names nobody, or gives a wrong password or token."""

    sqlstate = "28P01"


class NotAllowed(HeliosError):
    """Who or where the request comes from is reason enough to refuse it."""

    sqlstate = "28000"


async def login(engine: Engine, request: Request, database: str) -> tuple[str, bool]:
    """The role that a request for a database runs as, and whether that was proved.

    Raises:
        NoCredentials, NotAllowed: nobody that may log in.
    """
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    given = given.strip()
    if not given:
        return _anybody(engine, request, database)
    if request.tls is None and not is_loopback(request.peer[0]):
        raise NotAllowed(
            "credentials are not taken in the clear from another machine",
            hint="Set tls_cert and tls_key at the node, and use https. Whoever was on the way may know them now.",
        )
    if scheme.lower() == "basic":
        return await _by_password(engine, request, given, database)
    if scheme.lower() == "bearer":
        return await _by_token(engine, request, given, database)
    raise NoCredentials("the Authorization header is neither Basic nor Bearer")


def _proof(engine: Engine, request: Request, user: str, database: str) -> Authentication:
    return Authentication(engine, user=user, database=database, address=request.peer[0], tls=request.tls)


def _anybody(engine: Engine, request: Request, database: str) -> tuple[str, bool]:
    proof = _proof(engine, request, ANYBODY, database)
    if proof.begin() is not None:
        raise NoCredentials(
            "no password or token supplied",
            hint="Send a role's name and password with HTTP Basic, or a token of helios_token_create() as Bearer.",
        )
    if not is_loopback(request.peer[0]) and not engine.settings.allow_insecure_network and not proof.proved:
        raise NotAllowed("requests without credentials are taken from this machine alone")
    if not _names_this_machine(request.headers.get("host", "")):
        # A page from elsewhere whose name leads here must not speak for the user who looks at it (DNS rebinding).
        raise NotAllowed(
            "requests without credentials must ask for localhost or an address",
            hint="Use http://localhost or http://127.0.0.1, or give the roles passwords.",
        )
    return ANYBODY, proof.proved


async def _by_password(engine: Engine, request: Request, given: str, database: str) -> tuple[str, bool]:
    try:
        user, colon, password = base64.b64decode(given, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise NoCredentials("the Basic credentials cannot be read") from None
    if not colon or not user or "\0" in user or "\0" in password:
        raise NoCredentials("the Basic credentials cannot be read")
    proof = _proof(engine, request, user, database)
    if proof.begin() is None:
        return user, proof.proved
    verifier, made_up = engine.roles.verifier(user)
    # Thousands of rounds of hashing: not on the event loop. They are done for unknown roles too.
    right = await asyncio.get_running_loop().run_in_executor(None, scram.verify_password, verifier, password)
    if not right or made_up:
        proof.failed()
        await asyncio.sleep(proof.delay_s)
        raise NoCredentials(f'password authentication failed for user "{user}"')
    engine.login_limits.succeeded(user, request.peer[0])
    return user, True


async def _by_token(engine: Engine, request: Request, given: str, database: str) -> tuple[str, bool]:
    connection = engine.database.borrow()
    try:
        role = api_tokens.role_of(connection, given, engine.now_us())
    finally:
        engine.database.give_back(connection)
    proof = _proof(engine, request, role or TOKEN, database)
    if role is None:
        proof.failed()
        await asyncio.sleep(proof.delay_s)
        raise NoCredentials("the token is unknown, revoked or expired", hint="helios_tokens lists those that are not.")
    # The rules say who may come from where; the token stands for the password that they ask for.
    proof.begin()
    return role, True


def _names_this_machine(host: str) -> bool:
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
