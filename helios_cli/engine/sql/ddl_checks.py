"""Type safety of stored columns as SQLite CHECK constraints, because every path to the file must obey the types.

The planner already coerces what it writes; these constraints refuse what another path would let in. Their
names carry the SQLSTATE and the type: ``22003:integer``.
"""

from __future__ import annotations

from typing import Final

from helios_cli.engine.datatypes import registry
from helios_cli.engine.datatypes.typmods import typmod_args
from helios_cli.engine.sql.oids import (
    BOOL,
    BPCHAR,
    BYTEA,
    DATE,
    FLOAT4,
    FLOAT8,
    INT2,
    INT4,
    INT8,
    OID,
    REG_TYPES,
    TIME,
    TIMESTAMP,
    TIMESTAMPTZ,
    VARCHAR,
    XID,
)
from helios_cli.engine.sql.sqltext import quote_identifier

_RANGES: Final = {
    INT2: (-(1 << 15), (1 << 15) - 1),
    INT4: (-(1 << 31), (1 << 31) - 1),
    DATE: (-(1 << 31), (1 << 31) - 1),
    OID: (0, (1 << 32) - 1),
    XID: (0, (1 << 32) - 1),
    TIME: (0, 86_400_000_000),
}
_WHOLE: Final = frozenset((INT8, TIMESTAMP, TIMESTAMPTZ, 29, 5069))


def type_check(name: str, type_oid: int, typmod: int) -> tuple[str, str] | None:
    """(constraint name, condition) that a column of this type must satisfy; None for a type without limits.

    NULL always passes: it is for NOT NULL to refuse.
    """
    column = quote_identifier(name)
    sql_name = registry.sql_type_name(type_oid)
    if type_oid in _RANGES:
        low, high = _RANGES[type_oid]
        return f"22003:{sql_name}", f"({column} BETWEEN {low} AND {high}) AND typeof({column}) <> 'real'"
    if type_oid in _WHOLE:
        return f"22003:{sql_name}", f"typeof({column}) IN ('integer', 'null')"
    if type_oid == BOOL:
        return f"22P02:{sql_name}", f"{column} IN (0, 1)"
    if type_oid in (FLOAT4, FLOAT8):
        return f"22P02:{sql_name}", f"typeof({column}) IN ('real', 'null') OR {column} = 'NaN'"
    if type_oid == BYTEA:
        return f"22P02:{sql_name}", f"typeof({column}) IN ('blob', 'null')"
    if type_oid in (VARCHAR, BPCHAR) and typmod >= 0:
        limit = typmod_args(type_oid, typmod)[0]
        return f"22001:{sql_name}({limit})", f"length({column}) <= {limit} AND typeof({column}) <> 'blob'"
    if type_oid in REG_TYPES:
        return None
    return f"22P02:{sql_name}", f"typeof({column}) <> 'blob'"


def user_check_name(constraint_oid: int, name: str) -> str:
    """SQLite's name for a user's CHECK: the OID finds it after a rename, the name tells a human reader."""
    return f"23514:{constraint_oid}:{name}"
