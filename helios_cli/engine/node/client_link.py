"""Bytes to and from one client: buffers, flow control, the hand-over to COPY, the last word."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from helios_cli.engine.datatypes.encodings import Encoding
from helios_cli.engine.errors import HeliosError, LeadMoved
from helios_cli.engine.node import client_encoding, fastpath, routing
from helios_cli.engine.node.copy_in import TakesBytes
from helios_cli.engine.node.doubt import last_word
from helios_cli.engine.node.engine import Engine
from helios_cli.engine.node.session import Session
from helios_cli.engine.sql.plan import Plan
from helios_cli.engine.wire import backend

log = logging.getLogger(__name__)

SYNC: Final = b"S"[0]
CLOSE: Final = b"C"[0]

TURN_MESSAGES: Final = 32
"""Messages of a client after which the clock is looked at."""
ANSWERS_HELD: Final = 64
"""Messages for the client kept back while more of its own are at hand; then they are sent."""


if TYPE_CHECKING:
    from helios_cli.engine.node.forwarder import QueryForwarder
    from helios_cli.engine.node.frontend import Frontend
    from helios_cli.engine.node.portal import Sink


class ClientLink(asyncio.Protocol, ABC):
    """The connection under the protocol."""

    def __init__(
        self,
        engine: Engine,
        transport: asyncio.Transport,
        *,
        user: str,
        database: str,
        pid: int,
        secret: bytes,
        on_lost: Callable[[Exception | None], None],
    ) -> None:
        self.engine = engine
        self._on_lost = on_lost
        self.transport = transport
        self.session = Session(engine, cast("Sink", self), user=user, database=database, pid=pid, secret=secret)
        self._out = self.session.out
        self._now = engine.loop.time
        self._buffer = b""
        self._waiting = False
        """A statement is not over: nothing is handled before :meth:`resume` or :meth:`fail`."""
        self._dispatching = False
        self._skipping = False
        """An extended-protocol error: everything up to Sync is discarded."""
        self._simple: deque[tuple[Plan, Sequence[Any]]] | None = None
        """Statements of the simple query in hand that are still to run; None in the extended protocol."""
        self._several = False
        """The simple query in hand has several statements, which share an implicit transaction."""
        self._ends_implicit = False
        """The implicit transaction is being committed; ReadyForQuery comes after."""
        self._head = b""
        """What a shortcut that waits has kept back of its answer, for the case that it fails."""
        self._answered = False
        """What is kept back ends an answer, for which the client may wait before it lets the next statement go on."""
        self._paused_reading = False
        self._paused_writing = False
        self._on_drain: Callable[[], None] | None = None
        self._closing = False
        self._redo: Callable[[], None] | None = None
        """Handles anew the message in hand, a write that waits; None where its error is the client's."""
        self.moved_to: QueryForwarder | None = None
        """The way to the primary that a write took last which had waited here when this node ceased to lead."""
        self._next: tuple[bytes, int] = (b"", 0)
        """The data being handled and where the message after the present one begins."""
        self._shortcuts = True
        """The data in hand has not been tried as a whole yet."""
        self._rests = False
        """The messages at hand are many: the others, and the cluster, have their turns before it goes on."""
        self._taken = False
        """COPY took the rest of the data in hand."""

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        self._closing = True
        self._on_lost(exc)
        self._buffer = b""
        self.session.close()
        self.resume_writing()

    def _is_ready(self) -> bool:
        """Whether the next message begins something new, with nothing before it."""
        return not (self._waiting or self._skipping or self._out or self._paused_writing or self._closing)

    def flush(self) -> None:
        """Send what has been answered so far."""
        out = self._out
        if out:
            self.transport.write(b"".join(out))
            out.clear()
            self._answered = False

    def answer(self, data: bytes) -> None:
        """A complete answer, ReadyForQuery included."""
        session = self.session
        self._simple = None
        if self._out or session.notices:
            self._append_answer(data)
            self.flush()
        else:
            self.transport.write(data)
        if session.transaction is not None:
            session.idle_within = False
            session.idle_since = self._now()

    def answer_later(self, data: bytes) -> None:
        """The same, of what nobody waits for alone: it may go with the answer to what comes right behind it."""
        answered = self._answered
        self._append_answer(data)
        self._answered = answered
        if self.session.transaction is not None:
            self.session.went_idle()

    def _append_answer(self, data: bytes) -> None:
        """Notifications go before ReadyForQuery, which ends a complete answer."""
        ready = len(data) - len(backend.READY_IDLE)
        self._out.append(data[:ready])
        self.session.statement_over()
        self._answered = True
        self._out.append(data[ready:])

    def is_idle(self) -> bool:
        """Whether the connection is between statements."""
        return not self._waiting and not self._dispatching and not self._closing and self._simple is None

    def flush_then(self, callback: Callable[[], None]) -> bool:
        """Send, and call back when the client has taken enough of it; whether it has at once."""
        self.flush()
        if self._closing or not self._paused_writing:
            self.engine.loop.call_soon(callback)
            return True
        self._on_drain = callback
        self.session.went_idle(within=True)
        return False

    def speak(self, encoding: Encoding | None) -> None:
        """The client's text is in an encoding from now on; None: in UTF-8."""
        client_encoding.speak(cast("Frontend", self), encoding)

    def pause_writing(self) -> None:
        """The client takes its answers slower than they come."""
        self._paused_writing = True

    def resume_writing(self) -> None:
        """There is room again."""
        self._paused_writing = False
        callback, self._on_drain = self._on_drain, None
        if callback is not None:
            self.session.woke_up()
            callback()
        elif self._buffer or self._paused_reading:
            self._go_on()

    def eof_received(self) -> bool:
        """The client will send no more: close."""
        return False

    def terminate(self, error: HeliosError) -> None:
        """Send a FATAL error and close the connection."""
        if self._closing:
            return
        self._closing = True
        error = last_word(self.session, error)
        error.severity = "FATAL"
        self._out.append(backend.error_response(error))
        self.flush()
        self.transport.close()
        self.session.close()

    def copy_begins(self) -> None:
        """COPY FROM STDIN has begun: tell the client, and give it what has come already."""
        self.flush()
        copy, rest = self.session.copy, self._take_rest()
        if rest and copy is not None:
            copy.data_received(rest)

    def copy_wants_more(self) -> None:
        """The thread has caught up."""
        copy = self.session.copy
        if self._paused_reading and not self._closing and (copy is None or copy.wants_more()):
            self._paused_reading = False
            self.transport.resume_reading()

    def copy_over(self, rest: bytes) -> None:
        """COPY has ended; ``rest`` came behind it."""
        self._buffer = rest

    def _send_head(self) -> None:
        head, self._head = self._head, b""
        if head:
            self._out.append(head)

    def wait(self, head: bytes = b"") -> None:
        """A statement is on its way; :meth:`group_done` or :meth:`group_failed` will be called.

        With a ``head`` Sync has been read, and a failure may come through :meth:`fail`, which sends that first.
        """
        self._waiting = True
        self._head = head
        self._ends_implicit = bool(head)

    def wait_for_writer(self, head: bytes) -> bool:
        """A shortcut waits for the writer. True in the extended protocol, where ``head`` goes before a failure too."""
        extended = self._simple is None
        self.wait(head if extended else b"")
        return extended

    def _keep(self, dialogue: bytes) -> None:
        """A shortcut handles these messages. Should they have to wait they may be handled anew."""
        if self._waiting:
            self._redo = lambda: self._take_back(dialogue)

    def _take_back(self, dialogue: bytes) -> None:
        self._buffer = dialogue + self._buffer

    def _moves(self, error: BaseException) -> bool:
        """Whether the primary is to do what waited here in vain; the error is not for the client then."""
        redo, self._redo = self._redo, None
        return redo is not None and isinstance(error, LeadMoved) and routing.moves(cast("Frontend", self), redo)

    def _await_client(self) -> None:
        """All that has come is done. Without a Sync the transaction of a pipeline stays open."""
        session = self.session
        if not self._waiting and session.transaction is not None and not session.idle_since:
            session.went_idle(within=True)

    def _shortcut(self, data: bytes, start: int, end: int, kind: int) -> bool:
        """Try the whole dialogue from Bind to Sync at once."""
        try:
            return fastpath.bound(cast("Frontend", self), data, start, end, kind)
        except Exception:
            # The general way meets the same error and reports it in its place.
            return False

    def sync_follows(self) -> bool:
        """Whether the statement in hand is alone before Sync, and so may commit by itself."""
        data, end = self._next
        return end < len(data) and data[end] == SYNC

    def only_closes_follow(self) -> bool:
        """Whether nothing but the closing of statements and portals stands between the statement in hand and Sync."""
        data, at = self._next
        while at + 5 <= len(data) and data[at] == CLOSE:
            at += 1 + int.from_bytes(data[at + 1 : at + 5], "big")
        return at < len(data) and data[at] == SYNC

    # The primary's side of the dialogue ------------------------------------------------------------------------------

    @property
    def is_full(self) -> bool:
        """Whether the client takes its answers slower than they come."""
        return self._paused_writing

    def relay_begins(self, relay: TakesBytes) -> None:
        """The message in hand and what follows it go to the primary."""
        self._waiting = True
        self.session.copy = relay
        rest = self._take_rest()
        if rest:
            relay.data_received(rest)

    def relay_over(self, rest: bytes) -> None:
        """The primary has answered, ReadyForQuery included; ``rest`` came behind it."""
        self._waiting = self._skipping = False
        self._simple = None
        self.session.statement_now_us = 0
        self._buffer = rest
        if self.session.closed:
            self.session.clean_up()
        elif not self._dispatching:
            self.flush()
            self._go_on()

    def relay_failed(self, rest: bytes) -> None:
        """The relay is given up before anything was sent; ``rest`` came behind the message in hand."""
        self._buffer = rest

    def relay_lost(self, rest: bytes, error: HeliosError | None, *, answered: bool) -> None:
        """The primary is gone. ``error`` is for the unit in hand, if any; ``answered``: its end was sent on."""
        self._buffer = rest
        if error is None:
            self._waiting = False
            self._simple = None
            self._go_on()
            return
        self._ends_implicit = answered
        self.session.failed(error)

    @abstractmethod
    def _go_on(self) -> None:
        """Handle what has come meanwhile, or wait for more."""

    def _rest(self) -> None:
        """The others have their turns."""
        self._rests = True
        self.engine.turns.take(self._take_turn, self.session.pid)

    def _take_turn(self) -> None:
        self._rests = False
        self._go_on()

    def _take_rest(self) -> bytes:
        if self._dispatching:
            data, end = self._next
            self._next = (data, len(data))
            self._taken = True
            return data[end:]
        rest, self._buffer = self._buffer, b""
        return rest
