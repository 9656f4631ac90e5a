"""Operator classes of B-trees: which one a key of an index has (pg_opclass.dat of PostgreSQL 15)."""

from __future__ import annotations

from typing import Final

from helios_cli.engine.datatypes.ranges import RANGES
from helios_cli.engine.sql.coercion import element_of
from helios_cli.engine.sql.ddl_deparse import parse_expression
from helios_cli.engine.sql.ddl_model import ConstraintDef, IndexDef, IndexKey
from helios_cli.engine.sql.names import NONE, column_name
from helios_cli.engine.sql.text_collations import oid_of, stored_word
from helios_cli.engine.storage.system_operators import operator_oid
from helios_cli.engine.storage.system_snapshot import Snapshot

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

_OTHERS: Final = (
    "10017 gist inet_ops 869 -, 10078 gist range_ops 3831 +, 10090 gin jsonb_ops 3802 +, "
    "10091 gin jsonb_path_ops 3802 -, 10064 gin array_ops 2277 +, 10072 gist tsvector_ops 3614 +, "
    "10073 gin tsvector_ops 3614 +, 10079 spgist range_ops 3831 +, 10086 spgist text_ops 25 +, "
    "10061 gist point_ops 600 +, 10060 gist box_ops 603 +, "
    "13910 gin gin_trgm_ops 25 +, 13911 gist gist_trgm_ops 25 +"
)
"""OID, access method, name, type, and whether it is the type's own class, of those for indexes that are no B-trees."""
ACCESS_METHODS: Final = {
    "btree": 403, "hash": 405, "gist": 783, "gin": 2742, "brin": 3580, "spgist": 4000, "bloom": 13_912,
}  # fmt: skip
"""The OIDs of the access methods; bloom's is there with its extension."""

_TEXT_OPS, _ARRAY_OPS = 3126, 10000
_CLASSES: Final = [(int(oid), name, int(on)) for oid, name, on in (entry.split() for entry in _LISTED.split(", "))]
OTHER_CLASSES: Final = [entry.split() for entry in _OTHERS.split(", ")]
_BY_METHOD: Final = {(method, name): int(oid) for oid, method, name, _on, _own in OTHER_CLASSES}
_BY_NAME: Final = {name: oid for oid, name, _on in _CLASSES}
_DEFAULTS: Final = {on: oid for oid, _name, on in _CLASSES if on > 0} | {1043: _TEXT_OPS, 650: 10015}
_COLLATED: Final = frozenset((25, 1042, 1043, 15801))


def _key_type(snapshot: Snapshot, index: IndexDef, key: IndexKey) -> int:
    """The type of a key; text for an expression, whose type the catalog does not hold."""
    columns = snapshot.columns.get(index.table_oid, ())
    return next((column.type_oid for column in columns if column.name == key.column), 25)


def key_class(snapshot: Snapshot, index: IndexDef, key: IndexKey) -> int:
    """The OID of a key's operator class."""
    if key.opclass is not None:
        return _BY_METHOD.get((index.method, key.opclass)) or _BY_NAME.get(key.opclass, 0)
    on = _key_type(snapshot, index, key)
    if index.method not in ("btree", "hash"):
        name = "range_ops" if on in RANGES else "array_ops" if element_of(on) else ""
        own = {(method, int(kind)): int(oid) for oid, method, _name, kind, default in OTHER_CLASSES if default == "+"}
        found = _BY_METHOD.get((index.method, name)) or own.get((index.method, on))
        if found:
            return found
    return _DEFAULTS.get(on) or (_ARRAY_OPS if on else 0)


def key_collation(snapshot: Snapshot, index: IndexDef, key: IndexKey) -> int:
    """The OID of a key's collation; 0 for a type that has none."""
    if key.collation is not None:
        return oid_of(stored_word(key.collation))
    if key.column is None or _key_type(snapshot, index, key) not in _COLLATED:
        return 0
    columns = snapshot.columns.get(index.table_oid, ())
    return next((oid_of(column.collation) for column in columns if column.name == key.column), 100)


def key_name(key: IndexKey, taken: set[str]) -> str:
    """The name of a key in pg_attribute: the column's, or what an expression would be called, told apart by numbers."""
    name = key.column or column_name(parse_expression(key.expression or ""))
    stem = name = "expr" if name == NONE else name
    number = 0
    while name in taken:
        number += 1
        name = f"{stem}{number}"
    taken.add(name)
    return name


def exclusion_operators(snapshot: Snapshot, constraint: ConstraintDef) -> list[int]:
    """The OIDs of the operators of an EXCLUDE constraint; empty for another."""
    if constraint.kind != "x":
        return []
    index = snapshot.indexes[constraint.index_oid]
    return [operator_oid(key.operator or "=", _key_type(snapshot, index, key)) for key in index.keys]
