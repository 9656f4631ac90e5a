"""Which type turns into which, and when: the rules of pg_cast and PostgreSQL's parse_coerce.c."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from functools import lru_cache
from typing import Final, Protocol

from helios_cli.engine.datatypes import registry
from helios_cli.engine.datatypes.pgtype import PgType
from helios_cli.engine.datatypes.range_types import is_multirange, is_range, multirange_of
from helios_cli.engine.datatypes.usertypes import RECORD_ARRAY, is_row, is_row_array
from helios_cli.engine.sql.oids import (
    ANY,
    ANYARRAY,
    ANYCOMPATIBLE,
    ANYCOMPATIBLEARRAY,
    ANYCOMPATIBLEMULTIRANGE,
    ANYCOMPATIBLENONARRAY,
    ANYCOMPATIBLERANGE,
    ANYELEMENT,
    ANYENUM,
    ANYMULTIRANGE,
    ANYNONARRAY,
    ANYRANGE,
    POLYMORPHIC,
    RECORD,
    TEXT,
    UNKNOWN,
    VOID,
)

VECTORS: Final = {22: 21, 30: 26}
"""int2vector and oidvector, with the type of their elements: arrays written with spaces."""


class Context(IntEnum):
    """How willingly a conversion may be made; each includes the ones before it."""

    IMPLICIT = 0
    ASSIGNMENT = 1
    EXPLICIT = 2


class _Made(Protocol):
    @property
    def how(self) -> Context: ...


Made = Mapping[tuple[int, int], _Made]
NOTHING_MADE: Final[Made] = {}

_CASTS: Final = (
    "16>23:e 16>25:a 16>1042:a 16>1043:a 18>23:e 18>25:i 18>1042:a 18>1043:a 19>25:i 19>1042:a 19>1043:a 20>21:a "
    "20>23:a 20>24:i 20>26:i 20>700:i 20>701:i 20>790:a 20>1560:e 20>1700:i 20>2202:i 20>2205:i 20>2206:i "
    "20>4089:i 20>4096:i 21>20:i 21>23:i 21>24:i 21>26:i 21>700:i 21>701:i 21>1700:i 21>2202:i 21>2205:i "
    "21>2206:i 21>4089:i 21>4096:i 23>16:e 23>18:e 23>20:i 23>21:a 23>24:i 23>26:i 23>700:i 23>701:i 23>790:a "
    "23>1560:e 23>1700:i 23>2202:i 23>2205:i 23>2206:i 23>4089:i 23>4096:i 24>20:a 24>23:a 24>26:i 24>2202:i "
    "25>18:a 25>19:i 25>1042:i 25>1043:i 25>2205:i 26>20:a 26>23:a 26>24:i 26>2202:i 26>2205:i 26>2206:i "
    "26>4089:i 26>4096:i 114>3802:a 650>25:a 650>869:i 650>1042:a 650>1043:a 700>20:a 700>21:a 700>23:a 700>701:i "
    "700>1700:a 701>20:a 701>21:a 701>23:a 701>700:a 701>1700:a 790>1700:a 869>25:a 869>650:a 869>1042:a "
    "869>1043:a 1042>18:a 1042>19:i 1042>25:i 1042>1043:i 1043>18:a 1043>19:i 1043>25:i 1043>1042:i 1043>2205:i "
    "1082>1114:i 1082>1184:i 1083>1186:i 1083>1266:i 1114>1082:a 1114>1083:a 1114>1184:i 1184>1082:a 1184>1083:a "
    "1184>1114:a 1184>1266:a 1186>1083:a 1266>1083:a 1560>20:e 1560>23:e 1560>1562:i 1562>1560:i 1700>20:a "
    "1700>21:a 1700>23:a 1700>700:i 1700>701:i 1700>790:a 2202>20:a 2202>23:a 2202>24:i 2202>26:i 2205>20:a "
    "2205>23:a 2205>26:i 2206>20:a 2206>23:a 2206>26:i 3802>16:e 3802>20:e 3802>21:e 3802>23:e 3802>114:a "
    "3802>700:e 3802>701:e 3802>1700:e 4089>20:a 4089>23:a 4089>26:i 4096>20:a 4096>23:a 4096>26:i 194>25:i "
    "5069>28:e 25>15801:a 1042>15801:a 1043>15801:a 15801>25:i 15801>1042:a 15801>1043:i 16>15801:a 15803>114:e "
    "15803>3802:e 829>774:i 774>829:i 3904>4451:e 3906>4532:e 3908>4533:e "
    "3910>4534:e 3912>4535:e 3926>4536:e 600>603:a 601>600:e 602>604:a 603>600:e 603>601:e 603>604:a 603>718:e "
    "604>600:e 604>602:a 604>603:e 604>718:e 718>600:e 718>603:e 718>604:e "
    "20>2203:i 20>2204:i 21>2203:i 21>2204:i 23>2203:i 23>2204:i 26>2203:i "
    "26>2204:i 2203>20:a 2203>23:a 2203>26:i 2203>2204:i 2204>20:a 2204>23:a 2204>26:i 2204>2203:i "
    "20>4191:i 21>4191:i 23>4191:i 26>4191:i 4191>20:a 4191>23:a 4191>26:i "
    "20>3734:i 20>3769:i 21>3734:i 21>3769:i 23>3734:i 23>3769:i 26>3734:i "
    "26>3769:i 3734>20:a 3734>23:a 3734>26:i 3769>20:a 3769>23:a 3769>26:i"
)
"""pg_cast of PostgreSQL 15, source>target:context; at the end those of the extensions citext and hstore."""

_LEVEL: Final = {"i": Context.IMPLICIT, "a": Context.ASSIGNMENT, "e": Context.EXPLICIT}


def _read_casts() -> dict[tuple[int, int], Context]:
    table: dict[tuple[int, int], Context] = {}
    for entry in _CASTS.split():
        pair, level = entry.split(":")
        source, target = pair.split(">")
        table[int(source), int(target)] = _LEVEL[level]
    return table


CASTS: Final = _read_casts()


def type_of(oid: int) -> PgType | None:
    """The type record of an OID; None for a type the engine does not know."""
    try:
        return registry.by_oid(oid)
    except KeyError:
        return None


def category(oid: int) -> str:
    """pg_type.typcategory of a type; 'X' for unknown, 'U' when there is no such type."""
    if oid == UNKNOWN:
        return "X"
    found = type_of(oid)
    return found.category if found is not None else "U"


def is_preferred(oid: int) -> bool:
    """pg_type.typispreferred."""
    found = type_of(oid)
    return found is not None and found.preferred


@lru_cache(1024)
def element_of(oid: int) -> int:
    """The element type of an array type, 0 for other types."""
    found = type_of(oid)
    return found.elem_oid if found is not None and (found.category == "A" or oid == RECORD_ARRAY) else 0


def array_of(oid: int) -> int:
    """The array type over a type, 0 when there is none."""
    found = type_of(oid)
    return found.array_oid if found is not None else 0


def type_name(oid: int) -> str:
    """A type as messages show it: 'integer', 'character varying', 'unknown'."""
    if oid == UNKNOWN:
        return "unknown"
    if oid == RECORD:
        return "record"
    found = type_of(oid)
    return found.sql_name if found is not None else f"type {oid}"


def can_coerce(source: int, target: int, how: Context = Context.IMPLICIT, made: Made = NOTHING_MADE) -> bool:
    """Whether a value of one type may become another in a context (parse_coerce.c can_coerce_type).

    ``made`` are the casts that users made, by source and target.
    """
    if made and (source, target) in made:
        return made[source, target].how <= how
    return _can_coerce(source, target, how)


@lru_cache(maxsize=4096)
def _can_coerce(source: int, target: int, how: Context) -> bool:
    if source in (target, UNKNOWN) or target == ANY:
        return target != VOID or source == VOID or how == Context.EXPLICIT
    if target in POLYMORPHIC:
        return matches_polymorphic(source, target)
    level = CASTS.get((source, target))
    if level is not None:
        return level <= how
    if is_row_array(source) and is_row_array(target):
        return True
    source_element, target_element = VECTORS.get(source) or element_of(source), element_of(target)
    if source_element and target_element:
        return can_coerce(source_element, target_element, how)
    if is_row(source) and is_row(target):
        return True
    if is_range(source) and target == multirange_of(source):
        return how == Context.EXPLICIT
    if category(target) == "S" and target != 18:
        return how >= (Context.ASSIGNMENT if source != VOID else Context.EXPLICIT)
    return category(source) == "S" and how == Context.EXPLICIT


def matches_polymorphic(source: int, target: int) -> bool:
    """Whether a type may stand for a polymorphic pseudo-type; the types among arguments are not compared here."""
    is_array = element_of(source) != 0
    if target in (ANYARRAY, ANYCOMPATIBLEARRAY):
        return is_array
    if target in (ANYNONARRAY, ANYCOMPATIBLENONARRAY):
        return not is_array
    if target in (ANYRANGE, ANYCOMPATIBLERANGE):
        return is_range(source)
    if target in (ANYMULTIRANGE, ANYCOMPATIBLEMULTIRANGE):
        return is_multirange(source)
    if target == ANYENUM:
        return category(source) == "E"
    return target in (ANYELEMENT, ANYCOMPATIBLE)


def common_type(types: list[int]) -> int | None:
    """The type UNION, CASE, VALUES and their kin settle on (select_common_type); None when there is none.

    All unknown gives text.
    """
    known = [oid for oid in types if oid != UNKNOWN]
    if not known:
        return TEXT
    if all(oid == known[0] for oid in known):
        return known[0]
    chosen = known[0]
    for oid in known[1:]:
        if oid == chosen:
            continue
        if category(oid) != category(chosen):
            return None
        if not is_preferred(chosen) and can_coerce(chosen, oid) and not can_coerce(oid, chosen):
            chosen = oid
    return chosen
