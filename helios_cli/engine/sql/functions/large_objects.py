"""Functions on large objects (PostgreSQL manual, 35.4)."""

from __future__ import annotations

from typing import Any, Final

from helios_cli.engine.sql.functions.define import Library

_SESSION: Final = ("pid", "transaction_scope")
_ROLE: Final = ("acting_oid", "acting_role")


def install(lib: Library) -> None:
    """Declare them; what they do is in ``storage.large_object_functions``."""
    for name, signature, sql, values, writes in (
        ("lo_creat", "int4 -> oid", "pg_lo_create({0} * 0, {session})", ("acting_oid",), True),
        ("lo_create", "oid -> oid", "pg_lo_create({0}, {session})", ("acting_oid",), True),
        ("lo_from_bytea", "oid bytea -> oid", "pg_lo_from_bytea({0}, {1}, {session})", ("acting_oid",), True),
        ("lo_unlink", "oid -> int4", "pg_lo_unlink({0}, {session})", (*_SESSION, *_ROLE), True),
        ("lo_get", "oid -> bytea", "pg_lo_get({0}, 0, -1, {session})", _ROLE, False),
        ("lo_get", "oid int8 int4 -> bytea", "pg_lo_get_part({0}, {1}, {2}, {session})", _ROLE, False),
        ("lo_put", "oid int8 bytea -> void", "pg_lo_put({0}, {1}, {2}, {session})", _ROLE, True),
        ("lo_open", "oid int4 -> int4", "pg_lo_open({0}, {1}, {session})", (*_SESSION, *_ROLE), False),
        ("lo_close", "int4 -> int4", "pg_lo_close({0}, {session})", _SESSION, False),
        ("loread", "int4 int4 -> bytea", "pg_lo_read({0}, {1}, {session})", _SESSION, False),
        ("lowrite", "int4 bytea -> int4", "pg_lo_write({0}, {1}, {session})", _SESSION, True),
        ("lo_truncate", "int4 int4 -> int4", "pg_lo_truncate({0}, {1}, {session})", _SESSION, True),
        ("lo_truncate64", "int4 int8 -> int4", "pg_lo_truncate({0}, {1}, {session})", _SESSION, True),
        ("lo_lseek", "int4 int4 int4 -> int4", "pg_lo_lseek({0}, {1}, {2}, {session})", _SESSION, False),
        ("lo_lseek64", "int4 int8 int4 -> int8", "pg_lo_lseek64({0}, {1}, {2}, {session})", _SESSION, False),
        ("lo_tell", "int4 -> int4", "pg_lo_tell({0}, {session})", _SESSION, False),
        ("lo_tell64", "int4 -> int8", "pg_lo_tell64({0}, {session})", _SESSION, False),
    ):
        marks: dict[str, Any] = {"session_values": values, "volatile": True, "writes": writes}
        lib.define(name, signature, sql=sql, **marks)
