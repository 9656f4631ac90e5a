"""Planning on a thread, for texts so long that the loop cannot wait for their plans.

The thread has a connection and a catalog of its own. What it finds out holds when the schema is still the same one
once it is back on the loop; plans that may serve again are then taken over into the loop's cache.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from helios_cli.engine.errors import HeliosError
from helios_cli.engine.net.interpreter import without_searches
from helios_cli.engine.sql.authority import EVERYTHING, Acting
from helios_cli.engine.sql.ddl_schema import DATABASE_OID
from helios_cli.engine.sql.escapes import plan_cache_for
from helios_cli.engine.sql.nesting import with_room_to_nest
from helios_cli.engine.sql.plan_cache import PlanCache, Planned
from helios_cli.engine.sql.planner import is_definition
from helios_cli.engine.sql.rows import Rows
from helios_cli.engine.storage.catalog import SqliteCatalog
from helios_cli.engine.storage.system_relations import PLANNER_RELATIONS

if TYPE_CHECKING:
    from helios_cli.engine.node.engine import Engine
    from helios_cli.engine.node.frontend import Frontend

LOOP_MAX: Final = 4096
"""Characters of a text that is planned on the loop: some 10 ms when nothing is known about it."""
TRIES: Final = 5
"""So often a text is planned here while the schema changes each time; then the loop does it."""
LOOKUP_MAX: Final = 32 * 1024
"""Characters of a text whose plan is looked for on the loop: some 4 ms."""


@dataclass(slots=True)
class PlannedApart:
    """What a thread made of a text."""

    sql: str
    oids: tuple[int, ...] | None
    version: int
    """Of the catalog that it was planned with."""
    planned: Planned
    error: HeliosError | None = None
    is_definition: bool = False
    """Of what failed: whether it may be right by the time that it runs."""
    cache: PlanCache | None = None
    """Holds the plans, for others to take over."""


def plan_apart(frontend: Frontend, sql: str, oids: tuple[int, ...] | None, again: Callable[[], None]) -> bool:
    """Have the long text of a message planned elsewhere; ``again`` handles the message when its plan is there.

    False: it is known, or already planned, or only this session's connection sees its schema.
    """
    session = frontend.session
    if session.planned_apart is not None or session.committed_catalog() is None:
        return False
    view = session.schema_view()
    find = view.plans.find if len(sql) <= LOOKUP_MAX else view.plans.of_text
    found = find(sql, view.catalog, oids)
    if found is not None:
        session.planned_apart = PlannedApart(sql, oids, view.catalog.version, found)
        return False
    PlanWait(frontend, sql, oids, again)
    return True


class PlanWait:
    """A message that waits for the plan of its text."""

    def __init__(self, frontend: Frontend, sql: str, oids: tuple[int, ...] | None, again: Callable[[], None]) -> None:
        self._frontend, self._sql, self._oids, self._again = frontend, sql, oids, again
        self._session = session = frontend.session
        self._seen = (session.search_path, session.acting, session.checks_bodies)
        self._tries = TRIES
        self._over = False
        session.runner.hold = self
        frontend.wait()
        session.arm_timeouts()
        self._ask()

    def cancel(self, reason: HeliosError) -> None:
        """End it; what the thread makes of the text is for nobody."""
        if self._end():
            self._session.failed(reason)

    def _end(self) -> bool:
        if self._over:
            return False
        self._over = True
        self._session.runner.hold = None
        self._session.disarm_timeouts()
        return True

    def _ask(self) -> None:
        session = self._session
        session.engine.plan_queue.run(session.pid, len(self._sql), self._work, self._done, self._failed)

    def _work(self, let_in: Callable[[], None]) -> PlannedApart | None:
        session = self._session
        if self._over or session.closed:
            return None
        search_path, acting, checks_bodies = self._seen
        return _plan(
            session.engine, self._sql, self._oids, search_path, acting, let_in=let_in, session_value=session.value_of,
            checks_bodies=checks_bodies, database_oid=session.database_oid,
        )  # fmt: skip

    def _done(self, result: PlannedApart | None) -> None:
        session = self._session
        if result is None or self._over:
            return
        self._tries -= 1
        if self._tries and result.error is None and result.version != session.schema_view().catalog.version:
            self._ask()  # the schema has changed meanwhile
            return
        self._end()
        session.planned_apart = result
        self._frontend.again(self._again)
        session.planned_apart = None

    def _failed(self, error: BaseException) -> None:
        self._done(PlannedApart(self._sql, self._oids, -1, (), self._session.runner.translate(error)))


def _plan(
    engine: Engine,
    sql: str,
    oids: tuple[int, ...] | None,
    search_path: tuple[str, ...],
    acting: Acting = EVERYTHING,
    *,
    let_in: Callable[[], None] | None = None,
    session_value: Callable[[str], Any],
    checks_bodies: bool = True,
    database_oid: int = DATABASE_OID,
) -> PlannedApart:
    """On a worker thread, with nothing that the loop uses."""
    database = engine.database
    connection = database.borrow(database_oid)
    try:
        database.pin(connection)
        catalog = SqliteCatalog(connection, search_path=search_path, system_relations=PLANNER_RELATIONS)
        catalog.acting, catalog.session_value = acting, session_value
        catalog.checks_bodies = checks_bodies
        cache = plan_cache_for(search_path, PlanCache(engine.planner))
        result = PlannedApart(sql, oids, catalog.version, (), cache=cache)
        with without_searches():
            try:
                result.planned = with_room_to_nest(sql, lambda: cache.get(sql, catalog, oids), let_in)
                _read_rows(result.planned)
            except HeliosError as error:
                # Its traceback holds this frame, and so the result: a tree that only a search for cycles frees.
                result.error = error.with_traceback(None)
            if result.error is not None and oids is not None:
                with suppress(HeliosError):
                    result.is_definition = is_definition(sql)
        return result
    finally:
        database.give_back(connection)


def _read_rows(planned: Planned) -> None:
    """Convert long lists of constants here, so that binding them takes no time."""
    for plan, literals in planned:
        for convert, literal in zip(plan.literal_in, literals, strict=False):
            if convert is not None and isinstance(literal, Rows):
                convert(literal)
