"""Indexes of partitioned tables whose partitions get theirs later: ON ONLY, ALTER INDEX ... ATTACH PARTITION."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from helios_cli.engine.sql.ddl_alter_columns import Alteration
from helios_cli.engine.sql.ddl_attach import is_alike, key_of
from helios_cli.engine.sql.ddl_build import Builder
from helios_cli.engine.sql.ddl_family import mark_key
from helios_cli.engine.sql.ddl_inherit import make_table
from helios_cli.engine.sql.ddl_model import INCOMPLETE, IndexDef, TableDef
from helios_cli.engine.sql.ddl_partition import partitions_of
from helios_cli.engine.sql.ddl_partition_parts import part_row
from helios_cli.engine.sql.ddl_render import stored_rules, update


def attach_index(builder: Builder, named: dict[str, Any], other: dict[str, Any]) -> None:
    """ALTER INDEX ... ATTACH PARTITION (ATExecAttachPartitionIdx, tablecmds.c).

    Raises:
        SqlError: 42P01 no such index, 42809, 42P17 what is named is none, or is not as the other is; 55000 its table is
            no partition of the other's, or has one already.
    """
    index = _index(builder, named, "42809")
    table = builder.catalog.table_def(index.table_oid)
    assert table is not None
    builder.temp = table.temp
    builder.touch(table.temp)
    if not table.parted:
        message = f'ALTER action ATTACH PARTITION cannot be performed on relation "{index.name}"'
        raise builder.error("42809", message, detail="This operation is not supported for indexes.")
    part = _index(builder, other, "42P17")
    if index.oid in builder.catalog.parents(part.oid):
        return
    child = builder.catalog.table_def(part.table_oid)
    assert child is not None
    _check(builder, (table, index), (child, part))
    builder.add(make_table(table.temp), part_row(child, part.oid, index.oid))
    key = key_of(child, part)
    if key is not None and key_of(table, index) is not None:
        mark_key(Alteration(builder, child), key, local=False)
    _complete(builder, table, index, part.oid)


def _index(builder: Builder, range_var: dict[str, Any], sqlstate: str) -> IndexDef:
    found = builder.catalog.index_def(range_var.get("schemaname"), range_var["relname"])
    if found is None:
        name = builder.find_relation(range_var)
        assert name is not None
        raise builder.error(sqlstate, f'"{name.name}" is not an index')
    return found


def _check(builder: Builder, whole: tuple[TableDef, IndexDef], part: tuple[TableDef, IndexDef]) -> None:
    (table, index), (child, own) = whole, part

    def refuse(sqlstate: str, detail: str) -> Exception:
        message = f'cannot attach index "{own.name}" as a partition of index "{index.name}"'
        return builder.error(sqlstate, message, detail=detail)

    if builder.catalog.parents(own.oid):
        raise refuse("55000", f'Index "{own.name}" is already attached to another index.')
    if table.oid not in builder.catalog.parents(child.oid):
        raise refuse("55000", f'Index "{own.name}" is not an index on any partition of table "{table.name}".')
    if any(index.oid in builder.catalog.parents(one.oid) for one in child.indexes):
        raise refuse("55000", f'Another index is already attached for partition "{child.name}".')
    if not is_alike(index, own):
        raise refuse("42P17", "The index definitions do not match.")
    if key_of(table, index) is not None and key_of(child, own) is None:
        detail = f'The index "{index.name}" belongs to a constraint in table "{table.name}" but no constraint exists '
        raise refuse("42P17", f'{detail}for index "{own.name}".')


def _complete(builder: Builder, table: TableDef, index: IndexDef, new: int) -> None:
    """An index to which every partition's belongs is valid from now on (validatePartitionedIndex)."""
    catalog = builder.catalog
    for child in partitions_of(builder, table):
        own = next((one for one in child.indexes if one.oid == new or index.oid in catalog.parents(one.oid)), None)
        if own is None or (own.incomplete and own.oid != new):
            return
    if index.incomplete:
        index = replace(index, rules=index.rules & ~INCOMPLETE)
        builder.add(update(table.temp, "helios_index", {"indisunique": stored_rules(index)}, oid=index.oid))
    for oid in catalog.parents(index.oid):
        above = catalog.table_def(catalog.parents(table.oid)[0])
        found = next((one for one in above.indexes if one.oid == oid), None) if above is not None else None
        if above is not None and found is not None:
            _complete(builder, above, found, index.oid)


def leave_incomplete(builder: Builder, table: TableDef, index: IndexDef) -> None:
    """Write that no partition has an index yet that belongs to a new one."""
    if partitions_of(builder, table):
        index.rules |= INCOMPLETE
        builder.add(update(table.temp, "helios_index", {"indisunique": stored_rules(index)}, oid=index.oid))


__all__ = ["attach_index", "leave_incomplete"]
