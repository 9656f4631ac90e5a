"""What a data node's pulse knows of it, and what comes of the votes that it is granted."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from helios_cli.engine.node.peer_link import Identity
from helios_cli.engine.node.peer_tls import PeerTls
from helios_cli.engine.replication import messages
from helios_cli.engine.types import Term

if TYPE_CHECKING:
    from helios_cli.engine.node.replication import Replication


class DataNodePulse:
    """Asked on the pulse's thread: it reads what the loop writes as a whole, and changes the vote alone."""

    def __init__(self, replication: Replication) -> None:
        self._replication = replication
        self.beat_at = time.monotonic()
        """When the loop ran last."""

    @property
    def tls(self) -> PeerTls:
        """What the next connection is made with."""
        return self._replication.node.tls.peer

    def term(self) -> Term:
        """The newest term that it has promised."""
        return self._replication.term()

    def identity(self) -> Identity:
        """What it says of itself to other nodes."""
        return self._replication.identity()

    def secret(self) -> bytes:
        """The cluster's secret."""
        return self._replication.secret()

    def welcome(self, proof: str) -> messages.Welcome:
        """What it answers to a node that has shown who it is."""
        return self._replication.visitors.welcome(proof)

    def asks(self) -> tuple[Term, int | None] | None:
        """As a primary: its term and lease. One whose loop stands still for too long asks for none any more."""
        leading = self._replication.leading
        if leading is None or leading.is_over or self._replication.role.name == "standby":
            return None
        config = leading.lsns.config
        stands_ms = (time.monotonic() - self.beat_at) * 1000
        if stands_ms > (config.progress_timeout_ms or config.term_lease_ms):
            return leading.lsns.term, None
        return leading.lsns.term, leading.lease.lease_ms

    def primary_address(self) -> tuple[str, int] | None:
        """As a voter: where the primary is."""
        role, following = self._replication.role, self._replication.following
        votes = self._replication.node_id in self._replication.config.voting
        if following is None or role.name != "standby" or not role.primary_host or not votes:
            return None
        link = following.receiver.link
        return link.host if link is not None else role.primary_host, role.primary_port

    def vote_heard(self, term: Term, lease_ms: int) -> bool:
        """As a voter: the primary of its own term may have the vote, if no candidate was promised a newer one."""
        return self._replication.watcher.grants(term, lease_ms)

    def granted(self, voter: str, incarnation: str, term: Term, asked_at: float, lease_ms: int) -> None:
        """A vote that the loop gets to hear of when it runs."""

        def tell() -> None:
            leading = self._replication.leading
            if leading is not None:
                leading.lease.granted((voter, incarnation), term, asked_at, lease_ms)

        self._replication.node.engine.loop.call_soon_threadsafe(tell)
