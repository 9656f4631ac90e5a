"""What nodes promise each other, and whether they keep it: one vote per term, terms that never fall."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from helios_cli.engine.sim.violation import Violation
from helios_cli.engine.types import Term

if TYPE_CHECKING:
    from helios_cli.engine.sim.node import SimNode
    from helios_cli.engine.sim.observer import SimObserver


class Promises:
    """Of one run. Each check raises :class:`Violation`."""

    def __init__(self) -> None:
        self._promised: dict[str, Term] = {}
        """By disk, the newest term."""
        self._votes: dict[tuple[str, Term], str] = {}
        """For whom, by disk and term."""

    def started(self, node: SimNode | SimObserver) -> None:
        """A node has read its disk."""
        promised = self._promised.get(node.incarnation, Term(0))
        if node.term < promised:
            raise Violation("promise kept", f"{node.name} promised term {promised} and wakes up in term {node.term}")

    def promised(self, node: SimNode | SimObserver, term: Term) -> None:
        """A node says that it acts in no older term than this; it votes for nobody else in it."""
        before = self._promised.get(node.incarnation, term)
        if term < before:
            raise Violation("terms never fall", f"{node.name} promised term {before} and goes on in {term}")
        if node.disk.kept_term() < term:
            raise Violation("promise kept", f"{node.name} promises term {term}, which is not on its disk")
        self._promised[node.incarnation] = term

    def voted(self, node: SimNode | SimObserver, term: Term, candidate: str) -> None:
        """A node gives its vote, perhaps to itself."""
        before = self._votes.setdefault((node.incarnation, term), candidate)
        if before != candidate:
            raise Violation(
                "one vote per term", f"{node.name} votes for {candidate} in term {term}, and did for {before}"
            )

    def taken(self, node: SimNode, term: Term) -> None:
        """A node takes records that were sent in a term."""
        promised = self._promised.get(node.incarnation, Term(0))
        if term < promised:
            raise Violation(
                "promise kept", f"{node.name} takes records of term {term}, and has promised term {promised}"
            )

    def leads(self, node: SimNode, heard: Collection[str], led: Collection[Term]) -> None:
        """A node begins to lead, and no operator has told it to: the one that it has voted for last does not.

        A majority's promise sees to that. One of two, who needs nobody else, has to hear of it. ``led`` are the terms
        that somebody has led in.
        """
        if all(config.elects for config in node.open_configs):
            return
        last = node.log.last_term
        given = {
            term: candidate
            for (disk, term), candidate in self._votes.items()
            if disk == node.incarnation and last < term and candidate != node.name
        }
        term = max(given, default=last)
        if term in given and term in led and given[term] not in heard:
            raise Violation(
                "a vote is not taken back",
                f"{node.name} leads, and has promised term {term}, in which {given[term]} does",
            )
