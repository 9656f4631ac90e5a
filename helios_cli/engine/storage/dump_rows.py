"""Rows that pg_dump goes by: the rights that were there from the start."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from helios_cli.engine.sql.privileges import PG_NAMESPACE
from helios_cli.engine.sql.rights import CLOSED_RELATIONS
from helios_cli.engine.storage.system_relations import SYSTEM_RELATIONS
from helios_cli.engine.storage.system_snapshot import Snapshot

Rows = Iterator[dict[str, Any]]
PG_CLASS = 1259


def system_acl(name: str) -> str:
    """What everybody may do with a relation of the catalog: read it, but for a few."""
    return "{helios=arwdDxt/helios" + ("}" if name in CLOSED_RELATIONS else ",=r/helios}")


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
