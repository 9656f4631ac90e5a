"""Random queries: the clauses of SELECT, joins, subqueries, CTEs, set operations, aggregates, windows."""

from __future__ import annotations

# ruff: noqa: E501
from collections.abc import Callable
from random import Random
from typing import Final

from bench.comparesql import arguments, values
from bench.comparesql.expressions import Expressions
from bench.comparesql.surface import Surface
from bench.comparesql.tables import COLUMNS
from bench.comparesql.tree import Case, Node, node, separated

Scope = list[tuple[str, str]]
_SETTINGS: Final = (
    "timezone = 'America/New_York'", "timezone = 'Asia/Kolkata'", "timezone = 'Europe/Berlin'",
    "intervalstyle = 'iso_8601'", "intervalstyle = 'postgres_verbose'", "intervalstyle = 'sql_standard'",
    "bytea_output = 'escape'", "extra_float_digits = 0",
)  # fmt: skip
_JOINS: Final = ("JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "CROSS JOIN", "NATURAL JOIN", "USING", "comma")


class Queries:
    """Makes queries; every method whose name is in ``FAMILIES`` makes a case."""

    def __init__(self, rng: Random, surface: Surface) -> None:
        self.rng = rng
        self.surface = surface
        self.expressions = Expressions(rng, surface, subquery=self._scalar)

    def columns(self, table: str, alias: str = "") -> Scope:
        """The columns of a table in scope under an alias."""
        return [(f"{alias}.{name}" if alias else name, kind) for name, kind in COLUMNS[table].items()]

    def _depth(self) -> int:
        return self.rng.choices((1, 2, 3), (5, 3, 1))[0]

    def _case(self, family: str, *parts: str | Node, ordered: bool = False) -> Case:
        query = node(f"query:{family}", "statement", *parts)
        binary = self.rng.random() < 0.12
        return Case(family, (query,), ordered, binary)

    def _items(self, count: int) -> list[Node]:
        kinds = [self.expressions.any_type() for _ in range(count)]
        return [self._item(self.expressions.make(kind, self._depth())) for kind in kinds]

    def _item(self, expression: Node) -> Node:
        if self.rng.random() < 0.15:
            return node("", "item", expression, self.rng.choice((" AS x", ' AS "Mixed Name"', " label")))
        return node("", "item", expression)

    # -- one kind of query each -----------------------------------------------------------------------------------

    def values_only(self) -> Case:
        """Expressions without a table, under a setting of the session now and then."""
        made = self._case("expression", "SELECT ", *separated(self._items(self.rng.randint(1, 2))))
        if self.rng.random() < 0.12:
            setting = self.rng.choice(_SETTINGS)
            return Case(made.family, (node(f"setting:{setting}", "setting", f"SET LOCAL {setting}"), *made.steps))
        return made

    def over_table(self) -> Case:
        """Expressions over a table's columns, with a condition."""
        with self.expressions.scoped(self.columns("t1")):
            items, where = self._items(self.rng.randint(1, 3)), self._where()
        return self._case("table", "SELECT ", *separated(items), " FROM t1", where)

    def _where(self, chance: float = 0.6) -> Node:
        if self.rng.random() > chance:
            return node("", "clause")
        made = self.expressions.make("bool", self.rng.randint(1, 2))
        keys = [name for name, _ in self.expressions.scope if name.rpartition(".")[2] == "id"]
        if keys and self.rng.random() < 0.92:  # A condition that leaves no row leaves nothing to compare.
            made = node("operator:OR", "expr:bool", "(", made, f" OR {keys[0]} < 5)")
        return node("clause:WHERE", "clause", " WHERE ", made)

    def ordered(self) -> Case:
        """ORDER BY with directions and NULLS, LIMIT, OFFSET, FETCH; the key comes last, so the order is certain."""
        with self.expressions.scoped(self.columns("t1")):
            items = self._items(self.rng.randint(1, 2))
            keys = [self._sort(self.expressions.make(self.expressions.comparable(), self.rng.randint(0, 1)))]
        keys.append(self._sort(node("column", "expr:int4", "id")))
        if self.rng.random() < 0.2:
            names = [name for name, kind in COLUMNS["t1"].items() if kind in values.TEXTS]
            keys.insert(0, node("expression:COLLATE", "item", self.rng.choice(names), ' COLLATE "C"', self.rng.choice((" DESC", ""))))  # fmt: skip
        order = node("clause:ORDER BY", "order", " ORDER BY ", *separated(keys))
        return self._case("order", "SELECT ", *separated(items), " FROM t1", order, self._limit(), ordered=True)

    def _sort(self, expression: Node) -> Node:
        direction = self.rng.choice(("", "", " ASC", " DESC"))
        nulls = self.rng.choice(("", "", " NULLS FIRST", " NULLS LAST"))
        return node(f"sort:{direction}{nulls}".strip(), "item", "(", expression, f"){direction}{nulls}")

    def _limit(self) -> Node:
        forms = ("", " LIMIT 3", " LIMIT 2 OFFSET 1", " OFFSET 2", " FETCH FIRST 2 ROWS ONLY", " LIMIT ALL", " LIMIT NULL", " LIMIT 0", " LIMIT -1", " OFFSET 1 ROW FETCH NEXT ROW ONLY", " LIMIT 1 + 1")  # fmt: skip
        form = self.rng.choice(forms)
        return node("clause:LIMIT" if form else "", "clause", form)

    def distinct(self) -> Case:
        """DISTINCT and DISTINCT ON."""
        kind = self.expressions.comparable()
        with self.expressions.scoped(self.columns("t1")):
            key = self.expressions.make(kind, 1)
            if self.rng.random() < 0.5:
                return self._case("distinct", "SELECT DISTINCT ", key, " FROM t1", self._where(0.3))
            direction = self.rng.choice(("", " DESC"))
            item = node("", "item", self.expressions.make(self.expressions.any_type(), 1))
            text = key.text
        return self._case(
            "distinct on", f"SELECT DISTINCT ON ({text}) ", item, ", id FROM t1", f" ORDER BY {text}{direction}, id",
            ordered=True,
        )  # fmt: skip

    def joined(self) -> Case:
        """Two or three tables joined in any way."""
        kind = self.rng.choice(_JOINS)
        scope = self.columns("t1", "a") + self.columns("t2", "b")
        with self.expressions.scoped(scope):
            on = self._on()
            tables = {
                "CROSS JOIN": " FROM t1 a CROSS JOIN t2 b", "NATURAL JOIN": " FROM t2 a NATURAL JOIN t3 b",
                "USING": " FROM t1 a JOIN t2 b USING (id)", "comma": " FROM t1 a, t2 b",
            }  # fmt: skip
            if kind in ("NATURAL JOIN",):
                shown = self.rng.choice(("*", "id, a.t, b.name", "a.*, b.qty"))
                return self._case("join", node("item:star", "item", f"SELECT {shown}"), node(f"join:{kind}", "from", tables[kind]))  # fmt: skip
            items = self._items(self.rng.randint(1, 2))
            source = (
                node(f"join:{kind}", "from", tables[kind]) if kind in tables
                else node(f"join:{kind}", "from", f" FROM t1 a {kind} t2 b ON ", on)
            )  # fmt: skip
            if self.rng.random() < 0.2 and kind in ("JOIN", "LEFT JOIN"):
                source = node("join:three", "from", source, " LEFT JOIN t3 c ON c.t2_id = b.id")
            where = self._where(0.3)
        star = node("item:star", "item", self.rng.choice(("b.*, ", "", "", "")))
        return self._case("join", "SELECT ", star, *separated(items), source, where)

    def _on(self) -> Node:
        if self.rng.random() < 0.7:
            return node("", "expr:bool", self.rng.choice(("a.id = b.t1_id", "a.i4 = b.i4", "a.id = b.id AND b.n > 1", "a.t = b.t")))  # fmt: skip
        return node("", "expr:bool", "a.id = b.id AND ", self.expressions.make("bool", 1))

    # -- aggregates and windows -----------------------------------------------------------------------------------

    def _aggregate(self, window: bool = False) -> Node:
        results = [result for result in self.surface.aggregates if self.surface.aggregates[result]]
        result = self.rng.choice(results)
        names = sorted({call.name for call in self.surface.aggregates[result]})
        name = self.rng.choice(names)
        call = self.rng.choice([call for call in self.surface.aggregates[result] if call.name == name])
        if not call.args:
            inner: list[str | Node] = ["*"]
        else:
            kind = self.rng.choice(values.ARRAY_ELEMENTS if result in ("anyarray", "anyelement") else values.SCALARS)
            types = self.expressions.bound(call, f"_{kind}" if call.result == "anyarray" else kind)
            inner = list(separated([self.expressions.make(of, self.rng.randint(0, 1)) for of in types]))
            if len(types) == 1 and not window and types[0] != "json" and self.rng.random() < 0.2:
                inner.insert(0, node("aggregate:DISTINCT", "clause", "DISTINCT "))
            elif not window and (self.rng.random() < 0.25 or name in _ORDER_MATTERS):
                key = self.expressions.make(self.expressions.comparable(), 0)
                inner.append(node("aggregate:ORDER BY", "clause", " ORDER BY ", key, self.rng.choice(("", " DESC", " NULLS FIRST")), ", id"))  # fmt: skip
        clause = node("", "clause")
        if self.rng.random() < 0.2:
            clause = node("aggregate:FILTER", "clause", " FILTER (WHERE ", self.expressions.make("bool", 1), ")")
        return node(f"aggregate:{name}", "expr:?", f"{name}(", *inner, ")", clause)

    def aggregated(self) -> Case:
        """Aggregates, GROUP BY and HAVING over expressions."""
        with self.expressions.scoped(self.columns("t1")):
            items = [node("", "item", self._aggregate()) for _ in range(self.rng.randint(1, 2))]
            where = self._where(0.25)
            if self.rng.random() < 0.55:
                return self._case("aggregate", "SELECT ", *separated(items), " FROM t1", where)
            key = self.expressions.make(self.expressions.comparable(), self.rng.randint(0, 1)).text
            having = node("", "clause")
            if self.rng.random() < 0.35:
                having = node("clause:HAVING", "clause", " HAVING ", self.rng.choice(("count(*) > 1", "max(i4) IS NOT NULL", "sum(n) > 1", "bool_or(b)")))  # fmt: skip
        by = self.rng.choice((key, "1"))
        group = node("clause:GROUP BY", "group", f" GROUP BY {by}")
        return self._case("group by", f"SELECT {key}, ", *separated(items), " FROM t1", where, group, having)

    def windowed(self) -> Case:
        """Window functions and aggregates over partitions and frames."""
        with self.expressions.scoped(self.columns("t1")):
            call = self._window_call() if self.rng.random() < 0.55 else self._aggregate(window=True)
            by = self.expressions.make(self.expressions.comparable(), 0)
            partition = node("window:PARTITION BY", "clause", "PARTITION BY ", by)
            order = self._sort(self.expressions.make(self.expressions.comparable(), 0))
            frame = self.rng.choice(_FRAMES)
            window: list[str | Node] = [partition if self.rng.random() < 0.4 else "", " ORDER BY ", order, ", id"]
            window.append(node(f"frame:{frame}" if frame else "", "clause", f" {frame}" if frame else ""))
        if self.rng.random() < 0.2:
            tail = node("clause:WINDOW", "order", " FROM t1 WINDOW w AS (", *window, ") ORDER BY id")
            return self._case("window", "SELECT id, ", call, " OVER w", tail, ordered=True)
        return self._case("window", "SELECT id, ", call, " OVER (", *window, ") FROM t1 ORDER BY id", ordered=True)

    def _window_call(self) -> Node:
        results = sorted(result for result in self.surface.windows if self.surface.windows[result])
        call = self.rng.choice(self.surface.windows[self.rng.choice(results)])
        kind = self.rng.choice(values.ARRAY_ELEMENTS)
        types = self.expressions.bound(call, kind)
        made = [
            self.expressions.written(of, self.rng.choice(arguments.SPECIAL[call.name, at]))
            if (call.name, at) in arguments.SPECIAL else self.expressions.make(of, self.rng.randint(0, 1))
            for at, of in enumerate(types)
        ]  # fmt: skip
        return node(f"window:{call.name}", "expr:?", f"{call.name}(", *separated(made), ")")

    # -- subqueries, CTEs, set operations -------------------------------------------------------------------------

    def _scalar(self, kind: str, depth: int) -> Node:
        inner, outer = self.columns("t2", "s"), self.expressions.scope
        form = self.rng.random()
        if kind == "bool" and form < 0.7:
            return self._test(depth)
        with self.expressions.scoped(inner):
            expression = self.expressions.make(kind, min(depth, 1))
        if f"_{kind[1:]}" == kind and form < 0.5:
            with self.expressions.scoped(inner):
                element = self.expressions.make(kind[1:], 0)
            return node("subquery:ARRAY", f"expr:{kind}", "ARRAY(SELECT ", element, " FROM t2 s ORDER BY s.id)")
        correlated = [name for name, of in outer if of == "int4" and not name.startswith("s.")]
        where = f"s.id = {self.rng.choice(correlated)}" if correlated and form < 0.6 else "s.id = 3"
        return node("subquery:scalar", f"expr:{kind}", "(SELECT ", expression, f" FROM t2 s WHERE {where})")

    def _test(self, depth: int) -> Node:
        outer = [name for name, of in self.expressions.scope if of == "int4" and not name.startswith("s.")]
        kind = self.rng.choice(("EXISTS", "IN", "ANY", "ALL", "NOT IN"))
        with self.expressions.scoped(self.columns("t2", "s")):
            where = self.expressions.make("bool", min(depth, 1))
        if kind == "EXISTS":
            link = f"s.t1_id = {self.rng.choice(outer)} AND " if outer else ""
            return node("subquery:EXISTS", "expr:bool", f"EXISTS (SELECT 1 FROM t2 s WHERE {link}", where, ")")
        subject = self.rng.choice(("int4", "text", "numeric", "date"))
        column = {"int4": "s.i4", "text": "s.t", "numeric": "s.n", "date": "s.d"}[subject]
        left = self.expressions.make(subject, 0)
        sign = kind if "IN" in kind else f"{self.rng.choice(('=', '<', '>=', '<>'))} {kind}"
        return node(f"subquery:{kind}", "expr:bool", "(", left, f" {sign} (SELECT {column} FROM t2 s WHERE ", where, "))")  # fmt: skip

    def derived(self) -> Case:
        """A subquery, VALUES, a view or a LATERAL in FROM."""
        kind = self.rng.choice(("subquery", "values", "view", "lateral"))
        if kind == "view":
            scope = [("id", "int4"), ("i4", "int4"), ("t", "text"), ("n2", "numeric")]
            with self.expressions.scoped(scope):
                return self._case("view", "SELECT ", *separated(self._items(2)), " FROM v1", self._where())
        if kind == "values":
            types = [self.expressions.any_type() for _ in range(2)]
            rows = [
                node("", "item", "(", *separated([self.expressions.literal(of) for of in types]), ")")
                for _ in range(self.rng.randint(1, 3))
            ]
            source = node("from:VALUES", "from", " FROM (VALUES ", *separated(rows), ") AS x(p, q)")
            with self.expressions.scoped([("p", types[0]), ("x.q", types[1])]):
                return self._case("values", "SELECT ", *separated(self._items(2)), source, self._where(0.4))
        with self.expressions.scoped(self.columns("t1", "a")):
            types = [self.expressions.any_type() for _ in range(2)]
            made = [self.expressions.make(of, 1) for of in types]
        inner = ("SELECT ", made[0], " AS p, ", made[1], " AS q")
        scope = [("s.p", types[0]), ("s.q", types[1])]
        with self.expressions.scoped(scope + (self.columns("t1", "a") if kind == "lateral" else [])):
            items, where = self._items(2), self._where(0.3)
        if kind == "lateral":
            source = node("from:LATERAL", "from", " FROM t1 a, LATERAL (", *inner, ") s")
        else:
            source = node("from:subquery", "from", " FROM (", *inner, " FROM t1 a) s")
        return self._case(kind, "SELECT ", *separated(items), source, where)

    def set_returning(self) -> Case:
        """A set-returning function in FROM or in the select list."""
        call = self.rng.choice(self.surface.sets)
        kind = self.rng.choice(values.ARRAY_ELEMENTS)
        made = self.expressions.call(call, kind, 1)
        made = node(f"function:{call.name}", "srf", *made.parts)
        if self.rng.random() < 0.35 and call.result != "record":
            return self._case("set-returning", "SELECT ", made)
        form = self.rng.choice(("", " AS f", " AS f(x)", " WITH ORDINALITY", " WITH ORDINALITY AS f"))
        return self._case("set-returning", "SELECT * FROM ", made, form if call.result != "record" or "(x)" not in form else "")  # fmt: skip

    def cte(self) -> Case:
        """WITH, WITH RECURSIVE."""
        if self.rng.random() < 0.4:
            with self.expressions.scoped([("n", "int4")]):
                item = self.expressions.make(self.expressions.any_type(), 2)
            word = self.rng.choice(("UNION ALL", "UNION"))
            limit = self.rng.randint(2, 6)
            return self._case(
                "recursive", f"WITH RECURSIVE r(n) AS (SELECT 1 {word} SELECT n + 1 FROM r WHERE n < {limit}) SELECT n, ",
                node("", "item", item), " FROM r",
            )  # fmt: skip
        with self.expressions.scoped(self.columns("t1")):
            types = [self.expressions.any_type() for _ in range(2)]
            made, where = [self.expressions.make(of, 1) for of in types], self._where(0.4)
        with self.expressions.scoped([("p", types[0]), ("w.q", types[1])]):
            items, outer = self._items(2), self._where(0.3)
        kind = self.rng.choice(("", "", " MATERIALIZED", " NOT MATERIALIZED"))
        with_ = node("clause:WITH", "from", f"WITH w(p, q) AS{kind} (SELECT ", made[0], ", ", made[1], " FROM t1", where, ") ")  # fmt: skip
        return self._case("cte", with_, "SELECT ", *separated(items), " FROM w", outer)

    def set_operation(self) -> Case:
        """UNION, INTERSECT, EXCEPT over rows of the same or of reconcilable types."""
        word = self.rng.choice(("UNION", "UNION ALL", "INTERSECT", "EXCEPT", "UNION", "INTERSECT ALL", "EXCEPT ALL"))
        left = right = self.expressions.comparable()
        if left in values.NUMBERS and self.rng.random() < 0.5:
            right = self.rng.choice(values.NUMBERS)
        with self.expressions.scoped(self.columns("t1")):
            first = ("SELECT ", self.expressions.make(left, 1), " FROM t1", self._where(0.3))
        if self.rng.random() < 0.3:
            return self._case("set operation", *first, node(f"set:{word}", "set", f" {word} SELECT ", self.expressions.literal(right)))  # fmt: skip
        with self.expressions.scoped(self.columns("t2")):
            second = ("SELECT ", self.expressions.make(right, 1), " FROM t2", self._where(0.3))
        tail = self.rng.choice(("", "", " ORDER BY 1", " ORDER BY 1 DESC NULLS LAST"))
        return self._case("set operation", *first, node(f"set:{word}", "set", f" {word} "), *second, tail, ordered="ORDER" in tail)  # fmt: skip


_ORDER_MATTERS: Final = (
    "array_agg", "string_agg", "json_agg", "jsonb_agg", "json_object_agg", "jsonb_object_agg", "sum", "avg", "stddev",
    "variance", "stddev_pop", "stddev_samp", "var_pop", "var_samp", "xmlagg", "corr", "covar_pop", "covar_samp",
    "regr_avgx", "regr_avgy", "regr_intercept", "regr_r2", "regr_slope", "regr_sxx", "regr_sxy", "regr_syy",
)  # fmt: skip
"""Aggregates whose answer depends on the order of their input, if only in the last digit."""
_FRAMES: Final = (
    "", "", "", "ROWS BETWEEN 1 PRECEDING AND CURRENT ROW", "ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING",
    "ROWS UNBOUNDED PRECEDING", "ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING",
    "RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW", "RANGE BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING",
    "GROUPS BETWEEN 1 PRECEDING AND CURRENT ROW", "ROWS BETWEEN 2 FOLLOWING AND 3 FOLLOWING",
    "ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING EXCLUDE CURRENT ROW",
    "ROWS BETWEEN 2 PRECEDING AND CURRENT ROW EXCLUDE TIES",
)  # fmt: skip

FAMILIES: Final[tuple[tuple[float, Callable[[Queries], Case]], ...]] = (
    (34, Queries.values_only), (12, Queries.over_table), (6, Queries.ordered), (3, Queries.distinct),
    (5, Queries.joined), (9, Queries.aggregated), (6, Queries.windowed), (4, Queries.derived),
    (4, Queries.set_returning), (3, Queries.cte), (4, Queries.set_operation),
)  # fmt: skip
"""How often each family of queries is made."""
