"""Who may log in at the proxy, and with what it logs in at the nodes in their name.

Users stand in ``[[users]]``, or they are the nodes' own roles, whose verifiers ``auth_user`` reads. Without either
everybody is trusted, which the configuration allows on loopback alone.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from helios_cli.engine.config.proxy import ProxySettings, UserSettings
from helios_cli.engine.errors import HeliosError
from helios_cli.engine.wire import scram

log = logging.getLogger(__name__)

Ask = Callable[[str, Sequence[str]], Awaitable[Sequence[Sequence[str | None]]]]
"""Runs a query with text parameters at a node, as ``auth_user``: the rows as text. Raises HeliosError, OSError."""

ROLE_QUERY: Final = (
    "SELECT rolpassword FROM pg_catalog.pg_authid WHERE rolname = $1 AND rolcanlogin"
    " AND (rolvaliduntil IS NULL OR rolvaliduntil > pg_catalog.now())"
)
"""Names are qualified, or somebody's search_path could answer it; an expired password is none."""
FRESH_S: Final = 10.0
"""How long an answer is used without asking again."""
AGAIN_S: Final = 1.0
"""An answer as young as this is not asked for anew after a failed login, however many fail."""
STALE_S: Final = 600.0
"""How long an answer is used while no node can be asked, so that clients log in during a failover."""
ENTRIES_MAX: Final = 4096
"""Users whose answers are kept; the one asked for longest ago gives way."""

NAME_MAX: Final = 63
"""Bytes of a role's name (NAMEDATALEN - 1); a longer one is nobody's."""
ASKED_AT_ONCE: Final = 16
"""Questions under way at a time; a flood of logins with made-up names waits in line."""


@dataclass(frozen=True, slots=True)
class Known:
    """One user, as far as its login is concerned."""

    verifier: scram.Verifier | None
    """What its proof is checked with; None: it is trusted without a password."""
    password: str | None = None
    """For logging in at the nodes; None: with the keys from the client's own proof, see :func:`credential`."""
    doomed: bool = False
    """There is no such user: the dialogue goes to its end with a made-up verifier, and then fails."""


def credential(known: Known, client_key: bytes | None) -> str | scram.ClientKeys | None:
    """What the proxy logs in with at the nodes for a user who has proved itself; None where it was trusted.

    ``client_key`` is :attr:`ScramServer.client_key` after its last message.
    """
    if known.password is not None or known.verifier is None:
        return known.password
    assert client_key is not None
    return scram.ClientKeys(client_key, known.verifier.server_key)


@lru_cache(ENTRIES_MAX)
def _built(password: str, salt: bytes) -> scram.Verifier:
    """Kept, so that a reload with a thousand users does not stop the loop for a second."""
    return scram.build_verifier(password, salt)


class Users:
    """All that may log in."""

    def __init__(
        self,
        listed: Sequence[UserSettings],
        *,
        secret: bytes,
        clock: Callable[[], float],
        ask: Ask | None = None,
        trusting: bool = False,
    ) -> None:
        """``ask`` runs queries as ``auth_user``, None where there is none; ``clock`` counts seconds.

        ``trusting`` has nobody prove anything; the listed passwords then only serve at the nodes.

        ``secret`` is the same in all workers and after a restart: out of it come the salts of users who are listed
        with a password and of users who do not exist, so that nobody can tell one from the other. Costs a
        millisecond for each listed password.
        """
        self._secret = secret
        self._clock = clock
        self._ask = ask
        self.trusting = trusting or (not listed and ask is None)
        """Nobody has to prove anything."""
        self._listed = {user.name: self._of(user) for user in listed}
        self._asked: OrderedDict[str, tuple[float, Known]] = OrderedDict()
        self._running: dict[str, asyncio.Task[Known]] = {}
        self._line = asyncio.Semaphore(ASKED_AT_ONCE)

    @classmethod
    def of(cls, settings: ProxySettings, clock: Callable[[], float], ask: Ask) -> Users:
        """Those of the settings; ``ask`` is used where they say that the nodes' roles may log in."""
        reads_roles = bool(settings.auth_user) and bool(settings.auth_password or not settings.users)
        trusting = settings.auth == "trust"
        listed = list(settings.users)
        if reads_roles and settings.auth_password and all(user.name != settings.auth_user for user in listed):
            # Known here already, so that the console can be reached while no node is.
            listed.append(UserSettings(settings.auth_user, settings.auth_password))
        # The same in all workers and after a restart, and nobody else's.
        secret = hashlib.sha256(b"heliosdb-proxy users 1:" + settings.admin_token.encode()).digest()
        return cls(
            listed,
            secret=secret if settings.admin_token else os.urandom(32),
            clock=clock,
            ask=ask if reads_roles and not trusting else None,
            trusting=trusting,
        )

    def _of(self, user: UserSettings) -> Known:
        if self.trusting:
            return Known(None, user.password or None)
        if user.verifier:
            return Known(scram.Verifier.parse(user.verifier))
        salt = scram.fake_verifier(user.name, self._secret).salt
        return Known(_built(user.password, salt), user.password)

    async def find(self, user: str) -> Known:
        """What to check the proof of ``user`` with, whether it exists or not.

        Raises:
            HeliosError: 57P03, no node could be asked.
        """
        if self.trusting:
            return self.trusted(user)
        listed = self._listed.get(user)
        if listed is not None:
            return listed
        if self._ask is None or len(user.encode("utf-8", "surrogateescape")) > NAME_MAX:
            return self._nobody(user)
        kept = self._asked.get(user)
        if kept is not None and self._clock() - kept[0] < FRESH_S:
            return kept[1]
        # Many clients of one user log in at once after a restart: they share one question.
        task = self._running.get(user)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._look_up(user, self._ask))
            self._running[user] = task
            task.add_done_callback(lambda _: self._running.pop(user, None))
        return await asyncio.shield(task)

    def trusted(self, user: str) -> Known:
        """What :meth:`find` gives where everybody is trusted."""
        return self._listed.get(user) or Known(None)

    def failed(self, user: str) -> None:
        """A login has failed: its password may have changed, so that the next one asks anew."""
        kept = self._asked.get(user)
        if kept is not None and self._clock() - kept[0] >= AGAIN_S:
            # It stays usable while no node answers, and is fresh no longer.
            self._asked[user] = (min(kept[0], self._clock() - FRESH_S), kept[1])

    def _nobody(self, user: str) -> Known:
        return Known(scram.fake_verifier(user, self._secret), doomed=True)

    async def _look_up(self, user: str, ask: Ask) -> Known:
        try:
            async with self._line:
                rows = await ask(ROLE_QUERY, (user,))
        except (HeliosError, OSError) as error:
            kept = self._asked.get(user)
            if kept is not None and self._clock() - kept[0] < STALE_S:
                return kept[1]
            log.warning("cannot ask a node for the password of a user: %s", error)
            failure = HeliosError(
                "no node could be asked whether the user may log in",
                sqlstate="57P03",
                hint="Look whether a node is up, and at auth_user in proxy.toml.",
            )
            failure.retryable = True
            raise failure from error
        known = self._read(user, rows[0][0] if rows else None)
        self._asked[user] = (self._clock(), known)
        self._asked.move_to_end(user)
        if len(self._asked) > ENTRIES_MAX:
            self._asked.popitem(last=False)
        return known

    def _read(self, user: str, text: str | None) -> Known:
        if not text:
            return self._nobody(user)
        try:
            return Known(scram.Verifier.parse(text))
        except HeliosError:
            log.warning(
                "%r cannot log in through the proxy: its password is stored as MD5, or may not be read by auth_user; "
                "store it with password_encryption = 'scram-sha-256', and let auth_user be a superuser",
                user,
            )
            return self._nobody(user)
