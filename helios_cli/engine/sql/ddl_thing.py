"""The kinds of things that DROP tells apart."""

from __future__ import annotations

from typing import Final, NamedTuple

from helios_cli.engine.datatypes.usertypes import RANGE_NUMBERS, kind_of, number_of, relation_of
from helios_cli.engine.sql.ddl_schema import FIRST_OID

RELATION: Final = "relation"
COLUMN: Final = "column"
DEFAULT: Final = "default"
CONSTRAINT: Final = "constraint"
INDEX: Final = "index"
ROUTINE: Final = "routine"
TYPE: Final = "type"
TRIGGER: Final = "trigger"
POLICY: Final = "policy"
SCHEMA: Final = "schema"
EXTENSION: Final = "extension"
MEMBER: Final = "member"
"""A type of an extension."""
OPERATOR: Final = "operator"
CAST: Final = "cast"


class Thing(NamedTuple):
    """An object, or a part of one."""

    kind: str
    oid: int
    """Of a column, a default, an index or a policy its table's; of an attribute its type's."""
    sub: int = 0
    """The number of a column, attribute or default; the OID of an index or a policy."""


Found = tuple[Thing, bool]
"""A dependent, and whether it goes without a word: it is a part of the other."""


def age(thing: Thing) -> tuple[int, float]:
    """Grows with the order in which things were made; a column and its default are made with their table."""
    if kind_of(thing.oid) in ("r", "m"):
        return FIRST_OID + (thing.oid >> 2 & RANGE_NUMBERS - 1), 0.25 * (thing.oid & 3)
    if kind_of(thing.oid) and thing.kind in (TYPE, COLUMN):
        return relation_of(thing.oid) or number_of(thing.oid), 0.5 * (thing.oid & 1) - thing.sub / 4096
    if thing.kind in (POLICY, INDEX):
        return thing.sub, 0
    return thing.oid, {DEFAULT: 0.25 + thing.sub / 4096, COLUMN: -thing.sub / 4096}.get(thing.kind, 0)
