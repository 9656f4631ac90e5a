"""Who has led, as the checkers of a simulated run know it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from helios_cli.engine.consensus.config import ClusterConfig
from helios_cli.engine.types import Lsn, Term

if TYPE_CHECKING:
    from helios_cli.engine.sim.node import SimNode


@dataclass
class Leader:
    """One term that began."""

    node: SimNode
    life: int
    term: Term
    log: Mapping[Lsn, int]
    """Checksums of what it began with, by LSN, which rise."""
    begins: Lsn
    """Where that ends."""
    excused: bool
    """It was promoted although commits might be lost, and the operator knew."""
    in_force: tuple[ClusterConfig, ...]
    """A commit must satisfy them all."""
    pending: tuple[ClusterConfig, Lsn] | None = None
    open_from: Lsn | None = None
    """Where the first change that is not agreed ends, or before; None while all are agreed."""
    beside: tuple[ClusterConfig, ...] = ()
    """What the primary compares that with; it cannot know yet that one of them is in force, and counts older ones."""
    committed: Lsn = Lsn(0)
    rules: list[tuple[Lsn, list[ClusterConfig]]] = field(default_factory=list)
    """How far its log was committed each time that came further, and what a commit had to satisfy then."""
    alone: bool = False
    """One of two data nodes, promoted without having heard of the other."""
    outsider: bool = False
    """It was promoted at any price although its copies did not count: its term promises nothing."""
    elected: bool = False
    """By a majority of voters whose word to others was over."""
    terms: frozenset[Term] = frozenset()
    """Of its log when it began, and its own."""
