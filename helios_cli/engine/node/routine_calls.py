"""Users' functions on one SQLite connection: what their statements are planned with, and how they run nested in others.

A statement that calls a function runs on a thread with a connection to itself; the function's own statements run on the
same connection, in the same transaction.
"""

from __future__ import annotations

import json
import weakref
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

import apsw

from helios_cli.engine.datatypes.usertypes import is_row
from helios_cli.engine.errors import HeliosError, SqlError
from helios_cli.engine.node import identity, row_security_calls
from helios_cli.engine.node.folding import fold
from helios_cli.engine.node.routine_host import RoutineHost
from helios_cli.engine.node.session_values import session_value
from helios_cli.engine.sql.context import SESSION_CALL
from helios_cli.engine.sql.inner import Inner
from helios_cli.engine.sql.oids import POLYMORPHIC, RECORD, VOID
from helios_cli.engine.sql.plan import Column
from helios_cli.engine.sql.plpgsql.composites import output_value, read_row, row_of, write_row
from helios_cli.engine.sql.plpgsql.frame import Outcome as SqlOutcome
from helios_cli.engine.sql.plpgsql.frame import Record
from helios_cli.engine.sql.plpgsql.interpreter import Interpreter
from helios_cli.engine.sql.plpgsql.program import Program, parse_program
from helios_cli.engine.sql.resolution import bind_polymorphic
from helios_cli.engine.sql.routine_bodies import statements_of
from helios_cli.engine.sql.routine_text import declared_arguments, header_of, visible_signature
from helios_cli.engine.sql.routine_variables import ArgumentNames
from helios_cli.engine.sql.routines import CALL, PURE, Routine, gives_rows
from helios_cli.engine.sql.runtime_values import pg_row
from helios_cli.engine.sql.user_calls import COLUMNS, ROW
from helios_cli.engine.storage.upserts import running_on

if TYPE_CHECKING:
    from helios_cli.engine.node.boundaries import Boundary
    from helios_cli.engine.node.catalog_hooks import CatalogHooks
    from helios_cli.engine.node.session import Session

Outcome = TypeVar("Outcome")

DEPTH_MAX: Final = 100
"""Functions that may be under way inside one another."""

_ALL: weakref.WeakKeyDictionary[apsw.Connection, RoutineCalls] = weakref.WeakKeyDictionary()


def of_connection(connection: apsw.Connection) -> RoutineCalls:
    """The functions of a connection."""
    return _ALL[connection]


def session_of(connection: apsw.Connection) -> Session | None:
    """Whose statement runs on a connection; None where no session's does."""
    calls = _ALL.get(connection)
    return calls.session(calls.pid) if calls is not None and calls.pid else None


def register(connection: apsw.Connection, hooks: CatalogHooks) -> None:
    """Make users' functions, and the values of sessions, known to a connection."""
    calls = RoutineCalls(connection, hooks)
    _ALL[connection] = calls
    call: Any = calls.call
    pure: Any = calls.pure_call
    connection.create_scalar_function(CALL, call, -1, deterministic=False)
    connection.create_scalar_function(PURE, pure, -1, deterministic=True)
    value: Any = calls.session_value
    connection.create_scalar_function(SESSION_CALL, value, 1, deterministic=False)
    row_security_calls.register(connection, calls)


def runs_for(connection: apsw.Connection, session: Session) -> None:
    """Whose statements a connection runs from now on: what views and constraints ask for is this session's."""
    _ALL[connection].pid = session.pid


class Prepared:
    """A function made ready to run, for one choice of argument types."""

    __slots__ = (
        "columns", "inners", "modifiers", "name", "program", "result", "routine", "spread", "statements", "types",
    )  # fmt: skip

    def __init__(self, routine: Routine, types: tuple[int, ...], host: RoutineHost) -> None:
        self.routine = routine
        self.types = types
        self.name = visible_signature(routine, host.catalog)
        self.columns = host.columns_of(routine)
        if routine.kind == "p" and routine.language == "sql" and len(routine.outputs) == 1:
            self.columns = ((routine.outputs[0].name, routine.outputs[0].type_oid),)
        self.spread = len(self.columns) > 1 or (bool(self.columns) and gives_rows(routine))
        """A row of its result is a tuple of the columns' values; else it is a value."""
        self.modifiers = _modifiers(routine, host)
        declared = routine.signature()
        bindings = bind_polymorphic(declared, types) or {} if any(oid in POLYMORPHIC for oid in declared) else {}
        self.columns = tuple((name, bindings.get(oid, oid)) for name, oid in self.columns)
        self.result = bindings.get(routine.result, routine.result)
        self.program: Program | None = None
        self.statements: list[str] = []
        self.inners: list[Inner] = []
        if routine.language == "plpgsql":
            names = [argument.name for argument in routine.arguments]
            self.program = parse_program(
                header_of(routine),
                routine.body,
                routine.name,
                names,
                lambda text: host.is_row(text),
                declared_arguments(routine),
            )
            resolved = iter(types)
            for number, argument in enumerate(routine.arguments):
                datum = self.program.datums[self.program.place(number)]
                oid = next(resolved, argument.type_oid) if argument.mode in "ibv" else argument.type_oid
                oid = bindings.get(oid, oid)
                if datum.kind != "rec":
                    datum.type_oid = oid
                elif (row := host.catalog.type_by_oid(oid)) is not None:
                    datum.row_of = f'"{row.schema}"."{row.name}"'
        else:
            self.statements = statements_of(routine)


def _modifiers(routine: Routine, host: RoutineHost) -> tuple[int, ...]:
    """The modifiers of the columns of the row type that a function returns; empty when it has none."""
    found: Any = None
    if routine.relation:
        relation = host.catalog.relation_by_oid(routine.relation)
        found = relation.columns if relation is not None else None
    elif is_row(routine.result) and routine.result != RECORD:
        made = host.catalog.type_by_oid(routine.result)
        found = made.fields if made is not None else None
    modifiers = tuple(part.typmod for part in found or ())
    return modifiers if any(modifier >= 0 for modifier in modifiers) else ()


def _taken(row: Record | None, value: Any) -> Any:
    """The value of an argument as its variable holds it; ``row``: the empty row of a variable for a row."""
    given = read_row(value, row) if row is not None else None
    if row is not None and given is not None and len(given.values) == len(row.values):
        row.values[:] = given.values
    return value if row is None else row


class RoutineCalls:
    """Runs users' functions for whichever session uses the connection."""

    def __init__(self, connection: apsw.Connection, hooks: CatalogHooks) -> None:
        self._connection = weakref.ref(connection)
        self._hooks = hooks
        self._prepared: dict[tuple[Hashable, ...], Prepared] = {}
        self.host: RoutineHost | None = None
        self.depth = 0
        self.pid = 0
        """The session whose statement is under way; 0 before the first."""
        self.lent: Boundary | None = None
        """For the body that runs next: it may end transactions. Whatever begins takes it away."""
        self.conditions: dict[int, Inner] = {}
        """Plans of triggers' WHEN conditions, by OID."""

    def host_for(self, session: Session) -> RoutineHost:
        """What functions of a session run with; kept while the schema and the session stay the same."""
        host = self.host
        if host is None or host.session is not session:
            connection = self._connection()
            assert connection is not None
            host = self.host = RoutineHost(connection, session, self)
            self._prepared.clear()
        if not self.depth and host.refresh():
            self._prepared.clear()
            self.conditions.clear()
        return host

    def call(self, pid: int, oid: int, types: str, *arguments: Any) -> Any:
        """The SQLite function: a value, or the rows of a set as JSON."""
        host = self.host_for(self.session(pid))
        routine = host.catalog.routine(oid)
        if routine is not None and routine.aggregate is not None:
            signature = tuple(map(int, types.split(","))) if types else ()
            return fold(self, host, routine, routine.aggregate, signature, arguments[0])
        as_row = types.startswith(ROW)
        types = types.removeprefix(ROW)
        given: tuple[int, ...] = ()
        if types.startswith(COLUMNS):
            listed, _, types = types.removeprefix(COLUMNS).partition(";")
            given = tuple(map(int, listed.split(",")))
        prepared = self.prepared(host, oid, tuple(map(int, types.split(","))) if types else (), given)
        routine = prepared.routine
        is_table = routine.returns_set or prepared.spread
        if routine.strict and any(argument is None for argument in arguments):
            return None
        rows, value = self.run(host, prepared, arguments)
        if not is_table:
            return value
        if as_row:
            return write_row([oid for _, oid in prepared.columns], value) if value is not None else None
        if not routine.returns_set:
            rows = [value if value is not None else (None,) * len(prepared.columns)]
        return encode_rows(rows)

    def pure_call(self, oid: int, types: str, *arguments: Any) -> Any:
        """The SQLite function for an IMMUTABLE function: its value."""
        return self.call(self.pid, oid, types, *arguments)

    def session_value(self, name: str) -> Any:
        """The SQLite function for what a view or a constraint asks of the session."""
        return session_value(self.session(self.pid), name)

    def session(self, pid: int) -> Session:
        """The session of a statement. Raises SqlError 55000."""
        engine = self._hooks.engine
        session = engine.sessions.get(pid) if engine is not None else None
        if session is None:
            raise SqlError("functions need a session", sqlstate="55000")
        return session

    def take_lent(self) -> Boundary | None:
        """What was lent to the program that begins, and to no other."""
        lent, self.lent = self.lent, None
        return lent

    @contextmanager
    def inside(self) -> Iterator[None]:
        """A statement is under way whose own functions and triggers are nested in it."""
        self.depth += 1
        try:
            yield
        finally:
            self.depth -= 1

    def do(self, host: RoutineHost, body: str) -> None:
        """Run an anonymous block. Raises HeliosError."""
        boundary = self.take_lent()
        program = parse_program("DO", body, "inline_code_block", [], host.is_row)
        self.depth += 1
        try:
            interpreter = Interpreter(
                program, host, "inline_code_block", result=(VOID, -1), returns_set=False, columns=()
            )
            interpreter.boundary = boundary
            interpreter.call()
        except RecursionError:
            raise too_deep() from None
        finally:
            self.depth -= 1

    def prepared(self, host: RoutineHost, oid: int, types: tuple[int, ...], given: tuple[int, ...] = ()) -> Prepared:
        """A function made ready. Raises SqlError 42883 when it is gone, and errors of its body."""
        if host.changed:
            host.changed = False
            self._prepared.clear()
            self.conditions.clear()
        found = self._prepared.get((oid, types, given))
        if found is None:
            routine = host.catalog.routine(oid)
            if routine is None:
                raise SqlError(f"cache lookup failed for function {oid}", sqlstate="42883")
            found = self._prepared[oid, types, given] = Prepared(routine, types, host)
            if given:
                # The statement says what the records are made of.
                found.columns = tuple((f"f{number}", column) for number, column in enumerate(given, 1))
                found.spread = True
        return found

    def prepared_as(self, host: RoutineHost, key: tuple[str, tuple[int, ...]], make: Callable[[], Routine]) -> Prepared:
        """A function that no catalog holds, made ready once for each key."""
        found = self._prepared.get(key)
        if found is None:
            found = self._prepared[key] = Prepared(make(), key[1], host)
        return found

    def run(self, host: RoutineHost, prepared: Prepared, arguments: Sequence[Any]) -> tuple[list[Any], Any]:
        """Call a function: the rows of a set, and the value of one that returns no set (a tuple if it is ``spread``).

        Raises:
            HeliosError: what its statements raise; 54001, calls are nested too deeply.
        """
        boundary = self.take_lent()
        if prepared.routine.kind == "p" and not prepared.routine.settings and not prepared.routine.security_definer:
            self.lent = boundary
        work = self._run_plpgsql if prepared.program is not None else self._run_sql
        rows, value = self.guarded(host, prepared.routine, lambda: work(host, prepared, arguments))
        if prepared.modifiers:
            rows = [_fitted(host, prepared, row) for row in rows]
            value = _fitted(host, prepared, value)
        return rows, value

    def guarded(self, host: RoutineHost, routine: Routine, work: Callable[[], Outcome]) -> Outcome:
        """Run a function's body with its settings.

        Raises:
            HeliosError: what its statements raise; 54001, calls are nested too deeply.
        """
        if self.depth >= DEPTH_MAX:
            raise too_deep()
        self.depth += 1
        restore = host.enter(routine)
        become = identity.as_definer(host.session, routine, host.catalog.privileges)
        try:
            with running_on(host.connection).inside():
                return work()
        except RecursionError:
            raise too_deep() from None
        finally:
            self.depth -= 1
            become()
            restore()

    def _run_plpgsql(self, host: RoutineHost, prepared: Prepared, arguments: Sequence[Any]) -> tuple[list[Any], Any]:
        boundary = self.take_lent()
        routine, program = prepared.routine, prepared.program
        assert program is not None
        interpreter = Interpreter(
            program, host, prepared.name, result=(prepared.result, -1), returns_set=routine.returns_set,
            columns=prepared.columns, spread=prepared.spread,
        )  # fmt: skip
        interpreter.boundary = boundary
        given = iter(arguments)
        for number, argument in enumerate(routine.arguments):
            if argument.mode in "ibv":
                place = program.place(number)
                interpreter.frame.values[place] = _taken(interpreter.frame.empty_row(place), next(given, None))
            if argument.mode in "obt":
                interpreter.outputs.append(program.place(number))
            if argument.mode in "ot":
                interpreter.frame.start_row(program.place(number))
        result = interpreter.call()
        if routine.returns_set:
            return result.rows, None
        if interpreter.outputs:
            only = interpreter.frame.values[interpreter.outputs[0]]
            if len(interpreter.outputs) == 1 and prepared.columns and isinstance(only, Record):
                return [], interpreter.fitted(only)
            values = tuple(output_value(interpreter.frame.values[number]) for number in interpreter.outputs)
            return [], values if prepared.spread or len(values) > 1 else values[0]
        if prepared.result == VOID and routine.kind == "f":
            return [], ""
        if prepared.spread:
            return [], interpreter.fitted(result.value) if isinstance(result.value, Record) else None
        return [], row_of(result.value) if isinstance(result.value, Record) else result.value

    def _run_sql(self, host: RoutineHost, prepared: Prepared, arguments: Sequence[Any]) -> tuple[list[Any], Any]:
        self.take_lent()
        routine = prepared.routine
        names = ArgumentNames(routine, prepared.types)
        outcome = None
        for number, text in enumerate(prepared.statements):
            try:
                while len(prepared.inners) <= number or not host.is_current(prepared.inners[number]):
                    del prepared.inners[number:]
                    prepared.inners.append(host.plan(text, names, whole=True))
                inner = prepared.inners[number]
                outcome = host.run(inner, [arguments[key] for key in inner.keys])
            except HeliosError as error:
                line = f'SQL function "{routine.name}" statement {number + 1}'
                error.context = f"{error.context}\n{line}" if error.context else line
                raise
        if outcome is None or prepared.result == VOID or outcome.columns is None:
            return [], None
        if prepared.spread and _is_whole(outcome.columns, prepared.columns):
            outcome = _spread(outcome, prepared.columns)
        assert outcome.columns is not None
        wanted = [oid for _, oid in prepared.columns] or [prepared.result]
        given = [column.type_oid for column in outcome.columns]
        rows = outcome.rows if routine.returns_set else outcome.rows[:1]
        if (wanted != given and prepared.result != RECORD) or prepared.columns:
            rows = [
                tuple(
                    value if value is None or source == target else host.cast(value, source, (target, -1))
                    for value, source, target in zip(row, given, wanted, strict=False)
                )
                for row in rows
            ]
        if prepared.result == RECORD and not prepared.columns and not (len(given) == 1 and is_row(given[0])):
            # A record is what the last statement gives.
            pairs = ((part for pair in zip(given, row, strict=True) for part in pair) for row in rows)
            rows = [(pg_row(len(given), *parts),) for parts in pairs]
        values = [row if prepared.spread else row[0] for row in rows]
        if routine.returns_set:
            return values, None
        return [], values[0] if values else None


def _fitted(host: RoutineHost, prepared: Prepared, row: Any) -> Any:
    """A row, or the value of the only column, as the modifiers of the row type's columns want it. Raises SqlError."""
    if row is None:
        return None
    many = prepared.spread
    values = [
        value if value is None or modifier < 0 else host.cast(value, oid, (oid, modifier))
        for value, (_, oid), modifier in zip(
            row if many else (row,), prepared.columns, prepared.modifiers, strict=False
        )
    ]
    return tuple(values) if many else values[0]


def _is_whole(given: Sequence[Column], columns: tuple[tuple[str, int], ...]) -> bool:
    """Whether the only column that a body gives is the whole row, and not the row's only column."""
    if len(given) != 1:
        return False
    return len(columns) != 1 or (is_row(given[0].type_oid) and given[0].type_oid != columns[0][1])


def _spread(outcome: SqlOutcome, columns: tuple[tuple[str, int], ...]) -> SqlOutcome:
    """A result of one column of rows as their columns."""
    template = Record(tuple(name for name, _ in columns), tuple(oid for _, oid in columns), [])
    records = [read_row(row[0], template) for row in outcome.rows]
    types = next((record.types for record in records if record is not None), template.types)
    shown = tuple(Column(name, oid) for (name, _), oid in zip(columns, types, strict=False))
    rows = [tuple(record.values) if record is not None else (None,) * len(shown) for record in records]
    return SqlOutcome(rows, shown, outcome.changes, outcome.tag)


def too_deep() -> SqlError:
    """The error for functions nested too deeply."""
    hint = "Functions may call one another some fifty deep."
    return SqlError("stack depth limit exceeded", sqlstate="54001", hint=hint)


def encode_rows(rows: Sequence[Any]) -> str:
    """The rows of a set as ``json_each`` reads them; bytes as digits."""
    return json.dumps(rows, default=_bytes, ensure_ascii=False)


def _bytes(value: Any) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
