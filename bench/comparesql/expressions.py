"""Random expressions of a wanted type, over literals and the columns in scope."""

from __future__ import annotations

# ruff: noqa: E501
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Final

from bench.comparesql import arguments, values
from bench.comparesql.surface import POLYMORPHIC, Call, Surface
from bench.comparesql.tree import Node, node, separated

_COMPARISONS: Final = ("=", "<>", "<", "<=", ">", ">=", "!=")
_TRIMS: Final = ("both", "leading", "trailing")
_NO_EQUALITY: Final = ("json", "jsonpath")


@dataclass
class Expressions:
    """Makes expressions. ``scope`` holds the columns that may be named, as (spelling, type)."""

    rng: Random
    surface: Surface
    scope: list[tuple[str, str]] = field(default_factory=list)
    subquery: Callable[[str, int], Node] | None = None
    """Makes a scalar subquery of a type; set by the maker of queries."""

    @contextmanager
    def scoped(self, columns: list[tuple[str, str]]) -> Iterator[None]:
        """Other columns in scope for a while."""
        before, self.scope = self.scope, columns
        try:
            yield
        finally:
            self.scope = before

    def any_type(self) -> str:
        """A type, the everyday ones more often."""
        if self.rng.random() < 0.4:
            return self.rng.choice(("int4", "text", "numeric", "bool", "timestamp", "date", "float8", "jsonb", "int8"))
        return self.rng.choice(values.TYPES)

    def make(self, kind: str, depth: int) -> Node:
        """An expression of exactly this type, ``depth`` operations deep at most."""
        if depth <= 0:
            return self.leaf(kind)
        ways: list[tuple[float, Callable[[str, int], Node | None]]] = [
            (4, self._function), (3, self._operator), (1.6, self._cast), (0.5, self._case), (0.6, self._coalesce),
            (1.2, lambda kind, _: self.leaf(kind)), (0.3, self._sublink),
        ]  # fmt: skip
        if kind == "bool":
            ways += [(6, self._condition)]
        if kind.startswith("_"):
            ways += [(1.5, self._array)]
        if f"_{kind}" in values.ARRAYS:
            ways += [(0.4, self._element)]
        if kind in _SYNTAX:
            ways += [(1.2, lambda kind, depth: self.rng.choice(_SYNTAX[kind])(self, depth))]
        if kind in ("text", "varchar"):
            ways += [(0.1, self._collated)]
        for _ in range(4):
            way = self.rng.choices([way for _, way in ways], [weight for weight, _ in ways])[0]
            made = way(kind, depth)
            if made is not None:
                return made
        return self.leaf(kind)

    # -- leaves ---------------------------------------------------------------------------------------------------

    def leaf(self, kind: str) -> Node:
        """A column of this type, or a constant."""
        names = [name for name, of in self.scope if of == kind]
        if names and self.rng.random() < 0.75:
            return node("column", f"expr:{kind}", self.rng.choice(names))
        return self.literal(kind)

    def literal(self, kind: str, edge: float = 0.18) -> Node:
        """A constant in one of the ways to write it; NULL now and then."""
        if self.rng.random() < 0.05:
            return node("literal:null", f"expr:{kind}", f"NULL::{values.type_name(self.rng, kind)}")
        return self.written(kind, values.plain(self.rng, kind, edge))

    def written(self, kind: str, text: str) -> Node:
        """A constant of this text, with its type where it would not have it by itself."""
        quoted, how = values.quoted(text), self.rng.random()
        plain = text.lstrip("-").replace(".", "").isdigit()
        if kind == "bool" and text in ("true", "false"):
            return node("literal:bool", "expr:bool", text)
        if kind == "int4" and how < 0.85 and text != "-2147483648":
            return node("literal:int4", "expr:int4", f"({text})" if text.startswith("-") else text)
        if kind == "numeric" and how < 0.7 and plain and "." in text:
            return node("literal:numeric", "expr:numeric", f"({text})" if text.startswith("-") else text)
        if kind == "text" and how < 0.6:
            return node("literal:text", "expr:text", quoted)
        name = values.type_name(self.rng, kind)
        if how < 0.1 and kind in ("date", "time", "timestamp", "timestamptz", "interval"):
            return node(f"literal:{kind}", f"expr:{kind}", f"{name} {quoted}")
        if how < 0.15:
            return node(f"literal:{kind}", f"expr:{kind}", f"CAST({quoted} AS {name})")
        return node(f"literal:{kind}", f"expr:{kind}", f"{quoted}::{name}")

    def _argument(self, function: str, at: int, kind: str, depth: int, first: str = "") -> Node:
        special = arguments.SPECIAL.get((function, at))
        if function == "to_char" and at == 1:
            special = arguments.TO_CHAR.get(first)
        if special and self.rng.random() < 0.9:
            text = self.rng.choice(special)
            if kind not in values.NUMBERS or text.replace(".", "").lstrip("-").isdigit():
                return self.written(kind, text)
        if kind == "text" and self.rng.random() < 0.08 and (at or not function.startswith("json")):
            return node("literal:unknown", "expr:text", values.quoted(values.plain(self.rng, "text")))
        return self.make(kind, depth)

    # -- calls ----------------------------------------------------------------------------------------------------

    def _pick(self, table: dict[str, list[Call]], kind: str) -> Call | None:
        found = list(table.get(kind, ()))
        poly = [
            call for name in POLYMORPHIC for call in table.get(name, ()) if _fits(name, kind) and _gives(call, kind)
        ]
        names = sorted({call.name for call in found + poly})
        if not names:
            return None
        name = self.rng.choice(names)
        return self.rng.choice([call for call in found + poly if call.name == name])

    def bound(self, call: Call, kind: str) -> list[str]:
        """The argument types of a call that is to give ``kind``."""
        ranges = any("range" in arg for arg in call.args)
        element = self.rng.choice(tuple(values.RANGES) if ranges else values.ARRAY_ELEMENTS)
        if call.result in POLYMORPHIC:
            array = call.result in ("anyarray", "anycompatiblearray")
            element = kind[1:] if array else _element_of_range(kind) or kind
        args = [self.any_type() if arg == "any" else _bound(arg, element) for arg in call.args]
        if call.variadic and args:
            last = args.pop()
            args += [self.any_type() if last == "any" else last.removeprefix("_")] * self.rng.randint(1, 3)
        return args

    def _function(self, kind: str, depth: int) -> Node | None:
        call = self._pick(self.surface.functions, kind)
        if call is None or (call.result in POLYMORPHIC and not _fits(call.result, kind)):
            return None
        return self.call(call, kind, depth)

    def call(self, call: Call, kind: str, depth: int) -> Node:
        """A call of a function, its arguments one less deep."""
        types = self.bound(call, kind)
        first = types[0] if types else ""
        made = [self._argument(call.name, at, of, depth - 1, first) for at, of in enumerate(types)]
        return node(f"function:{call.name}", f"expr:{kind}", f"{call.name}(", *separated(made), ")")

    def _operator(self, kind: str, depth: int) -> Node | None:
        call = self._pick(self.surface.operators, kind)
        if call is None or (call.result in POLYMORPHIC and not _fits(call.result, kind)):
            return None
        types = self.bound(call, kind)
        if len(types) == 1:
            operand = self.make(types[0], depth - 1)
            return node(f"operator:{call.name}", f"expr:{kind}", f"({call.name} ", operand, ")")
        left, right = self.make(types[0], depth - 1), self._right(call.name, types[1], depth - 1)
        return node(f"operator:{call.name}", f"expr:{kind}", "(", left, f" {call.name} ", right, ")")

    def _right(self, name: str, kind: str, depth: int) -> Node:
        special = arguments.OPERATOR_RIGHT.get(name)
        if special and self.rng.random() < 0.85:
            text = self.rng.choice(special)
            if kind in ("text", "_text") or (kind in values.NUMBERS and text.lstrip("-").isdigit()):
                return self.written(kind, text)
        if name in ("/", "%") and kind in values.NUMBERS and self.rng.random() < 0.8:
            return self.written(kind, self.rng.choice(("1", "2", "3", "-7", "10")))
        return self.make(kind, depth)

    def _cast(self, kind: str, depth: int) -> Node | None:
        sources = [*self.surface.casts.get(kind, ()), kind]
        if kind in values.TEXTS:
            sources.append(self.any_type())
        source = self.rng.choice(sources)
        if self.rng.random() < 0.25:
            source = "text"
        modified = values.MODIFIED.get(kind)
        name = self.rng.choice(modified) if modified and self.rng.random() < 0.5 else values.type_name(self.rng, kind)
        inner = self.make(source, depth - 1)
        if source == "text" and kind not in values.TEXTS:
            inner = self.written("text", values.plain(self.rng, kind if self.rng.random() < 0.9 else "text", 0.4))
        construct = f"cast:{source}>{kind}"
        if self.rng.random() < 0.3:
            return node(construct, f"expr:{kind}", "CAST(", inner, f" AS {name})")
        return node(construct, f"expr:{kind}", "(", inner, f")::{name}")

    # -- conditional expressions ----------------------------------------------------------------------------------

    def _case(self, kind: str, depth: int) -> Node:
        parts: list[str | Node] = ["CASE"]
        subject = self.any_type() if self.rng.random() < 0.35 else None
        if subject in _NO_EQUALITY:
            subject = None
        if subject:
            parts += [" ", self.make(subject, depth - 1)]
        for _ in range(self.rng.randint(1, 2)):
            parts += [" WHEN ", self.make(subject or "bool", depth - 1), " THEN ", self.make(kind, depth - 1)]
        if self.rng.random() < 0.7:
            parts += [" ELSE ", self.make(kind, depth - 1)]
        return node("expression:CASE", f"expr:{kind}", *parts, " END")

    def _coalesce(self, kind: str, depth: int) -> Node | None:
        name = self.rng.choice(("COALESCE", "NULLIF", "GREATEST", "LEAST"))
        if kind in _NO_EQUALITY and name != "COALESCE":
            return None
        count = 2 if name == "NULLIF" else self.rng.randint(1, 3)
        made = [self.make(kind, depth - 1) for _ in range(count)]
        return node(f"expression:{name}", f"expr:{kind}", f"{name}(", *separated(made), ")")

    def _sublink(self, kind: str, depth: int) -> Node | None:
        return self.subquery(kind, depth - 1) if self.subquery else None

    def _collated(self, kind: str, depth: int) -> Node:
        return node("expression:COLLATE", f"expr:{kind}", "(", self.make(kind, depth - 1), ' COLLATE "C")')

    # -- arrays ---------------------------------------------------------------------------------------------------

    def _array(self, kind: str, depth: int) -> Node:
        if self.rng.random() < 0.3:
            low, high = self.rng.choice(("0", "1", "2", "")), self.rng.choice(("1", "2", "5", ""))
            return node("array:slice", f"expr:{kind}", "(", self.make(kind, depth - 1), f")[{low}:{high}]")
        made = [self.make(kind[1:], depth - 1) for _ in range(self.rng.randint(1, 3))]
        return node("array:constructor", f"expr:{kind}", "ARRAY[", *separated(made), "]")

    def _element(self, kind: str, depth: int) -> Node:
        at = self.rng.choice(("1", "2", "0", "9", "-1"))
        return node("array:subscript", f"expr:{kind}", "(", self.make(f"_{kind}", depth - 1), f")[{at}]")

    # -- conditions -----------------------------------------------------------------------------------------------

    def comparable(self) -> str:
        """A type with an order."""
        kind = self.any_type()
        return "text" if kind in _NO_EQUALITY else kind

    def _condition(self, kind: str, depth: int) -> Node:
        return self.rng.choice(_CONDITIONS)(self, depth - 1)

    def _compare(self, depth: int) -> Node:
        left = right = self.comparable()
        if left in values.NUMBERS and self.rng.random() < 0.4:
            right = self.rng.choice(values.NUMBERS)
        sign = self.rng.choice(_COMPARISONS)
        return node(f"operator:{sign}", "expr:bool", "(", self.make(left, depth), f" {sign} ", self.make(right, depth), ")")  # fmt: skip

    def _junction(self, depth: int) -> Node:
        word = self.rng.choice(("AND", "OR"))
        return node(f"operator:{word}", "expr:bool", "(", self.make("bool", depth), f" {word} ", self.make("bool", depth), ")")  # fmt: skip

    def _not(self, depth: int) -> Node:
        return node("operator:NOT", "expr:bool", "(NOT ", self.make("bool", depth), ")")

    def _is_null(self, depth: int) -> Node:
        word = self.rng.choice(("IS NULL", "IS NOT NULL", "ISNULL", "NOTNULL"))
        return node("operator:IS NULL", "expr:bool", "(", self.make(self.any_type(), depth), f" {word})")

    def _is_truth(self, depth: int) -> Node:
        word = self.rng.choice(("TRUE", "FALSE", "UNKNOWN"))
        no = self.rng.choice(("", "NOT "))
        return node("operator:IS TRUE", "expr:bool", "(", self.make("bool", depth), f" IS {no}{word})")

    def _distinct(self, depth: int) -> Node:
        kind, no = self.comparable(), self.rng.choice(("", "NOT "))
        return node("operator:IS DISTINCT FROM", "expr:bool", "(", self.make(kind, depth), f" IS {no}DISTINCT FROM ", self.make(kind, depth), ")")  # fmt: skip

    def _between(self, depth: int) -> Node:
        kind = self.comparable()
        no, word = self.rng.choice(("", "NOT ")), self.rng.choice(("BETWEEN", "BETWEEN", "BETWEEN SYMMETRIC"))
        low, high = self.make(kind, depth), self.make(kind, depth)
        return node(f"operator:{word}", "expr:bool", "(", self.make(kind, depth), f" {no}{word} ", low, " AND ", high, ")")  # fmt: skip

    def _in(self, depth: int) -> Node:
        kind, no = self.comparable(), self.rng.choice(("", "NOT "))
        made = [self.make(kind, depth - 1) for _ in range(self.rng.randint(1, 4))]
        return node("operator:IN", "expr:bool", "(", self.make(kind, depth), f" {no}IN (", *separated(made), "))")

    def _like(self, depth: int) -> Node:
        word = self.rng.choice(("LIKE", "NOT LIKE", "ILIKE", "NOT ILIKE", "SIMILAR TO", "NOT SIMILAR TO"))
        patterns = arguments.SIMILARS if "SIMILAR" in word else arguments.LIKES
        pattern = self.written("text", self.rng.choice(patterns))
        escape = self.rng.choice(("", "", "", " ESCAPE '#'", " ESCAPE ''", " ESCAPE 'ab'"))
        subject = self.make(self.rng.choice(("text", "text", "varchar", "bpchar", "name")), depth)
        return node(f"operator:{word}", "expr:bool", "(", subject, f" {word} ", pattern, escape, ")")

    def _any_all(self, depth: int) -> Node:
        kind = self.rng.choice(values.ARRAY_ELEMENTS)
        sign, word = self.rng.choice(_COMPARISONS), self.rng.choice(("ANY", "ALL"))
        return node(f"operator:{word}", "expr:bool", "(", self.make(kind, depth), f" {sign} {word}(", self.make(f"_{kind}", depth), "))")  # fmt: skip

    def _rows(self, depth: int) -> Node:
        first, second, sign = self.comparable(), self.comparable(), self.rng.choice(_COMPARISONS)
        left = (self.make(first, depth), ", ", self.make(second, depth))
        right = (self.make(first, depth), ", ", self.make(second, depth))
        return node("operator:row comparison", "expr:bool", "(ROW(", *left, f") {sign} ROW(", *right, "))")

    def _overlaps(self, depth: int) -> Node:
        kind = self.rng.choice(("date", "timestamp", "time", "timestamptz"))
        made = [self.make(kind, depth) for _ in range(4)]
        return node("operator:OVERLAPS", "expr:bool", "((", made[0], ", ", made[1], ") OVERLAPS (", made[2], ", ", made[3], "))")  # fmt: skip


def _bound(arg: str, element: str) -> str:
    """The type of a polymorphic argument whose elements are of this type; any other is itself."""
    if arg not in POLYMORPHIC:
        return arg
    if "array" in arg and "non" not in arg:
        return f"_{element}"
    if "range" in arg:
        found = values.RANGES.get(element, "int4range")
        return found.replace("range", "multirange") if "multi" in arg else found
    return element


def _gives(call: Call, kind: str) -> bool:
    """Whether a call over ranges can give a type: an element is one of those that ranges are made of."""
    return kind in values.RANGES or bool(_element_of_range(kind)) or not any("range" in arg for arg in call.args)


def _element_of_range(kind: str) -> str:
    """The element type of a range or multirange, '' of another type."""
    return next((element for element, found in values.RANGES.items() if kind.replace("multi", "") == found), "")


def _fits(polymorphic: str, kind: str) -> bool:
    if polymorphic in ("anyarray", "anycompatiblearray"):
        return kind.startswith("_")
    if "range" in polymorphic:
        return bool(_element_of_range(kind)) and ("multi" in kind) == ("multi" in polymorphic)
    return f"_{kind.removeprefix('_')}" in values.ARRAYS and polymorphic != "any" and not kind.startswith("_")


def _extract(maker: Expressions, depth: int) -> Node:
    kind = maker.rng.choice(("date", "timestamp", "timestamptz", "interval", "time", "timetz"))
    name = maker.rng.choice(arguments.FIELDS[:-1])
    return node(f"syntax:EXTRACT {name}", "expr:numeric", f"EXTRACT({name} FROM ", maker.make(kind, depth - 1), ")")


def _substring(maker: Expressions, depth: int) -> Node:
    text = maker.make("text", depth - 1)
    form = maker.rng.choice((" FROM 2", " FROM 2 FOR 3", " FOR 2", " FROM 'o.b'", " FROM 0 FOR 2", " SIMILAR '%#\"o_b#\"%' ESCAPE '#'"))  # fmt: skip
    return node("syntax:SUBSTRING", "expr:text", "SUBSTRING(", text, f"{form})")


def _trim(maker: Expressions, depth: int) -> Node:
    word = maker.rng.choice(_TRIMS)
    return node("syntax:TRIM", "expr:text", f"TRIM({word} ", maker.literal("text"), " FROM ", maker.make("text", depth - 1), ")")  # fmt: skip


def _overlay(maker: Expressions, depth: int) -> Node:
    return node("syntax:OVERLAY", "expr:text", "OVERLAY(", maker.make("text", depth - 1), " PLACING ", maker.literal("text"), maker.rng.choice((" FROM 2)", " FROM 2 FOR 3)", " FROM 1 FOR 0)")))  # fmt: skip


def _position(maker: Expressions, depth: int) -> Node:
    return node("syntax:POSITION", "expr:int4", "POSITION(", maker.literal("text"), " IN ", maker.make("text", depth - 1), ")")  # fmt: skip


def _zone(source: str, target: str) -> Callable[[Expressions, int], Node]:
    def make(maker: Expressions, depth: int) -> Node:
        zone = values.quoted(maker.rng.choice(arguments.ZONES))
        return node("syntax:AT TIME ZONE", f"expr:{target}", "(", maker.make(source, depth - 1), f" AT TIME ZONE {zone})")  # fmt: skip

    return make


_SYNTAX: Final[dict[str, tuple[Callable[[Expressions, int], Node], ...]]] = {
    "numeric": (_extract,),
    "text": (_substring, _trim, _overlay),
    "int4": (_position,),
    "timestamp": (_zone("timestamptz", "timestamp"),),
    "timestamptz": (_zone("timestamp", "timestamptz"),),
    "timetz": (_zone("timetz", "timetz"),),
}
"""Functions with a grammar of their own, by result type."""

_CONDITIONS: Final[tuple[Callable[[Expressions, int], Node], ...]] = (
    Expressions._compare, Expressions._compare, Expressions._junction, Expressions._not, Expressions._is_null,
    Expressions._is_truth, Expressions._distinct, Expressions._between, Expressions._in, Expressions._like,
    Expressions._like, Expressions._any_all, Expressions._rows, Expressions._overlaps,
)  # fmt: skip
