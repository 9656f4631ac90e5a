"""The decisions that a simulated node takes, and bugs that can be planted in them to prove that the checkers bite."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from helios_cli.engine.consensus.acceptance import may_follow, may_lead, may_promise, may_send_back
from helios_cli.engine.consensus.config import ClusterConfig, Voter
from helios_cli.engine.consensus.election import Candidate, Verdict, judge_all
from helios_cli.engine.consensus.lease import Lease, Loyalty
from helios_cli.engine.consensus.lsns import LsnManager, Pending
from helios_cli.engine.consensus.rule import Progress, SyncMode, reached
from helios_cli.engine.log.history import History
from helios_cli.engine.replication.messages import Answer
from helios_cli.engine.types import Lsn, Term

Judge = Callable[..., Verdict]


@dataclass(frozen=True, slots=True)
class Cores:
    """What the nodes run: the real cores, and the real order of their effects."""

    lsns: type[LsnManager] = LsnManager
    lease: type[Lease] = Lease
    loyalty: type[Loyalty] = Loyalty
    judge_all: Judge = judge_all
    may_follow: Callable[[Term, Term], bool] = may_follow
    may_promise: Callable[..., bool] = may_promise
    may_lead: Callable[[Term, Term, History], bool] = may_lead
    may_send_back: Callable[[History, History], bool] = may_send_back
    leads_to_answer: bool = True
    """Only a node that leads answers that it is the primary."""
    saves_promise: bool = True
    """A promise is on disk before it is given."""
    gives_time: bool = True
    """Whoever has voted leaves that candidate time before it stands itself."""
    checks_fork: bool = True
    """A node whose log parts from the primary's goes back to where it does."""
    acknowledges_written: bool = False
    shows_applied: bool = False
    shows_flushed: bool = False


class _OneCopyLess(LsnManager):
    def _reached(self, config: ClusterConfig) -> Lsn:
        heard = [one.flushed for name, one in self.heard.items() if name in config.in_sync and one.term == self.term]
        needed = max(0, config.copies - 2)
        if needed > len(heard):
            return Lsn(0)
        return min(self.flushed, sorted(heard, reverse=True)[needed - 1]) if needed else self.flushed


class _AnyTerm(LsnManager):
    def acknowledged(self, node_id: str, progress: Progress) -> Lsn:
        return super().acknowledged(node_id, replace(progress, term=self.term))


class _OwnFlushForgotten(LsnManager):
    def _reached(self, config: ClusterConfig) -> Lsn:
        flushed, self.flushed = self.flushed, Lsn(1 << 60)
        try:
            lsn = super()._reached(config)
        finally:
            self.flushed = flushed
        return lsn if lsn < 1 << 60 else flushed


class _EjectsUnagreed(LsnManager):
    def _agreed(self, pending: Pending) -> bool:
        return True


class _TailAtOnce(LsnManager):
    def __init__(
        self,
        node_id: str,
        config: ClusterConfig,
        term: Term,
        flushed: Lsn = Lsn(0),
        begins: Lsn = Lsn(0),
        inherited: tuple[ClusterConfig, ...] = (),
    ) -> None:
        super().__init__(node_id, config, term, flushed, inherited=inherited)


class _NotJoint(LsnManager):
    def propose(self, config: ClusterConfig, end: Lsn) -> Lsn:
        if config.loosens(self.config) or self.pending is not None:
            return super().propose(config, end)
        self._in_force(config)
        return self.advance()


class _OldRuleAlone(LsnManager):
    def advance(self) -> Lsn:
        pending = self.pending
        if pending is not None and pending.config.loosens(self.config) and not self._agreed(pending):
            lsn = self._reached(self.config)
            self.committed = max(self.committed, lsn if lsn > self._begins else Lsn(0))
            return self.committed
        return super().advance()


class _Falling(LsnManager):
    def advance(self) -> Lsn:
        self.committed = Lsn(0)
        return super().advance()


class _Endless(Lease):
    def until(self, voters: Iterable[Voter]) -> float:
        return math.inf


class _ObserverCounts(LsnManager):
    def observes(self, node_id: str, incarnation: str, term: Term, version: int) -> Lsn:
        if term == self.term:
            self.heard[node_id] = Progress(term, self.flushed, self.flushed, self.flushed)
        return super().observes(node_id, incarnation, term, version)

    def _reached_in(self, mode: SyncMode, config: ClusterConfig) -> Lsn:
        watching = tuple(one.node_id for one in config.observers)
        copies = reached(mode, (*config.in_sync, *watching), self.node_id, self.flushed, self.heard, self.term)
        return max(copies, super()._reached_in(mode, config)) if watching else super()._reached_in(mode, config)


def _observers_unheeded(
    configs: Sequence[ClusterConfig], own: Candidate, answers: Iterable[Answer], *, unasked: bool = False
) -> Verdict:
    return judge_all(configs, own, [replace(answer, config="") for answer in answers], unasked=unasked)


class _Fickle(Loyalty):
    def holds(self, now: float) -> bool:
        return False


def _without_terms(
    configs: Sequence[ClusterConfig], own: Candidate, answers: Iterable[Answer], *, unasked: bool = False
) -> Verdict:
    plain = [replace(answer, last_term=1, last_term_id=0, config_version=0) for answer in answers]
    return judge_all(configs, replace(own, last_term=Term(1), config_version=0), plain, unasked=unasked)


def _anybody(
    configs: Sequence[ClusterConfig], own: Candidate, answers: Iterable[Answer], *, unasked: bool = False
) -> Verdict:
    verdict = judge_all(configs, own, answers, unasked=unasked)
    return Verdict() if "must be heard" in verdict.reason or "must agree" in verdict.reason else verdict


def _by_copies_alone(
    configs: Sequence[ClusterConfig], own: Candidate, answers: Iterable[Answer], *, unasked: bool = False
) -> Verdict:
    verdict = judge_all(configs, own, heard := list(answers), unasked=unasked)
    names = {own.node_id, *(answer.node_id for answer in heard)}
    enough = all(len(names & set(one.in_sync)) >= one.mode.answers(len(one.in_sync)) for one in configs)
    return Verdict() if enough and "must agree" in verdict.reason else verdict


def _follow_always(own: Term, theirs: Term) -> bool:
    return True


def _send_back_always(own: History, theirs: History) -> bool:
    return True


def _lead_always(own: Term, taken: Term, log: History) -> bool:
    return True


class Bug(NamedTuple):
    """A mistake that could be made."""

    text: str
    cores: Cores


BUGS: Final[Mapping[str, Bug]] = {
    "one-copy-less": Bug("a commit is acknowledged with one copy fewer than its mode wants", Cores(lsns=_OneCopyLess)),
    "any-term": Bug("an acknowledgement counts in whatever term it was given", Cores(lsns=_AnyTerm)),
    "own-flush-forgotten": Bug("the primary's own flush is no condition", Cores(lsns=_OwnFlushForgotten)),
    "promise-in-memory": Bug("a promise is given before it is on disk", Cores(saves_promise=False)),
    "promise-broken": Bug(
        "a candidate leads although it has promised a newer term", Cores(may_lead=_lead_always, gives_time=False)
    ),
    "old-term-followed": Bug("records of an ended term are taken", Cores(may_follow=_follow_always)),
    "primary-shows-flushed": Bug("the primary shows what only it has", Cores(shows_flushed=True)),
    "standby-shows-applied": Bug("a standby shows what is not committed", Cores(shows_applied=True)),
    "lsns-without-terms": Bug("a candidate compares LSNs without their terms", Cores(judge_all=_without_terms)),
    "nobody-heard": Bug("a candidate leads whoever answers", Cores(judge_all=_anybody)),
    "minority-elects": Bug("members that may have been ejected are enough to elect", Cores(judge_all=_by_copies_alone)),
    "ejection-unagreed": Bug("a member is ejected before that is agreed", Cores(lsns=_EjectsUnagreed)),
    "tail-at-once": Bug("an inherited tail is committed before the term's first record", Cores(lsns=_TailAtOnce)),
    "fork-not-cut": Bug("a node that comes back keeps records that the primary has not", Cores(checks_fork=False)),
    "sent-back-by-anybody": Bug(
        "a primary that was restarted makes those ahead of it go back",
        Cores(may_send_back=_send_back_always, leads_to_answer=False),
    ),
    "loosened-at-once": Bug(
        "while members leave, only the configuration before that counts", Cores(lsns=_OldRuleAlone)
    ),
    "not-joint": Bug("a new member's copies count before the change is committed", Cores(lsns=_NotJoint)),
    "written-acknowledged": Bug("what is not on disk is acknowledged as flushed", Cores(acknowledges_written=True)),
    "endless-lease": Bug("a primary acknowledges although its lease is over", Cores(lease=_Endless)),
    "fickle-voters": Bug("voters vote although the primary's lease is not over", Cores(loyalty=_Fickle)),
    "observer-counts": Bug("an observer's word counts as a copy", Cores(lsns=_ObserverCounts)),
    "observer-unheeded": Bug(
        "a candidate does not go by the configuration that an observer knows", Cores(judge_all=_observers_unheeded)
    ),
    "committed-falls": Bug("the committed LSN follows what was heard last", Cores(lsns=_Falling)),
}
"""By name. Each is found by the checkers within a few seeds, as the tests show."""
