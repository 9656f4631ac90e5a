"""What a check has found, of a machine or of a cluster."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check."""

    check: str
    verdict: str
    """``ok``, ``warning`` or ``failed``."""
    detail: str
    hint: str = ""
