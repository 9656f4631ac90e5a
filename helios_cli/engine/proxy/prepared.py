"""Prepared statements that survive a change of backend: one name for each text, prepared again where it is missing.

A client's Parse, Bind, Describe and Close are kept as *steps*, which do not say how a backend knows the statement. They
are rendered for the backend that they go to: a Parse of what is prepared there becomes a Close of nothing, whose answer
has the length of the one that the client waits for, and a Bind of what is not has a Parse put before it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from struct import Struct
from typing import TYPE_CHECKING, Final
from weakref import WeakValueDictionary

from helios_cli.engine.proxy.statement import Statement

if TYPE_CHECKING:
    from helios_cli.engine.proxy.unit import ClientStatements

PREFIX: Final = b"hp_"
"""Of the names at the backends. A client's own names never get there."""

STATEMENTS_MAX: Final = 1000
"""Prepared statements of one backend; beyond them the one that was prepared first is closed."""

_HEAD: Final = Struct("!cI")
_pack = _HEAD.pack
_NOTHING: Final = _pack(b"C", 9) + b"Shp_\0"
"""Close of a statement that no backend has: answered like every Close, and done with."""

_CLOSE_UNNAMED: Final = _pack(b"C", 6) + b"S\0"

PASS, DROP, AS_PARSE, EVICT = range(4)
"""What becomes of a ParseComplete or CloseComplete: the client gets it, does not, or gets a ParseComplete for it.

EVICT is DROP; of a statement that stays when no answer comes."""


class Prepared:
    """One text with its parameter types, for all clients that prepare it."""

    __slots__ = ("__weakref__", "body", "is_proven", "is_stale", "name", "statement")

    def __init__(self, name: bytes, body: bytes, statement: Statement) -> None:
        self.name = name
        """At the backends."""
        self.body = body
        """Of the Parse, behind the name: text, NUL, types."""
        self.statement = statement
        self.is_proven = False
        """Some node has taken it."""
        self.is_stale = False
        """Its result has changed: who knows it by its old one must prepare it again."""

    def parse(self, name: bytes | None = None) -> bytes:
        """The Parse message; under another name than its own, if one is given."""
        body = (self.name if name is None else name) + b"\0" + self.body
        return _pack(b"P", len(body) + 4) + body


class SharedStatements:
    """Every text that some client or backend has prepared."""

    def __init__(self) -> None:
        self._by_body: WeakValueDictionary[bytes, Prepared] = WeakValueDictionary()
        self._last = 0

    def __len__(self) -> int:
        return len(self._by_body)

    def share(self, body: bytes, statement: Statement) -> Prepared:
        """The one for a Parse's body."""
        found = self._by_body.get(body)
        if found is None:
            self._last += 1
            found = Prepared(PREFIX + str(self._last).encode(), body, statement)
            self._by_body[body] = found
        return found

    def forget(self, prepared: Prepared) -> None:
        """Its result has changed: who prepares the text from now on gets another one."""
        prepared.is_stale = True
        if self._by_body.get(prepared.body) is prepared:
            del self._by_body[prepared.body]

    def forget_all(self) -> None:
        """Tables have changed: likewise, of every text. Who has prepared one keeps it."""
        self._by_body.clear()


class Step:
    """One message of a client about a prepared statement; see the subclasses."""

    __slots__ = ("done", "raw")

    def __init__(self, raw: bytes) -> None:
        self.done = False
        """A server has acknowledged it; kept of those that change what a name stands for."""
        self.raw = raw
        """The client's own message, or several that are passed on as they are."""

    def render(self, backend: BackendStatements, out: list[bytes]) -> None:
        """Put what the backend gets for it into ``out``."""
        out.append(self.raw)

    def undo(self, statements: ClientStatements) -> None:
        """It did not come to pass: the client's names stand for what they stood for before."""


class ParseStep(Step):
    """Parse of a named statement."""

    __slots__ = ("client_name", "prepared")

    def __init__(self, raw: bytes, client_name: bytes, prepared: Prepared) -> None:
        super().__init__(raw)
        self.client_name = client_name
        self.prepared = prepared

    def render(self, backend: BackendStatements, out: list[bytes]) -> None:
        if backend.has(self.prepared):
            out.append(_NOTHING)
            backend.plan.append((AS_PARSE, None, self))
        else:
            backend.prepare(self.prepared, out, PASS, self)

    def undo(self, statements: ClientStatements) -> None:
        statements.names.pop(self.client_name, None)


class DuplicateStep(Step):
    """Parse of a name that the client has already: the server shall say so, or what else is wrong with the text."""

    __slots__ = ("body", "client_name", "prepared")

    def __init__(self, raw: bytes, client_name: bytes, prepared: Prepared, body: bytes) -> None:
        """``prepared`` is what the client has under the name."""
        super().__init__(raw)
        self.client_name = client_name
        self.prepared = prepared
        self.body = body

    def render(self, backend: BackendStatements, out: list[bytes]) -> None:
        if not backend.has(self.prepared):
            backend.prepare(self.prepared, out, DROP, None)
        body = self.prepared.name + b"\0" + self.body
        out.append(_pack(b"P", len(body) + 4) + body)
        backend.plan.append((PASS, None, None))
        backend.duplicates[self.prepared.name] = self.client_name


class UnnamedParseStep(Step):
    """Parse of the unnamed statement."""

    __slots__ = ("body",)

    def __init__(self, raw: bytes, body: bytes) -> None:
        super().__init__(raw)
        self.body = body

    def render(self, backend: BackendStatements, out: list[bytes]) -> None:
        out.append(self.raw)
        backend.plan.append((PASS, None, self))
        backend.unnamed = self.body

    def undo(self, statements: ClientStatements) -> None:
        statements.unnamed = None


class UseStep(Step):
    """Bind or Describe of a named statement: ``head`` and ``rest`` are the message's parts around its name."""

    __slots__ = ("head", "prepared", "rest")

    def __init__(self, raw: bytes, head: bytes, prepared: Prepared, rest: bytes) -> None:
        super().__init__(raw)
        self.head = head
        self.prepared = prepared
        self.rest = rest

    def render(self, backend: BackendStatements, out: list[bytes]) -> None:
        prepared = self.prepared
        head, name, rest = self.head, prepared.name, self.rest
        if not backend.has(prepared):
            if prepared.is_stale:
                name = PREFIX  # which is not there, as the client shall hear
            else:
                backend.prepare(prepared, out, DROP, None)
        out.append(_pack(head[:1], len(head) + len(name) + len(rest) + 3) + head[1:] + name + rest)


class BoundStep(UseStep):
    """A whole unit of a named statement: Bind, with or without Describe, Execute and Sync."""

    __slots__ = ("_end",)

    def __init__(self, raw: bytes, prepared: Prepared, stop: int, end: int) -> None:
        """The statement's name ends at ``stop`` of ``raw``, the Bind at ``end``. The portal is the unnamed one."""
        super().__init__(raw, b"B\0", prepared, raw[stop:end])
        self._end = raw[end:]

    def render(self, backend: BackendStatements, out: list[bytes]) -> None:
        super().render(backend, out)
        out.append(self._end)


class WholeStep(UnnamedParseStep):
    """A whole unit of the unnamed statement, passed on in one piece."""

    __slots__ = ()

    def render(self, backend: BackendStatements, out: list[bytes]) -> None:
        out.append(self.raw)
        backend.unnamed = self.body


class UseUnnamedStep(Step):
    """Bind or Describe of the unnamed statement, which an earlier unit has prepared; no ``body``: it has not."""

    __slots__ = ("body",)

    def __init__(self, raw: bytes, body: bytes | None) -> None:
        super().__init__(raw)
        self.body = body

    def render(self, backend: BackendStatements, out: list[bytes]) -> None:
        if self.body is None:
            # Another client may have left one: the server's own words shall say that there is none.
            out.append(_CLOSE_UNNAMED)
            backend.plan.append((DROP, None, None))
            backend.unnamed = None
        elif backend.unnamed != self.body:
            body = b"\0" + self.body
            out.append(_pack(b"P", len(body) + 4) + body)
            backend.plan.append((DROP, None, None))
            backend.unnamed = self.body
        out.append(self.raw)


class CloseStep(Step):
    """Close of a statement, which the backends keep, or of a portal."""

    __slots__ = ("before", "client_name", "is_statement")

    def __init__(self, raw: bytes, *, is_statement: bool, before: Prepared | None = None) -> None:
        """``before`` is what the client had under the statement's name."""
        super().__init__(raw)
        self.before = before
        self.client_name = raw[6:-1]
        self.is_statement = is_statement

    def render(self, backend: BackendStatements, out: list[bytes]) -> None:
        out.append(_NOTHING if self.is_statement else self.raw)
        backend.plan.append((PASS, None, self))

    def undo(self, statements: ClientStatements) -> None:
        if self.before is not None:
            statements.names[self.client_name] = self.before


class BackendStatements:
    """What one backend has prepared, and what becomes of the acknowledgements that are on their way."""

    __slots__ = ("_pending", "duplicates", "known", "plan", "unnamed")

    def __init__(self) -> None:
        self.known: dict[Prepared, None] = {}
        self.unnamed: bytes | None = None
        """Body of the unnamed statement's Parse."""
        self.plan: deque[tuple[int, Prepared | None, Step | None]] = deque()
        """For each ParseComplete or CloseComplete to come: what becomes of it, what it is about, whose it is."""
        self._pending: set[Prepared] = set()
        self.duplicates: dict[bytes, bytes] = {}
        """Clients' names by those here, of statements that the unit in hand prepares a second time."""

    def has(self, prepared: Prepared) -> bool:
        """Whether it is prepared there, or will be by a message that was sent before."""
        return prepared in self.known or prepared in self._pending

    def prepare(self, prepared: Prepared, out: list[bytes], action: int, step: Step | None) -> None:
        """Prepare it; the oldest goes when there are too many."""
        if len(self.known) + len(self._pending) >= STATEMENTS_MAX and self.known:
            self._evict(next(iter(self.known)), out)
        out.append(prepared.parse())
        self._pending.add(prepared)
        self.plan.append((action, prepared, step))

    def _evict(self, prepared: Prepared, out: list[bytes]) -> None:
        del self.known[prepared]
        body = b"S" + prepared.name + b"\0"
        out.append(_pack(b"C", len(body) + 4) + body)
        self.plan.append((EVICT, prepared, None))

    def came(self) -> int:
        """An acknowledgement has come: what becomes of it."""
        if not self.plan:
            return PASS
        action, prepared, step = self.plan.popleft()
        if step is not None:
            step.done = True
        if action == EVICT:
            return DROP
        if prepared is not None:
            self._pending.discard(prepared)
            self.known[prepared] = None
            prepared.is_proven = True
        return action

    def in_clients_words(self, error: bytes) -> bytes:
        """An ErrorResponse about a statement that was prepared a second time, with the client's name for it."""
        body = error[5:]
        for name, client_name in self.duplicates.items():
            body = body.replace(b'"%b"' % name, b'"%b"' % client_name)
        return _pack(b"E", len(body) + 4) + body

    def ended(self) -> None:
        """ReadyForQuery: what is not acknowledged yet was skipped behind an error."""
        if self.plan:
            for action, prepared, _ in self.plan:
                if action == EVICT and prepared is not None:
                    self.known[prepared] = None
            self.plan.clear()
            self._pending.clear()
            self.duplicates.clear()
            self.unnamed = None

    def clear(self) -> None:
        """Nothing is prepared any more: DISCARD ALL, DEALLOCATE ALL."""
        self.known.clear()
        self._pending.clear()
        self.plan.clear()
        self.unnamed = None


def render(steps: Iterable[Step], backend: BackendStatements) -> bytes:
    """The bytes for a backend."""
    out: list[bytes] = []
    for step in steps:
        step.render(backend, out)
    return b"".join(out)
