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
    # A write that a standby has brought is answered when it is executed: a primary whose term is over answers it, too.
    "no-term-check-on-forwarded-writes": (
        Change(
            f"{ENGINE}.node.session",
            'return level if level != "on" else None',
            'return "off" if self.forwarded is not None else level if level != "on" else None',
        ),
    ),
}  # fmt: skip
