"""System relations that show each session its own: what the node alone knows, asked under the session's number."""

from __future__ import annotations

from typing import Final

from helios_cli.engine.sql.context import Context
from helios_cli.engine.sql.relation import Relation
from helios_cli.engine.sql.sqltext import quote_identifier

SESSION_RELATIONS: Final = frozenset(("pg_cursors", "pg_prepared_statements"))


def session_rows(relation: Relation, ctx: Context) -> str:
    """Such a relation as a FROM item."""
    ctx.volatile = True
    columns = [f"value ->> {place} AS {quote_identifier(column.name)}" for place, column in enumerate(relation.columns)]
    rows = f"json_each(node_session({ctx.session_value('pid')}, '{relation.name}'))"
    return f"(SELECT {', '.join(columns)} FROM {rows})"
