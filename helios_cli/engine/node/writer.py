"""Who may write: a fair queue for the writer's token, and the group that shares one transaction.

Autocommit writes that wait together run as one SQLite transaction. Everything else (an
interactive transaction, COPY, DDL, a statement not known to be short) takes the token alone.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import apsw

from helios_cli.engine.errors import DiskFull, HeliosError, IoFailed
from helios_cli.engine.node.guard import InlineGuard
from helios_cli.engine.node.pipeline import CommitPipeline
from helios_cli.engine.sql.ddl_schema import DATABASE_OID
from helios_cli.engine.sql.plan import Plan
from helios_cli.engine.sql.sqlite_errors import to_helios
from helios_cli.engine.storage.database import GROUP_RESERVE, Commit, Database, UnloggedCommit
from helios_cli.engine.storage.io_errors import is_no_room, note_errno

if TYPE_CHECKING:
    from helios_cli.engine.node.claims import Claim

log = logging.getLogger(__name__)

GROUP_MAX: Final = 256
"""Members of one group, when the node's settings do not say otherwise."""

GROUP_BUDGET_S: Final = 0.05
"""Time after which SQLite interrupts a group: its slowest member reruns alone on a thread."""

WATCH_S: Final = 0.001
"""How long the loop stays awake for the next message of a transaction that others wait for."""

UNDONE: Final = frozenset(
    {
        apsw.SQLITE_CONSTRAINT_CHECK,
        apsw.SQLITE_CONSTRAINT_FOREIGNKEY,
        apsw.SQLITE_CONSTRAINT_NOTNULL,
        apsw.SQLITE_CONSTRAINT_PRIMARYKEY,
        apsw.SQLITE_CONSTRAINT_ROWID,
        apsw.SQLITE_CONSTRAINT_TRIGGER,
        apsw.SQLITE_CONSTRAINT_UNIQUE,
    }
)
"""Failures that SQLite's compiler foresees and keeps a statement journal for (sqlite.org/tempfiles.html, 2.4)."""


class GroupWrite:
    """One autocommit write of one session, waiting to run in a group."""

    __slots__ = (
        "alone", "binds", "cancelled", "changes", "claim", "database", "done", "error", "plan", "rows", "when_made"
    )  # fmt: skip

    def __init__(
        self, plan: Plan, binds: Sequence[Any], done: Callable[[GroupWrite], None], database: int = DATABASE_OID
    ) -> None:
        self.plan = plan
        self.binds = binds
        self.database = database
        """Whose tables it changes; a group's are of one database."""
        self.done = done
        """Called on the loop when the outcome is committed; ``error``, ``changes`` and ``rows`` tell it."""
        self.when_made: Callable[[Commit], None] | None = None
        """Called instead, as soon as the commit is made, for a session that waits for more or less than the others."""
        self.claim: Claim | None = None
        """The name under which it is done only once; None: it has none."""
        self.changes = 0
        self.rows: list[Any] | None = None
        self.error: BaseException | None = None
        self.cancelled = False
        self.alone = False
        """Must be a group of its own: there was no room for the record of one that it was in."""


class TokenRequest:
    """A wait for the writer's token, alone."""

    __slots__ = ("cancelled", "granted", "is_short")

    def __init__(self, granted: Callable[[], None], *, is_short: bool = False) -> None:
        self.granted = granted
        """Called on the loop when the token is yours; release it with :meth:`WriterQueue.release`."""
        self.is_short = is_short
        """``granted`` runs one short statement, for which the record of the commit before can wait."""
        self.cancelled = False


class SchemaChanged(apsw.InterruptError):
    """A write that waited in a group was planned for another schema: it runs alone, planned again."""


class GroupTooLarge(Exception):
    """The log has no room for what a group wrote; it is rolled back."""

    def __init__(self, cause: DiskFull) -> None:
        super().__init__(str(cause))
        self.cause = cause


class WriterQueue:
    """First come, first served; a run of group writes at the head is served together."""

    def __init__(self, database: Database, pipeline: CommitPipeline, loop: asyncio.AbstractEventLoop) -> None:
        self.database = database
        self.pipeline = pipeline
        self.holder: TokenRequest | None = None
        self.refusal: Callable[[], HeliosError | None] = lambda: None
        """Says why no write may start now, None when it may."""
        self.on_disk_full: Callable[[], None] = lambda: None
        self.on_fatal: Callable[[BaseException], None] = lambda error: None
        self.on_slow: Callable[[GroupWrite], None] = lambda write: None
        """Takes a write that exceeded the inline budget, to run it alone on a thread."""
        self.io_failed: Callable[[BaseException], HeliosError] = lambda error: IoFailed(str(error))
        """The error to tell of an I/O error of SQLite's."""
        self.on_no_room: Callable[[], None] = lambda: None
        """A group did not fit, which says nothing of smaller ones."""
        self.guard: InlineGuard | None = None
        self.group_max = GROUP_MAX
        """Members of one group at most: bounds the time the loop spends in SQLite at a stretch."""
        self.group_count = 0
        self.write_count = 0
        self._waiting: deque[GroupWrite | TokenRequest] = deque()
        self._outdated: set[GroupWrite | TokenRequest] = set()
        """Of the writes that wait those that were planned for another schema."""
        self._loop = loop
        self._scheduled = False
        self._handing = False
        """The next is being served on top of the one before: no deeper."""
        self._watching = False
        self._watch_until = 0.0
        pipeline.on_room = self.run

    def __len__(self) -> int:
        return len(self._waiting)

    def submit(self, write: GroupWrite) -> None:
        """Queue an autocommit write; it runs with whatever else arrives in this turn of the loop."""
        self._waiting.append(write)
        self._schedule()

    def acquire(self, granted: Callable[[], None], *, first: bool = False, is_short: bool = False) -> TokenRequest:
        """Ask for the token; ``first`` jumps the queue (checkpoint barriers)."""
        request = TokenRequest(granted, is_short=is_short)
        if first:
            self._waiting.appendleft(request)
        else:
            self._waiting.append(request)
        self._schedule()
        return request

    def take_now(self) -> TokenRequest | None:
        """The token, when nobody has it and nobody waits for it; None otherwise."""
        if self.holder is not None or self._waiting or not self.pipeline.has_room():
            return None
        self.holder = request = TokenRequest(_granted_already)
        return request

    async def acquire_async(self, *, first: bool = False) -> TokenRequest:
        """Ask for the token and wait until it is granted."""
        granted: asyncio.Future[None] = self._loop.create_future()
        request = self.acquire(lambda: None if granted.done() else granted.set_result(None), first=first)
        try:
            await granted
        except BaseException:
            self.withdraw(request)
            raise
        return request

    def withdraw(self, request: GroupWrite | TokenRequest) -> bool:
        """Leave the queue. False when it is too late: the write has run or the token is held."""
        request.cancelled = True
        self._outdated.discard(request)
        try:
            self._waiting.remove(request)
        except ValueError:
            if request is self.holder:
                self.release()
            return False
        return True

    def is_waiting(self, write: GroupWrite) -> bool:
        """Whether a write has not been begun."""
        return write in self._waiting

    def release(self) -> None:
        """Give the token back."""
        self.holder = None
        self._schedule()

    def schema_changed(self) -> None:
        """Plans are made for another schema from now on: writes that wait are not run as they are."""
        self._outdated.update(write for write in self._waiting if isinstance(write, GroupWrite))

    def _turn_away(self, group: list[GroupWrite]) -> list[GroupWrite]:
        """The members of a group whose plans hold; the others are told."""
        outdated = [write for write in group if write in self._outdated]
        self._outdated.difference_update(outdated)
        for write in outdated:
            write.error = SchemaChanged("the schema has changed")
            write.done(write)
        return [write for write in group if write not in outdated]

    def hand_over(self) -> None:
        """Give the token back, and to the next at once if that one is short."""
        self.holder = None
        waiting = self._waiting
        head = waiting[0] if waiting else None
        if isinstance(head, TokenRequest) and head.is_short and not self._handing and self.pipeline.has_room():
            waiting.popleft()
            self.holder = head
            self._handing = True
            try:
                head.granted()
            except Exception as error:
                # The one who hands over has committed, whatever becomes of the next.
                self._loop.call_exception_handler({"message": "could not grant the writer", "exception": error})
            finally:
                self._handing = False
        else:
            self._schedule()

    def _schedule(self) -> None:
        if not self._scheduled and self.holder is None:
            self._scheduled = True
            self._loop.call_soon(self._run_scheduled)

    def expect_holder(self) -> None:
        """The holder has been answered and its next message is near: with others waiting, look out for it.

        A loop that sleeps is woken tens of microseconds late, and so is everybody in the queue.
        """
        if self._waiting:
            self._watch_until = self._loop.time() + WATCH_S
            if not self._watching:
                self._watching = True
                self._loop.call_soon(self._watch)

    def _watch(self) -> None:
        if self.holder is not None and self._waiting and self._loop.time() < self._watch_until:
            # Keeps the loop from sleeping: it looks at its sockets and comes back here.
            self._loop.call_soon(self._watch)
        else:
            self._watching = False

    def _run_scheduled(self) -> None:
        self._scheduled = False
        self.run()

    def run(self) -> None:
        """Serve the queue as far as the token and the commits in flight allow."""
        waiting = self._waiting
        while waiting and self.holder is None and self.pipeline.has_room():
            head = waiting[0]
            if isinstance(head, TokenRequest):
                waiting.popleft()
                self.holder = head
                head.granted()
                continue
            group = self._next_group(head)
            if self._outdated:
                group = self._turn_away(group)
            if group:
                self._run_group(group)

    def _next_group(self, head: GroupWrite) -> list[GroupWrite]:
        """Take a write from the head of the queue, and those behind it that may share its transaction."""
        waiting, database = self._waiting, head.database
        group: list[GroupWrite] = []
        members_max = 1 if head.alone else self.group_max
        while waiting and len(group) < members_max:
            write = waiting[0]
            if not isinstance(write, GroupWrite) or write.database != database:
                break
            group.append(write)
            waiting.popleft()
        return group

    def _run_group(self, group: list[GroupWrite]) -> None:
        connection = self.database.writer_of(group[0].database)
        try:
            self._check_allowed()
            commit = self._execute(group, connection)
        except UnloggedCommit as error:
            self.on_fatal(error)
            return
        except GroupTooLarge as error:
            self.on_no_room()
            if len(group) > 1:
                self._run_apart(group)
                return
            group[0].error = error.cause
            commit = None
        except (HeliosError, apsw.Error) as error:
            _roll_back(connection)
            for write in group:
                write.error = error
            commit = None
        self.group_count += 1
        self.write_count += len(group)
        if commit is None:
            self.pipeline.after_latest(lambda: _finish(group))
            return
        alike = [write for write in group if write.when_made is None or write.error is not None]
        commit.waiters.append(lambda: _finish(alike))
        self.pipeline.submit(commit)
        for write in group:
            if write.when_made is not None and write.error is None:
                write.when_made(commit)

    def _run_apart(self, group: list[GroupWrite]) -> None:
        """Who is small must not fail because of who is not: back to the head of the queue, each alone."""
        for write in group:
            write.alone = True
        self._waiting.extendleft(reversed(group))

    def _check_allowed(self) -> None:
        refused = self.refusal()
        if refused is not None:
            raise refused
        try:
            self.database.reserve()
        except DiskFull:
            self.on_disk_full()
            raise

    def _execute(self, group: list[GroupWrite], connection: apsw.Connection) -> Commit | None:
        """Run the group as one transaction, again without a member that broke it. None when it changed nothing."""
        culprits: list[GroupWrite] = []
        members = group
        while members:
            culprit = self._attempt_guarded(members, connection)
            if culprit is None:
                break
            _roll_back(connection)
            culprits.append(culprit)
            members = [write for write in members if write is not culprit]
        group[:] = members
        if members:
            self._reserve_record(group, culprits, connection)
        try:
            commit = self.database.commit(connection) if members else None
        except apsw.Error as error:
            _roll_back(connection)
            group.extend(culprits)
            raise self._translated(error) from error
        for culprit in culprits:
            self._settle_culprit(culprit, commit)
        return commit

    def _reserve_record(self, group: list[GroupWrite], culprits: list[GroupWrite], connection: apsw.Connection) -> None:
        """After COMMIT it would be too late: SQLite would hold what the log does not."""
        log_bytes = self.database.log_bytes_bound(connection)
        if log_bytes <= GROUP_RESERVE:
            return
        try:
            self.database.reserve(log_bytes)
        except DiskFull as error:
            _roll_back(connection)
            group.extend(culprits)
            raise GroupTooLarge(error) from error

    def _attempt_guarded(self, members: list[GroupWrite], connection: apsw.Connection) -> GroupWrite | None:
        if self.guard is None:
            return self._attempt(members, connection)
        self.guard.arm(GROUP_BUDGET_S)
        try:
            return self._attempt(members, connection)
        finally:
            self.guard.disarm()

    def _attempt(self, members: list[GroupWrite], connection: apsw.Connection) -> GroupWrite | None:
        """One try; returns the member that must not be in this transaction, None when it may be committed.

        A member is one statement, and a statement that breaks a constraint undoes itself, so members need no
        savepoints. Other failures make the others run again without the culprit: an interrupt, RAISE(ROLLBACK), a
        full disk or an I/O error, after which SQLite has rolled the whole transaction back; an error for which SQLite
        keeps no statement journal, an overflow for example, so that rows changed before it stay changed; and a
        deferred constraint left violated by a statement that has succeeded, since SQLite counts those per connection.
        """
        execute = connection.execute
        execute("BEGIN IMMEDIATE")
        for write in members:
            write.error = None
            try:
                if write.claim is None:
                    cursor = execute(write.plan.steps[0], write.binds)
                    write.rows = cursor.fetchall() if write.plan.columns is not None else None
                    write.changes = connection.changes()
                else:
                    result = write.claim.run_member(connection, write.plan, write.binds)
                    write.rows, write.changes, write.error = result.rows, result.changes, write.claim.error
            except Exception as error:
                note_errno(error, connection)
                write.error = error
                if not connection.in_transaction or not _undid_itself(error):
                    return write
                continue
            if connection.status(apsw.SQLITE_DBSTATUS_DEFERRED_FKS)[0]:
                write.error = apsw.ConstraintError("FOREIGN KEY constraint failed")
                return write
        return None

    def _settle_culprit(self, write: GroupWrite, commit: Commit | None) -> None:
        """Rerun a slow member alone; tell any other of its error once the state that it met is committed."""
        error = write.error
        if isinstance(error, apsw.InterruptError):
            self.on_slow(write)
            return
        if is_no_room(error):
            self.on_disk_full()
        if commit is None:
            self.pipeline.after_latest(lambda: write.done(write))
        else:
            commit.waiters.append(lambda: write.done(write))

    def _translated(self, error: apsw.Error) -> HeliosError:
        if is_no_room(error):
            self.on_disk_full()
        if isinstance(error, apsw.IOError):
            return self.io_failed(error)
        return to_helios(str(error), getattr(error, "extendedresult", 0), None)


def _roll_back(connection: apsw.Connection) -> None:
    if connection.in_transaction:
        connection.execute("ROLLBACK")


def _granted_already() -> None:
    """A token taken at once is granted by being returned."""


def _undid_itself(error: Exception) -> bool:
    """Whether a statement that failed so has certainly left nothing behind in its transaction."""
    return isinstance(error, apsw.ConstraintError) and getattr(error, "extendedresult", 0) in UNDONE


def _finish(group: list[GroupWrite]) -> None:
    for write in group:
        write.done(write)
