"""DROP and ALTER of functions and procedures."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, Final

from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql import tree
from helios_cli.engine.sql.coercion import type_name
from helios_cli.engine.sql.ddl_build import Builder
from helios_cli.engine.sql.ddl_dropping import drop_things
from helios_cli.engine.sql.ddl_function import argument_type, find_same, set_option, store
from helios_cli.engine.sql.ddl_grant import give_rights
from helios_cli.engine.sql.ddl_ownership import new_owner
from helios_cli.engine.sql.ddl_thing import ROUTINE, Thing
from helios_cli.engine.sql.plan import Plan
from helios_cli.engine.sql.privileges import CREATE, PG_PROC
from helios_cli.engine.sql.rights import not_owner
from helios_cli.engine.sql.routines import Routine

WORDS: Final = {
    "OBJECT_FUNCTION": "function", "OBJECT_PROCEDURE": "procedure", "OBJECT_ROUTINE": "routine",
    "OBJECT_AGGREGATE": "aggregate",
}  # fmt: skip
_KINDS: Final = {"OBJECT_FUNCTION": "fa", "OBJECT_PROCEDURE": "p", "OBJECT_AGGREGATE": "a", "OBJECT_ROUTINE": "fpa"}
PG_PROC_OID: Final = 1255


def drop_routine(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan DROP FUNCTION, PROCEDURE or ROUTINE.

    Raises:
        SqlError: 42883 missing, 42725 several, 42809 another kind, 2BP01 something needs it.
    """
    kind = fields["removeType"]
    things = []
    for node in fields["objects"]:
        routine = find_routine(builder, node["ObjectWithArgs"], kind, missing_ok=bool(fields.get("missing_ok")))
        if routine is not None:
            _owned(builder, routine)
            if kind == "OBJECT_FUNCTION" and routine.kind == "a":
                hint = "Use DROP AGGREGATE to drop aggregate functions."
                raise builder.error("42809", f'"{routine.name}" is an aggregate function', hint=hint)
            things.append(Thing(ROUTINE, routine.oid))
    drop_things(builder, things, fields)
    return builder.finish(f"DROP {WORDS[kind].upper()}")


def find_routine(builder: Builder, fields: dict[str, Any], kind: str, *, missing_ok: bool = False) -> Routine | None:
    """The routine that an ObjectWithArgs names; None only with ``missing_ok``, after a notice.

    Raises:
        SqlError: 42883, 42725, 42809.
    """
    names = tree.strings(fields["objname"])
    schema = names[-2] if len(names) > 1 else None
    found = [builder.catalog.routine(function.oid) for function in builder.catalog.functions(schema, names[-1])]
    routines = [routine for routine in found if routine is not None]
    word = WORDS[kind]
    if fields.get("args_unspecified"):
        routines = [routine for routine in routines if routine.kind in _KINDS[kind]]
        if len(routines) > 1:
            hint = f"Specify the argument list to select the {word} unambiguously."
            raise builder.error("42725", f'{word} name "{".".join(names)}" is not unique', hint=hint)
        if not routines:
            if missing_ok:
                builder.notices.append(f"{word} {'.'.join(names)}() does not exist, skipping")
                return None
            raise builder.error("42883", f'could not find a {word} named "{".".join(names)}"')
        return routines[0]
    nodes = [node["TypeName"] for node in fields.get("objargs", [])]
    wanted = _types(builder, nodes, missing_ok=missing_ok)
    if wanted is None:
        return None
    routine = next((routine for routine in routines if _is_meant(routine, wanted)), None)
    shown = f"{'.'.join(names)}({', '.join(type_name(oid) for oid in wanted)})"
    if routine is None:
        if missing_ok:
            written = ",".join(".".join(tree.strings(node["names"])) for node in nodes)
            builder.notices.append(f"{word} {'.'.join(names)}({written}) does not exist, skipping")
            return None
        raise builder.error("42883", f"{word} {shown} does not exist")
    if routine.kind not in _KINDS[kind]:
        message = f"function {shown} is not an aggregate" if word == "aggregate" else f"{shown} is not a {word}"
        raise builder.error("42809", message)
    return routine


def _owned(builder: Builder, routine: Routine) -> None:
    """Raise SqlError 42501 unless the role owns a routine."""
    if not builder.rightful().owns(routine.owner):
        raise not_owner({"p": "procedure", "a": "aggregate"}.get(routine.kind, "function"), routine.name)


def _is_meant(routine: Routine, types: tuple[int, ...]) -> bool:
    if routine.signature() == types:
        return True
    if routine.kind != "p":
        return False
    return tuple(argument.type_oid for argument in routine.arguments) == types


def _types(builder: Builder, nodes: list[dict[str, Any]], *, missing_ok: bool) -> tuple[int, ...] | None:
    try:
        return tuple(argument_type(builder, node) for node in nodes)
    except SqlError as error:
        if not missing_ok or error.sqlstate != "42704":
            raise
        builder.notices.append(f"{error.message}, skipping")
        return None


def alter_routine(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan ALTER FUNCTION or PROCEDURE with new characteristics."""
    kind = fields.get("objtype", "OBJECT_FUNCTION")
    routine = find_routine(builder, fields["func"], kind)
    assert routine is not None
    _owned(builder, routine)
    if routine.kind == "a":
        raise builder.error("42809", f'"{routine.name}" is an aggregate function')
    changed = deepcopy(routine)
    for node in fields["actions"]:
        set_option(builder, changed, node["DefElem"])
    return _changed(builder, changed, kind)


def _changed(builder: Builder, routine: Routine, kind: str) -> Plan:
    builder.touch(False)
    builder.add(store(routine))
    return builder.finish(f"ALTER {WORDS[kind].upper()}")


def rename_routine(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan ALTER FUNCTION ... RENAME TO. Raises SqlError 42723."""
    kind = fields["renameType"]
    routine = find_routine(builder, fields["object"]["ObjectWithArgs"], kind)
    assert routine is not None
    _owned(builder, routine)
    builder.rightful().check_schema(routine.schema, CREATE)
    changed = deepcopy(routine)
    changed.name = fields["newname"]
    _refuse_same(builder, changed)
    _follow(builder, routine, changed)
    return _changed(builder, changed, kind)


def _follow(builder: Builder, before: Routine, after: Routine) -> None:
    # The module that does it needs this one.
    from helios_cli.engine.sql.ddl_follow import follow_function

    follow_function(builder, before, after.schema, after.name)


def move_routine(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan ALTER FUNCTION ... SET SCHEMA. Raises SqlError 3F000, 42723."""
    kind = fields["objectType"]
    routine = find_routine(builder, fields["object"]["ObjectWithArgs"], kind)
    assert routine is not None
    _owned(builder, routine)
    if builder.catalog.schema_oid(fields["newschema"]) is None:
        raise builder.error("3F000", f'schema "{fields["newschema"]}" does not exist')
    changed = deepcopy(routine)
    changed.schema = fields["newschema"]
    if changed.schema != routine.schema:
        _refuse_same(builder, changed)
        _follow(builder, routine, changed)
    return _changed(builder, changed, kind)


def own_routine(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan ALTER FUNCTION ... OWNER TO. Raises SqlError 42704, 42501."""
    kind = fields["objectType"]
    routine = find_routine(builder, fields["object"]["ObjectWithArgs"], kind)
    assert routine is not None
    _owned(builder, routine)
    changed = deepcopy(routine)
    changed.owner = new_owner(builder, fields["newowner"], routine.owner, routine.schema)
    give_rights(builder, (PG_PROC, routine.oid, 0), routine.owner, changed.owner)
    return _changed(builder, changed, kind)


def _refuse_same(builder: Builder, routine: Routine) -> None:
    if find_same(builder, routine) is not None:
        shown = f"{routine.name}({', '.join(type_name(oid) for oid in routine.signature())})"
        raise builder.error("42723", f'function {shown} already exists in schema "{routine.schema}"')
