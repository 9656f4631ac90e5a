"""Statements that are wrong on purpose, each in one way."""

from __future__ import annotations

# ruff: noqa: E501
from random import Random
from typing import Final

from bench.comparesql.expressions import Expressions
from bench.comparesql.queries import Queries
from bench.comparesql.tree import Case, Node, node

_FIXED: Final = (
    "SELECT 1 / 0", "SELECT 1.0 / 0", "SELECT 1 % 0", "SELECT 1::float8 / 0", "SELECT nope FROM t1", "SELECT t1.nope FROM t1",
    "SELECT nope.id FROM t1", "SELECT * FROM nope", "SELECT * FROM nope.t1", "SELECT id FROM t1 a, t2 b", "SELECT nope(1)",
    "SELECT lower()", "SELECT lower('a', 'b')", "SELECT abs('x')", "SELECT 1 + 'x'", "SELECT 'a' + 'b'", "SELECT 1 = 'x'",
    "SELECT true + 1", "SELECT 1 AND true", "SELECT NOT 1", "SELECT id FROM t1 WHERE t", "SELECT id FROM t1 WHERE i4 = t",
    "SELECT '2020-13-01'::date", "SELECT 'x'::int", "SELECT ''::int", "SELECT '1.5'::int", "SELECT '99999999999'::int",
    "SELECT 3000000000::int", "SELECT 40000::smallint", "SELECT 1e400::float8", "SELECT 'abc'::uuid", "SELECT '{'::json",
    "SELECT '{1,2'::int[]", "SELECT 'maybe'::bool", "SELECT '25:00'::time", "SELECT 'x'::interval", "SELECT 1::nope",
    "SELECT id, count(*) FROM t1", "SELECT count(count(*)) FROM t1", "SELECT sum(i4) OVER () FROM t1 GROUP BY id, sum(i4)",
    "SELECT id FROM t1 WHERE count(*) > 1", "SELECT id FROM t1 GROUP BY t HAVING i4 > 1", "SELECT id FROM t1 WHERE row_number() OVER () = 1",
    "SELECT (SELECT 1, 2)", "SELECT (SELECT id FROM t1)", "SELECT 1 IN (SELECT 1, 2)", "SELECT 1 UNION SELECT 1, 2",
    "SELECT 1 UNION SELECT 'x'", "SELECT 1 UNION SELECT true", "SELECT * FROM t1 ORDER BY 99", "SELECT id FROM t1 ORDER BY nope",
    "SELECT DISTINCT t FROM t1 ORDER BY id", "SELECT DISTINCT ON (t) id FROM t1 ORDER BY id", "SELECT id FROM t1 LIMIT -1",
    "SELECT id FROM t1 LIMIT 'x'", "SELECT id FROM t1 OFFSET -1", "SELECT * FROM t1 a JOIN t2 a ON true", "SELECT * FROM t1 JOIN t2 USING (nope)",
    "SELECT * FROM t1 JOIN t2 ON nope = 1", "SELECT a.id FROM t1", "SELECT CASE WHEN 1 THEN 2 END", "SELECT CASE 1 WHEN 'x' THEN 1 END",
    "SELECT CASE WHEN true THEN 1 ELSE 'x' END", "SELECT COALESCE(1, 'x')", "SELECT COALESCE(1, true)", "SELECT GREATEST(1, 'x')", "SELECT NULLIF(1, true)",
    "SELECT ARRAY[1, 'x']", "SELECT ARRAY[1, true]", "SELECT ARRAY[]", "SELECT (1)[1]", "SELECT ARRAY[1] || 'x'", "SELECT ARRAY[[1], [1, 2]]",
    "SELECT j = j FROM t1", "SELECT DISTINCT j FROM t1", "SELECT j FROM t1 ORDER BY j", "SELECT max(j) FROM t1", "SELECT max(b) FROM t1",
    "SELECT sum(t) FROM t1", "SELECT avg(d) FROM t1", "INSERT INTO t1 (id) VALUES (1)", "INSERT INTO t1 (nope) VALUES (1)",
    "INSERT INTO t1 (id, i4) VALUES (1)", "INSERT INTO t1 (id) VALUES (1, 2)", "INSERT INTO t1 (id, id) VALUES (1, 2)", "INSERT INTO t1 (id) VALUES (NULL)",
    "INSERT INTO t1 (id, i2) VALUES (20, 40000)", "INSERT INTO t1 (id, v) VALUES (20, repeat('x', 21))", "INSERT INTO t1 (id, c) VALUES (20, 'toolong')",
    "INSERT INTO t1 (id, nn) VALUES (20, 123456789.1)", "INSERT INTO t1 (id, d) VALUES (20, 5)", "INSERT INTO t1 (id, b) VALUES (20, 1)",
    "INSERT INTO t1 (id, j) VALUES (20, '{')", "INSERT INTO t3 (qty) VALUES (-1)", "INSERT INTO t3 (qty) VALUES (NULL)", "INSERT INTO t3 (name) VALUES ('pen')",
    "INSERT INTO t3 (t2_id) VALUES (99)", "INSERT INTO t3 (g) VALUES (1)", "DELETE FROM t2 WHERE id = 1; SELECT 1", "CREATE TABLE t1 (a int)",
    "CREATE TABLE x (a int, a int)", "CREATE TABLE x (a nope)", "CREATE TABLE x (a int REFERENCES nope)", "CREATE TABLE x (a int REFERENCES t2 (t))",
    "CREATE TABLE x (a int PRIMARY KEY, b int PRIMARY KEY)", "CREATE TABLE x (a int CHECK (nope > 1))", "CREATE TABLE x (a int DEFAULT 'x')",
    "CREATE TABLE x (a varchar(0))", "CREATE TABLE x (a numeric(2,5))", "CREATE TABLE x (a numeric(2000))", "CREATE INDEX ON t1 (nope)", "CREATE INDEX t2_t ON t2 (t)",
    "CREATE INDEX ON nope (a)", "CREATE VIEW v1 AS SELECT 1", "CREATE VIEW x AS SELECT nope", "CREATE VIEW x AS SELECT 1 AS a, 2 AS a", "DROP TABLE nope", "DROP TABLE t2",
    "DROP VIEW t1", "DROP TABLE v1", "DROP INDEX nope", "DROP SEQUENCE nope", "ALTER TABLE nope ADD a int", "ALTER TABLE t1 ADD COLUMN id int",
    "ALTER TABLE t1 DROP COLUMN nope", "ALTER TABLE t1 ALTER COLUMN t TYPE int", "ALTER TABLE t2 ADD CHECK (id > 1)", "ALTER TABLE t2 ADD UNIQUE (t1_id)",
    "ALTER TABLE t1 RENAME COLUMN id TO b", "ALTER TABLE t1 RENAME TO t2", "SELEC 1", "SELECT FROM WHERE", "SELECT 1 1", "SELECT 'x", "SELECT (1", "SELECT * FROM",
    "SELECT 1 +", "SELECT a b c", "INSERT INTO t1", "UPDATE t1 SET", "SELECT substring('abc' from 1 for -1)", "SELECT sqrt(-1)", "SELECT ln(0)", "SELECT power(0, -1)",
    "SELECT 2147483647 + 1", "SELECT 9223372036854775807 + 1", "SELECT -(-2147483648)", "SELECT abs(-2147483648)", "SELECT 32767::smallint + 1::smallint",
    "SELECT 'abc' LIKE 'a\\'", "SELECT 'a' ~ '('", "SELECT 'a' SIMILAR TO '('", "SELECT 1 LIKE 2", "SELECT chr(0)", "SELECT chr(-1)", "SELECT repeat('x', 2000000000)",
    "SELECT date '2020-01-01' + date '2020-01-01'", "SELECT interval '1 day' + 1", "SELECT time '10:00' + time '11:00'", "SELECT extract(nope FROM now())",
    "SELECT extract(hour FROM date '2020-01-01')", "SELECT date_trunc('nope', now())", "SELECT now() AT TIME ZONE 'Nope/X'", "SELECT to_char(1, 2)",
    "SELECT * FROM generate_series(1, 2, 0)", "SELECT string_agg(t) FROM t1", "SELECT array_agg(DISTINCT t ORDER BY id) FROM t1", "SELECT lag(i4) FROM t1",
    "SELECT lower(t) OVER () FROM t1", "SELECT count(*) FILTER (WHERE 1) FROM t1", "SELECT rank() OVER w FROM t1", "SELECT lower(DISTINCT t) FROM t1",
    "SELECT first_value(i4) OVER (ORDER BY id ROWS BETWEEN UNBOUNDED FOLLOWING AND CURRENT ROW) FROM t1", "SELECT ntile(0) OVER (ORDER BY id) FROM t1",
    "WITH w AS (SELECT 1) SELECT * FROM v", "WITH w AS (SELECT 1), w AS (SELECT 2) SELECT * FROM w", "WITH RECURSIVE r AS (SELECT 1 FROM r) SELECT * FROM r",
    "WITH w(a, b) AS (SELECT 1) SELECT * FROM w", "VALUES (1), (1, 2)", "VALUES (1), ('x')", "SELECT * FROM (VALUES (1, 2)) v(a, b, c)", "SELECT ROW(1, 2) = ROW(1)",
    "SELECT (1, 2) = (1, 'x')", "SELECT $1", "SELECT $1 + 1", "EXECUTE nope", "DEALLOCATE nope", "FETCH nope", "CLOSE nope", "RELEASE nope", "ROLLBACK TO nope", "SET nope = 1",
    "SHOW nope", "SET timezone = 'Nope'", "SET work_mem = 'x'", "LOCK nope", "TRUNCATE nope", "TRUNCATE t2", "COMMENT ON TABLE nope IS 'x'", "COPY nope TO STDOUT",
    "GRANT SELECT ON nope TO PUBLIC", "SELECT nextval('nope')", "SELECT currval('t3_id_seq')", "SELECT 'nope'::regclass", "SELECT '1'::regtype", "SELECT t1.* FROM t2",
    "SELECT *", "SELECT id FROM t1 GROUP BY 99", "SELECT id FROM t1 FOR UPDATE OF nope", "SELECT DISTINCT id FROM t1 FOR UPDATE", "SELECT count(*) FROM t1 FOR UPDATE",
    "SELECT t COLLATE \"nope\" FROM t1", "SELECT i4 COLLATE \"C\" FROM t1", "SELECT * FROM lower('x') AS f(a, b)", "SELECT unnest(1)", "SELECT unnest(NULL)", "SELECT max(unnest(ai)) FROM t1",
    "SELECT id FROM t1 WHERE unnest(ai) = 1", "SELECT jsonb_set('1', '{a}', '2')", "SELECT json_array_length('{}')", "SELECT '{}'::jsonb - 1", "SELECT '[]'::jsonb -> true",
    "SELECT json_object('{a}')", "SELECT * FROM json_each('[]')", "SELECT * FROM jsonb_array_elements('{}')", "SELECT format('%s')", "SELECT format('%z', 1)", "SELECT decode('z', 'hex')",
    "SELECT to_date('x', 'YYYY')", "SELECT to_timestamp('2020-13-01', 'YYYY-MM-DD')", "SELECT to_number('x', '9')", "SELECT make_date(2020, 13, 1)", "SELECT make_time(25, 0, 0)",
    "SELECT width_bucket(1, 2, 2, 1)", "SELECT factorial(-1)", "SELECT split_part('a', 'b', 0)", "SELECT array_fill(1, NULL)", "SELECT bit_and(f8) FROM t1", "SELECT 1 <<< 2", "SELECT @ 'x'",
    "SELECT -'x'", "SELECT 'x'::char(0)", "SELECT 1::bit(0)", "SELECT B'102'", "SELECT X'g'", "SELECT E'\\xff'", "SELECT U&'\\00'", "SELECT 12abc", "SELECT 1.2.3",
)  # fmt: skip


class Faults:
    """Makes cases that fail, mostly."""

    def __init__(self, queries: Queries) -> None:
        self.rng: Random = queries.rng
        self.expressions: Expressions = queries.expressions
        self.queries = queries

    def fixed(self) -> Case:
        """One of the statements above."""
        text = self.rng.choice(_FIXED)
        return Case("fault", (node("fault:fixed", "statement", text),), ordered=True)

    def misfit(self) -> Case:
        """A function with arguments of other types, or another number of them, than it has."""
        tables = [calls for calls in self.queries.surface.functions.values() if calls]
        call = self.rng.choice(self.rng.choice(tables))
        count = max(0, len(call.args) + self.rng.choice((-1, 0, 0, 0, 1)))
        made = [self.expressions.make(self.expressions.any_type(), 0) for _ in range(count)]
        parts: list[str | Node] = []
        for at, part in enumerate(made):
            parts += [", ", part] if at else [part]
        call_node = node(f"misfit:{call.name}", "expr:?", f"{call.name}(", *parts, ")")
        return Case("misfit", (node("query:misfit", "statement", "SELECT ", call_node),))

    def operands(self) -> Case:
        """An operator between two types that it may not have."""
        tables = [calls for calls in self.queries.surface.operators.values() if calls]
        call = self.rng.choice(self.rng.choice(tables))
        left = self.expressions.make(self.expressions.any_type(), 0)
        right = self.expressions.make(self.expressions.any_type(), 0)
        made = node(f"misfit:{call.name}", "expr:?", left, f" {call.name} ", right)
        return Case("misfit", (node("query:misfit", "statement", "SELECT ", made),))

    def converted(self) -> Case:
        """A cast of anything to anything."""
        kind = self.expressions.any_type()
        inner = self.expressions.make(self.expressions.any_type(), 0)
        made = node(
            "misfit:cast", f"expr:{kind}", "CAST(", inner, f" AS {kind if kind[0] != '_' else kind[1:] + '[]'})"
        )
        return Case("misfit", (node("query:misfit", "statement", "SELECT ", made),))


FAMILIES: Final = ((4, Faults.fixed), (2.5, Faults.misfit), (2, Faults.operands), (2, Faults.converted))
"""How often each family of faults is made."""
