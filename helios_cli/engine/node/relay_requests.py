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
PIPELINED: Final = frozenset((PARSE, BIND, DESCRIBE, EXECUTE, CLOSE))
COPY_CODES: Final = b"dcfSH"
COPY_ENDS: Final = b"cf"

MARK: Final = "helios.mark"
"""The name of a portal that there is none of: to close it is answered unless an error came before."""

Text = tuple[str, tuple[int, ...]]
"""A statement's SQL, and the types of its parameters."""


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
        self._due: deque[Due] = deque()
        """For each ParseComplete, BindComplete or CloseComplete."""
        self._later: dict[str, Text | None] = {}
        """What the client's own messages in the unit in hand make of statements; None: they close them."""
        self._sent = False
        """Something of the unit in hand is with the primary."""
        self._awaiting = False
        """ReadyForQuery is due."""
        self._copying = False
        """The primary takes COPY data."""
        self._is_query = False
        """The unit in hand is a Query."""
        self._pipelined = False
        """Messages of the extended protocol are with the primary, and no Sync behind them."""
        self._skipping = False
        """One of them has failed: the primary hears nothing before Sync."""
        self._asking = False
        """A Query behind them waits for whether they have failed, since then it is not answered."""
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
            if self._asking or (self._awaiting and not (self._copying and code in COPY_CODES)):
                break
            length = int.from_bytes(held[at + 1 : at + 5], "big")
            if length > LIMITS[code] or length < 4:
                self._violated(code, length)
                return
            end = at + 1 + length
            if end > len(held):
                break
            if code in (QUERY, CALL) and self._pipelined and not self._skipping:
                self._ask_for_failure(out)
                break
            message = bytes(held[at:end])
            at = end
            if code in (QUERY, CALL) and self._skipping:
                continue
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

    def _ask_for_failure(self, out: list[bytes]) -> None:
        """Before a Query behind a pipeline that has no Sync: whether anything of that failed."""
        self._asking = True
        self._due.append(Due(asked=False, done=self._has_not_failed))
        out += (client.close("P", MARK), client.FLUSH)

    def _has_not_failed(self) -> None:
        self._asking = self._pipelined = False

    def _unit_is_over(self) -> None:
        self._sent = self._awaiting = self._copying = self._ends = False
        self._pipelined = self._skipping = self._asking = False
        self._later.clear()

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
            self._forget_unnamed()
            self._ends = self._ends or self.start.commits(text)
            if (sealed := with_verifiers(text)) is not text:
                message = client.query(sealed)
        elif code == PARSE:
            message = self._parse(message, out)
        elif code == BIND:
            portal, statement = relay_start.bound_names(message)
            self.start.portals.pop(portal, None)
            self._know(statement, out)
            self._due.append(Due(asked=True))
        elif code in (DESCRIBE, CLOSE):
            kind, name = messages.parse_target(message, 5, size, "DESCRIBE")
            self._target(code, kind, name, out)
        elif code == EXECUTE:
            self._bind_here(messages.parse_execute(message, 5, size)[0], out)
            self._ends = self._ends or not self.start.in_block
        elif code in COPY_ENDS and self._is_query:
            # In the extended protocol the copy lasts until Sync: one that came before it is not heard there.
            self._copying = False
        if code in PIPELINED:
            self._pipelined = True
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
        else:
            # Whatever comes of it: what runs behind it must not be the statement of before.
            self._forget_unnamed()
        for executed in relay_start.executed(sql, self.session.statements):
            self._know(executed, out)
        self._ends = self._ends or self.start.commits(sql)
        self._later[name] = (sql, oids)
        parsed = Due(asked=True, done=lambda: self.session.prepared_elsewhere(name, sql, oids))
        self._due.append(parsed.put(self.link, name, (sql, oids)))
        sealed = with_verifiers(sql)
        return message if sealed is sql else client.parse(sealed, name, oids)

    def _target(self, code: int, kind: str, name: str, out: list[bytes]) -> None:
        if code == DESCRIBE:
            if kind == "S":
                self._know(name, out)
            else:
                self._bind_here(name, out)
            return
        if kind == "P":
            self.start.portals.pop(name, None)
            self._due.append(Due(asked=True))
        else:
            self._later[name] = None
            closed = Due(asked=True, done=lambda: self.session.statements.pop(name, None))
            self._due.append(closed.put(self.link, name, None))

    def _know(self, name: str, out: list[bytes]) -> None:
        """Have the primary know a statement that was prepared here, and none that was closed here."""
        if name in self._later:
            return
        known = self.session.statements.get(name)
        self._put(name, (known.sql, known.oids) if known is not None else None, out)
        self._ends = self._ends or (known is not None and self.start.commits(known.sql))

    def _put(self, name: str, text: Text | None, out: list[bytes]) -> None:
        """Have a statement there be that, or not be there, if it is something else."""
        link = self.link
        if link is None or link.statements.get(name) == text:
            return
        if name in link.statements and (name or text is None):
            out.append(client.close("S", name))
            self._due.append(Due(asked=False).put(link, name, None))
        if text is not None:
            out.append(client.parse(with_verifiers(text[0]), name, text[1]))
            self._due.append(Due(asked=False).put(link, name, text))

    def _forget_unnamed(self) -> None:
        self._later.pop("", None)
        self.session.statements.pop("", None)
        if self.link is not None:
            self.link.statements.pop("", None)

    def _not_acknowledged(self) -> None:
        """After an error, and when a unit is over: nothing is due any more, and what was skipped there is not done."""
        self._skipping, self._asking = self._pipelined, False
        while self._due:
            self._due.pop().skipped()

    def _know_apart(self, name: str, out: list[bytes]) -> None:
        """The same before a Query, which an error of it must not swallow."""
        before = len(out)
        self._know(name, out)
        if len(out) > before:
            while self._due and not self._due[-1].asked:
                self._due.pop()
            out.append(client.SYNC)
            self._swallow += 1

    def _bind_here(self, name: str, out: list[bytes]) -> None:
        """Have the primary know a portal that was bound here."""
        origin = self.start.portals.pop(name, None)
        if origin is None or self.link is None:
            return
        prepared, body = origin
        self._put(prepared.name, (prepared.sql, prepared.oids), out)
        out.append(backend.message(b"B", body))
        self._due.append(Due(asked=False))
        if prepared.name in self._later:
            self._put(prepared.name, self._later[prepared.name], out)
        self._ends = self._ends or self.start.commits(prepared.sql)


class Due:
    """An acknowledgement that is due, of a Parse, a Bind or a Close."""

    __slots__ = ("_before", "_done", "_link", "_name", "asked")

    def __init__(self, *, asked: bool, done: Callable[[], object] = lambda: None) -> None:
        """``asked``: the client gets it; ``done`` is called when it comes."""
        self.asked = asked
        self._done = done
        self._link: ForwardLink | None = None
        self._name = ""
        self._before: Text | None = None

    def put(self, link: ForwardLink | None, name: str, text: Text | None) -> Due:
        """It is about a statement, which is then that; None: closed. The link is told now, when it is asked for."""
        if link is not None:
            self._link, self._name, self._before = link, name, link.statements.get(name)
            _set(link, name, text)
        return self

    def came(self) -> None:
        """It is done there."""
        self._done()

    def skipped(self) -> None:
        """It is not done: it failed, or an error came before it."""
        if self._link is not None:
            _set(self._link, self._name, self._before)


def _set(link: ForwardLink, name: str, text: Text | None) -> None:
    if text is None:
        link.statements.pop(name, None)
    else:
        link.statements[name] = text
