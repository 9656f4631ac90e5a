"""The variables of one running PL/pgSQL function, and what its statements ask of the node."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from helios_cli.engine.errors import HeliosError, SqlError
from helios_cli.engine.sql.inner import Inner, Variables
from helios_cli.engine.sql.oids import RECORD
from helios_cli.engine.sql.plan import Column
from helios_cli.engine.sql.plpgsql.program import Datum, Names, Program

TABLE: Final = "table"
"""The first part of what identifies a transition table."""


@dataclass(slots=True)
class Record:
    """A row: names, types and values of its fields."""

    names: tuple[str, ...]
    types: tuple[int, ...]
    values: list[Any]
    typmods: tuple[int, ...] = ()
    """Of the fields; empty when they have none."""
    absent: bool = False
    """As a whole it is NULL: OLD of an INSERT, NEW of a DELETE, both where the trigger sees no row."""

    def copy(self) -> Record:
        """Another record with the same values."""
        return Record(self.names, self.types, list(self.values), self.typmods, self.absent)

    def target(self, position: int) -> tuple[int, int]:
        """Type and modifier of a field."""
        return self.types[position], self.typmods[position] if self.typmods else -1


@dataclass(slots=True)
class Outcome:
    """What a statement run inside a function came to."""

    rows: list[Any]
    columns: tuple[Column, ...] | None
    """None for a statement without a result."""
    changes: int
    tag: str


class Rows(Protocol):
    """The rows of a cursor, and its place among them."""

    rows: list[Any]
    place: int
    """0: before the first row; n: on the n-th; one more than there are: behind the last."""


@dataclass(frozen=True, slots=True)
class Opened:
    """An open cursor."""

    kept: Rows
    columns: tuple[Column, ...]


class Cursors(Protocol):
    """The session's cursors, which outlive the function that has opened them."""

    def open(self, name: str | None, outcome: Outcome) -> str:
        """Keep the rows of a query; without a name it gets one. Returns the name. Raises SqlError 42P03."""

    def find(self, name: str) -> Opened | None:
        """An open one; None: there is none of that name."""

    def close(self, name: str) -> None:
        """Forget it."""


class Boundary(Protocol):
    """What ends the transaction that a procedure runs in."""

    subtransactions: int
    """Blocks with an EXCEPTION clause around the statement in hand."""
    writing_loops: int
    """Loops over rows of a write around it."""

    def lend(self) -> None:
        """The procedure that is called next may end transactions."""

    def commit(self) -> None:
        """Commit, and begin a transaction. Raises HeliosError."""

    def rollback(self) -> None:
        """Undo what was not committed, and begin a transaction."""


class Host(Protocol):
    """What a function asks of the connection that it runs on."""

    @property
    def cursors(self) -> Cursors:
        """Those of the session."""

    def plan(
        self, text: str, variables: Variables | None, *, whole: bool, target: tuple[int, int] | None = None
    ) -> Inner:
        """Plan a piece of SQL. Raises SqlError."""

    def is_current(self, inner: Inner) -> bool:
        """Whether a plan is made for the schema of now."""

    def run(self, inner: Inner, values: Sequence[Any]) -> Outcome:
        """Run a planned statement. Raises HeliosError."""

    def run_text(self, text: str, types: Sequence[int], values: Sequence[Any]) -> Outcome:
        """Run the statements of a text with $1, $2 ...; what the last one came to. Raises HeliosError."""

    def cast(self, value: Any, source: int, target: tuple[int, int]) -> Any:
        """Convert a stored value from one type to another as an assignment in PL/pgSQL does. Raises HeliosError."""

    def show(self, type_oid: int, value: Any) -> str:
        """A value as its type's output function prints it."""

    def notice(self, error: HeliosError, severity: str) -> None:
        """Send a message to the client."""

    def check(self) -> None:
        """Raise when the statement was cancelled."""

    def savepoint(self) -> Any:
        """Begin a subtransaction; gives what ends it. Raises HeliosError."""

    def release(self, mark: Any) -> None:
        """End a subtransaction and keep what it did."""

    def undo(self, mark: Any) -> None:
        """End a subtransaction and undo what it did."""

    def failure(self, error: BaseException) -> HeliosError | None:
        """What an exception is to a WHEN clause; None for one that no handler may catch."""

    def type_of(self, text: str) -> tuple[int, int]:
        """A type by its SQL text. Raises SqlError 42704."""

    def relation_row(self, text: str) -> Record | None:
        """An empty row of a table by its possibly qualified name; None when there is no such table."""


@dataclass(slots=True)
class Result:
    """What a function returns, as it is gathered."""

    rows: list[Any] = field(default_factory=list)
    """Of a set: a value each, or a tuple with several columns."""
    value: Any = None
    """A value, a :class:`Record`, or None."""


class Frame:
    """The variables of one call."""

    def __init__(self, program: Program, host: Host) -> None:
        self.program = program
        self.datums: list[Datum] = program.datums
        self.host = host
        self.values: list[Any] = [None] * len(program.datums)
        self.specials: dict[str, tuple[int, Any]] = {}
        """tg_op and its kin, sqlstate, sqlerrm: type and value."""
        self.case_types: dict[int, int] = {}
        self.tables: dict[str, tuple[tuple[tuple[str, int], ...], str]] = {}
        """Transition tables: columns, and rows as JSON."""
        self._rows: dict[int, Record] = {}

    def resolve_types(self) -> None:
        """Look up the types that declarations name; once for a program."""
        if self.program.types_known:
            return
        for datum in self.datums:
            if datum.kind == "var" and not datum.type_oid:
                datum.type_oid, datum.typmod = self._declared(datum.type_text)
        self.program.types_known = True

    def _declared(self, text: str) -> tuple[int, int]:
        lowered = text.lower().replace(" ", "")
        if not lowered.endswith("%type"):
            return self.host.type_of(text)
        names = [part.strip('"') for part in lowered.removesuffix("%type").split(".")]
        if len(names) == 1:
            number = next((n for n, datum in enumerate(self.datums) if datum.name == names[0]), None)
            if number is not None:
                return self._declared(self.datums[number].type_text)
            raise SqlError(f'variable "{names[0]}" does not exist', sqlstate="42704")
        row = self.host.relation_row(".".join(names[:-1]))
        if row is None:
            raise SqlError(f'relation "{".".join(names[:-1])}" does not exist', sqlstate="42P01")
        if names[-1] not in row.names:
            raise SqlError(f'column "{names[-1]}" of relation "{names[-2]}" does not exist', sqlstate="42703")
        return row.types[row.names.index(names[-1])], -1

    def empty_row(self, number: int) -> Record | None:
        """A new row for a record of a declared row type; None for a plain record.

        Raises:
            SqlError: 42P01.
        """
        datum = self.datums[number]
        if not datum.row_of:
            return None
        known = self._rows.get(number)
        if known is None:
            known = self.host.relation_row(datum.row_of)
            if known is None:
                raise SqlError(f'relation "{datum.row_of}" does not exist', sqlstate="42P01")
            self._rows[number] = known
        return known.copy()

    def start_row(self, number: int) -> None:
        """Give a record of a declared row type its fields."""
        if self.datums[number].kind == "rec":
            self.values[number] = self.empty_row(number)

    def record(self, number: int) -> Record:
        """The value of a record.

        Raises:
            SqlError: 55000, nothing was assigned to it yet.
        """
        value = self.values[number]
        if value is None:
            name = self.datums[number].name
            raise SqlError(
                f'record "{name}" is not assigned yet',
                sqlstate="55000",
                detail="The tuple structure of a not-yet-assigned record is indeterminate.",
            )
        found: Record = value
        return found

    def type_of(self, number: int) -> int:
        """The type of a variable now."""
        return self.case_types.get(number) or self.datums[number].type_oid

    def shape(self, number: int) -> Any:
        """What a plan depends on of a variable: the fields of a record, the type of a CASE's variable."""
        value = self.values[number]
        if self.datums[number].kind == "rec":
            return (value.names, value.types, value.absent) if value is not None else None
        return self.case_types.get(number)

    def read(self, key: Hashable) -> Any:
        """The value behind a plan's parameter."""
        if isinstance(key, int):
            return self.values[key]
        if isinstance(key, str):
            return self.specials[key][1]
        assert isinstance(key, tuple)
        if key[0] == TABLE:
            return self.tables[key[1]][1]
        record = self.values[key[0]]
        return record.values[record.names.index(key[1])] if record is not None else None


class Visible:
    """The variables that one place of a body sees."""

    def __init__(self, frame: Frame, names: Names) -> None:
        self.frame = frame
        self.names = names
        self.column_wins = frame.program.column_wins
        self.asked: set[int] = set()
        """Records that were asked whether they are absent, by number: a plan depends on the answer."""

    def place(self, names: Sequence[str]) -> tuple[int, Sequence[str]] | None:
        """The datum that a name begins with, and the rest of the name."""
        number = self.names.find(names[0])
        if number is not None:
            return number, names[1:]
        scope = self.names.labelled(names[0]) if len(names) > 1 else None
        if scope is not None and names[1] in scope.entries:
            return scope.entries[names[1]], names[2:]
        return None

    def find(self, names: Sequence[str]) -> tuple[Hashable, int] | None:
        """See :class:`~helios_cli.engine.sql.inner.Variables`."""
        found = self.place(names)
        if found is None:
            if len(names) == 1 and names[0] in self.frame.specials:
                return names[0], self.frame.specials[names[0]][0]
            return None
        number, rest = found
        if self.frame.datums[number].kind == "rec":
            if not rest:
                return number, RECORD
            return self._field(number, rest) if len(rest) == 1 else None
        return (number, self.frame.type_of(number)) if not rest else None

    def _field(self, number: int, rest: Sequence[str]) -> tuple[Hashable, int]:
        record = self.frame.record(number)
        if rest[0] not in record.names:
            name = self.frame.datums[number].name
            raise SqlError(f'record "{name}" has no field "{rest[0]}"', sqlstate="42703")
        return (number, rest[0]), record.types[record.names.index(rest[0])]

    def table(self, name: str) -> tuple[Hashable, tuple[tuple[str, int], ...]] | None:
        """See :class:`~helios_cli.engine.sql.inner.Variables`."""
        found = self.frame.tables.get(name)
        return ((TABLE, name), found[0]) if found is not None else None

    def absent(self, names: Sequence[str]) -> bool:
        """See :class:`~helios_cli.engine.sql.inner.Variables`."""
        found = self.place(names)
        if found is None:
            return False
        self.asked.add(found[0])
        return self.frame.record(found[0]).absent

    def fields(self, names: Sequence[str]) -> tuple[str, ...] | None:
        """See :class:`~helios_cli.engine.sql.inner.Variables`."""
        found = self.place(names)
        if found is None or found[1] or self.frame.datums[found[0]].kind != "rec":
            return None
        return self.frame.record(found[0]).names
