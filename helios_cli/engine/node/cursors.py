"""DECLARE, FETCH, MOVE and CLOSE.

A cursor reads forward, a batch at a time. One that is to go back, or to outlive its transaction, has all its rows in
memory from then on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import apsw

from helios_cli.engine.errors import HeliosError, SqlError
from helios_cli.engine.node.portal import Portal
from helios_cli.engine.node.readers import OVERLOOKED, RowsEncoder
from helios_cli.engine.node.scrolling import KeptRows, goes_back, stays_before
from helios_cli.engine.sql import actions
from helios_cli.engine.sql.plan import Kind, Plan
from helios_cli.engine.wire import backend

if TYPE_CHECKING:
    from helios_cli.engine.node.session import Session


_TOLD: Final = (HeliosError, apsw.SQLError)
"""Failures of a query itself, not of the disk or by a cancellation."""


def declare(session: Session, action: actions.DeclareCursor, portal: Portal, rows_max: int) -> bool:
    """DECLARE name CURSOR FOR query. It counts as a query of its transaction: what that is to see is settled here."""
    from helios_cli.engine.node import utility

    in_block = session.transaction is not None and session.transaction.explicit
    if not in_block and not action.hold:
        raise SqlError("DECLARE CURSOR can only be used in transaction blocks", sqlstate="25P01")
    if action.name in session.cursors:
        raise SqlError(f'cursor "{action.name}" already exists', sqlstate="42P03")
    if session.transaction is not None and not session.runner.sees_its_state(portal, rows_max, session.transaction):
        return False
    plan = action.plan
    formats = (1 if action.binary else 0,) * len(plan.columns or ())
    cursor = Cursor(session, action.name, plan, portal.binds, formats, False)
    cursor.completes = False
    cursor.hold, cursor.scroll, cursor.binary = action.hold, action.scroll, action.binary
    cursor.keys, cursor.locked = action.keys, action.locked
    cursor.text = session.query.strip().rstrip(";")
    cursor.created_us = session.engine.now_us()
    session.cursors[action.name] = cursor
    if not action.hold:
        return utility.complete(session, portal)
    cursor.outlives = session.transaction is None

    def loaded() -> None:
        utility.complete(session, portal)
        session.finished()

    _load(session, cursor, loaded)
    return False


class Cursor(Portal):
    """What DECLARE has made."""

    __slots__ = (
        "at",
        "binary",
        "created_us",
        "failure",
        "hold",
        "kept",
        "keys",
        "locked",
        "outlives",
        "place",
        "scroll",
    )

    hold: bool
    scroll: bool | None
    """None: neither SCROLL nor NO SCROLL was said."""
    binary: bool
    created_us: int

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.kept: KeptRows | None = None
        """All its rows; None while it has read forward only."""
        self.place = 0
        """Of the last row that was taken, while there is no :attr:`kept`."""
        self.keys: tuple[int, ...] = ()
        """The tables whose rows' numbers stand behind the columns of its rows."""
        self.locked: tuple[int, ...] | None = None
        """The tables that its FOR UPDATE or FOR SHARE names; None without such a clause."""
        self.at: tuple[Any, ...] | None = None
        """The numbers of the row that it stands on; None: it stands on none."""
        self.failure: HeliosError | None = None
        """What reading beyond the rows in :attr:`kept` raises, as COMMIT does, which would keep them all."""
        self.outlives = False
        """The transaction that has made it is committed, and it was to be held."""

    def encoder_for(self, formats: tuple[int, ...]) -> RowsEncoder:
        """As of any portal; the numbers of tables' rows, which no client sees, stay here."""
        encode = super().encoder_for(formats)
        if not self.keys:
            return encode
        width = len(self.plan.columns or ())

        def without_numbers(found: Any) -> bytes:
            if found:
                self.at = found[-1][width:]
            return encode([row[:width] for row in found])

        return without_numbers

    def stands_on(self, row: Any) -> None:
        """Remember the row fetched last, None for none."""
        self.at = row[len(self.plan.columns or ()) :] if row is not None and self.keys else None


def failure_of_held(session: Session) -> HeliosError | None:
    """What reading the rest of a cursor comes to that COMMIT is to hold; None: nothing is in the way."""
    return next((cursor.failure for cursor in session.cursors.values() if cursor.hold and cursor.failure), None)


def current_row(session: Session, name: str, table: int, shown: str) -> int:
    """The number of a table's row that a cursor stands on.

    Raises:
        SqlError: 34000 there is no such cursor; 24000 it stands on no row, or its rows are not rows of the table.
    """
    cursor = session.cursors.get(name)
    if cursor is None and name not in session.portals:
        raise SqlError(f'cursor "{name}" does not exist', sqlstate="34000")
    if cursor is None:
        raise SqlError(f'cursor "{name}" is not a simply updatable scan of table "{shown}"', sqlstate="24000")
    if cursor.outlives:
        raise SqlError(f'cursor "{name}" is held from a previous transaction', sqlstate="24000")
    if cursor.locked is not None:
        if table not in cursor.locked:
            what = "does not have a FOR UPDATE/SHARE reference to"
            raise SqlError(f'cursor "{name}" {what} table "{shown}"', sqlstate="24000")
        if cursor.locked.count(table) > 1:
            what = "has multiple FOR UPDATE/SHARE references to"
            raise SqlError(f'cursor "{name}" {what} table "{shown}"', sqlstate="24000")
    if table not in cursor.keys:
        raise SqlError(f'cursor "{name}" is not a simply updatable scan of table "{shown}"', sqlstate="24000")
    number = cursor.at[cursor.keys.index(table)] if cursor.at is not None else None
    if number is None:
        raise SqlError(f'cursor "{name}" is not positioned on a row', sqlstate="24000")
    return int(number)


def rows(session: Session) -> list[list[Any]]:
    """Rows of pg_cursors."""
    return [
        [name, cursor.text, int(cursor.hold), int(cursor.binary), int(cursor.scroll is not False), cursor.created_us]
        for name, cursor in session.cursors.items()
    ]


@dataclass(frozen=True, slots=True)
class Run(actions.Fetch):
    """Execute of the protocol, on a portal that DECLARE has made."""


def run(session: Session, name: str, rows_max: int) -> bool:
    """Take rows of a cursor as of any portal: its end is told as a query's, a limit as a suspended portal."""
    cursor = session.cursors.get(name)
    if cursor is None:
        raise SqlError(f'portal "{name}" does not exist', sqlstate="34000")
    session.refuse_in_failed(cursor.plan)
    action = Run(name, actions.Direction.FORWARD, rows_max or None)
    portal = Portal(session, "", Plan(Kind.UTILITY, "FETCH", action=action), (), cursor.formats, False)
    return fetch(session, action, portal, rows_max)


def _find(session: Session, name: str) -> Cursor:
    """A cursor, or a portal of the extended protocol: PostgreSQL has one name space for both."""
    cursor = session.cursors.get(name) or _of_portal(session, name)
    if cursor is None:
        raise SqlError(f'cursor "{name}" does not exist', sqlstate="34000")
    return cursor


def _of_portal(session: Session, name: str) -> Cursor | None:
    """A named portal of a query, which is a cursor from now on, with what was read of it; None when there is none."""
    portal = session.portals.get(name)
    if portal is None or not name or portal.plan.kind is not Kind.READ:
        return None
    cursor = Cursor(session, name, portal.plan, portal.binds, portal.formats, False)
    cursor.hold, cursor.scroll, cursor.binary, cursor.created_us = False, False, False, session.engine.now_us()
    cursor.text, cursor.job, cursor.done, cursor.completes = portal.text, portal.job, portal.done, False
    session.cursors[name] = cursor
    del session.portals[name]
    return cursor


def fetch(session: Session, action: actions.Fetch, portal: Portal, _rows_max: int) -> bool:
    """FETCH or MOVE. Going back is 55000 for a NO SCROLL cursor."""
    cursor = _find(session, action.cursor)
    place = cursor.kept.place if cursor.kept is not None else cursor.place
    if cursor.scroll is False and goes_back(action, place):
        raise SqlError(
            "cursor can only scan forward",
            sqlstate="55000",
            hint="Declare it with SCROLL option to enable backward scan.",
        )
    if portal.describe and not action.move:
        # A simple query takes the cursor's own format, text or BINARY; a Bind has asked for one.
        portal.describe = False
        portal.formats = cursor.formats
        session.out.append(backend.row_description(cursor.plan.columns or (), cursor.formats))
    if cursor.kept is not None:
        return _take(session, action, portal, cursor)
    forward = action.direction is actions.Direction.FORWARD and (action.count is None or action.count > 0)
    if cursor.job is None and cursor.place == 0 and not cursor.done and stays_before(action):
        return _complete(session, action, portal, 0)
    if not forward or cursor.scroll:

        def loaded() -> None:
            _take(session, action, portal, cursor)
            session.finished()

        _load(session, cursor, loaded)
        return False
    if cursor.done:
        return _complete(session, action, portal, 0)
    return _fetch_rows(session, action, portal, cursor)


def _take(session: Session, action: actions.Fetch, portal: Portal, cursor: Cursor) -> bool:
    """Answer from the rows at hand."""
    assert cursor.kept is not None
    found = cursor.kept.take(action)
    from_end = action.direction is actions.Direction.ABSOLUTE and (action.count or 0) < 0
    if cursor.failure is not None and (from_end or cursor.kept.place > len(cursor.kept.rows)):
        raise cursor.failure
    if not action.move:
        session.out.append(cursor.encoder_for(portal.formats)(found))
    kept = cursor.kept
    cursor.stands_on(kept.rows[kept.place - 1] if 1 <= kept.place <= len(kept.rows) else None)
    return _complete(session, action, portal, len(found))


def _load(session: Session, cursor: Cursor, done: Callable[[], None]) -> None:
    """Read all rows of a cursor, by the snapshot that it has; ``done`` is called on the loop."""
    engine, runner, first = session.engine, session.runner, cursor.job
    kept = KeptRows(place=cursor.place)
    transaction = session.transaction
    connection = first.connection if first is not None else transaction.connection if transaction is not None else None

    def keep(batch: Any) -> bytes:
        kept.rows.extend(batch)
        return b""

    job = runner.new_job(cursor.plan.steps[0], cursor.binds, keep, connection)
    runner.job = job
    session.arm_timeouts()

    def step() -> None:
        runner.fetching, runner.cancel_reason = True, None
        engine.read_workers.run(lambda: job.fetch(engine.database, 0), took, failed)

    def over() -> None:
        runner.fetching, runner.job = False, None
        job.close(engine.database)
        runner.close_portal(cursor)

    def took(data: bytes) -> None:
        runner.fetching = False
        if session.closed:
            over()
            session.clean_up()
        elif runner.cancel_reason is not None:
            failed(apsw.InterruptError(OVERLOOKED))
        elif not job.finished:
            step()
        elif job.seq > engine.pipeline.committed_seq:
            engine.pipeline.after_seq(job.seq, lambda: took(data))
        else:
            over()
            cursor.kept = kept
            done()

    def failed(error: BaseException) -> None:
        over()
        if cursor.hold and transaction is not None and transaction.explicit and not first and isinstance(error, _TOLD):
            # PostgreSQL has not run the query yet.
            cursor.kept, cursor.failure = kept, runner.translate(error)
            done()
            return
        if cursor.hold:
            session.cursors.pop(cursor.name, None)
        runner.read_failed(error)

    step()


def _fetch_rows(session: Session, action: actions.Fetch, portal: Portal, cursor: Cursor) -> bool:
    engine = session.engine
    wanted = action.count or 0
    job = cursor.job
    if job is None:
        transaction = session.transaction
        connection = transaction.connection if transaction is not None else None
        job = cursor.job = session.runner.new_job(cursor.plan.steps[0], cursor.binds, cursor.encoder(), connection)
    job.encode = cursor.encoder_for(cursor.formats if action.move else portal.formats)
    state = {"sent": 0}
    session.runner.job = job
    session.arm_timeouts()

    def step() -> None:
        left = wanted - state["sent"] if wanted else 0
        before = job.rows_sent
        session.runner.fetching, session.runner.cancel_reason = True, None
        engine.read_workers.run(
            lambda: job.fetch(engine.database, left), lambda data: took(data, job.rows_sent - before), failed
        )

    def took(data: bytes, count: int) -> None:
        session.runner.fetching = False
        if session.closed:
            session.runner.job = None
            session.runner.close_portal(cursor)
            session.clean_up()
            return
        if session.runner.cancel_reason is not None:
            failed(apsw.InterruptError(OVERLOOKED))
            return
        if job.seq > engine.pipeline.committed_seq:
            engine.pipeline.after_seq(job.seq, lambda: took(data, count))
            return
        if not action.move:
            session.out.append(data)
        state["sent"] += count
        if not job.finished and (not wanted or state["sent"] < wanted):
            session.flush_then(step)
            return
        session.runner.job = None
        cursor.done = job.finished
        cursor.place += state["sent"] + job.finished
        if job.finished:
            cursor.at = None
        _complete(session, action, portal, state["sent"])
        session.finished()

    def failed(error: BaseException) -> None:
        session.runner.fetching = False
        session.runner.job = None
        session.runner.read_failed(error)

    step()
    return False


def _complete(session: Session, action: actions.Fetch, portal: Portal, count: int) -> bool:
    portal.done = True
    if not isinstance(action, Run):
        session.out.append(backend.command_complete(f"{'MOVE' if action.move else 'FETCH'} {count}"))
    elif action.count is not None and count >= action.count:
        session.out.append(backend.PORTAL_SUSPENDED)
    else:
        session.out.append(backend.command_complete(f"SELECT {count}"))
    return True


def close(session: Session, action: actions.CloseCursor, portal: Portal, _rows_max: int) -> bool:
    """CLOSE name or ALL."""
    from helios_cli.engine.node import utility

    names: list[Any] = [action.name] if action.name is not None else list(session.cursors)
    for name in names:
        session.runner.close_portal(_find(session, name))
        del session.cursors[name]
    return utility.complete(session, portal)
