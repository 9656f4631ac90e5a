"""What the catalogs tell of tables that inherit from others."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from helios_cli.engine.sql.ddl_deparse import deparse, parse_expression
from helios_cli.engine.sql.ddl_model import ConstraintDef
from helios_cli.engine.sql.ddl_partition_rows import key_text
from helios_cli.engine.sql.relation import Partition
from helios_cli.engine.storage.system_snapshot import Snapshot

Rows = Iterator[dict[str, Any]]
PG_CLASS, PG_CONSTRAINT = 1259, 2606


def column_parents(snapshot: Snapshot, oid: int, name: str) -> int:
    """How many parents a table has a column from."""
    return sum(snapshot.attnum(parent, name) > 0 for parent in snapshot.parents.get(oid, ()))


def inherited_count(snapshot: Snapshot, constraint: ConstraintDef) -> int:
    """How many parents a table has a constraint from."""
    if constraint.kind != "c":
        return int(not constraint.local)
    parents = snapshot.parents.get(constraint.table_oid, ())
    checks = [
        any(
            found.kind == "c" and not found.no_inherit and found.name == constraint.name
            for found in snapshot.table_constraints.get(parent, ())
        )
        for parent in parents
    ]
    return sum(checks)


def is_own(snapshot: Snapshot, constraint: ConstraintDef) -> bool:
    """Whether heirs do not get a constraint."""
    if constraint.kind == "f":
        found = snapshot.partitions.get(constraint.table_oid)
        return not key_parent(snapshot, constraint) and (found is None or not found.strategy)
    return constraint.kind != "c" or constraint.no_inherit


def key_parent(snapshot: Snapshot, constraint: ConstraintDef) -> int:
    """The key of the partitioned table that a key of a partition belongs to; 0 for others."""
    if constraint.kind == "f":
        return next(iter(snapshot.parents.get(constraint.oid, ())), 0)
    above = next(iter(snapshot.parents.get(constraint.index_oid, ())), 0)
    index = snapshot.indexes.get(above)
    found = snapshot.table_constraints.get(index.table_oid, ()) if index is not None else ()
    return next((one.oid for one in found if one.index_oid == above), 0)


def pg_inherits(snapshot: Snapshot, oid: int) -> Rows:
    """What a table or an index of a partition inherits from; the parents of keys are told by pg_constraint."""
    if oid in snapshot.constraints:
        return
    for place, parent in enumerate(snapshot.parents[oid], 1):
        yield {"inhrelid": oid, "inhparent": parent, "inhseqno": place, "inhdetachpending": 0}


def parent_depends(snapshot: Snapshot, oid: int) -> Rows:
    """Tables need those that they inherit from; indexes and keys of partitions those that they belong to."""
    key = snapshot.constraints.get(oid)
    index = snapshot.indexes.get(oid)
    if key is not None or index is not None:
        found = snapshot.table_constraints.get(index.table_oid, ()) if index is not None else ()
        key = key or next((one for one in found if one.index_oid == oid), None)
        if key is not None:
            parent = key_parent(snapshot, key)
            yield _depends(PG_CONSTRAINT, key.oid, parent, "P")
            yield {**_depends(PG_CONSTRAINT, key.oid, key.table_oid, "S"), "refclassid": PG_CLASS}
        if index is not None:
            yield _depends(PG_CLASS, oid, snapshot.parents[oid][0], "P")
            yield _depends(PG_CLASS, oid, index.table_oid, "S")
        return
    for parent in snapshot.parents[oid]:
        yield _depends(PG_CLASS, oid, parent, "a" if oid in snapshot.partitions else "n")


def _depends(class_oid: int, oid: int, on: int, kind: str) -> dict[str, Any]:
    return {"classid": class_oid, "objid": oid, "refclassid": class_oid, "refobjid": on, "deptype": kind}


def parted_class(snapshot: Snapshot, oid: int, kind: str) -> dict[str, Any]:
    """What is another in pg_class for partitioned tables, partitions, and their indexes."""
    if kind == "i":
        table = snapshot.partitions.get(snapshot.indexes[oid].table_oid)
        parted = table is not None and bool(table.strategy)
        return {"relkind": "I" if parted else "i", "relispartition": int(oid in snapshot.parents)}
    found = snapshot.partitions.get(oid)
    if found is None:
        return {}
    bound = {"relispartition": int(bool(found.bound)), "relpartbound": found.bound or None}
    return {"relkind": "p", "relam": 0, "relfilenode": 0, **bound} if found.strategy else bound


def pg_partitioned_table(snapshot: Snapshot, oid: int) -> Rows:
    """How tables are partitioned."""
    found = snapshot.partitions[oid]
    if not found.strategy:
        return
    defaults = (
        child for child in snapshot.children.get(oid, ()) if (part := snapshot.partitions.get(child)) is not None
        and part.bound == "DEFAULT"
    )  # fmt: skip
    expressions = ", ".join(_shown_expressions(snapshot, oid, found))
    numbers = [snapshot.attnum(oid, name) if name else 0 for name in found.keys]
    yield {
        "partrelid": oid, "partstrat": found.strategy, "partnatts": len(numbers), "partdefid": next(defaults, 0),
        "partattrs": " ".join(map(str, numbers)), "partclass": " ".join("0" for _ in numbers),
        "partcollation": " ".join("0" for _ in numbers), "partexprs": expressions or None,
    }  # fmt: skip


def functions(snapshot: Callable[[], Snapshot]) -> dict[str, tuple[Callable[..., Any], int]]:
    """The functions of SQL that tell of partitions, with the numbers of their arguments."""
    return {
        "cat_partkeydef": (lambda oid: _key_text(snapshot(), oid), 1),
        "cat_partition_check": (lambda oid: _check(snapshot(), oid), 1),
        "cat_partition_root": (lambda oid: next(reversed(_ancestors(snapshot(), oid)), None), 1),
        "cat_partition_ancestors": (lambda oid: json.dumps(_ancestors(snapshot(), oid)), 1),
        "cat_partition_tree": (lambda oid: json.dumps(_tree(snapshot(), oid)), 1),
    }


def _key_text(snapshot: Snapshot, oid: int) -> str | None:
    found = snapshot.partitions.get(oid)
    if found is None or not found.strategy:
        return None
    return key_text(replace(found, expressions=_shown_expressions(snapshot, oid, found)))


def _shown_expressions(snapshot: Snapshot, oid: int, found: Partition) -> tuple[str, ...]:
    types = {column.name: column.type_oid for column in snapshot.columns.get(oid, ())}
    return tuple(deparse(parse_expression(text), types) for text in found.expressions)


def _check(snapshot: Snapshot, oid: int) -> str | None:
    found = snapshot.partitions.get(oid)
    if found is None or not found.check:
        return None
    types = {column.name: column.type_oid for column in snapshot.columns.get(oid, ())}
    return deparse(parse_expression(found.check), types)


def _is_part(snapshot: Snapshot, oid: int) -> bool:
    """Whether a relation is a partition or partitioned, or an index of one."""
    index = snapshot.indexes.get(oid)
    return (index.table_oid if index is not None else oid) in snapshot.partitions


def _ancestors(snapshot: Snapshot, oid: int) -> list[int]:
    """A relation and what it is a partition of, the nearest first; empty for others."""
    found = [oid] if _is_part(snapshot, oid) else []
    while found and snapshot.parents.get(found[-1]):
        found.append(snapshot.parents[found[-1]][0])
    return found


def _tree(snapshot: Snapshot, oid: int) -> list[list[int | None]]:
    """A relation and its partitions: OID, parent, whether it has none itself, and how far below the first it is."""
    if not _is_part(snapshot, oid):
        return []
    levels = {oid: 0}
    for one in (found := [oid]):
        below = [child for child in snapshot.children.get(one, ()) if _is_part(snapshot, child)]
        levels |= dict.fromkeys(below, levels[one] + 1)
        found += below
    return [
        [one, (snapshot.parents.get(one) or (None,))[0], int(not _parted(snapshot, one)), levels[one]] for one in found
    ]


def _parted(snapshot: Snapshot, oid: int) -> bool:
    index = snapshot.indexes.get(oid)
    found = snapshot.partitions.get(index.table_oid if index is not None else oid)
    return found is not None and bool(found.strategy)
