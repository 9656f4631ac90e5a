"""The replicated configuration: who belongs to the cluster, whose copies count, and by which mode.

It is a record of the page log like any other change, so every node has it at the same LSN; the newest one that a node
has in its log is the one that it acts by, committed or not.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from helios_cli.engine.errors import LogDamaged
from helios_cli.engine.replication.rule import SyncMode
from helios_cli.engine.types import Lsn

GAPS_MAX: Final = 200
"""Gaps that are remembered; the oldest that are over are forgotten first."""

EJECT: Final = "eject"
WAIT: Final = "wait"


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


@dataclass(frozen=True, slots=True)
class ClusterConfig:
    """One version of the configuration."""

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

    @property
    def copies(self) -> int:
        """W: copies of a record that make it committed, the primary's among them."""
        return self.mode.copies(len(self.in_sync))

    @property
    def answers(self) -> int:
        """R: members of D that must answer a candidate, itself among them.

        At least half of D too: a majority that this candidate has not heard of may have agreed to go on without it, or
        with fewer copies. Of two the primary alone may have, which cannot be asked for when it is gone.
        """
        members = len(self.in_sync)
        return max(self.mode.answers(members), members - members // 2)

    def member(self, node_id: str) -> Member | None:
        """A member by name; None when there is none."""
        return next((member for member in self.members if member.node_id == node_id), None)

    def wants(self, member: Member) -> bool:
        """Whether a member's copies should count: every data node's in an async cluster, else those of its class."""
        return self.mode is SyncMode.ASYNC or member.mode in ("", self.mode.value)

    def with_member(self, member: Member) -> ClusterConfig:
        """The next version, with a member added or its particulars changed. One with another disk counts no more."""
        before = self.member(member.node_id)
        others = [other for other in self.members if other.node_id != member.node_id]
        in_sync = self.in_sync
        if before is not None and before.incarnation != member.incarnation:
            in_sync = tuple(node for node in in_sync if node != member.node_id)
        members = tuple(sorted((*others, member), key=lambda one: one.node_id))
        return replace(self, version=self.version + 1, members=members, in_sync=in_sync)

    def without_member(self, node_id: str) -> ClusterConfig:
        """The next version, without a member."""
        return replace(
            self,
            version=self.version + 1,
            members=tuple(member for member in self.members if member.node_id != node_id),
            in_sync=tuple(node for node in self.in_sync if node != node_id),
        )

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
        """Whether fewer copies, or other ones, suffice than by ``before``."""
        return self.copies < before.copies or not set(before.in_sync) <= set(self.in_sync)

    def to_bytes(self) -> bytes:
        """A JSON object."""
        content = asdict(self) | {"mode": self.mode.value}
        return json.dumps(content, separators=(",", ":"), sort_keys=True).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> ClusterConfig:
        """The inverse of :meth:`to_bytes`. Raises LogDamaged for anything else."""
        try:
            content: dict[str, Any] = json.loads(data)
            return cls(
                version=int(content["version"]),
                mode=SyncMode(content["mode"]),
                members=tuple(Member(**member) for member in content["members"]),
                in_sync=tuple(str(node) for node in content["in_sync"]),
                on_sync_loss=str(content["on_sync_loss"]),
                eject_after_ms=int(content["eject_after_ms"]),
                paused=bool(content["paused"]),
                gaps=tuple(Gap(**gap) for gap in content["gaps"]),
                primary=str(content.get("primary", "")),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise LogDamaged(f"a record of the cluster's configuration cannot be read: {error}") from error
