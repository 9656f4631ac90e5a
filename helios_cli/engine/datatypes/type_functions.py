"""What pg_type says of a type besides how it is read and written: modifiers, subscripts, statistics (pg_type.dat).

Clients find out by ``typelem`` and ``typsubscript`` what is an array; nothing here calls these functions.
"""

from __future__ import annotations

from typing import Final

from helios_cli.engine.datatypes.io_functions import Signature

_MODIFIERS: Final = {
    1042: ("bpchar", 2913), 1043: ("varchar", 2915), 1083: ("time", 2909), 1114: ("timestamp", 2905),
    1184: ("timestamptz", 2907), 1186: ("interval", 2903), 1266: ("timetz", 2911), 1560: ("bit", 2919),
    1700: ("numeric", 2917),
}  # fmt: skip
"""The stem of the names of the two functions for modifiers and the OID of the first; the second's is the next."""
_FUNCTIONS_OF_MODIFIERS: Final = {
    **{oid: (f"{stem}typmodin", first, f"{stem}typmodout", first + 1) for oid, (stem, first) in _MODIFIERS.items()},
    1562: ("varbittypmodin", 2902, "varbittypmodout", 2921),
}
FIXED_ELEMENTS: Final = {19: 18, 22: 21, 30: 26, 600: 701, 601: 600, 603: 600, 628: 701}
"""pg_type.typelem of types that can be subscripted and are no arrays."""
_VECTORS: Final = (22, 30)
_JSONB: Final = 3802
_TSVECTOR: Final = 3614
_BY_ARRAYS, _BY_PLACES, _BY_KEYS = 6179, 6180, 6098
_OF_ARRAYS, _OF_TSVECTORS = 3816, 3688
_OF_KINDS: Final = {"r": 3916, "m": 4242}
_HANDLER: Final = ((2281,), 2281)
_ANALYSIS: Final = ((2281,), 16)

TYPE_FUNCTIONS: Final[dict[str, tuple[int, Signature]]] = {
    "array_subscript_handler": (_BY_ARRAYS, _HANDLER), "raw_array_subscript_handler": (_BY_PLACES, _HANDLER),
    "jsonb_subscript_handler": (_BY_KEYS, _HANDLER), "array_typanalyze": (_OF_ARRAYS, _ANALYSIS),
    "ts_typanalyze": (_OF_TSVECTORS, _ANALYSIS), "range_typanalyze": (_OF_KINDS["r"], _ANALYSIS),
    "multirange_typanalyze": (_OF_KINDS["m"], _ANALYSIS),
    **{row[0]: (row[1], ((1263,), 23)) for row in _FUNCTIONS_OF_MODIFIERS.values()},
    **{row[2]: (row[3], ((23,), 2275)) for row in _FUNCTIONS_OF_MODIFIERS.values()},
}  # fmt: skip
"""OIDs and signatures of all of them by name."""


def modifier_functions(oid: int, element: int) -> tuple[int, int]:
    """typmodin and typmodout; an array has those of its elements."""
    row = _FUNCTIONS_OF_MODIFIERS.get(element or oid)
    return (row[1], row[3]) if row is not None else (0, 0)


def subscript_function(oid: int, element: int) -> int:
    """typsubscript; ``element`` is 0 but for arrays."""
    if element or oid in _VECTORS:
        return _BY_ARRAYS
    return _BY_PLACES if oid in FIXED_ELEMENTS else _BY_KEYS if oid == _JSONB else 0


def analysis_function(oid: int, kind: str, element: int) -> int:
    """typanalyze; ``kind`` is pg_type.typtype."""
    return _OF_ARRAYS if element else _OF_TSVECTORS if oid == _TSVECTOR else _OF_KINDS.get(kind, 0)
