"""Predicates that split the rows of a query in three, and statements that are only described.

``p``, ``NOT p`` and ``p IS NULL`` have all rows between them, and no row twice: a node can be wrong here with nobody
beside it. What a statement's parameters and columns are is asked by Parse and Describe, without running it.
"""

from __future__ import annotations

# ruff: noqa: E501
from collections.abc import Callable
from typing import Final

from bench.comparesql.queries import Queries
from bench.comparesql.tree import Case, Node, node

_SOURCES: Final = (("t1", "t1"), ("t2", "t2"), ("t3", "t3"), ("t1", "(SELECT * FROM t1 WHERE id < 7) AS t1"))


class Partitions:
    """Makes them; every method whose name is in ``FAMILIES`` makes a case."""

    def __init__(self, queries: Queries) -> None:
        self.queries = queries
        self.rng = queries.rng

    def _predicate(self, table: str) -> Node:
        with self.queries.expressions.scoped(self.queries.columns(table)):
            return self.queries.expressions.make("bool", self.rng.choice((1, 2, 2, 3)))

    def counted(self) -> Case:
        """The rows of a table, and those of its three parts."""
        table, source = self.rng.choice(_SOURCES)
        test = self._predicate(table)
        parts: list[str | Node] = [f"(SELECT count(*) FROM {source} WHERE ", node("partition:holds", "", test), ") + "]
        parts += [f"(SELECT count(*) FROM {source} WHERE NOT (", test, ")) + "]
        parts += [f"(SELECT count(*) FROM {source} WHERE (", test, ") IS NULL)"]
        whole = node(
            "partition:count", "statement", f"SELECT (SELECT count(*) FROM {source}) = ", *parts, " AS adds_up"
        )
        return Case("partition", (whole,))

    def united(self) -> Case:
        """The rows themselves: all but those of the parts, and those of the parts but all."""
        test = self._predicate("t1")
        rows = "SELECT id, i4, t FROM t1"
        split = (
            f"({rows} WHERE (",
            test,
            f") UNION ALL {rows} WHERE NOT (",
            test,
            f") UNION ALL {rows} WHERE (",
            test,
            ") IS NULL)",
        )
        turn = self.rng.random() < 0.5
        parts = (f"{rows} EXCEPT ALL ", *split) if turn else (*split, f" EXCEPT ALL {rows}")
        return Case("partition", (node("partition:rows", "statement", *parts),))

    def grouped(self) -> Case:
        """A predicate as a key: as many groups as it has outcomes, and their sizes."""
        test = self._predicate("t1")
        parts = ("SELECT (", test, ") AS p, count(*), min(id) FROM t1 GROUP BY 1 ORDER BY 1 NULLS FIRST")
        return Case("partition", (node("partition:group", "statement", *parts),), ordered=True)

    def described(self) -> Case:
        """A statement with parameters, for the types that Describe gives them and its columns."""
        text = self.rng.choice(_DESCRIBED)
        parts: list[str | Node] = []
        pieces = text.split("{}")
        for at, piece in enumerate(pieces):
            parts.append(piece)
            if at < len(pieces) - 1:
                with self.queries.expressions.scoped(self.queries.columns("t1")):
                    parts.append(self.queries.expressions.make(self.queries.expressions.any_type(), 1))
        return Case("describe", (node("describe:statement", "statement", *parts),), described=True)


_DESCRIBED: Final = (
    "SELECT $1", "SELECT $1 + 1, $2 || 'a'", "SELECT $1 = ({}) FROM t1", "SELECT coalesce($1, ({})) FROM t1",
    "SELECT CASE WHEN $1 THEN $2 ELSE ({}) END FROM t1", "SELECT * FROM t1 WHERE ({}) = $1", "SELECT id FROM t1 WHERE id = ANY ($1) LIMIT $2 OFFSET $3",
    "INSERT INTO t3 (name, qty, price, created) VALUES ($1, $2, $3, $4) RETURNING *", "UPDATE t3 SET name = $1, price = price * $2 WHERE id = $3 RETURNING id, price",
    "DELETE FROM t2 WHERE d > $1 AND n < $2", "SELECT $1::int, $2::text, $1", "SELECT ARRAY[$1, ({})] FROM t1", "SELECT $1 IN (1, 2, $2), $3 BETWEEN date '2020-01-01' AND $4",
    "SELECT GREATEST($1, ({})), NULLIF($2, ({})) FROM t1", "SELECT ({}) FROM t1 ORDER BY $1", "SELECT upper($1), length($2), abs($3)", "SELECT sum(i4 + $1), max(t || $2) FROM t1 GROUP BY b HAVING count(*) > $3",
    "SELECT $1 UNION SELECT ({}) FROM t1", "VALUES ($1, 1), ('a', $2)", "SELECT row($1, 2) = (3, $2)", "SELECT a.id, ($1) FROM t1 a JOIN t2 b ON a.id = b.id + $2", "WITH w AS (SELECT $1 AS x) SELECT x, x || 'a' FROM w",
    "SELECT date_trunc($1, $2::timestamp), extract(epoch FROM $3::interval)", "SELECT t LIKE $1, t ~ $2, t SIMILAR TO $3 FROM t1", "SELECT jb -> $1, jb #> $2, jb @> $3 FROM t1", "SELECT ai[$1], ai[$2:$3] FROM t1",
    "SELECT $1 AND b, NOT $2, $3 IS TRUE FROM t1", "SELECT tz AT TIME ZONE $1, ts + $2, d - $3 FROM t1", "SELECT ({}), $1 FROM t1 WHERE $1 > 5", "SELECT (SELECT max(s.i4) FROM t2 s WHERE s.id = $1), EXISTS (SELECT 1 FROM t2 WHERE t = $2)",
    "SELECT count(*) FILTER (WHERE i4 > $1), string_agg(t, $2) FROM t1", "SELECT lag(i4, $1, $2) OVER (ORDER BY id) FROM t1", "SELECT * FROM generate_series($1, $2) x", "SELECT format($1, $2, $3)", "MERGE INTO t3 x USING t2 s ON x.id = s.id AND s.i4 > $1 WHEN MATCHED THEN UPDATE SET qty = $2",
)  # fmt: skip

FAMILIES: Final[tuple[tuple[float, Callable[[Partitions], Case]], ...]] = (
    (4, Partitions.counted), (2, Partitions.united), (2, Partitions.grouped), (5, Partitions.described),
)  # fmt: skip
