"""Scripts of a session: cursors, savepoints with errors, prepared statements, ON CONFLICT, settings."""

from __future__ import annotations

# ruff: noqa: E501
from typing import Final

from bench.comparesql.grammar import Rules, Script

RULES: Final[Rules] = {
    "cursor": ("DECLARE c {{|SCROLL |NO SCROLL |BINARY |INSENSITIVE }}CURSOR{{| WITH HOLD| WITHOUT HOLD}} FOR {{SELECT id, t FROM t2 ORDER BY id|SELECT g FROM generate_series(1, 5) g|SELECT id FROM t1 WHERE false|VALUES (1), (2), (3)|SELECT 1 / (id - 3) FROM t2 ORDER BY id}}",),
    "fetch": ("FETCH {{NEXT|PRIOR|FIRST|LAST|ABSOLUTE 2|ABSOLUTE -1|RELATIVE 2|RELATIVE -1|RELATIVE 0|3|ALL|FORWARD|FORWARD 2|FORWARD ALL|BACKWARD|BACKWARD 2|BACKWARD ALL|0|ABSOLUTE 0|-2}} FROM c", "MOVE {{NEXT|2|LAST|FORWARD ALL|BACKWARD ALL|ABSOLUTE 3|PRIOR|FIRST|0}} IN c", "CLOSE c", "FETCH c", "FETCH NEXT FROM nope"),
    "fails": ("SELECT 1 / 0", "INSERT INTO t3 (id) VALUES (1)", "SELECT nope", "UPDATE t3 SET qty = -1", "INSERT INTO t3 (id, t2_id) VALUES (90, 999)", "SELECT 'x'::int", "selec 1", "INSERT INTO t3 (id, qty) VALUES (91, NULL)", "CREATE TABLE t1 (a int)", "DROP TABLE nope"),
    "works": ("INSERT INTO t3 (id, name) VALUES (92, 'ok') ON CONFLICT DO NOTHING", "UPDATE t3 SET qty = 5 WHERE id = 1", "DELETE FROM t3 WHERE id = 2", "SELECT count(*) FROM t3", "CREATE TABLE IF NOT EXISTS sp (a int)", "UPDATE t3 SET price = coalesce(price, 0) + 1"),
    "savepoint": ("SAVEPOINT a", "SAVEPOINT b", "ROLLBACK TO a", "ROLLBACK TO SAVEPOINT b", "RELEASE a", "RELEASE SAVEPOINT b", "ROLLBACK TO nope", "SAVEPOINT a"),
    "prepared": ("PREPARE q AS SELECT $1 + 1", "PREPARE q (int) AS SELECT $1 * 2, t FROM t2 WHERE id = $1", "PREPARE q (text, int) AS SELECT repeat($1, $2)", "PREPARE q AS INSERT INTO t3 (id, name) VALUES ($1, $2) RETURNING *", "PREPARE q AS SELECT id FROM t1 WHERE t = $1 OR i4 > $2 ORDER BY id", "PREPARE q (date) AS SELECT $1 + 1", "PREPARE q AS SELECT count(*) FROM t1 WHERE id = ANY ($1::int[])", "PREPARE q AS SELECT $1::numeric, $2::text"),
    "executed": ("EXECUTE q (1)", "EXECUTE q (2, 'x')", "EXECUTE q ('x', 3)", "EXECUTE q", "EXECUTE q (NULL)", "EXECUTE q ('2020-01-01')", "EXECUTE q (1, 2, 3)", "EXECUTE q ('{1,2,3}')", "EXECUTE q (77, 'new')", "EXECUTE q (1.5, 2)", "EXECUTE q ('x')", "EXECUTE q (NULL, 1)"),
    "target": ("", "(id)", "(name)", "(id, name)", "(nope)", "ON CONSTRAINT t3_pkey", "ON CONSTRAINT t3_name_key", "(lower(name))", "(id) WHERE id > 0", "(qty)"),
    "resolution": ("DO NOTHING", "DO UPDATE SET qty = {{excluded.qty|t3.qty + excluded.qty|DEFAULT|0|-1|NULL}}", "DO UPDATE SET name = {{excluded.name || '!'|t3.name|NULL|'Ink'}}, price = 1", "DO UPDATE SET (qty, price) = (excluded.qty, excluded.price)", "DO UPDATE SET qty = excluded.qty WHERE t3.qty {{<|>|=}} excluded.qty", "DO UPDATE SET id = 500", "DO UPDATE SET qty = (SELECT count(*) FROM t2)", "DO UPDATE SET nope = 1", "DO UPDATE SET g = 1"),
    "new_rows": ("(1, 'new', {{int 9}}, 2.5)", "(50, 'pen', 3, NULL)", "(51, 'fresh', 1, 9.99)", "(1, 'Ink', 7, 1)", "(2, NULL, {{int 9}}, 1)", "(52, 'a', 1, 1), (52, 'b', 2, 2)", "(1, 'x', 1, 1), (53, 'y', 2, 2)"),
    "setting": ("timezone = '{{America/New_York|Asia/Kolkata|UTC|+05:30|Nope/Nope}}'", "intervalstyle = '{{iso_8601|postgres_verbose|sql_standard|postgres}}'", "bytea_output = '{{escape|hex}}'", "extra_float_digits = {{0|-3|3|1}}", "search_path = '{{public|nope, public|}}'", "statement_timeout = '{{1s|2min|x}}'", "nope.custom = 'v'", "nope = 1", "application_name = 'a'", "work_mem = '{{4MB|1}}'", "default_transaction_isolation = 'serializable'"),
    "shown": ("SHOW {{timezone|intervalstyle|bytea_output|extra_float_digits|search_path|statement_timeout|nope.custom|application_name|work_mem|datestyle|standard_conforming_strings|transaction_isolation|nope|max_identifier_length|client_encoding}}", "SELECT current_setting('{{timezone|intervalstyle|statement_timeout|nope|nope.custom|work_mem}}'{{|, true}})", "SELECT interval '1 day 02:03:04.5', '\\x01ff'::bytea, 0.1::float8 + 0.2, '2020-01-01 00:00+00'::timestamptz", "SELECT now() = current_timestamp, current_date = now()::date, localtimestamp::timestamptz = now()", "SELECT set_config('application_name', 'b', true)", "RESET timezone", "SELECT '2020-07-01 12:00'::timestamptz, '2020-07-01'::timestamptz::date, extract(epoch from '2020-07-01'::timestamp)"),
}  # fmt: skip

SCRIPTS: Final[dict[str, Script]] = {
    "cursors": Script(("{{cursor}}", "{{fetch}}", "{{fetch}}", "?{{fetch}}", "?{{fetch}}", "?{{fetch}}"), 4),
    "savepoints": Script(("SAVEPOINT a", "{{works}}", "?{{fails}}", "{{savepoint}}", "{{works}}", "?{{fails}}", "{{savepoint}}", "?{{savepoint}}", "SELECT id, name, qty FROM t3 ORDER BY id"), 4, proceed=True),
    "after an error": Script(("{{works}}", "{{fails}}", "{{works}}", "?SAVEPOINT a", "COMMIT", "SELECT 1"), 0.5, proceed=True),
    "prepared statements": Script(("{{prepared}}", "{{executed}}", "?{{executed}}", "DEALLOCATE {{q|ALL|nope}}"), 3),
    "on conflict": Script(("INSERT INTO t3 {{|AS t3 }}(id, name, qty, price) VALUES {{new_rows}} ON CONFLICT {{target}} {{resolution}}{{| RETURNING id, name, qty| RETURNING *}}", "SELECT * FROM t3 ORDER BY id"), 4),
    "settings": Script(("SET {{|LOCAL }}{{setting}}", "{{shown}}", "?{{shown}}"), 3),
    "isolation": Script(("SET TRANSACTION {{READ ONLY|ISOLATION LEVEL REPEATABLE READ|ISOLATION LEVEL SERIALIZABLE, READ ONLY|READ WRITE}}", "{{works}}", "SHOW {{transaction_isolation|transaction_read_only}}"), 1.5),
    "explained": Script(("EXPLAIN {{SELECT nope|INSERT INTO nope VALUES (1)|UPDATE t3 SET nope = 1|SELECT 'x'::int}}",), 0.2),
    "copied": Script(("TRUNCATE {{t3|t2|t1, t2|t2, t3|t2 CASCADE|t3 RESTART IDENTITY}}", "SELECT (SELECT count(*) FROM t1), (SELECT count(*) FROM t2), (SELECT count(*) FROM t3)", "?INSERT INTO t3 (name) VALUES ('first') RETURNING id"), 0.7),
    "returned": Script(("{{UPDATE t3 SET qty = qty + 1|DELETE FROM t3|UPDATE t3 SET price = 2 WHERE id = 1|DELETE FROM t3 USING t2 b WHERE b.id = t2_id|UPDATE t3 SET qty = b.id FROM t2 b WHERE b.id = t2_id}} RETURNING {{*|t3.*|id, qty|qty AS q, upper(name)|(SELECT count(*) FROM t2)|id + 1|t3|nope|count(*)|name || qty}}",), 2, ordered=False),
}  # fmt: skip
