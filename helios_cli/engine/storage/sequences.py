"""nextval, currval, setval and lastval over the rows of ``helios_sequence``.

Every value is taken by an UPDATE inside the statement's own transaction, so it is in the record that the commit
waits for: an acknowledged commit's values are never given again, after any failover. A rollback undoes the
UPDATE but not the memory here of what was handed out or set, so no value is given twice while the process lives;
after a crash only values of transactions that never committed can come again, as in PostgreSQL.

OIDs come again when a CREATE SEQUENCE is rolled back, so what is remembered of a sequence goes by its epoch too: the
upper half is drawn when the sequence is made, the lower half anew by each RESTART.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any, Final

import apsw

from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql.ddl_schema import FIRST_TEMP_OID
from helios_cli.engine.sql.privileges import SELECT, UPDATE, USAGE
from helios_cli.engine.sql.rights import Rightful, denied
from helios_cli.engine.storage.catalog import SqliteCatalog
from helios_cli.engine.storage.upserts import running_on

_EPOCH: Final = "SELECT epoch FROM {db}.helios_sequence WHERE oid = ?"
_ROW: Final = (
    "SELECT s.last_value, s.is_called, s.seqincrement, s.seqmin, s.seqmax, s.seqcycle, r.relname, s.epoch "
    "FROM {db}.helios_sequence s JOIN {db}.helios_relation r ON r.oid = s.oid WHERE s.oid = ?"
)


@dataclass(slots=True)
class Sequences:
    """What a node remembers of sequences: one object for all its connections."""

    _given: dict[tuple[int, int, int], tuple[int, bool]] = field(default_factory=dict)
    """(sequence OID, epoch, the session of a temporary one or 0) -> last_value and is_called, rolled back or not."""
    _current: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)
    """(session, sequence OID) -> what currval answers, and which sequence of that OID it is of."""
    _last: dict[int, tuple[int, int]] = field(default_factory=dict)
    """session -> OID of the sequence nextval was last called on."""
    guards: dict[int, int] = field(default_factory=dict)
    """session -> role, of sessions that may not do everything."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def forget_session(self, pid: int) -> None:
        """Drop what currval and lastval of a closed session would answer, and its temporary sequences."""
        with self._lock:
            self._last.pop(pid, None)
            for key in [key for key in self._current if key[0] == pid]:
                del self._current[key]
            for given in [given for given in self._given if given[2] == pid]:
                del self._given[given]

    def reset(self) -> None:
        """Forget what was handed out: the database was replaced under the node (rewind, re-seed, demotion)."""
        with self._lock:
            self._given.clear()
            self._current.clear()
            self._last.clear()

    def next_value(self, connection: apsw.Connection, oid: int, pid: int) -> int:
        """Take the next value.

        Raises:
            SqlError: 42P01 no such sequence, 2200H its end is reached.
        """
        row = _read(connection, oid)
        last, called, step, low, high, cycle, name, epoch = row
        key = (oid, epoch, pid if oid >= FIRST_TEMP_OID else 0)
        with self._lock:
            # The row is not what it was when a transaction that moved it was rolled back.
            last, called = self._given.get(key, (last, bool(called)))
            value = _advance(last, called, step, low, high, bool(cycle), name)
            self._given[key] = value, True
            self._current[pid, oid] = value, _which(epoch)
            self._last[pid] = oid, _which(epoch)
        sql = f"UPDATE {_db(oid)}.helios_sequence SET last_value = ?, is_called = 1 WHERE oid = ?"
        running_on(connection).run_inside(connection, sql, (value, oid))
        return value

    def set_value(self, connection: apsw.Connection, oid: int, value: int, called: bool, pid: int) -> int:
        """setval.

        Raises:
            SqlError: 22003, the value is out of the sequence's bounds.
        """
        _last, _called, _step, low, high, _cycle, name, epoch = _read(connection, oid)
        if not low <= value <= high:
            message = f'setval: value {value} is out of bounds for sequence "{name}" ({low}..{high})'
            raise SqlError(message, sqlstate="22003")
        sql = f"UPDATE {_db(oid)}.helios_sequence SET last_value = ?, is_called = ? WHERE oid = ?"
        running_on(connection).run_inside(connection, sql, (value, int(called), oid))
        with self._lock:
            self._given[oid, epoch, pid if oid >= FIRST_TEMP_OID else 0] = value, called
            if called:
                self._current[pid, oid] = value, _which(epoch)
        return value

    def current_value(self, connection: apsw.Connection, oid: int, pid: int) -> int:
        """currval.

        Raises:
            SqlError: 55000, nextval was not yet called in the session.
        """
        value = self._known(connection, oid, pid)
        if value is None:
            name = _read(connection, oid)[6]
            raise SqlError(f'currval of sequence "{name}" is not yet defined in this session', sqlstate="55000")
        return value

    def _known(self, connection: apsw.Connection, oid: int, pid: int) -> int | None:
        """What a session had last of a sequence; None: nothing, or it was another one of that OID."""
        value, which = self._current.get((pid, oid), (None, 0))
        if value is None:
            return None
        rows: Any = connection.execute(_EPOCH.format(db=_db(oid)), (oid,)).fetchall()
        return value if rows and _which(rows[0][0]) == which else None

    def last_value(self, connection: apsw.Connection, pid: int) -> int:
        """lastval.

        Raises:
            SqlError: 55000, nextval was not yet called in the session, or its sequence is gone.
        """
        oid, which = self._last.get(pid, (0, 0))
        value = self._known(connection, oid, pid) if oid else None
        if value is None or self._current[pid, oid][1] != which:
            raise SqlError("lastval is not yet defined in this session", sqlstate="55000")
        return value


def _which(epoch: int) -> int:
    """What stays of an epoch while the sequence does."""
    return epoch >> 32


def _db(oid: int) -> str:
    return "temp" if oid >= FIRST_TEMP_OID else "main"


def _read(connection: apsw.Connection, oid: int) -> Any:
    # Reading to the end resets the statement, so that APSW's cache can hand it out again.
    rows = connection.execute(_ROW.format(db=_db(oid)), (oid,)).fetchall()
    if not rows:
        raise SqlError(f"sequence with OID {oid} does not exist", sqlstate="42P01")
    return rows[0]


def _advance(last: int, called: bool, step: int, low: int, high: int, cycle: bool, name: str) -> int:
    if not called:
        return last
    value = last + step
    if low <= value <= high:
        return value
    if cycle:
        return low if step > 0 else high
    bound, word = (high, "maximum") if step > 0 else (low, "minimum")
    raise SqlError(f'nextval: reached {word} value of sequence "{name}" ({bound})', sqlstate="2200H")


def register(connection: apsw.Connection, sequences: Sequences, catalog: SqliteCatalog) -> None:
    """Make ``pg_nextval`` and its kin callable on a connection.

    A sequence is given by its OID, or by its name as text; the last argument is the session's number.
    """

    def resolve(what: Any) -> int:
        if isinstance(what, int):
            return what
        catalog.refresh()
        relation = catalog.relation(*split_name(str(what)))
        if relation is None:
            raise SqlError(f'relation "{what}" does not exist', sqlstate="42P01")
        if relation.kind != "S":
            raise SqlError(f'"{relation.name}" is not a sequence', sqlstate="42809")
        return relation.oid

    def allowed(oid: int, pid: int, wanted: int) -> int:
        """The OID again. Raises SqlError 42501."""
        if pid in sequences.guards:
            catalog.refresh()
            rightful = Rightful(catalog.privileges, sequences.guards[pid])
            if not rightful.relation_held(oid, "S", "", wanted):
                relation = catalog.relation_by_oid(oid)
                raise denied("sequence", relation.name if relation is not None else str(oid))
        return oid

    def nextval(what: Any, pid: int) -> int | None:
        if what is None:
            return None
        oid = resolve(what)
        if sequences.guards:
            allowed(oid, pid, USAGE | UPDATE)
        return sequences.next_value(connection, oid, pid)

    def nextval_identity(oid: int, pid: int) -> int:
        return sequences.next_value(connection, resolve(oid), pid)

    def nextval_owned(table: int, column: int) -> int:
        owned = [found for found in catalog.owned_sequences(table) if found.owner_attnum == column]
        if not owned:
            raise SqlError(f"column {column} of relation {table} has no sequence", sqlstate="55000")
        return sequences.next_value(connection, owned[0].oid, 0)

    def setval(what: Any, value: int | None, called: int | None, pid: int) -> int | None:
        if what is None or value is None or called is None:
            return None
        return sequences.set_value(connection, allowed(resolve(what), pid, UPDATE), value, bool(called), pid)

    def currval(what: Any, pid: int) -> int | None:
        return (
            None
            if what is None
            else sequences.current_value(connection, allowed(resolve(what), pid, USAGE | SELECT), pid)
        )

    def currval_identity(oid: int, pid: int) -> int:
        return sequences.current_value(connection, oid, pid)

    def lastval(pid: int) -> int:
        return sequences.last_value(connection, pid)

    table: dict[str, tuple[Any, int]] = {
        "pg_nextval": (nextval, 2), "pg_nextval_identity": (nextval_identity, 2),
        "pg_nextval_owned": (nextval_owned, 2), "pg_setval": (setval, 4), "pg_currval": (currval, 2),
        "pg_currval_identity": (currval_identity, 2), "pg_lastval": (lastval, 1),
    }  # fmt: skip
    for name, (call, count) in table.items():
        connection.create_scalar_function(name, call, count)


def split_name(name: str) -> tuple[str | None, str]:
    """(schema or None, name) of a possibly quoted qualified name; unquoted parts are folded to lower case."""
    parts: list[str] = []
    rest = name.strip()
    while rest:
        if rest[0] == '"':
            end = rest.find('"', 1)
            while end + 1 < len(rest) and end > 0 and rest[end + 1] == '"':
                end = rest.find('"', end + 2)
            end = end if end > 0 else len(rest)
            parts.append(rest[1:end].replace('""', '"'))
            rest = rest[end + 1 :].lstrip().removeprefix(".")
        else:
            part, _, rest = rest.partition(".")
            parts.append(part.strip().lower())
    if not parts:
        raise SqlError(f'invalid name syntax: "{name}"', sqlstate="42602")
    return (parts[-2] if len(parts) > 1 else None), parts[-1]
