"""ALTER TABLE ... ATTACH PARTITION and DETACH PARTITION (ATExecAttachPartition, ATExecDetachPartition, tablecmds.c)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from helios_cli.engine.sql.ddl_alter_columns import Alteration
from helios_cli.engine.sql.ddl_build import Builder
from helios_cli.engine.sql.ddl_create import copy_index
from helios_cli.engine.sql.ddl_deparse import parse_expression
from helios_cli.engine.sql.ddl_family import Family, mark_key
from helios_cli.engine.sql.ddl_inherit import make_table, parent_row
from helios_cli.engine.sql.ddl_model import ConstraintDef, IndexDef, TableDef
from helios_cli.engine.sql.ddl_parents import check_columns, check_constraints, leave, refuse_kind
from helios_cli.engine.sql.ddl_part_keys import join_keys, leave_keys
from helios_cli.engine.sql.ddl_partition import check_lasting, part_of, partitions_of, with_bound
from helios_cli.engine.sql.ddl_partition_parts import copied_key, narrow_default, part_row, set_bound
from helios_cli.engine.sql.ddl_render import constraint_row, delete, index_rows, stored_not_null
from helios_cli.engine.sql.ddl_trigger_parts import check_joining, clone_to_partition, take_clones
from helios_cli.engine.sql.rights import not_owner

_VIOLATED = 'partition constraint of relation "{}" is violated by some row'


def attach_partition(family: Family, alteration: Alteration, fields: dict[str, Any]) -> None:
    """ATTACH PARTITION.

    Raises:
        SqlError: 42P17 the table is not partitioned, the bound is another's; 42809 the other cannot be a partition;
            42804, 42P21 its columns or constraints do not fit; when it runs 23514, a row does not.
    """
    builder, parent = family.builder, alteration.table
    command = fields["def"]["PartitionCmd"]
    _check_parted(builder, parent)
    child = family.of(_joining(family, parent, command["name"]))
    table = child.table
    bound = part_of(builder, table, parent, command["bound"])
    check_columns(builder, table, parent)
    check_constraints(builder, table, parent)
    _inherited(child, parent)
    builder.add(make_table(table.temp), parent_row(table, parent, 1))
    new = with_bound(table.partition, bound)
    set_bound(builder, table, new, _VIOLATED)
    if bound.bound != "DEFAULT":
        narrow_default(builder, parent, new)
    join_keys(builder, table, parent, filled=True)
    _take_parts(family, child, parent)
    relation = builder.catalog.relation_by_oid(table.oid)
    assert relation is not None
    clone_to_partition(builder, parent.oid, relation)


def _check_parted(builder: Builder, table: TableDef) -> None:
    if not table.parted:
        raise builder.error("42P17", f'table "{table.name}" is not partitioned')


def _joining(family: Family, parent: TableDef, range_var: dict[str, Any]) -> TableDef:
    """The table that is to be a partition."""
    builder, catalog = family.builder, family.builder.catalog
    found = builder.find_relation(range_var)
    assert found is not None
    refuse_kind(builder, found, "ATTACH PARTITION")
    if not catalog.acting.unrestricted and not builder.rightful().owns(catalog.privileges.relation_owner(found.oid)):
        raise not_owner("table", found.name)
    table = family.table(found.oid)
    if table.is_partition:
        raise builder.error("42809", f'"{table.name}" is already a partition')
    if catalog.parents(table.oid):
        raise builder.error("42809", "cannot attach inheritance child as partition")
    if catalog.children(table.oid) and not table.parted:
        raise builder.error("42809", "cannot attach inheritance parent as partition")
    if parent.oid in (table.oid, *found.heirs):
        detail = f'"{parent.name}" is already a child of "{table.name}".'
        raise builder.error("42P07", "circular inheritance not allowed", detail=detail)
    check_lasting(builder, table, parent, "attach")
    check_joining(builder, found)
    for column in table.columns:
        if parent.column(column.name) is None:
            message = f'table "{table.name}" contains column "{column.name}" not found in parent "{parent.name}"'
            detail = "The new partition may contain only the columns present in parent."
            raise builder.error("42804", message, detail=detail)
    return table


def _inherited(child: Alteration, parent: TableDef) -> None:
    """The columns and CHECK constraints of a new partition are its parent's from now on."""
    for column in child.table.columns:
        column.local = False
        child.attribute(column, attnotnull=stored_not_null(column))
    for constraint in child.table.constraints:
        theirs = parent.constraint(constraint.name)
        if constraint.kind == "c" and theirs is not None and theirs.kind == "c" and not theirs.no_inherit:
            mark_key(child, constraint, local=False)


# -- indexes and keys (AttachPartitionEnsureIndexes, CloneForeignKeyConstraints) ------------------------------------


def _take_parts(family: Family, child: Alteration, parent: TableDef) -> None:
    """Every index and foreign key of the partitioned table gets one of the new partition, which is made if need be."""
    taken = _Taken(family)
    _take_indexes(taken, child, parent)
    for theirs in [one for one in parent.constraints if one.kind == "f"]:
        _take_key(taken, child, theirs)


class _Taken:
    """What belongs to an index or key of a partitioned table by now."""

    def __init__(self, family: Family) -> None:
        self.family = family
        self._new: set[int] = set()

    def is_free(self, oid: int) -> bool:
        """Whether it belongs to none."""
        return oid not in self._new and not self.family.builder.catalog.parents(oid)

    def add(self, table: TableDef, oid: int, parent: int) -> None:
        """Record that one belongs to another."""
        self._new.add(oid)
        self.family.builder.add(make_table(table.temp), part_row(table, oid, parent))


def _take_indexes(taken: _Taken, child: Alteration, parent: TableDef) -> None:
    table, builder = child.table, taken.family.builder
    keys = {one.index_oid: one for one in parent.constraints if one.index_oid}
    for theirs in parent.indexes:
        key = keys.get(theirs.oid)
        if any(theirs.oid in builder.catalog.parents(one.oid) for one in table.indexes):
            continue
        fitting = (one for one in table.indexes if taken.is_free(one.oid) and is_alike(theirs, one))
        own = next((one for one in fitting if key is None or key_of(table, one) is not None), None)
        if own is None:
            _make_index(taken, child, parent, theirs)
            continue
        taken.add(table, own.oid, theirs.oid)
        own_key = key_of(table, own)
        if key is not None and own_key is not None:
            mark_key(child, own_key, local=False)
        if table.parted:
            # Its partitions have theirs already.
            continue


def _make_index(taken: _Taken, child: Alteration, parent: TableDef, theirs: IndexDef) -> None:
    """Give a partition, and its own ones, an index like one of the partitioned table."""
    builder, table = taken.family.builder, child.table
    copy_index(builder, table, parent, theirs)
    position = len(table.indexes) - 1
    made = table.indexes[position]
    child.now(builder.index_sql(table, position))
    builder.add(*index_rows(table.temp, made))
    key = key_of(table, made)
    if key is not None:
        builder.add(constraint_row(table.temp, key))
    taken.add(table, made.oid, theirs.oid)
    for part in taken.family.children(table) if table.parted else ():
        _take_indexes(taken, part, table)


def _take_key(taken: _Taken, child: Alteration, theirs: ConstraintDef) -> None:
    table = child.table
    keys = (one for one in table.constraints if one.kind == "f" and taken.is_free(one.oid))
    own = next((one for one in keys if _same_key(one, theirs)), None)
    if own is not None:
        mark_key(child, own, local=False)
        taken.add(table, own.oid, theirs.oid)
        return
    builder = taken.family.builder
    own = copied_key(builder, table, theirs)
    table.constraints.append(own)
    builder.add(constraint_row(table.temp, own))
    taken.add(table, own.oid, theirs.oid)
    taken.family.verify_key(child, own)
    for part in taken.family.children(table) if table.parted else ():
        _take_key(taken, part, own)


def key_of(table: TableDef, index: IndexDef) -> ConstraintDef | None:
    """The key that an index is behind."""
    return next((one for one in table.constraints if one.index_oid == index.oid), None)


def is_alike(one: IndexDef, other: IndexDef) -> bool:
    """Whether two indexes of tables with the same columns index the same (CompareIndexInfo, index.c)."""
    if (one.unique, one.method, one.predicate, one.nulls_alike) != (
        other.unique, other.method, other.predicate, other.nulls_alike,
    ):  # fmt: skip
        return False
    named = [
        [(key.column, key.expression, key.collation, key.opclass) for key in index.keys] + [*index.include]
        for index in (one, other)
    ]
    return named[0] == named[1]


def _same_key(one: ConstraintDef, other: ConstraintDef) -> bool:
    """Whether two foreign keys differ in nothing but their tables and names (tryAttachPartitionForeignKey)."""

    def shown(key: ConstraintDef) -> tuple[object, ...]:
        return (
            dict(zip(key.columns, key.ref_columns, strict=True)), key.ref_oid, key.on_update, key.on_delete, key.match,
            key.deferrable, key.deferred, key.validated, sorted(key.delete_columns),
        )  # fmt: skip

    return shown(one) == shown(other)


# -- DETACH -------------------------------------------------------------------------------------------------------


def detach_partition(family: Family, alteration: Alteration, fields: dict[str, Any]) -> None:
    """DETACH PARTITION, with CONCURRENTLY and FINALIZE.

    Raises:
        SqlError: 42P17 the table is not partitioned, 42P01 the other is no partition of it; 55000 there is a default
            one, nothing is left to finish.
    """
    builder, parent = family.builder, alteration.table
    command = fields["def"]["PartitionCmd"]
    _check_parted(builder, parent)
    concurrent = bool(command.get("concurrent"))
    if concurrent and any(one.partition and one.partition.bound == "DEFAULT" for one in partitions_of(builder, parent)):
        raise builder.error("55000", "cannot detach partitions concurrently when a default partition exists")
    found = builder.find_relation(command["name"])
    assert found is not None
    if parent.oid not in builder.catalog.parents(found.oid):
        raise builder.error("42P01", f'relation "{found.name}" is not a partition of relation "{parent.name}"')
    child = family.of(family.table(found.oid))
    if fields["subtype"] == "AT_DetachPartitionFinalize":
        detail = "There's no pending concurrent detach."
        raise builder.error("55000", f'cannot complete detaching partition "{found.name}"', detail=detail)
    _detach(family, child, parent)
    if concurrent:
        check = found.partition.check if found.partition is not None else ""
        family.install(child, {"contype": "CONSTR_CHECK", "raw_expr": parse_expression(check)})


def _detach(family: Family, child: Alteration, parent: TableDef) -> None:
    builder, table = family.builder, child.table
    leave_keys(builder, table, parent)
    leave(child, parent)
    take_clones(builder, table.oid)
    for constraint in table.constraints:
        if constraint.kind != "c" and not constraint.local:
            mark_key(child, constraint, local=True)
    for oid in (*(one.oid for one in table.indexes), *(one.oid for one in table.constraints), table.oid):
        if builder.catalog.parents(oid):
            builder.add(delete(table.temp, "helios_inherits", inhrelid=oid))
    old = table.partition
    set_bound(builder, table, replace(old, bound="", own="", check="") if old is not None and old.strategy else None)
    narrow_default(builder, parent, None, (table.oid,))


__all__ = ["attach_partition", "detach_partition"]
