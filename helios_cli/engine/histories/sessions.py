"""Whether a cluster has kept what it told sessions that write numbered rows, and read them back, while nodes were lost.

Each session numbers its rows from 1 and writes no number twice. Rows have no key, so that what was done twice is there
twice. Whether a *row* is a session's own is told by the session's number:

    told = Told(writes=[Write(1, (1,), 0.0, 0.5, Outcome.ACKNOWLEDGED)], reads=[])
    judge(told, {"n1": [(1, 1)], "n2": []}, durable=True)   # n2: acknowledged and lost
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from helios_cli.engine.types import Term

Row = tuple[int, int]
"""Session and number."""

SHOWN: Final = 20
"""So many rows of a finding are named."""


class Outcome(Enum):
    """What a session was told of a write."""

    ACKNOWLEDGED = "acknowledged"
    REFUSED = "refused"
    """It was certainly not done."""
    UNKNOWN = "unknown"
    """It may be there or not."""


@dataclass(frozen=True, slots=True)
class Write:
    """One write. Times are of one clock for all sessions."""

    session: int
    numbers: tuple[int, ...]
    """Of its rows; several are one transaction."""
    sent: float
    answered: float
    """``math.inf`` where no answer came."""
    outcome: Outcome
    term: Term | None = None
    """In which it was acknowledged, as the session was told; None: it was not asked."""


@dataclass(frozen=True, slots=True)
class Read:
    """One look at the newest rows of a session."""

    reader: int
    """The session that looked."""
    of: int
    """The session whose rows it saw."""
    numbers: tuple[int, ...]
    """Those that it saw."""
    last: int
    """Of its own rows: the number that was acknowledged last before it asked; 0: none, or rows of another session."""
    sent: float


@dataclass(slots=True)
class Told:
    """All that the sessions were told."""

    writes: list[Write] = field(default_factory=list)
    reads: list[Read] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that must not be."""

    kind: str
    """``lost``, ``twice``, ``refused``, ``foreign``, ``half``, ``stale``, ``taken-back`` or ``two-primaries``."""
    text: str
    rows: tuple[Row, ...] = ()
    """The first of those that it is about."""
    moments: tuple[float, ...] = ()
    """When each of them was acknowledged or seen; as many as ``rows``."""


TEXTS: Final = {
    "lost": "acknowledged, and not there",
    "twice": "there more than once",
    "refused": "there although the client was told that they were not written",
    "foreign": "there, and never written",
    "half": "of a transaction of which the rest is not there",
    "taken-back": "shown to a reader, and not there in the end",
}


def judge(told: Told, there: Mapping[str, Sequence[Row]], *, durable: bool) -> list[Finding]:
    """What is wrong, given the rows that each node has in the end, by the node's name.

    Without ``durable`` the cluster has not promised that acknowledged rows, or rows that were read, survive the loss of
    a node; then nobody must have them, and all else holds.
    """
    found = []
    for node, rows in sorted(there.items()):
        found += [_named(one, node) for one in judge_rows(told, rows, durable=durable)]
    found += stale_reads(told.reads) if durable else []
    return found + two_primaries(told.writes)


def _named(one: Finding, node: str) -> Finding:
    return Finding(one.kind, f"{node}: {one.text}", one.rows, one.moments)


def judge_rows(told: Told, rows: Sequence[Row], *, durable: bool) -> list[Finding]:
    """What is wrong with the rows of one node."""
    times = Counter(rows)
    by_outcome: dict[Outcome, dict[Row, float]] = {outcome: {} for outcome in Outcome}
    for one in told.writes:
        by_outcome[one.outcome].update({(one.session, number): one.answered for number in one.numbers})
    acknowledged, refused = by_outcome[Outcome.ACKNOWLEDGED], by_outcome[Outcome.REFUSED]
    known = {row for written in by_outcome.values() for row in written}
    found = [
        _finding("twice", {row: acknowledged.get(row, 0.0) for row, count in times.items() if count > 1}),
        _finding("refused", {row: refused[row] for row in refused if row in times}),
        _finding("foreign", dict.fromkeys(times.keys() - known, 0.0)),
        _finding("half", _halves(told.writes, times)),
    ]
    if durable:
        seen = {(one.of, number): one.sent for one in told.reads for number in one.numbers}
        found.insert(0, _finding("lost", lost_rows(told, times)))
        found.append(_finding("taken-back", _without(seen, times)))
    return [one for one in found if one is not None]


def lost_rows(told: Told, rows: Collection[Row]) -> dict[Row, float]:
    """The rows that were acknowledged and are not there, and when each was acknowledged."""
    return {
        (one.session, number): one.answered
        for one in told.writes
        if one.outcome is Outcome.ACKNOWLEDGED
        for number in one.numbers
        if (one.session, number) not in rows
    }


def _without(wanted: Mapping[Row, float], there: Collection[Row]) -> dict[Row, float]:
    return {row: moment for row, moment in wanted.items() if row not in there}


def _halves(writes: Iterable[Write], there: Collection[Row]) -> dict[Row, float]:
    """Rows of transactions of which some rows are there and others are not."""
    found = {}
    for one in writes:
        here = [number for number in one.numbers if (one.session, number) in there]
        if 0 < len(here) < len(one.numbers):
            found.update({(one.session, number): one.answered for number in here})
    return found


def _finding(kind: str, rows: Mapping[Row, float]) -> Finding | None:
    if not rows:
        return None
    shown = sorted(rows)[:SHOWN]
    count = "1 row" if len(rows) == 1 else f"{len(rows)} rows"
    names = ", ".join(f"{session}:{number}" for session, number in shown[:5]) + (", ..." if len(rows) > 5 else "")
    return Finding(kind, f"{count} {TEXTS[kind]}: {names}", tuple(shown), tuple(rows[row] for row in shown))


def stale_reads(reads: Iterable[Read]) -> list[Finding]:
    """Reads by which a session did not see the row of its own that had been acknowledged last."""
    stale = [one for one in reads if one.last and one.last not in one.numbers]
    if not stale:
        return []
    first = stale[0]
    newest = max(first.numbers, default=0)
    text = (
        f"{len(stale)} reads did not show what their own session had written: session {first.reader} had {first.last}"
    )
    return [
        Finding(
            "stale", f"{text} acknowledged and saw up to {newest}",
            tuple((one.of, one.last) for one in stale[:SHOWN]), tuple(one.sent for one in stale[:SHOWN]),
        )
    ]  # fmt: skip


def two_primaries(writes: Iterable[Write]) -> list[Finding]:
    """Writes that were acknowledged by two primaries of one term, or by one whose term was over.

    A term is over as soon as a write of a newer one has been answered: what is sent after that must not be acknowledged
    in the old one.
    """
    told = [one for one in writes if one.outcome is Outcome.ACKNOWLEDGED and one.term is not None]
    return [*_one_term_twice(told), *_late_terms(told)]


def _one_term_twice(writes: Iterable[Write]) -> list[Finding]:
    by_number: dict[int, dict[int, Write]] = {}
    for one in writes:
        assert one.term is not None
        by_number.setdefault(one.term.number, {}).setdefault(one.term.term_id, one)
    return [
        Finding(
            "two-primaries", f"{len(ids)} primaries have acknowledged writes in term {number}",
            tuple((one.session, one.numbers[0]) for one in ids.values()), tuple(one.answered for one in ids.values()),
        )
        for number, ids in sorted(by_number.items())
        if len(ids) > 1
    ]  # fmt: skip


def _late_terms(writes: Sequence[Write]) -> list[Finding]:
    answers = sorted((one.answered, one.term.number) for one in writes if one.term is not None)
    newest, at = 0, 0
    late: dict[Row, float] = {}
    worst: Write | None = None
    for one in sorted(writes, key=lambda one: one.sent):
        while at < len(answers) and answers[at][0] < one.sent:
            newest, at = max(newest, answers[at][1]), at + 1
        if one.term is not None and one.term.number < newest:
            late[one.session, one.numbers[0]] = one.answered
            worst = worst or one
    if worst is None or worst.term is None:
        return []
    text = f"{len(late)} writes were acknowledged in a term that was over, the first in term {worst.term.number}"
    shown = sorted(late)[:SHOWN]
    return [Finding("two-primaries", text, tuple(shown), tuple(late[row] for row in shown))]
