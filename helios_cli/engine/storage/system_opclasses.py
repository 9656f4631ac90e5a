"""Operator classes of B-trees: which one a key of an index has (pg_opclass.dat of PostgreSQL 15)."""

from __future__ import annotations

from typing import Final

from helios_cli.engine.datatypes.range_types import is_range
from helios_cli.engine.datatypes.usertypes import kind_of, pinned_function_oid
from helios_cli.engine.sql import tree
from helios_cli.engine.sql.coercion import element_of
from helios_cli.engine.sql.ddl_deparse import expression_type, parse_expression
from helios_cli.engine.sql.ddl_model import ConstraintDef, IndexDef, IndexKey
from helios_cli.engine.sql.names import NONE, column_name
from helios_cli.engine.sql.opclasses import ARRAY_OPS, BY_NAME, default_class
from helios_cli.engine.sql.text_collations import oid_of, stored_word
from helios_cli.engine.sql.typed import Node
from helios_cli.engine.storage.system_operators import operator_oid
from helios_cli.engine.storage.system_snapshot import Snapshot
from helios_cli.engine.storage.type_rows import built_in_collation, collation_of

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


def _key_type(snapshot: Snapshot, index: IndexDef, key: IndexKey) -> int:
    """The type of a key, of an expression as far as it is plain to see; text for another."""
    columns = snapshot.columns.get(index.table_oid, ())
    if key.column is not None:
        return next((column.type_oid for column in columns if column.name == key.column), 25)
    node = parse_expression(key.expression or "")
    routine = snapshot.routines_by_oid.get(_called(node))
    if routine is not None:
        return routine.result
    return expression_type(key.expression or "", tuple((column.name, column.type_oid) for column in columns)) or 25


def _called(node: Node) -> int:
    """The user's function that an expression calls outermost, by OID; 0 for another expression."""
    call = node.get("FuncCall")
    return pinned_function_oid(tree.strings(call["funcname"])[-1]) if isinstance(call, dict) else 0


_KEPT_AS: Final = {
    ("gin", 3802): 25, ("gin", 3614): 25, ("gist", 600): 603, ("gist", 604): 603, ("gist", 718): 603,
    ("gist", 3614): 3642, ("gist", 3615): 20,
}  # fmt: skip
"""Access method and type of a key -> the type of what the index holds (pg_opclass.opckeytype)."""
_HASHED: Final = ("gin_trgm_ops", "jsonb_path_ops")


def stored_type(snapshot: Snapshot, index: IndexDef, key: IndexKey) -> int:
    """The type of what an index holds of a key."""
    columns = snapshot.columns.get(index.table_oid, ())
    on = next((column.shown_oid for column in columns if column.name == key.column), _key_type(snapshot, index, key))
    if index.method == "hash" or key.opclass in _HASHED:
        return 23
    if index.method == "gin" and element_of(on):
        return element_of(on)
    return _KEPT_AS.get((index.method, on), on)


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
    of_kind = 0 if element_of(on) else _OF_KIND.get(kind_of(on), 0)
    return default_class(of_kind or on) or (ARRAY_OPS if on else 0)


_OF_KIND: Final = {"e": 3500, "c": 2249, "r": 3831, "m": 4537}
"""Kinds of users' types -> the pseudo-type whose operator class they have."""


def key_collation(snapshot: Snapshot, index: IndexDef, key: IndexKey) -> int:
    """The OID of a key's collation; 0 for a type that has none."""
    if key.collation is not None:
        return oid_of(stored_word(key.collation))
    column = next((one for one in snapshot.columns.get(index.table_oid, ()) if one.name == key.column), None)
    if column is None:
        return built_in_collation(_key_type(snapshot, index, key))
    return oid_of(column.collation) if column.collation else collation_of(snapshot, column.shown_oid)


def key_name(snapshot: Snapshot, key: IndexKey, taken: set[str]) -> str:
    """The name of a key in pg_attribute: the column's, or what an expression would be called."""
    name = key.column or ""
    if not name:
        node = parse_expression(key.expression or "")
        routine = snapshot.routines_by_oid.get(_called(node))
        name = routine.name if routine is not None else column_name(node)
    return free_name("expr" if name == NONE else name, taken)


def free_name(stem: str, taken: set[str]) -> str:
    """A name with a number behind it where it is taken; it is taken then."""
    name, number = stem, 0
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
