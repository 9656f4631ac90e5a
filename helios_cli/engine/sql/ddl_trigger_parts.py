"""Row triggers of partitioned tables: every partition has one like each (CloneRowTriggersToPartition, tablecmds.c)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from helios_cli.engine.sql.ddl_build import Builder
from helios_cli.engine.sql.ddl_function import TABLES, TEMP_TRIGGERS
from helios_cli.engine.sql.ddl_render import delete
from helios_cli.engine.sql.ddl_trigger import find_trigger, forget, is_temporary, store
from helios_cli.engine.sql.relation import Relation
from helios_cli.engine.sql.routines import Trigger


def clones(builder: Builder, oid: int) -> list[Trigger]:
    """The triggers of partitions that were made after a trigger, at once or further on."""
    found = [trigger for trigger in builder.catalog.all_triggers() if trigger.parent == oid]
    return [*found, *(further for one in found for further in clones(builder, one.oid))]


def clone_to_partitions(builder: Builder, trigger: Trigger, relation: Relation, *, replacing: bool) -> None:
    """Write the steps that give every partition of a table a trigger like a new one of the table.

    Raises:
        SqlError: 42710, a partition has one of the name.
    """
    for oid in builder.catalog.children(relation.oid):
        child = builder.catalog.relation_by_oid(oid)
        if child is not None:
            _clone(builder, trigger, child, replacing=replacing)


def _clone(builder: Builder, trigger: Trigger, child: Relation, *, replacing: bool) -> None:
    known = find_trigger(builder, child, trigger.name)
    if known is not None and not (replacing and known.parent == trigger.oid):
        shown = f'trigger "{trigger.name}" for relation "{child.name}" already exists'
        raise builder.error("42710", shown)
    temp = is_temporary(child.oid)
    made = replace(trigger, oid=known.oid if known is not None else builder.oid(temp), relation=child.oid)
    made.parent, made.enabled = trigger.oid, trigger.enabled
    if trigger.constraint_oid:
        made.constraint_oid = known.constraint_oid if known is not None else builder.oid(temp)
    builder.touch(temp)
    builder.add(*(TABLES if not temp else (TEMP_TRIGGERS,)), store(made))
    clone_to_partitions(builder, made, child, replacing=replacing)


def clone_to_partition(builder: Builder, parent: int, child: Relation) -> None:
    """Write the steps that give a new partition the row triggers of its table. Raises SqlError 42710."""
    for trigger in builder.catalog.triggers(parent):
        if trigger.row:
            _clone(builder, trigger, child, replacing=False)


def check_joining(builder: Builder, child: Relation) -> None:
    """Raise SqlError 0A000 for a table that cannot be a partition because of a trigger."""
    for trigger in builder.catalog.triggers(child.oid):
        if trigger.row and (trigger.old_table or trigger.new_table):
            message = f'trigger "{trigger.name}" prevents table "{child.name}" from becoming a partition'
            detail = "ROW triggers with transition tables are not supported on partitions."
            raise builder.error("0A000", message, detail=detail)


def take_clones(builder: Builder, child: int) -> None:
    """Write the steps that take the triggers of its table from a partition that goes its own way."""
    for trigger in builder.catalog.triggers(child):
        if trigger.parent:
            forget_whole(builder, trigger)


def forget_whole(builder: Builder, trigger: Trigger) -> None:
    """Write the steps that remove a trigger, and those of partitions like it."""
    for one in (trigger, *clones(builder, trigger.oid)):
        builder.touch(is_temporary(one.oid))
        builder.add(forget(one), delete(is_temporary(one.oid), "helios_description", objoid=one.oid))


def parent_of(builder: Builder, trigger: Trigger) -> tuple[Trigger, str] | None:
    """The trigger that one of a partition is like, and the name of its table; None for others."""
    if not trigger.parent:
        return None
    found = next(one for one in builder.catalog.all_triggers() if one.oid == trigger.parent)
    relation = builder.catalog.relation_by_oid(found.relation)
    return found, relation.name if relation is not None else str(found.relation)


def heirs_triggers(builder: Builder, relation_oid: int, names: Sequence[str]) -> list[Trigger]:
    """The triggers of partitions that are like some of a table's."""
    found = [trigger for trigger in builder.catalog.triggers(relation_oid) if trigger.name in names]
    return [clone for trigger in found for clone in clones(builder, trigger.oid)]
