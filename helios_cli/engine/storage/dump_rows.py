"""Rows that pg_dump goes by: what defaults depend on, and the rights that were there from the start."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from helios_cli.engine.sql.privileges import PG_NAMESPACE
from helios_cli.engine.sql.rights import CLOSED_RELATIONS
from helios_cli.engine.storage.system_relations import SYSTEM_RELATIONS
from helios_cli.engine.storage.system_snapshot import Snapshot

Rows = Iterator[dict[str, Any]]
PG_CLASS, PG_ATTRDEF, PG_CONSTRAINT = 1259, 2604, 2606


def system_acl(name: str) -> str:
    """What everybody may do with a relation of the catalog: read it, but for a few."""
    return "{helios=arwdDxt/helios" + ("}" if name in CLOSED_RELATIONS else ",=r/helios}")


def constraint_depends(snapshot: Snapshot, oid: int) -> Rows:
    """Indexes go with constraints, constraints with their columns; a foreign key needs the key that it refers to."""
    constraint = snapshot.constraints[oid]
    if constraint.index_oid:
        yield {
            "classid": PG_CLASS, "objid": constraint.index_oid, "refclassid": PG_CONSTRAINT,
            "refobjid": constraint.oid, "deptype": "i",
        }  # fmt: skip
    if constraint.kind not in "puf":
        return
    of_constraint = {"classid": PG_CONSTRAINT, "objid": constraint.oid, "refclassid": PG_CLASS}
    ends = [("a", constraint.table_oid, constraint.columns)]
    if constraint.kind == "f":
        ends.append(("n", constraint.ref_oid, constraint.ref_columns))
        yield {**of_constraint, "refobjid": constraint.ref_index_oid, "deptype": "n"}
    for kind, table, columns in ends:
        for name in filter(None, columns):
            yield {**of_constraint, "refobjid": table, "refobjsubid": snapshot.attnum(table, name), "deptype": kind}


def default_depends(snapshot: Snapshot, relation: int) -> Rows:
    """Defaults go with their columns, and one that takes a sequence's values needs the sequence."""
    for column in snapshot.columns[relation]:
        if column.default is None:
            continue
        of_default = {"classid": PG_ATTRDEF, "objid": default_oid(relation, column.attnum), "refclassid": PG_CLASS}
        yield {**of_default, "refobjid": relation, "refobjsubid": column.attnum, "deptype": "a"}
        if column.default.startswith("nextval("):
            sequence = snapshot.owned_sequence(relation, column.attnum)
            if sequence is not None and not sequence.internal:
                yield {**of_default, "refobjid": sequence.oid, "deptype": "n"}


def default_oid(relation: int, attnum: int) -> int:
    """The OID of a column's default in pg_attrdef."""
    return (relation << 11 | attnum) & 0x7FFF_FFFF


def pg_init_privs(snapshot: Snapshot) -> Rows:
    """The rights that the system's own schemas and relations have from the start, which a dump leaves out."""
    for oid, name, _owner in snapshot.namespaces:
        if name in ("pg_catalog", "information_schema"):
            yield {
                "objoid": oid, "classoid": PG_NAMESPACE, "objsubid": 0, "privtype": "i",
                "initprivs": snapshot.acl_text(PG_NAMESPACE, oid),
            }  # fmt: skip
    for system in SYSTEM_RELATIONS.values():
        yield {
            "objoid": system.oid, "classoid": PG_CLASS, "objsubid": 0, "privtype": "i",
            "initprivs": system_acl(system.name),
        }  # fmt: skip
