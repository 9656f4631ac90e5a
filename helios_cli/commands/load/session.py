"""One client of a load: a connection that moves on to the next host when its own cannot serve it."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from helios_cli.engine.errors import HeliosError
from helios_cli.engine.net.pgclient import CannotConnect, Result, Target
from helios_cli.engine.net.pgextended import ExtendedClient, Statement

TABLE_NAME: Final = re.compile(r"[a-z_][a-z0-9_]*(?:\.[a-z_][a-z0-9_]*)?")

DEFINITION: Final = (
    "CREATE TABLE IF NOT EXISTS {table} "
    "(run text, client int, seq bigint, payload text NOT NULL, PRIMARY KEY (run, client, seq))"
)

OUTCOME_UNKNOWN: Final = ("57P01", "57P02", "40003")
"""Beside class 08: a session that is ended while it waits for its commit does not learn of it."""

AT_PRIMARY: Final = "/* helios: primary */"
"""In a query: a proxy sends it to whoever has every acknowledged write."""

ELSEWHERE: Final = ("25006", "57P03", "53300")
"""Answers of a node that cannot serve this client, while another perhaps can."""


def targets(hosts: str | None, base: Target) -> list[Target]:
    """Where to connect, from ``a:5432,b:5442``; ``base`` has all that is not said.

    Raises:
        HeliosError: a part is not HOST or HOST:PORT (F0000).
    """
    found = []
    for part in (hosts or "").split(",") if hosts else [base.host]:
        match = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^:\[\]]+)(?::(\d{1,5}))?", part.strip())
        if match is None or not 0 < int(match[2] or base.port) < 65536:
            raise HeliosError(f"--host takes HOST:PORT,HOST:PORT,..., not {part!r}", sqlstate="F0000")
        found.append(replace(base, host=match[1].strip("[]"), port=int(match[2] or base.port)))
    return found


def is_unknown(error: HeliosError) -> bool:
    """Whether a statement that ended in this error may have been executed all the same."""
    if isinstance(error, CannotConnect):
        return False
    return error.sqlstate.startswith("08") or error.sqlstate in OUTCOME_UNKNOWN


class Session:
    """A connection to one of several hosts, made when it is needed."""

    def __init__(
        self, hosts: Sequence[Target], *, primary_only: bool, first: int = 0, reconnects: bool = False
    ) -> None:
        """``primary_only`` passes over hosts that say that they are standbys; ``first`` is where to begin.
        ``reconnects``: each statement has a connection of its own, as ``psql -c`` makes one.
        """
        self._hosts = hosts
        self._primary_only = primary_only
        self._reconnects = reconnects
        self._token: str | None = None
        """The state that a new connection's queries must at least see; None: any."""
        self._writing = False
        self._at = first % len(hosts)
        self._client: ExtendedClient | None = None
        self.connects = 0
        """Connections made so far."""

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction block is open."""
        return self._client is not None and self._client.transaction_status != "I"

    def execute(self, sql: str) -> Result:
        """Run one statement on the connection that is there, or on a new one.

        Raises:
            CannotConnect: no host takes us; nothing was sent. HeliosError: see :func:`is_unknown`.
        """
        return self.execute_all(sql)[0]

    def execute_all(self, sql: str) -> list[Result]:
        """The same of several statements in one query. Raises what :meth:`execute` raises."""
        return self._asked(lambda client: client.execute(sql))

    def run(self, statements: Sequence[Statement], *, keeps: bool) -> list[Result]:
        """The same by the extended protocol, all before the first answer; ``keeps`` prepares each of them once."""
        return self._asked(lambda client: client.run(statements, keeps=keeps))

    def _asked(self, ask: Callable[[ExtendedClient], list[Result]]) -> list[Result]:
        client = self._client or self._connect()
        try:
            return ask(client)
        except HeliosError as error:
            if error.sqlstate.startswith(("08", "57P")) or error.sqlstate in ELSEWHERE:
                self.close()
                self._at = (self._at + 1) % len(self._hosts)
            raise
        finally:
            if self._reconnects and not self._writing:
                self.close()

    def write(self, sql: str) -> None:
        """Run a statement that writes; connections that are made later read what it has written.

        Raises:
            CannotConnect, HeliosError: as :meth:`execute`.
        """
        self._writing = True
        try:
            self.execute(sql)
            if self._reconnects:
                with contextlib.suppress(HeliosError):  # a plain PostgreSQL has no token
                    self._token = self.execute("SHOW helios.lsn").rows[0][0]
        finally:
            self._writing = False
            if self._reconnects:
                self.close()

    def roll_back(self) -> None:
        """Out of the transaction in hand, if there is one; a connection that does not take that is ended."""
        client = self._client
        if client is None or (client.ready and client.transaction_status == "I"):
            return
        try:
            client.execute("ROLLBACK")
        except HeliosError:
            self.close()

    def close(self) -> None:
        """End the connection; the next statement makes another."""
        if self._client is not None:
            client, self._client = self._client, None
            with contextlib.suppress(HeliosError, OSError):
                client.close()

    def _connect(self) -> ExtendedClient:
        """A connection to the first host, from the one at hand, that takes us."""
        problem: HeliosError | None = None
        for _ in self._hosts:
            target = self._hosts[self._at]
            try:
                client = ExtendedClient(target)
            except HeliosError as error:
                problem = error
            else:
                if not self._primary_only or client.parameters.get("in_hot_standby") != "on":
                    self._client = client
                    self.connects += 1
                    if self._token is not None:
                        client.execute(f"SET helios.min_lsn = '{self._token}'")
                    return client
                client.close()
                problem = problem or CannotConnect(f"{target.host}:{target.port} is a standby")
            self._at = (self._at + 1) % len(self._hosts)
        assert problem is not None
        raise CannotConnect(problem.message, hint=problem.hint, sqlstate=problem.sqlstate)


def prepare(session: Session, table: str) -> None:
    """Make the table unless it is there.

    Raises:
        HeliosError: no host takes us, or it may not be made there.
    """
    try:
        session.execute(f"SELECT 1 FROM {table} LIMIT 0")
    except HeliosError as error:
        if error.sqlstate != "42P01":
            raise
        session.execute(DEFINITION.format(table=table))
