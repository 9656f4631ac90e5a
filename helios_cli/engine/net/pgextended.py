"""The extended protocol for our own command line: statements with parameters, several of them before one answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from helios_cli.engine.errors import HeliosError, ProtocolViolation
from helios_cli.engine.net.pgclient import ConnectionLost, PgClient, Result, Target
from helios_cli.engine.wire import client

PREPARED_MAX = 1000
"""Statements that a connection keeps; more are parsed anew each time."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement and its parameters, in text form."""

    sql: str
    values: tuple[str | None, ...] = ()


class ExtendedClient(PgClient):
    """A connection that speaks both protocols."""

    def __init__(self, target: Target) -> None:
        """Connect and log in. Raises what :class:`PgClient` raises."""
        super().__init__(target)
        self._kept: dict[str, str] = {}
        """The names of statements that the server has."""

    def run(self, statements: Sequence[Statement], *, keeps: bool = False) -> list[Result]:
        """Send all of them before the first answer is read; the results in their order.

        Outside of a transaction block all of them are one transaction. ``keeps``: each is prepared once, by a question
        of its own, and stays.

        Raises:
            HeliosError: the server's error, after the connection is ready again; no statement behind it was run.
            ConnectionLost.
        """
        if not self.ready:
            raise HeliosError("another query is still running on this connection", sqlstate="55000")
        names = [self._prepared(one.sql) if keeps else "" for one in statements]
        messages: list[bytes] = []
        for name, one in zip(names, statements, strict=True):
            values = [None if value is None else value.encode() for value in one.values]
            messages += [] if name else [client.parse(one.sql)]
            messages += [client.bind(values, statement=name), client.describe("P"), client.execute()]
        return self._answers(messages)

    def _prepared(self, sql: str) -> str:
        """The name under which the server has a statement; empty where it has too many."""
        if sql not in self._kept and len(self._kept) < PREPARED_MAX:
            name = f"P_{len(self._kept)}"
            self._answers([client.parse(sql, name)])
            self._kept[sql] = name
        return self._kept.get(sql, "")

    def _answers(self, messages: Sequence[bytes]) -> list[Result]:
        """The results of what is sent, up to the end of its Sync."""
        results: list[Result] = []
        current = Result()
        error: HeliosError | None = None
        self._in_use = True
        try:
            self._send(b"".join([*messages, client.SYNC]))
            while True:
                kind, body = self._read()
                if kind == 0x44:
                    current.rows.append(client.parse_text_row(body))
                elif kind == 0x54:
                    current.columns = client.parse_row_description(body)
                elif kind in (0x43, 0x49):
                    current.tag = client.parse_tag(body) if kind == 0x43 else ""
                    results.append(current)
                    current = Result()
                elif kind == 0x45:
                    error = error or client.parse_error(body)
                elif kind == 0x5A:
                    self.transaction_status = client.parse_ready(body)
                    self._in_use = False
                    break
                elif kind in (0x47, 0x48, 0x57):
                    raise ProtocolViolation("COPY is not possible with the extended protocol here")
                elif kind not in (0x31, 0x32, 0x6E) and not self._aside(kind, body):
                    raise self._unexpected(kind)
        except OSError as exc:
            raise self._lost(error, str(exc)) from exc
        except ConnectionLost as exc:
            raise self._lost(error, exc.message) from exc
        except ProtocolViolation:
            self._sock.close()
            raise
        if error is not None:
            raise error
        return results
