"""The most frequent dialogues, handled in one stroke.

Bind-Describe-Execute-Sync of a prepared statement, the same behind its Parse, and a simple query with one statement
are recognised as wholes when the statement is short, or BEGIN or COMMIT. What is sent is byte for byte what the general
way (:mod:`.frontend`, :mod:`.runner`) would send; whatever is out of the ordinary is left to it, before anything has
been done.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC
from struct import Struct
from typing import TYPE_CHECKING, Any, Final

import apsw

from helios_cli.engine.datatypes.zoned import ZONED
from helios_cli.engine.datatypes.zoned_ranges import ZONED_RANGES
from helios_cli.engine.node import claims, routing
from helios_cli.engine.node.engine import INLINE, INLINE_READ_SECONDS
from helios_cli.engine.node.planning import LOOP_MAX
from helios_cli.engine.node.portal import Portal
from helios_cli.engine.node.transaction import AS_DECLARED
from helios_cli.engine.node.writer import GroupWrite
from helios_cli.engine.sql import actions
from helios_cli.engine.sql.plan import Kind, Plan
from helios_cli.engine.wire import backend, messages
from helios_cli.engine.wire.params import Decoder, param_decoders
from helios_cli.engine.wire.rows import rows_encoder

if TYPE_CHECKING:
    from helios_cli.engine.node.frontend import Frontend
    from helios_cli.engine.node.portal import Prepared
    from helios_cli.engine.node.session import Session

DESCRIBE_EXECUTE_SYNC: Final = b"D\0\0\0\6P\0E\0\0\0\t\0\0\0\0\0S\0\0\0\4"
EXECUTE_SYNC: Final = b"E\0\0\0\t\0\0\0\0\0S\0\0\0\4"
BIND: Final = b"B"[0]
PARSE: Final = b"P"[0]
PARSED_MAX: Final = 256
"""Unnamed statements kept per session, in case they come again."""
PARSED_BYTES_MAX: Final = 8192
"""A Parse that is longer clears the others away."""
SHORTCUTS_MAX: Final = 1024
"""Shortcuts kept per session; with more they are made anew."""
_int4: Final = Struct("!i").unpack_from
_CONTROLS: Final = (actions.Begin, actions.Commit)


_BEGUN: Final = backend.command_complete("BEGIN") + backend.READY_IN_TRANSACTION
_COMMITTED: Final = backend.command_complete("COMMIT") + backend.READY_IDLE
BOUND: Final = 0
"""A dialogue that begins with Bind and has no Describe."""
DESCRIBED: Final = 1
"""Bind and Describe."""
PARSED: Final = 2
"""Parse, Bind and Describe."""


def _heads(described: bytes) -> tuple[bytes, bytes, bytes]:
    """How the answers to the three kinds of dialogue begin."""
    bound = backend.BIND_COMPLETE
    return bound, bound + described, backend.PARSE_COMPLETE + bound + described


_WITHOUT_DATA: Final = _heads(backend.NO_DATA)
_SELECT_ONE: Final = backend.command_complete("SELECT 1")
_SET: Final = backend.command_complete("SET")
NAMING: Final = ("SET ", claims.NAME[:4])
"""How :func:`name_write`'s statements begin."""
_NAMED: Final = re.compile(r"SET helios\.write_id = '([0-9a-f-]{36}:[0-9]{1,18}(?::last)?)'").fullmatch
_KEY: Final = "fast"
_OF_ZONE: Final = ZONED | ZONED_RANGES

Execute = Callable[..., apsw.Cursor]


def _is_zoned(plan: Plan) -> bool:
    """Whether parameters or columns have a text that depends on the session's time zone."""
    return not _OF_ZONE.isdisjoint((*plan.param_types, *(column.type_oid for column in plan.columns or ())))


class Answer:
    """What a plan's answer is made of, for one choice of result formats."""

    __slots__ = ("encode", "formats", "heads", "one_changed", "sql", "tag", "undescribed", "writes", "zoned")

    def __init__(self, plan: Plan, formats: tuple[int, ...]) -> None:
        self.sql = plan.steps[0]
        self.tag = plan.tag
        self.writes = plan.kind is Kind.WRITE
        self.zoned = _is_zoned(plan)
        self.formats = formats
        columns = plan.columns
        described = backend.NO_DATA if columns is None else backend.row_description(columns, formats)
        self.heads = _heads(described)
        self.undescribed = b"" if columns is None else described
        """The simple protocol sends a RowDescription, but never NoData."""
        self.one_changed: dict[bytes, bytes] = {}
        """Whole answers, ReadyForQuery excepted, to a write of one row that returns none, by how they begin."""
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
        plain = not (plan.notices or plan.guarded or plan.nowait or plan.literal_in) and plan.action is None
        session = frontend.session
        if kind_fits and plain and session.styled_zone is None and frontend.engine.is_inline(plan, session.ring):
            answer = Answer(plan, messages.formats_for(result_formats, len(plan.columns or ())))
        plan.cache[key] = answer
    return answer  # type: ignore[no-any-return]


class Shortcut:
    """A prepared statement made ready for :func:`bound`, for one choice of parameter and result formats."""

    __slots__ = ("answer", "catalog", "decoders", "literals", "plan", "prepared", "results")

    def __init__(
        self, prepared: Prepared, answer: Answer | None, catalog: object, decoders: tuple[Decoder, ...], results: bytes
    ) -> None:
        self.prepared = prepared
        self.plan = prepared.plan
        self.literals = prepared.literals
        self.answer = answer
        """None for BEGIN and COMMIT."""
        self.catalog = catalog
        """The committed schema it was planned for: another one means that it is stale."""
        self.decoders = decoders
        self.results = results
        """The list of result formats that ends the Bind, as bytes."""


def whole(frontend: Frontend, data: bytes) -> bool:
    """Data that ends with Describe, Execute and Sync: try it as one dialogue. False: nothing has been done."""
    end = len(data) - len(DESCRIBE_EXECUTE_SYNC)
    start = int.from_bytes(data[1:5], "big") + 1
    code = data[0]
    if code == BIND:
        return start == end and bound(frontend, data, 5, end, DESCRIBED)
    if code != PARSE or start + 5 >= end or data[start] != BIND or data[5]:
        return False
    if int.from_bytes(data[start + 1 : start + 5], "big") + 1 != end - start:
        return False
    if start > LOOP_MAX and data[5:start] not in frontend.session.parsed:
        return False
    _parse_unnamed(frontend.session, data, start)
    return bound(frontend, data, start + 5, end, PARSED)


def _parse_unnamed(session: Session, data: bytes, end: int) -> None:
    """Make the unnamed statement of a Parse; drivers that do not prepare send the same ones again and again."""
    body = data[5:end]
    prepared = session.parsed.get(body)
    if prepared is None or not session.is_current(prepared):
        _, sql, oids = messages.parse_parse(data, 5, end)
        prepared = session.prepare("", sql, oids)
        if prepared.plan.kind < Kind.UTILITY or type(prepared.plan.action) in _CONTROLS:
            if len(session.parsed) >= PARSED_MAX or len(body) > PARSED_BYTES_MAX:
                session.parsed.clear()
            session.parsed[body] = prepared
    session.statement_starts(prepared.sql)
    session.statements[""] = prepared


def bound(frontend: Frontend, data: bytes, start: int, end: int, kind: int) -> bool:
    """A Bind followed by (Describe,) Execute and Sync, all for the unnamed portal. False: nothing has been done.

    Everything before the parameters is looked up as bytes: names, parameter formats, and how many they are.
    """
    session = frontend.session
    at = data.find(b"\0", start + 1, end) + 1
    at += 4 + 2 * (data[at] << 8 | data[at + 1])
    shortcut = session.shortcuts.get(data[start:at])
    if (
        shortcut is None
        or session.statements.get(shortcut.prepared.name) is not shortcut.prepared
        or shortcut.catalog is not session.committed_catalog()
    ):
        shortcut = _shortcut_for(frontend, data, start, end, at)
        if shortcut is None:
            return False
    binds: list[Any] = []
    for decode in shortcut.decoders:
        size = _int4(data, at)[0]
        at += 4
        if size >= 0:
            stop = at + size
            binds.append(decode(data[at:stop]))
            at = stop
        elif size == -1:
            binds.append(None)
        else:
            return False
    if data[at:end] != shortcut.results or (session.portals and not session.drop_finished_portal()):
        return False
    plan = shortcut.plan
    answer = shortcut.answer
    if answer is None:
        return _counted(frontend, _control(frontend, plan, _WITHOUT_DATA[kind]))
    if not plan.cache[INLINE] or (answer.zoned and session.times.zone is not UTC):
        return False
    if shortcut.literals:
        binds.extend(shortcut.literals)
    if plan.session_values:
        binds.extend(_session_values(session, plan))
    if not _run(frontend, plan, answer, binds, answer.heads[kind]):
        return False
    frontend.engine.statement_count += 1
    return True


def _session_values(session: Session, plan: Plan) -> Sequence[Any]:
    """The session's values for the whole of a dialogue; the next one has a time of its own."""
    values = session.values_for(plan)
    session.statement_now_us = 0
    return values


def _shortcut_for(frontend: Frontend, data: bytes, start: int, end: int, at: int) -> Shortcut | None:
    """Make the shortcut of a Bind whose parameters begin at ``at``; None when the statement is not for here."""
    portal, name, param_formats, params, result_formats = messages.parse_bind(data, start, end)
    session = frontend.session
    prepared = session.statements.get(name)
    if prepared is None or portal or session.private is not None or prepared.plan.constant_error is not None:
        return None
    plan = prepared.plan
    catalog = session.schema_view().catalog
    answer = None
    if type(plan.action) not in _CONTROLS:
        answer = answer_of(frontend, plan, result_formats) if session.is_current(prepared) else None
        if answer is None or (session.restricted and not session.may_run(plan)):
            return None
    if len(params) != len(plan.param_types):
        return None
    results = data[at + sum(4 + len(param or b"") for param in params) : end]
    shortcut = Shortcut(prepared, answer, catalog, param_decoders(plan.param_types, param_formats), results)
    if len(session.shortcuts) >= SHORTCUTS_MAX:
        session.shortcuts.clear()
    session.shortcuts[data[start:at]] = shortcut
    return shortcut


def _control(frontend: Frontend, plan: Plan, head: bytes) -> bool:
    """BEGIN and COMMIT. ``head`` goes before CommandComplete."""
    session = frontend.session
    transaction = session.transaction
    action = plan.action
    if type(action) is actions.Begin:
        if transaction is not None or plan.tag != "BEGIN":
            return False
        session.begin(
            explicit=True, isolation=action.isolation, read_only=action.read_only, deferrable=action.deferrable
        )
        frontend.answer(head + _BEGUN)
        return True
    if (
        type(action) is not actions.Commit
        or action.chain
        or transaction is None
        or session.unusual
        or session.undo
        or session.cursors
    ):
        return False
    if not transaction.explicit or transaction.failed or transaction.lost is not None or session.deferred.events:
        return False
    if not transaction.writing:
        session.runner.commit(transaction, _nothing)
        frontend.answer(head + _COMMITTED)
        return True
    frontend.wait(head)
    session.runner.commit(transaction, lambda: frontend.group_done(head + _COMMITTED))
    return True


def _nothing() -> None:
    """A COMMIT that has nothing to wait for calls nobody."""


def query(frontend: Frontend, plan: Plan, literals: Sequence[Any]) -> bool:
    """A simple query of one planned statement. False: nothing has been done."""
    if type(plan.action) in _CONTROLS:
        return _counted(frontend, _control(frontend, plan, b""))
    answer = answer_of(frontend, plan, ()) if frontend.session.private is None else None
    if answer is None or not plan.cache[INLINE] or (answer.zoned and frontend.session.times.zone is not UTC):
        return False
    if frontend.session.encoding is not None:
        return False
    if frontend.session.restricted and not frontend.session.may_run(plan):
        return False
    binds = literals
    if plan.session_values:
        binds = [*literals, *_session_values(frontend.session, plan)]
    return _counted(frontend, _run(frontend, plan, answer, binds, answer.undescribed))


def _counted(frontend: Frontend, done: bool) -> bool:
    """The same, put down when it is a statement that was run."""
    frontend.engine.statement_count += done
    return done


def name_write(frontend: Frontend, sql: str) -> bool:
    """The name of the next write, as a proxy or a standby sends it before each. False: nothing has been done."""
    session = frontend.session
    if session.forwarded is not None:
        return session.forwarded.named(sql)
    transaction = session.transaction
    named = _NAMED(sql)
    if named is None or routing.concerns(session):
        return False
    if transaction is not None and (not transaction.explicit or transaction.failed or transaction.lost is not None):
        return False
    session.statement_starts(sql)
    session.drop_unnamed()
    if transaction is None:
        session.put_variable(claims.VARIABLE, named[1])
    else:
        session.set_variable(claims.VARIABLE, named[1])
    frontend.answer_later(_SET + session.status())
    return True


def _run(frontend: Frontend, plan: Plan, answer: Answer, binds: Sequence[Any], head: bytes) -> bool:
    session = frontend.session
    transaction = session.transaction
    if transaction is None:
        if answer.writes:
            return _submit(frontend, plan, answer, binds, head)
        return _read_committed(frontend, answer, binds, head, backend.READY_IDLE)
    if not transaction.explicit or transaction.failed or transaction.lost is not None:
        return False
    if transaction.writing:
        if transaction.read_only or transaction.connection is None:
            return False
        if answer.writes:
            return _write(frontend, plan, answer, binds, head, frontend.answer)
        frontend.engine.queue.expect_holder()
        return _read(frontend, answer, transaction.connection.execute, binds, head, backend.READY_IN_TRANSACTION)
    if answer.writes:
        return _first_write(frontend, plan, answer, binds, head)
    if transaction.isolation != "read committed" or transaction.connection is not None:
        return False
    transaction.started = True
    return _read_committed(frontend, answer, binds, head, backend.READY_IN_TRANSACTION)


def _read_committed(frontend: Frontend, answer: Answer, binds: Sequence[Any], head: bytes, ready: bytes) -> bool:
    """Read the newest committed state, if a reader shows it and the session need not wait for its own commit."""
    pipeline = frontend.engine.pipeline
    if frontend.session.floor_seq > pipeline.committed_seq or frontend.session.gate is not None:
        return False
    if frontend.engine.settles_reads and pipeline.applied_lsn() > pipeline.committed_lsn:
        return False
    reader = pipeline.reader(frontend.session.ring)
    return reader is not None and _read(frontend, answer, reader.execute, binds, head, ready)


def _read(
    frontend: Frontend, answer: Answer, execute: Execute, binds: Sequence[Any], head: bytes, ready: bytes
) -> bool:
    guard = frontend.engine.guard
    guard.arm(INLINE_READ_SECONDS)
    try:
        rows = execute(answer.sql, binds).fetchall()
    except Exception:
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


def _first_write(frontend: Frontend, plan: Plan, answer: Answer, binds: Sequence[Any], head: bytes) -> bool:
    """The write that makes a transaction take the writer, at once or after those who came before."""
    session = frontend.session
    transaction = session.transaction
    assert transaction is not None
    if transaction.read_only or transaction.isolation != "read committed":
        return False
    if session.unusual or session.private is not None or transaction.connection is not None:
        return False
    if session.engine.forwarder is not None:
        return False
    session.check_may_write(plan)
    transaction.started = True
    if session.runner.begin_writing_now(transaction):
        return _write(frontend, plan, answer, binds, head, frontend.answer)
    extended = frontend.wait_for_writer(head)

    def granted() -> None:
        outdated = plan.catalog_version != session.schema_view().catalog.version
        if outdated or not _write(frontend, plan, answer, binds, head, frontend.group_done):
            portal = Portal(session, "", plan, binds, answer.formats, not extended)
            portal.stale = outdated
            frontend.run_generally(portal)

    session.runner.with_writer(granted, is_short=True)
    return True


def _write(
    frontend: Frontend,
    plan: Plan,
    answer: Answer,
    binds: Sequence[Any],
    head: bytes,
    send: Callable[[bytes], None],
) -> bool:
    """Inside a transaction that holds the writer. Errors here are SQLite's, whose statement has undone itself."""
    transaction = frontend.session.transaction
    assert transaction is not None and transaction.connection is not None
    if transaction.key_times is not AS_DECLARED and transaction.key_times.checks:
        return False
    connection = transaction.connection
    guard = frontend.engine.guard
    guard.arm(INLINE_READ_SECONDS * 4)
    try:
        cursor = connection.execute(answer.sql, binds)
        rows = cursor.fetchall() if answer.encode is not None else None
        changes = connection.changes()
    except apsw.InterruptError:
        plan.cache[INLINE] = False
        return False
    except Exception:
        return False
    finally:
        guard.disarm()
    send(_result(answer, head, rows, changes) + backend.READY_IN_TRANSACTION)
    frontend.engine.queue.expect_holder()
    return True


def _result(answer: Answer, head: bytes, rows: list[Any] | None, changes: int) -> bytes:
    """The answer to a write up to CommandComplete."""
    if rows is not None and answer.encode is not None:
        return b"".join((head, answer.encode(rows), backend.command_complete(f"{answer.tag} {changes}")))
    if changes != 1:
        return head + backend.command_complete(f"{answer.tag} {changes}")
    whole = answer.one_changed.get(head)
    if whole is None:
        whole = answer.one_changed[head] = head + backend.command_complete(f"{answer.tag} 1")
    return whole


def _submit(frontend: Frontend, plan: Plan, answer: Answer, binds: Sequence[Any], head: bytes) -> bool:
    session = frontend.session
    if session.unusual or session.engine.forwarder is not None:
        return False
    session.check_may_write(plan)

    def done(write: GroupWrite) -> None:
        session.runner.queued = None
        if isinstance(write.error, apsw.InterruptError):
            frontend.group_slow(head, write, answer.formats)
        elif write.error is not None:
            frontend.group_failed(head, write.error, write)
        else:
            frontend.group_done(_result(answer, head, write.rows, write.changes) + backend.READY_IDLE)

    session.runner.queued = write = GroupWrite(plan, binds, done, session.database_oid)
    frontend.engine.queue.submit(write)
    frontend.wait()
    return True
