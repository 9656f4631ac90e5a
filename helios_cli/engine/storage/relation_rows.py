"""The rows of the system relations, made by the object and kept until something they were made of changes.

What makes the rows of a relation is a sequence of sections: rows of each object of a mapping of the snapshot, rows of
the whole of it, and rows that are the same in every database. The rows of one object, or of one section, are a part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from typing import Any, Final

from helios_cli.engine.sql.databases import FIRST_NAME
from helios_cli.engine.storage.snapshot_changes import Read, Watched
from helios_cli.engine.storage.system_relations import SystemRelation
from helios_cli.engine.storage.system_snapshot import Snapshot

Row = dict[str, Any]
Rows = Iterable[Row]
Tuples = tuple[tuple[Any, ...], ...]


@dataclass(frozen=True, slots=True)
class Each:
    """Rows of each object: ``make`` is given the snapshot and a key of its mapping ``over``, an OID."""

    over: str
    make: Callable[[Snapshot, int], Rows]


@dataclass(frozen=True, slots=True)
class Whole:
    """Rows made of the snapshot as a whole."""

    make: Callable[[Snapshot], Rows]


@dataclass(frozen=True, slots=True)
class Fixed:
    """Rows of every database alike, made once for all."""

    make: Callable[[], Rows]


Section = Each | Whole | Fixed
Maker = tuple[Section, ...]

KEY_BITS: Final = 32
"""A part's number is its section's with so many bits of the object's OID behind it."""
ROW_BITS: Final = 24
"""And that of a row is its part's number with so many bits of its place in the part behind it."""

_SERIAL: Final = count(1)


@dataclass
class RelationRows:
    """The rows of a relation at a version of the catalog. Not to be changed."""

    parts: dict[int, Tuples]
    reads: dict[int, tuple[Read, ...]]
    """What each part was made of; of fixed ones nothing."""
    serial: int = field(default_factory=lambda: next(_SERIAL))
    """Tells states apart."""

    @cached_property
    def rows(self) -> list[tuple[Any, ...]]:
        """All rows, section by section and object by object."""
        return [row for part in self.parts.values() for row in part]

    @cached_property
    def _lookups(self) -> dict[int, dict[Any, list[tuple[Any, ...]]]]:
        return {}

    def matching(self, column: int, value: Any) -> list[tuple[Any, ...]]:
        """The rows whose column, counted from 0, equals a value."""
        lookup = self._lookups.get(column)
        if lookup is None:
            lookup = {}
            for row in self.rows:
                lookup.setdefault(row[column], []).append(row)
            self._lookups[column] = lookup
        return lookup.get(value, [])


_CATALOG: Final = ("catalog", "catalog_name")

NO_ROWS: Final = RelationRows({}, {}, 0)


def rows_of(
    relation: SystemRelation,
    maker: Maker,
    snapshot: Snapshot,
    before: RelationRows | None = None,
    changed: set[Read] | None = None,
) -> RelationRows:
    """The rows at a snapshot; parts that no change is about are taken over from the state ``before``."""
    return _Making(relation, snapshot, before, changed).made(maker)


class _Making:
    def __init__(
        self, relation: SystemRelation, snapshot: Snapshot, before: RelationRows | None, changed: set[Read] | None
    ) -> None:
        self._relation = relation
        self._snapshot = snapshot
        self._places: frozenset[int] = frozenset()
        """Columns that hold the name of the database, where that is not the first one's."""
        if relation.schema == "information_schema" and snapshot.database != FIRST_NAME:
            names = [column.name for column in relation.columns]
            self._places = frozenset(at for at, name in enumerate(names) if name.endswith(_CATALOG))
        self._before = before.parts if before is not None and changed is not None else {}
        self._reads = before.reads if before is not None and changed is not None else {}
        self._changed = changed or set()
        self._watched: Watched | None = None
        self._parts: dict[int, Tuples] = {}
        self._new_reads: dict[int, tuple[Read, ...]] = {}

    def made(self, maker: Maker) -> RelationRows:
        """All sections."""
        for number, section in enumerate(maker):
            first = number << KEY_BITS
            if isinstance(section, Fixed):
                self._parts[first] = tuple(map(self._own, _fixed(self._relation, section)))
            elif isinstance(section, Whole):
                self._part(first, section.make)
            else:
                self._each(first, section)
        return RelationRows(self._parts, self._new_reads)

    def _each(self, first: int, section: Each) -> None:
        before, reads, unchanged = self._before, self._reads, self._changed.isdisjoint
        for oid in sorted(getattr(self._snapshot, section.over)):
            number = first + oid
            part = before.get(number)
            if part is not None and unchanged(reads[number]):
                # As _part does, without the call: this is the way of nearly every object.
                self._parts[number], self._new_reads[number] = part, reads[number]
            else:
                self._part(number, section.make, oid)

    def _part(self, number: int, make: Callable[..., Rows], *key: int) -> None:
        before = self._before.get(number)
        if before is not None and self._changed.isdisjoint(self._reads[number]):
            self._parts[number], self._new_reads[number] = before, self._reads[number]
            return
        if self._watched is None:
            self._watched = Watched(self._snapshot)
        seen = self._watched.watch()
        row = self._relation.row
        made = tuple(self._own(row(values)) for values in make(self._watched, *key))
        self._parts[number] = before if before == made else made
        self._new_reads[number] = tuple(seen)

    def _own(self, row: tuple[Any, ...]) -> tuple[Any, ...]:
        """A row of information_schema with the name of its own database, where it was made with the first one's."""
        if not self._places:
            return row
        name = self._snapshot.database
        return tuple(name if at in self._places and value == FIRST_NAME else value for at, value in enumerate(row))


_FIXED: Final[dict[tuple[str, Fixed], Tuples]] = {}


def _fixed(relation: SystemRelation, section: Fixed) -> Tuples:
    key = (relation.module, section)
    found = _FIXED.get(key)
    if found is None:
        found = _FIXED[key] = tuple(relation.row(values) for values in section.make())
    return found
