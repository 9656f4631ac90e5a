"""The client's side of a relay: its messages on their way to the primary, with what the primary has not seen put in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from helios_cli.engine.errors import HeliosError, ProtocolViolation
from helios_cli.engine.node import claims, relay_start
from helios_cli.engine.node.forward_link import ForwardLink
from helios_cli.engine.node.passwords import with_verifiers
from helios_cli.engine.types import WriteId
from helios_cli.engine.wire import backend, client, messages
from helios_cli.engine.wire.limits import LIMITS

if TYPE_CHECKING:
    from helios_cli.engine.node.frontend import Frontend

HELD_MAX: Final = 1 << 20
"""Bytes of further messages taken in while an answer is awaited."""

QUERY, PARSE, BIND, DESCRIBE, EXECUTE, CLOSE, SYNC, TERMINATE, CALL = b"QPBDECSXF"
COPY_CODES: Final = b"dcfSH"
COPY_ENDS: Final = b"cf"


class RelayRequests(ABC):
    """What of the client's bytes goes to the primary now, and what waits."""

    def __init__(self, frontend: Frontend, message: bytes) -> None:
        """``message`` is the one in hand."""
        self.frontend = frontend
        self.session = session = frontend.session
        self.link: ForwardLink | None = None
        self.start = relay_start.Start(session)
        self._held = bytearray(message)
        self._first = len(message)
        self._acknowledgements: deque[Callable[[], None] | None] = deque()
        """For each ParseComplete, BindComplete or CloseComplete that is due: what to do, None to pass it on."""
        self._sent = False
        """Something of the unit in hand is with the primary."""
        self._awaiting = False
        """ReadyForQuery is due."""
        self._copying = False
        """The primary takes COPY data."""
        self._is_query = False
        """The unit in hand is a Query."""
        self._swallow = 0
        """Answers of units that this node has sent by itself, still to come."""
        self._ends = False
        """A COMMIT is with the primary, or what commits by itself."""
        self._unit: bytearray | None = bytearray()
        """What was sent of the first unit, to do it elsewhere; None when it is too much."""
        self._over = False
        self._unsent_name: WriteId | None = None
        """The name of the write in hand, to be told to the primary before it."""

    @abstractmethod
    def abort(self) -> None:
        """The client is gone."""

    def _pump(self) -> None:
        """Send on what the client has sent, up to the end of a unit whose answer must be awaited."""
        held = self._held
        at = 0
        out = self._first_sent()
        while len(held) - at >= 5 and not self._over:
            code = held[at]
            if self._awaiting and not (self._copying and code in COPY_CODES):
                break
            length = int.from_bytes(held[at + 1 : at + 5], "big")
            if length > LIMITS[code] or length < 4:
                self._violated(code, length)
                return
            end = at + 1 + length
            if end > len(held):
                break
            message = bytes(held[at:end])
            at = end
            self._keep(message)
            if code == TERMINATE:
                self.abort()
                self.frontend.transport.close()
                return
            try:
                self._send(code, message, out)
            except ProtocolViolation:
                # The primary says so better.
                out.append(message)
        if out and self.link is not None:
            self._sent = True
            self.link.write(b"".join(out))
        if not self._over:
            del held[:at]

    def _first_sent(self) -> list[bytes]:
        """What goes before the client's own messages in the same packet: the name of its write."""
        name, self._unsent_name = self._unsent_name, None
        return [client.query(f"{claims.NAME}{name}")] if name is not None else []

    def _keep(self, message: bytes) -> None:
        if self._unit is not None and not self.start.in_block:
            self._unit += message
            if len(self._unit) > HELD_MAX:
                self._unit = None

    def _violated(self, code: int, length: int) -> None:
        try:
            messages.check_length(code, length)
        except HeliosError as error:
            self.frontend.terminate(error)

    def _send(self, code: int, message: bytes, out: list[bytes]) -> None:
        size = len(message)
        if code == QUERY:
            text = messages.parse_query(message, 5, size)
            if text.startswith(claims.NAME):
                # Not this node's word, but the client's error, which has to be answered.
                message = client.query(f" {text}")
            for name in relay_start.executed(text, self.session.statements):
                self._know_apart(name, out)
            if self.link is not None:
                self.link.statements.pop("", None)
            self._ends = self._ends or self.start.commits(text)
            if (sealed := with_verifiers(text)) is not text:
                message = client.query(sealed)
        elif code == PARSE:
            message = self._parse(message, out)
        elif code == BIND:
            portal, statement = relay_start.bound_names(message)
            self.start.portals.pop(portal, None)
            self._know(statement, out)
            self._acknowledgements.append(None)
        elif code in (DESCRIBE, CLOSE):
            kind, name = messages.parse_target(message, 5, size, "DESCRIBE")
            self._target(code, kind, name, out)
        elif code == EXECUTE:
            self._bind_here(messages.parse_execute(message, 5, size)[0], out)
            self._ends = self._ends or not self.start.in_block
        elif code in COPY_ENDS and self._is_query:
            # In the extended protocol the copy lasts until Sync: one that came before it is not heard there.
            self._copying = False
        if code in (QUERY, SYNC, CALL):
            self._awaiting = True
            self._copying = False
            self._is_query = code == QUERY
        out.append(message)

    def _parse(self, message: bytes, out: list[bytes]) -> bytes:
        """What is to be sent for a Parse."""
        name, sql, oids = messages.parse_parse(message, 5, len(message))
        if name:
            # Should it exist here already, the primary is to say so.
            self._know(name, out)
        for executed in relay_start.executed(sql, self.session.statements):
            self._know(executed, out)
        self._ends = self._ends or self.start.commits(sql)
        link, session = self.link, self.session

        def parsed() -> None:
            if link is not None:
                link.statements[name] = (sql, oids)
            session.prepared_elsewhere(name, sql, oids)

        self._acknowledgements.append(_ForClient(parsed))
        sealed = with_verifiers(sql)
        return message if sealed is sql else client.parse(sealed, name, oids)

    def _target(self, code: int, kind: str, name: str, out: list[bytes]) -> None:
        if code == DESCRIBE:
            if kind == "S":
                self._know(name, out)
            else:
                self._bind_here(name, out)
            return
        link, session = self.link, self.session

        def closed() -> None:
            if kind == "S":
                session.statements.pop(name, None)
                if link is not None:
                    link.statements.pop(name, None)

        if kind == "P":
            self.start.portals.pop(name, None)
        self._acknowledgements.append(_ForClient(closed))

    def _know(self, name: str, out: list[bytes]) -> None:
        """Have the primary know a statement that was prepared here."""
        known, link = self.session.statements.get(name), self.link
        if known is None or link is None or link.statements.get(name) == (known.sql, known.oids):
            return
        if name and name in link.statements:
            out.append(client.close("S", name))
            self._acknowledgements.append(unasked)
        out.append(client.parse(with_verifiers(known.sql), name, known.oids))
        self._acknowledgements.append(unasked)
        link.statements[name] = (known.sql, known.oids)
        self._ends = self._ends or self.start.commits(known.sql)

    def _know_apart(self, name: str, out: list[bytes]) -> None:
        """The same before a Query, which an error of it must not swallow."""
        before = len(out)
        self._know(name, out)
        if len(out) > before:
            while self._acknowledgements and self._acknowledgements[-1] is unasked:
                self._acknowledgements.pop()
            out.append(client.SYNC)
            self._swallow += 1

    def _bind_here(self, name: str, out: list[bytes]) -> None:
        """Have the primary know a portal that was bound here."""
        origin = self.start.portals.pop(name, None)
        if origin is None or self.link is None:
            return
        prepared, body = origin
        if self.link.statements.get(prepared.name) != (prepared.sql, prepared.oids):
            if prepared.name and prepared.name in self.link.statements:
                out.append(client.close("S", prepared.name))
                self._acknowledgements.append(unasked)
            out.append(client.parse(with_verifiers(prepared.sql), prepared.name, prepared.oids))
            self._acknowledgements.append(unasked)
            self.link.statements[prepared.name] = (prepared.sql, prepared.oids)
        out.append(backend.message(b"B", body))
        self._acknowledgements.append(unasked)
        self._ends = self._ends or self.start.commits(prepared.sql)


class _ForClient:
    """What is to be done when an acknowledgement comes that the client gets, too."""

    __slots__ = ("_action",)

    def __init__(self, action: Callable[[], None]) -> None:
        self._action = action

    def __call__(self) -> None:
        self._action()


def unasked() -> None:
    """The client did not ask for it."""
