"""What a row of the catalog was made of, and whether that has changed since.

Rows are made from a :class:`Watched` snapshot, which notes each part of it that is looked at. :func:`changes` tells
which parts differ between two versions, so that rows are made anew when, and only when, something they were made of
is another.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from helios_cli.engine.storage.system_snapshot import BY_FIELD, BY_GROUP, BY_ONE, Snapshot

Read = tuple[str, Any]
"""A part of a snapshot: the name of a mapping with a key, or with ALL; the name of another field with ALL."""

ALL: Final = object()

_MAPS: Final = (
    "relations", "columns", "indexes", "constraints", "sequences", "settings", "extensions", "types", "acls",
    "calls", "securities", "operators", "casts", "parents", "children", "partitions",
)  # fmt: skip
_FIELDS: Final = (
    "database", "databases",
    "namespaces", "roles", "members", "descriptions", "depends", "collations", "labels", "routines", "triggers",
)  # fmt: skip


def changes(before: Snapshot, after: Snapshot) -> set[Read]:
    """The parts that differ. What is derived is brought forth from ``before``, where somebody has asked for it."""
    found: set[Read] = {(name, ALL) for name in _FIELDS if getattr(before, name) != getattr(after, name)}
    keys = {name: _differing(getattr(before, name), getattr(after, name)) for name in _MAPS}
    for name in [*BY_ONE, *BY_GROUP, *BY_FIELD]:
        if name in before.__dict__:
            keys[name] = _derive(name, before, after, keys, found)
    for name, differing in keys.items():
        if differing:
            found.add((name, ALL))
            found.update((name, key) for key in differing)
    return found


def _differing(old: dict[Any, Any], new: dict[Any, Any]) -> set[Any]:
    """The keys whose values differ, or that one of the mappings does not have."""
    if old is new:
        return set()
    others = [key for key, value in new.items() if old.get(key, ALL) is not value]
    keys = {key for key in others if old.get(key, ALL) != new[key]}
    if len(old) + sum(key not in old for key in others) != len(new):
        keys.update(key for key in old if key not in new)
    return keys


def _derive(name: str, before: Snapshot, after: Snapshot, keys: dict[str, set[Any]], fields: set[Read]) -> set[Any]:
    """Make a derived mapping of ``after``; the keys in which it differs."""
    old: dict[Any, Any] = before.__dict__[name]
    if name in BY_FIELD:
        if (BY_FIELD[name], ALL) not in fields:
            after.__dict__[name] = old
            return set()
        return _differing(old, getattr(after, name))
    source, key_of = (BY_ONE | BY_GROUP)[name]
    was, now = getattr(before, source), getattr(after, source)
    gone = [was[oid] for oid in keys[source] if oid in was]
    fresh = [now[oid] for oid in sorted(keys[source]) if oid in now]
    affected = {key_of(one) for one in (*gone, *fresh)} - {None}
    new = after.__dict__[name] = dict(old) if affected else old
    if name in BY_ONE:
        for key in affected:
            new.pop(key, None)
        new.update((key, one) for one in fresh if (key := key_of(one)) is not None)
        return affected
    dropped = {one.oid for one in gone}
    for key in affected:
        group = [one for one in old.get(key, ()) if one.oid not in dropped]
        group += [one for one in fresh if key_of(one) == key]
        new[key] = sorted(group, key=lambda one: one.oid)
        if not group:
            del new[key]
    return affected


class Watched(Snapshot):
    """A snapshot that notes in ``reads`` what is looked at. For whoever makes rows, one at a time."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.reads: set[Read] = set()
        self._snapshot = snapshot
        for name in (*_MAPS, *BY_ONE, *BY_GROUP, *BY_FIELD):
            self.__dict__[name] = _WatchedMap(self, snapshot, name)

    def watch(self) -> set[Read]:
        """From here on reads are noted in a new set, which is given."""
        self.reads = set()
        return self.reads


def _watched_field(name: str) -> property:
    def read(self: Watched) -> Any:
        self.reads.add((name, ALL))
        return getattr(self._snapshot, name)

    return property(read)


for _name in (*_FIELDS, "version", "path"):
    setattr(Watched, _name, _watched_field(_name))


class _WatchedMap(Mapping[Any, Any]):
    """A mapping of a snapshot, which tells the watched one which of its keys are looked at."""

    __slots__ = ("_known", "_name", "_snapshot", "_watched")

    def __init__(self, watched: Watched, snapshot: Snapshot, name: str) -> None:
        self._watched, self._snapshot, self._name = watched, snapshot, name
        self._known: Any = None

    def _map(self) -> Any:
        known = self._known
        if known is None:
            known = self._known = getattr(self._snapshot, self._name)
        return known

    def __getitem__(self, key: Any) -> Any:
        self._watched.reads.add((self._name, key))
        return (self._known or self._map())[key]

    def get(self, key: Any, default: Any = None) -> Any:
        """As ``dict.get``."""
        self._watched.reads.add((self._name, key))
        return (self._known or self._map()).get(key, default)

    def __contains__(self, key: Any) -> bool:
        self._watched.reads.add((self._name, key))
        return key in (self._known or self._map())

    def __iter__(self) -> Iterator[Any]:
        self._watched.reads.add((self._name, ALL))
        return iter(self._map())

    def __len__(self) -> int:
        self._watched.reads.add((self._name, ALL))
        return len(self._map())

    def values(self) -> Any:
        """As ``dict.values``."""
        self._watched.reads.add((self._name, ALL))
        return self._map().values()

    def items(self) -> Any:
        """As ``dict.items``."""
        self._watched.reads.add((self._name, ALL))
        return self._map().items()
