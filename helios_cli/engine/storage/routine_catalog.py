"""Users' functions and triggers in the catalog of one connection."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

import apsw

from helios_cli.engine.datatypes.usertypes import RECORD, is_row, kind_of
from helios_cli.engine.sql.ddl_schema import FIRST_TEMP_OID
from helios_cli.engine.sql.functions import REGISTRY
from helios_cli.engine.sql.relation import Relation, UserType
from helios_cli.engine.sql.routines import (
    AggregateParts,
    Routine,
    Trigger,
    UserFunction,
    as_function,
    read_routine,
    read_trigger,
    result_columns,
)
from helios_cli.engine.storage.stored_calls import read_stored_calls

_LIBRARY: Final = frozenset(function.name for function in REGISTRY if not function.writes)
"""Functions that change nothing."""


class RoutineCatalog:
    """The part of ``SqliteCatalog`` that reads ``helios_function`` and ``helios_trigger``."""

    def __init__(self) -> None:
        self._functions: dict[str, tuple[Routine, ...]] = {}
        self._triggers: dict[int, tuple[Trigger, ...]] = {}
        self._stored_calls: dict[str, tuple[int, ...]] | None = None

    def forget_routines(self) -> None:
        """The schema version has moved."""
        self._functions.clear()
        self._triggers.clear()
        self._stored_calls = None

    def schemas_searched(self, schema: str | None) -> Iterable[str]:
        raise NotImplementedError

    def _all(self, sql: str, *values: Any) -> list[Any]:
        raise NotImplementedError

    def live_rows(self, sql: str, *values: Any) -> list[Any]:
        """All rows of a statement over what a copy of the system tables does not have."""
        raise NotImplementedError

    def has_temp_tables(self, fresh: bool = False) -> bool:
        """Whether the session's temporary system tables exist."""
        raise NotImplementedError

    def relation_by_oid(self, oid: int) -> Relation | None:
        """A relation by OID."""
        raise NotImplementedError

    def type_by_oid(self, oid: int) -> UserType | None:
        """A user's type by OID."""
        raise NotImplementedError

    def view_query(self, oid: int) -> str | None:
        """The query of a view as PostgreSQL's SQL, or None."""
        for database in ("main", "temp") if oid >= FIRST_TEMP_OID else ("main",):
            found = self._all(f"SELECT definition FROM {database}.helios_relation WHERE oid = ?", oid)
            if found:
                return str(found[0][0])
        return None

    def is_invoker(self, oid: int) -> bool:
        """See ``Relation.invoker``."""
        database = "temp" if oid >= FIRST_TEMP_OID else "main"
        found = self._all(f"SELECT options FROM {database}.helios_relation WHERE oid = ?", oid)
        match = re.search(r"security_invoker=(\w+)", str(found[0][0] or "")) if found else None
        return match is not None and match[1].lower() in ("true", "on", "yes", "1")

    def view_check_option(self, oid: int) -> str:
        """The check option of a view, 'local' or 'cascaded'; '' for one that has none."""
        database = "temp" if oid >= FIRST_TEMP_OID else "main"
        found = self._all(f"SELECT options FROM {database}.helios_relation WHERE oid = ?", oid)
        match = re.search(r"check_option=(local|cascaded)", str(found[0][0] or "")) if found else None
        return match[1] if match is not None else ""

    def functions(self, schema: str | None, name: str) -> tuple[UserFunction, ...]:
        """The functions and procedures of a name that users made, as overloads; with schema None along the path.

        One that another, earlier in the path, has the same arguments as is hidden.
        """
        found: dict[tuple[int, ...], UserFunction] = {}
        for candidate in self.schemas_searched(schema):
            if candidate == "pg_temp" and schema is None:
                continue  # Functions of it are found by its name alone, so that nobody takes the place of another's.
            for routine in self.routines(candidate, name):
                columns = result_columns(routine)
                if routine.relation:
                    relation = self.relation_by_oid(routine.relation)
                    columns = tuple((column.name, column.type_oid) for column in relation.columns) if relation else ()
                elif is_row(routine.result) and len(columns) < 2 and routine.result != RECORD:
                    made = self.type_by_oid(routine.result)
                    columns = tuple((field.name, field.type_oid) for field in made.fields) if made else ()
                function = as_function(routine, self._over_base_types(columns), _LIBRARY)
                bases = tuple(self._base_type(oid) for oid in function.args)
                base_args = bases if bases != function.args else ()
                function = replace(function, result=self._base_type(function.result), base_args=base_args)
                if routine.aggregate is not None:
                    function = replace(function, writes=self._folding_writes(routine.aggregate))
                found.setdefault(function.args, function)
        return tuple(found.values())

    def _base_type(self, oid: int) -> int:
        """The type whose operators and functions the values of a type have: of a domain the one that it is over."""
        domain = self.type_by_oid(oid) if kind_of(oid) == "d" else None
        return domain.base_oid if domain is not None else oid

    def _over_base_types(self, columns: tuple[tuple[str, int], ...]) -> tuple[tuple[str, int], ...]:
        return tuple((name, self._base_type(oid)) for name, oid in columns)

    def _folding_writes(self, parts: AggregateParts) -> bool:
        """Whether one of the functions that an aggregate is made of could change something."""
        behind = (self.routine(oid) for oid in (parts.step, parts.final))
        return any(routine is not None and as_function(routine, (), _LIBRARY).writes for routine in behind)

    def routines(self, schema: str, name: str) -> tuple[Routine, ...]:
        """The functions and procedures of a name in one schema."""
        known = self._functions.get(name)
        if known is None:
            known = self._functions[name] = self._routines("proname = ?", name)
        return tuple(routine for routine in known if routine.schema == schema)

    def routine(self, oid: int) -> Routine | None:
        """A function or procedure by OID."""
        found = self._routines("oid = ?", oid)
        return found[0] if found else None

    def made_function(self, oid: int) -> UserFunction | None:
        """A function by OID as the planner sees it, without the columns of its result."""
        routine = self.routine(oid)
        return as_function(routine, (), _LIBRARY) if routine is not None else None

    def stored_calls(self) -> dict[str, tuple[int, ...]]:
        """The functions that definitions call, by SQLite's name of the table or view."""
        if self._stored_calls is None:
            databases = ("main", "temp") if self.has_temp_tables() else ("main",)
            self._stored_calls = read_stored_calls(self._all, self.live_rows, databases)
        return self._stored_calls

    def read_by_view(self, oid: int) -> tuple[Relation, ...]:
        """What a view reads directly."""
        db = "temp" if oid >= FIRST_TEMP_OID else "main"
        rows = self._all(f"SELECT DISTINCT refobjid FROM {db}.helios_depend WHERE objid = ?", oid)
        return tuple(found for (target,) in rows if (found := self.relation_by_oid(target)) is not None)

    def _read_by_query(self, oid: int) -> bool:
        """See ``Relation.by_query``."""
        return any(
            found.by_query or found.heirs or (found.security is not None and found.security.enabled)
            for found in self.read_by_view(oid)
        )

    def calls_of(self, oid: int, kind: str, sqlite_name: str) -> tuple[int, ...] | None:
        """See ``Relation.calls``; a view also does what the views do that it reads."""
        known = self.stored_calls()
        if not known:
            return None
        called = known.get(sqlite_name)
        if kind != "v":
            return called
        for read in self.read_by_view(oid):
            if read.kind == "v" and read.calls is not None:
                called = tuple(sorted({*(called or ()), *read.calls}))
        return called

    def all_routines(self) -> tuple[Routine, ...]:
        """Every function and procedure that users made."""
        return self._routines("1")

    def _routines(self, condition: str, *values: Any) -> tuple[Routine, ...]:
        try:
            rows = self._all(
                "SELECT oid, nspname, proname, proowner, definition FROM main.helios_function "
                f"WHERE {condition} ORDER BY oid",
                *values,
            )
        except apsw.SQLError:
            # The directory has not had a function yet.
            return ()
        return tuple(read_routine(*row) for row in rows)

    def triggers(self, relation_oid: int) -> tuple[Trigger, ...]:
        """The triggers of a table or view, by name, which is the order they fire in."""
        known = self._triggers.get(relation_oid)
        if known is None:
            database = "temp" if relation_oid >= FIRST_TEMP_OID else "main"
            known = self._triggers[relation_oid] = self._load_triggers(database, "relid = ?", relation_oid)
        return known

    def all_triggers(self) -> tuple[Trigger, ...]:
        """Every trigger."""
        own = self._load_triggers("temp", "1") if self.has_temp_tables() else ()
        return (*self._load_triggers("main", "1"), *own)

    def _load_triggers(self, database: str, condition: str, *values: Any) -> tuple[Trigger, ...]:
        try:
            rows = self._all(
                f"SELECT oid, relid, tgname, definition FROM {database}.helios_trigger "
                f"WHERE {condition} ORDER BY tgname",
                *values,
            )
        except apsw.SQLError:
            return ()
        return tuple(read_trigger(*row) for row in rows)
