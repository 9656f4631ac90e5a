"""A proxy together with what is behind it, as the tests of drivers see it."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import psycopg
from support.node_cluster import NodeCluster
from support.node_process import wait_until
from support.postgres_pair import PostgresPair
from support.proxy_process import ProxyProcess


class MakeProxy(Protocol):
    """Starts a proxy before nodes; further arguments are those of :class:`ProxyProcess`."""

    def __call__(self, nodes: Any, *, start: bool = True, **options: Any) -> ProxyProcess: ...


class Proxied:
    """A proxy, and what is behind it."""

    def __init__(self, proxy: ProxyProcess, behind: NodeCluster | PostgresPair) -> None:
        self.proxy, self.behind = proxy, behind

    @property
    def is_heliosdb(self) -> bool:
        """Else plain PostgreSQL."""
        return self.behind.is_heliosdb

    @property
    def ports(self) -> set[int]:
        """Of all nodes."""
        return {node.pg_port for node in self.behind.nodes}

    def prepare(self, *statements: str) -> None:
        """Run statements at the primary, and wait until every node shows what they did."""
        primary = self.behind.primary
        with primary.connect() as connection:
            for statement in statements:
                connection.execute(statement)
            lsn = connection.execute("SELECT pg_current_wal_lsn()::text").fetchone()
        for node in self.behind.nodes:
            if node is not primary:
                with node.connect() as connection:
                    shows = partial(_shows, connection, lsn)
                    wait_until(shows, "every node shows what was prepared", 30)

    def truth(self, query: str) -> list[tuple[Any, ...]]:
        """The rows of a query at the primary itself."""
        with self.behind.primary.connect() as connection:
            return connection.execute(query).fetchall()


def heard_from(ask: Callable[[], Any], ports: set[int], seconds: float = 20.0) -> set[int]:
    """Which nodes a read came from, by the port that it gives, until these have all been heard or the time is over."""
    seen: set[int] = set()
    deadline = time.monotonic() + seconds
    while not seen >= ports and time.monotonic() < deadline:
        seen.add(ask())
    return seen


def _shows(connection: psycopg.Connection[tuple[Any, ...]], lsn: tuple[Any, ...] | None) -> bool:
    """Whether a standby is that far."""
    return connection.execute("SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", lsn).fetchone() == (True,)
