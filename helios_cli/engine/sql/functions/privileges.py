"""Functions that ask what a role may do (PostgreSQL manual, table 9.68)."""

from __future__ import annotations

from typing import Any, Final

from helios_cli.engine.sql.functions.define import Library

_KINDS: Final = (
    "table", "sequence", "any_column", "schema", "database", "function", "type", "language", "tablespace", "server",
    "foreign_data_wrapper",
)  # fmt: skip


def install(lib: Library) -> None:
    """Declare the functions. Templates end with the session's own role, -1 for everything, and its search path."""
    marks: dict[str, Any] = {"session_values": ("acting_role", "search_path"), "stable": True}
    users = (("", "NULL", 0), ("name ", "{0}", 1), ("oid ", "{0}", 1))
    for kind in _KINDS:
        for thing in ("oid", "text"):
            for user, given, at in users:
                sql = f"cat_has('{kind}', {given}, {{{at}}}, NULL, {{{at + 1}}}, {{session}})"
                lib.define(f"has_{kind}_privilege", f"{user}{thing} text -> bool", sql=sql, **marks)
    for thing in ("oid", "text"):
        for column in ("text", "int2"):
            for user, given, at in users:
                sql = f"cat_has('column', {given}, {{{at}}}, {{{at + 1}}}, {{{at + 2}}}, {{session}})"
                lib.define("has_column_privilege", f"{user}{thing} {column} text -> bool", sql=sql, **marks)
    own = marks | {"session_values": ("acting_role",)}
    for role in ("name", "oid"):
        for user, given, at in users:
            sql = f"cat_has_role({given}, {{{at}}}, {{{at + 1}}}, {{session}})"
            lib.define("pg_has_role", f"{user}{role} text -> bool", sql=sql, **own)
    for thing in ("oid", "text"):
        sql = "pg_row_security_state({0})"
        lib.define("row_security_active", f"{thing} -> bool", sql=sql, volatile=True, stable=True)
