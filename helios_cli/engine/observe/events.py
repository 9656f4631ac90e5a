"""What happened to the node and how it was, kept in memory for the faces and in ``state.db`` for later.

The live database is never touched: ``state.db`` is a file of its own, opened by a thread of its own through the
standard library's SQLite, while the node's database belongs to APSW's.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

if TYPE_CHECKING:
    from sqlite_utils import Database

log = logging.getLogger(__name__)

Severity = Literal["info", "warning", "error"]

STATE_DB: Final = "state.db"
_TABLE: Final = "events"
_MOMENTS: Final = "moments"
_BATCH: Final = 256
MOMENTS: Final = 4096
"""Moments that are kept: half a day of them, where nothing happens that is one more."""
RETRY_S: Final = 5.0
"""Pause before another attempt to write what could not be written."""
WHOLE_S: Final = 1.0
"""How long the whole history waits for what is on its way to the disk."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened; ``fields`` is JSON-able and may be empty."""

    time_us: int
    """Microseconds since 1970-01-01 UTC."""
    kind: str
    """A short stable word such as ``promotion`` or ``disk_full``."""
    severity: Severity
    message: str
    fields: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Moment:
    """How the node was at one time; ``record`` is a JSON object."""

    time_us: int
    record: bytes


_Entry = Event | _Moment


def _wall_us() -> int:
    return time.time_ns() // 1000


class EventLog:
    """A bounded ring of the newest events, and a thread that writes them all to ``state.db``, and moments with them.

    What cannot be written, because the disk is full for example, is kept and tried again every few seconds; the log
    says so in one line when it begins and in one when it is over. When ``backlog`` events wait, further ones stay in
    the ring alone and are counted in ``dropped``, and so are those that still wait at the end. A moment, how the node
    was at one time, is for whoever looks back: it is on disk alone, and one that cannot be written is let go.
    """

    def __init__(
        self,
        path: Path,
        *,
        ring_size: int = 1000,
        retain_rows: int = 100_000,
        retain_moments: int = MOMENTS,
        backlog: int = 10_000,
        wall_us: Callable[[], int] = _wall_us,
    ) -> None:
        if path.name != STATE_DB:
            raise ValueError(f"events go to a file named {STATE_DB}, not {path.name}")
        self._path = path
        self._retain_rows = retain_rows
        self._retain_moments = retain_moments
        self._backlog = backlog
        self._wall_us = wall_us
        self._ring: deque[Event] = deque(maxlen=ring_size)
        self._queue: queue.Queue[_Entry | threading.Event | None] = queue.Queue(backlog)
        self._thread: threading.Thread | None = None
        self.recorded = 0
        self.dropped = 0
        """Events that did not get into the file."""
        self.failed = 0
        """Attempts to write that failed."""
        self._failing = False

    def start(self) -> None:
        """Start the writing thread, unless it runs; events recorded before are written too."""
        if self._thread is not None:
            return
        self._thread = threading.Thread(target=self._run, name="events", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Write what is queued and end the thread; waits up to 5 s. Idempotent. Not for the event loop."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._queue.put(None)
            thread.join(5.0)

    def flush(self, timeout_s: float = 5.0) -> bool:
        """Wait until everything recorded so far was handed to SQLite; False when that took too long."""
        done = threading.Event()
        self._queue.put(done, timeout=timeout_s)
        return done.wait(timeout_s)

    def record(self, kind: str, severity: Severity, message: str, **fields: Any) -> Event:
        """Note an event; never waits, from any thread. ``fields`` must be JSON-able."""
        event = Event(self._wall_us(), kind, severity, message, fields)
        self._ring.append(event)
        self.recorded += 1
        try:
            self._queue.put_nowait(event)
        except queue.Full:
            self.dropped += 1
        return event

    def remember(self, time_us: int, record: dict[str, Any]) -> None:
        """Keep how the node was at a time; never waits, from any thread. ``record`` must be JSON-able."""
        with contextlib.suppress(queue.Full):
            self._queue.put_nowait(_Moment(time_us, msgspec.json.encode(record)))

    def moments(self, before_us: int, limit: int) -> list[bytes]:
        """The newest moments before a time, newest first, as JSON objects. Not for the event loop."""
        if not self._path.exists():
            return []
        db = _open_to_read(self._path)
        try:
            if not db[_MOMENTS].exists():
                return []
            rows = db[_MOMENTS].rows_where("time_us < ?", [before_us], order_by="id desc", limit=limit)
            return [str(row["record"]).encode() for row in rows]
        finally:
            db.close()

    def recent(self, limit: int = 100, kind: str | None = None) -> list[Event]:
        """The newest events in memory, newest first, of one kind or of all."""
        found = [event for event in reversed(tuple(self._ring)) if kind is None or event.kind == kind]
        return found[:limit]

    def history(self, limit: int = 100, kind: str | None = None) -> list[Event]:
        """The newest events on disk, newest first; empty when there is no file yet. Not for the event loop."""
        if not self._path.exists():
            return []
        db = _open_to_read(self._path)
        try:
            where, values = ("kind = ?", [kind]) if kind is not None else (None, [])
            rows = db[_TABLE].rows_where(where, values, order_by="id desc", limit=limit)
            return [_event(row) for row in rows]
        finally:
            db.close()

    def whole(self) -> list[tuple[int, Event]]:
        """Every event that is kept, numbered, oldest first: those on disk and those on their way. Not for the loop."""
        if self._thread is not None:
            with contextlib.suppress(queue.Full):
                self.flush(WHOLE_S)
        found = self._on_disk()
        newest = found[-1][1].time_us if found else 0
        number = found[-1][0] if found else 0
        waiting = [event for event in tuple(self._ring) if event.time_us > newest]
        return found + [(number + more, event) for more, event in enumerate(waiting, 1)]

    def _on_disk(self) -> list[tuple[int, Event]]:
        if not self._path.exists():
            return []
        db = _open_to_read(self._path)
        try:
            return [(int(row["id"]), _event(row)) for row in db[_TABLE].rows_where(order_by="id")]
        finally:
            db.close()

    # ---- the thread

    def _run(self) -> None:
        db: Database | None = None
        pending: list[_Entry] = []
        running = True
        while running:
            batch, waiters, running = self._next_batch(RETRY_S if pending else None)
            pending += batch
            db, pending = self._try_to_write(db, pending)
            for waiter in waiters:
                waiter.set()
        self.dropped += sum(isinstance(entry, Event) for entry in pending)
        if db is not None:
            db.close()

    def _try_to_write(self, db: Database | None, pending: list[_Entry]) -> tuple[Database | None, list[_Entry]]:
        """Write all of ``pending``; gives the connection, None when there is none, and what is still to be written."""
        if not pending:
            return db, pending
        try:
            db = db or _open(self._path)
            self._write(db, pending)
        except Exception as error:
            self.failed += 1
            if not self._failing:
                log.warning("events stay in memory until %s can be written: %s", self._path, error)
            self._failing = True
            if db is not None:
                with contextlib.suppress(Exception):
                    db.close()
            events: list[_Entry] = [entry for entry in pending if isinstance(entry, Event)]
            self.dropped += max(0, len(events) - self._backlog)
            return None, events[: self._backlog]
        if self._failing:
            log.info("events are written to %s again", self._path)
        self._failing = False
        return db, []

    def _next_batch(self, timeout_s: float | None) -> tuple[list[_Entry], list[threading.Event], bool]:
        """Wait for one entry, ``timeout_s`` at most, and take what else is there; False as the last member: stop."""
        batch: list[_Entry] = []
        waiters: list[threading.Event] = []
        try:
            entry = self._queue.get(timeout=timeout_s)
        except queue.Empty:
            return batch, waiters, True
        while True:
            if entry is None:
                return batch, waiters, False
            if isinstance(entry, _Entry):
                batch.append(entry)
            else:
                waiters.append(entry)
            if len(batch) >= _BATCH:
                return batch, waiters, True
            try:
                entry = self._queue.get_nowait()
            except queue.Empty:
                return batch, waiters, True

    def _write(self, db: Database, batch: list[_Entry]) -> None:
        with db.conn:
            events = [_row(entry) for entry in batch if isinstance(entry, Event)]
            self._insert(db, _TABLE, events, self._retain_rows)
            moments = [
                {"time_us": entry.time_us, "record": entry.record.decode()}
                for entry in batch
                if isinstance(entry, _Moment)
            ]
            self._insert(db, _MOMENTS, moments, self._retain_moments)

    def _insert(self, db: Database, table: str, rows: list[dict[str, Any]], retain: int) -> None:
        if rows:
            db.table(table).insert_all(rows)
            db.execute(f"delete from {table} where id <= (select max(id) from {table}) - ?", [retain])


def _open(path: Path) -> Database:
    """The state database with its table; imported here because sqlite-utils is slow to load."""
    from sqlite_utils import Database

    db = Database(path)
    try:
        db.execute("pragma busy_timeout = 5000")
        db.execute("pragma journal_mode = wal")
        _create(db)
    except BaseException:
        db.close()
        raise
    return db


def _create(db: Database) -> None:
    db.table(_TABLE).create(
        {"id": int, "time_us": int, "kind": str, "severity": str, "message": str, "fields": str},
        pk="id",
        not_null={"time_us", "kind", "severity", "message", "fields"},
        if_not_exists=True,
    )
    db.table(_MOMENTS).create(
        {"id": int, "time_us": int, "record": str},
        pk="id",
        not_null={"time_us", "record"},
        if_not_exists=True,
    )


def _open_to_read(path: Path) -> Database:
    """The same to read from; on a full disk, where even that needs room, the file as it is without its WAL."""
    import sqlite3

    from sqlite_utils import Database

    try:
        return _open(path)
    except sqlite3.OperationalError:
        db = Database(sqlite3.connect(f"{path.absolute().as_uri()}?immutable=1", uri=True))
        if db[_TABLE].exists():
            return db
        db.close()
        db = Database(memory=True)
        _create(db)
        return db


def _row(event: Event) -> dict[str, Any]:
    fields = msgspec.json.encode(event.fields).decode()
    return {
        "time_us": event.time_us,
        "kind": event.kind,
        "severity": event.severity,
        "message": event.message,
        "fields": fields,
    }


def _event(row: dict[str, Any]) -> Event:
    fields = msgspec.json.decode(row["fields"], type=dict[str, Any])
    return Event(row["time_us"], row["kind"], row["severity"], row["message"], fields)
