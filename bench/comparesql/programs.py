"""Scripts of functions, procedures, triggers and DO blocks, in SQL and in PL/pgSQL."""

from __future__ import annotations

# ruff: noqa: E501
from typing import Final

from bench.comparesql.grammar import Rules, Script

RULES: Final[Rules] = {
    "sql_body": ("SELECT {{$1 + 1|$1 * 2|a|a % 3|coalesce(a, 0)|length($1::text)}}", "SELECT max(i4) FROM t1 WHERE id < $1", "SELECT 1; SELECT 2", "SELECT id FROM t2 WHERE id = a", "SELECT NULL::int", "INSERT INTO t3 (id, name) VALUES (a + 300, 'f') RETURNING id", "SELECT 1 / a", "SELECT 'x'", "SELECT 1, 2", "SELECT nope"),
    "volatility": ("", " IMMUTABLE", " STABLE", " STRICT", " IMMUTABLE STRICT", " SECURITY DEFINER", " CALLED ON NULL INPUT"),
    "call": ("SELECT f(1)", "SELECT f(NULL)", "SELECT f(0)", "SELECT id, f(id) FROM t2 WHERE id < 4 ORDER BY id", "SELECT * FROM f(2)", "SELECT f(a => 3)", "SELECT f('5')", "SELECT f(1.5)", "SELECT f('x')", "SELECT f(1, 2)", "SELECT sum(f(id)) FROM t2", "SELECT f(f(2))", "SELECT 1 WHERE f(1) > 0"),
    "statement": (
        "r := {{a + 1|a * 2|r - 1|length('abc')|(SELECT max(id) FROM t2)|NULL}};",
        "IF a > {{int 4}} THEN r := 1; ELSIF a IS NULL THEN r := -1; ELSE r := 0; END IF;",
        "FOR i IN 1..{{int 5}} LOOP r := coalesce(r, 0) + i; END LOOP;",
        "FOR i IN REVERSE 5..1 BY 2 LOOP r := i; EXIT WHEN i < {{int 5}}; END LOOP;",
        "FOR x IN SELECT id, t FROM t2 ORDER BY id LIMIT 3 LOOP r := coalesce(r, 0) + x.id; CONTINUE WHEN x.t IS NULL; s := s || x.t; END LOOP;",
        "WHILE coalesce(r, 0) < {{int 9}} LOOP r := coalesce(r, 0) + 3; END LOOP;",
        "LOOP r := coalesce(r, 0) + 1; EXIT WHEN r > 3; END LOOP;",
        "CASE a WHEN 1 THEN r := 10; WHEN 2, 3 THEN r := 20; ELSE r := 30; END CASE;",
        "CASE WHEN a > 1 THEN r := 5; END CASE;",
        "SELECT i4 INTO r FROM t2 WHERE id = a;",
        "SELECT id INTO STRICT r FROM t2 WHERE id {{= 1|> 1|= 99}};",
        "SELECT count(*), max(t) INTO r, s FROM t2;",
        "EXECUTE 'SELECT $1 * 2' INTO r USING a;",
        "EXECUTE format('SELECT count(*) FROM %I', {{'t2'|'nope'}}) INTO r;",
        "PERFORM 1 / {{int 1}};",
        "BEGIN r := 1 / {{int 1}}; EXCEPTION WHEN {{division_by_zero|others|SQLSTATE '22012'|unique_violation}} THEN r := -99; END;",
        "BEGIN r := 'x'::int; EXCEPTION WHEN invalid_text_representation THEN s := SQLERRM; r := length(SQLSTATE); END;",
        "BEGIN INSERT INTO t3 (id) VALUES (1); EXCEPTION WHEN unique_violation THEN GET STACKED DIAGNOSTICS s = {{CONSTRAINT_NAME|TABLE_NAME|RETURNED_SQLSTATE|MESSAGE_TEXT|COLUMN_NAME}}; END;",
        "RAISE NOTICE 'r is %', r;",
        "RAISE {{EXCEPTION|WARNING|INFO}} 'no % of %', a, r USING ERRCODE = '{{P0001|22023|23514}}', HINT = 'none';",
        "RAISE {{unique_violation|division_by_zero}};",
        "ASSERT a > {{int 2}}, 'too small';",
        "UPDATE t3 SET qty = qty + 1 WHERE id < 4; GET DIAGNOSTICS r = ROW_COUNT;",
        "INSERT INTO t3 (id, name) VALUES (a + 400, 'p') RETURNING id INTO r;",
        "FOREACH i IN ARRAY ARRAY[1, 2, {{int 9}}] LOOP r := coalesce(r, 0) + i; END LOOP;",
        "s := s || {{'x'|a|r|NULL|upper('y')}};",
        "IF FOUND THEN r := 1; END IF;",
        "r := {{'12'|'x'|1.6|true|99999999999}};",
        "RETURN {{r|a|5|NULL|s}};",
        "NULL;",
        "nope := 1;",
        "<<outer_>> FOR i IN 1..3 LOOP FOR j IN 1..3 LOOP CONTINUE outer_ WHEN j = 2; r := coalesce(r, 0) + i * j; END LOOP; END LOOP;",
        "DELETE FROM t3 WHERE id = a; r := (SELECT count(*) FROM t3);",
        "ar[2] := 7; r := ar[1];",
        "ar := ar || {{4|NULL}}; r := cardinality(ar);",
    ),
    "plpgsql": ("DECLARE r {{int|bigint|numeric|text|int := 5|int NOT NULL := 1}}; s text := ''; x record; i int; ar int[] := '{1,2}'; BEGIN {{statement}} {{statement}} {{statement}} RETURN {{r|a|r + 1}}; END",),
    "block": ("DECLARE a int := {{int 5}}; r int; s text := ''; x record; i int; ar int[] := '{1,2}'; BEGIN {{statement_no_return}} {{statement_no_return}} INSERT INTO t3 (id, name) VALUES (700, s || coalesce(r::text, '?')); END",),
    "statement_no_return": ("r := a + {{int 3}};", "IF a > 2 THEN r := 1; ELSE r := 2; END IF;", "FOR i IN 1..3 LOOP r := i; END LOOP;", "UPDATE t3 SET qty = {{1|r|-1}} WHERE id = 2;", "s := 'z' || a;", "DELETE FROM t3 WHERE id = {{int 9}};", "RAISE EXCEPTION 'stop %', a;", "BEGIN PERFORM 1 / 0; EXCEPTION WHEN others THEN s := SQLSTATE; END;", "EXECUTE 'UPDATE t3 SET qty = 8 WHERE id = ' || a;", "RETURN;", "CREATE TABLE inner_ (q int); INSERT INTO inner_ VALUES (1); SELECT q INTO r FROM inner_;"),
    "set_body": ("RETURN QUERY SELECT id, t FROM t2 WHERE id < n ORDER BY id;", "FOR k IN 1..n LOOP v := 'r' || k; RETURN NEXT; END LOOP;", "RETURN QUERY EXECUTE 'SELECT 1, ''x''::text'; k := 9; RETURN NEXT;", "RETURN;", "RETURN QUERY SELECT 1;", "k := n; v := NULL; RETURN NEXT; RETURN QUERY VALUES (5, 'five'::text);"),
    "trigger_body": ("NEW.qty := NEW.qty + 1; RETURN NEW;", "RETURN NULL;", "IF NEW.qty > 5 THEN RAISE EXCEPTION 'too many: %', NEW.qty; END IF; RETURN NEW;", "NEW.name := upper(NEW.name); RETURN NEW;", "NEW.name := TG_OP || TG_WHEN || TG_LEVEL || TG_TABLE_NAME || TG_NARGS; RETURN NEW;", "IF TG_OP = 'DELETE' THEN INSERT INTO t2 (id, t) VALUES (OLD.id + 800, 'gone'); RETURN OLD; END IF; RETURN NEW;", "IF TG_OP = 'UPDATE' THEN NEW.price := OLD.qty; END IF; RETURN NEW;", "NEW.id := NULL; RETURN NEW;", "INSERT INTO t2 (id, t) VALUES ((SELECT max(id) + 1 FROM t2), TG_NAME); RETURN NEW;", "NEW.nope := 1; RETURN NEW;"),
    "trigger_on": ("BEFORE INSERT OR UPDATE", "BEFORE INSERT OR UPDATE OR DELETE", "AFTER INSERT", "BEFORE DELETE", "AFTER UPDATE OF qty", "BEFORE UPDATE", "AFTER INSERT OR DELETE OR UPDATE"),
    "trigger_level": ("FOR EACH ROW", "FOR EACH ROW WHEN (NEW.qty > 3)", "FOR EACH STATEMENT", "FOR EACH ROW"),
    "fired": ("INSERT INTO t3 (id, name, qty) VALUES (60, 'fired', {{int 9}}), (61, 'two', 1) {{|RETURNING id, name, qty}}", "UPDATE t3 SET qty = qty + 1 WHERE id < 5 {{|RETURNING *}}", "DELETE FROM t3 WHERE id = {{1|2|99}}", "INSERT INTO t3 (id, name) VALUES (1, 'clash') ON CONFLICT (id) DO UPDATE SET qty = 9", "UPDATE t3 SET name = name WHERE id = 1"),
}  # fmt: skip

SCRIPTS: Final[dict[str, Script]] = {
    "sql functions": Script(("CREATE FUNCTION f(a int) RETURNS {{int|bigint|text|numeric|void}} LANGUAGE sql{{volatility}} AS $$ {{sql_body}} $$", "{{call}}", "?{{call}}", "?SELECT * FROM t3 WHERE id > 299 ORDER BY id"), 3, ordered=False),
    "sql functions, sets": Script(("CREATE FUNCTION f(a int{{| DEFAULT 3}}) RETURNS {{SETOF int|SETOF t2|TABLE (x int, y text)|SETOF text|t2}} LANGUAGE sql{{volatility}} AS $$ {{SELECT * FROM t2 WHERE id < a ORDER BY id|SELECT id FROM t2 WHERE id < a ORDER BY id|SELECT id, t FROM t2 ORDER BY id LIMIT a|SELECT a, 'x'::text|VALUES (1), (2)}} $$", "SELECT {{*|count(*)}} FROM f({{4|2|NULL|0}}){{| AS q| WITH ORDINALITY}}"), 2, ordered=False),
    "sql functions, arguments": Script(("CREATE FUNCTION f({{a int, b int DEFAULT 10|a int DEFAULT 1, b int DEFAULT 2|a int, VARIADIC b int[]|a text, b text DEFAULT 'd'|INOUT a int, OUT b int|a anyelement, b anyelement|a int, OUT x int, OUT y int}}) {{|RETURNS int|RETURNS record|RETURNS text}} LANGUAGE sql AS $$ {{SELECT a|SELECT a, a|SELECT a + b|SELECT 1, 2|SELECT a || b|SELECT cardinality(b)}} $$", "SELECT {{f(1)|f(1, 2)|f(b => 3, a => 4)|f(1, 2, 3)|f()|f('x', 'y')|f(a := 5)|(f(7)).*|f(VARIADIC ARRAY[1, 2])|f(NULL, NULL)}}"), 2),
    "plpgsql functions": Script(("CREATE FUNCTION f(a int) RETURNS {{int|text|numeric}} LANGUAGE plpgsql{{volatility}} AS $$ {{plpgsql}} $$", "{{call}}", "?{{call}}", "?SELECT * FROM t3 ORDER BY id"), 8, ordered=False),
    "plpgsql sets": Script(("CREATE FUNCTION f(n int) RETURNS TABLE (k int, v text) LANGUAGE plpgsql AS $$ #variable_conflict use_column\nBEGIN {{set_body}} END $$", "SELECT * FROM f({{3|0|NULL|5}}){{| WHERE k > 1| ORDER BY v}}"), 2, ordered=False),
    "procedures": Script(("CREATE PROCEDURE p({{a int|INOUT a int|a int DEFAULT 4|a int, INOUT b text}}) LANGUAGE {{plpgsql AS $$ BEGIN UPDATE t3 SET qty = a WHERE id = 1; END $$|sql AS $$ INSERT INTO t3 (id) VALUES (a + 900) $$|plpgsql AS $$ BEGIN a := a * 2; END $$}}", "CALL p({{3|NULL|-1||1, 'x'}})", "SELECT id, qty FROM t3 ORDER BY id"), 1.5),
    "do": Script(("DO $$ {{block}} $$", "SELECT id, name, qty FROM t3 ORDER BY id"), 3),
    "triggers": Script(("CREATE FUNCTION tf() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {{trigger_body}} END $$", "CREATE TRIGGER tr {{trigger_on}} ON t3 {{trigger_level}} EXECUTE FUNCTION tf({{|'x', 1}})", "{{fired}}", "?{{fired}}", "SELECT * FROM t3 ORDER BY id", "SELECT id, t FROM t2 WHERE id > 8 ORDER BY id"), 6),
    "triggers, transition tables": Script(("CREATE FUNCTION tf() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO t2 (id, t) SELECT 900, count(*) || ':' || coalesce(sum(qty), 0) FROM {{new_rows|old_rows|new_rows}}; RETURN NULL; END $$", "CREATE TRIGGER tr AFTER UPDATE ON t3 REFERENCING NEW TABLE AS new_rows OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION tf()", "UPDATE t3 SET qty = qty + 2 WHERE id {{< 4|> 3|= 99}}", "SELECT id, t FROM t2 WHERE id > 8")),
    "functions, errors": Script(("SELECT {{nope(1)|lower(1)|abs()|f(1)|substr('a')}}", ), 0.3),
    "function catalogs": Script(("CREATE FUNCTION f(a int, b text DEFAULT 'x') RETURNS {{int|text|SETOF int|void}} LANGUAGE {{sql|plpgsql}}{{volatility}} AS $$ {{SELECT 1|BEGIN RETURN; END}} $$", "SELECT {{pg_get_function_arguments(oid)|pg_get_function_result(oid)|provolatile|proisstrict|pg_get_function_identity_arguments(oid)|prosrc|proargnames|pronargdefaults}} FROM pg_proc WHERE proname = 'f'")),
    "drop functions": Script(("CREATE FUNCTION f(a int) RETURNS int LANGUAGE sql AS 'SELECT 1'", "{{DROP FUNCTION f|DROP FUNCTION f(int)|DROP FUNCTION f(text)|DROP FUNCTION IF EXISTS nope|CREATE OR REPLACE FUNCTION f(a int) RETURNS text LANGUAGE sql AS 'SELECT ''x'''|CREATE OR REPLACE FUNCTION f(a int) RETURNS int LANGUAGE sql AS 'SELECT 7'|ALTER FUNCTION f(int) RENAME TO g|CREATE FUNCTION f(b int) RETURNS int LANGUAGE sql AS 'SELECT 2'|CREATE FUNCTION f(a text) RETURNS int LANGUAGE sql AS 'SELECT 3'}}", "SELECT f(1)", ), 1),
}  # fmt: skip
