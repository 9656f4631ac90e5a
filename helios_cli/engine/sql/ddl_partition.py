"""CREATE TABLE ... PARTITION BY and PARTITION OF: what a table is parted by, and which rows a partition has.

A partition is a table that inherits, with a CHECK for its bound. The partitioned table holds no rows of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import gcd
from typing import Any, Final

from helios_cli.engine.datatypes import registry
from helios_cli.engine.datatypes.partition_hash import HASHED
from helios_cli.engine.datatypes.usertypes import kind_of
from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql import tree
from helios_cli.engine.sql.ddl_build import Builder, as_relation, unsupported
from helios_cli.engine.sql.ddl_columns import refuse_collation
from helios_cli.engine.sql.ddl_deparse import column_names, deparse
from helios_cli.engine.sql.ddl_model import TableDef
from helios_cli.engine.sql.ddl_partition_bounds import (
    LAST,
    PartKey,
    Value,
    first_difference,
    hash_condition,
    in_order,
    kept_bound,
    kept_values,
    list_condition,
    null_tests,
    part_keys,
    range_condition,
    read_value,
)
from helios_cli.engine.sql.ddl_partition_rows import STRATEGIES
from helios_cli.engine.sql.relation import Partition
from helios_cli.engine.sql.stored import translate_for_column
from helios_cli.engine.sql.system_columns import NAMES as SYSTEM_COLUMNS

_WORDS: Final = {"PARTITION_STRATEGY_LIST": "l", "PARTITION_STRATEGY_RANGE": "r", "PARTITION_STRATEGY_HASH": "h"}


# -- PARTITION BY -------------------------------------------------------------------------------------------------


def parted_by(builder: Builder, table: TableDef, spec: dict[str, Any]) -> Partition:
    """What PARTITION BY says.

    Raises:
        SqlError: 42703 no such column; 42P17 several keys of a list, a system column, an expression that is constant or
            not immutable; 42704 a type without an order or a hash; 0A000 collations and operator classes.
    """
    strategy = _WORDS[spec["strategy"]]
    if strategy == "l" and len(spec["partParams"]) > 1:
        raise builder.error("42P17", 'cannot use "list" partition strategy with more than one column')
    keys: list[str] = []
    expressions: list[str] = []
    for node in spec["partParams"]:
        element = _plain(node["PartitionElem"])
        if element.get("opclass"):
            raise unsupported("an operator class in a partition key", "Leave it out.")
        if "name" in element:
            keys.append(_key_column(builder, table, element))
            type_oid = next(column.type_oid for column in table.columns if column.name == element["name"])
        else:
            text, type_oid = _key_expression(builder, table, element["expr"])
            keys.append("")
            expressions.append(text)
        if element.get("collation"):
            refuse_collation(builder, {"collname": element["collation"]}, "a partition key")
        _check_type(builder, strategy, type_oid)
    return Partition(strategy, tuple(keys), expressions=tuple(expressions))


def _plain(element: dict[str, Any]) -> dict[str, Any]:
    """A column in parentheses is a column."""
    fields = element.get("expr", {}).get("ColumnRef", {}).get("fields", [])
    named = [item["String"]["sval"] for item in fields if "String" in item]
    if len(fields) != 1 or not named:
        return element
    return {**{key: value for key, value in element.items() if key != "expr"}, "name": named[0]}


def _key_column(builder: Builder, table: TableDef, element: dict[str, Any]) -> str:
    name, at = element["name"], element.get("location", -1)
    column = table.column(name)
    if column is None and name in SYSTEM_COLUMNS:
        raise builder.error("42P17", f'cannot use system column "{name}" in partition key', at)
    if column is None:
        raise builder.error("42703", f'column "{name}" named in partition key does not exist', at)
    if column.generated:
        detail = f'Column "{name}" is a generated column.'
        raise builder.error("42P17", "cannot use generated column in partition key", at, detail=detail)
    return column.name


def _key_expression(builder: Builder, table: TableDef, node: dict[str, Any]) -> tuple[str, int]:
    named = column_names(node)
    if not named:
        # What is volatile is refused first.
        _translated(builder, table, node)
        raise builder.error("42P17", "cannot use constant expression as partition key")
    if any((column := table.column(name)) is not None and column.generated for name in named):
        raise builder.error("42P17", "cannot use generated column in partition key")
    types = {column.name: column.type_oid for column in table.columns}
    return deparse(node, types), _translated(builder, table, node)


def _translated(builder: Builder, table: TableDef, node: dict[str, Any]) -> int:
    """The type of a key's expression."""
    return translate_for_column(
        node, as_relation(table), catalog=builder.catalog, functions=builder.functions, purpose="PARTITION KEY",
        source=builder.source,
    ).type_oid  # fmt: skip


def is_sorted(type_oid: int) -> bool:
    """Whether values of a type are less or more than others."""
    if kind_of(type_oid):
        return kind_of(type_oid) == "e"
    return type_oid not in (114, 142) and registry.by_oid(type_oid).category != "G"


def _check_type(builder: Builder, strategy: str, type_oid: int) -> None:
    if strategy == "h" and type_oid not in HASHED:
        if is_sorted(type_oid):
            what = f"hash partitions by {registry.format_type(type_oid)}"
            raise unsupported(what, "Use LIST or RANGE, or another column.")
        word, method = "a hash operator class or define a default hash operator class", "hash"
    elif strategy != "h" and not is_sorted(type_oid):
        word, method = "a btree operator class or define a default btree operator class", "btree"
    else:
        return
    message = f'data type {registry.format_type(type_oid)} has no default operator class for access method "{method}"'
    raise builder.error("42704", message, hint=f"You must specify {word} for the data type.")


# -- PARTITION OF -------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Parent:
    """The partitioned table of a new partition."""

    builder: Builder
    table: TableDef
    keys: list[PartKey]
    others: list[tuple[str, Partition]]
    """Its partitions with their names, but for a default one."""

    def overlap(self, name: str, other: str, at: int) -> SqlError:
        """42P17: a bound has rows of another partition."""
        return self.builder.error("42P17", f'partition "{name}" would overlap partition "{other}"', at)


def part_of(builder: Builder, table: TableDef, parent: TableDef, bound: dict[str, Any]) -> Partition:
    """What FOR VALUES or DEFAULT says of a partition of ``parent``.

    Raises:
        SqlError: 42P17 the other table is not partitioned, the bound is another's too, or empty; 42P16.
    """
    above = parent.partition
    if above is None or not above.strategy:
        raise builder.error("42P17", f'"{parent.name}" is not partitioned')
    known = [(found.name, found.partition) for found in partitions_of(builder, parent) if found.partition is not None]
    at = bound.get("location", -1)
    if bound.get("is_default"):
        if above.strategy == "h":
            raise builder.error("42P16", "a hash-partitioned table may not have a default partition")
        other = next((name for name, part in known if part.bound == "DEFAULT"), None)
        if other is not None:
            message = f'partition "{table.name}" conflicts with existing default partition "{other}"'
            raise builder.error("42P17", message, at)
        own = none_of(builder, parent, [part for _, part in known])
        return Partition(bound="DEFAULT", own=own, check=whole_check(above, own))
    if bound["strategy"] != above.strategy:
        word = STRATEGIES[above.strategy].lower()
        raise builder.error("42P16", f"invalid bound specification for a {word} partition", at)
    others = [(name, part) for name, part in known if part.bound != "DEFAULT"]
    found = _Parent(builder, parent, part_keys(builder, parent), others)
    text, own = {"l": _list, "r": _range, "h": _hash}[above.strategy](found, table.name, bound)
    return Partition(bound=text, own=own, check=whole_check(above, own))


def check_lasting(builder: Builder, table: TableDef, parent: TableDef, verb: str) -> None:
    """Raise SqlError 42809 when one of a table and a partition of it is temporary and the other is not."""
    if table.temp != parent.temp:
        word, other = ("temporary", "permanent") if table.temp else ("permanent", "temporary")
        message = f'cannot {verb} a {word} relation as partition of {other} relation "{parent.name}"'
        raise builder.error("42809", message)


def whole_check(above: Partition | None, own: str) -> str:
    """The condition of a partition with that of the partitioned table."""
    return " AND ".join(text for text in (above.check if above is not None else "", own) if text)


def partitions_of(builder: Builder, parent: TableDef) -> list[TableDef]:
    """The partitions of a table, by OID."""
    found = (builder.catalog.table_def(oid) for oid in builder.catalog.children(parent.oid))
    return [table for table in found if table is not None]


def with_bound(found: Partition | None, bound: Partition) -> Partition:
    """How a partition that is partitioned itself is parted, and which rows it has."""
    return bound if found is None else replace(found, bound=bound.bound, own=bound.own, check=bound.check)


def none_of(builder: Builder, parent: TableDef, others: list[Partition]) -> str:
    """The condition on the rows of a default partition; '' for that of the only one."""
    bounds = [kept_bound(other.bound) for other in others if other.bound != "DEFAULT"]
    if not bounds:
        return ""
    keys = part_keys(builder, parent)
    if bounds[0]["strategy"] == "l":
        values = [value for bound in bounds for value in kept_values(keys[0], bound["listdatums"])]
        known = in_order(builder, keys[0], [value for value in values if value is not None])
        return f"(NOT ({list_condition(keys[0], known, has_null=None in values)}))"
    ranges = [" AND ".join(range_condition(keys, *_ends(keys, bound))) or "true" for bound in bounds]
    one_of = f"({ranges[0]})" if len(ranges) == 1 else f"({' OR '.join(f'({text})' for text in ranges)})"
    return f"(NOT ({' AND '.join([*null_tests(keys), one_of])}))"


# -- bounds -------------------------------------------------------------------------------------------------------


def _list(parent: _Parent, name: str, bound: dict[str, Any]) -> tuple[str, str]:
    key, has_null = parent.keys[0], False
    values: list[Value] = []
    taken = {
        value.shown if value is not None else "NULL": other
        for other, part in parent.others
        for value in kept_values(key, kept_bound(part.bound)["listdatums"])
    }
    for node in bound["listdatums"]:
        value = read_value(parent.builder, key, node)
        shown = value.shown if value is not None else "NULL"
        if shown in taken:
            raise parent.overlap(name, taken[shown], tree.location(node))
        has_null |= value is None
        if value is not None and shown not in [known.shown for known in values]:
            values.append(value)
    texts = [value.shown for value in values] + ["NULL"] * has_null
    if has_null:
        first = next(at for at, node in enumerate(bound["listdatums"]) if node.get("A_Const", {}).get("isnull"))
        texts.insert(min(first, len(values)), texts.pop())
    return f"FOR VALUES IN ({', '.join(texts)})", list_condition(key, values, has_null=has_null)


def _ends(keys: list[PartKey], bound: dict[str, Any]) -> tuple[list[Value], list[Value]]:
    """The ends of a range as it is kept."""
    low, high = (
        [found for key, node in zip(keys, bound[word], strict=True) for found in kept_values(key, [node])]
        for word in ("lowerdatums", "upperdatums")
    )
    return [value for value in low if value is not None], [value for value in high if value is not None]


def _range(parent: _Parent, name: str, bound: dict[str, Any]) -> tuple[str, str]:
    builder, keys = parent.builder, parent.keys
    ends = []
    for word, field in (("FROM", "lowerdatums"), ("TO", "upperdatums")):
        if len(bound[field]) != len(keys):
            message = f"{word} must specify exactly one value per partitioning column"
            raise builder.error("42P16", message)
        ends.append(_end(parent, bound[field]))
    low, high = ends
    texts = [", ".join(value.shown for value in end) for end in ends]
    order, place = first_difference(builder, keys, low, high)
    if order >= 0:
        message = f'empty range bound specified for partition "{name}"'
        detail = f"Specified lower bound ({texts[0]}) is greater than or equal to upper bound ({texts[1]})."
        raise builder.error("42P17", message, low[place].at, detail=detail)
    _check_ranges(parent, name, low, high)
    own = " AND ".join([*null_tests(keys), *range_condition(keys, low, high)])
    return f"FOR VALUES FROM ({texts[0]}) TO ({texts[1]})", own


def _end(parent: _Parent, nodes: list[dict[str, Any]]) -> list[Value]:
    """One end of a range. Raises SqlError 42P17 for NULL, 42804 for a value behind MINVALUE or MAXVALUE."""
    found: list[Value] = []
    for key, node in zip(parent.keys, nodes, strict=True):
        at = tree.location(node)
        word = tree.strings(node["ColumnRef"]["fields"])[-1].upper() if "ColumnRef" in node else ""
        value = Value(word, None, at) if word in LAST else read_value(parent.builder, key, node)
        if value is None:
            raise parent.builder.error("42P17", "cannot specify NULL in range bound")
        before = found[-1].shown if found else ""
        if before in LAST and value.shown != before:
            message = f"every bound following {before} must also be {before}"
            raise parent.builder.error("42804", message, at)
        found.append(value)
    return found


def _check_ranges(parent: _Parent, name: str, low: list[Value], high: list[Value]) -> None:
    """Raise SqlError 42P17 for a range that has rows of another (check_new_partition_bound, partbounds.c)."""
    builder, keys = parent.builder, parent.keys
    found: tuple[list[Value], str] | None = None
    for other, part in parent.others:
        other_low, other_high = _ends(keys, kept_bound(part.bound))
        if first_difference(builder, keys, low, other_high)[0] >= 0:
            continue
        if first_difference(builder, keys, other_low, high)[0] >= 0:
            continue
        if found is None or first_difference(builder, keys, other_low, found[0])[0] < 0:
            found = other_low, other
    if found is not None:
        order, place = first_difference(builder, keys, low, found[0])
        end = low
        if order < 0:
            end, place = high, first_difference(builder, keys, high, found[0])[1]
        raise parent.overlap(name, found[1], end[place].at)


def _hash(parent: _Parent, name: str, bound: dict[str, Any]) -> tuple[str, str]:
    builder, modulus, remainder = parent.builder, bound.get("modulus", 0), bound.get("remainder", 0)
    if modulus <= 0:
        raise builder.error("42P16", "modulus for hash partition must be an integer value greater than zero")
    if remainder >= modulus:
        raise builder.error("42P16", "remainder for hash partition must be less than modulus")
    known = sorted(
        (kept.get("modulus", 0), kept.get("remainder", 0), other)
        for other, part in parent.others
        for kept in [kept_bound(part.bound)]
    )
    message = "every hash partition modulus must be a factor of the next larger modulus"
    below = [one for one in known if one[0] <= modulus]
    above = [one for one in known if one[0] > modulus]
    if below and modulus % below[-1][0]:
        detail = f"The new modulus {modulus} is not divisible by {below[-1][0]}, the modulus of existing partition"
        raise builder.error("42P17", message, detail=f'{detail} "{below[-1][2]}".')
    if above and above[0][0] % modulus:
        detail = f"The new modulus {modulus} is not a factor of {above[0][0]}, the modulus of existing partition"
        raise builder.error("42P17", message, detail=f'{detail} "{above[0][2]}".')
    for other_modulus, other_remainder, other in known:
        if (remainder - other_remainder) % gcd(modulus, other_modulus) == 0:
            raise parent.overlap(name, other, bound.get("location", -1))
    text = f"FOR VALUES WITH (modulus {modulus}, remainder {remainder})"
    return text, hash_condition(parent.table.oid, parent.keys, modulus, remainder)
