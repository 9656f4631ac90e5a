"""What the functions of a session run with: planning and execution on one connection, messages, subtransactions."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import apsw

from helios_cli.engine.datatypes import registry
from helios_cli.engine.datatypes.usertypes import is_row
from helios_cli.engine.datatypes.zoned import is_shown_by, zoned_writer
from helios_cli.engine.errors import FeatureNotSupported, HeliosError, ReadOnlyError, SqlError
from helios_cli.engine.node.catalog_hooks import on_loop
from helios_cli.engine.node.channels import notification_of
from helios_cli.engine.node.constraint_errors import with_detail
from helios_cli.engine.node.constraint_times import declare_triggers
from helios_cli.engine.node.databases import refuse_inside
from helios_cli.engine.node.deferred_triggers import Mark, fire
from helios_cli.engine.node.explain import explain_inside
from helios_cli.engine.node.function_cursors import FunctionCursors
from helios_cli.engine.node.message_levels import is_wanted
from helios_cli.engine.node.portal import notice_state
from helios_cli.engine.node.steps import run_steps
from helios_cli.engine.sql import actions
from helios_cli.engine.sql.context import Context
from helios_cli.engine.sql.foreign_key_errors import foreign_key_error
from helios_cli.engine.sql.inner import Inner, InnerPlanner, Variables
from helios_cli.engine.sql.oids import RECORD
from helios_cli.engine.sql.plan import Debugged, Detailed, Kind, Plan
from helios_cli.engine.sql.planner import parse
from helios_cli.engine.sql.plpgsql.frame import Outcome, Record
from helios_cli.engine.sql.routines import Routine, result_columns
from helios_cli.engine.sql.sqlite_errors import to_helios
from helios_cli.engine.sql.triggered import highest_parameter
from helios_cli.engine.sql.typenames import resolve_type
from helios_cli.engine.storage.catalog import SqliteCatalog
from helios_cli.engine.storage.savepoints import roll_back_to
from helios_cli.engine.wire import backend

if TYPE_CHECKING:
    from helios_cli.engine.node.routine_calls import RoutineCalls
    from helios_cli.engine.node.session import Session

_BINDS: Final = "bind count"
TEXTS_MAX: Final = 256
"""Plans kept of texts that EXECUTE ran."""


@dataclass(frozen=True, slots=True)
class Before:
    """What there was when a subtransaction began."""

    waiting: Mark
    """The deferred triggers."""
    changes: int
    """Rows that the connection had changed."""
    definitions: int


class RoutineHost:
    """Implements ``plpgsql.frame.Host`` for one session on one connection."""

    def __init__(self, connection: apsw.Connection, session: Session, calls: RoutineCalls) -> None:
        self.connection = connection
        self.session = session
        self.calls = calls
        self.cursors = FunctionCursors(connection, session)
        self.engine = session.engine
        self._token: object = None
        self._catalogs: dict[tuple[str, ...], SqliteCatalog] = {}
        self.catalog = self._catalog_now()
        self.volatility = "v"
        """Of the function in hand: one that is not volatile may not write."""
        self.changed = False
        """A definition was changed by a function: what is prepared may be stale."""
        self._marks = 0
        self._definitions = 0
        """Changes of definitions so far, and their undoing."""
        self._before: dict[str, Before] = {}
        """By the name of a subtransaction what there was before it."""
        self._casts: dict[tuple[int, tuple[int, int]], Inner] = {}
        self._texts: dict[tuple[Any, ...], Inner] = {}

    # -- the schema -------------------------------------------------------------------------------

    def _catalog_now(self) -> SqliteCatalog:
        path = self.session.search_path
        found = self._catalogs.get(path)
        if found is None:
            found = self._catalogs[path] = SqliteCatalog(
                self.connection, search_path=path, system_relations=self.engine.catalog.system_relations
            )
        else:
            found.refresh()
        return found

    def refresh(self) -> bool:
        """Look whether the schema is still the one that plans were made for. Returns whether it is not."""
        transaction = self.session.transaction
        token: object = self.engine.catalog
        if transaction is not None and transaction.schema is not None:
            token = transaction.schema
        version, catalog = self.catalog.version, self.catalog
        if token is not self._token:
            # The same version may have been another schema's, which was rolled back.
            self._token = token
            self._catalogs.clear()
            self.catalog = self._catalog_now()
            self._forget()
            return True
        self.catalog = self._catalog_now()
        if self.catalog is catalog and self.catalog.version == version:
            return False
        self._forget()
        return True

    def _forget(self) -> None:
        self._casts.clear()
        self._texts.clear()

    def enter(self, routine: Routine) -> Callable[[], None]:
        """A function begins: its settings hold. Returns what puts back those from before."""
        before = self.volatility
        self.volatility = routine.volatility if before == "v" else before
        session = self.session
        if not routine.settings:

            def leave() -> None:
                self.volatility = before

            return leave
        kept = {name.lower(): session.variables.get(name.lower()) for name in routine.settings}
        for name, value in routine.settings.items():
            session.put_variable(name.lower(), value)
        self.catalog = self._catalog_now()

        def restore() -> None:
            self.volatility = before
            for name, value in kept.items():
                session.put_variable(name, value)
            self.catalog = self._catalog_now()

        return restore

    def columns_of(self, routine: Routine) -> tuple[tuple[str, int], ...]:
        """The columns of a function's result; empty for a plain value."""
        if routine.relation:
            relation = self.catalog.relation_by_oid(routine.relation)
            return tuple((column.name, column.type_oid) for column in relation.columns) if relation else ()
        if is_row(routine.result) and routine.result != RECORD:
            found = self.catalog.type_by_oid(routine.result)
            return tuple((field.name, field.type_oid) for field in found.fields) if found is not None else ()
        columns = result_columns(routine)
        return columns if len(columns) > 1 or routine.returns_set else ()

    def is_row(self, text: str) -> bool:
        """Whether a type's text names a table, whose rows are meant."""
        return self.relation_row(text) is not None

    def relation_row(self, text: str) -> Record | None:
        """An empty row of a table by its possibly qualified name; None when there is no such table."""
        if not re.fullmatch(r'[\w$"]+(\.[\w$"]+)?', text):
            return None
        parts = [part.strip('"') if part.startswith('"') else part.lower() for part in text.split(".")]
        schema = parts[-2] if len(parts) > 1 else None
        relation = self.catalog.relation(schema, parts[-1])
        if relation is not None:
            columns = relation.columns
        else:
            made = self.catalog.user_type(schema, parts[-1])
            if made is None or made.kind != "c":
                return None
            columns = made.fields
        return Record(
            tuple(c.name for c in columns), tuple(c.type_oid for c in columns), [None] * len(columns),
            tuple(c.typmod for c in columns),
        )  # fmt: skip

    def type_of(self, text: str) -> tuple[int, int]:
        """A type by its SQL text. Raises SqlError 42704."""
        if text.lower() in ("record", "refcursor"):
            return (RECORD, -1) if text.lower() == "record" else (25, -1)
        node = parse(f"SELECT NULL::{text}")[0].node["SelectStmt"]["targetList"][0]["ResTarget"]["val"]
        ctx = Context(catalog=self.catalog, functions=self.engine.planner.functions)
        try:
            return resolve_type(node["TypeCast"]["typeName"], ctx)
        except SqlError as error:
            error.position = None
            raise

    # -- planning ---------------------------------------------------------------------------------

    def plan(
        self, text: str, variables: Variables | None, *, whole: bool, target: tuple[int, int] | None = None
    ) -> Inner:
        """Plan a piece of SQL. Raises SqlError."""
        planner = InnerPlanner(self.engine.planner, variables)
        self.catalog.acting, self.catalog.session_value = self.session.acting, self.session.value_of
        self.catalog.checks_bodies = self.session.checks_bodies
        try:
            if whole:
                return planner.statement(text, self.catalog)
            return planner.expression(text, self.catalog, target)
        except SqlError as error:
            error.planning = error.position is not None  # type: ignore[attr-defined]
            error.position = None
            raise

    def is_current(self, inner: Inner) -> bool:
        """Whether a plan is made for the schema of now."""
        return inner.plan.catalog_version == self.catalog.version or inner.plan.kind >= Kind.UTILITY

    # -- running ----------------------------------------------------------------------------------

    def run(self, inner: Inner, values: Sequence[Any]) -> Outcome:
        """Run a planned statement. Raises HeliosError."""
        plan = inner.plan
        kind = plan.kind
        if self.session.restricted or plan.guarded:
            self.session.check_rights(plan, self.catalog.privileges)
        if kind is Kind.READ:
            return self._query(plan, self.binds(plan, values))
        if kind is Kind.WRITE:
            self.check_may_write(plan)
            return self._write(plan, self.binds(plan, values))
        if kind is Kind.DDL:
            self.check_may_write(plan)
            return self._define(plan, values)
        if kind is Kind.EMPTY:
            return Outcome([], None, 0, "")
        if isinstance(plan.action, actions.Explain):
            return explain_inside(self, plan, values)
        return self._utility(plan)

    def binds(self, plan: Plan, values: Sequence[Any]) -> Sequence[Any]:
        """The values of a plan's parameters, those of the session behind the given ones."""
        if plan.session_values:
            values = [*values, *map(self.session.value_of, plan.session_values)]
        whole = plan.program is not None or plan.routine is not None
        return values if whole else self.trimmed(plan, values)

    def trimmed(self, plan: Plan, values: Sequence[Any]) -> Sequence[Any]:
        """As many values as the only step has parameters: it may not name the last ones."""
        count = plan.cache.get(_BINDS)
        if count is None:
            count = plan.cache[_BINDS] = highest_parameter(plan.steps[0]) if plan.steps else 0
        return values[:count]

    def _query(self, plan: Plan, binds: Sequence[Any]) -> Outcome:
        try:
            rows = self.connection.execute(plan.steps[0], binds).fetchall()
        except apsw.Error as error:
            raise self.translated(error, plan, binds) from error
        return Outcome(rows, plan.columns, len(rows), plan.tag)

    def _write(self, plan: Plan, binds: Sequence[Any]) -> Outcome:
        try:
            result = run_steps(self.connection, plan, binds)
        except apsw.Error as error:
            raise self.translated(error, plan, binds) from error
        return Outcome(result.rows or [], plan.columns, result.changes, plan.tag)

    def _define(self, plan: Plan, values: Sequence[Any]) -> Outcome:
        refuse_inside(plan)
        if self.connection is not self.session.private and any("temp.helios_meta" in step for step in plan.steps):
            # The connection is everybody's, and so would the table be.
            raise FeatureNotSupported(
                "creating temporary objects inside a function is not supported before the session has some",
                hint="Create a temporary table before the function is called.",
            )
        for notice in plan.notices:
            detail = notice.detail if isinstance(notice, Detailed) else None
            told = SqlError(notice, sqlstate=notice_state(notice), detail=detail)
            self.notice(told, "DEBUG" if isinstance(notice, Debugged) else "NOTICE")
        try:
            result = run_steps(self.connection, plan, values)
        except apsw.LockedError:
            what = f"{plan.tag} in a function that a query calls"
            raise FeatureNotSupported(f"{what} is not supported", hint="Call it by CALL, or from a DO block.") from None
        except apsw.Error as error:
            raise self.translated(error, plan) from error
        self.schema_changed()
        return Outcome([], None, result.changes, plan.tag)

    def schema_changed(self) -> None:
        """A definition was changed, or its change undone."""
        self.session.nested_definitions = True
        self._definitions += 1
        self.changed = True
        self.catalog.refresh()
        self._forget()

    def _utility(self, plan: Plan) -> Outcome:
        action, session = plan.action, self.session
        if isinstance(action, actions.SetVariable):
            on_loop(self.engine, lambda: session.set_variable(action.name, action.value, local=action.local))
            self.catalog = self._catalog_now()
        elif isinstance(action, actions.ResetVariable) and action.name is not None:
            name = action.name
            on_loop(self.engine, lambda: session.set_variable(name, None))
            self.catalog = self._catalog_now()
        elif isinstance(action, actions.TRANSACTION_COMMANDS):
            raise FeatureNotSupported("unsupported transaction command in PL/pgSQL")
        elif isinstance(action, actions.Notify):
            notification = notification_of(session, action.channel, action.payload)
            if notification not in session.channel_actions:
                on_loop(self.engine, lambda: session.at_commit(notification))
        elif isinstance(action, actions.SetConstraints):
            declare_triggers(session, self.catalog, action)
            if session.deferred.events:
                fire(session, self.connection, all_of_them=False)
        elif not isinstance(action, actions.LockTable | actions.Vacuum):
            raise FeatureNotSupported(f"{plan.tag} inside a function is not supported")
        return Outcome([], None, 0, plan.tag)

    def check_may_write(self, plan: Plan) -> None:
        """Refuse a write where nothing may be written.

        Raises:
            SqlError: 0A000 in a function that is not volatile. ReadOnlyError: in a read-only transaction.
        """
        word = {"INSERT 0": "INSERT"}.get(plan.tag, plan.tag)
        if self.volatility != "v" and not plan.locks_rows and plan.tag != "SELECT":
            raise SqlError(f"{word} is not allowed in a non-volatile function", sqlstate="0A000")
        transaction, session = self.session.transaction, self.session
        if transaction is not None and transaction.read_only:
            raise ReadOnlyError(f"cannot execute {word} in a read-only transaction")
        if self.connection is self.session.shared_writer():
            return
        if session.token is not None and self.engine.queue.holder is session.token:
            return
        if transaction is None or not transaction.writing:
            raise ReadOnlyError(
                f"cannot execute {word} in a statement that was taken for a query",
                hint="Name what writes in the body of the function that is called.",
            )

    def run_text(self, text: str, types: Sequence[int], values: Sequence[Any]) -> Outcome:
        """Run the statements of a text with $1, $2 ...; what the last one came to. Raises HeliosError."""
        variables = Positional(types)
        outcome = Outcome([], None, 0, "")
        key = (text, tuple(types), self.catalog.version, self.catalog.search_path)
        inner = self._texts.get(key)
        if inner is not None:
            return self.run(inner, [values[key] for key in inner.keys])
        try:
            statements = parse(text)
        except SqlError as error:
            error.position, error.planning = None, True  # type: ignore[attr-defined]
            raise
        for statement in statements:
            inner = self.plan(statement.text, variables, whole=True)
            if isinstance(inner.plan.action, actions.TRANSACTION_COMMANDS):
                told = FeatureNotSupported("EXECUTE of transaction commands is not implemented")
                told.planning = True  # type: ignore[attr-defined]
                raise told
            outcome = self.run(inner, [values[key] for key in inner.keys])
        if len(statements) == 1 and inner is not None and inner.plan.kind <= Kind.WRITE:
            if len(self._texts) >= TEXTS_MAX:
                self._texts.clear()
            self._texts[key] = inner
        return outcome

    def cast(self, value: Any, source: int, target: tuple[int, int]) -> Any:
        """Convert a stored value from one type to another as an assignment in PL/pgSQL does. Raises HeliosError."""
        inner = self._casts.get((source, target))
        if inner is None:
            inner = self._casts[source, target] = self.plan("$1", Positional([source]), whole=False, target=target)
        result = self._query(inner.plan, self.binds(inner.plan, [value])).rows[0][0]
        return registry.apply_typmod(target[0], target[1], result)

    def show(self, type_oid: int, value: Any) -> str:
        """A value as its type's output function prints it."""
        if is_shown_by(self.session.times.zone, type_oid):
            return zoned_writer(type_oid, self.session.times.zone)(value).decode()
        found = registry.find_oid(type_oid)
        return found.format_text(value).decode() if found is not None else str(value)

    # -- messages, cancellation, errors -------------------------------------------------------------

    def notice(self, error: HeliosError, severity: str) -> None:
        """Send a message to the client."""
        session = self.session
        if not is_wanted(session, severity):
            return
        message = backend.notice_response(error, severity=severity)
        if threading.get_ident() == self.engine.loop_thread:
            session.out.append(message)
        else:
            self.engine.loop.call_soon_threadsafe(session.tell, message)

    def check(self) -> None:
        """Raise when the statement was cancelled."""
        if self.session.runner.cancel_reason is not None:
            raise apsw.InterruptError("interrupted")

    def failure(self, error: BaseException) -> HeliosError | None:
        """What an exception is to a WHEN clause; None for one that no handler may catch."""
        if isinstance(error, HeliosError):
            return error
        if isinstance(error, apsw.InterruptError) or not isinstance(error, apsw.Error):
            return None
        return self.translated(error, None)

    def translated(self, error: apsw.Error, plan: Plan | None, binds: Sequence[Any] = ()) -> HeliosError:
        """The PostgreSQL error for one of SQLite's.

        Raises:
            apsw.Error: the same, for interrupts and failures of the disk, which end the statement as a whole.
        """
        if isinstance(error, apsw.InterruptError | apsw.IOError | apsw.FullError | apsw.CorruptError):
            raise error
        text = str(error)
        code = getattr(error, "extendedresult", apsw.SQLITE_CONSTRAINT)
        if plan is None:
            return to_helios(text, code, self.catalog)
        named = foreign_key_error(plan, self.catalog) if text.startswith("FOREIGN KEY") else None
        told = named or to_helios(text, code, self.catalog)
        session = self.session
        return with_detail(
            told, plan, binds, self.connection, self.catalog, session.runner.may_read, session.times.zone
        )

    # -- subtransactions ----------------------------------------------------------------------------

    def savepoint(self) -> str:
        """Begin a subtransaction; its name.

        Raises:
            FeatureNotSupported: a statement of SQLite's that writes is under way.
        """
        self._marks += 1
        name = f"helios_block_{self._marks}"
        self._before[name] = Before(self.session.deferred.mark(), self.connection.total_changes(), self._definitions)
        try:
            self.connection.execute(f"SAVEPOINT {name}")
        except apsw.BusyError:
            self._marks -= 1
            raise FeatureNotSupported(
                "an EXCEPTION block in a function that is called by a writing statement is not supported",
                hint="Call the function in a statement of its own.",
            ) from None
        return name

    def release(self, mark: str) -> None:
        """End a subtransaction and keep what it did."""
        self._marks -= 1
        self.connection.execute(f"RELEASE {mark}")

    def undo(self, mark: str) -> None:
        """End a subtransaction and undo what it did."""
        self._marks -= 1
        session, before = self.session, self._before[mark]
        session.deferred.restore(before.waiting)
        if not self.connection.in_transaction:
            raise apsw.InterruptError("interrupted")
        defined = self._definitions != before.definitions
        if defined or self.connection.total_changes() != before.changes:
            transaction = session.transaction
            changed = transaction is not None and transaction.schema_changed
            changed = changed or session.nested_definitions
            roll_back_to(self.connection, mark, schema_changed=changed)
        self.connection.execute(f"RELEASE {mark}")
        if defined:
            self._catalogs.clear()
            self.catalog = self._catalog_now()
            self.schema_changed()


class Positional:
    """``$1``, ``$2`` ... of a text that EXECUTE runs. Implements ``inner.Variables``."""

    column_wins: bool | None = True

    def __init__(self, types: Sequence[int]) -> None:
        self.types = types

    def find(self, names: Sequence[str]) -> tuple[Hashable, int] | None:
        """See :class:`~helios_cli.engine.sql.inner.Variables`."""
        name = names[-1]
        if len(names) == 1 and name[0] == "$" and name[1:].isdigit() and 0 < int(name[1:]) <= len(self.types):
            position = int(name[1:]) - 1
            return position, self.types[position]
        return None

    def table(self, name: str) -> None:
        """There are no tables of its own."""

    def fields(self, names: Sequence[str]) -> tuple[str, ...] | None:
        """No parameter is a record."""
        return None

    def absent(self, _names: Sequence[str]) -> bool:
        """No parameter is a record."""
        return False
