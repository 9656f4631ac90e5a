"""Who asks over HTTP: a role's password (Basic), a token (Bearer), or nobody where nobody has to prove who they are."""

from __future__ import annotations

import asyncio
from typing import Final

from helios_cli.engine.net.http_credentials import NoCredentials, check_trusted, name_and_password, shown
from helios_cli.engine.net.http_message import Request
from helios_cli.engine.node.authentication import Authentication
from helios_cli.engine.node.engine import Engine
from helios_cli.engine.storage import api_tokens
from helios_cli.engine.wire import scram

ANYBODY: Final = "helios"
"""The role of a request without credentials."""

TLS_HINT: Final = "Set tls_cert and tls_key at the node, and use https. Whoever was on the way may know them now."

TOKEN: Final = "a token"
"""As whom wrong tokens are counted among failed logins."""


async def login(engine: Engine, request: Request, database: str) -> tuple[str, bool]:
    """The role that a request for a database runs as, and whether that was proved.

    Raises:
        NoCredentials, NotAllowed: nobody that may log in.
    """
    scheme, given = shown(request, TLS_HINT)
    if not given:
        return _anybody(engine, request, database)
    if scheme == "basic":
        return await _by_password(engine, request, given, database)
    if scheme == "bearer":
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
    check_trusted(request, everywhere=engine.settings.allow_insecure_network or proof.proved)
    return ANYBODY, proof.proved


async def _by_password(engine: Engine, request: Request, given: str, database: str) -> tuple[str, bool]:
    user, password = name_and_password(given)
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
