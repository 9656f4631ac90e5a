"""SQLite's collations under which values of PostgreSQL's types compare."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from helios_cli.engine.datatypes.catalog import RANGE_CODECS
from helios_cli.engine.datatypes.range_types import is_multirange, is_range
from helios_cli.engine.datatypes.usertypes import RECORD, is_row, is_row_array, kind_of
from helios_cli.engine.sql.coercion import element_of
from helios_cli.engine.sql.oids import (
    BPCHAR,
    CIDR,
    CITEXT,
    DATE,
    FLOAT4,
    FLOAT8,
    INET,
    INT2,
    INT4,
    INT8,
    INTERVAL,
    JSONB,
    LTREE,
    MONEY,
    NUMERIC,
    OID,
    PG_LSN,
    TIMESTAMP,
    TIMESTAMPTZ,
    TIMETZ,
)

_COLLATED: Final = {
    NUMERIC: "pg_numeric",
    INTERVAL: "pg_interval",
    BPCHAR: "RTRIM",
    TIMETZ: "pg_timetz",
    JSONB: "pg_jsonb",
    PG_LSN: "pg_lsn",
    CITEXT: "pg_citext",
    LTREE: "pg_ltree",
    INET: "pg_inet",
    CIDR: "pg_inet",
}


@lru_cache(1024)
def collation_of(type_oid: int) -> str:
    """SQLite's collation under which values of a type compare as in PostgreSQL; '' when plain comparison does.

    Tables are created with it on the column, so that their indexes serve these comparisons.
    """
    if kind_of(type_oid) or type_oid == RECORD:
        return _user_collation(type_oid)
    if element_of(type_oid):
        return f"pg_array_{element_of(type_oid)}" if element_of(type_oid) in _COLLATED_ELEMENTS else "pg_array"
    if is_range(type_oid) or is_multirange(type_oid):
        return f"pg_range_{type_oid}"
    return _COLLATED.get(type_oid, "")


def _user_collation(type_oid: int) -> str:
    if is_row(type_oid):
        return "pg_record"
    if is_range(type_oid) or is_multirange(type_oid):
        return f"pg_range_{type_oid}"
    if is_row_array(type_oid) or kind_of(type_oid) in ("r", "m"):
        return "pg_array"
    return f"pg_enum_array_{type_oid - 1}" if type_oid & 1 else f"pg_enum_{type_oid}"


_COLLATED_ELEMENTS: Final = frozenset(
    (
        INT2, INT4, INT8, OID, FLOAT4, FLOAT8, NUMERIC, PG_LSN, INET, CIDR, BPCHAR, INTERVAL, TIMETZ, JSONB,
        MONEY, DATE, TIMESTAMP, TIMESTAMPTZ, RECORD, *RANGE_CODECS,
    )
)  # fmt: skip
