"""Nodes of ours that elect among themselves: a primary and its standbys, each in a process of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from support.failover_drill import SETTLED_S, in_sync
from support.node_process import NodeProcess, wait_until

from helios_cli.commands.proving.tcp_link import TcpLink


class NodeCluster:
    """A primary, a synchronous standby and an asynchronous one, unless told otherwise."""

    database = "heliosdb"
    is_heliosdb = True

    def __init__(
        self,
        directory: Path,
        modes: Sequence[str] = ("sync", "sync", "async"),
        flags: Sequence[str] = (),
        *,
        linked: bool = False,
    ) -> None:
        """``modes``: the cluster's for the primary, then each standby's class. ``linked``: each standby follows through
        a link that can be slow.
        """
        self.nodes: list[NodeProcess] = []
        self.links: list[TcpLink] = []
        self.synchronous = sum(mode != "async" for mode in modes) or len(modes)
        """How many copies count."""
        for number, mode in enumerate(modes, 1):
            place = directory / f"n{number}"
            place.mkdir(parents=True)
            role = ["--replication-role", "primary"]
            if self.nodes:
                role = ["--replication-role", "standby", "--primary-host", "127.0.0.1"]
                upstream = self.nodes[0].native_port
                if linked:
                    self.links.append(TcpLink(upstream))
                    upstream = self.links[-1].port
                role += ["--primary-port", str(upstream)]
            self.nodes.append(
                NodeProcess(place, [*flags, "--node-id", f"n{number}", "--replication-mode", mode, *role])
            )

    def start(self) -> NodeCluster:
        """Start all, and wait until every copy that is to count does, and every standby follows."""
        for node in self.nodes:
            node.start()
        self.settle()
        return self

    def settle(self, seconds: float = SETTLED_S) -> None:
        """Wait until one leads whom all follow."""

        def settled() -> bool:
            primary = self.leader()
            if primary is None or len(in_sync(primary)) < self.synchronous:
                return False
            with primary.connect() as connection:
                row = connection.execute("SELECT count(*) FROM pg_stat_replication").fetchone()
            return row == (len(self.nodes) - 1,)

        wait_until(settled, "one leads, and all follow", seconds)

    def leader(self) -> NodeProcess | None:
        """Who says that it leads; None when nobody does."""
        for node in self.nodes:
            try:
                if node.http("/primary", timeout=2)[0] == 200:
                    return node
            except OSError:
                continue
        return None

    @property
    def primary(self) -> NodeProcess:
        """Who leads. Fails when nobody does."""
        leader = self.leader()
        assert leader is not None, "nobody leads"
        return leader

    @property
    def standbys(self) -> list[NodeProcess]:
        """All others."""
        primary = self.primary
        return [node for node in self.nodes if node is not primary]

    def close(self) -> None:
        """Kill them."""
        for node in self.nodes:
            node.kill()
        for link in self.links:
            link.close()

    def set_lag(self, seconds: float) -> None:
        """How much later standbys behind links get everything, and their primary their answers."""
        for link in self.links:
            link.delay_s = seconds
