"""CREATE TABLE ... PARTITION BY and PARTITION OF: what a table is parted by, and which rows a partition has.

A partition is a table that inherits, with a CHECK for its bound. The partitioned table holds no rows of its own.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import pgparse

from helios_cli.engine.sql import tree
from helios_cli.engine.sql.ddl_build import Builder, unsupported
from helios_cli.engine.sql.ddl_columns import constant_default
from helios_cli.engine.sql.ddl_deparse import deparse
from helios_cli.engine.sql.ddl_model import ColumnDef, TableDef
from helios_cli.engine.sql.ddl_partition_rows import STRATEGIES
from helios_cli.engine.sql.oids import BOOL, DATE, INTEGERS, STRINGS, TIMESTAMP, TIMESTAMPTZ, UUID
from helios_cli.engine.sql.relation import Partition
from helios_cli.engine.sql.sqltext import pg_identifier
from helios_cli.engine.sql.typed import Node

_WORDS: Final = {"PARTITION_STRATEGY_LIST": "l", "PARTITION_STRATEGY_RANGE": "r"}
_LAST: Final = ("minvalue", "maxvalue")
_KEY_TYPES: Final = frozenset((*INTEGERS, *STRINGS, BOOL, DATE, TIMESTAMP, TIMESTAMPTZ, UUID))


def parted_by(builder: Builder, table: TableDef, spec: dict[str, Any]) -> Partition:
    """What PARTITION BY says.

    Raises:
        SqlError: 42703 no such column, 42P17 several columns of a list; 0A000 hashes, expressions, other types.
    """
    strategy = _WORDS.get(spec["strategy"])
    if strategy is None:
        raise unsupported("PARTITION BY HASH", "Use PARTITION BY LIST or RANGE.")
    keys = []
    for node in spec["partParams"]:
        element = node["PartitionElem"]
        if "name" not in element or element.get("collation") or element.get("opclass"):
            raise unsupported("a partition key that is no plain column", "Add a column for it.")
        column = table.column(element["name"])
        if column is None:
            message = f'column "{element["name"]}" named in partition key does not exist'
            raise builder.error("42703", message, element.get("location", -1))
        if column.type_oid not in _KEY_TYPES or column.domain or column.collation or column.generated:
            raise unsupported("a partition key of this type", "Use integers, texts, booleans, dates or timestamps.")
        keys.append(column.name)
    if strategy == "l" and len(keys) > 1:
        raise builder.error("42P17", 'cannot use "list" partition strategy with more than one column')
    return Partition(strategy, tuple(keys))


def part_of(builder: Builder, table: TableDef, parent: TableDef, bound: dict[str, Any]) -> Partition:
    """What FOR VALUES or DEFAULT says of a partition of ``parent``.

    Raises:
        SqlError: 42P17 the other table is not partitioned, the bound is another's too, or empty; 42P16.
    """
    above = parent.partition
    if above is None or not above.strategy:
        raise builder.error("42P17", f'"{parent.name}" is not partitioned')
    others = [(found.name, found.partition) for found in partitions_of(builder, parent) if found.partition is not None]
    if bound.get("is_default"):
        known = next((name for name, other in others if other.bound == "DEFAULT"), None)
        if known is not None:
            message = f'partition "{table.name}" conflicts with existing default partition "{known}"'
            raise builder.error("42P17", message, bound.get("location", -1))
        return bounded(parent, "DEFAULT", none_of([other for _, other in others]))
    if bound["strategy"] != above.strategy:
        word = STRATEGIES[above.strategy].lower()
        message = f"invalid bound specification for a {word} partition"
        raise builder.error("42P16", message, bound.get("location", -1))
    columns = [column for name in above.keys if (column := parent.column(name)) is not None]
    text, own = (_list if above.strategy == "l" else _range)(builder, table, columns, bound)
    _check_overlap(builder, table, parent, text, others, bound)
    return bounded(parent, text, own)


def check_lasting(builder: Builder, table: TableDef, parent: TableDef, verb: str) -> None:
    """Raise SqlError 42809 when one of a table and a partition of it is temporary and the other is not."""
    if table.temp != parent.temp:
        word, other = ("temporary", "permanent") if table.temp else ("permanent", "temporary")
        message = f'cannot {verb} a {word} relation as partition of {other} relation "{parent.name}"'
        raise builder.error("42809", message)


def bounded(parent: TableDef, bound: str, own: str) -> Partition:
    """A partition by its bound and the condition that this puts on its rows."""
    return Partition(bound=bound, own=own, check=whole_check(parent.partition, own))


def whole_check(above: Partition | None, own: str) -> str:
    """The condition of a partition with that of the partitioned table."""
    return f"({above.check}) AND ({own})" if above is not None and above.check else own


def none_of(others: list[Partition]) -> str:
    """The condition on the rows of a default partition."""
    texts = " OR ".join(f"({other.own})" for other in others if other.bound != "DEFAULT")
    return f"NOT coalesce({texts}, false)" if texts else "true"


def partitions_of(builder: Builder, parent: TableDef) -> list[TableDef]:
    """The partitions of a table, by OID."""
    found = (builder.catalog.table_def(oid) for oid in builder.catalog.children(parent.oid))
    return [table for table in found if table is not None]


# -- bounds -------------------------------------------------------------------------------------------------------


def _value(builder: Builder, column: ColumnDef, node: Node) -> str:
    """A bound's constant as it is shown. Raises SqlError 42804, 22P02; 0A000 for expressions."""
    const = node.get("A_Const")
    if const is None:
        raise unsupported("an expression in a partition bound", "Write the value.")
    value = tree.const_value(const)
    if column.type_oid in STRINGS:
        node = {"A_Const": {"sval": {"sval": str(value)}}}
    elif constant_default(column, node) is None:
        shown = deparse(node)
        raise builder.error("42804", f'specified value {shown} cannot be cast to the type of column "{column.name}"')
    return deparse(node)


def _list(builder: Builder, _table: TableDef, columns: list[ColumnDef], bound: dict[str, Any]) -> tuple[str, str]:
    column, name = columns[0], pg_identifier(columns[0].name)
    shown, values, has_null = [], [], False
    for node in bound["listdatums"]:
        if node.get("A_Const", {}).get("isnull"):
            has_null = True
            shown.append("NULL")
            continue
        text = _value(builder, column, node)
        if text not in values:
            values.append(text)
            shown.append(text)
    one_of = f"{name} IN ({', '.join(values)})" if values else "false"
    own = f"({name} IS NULL) OR ({one_of})" if has_null else f"({name} IS NOT NULL) AND ({one_of})"
    return f"FOR VALUES IN ({', '.join(shown)})", own


def _range(builder: Builder, table: TableDef, columns: list[ColumnDef], bound: dict[str, Any]) -> tuple[str, str]:
    ends = []
    for word, key in (("FROM", "lowerdatums"), ("TO", "upperdatums")):
        nodes = bound[key]
        if len(nodes) != len(columns):
            message = f"{word} must specify exactly one value per partitioning column"
            raise builder.error("42P16", message, bound.get("location", -1))
        ends.append([_end(builder, column, node) for column, node in zip(columns, nodes, strict=True)])
    low, high = ends
    names = [pg_identifier(column.name) for column in columns]
    tests = [f"({name} IS NOT NULL)" for name in names]
    tests += [test for test in (_beyond(names, low, ">"), _beyond(names, high, "<")) if test]
    own = " AND ".join(tests)
    text = f"FOR VALUES FROM ({', '.join(low)}) TO ({', '.join(high)})"
    if not _key(columns, low) < _key(columns, high):
        message = f'empty range bound specified for partition "{table.name}"'
        detail = (
            f"Specified lower bound ({', '.join(low)}) is greater than or equal to upper bound ({', '.join(high)})."
        )
        keys = _key(columns, low), _key(columns, high)
        place = next((at for at, (one, two) in enumerate(zip(*keys, strict=False)) if one != two), 0)
        raise builder.error("42P17", message, tree.location(bound["lowerdatums"][place]), detail=detail)
    return text, own


def _end(builder: Builder, column: ColumnDef, node: Node) -> str:
    reference = node.get("ColumnRef")
    if reference is not None and tree.strings(reference["fields"])[-1] in _LAST:
        return tree.strings(reference["fields"])[-1].upper()
    if node.get("A_Const", {}).get("isnull"):
        raise builder.error("42P17", "cannot specify NULL in range bound")
    return _value(builder, column, node)


def _beyond(names: list[str], values: list[str], sign: str) -> str:
    """The condition that a row of the columns is at or after its lower bound ('>'), or before its upper one ('<').

    '' where every row is.
    """
    if not names or values[0] == "MINVALUE":
        return "" if sign == ">" else "false"
    if values[0] == "MAXVALUE":
        return "" if sign == "<" else "false"
    last = len(names) == 1
    if last:
        return f"({names[0]} {sign}{'=' * (sign == '>')} {values[0]})"
    rest = _beyond(names[1:], values[1:], sign)
    if rest == "false":
        return f"({names[0]} {sign} {values[0]})"
    same = f"({names[0]} = {values[0]})"
    if not rest:
        return f"({names[0]} {sign}= {values[0]})"
    return f"(({names[0]} {sign} {values[0]}) OR ({same} AND {rest}))"


def _sorted_value(column: ColumnDef, text: str) -> tuple[int, Any]:
    if text in ("MINVALUE", "MAXVALUE"):
        return (-1 if text == "MINVALUE" else 1), 0
    parsed: Any = pgparse.parse(f"SELECT {text}")
    node = parsed[0]["stmt"]["SelectStmt"]["targetList"][0]["ResTarget"]["val"]
    return 0, constant_default(column, node)


def _key(columns: list[ColumnDef], values: list[str]) -> tuple[tuple[int, Any], ...]:
    found = []
    for column, text in zip(columns, values, strict=True):
        found.append(_sorted_value(column, text))
        if found[-1][0]:
            break
    return tuple(found)


def _ends(text: str) -> tuple[list[str], list[str]]:
    """The ends of a range as it is shown."""
    parsed: Any = pgparse.parse(f"CREATE TABLE x PARTITION OF y {text}")
    bound = parsed[0]["stmt"]["CreateStmt"]["partbound"]
    return tuple(  # type: ignore[return-value]
        [
            tree.strings(node["ColumnRef"]["fields"])[-1].upper() if "ColumnRef" in node else deparse(node)
            for node in bound[key]
        ]
        for key in ("lowerdatums", "upperdatums")
    )


def _items(text: str) -> set[str]:
    parsed: Any = pgparse.parse(f"CREATE TABLE x PARTITION OF y {text}")
    return {
        "NULL" if node["A_Const"].get("isnull") else deparse(node)
        for node in parsed[0]["stmt"]["CreateStmt"]["partbound"]["listdatums"]
    }


def _check_overlap(
    builder: Builder, table: TableDef, parent: TableDef, text: str, others: list[tuple[str, Partition]],
    bound: dict[str, Any],
) -> None:  # fmt: skip
    """Raise SqlError 42P17 for a bound that has rows of another partition (check_new_partition_bound, partbounds.c)."""
    above = parent.partition
    assert above is not None
    columns = [column for name in above.keys if (column := parent.column(name)) is not None]
    known = [(name, other) for name, other in others if other.bound != "DEFAULT"]
    found = (_list_overlap if above.strategy == "l" else _range_overlap)(columns, text, known, bound)
    if found is not None:
        raise builder.error("42P17", f'partition "{table.name}" would overlap partition "{found[0]}"', found[1])


def _list_overlap(
    _columns: list[ColumnDef], _text: str, others: list[tuple[str, Partition]], bound: dict[str, Any]
) -> tuple[str, int] | None:
    """The partition that has a value of a list already, and where that value stands."""
    for node in bound["listdatums"]:
        value = "NULL" if node.get("A_Const", {}).get("isnull") else deparse(node)
        for name, other in others:
            if value in _items(other.bound):
                return name, tree.location(node)
    return None


def _range_overlap(
    columns: list[ColumnDef], text: str, others: list[tuple[str, Partition]], bound: dict[str, Any]
) -> tuple[str, int] | None:
    """The first partition that a range has rows of, and where the value stands that reaches into it."""
    low, high = (_key(columns, end) for end in _ends(text))
    found = []
    for name, other in others:
        other_low, other_high = (_key(columns, end) for end in _ends(other.bound))
        if low < other_high and other_low < high:
            found.append((other_low, name))
    if not found:
        return None
    other_low, name = min(found)
    key, end = ("lowerdatums", low) if other_low <= low else ("upperdatums", high)
    place = next((at for at, (one, two) in enumerate(zip(end, other_low, strict=False)) if one != two), 0)
    return name, tree.location(bound[key][place])


def with_bound(found: Partition | None, bound: Partition) -> Partition:
    """How a partition that is partitioned itself is parted, and which rows it has."""
    return bound if found is None else replace(found, bound=bound.bound, own=bound.own, check=bound.check)
