"""Histories of terms against logs that are spelled out record by record."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helios_cli.engine.errors import LogDamaged
from helios_cli.engine.log.history import History, TermStart
from helios_cli.engine.types import Lsn, Term, Token

Log = list[Term]
"""The term of each record; a record is ten bytes."""
RECORD = 10


def history_of(log: Log) -> History:
    starts = [TermStart(term, Lsn(at * RECORD)) for at, term in enumerate(log) if at == 0 or log[at - 1] != term]
    return History(starts)


def common_end(one: Log, other: Log) -> int:
    """Record by record: how far two logs agree."""
    count = 0
    for mine, theirs in zip(one, other, strict=False):
        if mine != theirs:
            break
        count += 1
    return count * RECORD


@st.composite
def two_logs(draw: st.DrawFn) -> tuple[Log, Log]:
    """One beginning, and two ways it went on; terms rise, and the same number may have been taken twice."""
    number = draw(st.integers(1, 3))
    shared: Log = []
    for _ in range(draw(st.integers(0, 4))):
        shared += [Term(number, 7)] * draw(st.integers(1, 4))
        number += draw(st.integers(1, 2))
    logs: list[Log] = []
    for owner in (1, 2):
        log = list(shared)
        if shared:
            log += [shared[-1]] * (draw(st.integers(0, 3)) if owner == 1 else 0)
        own = number
        for _ in range(draw(st.integers(0, 3))):
            log += [Term(own, owner)] * draw(st.integers(1, 4))
            own += draw(st.integers(1, 2))
        logs.append(log)
    return logs[0], logs[1]


@given(two_logs())
def test_the_fork_is_where_the_records_part(logs: tuple[Log, Log]) -> None:
    one, other = logs
    ends = Lsn(len(one) * RECORD), Lsn(len(other) * RECORD)
    expected = common_end(one, other)
    assert history_of(one).fork(ends[0], history_of(other), ends[1]) == expected
    assert history_of(other).fork(ends[1], history_of(one), ends[0]) == expected


@given(two_logs(), st.integers(0, 400))
def test_the_term_of_a_byte_and_a_rewind(logs: tuple[Log, Log], at: int) -> None:
    log, _ = logs
    history = history_of(log)
    if at < len(log) * RECORD:
        assert history.term_at(Lsn(at)) == log[at // RECORD]
    kept = min(at // RECORD, len(log))
    assert history.cut_at(Lsn(kept * RECORD)) == history_of(log[:kept])
    assert History.from_bytes(history.to_bytes()) == history


def test_a_history_only_rises() -> None:
    history = History().followed_by(Term(1, 5), Lsn(0)).followed_by(Term(3, 6), Lsn(100))
    assert history.term_at(Lsn(99)) == Term(1, 5)
    assert repr(history) == "History(1 from 0/0, 3 from 0/64)"
    for term, start in ((Term(3, 9), Lsn(200)), (Term(2, 9), Lsn(200)), (Term(4, 9), Lsn(100))):
        with pytest.raises(LogDamaged, match="does not rise"):
            history.followed_by(term, start)


@given(st.binary(max_size=80))
def test_bytes_that_are_no_history_are_refused(data: bytes) -> None:
    try:
        history = History.from_bytes(data)
    except LogDamaged:
        return
    assert history.to_bytes() == data


@given(two_logs())
def test_a_token_holds_where_the_log_has_that_very_record(logs: tuple[Log, Log]) -> None:
    one, other = logs
    history = history_of(other)
    for count, term in enumerate(one, 1):
        token = Token(Lsn(count * RECORD), term)
        assert history_of(one).holds(token)
        assert history_of(one).token(token.lsn) == token
        known = history.holds(token)
        if count <= len(other):
            assert known is (other[:count] == one[:count] if term in other else _newer(term, other))
        elif term == (other[-1] if other else None):
            assert known  # It is to come.
        else:
            assert known is _newer(term, other)
    assert history.holds(Token(Lsn(10**9))) and history.holds(Token(Lsn(0), Term(99)))


def _newer(term: Term, log: Log) -> bool | None:
    """None when the log has heard of no term of that number or a later one, so that it may still come."""
    return None if all(one.number < term.number for one in log) else False


@pytest.mark.parametrize("text", ["0/0", "16/B3748D0", "0/A@1-0", "1/FFFFFFFF@12-9f86d081884c7d65"])
def test_tokens_are_read_back(text: str) -> None:
    token = Token.parse(text)
    assert str(token) == text
    assert Token.parse(text.lower()) == token


@pytest.mark.parametrize("text", ["", "soon", "0/0@", "0/0@1", "0/0@0-1", "0/0@1-", "0/0@1-g", "@1-1", "0/0@1-1 "])
def test_what_is_no_token(text: str) -> None:
    with pytest.raises(ValueError):
        Token.parse(text)
