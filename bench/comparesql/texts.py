"""Scripts about texts and small constructs: dates in every spelling, patterns and escapes, rows, lists, notices."""

from __future__ import annotations

# ruff: noqa: E501
from typing import Final

from bench.comparesql.grammar import Rules, Script

RULES: Final[Rules] = {
    "day": ("1999-01-08", "January 8, 1999", "1/8/1999", "08-Jan-99", "Jan-08-1999", "19990108", "990108", "1999.008", "J2451187", "January 8, 99 BC", "1999-13-01", "2001-02-29", "99-Jan-08", "8 Jan 1999", "y1999m01d08", "", "x", "1999-1", "0000-01-01", "epoch", "infinity", "1999 01 08", "Fri Jan 8 1999", "08.01.1999"),
    "clock": ("", " 04:05:06", " 04:05", " 040506", "T040506.789", " 04:05 PM", " 16:05 PM", " allballs", " 24:00", " 24:01", " 23:59:60", " 4:5:6.7891234", " 04:05:06.5 am", " 0405", " 25:00"),
    "zone": ("", "", "Z", "+02", "-08:00", " PST", " America/New_York", "+0530", " EST", " Europe/Berlin", " MSK", " +16", " Nowhere/Land", " utc", "-00:30", " GMT+3", " est5edt"),
    "moment": ("timestamptz", "timestamp", "date", "time", "timetz"),
    "order": ("ISO, MDY", "ISO, DMY", "ISO, YMD", "SQL, DMY", "Postgres, MDY", "German", "SQL, MDY"),
    "edge": ("2024-03-10 01:59:59", "2024-03-10 02:30", "2024-03-10 03:00", "2024-11-03 00:59:59", "2024-11-03 01:30", "2024-11-03 02:00", "1883-11-18 12:03:57", "2024-03-31 02:30", "2024-10-27 02:30", "2038-01-19 03:14:07", "1900-01-01"),
    "span": ("1 day", "24 hours", "1 month", "-1 day", "1 hour", "1 year 2 months 3 days 04:05:06", "90 minutes", "PT36H", "1.5 days", "0.5 months", "-1 mon +1 day", "P1Y2M3DT4H5M6S", "1 week ago", "@ 1 minute", "1-2", "3 4:05:06", "1 day 1 day", "x", "", "1e3 s", "100 centuries", ".5 h", "1 y 1 foo", "2147483648 days", "1:2:3:4"),
    "spanned": ("", " + interval '{{span}}'", " * 1.5", "::text", ", justify_interval('{{span}}')"),
    "moved": ("", "+ interval '{{span}}'", "AT TIME ZONE '{{region}}'", "- interval '1 day'", "::date", "::timestamptz", "::timestamp"),
    "region": ("America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kolkata", "UTC", "America/Sao_Paulo"),
    "subject": ("abc", "a%c", "a_c", "a\\\\c", "", "ABC", "a.c", "äbc", "a\\nb"),
    "like": ("a%", "%c", "a\\\\%c", "a_c", "%", "", "a!%c", "_", "__%", "a\\\\", "%b%", "!", "a!", "A%"),
    "similar": ("a%", "(a|b)%", "a_c", "[abc]+", "a{2}", "%(b|x)%", "a.c", "[^a]%", "a?bc", "(", "a|abc", "", "\\\\%", "_{3}", "a*+"),
    "number": ("1", "2", "3", "NULL", "2.5", "-1", "1::bigint", "0"),
    "cell": ("1", "NULL", "'a'", "2.5", "i4", "t", "id", "true", "b"),
    "bool": ("i4 > 3", "b", "t IS NULL", "i4 IN (5, 7, NULL)", "NULL", "t LIKE 'a%'", "n BETWEEN 0 AND 2", "id = ANY (ARRAY[1, NULL, 3])", "i4 <> ALL (SELECT i4 FROM t2)", "EXISTS (SELECT 1 FROM t2 s WHERE s.id = t1.id)", "(i4, t) = (5, 'x')", "d > '2020-01-01'", "f8 = 'NaN'", "true", "id IN (SELECT t1_id FROM t2)"),
    "spread": ("concat(VARIADIC {{ARRAY[1, 2]|NULL::text[]|'{a,b}'::text[]|ai|ax}})", "concat_ws('-', VARIADIC {{ax|ai|ARRAY[d, d]}})", "format('%s %s', VARIADIC {{ARRAY['a', 'b']|ai|ARRAY[1.5, NULL]}})", "num_nulls(VARIADIC {{ai|ax|NULL::int[]}})", "jsonb_build_array(VARIADIC {{ai|ax|ARRAY[n, n]}})", "json_build_object(VARIADIC ARRAY['a', {{t|'b'|NULL}}])", "make_interval({{days => 3|mins => 5, hours => 2|secs => 1.5|years => 1, months => NULL|nope => 1}})", "jsonb_path_query_array(jb, '$.*', silent => {{true|false}})", "make_date(year => 2020, month => {{2|13}}, day => 1)", "parse_ident('a.b', strict => {{true|false}})", "json_extract_path(j, VARIADIC {{'{a,b}'|ARRAY['a']|NULL}})"),
    "behind": ("int4pl(i4, {{1|NULL|2147483647}})", "int8mul(i8, 2)", "float8div(f8, {{2|0}})", "textcat(t, 'x')", "texteq(t, {{'abc'|NULL}})", "booleq(b, true)", "numeric_sub(n, 1)", "date_mi(d, d)", "interval_pl(iv, '1 day')", "timestamp_lt(ts, ts)", "jsonb_contains(jb, '{}')", "array_eq(ai, '{1}')", "int4send(i4)", "textsend(t)", "float8send(f8)", "int4eq(i4, {{5|'5'|2.5}})", "bpchareq(c, 'abc')", "uuid_eq(u, u)", "bytealt(by, '\\x01')", "textlike(t, 'a%')", "int4nope(1)"),
    "raised": ("RAISE NOTICE 'a % b', {{1|NULL|'x'}};", "RAISE WARNING 'careful';", "RAISE NOTICE USING MESSAGE = 'm', DETAIL = 'd', HINT = 'h';", "RAISE EXCEPTION 'broken %', 5;", "RAISE EXCEPTION USING ERRCODE = '22012', MESSAGE = 'own';", "RAISE INFO 'i';", "RAISE LOG 'l';", "RAISE SQLSTATE '99999';", "RAISE division_by_zero;", "RAISE EXCEPTION 'x' USING CONSTRAINT = 'k', TABLE = 't', COLUMN = 'c', SCHEMA = 's', DATATYPE = 'd';", "RAISE NOTICE '%%', 1;", "RAISE NOTICE '% %', 1;"),
    "more": ("", "{{raised}}"),
    "nested": ("SELECT {{bool}} AS p, id FROM t1", "SELECT id, i4 FROM t1 WHERE {{bool}}", "SELECT id, (SELECT count(*) FROM t2 s WHERE s.t1_id = t1.id) AS k FROM t1", "SELECT DISTINCT b, id % 3 AS m FROM t1", "SELECT id, row_number() OVER (ORDER BY {{t|i4|n}} NULLS FIRST, id) AS r FROM t1", "SELECT b, max(i4) AS m FROM t1 GROUP BY b"),
}  # fmt: skip

SCRIPTS: Final[dict[str, Script]] = {
    "spelled times": Script(("SET LOCAL datestyle = '{{order}}'", "SELECT {{moment}} '{{day}}{{clock}}{{zone}}'"), 6),
    "spelled times, plain": Script(("SELECT '{{day}}{{clock}}{{zone}}'::{{moment}}",), 5),
    "spelled spans": Script(("SELECT interval '{{span}}'{{spanned}}",), 4),
    "zones": Script(("SET LOCAL timezone = '{{region}}'", "SELECT {{timestamptz|timestamp}} '{{edge}}' {{moved}}"), 5),
    "LIKE": Script(("SELECT E'{{subject}}' {{LIKE|NOT LIKE|ILIKE|NOT ILIKE}} E'{{like}}'{{|| ESCAPE '!'| ESCAPE ''| ESCAPE 'ab'}}",), 4),
    "SIMILAR": Script(("SELECT E'{{subject}}' {{SIMILAR TO|NOT SIMILAR TO}} E'{{similar}}'{{|| ESCAPE '!'}}",), 3),
    "substring by pattern": Script(("SELECT substring(E'{{subject}}' {{FROM 'b'|SIMILAR '%#\"b#\"%' ESCAPE '#'|FROM '(a)(b)'|FROM 2 FOR 1}})",), 1),
    "rows": Script(("SELECT id FROM t1 WHERE ({{cell}}, {{cell}}) {{=|<>|<|<=|>|>=|IS DISTINCT FROM|IS NOT DISTINCT FROM}} ({{cell}}, {{cell}}) ORDER BY id",), 3),
    "rows in lists": Script(("SELECT id FROM t1 WHERE (id, {{i4|t|b}}) {{IN|NOT IN}} {{((1, NULL), (2, NULL))|(SELECT id, {{i4|t}} FROM t2)|((1, 5))}} ORDER BY id",), 2),
    "lists": Script(("SELECT id, {{number}} {{IN|NOT IN}} ({{number}}, {{number}}, i4), {{number}} {{=|<>|<|>=}} {{ANY|ALL|SOME}} (ARRAY[{{number}}, i4]) FROM t1 ORDER BY id",), 3),
    "three values": Script(("SELECT id, ({{bool}}) AND ({{bool}}), ({{bool}}) OR NOT ({{bool}}), ({{bool}}) IS {{TRUE|NOT TRUE|UNKNOWN|NOT UNKNOWN|FALSE}} FROM t1 ORDER BY id",), 4),
    "DISTINCT ON": Script(("SELECT DISTINCT ON ({{b|i2|b, i2|id % 2}}) id, b, i2 FROM t1 ORDER BY {{b, i2, id|i2, b, id|b, id|id % 2, id|id}}",), 2),
    "ordered by": Script(("SELECT {{t AS k|i4 AS k|b AS k|n AS k}}, id AS t FROM t1 ORDER BY {{k|1|t|k DESC, 2|2, 1|k NULLS FIRST, id|3|upper(k), id|-id|k USING <, id|nope}}",), 2, ordered=False),
    "nested": Script(("SELECT * FROM ({{nested}}) x {{JOIN|LEFT JOIN|FULL JOIN}} ({{nested}}) y {{USING (id)|ON true|ON x = y|NATURAL}} ORDER BY 1, 2, 3, 4{{| LIMIT 5}}",), 3, ordered=False),
    "deeper": Script(("SELECT count(*), min(q::text) FROM (SELECT * FROM ({{nested}}) x WHERE {{EXISTS (SELECT 1 FROM t2 WHERE t2.id > 3)|true|x IS NOT NULL|NOT EXISTS (SELECT 1 FROM (SELECT * FROM t3 WHERE qty > 3) z WHERE z.id > 2)}}) q",), 3),
    "spread": Script(("SELECT {{spread}} FROM t1 ORDER BY id",), 4),
    "behind operators": Script(("SELECT {{behind}} FROM t1 ORDER BY id",), 3),
    "notices": Script(("DO $$ BEGIN {{raised}} {{more}} END $$",), 3),
    "notices of definitions": Script(("{{DROP TABLE IF EXISTS nope|DROP VIEW IF EXISTS nope.nope|CREATE TABLE IF NOT EXISTS t1 (a int)|CREATE SCHEMA IF NOT EXISTS public|DROP FUNCTION IF EXISTS nope(int)|DROP INDEX IF EXISTS nope, nope2|DROP TYPE IF EXISTS nope|ALTER TABLE IF EXISTS nope ADD a int|CREATE INDEX IF NOT EXISTS t2_t ON t2 (t)|TRUNCATE t2 CASCADE|DROP TABLE t2 CASCADE|ALTER TABLE t1 ADD COLUMN IF NOT EXISTS id int|CREATE TABLE aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggggg (a int)|SET LOCAL timezone = 'Nope/Nope'|COMMIT|ROLLBACK TO nope|BEGIN|DROP ROLE IF EXISTS nope|DROP SEQUENCE IF EXISTS nope}}",), 2),
    "json apart": Script(("SELECT {{value::text|key}} FROM {{json|jsonb}}_{{each|each_text}}('{{{\"a\": [1,   2], \"b\":{\"x\" :1.00}}|{}|[1]|1|{\"a\": null, \"a\": \"x\"}}}')",), 1, ordered=False),
    "json apart, elements": Script(("SELECT value::text FROM {{json|jsonb}}_array_elements{{|_text}}('{{[1.0,  {\"a\" : 2}, [1,2] ]|[]|{}|1|[null, \"x\"]}}')",), 1),
    "array slices": Script(("SELECT ai[{{1|0|-1|NULL|2}}:{{2|5|NULL|0}}], ai[:{{2|1}}], ax[{{2}}:], (ARRAY[[1, 2], [3, 4]])[{{1|2|1:2|:1}}][{{1|1:1|2:}}] FROM t1 ORDER BY id",), 2),
    "HAVING alone": Script(("SELECT {{1|'x'|count(*)|max(i4)}} FROM t1{{| WHERE false| WHERE id > 3}} HAVING {{true|false|count(*) > 2|max(i4) > 0|1 = 1|NULL}}",), 1),
    "savepoints": Script(("SAVEPOINT a", "INSERT INTO t2 (id, t1_id) VALUES ({{500|1}}, 1)", "?{{ROLLBACK TO a|RELEASE a|SAVEPOINT b}}", "UPDATE t3 SET qty = {{-1|5|NULL|qty + 1}} WHERE id < 4", "?ROLLBACK TO a", "SELECT count(*), sum(qty) FROM t3", "SELECT count(*) FROM t2"), 3, proceed=True),
}  # fmt: skip
