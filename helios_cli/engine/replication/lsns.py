"""Every position that matters to a primary: its own, its standbys', and what they make committed together."""

from __future__ import annotations

from collections.abc import Collection

from helios_cli.engine.replication.rule import Progress, SyncMode, reached
from helios_cli.engine.types import Lsn, Term


class LsnManager:
    """Turns flushes and acknowledgements into the committed LSN, which never falls.

    Pure: the owner tells it what happened and asks what follows.
    """

    def __init__(self, node_id: str, mode: SyncMode, term: Term, flushed: Lsn = Lsn(0)) -> None:
        self.node_id = node_id
        self.mode = mode
        self.term = term
        self.flushed = flushed
        """This node's own."""
        self.committed = Lsn(0)
        self.heard: dict[str, Progress] = {}
        """The newest acknowledgement of each following node."""
        self.members: frozenset[str] = frozenset((node_id,))
        """D: the data nodes whose copies count, this one among them."""

    def own_flushed(self, lsn: Lsn) -> Lsn:
        """This node has everything up to ``lsn`` on disk; returns the committed LSN."""
        self.flushed = lsn
        if self.mode is SyncMode.ASYNC:
            self.committed = max(self.committed, lsn)
            return self.committed
        return self._advance()

    def acknowledged(self, node_id: str, progress: Progress) -> Lsn:
        """A following node has come further; returns the committed LSN.

        What it says of an older term, or less than it said before in this one, changes nothing.
        """
        before = self.heard.get(node_id)
        if progress.term == self.term and (before is None or before.term != self.term or not _falls(before, progress)):
            self.heard[node_id] = progress
        return self._advance()

    def forget(self, node_id: str) -> None:
        """A node is gone: what it has counts no more until it says so again."""
        self.heard.pop(node_id, None)

    def configure(self, mode: SyncMode, members: Collection[str]) -> Lsn:
        """Another mode, or other members; returns the committed LSN."""
        self.mode = mode
        self.members = frozenset((self.node_id, *members))
        return self._advance()

    def copies_missing(self) -> int:
        """How many more nodes must be heard of before anything can be committed at all."""
        others = sum(1 for node in self.members if node in self.heard and self.heard[node].term == self.term)
        return max(0, self.mode.copies(len(self.members)) - 1 - others)

    def _advance(self) -> Lsn:
        lsn = reached(self.mode, self.members, self.node_id, self.flushed, self.heard, self.term)
        self.committed = max(self.committed, lsn)
        return self.committed


def _falls(before: Progress, after: Progress) -> bool:
    return after.flushed < before.flushed or after.applied < before.applied
