"""What was done in a transaction block so far, so that it can be done again at another primary."""

from __future__ import annotations

from enum import Enum

from helios_cli.engine.proxy.statement import Control
from helios_cli.engine.proxy.unit import Unit


class Fate(Enum):
    """What is to be done when a block's backend is lost."""

    RUN_AGAIN = 0
    """Nothing of it is committed."""
    ROLLED_BACK = 1
    """That was wanted."""
    COMMITTED = 2
    """As good as: there was nothing to commit."""
    ASK = 3
    """It may be committed, and has a name."""
    UNKNOWN = 4
    """It may be committed."""


class Block:
    """One open block."""

    __slots__ = (
        "_bytes",
        "_limit",
        "attempts",
        "lost",
        "made_read_only",
        "read_only",
        "replayable",
        "units",
        "wrote",
        "wrote_surely",
    )

    def __init__(self, *, read_only: bool, limit: int) -> None:
        """``limit`` bytes of statements are kept at most."""
        self.read_only = read_only
        self.made_read_only = read_only
        """It takes no writes, wherever it runs: BEGIN or SET TRANSACTION has said so."""
        self.wrote = False
        self.wrote_surely = False
        """Something that changes rows has succeeded in it."""
        self.lost = False
        """Its backend is gone and it could not be done again: it takes nothing but ROLLBACK."""
        self.replayable = True
        self.units: list[tuple[Unit, bytes]] = []
        """Each with the digest of its whole answer."""
        self.attempts = 0
        self._bytes = 0
        self._limit = limit

    @classmethod
    def that_is_lost(cls) -> Block:
        """One that was begun, and is gone."""
        block = cls(read_only=False, limit=0)
        block.lost = True
        return block

    def add(self, unit: Unit, digest: bytes) -> None:
        """A unit is answered, and the block goes on."""
        self._bytes += unit.bytes
        if unit.forgotten or self._bytes > self._limit:
            self.replayable = False
            self.units.clear()
        elif self.replayable:
            self.units.append((unit, digest))

    def fate(self, unit: Unit, *, was_sent: bool, has_failed: bool) -> Fate:
        """What is to be done when the backend is lost, with a unit in hand that was sent or not.

        ``has_failed``: the block took nothing but its end before that.
        """
        alone = unit.control
        rolls_back = alone is Control.ROLLBACK or (alone is Control.COMMIT and has_failed)
        if rolls_back and unit.closed and not unit.chains:
            return Fate.ROLLED_BACK
        if not was_sent or not unit.may_end_block:
            return Fate.RUN_AGAIN
        if not self.wrote and not unit.writes:
            return Fate.COMMITTED if alone is Control.COMMIT else Fate.RUN_AGAIN
        return Fate.ASK if alone is Control.COMMIT and unit.name is not None else Fate.UNKNOWN
