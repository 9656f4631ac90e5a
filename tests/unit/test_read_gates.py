"""What a session's queries wait for, with a node of which only the positions are real."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from helios_cli.engine.errors import HeliosError
from helios_cli.engine.log.history import History, TermStart
from helios_cli.engine.node import consistency
from helios_cli.engine.types import Lsn, Term, Token

FIRST, SECOND = Term(1, 7), Term(2, 9)


class Pipeline:
    """Positions, and who waits for one."""

    def __init__(self) -> None:
        self.committed_lsn = Lsn(10)
        self.committed_seq = 0
        self.applied = Lsn(10)
        self.waiting: list[tuple[int, Callable[[], None]]] = []

    def applied_lsn(self) -> Lsn:
        return self.applied

    def after_lsn(self, lsn: Lsn, callback: Callable[[], None]) -> Callable[[], None]:
        self.waiting.append((lsn, callback))
        return lambda: None

    def commit(self, lsn: int) -> None:
        self.committed_lsn = Lsn(lsn)
        reached = [entry for entry in self.waiting if entry[0] <= lsn]
        self.waiting = [entry for entry in self.waiting if entry[0] > lsn]
        for _, callback in reached:
            callback()


class Session:
    """As much of a session as its gate looks at."""

    def __init__(self, *, settles: bool = False) -> None:
        self.pipeline = Pipeline()
        self.log = History([TermStart(FIRST, Lsn(0))])
        timer = SimpleNamespace(cancel=lambda: None)
        self.engine: Any = SimpleNamespace(
            pipeline=self.pipeline, history=lambda: self.log, settles_reads=settles, standby_refusal=object(),
            forwarder=object(), loop=SimpleNamespace(call_later=lambda _seconds, _callback: timer),
        )  # fmt: skip
        self.values = {consistency.LEVEL: "session", consistency.MIN_LSN: "", consistency.TIMEOUT: "5s"}
        self.gate: consistency.ReadGate | None = None
        self.floor_seq = 0
        self.floors: list[Token] = []
        self.let_through = self.closed = False
        self.transaction = None
        self.runner = SimpleNamespace(hold=None)
        self.failures: list[HeliosError] = []
        self.failed = self.failures.append
        self.runs = 0

    @property
    def floor_lsn(self) -> Lsn:
        return max((token.lsn for token in self.floors), default=Lsn(0))

    def show(self, name: str) -> str:
        return self.values[name]

    def set(self, name: str, value: str) -> None:
        self.values[name] = value
        consistency.variable_set(self, name, value)  # type: ignore[arg-type]

    def arm_timeouts(self) -> None: ...

    def disarm_timeouts(self) -> None: ...

    def query(self) -> None:
        """A query comes, or comes again after its wait."""
        frontend: Any = SimpleNamespace(session=self, wait=lambda: None, again=lambda action: action())
        if not consistency.held(frontend, self.query):
            self.runs += 1

    def wrote(self, lsn: int, term: Term) -> None:
        consistency.wrote(self, Token(Lsn(lsn), term))  # type: ignore[arg-type]


def test_in_sync_mode_a_query_waits_for_what_was_applied_when_it_came() -> None:
    session = Session(settles=True)
    session.query()
    assert session.runs == 1
    session.pipeline.applied = Lsn(20)
    session.query()
    assert (session.runs, [lsn for lsn, _ in session.pipeline.waiting]) == (1, [20])
    # More has been applied meanwhile: that is not its business, or it would never come to an end.
    session.pipeline.applied = Lsn(30)
    session.pipeline.commit(20)
    assert session.runs == 2
    session.query()
    assert session.runs == 2
    session.pipeline.commit(30)
    assert session.runs == 3
    session.pipeline.applied = Lsn(40)
    session.set(consistency.LEVEL, "eventual")
    session.query()
    assert session.runs == 4


def test_elsewhere_only_the_level_committed_waits_for_it() -> None:
    session = Session()
    session.pipeline.applied = Lsn(20)
    session.query()
    assert session.runs == 1
    session.set(consistency.LEVEL, "committed")
    session.query()
    assert session.runs == 1
    session.pipeline.applied = Lsn(30)
    session.pipeline.commit(20)
    assert session.runs == 2


def test_own_writes_are_waited_for_in_the_term_that_took_them() -> None:
    session = Session()
    session.wrote(15, FIRST)
    assert str(consistency.seen(session)) == "0/F@1-7"  # type: ignore[arg-type]
    session.query()
    assert session.runs == 0
    session.pipeline.commit(15)
    assert (session.runs, session.gate) == (1, None)
    # The next term begins at 15 and is not here yet: 18 of this log would be another state.
    session.wrote(18, SECOND)
    session.query()
    session.pipeline.commit(17)
    session.pipeline.commit(20)
    assert session.runs == 1
    session.log = session.log.followed_by(SECOND, Lsn(15))
    session.pipeline.commit(21)
    assert (session.runs, session.gate, session.failures) == (2, None, [])


def test_own_writes_that_were_given_up_are_told_once() -> None:
    session = Session()
    session.wrote(50, FIRST)
    session.log = session.log.followed_by(SECOND, Lsn(12))
    session.wrote(14, SECOND)
    session.pipeline.commit(60)  # As a number 50 is there.
    with pytest.raises(consistency.StateGone, match="wrote up to 0/32@1-7 is not in this database"):
        session.query()
    session.query()
    assert (session.runs, session.gate) == (1, None)
    assert str(consistency.seen(session)) == "0/3C@2-9"  # type: ignore[arg-type]


def test_a_query_that_waits_hears_that_its_state_is_gone() -> None:
    session = Session()
    session.set(consistency.MIN_LSN, "0/32@1-7")
    session.query()
    session.log = session.log.followed_by(SECOND, Lsn(12))
    session.pipeline.commit(60)
    assert session.runs == 0
    assert [error.sqlstate for error in session.failures] == ["NH020"]
    session.set(consistency.MIN_LSN, "0/32")  # An LSN alone is taken at its word.
    session.query()
    assert session.runs == 1
