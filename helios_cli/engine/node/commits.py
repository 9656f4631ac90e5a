"""The writer's token and the ends of transactions: who may write, and when a commit is answered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import apsw

from helios_cli.engine.errors import HeliosError, SerializationFailure
from helios_cli.engine.node import claims, deferred_triggers
from helios_cli.engine.node.cluster_settings import LEVELS
from helios_cli.engine.node.steps import StepsResult
from helios_cli.engine.node.threads import Threads
from helios_cli.engine.node.transaction import Transaction
from helios_cli.engine.sql.plan import Plan
from helios_cli.engine.storage.database import GROUP_RESERVE, Commit, UnloggedCommit
from helios_cli.engine.storage.io_errors import is_no_room
from helios_cli.engine.types import Lsn

if TYPE_CHECKING:
    from helios_cli.engine.node.claims import Claim

_COMMAND_COMPLETE: Final = b"C"


class Commits(Threads):
    """Taking the writer, committing, rolling back."""

    def _check_stands(self, transaction: Transaction) -> None:
        """Raise SerializationFailure when SQLite has undone the transaction, as it does for an interrupted write.

        Its connection commits every statement by itself then.
        """
        connection = transaction.connection
        if transaction.writing and connection is not None and not connection.in_transaction:
            raise SerializationFailure(
                "canceling statement because it took too long for the event loop",
                detail="Its interruption undid the whole transaction.",
                hint="Retry the transaction: the statement will run on a thread from now on.",
            )

    def with_writer(self, then: Callable[[], None], *, is_short: bool = False) -> bool:
        """Make the session's transaction a writing one, then go on with ``then``."""
        transaction = self.session.transaction
        assert transaction is not None

        def granted() -> None:
            try:
                self._begin_writing(transaction)
            except Exception as error:
                self._give_token_back(transaction)
                self.session.failed(self.translate(error))
                return
            then()

        self.take_token(granted, is_short=is_short)
        return False

    def begin_writing_now(self, transaction: Transaction) -> bool:
        """Make the session's transaction a writing one when the writer is free this moment.

        Raises:
            HeliosError, apsw.Error: it was free, but the transaction cannot write; the writer is free again.
        """
        token = self.engine.queue.take_now()
        if token is None:
            return False
        self.session.token = transaction.token = token
        try:
            refused = self.engine.queue.refusal()
            if refused is not None:
                raise refused
            self._begin_writing(transaction)
        except BaseException:
            self._give_token_back(transaction)
            raise
        return True

    def _begin_writing(self, transaction: Transaction) -> None:
        self._take_writer(transaction)
        connection = transaction.connection
        assert connection is not None
        if self.session.write_id is not None and transaction.explicit:
            try:
                claims.refuse_repeated_block(self.session, connection)
            except BaseException:
                # The token is given back, savepoints or not.
                connection.execute("ROLLBACK")
                self._release_connection(transaction)
                transaction.writing = False
                raise
        if connection is self.engine.database.writer:
            # What a transaction that was rolled back has spilled is nothing to this one.
            connection.status(apsw.SQLITE_DBSTATUS_CACHE_SPILL, True)
        else:
            # It may have read much before.
            self.engine.database.count_anew(connection)

    def _take_writer(self, transaction: Transaction) -> None:
        self.engine.check_writable()
        self.engine.database.reserve()
        if transaction.connection is None:
            transaction.connection = self.session.private or self.session.shared_writer()
            self.session.end_own_snapshot()
            transaction.begin_writing()
        elif transaction.snapshot_seq < self.engine.database.changed_seq:
            self.session.conflicted = True
            raise SerializationFailure(
                "could not serialize access due to concurrent update",
                hint="The transaction's snapshot is older than the newest commit. Retry the transaction.",
            )
        else:
            for index in range(len(transaction.savepoints)):
                transaction.run(f"SAVEPOINT s{index}")
            transaction.writing = True

    def take_token(self, granted: Callable[[], None], *, is_short: bool = False) -> None:
        """Wait for the writer's token, within the session's timeouts."""
        session = self.session

        def on_grant() -> None:
            session.disarm_lock_timeout()
            refused = self.engine.queue.refusal()
            if refused is not None:
                session.token = None
                self.engine.queue.release()
                session.failed(refused)
                return
            granted()

        session.token = self.engine.queue.acquire(on_grant, first=self.goes_first, is_short=is_short)
        self.goes_first = False
        if session.transaction is not None:
            session.transaction.token = session.token
        session.arm_timeouts(lock=True)

    def _give_token_back(self, transaction: Transaction | None) -> None:
        token, self.session.token = self.session.token, None
        if transaction is not None:
            transaction.token = None
        if token is not None and self.engine.queue.holder is token:
            self.engine.queue.release()

    def commit(self, transaction: Transaction, done: Callable[[], None]) -> bool:
        """Commit the session's transaction; ``done`` is called when it is committed by the mode's rule.

        True when nothing had to be waited for, and then ``done`` is not called.
        """
        if self.session.deferred.events and transaction.writing:
            self._fire_deferred(transaction, done)
            return False
        if self.session.undo:
            self.session.undo_variables(committed=True)
        actions = self.session.take_channel_actions()
        self.session.end_transaction_state(committed=True)
        if not transaction.writing:
            self._release_connection(transaction)
            self._give_token_back(transaction)
            for action in actions:
                action()
            return True
        return self._commit(transaction, done, actions)

    def end_implicit(self, transaction: Transaction, done: Callable[[], None], *, is_query: bool) -> bool:
        """As :meth:`commit`, for a transaction without a block.

        The last CommandComplete of a simple Query comes behind the commit: an error there is sent instead of it.
        """
        out = self.session.out
        if not is_query or not out or not out[-1].startswith(_COMMAND_COMPLETE):
            return self.commit(transaction, done)
        held = out.pop()

        def committed() -> None:
            self.session.out.append(held)
            done()

        if self.commit(transaction, committed):
            self.session.out.append(held)
            return True
        return False

    def _fire_deferred(self, transaction: Transaction, done: Callable[[], None]) -> None:
        """Fire the triggers that have waited for COMMIT, then commit; or undo everything when one of them fails."""
        connection, session = transaction.connection, self.session
        assert connection is not None

        def fired(_: None) -> None:
            transaction.slow = True
            transaction.schema_changed |= session.take_nested_definitions()
            self.commit(transaction, done)

        def failed(error: BaseException) -> None:
            told = self.translate(error)
            session.undo_variables(committed=False)
            self.rollback(transaction)
            self.fail_after_base(told)

        self.on_thread(connection, lambda: deferred_triggers.fire(session, connection), fired, failed)

    def _commit(
        self, transaction: Transaction, done: Callable[[], None], actions: Sequence[Callable[[], None]]
    ) -> bool:
        connection = transaction.connection
        assert connection is not None
        database = self.engine.database
        self.engine.pipeline.settle()
        if transaction.claim is not None and not self._claimed(connection, transaction, transaction.claim, done):
            return False
        log_bytes = database.log_bytes_bound(connection)
        if transaction.slow or log_bytes > GROUP_RESERVE:
            self._commit_on_thread(connection, transaction, log_bytes, done, actions)
            return False
        try:
            database.reserve(GROUP_RESERVE)
            commit = database.commit(connection, schema_changed=transaction.schema_changed, record=False)
        except Exception as error:
            self.session.later(lambda error=error: self._commit_failed(connection, transaction, error))  # type: ignore[misc]
            return False
        self._release_connection(transaction)
        self.end_commit(commit, done, actions, repeated=transaction.repeated)
        return False

    def _claimed(
        self, connection: apsw.Connection, transaction: Transaction, claim: Claim, done: Callable[[], None]
    ) -> bool:
        """Whether the transaction is to be committed now, with its name in it; False: it is over.

        One that was committed before under this name is undone, and answered as it was then.
        """
        try:
            if not claim.check(connection):
                claim.keep(connection, "COMMIT", StepsResult(None, 0))
                return True
        except Exception as error:
            self.session.later(lambda error=error: self._commit_failed(connection, transaction, error))  # type: ignore[misc]
            return False
        connection.execute("ROLLBACK")
        self._release_connection(transaction)
        self._forget_schema(transaction)
        self.end_commit(None, done, repeated=True)
        return False

    def _commit_on_thread(
        self,
        connection: apsw.Connection,
        transaction: Transaction,
        log_bytes: int,
        done: Callable[[], None],
        actions: Sequence[Callable[[], None]],
    ) -> None:
        database = self.engine.database

        def work() -> Commit | None:
            database.reserve(log_bytes)
            return database.commit(connection, schema_changed=transaction.schema_changed)

        def committed(commit: Commit | None) -> None:
            self._release_connection(transaction)
            self.end_commit(commit, done, actions, repeated=transaction.repeated)

        self.on_thread(connection, work, committed, lambda error: self._commit_failed(connection, transaction, error))

    def _commit_failed(self, connection: apsw.Connection, transaction: Transaction, error: BaseException) -> None:
        if is_no_room(error):
            self.engine.on_disk_full()
        if connection.in_transaction:
            if str(error).startswith("FOREIGN KEY"):
                error = self.left_orphan(connection) or error
            connection.execute("ROLLBACK")
        self._release_connection(transaction)
        self.release_and_fail(error)

    def end_commit(
        self,
        commit: Commit | None,
        done: Callable[[], None],
        actions: Sequence[Callable[[], None]] = (),
        *,
        repeated: bool = False,
    ) -> None:
        """Send the record off, free the writer, and call ``done`` when the commit is committed.

        ``repeated``: without a commit of its own it is answered for one that was made before, which may not have the
        copies yet that this session waits for.

        ``synchronous_commit`` says when ``done`` is called, off: at once; ``actions``, of which others hear, are called
        when it is committed by the cluster's mode.
        """
        pipeline = self.engine.pipeline
        session = self.session
        if commit is None:
            self._give_token_back(None)
            level = session.commit_level()
            if repeated and level is not None and level != "off":
                self._after_level(level, pipeline.submitted_lsn, lambda: _all([*actions, done]))
            elif pipeline.in_flight:
                pipeline.after_latest(lambda: _all([*actions, done]))
            else:
                session.later(lambda: _all([*actions, done]))
            return
        commit.waiters.extend(actions)
        token, session.token = session.token, None
        if commit.schema_changed and token is not None:
            # Plans are made for the committed schema, so nothing is written under one that is not.
            commit.waiters.append(self.engine.queue.release)
        level = session.commit_level()
        if level is None:
            self.awaited_seq = commit.seq
            commit.waiters.append(done)
        if commit.data:
            pipeline.submit(commit)
        else:
            pipeline.submit_unrecorded(commit)
        try:
            if token is not None and not commit.schema_changed:
                self.engine.queue.hand_over()
        finally:
            pipeline.settle()
        if level is not None:
            self.await_level(level, commit, done)

    def await_level(self, level: str, commit: Commit, done: Callable[[], None]) -> None:
        """Call back, never at once, when a commit whose record is made is where ``synchronous_commit`` wants it.

        The session's own queries wait until it is committed by the cluster's mode.
        """
        session = self.session
        session.floor_seq = commit.seq
        if level == "off":
            session.later(done)
        else:
            self._after_level(level, commit.lsn_end, done)

    def _after_level(self, level: str, lsn: Lsn, done: Callable[[], None]) -> None:
        when_reached = self.engine.when_reached
        assert when_reached is not None
        self.awaits_level = True
        when_reached(LEVELS[level], lsn, lambda: self._reached(done), self.session)

    def _reached(self, done: Callable[[], None]) -> None:
        self.awaits_level = False
        done()

    def rollback(self, transaction: Transaction) -> None:
        """Undo the session's transaction and give everything back. No thread is using its connection."""
        self.session.end_transaction_state()
        connection = transaction.connection
        if connection is not None and connection.in_transaction:
            connection.execute("ROLLBACK")
        self._release_connection(transaction)
        self._forget_schema(transaction)
        self._give_token_back(transaction)

    def roll_back(self, transaction: Transaction, done: Callable[[], None]) -> bool:
        """Undo the session's transaction; ``done`` is called when all that it may have told of is committed.

        True when nothing had to be waited for, and then ``done`` is not called.
        """
        saw_newest = transaction.writing or transaction.failed
        self.rollback(transaction)
        if not saw_newest or not self.engine.pipeline.in_flight:
            return True
        self.engine.pipeline.after_latest(done)
        return False

    def _forget_schema(self, transaction: Transaction) -> None:
        """The transaction's DDL is undone, and the connection it was seen through is for others."""
        if transaction.schema is not None:
            transaction.schema = None
            self.session.forget_undone_plans()

    def _release_connection(self, transaction: Transaction) -> None:
        connection, transaction.connection = transaction.connection, None
        if connection is not None and connection is self.session.private and connection.in_transaction:
            connection.execute("ROLLBACK")
        if transaction.borrowed and connection is not None:
            self.engine.database.give_back(connection)
        transaction.borrowed = False

    def release_failed(self, transaction: Transaction) -> None:
        """A failed transaction without savepoints keeps nothing: its writer is free for others at once."""
        self._release_connection(transaction)
        self._forget_schema(transaction)
        transaction.writing = False
        self._give_token_back(transaction)

    def drop_token(self) -> None:
        """The session ends: leave the queue, or give the token back."""
        token, self.session.token = self.session.token, None
        if token is not None:
            self.engine.queue.withdraw(token)

    def fail_after_base(self, error: HeliosError) -> None:
        """Fail the statement once the state it failed on is committed: an error tells of that state too."""
        pipeline = self.engine.pipeline
        if pipeline.in_flight:
            pipeline.after_latest(lambda: self.session.failed(error))
        else:
            self.session.later(lambda: self.session.failed(error))

    def release_and_fail(self, error: BaseException, plan: Plan | None = None, binds: Sequence[Any] = ()) -> None:
        """A statement that held the token alone failed."""
        self._give_token_back(None)
        if isinstance(error, UnloggedCommit):
            self.engine.on_fatal(error)
            return
        self.fail_after_base(self.translate(error, plan, binds))


def _all(callbacks: Sequence[Callable[[], None]]) -> None:
    for callback in callbacks:
        callback()
