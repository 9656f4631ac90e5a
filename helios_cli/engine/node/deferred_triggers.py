"""Constraint triggers that wait for COMMIT or SET CONSTRAINTS: which events wait, and how they are fired.

The events are the session's, in the order in which they came about. A savepoint remembers which there were, so that
going back to it also brings back those that SET CONSTRAINTS has fired since (AfterTriggerBeginSubXact, trigger.c).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import apsw

from helios_cli.engine.errors import SqlError

if TYPE_CHECKING:
    from helios_cli.engine.node.session import Session
    from helios_cli.engine.sql.relation import Relation
    from helios_cli.engine.sql.routines import Trigger
    from helios_cli.engine.storage.catalog import SqliteCatalog

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Event:
    """A row's change that a trigger is still to see. Its WHEN condition has held already."""

    trigger: Trigger
    relation: Relation
    word: str
    old: Row | None
    new: Row | None


Mark = tuple[tuple[Event, ...], bool | None, dict[int, bool]]
NOTHING: Final[Mark] = ((), None, {})


class DeferredTriggers:
    """What waits in one session's transaction, and what SET CONSTRAINTS has said in it."""

    __slots__ = ("_all", "_single", "events")

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._all: bool | None = None
        self._single: dict[int, bool] = {}
        """By trigger's OID."""

    def clear(self) -> None:
        """The transaction is over."""
        self.restore(NOTHING)

    def mark(self) -> Mark:
        """What :meth:`restore` comes back to."""
        return tuple(self.events), self._all, dict(self._single)

    def restore(self, mark: Mark) -> None:
        """Forget what has come since."""
        events, self._all, single = mark
        self.events, self._single = list(events), dict(single)

    def declare(self, oids: Iterable[int] | None, *, deferred: bool) -> None:
        """SET CONSTRAINTS of some triggers; None: ALL."""
        if oids is None:
            self._all, self._single = deferred, {}
        else:
            self._single.update(dict.fromkeys(oids, deferred))

    def waits(self, trigger: Trigger) -> bool:
        """Whether a trigger fires no sooner than at COMMIT, as things stand."""
        if not trigger.deferrable:
            return False
        said = self._single.get(trigger.oid, self._all)
        return trigger.deferred if said is None else said

    def take(self, *, all_of_them: bool) -> list[Event]:
        """The events to be fired now, which wait no more: all, or those that are not deferred any longer."""
        taken = [event for event in self.events if all_of_them or not self.waits(event.trigger)]
        if taken:
            gone = set(map(id, taken))
            self.events = [event for event in self.events if id(event) not in gone]
        return taken


def fire(session: Session, connection: apsw.Connection, *, all_of_them: bool = True) -> None:
    """Fire what waits, and what that makes wait in turn. On the thread that has the connection.

    Raises:
        HeliosError, apsw.Error: what the triggers raise.
    """
    from helios_cli.engine.node.routine_calls import of_connection
    from helios_cli.engine.node.triggers import Firing

    calls = of_connection(connection)
    host = calls.host_for(session)
    with calls.inside():
        while events := session.deferred.take(all_of_them=all_of_them):
            for event in events:
                Firing(calls, host, event.relation).event(event)


def check_untouched(session: Session, catalog: SqliteCatalog, tag: str) -> None:
    """After a change of definitions: the tables of events that wait must be as they were.

    Raises:
        SqlError: 55006, one is not.
    """
    for event in session.deferred.events:
        before = event.relation
        now = catalog.relation_by_oid(before.oid)
        known = now is not None and any(trigger.oid == event.trigger.oid for trigger in catalog.triggers(before.oid))
        if not known or now is None or _shape(now) != _shape(before):
            raise SqlError(f'cannot {tag} "{before.name}" because it has pending trigger events', sqlstate="55006")


def _shape(relation: Relation) -> list[tuple[str, int]]:
    return [(column.name, column.type_oid) for column in relation.columns]
