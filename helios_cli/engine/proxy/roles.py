"""Which node leads, by what all of them say.

The term decides: a HeliosDB cluster's own, the timeline of plain PostgreSQL. Whoever claims to lead in a term below
the highest that anybody has led in was replaced, and does not know it yet.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Claim:
    """What one node says of itself."""

    name: str
    leads: bool
    """It takes writes."""
    term: int
    """The one that it leads in, or that the newest thing it shows was written in; 0: not known."""
    answers: bool = True
    """It has answered its last check."""
    is_hinted: bool = False
    """The configuration calls it the primary."""


@dataclass(frozen=True, slots=True)
class Lead:
    """Who leads."""

    primary: str | None
    """None: nobody is known to who answers."""
    term: int
    """The highest that anybody has led in."""
    deposed: tuple[str, ...] = ()
    """Who claims to lead and does not, in the order of the claims."""


def lead_of(claims: Iterable[Claim], *, known_term: int, current: str | None) -> Lead:
    """Who leads, given the highest term heard so far and whom the proxy takes for the primary.

    Of several in the highest term, which only plain PostgreSQL servers without fencing can be, the ``current`` one
    stays while it answers; else the one that the configuration names, else the first.
    """
    claims = list(claims)
    term = max((one.term for one in claims if one.leads), default=0)
    term = max(term, known_term)
    rightful = [one for one in claims if one.leads and one.term >= term]
    answering = [one for one in rightful if one.answers]
    primary = next((one.name for one in answering if one.name == current), None)
    if primary is None:
        primary = next((one.name for one in answering if one.is_hinted), None)
    if primary is None and answering:
        primary = answering[0].name
    leader = primary if primary is not None or len(rightful) != 1 else rightful[0].name
    deposed = tuple(one.name for one in claims if one.leads and one.name != leader)
    return Lead(primary, term, deposed)
