"""What a simulated node does for those who follow it, and for observers."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

from helios_cli.engine.consensus.acceptance import may_send_back
from helios_cli.engine.consensus.asked import Asked
from helios_cli.engine.consensus.config import Member
from helios_cli.engine.consensus.rule import Progress
from helios_cli.engine.replication.messages import Acknowledge, Follow, Fork, Heartbeat, Observed
from helios_cli.engine.sim.network import Link
from helios_cli.engine.types import Lsn, Term

if TYPE_CHECKING:
    from helios_cli.engine.sim.node import SimNode


class Stream:
    """The connection with one that follows, or observes."""

    def __init__(self, link: Link, member: Member, sent: Lsn, now: float) -> None:
        self.link = link
        self.member = member
        self.sent = sent
        self.progress = Progress(Term(0))
        self.heard_at = now
        self.confirmed_us = 0
        """What the newest heartbeat bore that it has answered."""
        self.blocked_s = 0.0


class Serving:
    """Of one life of a node."""

    def __init__(self, node: SimNode) -> None:
        self._node = node
        self.streams: dict[str, Stream] = {}
        self.watchers: dict[str, Stream] = {}
        """Observers that are connected."""
        self.asked = Asked()
        self.streamed = Lsn(0)
        """Up to where the log is sent to whoever follows."""

    def close(self) -> None:
        """End every connection."""
        for stream in (*self.streams.values(), *self.watchers.values()):
            stream.link.close(1)

    # Sending ---------------------------------------------------------------------------------------------------------

    def heartbeat(self, *, asks: bool) -> None:
        """Tell everybody how far this node is. One that ``asks`` grants a lease when it is echoed."""
        if not self.streams and not self.watchers:
            return
        node = self._node
        lease_ms = self._lease_ms()
        sent_us = self.asked.sent(node.wall_us, node.now, lease_ms or 0, asks=asks)
        body = Heartbeat(node.exposed, self.streamed, sent_us, lease_ms).to_body()
        silent = Heartbeat(node.exposed, self.streamed, sent_us | 1, None).to_body()
        since = self._heard_since()
        for stream in (*self.streams.values(), *self.watchers.values()):
            stream.link.send(1, node.term, "heartbeat", body if stream.heard_at > since else silent)

    def heard(self) -> Iterator[str]:
        """The names of those who follow or observe and have been heard of just now."""
        since = self._heard_since()
        both = chain(self.streams.items(), self.watchers.items())
        return (name for name, stream in both if stream.heard_at > since)

    def _heard_since(self) -> float:
        return self._node.now - self._node.world.timing.release_us / 1e6

    def _lease_ms(self) -> int | None:
        node = self._node
        if node.primary is not None:
            return node.primary.tenure.lease_ms
        remaining = node.vote.remaining(node.now)
        return int(remaining * 1000) if remaining else None

    def stream(self, end: Lsn) -> None:
        """Send the log up to there to everybody who has not got that."""
        node = self._node
        self.streamed = max(self.streamed, end)
        for stream in self.streams.values():
            records = node.log.since(stream.sent, end)
            if records:
                stream.sent = records[-1].end
                stream.link.send(1, node.term, "records", (node.exposed, records))

    def show_config(self) -> None:
        """Tell the observers of the newest configuration."""
        for stream in self.watchers.values():
            stream.link.send(1, self._node.term, "config", self._node.log.config.to_bytes())

    # Receiving -------------------------------------------------------------------------------------------------------

    def visited(self, link: Link, term: Term, kind: str, body: Any) -> None:
        """A message of a node that calls."""
        node = self._node
        name = link.ends[0].name
        if kind == "ack":
            stream = self.streams.get(name)
            if stream is not None and stream.link is link:
                self._heard(stream, term, Acknowledge.from_body(body))
        elif kind == "observed":
            watcher = self.watchers.get(name)
            if watcher is not None and watcher.link is link:
                self._observed(watcher, term, Observed.from_body(body))
        elif kind == "hello":
            link.send(1, node.term, "welcome", (node.name, "primary" if node.is_leading else node.role))
        elif term > node.term and node.primary is not None:
            link.close(1)
            node.give_way(term)
            node.after(0, node.campaign.renew, term)
        elif kind == "follow":
            self._follow(link, Follow.from_body(body))
        elif kind == "snapshot":
            self._copy(link)
        elif kind == "observe":
            self._observe(link)

    def _follow(self, link: Link, follow: Follow) -> None:
        node, name = self._node, link.ends[0].name
        end, own_end = Lsn(follow.end_lsn), self.streamed
        fork = node.log.history.fork(own_end, follow.terms(), end) if end else Lsn(0)
        if fork < end:
            if not may_send_back(node.log.history, follow.terms()):
                link.close(1)
                return
            link.send(1, node.term, "fork", Fork(fork, node.log.history.to_bytes().hex()).to_body())
            return
        before = self.streams.pop(name, None)
        if before is not None:
            before.link.close(1)
        stream = self.streams[name] = Stream(link, link.member, min(end, own_end), node.now)
        link.on_closed[1] = lambda: self._left(name, stream)
        if node.primary is not None:
            node.primary.joined(stream.member, stream.sent)
        self.heartbeat(asks=True)
        self.stream(own_end)
        if node.primary is not None:
            node.primary.reconcile()

    def _copy(self, link: Link) -> None:
        node = self._node
        if not node.log.configs:
            link.close(1)
            return
        if node.primary is not None:
            node.primary.lsns.forget(link.ends[0].name)
        link.send(1, node.term, "copy", node.log.since(Lsn(0), node.log.flushed))

    def _observe(self, link: Link) -> None:
        node, name = self._node, link.ends[0].name
        before = self.watchers.pop(name, None)
        if before is not None:
            before.link.close(1)
        if node.primary is None:
            link.close(1)
            return
        watcher = self.watchers[name] = Stream(link, link.member, Lsn(0), node.now)
        link.on_closed[1] = lambda: self._unobserved(name, watcher)
        link.send(1, node.term, "config", node.log.config.to_bytes())
        self.heartbeat(asks=True)
        node.primary.reconcile()

    def _unobserved(self, name: str, watcher: Stream) -> None:
        if self.watchers.get(name) is watcher:
            del self.watchers[name]

    def _left(self, name: str, stream: Stream) -> None:
        if self.streams.get(name) is stream:
            del self.streams[name]
            self._node.heard_at[name] = stream.heard_at
            if self._node.primary is not None:
                self._node.primary.reconcile()

    def _heard(self, stream: Stream, term: Term, said: Acknowledge) -> None:
        stream.heard_at = self._node.now
        stream.blocked_s = said.blocked_ms / 1000
        stream.confirmed_us = said.echo_us or stream.confirmed_us
        stream.progress = Progress(term, said.written, said.flushed, said.applied)
        primary = self._node.primary
        if primary is not None:
            primary.confirmed(stream.member, term, stream.confirmed_us)
            primary.acknowledged(stream)

    def _observed(self, watcher: Stream, term: Term, said: Observed) -> None:
        watcher.heard_at = self._node.now
        primary = self._node.primary
        if primary is not None:
            primary.confirmed(watcher.member, term, said.echo_us)
            primary.observed(watcher.member, term, said.version)
