"""Versions of the catalog, which all connections of a node share.

A version is read by whoever needs it first; others are spared that. The number of a version is drawn by lot with each
change of the schema, and so tells versions apart that were rolled back. A connection that sees what nobody else does,
its own changes before their commit or its temporary objects, keeps a version of its own.
"""

from __future__ import annotations

import threading
from typing import Final

from helios_cli.engine.storage import information_rows, system_rows
from helios_cli.engine.storage.catalog import SqliteCatalog
from helios_cli.engine.storage.definition_log import DefinitionLog, Touched
from helios_cli.engine.storage.relation_rows import Maker, RelationRows, rows_of
from helios_cli.engine.storage.snapshot_changes import Read, changes
from helios_cli.engine.storage.snapshot_reader import read_snapshot
from helios_cli.engine.storage.system_copy import SystemCopy
from helios_cli.engine.storage.system_relations import SystemRelation
from helios_cli.engine.storage.system_snapshot import Snapshot

KEPT: Final = 4
"""Versions that are kept for connections with older snapshots."""
_PATHS_MAX: Final = 64
_PENDING_MAX: Final = 100_000
"""Changes of a relation that are kept until somebody reads it again; with more it is made anew."""


def maker_of(relation: SystemRelation) -> Maker | None:
    """What makes the rows of a relation; None for one without rows, or whose rows the node has."""
    makers = system_rows.MAKERS if relation.schema == "pg_catalog" else information_rows.MAKERS
    return makers.get(relation.name)


class Version:
    """A snapshot with the rows of those relations that somebody has read."""

    def __init__(self, snapshot: Snapshot, before: Version | None = None) -> None:
        self.snapshot = snapshot
        self._states: dict[str, tuple[RelationRows, set[Read]]] = {}
        """Of each relation a state, and what has changed since."""
        self._paths: dict[tuple[str, ...], Snapshot] = {}
        self._making: threading.RLock = threading.RLock() if before is None else before._making
        if before is not None and before.snapshot.database == snapshot.database:
            self._take_over(before)

    def along(self, path: tuple[str, ...]) -> Snapshot:
        """The snapshot for sessions with a search path."""
        found = self._paths.get(path)
        if found is None:
            if len(self._paths) >= _PATHS_MAX:
                self._paths.clear()
            found = self._paths[path] = self.snapshot.along(path)
        return found

    def _take_over(self, before: Version) -> None:
        changed = changes(before.snapshot, self.snapshot)
        with self._making:
            for module, (state, pending) in before._states.items():
                together = pending | changed if pending else changed
                if len(together) <= _PENDING_MAX:
                    self._states[module] = (state, together)

    def rows(self, relation: SystemRelation, maker: Maker) -> RelationRows:
        """The rows of a relation."""
        state, pending = self._states.get(relation.module, (None, None))
        if state is not None and not pending:
            return state
        with self._making:
            state, pending = self._states.get(relation.module, (None, None))
            if state is None or pending:
                state = rows_of(relation, maker, self.snapshot, state, pending)
                self._states[relation.module] = (state, set())
            return state


class CatalogVersions:
    """The versions that a node's connections have in common. Any thread may ask."""

    def __init__(self) -> None:
        self.definitions = DefinitionLog()
        """What the node's own definitions have changed."""
        self._reading = threading.Lock()
        self._versions: dict[int, Version] = {}
        self._copy: SystemCopy | None = None

    def find(self, number: int) -> Version | None:
        """A version that somebody has read; None for another."""
        return self._versions.get(number)

    def latest(self) -> Version | None:
        """The version that was read last; None before the first."""
        versions = tuple(self._versions.values())
        return versions[-1] if versions else None

    def read(self, catalog: SqliteCatalog) -> Version:
        """The version that a catalog's connection sees, which must be a committed one."""
        with self._reading:
            while (found := self._versions.get(catalog.version)) is None:
                made = self._from_log(catalog) or next_version(catalog, self.latest())
                if catalog.refresh():
                    continue  # Somebody has changed the schema meanwhile, and no transaction holds what was read.
                self._keep(made)
            return found

    def _keep(self, made: Version) -> None:
        kept = list(self._versions.items())[1 - KEPT :]
        self._versions = dict([*kept, (made.snapshot.version, made)])

    def _from_log(self, catalog: SqliteCatalog) -> Version | None:
        """The version as the log of definitions has it, which costs what they changed; None: it has to be read."""
        number, log, latest = catalog.version, self.definitions, self.latest()
        if not log.knows(number):
            return None
        copy = self._copy
        if copy is None or not log.brought(copy, number):
            copy = self._copy = SystemCopy(catalog.connection)
            if copy.version != number:
                return None
        touched = None if latest is None else log.touched(latest.snapshot.version, number)
        return next_version(catalog.over(copy), latest, touched)


def next_version(catalog: SqliteCatalog, before: Version | None, touched: Touched | None = None) -> Version:
    """The version that a catalog's connection sees, made by what differs from another.

    ``touched`` has the keys of all rows of system tables that differ; None: that is not known.
    """
    return Version(read_snapshot(catalog, before.snapshot if before is not None else None, touched), before)
