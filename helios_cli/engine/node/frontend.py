"""One client connection after authentication: frames messages, keeps the protocol's order, answers.

Messages are handled in the order they come. When a statement has to wait, what follows stays in the buffer and the
client is not read beyond a limit; when it is over, the rest goes on from there (PostgreSQL manual, 55.2).
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Any, Final

from helios_cli.engine.errors import HeliosError, ProtocolViolation, SqlError
from helios_cli.engine.net.turns import SHORT_BYTES, TURN_S
from helios_cli.engine.node import claims, consistency, cursors, fastpath, function_calls, renewal, routing, utility
from helios_cli.engine.node.client_link import ANSWERS_HELD, TURN_MESSAGES, ClientLink
from helios_cli.engine.node.engine import INLINE
from helios_cli.engine.node.planning import LOOP_MAX, plan_apart
from helios_cli.engine.node.portal import ORIGIN_MAX, Portal
from helios_cli.engine.node.writer import GroupWrite
from helios_cli.engine.sql.plan import Kind
from helios_cli.engine.sql.planner import bind
from helios_cli.engine.wire import backend, messages
from helios_cli.engine.wire.limits import LIMITS

log = logging.getLogger(__name__)

READ_AHEAD_MAX: Final = 1 << 17
"""Bytes taken in while a statement waits; then reading pauses: few, so that who sends a pipeline hears of errors."""

DATA_MAX: Final = 1 << 20
"""Bytes of a message in hand or of COPY data beyond which nothing is kept back for it."""

QUERY, PARSE, BIND, DESCRIBE, EXECUTE, CLOSE, FLUSH, SYNC, TERMINATE = b"QPBDECHSX"
COPY_DATA: Final = b"d"[0]
FUNCTION_CALL: Final = b"F"[0]


class Frontend(ClientLink):
    """Protocol state of one connection; :class:`Session` holds everything about SQL."""

    # Bytes in and out --------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Bytes from the client."""
        copy = self.session.copy
        if copy is not None:
            if not copy.data_received(data) and not self._paused_reading:
                self._paused_reading = True
                self.transport.pause_reading()
            return
        if len(data) <= SHORT_BYTES:
            self.engine.turns.newest = self.session.pid
        if self._buffer:
            data = self._buffer + data
        elif data.endswith(fastpath.DESCRIBE_EXECUTE_SYNC) and self._is_ready():
            self.session.idle_since = 0.0
            try:
                if fastpath.whole(self, data):
                    self._keep(data)
                    return
            except Exception:
                # The general way meets the same error and reports it in its place.
                pass
            self._shortcuts = False
        self._buffer = data
        if self._waiting or self._paused_writing or self._rests:
            if len(data) > READ_AHEAD_MAX and not self._paused_reading:
                self._paused_reading = True
                self.transport.pause_reading()
            return
        self._process()

    # The order of things -----------------------------------------------------------------------------------------

    def _process(self) -> None:
        """Handle complete messages until one has to wait or the buffer is empty."""
        data = self._buffer
        at = 0
        size = len(data)
        self._dispatching = True
        until, left = monotonic() + TURN_S * self.engine.turns.length, TURN_MESSAGES
        if self.session.idle_since:
            self.session.woke_up()
        try:
            while not self._waiting and size - at >= 5:
                left -= 1
                if not left:
                    left = TURN_MESSAGES
                    if len(self._out) > ANSWERS_HELD:
                        self.flush()
                    if monotonic() > until:
                        self._rest()
                        break
                if self._paused_writing:
                    break
                code = data[at]
                length = int.from_bytes(data[at + 1 : at + 5], "big")
                if length > LIMITS[code] or length < 4:
                    messages.check_length(code, length)
                end = at + 1 + length
                if end > size:
                    if self.session.copy is not None and code == COPY_DATA and size - at > DATA_MAX:
                        raise ProtocolViolation("COPY data message is too long")
                    break
                start = at + 5
                at = end
                if self._skipping and code != SYNC and code != TERMINATE:
                    continue
                if code == BIND and self._shortcuts and not self._out:
                    described = size - end == 22 and data.endswith(fastpath.DESCRIBE_EXECUTE_SYNC)
                    undescribed = size - end == 15 and data.endswith(fastpath.EXECUTE_SYNC)
                    if (described or undescribed) and self._shortcut(data, start, end, fastpath.DESCRIBED * described):
                        at = size
                        self._keep(data[start - 5 :])
                        break
                self._next = (data, end)
                self._dispatch(code, data, start, end)
                if self._closing:
                    return
        except ProtocolViolation as error:
            self._dispatching = False
            self.terminate(error)
            return
        finally:
            self._dispatching = False
            self._shortcuts = True
            if self._taken:
                self._taken = False
            else:
                self._buffer = data[at:] if at < size else b""
        if self._out and (self._answered or not self._waiting or size > DATA_MAX):
            self.flush()
        self._await_client()
        if self._paused_reading and not (self._waiting or self._rests or self._paused_writing or self._closing):
            self._paused_reading = False
            self.transport.resume_reading()

    def group_done(self, data: bytes) -> None:
        """The write or COMMIT that a shortcut waited for is done; ``data`` is the complete answer."""
        if self.session.closed:
            self.session.clean_up()
            return
        self._waiting = False
        self._redo = None
        self._ends_implicit = False
        self._head = b""
        self._simple = None
        session = self.session
        if session.transaction is not None:
            session.went_idle()
        if self._out or self._buffer or session.notices:
            self._append_answer(data)
            self._go_on()
        else:
            self.transport.write(data)

    def group_failed(self, head: bytes, error: BaseException, write: GroupWrite) -> None:
        """The autocommit write of a shortcut failed: report it, and Sync has been read already."""
        if self.session.closed:
            self.session.clean_up()
            return
        if self._moves(error):
            return
        self._waiting = False
        if self._simple is None:
            self._out.append(head)
        self._out.append(backend.error_response(self.session.runner.translate(error, write.plan, write.binds)))
        self._ready()
        self._go_on()

    def group_slow(self, head: bytes, write: GroupWrite, formats: tuple[int, ...]) -> None:
        """The autocommit write of a shortcut is not short after all: run it the general way."""
        if self.session.closed:
            self.session.clean_up()
            return
        write.plan.cache[INLINE] = False
        self._out.append(head)
        self.run_generally(Portal(self.session, "", write.plan, write.binds, formats, False))

    def run_generally(self, portal: Portal) -> None:
        """Run the statement of a shortcut the general way; Sync has been read already."""
        self._send_head()
        self._ends_implicit = self._simple is None
        self.retry(portal, 0)

    def _dispatch(self, code: int, data: bytes, start: int, end: int) -> None:
        try:
            if self.session.statement_timeout_ms:
                self.session.check_exchange(code)
            if code == QUERY:
                self._simple = deque()
                self._on_query(messages.parse_query(data, start, end))
            elif code == BIND:
                self._on_bind(data, start, end)
            elif code == EXECUTE:
                self._on_execute(*messages.parse_execute(data, start, end))
            elif code == SYNC:
                self._on_sync()
            elif code == DESCRIBE:
                self._on_describe(*messages.parse_target(data, start, end, "DESCRIBE"))
            elif code == PARSE:
                self._on_parse(*messages.parse_parse(data, start, end))
            elif code == FLUSH:
                self.flush()
            elif code == CLOSE:
                self._on_close(*messages.parse_target(data, start, end, "CLOSE"))
            elif code == TERMINATE:
                self._closing = True
                self.flush()
                self.transport.close()
            elif code == FUNCTION_CALL:
                self.call_function(data[start:end])
        except Exception as error:
            self._on_exception(error)

    def resume(self) -> None:
        """The statement in hand is over (:class:`Sink`)."""
        self._waiting = False
        self._redo = None
        if self._dispatching:
            return
        if self._ends_implicit:
            self._ends_implicit = False
            self._skipping = False
            self._ready()
        elif self._simple is not None:
            self._guarded(self._run_simple)
        self._go_on()

    def fail(self, error: HeliosError) -> None:
        """The statement in hand failed (:class:`Sink`)."""
        if self._moves(error):
            return
        self._waiting = False
        ending, self._ends_implicit = self._ends_implicit, False
        self._send_head()
        self._on_error(error)
        if ending and self._skipping:
            # The Sync that ended the implicit transaction has been read already.
            self._skipping = False
            self._ready()
        if not self._dispatching:
            self._go_on()

    def retry(self, portal: Portal, rows_max: int) -> None:
        """Start a statement again (:class:`Sink`)."""
        self._waiting = False
        self._guarded(lambda: self._run_portal(portal, rows_max))
        if not self._waiting:
            self.session.run_after_statement()
            self.resume()

    def again(self, action: Callable[[], None]) -> None:
        """Handle a message from the top, now that what it waited for is there."""
        self._waiting = False
        self._guarded(action)
        self._go_on()

    def _guarded(self, action: Callable[[], Any]) -> None:
        try:
            action()
        except Exception as error:
            self._on_exception(error)

    def _on_exception(self, error: Exception) -> None:
        if isinstance(error, ProtocolViolation):
            error.severity = "ERROR"  # What the message holds is wrong, but where it ends is known: go on.
        self._on_error(self.session.runner.translate(error))

    def _go_on(self) -> None:
        if self._waiting or self._closing or self._rests:
            return
        if self._buffer:
            self._process()
        else:
            self.flush()
            self._await_client()
            if self._paused_reading and not self._paused_writing:
                self._paused_reading = False
                self.transport.resume_reading()

    def _on_error(self, error: HeliosError) -> None:
        """Report an error and do what the protocol wants then."""
        if error.severity == "FATAL" or error.severity == "PANIC":
            self.terminate(error)
            return
        if self.session.repeating:
            error = claims.failed_again(self.session, error)
        self._out.append(backend.error_response(error))
        session = self.session
        session.after_statement = None
        session.fail_transaction()
        if self._simple is not None:
            self._simple = None
            self._end_implicit(failed=True)
            self._ready()
        else:
            self._skipping = True

    def _ready(self) -> None:
        session = self.session
        self._simple = None
        session.statement_over()
        session.statement_now_us = 0
        session.repeating = False
        if session.report_lsn and session.transaction is None:
            consistency.report(session)
            if session.forwarded is not None:
                session.forwarded.unit_over()
        self._answered = True
        self._out.append(session.status())
        if session.transaction is not None:
            session.went_idle()

    # Simple protocol ----------------------------------------------------------------------------------------------

    def _on_query(self, sql: str) -> None:
        session = self.session
        if len(sql) > LOOP_MAX and plan_apart(self, sql, None, lambda: self._on_query(sql)):
            return
        if sql[:4] in fastpath.NAMING and fastpath.name_write(self, sql):
            self._simple = None
            return
        session.statement_starts(sql)
        session.drop_unnamed()
        if routing.concerns(session) and routing.query(self, sql, lambda: self._on_query(sql)):
            return
        planned = session.plan(sql)
        self._several = len(planned) > 1
        if len(planned) != 1 or not fastpath.query(self, *planned[0]):
            self._simple = deque(planned)
            if not planned:
                self._out.append(backend.EMPTY_QUERY)
            self._run_simple()
        if self._waiting and not self._several:
            self._redo = lambda: self._query_anew(sql)

    def _query_anew(self, sql: str) -> None:
        self._simple = deque()
        self._on_query(sql)

    def _run_simple(self) -> None:
        queue = self._simple
        assert queue is not None
        session = self.session
        while queue:
            if self._several and session.transaction is None:
                session.begin(explicit=False)
            plan, literals = queue.popleft()
            text = plan.source
            if plan.catalog_version == -1:
                # It stands behind DDL or SET, and could not be planned before that had run.
                plan, literals = session.plan_late(plan)
            session.refuse_in_failed(plan)
            binds = bind(plan, (), literals, session.values_for(plan), session.query)
            portal = Portal(session, "", plan, binds, (0,) * len(plan.columns or ()), True)
            portal.text = text
            if not self._run_portal(portal, 0):
                return
            if self._simple is None:
                return
        if self._end_implicit(failed=False):
            self._ready()

    def call_function(self, body: bytes) -> None:
        """A FunctionCall."""
        self._simple = deque()
        portal = function_calls.portal_of(self, body)
        if portal is not None and self._run_portal(portal, 0):
            self._run_simple()

    def _end_implicit(self, *, failed: bool) -> bool:
        """End an implicit transaction; False when its commit has to be waited for."""
        session = self.session
        transaction = session.transaction
        if transaction is None or transaction.explicit:
            return True
        if failed or transaction.failed:
            session.undo_variables(committed=not failed)
            session.runner.rollback(transaction)
            return True
        self._ends_implicit = True
        if session.runner.end_implicit(transaction, session.finished, is_query=self._simple is not None):
            self._ends_implicit = False
            return True
        self._waiting = True
        return False

    def _run_portal(self, portal: Portal, rows_max: int) -> bool:
        if self.session.start(portal, rows_max):
            return True
        self._waiting = True
        return False

    # Extended protocol ----------------------------------------------------------------------------------------------

    def _on_parse(self, name: str, sql: str, oids: tuple[int, ...]) -> None:
        session = self.session
        if len(sql) > LOOP_MAX and plan_apart(self, sql, oids, lambda: self._on_parse(name, sql, oids)):
            return
        session.statement_starts(sql)
        if not name:
            session.statements.pop("", None)
        if routing.concerns(session) and routing.parse(self, name, sql, oids, lambda: self._on_parse(name, sql, oids)):
            return
        prepared = session.prepare(name, sql, oids)
        session.refuse_in_failed(prepared.plan)
        if name and name in session.statements:
            raise SqlError(f'prepared statement "{name}" already exists', sqlstate="42P05")
        session.statements[name] = prepared
        self._out.append(backend.PARSE_COMPLETE)

    def _on_bind(self, data: bytes, start: int, end: int) -> None:
        portal_name, statement, param_formats, params, result_formats = messages.parse_bind(data, start, end)
        session = self.session
        prepared = session.statement(statement)
        session.refuse_in_failed(prepared.plan)
        if portal_name and portal_name in session.portals:
            raise SqlError(f'cursor "{portal_name}" already exists', sqlstate="42P03")
        plan = session.current_plan(prepared)
        if len(params) != len(plan.param_types):
            raise ProtocolViolation(
                f'bind message supplies {len(params)} parameters, but prepared statement "{statement}" '
                f"requires {len(plan.param_types)}"
            )
        values = session.decoded(plan, param_formats, params, portal_name) if params else ()
        columns = session.columns_of(plan)
        formats = messages.formats_for(result_formats, len(columns)) if columns else ()
        binds = bind(plan, values, prepared.literals, session.values_for(plan), prepared.sql)
        old = session.portals.get(portal_name)
        if old is not None:
            session.runner.close_portal(old)
        session.portals[portal_name] = portal = Portal(session, portal_name, plan, binds, formats, False)
        portal.text, portal.stale = prepared.sql, plan.tag == renewal.LATE and plan.kind is Kind.DDL
        if end - start <= ORIGIN_MAX or session.engine.forwarder is not None:
            portal.origin = (prepared, data[start:end])
        self._out.append(backend.BIND_COMPLETE)

    def _on_describe(self, kind: str, name: str) -> None:
        session = self.session
        if kind == "S":
            plan = session.current_plan(session.statement(name))
            columns = session.columns_of(plan)
            if columns is not None:
                session.refuse_in_failed(plan)
            self._out.append(backend.parameter_description(plan.param_types))
            self._out.append(backend.NO_DATA if columns is None else backend.row_description(columns))
            return
        portal = session.portals.get(name) or session.cursors.get(name)
        if portal is None:
            raise SqlError(f'portal "{name}" does not exist', sqlstate="34000")
        columns = session.columns_of(portal.plan)
        if columns is not None:
            session.refuse_in_failed(portal.plan)
        if columns is portal.plan.columns:
            self._out.append(backend.NO_DATA if columns is None else portal.description())
        else:
            self._out.append(backend.row_description(columns or (), portal.formats or (0,) * len(columns or ())))

    def _on_execute(self, name: str, rows_max: int) -> None:
        session = self.session
        portal = session.portals.get(name)
        if portal is None:
            self._waiting = not cursors.run(session, name, rows_max)
            return
        if routing.concerns(session) and routing.execute(
            self, portal, rows_max, lambda: self._on_execute(name, rows_max)
        ):
            return
        plan = portal.plan
        transactional = isinstance(plan.action, utility.TRANSACTIONAL) or plan.kind in (Kind.WRITE, Kind.DDL, Kind.COPY)
        if session.transaction is None and transactional and not self.only_closes_follow():
            session.begin(explicit=False)
        if not self._run_portal(portal, rows_max):
            self._redo = lambda: self._on_execute(name, rows_max)

    def _on_close(self, kind: str, name: str) -> None:
        session = self.session
        if kind == "S":
            session.statements.pop(name, None)
        else:
            portal = session.portals.pop(name, None) or session.cursors.pop(name, None)
            if portal is not None:
                session.runner.close_portal(portal)
        self._out.append(backend.CLOSE_COMPLETE)

    def _on_sync(self) -> None:
        self._simple = None
        failed, self._skipping = self._skipping, False
        session = self.session
        if session.transaction is None:
            if session.portals:
                session.close_portals()
        elif not session.transaction.explicit and not self._end_implicit(failed=failed):
            return
        self._ready()
