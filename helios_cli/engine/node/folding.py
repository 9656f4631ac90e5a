"""Users' aggregates: the rows that SQLite has collected, folded by the functions that the aggregate is made of."""

from __future__ import annotations

import marshal
from typing import TYPE_CHECKING, Any

from helios_cli.engine.datatypes import registry
from helios_cli.engine.datatypes.usertypes import needs_catalog
from helios_cli.engine.sql.oids import POLYMORPHIC, TEXT
from helios_cli.engine.sql.plpgsql.composites import write_row
from helios_cli.engine.sql.resolution import bind_polymorphic
from helios_cli.engine.sql.routines import AggregateParts, Argument, Routine
from helios_cli.engine.sql.sqltext import pg_identifier

if TYPE_CHECKING:
    from helios_cli.engine.node.routine_calls import Prepared, RoutineCalls
    from helios_cli.engine.node.routine_host import RoutineHost


def fold(
    calls: RoutineCalls, host: RoutineHost, routine: Routine, parts: AggregateParts, types: tuple[int, ...], rows: bytes
) -> Any:
    """The value of an aggregate of arguments of these types over collected rows (nodeAgg.c).

    Raises:
        HeliosError: what its functions raise.
    """
    return _Folding(calls, host, routine, parts, types).run(marshal.loads(rows))


class _Folding:
    def __init__(
        self, calls: RoutineCalls, host: RoutineHost, routine: Routine, parts: AggregateParts, types: tuple[int, ...]
    ) -> None:
        self._calls, self._host, self._parts = calls, host, parts
        declared = routine.signature()
        bindings = bind_polymorphic(declared, types) or {} if any(oid in POLYMORPHIC for oid in declared) else {}
        self._state = bindings.get(parts.state, parts.state)
        self._result = bindings.get(routine.result, routine.result)
        self._types = types

    def run(self, rows: list[tuple[Any, ...]]) -> Any:
        """Fold the rows and give what comes of it."""
        parts = self._parts
        state = self._initial()
        began = parts.initial is not None
        if rows:
            step = self._prepared(parts.step, parts.step_name, (self._state, *self._types), self._state)
            for row in rows:
                if not parts.step_strict:
                    state = self._call(step, state, row)
                elif None in row:
                    continue
                elif not began:
                    # A strict function without a first state begins with the first value.
                    state, began = row[0], True
                elif state is not None:
                    state = self._call(step, state, row)
        if not parts.has_final:
            return state
        extra = (None,) * len(self._types) if parts.final_extra else ()
        if parts.final_strict and (state is None or extra):
            return None
        types = (self._state, *(self._types if parts.final_extra else ()))
        return self._call(self._prepared(parts.final, parts.final_name, types, self._result), state, extra)

    def _initial(self) -> Any:
        text = self._parts.initial
        if text is None:
            return None
        if needs_catalog(self._state):
            return self._host.cast(text, TEXT, (self._state, -1))
        return registry.by_oid(self._state).parse_text(text)

    def _call(self, function: Prepared, state: Any, row: tuple[Any, ...]) -> Any:
        value = self._calls.run(self._host, function, (state, *row))[1]
        if not function.spread or value is None:
            return value
        return write_row([oid for _, oid in function.columns], value)

    def _prepared(self, oid: int, name: str, types: tuple[int, ...], result: int) -> Prepared:
        """A function made ready; one of the library is called by a statement."""
        if not name:
            return self._calls.prepared(self._host, oid, types)
        return self._calls.prepared_as(self._host, (name, types), lambda: _calling(name, types, result))


def _calling(name: str, types: tuple[int, ...], result: int) -> Routine:
    """A function in SQL that calls one of the library."""
    places = ", ".join(f"${number}" for number in range(1, len(types) + 1))
    arguments = [Argument("", oid) for oid in types]
    body = f"SELECT pg_catalog.{pg_identifier(name)}({places})"
    return Routine(0, "pg_catalog", name, 10, "f", "sql", arguments, result, body=body)
