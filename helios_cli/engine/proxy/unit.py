"""A unit: what a client sends until it has to wait for an answer, and what is known of it.

That is one Query or FunctionCall, or the messages of the extended protocol up to Sync. The messages are kept as they
came, so that the unit can be sent again elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import xxhash

from helios_cli.engine.errors import ProtocolViolation
from helios_cli.engine.proxy.prepared import (
    CloseStep,
    DuplicateStep,
    ParseStep,
    Prepared,
    SharedStatements,
    Step,
    UnnamedParseStep,
    UseStep,
    UseUnnamedStep,
)
from helios_cli.engine.proxy.statement import Access, Control, Setting, Statement
from helios_cli.engine.types import WriteId

BIND, CLOSE, DESCRIBE, EXECUTE, FLUSH, PARSE, QUERY, CALL, SYNC, TERMINATE = b"BCDEHPQFSX"
COPY_DATA, COPY_DONE, COPY_FAIL = b"dcf"

UNKNOWN: Final = Statement(Access.WRITE, "not known to the proxy")
"""What runs under a name that the proxy does not know: a statement of SQL's PREPARE, a portal that it has not seen."""

TAKES_NAME: Final = ("INSERT", "UPDATE", "DELETE")
DEFINES: Final = ("ALTER", "DROP", "CREATE")

LISTED_MAX: Final = 1000
"""Statements of a unit that are listed, but for those that leave something behind."""
CLASSES_MAX: Final = 4096
CLASS_BYTES_MAX: Final = 4096
"""Of a Parse's body whose class is remembered by it."""


class Unit:
    """One unit of one client."""

    __slots__ = (
        "access", "attempts", "by_query", "bytes", "changes", "closed", "copied", "deadline", "executed", "expected",
        "failed", "forgotten", "fresh", "hint", "losses", "name", "passed", "plain", "ran", "repeated", "seen",
        "simple", "skip", "statements", "steps", "wanted", "wrapped",
    )  # fmt: skip

    def __init__(self, *, simple: bool) -> None:
        self.simple = simple
        self.closed = simple
        """Nothing more of it will come: Sync is there."""
        self.by_query = simple
        """Its answer ends without a Sync: a Query or FunctionCall ends it, by itself or behind extended messages."""
        self.copied = 0
        """COPYs of which the client has said that the data is at its end."""
        self.wanted = 0
        """COPYs for which the node has wanted data, since the unit was sent."""
        self.steps: list[Step] = []
        self.changes: list[Step] = []
        """Those of them that change what the client's names stand for."""
        self.bytes = 0
        """Of the client's messages."""
        self.access = Access.READ
        self.hint = ""
        self.plain = True
        """Nothing in it leaves anything behind that the proxy has to look after."""
        self.statements: list[Statement] = []
        """Those it prepares, binds, describes or runs."""
        self.executed: list[Statement] = []
        """Those it runs, as far as it is known."""
        self.forgotten = False
        """Its messages are too many to be kept: it cannot be sent again."""
        self.ran = False
        """Something of it runs at a node."""
        self.failed = False
        """An error was answered."""
        self.name: WriteId | None = None
        """Under which it is done only once."""
        self.wrapped = False
        """It runs in a block of the proxy's own, so that the commit can be asked after."""
        self.repeated = False
        """It was sent before, and nobody knows what came of that."""
        self.attempts = 0
        self.losses = 0
        """Backends that were lost over it."""
        self.deadline = 0.0
        """When it has waited too long for a node that can run it; 0 before it waits."""
        self.passed = 0
        """Bytes of the answer that the client has."""
        self.seen: xxhash.xxh3_128 | None = None
        """Digest of these bytes; None when they came at once."""
        self.skip = 0
        """Bytes of the answer to come that the client has already."""
        self.expected = b""
        """Their digest."""
        self.fresh: xxhash.xxh3_128 | None = None
        """Digest of what has come anew of them."""

    def add(self, step: Step) -> None:
        """One more message."""
        self.steps.append(step)
        self.bytes += len(step.raw)

    def touch(self, statement: Statement) -> None:
        """A statement is in it."""
        if len(self.statements) < LISTED_MAX or not statement.plain:
            self.statements.append(statement)
        if statement.access > self.access:
            self.access = statement.access
        if statement.hint:
            self.hint = statement.hint
        self.plain = self.plain and statement.plain

    @property
    def control(self) -> Control:
        """What it does to the block, where it does one thing."""
        return self.executed[0].control if len(self.executed) == 1 else Control.NONE

    @property
    def takes_name(self) -> bool:
        """Whether it has used a name up for certain, once it has succeeded."""
        return bool(self.executed) and all(one.why in TAKES_NAME for one in self.executed)

    @property
    def defines(self) -> bool:
        """Whether it may give the results of statements other columns."""
        return any(one.why.startswith(DEFINES) for one in self.executed)

    @property
    def copies_in(self) -> bool:
        """Whether data of a COPY may come behind it."""
        return any(one.copies_in for one in self.executed)

    @property
    def ends_unseen(self) -> bool:
        """Whether it ends a block and does something else besides, so that nobody can ask what came of it."""
        return any(one.chain or (one.has_control and one.control is Control.NONE) for one in self.executed)

    @property
    def chains(self) -> bool:
        """Whether it ends a block AND CHAIN."""
        return any(one.chain for one in self.executed)

    @property
    def may_end_block(self) -> bool:
        """Whether a block may be over in the middle of it, committed or not."""
        return any((one.has_control and one.control is not Control.BEGIN) or one is UNKNOWN for one in self.executed)

    @property
    def writes(self) -> bool:
        """Whether it runs something that may write, beside beginning or ending a block."""
        return any(one.access and not one.control.value for one in self.executed)

    @property
    def only_asks(self) -> bool:
        """Whether nobody misses it whose client has gone: it neither writes nor ends a block."""
        return not self.access and not self.may_end_block

    @property
    def reads_only(self) -> bool:
        """Whether it begins a block that only reads."""
        return len(self.executed) == 1 and self.executed[0].read_only

    @property
    def can_be_named(self) -> bool:
        """Whether it is one write that commits by itself, so that sending it again does it once."""
        return len(self.executed) == 1 and self.executed[0].named and len(self.statements) == 1 and self.closed

    @property
    def settings(self) -> list[Setting]:
        """What it changes for the rest of the session."""
        return [setting for statement in self.executed for setting in statement.settings]


class ClientStatements:
    """One client's names for what it has prepared."""

    __slots__ = ("_classes", "_of", "names", "portals", "shared", "unnamed", "unnamed_class")

    def __init__(
        self, shared: SharedStatements, of: Callable[[str], Statement], classes: dict[bytes, Statement]
    ) -> None:
        """``of`` classifies a text; ``classes`` remembers it by the Parse's body, for all clients."""
        self.shared = shared
        self._of = of
        self._classes = classes
        self.names: dict[bytes, Prepared] = {}
        self.portals: dict[bytes, Statement] = {}
        """Of the block in hand: what they run."""
        self.unnamed: bytes | None = None
        self.unnamed_class = UNKNOWN

    def classify(self, body: bytes) -> Statement:
        """The class of a Parse's text."""
        found = self._classes.get(body)
        if found is None:
            text = body[: body.index(0)] if 0 in body else body
            found = self._of(text.decode("utf-8", "surrogateescape"))
            if len(body) <= CLASS_BYTES_MAX:
                if len(self._classes) >= CLASSES_MAX:
                    self._classes.clear()
                self._classes[body] = found
        return found

    def take(self, unit: Unit, code: int, raw: bytes) -> None:
        """Put one message of the extended protocol into a unit.

        Raises:
            ProtocolViolation: it is malformed; the connection has to end.
        """
        if code == BIND:
            self._bind(unit, raw)
        elif code == EXECUTE:
            unit.add(Step(raw))
            statement = self.portals.get(raw[5 : _end_of_string(raw, 5)], UNKNOWN)
            if len(unit.executed) < LISTED_MAX or not statement.plain:
                unit.executed.append(statement)
            if statement not in unit.statements:
                unit.touch(statement)
        elif code == PARSE:
            self._parse(unit, raw)
        elif code == DESCRIBE:
            self._describe(unit, raw)
        elif code == CLOSE:
            self._close(unit, raw)
        else:
            unit.add(Step(raw))

    def _parse(self, unit: Unit, raw: bytes) -> None:
        stop = _end_of_string(raw, 5)
        name, body = raw[5:stop], raw[stop + 1 :]
        _end_of_string(body, 0)
        statement = self.classify(body)
        unit.touch(statement)
        known = self.names.get(name) if name else None
        if known is not None:
            unit.add(DuplicateStep(raw, name, known, body))
        elif name:
            prepared = self.shared.share(body, statement)
            self._change(unit, ParseStep(raw, name, prepared))
            self.names[name] = prepared
        else:
            self.unnamed = body
            self.unnamed_class = statement
            self._change(unit, UnnamedParseStep(raw, body))

    def _bind(self, unit: Unit, raw: bytes) -> None:
        stop = _end_of_string(raw, 5)
        portal = raw[5:stop]
        end = _end_of_string(raw, stop + 1)
        self.portals[portal] = self._use(unit, raw, raw[stop + 1 : end], b"B" + raw[5 : stop + 1], raw[end:])

    def _describe(self, unit: Unit, raw: bytes) -> None:
        if raw[5:6] == b"S":
            self._use(unit, raw, raw[6 : _end_of_string(raw, 6)], b"DS", b"\0")
        else:
            unit.add(Step(raw))

    def _use(self, unit: Unit, raw: bytes, name: bytes, head: bytes, rest: bytes) -> Statement:
        if not name:
            unit.add(UseUnnamedStep(raw, self.unnamed))
            statement = self.unnamed_class if self.unnamed is not None else UNKNOWN
        else:
            prepared = self.names.get(name)
            if prepared is None:
                # The server says that there is none, or knows it by SQL's PREPARE.
                unit.add(Step(raw))
                statement = UNKNOWN
            else:
                unit.add(UseStep(raw, head, prepared, rest))
                statement = prepared.statement
        if statement not in unit.statements:
            unit.touch(statement)
        return statement

    def _close(self, unit: Unit, raw: bytes) -> None:
        is_statement, before = raw[5:6] == b"S", None
        if is_statement:
            name = raw[6 : _end_of_string(raw, 6)]
            if not name:
                self.unnamed = None
            else:
                before = self.names.pop(name, None)
                is_statement = before is not None  # else perhaps one of SQL's PREPARE
        self._change(unit, CloseStep(raw, is_statement=is_statement, before=before))

    def _change(self, unit: Unit, step: Step) -> None:
        unit.add(step)
        unit.changes.append(step)

    def result_changed(self, unit: Unit) -> None:
        """A server has refused to run a statement of the unit with another result than it was prepared with."""
        for step in unit.steps:
            if isinstance(step, UseStep):
                self.shared.forget(step.prepared)

    def undo(self, unit: Unit) -> None:
        """A unit has failed: what of it no server has acknowledged did not come to pass."""
        for step in reversed(unit.changes):
            if not step.done:
                step.undo(self)


def _end_of_string(raw: bytes, start: int) -> int:
    stop = raw.find(0, start)
    if stop < 0:
        raise ProtocolViolation("invalid string in message")
    return stop
