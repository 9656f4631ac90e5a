"""What a session at the primary must be told before a client's own messages, and what this node takes back after it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Final

from helios_cli.engine.node.claims import VARIABLE
from helios_cli.engine.node.consistency import LEVEL, OWN_VARIABLES
from helios_cli.engine.node.forward_link import ForwardLink
from helios_cli.engine.wire.messages import _no_string

if TYPE_CHECKING:
    from helios_cli.engine.node.portal import Prepared
    from helios_cli.engine.node.session import Session

_COMMITS: Final = re.compile(r"\bcommit\b|(?:^|;)\s*(?:/\*.*?\*/\s*|--[^\n]*\n\s*)*end\b", re.IGNORECASE | re.DOTALL)
_EXECUTES: Final = re.compile(r'\bexecute\s+(?:"((?:[^"]|"")+)"|(\w+))', re.IGNORECASE)

Origin = tuple["Prepared", bytes]
Values = dict[str, str]


class Start:
    """The state of a session at the moment when the primary takes over from this node."""

    def __init__(self, session: Session) -> None:
        self._session = session
        transaction = session.transaction
        self.in_block = transaction is not None and transaction.explicit
        """A transaction block is open, here at first and then there."""
        self.values = _values_at_begin(session)
        """Parameters before the transaction."""
        self._bound = dict(session.portals)
        self.portals = self._origins()
        """Bound here, and not known there yet."""
        self.channel_actions: list[Callable[[], None]] = []

    def queries(self, link: ForwardLink, *, named: bool) -> list[str]:
        """What makes the session there as the one here is; empty when it is so already.

        ``named``: the name of the next write is told apart.
        """
        session = self._session
        queries = []
        if link.owner is not session:
            if link.owner is not None:
                queries.append("DISCARD ALL")
            link.owner = session
            link.statements.clear()
            link.variables = {}
        carried = _carried(self.values if self.in_block else session.variables)
        if named:
            carried.pop(VARIABLE, None)
        changes = [*_changes(link.variables, carried)]
        if changes:
            queries.append("; ".join(changes))
        link.variables = carried
        if self.in_block:
            queries.append("; ".join(self._block(link)))
        if queries:
            # A Query ends it.
            link.statements.pop("", None)
        return queries

    def _block(self, link: ForwardLink) -> Iterator[str]:
        """BEGIN, and the SETs and savepoints that have been since, in their order."""
        session = self._session
        transaction = session.transaction
        assert transaction is not None
        access = "READ ONLY" if transaction.read_only else "READ WRITE"
        yield f"BEGIN ISOLATION LEVEL {transaction.isolation.upper()} {access}"
        done = 0
        for name, (sets, *_) in zip(transaction.savepoints, transaction.savepoint_undo, strict=True):
            yield from self._sets(done, sets, link)
            done = sets
            yield f"SAVEPOINT {_quoted(name)}"
        yield from self._sets(done, len(session.undo), link)

    def _sets(self, first: int, last: int, link: ForwardLink) -> Iterator[str]:
        undo = self._session.undo
        for index in range(first, last):
            name, _before, local = undo[index]
            if name in OWN_VARIABLES:
                continue
            later = (before for other, before, _local in undo[index + 1 :] if other == name)
            value = next(later, self._session.variables.get(name))
            yield _setting(name, value, local=local)
            if value is None:
                link.variables.pop(name, None)
            else:
                link.variables[name] = value

    def commits(self, text: str) -> bool:
        """Whether a text may commit: then its outcome is unknown when the primary is lost over it."""
        return not self.in_block or _COMMITS.search(text) is not None

    def leave_transaction(self) -> None:
        """The primary has the transaction now: this node's side of it ends, with nothing undone."""
        session = self._session
        self.channel_actions = session.take_channel_actions()
        session.undo.clear()
        if session.transaction is not None:
            session.runner.rollback(session.transaction)
        else:
            session.portals.clear()

    def _origins(self) -> dict[str, Origin]:
        return {name: portal.origin for name, portal in self._bound.items() if portal.origin is not None}

    def anew(self) -> None:
        """Another session at a primary begins with the same."""
        self.portals = self._origins()

    def bring_back(self) -> None:
        """This node goes on with what was bound here."""
        self._session.portals.update(self._bound)

    def restore(self, *, failed: bool) -> None:
        """The transaction has not been committed: its SETs are undone."""
        session = self._session
        if failed and session.variables != self.values:
            for name in sorted(session.variables.keys() | self.values.keys()):
                if session.variables.get(name) != self.values.get(name):
                    session.put_variable(name, self.values.get(name))


_AUTHORIZATION: Final = "session_authorization"


def _values_at_begin(session: Session) -> Values:
    values = dict(session.variables)
    for name, before, _local in reversed(session.undo):
        if before is None:
            values.pop(name, None)
        else:
            values[name] = before
    return values


def _carried(values: Mapping[str, str]) -> Values:
    return {
        name: value
        for name, value in values.items()
        if name not in OWN_VARIABLES or (name == LEVEL and value == "linearizable")
    }


def _changes(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[str]:
    # A role is set after the authorization of the session, which would undo it.
    for name in sorted(old.keys() | new.keys(), key=lambda name: (name == "role", name)):
        undone = name == "role" and name in new and old.get(_AUTHORIZATION) != new.get(_AUTHORIZATION)
        if old.get(name) != new.get(name) or undone:
            yield _setting(name, new.get(name))


def _setting(name: str, value: str | None, *, local: bool = False) -> str:
    word = "SET LOCAL" if local else "SET"
    spelled = ".".join(map(_quoted, name.split(".")))
    if value is None:
        return f"{word} {spelled} TO DEFAULT"
    escaped = value.replace("'", "''")
    return f"{word} {spelled} = '{escaped}'"


def _quoted(name: str) -> str:
    escaped = name.replace('"', '""')
    return f'"{escaped}"'


def mirror(session: Session, link: ForwardLink, name: str, value: str | None) -> None:
    """A parameter was set at the primary: it has the value here, too. The primary tells the client of it."""
    if name in OWN_VARIABLES:
        pass
    elif value is None:
        link.variables.pop(name, None)
    else:
        link.variables[name] = value
    session.put_variable(name, value)
    session.was_told()


def executed(text: str, statements: Mapping[str, object]) -> Iterator[str]:
    """Names of prepared statements that a text may EXECUTE."""
    if not statements:
        return
    for quoted, plain in _EXECUTES.findall(text):
        name = quoted.replace('""', '"') if quoted else plain.lower()
        if name in statements:
            yield name


def bound_names(message: bytes) -> tuple[str, str]:
    """Portal and statement of a whole Bind message. Raises ProtocolViolation."""
    stop = message.find(0, 5)
    end = message.find(0, stop + 1)
    if stop < 0 or end < 0:
        raise _no_string()
    return message[5:stop].decode(errors="replace"), message[stop + 1 : end].decode(errors="replace")
