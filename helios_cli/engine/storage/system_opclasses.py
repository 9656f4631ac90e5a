"""Operator classes of B-trees: which one a key of an index has (pg_opclass.dat of PostgreSQL 15)."""

from __future__ import annotations

from typing import Final

from helios_cli.engine.datatypes.range_types import is_range
from helios_cli.engine.sql.coercion import element_of
from helios_cli.engine.sql.ddl_deparse import parse_expression
from helios_cli.engine.sql.ddl_model import ConstraintDef, IndexDef, IndexKey
from helios_cli.engine.sql.names import NONE, column_name
from helios_cli.engine.sql.opclasses import ARRAY_OPS, BY_NAME, default_class
from helios_cli.engine.sql.text_collations import oid_of, stored_word
from helios_cli.engine.storage.system_operators import operator_oid
from helios_cli.engine.storage.system_snapshot import Snapshot

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

OTHER_CLASSES: Final = [entry.split() for entry in _OTHERS.split(", ")]
_BY_METHOD: Final = {(method, name): int(oid) for oid, method, name, _on, _own in OTHER_CLASSES}
_COLLATED: Final = frozenset((25, 1042, 1043, 15801))


def _key_type(snapshot: Snapshot, index: IndexDef, key: IndexKey) -> int:
    """The type of a key; text for an expression, whose type the catalog does not hold."""
    columns = snapshot.columns.get(index.table_oid, ())
    return next((column.type_oid for column in columns if column.name == key.column), 25)


def key_class(snapshot: Snapshot, index: IndexDef, key: IndexKey) -> int:
    """The OID of a key's operator class."""
    if key.opclass is not None:
        return _BY_METHOD.get((index.method, key.opclass)) or BY_NAME.get(key.opclass, (0, 0))[0]
    on = _key_type(snapshot, index, key)
    if index.method not in ("btree", "hash"):
        name = "range_ops" if is_range(on) else "array_ops" if element_of(on) else ""
        own = {(method, int(kind)): int(oid) for oid, method, _name, kind, default in OTHER_CLASSES if default == "+"}
        found = _BY_METHOD.get((index.method, name)) or own.get((index.method, on))
        if found:
            return found
    return default_class(on) or (ARRAY_OPS if on else 0)


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
