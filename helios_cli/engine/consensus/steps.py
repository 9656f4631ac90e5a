"""How a primary brings the configuration towards what is wanted: one small step, and one record, at a time.

Decided from who follows, who has been heard of and what the operator asked for; whoever calls puts the step into the
log and proposes it to :class:`~helios_cli.engine.consensus.lsns.LsnManager`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from helios_cli.engine.consensus.config import EJECT, WAIT, ClusterConfig, Member, address
from helios_cli.engine.consensus.lsns import LsnManager
from helios_cli.engine.consensus.rule import Progress, SyncMode
from helios_cli.engine.types import Lsn


class Step(NamedTuple):
    """The next configuration, with kind and text of the event that tells of it."""

    config: ClusterConfig
    kind: str
    text: str


class Follower(NamedTuple):
    """A connected node that keeps a copy."""

    member: Member
    progress: Progress
    live: bool
    """It has been sent everything."""


def removal(config: ClusterConfig, node_id: str) -> Step:
    """The step without a member."""
    return Step(config.without_member(node_id), "member_removed", f"node {node_id} is removed from the cluster")


def next_step(
    lsns: LsnManager,
    wanted: Mapping[str, Any],
    followers: Iterable[Follower],
    is_alive: Callable[[str], bool],
    now_us: int,
    observers: Iterable[Member] = (),
    round_trip_ms: int | None = None,
) -> Step | None:
    """The step from the newest configuration; None when it is as it should be, or the last step is not agreed yet.

    Members that are lost are ejected all the same, and those who came back with another disk counted no more: perhaps
    they are those who had to agree.

    ``wanted`` are the fields that the operator asked for; ``is_alive`` tells whether a member has been heard of within
    the time after which it is given up; ``observers`` are connected; ``round_trip_ms`` is how far apart the nodes are.
    """
    if lsns.pending is not None:
        return _eject(lsns, is_alive, now_us) or _replaced(lsns.newest, followers)
    config = lsns.config
    changed = with_fields(config, wanted, lsns.node_id)
    if changed != config:
        told = ", ".join(f"{name} = {getattr(value, 'value', value)}" for name, value in sorted(wanted.items()))
        return Step(changed, "configured", f"the cluster's configuration has changed: {told}")
    return (
        _eject(lsns, is_alive, now_us)
        or _paced(config, round_trip_ms)
        or _admit(lsns, followers, now_us)
        or _observe(config, observers)
    )


def with_fields(config: ClusterConfig, wanted: Mapping[str, Any], primary: str) -> ClusterConfig:
    """The configuration with other fields; the same when they have these values already."""
    if not wanted:
        return config
    plain = {name: value for name, value in wanted.items() if name != "mode" and getattr(config, name) != value}
    mode = wanted.get("mode", config.mode)
    if mode is not config.mode:
        config = config.with_mode(mode, primary)
    return replace(config, version=config.version + 1, **plain) if plain else config


def first_config(member: Member, *, mode: SyncMode, **fields: Any) -> ClusterConfig:
    """The configuration that a cluster is born with; ``fields`` are others than the defaults."""
    own = (member.node_id,)
    return ClusterConfig(1, mode, (member,), own, primary=member.node_id, voting=own, **fields)


def config_by_force(config: ClusterConfig, own: Member, lost: set[str]) -> ClusterConfig:
    """What counts in the term of a primary that leads at any price: its own copy and those of who can be heard.

    The others might never agree: they may be gone for good, which is why the operator has said so.
    """
    gone = lost - {own.node_id}
    return replace(
        with_own(config, own),
        in_sync=tuple(sorted({*config.in_sync, own.node_id} - gone)),
        voting=tuple(sorted({*config.voting, own.node_id} - gone)),
        observers=tuple(observer for observer in config.observers if observer.node_id not in gone),
        version=config.version + 1,
    )


def with_own(config: ClusterConfig, own: Member) -> ClusterConfig:
    """The configuration with a new primary's particulars as they are."""
    return config if config.member(own.node_id) == own else config.with_member(own)


def config_of_term(
    config: ClusterConfig, own: Member, lost: set[str], lsn: Lsn, now_us: int, *, by_force: bool = False
) -> ClusterConfig:
    """The configuration with which a new primary begins: itself in D, and without those that are lost.

    Where the loss of a copy is to be waited out (``on_sync_loss = wait``) only an operator who promotes at any price
    gives one up.
    """
    if config.on_sync_loss == WAIT and not by_force:
        lost = set()
    if by_force:
        changed = config_by_force(config, own, lost)
    else:
        changed = with_own(config, own)
        changed = changed.with_in_sync({*changed.in_sync, own.node_id} - (lost - {own.node_id}))
        changed = changed.with_voters(own.node_id)
    gone = lost & set(config.in_sync) - {own.node_id}
    if gone and config.mode is not SyncMode.ASYNC:
        changed = changed.with_gap(gone, lsn, now_us, "lost when the primary changed")
    return replace(changed, version=config.version + 1, primary=own.node_id)


def _eject(lsns: LsnManager, is_alive: Callable[[str], bool], now_us: int) -> Step | None:
    config = lsns.newest
    if config.on_sync_loss != EJECT:
        return None
    lost = lsns.lost({node for one in lsns.counting for node in one.in_sync if is_alive(node)})
    if not lost:
        return None
    changed = config.with_in_sync(node for node in config.in_sync if node not in lost)
    changed = changed.with_gap(lost, lsns.committed, now_us, "stopped, or not heard of or not writing for eject_after")
    return Step(
        changed, "ejected", f"{', '.join(lost)} lost: commits are acknowledged without, mode {config.mode.value}"
    )


def _paced(config: ClusterConfig, round_trip_ms: int | None) -> Step | None:
    """Before anybody is admitted: one that is far away is waited for with the lease that this takes."""
    if round_trip_ms is None or round_trip_ms == config.round_trip_ms:
        return None
    changed = replace(config, version=config.version + 1, round_trip_ms=round_trip_ms)
    far = f"a round trip takes up to {round_trip_ms} ms" if round_trip_ms else "the nodes are near each other"
    return Step(changed, "paced", f"{far}: the lease is {changed.term_lease_ms} ms")


def _replaced(config: ClusterConfig, followers: Iterable[Follower]) -> Step | None:
    for follower in followers:
        member = follower.member
        counts = member.node_id in config.in_sync or member.node_id in config.voting
        if counts and config.incarnation(member.node_id) != member.incarnation:
            return _changed(config, member)
    return None


def _changed(config: ClusterConfig, member: Member) -> Step:
    where = address(member.host, member.pg_port)
    told = f"node {member.node_id} is at {where}, disk {member.incarnation[:8]}, mode {member.mode or 'any'}"
    return Step(config.with_member(member), "member_changed", told)


def _admit(lsns: LsnManager, followers: Iterable[Follower], now_us: int) -> Step | None:
    config = lsns.config
    present = list(followers)
    for follower in present:
        member = follower.member
        before = config.member(member.node_id)
        former = _former_name(config, member)
        if former and any(other.member.node_id == former for other in present):
            # Two nodes on copies of one disk: only the one that came first is a member.
            continue
        if former:
            changed = config.known_as(member.node_id, member.incarnation).with_member(member)
            return Step(changed, "member_renamed", f"node {former} is called {member.node_id} now")
        if before is None:
            return Step(config.with_member(member), "member_added", f"node {member.node_id} is a member of the cluster")
        if before != member:
            return _changed(config, member)
        if member.node_id not in config.in_sync and config.wants(member) and caught_up(lsns, follower):
            changed = config.with_in_sync((*config.in_sync, member.node_id)).with_voters(member.node_id)
            changed = changed.with_gap_closed(member.node_id, lsns.committed, now_us)
            return Step(changed, "in_sync", f"the copies of {member.node_id} count, mode {config.mode.value}")
        if member.node_id not in config.voting and caught_up(lsns, follower):
            return Step(config.with_voters(member.node_id), "voter", f"node {member.node_id} has a vote")
    return None


def _former_name(config: ClusterConfig, member: Member) -> str:
    """Under which other name a node's disk is known; empty: under none."""
    for one in config.members:
        if one.incarnation == member.incarnation and one.node_id != member.node_id:
            return one.node_id
    return ""


def _observe(config: ClusterConfig, observers: Iterable[Member]) -> Step | None:
    known = {observer.node_id: observer for observer in config.observers}
    for observer in observers:
        if known.get(observer.node_id) != observer:
            where = address(observer.host, observer.native_port)
            return Step(config.with_observer(observer), "observer", f"node {observer.node_id} at {where} observes")
    return None


def caught_up(lsns: LsnManager, follower: Follower) -> bool:
    """Whether a follower has, in this term, all that is committed: then its copies may count."""
    progress = follower.progress
    if not follower.live or progress.term != lsns.term:
        return False
    applied = progress.applied if lsns.config.mode is SyncMode.SYNC else progress.flushed
    return applied >= lsns.committed
