"""The application's side of a session: bytes become units, one after the other."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from struct import Struct
from time import monotonic
from typing import TYPE_CHECKING, Final

from helios_cli.engine.errors import HeliosError, ProtocolViolation
from helios_cli.engine.net.turns import SHORT_BYTES, TURN_S
from helios_cli.engine.proxy.prepared import BoundStep, Step, WholeStep
from helios_cli.engine.proxy.statement import Statement
from helios_cli.engine.proxy.unit import (
    BIND,
    CALL,
    CLOSE,
    COPY_DATA,
    COPY_DONE,
    COPY_FAIL,
    DESCRIBE,
    EXECUTE,
    FLUSH,
    PARSE,
    QUERY,
    SYNC,
    TERMINATE,
    UNKNOWN,
    ClientStatements,
    Unit,
)
from helios_cli.engine.wire import backend as messages
from helios_cli.engine.wire import client as wire
from helios_cli.engine.wire.limits import LIMITS

if TYPE_CHECKING:
    from helios_cli.engine.proxyserver.proxy import Proxy

WRITE_HIGH_WATER: Final = 256 * 1024
HELD_MAX: Final = 1 << 20
"""Bytes that wait here for the answer to what came before them; then the client is not read."""
MESSAGE_MAX: Final = 256 << 20
"""Of one message, which has to be whole before it goes anywhere."""
AHEAD_BYTES: Final = 4096
"""At hand of a client that waits for its turn even to begin, when others do."""
LOOK_MESSAGES: Final = 32
"""Messages of a client after which the clock is looked at."""
TURN_STEPS: Final = 100
"""Steps that are sent in a millisecond."""
TEXT_BYTES: Final = 64 * 1024
"""Of a message with a statement that has a turn to itself: it is looked through, at 0.1 us for each."""
TURN_UNITS: Final = 8
"""Units, each sent ahead of the answer to the one before it, that make a turn."""
SPILL_S: Final = 0.05
"""So long a unit waits for its end before it goes out without it."""
SPILL_BYTES: Final = 1 << 20
"""Of a unit that goes out before its end."""

_u32 = Struct("!I").unpack_from
_BEGINNINGS: Final = frozenset((PARSE, BIND))
_EXECUTE_SYNC: Final = wire.execute() + wire.SYNC
_ENDS: Final = frozenset((_EXECUTE_SYNC, wire.describe("P") + _EXECUTE_SYNC))
"""Of a unit that runs one statement."""
_EXTENDED: Final = frozenset((BIND, CLOSE, DESCRIBE, EXECUTE, FLUSH, PARSE, SYNC))
_TEXTS: Final = frozenset((PARSE, QUERY))
_COPY: Final = frozenset((COPY_DATA, COPY_DONE, COPY_FAIL))


class Dialogue(asyncio.Protocol):
    """Frames what a client sends. The client's session is the subclass."""

    def __init__(self, proxy: Proxy, transport: asyncio.Transport) -> None:
        self.proxy = proxy
        self.pid = proxy.next_pid()
        self.transport = transport
        transport.set_write_buffer_limits(high=WRITE_HIGH_WATER)
        self.statements = ClientStatements(proxy.shared_statements, proxy.classes.of, proxy.parsed)
        self.unit: Unit | None = None
        self.closing = False
        self.copying = False
        """The unit in hand wants the client's data."""
        self._dispatched = False
        self._sent = False
        """The unit in hand is on its way, so that more of it can follow."""
        self._sent_steps = 0
        self._sends_on: object = None
        """The unit in hand has many steps, and some of those that it had when it was sent have not had their turn."""
        self._spill: asyncio.TimerHandle | None = None
        self._discarding = False
        """The unit in hand has failed here: what comes up to Sync is not for anybody."""
        self._parts: list[bytes] = []
        self._offset = 0
        """Where what is held begins in the first of them."""
        self._held = 0
        self._ahead = 0
        """Units that were there before the one before them was answered, since the last turn."""
        self._rests = False
        """Its messages were many at a time: it goes on when others have had their turn."""
        self._need = 0
        self._deaf = False
        self._stopped = False
        """The node does not take what the client sends."""
        self._congested = False
        """The client does not take what it is answered."""

    # Bytes -----------------------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Bytes of the client."""
        if self._held:
            self._parts.append(data)
            self._held += len(data)
            if self._is_stuck():
                if self._held > HELD_MAX:
                    self._stop_reading()
            elif self._held >= self._need:
                self.go_on()
            return
        if self.unit is None and not self._discarding and not self._congested and not self._rests:
            size = len(data)
            if size <= SHORT_BYTES:
                self.proxy.turns.newest = self.pid
            if size > 5 and data[0] == QUERY and _u32(data, 1)[0] + 1 == size:
                self._query(data)
                return
            if size > 20 and data[0] in _BEGINNINGS and not data[5] and self._whole(data, size):
                return
        self._pump(data)

    def _whole(self, data: bytes, size: int) -> bool:
        """A unit of one statement that is all there, as most are: whether it was that, and is dispatched."""
        statements = self.statements
        step: Step
        try:
            end = 1 + _u32(data, 1)[0]
            if data[0] == BIND:
                stop = data.index(0, 6)
                prepared = statements.names.get(data[6:stop])
                if prepared is None or data[end:] not in _ENDS:
                    return False
                statement, step = prepared.statement, BoundStep(data, prepared, stop, end)
            else:
                if data[end] != BIND or data[end + 5] or data[end + 6]:
                    return False
                if data[end + 1 + _u32(data, end + 1)[0] :] not in _ENDS:
                    return False
                body = data[6:end]
                statement, step = statements.classify(body), WholeStep(data, body)
                statements.unnamed, statements.unnamed_class = body, statement
        except Exception:  # too short, or not what it looked like
            return False
        self._dispatch_whole(statement, step)
        return True

    def _dispatch_whole(self, statement: Statement, step: Step) -> None:
        unit = self.unit = Unit(simple=False)
        unit.closed = True
        self._fill(unit, statement, step)

    def _fill(self, unit: Unit, statement: Statement, step: Step) -> None:
        unit.steps.append(step)
        unit.bytes = len(step.raw)
        unit.access, unit.hint, unit.plain = statement.access, statement.hint, statement.plain
        unit.statements.append(statement)
        unit.executed.append(statement)
        self._dispatched = True
        self._dispatch(unit)

    def _query(self, data: bytes) -> None:
        unit = self.unit = Unit(simple=True)
        self._fill(unit, self.proxy.classes.of(data[5:-1].decode("utf-8", "surrogateescape")), Step(data))

    def _is_stuck(self) -> bool:
        """Whether what comes now has to wait."""
        if self._rests:
            return True
        unit = self.unit
        if unit is None or self._discarding:
            return self._congested and not self._discarding
        if self.copying:
            return not self._sent
        return unit.closed or (self._dispatched and not self._sent)

    def _pump(self, data: bytes, at: int = 0, *, in_turn: bool = False) -> None:
        """Handle all from ``at`` on that can be handled; the rest is held."""
        size = len(data)
        left, until = LOOK_MESSAGES, monotonic() + TURN_S * self.proxy.turns.length
        if not in_turn and size - at > AHEAD_BYTES and self.proxy.turns.crowded:
            left = until = 0
        text_max = MESSAGE_MAX if in_turn else TEXT_BYTES
        try:
            while not self.closing and size - at >= 5 and not self._is_stuck():
                code = data[at]
                length = _u32(data, at + 1)[0]
                end = at + 1 + length
                if not LIMITS[code] or not 4 <= length <= min(LIMITS[code], MESSAGE_MAX):
                    raise _impossible(code, length)
                if end > size:
                    self._need = end - at
                    break
                left -= 1
                if (left < 0 and monotonic() > until) or (length > text_max and code in _TEXTS):
                    self._rest_a_turn()
                    break
                if left < 0:
                    left = LOOK_MESSAGES
                text_max = TEXT_BYTES
                self._message(code, data[at:end])
                at = end
            else:
                self._need = 0
            if self.unit is not None and not self.closing:
                self._flush_unit()
                if not self._dispatched and self._spill is None:
                    self._spill = self.proxy.loop.call_later(SPILL_S, self._no_end_comes)
        except HeliosError as error:
            self.fatal(error)
            return
        if at < size and not self.closing:
            self._parts.insert(0, data)
            self._offset = at
            self._held += size - at
        if self._deaf and self._held <= HELD_MAX:
            self._read_again()

    def _no_end_comes(self) -> None:
        """The client waits for an answer without a Sync or Flush, or takes its time: the server may have something."""
        self._spill = None
        unit = self.unit
        if unit is not None and not self._dispatched and not self.closing:
            self._unit_complete(unit)

    def _message(self, code: int, raw: bytes) -> None:
        unit = self.unit
        if code == TERMINATE:
            self.leave()
        elif self._discarding:
            if code == SYNC:
                self._discarding = False
                self._ready()
        elif self.copying and unit is not None:
            self._copy_message(unit, code, raw)
        elif code in _EXTENDED:
            if unit is None:
                if code == SYNC:
                    self._sync_alone()
                if code in (SYNC, FLUSH):
                    return  # nothing is kept back that a Flush could bring
                unit = self.unit = Unit(simple=False)
            self.statements.take(unit, code, raw)
            if code == SYNC:
                unit.closed = True
                self._unit_complete(unit)
            elif code == FLUSH or unit.bytes > SPILL_BYTES:
                self._unit_complete(unit)
        elif code == QUERY and unit is None:
            _check_query(raw)
            self._query(raw)
        elif code in (QUERY, CALL):
            self._ends_without_sync(unit, code, raw)
        elif unit is not None and unit.copies_in:
            # It comes before the server has said that it is wanted.
            unit.add(Step(raw))
            unit.copied += code != COPY_DATA
        # What is left over from a COPY that has failed is nobody's.

    def _ends_without_sync(self, unit: Unit | None, code: int, raw: bytes) -> None:
        """A FunctionCall, or a Query behind messages of the extended protocol, which it commits with itself."""
        statement = UNKNOWN
        if code == QUERY:
            _check_query(raw)
            statement = self.proxy.classes.of(raw[5:-1].decode("utf-8", "surrogateescape"))
        if unit is None:
            unit = self.unit = Unit(simple=True)
        unit.touch(statement)
        unit.executed.append(statement)
        unit.add(Step(raw))
        # Behind an error the server reads on to a Sync.
        unit.closed = unit.by_query = not unit.failed
        if unit.closed:
            self._unit_complete(unit)

    def unit_failed(self, unit: Unit) -> None:
        """The server has sent an error, and may look for a Sync now."""
        if unit.by_query and not unit.simple and unit.closed:
            # The end of its answer, when it was the Query that failed, comes at once.
            self.proxy.loop.call_later(SPILL_S, self._wants_sync, unit)

    def _wants_sync(self, unit: Unit) -> None:
        """The answer of a unit that has failed has no end so far: its client must see the error."""
        if self.unit is unit and not self.closing:
            unit.closed = unit.by_query = False
            self.go_on()

    def _unit_complete(self, unit: Unit) -> None:
        if not self._dispatched:
            self._dispatched = True
            self._dispatch(unit)
        else:
            self._flush_unit()

    def _flush_unit(self) -> None:
        """Send what has come of a unit that is on its way."""
        unit = self.unit
        if unit is None or not self._sent or self._discarding or self._sends_on is not None:
            return
        fresh = unit.steps[self._sent_steps :]
        if fresh:
            self._sent_steps = len(unit.steps)
            self._send_steps(fresh)

    def _copy_message(self, unit: Unit, code: int, raw: bytes) -> None:
        if code in _COPY or (not unit.by_query and code in (SYNC, FLUSH)):
            unit.add(Step(raw))
            if code != COPY_DATA:
                self._copy_mark(unit, code)
            return
        raise ProtocolViolation(f"unexpected message type 0x{code:02X} during COPY from stdin")

    def _copy_mark(self, unit: Unit, code: int) -> None:
        if code == SYNC:
            # The server takes no notice of one that comes before the end of the data.
            unit.closed = unit.copied >= unit.wanted
            self.copying = not unit.closed
        elif code != FLUSH:
            unit.copied += 1
            self.copying = False

    def unit_done(self) -> None:
        """The unit in hand is answered: what has come meanwhile is next."""
        unit, self.unit = self.unit, None
        if unit is not None and unit.failed and unit.changes:
            self.statements.undo(unit)
        self._sent = self._dispatched = self.copying = False
        self._sent_steps, self._sends_on = 0, None
        if self.proxy.ending:
            self.rest()
        if self._held:
            self._ahead += 1
            if self._ahead >= TURN_UNITS:
                self._ahead = 0
                self._rest_a_turn()
                return
        self.go_on()

    def go_on(self, *, in_turn: bool = False) -> None:
        """Handle what was held."""
        if not self._held or self.closing:
            return
        parts, at = self._parts, self._offset
        if len(parts) == 1:
            data = parts[0]
        else:
            parts[0] = parts[0][at:]
            data, at = b"".join(parts), 0
        parts.clear()
        self._held = self._offset = 0
        self._pump(data, at, in_turn=in_turn)

    def _rest_a_turn(self) -> None:
        """Go on when others have had their turns."""
        if not self._rests:
            self._rests = True
            self.proxy.turns.take(self._take_turn, self.pid)

    def _take_turn(self) -> None:
        self._rests = False
        self.go_on(in_turn=True)

    # Reading ---------------------------------------------------------------------------------------------------------

    def _stop_reading(self) -> None:
        if not self._deaf and not self.closing:
            self._deaf = True
            self.transport.pause_reading()

    def _read_again(self) -> None:
        if self._deaf and not self._stopped and not self.closing:
            self._deaf = False
            self.transport.resume_reading()

    def backend_writable(self, writable: bool) -> None:
        """Whether the node takes what the client sends."""
        self._stopped = not writable
        if writable:
            self._read_again()
        else:
            self._stop_reading()

    def eof_received(self) -> bool:
        """The client will send no more: close."""
        return False

    # Local answers ---------------------------------------------------------------------------------------------------

    def fail(self, error: HeliosError, status: bytes) -> None:
        """The unit in hand fails here; ``status`` is the ReadyForQuery behind it."""
        unit = self.unit
        assert unit is not None
        unit.failed = True
        self.transport.write(messages.error_response(error))
        if unit.closed:
            self.transport.write(status)
        else:
            self.skip_to_sync(status)
        self.unit_done()

    def skip_to_sync(self, status: bytes) -> None:
        """The unit in hand is over, and its Sync is still to come; ``status`` is what that is answered."""
        self._discarding = True
        self._ready_status = status

    _ready_status = messages.READY_IDLE

    def _ready(self) -> None:
        self.transport.write(self._ready_status)
        self.go_on()

    @abstractmethod
    def rest(self) -> None:
        """Nothing is in hand, and the proxy is about to end."""

    @abstractmethod
    def _dispatch(self, unit: Unit) -> None:
        """A unit, or its first part, has come."""

    @abstractmethod
    def _send_steps(self, steps: list[Step]) -> None:
        """More of a unit that is on its way."""

    @abstractmethod
    def _sync_alone(self) -> None:
        """A Sync without anything before it."""

    @abstractmethod
    def fatal(self, error: HeliosError) -> None:
        """The client has broken the protocol: tell it, and close."""

    @abstractmethod
    def leave(self) -> None:
        """The client has said goodbye."""


def _check_query(raw: bytes) -> None:
    if raw.find(0, 5) != len(raw) - 1:
        raise ProtocolViolation("invalid string in message")


def _impossible(code: int, length: int) -> HeliosError:
    if not LIMITS[code]:
        return ProtocolViolation(f"invalid frontend message type {code}")
    if length > MESSAGE_MAX and length <= LIMITS[code]:
        return HeliosError(
            f"a message of {length} bytes is longer than the proxy takes", sqlstate="54000",
            hint="Send it in parts, or connect to a node.",
        )  # fmt: skip
    return ProtocolViolation("invalid message length")
