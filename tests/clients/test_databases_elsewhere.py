"""Databases on a standby, through its write routing, over HTTP, and with PostgreSQL's own tools."""

from __future__ import annotations

import http.client
import json
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from conftest import find_program
from support.node_process import MakeNode, NodeProcess

Connection = psycopg.Connection[Any]


def rows(connection: Connection, sql: str) -> list[tuple[Any, ...]]:
    return connection.execute(sql).fetchall()


def start_pair(make_node: MakeNode, mode: str) -> tuple[NodeProcess, NodeProcess]:
    primary, standby = make_node(start=False), make_node(start=False)
    common = ["--replication-mode", mode, "--node-id"]
    primary.flags = [*common, "one", "--replication-role", "primary"]
    address = ["--primary-host", "127.0.0.1", "--primary-port", str(primary.native_port)]
    standby.flags = [*common, "two", "--replication-role", "standby", *address]
    return primary.start(), standby.start()


def test_a_standby_shows_and_forwards_each_database(make_node: MakeNode) -> None:
    primary, standby = start_pair(make_node, "sync")
    with standby.connect() as first:
        first.execute("CREATE TABLE t(who text)")
        first.execute("INSERT INTO t VALUES ('first')")
        first.execute("CREATE DATABASE other")
        assert rows(first, "SELECT datname FROM pg_database ORDER BY 1") == [("heliosdb",), ("other",)]
        with standby.connect(dbname="other") as there, primary.connect(dbname="other") as here:
            there.execute("CREATE TABLE t(id serial PRIMARY KEY, who text)")
            there.execute("INSERT INTO t(who) VALUES ('other')")
            assert rows(there, "SELECT who FROM t") == [("other",)]
            assert rows(here, "SELECT who, current_database() FROM t") == [("other", "other")]
            assert rows(first, "SELECT who FROM t") == [("first",)]
            with there.transaction():
                there.execute("INSERT INTO t(who) VALUES ('more')")
                assert rows(there, "SELECT count(*), current_database() FROM t") == [(2, "other")]
            with there.cursor() as cursor, cursor.copy("COPY t FROM STDIN") as copy:
                copy.write_row((7, "copied"))
            assert rows(here, "SELECT who FROM t WHERE id = 7") == [("copied",)]
            for _ in range(3):
                found = there.execute("SELECT who FROM t WHERE id = %s", (7,), prepare=True)
                assert found.fetchall() == [("copied",)]
            with pytest.raises(psycopg.errors.ObjectInUse):
                first.execute("DROP DATABASE other")
        first.execute("DROP DATABASE other")
        with pytest.raises(psycopg.OperationalError, match='database "other" does not exist'):
            standby.connect(dbname="other")


def test_a_promoted_standby_has_every_database(make_node: MakeNode) -> None:
    primary, standby = start_pair(make_node, "sync")
    with primary.connect() as first:
        first.execute("CREATE DATABASE other")
    with primary.connect(dbname="other") as there:
        there.execute("CREATE TABLE t(i int)")
        there.execute("INSERT INTO t VALUES (1)")
    with standby.connect(dbname="other") as there:
        assert rows(there, "SELECT i FROM t") == [(1,)]
        primary.kill()
        status, answer = standby.http("/admin/promote", body={"allow_data_loss": True})
        assert status == 200, answer
        there.execute("INSERT INTO t VALUES (2)")
        assert rows(there, "SELECT i FROM t ORDER BY i") == [(1,), (2,)]


def posted(server: NodeProcess, sql: str, **more: str) -> Any:
    with closing(http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=20)) as connection:
        connection.request("POST", "/sql", json.dumps({"sql": sql, **more}), {"Content-Type": "application/json"})
        return json.loads(connection.getresponse().read())


def test_http_requests_name_their_database(server: NodeProcess) -> None:
    with server.connect() as first:
        first.execute("CREATE DATABASE web")
    try:
        assert posted(server, "SELECT current_database()", database="web")["rows"] == [["web"]]
        posted(server, "CREATE TABLE here(i int)", database="web")
        assert posted(server, "SELECT * FROM here", database="web")["rows"] == []
        assert posted(server, "SELECT * FROM here")["error"]["sqlstate"] == "42P01"
        assert posted(server, "SELECT 1", database="nowhere")["error"]["sqlstate"] == "3D000"
    finally:
        with server.connect() as first:
            first.execute("DROP DATABASE web WITH (FORCE)")


def test_postgresqls_own_tools(server: NodeProcess, tmp_path: Path) -> None:
    def run(program: str, *arguments: str) -> str:
        path = find_program(program)
        if path is None:
            pytest.skip(f"{program} is not installed (make deps)")
        where = ["-h", "127.0.0.1", "-p", str(server.pg_port), "-U", "helios"]
        done = subprocess.run([path, *where, *arguments], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("createdb", "-E", "UTF8", "-T", "template0", "shop", "what is sold")
    with server.connect(dbname="shop") as shop:
        shop.execute("CREATE TABLE item(id serial PRIMARY KEY, name text UNIQUE)")
        shop.execute("INSERT INTO item(name) VALUES ('chair'), ('table')")
        shop.execute("CREATE VIEW names AS SELECT name FROM item")
        shop.execute("ALTER DATABASE shop SET work_mem = '7MB'")
    listed = run("psql", "-X", "-A", "-t", "-l", "heliosdb")
    assert "shop|helios|UTF8|C|C.UTF-8" in listed
    plain, custom = tmp_path / "shop.sql", tmp_path / "shop.dump"
    run("pg_dump", "-C", "-f", str(plain), "shop")
    run("pg_dump", "-C", "-Fc", "-f", str(custom), "shop")
    assert "CREATE DATABASE shop" in plain.read_text()
    for restore in (("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", str(plain), "heliosdb"),
                    ("pg_restore", "-C", "-e", "-d", "heliosdb", str(custom))):  # fmt: skip
        run("dropdb", "shop")
        run(*restore)
        with server.connect(dbname="shop") as shop:
            assert rows(shop, "SELECT name FROM names ORDER BY 1") == [("chair",), ("table",)]
            assert rows(shop, "INSERT INTO item(name) VALUES ('lamp') RETURNING id") == [(3,)]
            assert rows(shop, "SHOW work_mem") == [("7MB",)]
            shop.execute("DELETE FROM item WHERE id = 3")
    whole = run("pg_dumpall")
    assert "CREATE DATABASE shop" in whole and "\\connect shop" in whole
    run("dropdb", "--force", "--if-exists", "shop")
    run("dropdb", "--if-exists", "shop")
