"""What a node may take, promise and lead, going by terms alone: the rules that keep an ended term ended.

Each takes the newest term that the node itself has promised to (``own``), which is on its disk.
"""

from __future__ import annotations

from collections.abc import Collection

from helios_cli.engine.log.history import History
from helios_cli.engine.types import Term


def may_follow(own: Term, theirs: Term) -> bool:
    """Whether what a node of term ``theirs`` sends is taken. A newer term is promised first."""
    return theirs >= own


def may_promise(own: Term, asked: Term, *, leads: bool, is_loyal: bool = False) -> bool:
    """Whether a candidate gets the promise of ``asked``.

    One that leads, or is about to, gives none, nor does one that ``is_loyal``: it has heard from a primary whose lease
    is not over, and that one did not give the lead away. Of terms of one number, which several nodes have taken at the
    same time, only one gets it: two of them must not be led, whose configurations have the same version. The one that
    was heard of before its candidate asked, from a primary that has promised it and gives the lead away, still may.
    """
    return not leads and not is_loyal and (asked.number > own.number or asked == own)


def gives_way(primary: str, asker: str, giver: str) -> bool:
    """Whether the ``primary`` that has a node's vote asks for it itself, or gives its lead to the ``asker``.

    Both may be empty: a node that has just begun does not know whom it gave its vote to, and nobody may have given the
    lead away.
    """
    return bool(primary) and primary in (asker, giver)


def may_lead(own: Term, taken: Term, log: History) -> bool:
    """Whether a candidate may lead in the term that it took: not when it has promised a newer one meanwhile.

    Whoever got that promise counts on it that this node leads in no older term. Nor when its log has come to hold a
    term of the same number, which another node took at the same time.
    """
    return own == taken and (not log.starts or log.starts[-1].term.number < taken.number)


def may_send_back(own: History, theirs: History) -> bool:
    """Whether a node may tell one that follows it to go back to where their logs part.

    Only when its own log ends in a later term: whoever led that had all that was committed before it. A node that is
    merely behind, as a primary may be that was restarted and does not lead yet, would make the other forget commits.
    """
    if not theirs.starts:
        return True
    return bool(own.starts) and own.starts[-1].term > theirs.starts[-1].term


def is_released(*, elects: bool, voted_for: str, heard: Collection[str]) -> bool:
    """Whether a node may lead that has promised another one, ``voted_for``, that this may; empty: none.

    Where the members elect who leads (``elects``) a majority's promise keeps two from leading both. Of two nodes it
    needs nobody else's: then only if it is ``heard`` of whom it has promised, which promises its term in turn.
    """
    return elects or not voted_for or voted_for in heard
