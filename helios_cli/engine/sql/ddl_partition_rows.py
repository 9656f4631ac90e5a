"""The system table of partitioned tables and their partitions."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from helios_cli.engine.sql.ddl_deparse import column_names, parse_expression
from helios_cli.engine.sql.ddl_render import database_of
from helios_cli.engine.sql.relation import Partition
from helios_cli.engine.sql.sqltext import constant, pg_identifier

if TYPE_CHECKING:
    from helios_cli.engine.sql.ddl_build import Builder
    from helios_cli.engine.sql.ddl_model import TableDef

STRATEGIES: Final = {"l": "LIST", "r": "RANGE", "h": "HASH"}
_TABLE: Final = """CREATE TABLE IF NOT EXISTS {db}.helios_partition(
  oid INTEGER PRIMARY KEY,
  definition TEXT NOT NULL
)"""
"""A directory gets it with the first partitioned table."""


def read_partition(definition: str) -> Partition:
    """A row of ``helios_partition``."""
    fields = json.loads(definition)
    expressions = tuple(fields.get("expressions", ()))
    return Partition(**{**fields, "keys": tuple(fields["keys"]), "expressions": expressions})


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
    word = "PRIMARY KEY" if primary else "UNIQUE"
    if table.partition.expressions:
        detail = f"{word} constraints cannot be used when partition keys include expressions."
        message = f"unsupported {word} constraint with partition key definition"
        raise builder.error("0A000", message, detail=detail)
    missing = next((name for name in table.partition.keys if name not in columns), None)
    if missing is not None:
        detail = (
            f'{word} constraint on table "{table.name}" lacks column "{missing}" which is part of the partition key.'
        )
        message = "unique constraint on partitioned table must include all partitioning columns"
        raise builder.error("0A000", message, detail=detail)


def key_text(partition: Partition) -> str:
    """What pg_get_partkeydef() prints."""
    return f"{STRATEGIES[partition.strategy]} ({', '.join(key_texts(partition, partition.expressions))})"


def key_texts(partition: Partition, expressions: Iterable[str]) -> list[str]:
    """The columns and expressions of a partition key; ``expressions`` are those as they are shown."""
    given = iter(expressions)
    return [pg_identifier(name) if name else _shown(next(given)) for name in partition.keys]


def _shown(text: str) -> str:
    """An expression, in parentheses unless it is a call."""
    return text if "FuncCall" in parse_expression(text) else f"({text})"


def key_columns(partition: Partition) -> set[str]:
    """The columns that a table is partitioned by, and those that expressions of its key name."""
    names = {name for name in partition.keys if name}
    for text in partition.expressions:
        names.update(column_names(parse_expression(text)))
    return names
