"""COMMIT and ROLLBACK of procedures and DO blocks, which end the transaction they run in and begin the next."""

from __future__ import annotations

from typing import TYPE_CHECKING

import apsw

from helios_cli.engine.errors import HeliosError
from helios_cli.engine.node import deferred_triggers
from helios_cli.engine.node.catalog_hooks import on_loop
from helios_cli.engine.node.constraint_errors import left_orphan
from helios_cli.engine.storage.database import Commit

if TYPE_CHECKING:
    from helios_cli.engine.node.routine_host import RoutineHost
    from helios_cli.engine.node.session import Session


class Boundary:
    """For a statement that has a transaction of its own, on the writer thread. The writer's token stays with it.

    What it has committed is answered with the statement: nobody has heard of it before.
    """

    def __init__(self, session: Session, connection: apsw.Connection) -> None:
        self._session = session
        self._connection = connection
        self._host: RoutineHost | None = None
        self.subtransactions = 0
        """Blocks with an EXCEPTION clause around the statement in hand."""
        self.writing_loops = 0
        """Loops over rows of a write around it."""
        self.now_us = 0
        """now() in the transaction in hand; 0: it is the statement's."""

    def begins(self, host: RoutineHost) -> None:
        """The statement's program begins, on a host."""
        self._host = host
        self.lend()

    def lend(self) -> None:
        """The program that runs next may end transactions."""
        assert self._host is not None
        self._host.calls.lent = self

    def commit(self) -> None:
        """Commit, and begin a transaction. Raises HeliosError, apsw.Error: what COMMIT raises."""
        session, connection, database = self._session, self._connection, self._session.engine.database
        if session.deferred.events:
            deferred_triggers.fire(session, connection)
        database.reserve(database.log_bytes_bound(connection))
        changed = session.take_nested_definitions()
        try:
            commit = database.commit(connection, schema_changed=changed)
        except apsw.ConstraintError as error:
            raise self._orphan() or error from None
        on_loop(session.engine, lambda: self._committed(commit))
        self._begin()

    def _orphan(self) -> HeliosError | None:
        host, session = self._host, self._session
        assert host is not None
        return left_orphan(self._connection, host.catalog, session.runner.may_read, session.times.zone)

    def _committed(self, commit: Commit | None) -> None:
        session = self._session
        actions = session.take_channel_actions()
        if session.undo:
            session.undo_variables(committed=True)
        self._over()
        if commit is None:
            for action in actions:
                action()
            return
        commit.waiters.extend(actions)
        pipeline = session.engine.pipeline
        if commit.data:
            pipeline.submit(commit)
        else:
            pipeline.submit_unrecorded(commit)

    def rollback(self) -> None:
        """Undo what was not committed, and begin a transaction."""
        self._connection.execute("ROLLBACK")
        undone = self._session.take_nested_definitions()
        on_loop(self._session.engine, self._rolled_back)
        self._begin()
        if undone and self._host is not None:
            self._host.schema_changed()
            self._session.take_nested_definitions()

    def _rolled_back(self) -> None:
        self._session.take_channel_actions()
        if self._session.undo:
            self._session.undo_variables(committed=False)
        self._over()

    def _over(self) -> None:
        """What ends with every transaction."""
        session = self._session
        session.deferred.clear()
        if session.has_advisory:
            session.engine.advisory.end_transaction(session)
        if session.engine.large_objects.opened:
            session.engine.large_objects.forget(session.pid)
        self.now_us = session.engine.now_us()

    def _begin(self) -> None:
        database = self._session.engine.database
        database.reserve()
        database.count_anew(self._connection)
        self._connection.execute("BEGIN IMMEDIATE")
