"""CREATE TRIGGER, DROP TRIGGER, ALTER TRIGGER, and switching triggers on and off."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql import tree
from helios_cli.engine.sql.coercion import type_name
from helios_cli.engine.sql.ddl_build import Builder, list_names, range_var_of, unsupported
from helios_cli.engine.sql.ddl_deparse import deparse, parse_expression
from helios_cli.engine.sql.ddl_function import TABLES, TEMP_TRIGGERS
from helios_cli.engine.sql.ddl_render import database_of, delete
from helios_cli.engine.sql.ddl_schema import FIRST_TEMP_OID
from helios_cli.engine.sql.expression_names import columns_named
from helios_cli.engine.sql.oids import BOOL, OID, TRIGGER, UNKNOWN
from helios_cli.engine.sql.plan import Plan
from helios_cli.engine.sql.privileges import TRIGGER as TRIGGER_RIGHT
from helios_cli.engine.sql.relation import Relation
from helios_cli.engine.sql.rights import denied
from helios_cli.engine.sql.routines import BUILTIN_TRIGGERS, Trigger
from helios_cli.engine.sql.sqltext import constant, pg_identifier

SYSTEM_COLUMNS: Final = frozenset(("tableoid", "ctid", "xmin", "xmax", "cmin", "cmax"))
_EVENTS: Final = ((4, "INSERT"), (8, "DELETE"), (16, "UPDATE"), (32, "TRUNCATE"))
PG_TRIGGER_OID: Final = 2620
_BEFORE, _INSTEAD = 2, 64
"""Bits of the parser (trigger.h TRIGGER_TYPE_*)."""


def create_trigger(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan CREATE [OR REPLACE] TRIGGER.

    Raises:
        SqlError: 42P01, 42883, 42P17, 42710, 42809; 0A000 for what no trigger can be.
    """
    relation = _relation(builder, fields["relation"])
    if not builder.rightful().relation_held(relation.oid, relation.kind, relation.name, TRIGGER_RIGHT):
        raise denied("view" if relation.kind == "v" else "table", relation.name)
    timing = fields.get("timing", 0)
    trigger = Trigger(
        0,
        relation.oid,
        fields["trigname"],
        _function(builder, fields["funcname"]),
        bool(fields.get("row")),
        "b" if timing & _BEFORE else "i" if timing & _INSTEAD else "a",
        [word for bit, word in _EVENTS if fields.get("events", 0) & bit],
        tree.strings(fields.get("columns", [])),
        [node["String"].get("sval", "") for node in fields.get("args", [])],
        is_constraint=bool(fields.get("isconstraint")),
        deferrable=bool(fields.get("deferrable")),
        deferred=bool(fields.get("initdeferred")),
        from_oid=_referenced(builder, relation, fields),
    )
    _check_kind(builder, relation, trigger)
    if trigger.row and "transitionRels" in fields:
        _check_family(builder, relation)
    for node in fields.get("transitionRels", []):
        _transition(builder, relation, trigger, node["TriggerTransition"])
    for position, name in enumerate(trigger.columns):
        if name in trigger.columns[:position]:
            raise builder.error("42701", f'column "{name}" specified more than once')
        if not any(column.name == name for column in relation.columns):
            raise builder.error("42703", f'column "{name}" of relation "{relation.name}" does not exist')
    if "whenClause" in fields:
        trigger.when = _condition(builder, fields["whenClause"], trigger, relation)
    existing = next((known for known in builder.catalog.triggers(relation.oid) if known.name == trigger.name), None)
    if existing is not None:
        if not fields.get("replace"):
            shown = f'trigger "{trigger.name}" for relation "{relation.name}" already exists'
            raise builder.error("42710", shown)
        if existing.parent:
            shown = f'trigger "{trigger.name}" for relation "{relation.name}" is an internal or a child trigger'
            raise builder.error("42710", shown)
        if existing.is_constraint:
            shown = f'trigger "{trigger.name}" for relation "{relation.name}" is a constraint trigger'
            raise builder.error("42710", shown)
        trigger.oid = existing.oid
    else:
        trigger.oid = builder.oid(is_temporary(relation.oid))
        trigger.constraint_oid = builder.oid(is_temporary(relation.oid)) if trigger.is_constraint else 0
    builder.touch(is_temporary(relation.oid))
    builder.add(*(TABLES if not is_temporary(relation.oid) else (TEMP_TRIGGERS,)), store(trigger))
    if trigger.row and relation.partition is not None and relation.partition.strategy:
        # The module that does it needs this one.
        from helios_cli.engine.sql.ddl_trigger_parts import clone_to_partitions

        clone_to_partitions(builder, trigger, relation, replacing=bool(fields.get("replace")))
    return builder.finish("CREATE TRIGGER")


def _check_family(builder: Builder, relation: Relation) -> None:
    """Raise SqlError 0A000 for a row trigger with transition tables of a partitioned table, a partition or an heir."""
    message = "ROW triggers with transition tables are not supported on {}"
    if relation.partition is not None and relation.partition.strategy:
        what = f'"{relation.name}" is a partitioned table'
        raise builder.error("0A000", what, detail=f"{message.format('partitioned tables')}.")
    if builder.catalog.parents(relation.oid):
        what = "partitions" if relation.partition is not None else "inheritance children"
        raise builder.error("0A000", message.format(what))


def is_temporary(oid: int) -> bool:
    """Whether a trigger or its table is the session's own."""
    return oid >= FIRST_TEMP_OID


def _referenced(builder: Builder, relation: Relation, fields: dict[str, Any]) -> int:
    """The table that FROM names. Raises SqlError 42P01."""
    if "constrrel" not in fields:
        return 0
    found = builder.find_relation(fields["constrrel"])
    assert found is not None
    if is_temporary(found.oid) and not is_temporary(relation.oid):
        raise unsupported("a trigger of a table FROM a temporary one")
    return found.oid


def _transition(builder: Builder, relation: Relation, trigger: Trigger, fields: dict[str, Any]) -> None:
    """REFERENCING OLD TABLE or NEW TABLE (CreateTriggerFiringOn, trigger.c)."""
    if not fields.get("isTable"):
        message = "ROW variable naming in the REFERENCING clause is not supported"
        raise builder.error("0A000", message, hint="Use OLD TABLE or NEW TABLE for naming transition tables.")
    if relation.kind == "v":
        detail = "Triggers on views cannot have transition tables."
        raise builder.error("42809", f'"{relation.name}" is a view', detail=detail)
    if trigger.timing != "a":
        raise builder.error("42P17", "transition table name can only be specified for an AFTER trigger")
    if "TRUNCATE" in trigger.events:
        raise builder.error("42P17", "TRUNCATE triggers with transition tables are not supported")
    if len(trigger.events) != 1:
        raise builder.error("0A000", "transition tables cannot be specified for triggers with more than one event")
    if trigger.columns:
        raise builder.error("0A000", "transition tables cannot be specified for triggers with column lists")
    word, lacking = ("NEW", "DELETE") if fields.get("isNew") else ("OLD", "INSERT")
    if lacking in trigger.events:
        others = "an INSERT or UPDATE" if word == "NEW" else "a DELETE or UPDATE"
        raise builder.error("42P17", f"{word} TABLE can only be specified for {others} trigger")
    if word == "NEW":
        trigger.new_table = fields["name"]
    else:
        trigger.old_table = fields["name"]


def store(trigger: Trigger) -> str:
    """The statement that keeps a trigger."""
    return (
        f"INSERT OR REPLACE INTO {database_of(is_temporary(trigger.oid))}.helios_trigger "
        f"VALUES ({trigger.oid}, {trigger.relation}, "
        f"{constant(trigger.name)}, {constant(trigger.to_json())})"
    )


def forget(trigger: Trigger) -> str:
    """The statement that removes a trigger."""
    return delete(is_temporary(trigger.oid), "helios_trigger", oid=trigger.oid)


def _relation(builder: Builder, fields: dict[str, Any]) -> Relation:
    relation = builder.find_relation(fields)
    assert relation is not None
    if relation.kind == "c":
        raise builder.error("42501", f'permission denied: "{relation.name}" is a system catalog')
    if relation.kind == "S":
        message = f'relation "{relation.name}" cannot have triggers'
        raise builder.error("42809", message, detail="This operation is not supported for sequences.")
    return relation


def _function(builder: Builder, nodes: list[Any]) -> int:
    """The OID of a trigger function. Raises SqlError 42883, 42P17."""
    names = tree.strings(nodes)
    found = builder.catalog.functions(names[-2] if len(names) > 1 else None, names[-1])
    function = next((function for function in found if not function.args), None)
    routine = builder.catalog.routine(function.oid) if function is not None else None
    if routine is None and names[:-1] in ([], ["pg_catalog"]) and names[-1] in BUILTIN_TRIGGERS:
        return BUILTIN_TRIGGERS[names[-1]]
    if routine is None:
        raise builder.error("42883", f"function {'.'.join(names)}() does not exist")
    if routine.result != TRIGGER:
        raise builder.error("42P17", f"function {'.'.join(names)} must return type trigger")
    return routine.oid


def _check_kind(builder: Builder, relation: Relation, trigger: Trigger) -> None:
    is_view = relation.kind == "v"
    if not is_view and trigger.timing == "i":
        raise builder.error("42809", f'"{relation.name}" is a table', detail="Tables cannot have INSTEAD OF triggers.")
    if is_view and trigger.row and trigger.timing != "i":
        detail = "Views cannot have row-level BEFORE or AFTER triggers."
        raise builder.error("42809", f'"{relation.name}" is a view', detail=detail)
    if is_view and "TRUNCATE" in trigger.events:
        raise builder.error("42809", f'"{relation.name}" is a view', detail="Views cannot have TRUNCATE triggers.")
    if trigger.timing == "i":
        if not trigger.row:
            raise builder.error("0A000", "INSTEAD OF triggers must be FOR EACH ROW")
        if trigger.columns:
            raise builder.error("0A000", "INSTEAD OF triggers cannot have column lists")
    if trigger.row and "TRUNCATE" in trigger.events:
        raise builder.error("0A000", "TRUNCATE FOR EACH ROW triggers are not supported")


def _condition(builder: Builder, node: dict[str, Any], trigger: Trigger, relation: Relation) -> str:
    """The text of a WHEN condition. Raises SqlError as CreateTriggerFiringOn (trigger.c)."""
    if trigger.timing == "i":
        raise builder.error("0A000", "INSTEAD OF triggers cannot have WHEN conditions")
    known = {column.name for column in relation.columns}
    for part in tree.walk(node):
        if "SubLink" in part:
            at = part["SubLink"].get("location", -1)
            raise builder.error("0A000", "cannot use subquery in trigger WHEN condition", at)
        reference = part.get("ColumnRef")
        if reference is None:
            continue
        at = reference.get("location", -1)
        names = [item["String"]["sval"] for item in reference["fields"] if "String" in item]
        if len(names) == 1 and names[0] in known and len(reference["fields"]) == 1:
            raise builder.error("42702", f'column reference "{names[0]}" is ambiguous', at)
        if names and names[0] in ("old", "new"):
            _check_reference(builder, trigger, known, names, at)
    text = _printed(node, {column.name: column.type_oid for column in relation.columns})
    _check_type(builder, node, text, relation)
    return text


def _check_reference(builder: Builder, trigger: Trigger, known: set[str], names: list[str], at: int) -> None:
    """Whether a condition may name ``old.x`` or ``new.x``. Raises SqlError 42P17, 42703, 0A000."""
    word, column = names[0], names[1] if len(names) > 1 else ""
    if not trigger.row:
        raise builder.error("42P17", "statement trigger's WHEN condition cannot reference column values", at)
    if (word, "INSERT" in trigger.events) == ("old", True):
        raise builder.error("42P17", "INSERT trigger's WHEN condition cannot reference OLD values", at)
    if (word, "DELETE" in trigger.events) == ("new", True):
        raise builder.error("42P17", "DELETE trigger's WHEN condition cannot reference NEW values", at)
    if column in known or not column:
        return
    if column not in SYSTEM_COLUMNS:
        raise builder.error("42703", f"column {word}.{column} does not exist", at)
    if word == "new" and trigger.timing == "b":
        message = "BEFORE trigger's WHEN condition cannot reference NEW system columns"
        raise builder.error("0A000", message, at)


def _check_type(builder: Builder, node: dict[str, Any], text: str, relation: Relation) -> None:
    """A condition is a boolean, and calls what is there. Raises SqlError 42804, 42883."""
    from helios_cli.engine.sql.inner import InnerPlanner
    from helios_cli.engine.sql.planner import Planner

    try:
        found = (
            InnerPlanner(Planner(builder.functions), RowNames(relation)).expression(text, builder.catalog, None).outputs
        )
    except SqlError as error:
        if error.sqlstate not in ("42804", "42883", "42846"):
            return
        error.position = None
        raise
    if found and found[0] not in (BOOL, UNKNOWN):
        message = f"argument of WHEN must be type boolean, not type {type_name(found[0])}"
        raise builder.error("42804", message, tree.location(node))


class RowNames:
    """OLD and NEW of a table as names. Implements ``inner.Variables``."""

    column_wins: bool | None = False

    def __init__(self, relation: Relation) -> None:
        self._types = {column.name: column.type_oid for column in relation.columns} | {"tableoid": OID}
        self._names = tuple(column.name for column in relation.columns)

    def find(self, names: Sequence[str]) -> tuple[Hashable, int] | None:
        """See :class:`~helios_cli.engine.sql.inner.Variables`."""
        if len(names) != 2 or names[0] not in ("old", "new") or names[1] not in self._types:
            return None
        return (names[0], names[1]), self._types[names[1]]

    def table(self, name: str) -> None:
        """There are no tables of its own."""

    def absent(self, _names: Sequence[str]) -> bool:
        """A condition names only what is there."""
        return False

    def fields(self, names: Sequence[str]) -> tuple[str, ...] | None:
        """See :class:`~helios_cli.engine.sql.inner.Variables`."""
        return self._names if list(names) in (["old"], ["new"]) else None


_MARK: Final = "\x05"
_UNQUOTED: Final = re.compile('"\x05((?:[^"]|"")*)"')


def pretty_condition(text: str, columns: Mapping[str, int]) -> str:
    """A stored condition as pg_get_triggerdef prints it with ``pretty``; ``columns`` are its table's, with types."""
    return _printed(parse_expression(text), columns, pretty=True)


def _printed(node: Any, columns: Mapping[str, int], *, pretty: bool = False) -> str:
    types = {f"{_MARK}{word}.{pg_identifier(name)}": oid for name, oid in columns.items() for word in ("old", "new")}
    return _UNQUOTED.sub(lambda match: match[1].replace('""', '"'), deparse(_marked(node), types, pretty=pretty))


def _marked(node: Any) -> Any:
    """A copy of a tree whose ``old.x`` and ``new.*`` are single names, which the printing of expressions keeps."""
    if isinstance(node, list):
        return [_marked(item) for item in node]
    if not isinstance(node, dict):
        return node
    reference = node.get("ColumnRef")
    if reference is None:
        return {key: _marked(value) for key, value in node.items()}
    parts = [pg_identifier(item["String"]["sval"]) if "String" in item else "*" for item in reference["fields"]]
    return {"ColumnRef": {**reference, "fields": [{"String": {"sval": f"{_MARK}{'.'.join(parts)}"}}]}}


def drop_trigger(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan DROP TRIGGER. Raises SqlError 42P01, 42704."""
    names = list_names(fields["objects"][0])
    missing_ok = bool(fields.get("missing_ok"))
    range_var = range_var_of(names[:-1])
    relation = builder.catalog.relation(range_var.get("schemaname"), names[-2])
    if relation is None:
        if not missing_ok:
            raise builder.error("42P01", f'relation "{".".join(names[:-1])}" does not exist')
        builder.notices.append(f'relation "{".".join(names[:-1])}" does not exist, skipping')
        return builder.finish("DROP TRIGGER")
    trigger = find_trigger(builder, relation, names[-1])
    shown = f'trigger "{names[-1]}" for '
    if trigger is None:
        if not missing_ok:
            raise builder.error("42704", f'{shown}table "{relation.name}" does not exist')
        builder.notices.append(f'{shown}relation "{".".join(names[:-1])}" does not exist, skipping')
        return builder.finish("DROP TRIGGER")
    # The module that does it needs this one.
    from helios_cli.engine.sql.ddl_trigger_parts import forget_whole, parent_of

    above = parent_of(builder, trigger)
    if above is not None:
        whole = f"trigger {above[0].name} on table {above[1]}"
        message = f"cannot drop trigger {trigger.name} on table {relation.name} because {whole} requires it"
        raise builder.error("2BP01", message, hint=f"You can drop {whole} instead.")
    forget_whole(builder, trigger)
    return builder.finish("DROP TRIGGER")


def find_trigger(builder: Builder, relation: Relation, name: str) -> Trigger | None:
    """A trigger of a table; None when it has none of the name."""
    return next((trigger for trigger in builder.catalog.triggers(relation.oid) if trigger.name == name), None)


def rename_trigger(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan ALTER TRIGGER ... RENAME TO. Raises SqlError 42704, 42710."""
    relation = _relation(builder, fields["relation"])
    trigger = find_trigger(builder, relation, fields["subname"])
    if trigger is None:
        raise builder.error("42704", f'trigger "{fields["subname"]}" for table "{relation.name}" does not exist')
    if find_trigger(builder, relation, fields["newname"]) is not None:
        shown = f'trigger "{fields["newname"]}" for relation "{relation.name}" already exists'
        raise builder.error("42710", shown)
    # The module that does it needs this one.
    from helios_cli.engine.sql.ddl_trigger_parts import clones, parent_of

    above = parent_of(builder, trigger)
    if above is not None:
        hint = f'Rename the trigger on the partitioned table "{above[1]}" instead.'
        message = f'cannot rename trigger "{trigger.name}" on table "{relation.name}"'
        raise builder.error("XX000", message, hint=hint)
    for one in (trigger, *clones(builder, trigger.oid)):
        one.name = fields["newname"]
        builder.touch(is_temporary(one.oid))
        builder.add(store(one))
    return builder.finish("ALTER TRIGGER")


def follow_in_trigger(builder: Builder, trigger: Trigger, old: str, new: str) -> None:
    """A trigger follows the renaming of a column of its table."""
    relation = builder.catalog.relation_by_oid(trigger.relation)
    assert relation is not None
    columns = [new if name == old else name for name in trigger.columns]
    when = trigger.when
    if old in columns_named(when or None):
        node = parse_expression(when)
        for part in tree.walk(node):
            names = part["ColumnRef"]["fields"] if isinstance(part.get("ColumnRef"), dict) else []
            if len(names) > 1 and names[-1].get("String", {}).get("sval") == old:
                names[-1]["String"]["sval"] = new
        types = {new if column.name == old else column.name: column.type_oid for column in relation.columns}
        when = _printed(node, types)
    if (columns, when) != (trigger.columns, trigger.when):
        builder.touch(is_temporary(trigger.oid))
        builder.add(store(replace(trigger, columns=columns, when=when)))


SWITCHES: Final = {
    "AT_EnableTrig": "O", "AT_DisableTrig": "D", "AT_EnableAlwaysTrig": "A", "AT_EnableReplicaTrig": "R",
    "AT_EnableTrigAll": "O", "AT_DisableTrigAll": "D", "AT_EnableTrigUser": "O", "AT_DisableTrigUser": "D",
}  # fmt: skip
"""Subcommands of ALTER TABLE, and what tgenabled becomes."""


def switch_triggers(
    builder: Builder, relation_oid: int, shown: str, command: dict[str, Any], *, recurses: bool = True
) -> None:
    """Plan ALTER TABLE ... ENABLE or DISABLE TRIGGER, without ONLY for those of partitions too.

    Raises:
        SqlError: 42704.
    """
    # The module that knows them needs this one.
    from helios_cli.engine.sql.ddl_trigger_parts import heirs_triggers

    word = command["subtype"]
    triggers = builder.catalog.triggers(relation_oid)
    if word.endswith("Trig"):
        triggers = tuple(trigger for trigger in triggers if trigger.name == command["name"])
        if not triggers:
            raise builder.error("42704", f'trigger "{command["name"]}" for table "{shown}" does not exist')
    further = heirs_triggers(builder, relation_oid, [trigger.name for trigger in triggers]) if recurses else []
    for trigger in (*triggers, *further):
        builder.touch(is_temporary(trigger.oid))
        trigger.enabled = SWITCHES[word]
        builder.add(store(trigger))
    if not triggers:
        # A step that changes nothing: the statement is still one that changes definitions.
        builder.add("SELECT 1")
