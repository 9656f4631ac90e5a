"""What partitions have of the tables that they are partitions of, and what they leave to a default one."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import replace

from helios_cli.engine.sql.ddl_alter_columns import Alteration
from helios_cli.engine.sql.ddl_build import Builder, unsupported
from helios_cli.engine.sql.ddl_create import copy_index
from helios_cli.engine.sql.ddl_inherit import make_table
from helios_cli.engine.sql.ddl_model import ConstraintDef, IndexDef, TableDef
from helios_cli.engine.sql.ddl_part_keys import join_keys
from helios_cli.engine.sql.ddl_partition import none_of, partitions_of, whole_check
from helios_cli.engine.sql.ddl_partition_rows import partition_rows
from helios_cli.engine.sql.ddl_render import delete, index_rows, insert, partition_check_name, partition_clause
from helios_cli.engine.sql.relation import Partition


def take_parts(builder: Builder, table: TableDef, parent: TableDef) -> list[str]:
    """Give a new partition indexes, keys and foreign keys like its parent's; the steps that record whose they are."""
    steps = []
    for index in parent.indexes:
        if index.excludes:
            raise unsupported("a partition of a table with EXCLUDE constraints")
        copy_index(builder, table, parent, index)
        steps += [make_table(table.temp), part_row(table, table.indexes[-1].oid, index.oid)]
    for constraint in parent.constraints:
        if constraint.kind == "f":
            table.constraints.append(copied_key(builder, table, constraint))
            steps += [make_table(table.temp), part_row(table, table.constraints[-1].oid, constraint.oid)]
    join_keys(builder, table, parent)
    return steps


def copied_key(builder: Builder, table: TableDef, constraint: ConstraintDef) -> ConstraintDef:
    """A foreign key of a partitioned table for one of its partitions."""
    copied = deepcopy(constraint)
    copied.oid, copied.table_oid, copied.local = builder.oid(table.temp), table.oid, False
    return copied


def part_row(table: TableDef, oid: int, parent: int) -> str:
    """The step that records which index or foreign key of the partitioned table one of a partition belongs to."""
    return insert(table.temp, "helios_inherits", inhrelid=oid, inhparent=parent, inhseqno=1)


def index_partitions(builder: Builder, table: TableDef, index: IndexDef) -> None:
    """Write the steps that give every partition an index like a new one of the partitioned table."""
    for child in partitions_of(builder, table):
        copy_index(builder, child, table, index)
        made = child.indexes[-1]
        builder.add(builder.index_sql(child, len(child.indexes) - 1), *index_rows(child.temp, made))
        builder.add(make_table(child.temp), part_row(child, made.oid, index.oid))
        index_partitions(builder, child, made)


def narrow_default(builder: Builder, parent: TableDef, added: Partition | None, gone: Iterable[int] = ()) -> None:
    """Write the steps that leave to a new partition what would have gone to the default one, or give it what is left
    by partitions that go.
    """
    siblings = [found for found in partitions_of(builder, parent) if found.oid not in gone]
    default = next((found for found in siblings if found.partition and found.partition.bound == "DEFAULT"), None)
    if default is None or default.partition is None:
        return
    others = [found.partition for found in siblings if found is not default and found.partition is not None]
    own = none_of(builder, parent, [*others, added] if added is not None else others)
    new = replace(default.partition, own=own, check=whole_check(parent.partition, own))
    message = 'updated partition constraint for default partition "{}" would be violated by some row'
    set_bound(builder, default, new, message if added is not None else "")


def set_bound(builder: Builder, table: TableDef, new: Partition | None, message: str = "") -> None:
    """Write the steps that give a table other rows than it had, and its partitions with it; None: it has any.

    ``message`` with the table's name is that of 23514 for rows that are there and do not fit; '': they do.
    """
    alteration, old, name = Alteration(builder, table), table.partition, partition_check_name(table.oid)
    table.partition = new
    if old is not None and old.check:
        alteration.now(f"{alteration.alter()} DROP CONSTRAINT {name}")
    if new is not None and new.check:
        if message:
            condition = f"NOT ({builder.translate(table, new.check, 'CHECK')})"
            alteration.verify(condition, "23514", message.format(table.name))
        alteration.now(f"{alteration.alter()} ADD {partition_clause(table, builder.translate)}")
    if new is None:
        builder.add(delete(table.temp, "helios_partition", oid=table.oid))
    else:
        builder.add(*partition_rows(table.temp, table.oid, new))
    for child in partitions_of(builder, table) if table.parted else ():
        if child.partition is not None:
            part = replace(child.partition, check=whole_check(new, child.partition.own))
            set_bound(builder, child, part, message)
