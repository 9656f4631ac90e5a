"""GROUPING SETS, CUBE, ROLLUP and GROUPING() (PostgreSQL manual, 7.2.4).

Each set is a grouped query of its own that gives every key, NULL where the set lacks it, and every aggregate that the
outer query names. The select list, HAVING, windows and ORDER BY stand over the union of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from itertools import chain, combinations, product
from typing import Any, Final

from helios_cli.engine.sql import casts
from helios_cli.engine.sql.expressions import TRANSLATORS, translate
from helios_cli.engine.sql.grouping import Grouping, canonical
from helios_cli.engine.sql.oids import INT4
from helios_cli.engine.sql.owners import owner_of
from helios_cli.engine.sql.scope import Scope
from helios_cli.engine.sql.sqltext import may_fold
from helios_cli.engine.sql.typed import Node, TypedSql

_SETS_MAX: Final = 4096
_CUBE_MAX: Final = 12
_ARGUMENTS_MAX: Final = 31
"""Limits of parse_agg.c and of the 32 bits of GROUPING()'s result."""


@dataclass(slots=True)
class GroupingSets(Grouping):
    """The keys of a query level with several grouping sets."""

    alias: str = ""
    """SQLite's alias of the union, quoted."""
    keys: list[TypedSql] = field(default_factory=list)
    sets: list[tuple[int, ...]] = field(default_factory=list)
    """For each set the numbers of its keys."""
    targets: list[tuple[Node, int]] = field(default_factory=list)
    """Items of the select list that GROUP BY names, and the numbers of the keys that they are."""
    saved: list[str] = field(default_factory=list)
    """Texts that are computed within each set: aggregates, and columns that the keys determine."""

    def key(self, number: int) -> TypedSql:
        """A key as the outer query reads it."""
        sql = f"{self.alias}.k{number}"
        return replace(self.keys[number], sql=sql, simple=True, not_null=False, raw="", literal=-1, value=None)

    def number_of(self, value: TypedSql, target: Node | None) -> int:
        """The number of the key that an item of GROUP BY stands for; ``target``: the item of the select list it names.

        Two items of the select list are two keys, though they say the same.
        """
        known = next((number for node, number in self.targets if node is target), None)
        if known is not None:
            return known
        same = [number for number, key in enumerate(self.keys) if key.sql == value.sql]
        if target is not None:
            same = [number for number in same if all(number != taken for _, taken in self.targets)]
        if not same:
            same = [len(self.keys)]
            self.keys.append(value)
        if target is not None:
            self.targets.append((target, same[0]))
        return same[0]

    def target(self, node: Node) -> TypedSql | None:
        """The key that is this item of the select list, None when none is."""
        return next((self.key(number) for known, number in self.targets if known is node), None)

    def save(self, value: TypedSql) -> TypedSql:
        """A value of each group as the outer query reads it."""
        if value.sql not in self.saved:
            self.saved.append(value.sql)
        sql = f"{self.alias}.a{self.saved.index(value.sql)}"
        return replace(value, sql=sql, simple=True, raw="", literal=-1, value=None)

    def match(self, node: Node, scope: Scope) -> TypedSql | None:
        """The key an expression is equal to, None when it is none."""
        # Past this class: dataclass(slots=True) makes it anew, which breaks super() without arguments.
        found = Grouping.match(self, node, scope)
        return None if found is None else self._found(found)

    def _found(self, value: TypedSql) -> TypedSql | None:
        return next((self.key(number) for number, key in enumerate(self.keys) if key.sql == value.sql), None)

    def check_column(self, scope: Scope, value: TypedSql, shown: str, at: int, within: bool = False) -> TypedSql:
        """A column as the outer query reads it. Raises SqlError 42803 when the keys do not determine it."""
        found = self._found(value)
        if found is not None:
            return found
        common = set.intersection(*(set(numbers) for numbers in self.sets))
        every, self.columns = self.columns, {self.keys[number].sql for number in common} & self.columns
        try:
            Grouping.check_column(self, scope, value, shown, at, within)
        finally:
            self.columns = every
        return self.save(value)

    def mask_bit(self, number: int) -> str:
        """1 where the row's set lacks a key."""
        return f"(({self.alias}.mask >> {number}) & 1)"

    def source(self, text: str, conditions: list[str]) -> str:
        """The union of the sets over the text of FROM and WHERE, as a FROM item."""
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        arms = [self._arm(numbers, f"{f' FROM {text}' if text else ''}{where}") for numbers in self.sets]
        return f"({' UNION ALL '.join(arms)}) AS {self.alias}"

    def _arm(self, numbers: tuple[int, ...], source: str) -> str:
        columns = [
            f"{casts.collated(key) if number in numbers else 'NULL'} AS k{number}"
            for number, key in enumerate(self.keys)
        ]
        columns += [f"{self._within(text, numbers)} AS a{number}" for number, text in enumerate(self.saved)]
        mask = sum(1 << number for number in range(len(self.keys)) if number not in numbers)
        # An aggregate makes the empty set one group, also of no rows.
        columns += [f"{mask} AS mask", "count(*) AS n"]
        keys = ", ".join(_group_text(self.keys[number]) for number in numbers)
        return f"SELECT {', '.join(columns)}{source}{f' GROUP BY {keys}' if keys else ''}"

    def _within(self, text: str, numbers: tuple[int, ...]) -> str:
        """A text that is computed within a set; what it says of the keys (direct arguments do) it takes from there."""

        def inner(match: re.Match[str]) -> str:
            number = int(match[2])
            if match[1] == "a":
                return self._within(self.saved[number], numbers)
            return self.keys[number].sql if number in numbers else "NULL"

        return re.sub(rf"{re.escape(self.alias)}\.([ak])([0-9]+)", inner, text)


def _group_text(key: TypedSql) -> str:
    text = casts.collated(key)
    if may_fold(text):
        return f"coalesce({text}, NULL)"
    return f"+{text}" if text.isdigit() else text


def has_sets(nodes: list[Node]) -> bool:
    """Whether GROUP BY needs several sets, or one that is written as such."""
    return any("GroupingSet" in node for node in nodes) and not (
        len(nodes) == 1 and nodes[0]["GroupingSet"]["kind"] == "GROUPING_SET_EMPTY"
    )


def flat_keys(node: Node) -> list[Node]:
    """``(a, b)`` without ROW is two keys."""
    row = node.get("RowExpr")
    return row.get("args", []) if row is not None and row.get("row_format") == "COERCE_IMPLICIT_CAST" else [node]


def expand(nodes: list[Node], distinct: bool, scope: Scope) -> list[list[Node]]:
    """The sets of a GROUP BY clause: every combination of what its items stand for.

    Raises:
        SqlError: 54001 too many sets, 54011 too many elements of CUBE.
    """
    items = [_expand_item(node, scope) for node in nodes]
    count = 1
    for item in items:
        count *= len(item)
        if count > _SETS_MAX:
            message = f"too many grouping sets present (maximum {_SETS_MAX})"
            raise scope.ctx.error("54001", message, _location(nodes[0]))
    found = [list(chain.from_iterable(combination)) for combination in product(*items)]
    if not distinct:
        return found
    kept: dict[frozenset[str], list[Node]] = {}
    for keys in found:
        kept.setdefault(frozenset(repr(canonical(key, scope)) for key in keys), keys)
    return list(kept.values())


def _location(node: Node) -> int:
    return int(next(iter(node.values())).get("location", -1))


def _expand_item(node: Node, scope: Scope) -> list[list[Node]]:
    fields = node.get("GroupingSet")
    if fields is None:
        return [flat_keys(node)]
    kind, content = fields["kind"], fields.get("content", [])
    if kind == "GROUPING_SET_EMPTY":
        return [[]]
    if kind == "GROUPING_SET_SETS":
        return [keys for item in content for keys in _expand_item(item, scope)]
    parts = [flat_keys(item) for item in content]
    if kind == "GROUPING_SET_ROLLUP":
        return [list(chain.from_iterable(parts[:end])) for end in range(len(parts), -1, -1)]
    if len(parts) > _CUBE_MAX:
        raise scope.ctx.error("54011", f"CUBE is limited to {_CUBE_MAX} elements", fields.get("location", -1))
    return [
        list(chain.from_iterable(chosen)) for size in range(len(parts), -1, -1) for chosen in combinations(parts, size)
    ]


def _grouping_function(fields: dict[str, Any], scope: Scope) -> TypedSql:
    """GROUPING(...): a bit for each argument, the last the lowest, set where the row's set lacks it."""
    ctx, at = scope.ctx, fields.get("location", 0)
    owner = owner_of(fields, scope)
    if not owner.aggregates_allowed:
        raise ctx.error("42803", f"grouping operations are not allowed in {owner.clause or 'this context'}", at)
    arguments = fields.get("args", [])
    if len(arguments) > _ARGUMENTS_MAX:
        raise ctx.error("54023", "GROUPING must have fewer than 32 arguments", at)
    bits = [_bit(node, owner) for node in arguments]
    count = len(bits)
    text = " + ".join(f"{bit} * {1 << (count - 1 - place)}" for place, bit in enumerate(bits))
    return TypedSql(f"({text})", INT4, not_null=True, location=at)


def _bit(node: Node, scope: Scope) -> str:
    grouping, scope.grouping = scope.grouping, None
    try:
        text = translate(node, scope).sql
        form = canonical(node, scope)
    finally:
        scope.grouping = grouping
    if isinstance(grouping, GroupingSets):
        for number, key in enumerate(grouping.keys):
            if key.sql == text or any(known == form and value is key for known, value in grouping.expressions):
                return grouping.mask_bit(number)
    elif grouping is not None and (text in grouping.columns or any(form == known for known, _ in grouping.expressions)):
        return "0"
    message = "arguments to GROUPING must be grouping expressions of the associated query level"
    raise scope.ctx.error("42803", message, _location(node))


TRANSLATORS["GroupingFunc"] = _grouping_function
