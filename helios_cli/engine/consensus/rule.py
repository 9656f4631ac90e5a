"""When a commit counts: the replication modes as numbers of copies, and the LSN that they make committed.

D is the set of data nodes in the configuration, the primary among them; W copies of a record must be there before its
commit is acknowledged; R members must answer a candidate before it may be promoted, so that every set of W holds one
of them (flexible quorums; Howard, Malkhi, Spiegelman, OPODIS 2016).
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Mapping
from typing import NamedTuple

from helios_cli.engine.types import Lsn, Term


class SyncMode(enum.Enum):
    """What a commit waits for. ``SYNCHRONOUS`` and ``ASYNCHRONOUS`` are other names of two of them."""

    ASYNC = "async"
    """Flushed on the primary."""
    SEMI_SYNC = "semi-sync"
    """Flushed on one more member."""
    QUORUM = "quorum"
    """Flushed on a majority of the members."""
    SYNC = "sync"
    """Flushed and applied on every member."""

    ASYNCHRONOUS = "async"
    SYNCHRONOUS = "sync"

    @classmethod
    def _missing_(cls, value: object) -> SyncMode | None:
        """``semi_sync``, ``SemiSync``, ``Synchronous`` and the like are understood too."""
        plain = str(value).replace("-", "").replace("_", "").lower()
        wanted = plain.removesuffix("hronous")
        return next((mode for mode in cls if mode.value.replace("-", "") == wanted), None)

    def copies(self, members: int) -> int:
        """W for ``members`` data nodes, the primary counted; never more than there are."""
        if self is SyncMode.ASYNC:
            return 1
        if self is SyncMode.SEMI_SYNC:
            return min(2, members)
        return members // 2 + 1 if self is SyncMode.QUORUM else members

    def answers(self, members: int) -> int:
        """R: how many members must answer a candidate, so that no acknowledged commit can be missed."""
        return members - self.copies(members) + 1


class Progress(NamedTuple):
    """How far one node has come, as it says itself."""

    term: Term
    """Of the primary whose records it follows: it counts for no other."""
    written: Lsn = Lsn(0)
    flushed: Lsn = Lsn(0)
    applied: Lsn = Lsn(0)


def reached(
    mode: SyncMode,
    members: Collection[str],
    primary: str,
    own_flushed: Lsn,
    heard: Mapping[str, Progress],
    term: Term,
) -> Lsn:
    """Up to which LSN the primary's log is committed by the rule of ``mode``.

    ``members`` is D; nodes outside it, and acknowledgements of another term, do not count. The primary's own flush is
    always a condition, and one of the copies if it is a member: a candidate needs to hear of members alone. In async
    mode that is all. 0 when the rule is met for nothing yet. The caller never lets its committed LSN fall.
    """
    others = []
    for node in members:
        progress = heard.get(node)
        if progress is not None and node != primary and progress.term == term:
            others.append(_counted(mode, progress))
    needed = mode.copies(len(members)) - (primary in members)
    if mode is SyncMode.ASYNC:
        return own_flushed
    if needed > len(others):
        return Lsn(0)
    if not needed:
        return own_flushed
    return min(own_flushed, sorted(others, reverse=True)[needed - 1])


def _counted(mode: SyncMode, progress: Progress) -> Lsn:
    return min(progress.flushed, progress.applied) if mode is SyncMode.SYNC else progress.flushed
