"""The replicated configuration: who belongs to the cluster, whose copies count, and by which mode.

It is a record of the page log like any other change, so every node has it at the same LSN; the newest one that a node
has in its log is the one that it acts by, committed or not.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from functools import cached_property, lru_cache
from typing import Any, Final

from helios_cli.engine.consensus.rule import SyncMode
from helios_cli.engine.errors import LogDamaged
from helios_cli.engine.types import Lsn

GAPS_MAX: Final = 200
"""Gaps that are remembered; the oldest that are over are forgotten first."""

LEASE_MS: Final = 750
LEASE_TRIPS: Final = 3
"""A lease is at least so many round trips long: one passes before it is granted, and it is asked for in time again."""
EJECT: Final = "eject"
WAIT: Final = "wait"


EMBEDDED: Final = "embedded"
"""The nodes of the cluster decide among themselves who leads."""
ETCD: Final = "etcd"
"""An etcd cluster has the one vote that decides; see :mod:`~helios_cli.engine.consensus.authority`."""
REFEREE: Final = "@etcd"
"""The name that etcd has among voters: no node can be called so."""
REFEREE_DISK: Final = "etcd"

Voter = tuple[str, str]
"""The name of a node and the disk on which its votes are: with another one it does not know what it has promised."""


@dataclass(frozen=True, slots=True)
class Member:
    """One data node of the cluster."""

    node_id: str
    incarnation: str
    """Of its data directory: a node that lost its disk comes back with another."""
    host: str
    pg_port: int
    native_port: int
    http_port: int
    mode: str
    """Its class: the mode in which its copies are wanted; empty: whatever the cluster's is."""
    priority: int = 1
    """Of those that could be elected the one with the highest tries first; one with 0 never does by itself."""


@dataclass(frozen=True, slots=True)
class Gap:
    """A time with fewer copies than the mode wants."""

    node_id: str
    from_lsn: int
    to_lsn: int | None
    """None: it lasts."""
    since_us: int
    until_us: int | None
    reason: str


@dataclass(frozen=True)
class ClusterConfig:
    """One version of the configuration. What is derived from it is worked out once."""

    version: int
    mode: SyncMode
    members: tuple[Member, ...]
    """By name."""
    in_sync: tuple[str, ...]
    """D: the names of those whose copies count, by name."""
    on_sync_loss: str = EJECT
    eject_after_ms: int = 2000
    paused: bool = False
    """Automatic failover is suspended."""
    gaps: tuple[Gap, ...] = ()
    primary: str = ""
    """The node whose term it is of; empty in records of before this was told."""
    voting: tuple[str, ...] = ()
    """The data nodes that have a vote, by name: those that have been caught up since they joined with this disk."""
    observers: tuple[Member, ...] = ()
    """Nodes that vote and hold no data, by name."""
    lease_ms: int = LEASE_MS
    """How long a voter that has heard from the primary votes for nobody else, at least."""
    progress_timeout_ms: int = 3000
    """After so long without a write that its disk took, a primary gives its lease up."""
    max_failover_lag_bytes: int = 16 << 20
    """How much of the log may be lost by a failover that nobody asked for, in async mode."""
    authority: str = EMBEDDED
    """Who decides who leads: ``embedded`` or ``etcd``; of the cluster from its birth."""
    round_trip_ms: int = 0
    """How far apart the nodes are, as the primary has measured; 0: not so far that it matters."""

    @property
    def term_lease_ms(self) -> int:
        """What a primary asks for: ``lease_ms``, or more where the nodes are far apart."""
        return max(self.lease_ms, LEASE_TRIPS * self.round_trip_ms)

    @property
    def round_trip_s(self) -> float:
        """The same in seconds."""
        return self.round_trip_ms / 1000

    @property
    def copies(self) -> int:
        """W: copies of a record that make it committed, the primary's among them."""
        return self.mode.copies(len(self.in_sync))

    @property
    def answers(self) -> int:
        """R: members of D that must answer a candidate, itself among them.

        So that every set of W holds one of them. Whether others have agreed to go on without this candidate, or with
        fewer copies, the voters tell: see :mod:`~helios_cli.engine.consensus.election`.
        """
        return self.mode.answers(len(self.in_sync))

    def voters(self, leader: str) -> tuple[str, ...]:
        """Who decides who leads, and on changes of the configuration, by name.

        An observer's vote counts where it makes their number odd: one more voter of an even number would have to be
        heard as well. Of two, one alone can never be a majority: there ``leader`` decides, and nobody is elected.
        Where etcd has the authority its vote is the only one.
        """
        if self.authority == ETCD:
            return (REFEREE,)
        return self._board or (leader,)

    @cached_property
    def _board(self) -> tuple[str, ...]:
        """The voters where it is not for one of them alone to decide; else empty."""
        spare = (len(self.voting) + len(self.observers)) % 2 == 0
        observers = self.observers[: len(self.observers) - spare] if self.observers else ()
        names = sorted((*self.voting, *(observer.node_id for observer in observers)))
        return tuple(names) if len(names) > 2 else ()

    def electorate(self, leader: str) -> tuple[Voter, ...]:
        """The voters with the disks by which they are known."""
        return tuple((voter, self.incarnation(voter) or "") for voter in self.voters(leader))

    @property
    def elects(self) -> bool:
        """Whether somebody can be elected when the primary is lost: not where that one alone votes."""
        return self.authority == ETCD or len(self.voters(self.primary)) > 1

    @property
    def everybody(self) -> tuple[Voter, ...]:
        """Those whose copies count, with the disks by which they are known."""
        return tuple((node, self.incarnation(node) or "") for node in self.in_sync)

    def incarnation(self, node_id: str) -> str | None:
        """The disk by which a member or an observer is known; None for somebody else."""
        if node_id == REFEREE:
            return REFEREE_DISK
        return self._incarnations.get(node_id)

    @cached_property
    def _incarnations(self) -> dict[str, str]:
        return {one.node_id: one.incarnation for one in reversed((*self.members, *self.observers))}

    def member(self, node_id: str) -> Member | None:
        """A member by name; None when there is none."""
        return self._by_name.get(node_id)

    @cached_property
    def _by_name(self) -> dict[str, Member]:
        return {member.node_id: member for member in reversed(self.members)}

    def wants(self, member: Member) -> bool:
        """Whether a member's copies should count: every data node's in an async cluster, else those of its class."""
        return self.mode is SyncMode.ASYNC or member.mode in ("", self.mode.value)

    def with_member(self, member: Member) -> ClusterConfig:
        """The next version, with a member added or its particulars changed.

        One with another disk counts no more, and has no vote: it does not know what it has acknowledged and promised.
        """
        before = self.member(member.node_id)
        others = [other for other in self.members if other.node_id != member.node_id]
        in_sync, voting = self.in_sync, self.voting
        if before is not None and before.incarnation != member.incarnation:
            in_sync, voting = _without(in_sync, member.node_id), _without(voting, member.node_id)
        members = tuple(sorted((*others, member), key=lambda one: one.node_id))
        return replace(self, version=self.version + 1, members=members, in_sync=in_sync, voting=voting)

    def known_as(self, node_id: str, incarnation: str) -> ClusterConfig:
        """The same, were the node with that disk called so: a node that was given another name is no other node."""
        former = {one.node_id for one in self.members if incarnation and one.incarnation == incarnation} - {node_id}
        if not former:
            return self

        def renamed(names: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(sorted({node_id if name in former else name for name in names}))

        own = self.member(node_id) or next(one for one in self.members if one.node_id in former)
        others = (one for one in self.members if one.node_id not in former and one.node_id != node_id)
        return replace(
            self,
            members=tuple(sorted((*others, replace(own, node_id=node_id)), key=lambda one: one.node_id)),
            in_sync=renamed(self.in_sync),
            voting=renamed(self.voting),
            primary=node_id if self.primary in former else self.primary,
        )

    def without_member(self, node_id: str) -> ClusterConfig:
        """The next version, without a member."""
        return replace(
            self,
            version=self.version + 1,
            members=tuple(member for member in self.members if member.node_id != node_id),
            in_sync=_without(self.in_sync, node_id),
            voting=_without(self.voting, node_id),
            observers=tuple(observer for observer in self.observers if observer.node_id != node_id),
        )

    def with_voters(self, *node_ids: str) -> ClusterConfig:
        """The next version, in which these data nodes have a vote too."""
        return replace(self, version=self.version + 1, voting=tuple(sorted({*self.voting, *node_ids})))

    def with_observer(self, observer: Member) -> ClusterConfig:
        """The next version, with an observer added or its particulars changed."""
        others = (other for other in self.observers if other.node_id != observer.node_id)
        observers = tuple(sorted((*others, observer), key=lambda one: one.node_id))
        return replace(self, version=self.version + 1, observers=observers)

    def with_in_sync(self, in_sync: Iterable[str]) -> ClusterConfig:
        """The next version, with another D."""
        return replace(self, version=self.version + 1, in_sync=tuple(sorted(set(in_sync))))

    def with_mode(self, mode: SyncMode, primary: str) -> ClusterConfig:
        """The next version, in another mode: members of another class leave D, those of its own come as they can."""
        changed = replace(self, version=self.version + 1, mode=mode)
        wanted = {member.node_id for member in self.members if changed.wants(member)}
        return replace(changed, in_sync=tuple(sorted(wanted & set(self.in_sync) | {primary})))

    def with_gap(self, node_ids: Iterable[str], lsn: Lsn, now_us: int, reason: str) -> ClusterConfig:
        """The same, with a gap that begins for each of ``node_ids``."""
        opened = tuple(Gap(node, int(lsn), None, now_us, None, reason) for node in sorted(node_ids))
        return replace(self, gaps=(*self.gaps, *opened)[-GAPS_MAX:])

    def with_gap_closed(self, node_id: str, lsn: Lsn, now_us: int) -> ClusterConfig:
        """The same, with the gaps of a node ended."""
        gaps = tuple(
            replace(gap, to_lsn=int(lsn), until_us=now_us) if gap.node_id == node_id and gap.to_lsn is None else gap
            for gap in self.gaps
        )
        return replace(self, gaps=gaps)

    def loosens(self, before: ClusterConfig) -> bool:
        """Whether fewer copies, or other ones, suffice than by ``before``. One on another disk is another one."""
        return self.copies < before.copies or not set(before.everybody) <= set(self.everybody)

    def to_bytes(self) -> bytes:
        """A JSON object."""
        return _ENCODER.encode(self).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> ClusterConfig:
        """The inverse of :meth:`to_bytes`. Raises LogDamaged for anything else."""
        return _parsed(bytes(data))


_NAMES: Final = {kind: tuple(field.name for field in fields(kind)) for kind in (ClusterConfig, Member, Gap)}


def _plain(one: Any) -> object:
    """What JSON has for a part of a configuration."""
    return one.value if isinstance(one, SyncMode) else {name: getattr(one, name) for name in _NAMES[type(one)]}


_ENCODER: Final = json.JSONEncoder(separators=(",", ":"), sort_keys=True, default=_plain)


@lru_cache(maxsize=64)
def _parsed(data: bytes) -> ClusterConfig:
    try:
        content: dict[str, Any] = json.loads(data)
        return ClusterConfig(
            version=int(content["version"]),
            mode=SyncMode(content["mode"]),
            members=tuple(Member(**member) for member in content["members"]),
            in_sync=tuple(str(node) for node in content["in_sync"]),
            on_sync_loss=str(content["on_sync_loss"]),
            eject_after_ms=int(content["eject_after_ms"]),
            paused=bool(content["paused"]),
            gaps=tuple(Gap(**gap) for gap in content["gaps"]),
            primary=str(content.get("primary", "")),
            voting=tuple(str(node) for node in content.get("voting", content["in_sync"])),
            observers=tuple(Member(**observer) for observer in content.get("observers", ())),
            lease_ms=int(content.get("lease_ms", LEASE_MS)),
            progress_timeout_ms=int(content.get("progress_timeout_ms", 3000)),
            max_failover_lag_bytes=int(content.get("max_failover_lag_bytes", 16 << 20)),
            authority=str(content.get("authority", EMBEDDED)),
            round_trip_ms=int(content.get("round_trip_ms", 0)),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise LogDamaged(f"a record of the cluster's configuration cannot be read: {error}") from error


def participants(configs: Iterable[ClusterConfig]) -> tuple[Member, ...]:
    """Members and observers of each of these, the oldest first, by name; as the newest that has them knows them."""
    found = {one.node_id: one for config in configs for one in (*config.members, *config.observers)}
    return tuple(found[name] for name in sorted(found))


def _without(names: tuple[str, ...], name: str) -> tuple[str, ...]:
    return tuple(other for other in names if other != name)


def address(host: str, port: int) -> str:
    """``host:port``, an IPv6 address in brackets; empty when the host is not known."""
    if not host:
        return ""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
