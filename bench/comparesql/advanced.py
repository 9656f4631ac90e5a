"""Scripts for the larger constructs of queries and writes: MERGE, modifying WITH, grouping sets, ordered sets, frames."""

from __future__ import annotations

# ruff: noqa: E501
from typing import Final

from bench.comparesql.grammar import Rules, Script

RULES: Final[Rules] = {
    "merge_source": ("t2 s", "(SELECT id, i4, t, n, d FROM t2 WHERE id < {{int 9}}) s", "(VALUES (1, 5, 'a', 1.5, date '2020-01-01'), (77, 7, 'new', NULL, NULL)) AS s(id, i4, t, n, d)", "(SELECT 1 AS id, 2 AS i4, 'x' AS t, 3.5 AS n, current_date AS d WHERE false) s"),
    "merge_on": ("x.id = s.id", "x.name = s.t", "x.id = s.id AND s.i4 > {{int 5}}", "x.t2_id = s.id AND x.qty > 1", "false"),
    "matched": ("WHEN MATCHED THEN UPDATE SET qty = {{x.qty + 1|s.i4|DEFAULT|-1|abs(coalesce(s.i4, 0)) % 100}}", "WHEN MATCHED THEN DELETE", "WHEN MATCHED AND x.qty > {{int 8}} THEN DELETE", "WHEN MATCHED AND s.n IS NULL THEN DO NOTHING", "WHEN MATCHED THEN UPDATE SET (name, price) = ({{s.t|'same'|upper(x.name)}}, s.n)"),
    "maybe_matched": ("", "{{matched}}"),
    "unmatched": ("WHEN NOT MATCHED THEN INSERT (id, name, qty) VALUES (s.id + 500, s.t || '!', {{1|s.i4|DEFAULT|abs(s.i4) % 50}})", "WHEN NOT MATCHED THEN DO NOTHING", "WHEN NOT MATCHED AND s.id > {{int 5}} THEN INSERT (name, price) VALUES (s.t || s.id, s.n)", "WHEN NOT MATCHED THEN INSERT DEFAULT VALUES", "WHEN NOT MATCHED THEN INSERT (id, qty, t2_id) OVERRIDING SYSTEM VALUE VALUES (s.id + 600, 2, s.id)"),
    "write": ("INSERT INTO t3 (id, name, qty) VALUES (50, 'w', {{int 9}}), (51, 'w2', 3) RETURNING {{*|id, name|id AS k, qty * 2 AS q}}", "UPDATE t3 SET qty = qty + {{int 5}} WHERE id {{< 4|> 3|= 2|IN (1, 5)}} RETURNING {{*|id, qty|id, name, g}}", "DELETE FROM t3 WHERE id {{< 4|> 3|= 2|IN (1, 5)}} RETURNING {{*|id, qty|name}}", "INSERT INTO t2 SELECT id + 100, id, 'm', i4, 1, d, now()::timestamp(3) FROM t2 WHERE id < 4 RETURNING id, t"),
    "sets": ("ROLLUP (i4, b)", "CUBE (b, i4 % 2)", "GROUPING SETS ((b), (t), ())", "GROUPING SETS ((b, i2), (b), ())", "b, ROLLUP (i2)", "ROLLUP ((b, i2), t)", "GROUPING SETS (ROLLUP (b), CUBE (i2))", "GROUPING SETS ((), ())", "DISTINCT ROLLUP (b), ROLLUP (b, i2)", "CUBE (d, b)", "GROUPING SETS ((id), (t))"),
    "set_agg": ("count(*)", "sum(i4)", "max(t)", "min(d)", "avg(n)", "bool_or(b)", "string_agg(t, ',' ORDER BY id)", "array_agg(i4 ORDER BY id)", "count(DISTINCT t)", "sum(f8) FILTER (WHERE id > 3)", "jsonb_agg(i4 ORDER BY id)", "count(t) > 2"),
    "ordered_agg": ("percentile_cont({{0.5|0|1|0.25|ARRAY[0.1, 0.5, 0.9]|NULL|1.5|0.99}}) WITHIN GROUP (ORDER BY {{i4|n::float8|f8|iv|i2 DESC|id}})", "percentile_disc({{0.5|0|1|0.25|ARRAY[0.1, 0.5, NULL]|-0.1}}) WITHIN GROUP (ORDER BY {{i4|t|d|n|ts DESC|u|b}})", "mode() WITHIN GROUP (ORDER BY {{i4|t|b|d|id % 3}})", "rank({{3|NULL|2}}) WITHIN GROUP (ORDER BY {{i4|id|i2 DESC}})", "dense_rank('a', 2) WITHIN GROUP (ORDER BY t, i4)", "cume_dist({{1|5}}) WITHIN GROUP (ORDER BY {{id|i4 NULLS FIRST}})", "percent_rank({{1|5}}) WITHIN GROUP (ORDER BY id DESC)"),
    "frame_mode": ("ROWS", "RANGE", "GROUPS"),
    "bound_from": ("UNBOUNDED PRECEDING", "{{int 3}} PRECEDING", "CURRENT ROW", "{{int 2}} FOLLOWING"),
    "bound_to": ("UNBOUNDED FOLLOWING", "{{int 2}} PRECEDING", "CURRENT ROW", "{{int 3}} FOLLOWING"),
    "exclude": ("", "", "", " EXCLUDE CURRENT ROW", " EXCLUDE GROUP", " EXCLUDE TIES", " EXCLUDE NO OTHERS"),
    "window_fn": ("sum({{i4|n|i2|i8|id}})", "avg({{i4|n|i8}})", "count({{*|t|b}})", "min({{t|d|n|i4}})", "max({{ts|i4|t|u::text}})", "first_value({{t|i4|d}})", "last_value({{t|n}})", "nth_value(t, {{1|2|3}})", "array_agg(id)", "string_agg(t, '-')", "bool_and(b)", "lag({{i4|t|d}}{{|, 1|, 2|, 0}})", "lead(i4, 1, {{0|-1|NULL}})", "row_number()", "rank()", "dense_rank()", "ntile({{1|2|3|4}})", "cume_dist()", "percent_rank()", "stddev_pop(i4)", "jsonb_agg(i4)", "count(*) FILTER (WHERE b)"),
    "any_order_fn": ("sum({{i4|n|i2|i8|id}})", "avg({{i4|n|i8}})", "count({{*|t|b}})", "min({{t|d|n|i4}})", "max({{ts|i4|t}})", "bool_and(b)", "stddev_pop(i4)", "count(*) FILTER (WHERE b)"),
    "range_key": ("id", "i4", "n", "d", "ts", "f8", "iv", "tm"),
    "lateral": ("LATERAL (SELECT t3.name, t3.qty FROM t3 WHERE t3.t2_id = a.id ORDER BY t3.id LIMIT {{1|2|3}}) x", "LATERAL (SELECT count(*) AS n, max(b.i4) AS m FROM t2 b WHERE b.t1_id = a.id) x", "LATERAL generate_series(1, least(a.id, {{int 4}})) x", "LATERAL (VALUES (a.id, a.t), (a.id + 1, upper(a.t))) x(p, q)", "LATERAL unnest(ARRAY[a.id, a.i4]) WITH ORDINALITY x(v, o)", "LATERAL regexp_split_to_table(a.t, ' ') x(w)", "LATERAL (SELECT a.id * s.id AS z FROM t2 s WHERE s.id < 4) x", "LATERAL jsonb_each(jsonb_build_object('k', a.id)) x"),
    "values": ("(VALUES {{(1, 'a'), (2, 'b'), (NULL, 'c')|(1, NULL), (2.5, 'x')|(1), (2), (3)|('a', 1), ('b', NULL)|(NULL, NULL), (1, true)|(date '2020-01-01', 1), ('2021-01-01', 2)}}) v",),
}  # fmt: skip

SCRIPTS: Final[dict[str, Script]] = {
    "merge": Script(("MERGE INTO t3 x USING {{merge_source}} ON {{merge_on}} {{matched}} {{maybe_matched}} {{unmatched}}", "SELECT id, name, qty, price, t2_id, g FROM t3 WHERE id < 100 OR id > 300 ORDER BY id"), 2),
    "merge matched": Script(("MERGE INTO t3 AS x USING {{merge_source}} ON {{merge_on}} {{matched}}", "SELECT * FROM t3 ORDER BY id")),
    "modifying with": Script(("WITH w AS ({{write}}) SELECT {{*|count(*)|max(id)}} FROM w",), 1.5, ordered=False),
    "modifying with, twice": Script(("WITH w AS ({{write}}), v AS ({{write}}) SELECT (SELECT count(*) FROM w), (SELECT count(*) FROM v), (SELECT count(*) FROM t3)", "SELECT * FROM t3 ORDER BY id")),
    "modifying with, written on": Script(("WITH w AS (DELETE FROM t3 WHERE id < 4 RETURNING *) INSERT INTO t3 (id, name, qty) SELECT id + 200, name, qty FROM w RETURNING id, name", "SELECT id, name, qty FROM t3 ORDER BY id")),
    "grouping sets": Script(("SELECT {{set_agg}}, {{set_agg}}, {{grouping(b)|count(*)|1}} FROM t1 GROUP BY {{sets}}{{| HAVING count(*) > 1}}",), 3, ordered=False),
    "grouping sets, ordered": Script(("SELECT b, i2, grouping(b, i2), {{set_agg}} FROM t1 GROUP BY {{ROLLUP (b, i2)|CUBE (b, i2)|GROUPING SETS ((b, i2), (i2), ())}} ORDER BY 3, 1 {{|DESC|NULLS FIRST}}, 2",), 2),
    "within group": Script(("SELECT {{ordered_agg}}, {{ordered_agg}} FROM t1{{| WHERE id > 3| WHERE false| WHERE i4 IS NOT NULL}}",), 3),
    "within group by": Script(("SELECT b, {{ordered_agg}} FROM t1 GROUP BY b ORDER BY b",), 1.5),
    "frames": Script(("SELECT id, {{window_fn}} OVER ({{|PARTITION BY b |PARTITION BY i2 }}ORDER BY {{id|i4|t|d|n|i2}}, id{{| DESC}} {{frame_mode}} BETWEEN {{bound_from}} AND {{bound_to}}{{exclude}}) FROM t1 ORDER BY id",), 3),
    "range frames": Script(("SELECT id, {{any_order_fn}} OVER (ORDER BY {{id|i4|i8|n|f8|i2}}{{| DESC}} RANGE BETWEEN {{1|2|10|1.5|0}} PRECEDING AND {{CURRENT ROW|1 FOLLOWING|5 FOLLOWING|UNBOUNDED FOLLOWING}}{{exclude}}) FROM t1 ORDER BY id",), 1.5),
    "time frames": Script(("SELECT id, {{count(*)|min(id)|max(id)|sum(id)}} OVER (ORDER BY {{d|ts|tz|iv|tm}}{{| DESC}} RANGE BETWEEN '{{1 day|1 year|0|10 hours|1 mon}}' PRECEDING AND {{CURRENT ROW|'1 day' FOLLOWING}}) FROM t1 ORDER BY id",), 1.5),
    "windows of windows": Script(("SELECT id, {{any_order_fn}} OVER w, {{any_order_fn}} OVER (w{{| RANGE UNBOUNDED PRECEDING}}) FROM t1 WINDOW w AS (PARTITION BY {{b|i2|id % 2}}{{| ORDER BY id}}) ORDER BY id",), 1.5),
    "window over groups": Script(("SELECT b, count(*), {{sum(count(*))|rank()|max(sum(i4))|row_number()}} OVER (ORDER BY {{count(*)|b}}, b) FROM t1 GROUP BY b ORDER BY b",)),
    "lateral left": Script(("SELECT a.id, x.* FROM {{t1|t2}} a LEFT JOIN {{lateral}} ON {{true|a.id > 2|false}}",), 2, ordered=False),
    "lateral comma": Script(("SELECT a.id, x.* FROM t1 a, {{lateral}} WHERE a.id {{< 5|> 2|IS NOT NULL}}",), 2, ordered=False),
    "values": Script(("SELECT * FROM {{values}}{{| ORDER BY 1| ORDER BY 1 DESC NULLS LAST| LIMIT 1}}",)),
    "with ties": Script(("SELECT {{i2|b|i4}}, id FROM t1 ORDER BY {{b|i2|i4}} {{FETCH FIRST 2 ROWS WITH TIES|FETCH FIRST 3 ROWS WITH TIES|LIMIT 4}}",), 0.5, ordered=False),
    "recursion": Script(("WITH RECURSIVE r AS (SELECT id, t1_id, 1 AS depth FROM t2 WHERE {{id = 1|t1_id IS NULL|id < 3}} UNION {{ALL |}}SELECT s.id, s.t1_id, depth + 1 FROM t2 s JOIN r ON s.t1_id = r.id WHERE depth < {{int 5}}) SELECT {{*|count(*), max(depth)|id, array_agg(depth ORDER BY depth)}} FROM r{{| WHERE depth > 1}}",), 0.6, ordered=False),
    "recursive words": Script(("WITH RECURSIVE r(n, s) AS (VALUES (1, {{'a'::text|'x'|NULL}}) UNION ALL SELECT n + 1, s || n FROM r WHERE n < {{int 6}}) SELECT * FROM r ORDER BY n",)),
    "nested with": Script(("WITH a AS (SELECT id, i4 FROM t1), b AS (WITH c AS (SELECT * FROM a WHERE id < {{int 9}}) SELECT id, i4 + 1 AS j FROM c) SELECT a.id, b.j FROM a LEFT JOIN b USING (id) ORDER BY 1",)),
    "not in": Script(("SELECT id FROM t1 WHERE {{i4|id|i2|n}} {{NOT IN|IN|= ANY|<> ALL|> ALL|< ANY}} (SELECT {{i4|t1_id|id|n}} FROM t2{{| WHERE i4 IS NOT NULL| WHERE false}}) ORDER BY id",), 1.5),
    "correlated": Script(("SELECT id, (SELECT {{max(s.i4)|count(*)|string_agg(s.t, ',' ORDER BY s.id)|array_agg(s.id ORDER BY s.id)|sum(s.n)}} FROM t2 s WHERE s.{{t1_id|id|i4}} {{=|<|>}} a.{{id|i4}}) FROM t1 a ORDER BY id",), 1.5),
    "set operations": Script(("({{SELECT id FROM t1|SELECT i4 FROM t2|VALUES (1), (2), (NULL)}}) {{UNION|UNION ALL|INTERSECT|EXCEPT|INTERSECT ALL|EXCEPT ALL}} ({{SELECT i2 FROM t1|SELECT i8 FROM t1|SELECT n FROM t2|SELECT f8 FROM t1|SELECT NULL|SELECT 3}}) {{UNION|UNION ALL|INTERSECT|EXCEPT}} {{SELECT 2|SELECT NULL|SELECT 2.5|SELECT id FROM t2}} ORDER BY 1{{| DESC| LIMIT 3}}",), 2),
    "distinct aggregates": Script(("SELECT {{count|sum|avg|max|array_agg|stddev}}(DISTINCT {{i4|n|i2|f8|i8}}{{| ORDER BY 1}}) FROM t1",), 0.3),
    "full joins": Script(("SELECT {{a.id, b.id|*|coalesce(a.id, b.id) AS i|id}} FROM {{t2|t3}} a {{FULL|LEFT|RIGHT|INNER}} JOIN t3 b {{USING (id)|ON a.id = b.t2_id|USING (id) AS u|ON a.id = b.id AND b.qty > 2|ON false}} {{|WHERE b.id IS NULL|WHERE a.id IS NULL}}",), 2, ordered=False),
    "sampled rows": Script(("SELECT count(*) {{> 0|>= 0|}} FROM t1 TABLESAMPLE {{BERNOULLI|SYSTEM}} (100)",), 0.2),
    "locking": Script(("SELECT id FROM t2 {{WHERE id < 4|}} ORDER BY id {{FOR UPDATE|FOR SHARE|FOR NO KEY UPDATE|FOR KEY SHARE|FOR UPDATE NOWAIT|FOR UPDATE SKIP LOCKED|FOR UPDATE OF t2|FOR UPDATE OF nope}}",), 0.4),
}  # fmt: skip
