"""Writes that clients have named, and what came of each: the rows of ``helios_write``.

A row is put in by the SQLite transaction of the write itself, so it is logged, copied, rewound and taken over with it:
there is no write without its row, and no row without its write. It is kept for an hour at least.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import apsw

from helios_cli.engine.errors import HeliosError, SqlError
from helios_cli.engine.sql.ddl_schema import WRITE_TABLE
from helios_cli.engine.types import WriteId

KEPT_US: Final = 3_600_000_000
"""How long a row is kept at least, by the clocks of the primaries, in microseconds."""

RESULT_BYTES_MAX: Final = 8192
"""Of a result's text; the rows of a longer one are not kept, its command tag is."""

TOUCHED_MAX: Final = 32
"""Rows that a write's row names; a write that changed more of them names none."""

SWEEP_EVERY: Final = 16
SWEEP_ROWS: Final = 64
"""With one in so many named writes, so many rows are looked at: four for each that comes, so the old ones go faster."""

NOT_DONE: Final = "not done"
RESTORED: Final = "restored"
"""What the replay of a salvage is told of a name that nobody has used since, and leaves in the row's ``touched``."""

_FIND: Final = "SELECT tag, statement, result FROM main.helios_write WHERE client = ? AND seq = ?"
_KEEP: Final = (
    "INSERT INTO main.helios_write(client, seq, tag, statement, result, touched, written_us) "
    "VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_FIND_FROM: Final = (
    "SELECT seq, tag, statement, result FROM main.helios_write WHERE client = ? AND seq >= ? ORDER BY seq LIMIT 1"
)
_FORGET: Final = "DELETE FROM main.helios_write WHERE client = ? AND seq < ?"
_NEXT: Final = (
    "SELECT client, seq, written_us FROM main.helios_write WHERE (client, seq) > (?, ?) ORDER BY client, seq LIMIT ?"
)
_LOST: Final = (
    "SELECT client, seq, tag, statement, result, touched, written_us FROM main.helios_write WHERE tag NOT NULL"
)
_WRITTEN: Final = "SELECT written_us FROM main.helios_write WHERE client = ? AND seq = ?"
_RESTORED: Final = "SELECT touched = ? FROM main.helios_write WHERE client = ? AND seq = ?"
_DROP: Final = "DELETE FROM main.helios_write WHERE client = ? AND seq = ?"

Rows = list[tuple[Any, ...]]
Touched = list[tuple[str, int]]
"""Tables by their name in SQLite, and row ids."""


class WriteNotKept(HeliosError):
    """The row of a named write could not be put in, so the write is not done either."""


@dataclass(frozen=True, slots=True)
class Done:
    """What a named write has come to."""

    tag: str | None
    """Its command tag; None: nothing was found of it and that was told, so it must never be done."""
    statement: bytes | None
    """The fingerprint of what was done; None for a transaction block."""
    result: str | None
    """Its rows, encoded by :func:`encode_rows`; None when it has none, or they were too large."""


@dataclass(frozen=True, slots=True)
class LostWrite:
    """A named write that the cluster went on without."""

    name: str
    tag: str
    statement: str | None
    """The fingerprint in hexadecimal; None for a transaction block."""
    result: str | None
    touched: Touched
    """Rows that it changed; empty where they are not known."""


class WriteIds:
    """The table, and how far its sweeping has come. Used by whoever holds the writer, so by one thread at a time."""

    def __init__(self) -> None:
        self._countdown = SWEEP_EVERY
        self._swept: tuple[bytes, int] = (b"", 0)

    def find(self, connection: apsw.Connection, write_id: WriteId) -> Done | None:
        """What a write has come to, as the connection's transaction sees it; None: nothing is known of it."""
        key = (write_id.client, write_id.seq)
        # Reading to the end resets the statement, so that APSW's cache can hand it out again.
        rows: list[Any] = connection.execute(_FIND_FROM if write_id.is_last else _FIND, key).fetchall()
        if not rows:
            return None
        if not write_id.is_last:
            return Done(*rows[0])
        seq, *found = rows[0]
        # A client that has gone on has its answer: what comes late of an earlier write is nobody's any more.
        return Done(*found) if seq == write_id.seq else Done(None, None, None)

    def keep(self, connection: apsw.Connection, write_id: WriteId, done: Done, touched: Touched | None = None) -> None:
        """Put a write's row into the transaction that does the write.

        Raises:
            WriteNotKept: it is there already.
            apsw.Error: whatever else SQLite raises; the transaction must not be committed then.
        """
        text = json.dumps(touched, ensure_ascii=False, separators=(",", ":")) if touched else None
        self._put(connection, write_id, done, text)

    def _put(self, connection: apsw.Connection, write_id: WriteId, done: Done, text: str | None) -> None:
        now_us = _now_us()
        binds = (write_id.client, write_id.seq, done.tag, done.statement, done.result, text, now_us)
        try:
            connection.execute(_KEEP, binds)
        except apsw.ConstraintError as error:
            # Such an error of a member's own statement would leave the member in its group.
            raise WriteNotKept(f"the write {write_id.name} could not be kept: {error}") from error
        if write_id.is_last:
            connection.execute(_FORGET, (write_id.client, write_id.seq))
        self._countdown -= 1
        if self._countdown <= 0:
            self._countdown = SWEEP_EVERY
            self._sweep(connection, now_us - KEPT_US)

    def _sweep(self, connection: apsw.Connection, before_us: int) -> None:
        """Remove what is too old of the next few rows in the order of their keys, from the first again at the end."""
        rows: list[Any] = connection.execute(_NEXT, (*self._swept, SWEEP_ROWS)).fetchall()
        self._swept = (rows[-1][0], rows[-1][1]) if len(rows) == SWEEP_ROWS else (b"", 0)
        old = [(client, seq) for client, seq, written_us in rows if written_us < before_us]
        if old:
            connection.executemany(_DROP, old)

    def outcome(self, connection: apsw.Connection, text: str, *, give_up: bool, in_block: bool) -> str | None:
        """``helios_write_outcome``: the command tag of a write that was done; else it is given up, for ever.

        That makes the answer certain: what is still on its way of the first attempt is refused when it comes. It runs
        where writes run, and like theirs its answer leaves when its own change has the copies that the mode wants.
        Without ``give_up`` nothing is changed, and of a write that is not known nothing is said: None.

        Raises:
            SqlError: 22023, the id is none; 25001, inside a transaction block, which could take the giving up back.
        """
        write_id = _parsed(text)
        if give_up and in_block:
            raise SqlError(
                "helios_write_outcome() cannot run inside a transaction block",
                sqlstate="25001",
                hint="Ask in autocommit, or helios_write_outcome(id, false), which does not give the write up.",
            )
        write_id = WriteId(write_id.client, write_id.seq)
        done = self.find(connection, write_id)
        if done is None:
            if not give_up:
                return None
            self.keep(connection, write_id, Done(None, None, None))
        return done.tag or NOT_DONE if done is not None else NOT_DONE

    def restore(self, connection: apsw.Connection, name: str, done: Done) -> str:
        """``helios_write_restore``: a salvaged write is being put back, so it must not be done again either.

        :data:`RESTORED`, also the second time; else what the cluster knows of it: its tag, or :data:`NOT_DONE`.
        """
        write_id = _parsed(name)
        known = self.find(connection, write_id)
        if known is None:
            self._put(connection, write_id, done, RESTORED)
            return RESTORED
        by_replay = connection.execute(_RESTORED, (RESTORED, write_id.client, write_id.seq)).fetchall()[0][0]
        return RESTORED if by_replay else known.tag or NOT_DONE


def _parsed(text: str) -> WriteId:
    try:
        return WriteId.parse(text)
    except ValueError:
        raise SqlError(f'invalid write id: "{text}"', sqlstate="22023", hint="It is written uuid:number.") from None


def lost(base: apsw.Connection, tip: apsw.Connection) -> list[LostWrite]:
    """The writes that ``tip`` knows and ``base`` does not, or knows to have been done at another time."""
    if missing_tables(tip):
        return []
    has_table = not missing_tables(base)
    found = []
    rows: list[Any] = tip.execute(_LOST).fetchall()
    for client, seq, tag, statement, result, touched, written_us in rows:
        there = base.execute(_WRITTEN, (client, seq)).fetchall() if has_table else []
        if there != [(written_us,)]:
            name = WriteId(client, seq).name
            fingerprint = statement.hex() if statement is not None else None
            known = json.loads(touched) if touched and touched != RESTORED else []
            found.append(LostWrite(name, tag, fingerprint, result, [(table, row_id) for table, row_id in known]))
    return found


def by_row(writes: Sequence[LostWrite]) -> dict[tuple[str, int], list[str]]:
    """The names of the writes that changed each row, by table and row id."""
    found: dict[tuple[str, int], list[str]] = {}
    for write in writes:
        for row in write.touched:
            found.setdefault(row, []).append(write.name)
    return found


def register(connection: apsw.Connection, write_ids: WriteIds) -> None:
    """Make ``node_write_outcome`` and ``node_write_restore`` callable on a connection."""

    def outcome(text: str | None, give_up: int | None, in_block: int) -> str | None:
        if text is None or give_up is None:
            return None
        return write_ids.outcome(connection, text, give_up=bool(give_up), in_block=bool(in_block))

    def restore(name: str | None, tag: str | None, statement: str | None, result: str | None) -> str | None:
        if name is None or tag is None:
            return None
        try:
            fingerprint = bytes.fromhex(statement) if statement is not None else None
        except ValueError:
            raise SqlError(f'invalid fingerprint of a write: "{statement}"', sqlstate="22023") from None
        return write_ids.restore(connection, name, Done(tag, fingerprint, result))

    functions: dict[str, tuple[Callable[..., Any], int]] = {
        "node_write_outcome": (outcome, 3), "node_write_restore": (restore, 4)
    }  # fmt: skip
    for name, (call, count) in functions.items():
        connection.create_scalar_function(name, call, count)


def missing_tables(connection: apsw.Connection) -> tuple[str, ...]:
    """What makes the table in a database that was born without it; empty when it is there."""
    found = connection.execute("SELECT 1 FROM main.sqlite_schema WHERE name = 'helios_write'").fetchall()
    return () if found else (WRITE_TABLE,)


@contextmanager
def watched(connection: apsw.Connection) -> Iterator[Touched]:
    """The rows that statements on ``connection`` change meanwhile, up to one more than :data:`TOUCHED_MAX`.

    SQLite leaves out what REPLACE and a DELETE without a WHERE remove (sqlite.org/c3ref/update_hook.html).
    """
    touched: Touched = []

    def changed(_kind: int, database: str, table: str, row_id: int) -> None:
        if len(touched) <= TOUCHED_MAX and database == "main" and not table.startswith("helios_"):
            touched.append((table, row_id))

    connection.set_update_hook(changed)
    try:
        yield touched
    finally:
        connection.set_update_hook(None)


def known(touched: Touched) -> Touched | None:
    """The rows that a write touched, each once; None when they are too many."""
    return list(dict.fromkeys(touched)) if len(touched) <= TOUCHED_MAX else None


def encode_rows(types: Sequence[int], rows: Sequence[Sequence[Any]]) -> str | None:
    """Rows of SQLite values with the OIDs of their columns; None when they are too large to be kept."""
    if sum(len(value) for row in rows for value in row if isinstance(value, (str, bytes))) > RESULT_BYTES_MAX:
        return None
    text = json.dumps(
        [list(types), [[[value.hex()] if isinstance(value, bytes) else value for value in row] for row in rows]],
        ensure_ascii=False,
        separators=(",", ":"),
    )
    return text if len(text) <= RESULT_BYTES_MAX else None


def decode_rows(types: Sequence[int], text: str) -> Rows | None:
    """The rows that were kept; None when the columns are others by now, or it is none of :func:`encode_rows`."""
    try:
        kept, rows = json.loads(text)
        if kept != list(types):
            return None
        return [tuple(bytes.fromhex(value[0]) if isinstance(value, list) else value for value in row) for row in rows]
    except (ValueError, TypeError, IndexError):
        # Who replays a salvage gives it, and that may be anybody.
        return None


def _now_us() -> int:
    return time.time_ns() // 1000
