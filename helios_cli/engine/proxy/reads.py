"""Which nodes a read may go to: lag limits, terms, and the floor of what its session has seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

NO_LIMIT: Final = 1 << 63


@dataclass(frozen=True, slots=True)
class Limits:
    """How far behind a standby that is read from may be; None: any."""

    lag_bytes: int | None = None
    lag_ms: float | None = None

    def allow(self, lag_bytes: int, lag_ms: float) -> bool:
        """Whether a lag is within them."""
        return (self.lag_bytes is None or lag_bytes <= self.lag_bytes) and (
            self.lag_ms is None or lag_ms <= self.lag_ms
        )


@dataclass(frozen=True, slots=True)
class Reader:
    """A node that answers, as a place to read from."""

    name: str
    is_primary: bool
    is_current: bool
    """It shows a state of the cluster's newest term."""
    lag_bytes: int = 0
    lag_ms: float = 0.0


def readers(nodes: Sequence[Reader], limits: Limits, *, read_from_primary: bool) -> list[str]:
    """The nodes that take reads, in their order.

    Standbys that still show an older term's state are read from only while there is nobody else, and the primary,
    where it is not to be read from, only while no standby can be: better there than nowhere.
    """
    standbys = [one for one in nodes if not one.is_primary and limits.allow(one.lag_bytes, one.lag_ms)]
    primaries = [one for one in nodes if one.is_primary]
    current = [one for one in standbys if one.is_current]
    chosen = current or primaries
    if read_from_primary:
        chosen = [one for one in nodes if one in current or one.is_primary]
    return [one.name for one in chosen or standbys]
