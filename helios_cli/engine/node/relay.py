"""A client's bytes to its session at the primary and back: for a statement, a pipeline, or a transaction to its end.

While a relay stands, the primary answers: results, errors, notices, COPY data and the state of the transaction are its
bytes. The relay reads messages only to know where an answer ends, to send on what this node has prepared or bound and
the primary has not seen, and to keep this node's idea of the session's parameters and statements right. Messages behind
a Query or Sync wait here for its answer, because the transaction may end with it and what follows be done locally.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from helios_cli.engine.errors import HeliosError, OutcomeUnknown, SerializationFailure
from helios_cli.engine.log.history import History
from helios_cli.engine.node import claims, consistency, relay_start
from helios_cli.engine.node.forward_link import ForwardLink, PrimaryLost
from helios_cli.engine.node.forwarder import QueryForwarder, RoleChanged
from helios_cli.engine.node.relay_requests import HELD_MAX, RelayRequests
from helios_cli.engine.replication.forwarding import EVENT
from helios_cli.engine.types import Token
from helios_cli.engine.wire import backend, client

if TYPE_CHECKING:
    from helios_cli.engine.node.frontend import Frontend

SCHEMA_WAIT_S: Final = 5.0
"""After DDL the answer is kept back until this node shows the new schema, but no longer."""

KEPT_BACK: Final = frozenset(("in_hot_standby", "is_superuser", "server_version", "session_authorization"))
"""Reported parameters that are this node's own, not the primary's."""

_ENDS_IDLE_SESSION: Final = ("25P03", "57P05")
_Z, _S, _E, _G, _C = b"ZSEGC"
_ACKNOWLEDGED: Final = b"123"
_SPECIAL: Final = frozenset((_Z, _S, _E, _G, _C, *_ACKNOWLEDGED))


class Relay(RelayRequests):
    """Takes the place of the session's own protocol handling until the primary's transaction is over."""

    def __init__(
        self,
        frontend: Frontend,
        forwarder: QueryForwarder,
        message: bytes,
        again: Callable[[], None],
        *,
        is_single: bool = False,
    ) -> None:
        """``again`` handles the message in hand here, should this node come to lead before it is sent.

        With ``is_single`` that is a write that commits by itself: it is named, and sent again should the primary be
        lost over it.
        """
        super().__init__(frontend, message)
        self.forwarder = forwarder
        self._again = again
        self._received = bytearray()
        self._started = False
        self._setup_error: HeliosError | None = None
        self._fatal: HeliosError | None = None
        self._retired = False
        """The session there ends because that node leads no longer: what it has not answered it has not done."""
        self._passed = False
        """The client has something of the answer to the unit in hand."""
        self._schema = False
        self._committed = False
        self._paused = False
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        # One that waits for other copies than the mode's may wait for what the next primary cannot have.
        is_single = is_single and self.session.commit_level() is None
        own = self.session.write_id
        self._borrowed = forwarder.name_write() if is_single and own is None else None
        """A name of this node's."""
        self._name = own if is_single and own is not None else self._borrowed
        """Under which the write in hand is done only once; None: it has none, or must not be sent again."""
        self._names_itself = is_single and own is not None
        """The name is the client's."""
        self._cancelled = False
        """The client wants no more of the write in hand. What was sent of it before keeps its name all the same."""
        self._until = 0.0
        """When it is too late to send it again; 0 before it was lost for the first time."""
        self._lost_in = History()
        """The terms that this node knew then."""

    def begin(self) -> None:
        """Look for a session at the primary; the client's bytes are held meanwhile."""
        link = None if self.forwarder.closed else self.forwarder.idle_for(self.session)
        if link is not None:
            self._got(link)
            return
        self.session.arm_timeouts()
        self._task = self.session.engine.loop.create_task(self._find())

    async def _find(self) -> None:
        try:
            link = await self.forwarder.take(self.session)
        except RoleChanged:
            self._task = None
            self._go_local()
        except HeliosError as error:
            self._task = None
            self._fail(error)
        except Exception as error:
            self._task = None
            self._fail(self.session.engine.unexpected(error))
        else:
            self._task = None
            self._got(link)

    def _got(self, link: ForwardLink) -> None:
        self.link = link
        link.on_data = self._on_data
        link.on_lost = self._lost
        link.on_room = self.session.sink.copy_wants_more
        queries = self.start.queries(link, named=self._name is not None)
        if queries:
            self._swallow = len(queries)
            link.write(b"".join(map(client.query, queries)))
        else:
            self._begin_for_good()

    def _set_up(self) -> None:
        """The answers to what was sent before the client's own messages are all there."""
        if self._setup_error is not None:
            error, link = self._setup_error, self.link
            if link is not None:
                self.forwarder.drop(link)
                self.link = None
            self._fail(error)
        else:
            self._begin_for_good()

    def _begin_for_good(self) -> None:
        self._started = True
        self.session.engine.forwarded_count += 1
        self.session.disarm_timeouts()
        self.start.leave_transaction()
        self._unsent_name = self._name
        self._pump()
        self.session.sink.copy_wants_more()

    # TakesBytes ------------------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> bool:
        """Bytes from the client; False when it should not be read for now."""
        self._held += data
        if self._started:
            self._pump()
        return self.wants_more()

    def wants_more(self) -> bool:
        """Whether reading may go on."""
        return len(self._held) < HELD_MAX and (self.link is None or self.link.writable)

    def cancel(self, reason: HeliosError) -> bool:
        """End the statement in hand: here while it waits for the primary, there once it is there."""
        if self.session.closed:
            return True
        if self._task is not None:
            self._task.cancel()
            self._task = None
            self._fail(reason)
        elif self._timer is not None:
            self._exit()
        elif self.link is not None and (self._awaiting or self._sent or not self._started):
            self._cancelled = True
            self.forwarder.cancel(self.link)
        return True

    def abort(self) -> None:
        """The client is gone: so is its session at the primary, and what that has not committed."""
        self._over = True
        self._give_name_back()
        if self._task is not None:
            self._task.cancel()
        if self._timer is not None:
            self._timer.cancel()
        if self.link is not None:
            self.forwarder.drop(self.link)
        self.session.copy = None

    def in_doubt(self) -> bool:
        """Whether the primary is at a commit, or has done it and the answer waits for this node."""
        return (self._ends and self._awaiting) or self._timer is not None

    # From the primary ------------------------------------------------------------------------------------------------

    def _on_data(self, data: bytes) -> None:
        received = self._received
        received += data
        out = self.session.out
        at = begun = 0
        size = len(received)
        while size - at >= 5 and not self._over:
            code = received[at]
            end = at + 1 + int.from_bytes(received[at + 1 : at + 5], "big")
            if end > size:
                break
            if self._swallow or code in _SPECIAL:
                if at > begun:
                    self._passed = True
                    out.append(bytes(received[begun:at]))
                begun = end
                message = bytes(received[at:end])
                if self._swallow:
                    self._swallowed(code, message)
                else:
                    self._special(code, message)
            at = end
        if self._over:
            return
        if at > begun:
            self._passed = True
            out.append(bytes(received[begun:at]))
        del received[:at]
        self._pass_on()

    def _pass_on(self) -> None:
        frontend = self.frontend
        if self._timer is None:
            frontend.flush()
        if self._started:
            self._pump()
            self.session.sink.copy_wants_more()
        if frontend.is_full and not self._paused and self.link is not None:
            self._paused = True
            self.link.transport.pause_reading()
            frontend.flush_then(self._drained)

    def _drained(self) -> None:
        self._paused = False
        if self._over:
            self.frontend.resume_writing()
        elif self.link is not None and not self.link.closed:
            self.link.transport.resume_reading()

    def _swallowed(self, code: int, message: bytes) -> None:
        """A message of an answer that the client did not ask for."""
        if code == _E:
            error = client.parse_error(message[5:])
            if error.severity == "FATAL":
                self._fatal = error
            elif not self._started and self._setup_error is None:
                self._setup_error = error
        elif code == _S:
            self._status(message)
        elif code == _Z:
            self._swallow -= 1
            if not self._swallow and not self._started:
                self._set_up()

    def _special(self, code: int, message: bytes) -> None:
        out = self.session.out
        if code in _ACKNOWLEDGED:
            due = self._due.popleft() if self._due else None
            if due is not None:
                due.came()
            if due is None or due.asked:
                self._passed = True
                out.append(message)
        elif code == _S:
            if self._status(message):
                out.append(message)
        elif code == _E:
            error = client.parse_error(message[5:])
            if error.severity == "FATAL":
                self._fatal = error
            else:
                self._not_acknowledged()
                self._passed = True
                out.append(self._repeated(error) if self.session.repeating else message)
        elif code == _Z:
            self._ready(message)
        else:
            self._passed = True
            if code == _G:
                self._copying = True
            elif message == _COMMITTED:
                self._committed = True
            out.append(message)

    def _status(self, message: bytes) -> bool:
        """A ParameterStatus; whether it is for the client."""
        name, value = client.parse_status(message[5:])
        if name == "helios.lsn":
            consistency.wrote(self.session, Token.parse(value))
            return False
        if name == EVENT:
            self._event(json.loads(value))
            return False
        return self._started and name not in KEPT_BACK

    def _event(self, event: dict[str, object]) -> None:
        session, link = self.session, self.link
        if link is None or not self._started:
            return
        match event:
            case {"set": [str(name), str() | None as value]}:
                relay_start.mirror(session, link, name, value)
            case {"prepare": [str(name), str(sql), list(oids)]}:
                types = tuple(int(oid) for oid in oids)
                link.statements[name] = (sql, types)
                session.prepared_elsewhere(name, sql, types)
            case {"deallocate": str(name)}:
                link.statements.pop(name, None)
                session.statements.pop(name, None)
            case {"deallocate": None}:
                link.statements.clear()
                session.statements.clear()
            case {"retired": True}:
                self._retired = True
            case {"schema": True}:
                self._schema = True

    def _ready(self, message: bytes) -> None:
        """A unit is over."""
        self._passed = False
        self._not_acknowledged()
        self._unit_is_over()
        if message == backend.READY_IDLE:
            self._finish()
        else:
            self.start.in_block = True
            self.session.out.append(message)

    # Ends ------------------------------------------------------------------------------------------------------------

    def _finish(self) -> None:
        """The transaction is over. After DDL the answer waits until this node shows the new schema."""
        session = self.session
        pipeline = session.engine.pipeline
        if self._schema and session.floor_lsn > pipeline.committed_lsn:
            self._timer = session.engine.loop.call_later(SCHEMA_WAIT_S, self._exit)
            pipeline.after_lsn(session.floor_lsn, self._exit)
        else:
            self._exit()

    def _exit(self) -> None:
        """Back to this node's own handling, with ReadyForQuery."""
        if self._over:
            return
        self._release()
        session = self.session
        if self._names_itself and session.write_id is not None:
            # Used up: the primary was told of it apart, and does not say so.
            session.put_variable(claims.VARIABLE, None)
        if self._committed:
            for action in self.start.channel_actions:
                action()
        session.statement_over()
        session.repeating = False
        consistency.set_gate(session)
        if session.report_lsn:
            consistency.report(session)
        session.out.append(backend.READY_IDLE)
        self.frontend.relay_over(bytes(self._held))

    def _release(self) -> None:
        """Give up what the relay holds; the link goes back when it is still good."""
        self._over = True
        self._give_name_back()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        link, self.link = self.link, None
        if link is not None and not link.closed:
            if self._paused:
                link.transport.resume_reading()
            self.forwarder.give_back(link)
        self.session.copy = None

    def _go_local(self) -> None:
        """This node leads now, and nothing has been sent: the message in hand is handled here."""
        if self._name is not None and (self._until or self._borrowed is None):
            # It may be done already, and then this node finds it by its name.
            self.session.put_variable(claims.VARIABLE, str(self._name))
        self._release()
        self.session.disarm_timeouts()
        self.start.bring_back()
        self.frontend.relay_failed(bytes(self._held[self._first :]))
        self.frontend.again(self._again)

    def _fail(self, error: HeliosError) -> None:
        """The message in hand fails before anything of it was sent: the transaction here is where it was."""
        self._release()
        self.frontend.relay_failed(bytes(self._held[self._first :]))
        self.session.failed(error)

    def _lost(self) -> None:
        """The link is gone."""
        if self._over:
            return
        fatal, link = self._fatal, self.link
        self.forwarder.forget(link)
        if self._timer is not None:
            # The answer is here, and waits only for this node's own state.
            return
        undone = self._retired and self._unit is not None and not self.start.in_block and not self._passed
        undone = undone and (fatal is None or fatal.sqlstate != OutcomeUnknown.sqlstate)
        if not self._started or undone or self._may_repeat():
            self._try_elsewhere()
            return
        if fatal is not None and fatal.sqlstate in _ENDS_IDLE_SESSION:
            self._over = True
            self.session.copy = None
            self.frontend.terminate(fatal)
            return
        error = self._loss(fatal or (link.reason if link is not None else None))
        in_hand, awaiting = self._sent or self._awaiting, self._awaiting
        unknown = isinstance(error, OutcomeUnknown)
        self._release()
        self.session.disarm_timeouts()
        failed_block = self.start.in_block and not unknown
        self.start.restore(failed=not unknown)
        if in_hand and self.session.write_id is not None:
            # Used up, though the primary could not say so.
            self.session.put_variable(claims.VARIABLE, None)
        if failed_block:
            transaction = self.session.begin(explicit=True)
            transaction.failed = True
            transaction.lost = None if in_hand else error
        self.frontend.relay_lost(bytes(self._held), error if in_hand else None, answered=awaiting)

    def _may_repeat(self) -> bool:
        """Whether the write in hand, which may be done or not, is sent again under its name."""
        if self._name is None or self._cancelled or self._unit is None or self._passed or not self._ends:
            return False
        loop = self.session.engine.loop
        if not self._until:
            self._until = loop.time() + self.forwarder.wait_s()
            self._lost_in = self.session.engine.history()
        self.session.repeating = True
        return loop.time() < self._until

    def _repeated(self, error: HeliosError) -> bytes:
        """The error of a write that was sent again, as the client is told of it."""
        is_another = self.session.engine.history() != self._lost_in
        return backend.error_response(claims.after_loss(error, in_another_term=is_another))

    def _give_name_back(self) -> None:
        if self._borrowed is not None and not self._until:
            # One that was sent again is known for as long as a client's is, to whoever replays what a failover lost.
            self.forwarder.over(self._borrowed)
        self._borrowed = None

    def _try_elsewhere(self) -> None:
        """Nothing was done there, or it has a name: find who leads now, which may be this node."""
        self.link = None
        self._held[:0] = self._unit or b""
        self._unit = bytearray()
        self._received.clear()
        self._due.clear()
        self._unit_is_over()
        self._swallow = 0
        self._started = self._retired = False
        self._setup_error = self._fatal = None
        self.start.anew()
        self.begin()

    def _loss(self, why: HeliosError | None) -> HeliosError:
        detail = why.message if why is not None else "the connection with the primary ended"
        detail = detail[:1].upper() + detail[1:].rstrip(".") + "."
        if self._ends and self._awaiting:
            return OutcomeUnknown(
                "the primary was lost while it committed: the outcome is unknown",
                detail=detail,
                hint="Look whether the change is there before you send it again.",
            )
        if self._retired:
            return SerializationFailure(
                "the primary gave the lead away in the middle of the transaction, which is rolled back",
                hint="Retry the transaction.",
            )
        return PrimaryLost(
            "the primary was lost in the middle of the transaction, which is rolled back",
            detail=detail,
            hint="Retry the transaction.",
        )


_COMMITTED: Final = backend.command_complete("COMMIT")
