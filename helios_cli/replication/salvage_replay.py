"""Putting the rows of a salvage back into the cluster, over an ordinary connection to the primary.

A row is put back only where the cluster has what the lost commit had found: an insert where there is no such key, an
update or a delete where the row is still as it was. Everything else is a conflict, and is left to a person.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from helios_cli.engine.errors import HeliosError
from helios_cli.engine.sql.databases import FIRST_NAME
from helios_cli.engine.storage.rowdiff import DELETE, INSERT, Change, Row
from helios_cli.engine.storage.write_ids import RESTORED, LostWrite

APPLIED: Final = "applied"
PRESENT: Final = "present"
CONFLICT: Final = "conflict"
REPEATED: Final = "repeated"
RESULTS: Final = (APPLIED, PRESENT, REPEATED, CONFLICT)

_FOREIGN_KEY: Final = "23503"


class Results(Protocol):
    """What a statement gave."""

    @property
    def rows(self) -> Sequence[tuple[str | None, ...]]:
        """The rows, as text."""


class Client(Protocol):
    """A connection, as :class:`~helios_cli.engine.net.pgclient.PgClient`."""

    def execute(self, sql: str) -> Sequence[Results]:
        """Run a query string. Raises HeliosError."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one row."""

    change: Change
    result: str
    """``applied`` (with a dry run: would be), ``present`` (the cluster has it already), ``repeated`` (what its client
    named was done again since, or given up by it) or ``conflict``."""
    reason: str = ""
    """Of a conflict."""


def replay(
    client: Client,
    changes: Iterable[Change],
    *,
    dry_run: bool,
    writes: Iterable[LostWrite] = (),
    others: Callable[[str], Client] | None = None,
) -> Iterator[Outcome]:
    """Put rows back, one transaction each; those that a foreign key holds back are tried again after the others.

    The names of the lost ``writes`` are put back first: a client that sends one again from then on is answered as it
    was. Rows of writes that were done again before are left out. ``others`` connects to a database by name, for rows
    that are not of the first one; None: those are conflicts.

    Raises:
        HeliosError: the connection is lost, or the node takes no writes.
    """
    clients = _Clients(client, others)
    settled = {write.name for write in writes if not _is_open(client, write, dry_run)}
    waiting = []
    for change in changes:
        known = settled.intersection(change.write_ids)
        if not known:
            waiting.append(change)
        elif known.issuperset(change.write_ids):
            yield Outcome(change, REPEATED)
        else:
            yield Outcome(change, CONFLICT, "some of the writes that changed it were done again")
    while waiting:
        held_back: list[Outcome] = []
        for change in waiting:
            outcome = clients.put_back(change, dry_run)
            if outcome.result == CONFLICT and outcome.reason.startswith(_FOREIGN_KEY):
                held_back.append(outcome)
            else:
                yield outcome
        if len(held_back) == len(waiting):
            yield from held_back
            return
        waiting = [outcome.change for outcome in held_back]


class _Clients:
    """Connections to the databases that rows are of, each opened when it is first needed."""

    def __init__(self, first: Client, others: Callable[[str], Client] | None) -> None:
        self._known = {FIRST_NAME: _made_ready(first)}
        self._others = others
        self._missing: dict[str, str] = {}

    def put_back(self, change: Change, dry_run: bool) -> Outcome:
        """Put a row back where it was."""
        name = change.database
        if name not in self._known and name not in self._missing:
            try:
                if self._others is None:
                    raise HeliosError(f'nobody is connected to database "{name}"', sqlstate="08003")
                self._known[name] = _made_ready(self._others(name))
            except HeliosError as error:
                self._missing[name] = f"{error.sqlstate} {error.message}"
        if name in self._missing:
            return Outcome(change, CONFLICT, self._missing[name])
        return _one(self._known[name], change, dry_run)


def _made_ready(client: Client) -> Client:
    client.execute("SET timezone = 'UTC'; SET datestyle = 'ISO'; SET bytea_output = 'hex'")
    return client


def _is_open(client: Client, write: LostWrite, dry_run: bool) -> bool:
    """Whether nothing has become of a lost write in the cluster: then its rows are to be put back."""
    if dry_run:
        text = f"SELECT helios_write_outcome({_literal(write.name)}, false)"
        return client.execute(text)[0].rows[0][0] is None
    values = ", ".join(map(_literal, (write.name, write.tag, write.statement, write.result)))
    return client.execute(f"SELECT helios_write_restore({values})")[0].rows[0][0] == RESTORED


def _one(client: Client, change: Change, dry_run: bool) -> Outcome:
    if not dry_run:
        client.execute("BEGIN")
    try:
        outcome = _judged(client, change, lock=not dry_run)
        if outcome.result == APPLIED and not dry_run:
            client.execute(statement(change))
            client.execute("COMMIT")
            return outcome
    except HeliosError as error:
        if error.sqlstate[:2] not in ("22", "23", "42"):
            raise
        outcome = Outcome(change, CONFLICT, f"{error.sqlstate} {error.message}")
    if not dry_run:
        client.execute("ROLLBACK")
    return outcome


def _judged(client: Client, change: Change, *, lock: bool) -> Outcome:
    wanted = change.after if change.after is not None else change.before
    assert wanted is not None
    where = change.key or wanted
    columns = ", ".join(map(_name, wanted))
    text = f"SELECT {columns} FROM {_table(change)} WHERE {_matching(where)}{' FOR UPDATE' if lock else ''}"
    found = [_row(wanted, row) for row in client.execute(text)[0].rows]
    if not change.key and change.op == DELETE:
        return Outcome(change, CONFLICT if found else PRESENT, "the table has no primary key" if found else "")
    present = found[0] if found else None
    if present == change.after:
        return Outcome(change, PRESENT)
    if present == change.before:
        return Outcome(change, APPLIED)
    if present is None:
        return Outcome(change, CONFLICT, "the row is gone")
    if change.op == INSERT:
        return Outcome(change, CONFLICT, "there is another row with this key")
    return Outcome(change, CONFLICT, "the row has been changed since")


def statement(change: Change) -> str:
    """The SQL that does again what the lost commit did, without a semicolon."""
    if change.after is None:
        return f"DELETE FROM {_table(change)} WHERE {_matching(change.key or change.before or {})}"
    if change.before is None:
        columns, values = ", ".join(map(_name, change.after)), ", ".join(map(_literal, change.after.values()))
        return f"INSERT INTO {_table(change)} ({columns}) OVERRIDING SYSTEM VALUE VALUES ({values})"
    before = change.before
    changed = {name: value for name, value in change.after.items() if before.get(name) != value}
    sets = ", ".join(f"{_name(name)} = {_literal(value)}" for name, value in changed.items())
    return f"UPDATE {_table(change)} SET {sets} WHERE {_matching(change.key or before)}"


def _table(change: Change) -> str:
    return f"{_name(change.schema)}.{_name(change.table)}"


def _matching(values: Mapping[str, str | None]) -> str:
    return " AND ".join(
        f"{_name(name)} IS NULL" if value is None else f"{_name(name)} = {_literal(value)}"
        for name, value in values.items()
    )


def _row(columns: Row, values: Sequence[str | None]) -> Row:
    return dict(zip(columns, values, strict=True))


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(value: str | None) -> str:
    return "NULL" if value is None else "'" + value.replace("'", "''") + "'"
