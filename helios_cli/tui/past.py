"""The time before the monitor began, put together from the moments that the nodes have kept.

Each node kept how it was and what it knew of the others. At a time of the past a node is what its own newest moment
says, unless others that are newer agree that it is not to be heard; of a node whose moments cannot be had, what the
others say is taken. Nothing here asks, waits, or reads a clock.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from helios_cli.tui.facts import LEADING, NodeFacts, NodeSample, PeerFacts, Sample, facts_of

BACK_S: Final = 6 * 3600.0
"""How far back it goes."""

TOGETHER_S: Final = 1.5
"""Moments of several nodes that are no further apart belong together."""

FRESH_S: Final = 25.0
"""A moment tells nothing of a time so long after it: two of every ten seconds are missing."""

NOT_HEARD: Final = ("disconnected", "silent")
NOT_KNOWN: Final = ("", "unknown")


@dataclass(frozen=True, slots=True)
class Moment:
    """How one node was at one time."""

    at_s: float
    """By its own clock, seconds since 1970-01-01 UTC."""
    facts: NodeFacts


@dataclass(frozen=True, slots=True)
class Past:
    """What came of asking for the time before."""

    samples: tuple[Sample, ...]
    """Oldest first."""
    missing: str = ""
    """Why the moments of some node cannot be had; empty when all are here."""


def moment_of(record: Mapping[str, Any]) -> Moment:
    """A moment as a node gives it."""
    counters = record.get("counters")
    facts = facts_of(record, counters if isinstance(counters, Mapping) else {})
    return Moment(facts.told_us / 1e6, facts)


def samples(moments: Mapping[str, Sequence[Moment]], addresses: Mapping[str, str], source: str) -> list[Sample]:
    """The looks that could have been taken, oldest first; ``moments`` by node, oldest first.

    ``addresses`` by node as well, in the order in which nodes are shown; those that it does not have come behind them.
    """
    places = {name: 0 for name in moments}
    newest: dict[str, Moment] = {}
    known: dict[str, None] = {}
    found: list[Sample] = []
    for at_s in _times(moments):
        for name, own in moments.items():
            while places[name] < len(own) and own[places[name]].at_s <= at_s:
                newest[name] = own[places[name]]
                places[name] += 1
        fresh = {name: one for name, one in newest.items() if at_s - one.at_s <= FRESH_S}
        known = _members(known, fresh)
        order = dict.fromkeys([*addresses, *known])
        nodes = tuple(_node(name, fresh, addresses.get(name, "")) for name in order if name in known)
        found.append(Sample(at_s=at_s, source=source, nodes=nodes, is_kept=True))
    return found


def _times(moments: Mapping[str, Sequence[Moment]]) -> Iterator[float]:
    """When something was put down; of several moments that belong together the last one."""
    times = sorted(one.at_s for own in moments.values() for one in own)
    first = None
    for i, at_s in enumerate(times):
        first = at_s if first is None else first
        if i + 1 == len(times) or times[i + 1] - first > TOGETHER_S:
            yield at_s
            first = None


def _members(known: Mapping[str, None], fresh: Mapping[str, Moment]) -> dict[str, None]:
    """Who belongs to the cluster: whoever is known already, less those that its primary does not name any more."""
    leading = [one.facts for one in fresh.values() if one.facts.role == "primary"]
    told = max(leading, key=lambda facts: facts.term, default=None)
    names = {peer.name: None for one in fresh.values() for peer in one.facts.peers if peer.name}
    found = dict(known) | dict.fromkeys(fresh) | names
    return {name: None for name in found if told is None or told.peer(name) is not None}


def _node(name: str, fresh: Mapping[str, Moment], address: str) -> NodeSample:
    own = fresh.get(name)
    since_s = own.at_s + TOGETHER_S if own is not None else 0.0
    said = [
        (one, peer)
        for other, one in fresh.items()
        if other != name and one.at_s > since_s
        if (peer := one.facts.peer(name)) is not None and peer.state not in NOT_KNOWN
    ]
    heard = [(one, peer) for one, peer in said if peer.state not in NOT_HEARD]
    if own is not None and (heard or not said):
        return NodeSample(name=name, address=address, facts=own.facts)
    if heard:
        one, peer = max(heard, key=lambda pair: pair[0].at_s)
        return NodeSample(name=name, address=address, facts=_by_word(one.facts, peer))
    who = ", ".join(one.facts.name for one, _ in said)
    error = f"not heard by {who}" if who else "nothing was kept of it"
    return NodeSample(name=name, address=address, error=error)


def _by_word(speaker: NodeFacts, peer: PeerFacts) -> NodeFacts:
    """A node as another one knew it: what only it could have said is empty."""
    return NodeFacts(
        name=peer.name, role=peer.role, mode=peer.mode, state="serving" if peer.role in LEADING else peer.state,
        term=speaker.term, version="", pid=0, started_us=0, address=peer.address, written_lsn=0, flushed_lsn=0,
        committed_lsn=0, checksum="", clients=None, primary_id=speaker.primary_id, cluster_mode=speaker.cluster_mode,
        paused=speaker.paused, voters=speaker.voters, lease_ms=speaker.lease_ms, alarms=(), gaps=(),
        read_only_reason="", peers=(peer,), log_bytes_kept=0, database_pages=0, data_dir="", counters={},
    )  # fmt: skip
