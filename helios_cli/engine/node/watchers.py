"""The observers that are connected with a primary: they are told of its configurations, and grant it their votes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from helios_cli.engine.consensus.config import ETCD, ClusterConfig, Member
from helios_cli.engine.node.peer_link import PeerLink, PeerRefused
from helios_cli.engine.node.streamer import RELEASE_S
from helios_cli.engine.replication import messages
from helios_cli.engine.wire.peer import Frame, Kind, PeerProtocolError

if TYPE_CHECKING:
    from helios_cli.engine.node.replication import Replication


class Watcher:
    """One observer and the connection with it."""

    def __init__(self, link: PeerLink, hello: messages.Hello, now: float) -> None:
        self.link = link
        self.hello = hello
        self.heard_at = now
        self.told: ClusterConfig | None = None

    @property
    def member(self) -> Member:
        """The observer in a configuration."""
        hello = self.hello
        return Member(hello.node_id, hello.incarnation, hello.host, 0, hello.native_port, hello.http_port, "")

    def tell(self, config: ClusterConfig | None) -> None:
        """Let it keep the newest configuration, if it has not been told of it."""
        if config is not None and config != self.told:
            self.told = config
            self.link.send(Kind.CONFIG, config.to_bytes())


class Watchers:
    """All of them, by name. On the loop."""

    def __init__(self, replication: Replication) -> None:
        self._replication = replication
        self._connected: dict[str, Watcher] = {}
        self.heard_at: dict[str, float] = {}
        """When those were heard of last that are not connected any more."""

    def all(self) -> tuple[Watcher, ...]:
        """Those that are connected."""
        return tuple(self._connected.values())

    def heard(self, since: float) -> Iterator[str]:
        """The names of those that were heard of after that."""
        return (name for name, watcher in self._connected.items() if watcher.heard_at > since)

    def get(self, node_id: str) -> Watcher | None:
        """One by name; None when it is not connected."""
        return self._connected.get(node_id)

    def observe(self, link: PeerLink, hello: messages.Hello) -> None:
        """An observer wants to be told what this primary does.

        Raises:
            PeerRefused: this node does not lead, the caller is none, or another one has its name.
        """
        own = self._replication
        if own.leading is None:
            raise PeerRefused(f"node {own.node_id} does not lead", hint="The observer looks for the primary by itself.")
        if not hello.incarnation or own.config.member(hello.node_id) is not None:
            raise PeerRefused(
                f"node {hello.node_id} is a data node of this cluster", hint="Give each node its own --node-id."
            )
        if own.config.authority == ETCD:
            raise PeerRefused(
                "etcd decides who leads in this cluster: an observer has nothing to vote on",
                hint="Two data nodes need no observer here.",
            )
        before = self._connected.get(hello.node_id)
        if before is not None:
            before.link.close()
        watcher = Watcher(link, hello, own.now())
        self._connected[hello.node_id] = watcher
        link.on_lost = lambda: self._left(watcher)
        link.begin(lambda frame: self._frame(watcher, frame))
        own.node.event("observer_joined", f"observer {hello.node_id} is connected", observer=hello.node_id)
        watcher.tell(own.node.store.configs.newest)
        own.replicator.heartbeat(asks=True)
        own.leading.reconcile()

    def show(self, config: ClusterConfig) -> None:
        """This primary has a configuration in its log."""
        for watcher in self.all():
            watcher.tell(config)

    def beat(self, asking: bytes, silent: bytes) -> None:
        """Send a heartbeat: one that asks for the vote to whom this primary hears too."""
        now = self._replication.now()
        for watcher in self.all():
            if watcher.link.writable:
                watcher.link.write(asking if now - watcher.heard_at < RELEASE_S else silent)

    def _frame(self, watcher: Watcher, frame: Frame) -> None:
        if frame.kind is not Kind.OBSERVED:
            raise PeerProtocolError(f"an observer sent {frame.kind.name} out of turn")
        observed = messages.Observed.from_body(frame.body)
        watcher.heard_at = self._replication.now()
        leading = self._replication.leading
        if leading is not None:
            hello = watcher.hello
            leading.lease.confirmed((hello.node_id, hello.incarnation), frame.term, observed.echo_us)
            leading.observed(hello.node_id, hello.incarnation, frame.term, observed.version)

    def _left(self, watcher: Watcher) -> None:
        name = watcher.hello.node_id
        if self._connected.get(name) is watcher:
            del self._connected[name]
            self.heard_at[name] = watcher.heard_at
            self._replication.node.event(
                "observer_left", f"observer {name} is not connected any more", severity="warning", observer=name
            )

    def close(self) -> None:
        """End every connection."""
        for watcher in self.all():
            watcher.link.close()
