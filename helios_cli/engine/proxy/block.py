"""What was done in a transaction block so far, so that it can be done again at another primary."""

from __future__ import annotations

from helios_cli.engine.proxy.unit import Unit


class Block:
    """One open block."""

    __slots__ = ("_bytes", "_limit", "attempts", "lost", "read_only", "replayable", "units", "wrote", "wrote_surely")

    def __init__(self, *, read_only: bool, limit: int) -> None:
        """``limit`` bytes of statements are kept at most."""
        self.read_only = read_only
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

    def add(self, unit: Unit, digest: bytes) -> None:
        """A unit is answered, and the block goes on."""
        self._bytes += unit.bytes
        if unit.forgotten or self._bytes > self._limit:
            self.replayable = False
            self.units.clear()
        elif self.replayable:
            self.units.append((unit, digest))
