"""When a node that does not answer is called unhealthy, and how soon it is asked again."""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

RETRY_S: Final = 0.1
"""From a failed attempt to connect to the next."""
RETRY_MAX_S: Final = 1.0
RETRY_GROWTH: Final = 1.5

PING_S: Final = 0.25
"""Between two questions to a node where something is in hand, or of which something suspicious was heard."""


class Told(Enum):
    """What is to be said of a node after a check."""

    NOTHING = auto()
    UNHEALTHY = auto()
    HEALTHY = auto()


class Health:
    """The checks of one node. It is given statements by its last check; what is *said* of it waits for a few."""

    def __init__(self, threshold: int) -> None:
        """``threshold``: so many failed checks in a row are worth saying."""
        self.threshold = max(1, threshold)
        self.failures = 0
        """In a row."""
        self.is_answering = False
        """By its last check."""
        self.said: bool | None = None
        """What was last said of it: whether it is healthy; None: nothing yet."""

    def answered(self) -> Told:
        """It has answered a check."""
        self.failures = 0
        self.is_answering = True
        if self.said is True:
            return Told.NOTHING
        self.said = True
        return Told.HEALTHY

    def broke(self) -> None:
        """Its connection ended, or somebody suspects it: it gets nothing until it has answered a check."""
        self.is_answering = False

    def failed(self) -> Told:
        """A check failed: nobody listens, or there was no answer in time."""
        self.failures += 1
        self.is_answering = False
        if self.failures < self.threshold or self.said is False:
            return Told.NOTHING
        self.said = False
        return Told.UNHEALTHY

    @property
    def retry_s(self) -> float:
        """How long to wait before the next attempt: at once, then longer each time, up to :data:`RETRY_MAX_S`."""
        if not self.failures:
            return 0.0
        return float(min(RETRY_MAX_S, RETRY_S * RETRY_GROWTH ** min(self.failures - 1, 50)))
