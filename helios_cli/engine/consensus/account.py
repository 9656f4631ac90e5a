"""An election told in sentences: who was heard, whose votes and copies count, and what would change the outcome."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from helios_cli.engine.consensus.config import ETCD, REFEREE, ClusterConfig
from helios_cli.engine.consensus.election import SICK, TAKES_LEAD, Answer, Candidate, Verdict
from helios_cli.engine.consensus.lease import majority
from helios_cli.engine.consensus.rule import SyncMode
from helios_cli.engine.types import Lsn, Term

GRANTED, REFUSED, SILENT, STRANGE = "granted", "refused", "silent", "other disk"


@dataclass(frozen=True, slots=True)
class Ballot:
    """What became of one node in an election."""

    node_id: str
    votes: bool
    """It is one of the voters."""
    copies: bool
    """Its copies count."""
    outcome: str
    """``granted``, ``refused``, ``silent``, or ``other disk``: it has lost what it had promised."""
    lsn: Lsn | None
    """Where its log ends; None: it was not heard, or holds no data."""
    sentence: str

    def record(self) -> dict[str, Any]:
        """As the fields of an event."""
        return {
            "node_id": self.node_id, "votes": self.votes, "copies": self.copies, "outcome": self.outcome,
            "lsn": None if self.lsn is None else str(self.lsn), "why": self.sentence,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Account:
    """One election."""

    candidate: str
    term: Term
    is_won: bool
    sentence: str
    """What was decided, and by what."""
    change: str
    """What would have changed it; empty when nothing need be."""
    votes: int
    votes_needed: int
    copies: int
    copies_needed: int
    """0 in async mode, where none are asked for."""
    ballots: tuple[Ballot, ...]

    def record(self) -> dict[str, Any]:
        """As the fields of an event."""
        return {
            "candidate": self.candidate, "term": self.term.number, "won": self.is_won, "votes": self.votes,
            "votes_needed": self.votes_needed, "copies": self.copies, "copies_needed": self.copies_needed,
            "change": self.change, "ballots": [ballot.record() for ballot in self.ballots],
        }  # fmt: skip


def account(
    config: ClusterConfig, own: Candidate, term: Term, answers: Iterable[Answer], verdict: Verdict, *, unasked: bool
) -> Account:
    """Tell of an election by its newest configuration; ``verdict`` is what was decided by all that may be in force.

    ``answers`` are those of whoever was heard; only what was promised has counted.
    """
    heard = {answer.node_id: answer for answer in answers}
    voters = config.voters(config.primary)
    names = sorted({*voters, *(member.node_id for member in config.members)} | {own.node_id})
    ballots = tuple(_ballot(config, own, term, name, name in voters, heard.get(name)) for name in names)
    given = [one for one in ballots if one.outcome == GRANTED]
    votes = sum(1 for one in given if one.votes)
    copies = sum(1 for one in given if one.copies)
    alone = not config.elects
    needed = 0 if alone else majority(len(voters)) if unasked else len(voters) - len(voters) // 2
    wanted = 0 if config.mode is SyncMode.ASYNC else config.answers
    if verdict.is_safe:
        sentence = f"node {own.node_id} leads in term {term}: {_counts(votes, needed, voters, copies, wanted, config)}"
        silent = [one.node_id for one in ballots if one.outcome == SILENT]
        sentence += f"; nothing was heard of {', '.join(silent)}" if silent else ""
    else:
        sentence = f"node {own.node_id} does not lead in term {term}: {verdict.reason}"
    return Account(own.node_id, term, verdict.is_safe, sentence, verdict.hint, votes, needed, copies, wanted, ballots)


def withheld(verdict: Verdict, term: Term, answers: Iterable[Answer]) -> Verdict:
    """The verdict in words that are so where nobody is missing: those who answered have not promised."""
    refused = sorted((one for one in answers if not one.promised), key=lambda one: one.node_id)
    reasons = [
        _etcd(one).sentence if one.node_id == REFEREE else f"node {one.node_id} did not promise: {_refusal(one, term)}"
        for one in refused
    ]
    return verdict._replace(reason="; ".join(reasons), hint="Ask again in a moment.")


def _ballot(config: ClusterConfig, own: Candidate, term: Term, name: str, votes: bool, answer: Answer | None) -> Ballot:
    copies = name in config.in_sync
    if name == own.node_id:
        return Ballot(name, votes, copies, GRANTED, own.flushed, f"node {name} is the candidate: {_end(own.flushed)}")
    if name == REFEREE:
        return _etcd(answer)
    if answer is None:
        return Ballot(name, votes, copies, SILENT, None, f"nothing was heard of node {name}")
    lsn = None if answer.role == "observer" else Lsn(answer.flushed)
    known = config.incarnation(name)
    if known is not None and known != answer.incarnation:
        why = f"node {name} has another disk than it had: it does not know what it has promised"
        return Ballot(name, votes, copies, STRANGE, lsn, why)
    if not answer.promised:
        return Ballot(name, votes, copies, REFUSED, lsn, f"node {name} did not promise: {_refusal(answer, term)}")
    return Ballot(name, votes, copies, GRANTED, lsn, f"node {name} promised: {_position(own, answer)}")


def _etcd(answer: Answer | None) -> Ballot:
    if answer is None:
        told = "etcd was not reached, or does not know the cluster's configuration"
        return Ballot(REFEREE, True, False, SILENT, None, told)
    if not answer.promised:
        return Ballot(REFEREE, True, False, REFUSED, None, f"etcd keeps the lead for {answer.primary_id}")
    return Ballot(REFEREE, True, False, GRANTED, None, "etcd gives the lead to the candidate")


def _refusal(answer: Answer, term: Term) -> str:
    if answer.role == SICK:
        return "it is the primary, and its disk takes nothing"
    if answer.role == "primary":
        return f"it is the primary of term {answer.term}"
    if answer.reaches_primary:
        return f"it still hears the primary {answer.primary_id}"
    if answer.role == TAKES_LEAD:
        return f"it is about to lead in term {answer.term}"
    if answer.term >= term.number:
        return f"it has given its vote in term {answer.term}"
    return "its vote is not free yet, and may be a primary's that it has heard of"


def _position(own: Candidate, answer: Answer) -> str:
    if answer.role == "observer":
        return "it holds no data"
    mine, theirs = (own.last_term, own.flushed), (Term(answer.last_term, answer.last_term_id), Lsn(answer.flushed))
    if theirs > mine:
        return f"{_end(theirs[1])}, ahead of the candidate"
    if theirs == mine:
        return f"{_end(theirs[1])}, as the candidate's does"
    behind = f"{mine[1] - theirs[1]} bytes behind" if theirs[1] < mine[1] else f"of the older term {theirs[0]}"
    return f"{_end(theirs[1])}, {behind}"


def _end(lsn: Lsn) -> str:
    return f"its log ends at {lsn}"


def _counts(votes: int, needed: int, voters: Sequence[str], copies: int, wanted: int, config: ClusterConfig) -> str:
    told = "etcd gives it the lead" if config.authority == ETCD else _votes(votes, needed, voters)
    if wanted:
        told += f"; {copies} of the {len(config.in_sync)} nodes whose copies count, {wanted} needed, none ahead of it"
    return told


def _votes(votes: int, needed: int, voters: Sequence[str]) -> str:
    return f"{votes} of the {len(voters)} votes, {needed} needed" if needed else f"only {voters[0]} votes"
