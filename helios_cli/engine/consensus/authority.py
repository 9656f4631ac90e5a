"""etcd as the authority over who leads: its keys, what they say, and what is written under which conditions.

Three keys below ``<prefix>/<cluster id>/``, and one for each term:

========== ============================================================================================================
leader     Who leads, and in which term; it goes when its lease is not renewed.
term       The newest term that a candidate has asked for, and the newest that was given. It stays.
sync       The newest configuration that the primary has put there: whose copies count. Changed by the leader alone.
history/N  Who was given term N, when, and where its log ended then.
========== ============================================================================================================

A candidate first has a term to itself, then takes it on its own disk, and asks the data nodes for promises. The term
is given by one transaction, which changes ``leader`` and ``term`` only if neither they nor ``sync`` are other
than when the candidate was judged by them. So etcd does what a voter without data does among the embedded ones
(:mod:`~helios_cli.engine.consensus.election`): it gives each term once, agrees to configurations of the term that it
gave last, and tells the newest of them to the next candidate. Whether that one has every commit the data nodes say.

Nothing here reads or writes: transactions are values.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Final

from helios_cli.engine.consensus.config import REFEREE, REFEREE_DISK, ClusterConfig, Voter
from helios_cli.engine.consensus.election import Answer
from helios_cli.engine.types import Lsn, Term

HISTORY_MAX: Final = 1000
"""Terms that ``history`` keeps."""


@dataclass(frozen=True, slots=True)
class Keys:
    """Where a cluster's keys are."""

    prefix: str
    """Without a slash at its end."""
    cluster_id: str

    @property
    def leader(self) -> str:
        """Of the node that leads."""
        return f"{self.prefix}/{self.cluster_id}/leader"

    @property
    def term(self) -> str:
        """Of the newest term."""
        return f"{self.prefix}/{self.cluster_id}/term"

    @property
    def sync(self) -> str:
        """Of the newest configuration."""
        return f"{self.prefix}/{self.cluster_id}/sync"

    def history(self, number: int) -> str:
        """Of one term; in the order of the terms."""
        return f"{self.prefix}/{self.cluster_id}/history/{max(0, number):020d}"


@dataclass(frozen=True, slots=True)
class Leader:
    """The value of ``leader``."""

    node_id: str
    incarnation: str
    term: int
    term_id: int
    host: str
    native_port: int

    def is_node(self, node: Voter) -> bool:
        """Whether it is this node, with this disk."""
        return (self.node_id, self.incarnation) == node

    def leads_in(self, term: Term, node: Voter) -> bool:
        """Whether it is this node, and leads in this term."""
        return self.is_node(node) and (self.term, self.term_id) == (term.number, term.term_id)


@dataclass(frozen=True, slots=True)
class Sync:
    """The value of ``sync``."""

    term: int
    """Of the primary that put it there."""
    version: int
    config: str
    """The configuration as text, :meth:`ClusterConfig.to_bytes`."""

    @classmethod
    def of(cls, term: Term, config: ClusterConfig) -> Sync:
        """A configuration of a term's primary."""
        return cls(term.number, config.version, config.to_bytes().decode())

    def is_behind(self, other: Sync) -> bool:
        """Whether another one takes its place."""
        return (self.term, self.version) < (other.term, other.version)


@dataclass(frozen=True, slots=True)
class View:
    """What the keys say at one revision of etcd; the revision of a key that is not there is 0."""

    leader: Leader | None
    leader_revision: int
    term: int
    """The newest that a candidate has asked for; 0: none was yet."""
    given: int
    """The newest that was given."""
    term_revision: int
    sync: Sync | None
    sync_revision: int


def view_of(keys: Keys, found: dict[str, tuple[str, int]]) -> View:
    """What keys say, by their values and the revisions of their last change.

    Raises:
        ValueError: somebody else has written there.
    """
    leader, leader_revision = found.get(keys.leader, ("", 0))
    term, term_revision = found.get(keys.term, ("", 0))
    sync, sync_revision = found.get(keys.sync, ("", 0))
    try:
        return View(
            Leader(**json.loads(leader)) if leader else None,
            leader_revision,
            int(json.loads(term)["term"]) if term else 0,
            int(json.loads(term)["given"]) if term else 0,
            term_revision,
            Sync(**json.loads(sync)) if sync else None,
            sync_revision,
        )
    except (TypeError, KeyError) as error:
        raise ValueError(str(error)) from error


@dataclass(frozen=True, slots=True)
class Put:
    """A key and its new value."""

    key: str
    value: str
    leased: bool = False
    """It goes with the lease of who wrote it."""


@dataclass(frozen=True, slots=True)
class Transaction:
    """All of it happens, or nothing."""

    unchanged: tuple[tuple[str, int], ...]
    """Keys, and the revision of the last change that each must have; 0: it must not be there."""
    puts: tuple[Put, ...]
    forget_before: str = ""
    """Keys from ``forget_from`` to before this one go; empty: none."""
    forget_from: str = ""


def ask_for_term(keys: Keys, seen: View, number: int) -> Transaction:
    """A term for a candidate alone, if nobody has asked or was given the lead since it looked around.

    Whoever asked before is not given its term any more. So no candidate has taken a term on its own disk that is newer
    than that of whoever leads then.
    """
    asked = {"term": number, "given": seen.given}
    return Transaction(
        ((keys.leader, seen.leader_revision), (keys.term, seen.term_revision)), (Put(keys.term, _text(asked)),)
    )


def give_term(keys: Keys, seen: View, leader: Leader, log_end: Lsn, now_us: int) -> Transaction:
    """The lead and its term to a node, if all is as it was ``seen``."""
    told = {"term": leader.term, "term_id": leader.term_id, "node_id": leader.node_id}
    given = {"term": max(seen.term, leader.term), "given": leader.term}
    return Transaction(
        ((keys.leader, seen.leader_revision), (keys.term, seen.term_revision), (keys.sync, seen.sync_revision)),
        (
            Put(keys.leader, _text(asdict(leader)), leased=True),
            Put(keys.term, _text(given)),
            Put(keys.history(leader.term), _text({**told, "log_end": str(log_end), "time_us": now_us})),
        ),
        keys.history(leader.term - HISTORY_MAX),
        keys.history(0),
    )


def agree(keys: Keys, seen: View, sync: Sync) -> Transaction:
    """A configuration of the leader that was ``seen``, if that one still leads."""
    return Transaction(
        ((keys.leader, seen.leader_revision), (keys.sync, seen.sync_revision)), (Put(keys.sync, _text(asdict(sync))),)
    )


def _text(content: dict[str, Any]) -> str:
    return json.dumps(content, separators=(",", ":"), sort_keys=True)


def is_protected(configs: Iterable[ClusterConfig]) -> bool:
    """Whether a primary acknowledges nothing that is on its own disk alone, by any of these.

    Then it has no more to say when those have promised a newer term whom a candidate needs, whatever etcd keeps for it.
    """
    return all(config.copies > 1 for config in configs)


def is_kept(seen: View, own: Voter, giver: str, *, protected: bool) -> bool:
    """Whether the lead is kept for somebody else than ``own`` and whoever gives it to this node.

    Where nothing is ``protected`` the primary may acknowledge by itself until its lease is over.
    """
    leader = seen.leader
    return leader is not None and not (leader.is_node(own) or leader.node_id == giver or protected)


def has_forgotten(seen: View, known: Sync | None) -> bool:
    """Whether etcd lacks a configuration, or has an older one than it had before: its data is not what it was."""
    return seen.sync is None or (known is not None and seen.sync.is_behind(known))


def answer(seen: View, own: Voter, giver: str, *, promise: bool, protected: bool) -> Answer:
    """What etcd says to a candidate, as a voter would that holds no data."""
    kept = is_kept(seen, own, giver, protected=protected)
    leader = seen.leader
    if leader is not None and (leader.is_node(own) or leader.node_id == giver):
        leader = None
    return Answer(
        node_id=REFEREE,
        role="observer",
        incarnation=REFEREE_DISK,
        promised=promise and not kept,
        term=seen.term,
        last_term=0,
        last_term_id=0,
        flushed=Lsn(0),
        config_version=seen.sync.version if seen.sync is not None else 0,
        reaches_primary=kept,
        primary_id=leader.node_id if leader is not None else "",
        primary_host=leader.host if leader is not None else "",
        primary_native_port=leader.native_port if leader is not None else 0,
        config=seen.sync.config if seen.sync is not None else "",
        config_term=seen.sync.term if seen.sync is not None else 0,
    )
