"""The system table of partitioned tables and their partitions."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from helios_cli.engine.sql.ddl_render import database_of
from helios_cli.engine.sql.relation import Partition
from helios_cli.engine.sql.sqltext import constant, pg_identifier

if TYPE_CHECKING:
    from helios_cli.engine.sql.ddl_build import Builder
    from helios_cli.engine.sql.ddl_model import TableDef

STRATEGIES: Final = {"l": "LIST", "r": "RANGE"}
_TABLE: Final = """CREATE TABLE IF NOT EXISTS {db}.helios_partition(
  oid INTEGER PRIMARY KEY,
  definition TEXT NOT NULL
)"""
"""A directory gets it with the first partitioned table."""


def read_partition(definition: str) -> Partition:
    """A row of ``helios_partition``."""
    fields = json.loads(definition)
    return Partition(**{**fields, "keys": tuple(fields["keys"])})


def partition_rows(temp: bool, oid: int, partition: Partition) -> list[str]:
    """The steps that record how a table is parted, or which rows of another it has."""
    db, definition = database_of(temp), constant(json.dumps(asdict(partition)))
    return [
        _TABLE.format(db=db), f"INSERT OR REPLACE INTO {db}.helios_partition VALUES ({oid}, {definition})",
    ]  # fmt: skip


def check_key(builder: Builder, table: TableDef, primary: bool, columns: tuple[str | None, ...]) -> None:
    """Raise SqlError 0A000 for a unique key of a partitioned table without the columns that it is parted by."""
    if not table.parted or table.partition is None:
        return
    missing = next((name for name in table.partition.keys if name not in columns), None)
    if missing is not None:
        word = "PRIMARY KEY" if primary else "UNIQUE"
        detail = (
            f'{word} constraint on table "{table.name}" lacks column "{missing}" which is part of the partition key.'
        )
        message = "unique constraint on partitioned table must include all partitioning columns"
        raise builder.error("0A000", message, detail=detail)


def key_text(partition: Partition) -> str:
    """What pg_get_partkeydef() prints."""
    return f"{STRATEGIES[partition.strategy]} ({', '.join(pg_identifier(name) for name in partition.keys)})"
