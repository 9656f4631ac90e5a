"""Every position that matters to a primary: its own, its standbys', and what they make committed together."""

from __future__ import annotations

from dataclasses import dataclass

from helios_cli.engine.replication.config import ClusterConfig
from helios_cli.engine.replication.rule import Progress, SyncMode, reached
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
    that tightens the rule counts alone once its record is committed by both, one that loosens it once a majority of
    the voters have its record: nobody is acknowledged with fewer copies before that is agreed.
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
        self.heard: dict[str, Progress] = {}
        """The newest acknowledgement of each following node."""

    @property
    def newest(self) -> ClusterConfig:
        """The configuration that the next change starts from."""
        return self.pending.config if self.pending is not None else self.config

    @property
    def voters(self) -> tuple[str, ...]:
        """Who must agree to fewer copies. With two data nodes only the primary votes."""
        return self._voters(self.config)

    def _voters(self, config: ClusterConfig) -> tuple[str, ...]:
        return config.in_sync if len(config.in_sync) > 2 else (self.node_id,)

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

    def forget(self, node_id: str) -> None:
        """A node has given up what it had: that counts no more until it says so again."""
        self.heard.pop(node_id, None)

    def follows_from(self, node_id: str, end: Lsn) -> None:
        """A node follows from where its log ends; what it had acknowledged behind that is gone with its disk."""
        before = self.heard.get(node_id)
        if before is not None and before.flushed > end:
            self.forget(node_id)

    def propose(self, config: ClusterConfig, end: Lsn) -> Lsn:
        """A configuration has been put into the log up to ``end``; returns the committed LSN.

        Raises:
            ValueError: the one before is not in force yet.
        """
        if self.pending is not None:
            raise ValueError("a configuration is pending already")
        self.pending = Pending(config, end)
        return self.advance()

    def lost(self, alive: set[str]) -> tuple[str, ...]:
        """The members of D to go on without, when only ``alive`` ones are there: none while the rule can be met."""
        present = [node for node in self.config.in_sync if node == self.node_id or node in alive]
        if len(present) >= self.config.copies:
            return ()
        return tuple(node for node in self.config.in_sync if node not in present)

    def advance(self) -> Lsn:
        """The committed LSN, by what has been heard."""
        pending = self.pending
        if pending is not None and any(pending.config.loosens(one) for one in (self.config, *self.inherited)):
            lsn = self._reached_by_all()
            if self._agreed(pending.end):
                self._in_force(pending.config)
                lsn = self._reached(self.config)
        elif pending is not None:
            lsn = self._reached_by_all()
            if lsn >= pending.end:
                self._in_force(pending.config)
        else:
            lsn = self._reached_by_all() if self.inherited else self._reached(self.config)
        if lsn > self._begins:
            self.committed = max(self.committed, lsn)
        return self.committed

    def reached_by(self, mode: SyncMode) -> Lsn:
        """Up to where another mode would have it, with the same members."""
        return min(
            reached(mode, config.in_sync, self.node_id, self.flushed, self.heard, self.term) for config in self.counting
        )

    @property
    def counting(self) -> tuple[ClusterConfig, ...]:
        """Every configuration that somebody may act by."""
        pending = (self.pending.config,) if self.pending is not None else ()
        return (self.config, *self.inherited, *pending)

    def _in_force(self, config: ClusterConfig) -> None:
        self.config, self.inherited, self.pending = config, (), None

    def _reached_by_all(self) -> Lsn:
        return min(self._reached(config) for config in self.counting)

    def _reached(self, config: ClusterConfig) -> Lsn:
        return reached(config.mode, config.in_sync, self.node_id, self.flushed, self.heard, self.term)

    def _agreed(self, end: Lsn) -> bool:
        return self.flushed >= end and all(self._is_majority(config, end) for config in (self.config, *self.inherited))

    def _is_majority(self, config: ClusterConfig, end: Lsn) -> bool:
        voters = self._voters(config)
        having = sum(1 for node in voters if node != self.node_id and self._has(node, end))
        return (having + 1) * 2 > len(voters)

    def _has(self, node: str, end: Lsn) -> bool:
        progress = self.heard.get(node)
        return progress is not None and progress.term == self.term and progress.flushed >= end


def _falls(before: Progress, after: Progress) -> bool:
    return after.flushed < before.flushed or after.applied < before.applied
