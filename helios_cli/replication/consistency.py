"""Sessions read what they have written: the state that each must find on the replica it reads from.

A state is an LSN and the term whose log it is of: behind a failover the same LSN may be another state.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import timedelta

from helios_cli.engine.types import Lsn, Token


def newer(one: Token, other: Token) -> Token:
    """Which of two states of a session is the newer: that of the newer term; within a term the higher LSN.

    Where a term is not known the LSN alone counts.
    """
    if one.term is not None and other.term is not None and one.term != other.term:
        return one if one.term > other.term else other
    return Token(max(one.lsn, other.lsn), one.term or other.term)


def shows(state: Token, wanted: Token) -> bool | None:
    """Whether a replica at ``state`` shows ``wanted``; None: it has gone on in a newer term, with it or without it."""
    if state.lsn < wanted.lsn:
        return False
    if state.term is None or wanted.term is None or state.term == wanted.term:
        return True
    return None if state.term.number >= wanted.term.number else False


class ConsistencyManager:
    """Remembers for each session the end of its newest write. Any thread may call it; every call takes constant time.

    A session that is not heard of for ``session_timeout`` is forgotten; it takes about 300 bytes until then.
    """

    def __init__(
        self, session_timeout: timedelta = timedelta(minutes=5), *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """``clock`` gives seconds that never go back."""
        self._timeout_s = session_timeout.total_seconds()
        self._clock = clock
        self._lock = threading.Lock()
        self._sessions: OrderedDict[str, tuple[Token, float]] = OrderedDict()
        """State and time of the last use, the session unused for longest first."""

    def record_write(self, session_id: str, written: int | Token) -> None:
        """The session has written up to a state, or to an LSN of whatever term; an older one changes nothing."""
        now, token = self._clock(), _token(written)
        with self._lock:
            known = self._sessions.get(session_id)
            self._touch(session_id, token if known is None else newer(known[0], token), now)
            self._expire(now)

    def required(self, session_id: str) -> Token:
        """What a replica must show this session; of LSN 0 for one that has not written, or is forgotten."""
        now = self._clock()
        with self._lock:
            self._expire(now)
            known = self._sessions.get(session_id)
            if known is None:
                return Token(Lsn(0))
            self._touch(session_id, known[0], now)
            return known[0]

    def required_lsn(self, session_id: str) -> Lsn:
        """The LSN of :meth:`required`."""
        return self.required(session_id).lsn

    def can_read(self, session_id: str, applied: int | Token) -> bool:
        """Whether a replica that shows ``applied`` is known to show this session all that it has written."""
        return shows(_token(applied), self.required(session_id)) is True

    def forget(self, session_id: str) -> None:
        """The session is over. One that is not known changes nothing."""
        with self._lock:
            self._sessions.pop(session_id, None)

    def __len__(self) -> int:
        """Sessions remembered."""
        with self._lock:
            self._expire(self._clock())
            return len(self._sessions)

    def _touch(self, session_id: str, token: Token, now: float) -> None:
        self._sessions[session_id] = (token, now)
        self._sessions.move_to_end(session_id)

    def _expire(self, now: float) -> None:
        while self._sessions:
            session_id = next(iter(self._sessions))
            if now - self._sessions[session_id][1] <= self._timeout_s:
                return
            del self._sessions[session_id]


def _token(state: int | Token) -> Token:
    return state if isinstance(state, Token) else Token(Lsn(state))
