"""Sessions read what they have written: the LSN that each must find on the replica it reads from."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import timedelta

from helios_cli.engine.types import Lsn


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
        self._sessions: OrderedDict[str, tuple[Lsn, float]] = OrderedDict()
        """LSN and time of the last use, the session unused for longest first."""

    def record_write(self, session_id: str, lsn: int) -> None:
        """The session has written up to ``lsn``; less than before changes nothing."""
        now = self._clock()
        with self._lock:
            known = self._sessions.get(session_id)
            newest = Lsn(lsn) if known is None else max(known[0], Lsn(lsn))
            self._touch(session_id, newest, now)
            self._expire(now)

    def required_lsn(self, session_id: str) -> Lsn:
        """What a replica must have applied for this session; 0 for one that has not written, or is forgotten."""
        now = self._clock()
        with self._lock:
            self._expire(now)
            known = self._sessions.get(session_id)
            if known is None:
                return Lsn(0)
            self._touch(session_id, known[0], now)
            return known[0]

    def can_read(self, session_id: str, applied: int) -> bool:
        """Whether a replica that has applied up to ``applied`` shows this session all that it has written."""
        return applied >= self.required_lsn(session_id)

    def forget(self, session_id: str) -> None:
        """The session is over. One that is not known changes nothing."""
        with self._lock:
            self._sessions.pop(session_id, None)

    def __len__(self) -> int:
        """Sessions remembered."""
        with self._lock:
            self._expire(self._clock())
            return len(self._sessions)

    def _touch(self, session_id: str, lsn: Lsn, now: float) -> None:
        self._sessions[session_id] = (lsn, now)
        self._sessions.move_to_end(session_id)

    def _expire(self, now: float) -> None:
        while self._sessions:
            session_id = next(iter(self._sessions))
            if now - self._sessions[session_id][1] <= self._timeout_s:
                return
            del self._sessions[session_id]
