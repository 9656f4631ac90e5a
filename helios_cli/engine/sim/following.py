"""What a simulated node does with the one that it follows."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from helios_cli.engine.consensus.acceptance import may_follow
from helios_cli.engine.replication.messages import Acknowledge, Follow, Fork, Heartbeat
from helios_cli.engine.sim.disk import NoRoom
from helios_cli.engine.sim.log import Diverged, SimLog
from helios_cli.engine.sim.network import Link
from helios_cli.engine.sim.records import SimRecord
from helios_cli.engine.types import Lsn, Term

if TYPE_CHECKING:
    from helios_cli.engine.sim.node import SimNode

NEVER = float("-inf")


class Following:
    """Of one life of a node."""

    def __init__(self, node: SimNode) -> None:
        self._node = node
        self.link: Link | None = None
        self.upstream_id = ""
        """Whom it follows, once that has let it in."""
        self.upstream_role = ""
        self.committed = Lsn(0)
        """What that one calls committed."""
        self.end = Lsn(0)
        """Where the log of that one ends."""
        self.heard_at = NEVER
        self._echo_us = 0
        self._awaited: tuple[str, str] | None = None
        """Name and role of a primary whose term has ended, which is asked for records all the same."""
        self._has_asked = False
        """It was told from where records are wanted."""
        self._blocked_since: float | None = None
        """Since when its disk has taken nothing."""

    @property
    def blocked_s(self) -> float:
        """For how long its disk has taken nothing of what came."""
        node = self._node
        stalled_s = node.stall.seconds(node.now, node.log.flushed, node.log.end)
        full_s = 0.0 if self._blocked_since is None else node.now - self._blocked_since
        return max(stalled_s, full_s)

    @property
    def has_no_room(self) -> bool:
        """Whether its disk is full."""
        return self._blocked_since is not None

    # The connection --------------------------------------------------------------------------------------------------

    def beat(self) -> None:
        """Look after the connection."""
        node = self._node
        if self.has_no_room and not node.disk.is_full:
            self._blocked_since = None
            self.drop()
        if self.link is not None and node.now - self.heard_at > node.world.timing.silence_us / 1e6:
            self.drop()
        if self.link is None and node.follows:
            self._connect()

    def _connect(self) -> None:
        node = self._node
        target = node.world.nodes[node.follows]
        link = node.world.network.connect(node, target)
        if link is None:
            return
        link.member = node.member()
        self.link, self.upstream_id, self._echo_us, self._has_asked = link, "", 0, False
        self.heard_at = node.now
        link.on_message[1] = partial(target.serving.visited, link)
        link.on_message[0] = partial(self._received, link)
        link.on_closed[0] = lambda: self.drop() if self.link is link else None
        link.send(0, node.term, "hello")

    def drop(self) -> None:
        """End the connection."""
        link, self.link, self.upstream_id, self._awaited = self.link, None, "", None
        if link is not None:
            link.close(0)

    def announced(self, term: Term, name: str) -> None:
        """Somebody says that it leads."""
        node = self._node
        if node.campaign.takes_lead:
            return
        if may_follow(node.term, term) and not (node.is_leading and term == node.term):
            if term > node.term:
                node.promise(term)
        elif node.primary is not None or self.upstream_id:
            return
        # Of an older term, to one that nobody leads in the newer: when it is asked for records that one hears of it.
        node.retarget(name)

    # What comes ------------------------------------------------------------------------------------------------------

    def _received(self, link: Link, term: Term, kind: str, body: Any) -> None:
        node = self._node
        if link is not self.link:
            return
        if not may_follow(node.term, term):
            if kind == "welcome" and body[1] == "primary":
                # Asked for records in the newer term it hears of that, and takes one that is newer yet.
                self._awaited = body
                self._ask(link)
            else:
                self.drop()
            return
        if term > node.term:
            node.promise(term)
        self.heard_at = node.now
        if kind == "welcome":
            self._joins(body)
            self._ask(link)
            return
        if self._awaited is not None and kind in ("records", "heartbeat"):
            # It has taken a term that is new enough, on this connection.
            self._joins(self._awaited)
        if kind == "records":
            node.world.checkers.promises.taken(node, term)
            self._records(*body)
        elif kind == "heartbeat":
            self._heartbeat(Heartbeat.from_body(body))
        elif kind == "fork":
            self._go_back(Lsn(Fork.from_body(body).lsn))
        elif kind == "copy":
            self._copied(body)
        elif kind == "take_over":
            giver, end = body
            node.campaign.take_over(giver, Lsn(end))

    def _joins(self, welcome: tuple[str, str]) -> None:
        self._awaited = None
        self.upstream_id, self.upstream_role = welcome
        # What the node before called committed is an LSN of another term's log, perhaps.
        self.committed = Lsn(0)
        self._node.tell(f"follows {self.upstream_id} in term {self._node.term}")

    def _ask(self, link: Link) -> None:
        node = self._node
        if node.disk.control["copying"]:
            link.send(0, node.term, "snapshot")
        else:
            follow = Follow(node.log.history.to_bytes().hex(), node.log.end)
            link.send(0, node.term, "follow", follow.to_body())
            self._has_asked = True

    def _heartbeat(self, heartbeat: Heartbeat) -> None:
        node = self._node
        self.committed, self.end = heartbeat.committed, heartbeat.end
        self._echo_us = heartbeat.sent_us if self._grants(heartbeat.lease_ms) else 0
        node.show()
        self.acknowledge()

    def _grants(self, lease_ms: int | None) -> bool:
        """Give the vote to whom is followed, for so long; whether it has it.

        A longer lease than the log knows of is not granted: after a start nobody would wait for its end.
        """
        if lease_ms is None:
            return True
        node = self._node
        config = node.config
        if config is None or lease_ms > config.term_lease_ms:
            return False
        return node.vote.heard(node.now, lease_ms / 1000, node.term)

    def _records(self, committed: Lsn, records: Sequence[SimRecord]) -> None:
        node = self._node
        if records[0].lsn != node.log.end:
            self.drop()
            return
        try:
            for record in records:
                node.take(record)
        except NoRoom:
            if self._blocked_since is None:
                self._blocked_since = node.now
                node.tell("takes no more records: its disk is full")
            return
        except Diverged as error:
            node.world.checkers.fail("no node diverges", f"{node.name}: {error}")
        self.committed = committed
        node.show()

    def acknowledge(self) -> None:
        """Tell whom it follows how far it is."""
        node, link = self._node, self.link
        if link is None or not self._has_asked:
            return
        log = node.log
        blocked_ms = int(self.blocked_s * 1000)
        said = Acknowledge(log.end, log.flushed, min(node.applied, log.flushed), self._echo_us, 0, blocked_ms)
        link.send(0, node.term, "ack", said.to_body())

    def _go_back(self, fork: Lsn) -> None:
        node = self._node
        node.tell(f"goes back from {node.log.end} to {fork}")
        node.world.checkers.rewound(node, fork)
        node.disk.save(rewind=int(fork))
        node.begin_again()

    def _copied(self, records: Sequence[SimRecord]) -> None:
        """A copy of another node's database has come: this one goes on from there."""
        node = self._node
        if node.log.end:
            return
        try:
            for record in records:
                node.disk.append(record)
        except NoRoom:
            node.disk.cut(Lsn(0))
            return
        node.disk.sync()
        node.disk.save(copying=False)
        node.log = SimLog(records)
        node.applied = node.serving.streamed = node.log.end
        node.tell(f"has copied the database of {self.upstream_id} up to {node.log.end}")
        node.world.checkers.flushed(node)
        self.drop()
