"""The most frequent dialogues, handled in one stroke.

Bind-Describe-Execute-Sync of a prepared statement, and a simple query with one statement, are recognised as wholes
when the statement is short. What is sent is byte for byte what the general way (:mod:`.frontend`, :mod:`.runner`)
would send; whatever is out of the ordinary is left to it, before anything has been done.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import apsw

from helios_cli.engine.errors import HeliosError
from helios_cli.engine.node.engine import INLINE, INLINE_READ_SECONDS
from helios_cli.engine.node.writer import GroupWrite
from helios_cli.engine.sql import actions
from helios_cli.engine.sql.plan import Kind, Plan
from helios_cli.engine.wire import backend, messages
from helios_cli.engine.wire.params import Decoder, param_decoders
from helios_cli.engine.wire.rows import rows_encoder

if TYPE_CHECKING:
    from helios_cli.engine.node.frontend import Frontend
    from helios_cli.engine.node.portal import Prepared

DESCRIBE_EXECUTE_SYNC: Final = b"D\0\0\0\6P\0E\0\0\0\t\0\0\0\0\0S\0\0\0\4"
EXECUTE_SYNC: Final = b"E\0\0\0\t\0\0\0\0\0S\0\0\0\4"
_BOUND_WITHOUT_DATA: Final = backend.BIND_COMPLETE + backend.NO_DATA
_BEGIN: Final = backend.command_complete("BEGIN")
_COMMIT: Final = backend.command_complete("COMMIT")
_SELECT_ONE: Final = backend.command_complete("SELECT 1")
_KEY: Final = "fast"

Execute = Callable[..., apsw.Cursor]


class Answer:
    """What a plan's answer is made of, for one choice of result formats."""

    __slots__ = ("bound_described", "encode", "formats", "sql", "tag", "undescribed", "writes")

    def __init__(self, plan: Plan, formats: tuple[int, ...]) -> None:
        self.sql = plan.steps[0]
        self.tag = plan.tag
        self.writes = plan.kind is Kind.WRITE
        self.formats = formats
        columns = plan.columns
        described = backend.NO_DATA if columns is None else backend.row_description(columns, formats)
        self.bound_described = backend.BIND_COMPLETE + described
        self.undescribed = b"" if columns is None else described
        """The simple protocol sends a RowDescription, but never NoData."""
        self.encode = None
        if columns is not None:
            self.encode = rows_encoder(tuple(column.type_oid for column in columns), formats)


def answer_of(frontend: Frontend, plan: Plan, result_formats: tuple[int, ...]) -> Answer | None:
    """How to answer a plan quickly; None when it is not for here."""
    key = (_KEY, result_formats)
    answer = plan.cache.get(key, _KEY)
    if answer is _KEY:
        answer = None
        kind_fits = plan.kind is Kind.READ or (plan.kind is Kind.WRITE and plan.groupable and not plan.locks_rows)
        plain = not plan.notices and plan.action is None and not plan.literal_in
        if kind_fits and plain and frontend.engine.is_inline(plan):
            answer = Answer(plan, messages.formats_for(result_formats, len(plan.columns or ())))
        plan.cache[key] = answer
    return answer  # type: ignore[no-any-return]


class Shortcut:
    """A prepared statement made ready for :func:`bound`, for one choice of parameter and result formats."""

    __slots__ = ("answer", "catalog", "decoders", "literals", "plan")

    def __init__(
        self, plan: Plan, answer: Answer, catalog: object, decoders: tuple[Decoder, ...], literals: Sequence[Any]
    ) -> None:
        self.plan = plan
        self.answer = answer
        self.catalog = catalog
        """The committed schema it was planned for: another one means that it is stale."""
        self.decoders = decoders
        self.literals = literals


def _make_shortcut(
    frontend: Frontend, prepared: Prepared, param_formats: tuple[int, ...], result_formats: tuple[int, ...]
) -> Shortcut | None:
    session = frontend.session
    view = session.schema_view()
    plan = prepared.plan
    if plan.catalog_version != view.catalog.version or session.private is not None:
        return None
    answer = answer_of(frontend, plan, result_formats)
    if answer is None:
        return None
    return Shortcut(plan, answer, view.catalog, param_decoders(plan.param_types, param_formats), prepared.literals)


def bound(frontend: Frontend, data: bytes, start: int, end: int, *, described: bool) -> bool:
    """A Bind followed by (Describe,) Execute and Sync, all for the unnamed portal. False: nothing has been done."""
    portal, name, param_formats, params, result_formats = messages.parse_bind(data, start, end)
    session = frontend.session
    prepared = session.statements.get(name)
    if prepared is None or portal or (session.portals and not session.drop_finished_portal()):
        return False
    if prepared.plan.kind is Kind.UTILITY:
        return not params and _control(frontend, prepared.plan.action, described)
    formats = (param_formats, result_formats)
    shortcut = prepared.shortcuts.get(formats)
    if shortcut is None or shortcut.catalog is not session.committed_catalog() or not shortcut.plan.cache[INLINE]:
        shortcut = _make_shortcut(frontend, prepared, param_formats, result_formats)
        if shortcut is None:
            return False
        prepared.shortcuts[formats] = shortcut
    decoders = shortcut.decoders
    if len(params) != len(decoders):
        return False
    binds: Sequence[Any] = shortcut.literals
    if params:
        binds = [None if value is None else decode(value) for decode, value in zip(decoders, params, strict=True)]
        if shortcut.literals:
            binds.extend(shortcut.literals)
    plan = shortcut.plan
    if plan.session_values:
        binds = [*binds, *session.values_for(plan)]
    answer = shortcut.answer
    return _run(frontend, plan, answer, binds, answer.bound_described if described else backend.BIND_COMPLETE)


def _control(frontend: Frontend, action: object, described: bool) -> bool:
    """BEGIN, and COMMIT of a transaction that has written."""
    session = frontend.session
    transaction = session.transaction
    head = _BOUND_WITHOUT_DATA if described else backend.BIND_COMPLETE
    if type(action) is actions.Begin and transaction is None:
        session.begin(explicit=True, isolation=action.isolation, read_only=action.read_only)
        frontend.answer(head + _BEGIN + backend.READY_IN_TRANSACTION)
        return True
    if type(action) is not actions.Commit or action.chain or transaction is None or session.unusual:
        return False
    if not transaction.writing or not transaction.explicit or transaction.failed or transaction.lost is not None:
        return False
    session.undo_variables(committed=True)
    frontend.wait(ends_transaction=True)
    session.runner.commit(transaction, lambda: frontend.group_done(head + _COMMIT + backend.READY_IDLE))
    return True


def query(frontend: Frontend, plan: Plan, literals: Sequence[Any]) -> bool:
    """A simple query of one planned statement. False: nothing has been done."""
    answer = answer_of(frontend, plan, ()) if frontend.session.private is None else None
    if answer is None or not plan.cache[INLINE]:
        return False
    binds = literals
    if plan.session_values:
        binds = [*literals, *frontend.session.values_for(plan)]
    return _run(frontend, plan, answer, binds, answer.undescribed)


def _run(frontend: Frontend, plan: Plan, answer: Answer, binds: Sequence[Any], head: bytes) -> bool:
    session = frontend.session
    transaction = session.transaction
    engine = frontend.engine
    if transaction is None:
        if answer.writes:
            return _submit(frontend, plan, answer, binds, head)
        if session.floor_seq > engine.pipeline.committed_seq:
            return False
        reader = engine.pipeline.reader()
        if reader is None:
            return False
        return _read(frontend, answer, reader.execute, binds, head, backend.READY_IDLE)
    if not transaction.explicit or transaction.failed or transaction.lost is not None:
        return False
    if transaction.writing:
        if transaction.read_only or transaction.connection is None:
            return False
        if answer.writes:
            return _write(frontend, plan, answer, transaction.connection, binds, head)
        return _read(frontend, answer, transaction.connection.execute, binds, head, backend.READY_IN_TRANSACTION)
    return False


def _read(
    frontend: Frontend, answer: Answer, execute: Execute, binds: Sequence[Any], head: bytes, ready: bytes
) -> bool:
    guard = frontend.engine.guard
    guard.arm(INLINE_READ_SECONDS)
    try:
        rows = execute(answer.sql, binds).fetchall()
    except (HeliosError, apsw.Error):
        # Interrupted or wrong: the general way finds out which, on a state that has not changed.
        return False
    finally:
        guard.disarm()
    assert answer.encode is not None
    if len(rows) == 1:
        frontend.answer(head + answer.encode(rows) + _SELECT_ONE + ready)
    else:
        complete = backend.command_complete(f"{answer.tag} {len(rows)}")
        frontend.answer(b"".join((head, answer.encode(rows), complete, ready)))
    return True


def _write(
    frontend: Frontend, plan: Plan, answer: Answer, connection: apsw.Connection, binds: Sequence[Any], head: bytes
) -> bool:
    """Inside a transaction that holds the writer. Errors here are SQLite's, whose statement has undone itself."""
    guard = frontend.engine.guard
    guard.arm(INLINE_READ_SECONDS * 4)
    try:
        cursor = connection.execute(answer.sql, binds)
        rows = cursor.fetchall() if answer.encode is not None else None
        changes = connection.changes()
    except apsw.InterruptError:
        plan.cache[INLINE] = False
        return False
    except (HeliosError, apsw.Error):
        return False
    finally:
        guard.disarm()
    frontend.answer(head + _result(answer, rows, changes) + backend.READY_IN_TRANSACTION)
    return True


def _result(answer: Answer, rows: list[Any] | None, changes: int) -> bytes:
    complete = backend.command_complete(f"{answer.tag} {changes}")
    return complete if rows is None or answer.encode is None else answer.encode(rows) + complete


def _submit(frontend: Frontend, plan: Plan, answer: Answer, binds: Sequence[Any], head: bytes) -> bool:
    session = frontend.session
    if session.unusual:
        return False
    session.check_may_write(plan)

    def done(write: GroupWrite) -> None:
        session.runner.queued = None
        if isinstance(write.error, apsw.InterruptError):
            frontend.group_slow(head, write, answer.formats)
        elif write.error is not None:
            frontend.group_failed(head, write.error, plan)
        else:
            frontend.group_done(head + _result(answer, write.rows, write.changes) + backend.READY_IDLE)

    session.runner.queued = write = GroupWrite(plan, binds, done)
    frontend.engine.queue.submit(write)
    frontend.wait()
    return True
