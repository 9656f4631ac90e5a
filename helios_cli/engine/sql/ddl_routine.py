"""DROP and ALTER of functions and procedures."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, Final

from helios_cli.engine.datatypes.usertypes import pinned_function
from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql import tree
from helios_cli.engine.sql.coercion import type_name
from helios_cli.engine.sql.ddl_build import Builder, unsupported
from helios_cli.engine.sql.ddl_function import argument_type, find_same, set_option, store
from helios_cli.engine.sql.ddl_model import TableDef
from helios_cli.engine.sql.ddl_render import delete
from helios_cli.engine.sql.ddl_trigger import forget, is_temporary
from helios_cli.engine.sql.plan import Plan
from helios_cli.engine.sql.relation import Relation
from helios_cli.engine.sql.rights import not_owner
from helios_cli.engine.sql.routine_text import shown_signature
from helios_cli.engine.sql.routines import Routine, Trigger
from helios_cli.engine.sql.sqltext import pg_identifier

WORDS: Final = {"OBJECT_FUNCTION": "function", "OBJECT_PROCEDURE": "procedure", "OBJECT_ROUTINE": "routine"}
_KINDS: Final = {"OBJECT_FUNCTION": "f", "OBJECT_PROCEDURE": "p"}
PG_PROC_OID: Final = 1255


def drop_routine(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan DROP FUNCTION, PROCEDURE or ROUTINE.

    Raises:
        SqlError: 42883 missing, 42725 several, 42809 another kind, 2BP01 triggers need it.
    """
    kind = fields["removeType"]
    cascade = fields.get("behavior") == "DROP_CASCADE"
    for node in fields["objects"]:
        routine = find_routine(builder, node["ObjectWithArgs"], kind, missing_ok=bool(fields.get("missing_ok")))
        if routine is not None:
            _owned(builder, routine)
            forget_routine(builder, routine, cascade=cascade)
    return builder.finish(f"DROP {WORDS[kind].upper()}")


def forget_routine(builder: Builder, routine: Routine, *, cascade: bool, gone: frozenset[int] = frozenset()) -> None:
    """The steps that remove a routine and, with ``cascade``, the triggers and views that call it.

    ``gone`` are the relations that go anyway.

    Raises:
        SqlError: 2BP01 something needs it; 0A000 a constraint, an index or a generated column does, with ``cascade``.
    """
    users: list[Trigger] = [found for found in builder.catalog.all_triggers() if found.function == routine.oid]
    hidden = routine.schema not in builder.catalog.search_path
    shown = f"function {f'{pg_identifier(routine.schema)}.' * hidden}{shown_signature(routine)}"
    described, views = _callers(builder, routine, gone, cascade=cascade)
    for trigger in users:
        relation = builder.catalog.relation_by_oid(trigger.relation)
        kind = "view" if relation is not None and relation.kind == "v" else "table"
        described.append(f"trigger {trigger.name} on {kind} {relation.name if relation else trigger.relation}")
    if described and not cascade:
        raise SqlError(
            f"cannot drop {shown} because other objects depend on it",
            sqlstate="2BP01",
            detail="\n".join(
                line for text in described for line in (f"{text} depends on {shown}", *_further(builder, views, text))
            ),
            hint="Use DROP ... CASCADE to drop the dependent objects too.",
        )
    if views:
        # The module that drops relations needs this one.
        from helios_cli.engine.sql.ddl_drop import Dropping

        dropping = Dropping(builder, cascade=True)
        dropping.relations.update((view.oid, view) for view in views)
        dropping.run(described)
    elif len(described) == 1:
        builder.notices.append(f"drop cascades to {described[0]}")
    elif described:
        builder.notices.append(f"drop cascades to {len(described)} other objects")
    builder.touch(False)
    if any(is_temporary(trigger.oid) for trigger in users):
        builder.touch(True)
    builder.add(
        delete(False, "helios_function", oid=routine.oid),
        *(forget(trigger) for trigger in users),
        delete(False, "helios_description", objoid=routine.oid),
        delete(False, "helios_privilege", objid=routine.oid),
    )


def _further(builder: Builder, views: list[Relation], shown: str) -> list[str]:
    """The views over a view, as DETAIL lists them behind it."""
    waiting = [view for view in views if f"view {view.name}" == shown]
    found: list[str] = []
    while waiting:
        view = waiting.pop(0)
        above = builder.catalog.dependents(view.oid)
        found += [f"view {other.name} depends on view {view.name}" for other in above]
        waiting += above
    return found


def _callers(
    builder: Builder, routine: Routine, gone: frozenset[int], *, cascade: bool
) -> tuple[list[str], list[Relation]]:
    """What calls a routine in its definition, as messages name it, and the views among it.

    Raises:
        FeatureNotSupported: with ``cascade``, it is no view.
    """
    catalog = builder.catalog
    described: list[str] = []
    views: list[Relation] = []
    for name, called in catalog.stored_calls().items():
        if routine.oid not in called:
            continue
        relation = catalog.relation_by_sqlite_name(name)
        if relation is None or relation.oid in gone:
            continue
        if relation.kind == "v":
            views.append(relation)
            described.append(f"view {relation.name}")
            continue
        table = catalog.table_def(relation.oid)
        described += _parts_that_call(table, routine) if table is not None else []
        if cascade:
            hint = "Drop the constraint, index or column that calls it first."
            raise unsupported(f'dropping what table "{relation.name}" calls', hint)
    return described, views


def _parts_that_call(table: TableDef, routine: Routine) -> list[str]:
    """The constraints, columns and indexes of a table that call a routine."""
    mark = f'{pinned_function(routine.oid)}"'

    def calls(text: str | None) -> bool:
        return text is not None and (mark in text or f"{routine.name}(" in text)

    found = [
        f"constraint {constraint.name} on table {table.name}"
        for constraint in table.constraints
        if calls(constraint.expression)
    ]
    found += [f"column {column.name} of table {table.name}" for column in table.columns if calls(column.default)]
    for index in table.indexes:
        if calls(index.predicate) or any(calls(key.expression) for key in index.keys):
            found.append(f"index {index.name}")
    return found


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
        routines = [routine for routine in routines if routine.kind == _KINDS.get(kind, routine.kind)]
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
    if routine.kind != _KINDS.get(kind, routine.kind):
        raise builder.error("42809", f"{shown} is not a {word}")
    return routine


def _owned(builder: Builder, routine: Routine) -> None:
    """Raise SqlError 42501 unless the role owns a routine."""
    if not builder.rightful().owns(routine.owner):
        raise not_owner("procedure" if routine.kind == "p" else "function", routine.name)


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
    changed = deepcopy(routine)
    changed.name = fields["newname"]
    _refuse_same(builder, changed)
    return _changed(builder, changed, kind)


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
    return _changed(builder, changed, kind)


def own_routine(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan ALTER FUNCTION ... OWNER TO. Raises SqlError 42704."""
    owner = builder.role_oid(fields["newowner"])
    kind = fields["objectType"]
    routine = find_routine(builder, fields["object"]["ObjectWithArgs"], kind)
    assert routine is not None
    _owned(builder, routine)
    changed = deepcopy(routine)
    changed.owner = owner
    return _changed(builder, changed, kind)


def _refuse_same(builder: Builder, routine: Routine) -> None:
    if find_same(builder, routine) is not None:
        shown = f"{routine.name}({', '.join(type_name(oid) for oid in routine.signature())})"
        raise builder.error("42723", f'function {shown} already exists in schema "{routine.schema}"')
