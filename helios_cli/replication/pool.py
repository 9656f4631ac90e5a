"""Connections to one replica, kept open and lent out."""

from __future__ import annotations

import contextlib
import select
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from helios_cli.engine.errors import HeliosError, TooManyConnections
from helios_cli.engine.net.pgclient import PgClient, Target
from helios_cli.replication.errors import ReplicationError

IDLE_CHECKED_S: Final = 1.0
"""A connection that lay longer than this is tried before it is lent: its server may have gone meanwhile."""


class ConnectionPool:
    """At most ``size`` connections to one server. Any thread may borrow; the newest idle one is lent first."""

    def __init__(self, target: Target, size: int, *, connect: Callable[[Target], PgClient] = PgClient) -> None:
        self.target = target
        self.size = size
        self._connect = connect
        self._changed = threading.Condition()
        self._idle: deque[tuple[PgClient, float]] = deque()
        self._lent = 0
        self._closed = False

    @property
    def in_use(self) -> int:
        """Connections that are lent out now."""
        return self._lent

    @property
    def open(self) -> int:
        """Connections that are open, lent out or not."""
        return self._lent + len(self._idle)

    @contextlib.contextmanager
    def connection(self, timeout_s: float = 5.0) -> Iterator[PgClient]:
        """Borrow a connection. What it leaves open is rolled back; a broken one is not lent again.

        Raises:
            TooManyConnections: all are lent, and none came back within ``timeout_s``.
            CannotConnect: the server cannot be reached. ReplicationError: the pool is closed.
        """
        client = self._take(timeout_s)
        try:
            yield client
        except BaseException:
            self._give_back(client)
            raise
        else:
            self._give_back(client)

    def close(self) -> None:
        """Close what is idle now, and what is lent when it comes back. Idempotent."""
        with self._changed:
            self._closed = True
            idle, self._idle = self._idle, deque()
            self._changed.notify_all()
        for client, _ in idle:
            client.close()

    def _take(self, timeout_s: float) -> PgClient:
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while not self._closed and not self._idle and self._lent >= self.size:
                left = deadline - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    raise TooManyConnections(
                        f"all {self.size} connections to {self.target.host}:{self.target.port} are in use",
                        hint="Raise connection_pool_size, or give connections back sooner.",
                    )
            if self._closed:
                raise ReplicationError("the connection pool is closed")
            self._lent += 1
            kept = self._idle.pop() if self._idle else None
        try:
            if kept is not None and _usable(*kept):
                return kept[0]
            return self._connect(self.target)
        except BaseException:
            self._release(None)
            raise

    def _give_back(self, client: PgClient) -> None:
        self._release(client if _clean(client) else None)

    def _release(self, client: PgClient | None) -> None:
        with self._changed:
            self._lent -= 1
            if client is not None and not self._closed:
                self._idle.append((client, time.monotonic()))
                client = None
            self._changed.notify()
        if client is not None:
            client.close()


def _usable(client: PgClient, since: float) -> bool:
    """Whether an idle connection can be lent; closed when not. A server that has gone shows as bytes to read."""
    poll = select.poll()
    poll.register(client.fileno(), select.POLLIN)
    if time.monotonic() - since < IDLE_CHECKED_S and not poll.poll(0):
        return True
    try:
        client.execute("SELECT 1")
    except HeliosError:
        client.close()
        return False
    return True


def _clean(client: PgClient) -> bool:
    """Whether it can be lent again; closed when not."""
    try:
        if client.ready and client.transaction_status != "I":
            client.execute("ROLLBACK")
    except HeliosError:
        pass
    if client.ready and client.transaction_status == "I":
        return True
    client.close()
    return False
