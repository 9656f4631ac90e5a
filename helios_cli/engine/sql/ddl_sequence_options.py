"""Options of CREATE SEQUENCE, ALTER SEQUENCE and identity columns (init_params, sequence.c)."""

from __future__ import annotations

from typing import Any, Final

from helios_cli.engine.datatypes import registry
from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql.ddl_build import Builder
from helios_cli.engine.sql.ddl_model import SequenceDef
from helios_cli.engine.sql.oids import INT2, INT4, INT8
from helios_cli.engine.sql.typed import Node
from helios_cli.engine.sql.typenames import resolve_type

LIMITS: Final = {
    INT2: (-(1 << 15), (1 << 15) - 1),
    INT4: (-(1 << 31), (1 << 31) - 1),
    INT8: (-(1 << 63), (1 << 63) - 1),
}


def new_sequence(
    builder: Builder, options: list[Node], *, schema: str, name: str, type_oid: int = INT8, temp: bool = False
) -> SequenceDef:
    """A new sequence from its options.

    Raises:
        SqlError: 22023 for impossible values, 42601 for an option given twice.
    """
    sequence = SequenceDef(
        oid=builder.oid(temp), schema=schema, name=name, temp=temp, type_oid=type_oid, start=1, increment=1,
        minimum=1, maximum=LIMITS[type_oid][1], cache=1, cycle=False,
    )  # fmt: skip
    apply_options(builder, sequence, options, is_new=True)
    return sequence


def read_options(options: list[Node]) -> dict[str, Any]:
    """Option name -> argument node (None where it has none).

    Raises:
        SqlError: 42601, an option comes twice.
    """
    found: dict[str, Any] = {}
    for node in options:
        fields = node["DefElem"]
        if fields["defname"] in found:
            raise SqlError("conflicting or redundant options", sqlstate="42601")
        found[fields["defname"]] = fields.get("arg")
    return found


def apply_options(builder: Builder, sequence: SequenceDef, options: list[Node], *, is_new: bool) -> dict[str, Any]:
    """Change a sequence as its options say. Returns the options, for those that need the catalog (owned_by, restart).

    Raises:
        SqlError: 22023.
    """
    found = read_options(options)
    if found.get("as") is not None:
        _change_type(builder, sequence, found["as"]["TypeName"], is_new)
    if "increment" in found:
        sequence.increment = number(found["increment"])
        if sequence.increment == 0:
            raise SqlError("INCREMENT must not be zero", sqlstate="22023")
    if "cycle" in found:
        sequence.cycle = bool(found["cycle"]["Boolean"].get("boolval", False))
    if found.get("cache") is not None:
        sequence.cache = number(found["cache"])
        if sequence.cache <= 0:
            raise SqlError(f"CACHE ({sequence.cache}) must be greater than zero", sqlstate="22023")
    _bounds(sequence, found, is_new)
    if found.get("start") is not None:
        sequence.start = number(found["start"])
    elif is_new:
        sequence.start = sequence.minimum if sequence.increment > 0 else sequence.maximum
    _check(sequence)
    return found


def _change_type(builder: Builder, sequence: SequenceDef, type_name: dict[str, Any], is_new: bool) -> None:
    type_oid, _ = resolve_type(type_name, builder.context())
    if type_oid not in LIMITS:
        raise SqlError("sequence type must be smallint, integer, or bigint", sqlstate="22023")
    low, high = LIMITS[sequence.type_oid]
    if is_new or sequence.maximum == high:
        sequence.maximum = LIMITS[type_oid][1]
    if sequence.minimum == low:
        sequence.minimum = LIMITS[type_oid][0]
    sequence.type_oid = type_oid


def _bounds(sequence: SequenceDef, found: dict[str, Any], is_new: bool) -> None:
    low, high = LIMITS[sequence.type_oid]
    ascending = sequence.increment > 0
    if found.get("maxvalue") is not None:
        sequence.maximum = number(found["maxvalue"])
    elif is_new or "maxvalue" in found:
        sequence.maximum = high if ascending else -1
    if found.get("minvalue") is not None:
        sequence.minimum = number(found["minvalue"])
    elif is_new or "minvalue" in found:
        sequence.minimum = 1 if ascending else low
    name = registry.sql_type_name(sequence.type_oid)
    if not low <= sequence.maximum <= high:
        raise SqlError(f"MAXVALUE ({sequence.maximum}) is out of range for sequence data type {name}", sqlstate="22023")
    if not low <= sequence.minimum <= high:
        raise SqlError(f"MINVALUE ({sequence.minimum}) is out of range for sequence data type {name}", sqlstate="22023")


def _check(sequence: SequenceDef) -> None:
    low, high, start = sequence.minimum, sequence.maximum, sequence.start
    if low >= high:
        raise SqlError(f"MINVALUE ({low}) must be less than MAXVALUE ({high})", sqlstate="22023")
    if start < low:
        raise SqlError(f"START value ({start}) cannot be less than MINVALUE ({low})", sqlstate="22023")
    if start > high:
        raise SqlError(f"START value ({start}) cannot be greater than MAXVALUE ({high})", sqlstate="22023")


def number(node: Node) -> int:
    """The value of an option's number.

    Raises:
        SqlError: 22P02 for one that is no 64-bit integer.
    """
    if "Integer" in node:
        return int(node["Integer"].get("ival", 0))
    text = str(node.get("Float", {}).get("fval", ""))
    value = int(text) if text.lstrip("+-").isdigit() else None
    if value is None or not LIMITS[INT8][0] <= value <= LIMITS[INT8][1]:
        raise SqlError(f'value "{text}" is out of range for type bigint', sqlstate="22003")
    return value
