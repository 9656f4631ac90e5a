"""Functions in FROM that give the rows of a system view: the view is defined over them (system_views.sql)."""

from __future__ import annotations

from typing import Any, Final

from helios_cli.engine.sql import tree
from helios_cli.engine.sql.typed import Node

_VIEWS: Final = {
    "pg_available_extension_versions": "pg_available_extension_versions",
    "pg_available_extensions": "pg_available_extensions",
    "pg_config": "pg_config",
    "pg_cursor": "pg_cursors",
    "pg_get_backend_memory_contexts": "pg_backend_memory_contexts",
    "pg_get_shmem_allocations": "pg_shmem_allocations",
    "pg_hba_file_rules": "pg_hba_file_rules",
    "pg_lock_status": "pg_locks",
    "pg_prepared_statement": "pg_prepared_statements",
    "pg_show_all_file_settings": "pg_file_settings",
    "pg_show_all_settings": "pg_settings",
    "pg_timezone_abbrevs": "pg_timezone_abbrevs",
    "pg_timezone_names": "pg_timezone_names",
}
"""Function without arguments -> the view over it."""
_COLUMNS: Final = {
    "pg_available_extension_versions": "name version superuser trusted relocatable schema requires comment",
    "pg_available_extensions": "name default_version comment",
}
"""Columns of the functions whose views have others too."""


def shown_view(fields: dict[str, Any]) -> Node | None:
    """The RangeVar or RangeSubselect that a RangeFunction stands for; None when it is none of these functions."""
    if fields.get("ordinality") or fields.get("coldeflist") or len(fields["functions"]) != 1:
        return None
    call = fields["functions"][0]["List"]["items"][0].get("FuncCall")
    if call is None or call.get("args"):
        return None
    names = tree.strings(call["funcname"])
    view = _VIEWS.get(names[-1])
    if view is None or names[:-1] not in ([], ["pg_catalog"]):
        return None
    alias = {"aliasname": names[-1], **fields.get("alias", {})}
    table = {"schemaname": "pg_catalog", "relname": view, "location": call.get("location", 0)}
    if view not in _COLUMNS:
        return {"RangeVar": {**table, "alias": alias}}
    targets = [{"ResTarget": {"val": {"ColumnRef": {"fields": [_name(column)]}}}} for column in _COLUMNS[view].split()]
    query = {"targetList": targets, "fromClause": [{"RangeVar": table}], "op": "SETOP_NONE"}
    return {"RangeSubselect": {"subquery": {"SelectStmt": query}, "alias": alias}}


def _name(text: str) -> Node:
    return {"String": {"sval": text}}
