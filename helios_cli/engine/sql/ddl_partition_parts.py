"""What partitions have of the tables that they are partitions of, and what they leave to a default one."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy

from helios_cli.engine.sql.ddl_alter_columns import Alteration
from helios_cli.engine.sql.ddl_build import Builder, unsupported
from helios_cli.engine.sql.ddl_create import copy_index
from helios_cli.engine.sql.ddl_inherit import make_table
from helios_cli.engine.sql.ddl_model import ConstraintDef, IndexDef, TableDef
from helios_cli.engine.sql.ddl_partition import bounded, none_of, partitions_of
from helios_cli.engine.sql.ddl_partition_rows import partition_rows
from helios_cli.engine.sql.ddl_render import index_rows, insert, partition_check_name, partition_clause
from helios_cli.engine.sql.relation import Partition


def take_parts(builder: Builder, table: TableDef, parent: TableDef) -> list[str]:
    """Give a new partition indexes, keys and foreign keys like its parent's; the steps that record whose they are."""
    steps = []
    for index in parent.indexes:
        if index.excludes:
            raise unsupported("a partition of a table with EXCLUDE constraints")
        copy_index(builder, table, parent, index)
        steps += [make_table(table.temp), index_row(table, table.indexes[-1], index.oid)]
    for constraint in parent.constraints:
        if constraint.kind == "f":
            table.constraints.append(copied_key(builder, table, constraint))
    return steps


def copied_key(builder: Builder, table: TableDef, constraint: ConstraintDef) -> ConstraintDef:
    """A foreign key of a partitioned table for one of its partitions."""
    copied = deepcopy(constraint)
    copied.oid, copied.table_oid, copied.local = builder.oid(table.temp), table.oid, False
    return copied


def index_row(table: TableDef, index: IndexDef, parent: int) -> str:
    """The step that records which index of the partitioned table an index of a partition belongs to."""
    return insert(table.temp, "helios_inherits", inhrelid=index.oid, inhparent=parent, inhseqno=1)


def index_partitions(builder: Builder, table: TableDef, index: IndexDef) -> None:
    """Write the steps that give every partition an index like a new one of the partitioned table."""
    for child in partitions_of(builder, table):
        copy_index(builder, child, table, index)
        made = child.indexes[-1]
        builder.add(builder.index_sql(child, len(child.indexes) - 1), *index_rows(child.temp, made))
        builder.add(make_table(child.temp), index_row(child, made, index.oid))
        index_partitions(builder, child, made)


def narrow_default(builder: Builder, parent: TableDef, added: Partition | None, gone: Iterable[int] = ()) -> None:
    """Write the steps that leave to a new partition what would have gone to the default one, or give it what is left
    by partitions that go.
    """
    siblings = [found for found in partitions_of(builder, parent) if found.oid not in gone]
    default = next((found for found in siblings if found.partition and found.partition.bound == "DEFAULT"), None)
    if default is None or default.partition is None:
        return
    if default.partition.strategy:
        raise unsupported("a partition beside a default one that is partitioned itself", "Drop the default one.")
    others = [found.partition for found in siblings if found is not default and found.partition is not None]
    default.partition = bounded(parent, "DEFAULT", none_of([*others, added] if added is not None else others))
    alteration = Alteration(builder, default)
    if added is not None:
        message = f'updated partition constraint for default partition "{default.name}" would be violated by some row'
        alteration.verify(builder.translate(default, added.own, "CHECK"), "23514", message)
    alteration.now(f"{alteration.alter()} DROP CONSTRAINT {partition_check_name(default.oid)}")
    alteration.now(f"{alteration.alter()} ADD {partition_clause(default, builder.translate)}")
    builder.add(*partition_rows(default.temp, default.oid, default.partition))
