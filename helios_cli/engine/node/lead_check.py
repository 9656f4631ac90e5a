"""Whether this node still leads, as those say whose copies count: what a linearizable read needs to know.

A newer primary needs the promise of so many members of D that they and any W of D have one in common. So when W of
them, this node among them, are heard in this term after the read came, nobody else had been promoted when it came
(Ongaro, Consensus: Bridging Theory and Practice, 6.4).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from helios_cli.engine.node.replication import Replication

Callback = Callable[[], None]


class LeadCheck:
    """Asks with a heartbeat; the acknowledgements that name it are the answer."""

    def __init__(self, replication: Replication) -> None:
        self._replication = replication
        self._waiting: list[tuple[float, Callback]] = []
        """When each asked, by the steady clock, and what to call: the wall clock may have been set back meanwhile."""

    @property
    def is_alone(self) -> bool:
        """Whether nobody else is asked: in async mode, or without a standby whose copies count."""
        leading = self._replication.leading
        return leading is not None and all(config.copies == 1 for config in leading.lsns.counting)

    def ask(self, callback: Callback) -> Callback:
        """Call back, never at once, when this node is known to have led now.

        What is returned gives the waiting up. Idempotent.
        """
        entry = (self._replication.now(), callback)
        self._waiting.append(entry)
        self._replication.replicator.heartbeat()

        def give_up() -> None:
            if entry in self._waiting:
                self._waiting.remove(entry)

        return give_up

    def silence(self, node_id: str) -> float:
        """Seconds for which a node that follows this primary has not been heard; 0.0 for one that does not."""
        replication = self._replication
        if replication.leading is None or node_id not in {*replication.replicator.streamers, *replication.heard_at}:
            return 0.0
        return replication.leading.silence(node_id)

    def acknowledged(self) -> None:
        """A follower has been heard."""
        if self._waiting:
            confirmed = [entry for entry in self._waiting if self._confirmed(entry[0])]
            for entry in confirmed:
                self._waiting.remove(entry)
                entry[1]()

    def _confirmed(self, since: float) -> bool:
        replication = self._replication
        leading, term = replication.leading, replication.term()
        if leading is None or leading.lsns.term != term:
            return False
        sent_at = replication.replicator.asked.sent_at
        heard = {replication.node_id}
        for streamer in replication.replicator.streamers.values():
            asked_at = sent_at(streamer.confirmed_us)
            if asked_at is not None and asked_at >= since and streamer.progress.term == term:
                heard.add(streamer.node_id)
        return leading.lsns.is_led_by(heard)
