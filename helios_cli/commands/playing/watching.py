"""What is known of the cluster and the workloads, made of what the nodes and the files say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from helios_cli.commands.local import observation
from helios_cli.commands.local.acts import Acts
from helios_cli.commands.local.observation import Observation
from helios_cli.commands.playing.doing import Hands
from helios_cli.engine.playbook.facts import Facts, NodeFact


def look(acts: Acts) -> Facts:
    """Facts of what the nodes say now."""
    return _facts(acts.observe())


def _facts(seen: Sequence[Observation]) -> Facts:
    leader = observation.primary_of(seen)
    teller = leader or max((one for one in seen if one.status.get("cluster")), key=lambda one: one.term, default=None)
    view: Mapping[str, Any] = (teller.status.get("cluster") if teller is not None else None) or {}
    views = {str(one.get("node_id")): one for one in view.get("nodes", ())}
    voters = tuple(map(str, view.get("voters") or ()))
    nodes = tuple(_node(one, views.get(one.node.name, {}), leads=one is leader) for one in seen)
    return Facts(nodes, voters, observation.is_paused(seen))


def _node(one: Observation, view: Mapping[str, Any], *, leads: bool) -> NodeFact:
    """A node as it says itself, but how far it is as the teller has it: what several say is of several moments."""
    process = "" if one.process is None else f"{one.process.pid}.{one.process.start_ticks}"
    flushed, committed, lag_bytes, lag_ms = one.flushed, one.committed, None, None
    if view.get("connected"):
        flushed = observation.lsn_of(view.get("flushed")) or flushed
        committed = (observation.lsn_of(view.get("committed")) if leads else None) or committed
        if not leads:
            lag_bytes, lag_ms = view.get("lag_bytes"), view.get("lag_ms")
    return NodeFact(
        one.node.name, one.role, one.state, one.node.mode, bool(view.get("in_sync")), process, one.term, int(flushed),
        int(committed), float(lag_ms) if isinstance(lag_ms, (int, float)) else None, one.checksum,
        int(lag_bytes) if isinstance(lag_bytes, int) else None,
    )  # fmt: skip


class Watch:
    """Looks at a cluster again and again, and remembers since when nobody leads."""

    def __init__(self, hands: Hands) -> None:
        self._hands = hands
        self._unled_since_s: float | None = None

    def look(self, now_s: float) -> Facts:
        """What is known now."""
        facts = look(self._hands.acts)
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
