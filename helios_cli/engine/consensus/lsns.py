"""Every position that matters to a primary: its own, its standbys', and what they make committed together."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

from helios_cli.engine.consensus.config import ClusterConfig
from helios_cli.engine.consensus.lease import majority
from helios_cli.engine.consensus.rule import Progress, SyncMode, reached
from helios_cli.engine.types import Lsn, Term


@dataclass(frozen=True, slots=True)
class Pending:
    """A configuration that is in the log and not in force yet."""

    config: ClusterConfig
    end: Lsn
    """Behind its record."""


class LsnManager:
    """Turns flushes and acknowledgements into the committed LSN, which never falls.

    Pure: the owner tells it what happened and asks what follows.

    A configuration counts from when it is proposed, together with the one before: a candidate may act by either. One
    that tightens the rule counts alone once its record is committed by both, one that loosens it or has other voters
    once a majority of the voters, those of before and those of then, have it: nobody is acknowledged with fewer copies
    before that is agreed.

    Until then nothing from its record on is committed: whoever finds a configuration below the committed LSN, a
    standby or this node in its next life, takes it to be in force, and acts by no older one.
    """

    def __init__(
        self,
        node_id: str,
        config: ClusterConfig,
        term: Term,
        flushed: Lsn = Lsn(0),
        begins: Lsn = Lsn(0),
        inherited: tuple[ClusterConfig, ...] = (),
    ) -> None:
        """``begins`` is where the term's first record begins. What is older is committed together with that one and
        never by copies of its own: a later primary could still take it back (Ongaro and Ousterhout, Raft, figure 8).
        ``inherited`` are newer configurations in the log that may be in force or not: all count until the next one is.
        """
        self.node_id = node_id
        self.config = config
        """In force."""
        self.inherited = inherited
        self.pending: Pending | None = None
        self.term = term
        self.flushed = flushed
        """This node's own."""
        self.committed = Lsn(0)
        self._begins = begins
        self._agreed_to = Lsn(0) if inherited else None
        """Where the first configuration that is not in force begins, or before; None: all are in force."""
        self.heard: dict[str, Progress] = {}
        """The newest acknowledgement of each following node."""
        self.disks: dict[str, str] = {}
        """The incarnation with which each following node came last."""
        self.observed: dict[str, tuple[str, int]] = {}
        """Incarnation and configuration's version of each observer, as it said in this term."""

    @property
    def newest(self) -> ClusterConfig:
        """The configuration that the next change starts from."""
        return self.pending.config if self.pending is not None else self.config

    def own_flushed(self, lsn: Lsn) -> Lsn:
        """This node has everything up to ``lsn`` on disk; returns the committed LSN."""
        self.flushed = lsn
        if self.config.mode is SyncMode.ASYNC and self.pending is None and not self.inherited and lsn > self._begins:
            self.committed = max(self.committed, lsn)
            return self.committed
        return self.advance()

    def acknowledged(self, node_id: str, progress: Progress) -> Lsn:
        """A following node has come further; returns the committed LSN.

        What it says of an older term, or less than it said before in this one, changes nothing.
        """
        before = self.heard.get(node_id)
        if progress.term == self.term and (before is None or before.term != self.term or not _falls(before, progress)):
            self.heard[node_id] = progress
        return self.advance()

    def observes(self, node_id: str, incarnation: str, term: Term, version: int) -> Lsn:
        """An observer has a configuration on its disk; returns the committed LSN."""
        before = self.observed.get(node_id)
        if term == self.term and (before is None or before[0] != incarnation or before[1] < version):
            self.observed[node_id] = (incarnation, version)
        return self.advance()

    def came(self, node_id: str, incarnation: str) -> None:
        """A node follows, with that disk. By a configuration that knows another one its word counts for nothing."""
        if self.disks.get(node_id, incarnation) != incarnation:
            self.forget(node_id)
        self.disks[node_id] = incarnation

    def forget(self, node_id: str) -> None:
        """A node has given up what it had: that counts no more until it says so again."""
        self.heard.pop(node_id, None)

    def follows_from(self, node_id: str, end: Lsn) -> None:
        """A node follows from where its log ends; what it had acknowledged behind that is gone with its disk."""
        before = self.heard.get(node_id)
        if before is not None and before.flushed > end:
            self.forget(node_id)

    def propose(self, config: ClusterConfig, begins: Lsn, end: Lsn) -> Lsn:
        """A configuration's record has been put into the log, from ``begins`` to ``end``; returns the committed LSN.

        One that is not in force yet goes on to count beside it: perhaps whoever must agree to that is gone.
        """
        if self.pending is not None:
            self.inherited = (*self.inherited, self.pending.config)
        self.pending = Pending(config, end)
        if self._agreed_to is None:
            self._agreed_to = begins
        return self.advance()

    def lost(self, alive: set[str]) -> tuple[str, ...]:
        """The members of D to go on without, when only ``alive`` ones are there: none while every rule can be met."""
        missing = self.missing(alive)
        return tuple(node for node in self.newest.in_sync if node in missing)

    def missing(self, alive: set[str]) -> tuple[str, ...]:
        """The members for whom commits wait, when only ``alive`` ones are there; by every rule that counts, by name."""
        return tuple(sorted({node for config in self.counting for node in self._lost(config, alive)}))

    def undecided(self) -> tuple[str, ...]:
        """The voters whose word the newest configuration waits for, by name: nothing behind it is committed before."""
        pending = self.pending
        if pending is None:
            return ()
        waits = [config for config in self.counting if not self._is_majority(config, pending)]
        names = {node: config for config in waits for node in config.voters(self.node_id) if node != self.node_id}
        return tuple(sorted(node for node, config in names.items() if not self._has(config, node, pending)))

    def _lost(self, config: ClusterConfig, alive: set[str]) -> tuple[str, ...]:
        present = [node for node in config.in_sync if node == self.node_id or node in alive]
        return () if len(present) >= config.copies else tuple(node for node in config.in_sync if node not in present)

    def advance(self) -> Lsn:
        """The committed LSN, by what has been heard."""
        pending = self.pending
        lsn = self._reached_by_all() if pending is not None or self.inherited else self._reached(self.config)
        if pending is not None and self._is_due(pending, lsn):
            self._in_force(pending.config)
            lsn = self._reached(self.config)
        if self._agreed_to is not None:
            lsn = min(lsn, self._agreed_to)
        if lsn > self._begins:
            self.committed = max(self.committed, lsn)
        return self.committed

    def reached_by(self, mode: SyncMode) -> Lsn:
        """Up to where another mode has it, with the same members: no further than committed, but by a weaker one."""
        lsn = min(self._reached_in(mode, config) for config in self.counting)
        weaker = any(mode.copies(len(config.in_sync)) < config.copies for config in self.counting)
        return lsn if weaker else min(lsn, self.committed)

    def is_led_by(self, heard: Container[str]) -> bool:
        """Whether those who were heard in this term, this node among them, leave nobody another one to be led by.

        A configuration that waits to be agreed on is never enough: the others may have gone on by the one before.
        Nor is the word of one that has lost its disk: it may have been led by another, or have led itself.
        """
        return all(
            sum(1 for node in one.in_sync if node in heard and self._is_known(one, node)) >= one.copies
            for one in self.counting
        )

    @property
    def counting(self) -> tuple[ClusterConfig, ...]:
        """Every configuration that somebody may act by."""
        pending = (self.pending.config,) if self.pending is not None else ()
        return (self.config, *self.inherited, *pending)

    def _in_force(self, config: ClusterConfig) -> None:
        self.config, self.inherited, self.pending, self._agreed_to = config, (), None, None

    def _reached_by_all(self) -> Lsn:
        return min(self._reached(config) for config in self.counting)

    def _reached(self, config: ClusterConfig) -> Lsn:
        return self._reached_in(config.mode, config)

    def _reached_in(self, mode: SyncMode, config: ClusterConfig) -> Lsn:
        heard = self.heard
        for node in config.in_sync:
            if node in heard and not self._is_known(config, node):
                heard = {node: progress for node, progress in heard.items() if self._is_known(config, node)}
                break
        return reached(mode, config.in_sync, self.node_id, self.flushed, heard, self.term)

    def _is_known(self, config: ClusterConfig, node: str) -> bool:
        """Whether a node has come with the disk that a configuration knows."""
        disk = self.disks.get(node)
        return disk is None or disk == config.incarnation(node)

    def _is_due(self, pending: Pending, lsn: Lsn) -> bool:
        before = (self.config, *self.inherited)
        if any(pending.config.loosens(one) for one in before):
            return self._agreed(pending)
        if lsn < pending.end:
            return False
        voters = pending.config.electorate(self.node_id)
        return all(one.electorate(self.node_id) == voters for one in before) or self._agreed(pending)

    def _agreed(self, pending: Pending) -> bool:
        return self.flushed >= pending.end and all(self._is_majority(config, pending) for config in self.counting)

    def _is_majority(self, config: ClusterConfig, pending: Pending) -> bool:
        voters = config.voters(self.node_id)
        having = sum(1 for node in voters if node == self.node_id or self._has(config, node, pending))
        return having >= majority(len(voters))

    def _has(self, config: ClusterConfig, node: str, pending: Pending) -> bool:
        disk, version = self.observed.get(node, ("", 0))
        if version >= pending.config.version and disk == config.incarnation(node):
            return True
        progress = self.heard.get(node)
        has = progress is not None and progress.term == self.term and progress.flushed >= pending.end
        return has and self._is_known(config, node)


def _falls(before: Progress, after: Progress) -> bool:
    return after.flushed < before.flushed or after.applied < before.applied
