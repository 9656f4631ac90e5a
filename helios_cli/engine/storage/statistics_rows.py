"""Rows of the views about use (``pg_stat_*``, ``pg_statio_*``): every table and index, with counters that stay zero.

A node counts what it does as a whole (``/metrics``), and not by table.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from helios_cli.engine.datatypes import registry
from helios_cli.engine.storage.relation_rows import Each, Fixed, Maker
from helios_cli.engine.storage.system_relations import SYSTEM_RELATIONS
from helios_cli.engine.storage.system_snapshot import Snapshot

Row = dict[str, Any]


def zeros(relation: str) -> Row:
    """The counters of a view, each at zero; times and names are left unknown."""
    columns = SYSTEM_RELATIONS["pg_catalog", relation].columns
    counted = [column for column in columns if registry.by_oid(column.type_oid).category == "N"]
    return {column.name: "0" if column.type_oid == _NUMERIC else 0 for column in counted}


_NUMERIC: Final = 1700


def _tables(relation: str) -> Maker:
    blank = zeros(relation)

    def rows(snapshot: Snapshot, oid: int) -> Iterator[Row]:
        found = snapshot.relations[oid]
        if found.kind in "rmM":
            yield {**blank, "relid": found.oid, "schemaname": found.schema, "relname": found.name}

    return (Each("relations", rows),)


def _indexes(relation: str) -> Maker:
    blank = zeros(relation)

    def rows(snapshot: Snapshot, oid: int) -> Iterator[Row]:
        index = snapshot.indexes[oid]
        table = snapshot.relations[index.table_oid]
        yield {
            **blank, "relid": table.oid, "indexrelid": index.oid, "schemaname": table.schema,
            "relname": table.name, "indexrelname": index.name,
        }  # fmt: skip

    return (Each("indexes", rows),)


def _sequences(relation: str) -> Maker:
    blank = zeros(relation)

    def rows(snapshot: Snapshot, oid: int) -> Iterator[Row]:
        found = snapshot.sequences[oid]
        yield {**blank, "relid": found.oid, "schemaname": found.schema, "relname": found.name}

    return (Each("sequences", rows),)


def _whole(relation: str) -> Maker:
    return (Fixed(lambda: [zeros(relation)]),)


MAKERS: Final[dict[str, Maker]] = {
    **{name: _tables(name) for which in ("all", "user") for name in (
        f"pg_stat_{which}_tables", f"pg_stat_xact_{which}_tables", f"pg_statio_{which}_tables",
    )},
    **{name: _indexes(name) for which in ("all", "user") for name in (
        f"pg_stat_{which}_indexes", f"pg_statio_{which}_indexes",
    )},
    **{name: _sequences(name) for which in ("all", "user") for name in (f"pg_statio_{which}_sequences",)},
    **{name: _whole(name) for name in ("pg_stat_archiver", "pg_stat_bgwriter", "pg_stat_wal")},
}  # fmt: skip
"""The views, by name."""
