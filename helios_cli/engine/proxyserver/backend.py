"""One connection to a node: sends units, finds the ends of their answers, and runs commands of the proxy's own.

Answers are walked by the heads of their messages alone; what the client gets is passed on as it came, in one write.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from struct import Struct
from typing import TYPE_CHECKING, Final, Protocol

from helios_cli.engine.errors import HeliosError, ProtocolViolation
from helios_cli.engine.proxy.prepared import AS_PARSE, DROP, BackendStatements
from helios_cli.engine.proxy.settings_sync import Settings
from helios_cli.engine.wire import backend as messages
from helios_cli.engine.wire import client as wire

if TYPE_CHECKING:
    from helios_cli.engine.proxyserver.node import Node
    from helios_cli.engine.proxyserver.pool import Pool

log = logging.getLogger(__name__)

WRITE_HIGH_WATER: Final = 256 * 1024
MESSAGE_MAX: Final = 16 << 20
"""Of a message that is looked into: errors, notices, parameters, notifications."""
PIECE_BYTES: Final = 4 * 1024
ACKS_AT_ONCE: Final = PIECE_BYTES // 5
"""Acknowledgements that are walked over in one turn, and their bytes: about a millisecond."""

_u32 = Struct("!I").unpack_from

PLAIN, ACK, SPECIAL, FORBIDDEN = range(4)
_Z, _E, _S, _N, _A, _G, _W, _C = b"ZESNAGWC"


def _kinds() -> bytes:
    kinds = bytearray([FORBIDDEN]) * 256
    for code in b"DTCInst2dcHV":
        kinds[code] = PLAIN
    for code in b"13":
        kinds[code] = ACK
    for code in b"ZESNAGW":
        kinds[code] = SPECIAL
    return bytes(kinds)


KINDS: Final = _kinds()
"""What each message of a server is to the walk."""


class Receiver(Protocol):
    """Who gets the answer of a unit: a client's session."""

    def answer(self, data: bytes) -> None:
        """A part of it."""

    def unit_over(self, data: bytes, status: int) -> None:
        """The rest of it with ReadyForQuery, the state of the block."""

    def error_came(self, message: bytes) -> bool:
        """An ErrorResponse is next. True: the client does not get it, and no more of this answer."""

    def aside(self, code: int, message: bytes) -> None:
        """A notice, notification or parameter, which is no part of the answer."""

    def copy_begins(self, data: bytes) -> None:
        """``data`` ends with CopyInResponse: the client's data is wanted."""

    def backend_lost(self, error: HeliosError) -> None:
        """The connection is gone."""

    def backend_writable(self, writable: bool) -> None:
        """Whether the node takes what is sent."""


class Command:
    """A query of the proxy's own, and its answer."""

    __slots__ = ("done", "error", "rows", "tag")

    def __init__(self, done: Callable[[Command], None] | None) -> None:
        self.done = done
        self.rows: list[list[bytes | None]] = []
        self.tag = ""
        self.error: HeliosError | None = None


UNIT: Final = Command(None)
"""Stands for a client's unit among what a backend has to answer."""


class Backend(asyncio.Protocol):
    """One connection, logged in."""

    def __init__(self, pool: Pool, node: Node, pid: int, key: bytes, parameters: dict[str, str]) -> None:
        self.pool = pool
        self.node = node
        self.generation = node.generation
        self.pid = pid
        self.key = key
        self.parameters = parameters
        """Those that the node reports, as they are now."""
        self.settings: Settings = {}
        """What the session has set beside what it began with: name to statement."""
        self.settings_known = True
        self.client: Receiver | None = None
        self.statements = BackendStatements()
        self.transport: asyncio.Transport = None  # type: ignore[assignment]
        self.status = 0x49
        """Of the last ReadyForQuery."""
        self.idle_since = 0.0
        self.may_be_named = False
        """A name for a write may be left in the session, which no later write must get."""
        self.last_user = 0
        """Number of the session that had it last."""
        self.held = False
        """Some client has it."""
        self.closed = False
        self.cancelling = 0
        """Cancel requests on their way; the next client must not be hit by them."""
        self.waits_for_cancel = False
        """Its client has done with it, and the next one gets it when they have arrived."""
        self._due: deque[Command] = deque()
        self._tail = b""
        self._later = b""
        """Of what was read, what the walk has not come to; nothing is read meanwhile."""
        self._skip = 0
        self._mute = False
        """The client gets no more of the answer in hand."""
        self._fatal: HeliosError | None = None
        self._paused = False

    # Sending ---------------------------------------------------------------------------------------------------------

    def send(self, data: bytes, before: str = "") -> None:
        """Send a unit, or its first part, whose answer is awaited from now on; ``before`` it a query of our own."""
        if before:
            self._due.append(Command(None))
            data = wire.query(before) + data
        self._due.append(UNIT)
        self.transport.write(data)

    def more(self, data: bytes) -> None:
        """Send more of the unit in hand."""
        self.transport.write(data)

    def command(self, sql: str, done: Callable[[Command], None] | None = None) -> None:
        """Run a query of the proxy's own; several statements give the rows of all."""
        self.statements.unnamed = None
        self._due.append(Command(done))
        self.transport.write(wire.query(sql))

    @property
    def busy(self) -> bool:
        """Whether an answer is awaited."""
        return bool(self._due)

    # asyncio.Protocol ------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Never called: the login hands its transport over."""

    def adopt(self, transport: asyncio.Transport) -> None:
        """Take the transport over from the login."""
        self.transport = transport
        transport.set_write_buffer_limits(high=WRITE_HIGH_WATER)
        transport.set_protocol(self)

    def data_received(self, data: bytes) -> None:
        """Bytes of the node."""
        if self.closed:
            return
        if len(data) > PIECE_BYTES and len(self.statements.plan) > ACKS_AT_ONCE and not self.transport.is_closing():
            # Thousands of small answers to one pipeline: others have their turns between them.
            data, self._later = data[:PIECE_BYTES], data[PIECE_BYTES:]
            if not self._paused:
                self.transport.pause_reading()
            self.pool.proxy.turns.take(self._go_on, self.last_user)
        if self._tail:
            data = self._tail + data
            self._tail = b""
        try:
            self._walk(data)
        except HeliosError as error:
            log.warning("node %s: %s", self.node.name, error)
            self._fatal = error
            self.close()
        except Exception as error:
            log.exception("node %s: an answer could not be read", self.node.name)
            self._fatal = ProtocolViolation(str(error))
            self.close()

    def _go_on(self) -> None:
        """Others have had their turn."""
        data, self._later = self._later, b""
        if self.closed or not data:
            return
        if not self._paused and not self.transport.is_closing():
            self.transport.resume_reading()
        self.data_received(data)

    def _walk(self, data: bytes) -> None:
        size = len(data)
        begun, at = 0, self._skip
        if at:
            if at >= size:
                self._skip = at - size
                self._pass(data)
                return
            self._skip = 0
        kinds, plan = KINDS, self.statements.plan
        is_unit = bool(self._due) and self._due[0] is UNIT
        while at + 5 <= size:
            code = data[at]
            kind = kinds[code]
            length = _u32(data, at + 1)[0]
            end = at + 1 + length
            if kind == PLAIN or (kind == ACK and not plan):
                if length < 4 or not is_unit:
                    end = self._odd(data, at, end)
                    if end > size:
                        break
                    begun = end
                at = end
                continue
            if kind == FORBIDDEN or length < 4 or length > MESSAGE_MAX:
                raise self._broken(data[at])
            if end > size:
                break
            if code == _Z and is_unit:
                self._unit_ends(data, begun, end)
                is_unit = bool(self._due) and self._due[0] is UNIT
                begun = at = end
                continue
            if is_unit:
                begun = self._special(code, data, begun, at, end)
                if self.closed:
                    return
            else:
                if code == _Z:
                    self._command_ends(data[end - 1])
                    is_unit = bool(self._due) and self._due[0] is UNIT
                else:
                    self._of_command(code, data[at:end])
                begun = end
            at = end
        self._keep_rest(data, begun, at, size, is_unit)

    def _keep_rest(self, data: bytes, begun: int, at: int, size: int, is_unit: bool) -> None:
        """What the walk has not come over: a plain message goes on at once, the beginning of another waits."""
        if at >= size:
            if at > size:
                self._skip = at - size
            if begun < size:
                self._pass(data[begun:] if begun else data)
            return
        if begun < at and is_unit:
            self._pass(data[begun:at])
        self._tail = data[at:]

    def _odd(self, data: bytes, at: int, end: int) -> int:
        """A plain message that no unit awaits; where it ends, which may be behind the data."""
        code = data[at]
        if not self._due or end - at > wire.MAX_MESSAGE or end - at < 5:
            raise self._broken(code)
        if end <= len(data):
            self._of_command(code, data[at:end])
        return end

    def _broken(self, code: int) -> ProtocolViolation:
        return ProtocolViolation(f"node {self.node.name} broke the protocol", detail=f"Message {chr(code)!r}.")

    def _pass(self, data: bytes) -> None:
        if self._mute or self.client is None:
            return
        self.client.answer(data)

    def _unit_ends(self, data: bytes, begun: int, end: int) -> None:
        status = data[end - 1]
        if status not in b"ITE" or end - begun < 6:
            raise self._broken(_Z)
        self.status = status
        self._due.popleft()
        self.statements.ended()
        client = self.client
        if self._mute:
            self._mute = False
            if client is not None:
                client.unit_over(b"", status)
        elif client is not None:
            whole = begun == 0 and end == len(data)
            client.unit_over(data if whole else data[begun:end], status)

    def _special(self, code: int, data: bytes, begun: int, at: int, end: int) -> int:
        """A message inside a unit's answer that is looked at; gives where the bytes to be passed on begin now."""
        client = self.client
        if code in b"13":
            action = self.statements.came()
            if action == DROP:
                return self._cut(data, begun, at, end)
            if action == AS_PARSE:
                self._cut(data, begun, at, end)
                self._pass(messages.PARSE_COMPLETE)
                return end
            return begun
        if code == _E:
            message = data[at:end]
            if message[5:] and self._mute:
                return end
            self._note_fatal(message)
            self.statements.unnamed = None
            is_renamed = bool(self.statements.duplicates)
            if is_renamed:
                message = self.statements.in_clients_words(message)
            if client is not None and client.error_came(message):
                self._cut(data, begun, at, end)
                self._mute = True
                return end
            if is_renamed:
                self._cut(data, begun, at, end)
                self._pass(message)
                return end
            return begun
        if code in (_G, _W):
            if client is not None and not self._mute:
                client.copy_begins(data[begun:end])
            return end
        self._cut(data, begun, at, end)
        self._aside(code, data[at:end])
        return end

    def _cut(self, data: bytes, begun: int, at: int, end: int) -> int:
        """Pass on what stands before a message that is not for the client as it is."""
        if begun < at:
            self._pass(data[begun:at])
        return end

    def _note_fatal(self, message: bytes) -> None:
        error = wire.parse_error(message[5:])
        if error.severity in ("FATAL", "PANIC"):
            self._fatal = error

    def _aside(self, code: int, message: bytes) -> None:
        """Notices, notifications and parameters, in and out of answers."""
        try:
            if code == _S:
                name, value = wire.parse_status(message[5:])
                if name != "helios.lsn":
                    self.parameters = self.pool.proxy.same({**self.parameters, name: value})
            if self.client is not None and not self._mute:
                self.client.aside(code, message)
        except ValueError as error:
            raise self._broken(code) from error

    # Commands --------------------------------------------------------------------------------------------------------

    def _of_command(self, code: int, message: bytes) -> None:
        if code in b"SNA":
            if code != _N or not self._due:
                self._aside(code, message)
            return
        if code == _E:
            error = wire.parse_error(message[5:])
            if error.severity in ("FATAL", "PANIC") or not self._due:
                self._fatal = error
            elif self._due[0].error is None:
                self._due[0].error = error
            return
        if not self._due:
            raise self._broken(code)
        command = self._due[0]
        if code == 0x44:
            command.rows.append(wire.parse_data_row(message[5:]))
        elif code == _C:
            command.tag = wire.parse_tag(message[5:])

    def _command_ends(self, status: int) -> None:
        if not self._due:
            raise self._broken(_Z)
        self.status = status
        command = self._due.popleft()
        if command.done is not None:
            command.done(command)

    def clean_up(self, command: Command) -> None:
        """What a client has left in the session is undone: let the next one have it."""
        if command.error is not None or self.closed:
            self.close()
        else:
            self.pool.release(self)

    def cancel_arrived(self) -> None:
        """A cancel request has come to its end."""
        self.cancelling -= 1
        if not self.cancelling and self.waits_for_cancel:
            self.waits_for_cancel = False
            self.pool.release(self)

    # Ends ------------------------------------------------------------------------------------------------------------

    def eof_received(self) -> bool:
        """The node has closed."""
        return False

    def pause_writing(self) -> None:
        """The node takes what is sent slower than it comes."""
        if self.client is not None:
            self.client.backend_writable(False)

    def resume_writing(self) -> None:
        """There is room again."""
        if self.client is not None:
            self.client.backend_writable(True)

    def pause(self) -> None:
        """The client takes its answer slower than it comes."""
        if not self._paused and not self.closed:
            self._paused = True
            if not self._later:
                self.transport.pause_reading()

    def unpause(self) -> None:
        """There is room again."""
        if self._paused:
            self._paused = False
            if not self._later and not self.closed and not self.transport.is_closing():
                self.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        while self._later:
            self._go_on()
        self._end(self._fatal or HeliosError(str(exc) if exc else "the node closed the connection", sqlstate="08006"))

    def close(self) -> None:
        """End it, in the middle of whatever it does."""
        if not self.closed:
            self.transport.abort()
            self._end(self._fatal or HeliosError("the connection was given up", sqlstate="08006"))

    def leave(self) -> None:
        """End it as a client does that has no more to ask."""
        if not self.closed:
            self.closed = True
            self.pool.gone(self)
            self.transport.write(wire.TERMINATE)
            self.transport.close()

    def _end(self, error: HeliosError) -> None:
        if self.closed:
            return
        self.closed = True
        client, self.client = self.client, None
        due, self._due = self._due, deque()
        self.pool.gone(self)
        for command in due:
            if command.done is not None:
                command.error = command.error or error
                command.done(command)
        if client is not None:
            client.backend_lost(error)
