"""Random INSERT, UPDATE and DELETE, each with a look at the table after it; and definitions with what they enforce."""

from __future__ import annotations

# ruff: noqa: E501
from collections.abc import Callable
from typing import Final

from bench.comparesql import values
from bench.comparesql.queries import Queries
from bench.comparesql.tables import COLUMNS
from bench.comparesql.tree import Case, Node, node, separated

_COLUMN_TYPES: Final = (
    "int", "bigint", "smallint", "numeric(6,2)", "text", "varchar(5)", "char(3)", "boolean", "date", "timestamp(0)",
    "timestamptz", "interval", "jsonb", "int[]", "uuid", "real", "double precision", "bytea", "time", "numeric",
)  # fmt: skip
_INTERNAL: Final = {
    "int": "int4", "bigint": "int8", "smallint": "int2", "boolean": "bool", "real": "float4",
    "double precision": "float8", "int[]": "_int4",
}  # fmt: skip


class Writes:
    """Makes cases that write."""

    def __init__(self, queries: Queries) -> None:
        self.queries = queries
        self.rng = queries.rng
        self.expressions = queries.expressions

    def _after(self, table: str) -> Node:
        return node("", "statement", f"SELECT * FROM {table} ORDER BY 1")

    def _returning(self, table: str) -> Node:
        if self.rng.random() < 0.45:
            return node("", "clause")
        with self.expressions.scoped(self.queries.columns(table)):
            item = self.expressions.make(self.expressions.any_type(), 1)
        shown = self.rng.choice(("*", "id", ""))
        if shown:
            return node("clause:RETURNING", "clause", f" RETURNING {shown}")
        return node("clause:RETURNING", "clause", " RETURNING id, ", item)

    def _value(self, kind: str, depth: int = 1) -> Node:
        if self.rng.random() < 0.06:
            return node("value:DEFAULT", f"expr:{kind}", "DEFAULT")
        if self.rng.random() < 0.1:
            other = self.expressions.any_type()
            return self.expressions.make(other, 0)
        if self.rng.random() < 0.4:
            return node(f"literal:{kind}", f"expr:{kind}", values.quoted(values.plain(self.rng, kind, 0.3)))
        return self.expressions.make(kind, depth)

    def insert(self) -> Case:
        """INSERT with VALUES or a query, ON CONFLICT, RETURNING."""
        if self.rng.random() < 0.45:
            return self._insert_everything()
        rows = []
        for _ in range(self.rng.randint(1, 2)):
            name = values.quoted(self.rng.choice(("pen", "Ink", "new", "other", "x")))
            quantity = self.rng.choice(("1", "0", "5", "-1", "NULL", "DEFAULT", "2 + 3", "'7'", "1.6"))
            price = self.rng.choice(("1.005", "12", "NULL", "123456.7", "1234567", "'2.5'", "0"))
            other = self.rng.choice(("NULL", "1", "2", "99"))
            rows.append(node("", "item", f"({self.rng.choice((1, 2, 50, 51))}, {name}, {quantity}, {price}, {other})"))
        conflict = self.rng.choice(_CONFLICTS)
        clause = node(f"conflict:{conflict}" if conflict else "", "clause", f" {conflict}" if conflict else "")
        insert = node("write:INSERT", "statement", "INSERT INTO t3 (id, name, qty, price, t2_id) VALUES ", *separated(rows), clause, self._returning("t3"))  # fmt: skip
        return Case("insert", (insert, self._after("t3")), ordered=True)

    def _insert_everything(self) -> Case:
        names = self.rng.sample(list(COLUMNS["t1"])[1:], self.rng.randint(1, 4))
        kinds = [COLUMNS["t1"][name] for name in names]
        made = [self._value(kind) for kind in kinds]
        columns = ", ".join(["id", *names])
        if self.rng.random() < 0.25:
            with self.expressions.scoped(self.queries.columns("t2")):
                made = [self.expressions.make(kind, 1) for kind in kinds]
            body: tuple[str | Node, ...] = (" SELECT id + 100, ", *separated(made), " FROM t2")
        else:
            body = (" VALUES (100, ", *separated(made), ")")
        insert = node("write:INSERT", "statement", f"INSERT INTO t1 ({columns})", *body, self._returning("t1"))
        return Case(
            "insert", (insert, node("", "statement", f"SELECT {columns} FROM t1 WHERE id > 9 ORDER BY 1")), True
        )

    def update(self) -> Case:
        """UPDATE of one or several columns, with FROM now and then."""
        if self.rng.random() < 0.3:
            change = node("write:UPDATE", "statement", self.rng.choice(_UPDATES), self._returning("t3"))
            return Case("update", (change, self._after("t3")))
        names = self.rng.sample(list(COLUMNS["t1"])[1:], self.rng.randint(1, 2))
        with self.expressions.scoped(self.queries.columns("t1")):
            parts = [node("", "item", f"{name} = ", self._value(COLUMNS["t1"][name])) for name in names]
            where = self.queries._where(0.7)
        change = node("write:UPDATE", "statement", "UPDATE t1 SET ", *separated(parts), where, self._returning("t1"))
        return Case("update", (change, node("", "statement", f"SELECT id, {', '.join(names)} FROM t1 ORDER BY 1")))

    def delete(self) -> Case:
        """DELETE, with USING now and then."""
        if self.rng.random() < 0.4:
            change = node("write:DELETE", "statement", self.rng.choice(_DELETES), self._returning("t3"))
            return Case("delete", (change, self._after("t3")))
        with self.expressions.scoped(self.queries.columns("t2")):
            where = self.queries._where(0.8)
        change = node("write:DELETE", "statement", "DELETE FROM t2", where, self._returning("t2"))
        return Case("delete", (change, self._after("t3")))

    def define(self) -> Case:
        """CREATE TABLE with random columns and constraints, rows that keep and break them, ALTER TABLE, a look."""
        kinds = [self.rng.choice(_COLUMN_TYPES) for _ in range(self.rng.randint(1, 3))]
        columns = [node("", "item", f"c{at} {kind}", self._constraint(at, kind)) for at, kind in enumerate(kinds)]
        create = node("define:CREATE TABLE", "step", "CREATE TABLE made (", *separated(columns), ")")
        steps = [create, *(self._row(kinds) for _ in range(2))]
        if self.rng.random() < 0.6:
            steps.append(self._alter(len(kinds)))
            steps.append(self._row(kinds))
        steps.append(node("", "step", "SELECT * FROM made"))
        steps.append(node("catalog:information_schema.columns", "step", _LOOK))
        return Case("define", tuple(steps))

    def _row(self, kinds: list[str]) -> Node:
        made = [self._value(internal(kind), 0) for kind in kinds]
        return node("write:INSERT", "step", "INSERT INTO made VALUES (", *separated(made), ")")

    def _constraint(self, at: int, kind: str) -> Node:
        internally = internal(kind)
        default = values.quoted(values.plain(self.rng, internally, 0.0))
        found = self.rng.choice((
            "", "", " NOT NULL", f" DEFAULT {default}", " UNIQUE", " PRIMARY KEY" if at == 0 else "",
            f" CHECK (c{at} IS NOT NULL)", f" CONSTRAINT ck CHECK (c{at} <> {default})" if at == 0 else "",
            f" DEFAULT {default} NOT NULL", " REFERENCES t2 (id)" if kind == "int" else " NULL",
            " GENERATED ALWAYS AS IDENTITY" if kind in ("int", "bigint") and at == 0 else "",
        ))  # fmt: skip
        return node(f"constraint:{found.split()[0]}" if found else "", "clause", found)

    def _alter(self, count: int) -> Node:
        at = self.rng.randrange(count)
        action = self.rng.choice((
            f"ADD COLUMN extra {self.rng.choice(_COLUMN_TYPES)}", f"ADD COLUMN extra int DEFAULT {self.rng.randint(0, 9)}",
            f"DROP COLUMN c{at}", f"RENAME COLUMN c{at} TO renamed", f"ALTER COLUMN c{at} SET NOT NULL",
            f"ALTER COLUMN c{at} DROP NOT NULL", f"ALTER COLUMN c{at} DROP DEFAULT", f"ALTER COLUMN c{at} TYPE text",
            f"ALTER COLUMN c{at} TYPE {self.rng.choice(_COLUMN_TYPES)}", f"ADD CONSTRAINT u UNIQUE (c{at})",
            f"ADD CHECK (c{at} IS NOT NULL)", "RENAME TO made2", f"ADD PRIMARY KEY (c{at})", "DROP COLUMN nope",
            "DROP COLUMN IF EXISTS nope", "DROP CONSTRAINT nope", f"ALTER COLUMN c{at} SET DEFAULT 1",
        ))  # fmt: skip
        words = " ".join(word for word in action.split()[:3] if word.isupper())
        return node(f"alter:{words}", "step", f"ALTER TABLE made {action}")


def internal(kind: str) -> str:
    """The internal name of a column type as it is written."""
    base = kind.partition("(")[0]
    return _INTERNAL.get(kind, "bpchar" if base == "char" else base)


_LOOK: Final = (
    "SELECT column_name, data_type, is_nullable, column_default, character_maximum_length, numeric_precision,"
    " numeric_scale, datetime_precision, udt_name FROM information_schema.columns WHERE table_name = 'made'"
    " ORDER BY ordinal_position"
)
_CONFLICTS: Final = (
    "", "", "ON CONFLICT DO NOTHING", "ON CONFLICT (id) DO NOTHING", "ON CONFLICT (name) DO NOTHING",
    "ON CONFLICT (id) DO UPDATE SET qty = excluded.qty + t3.qty", "ON CONFLICT (name) DO UPDATE SET price = excluded.price",
    "ON CONFLICT (name) DO UPDATE SET qty = 0 WHERE t3.qty > 3", "ON CONFLICT ON CONSTRAINT t3_pkey DO NOTHING",
    "ON CONFLICT (qty) DO NOTHING", "ON CONFLICT (id) DO UPDATE SET name = excluded.name, qty = DEFAULT",
    "ON CONFLICT ON CONSTRAINT nope DO NOTHING", "ON CONFLICT (name) DO UPDATE SET (qty, price) = (excluded.qty, 7)",
)  # fmt: skip
_UPDATES: Final = (
    "UPDATE t3 SET qty = qty + 1 WHERE qty > 2", "UPDATE t3 SET qty = qty - 5", "UPDATE t3 SET name = upper(name)",
    "UPDATE t3 SET price = price * 1.175 WHERE price IS NOT NULL", "UPDATE t3 SET (qty, price) = (1, 2.345) WHERE id = 1",
    "UPDATE t3 SET qty = b.i4 FROM t2 b WHERE b.id = t3.t2_id", "UPDATE t3 SET name = 'same'", "UPDATE t3 SET t2_id = 99",
    "UPDATE t3 SET qty = (SELECT max(i4) FROM t2) WHERE id < 3", "UPDATE t3 SET g = 1", "UPDATE t3 SET nope = 1",
    "UPDATE t3 x SET price = DEFAULT, created = created + 1 WHERE x.id = 2", "UPDATE t3 SET qty = NULL WHERE id = 3",
    "UPDATE t3 SET id = id + 1000", "UPDATE t3 SET price = 12345678.9", "UPDATE t3 SET qty = 'x'", "UPDATE nope SET a = 1",
    "UPDATE t3 SET qty = 1, qty = 2", "UPDATE t3 SET (qty, name) = (SELECT i4, t FROM t2 WHERE t2.id = t3.t2_id) WHERE id = 4",
    "UPDATE t3 SET qty = 2147483647 WHERE id = 1", "UPDATE t3 SET qty = price", "UPDATE t3 SET created = 'tomorrowish'",
)  # fmt: skip
_DELETES: Final = (
    "DELETE FROM t3 WHERE id IN (1, 2)", "DELETE FROM t3 USING t2 WHERE t2.id = t3.t2_id AND t2.i4 > 1",
    "DELETE FROM t3 WHERE name ~ '^p'", "DELETE FROM t3", "DELETE FROM t3 WHERE nope = 1", "DELETE FROM t3 AS x WHERE x.qty = 0",
    "DELETE FROM t3 WHERE price = (SELECT max(price) FROM t3)", "DELETE FROM nope", "DELETE FROM t3 WHERE qty", "DELETE FROM ONLY t3 WHERE id = 3",
)  # fmt: skip

FAMILIES: Final[tuple[tuple[float, Callable[[Writes], Case]], ...]] = (
    (5, Writes.insert), (4, Writes.update), (2, Writes.delete), (3, Writes.define),
)  # fmt: skip
"""How often each family of writes is made."""
