"""The rows of pg_proc, pg_trigger and their views for what users define."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any, Final

from helios_cli.engine.datatypes.arrays import PgArray, write_array
from helios_cli.engine.sql.coercion import element_of
from helios_cli.engine.sql.ddl_type_rights import LANGUAGES, TRUSTED
from helios_cli.engine.sql.oids import RECORD, TRIGGER, VOID
from helios_cli.engine.sql.privileges import PG_LANGUAGE
from helios_cli.engine.sql.routines import Argument, Routine, Trigger
from helios_cli.engine.storage.routine_definitions import action_statement
from helios_cli.engine.storage.system_snapshot import Snapshot
from helios_cli.engine.storage.type_rows import shown_text, udt_facts

Row = dict[str, Any]
DATABASE: Final = "heliosdb"
_PSEUDO: Final = {VOID: "void", RECORD: "record", TRIGGER: "trigger"}
_MODES: Final = {"i": "IN", "o": "OUT", "b": "INOUT", "v": "IN", "t": "OUT"}
_TIMINGS: Final = {"b": "BEFORE", "a": "AFTER", "i": "INSTEAD OF"}


def _array(values: list[Any]) -> str:
    return "{" + ",".join(str(value) for value in values) + "}"


def _texts(values: list[str]) -> str:
    return write_array(PgArray(list(values), (len(values),), (1,)), str)


def languages(snapshot: Snapshot) -> list[Row]:
    """Rows of pg_language."""
    return [
        {"oid": oid, "lanname": name, "lanowner": 10, "lanispl": int(name == "plpgsql"),
         "lanplcallfoid": oid - 2 if name == "plpgsql" else 0, "laninline": oid - 1 if name == "plpgsql" else 0,
         "lanpltrusted": int(name in TRUSTED), "lanacl": snapshot.acl_text(PG_LANGUAGE, oid)}
        for name, oid in LANGUAGES.items()
    ]  # fmt: skip


def proc_row(snapshot: Snapshot, routine: Routine) -> Row:
    """A row of pg_proc."""
    inputs, arguments = routine.inputs, routine.arguments
    plain = all(argument.mode == "i" for argument in arguments)
    defaults = [argument.default for argument in inputs if argument.default is not None]
    last = inputs[-1] if inputs else None
    return {
        "oid": routine.oid, "proname": routine.name, "pronamespace": snapshot.schema_oid(routine.schema),
        "proowner": routine.owner, "prolang": LANGUAGES[routine.language], "procost": routine.cost,
        "prorows": routine.rows, "prokind": routine.kind, "prosecdef": int(routine.security_definer),
        "proleakproof": int(routine.leakproof), "proisstrict": int(routine.strict),
        "proretset": int(routine.returns_set), "provolatile": routine.volatility, "proparallel": routine.parallel,
        "pronargs": len(inputs), "pronargdefaults": len(defaults), "prorettype": routine.result,
        "proargtypes": " ".join(str(argument.type_oid) for argument in inputs), "prosrc": routine.body,
        "provariadic": element_of(last.type_oid) if last is not None and last.mode == "v" else 0,
        "proallargtypes": None if plain else _array([argument.type_oid for argument in arguments]),
        "proargmodes": None if plain else _array([argument.mode for argument in arguments]),
        "proargnames": _texts([a.name for a in arguments]) if any(a.name for a in arguments) else None,
        "proacl": snapshot.acl_text(1255, routine.oid),
        "proargdefaults": ", ".join(defaults) or None, "prosqlbody": routine.sql_body or None,
        "proconfig": _texts([f"{name}={value}" for name, value in routine.settings.items()])
        if routine.settings else None,
    }  # fmt: skip


def trigger_row(snapshot: Snapshot, trigger: Trigger) -> Row:
    """A row of pg_trigger."""
    numbers = [snapshot.attnum(trigger.relation, name) for name in trigger.columns]
    return {
        "oid": trigger.oid, "tgrelid": trigger.relation, "tgname": trigger.name, "tgfoid": trigger.function,
        "tgtype": trigger.type_bits, "tgenabled": trigger.enabled, "tgnargs": len(trigger.arguments),
        "tgattr": " ".join(map(str, numbers)), "tgargs": b"".join(a.encode() + b"\0" for a in trigger.arguments),
        "tgqual": trigger.when or None, "tgoldtable": trigger.old_table or None,
        "tgnewtable": trigger.new_table or None, "tgconstraint": trigger.constraint_oid,
        "tgconstrrelid": trigger.from_oid, "tgdeferrable": int(trigger.deferrable),
        "tginitdeferred": int(trigger.deferred), "tgparentid": trigger.parent,
    }  # fmt: skip


def constraint_row(snapshot: Snapshot, trigger: Trigger) -> Row | None:
    """The row of pg_constraint of a constraint trigger; None for another."""
    relation = snapshot.relations.get(trigger.relation)
    if not trigger.constraint_oid or relation is None:
        return None
    return {
        "oid": trigger.constraint_oid, "conname": trigger.name, "connamespace": snapshot.schema_oid(relation.schema),
        "contype": "t", "condeferrable": int(trigger.deferrable), "condeferred": int(trigger.deferred),
        "convalidated": 1, "conrelid": trigger.relation, "confupdtype": " ", "confdeltype": " ",
        "confmatchtype": " ", "conislocal": 1, "connoinherit": 1,
    }  # fmt: skip


def routines(snapshot: Snapshot) -> list[Row]:
    """Rows of information_schema.routines."""
    return [_routine(snapshot, routine) for routine in snapshot.routines]


def _routine(snapshot: Snapshot, routine: Routine) -> Row:
    function = routine.kind == "f"
    return {
        "specific_catalog": DATABASE, "specific_schema": routine.schema, "specific_name": specific_name(routine),
        "routine_catalog": DATABASE, "routine_schema": routine.schema, "routine_name": routine.name,
        "routine_type": "FUNCTION" if function else "PROCEDURE", "routine_body": "SQL" if routine.language == "sql"
        else "EXTERNAL", "routine_definition": routine.body or routine.sql_body, "external_language":
        routine.language.upper(), "parameter_style": "GENERAL", "is_deterministic":
        "YES" if routine.volatility == "i" else "NO", "sql_data_access": "MODIFIES",
        "is_null_call": ("YES" if routine.strict else "NO") if function else None, "schema_level_routine": "YES",
        "max_dynamic_result_sets": 0, "security_type": "DEFINER" if routine.security_definer else "INVOKER",
        "as_locator": "NO", "is_udt_dependent": "NO",
        **(_result(snapshot, routine) if function else {}),
    }  # fmt: skip


def specific_name(routine: Routine) -> str:
    """The name that tells it from others of its name."""
    return f"{routine.name}_{routine.oid}"


def _result(snapshot: Snapshot, routine: Routine) -> Row:
    """The type of the result, in columns whose names are not those of other views."""
    found = _type(snapshot, routine.result)
    return {f"type_{key}" if key.startswith("udt_") else key: value for key, value in found.items()}


def _type(snapshot: Snapshot, type_oid: int) -> Row:
    if type_oid in _PSEUDO:
        return {
            "data_type": _PSEUDO[type_oid], "udt_catalog": DATABASE, "udt_schema": "pg_catalog",
            "udt_name": _PSEUDO[type_oid], "dtd_identifier": "0",
        }  # fmt: skip
    return {**udt_facts(snapshot, type_oid), "dtd_identifier": "0"}


def parameters(snapshot: Snapshot) -> list[Row]:
    """Rows of information_schema.parameters."""
    return [
        _parameter(snapshot, routine, number, argument)
        for routine in snapshot.routines
        for number, argument in enumerate(routine.arguments, 1)
    ]


def _parameter(snapshot: Snapshot, routine: Routine, number: int, argument: Argument) -> Row:
    return {
        **_type(snapshot, argument.type_oid), "specific_catalog": DATABASE, "specific_schema": routine.schema,
        "specific_name": specific_name(routine), "ordinal_position": number, "parameter_mode": _MODES[argument.mode],
        "is_result": "NO", "as_locator": "NO", "parameter_name": argument.name or None,
        "dtd_identifier": str(number), "parameter_default": argument.default,
    }  # fmt: skip


def triggers(snapshot: Snapshot, oid: int) -> list[Row]:
    """Rows of information_schema.triggers: one for each event of each trigger of a relation."""
    relation = snapshot.relations.get(oid)
    if relation is None:
        return []
    rows = []
    orders: dict[tuple[Any, ...], int] = {}
    for trigger in snapshot.table_triggers[oid]:
        for event in trigger.events:
            if event == "TRUNCATE":
                continue
            key = (trigger.relation, event, trigger.row, trigger.timing)
            orders[key] = orders.get(key, 0) + 1
            rows.append(
                {
                    "trigger_catalog": DATABASE, "trigger_schema": relation.schema, "trigger_name": trigger.name,
                    "event_manipulation": event, "event_object_catalog": DATABASE,
                    "event_object_schema": relation.schema, "event_object_table": relation.name,
                    "action_order": orders[key], "action_condition": shown_text(snapshot, trigger.when) or None,
                    "action_statement": action_statement(snapshot, trigger), "action_orientation":
                    "ROW" if trigger.row else "STATEMENT", "action_timing": _TIMINGS[trigger.timing],
                }
            )  # fmt: skip
    return rows


@lru_cache(256)
def path_of(text: str | None) -> tuple[str, ...]:
    """A session's search path from its JSON."""
    return tuple(json.loads(text)) if text else ("public",)
