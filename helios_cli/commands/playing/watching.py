"""What is known of the cluster and the workloads, made of what the nodes and the files say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from helios_cli.commands.local import observation
from helios_cli.commands.local.observation import Observation
from helios_cli.commands.playing.doing import Hands
from helios_cli.engine.playbook.facts import Facts, NodeFact


def facts_of(seen: Sequence[Observation]) -> Facts:
    """Facts of an observation."""
    leader = observation.primary_of(seen)
    teller = leader or max((one for one in seen if one.status.get("cluster")), key=lambda one: one.term, default=None)
    view: Mapping[str, Any] = (teller.status.get("cluster") if teller is not None else None) or {}
    counting = {str(one.get("node_id")) for one in view.get("nodes", ()) if one.get("in_sync")}
    voters = tuple(map(str, view.get("voters") or ()))
    return Facts(tuple(_node(one, counting) for one in seen), voters, observation.is_paused(seen))


def _node(one: Observation, counting: set[str]) -> NodeFact:
    lag_ms = (observation.local_view(one.status) or {}).get("lag_ms")
    process = "" if one.process is None else f"{one.process.pid}.{one.process.start_ticks}"
    return NodeFact(
        one.node.name, one.role, one.state, one.node.mode, one.node.name in counting, process, one.term,
        int(one.flushed), int(one.committed), float(lag_ms) if isinstance(lag_ms, (int, float)) else None, one.checksum,
    )  # fmt: skip


class Watch:
    """Looks at a cluster again and again, and remembers since when nobody leads."""

    def __init__(self, hands: Hands) -> None:
        self._hands = hands
        self._unled_since_s: float | None = None

    def look(self, now_s: float) -> Facts:
        """What is known now."""
        facts = facts_of(self._hands.acts.observe())
        if facts.primary is not None:
            self._unled_since_s = None
        elif self._unled_since_s is None:
            self._unled_since_s = now_s
        unled_s = 0.0 if self._unled_since_s is None else now_s - self._unled_since_s
        return replace(facts, loads=self._hands.loads.facts(), unled_s=unled_s)


def sketch(facts: Facts) -> dict[str, Any]:
    """What a journal keeps of the cluster; another one is written when this changes."""
    primary = facts.primary
    return {
        "primary": None if primary is None else primary.name,
        "term": 0 if primary is None else primary.term,
        "states": {one.name: one.state for one in facts.nodes},
    }
