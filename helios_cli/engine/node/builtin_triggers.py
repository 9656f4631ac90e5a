"""PostgreSQL's own trigger functions (tsvector_op.c, trigfuncs.c)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql.oids import BPCHAR, TEXT, VARCHAR
from helios_cli.engine.sql.plpgsql.frame import Record
from helios_cli.engine.sql.routines import BUILTIN_TRIGGERS, Trigger

if TYPE_CHECKING:
    from helios_cli.engine.node.routine_host import RoutineHost

_TSVECTOR: Final = 3614
_REGCONFIG: Final = 3734
_CHARACTERS: Final = (TEXT, VARCHAR, BPCHAR)
_VECTOR: Final = "SELECT to_tsvector({}, $2)"


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a trigger function."""

    host: RoutineHost
    trigger: Trigger
    event: str
    old: Record | None
    new: Record | None
    columns: tuple[str, ...]
    """Those that an UPDATE sets."""


def call_builtin(call: Call) -> Record | None:
    """The row that the trigger makes of another one; None: leave it.

    Raises:
        SqlError: what PostgreSQL raises for triggers that are not what the function is for.
    """
    return _FUNCTIONS[call.trigger.function](call)


def _suppress(call: Call) -> Record | None:
    trigger, new = call.trigger, call.new
    for wrong, words in (
        (call.event != "UPDATE", "must be called on update"),
        (trigger.timing != "b", "must be called before update"),
        (not trigger.row, "must be called for each row"),
    ):
        if wrong:
            raise SqlError(f"suppress_redundant_updates_trigger: {words}", sqlstate="39P01")
    return None if new is None or call.old is None or new.values == call.old.values else new


def _vector_by_name(call: Call) -> Record | None:
    return _vector(call, by_column=False)


def _vector_by_column(call: Call) -> Record | None:
    return _vector(call, by_column=True)


def _vector(call: Call, *, by_column: bool) -> Record | None:
    trigger, row, arguments = call.trigger, call.new, call.trigger.arguments
    for wrong, words in (
        (not trigger.row, "must be fired for row"),
        (trigger.timing != "b", "must be fired BEFORE event"),
        (call.event not in ("INSERT", "UPDATE"), "must be fired for INSERT or UPDATE"),
        (len(arguments) < 3, "arguments must be tsvector_field, ts_config, text_field1, ...)"),
    ):
        if wrong:
            raise SqlError(f"tsvector_update_trigger: {words}", sqlstate="XX000")
    assert row is not None
    target = _place(row, arguments[0], (_TSVECTOR,), "tsvector ", "of tsvector type")
    kind, config = _configuration(row, arguments[1], by_column=by_column)
    places = [_place(row, name, _CHARACTERS, "", "of a character type") for name in arguments[2:]]
    taken = [*arguments[2:], *(arguments[1:2] if by_column else ())]
    if call.event == "UPDATE" and set(call.columns).isdisjoint(taken):
        return row
    texts = [str(row.values[place]) for place in places if row.values[place] is not None]
    cast = "$1" if by_column else "$1::regconfig"
    found = call.host.run_text(_VECTOR.format(cast), (kind, TEXT), (config, " ".join(texts)))
    made = row.copy()
    made.values[target] = found.rows[0][0]
    return made


def _configuration(row: Record, argument: str, *, by_column: bool) -> tuple[int, Any]:
    """The type and the value that name a text search configuration."""
    if by_column:
        value = row.values[_place(row, argument, (_REGCONFIG,), "configuration ", "of regconfig type")]
        if value is None:
            raise SqlError(f'configuration column "{argument}" must not be null', sqlstate="22004")
        return _REGCONFIG, value
    if "." not in argument:
        message = f'text search configuration name "{argument}" must be schema-qualified'
        raise SqlError(message, sqlstate="22023")
    return TEXT, argument


def _place(row: Record, name: str, types: tuple[int, ...], word: str, what: str) -> int:
    """The number of a column. Raises SqlError 42703, 42804."""
    if name not in row.names:
        raise SqlError(f'{word}column "{name}" does not exist', sqlstate="42703")
    place = row.names.index(name)
    if row.types[place] not in types:
        raise SqlError(f'column "{name}" is not {what}', sqlstate="42804")
    return place


_FUNCTIONS: Final[dict[int, Callable[[Call], Record | None]]] = {
    BUILTIN_TRIGGERS["suppress_redundant_updates_trigger"]: _suppress,
    BUILTIN_TRIGGERS["tsvector_update_trigger"]: _vector_by_name,
    BUILTIN_TRIGGERS["tsvector_update_trigger_column"]: _vector_by_column,
}

__all__ = ["Call", "call_builtin"]
