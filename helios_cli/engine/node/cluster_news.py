"""What a node tells of its cluster unasked: notifications to whoever listens to ``helios_cluster``, in any database."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from helios_cli.engine.consensus.config import address
from helios_cli.engine.node.channels import CLUSTER_CHANNEL

if TYPE_CHECKING:
    from helios_cli.engine.node.replication import Replication

ROLE: Final = "role"
"""This node leads now, or leads no longer."""
TERM: Final = "term"
"""Somebody else leads, or this node shows the first state of a newer term."""
TOPOLOGY: Final = "topology"
"""A node has come, has gone, or is not heard any more."""
HANDOVER: Final = "handover"
"""This node is about to give the lead away: it takes no new writes until another event."""
HANDOVER_ENDED: Final = "handover_ended"
"""It leads on."""


@dataclass(frozen=True, slots=True)
class _State:
    leads: bool
    term: int
    """The newest in which anybody has led, as far as this node knows."""
    primary: str
    """Empty while it knows of none."""
    shows: bool
    """What it shows is of that term."""
    nodes: tuple[Any, ...]


class ClusterNews:
    """One per life of a node: it looks often whether there is something to tell. On the loop."""

    def __init__(self, replication: Replication) -> None:
        self._replication = replication
        self._told: _State | None = None
        self._heard = (0, "")
        """The newest term that another node was said to lead in, and its name."""

    def heard(self, term: int, node_id: str) -> None:
        """Another node leads in a term whose log has not come here yet."""
        self._heard = max(self._heard, (term, node_id))
        self.look()

    def led_by(self) -> str:
        """Who is said to lead in a term whose log has not come here yet; empty: nobody."""
        starts = self._replication.node.store.timeline.history.starts
        return self._heard[1] if self._heard[0] > (starts[-1].term.number if starts else 0) else ""

    def look(self) -> None:
        """Tell of what has changed, if anything has."""
        before, now = self._told, self._state()
        if now == before:
            return
        self._told = now
        if before is None:
            return
        if now.leads != before.leads:
            self.tell(ROLE)
        elif (now.term, now.primary, now.shows) != (before.term, before.primary, before.shows):
            self.tell(TERM)
        else:
            self.tell(TOPOLOGY)

    def tell(self, event: str) -> None:
        """Notify everybody who listens."""
        replication, state = self._replication, self._state()
        member = replication.config.member(state.primary) if state.primary else None
        told = {
            "node_id": replication.node_id,
            "event": event,
            "leads": state.leads,
            "term": state.term,
            "primary": state.primary or None,
            "primary_address": address(member.host, member.pg_port) if member is not None else None,
        }
        replication.node.engine.channels.publish_everywhere(CLUSTER_CHANNEL, json.dumps(told))

    def _state(self) -> _State:
        replication = self._replication
        node, following = replication.node, replication.following
        starts = node.store.timeline.history.starts
        log_term, began = (starts[-1].term.number, starts[-1].start) if starts else (0, 0)
        leads = replication.is_leading
        term, primary = log_term, ""
        if leads:
            term, primary = replication.term().number, replication.node_id
        elif self._heard[0] > log_term:
            term, primary = self._heard
        elif following is not None and following.upstream.connected:
            upstream = following.upstream
            primary = replication.config.primary if upstream.role == "standby" else upstream.node_id
        shows = term == log_term and node.pipeline.committed_lsn > began
        nodes = (node.store.configs.newest, tuple(replication.replicator.streamers))
        return _State(leads, term, primary, shows, nodes)
