"""What the catalogs tell of tables that inherit from others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from helios_cli.engine.sql.ddl_model import ConstraintDef
from helios_cli.engine.storage.system_snapshot import Snapshot

Rows = Iterator[dict[str, Any]]
PG_CLASS = 1259


def column_parents(snapshot: Snapshot, oid: int, name: str) -> int:
    """How many parents a table has a column from."""
    return sum(snapshot.attnum(parent, name) > 0 for parent in snapshot.parents.get(oid, ()))


def inherited_count(snapshot: Snapshot, constraint: ConstraintDef) -> int:
    """How many parents a table has a CHECK from."""
    parents = snapshot.parents.get(constraint.table_oid, ()) if constraint.kind == "c" else ()
    checks = [
        any(
            found.kind == "c" and not found.no_inherit and found.name == constraint.name
            for found in snapshot.table_constraints.get(parent, ())
        )
        for parent in parents
    ]
    return sum(checks)


def pg_inherits(snapshot: Snapshot, oid: int) -> Rows:
    """What a table inherits from."""
    for place, parent in enumerate(snapshot.parents[oid], 1):
        yield {"inhrelid": oid, "inhparent": parent, "inhseqno": place, "inhdetachpending": 0}


def parent_depends(snapshot: Snapshot, oid: int) -> Rows:
    """Tables need those that they inherit from."""
    for parent in snapshot.parents[oid]:
        yield {"classid": PG_CLASS, "objid": oid, "refclassid": PG_CLASS, "refobjid": parent, "deptype": "n"}
