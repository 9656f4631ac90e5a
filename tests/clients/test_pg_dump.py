"""pg_dump of a node, restored into another one, gives the same dump; psql and pg_restore read it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from conftest import find_program
from support.node_process import MakeNode, NodeProcess

SCHEMA = """
CREATE SCHEMA app;
CREATE TABLE app.customer (id serial PRIMARY KEY, name varchar(40) NOT NULL DEFAULT 'x', email text UNIQUE,
    balance numeric(10,2) DEFAULT 0 CHECK (balance >= -100), tags text[], place point);
CREATE TABLE app.orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id int NOT NULL REFERENCES app.customer(id) ON DELETE CASCADE, total numeric(12,2));
CREATE INDEX orders_total ON app.orders (lower(total::text)) WHERE total > 10;
CREATE SEQUENCE app.s INCREMENT 5 START 10 CYCLE;
CREATE TABLE pub (id serial PRIMARY KEY, b text DEFAULT 'q', g int GENERATED ALWAYS AS (id * 2) STORED);
CREATE TABLE child (y int REFERENCES pub(id) DEFERRABLE INITIALLY DEFERRED);
CREATE VIEW seen AS WITH child AS (SELECT 1 AS y) SELECT pub.id, child.y FROM pub, child;
COMMENT ON TABLE pub IS 'a public table';
CREATE TABLE base (id int, name text DEFAULT 'n' NOT NULL, CONSTRAINT long CHECK (length(name) < 50),
    CONSTRAINT own CHECK (id > 0) NO INHERIT);
CREATE TABLE heir (extra numeric(4,1) DEFAULT 1.5) INHERITS (base);
CREATE TABLE late (id int, name text NOT NULL, CONSTRAINT long CHECK (length(name) < 50));
ALTER TABLE late INHERIT base;
ALTER TABLE heir ALTER COLUMN id SET DEFAULT 5;
CREATE VIEW without AS SELECT name FROM ONLY base;
INSERT INTO base VALUES (1); INSERT INTO heir DEFAULT VALUES; INSERT INTO late VALUES (3, 'x');
INSERT INTO app.customer (name, tags, place) VALUES ('a', '{x,"y z"}', '(1,2)'), (E'tab\\t', NULL, NULL);
INSERT INTO pub (b) VALUES ('one'), ('two');
CREATE TABLE gone (a int, b int, c text, d int); INSERT INTO gone VALUES (1, 2, '3', 4);
ALTER TABLE gone DROP COLUMN a; ALTER TABLE gone DROP COLUMN c; ALTER TABLE gone ADD COLUMN e date;
CREATE TABLE parted (day date NOT NULL, n int NOT NULL REFERENCES pub (id), s text, PRIMARY KEY (day, n),
    CONSTRAINT nn CHECK (n > 0)) PARTITION BY RANGE (day);
CREATE TABLE parted_20 PARTITION OF parted FOR VALUES FROM ('2020-01-01') TO ('2021-01-01') PARTITION BY LIST (n);
CREATE TABLE parted_20_1 PARTITION OF parted_20 FOR VALUES IN (1, 3);
CREATE TABLE parted_20_x PARTITION OF parted_20 DEFAULT;
CREATE TABLE parted_19 (s text, n int NOT NULL, day date NOT NULL, CONSTRAINT nn CHECK (n > 0));
ALTER TABLE parted ATTACH PARTITION parted_19 FOR VALUES FROM (MINVALUE) TO ('2020-01-01');
CREATE INDEX parted_s ON parted (lower(s)) WHERE s <> '';
CREATE INDEX parted_one ON ONLY parted (n);
INSERT INTO parted VALUES ('2019-05-05', 1, 'a'), ('2020-05-05', 1, 'b'), ('2020-05-06', 2, 'c');
CREATE SCHEMA hidden;
SET search_path = hidden;
CREATE TYPE mood AS ENUM ('a', 'b');
CREATE FUNCTION above(i int) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1 > 0; END';
CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
CREATE SEQUENCE own;
CREATE SEQUENCE zz_last;
CREATE TABLE t (n int DEFAULT nextval('own') CHECK (above(n)), m mood DEFAULT 'b');
CREATE INDEX ti ON t (above(n)) WHERE above(n);
CREATE TRIGGER tg BEFORE INSERT ON t FOR EACH ROW WHEN (above(new.n)) EXECUTE FUNCTION noted();
CREATE VIEW plain AS SELECT above(n) AS a, 'a'::mood AS m FROM t WHERE above(t.n);
CREATE VIEW joined AS SELECT x.n, 'a'::mood AS m FROM t x JOIN t y ON x.n = y.n AND above(y.n);
CREATE TYPE address AS (street text COLLATE "C", of mood);
CREATE DOMAIN sound AS text CHECK (above(length(VALUE)));
CREATE TABLE a (home address, n int DEFAULT nextval('zz_last'), name sound);
CREATE FUNCTION a_row() RETURNS SETOF a LANGUAGE sql AS 'SELECT * FROM hidden.a';
CREATE FUNCTION standard(x int) RETURNS bigint LANGUAGE sql RETURN (SELECT count(*) FROM t WHERE t.n = x AND above(x));
CREATE MATERIALIZED VIEW kept AS SELECT home FROM a;
SET search_path = public;
CREATE EXTENSION citext;
CREATE EXTENSION "uuid-ossp";
CREATE EXTENSION pg_trgm SCHEMA hidden;
CREATE TABLE member (id uuid DEFAULT uuid_generate_v4(),
    mail citext CHECK (mail <> 'x'::citext), address inet, text text);
CREATE INDEX member_text ON member USING gin (text hidden.gin_trgm_ops);
CREATE FUNCTION known(mail citext) RETURNS citext LANGUAGE sql AS 'SELECT $1';
"""


def program(name: str) -> str:
    found = find_program(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def run(node: NodeProcess, *command: str, given: str = "") -> str:
    done = subprocess.run(
        command, env=node.environment(), input=given, text=True, capture_output=True, timeout=60, check=False
    )
    assert not done.stderr, done.stderr
    assert done.returncode == 0
    return done.stdout


def dump(node: NodeProcess) -> str:
    text = run(node, program("pg_dump"))
    return re.sub(r"(?m)^(--.*|\\(un)?restrict .*)?\n", "", text)


def test_an_archive_is_restored_the_same(make_node: MakeNode, tmp_path: Path) -> None:
    first, second = make_node(), make_node()
    run(first, program("psql"), "-Xq", "-f", "-", given=SCHEMA)
    run(first, program("pg_dump"), "-Fc", "-f", str(tmp_path / "archive"))
    run(second, program("pg_restore"), "-e", "-d", "heliosdb", str(tmp_path / "archive"))
    assert dump(second) == dump(first)


def test_a_restored_dump_is_dumped_the_same(make_node: MakeNode) -> None:
    first, second = make_node(), make_node()
    psql = program("psql")
    run(first, psql, "-Xq", "-f", "-", given=SCHEMA)
    dumped = dump(first)
    run(second, psql, "-Xq", "-v", "ON_ERROR_STOP=1", "-f", "-", given=dumped)
    assert dump(second) == dumped
    assert "FROM public.pub,\n    child;" in dumped
    assert "REFERENCES public.pub(id) DEFERRABLE" in dumped
    assert "SET DEFAULT nextval('public.pub_id_seq'::regclass)" in dumped
    assert "nextval('hidden.own'::regclass)" in dumped
    assert "WHEN (hidden.above(new.n))" in dumped
    assert "id uuid DEFAULT public.uuid_generate_v4(),\n    mail public.citext,\n" in dumped
    assert "USING gin (text hidden.gin_trgm_ops);" in dumped
    assert "CREATE FUNCTION public.known(mail public.citext) RETURNS public.citext" in dumped
    assert "CHECK ((mail OPERATOR(public.<>) 'x'::public.citext))" in dumped
    assert "SET STORAGE" not in dumped
    assert "REPLICA IDENTITY" not in dumped
    assert "ALTER TABLE ONLY public.parted ATTACH PARTITION public.parted_19 FOR VALUES FROM (MINVALUE)" in dumped
    assert "ALTER INDEX public.parted_20_pkey ATTACH PARTITION public.parted_20_1_pkey" in dumped
    assert run(second, psql, "-XAt", "-c", "SELECT tableoid::regclass, s FROM parted ORDER BY s") == (
        "parted_19|a\nparted_20_1|b\nparted_20_x|c\n"
    )
    assert run(second, psql, "-XAt", "-c", "SELECT nextval('pub_id_seq'), currval('pub_id_seq')") == "3|3\n"
