"""What access methods, indexes and their columns can do: pg_indexam_has_property() and its kin (amutils.c)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from helios_cli.engine.sql.ddl_model import IndexDef
from helios_cli.engine.storage.system_opclasses import ACCESS_METHODS
from helios_cli.engine.storage.system_snapshot import Snapshot

_OF_METHOD: Final = {
    "can_order": "btree", "can_unique": "btree", "can_multi_col": "btree gist gin brin bloom",
    "can_exclude": "btree hash gist spgist", "can_include": "btree gist spgist",
}  # fmt: skip
_OF_INDEX: Final = {
    "clusterable": "btree gist", "index_scan": "btree hash gist spgist",
    "bitmap_scan": "btree hash gist gin spgist brin bloom", "backward_scan": "btree hash",
}  # fmt: skip
_OF_COLUMN: Final = {
    "orderable": "btree", "search_array": "btree", "search_nulls": "btree gist spgist brin",
}  # fmt: skip
"""The methods that have a property; the rest of those of columns depend on more."""
_OPTIONS: Final = {"asc": (1, 0), "desc": (1, 1), "nulls_first": (2, 2), "nulls_last": (2, 0)}
"""A bit of pg_index.indoption, and what it is then."""
_METHODS: Final = {oid: name for name, oid in ACCESS_METHODS.items()}
_DISTANCES: Final = {"gist": (600, 603, 604, 718), "spgist": (600, 603, 604)}
"""Types whose rows an index gives by their distance: point, box, polygon, circle."""
_LOSSY: Final = {"gist": (604, 718, 3614, 3615, 15803, 15805), "spgist": (604,)}
"""Types whose values an index does not hold as they are."""


def functions(snapshot: Callable[[], Snapshot]) -> dict[str, tuple[Callable[..., Any], int]]:
    """The functions of SQL, with the numbers of their arguments."""
    return {
        "cat_method_property": (of_method, 2),
        "cat_index_property": (lambda oid, name: of_index(snapshot(), oid, name), 2),
        "cat_column_property": (lambda oid, number, name: of_column(snapshot(), oid, number, name), 3),
    }


def of_method(oid: int, name: str) -> int | None:
    """Whether an access method can do something; None for an unknown method or property."""
    methods = _OF_METHOD.get(name.lower())
    return None if methods is None or oid not in _METHODS else int(_METHODS[oid] in methods.split())


def of_index(snapshot: Snapshot, oid: int, name: str) -> int | None:
    """Whether an index can do something; None for what is no index, or no such property."""
    methods, index = _OF_INDEX.get(name.lower()), snapshot.indexes.get(oid)
    return None if methods is None or index is None else int(index.method in methods.split())


def of_column(snapshot: Snapshot, oid: int, number: int, name: str) -> int | None:
    """Whether a column of an index, counted from 1, has a property; None where it cannot be said."""
    index, folded = snapshot.indexes.get(oid), name.lower()
    if index is None or not 1 <= number <= len(index.keys) + len(index.include):
        return None
    is_key = number <= len(index.keys)
    if folded in _OPTIONS:
        return _option(index, number, *_OPTIONS[folded]) if is_key else None
    if folded in ("returnable", "distance_orderable"):
        column = index.keys[number - 1].column if is_key else None
        kind = _type_of(snapshot, index, column)
        if folded == "distance_orderable":
            return int(kind in _DISTANCES.get(index.method, ()))
        return int(index.method in ("btree", "gist", "spgist") and kind not in _LOSSY.get(index.method, ()))
    methods = _OF_COLUMN.get(folded)
    if methods is None:
        return None
    if not is_key:
        return 0 if folded == "orderable" else None
    return int(index.method in methods.split())


def _option(index: IndexDef, number: int, bit: int, expected: int) -> int:
    key = index.keys[number - 1]
    options = int(key.descending) | (2 if key.nulls_first else 0)
    return int(index.method == "btree" and options & bit == expected)


def _type_of(snapshot: Snapshot, index: IndexDef, column: str | None) -> int:
    """The type of a column that is a key itself, else 0."""
    return next((found.type_oid for found in snapshot.columns[index.table_oid] if found.name == column), 0)
