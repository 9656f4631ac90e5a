"""TABLESAMPLE: rows of a table taken at random, or by a repeatable hash of their numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from helios_cli.engine.sql import casts, tree
from helios_cli.engine.sql.coercion import Context as How
from helios_cli.engine.sql.expressions import translate
from helios_cli.engine.sql.from_clause import Source, find_relation, from_item
from helios_cli.engine.sql.oids import FLOAT8
from helios_cli.engine.sql.scope import Scope
from helios_cli.engine.sql.snapshots import row_id
from helios_cli.engine.sql.sqltext import quote_identifier

_PARTS: Final = 1_000_000
"""A row's chance is compared in these parts."""


def table_sample(fields: dict[str, Any], scope: Scope) -> Source:
    """Translate a RangeTableSample. Both methods sample rows; SYSTEM samples blocks in PostgreSQL.

    Raises:
        SqlError: 42704 no such method, 0A000 not a table, 2202H at run time for a share outside of 0 to 100.
    """
    ctx, at = scope.ctx, fields.get("location", 0)
    method = tree.strings(fields["method"])[-1]
    if method not in ("bernoulli", "system"):
        raise ctx.error("42704", f"tablesample method {method} does not exist", at)
    table = fields["relation"]["RangeVar"]
    source = from_item(fields["relation"], scope)
    item = source.items[0]
    if item.relation is None or find_relation(table, scope).kind not in ("r", "t", "m"):
        message = "TABLESAMPLE clause can only be applied to tables and materialized views"
        raise ctx.error("0A000", message, table.get("location", 0))
    inner = Scope(ctx=ctx, parent=scope.parent, ctes=scope.ctes, clause="TABLESAMPLE")
    share = casts.coerce(translate(fields["args"][0], inner), FLOAT8, -1, How.ASSIGNMENT, ctx)
    row = row_id(item.relation)
    chance = f"abs(random() % {_PARTS})"
    if "repeatable" in fields:
        seed = casts.coerce(translate(fields["repeatable"], inner), FLOAT8, -1, How.ASSIGNMENT, ctx)
        # Multiplicative hashing (Knuth, 6.4) within 63 bits.
        mixed = f"(({row} % 1000003 + CAST({seed.sql} AS INTEGER) % 1000003 * 7919) * 2654435761)"
        chance = f"abs(({mixed} >> 11) % {_PARTS})"
    else:
        ctx.changes_each_time()
    name = quote_identifier(item.relation.sqlite_name or item.relation.name)
    text = f"(SELECT * FROM {name} WHERE {chance} < pg_sample_share({share.sql}) * {_PARTS // 100})"
    return replace(source, sql=f"{text} AS {quote_identifier(item.alias)}")
