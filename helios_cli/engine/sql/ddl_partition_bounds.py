"""Bounds of partitions: the values of FOR VALUES, how they are shown, and the condition that they put on rows.

The values are computed when the partition is made, and kept as PostgreSQL prints them (``relpartbound``), times with a
zone in UTC.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cmp_to_key
from typing import Any, Final

from helios_cli.engine.datatypes import registry
from helios_cli.engine.datatypes.usertypes import kind_of, pinned_name
from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql import grammar, tree
from helios_cli.engine.sql.ddl_build import Builder, as_relation, unsupported
from helios_cli.engine.sql.ddl_deparse import parse_expression
from helios_cli.engine.sql.ddl_model import TableDef
from helios_cli.engine.sql.oids import BOOL, DATE, INT4, INTEGERS, NUMERIC, STRINGS, TIMESTAMP, TIMESTAMPTZ
from helios_cli.engine.sql.sqltext import constant, pg_identifier, quote_string
from helios_cli.engine.sql.stored import translate_for_column
from helios_cli.engine.sql.typed import Node

LAST: Final = ("MINVALUE", "MAXVALUE")
_SORTED: Final = frozenset((*INTEGERS, BOOL, DATE, TIMESTAMP, TIMESTAMPTZ))
"""Types whose stored values are numbers in PostgreSQL's order."""
_PLACE: Final = re.compile(r"'(?:[^']|'')*'|\?([0-9]+)")
_FLOAT: Final = re.compile(r"[0-9]+(\.[0-9]*)(e[+-]?[0-9]+)?|[0-9]+e[+-]?[0-9]+")


@dataclass(frozen=True, slots=True)
class PartKey:
    """One column or expression that a table is partitioned by."""

    name: str
    """Of the column; of an expression its text."""
    text: str
    """PostgreSQL's text of it, in parentheses where it needs them."""
    type_oid: int
    typmod: int = -1
    collation: str = ""

    @property
    def type_name(self) -> str:
        """For a cast."""
        return (
            pinned_name(self.type_oid) if kind_of(self.type_oid) else registry.format_type(self.type_oid, self.typmod)
        )


@dataclass(frozen=True, slots=True)
class Value:
    """A value of a bound: as it is shown, and as it is stored; MINVALUE and MAXVALUE store nothing."""

    shown: str
    stored: Any = None
    at: int = -1
    """Where the statement has it."""


def part_keys(builder: Builder, table: TableDef) -> list[PartKey]:
    """What a partitioned table is partitioned by."""
    assert table.partition is not None
    found = []
    expressions = iter(table.partition.expressions)
    for name in table.partition.keys:
        column = table.column(name) if name else None
        if column is not None:
            oid = column.shown_oid if not column.domain else column.type_oid
            found.append(PartKey(name, pg_identifier(name), oid, column.typmod, column.collation))
            continue
        text = next(expressions)
        typed = translate_for_column(
            parse_expression(text), as_relation(table), catalog=builder.catalog, functions=builder.functions,
            purpose="PARTITION KEY",
        )  # fmt: skip
        found.append(PartKey(text, f"({text})", typed.type_oid))
    return found


# -- values -------------------------------------------------------------------------------------------------------


def read_value(builder: Builder, key: PartKey, node: Node) -> Value | None:
    """A bound's value, computed; None for NULL.

    Raises:
        SqlError: 42804 it cannot be cast to the key's type, 0A000 columns and subqueries; what computing it raises.
    """
    at = tree.location(node["TypeCast"]["arg"] if "TypeCast" in node else node)
    for part in tree.walk(node):
        if isinstance(part.get("ColumnRef"), dict):
            message = "cannot use column reference in partition bound expression"
            raise builder.error("0A000", message, part["ColumnRef"].get("location", -1))
        if isinstance(part.get("SubLink"), dict):
            message = "cannot use subquery in partition bound"
            raise builder.error("0A000", message, part["SubLink"].get("location", -1))
    if kind_of(key.type_oid):
        return _label(builder, key, node)
    session: list[str] = []
    try:
        typed = translate_for_column(
            node, None, catalog=builder.catalog, functions=builder.functions, type_oid=key.type_oid, typmod=key.typmod,
            purpose="PARTITION", source=builder.source, session=session,
        )  # fmt: skip
    except SqlError as error:
        if error.sqlstate != "42804":
            raise
        what = f'type {registry.format_type(key.type_oid)} for column "{key.name}"'
        raise builder.error("42804", f"specified value cannot be cast to {what}", at) from None
    stored = compute(builder, typed.sql, session)
    return None if stored is None else Value(shown(key, stored), stored, at)


def _labels(builder: Builder, key: PartKey) -> tuple[str, ...]:
    found = builder.catalog.type_by_oid(key.type_oid)
    return found.labels if found is not None else ()


def _label(builder: Builder, key: PartKey, node: Node) -> Value | None:
    """A value of an enum. Raises SqlError 22P02, FeatureNotSupported."""
    at = tree.location(node)
    node = node["TypeCast"]["arg"] if "TypeCast" in node else node
    if node.get("A_Const", {}).get("isnull"):
        return None
    text = node.get("A_Const", {}).get("sval", {}).get("sval")
    if text is None:
        raise unsupported("a computed partition bound of this type", "Write the value.")
    if text not in _labels(builder, key):
        message = f'invalid input value for enum {registry.sql_type_name(key.type_oid)}: "{text}"'
        raise builder.error("22P02", message, at)
    return Value(shown(key, text), text, at)


def compute(builder: Builder, sql: str, session: list[str]) -> Any:
    """The value of SQLite's text, the parameters of which are these values of the session."""
    if builder.evaluate is None:
        raise unsupported("a computed partition bound in this place", "Write the value.")
    values = [builder.catalog.session_value(name) for name in session]
    return builder.evaluate(_PLACE.sub(lambda m: constant(values[int(m[1]) - 1]) if m[1] else m[0], sql))


def _text(key: PartKey, stored: Any) -> str:
    if kind_of(key.type_oid):
        return str(stored)
    return registry.by_oid(key.type_oid).format_text(stored).decode()


def shown(key: PartKey, stored: Any) -> str:
    """A constant as a bound shows it (get_const_expr without a type, ruleutils.c)."""
    text = _text(key, stored)
    if key.type_oid == BOOL:
        return "true" if stored else "false"
    bare = (key.type_oid == INT4 and text.isdigit()) or (key.type_oid == NUMERIC and _FLOAT.fullmatch(text))
    return text if bare else quote_string(text)


def literal(key: PartKey, value: Value) -> str:
    """A constant as an expression has it: with its type."""
    typed = value.shown.startswith("'") or (key.type_oid == NUMERIC and key.typmod >= 0)
    return f"{value.shown}::{key.type_name}" if typed else value.shown


def kept_values(key: PartKey, nodes: list[Node]) -> list[Value | None]:
    """The values of a bound as it is kept; None stands for NULL."""
    return [_kept(key, node) for node in nodes]


def _kept(key: PartKey, node: Node) -> Value | None:
    if "ColumnRef" in node:
        return Value(tree.strings(node["ColumnRef"]["fields"])[-1].upper())
    const = node["A_Const"]
    if const.get("isnull"):
        return None
    value = tree.const_value(const)
    text = str(value).lower() if isinstance(value, bool) else str(value)
    stored = text if kind_of(key.type_oid) else registry.by_oid(key.type_oid).parse_text(text)
    return Value(shown(key, stored), stored)


def kept_bound(text: str) -> dict[str, Any]:
    """The tree of a bound as it is kept."""
    parsed: Any = grammar.parse(f"CREATE TABLE x PARTITION OF y {text}")
    bound: dict[str, Any] = parsed[0]["stmt"]["CreateStmt"]["partbound"]
    return bound


# -- order --------------------------------------------------------------------------------------------------------


def compare(builder: Builder, key: PartKey, one: Value, other: Value) -> int:
    """Less than 0, 0, or more: how two ends of ranges follow each other in one column."""
    ends = [LAST.index(value.shown) * 2 - 1 if value.shown in LAST else 0 for value in (one, other)]
    if any(ends):
        return ends[0] - ends[1]
    if one.shown == other.shown:
        return 0
    left: Any = one.stored
    right: Any = other.stored
    if kind_of(key.type_oid):
        labels = _labels(builder, key)
        left, right = labels.index(left), labels.index(right)
    elif key.type_oid in STRINGS and not key.collation:
        left, right = str(left).encode(), str(right).encode()
    elif key.type_oid not in _SORTED:
        return _compared(builder, key, one, other)
    return int(left > right) - int(left < right)


def _compared(builder: Builder, key: PartKey, one: Value, other: Value) -> int:
    def holds(sign: str) -> bool:
        node = parse_expression(f"{literal(key, one)} {sign} {literal(key, other)}")
        session: list[str] = []
        typed = translate_for_column(
            node, None, catalog=builder.catalog, functions=builder.functions, purpose="PARTITION", session=session
        )
        return bool(compute(builder, typed.sql, session))

    return 0 if holds("=") else -1 if holds("<") else 1


def first_difference(builder: Builder, keys: list[PartKey], one: list[Value], other: list[Value]) -> tuple[int, int]:
    """How two ends follow each other, as :func:`compare`, and in which column that is seen (partition_rbound_cmp).

    Behind MINVALUE and MAXVALUE nothing counts.
    """
    for place, (key, left, right) in enumerate(zip(keys, one, other, strict=True)):
        found = compare(builder, key, left, right)
        if found:
            return found, place
        if left.shown in LAST:
            break
    return 0, 0


def in_order(builder: Builder, key: PartKey, values: list[Value]) -> list[Value]:
    """The values of a list, each once, in their order."""
    unique = list({value.shown: value for value in values}.values())

    def order(one: Value, other: Value) -> int:
        return compare(builder, key, one, other)

    return sorted(unique, key=cmp_to_key(order))


# -- conditions ---------------------------------------------------------------------------------------------------


def list_condition(key: PartKey, values: list[Value], *, has_null: bool) -> str:
    """The condition on the rows of a list (get_qual_for_list, partbounds.c)."""
    texts = [literal(key, value) for value in values]
    one_of = f"({key.text} = {texts[0]})" if len(texts) == 1 else f"({key.text} IN ({', '.join(texts)}))"
    if not has_null:
        return f"({key.text} IS NOT NULL) AND {one_of}"
    return f"(({key.text} IS NULL) OR {one_of})" if texts else f"({key.text} IS NULL)"


def range_condition(keys: list[PartKey], low: list[Value], high: list[Value]) -> list[str]:
    """The tests on the rows of a range, without those for NULL (get_qual_for_range, partbounds.c)."""
    tests, place = [], 0
    while low[place].shown not in LAST and low[place].shown == high[place].shown:
        tests.append(f"({keys[place].text} = {literal(keys[place], low[place])})")
        place += 1
    ends = (_beyond(keys[place:], low[place:], ">"), _beyond(keys[place:], high[place:], "<"))
    return tests + [test for test in ends if test]


def null_tests(keys: list[PartKey]) -> list[str]:
    """The tests that a row of a range has no NULL in its key."""
    return [f"({key.text} IS NOT NULL)" for key in keys]


def _beyond(keys: list[PartKey], values: list[Value], sign: str) -> str:
    """The condition that a row is at or after its lower end ('>'), or before its upper one ('<').

    '' where every row is.
    """
    if not keys or values[0].shown == "MINVALUE":
        return "" if sign == ">" else "false"
    if values[0].shown == "MAXVALUE":
        return "" if sign == "<" else "false"
    text, value = keys[0].text, literal(keys[0], values[0])
    if len(keys) == 1:
        return f"({text} {sign}{'=' * (sign == '>')} {value})"
    rest = _beyond(keys[1:], values[1:], sign)
    if rest == "false":
        return f"({text} {sign} {value})"
    if not rest:
        return f"({text} {sign}= {value})"
    return f"(({text} {sign} {value}) OR (({text} = {value}) AND {rest}))"


def hash_condition(parent: int, keys: list[PartKey], modulus: int, remainder: int) -> str:
    """The condition on the rows of a hash partition."""
    listed = ", ".join(key.text for key in keys)
    return f"satisfies_hash_partition('{parent}'::oid, {modulus}, {remainder}, {listed})"
