"""Advisory locks (PostgreSQL manual, 13.3.5): of this node, held by sessions or their transactions.

A query that has to wait is given up and started again when it gets the lock, so that no thread waits. What it has
locked before, in the same attempt, it is given again without counting twice. All of it lives on the loop.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from helios_cli.engine.errors import HeliosError, SqlError

if TYPE_CHECKING:
    from helios_cli.engine.node.session import Session

Key = tuple[int, int, int, int]
"""Database, classid, objid and objsubid as pg_locks shows them: 1 for a bigint, 2 for a pair of integers."""
DEADLOCK_S: Final = 1.0
"""PostgreSQL's deadlock_timeout: how often one that waits looks whether it waits for itself."""
_MASK: Final = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Request:
    """A lock as it is asked for."""

    key: Key
    shared: bool
    in_transaction: bool

    @property
    def mode(self) -> str:
        """As messages and pg_locks name it."""
        return "ShareLock" if self.shared else "ExclusiveLock"


class LockWait(HeliosError):
    """A statement has to wait for an advisory lock. Reaches a client only where it cannot be started again."""

    sqlstate = "55P03"

    def __init__(self, request: Request) -> None:
        super().__init__(
            "could not obtain advisory lock", hint="Take the lock in a statement of its own, before it is needed."
        )
        self.request = request


@dataclass(slots=True)
class Held:
    """What one session holds, and the attempt at the statement in hand."""

    counts: Counter[Request] = field(default_factory=Counter)
    in_transaction: list[Request] = field(default_factory=list)
    """Oldest first; they end with the transaction."""
    statement: object = None
    attempt: list[Request] = field(default_factory=list)
    credits: Counter[Request] = field(default_factory=Counter)
    """What earlier attempts at the statement have taken already."""


@dataclass(slots=True)
class _Lock:
    holders: dict[Session, None] = field(default_factory=dict)
    waiters: list[Wait] = field(default_factory=list)


class AdvisoryLocks:
    """Those of one node."""

    def __init__(self) -> None:
        self._locks: dict[Key, _Lock] = {}
        self._held: dict[Session, Held] = {}
        self.waiting: dict[Session, Request] = {}
        """Who waits for what, also on a thread."""

    # What the functions do -------------------------------------------------------------------------------------

    def lock(self, session: Session, request: Request, *, statement: object, wait: bool) -> bool:
        """Take a lock; False when it is not to be had and ``wait`` is false.

        Raises:
            LockWait: it has to be waited for.
        """
        held = self._of(session)
        if statement is None or held.statement is not statement:
            held.statement, held.attempt, held.credits = statement, [], Counter()
        if held.credits[request] > 0:
            held.credits[request] -= 1
        elif self._may_have(session, request):
            self._take(session, held, request)
        elif wait:
            raise LockWait(request)
        else:
            return False
        held.attempt.append(request)
        return True

    def unlock(self, session: Session, key: Key, *, shared: bool) -> bool:
        """Give a session's lock back once; False, with a warning, when it has none."""
        held = self._held.get(session)
        request = Request(key, shared, False)
        if held is None or not held.counts[request]:
            from helios_cli.engine.node import utility

            utility.warn(session, f"you don't own a lock of type {request.mode}", "01000")
            return False
        self._give_back(session, held, request)
        return True

    def unlock_all(self, session: Session) -> None:
        """Give back all that the session holds beyond its transaction."""
        held = self._held.get(session)
        for request in list(held.counts.elements()) if held is not None else ():
            if held is not None and not request.in_transaction:
                self._give_back(session, held, request)

    def end_transaction(self, session: Session, since: int = 0) -> None:
        """Give back what the transaction has taken, from the ``since``-th lock on."""
        held = self._held.get(session)
        if held is None:
            return
        ended = held.in_transaction[since:]
        del held.in_transaction[since:]
        for request in ended:
            self._give_back(session, held, request)

    def count_in_transaction(self, session: Session) -> int:
        """How many locks its transaction has taken."""
        held = self._held.get(session)
        return len(held.in_transaction) if held is not None else 0

    def forget(self, session: Session) -> None:
        """The session ends."""
        self.end_transaction(session)
        self.unlock_all(session)
        self._held.pop(session, None)

    def _of(self, session: Session) -> Held:
        session.has_advisory = True
        return self._held.setdefault(session, Held())

    def _may_have(self, session: Session, request: Request, waiter: Wait | None = None) -> bool:
        lock = self._locks.get(request.key)
        if lock is None:
            return True
        if next(self.blockers(session, request), None) is not None:
            return False
        if session in lock.holders:
            return True
        ahead = lock.waiters[: lock.waiters.index(waiter)] if waiter is not None else lock.waiters
        return not any(other.session is not session and _conflict(other.request, request) for other in ahead)

    def blockers(self, session: Session, request: Request) -> Iterator[Session]:
        """The other sessions whose locks a request has to wait for."""
        lock = self._locks.get(request.key)
        for other in lock.holders if lock is not None else ():
            counts = self._held[other].counts
            if other is not session and any(
                count and known.key == request.key and _conflict(known, request) for known, count in counts.items()
            ):
                yield other

    def _take(self, session: Session, held: Held, request: Request) -> None:
        self._locks.setdefault(request.key, _Lock()).holders[session] = None
        held.counts[request] += 1
        if request.in_transaction:
            held.in_transaction.append(request)

    def _give_back(self, session: Session, held: Held, request: Request) -> None:
        held.counts[request] -= 1
        if held.counts[request] > 0:
            return
        del held.counts[request]
        lock = self._locks[request.key]
        if not any(known.key == request.key for known in held.counts):
            lock.holders.pop(session, None)
        self._settle(request.key)

    def _settle(self, key: Key) -> None:
        """Give the lock to those in the queue that may have it now."""
        lock = self._locks[key]
        for waiter in tuple(lock.waiters):
            if self._may_have(waiter.session, waiter.request, waiter):
                lock.waiters.remove(waiter)
                held = self._of(waiter.session)
                self._take(waiter.session, held, waiter.request)
                held.credits[waiter.request] += 1
                waiter.granted()
        if not lock.holders and not lock.waiters:
            self._locks.pop(key, None)

    # Waiting -----------------------------------------------------------------------------------------------------

    def wait(self, session: Session, request: Request, again: Callable[[], None]) -> None:
        """Queue for a lock that a statement was refused; ``again`` starts the statement anew.

        Raises:
            SqlError: 40P01, it would wait for itself.
        """
        self.check_deadlock(session, request)
        held = self._of(session)
        held.credits += Counter(held.attempt)
        held.attempt = []
        if self._may_have(session, request):
            self._take(session, held, request)
            held.credits[request] += 1
            session.later(again)
            return
        self._locks.setdefault(request.key, _Lock()).waiters.append(Wait(self, session, request, again))

    def withdraw(self, waiter: Wait) -> None:
        """One that waited does so no more."""
        lock = self._locks.get(waiter.request.key)
        if lock is not None and waiter in lock.waiters:
            lock.waiters.remove(waiter)
            self._settle(waiter.request.key)

    def check_deadlock(self, session: Session, request: Request) -> None:
        """Raise SqlError 40P01 when those who hold the lock wait for ``session``, through whatever others."""
        pending = [(blocker, request) for blocker in self.blockers(session, request)]
        seen: set[int] = set()
        while pending:
            other, _ = pending.pop()
            if other is session:
                raise self._deadlock(session, request)
            if other.pid in seen:
                continue
            seen.add(other.pid)
            wanted = self.waiting.get(other)
            if wanted is not None:
                pending += [(blocker, wanted) for blocker in self.blockers(other, wanted)]
            queue = session.engine.queue
            if other.token is not None and queue.holder is not other.token:
                sessions = tuple(session.engine.sessions.values())
                pending += [(found, request) for found in sessions if found.token is queue.holder]

    def _deadlock(self, session: Session, request: Request) -> SqlError:
        blocker = next(self.blockers(session, request))
        lock = f"advisory lock [{','.join(map(str, request.key))}]"
        detail = f"Process {session.pid} waits for {request.mode} on {lock}; blocked by process {blocker.pid}."
        return SqlError("deadlock detected", sqlstate="40P01", detail=detail, hint="Take locks in the same order.")

    def rows(self) -> list[dict[str, Any]]:
        """Rows of pg_locks."""
        found = [(session, request, True) for session, held in self._held.items() for request in held.counts]
        found += [(session, request, False) for session, request in self.waiting.items()]
        shown: dict[tuple[int, Key, str, bool], dict[str, Any]] = {}
        for session, request, granted in found:
            database, classid, objid, objsubid = request.key
            shown[session.pid, request.key, request.mode, granted] = {
                "locktype": "advisory",
                "database": database,
                "classid": classid,
                "objid": objid,
                "objsubid": objsubid,
                "virtualtransaction": f"{session.pid}/1",
                "pid": session.pid,
                "mode": request.mode,
                "granted": int(granted),
                "fastpath": 0,
            }
        return list(shown.values())


class Wait:
    """One statement that waits for an advisory lock; the session's runner cancels it."""

    def __init__(self, locks: AdvisoryLocks, session: Session, request: Request, again: Callable[[], None]) -> None:
        self.session = session
        self.request = request
        self._locks = locks
        self._again = again
        locks.waiting[session] = request
        session.runner.hold = self
        session.arm_timeouts(lock=True)
        self._timer: asyncio.TimerHandle = session.engine.loop.call_later(DEADLOCK_S, self._look)

    def granted(self) -> None:
        """The lock is the session's."""
        self._end()
        self.session.disarm_lock_timeout()
        self.session.later(self._again)

    def cancel(self, reason: HeliosError) -> None:
        """End the statement."""
        self._end()
        self._locks.withdraw(self)
        self.session.failed(reason)

    def _end(self) -> None:
        self._timer.cancel()
        self._locks.waiting.pop(self.session, None)
        self.session.runner.hold = None

    def _look(self) -> None:
        try:
            self._locks.check_deadlock(self.session, self.request)
        except SqlError as error:
            self._end()
            self._locks.withdraw(self)
            self.session.runner.fail_after_base(error)
            return
        self._timer = self.session.engine.loop.call_later(DEADLOCK_S, self._look)


def _conflict(one: Request, other: Request) -> bool:
    return not (one.shared and other.shared)


def key_of(session: Session, first: int, second: int | None) -> Key:
    """The key of one bigint, or of two integers, in the session's database."""
    database = session.database_oid
    if second is None:
        return database, (first >> 32) & _MASK, first & _MASK, 1
    return database, first & _MASK, second & _MASK, 2
