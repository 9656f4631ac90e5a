"""Operator classes of B-trees (pg_opclass.dat of PostgreSQL 15)."""

from __future__ import annotations

from typing import Final

from helios_cli.engine.datatypes.range_types import is_multirange, is_range
from helios_cli.engine.sql.coercion import element_of

_LISTED: Final = (
    "1978 int4_ops 23, 1979 int2_ops 21, 1981 oid_ops 26, 3122 date_ops 1082, 3123 float8_ops 701, 3124 int8_ops 20, "
    "3125 numeric_ops 1700, 3126 text_ops 25, 3127 timestamptz_ops 1184, 3128 timestamp_ops 1114, "
    "4217 text_pattern_ops -25, 4218 varchar_pattern_ops -25, 4219 bpchar_pattern_ops -1042, 10000 array_ops 2277, "
    "10002 bit_ops 1560, 10003 bool_ops 16, 10004 bpchar_ops 1042, 10006 bytea_ops 17, 10007 char_ops 18, "
    "10009 cidr_ops -869, 10012 float4_ops 700, 10015 inet_ops 869, 10022 interval_ops 1186, 10024 macaddr_ops 829, "
    "10026 macaddr8_ops 774, 10028 name_ops 19, 10032 oidvector_ops 30, 10034 record_ops 2249, "
    "10036 record_image_ops -2249, 10038 time_ops 1083, 10041 timetz_ops 1266, 10043 varbit_ops 1562, "
    "10044 varchar_ops -25, 10047 money_ops 790, 10065 uuid_ops 2950, 10067 pg_lsn_ops 3220, 10069 enum_ops 3500, "
    "10071 tsvector_ops 3614, 10074 tsquery_ops 3615, 10076 range_ops 3831, 10080 multirange_ops 4537, "
    "10088 jsonb_ops 3802"
)
"""OID, name and type of each; a type with a minus has another class by default."""

TEXT_OPS: Final = 3126
ARRAY_OPS: Final = 10000
CLASSES: Final = [(int(oid), name, int(on)) for oid, name, on in (entry.split() for entry in _LISTED.split(", "))]
"""OID, name, and type, with a minus where the type has another class by default."""
BY_NAME: Final = {name: (oid, abs(on)) for oid, name, on in CLASSES}
"""The OID and the type of each class."""
_DEFAULTS: Final = {on: oid for oid, _name, on in CLASSES if on > 0} | {1043: TEXT_OPS, 15801: TEXT_OPS, 650: 10015}


def default_class(oid: int) -> int:
    """The OID of the class that a type has by default; 0 for a type that has none."""
    if element_of(oid):
        return ARRAY_OPS
    return _DEFAULTS.get(3831 if is_range(oid) else 4537 if is_multirange(oid) else oid, 0)


def takes(name: str, oid: int) -> bool:
    """Whether the class of a name is for values of the type; that of another type with the same values too."""
    return default_class(oid) == BY_NAME[name][0] or BY_NAME[name][1] in (oid, 25 if oid == 1043 else oid)
