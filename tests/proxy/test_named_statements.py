"""Which statements take a write id, by their classes and by what a node does with the name."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from support.inner_node import InnerNode

from helios_cli.engine.proxy.classify import Classes

Connection = psycopg.Connection[tuple[Any, ...]]

PREPARED = """
CREATE TABLE t (a int PRIMARY KEY, b text);
CREATE TABLE jobs (a int PRIMARY KEY, b text);
INSERT INTO jobs VALUES (1, 'x'), (2, 'y'), (3, 'z');
CREATE SEQUENCE s;
CREATE FUNCTION writing(int) RETURNS int LANGUAGE plpgsql AS 'BEGIN INSERT INTO t VALUES ($1); RETURN 1; END';
CREATE PROCEDURE calling() LANGUAGE plpgsql AS 'BEGIN INSERT INTO t VALUES (300); END';
"""
STATEMENTS = """
INSERT INTO t VALUES (1, 'a') RETURNING a
UPDATE t SET b = 'c'
UPDATE jobs SET b = 'd' WHERE a = (SELECT a FROM jobs LIMIT 1 FOR UPDATE SKIP LOCKED)
DELETE FROM t
MERGE INTO t USING (VALUES (5)) v(a) ON t.a = v.a WHEN NOT MATCHED THEN INSERT VALUES (5, 'm')
TRUNCATE t
SELECT nextval('s')
SELECT setval('s', 50)
SELECT writing(30)
WITH i AS (INSERT INTO t VALUES (20) RETURNING a) SELECT * FROM i
SELECT 5 AS a INTO made
SELECT lo_create(0)
CREATE TABLE t2 (a int)
CREATE TABLE t3 AS SELECT 1 AS a
CREATE INDEX i1 ON t2 (a)
CREATE INDEX CONCURRENTLY i2 ON t2 (a)
DROP INDEX CONCURRENTLY i2
REINDEX TABLE t2
ALTER TABLE t2 ADD COLUMN b int
COMMENT ON TABLE t2 IS 'x'
GRANT SELECT ON t2 TO public
CREATE ROLE r1
DROP ROLE r1
CREATE DATABASE d1
DROP DATABASE d1
CREATE MATERIALIZED VIEW m1 AS SELECT 1 AS a
REFRESH MATERIALIZED VIEW m1
CREATE SCHEMA s1
CREATE TYPE e1 AS ENUM ('a')
CREATE FUNCTION f1() RETURNS int LANGUAGE sql AS 'SELECT 1'
CREATE EXTENSION IF NOT EXISTS hstore
DROP FUNCTION f1
SELECT * FROM jobs
SELECT * FROM jobs FOR UPDATE
SELECT pg_advisory_xact_lock(1)
SELECT pg_notify('a', 'b')
SELECT txid_current()
SELECT pg_current_wal_lsn()
EXPLAIN INSERT INTO t VALUES (103)
VACUUM
ANALYZE
CHECKPOINT
NOTIFY a
LISTEN a
SET CONSTRAINTS ALL DEFERRED
"""
NOT_NAMED_THOUGH_TAKEN = """
CALL calling()
DO 'BEGIN INSERT INTO t VALUES (301); END'
EXPLAIN ANALYZE INSERT INTO t VALUES (302)
CREATE TEMP TABLE t4 (a int)
"""
"""A node would take their names: procedures could then not end transactions, and what is a session's own is lost."""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    with InnerNode(tmp_path_factory.mktemp("named")) as node, node.connect() as connection:
        for statement in PREPARED.strip().split(";\n"):
            connection.execute(statement)
        yield connection


def is_used_up(client: Connection, sql: str) -> bool:
    """Whether a statement takes the name that the session has for its next write."""
    client.execute(f"SET helios.write_id = '{uuid.uuid4()}:1'")
    client.execute(sql)
    row = client.execute("SHOW helios.write_id").fetchone()
    client.execute("RESET helios.write_id")
    return row == ("",)


def test_a_statement_is_named_where_a_node_takes_the_name(client: Connection) -> None:
    for sql in STATEMENTS.strip().splitlines():
        assert Classes().of(sql).named == is_used_up(client, sql), sql


def test_names_that_would_do_harm_are_not_given(client: Connection) -> None:
    for sql in NOT_NAMED_THOUGH_TAKEN.strip().splitlines():
        assert not Classes().of(sql).named, sql
        assert is_used_up(client, sql), sql
