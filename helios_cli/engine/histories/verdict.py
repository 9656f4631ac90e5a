"""What a checker says of a history."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Outcome(Enum):
    """Whether a correct database could have answered so."""

    VALID = "valid"
    INVALID = "invalid"
    UNKNOWN = "unknown"
    """The budget was spent before it was certain. Not a pass."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome, and what a person needs to see why."""

    outcome: Outcome
    reasons: tuple[str, ...] = ()
    """A sentence for each thing that is wrong; of UNKNOWN what was spent. Empty when valid."""

    @property
    def is_valid(self) -> bool:
        """Certainly right."""
        return self.outcome is Outcome.VALID

    @staticmethod
    def of(reasons: list[str]) -> Verdict:
        """Valid when there is nothing wrong."""
        return Verdict(Outcome.INVALID if reasons else Outcome.VALID, tuple(reasons))
