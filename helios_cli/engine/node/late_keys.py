"""Foreign keys of a statement whose rows come one by one: they are looked at behind all of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import apsw

from helios_cli.engine.errors import HeliosError, SqlError
from helios_cli.engine.node.constraint_errors import broken_key, first_orphan
from helios_cli.engine.sql.ddl_model import DdlCatalog
from helios_cli.engine.sql.inheritance import keys_to
from helios_cli.engine.sql.relation import Relation
from helios_cli.engine.sql.snapshots import row_id
from helios_cli.engine.sql.sqltext import quote_identifier
from helios_cli.engine.storage.programs import defer_keys

if TYPE_CHECKING:
    from helios_cli.engine.node.routine_host import RoutineHost

Row = Sequence[Any]


Change = tuple[Relation, Relation, str, Row | None, Row | None]
"""A row that was changed: its table, the table to be named, the event, the old row and the new one."""


class LateKeys:
    """The keys of one statement.

    SQLite forgets all that is broken when PRAGMA defer_foreign_keys is switched off. So it is on only while nothing
    else may be broken, and stays on, to the end of the transaction, where something is that was not found.
    """

    def __init__(self, host: RoutineHost, relations: Iterable[Relation]) -> None:
        self._host = host
        self._catalog = cast(DdlCatalog, host.catalog)
        self._waits = self._should_wait(relations) and not self._puts_off() and not self._is_broken()

    def _should_wait(self, relations: Iterable[Relation]) -> bool:
        """Whether rows may break keys that later rows mend. What waits for COMMIT would hide what is broken here."""
        deferred, of_itself = [], False
        for relation in relations:
            table = self._catalog.table_def(relation.oid)
            late = [index.deferred for index in table.indexes if index.deferrable] if table is not None else []
            own = {one.oid: one for one in table.constraints if one.kind == "f"} if table is not None else {}
            others = {one.oid: one for one in keys_to(self._catalog, relation.oid)}
            deferred += [*late, *(one.deferred for one in {**own, **others}.values())]
            of_itself |= False in late or any(not own[oid].deferred for oid in own.keys() & others.keys())
        return of_itself or (bool(deferred) and not any(deferred))

    def _puts_off(self) -> bool:
        found: Any = self._host.connection.execute("PRAGMA defer_foreign_keys").fetchone()
        return bool(found[0])

    def _is_broken(self) -> bool:
        return bool(self._host.connection.status(apsw.SQLITE_DBSTATUS_DEFERRED_FKS)[0])

    def _put_off(self, wanted: bool) -> None:
        defer_keys(self._host.connection, wanted)

    @contextmanager
    def put_off(self) -> Iterator[None]:
        """While one row is written, and on until what it breaks is whole again."""
        if not self._waits:
            yield
            return
        self._put_off(True)
        try:
            yield
        except BaseException:
            # The statement is undone.
            self._put_off(False)
            raise
        if not self._is_broken():
            self._put_off(False)

    def check(self, changes: Iterable[Change]) -> None:
        """Look at the keys of the rows that were changed.

        What other tables break that are changed with these is found at COMMIT.

        Raises:
            HeliosError: 23503.
        """
        if not self._waits or not self._is_broken():
            return
        error = self._told(changes, undone=False)
        if error is not None:
            self._put_off(False)
            raise error

    def refused(self, change: Change, error: SqlError) -> HeliosError:
        """The error of a row that cannot go where it should, with the key that keeps it."""
        return (self._told([change], undone=True) if error.sqlstate == "23503" else None) or error

    def check_table(self, relation: Relation, above: int | None = None) -> None:
        """Look at the keys of a table that rows were put into; ``above``: only at those behind a row's number.

        Raises:
            HeliosError: 23503.
        """
        if above is None and not (self._waits and self._is_broken()):
            return
        table, session = self._catalog.table_def(relation.oid), self._host.session
        own = [one for one in table.constraints if one.kind == "f" and not one.deferred] if table is not None else []
        zone, may_read = session.times.zone, session.runner.may_read
        error = first_orphan(self._host.connection, self._catalog, own, may_read, zone, above)
        if error is not None and above is None:
            self._put_off(False)
        if error is not None:
            raise error

    def may_be_off(self, relation: Relation) -> bool:
        """Whether a table's keys can be looked at in one query behind many new rows: none waits for COMMIT."""
        table = self._catalog.table_def(relation.oid)
        if not self._waits or table is None:
            return False
        return not any(one.deferrable for one in table.indexes) and not any(one.deferred for one in table.constraints)

    def _told(self, changes: Iterable[Change], *, undone: bool) -> HeliosError | None:
        session = self._host.session
        zone, may_read = session.times.zone, session.runner.may_read
        return broken_key(self._host.connection, self._catalog, changes, may_read, zone, undone=undone)


class CopiedKeys:
    """The keys of a COPY into a table that refers to itself: they are looked at behind its last row.

    SQLite would look for children of each new row once one of them has no parent, and read the whole table for it
    where no index helps. So, where that can be, the keys are off meanwhile.
    """

    def __init__(self, host: RoutineHost, relation: Relation) -> None:
        self._late = LateKeys(host, [relation])
        self._connection = host.connection
        self._relation = relation
        self._above: int | None = None
        if self._late.may_be_off(relation):
            query = f"SELECT max({row_id(relation)}) FROM {quote_identifier(relation.sqlite_name or relation.name)}"
            found: Any = self._connection.execute(query).fetchone()
            self._above = found[0] or 0

    @contextmanager
    def put_off(self) -> Iterator[None]:
        """While rows are written."""
        with self._late.put_off() if self._above is None else keys_off(self._connection):
            yield

    def check(self) -> None:
        """Look at the keys of the new rows. Raises HeliosError 23503."""
        self._late.check_table(self._relation, self._above)


@contextmanager
def keys_off(connection: apsw.Connection) -> Iterator[None]:
    """While foreign keys are neither looked at nor act. Also inside a transaction, where the PRAGMA does nothing."""
    were_on = connection.config(apsw.SQLITE_DBCONFIG_ENABLE_FKEY, -1)
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_FKEY, 0)
    try:
        yield
    finally:
        connection.config(apsw.SQLITE_DBCONFIG_ENABLE_FKEY, were_on)
