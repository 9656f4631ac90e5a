"""Cursors that functions open: they are the session's, so that a client fetches from what a function has returned."""

from __future__ import annotations

from typing import TYPE_CHECKING

import apsw

from helios_cli.engine.errors import FeatureNotSupported, SqlError
from helios_cli.engine.node.cursors import Cursor
from helios_cli.engine.node.scrolling import KeptRows
from helios_cli.engine.sql.plan import Kind, Plan
from helios_cli.engine.sql.plpgsql.frame import Opened, Outcome

if TYPE_CHECKING:
    from helios_cli.engine.node.session import Session


class FunctionCursors:
    """Implements ``plpgsql.frame.Cursors`` for one session on one connection."""

    def __init__(self, connection: apsw.Connection, session: Session) -> None:
        self._connection, self._session = connection, session

    def open(self, name: str | None, outcome: Outcome) -> str:
        """Keep the rows of a query as a cursor; without a name it gets the next one. Returns the name.

        Raises:
            SqlError: 42P03 there is one of that name, 42P11 the statement returns no rows.
        """
        session = self._session
        if outcome.columns is None:
            raise SqlError(f"cannot open {outcome.tag or 'this'} query as cursor", sqlstate="42P11")
        while name is None or (not name and name in session.cursors):
            session.unnamed_cursors += 1
            made = f"<unnamed portal {session.unnamed_cursors}>"
            name = made if made not in session.cursors else None
        if name in session.cursors or name in session.portals:
            raise SqlError(f'cursor "{name}" already in use', sqlstate="42P03")
        plan = Plan(Kind.READ, "SELECT", columns=outcome.columns, catalog_version=-1)
        cursor = Cursor(session, name, plan, (), (0,) * len(outcome.columns), False)
        cursor.completes = False
        cursor.hold = cursor.binary = False
        cursor.scroll, cursor.text, cursor.created_us = None, session.query, session.engine.now_us()
        cursor.kept = KeptRows(list(outcome.rows))
        session.cursors[name] = cursor
        return name

    def find(self, name: str) -> Opened | None:
        """A cursor of the session; one that DECLARE has made is read first.

        Raises:
            FeatureNotSupported: the client has begun to read it.
        """
        cursor = self._session.cursors.get(name)
        if cursor is None:
            return None
        if cursor.kept is None:
            if cursor.job is not None:
                raise FeatureNotSupported(
                    "a function cannot go on with a cursor that the client has read from",
                    hint="Declare the cursor with SCROLL, or fetch from it in one place.",
                )
            rows = self._connection.execute(cursor.plan.steps[0], cursor.binds).fetchall()
            cursor.kept = KeptRows(rows, cursor.place)
        return Opened(cursor.kept, cursor.plan.columns or ())

    def close(self, name: str) -> None:
        """Forget a cursor."""
        cursor = self._session.cursors.pop(name, None)
        if cursor is not None:
            self._session.runner.close_portal(cursor)
