"""System relations that show each session its own: what the node alone knows, asked under the session's number."""

from __future__ import annotations

from typing import Final

from helios_cli.engine.sql.context import Context
from helios_cli.engine.sql.relation import Relation
from helios_cli.engine.sql.sqltext import quote_identifier

_ACTIVITY: Final = "pg_stat_activity"
_SETTINGS: Final = "pg_settings"
SESSION_RELATIONS: Final = frozenset(("pg_cursors", "pg_prepared_statements", _ACTIVITY, _SETTINGS))
_OF_SESSION: Final = ("setting", "source", "reset_val")
_SHOWN_TO_ALL: Final = frozenset((
    "datid", "datname", "pid", "leader_pid", "usesysid", "usename", "application_name", "backend_xid", "backend_xmin"
))  # fmt: skip
"""Columns of pg_stat_activity that everybody sees of every session (pg_stat_get_activity in pgstatfuncs.c)."""


def session_rows(relation: Relation, ctx: Context) -> str:
    """Such a relation as a FROM item."""
    if relation.name == _ACTIVITY:
        return _activity(relation, ctx)
    if relation.name == _SETTINGS:
        return _settings(relation, ctx)
    ctx.changes_each_time()
    columns = [f"value ->> {place} AS {quote_identifier(column.name)}" for place, column in enumerate(relation.columns)]
    rows = f"json_each(node_session({ctx.session_value('pid')}, '{relation.name}'))"
    return f"(SELECT {', '.join(columns)} FROM {rows})"


def _settings(relation: Relation, ctx: Context) -> str:
    """Parameters with the values that the session has given them; through a view with those that it began with."""
    name = quote_identifier(relation.sqlite_name or relation.name)
    if not ctx.session_allowed:
        return f"(SELECT * FROM {name})"
    ctx.changes_each_time()
    columns = []
    for column in relation.columns:
        plain = f"known.{quote_identifier(column.name)}"
        if column.name in _OF_SESSION:
            place = _OF_SESSION.index(column.name)
            plain = f"coalesce(own.value ->> {place}, {plain}) AS {quote_identifier(column.name)}"
        columns.append(plain)
    own = f"json_each(node_session({ctx.session_value('pid')}, '{_SETTINGS}'))"
    return f"(SELECT {', '.join(columns)} FROM {name} AS known LEFT JOIN {own} AS own ON own.key = known.name)"


def _activity(relation: Relation, ctx: Context) -> str:
    """Sessions of other roles without what they do, but for superusers and members of pg_read_all_stats.

    A view stores no session's values: through it nobody sees more than the least.
    """
    sees = "0"
    if ctx.session_allowed:
        role = ctx.session_value("acting_role")
        own = f"usesysid IS NOT NULL AND cat_has_role(NULL, usesysid, 'USAGE', {role})"
        every = f"cat_has_role(NULL, 'pg_read_all_stats', 'USAGE', {role})"
        sees = f"({role} = -1 OR ({own}) OR {every})"
    columns = []
    for column in relation.columns:
        name = quote_identifier(column.name)
        if column.name in _SHOWN_TO_ALL:
            columns.append(name)
            continue
        hidden = "'<insufficient privilege>'" if column.name == "query" else "NULL"
        columns.append(f"CASE WHEN {sees} THEN {name} ELSE {hidden} END AS {name}")
    return f"(SELECT {', '.join(columns)} FROM {quote_identifier(relation.sqlite_name or relation.name)})"
