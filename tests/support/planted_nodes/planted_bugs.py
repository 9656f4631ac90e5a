"""Mistakes that nodes could make, each as changes of their text; ``PLANTED_BUG`` names the one that is there.

Only nodes that are started with this directory on their path have it: ``PYTHONPATH``.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Change(NamedTuple):
    """Of one module: what stands there once, and what stands there instead."""

    module: str
    before: str
    after: str


ENGINE: Final = "helios_cli.engine"

BUGS: Final[dict[str, tuple[Change, ...]]] = {
    # The name of a write is looked for and never found, so what is sent again is done again.
    "write-id-not-stored": (
        Change(f"{ENGINE}.storage.write_ids", "self._put(connection, write_id, done, text)", "pass"),
    ),
    # The primary answers as soon as it has a commit on its own disk.
    "acknowledged-before-the-standby": (
        Change(
            f"{ENGINE}.consensus.rule",
            "needed = mode.copies(len(members)) - (primary in members)",
            "needed = 0",
        ),
    ),
    # A primary to which standbys bring writes does not look at their term, nor whether its own is over, and answers
    # what is on its own disk: without the bug it answers nothing once it does not hold its lead any more.
    "no-term-check-on-forwarded-writes": (
        Change(
            f"{ENGINE}.node.visitors",
            "self._check_term(frame.term)\n            await self._replication.sessions.serve",
            "await self._replication.sessions.serve",
        ),
        Change(
            f"{ENGINE}.node.leading",
            "return committed if self.lease.holds() else self._node.pipeline.committed_lsn",
            "is_over = not self.lease.holds() and any(one.forwarded for one in self._node.engine.sessions.values())\n"
            "        return lsn if is_over else committed if self.lease.holds() else self._node.pipeline.committed_lsn",
        ),
        Change(
            f"{ENGINE}.node.leading",
            "self._relief.look()",
            "self._relief.look(), node.pipeline.advance(self._own_flushed(node.store.log.flushed))",
        ),
    ),
    # A standby answers a query with what it has, whatever the session has written before.
    "reads-wait-for-nothing": (
        Change(f"{ENGINE}.node.consistency", "session.gate = ReadGate(level, least)", "session.gate = None"),
    ),
}  # fmt: skip
