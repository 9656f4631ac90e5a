"""What pg_get_functiondef, pg_get_triggerdef and their kin print for what users define (ruleutils.c)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from helios_cli.engine.errors import FeatureNotSupported, SqlError
from helios_cli.engine.sql.ddl_deparse import deparse, parse_expression
from helios_cli.engine.sql.ddl_trigger import pretty_condition
from helios_cli.engine.sql.routine_text import function_arguments, function_definition, function_result
from helios_cli.engine.sql.routines import BUILTIN_TRIGGER_NAMES, Routine, Trigger
from helios_cli.engine.sql.sqltext import pg_identifier
from helios_cli.engine.storage.extension_names import expression_text
from helios_cli.engine.storage.system_snapshot import Snapshot
from helios_cli.engine.storage.type_rows import shown_text

_TIMINGS: Final = {"b": "BEFORE", "a": "AFTER", "i": "INSTEAD OF"}
_ORDER: Final = ("INSERT", "DELETE", "UPDATE", "TRUNCATE")


def routine_of(snapshot: Snapshot, oid: int) -> Routine | None:
    """A user's routine; None when there is none of the OID."""
    return snapshot.routines_by_oid.get(oid)


def relation_name(snapshot: Snapshot, oid: int, path: Sequence[str] | None) -> str:
    """A relation's name, with its schema unless ``path`` has that; None always has it."""
    relation = snapshot.relations.get(oid)
    if relation is None:
        return "???"
    name = pg_identifier(relation.name)
    return name if path is not None and relation.schema in path else f"{pg_identifier(relation.schema)}.{name}"


def routine_name(routine: Routine, path: Sequence[str] | None) -> str:
    """A routine's name, with its schema unless ``path`` has that."""
    name = pg_identifier(routine.name)
    return name if path is not None and routine.schema in path else f"{pg_identifier(routine.schema)}.{name}"


def functiondef(snapshot: Snapshot, oid: int) -> str | None:
    """pg_get_functiondef."""
    routine = routine_of(snapshot, oid)
    if routine is None:
        return None
    if routine.kind == "a":
        raise SqlError(f'"{routine.name}" is an aggregate function', sqlstate="42809")
    return shown_text(snapshot, function_definition(routine, _row_type(snapshot, routine)))


def _row_type(snapshot: Snapshot, routine: Routine) -> str:
    return relation_name(snapshot, routine.relation, snapshot.path) if routine.relation else ""


def result(snapshot: Snapshot, routine: Routine) -> str | None:
    """pg_get_function_result."""
    return _declared(snapshot, function_result(routine, _row_type(snapshot, routine)))


def arguments(snapshot: Snapshot, routine: Routine, *, identity: bool) -> str | None:
    """pg_get_function_arguments, or _identity_arguments."""
    return _declared(snapshot, function_arguments(routine, defaults=not identity))


def sqlbody(routine: Routine) -> str | None:
    """pg_get_function_sqlbody; None for a routine whose body is a text."""
    body = routine.sql_body
    if body[:6].lower() != "return":
        return body or None
    types = {argument.name: argument.type_oid for argument in routine.inputs if argument.name}
    try:
        return f"RETURN {deparse(parse_expression(body[6:]), types)}"
    except FeatureNotSupported:
        return body


def _declared(snapshot: Snapshot, text: str | None) -> str | None:
    return shown_text(snapshot, expression_text(snapshot, text, declares=True)) if text is not None else None


def action_statement(snapshot: Snapshot, trigger: Trigger, path: Sequence[str] | None = ("public",)) -> str:
    """What a trigger does: ``EXECUTE FUNCTION f('x')``."""
    routine = routine_of(snapshot, trigger.function)
    own = BUILTIN_TRIGGER_NAMES.get(trigger.function, str(trigger.function))
    name = routine_name(routine, path) if routine is not None else own
    given = ", ".join("'" + argument.replace("'", "''") + "'" for argument in trigger.arguments)
    return f"EXECUTE FUNCTION {name}({given})"


def triggerdef(snapshot: Snapshot, oid: int, pretty: bool, path: Sequence[str]) -> str | None:
    """pg_get_triggerdef."""
    trigger = snapshot.triggers_by_oid.get(oid)
    if trigger is None:
        return None
    events = []
    for event in _ORDER:
        if event in trigger.events:
            named = event == "UPDATE" and trigger.columns
            events.append(f"UPDATE OF {', '.join(map(pg_identifier, trigger.columns))}" if named else event)
    relation = relation_name(snapshot, trigger.relation, path if pretty else None)
    word = "CONSTRAINT TRIGGER" if trigger.is_constraint else "TRIGGER"
    text = f"CREATE {word} {pg_identifier(trigger.name)} {_TIMINGS[trigger.timing]} {' OR '.join(events)} ON {relation}"
    if trigger.is_constraint:
        if trigger.from_oid:
            text += f" FROM {relation_name(snapshot, trigger.from_oid, path)}"
        text += f"{'' if trigger.deferrable else ' NOT'} DEFERRABLE INITIALLY "
        text += "DEFERRED" if trigger.deferred else "IMMEDIATE"
    if trigger.old_table or trigger.new_table:
        tables = (("OLD", trigger.old_table), ("NEW", trigger.new_table))
        text += " REFERENCING" + "".join(f" {word} TABLE AS {pg_identifier(name)}" for word, name in tables if name)
    text += f" FOR EACH {'ROW' if trigger.row else 'STATEMENT'}"
    if trigger.when:
        types = {column.name: column.type_oid for column in snapshot.columns.get(trigger.relation, ())}
        condition = pretty_condition(trigger.when, types) if pretty else trigger.when
        text += f" WHEN ({shown_text(snapshot.along(tuple(path)), condition)})"
    return f"{text} {action_statement(snapshot, trigger, path)}"
