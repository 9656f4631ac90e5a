"""Which schema a session sees, and the plans made for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, cast

import apsw

from helios_cli.engine.datatypes.registry import by_oid
from helios_cli.engine.errors import SqlError
from helios_cli.engine.node import identity
from helios_cli.engine.node.engine import SchemaView
from helios_cli.engine.node.planning import LOOKUP_MAX
from helios_cli.engine.node.portal import Prepared, aborted
from helios_cli.engine.node.renewal import LATE
from helios_cli.engine.node.session_state import PLAN_ELSEWHERE, PLAN_UNDONE, SessionState
from helios_cli.engine.node.session_values import session_value
from helios_cli.engine.sql import actions
from helios_cli.engine.sql.ddl_schema import DATABASE_OID
from helios_cli.engine.sql.plan import Column, Kind, Plan
from helios_cli.engine.sql.plan_cache import Planned
from helios_cli.engine.sql.planner import is_definition
from helios_cli.engine.sql.rights import Facts
from helios_cli.engine.storage.catalog import DEFAULT_PATH

if TYPE_CHECKING:
    from helios_cli.engine.node.session import Session


FIRST_OID: Final = 10_000
"""PostgreSQL's own types are below it (transam.h, FirstGenbkiObjectId)."""

RIGHTS: Final = "rights"
"""Key in a plan's cache, with a role: that role may run it."""


class SessionPlans(SessionState):
    """Planning for one session."""

    def schema_view(self) -> SchemaView:
        """The schema this session sees, with the plans made for it.

        That is its own transaction's after DDL, its own connection's with temporary tables, else the committed one.
        """
        transaction = self.transaction
        if transaction is not None and transaction.schema is not None:
            if transaction.schema.catalog.search_path != self.search_path:
                self.schema_changed_in_transaction()
            return transaction.schema
        if self.private is not None:
            return self._private_view(self.private)
        return self.engine.schema_view(self.search_path, self.database_oid)

    def _private_view(self, connection: apsw.Connection) -> SchemaView:
        view = self.private_schema
        if view is None or view.catalog.search_path != self.search_path:
            view = self.private_schema = self.engine.view_of(connection, self.search_path)
        elif view.catalog.refresh():
            view.plans.clear()
        return view

    def committed_catalog(self) -> object:
        """The identity of the committed schema along this session's search path; None when it sees another one."""
        if self.private is not None or (self.transaction is not None and self.transaction.schema is not None):
            return None
        if self.search_path is DEFAULT_PATH and self.database_oid == DATABASE_OID:
            return self.engine.catalog
        return self.schema_view().catalog

    def plan(self, sql: str) -> Planned:
        """Plan a query string. Raises SqlError."""
        return self._planned(sql)

    def value_of(self, name: str) -> Any:
        """A value of the session that statements ask for, by its name."""
        return session_value(cast("Session", self), name)

    def plan_again(self, sql: str, oids: tuple[int, ...] | None) -> Planned:
        """Plan a statement that was planned for an older schema. Raises SqlError."""
        return self._planned(sql, oids)

    def plan_late(self, plan: Plan) -> tuple[Plan, Sequence[Any]]:
        """Plan one of several statements of a query string when its turn has come. Raises SqlError."""
        try:
            return self._planned(plan.source)[0]
        except SqlError as error:
            if error.position is not None:
                error.position += plan.source_offset
            raise

    def _planned(self, sql: str, oids: tuple[int, ...] | None = None) -> Planned:
        view = self.schema_view()
        view.catalog.acting = self.acting
        view.catalog.session_value = self.value_of
        view.catalog.checks_bodies = self.checks_bodies
        apart, self.planned_apart = self.planned_apart, None
        try:
            if apart is not None and (apart.sql, apart.oids) == (sql, oids):
                if apart.error is not None:
                    raise apart.error
                if apart.version == view.catalog.version:
                    if apart.cache is not None:
                        view.plans.adopt(apart.cache)
                        if len(sql) > LOOKUP_MAX:
                            view.plans.keep_text(sql, view.catalog, oids, apart.planned)
                    return apart.planned
            return view.plans.get(sql, view.catalog, oids)
        except SqlError as error:
            if self.transaction is not None and self.transaction.failed and error.sqlstate != "42601":
                raise self.transaction.lost or aborted() from None
            raise

    def check_rights(self, plan: Plan, facts: Facts | None = None) -> None:
        """Raise SqlError 42501 unless the session may run a statement. Asked once for each plan and role.

        ``facts`` are those of the catalog that the plan was made with; None: the session's own.
        """
        key = (RIGHTS, self.acting.oid)
        if plan.rights and key not in plan.cache:
            identity.rightful(cast("Session", self), facts).check(plan.rights)
            plan.cache[key] = True

    def may_run(self, plan: Plan) -> bool:
        """Whether :meth:`check_rights` lets a statement pass."""
        try:
            self.check_rights(plan)
        except SqlError:
            return False
        return True

    def prepare(self, name: str, sql: str, oids: tuple[int, ...]) -> Prepared:
        """Plan a statement to be run later, maybe often. Raises SqlError."""
        same = self.statements.get(name)
        if (
            same is not None
            and same.sql == sql
            and same.oids == oids
            and same.plan.kind < Kind.UTILITY
            and self.is_current(same)
        ):
            # Drivers that know only the unnamed statement send the same Parse again and again.
            return same
        for oid in oids:
            if oid >= FIRST_OID:
                _check_type(oid)
        apart = self.planned_apart
        try:
            planned = self._planned(sql, oids)
        except SqlError:
            # Statements before a definition may make what it needs. PostgreSQL checks it when it is executed.
            if self.transaction is not None and self.transaction.failed:
                raise
            if apart is None or apart.error is None or apart.sql != sql:
                is_late = is_definition(sql)
            else:
                is_late = apart.is_definition
            if not is_late:
                raise
            planned = [(Plan(Kind.DDL, LATE, source=sql, catalog_version=PLAN_UNDONE), ())]
        if len(planned) > 1:
            raise SqlError("cannot insert multiple commands into a prepared statement", sqlstate="42601")
        plan, literals = planned[0] if planned else (Plan(Kind.EMPTY, ""), ())
        return Prepared(name, sql, oids, plan, literals, self.search_path, self._now_us())

    def _now_us(self) -> int:
        return self.statement_now_us or self.engine.now_us()

    def is_current(self, prepared: Prepared) -> bool:
        """Whether the plan of a prepared statement is made for the schema that the session sees now."""
        plan = prepared.plan
        if plan.kind >= Kind.UTILITY:
            return True
        same_path = prepared.search_path is self.search_path or prepared.search_path == self.search_path
        return same_path and plan.catalog_version == self.schema_view().catalog.version

    def prepared_elsewhere(self, name: str, sql: str, oids: tuple[int, ...]) -> None:
        """A statement was prepared at the primary: it is planned here when it is first used here."""
        plan = Plan(Kind.WRITE, "", catalog_version=PLAN_ELSEWHERE)
        self.statements[name] = Prepared(name, sql, oids, plan, (), self.search_path, self._now_us())

    def statement(self, name: str) -> Prepared:
        """A prepared statement by name. Raises SqlError 26000."""
        prepared = self.statements.get(name)
        if prepared is None:
            shown = f'prepared statement "{name}"' if name else "unnamed prepared statement"
            raise SqlError(f"{shown} does not exist", sqlstate="26000")
        return prepared

    def current_plan(self, prepared: Prepared) -> Plan:
        """The plan of a prepared statement, made again when the schema has changed since.

        Raises:
            SqlError: the statement is wrong under the new schema; 0A000 when its result has other columns now.
        """
        plan = prepared.plan
        if self.is_current(prepared):
            return plan
        again = self.prepare(prepared.name, prepared.sql, prepared.oids)
        if plan.catalog_version != PLAN_ELSEWHERE and _shape_of(again.plan) != _shape_of(plan):
            raise SqlError("cached plan must not change result type", sqlstate="0A000", routine="RevalidateCachedQuery")
        prepared.plan, prepared.literals, prepared.search_path = again.plan, again.literals, again.search_path
        return prepared.plan

    def schema_changed_in_transaction(self) -> None:
        """DDL ran in the open transaction: from here on it plans for its own schema."""
        transaction = self.transaction
        if transaction is not None and transaction.connection is not None:
            transaction.schema = self.engine.view_of(transaction.connection, self.search_path)
            identity.refresh(cast("Session", self))

    def roles_changed(self) -> None:
        """The committed schema is another one, and with it maybe the roles and what they may do."""
        if self.definers:
            self.roles_stale = True
        elif self.transaction is None or self.transaction.schema is None:
            identity.refresh(cast("Session", self), self.engine.catalog.privileges)

    def forget_ddl_plans(self) -> None:
        """Statements that change the schema are planned for the role that they run as."""
        for prepared in self.statements.values():
            if prepared.plan.kind is Kind.DDL:
                prepared.plan.catalog_version = PLAN_UNDONE

    def forget_undone_plans(self) -> None:
        """DDL was rolled back or temporary tables are gone: the same version may be given to another schema."""
        version = self.schema_view().catalog.version
        self.parsed.clear()
        for prepared in self.statements.values():
            if prepared.plan.catalog_version != version:
                prepared.plan.catalog_version = PLAN_UNDONE

    def columns_of(self, plan: Plan) -> tuple[Column, ...] | None:
        """The result columns of a plan; EXECUTE and FETCH have those of what they name.

        None: no result, or a name that will be missed when the statement runs.
        """
        action = plan.action
        if isinstance(action, actions.Execute):
            prepared = self.statements.get(action.name)
            return self.current_plan(prepared).columns if prepared is not None else None
        if isinstance(action, actions.Fetch) and not action.move:
            cursor = self.cursors.get(action.cursor)
            return cursor.plan.columns if cursor is not None else None
        return plan.columns


def _check_type(oid: int) -> None:
    try:
        by_oid(oid)
    except KeyError:
        raise SqlError(f"cache lookup failed for type {oid}", sqlstate="XX000") from None


def _shape_of(plan: Plan) -> tuple[Any, ...]:
    return tuple((column.name, column.type_oid) for column in plan.columns or ())
