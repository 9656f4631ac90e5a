"""Users' functions, procedures, DO blocks and triggers answer as PostgreSQL 15 does."""

from __future__ import annotations

import threading
from pathlib import Path

import psycopg
import pytest
from support.node_process import NodeProcess
from support.routine_cases import differences

CORPUS = Path(__file__).parent / "routine_corpus"


def test_answers_are_those_of_postgresql(node: NodeProcess) -> None:
    dsn = f"host=127.0.0.1 port={node.pg_port} user=helios dbname=heliosdb"
    assert {corpus.stem: differences(dsn, corpus) for corpus in sorted(CORPUS.glob("*.json"))} == {
        corpus.stem: [] for corpus in CORPUS.glob("*.json")
    }


def test_functions_are_transactional_and_survive_a_restart(node: NodeProcess) -> None:
    with node.connect(autocommit=True) as connection:
        with pytest.raises(ZeroDivisionError), connection.transaction():
            connection.execute("CREATE FUNCTION gone() RETURNS int LANGUAGE sql AS 'SELECT 1'")
            assert connection.execute("SELECT gone()").fetchone() == (1,)
            raise ZeroDivisionError
        with pytest.raises(psycopg.errors.UndefinedFunction):
            connection.execute("SELECT gone()")
        connection.execute("CREATE FUNCTION kept(a int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN a + 1; END'")
    node.restart()
    with node.connect(autocommit=True) as connection:
        assert connection.execute("SELECT kept(%s)", (4,)).fetchone() == (5,)


def test_a_cancelled_loop_ends(node: NodeProcess) -> None:
    with node.connect(autocommit=True) as connection:
        connection.execute("SET statement_timeout = '200ms'")
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute("DO $$ BEGIN LOOP BEGIN NULL; EXCEPTION WHEN OTHERS THEN NULL; END; END LOOP; END $$")
        connection.execute("SET statement_timeout = 0")
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_endless_recursion_is_an_error(node: NodeProcess) -> None:
    with node.connect(autocommit=True) as connection:
        connection.execute("CREATE FUNCTION deep(n int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN deep(n); END'")
        with pytest.raises(psycopg.errors.StatementTooComplex):
            connection.execute("SELECT deep(1)")
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_the_first_temporary_table_is_not_made_where_others_would_see_it(node: NodeProcess) -> None:
    hidden = "DO $$ BEGIN EXECUTE 'CREATE TE' || 'MP TABLE other (a int)'; END $$"
    make = "DO $$ BEGIN CREATE TEMP TABLE scratch (a int); END $$"
    with node.connect(autocommit=True) as connection:
        with pytest.raises(psycopg.errors.FeatureNotSupported):
            connection.execute(hidden)
        connection.execute(make)
        connection.execute(hidden)
        assert connection.execute("SELECT count(*) FROM scratch").fetchone() == (0,)
        with node.connect(autocommit=True) as other, pytest.raises(psycopg.errors.UndefinedTable):
            other.execute("SELECT * FROM scratch")


def test_a_notice_leaves_while_its_function_runs(node: NodeProcess) -> None:
    heard = threading.Event()
    block = b"DO $$ BEGIN RAISE NOTICE 'begun'; PERFORM pg_advisory_lock(7); END $$"
    with node.connect(autocommit=True) as holder, node.connect(autocommit=True) as caller:
        holder.execute("SELECT pg_advisory_lock(7)")
        caller.add_notice_handler(lambda _: heard.set())
        thread = threading.Thread(target=caller.execute, args=(block,))
        thread.start()
        try:
            assert heard.wait(20)
        finally:
            holder.execute("SELECT pg_advisory_unlock(7)")
            thread.join()


def test_what_a_function_wrote_is_undone_with_its_transaction(node: NodeProcess) -> None:
    with node.connect(autocommit=False) as connection:
        connection.execute("CREATE TABLE k (a int)")
        connection.execute(
            "CREATE FUNCTION addk(x int) RETURNS int LANGUAGE plpgsql AS "
            "$$ BEGIN INSERT INTO k VALUES (x); RETURN x; END $$"
        )
        connection.commit()
        connection.execute("SELECT addk(%s)", (1,))
        connection.execute("SAVEPOINT s")
        connection.execute("SELECT addk(2)")
        connection.execute("ROLLBACK TO s")
        assert connection.execute("SELECT a FROM k").fetchall() == [(1,)]
        connection.rollback()
        assert connection.execute("SELECT a FROM k").fetchall() == []


def test_rows_given_back_by_parameters(server: NodeProcess) -> None:
    """INTO and assignments to fields of an OUT parameter of a row type (Sequelize's findOrCreate makes such a one)."""
    with server.connect(autocommit=True) as connection:
        connection.execute("CREATE TABLE given (id serial, name text UNIQUE, at date)")
        connection.execute("""
            CREATE FUNCTION pg_temp.made(OUT response given, OUT caught text) RETURNS record LANGUAGE plpgsql AS $$
            BEGIN INSERT INTO given (name) VALUES ('a') RETURNING * INTO response;
            EXCEPTION WHEN unique_violation THEN GET STACKED DIAGNOSTICS caught = RETURNED_SQLSTATE; END $$""")
        called = (
            "SELECT (made.response).id, (made.response).name, made.response IS NULL, made.caught FROM pg_temp.made()"
        )
        assert connection.execute(called).fetchall() == [(1, "a", False, None)]
        assert connection.execute(called).fetchall() == [(None, None, True, "23505")]
        connection.execute("""
            CREATE FUNCTION changed(OUT r given, OUT n int) LANGUAGE plpgsql AS $$
            BEGIN SELECT * INTO r FROM given; n := r.id; r.name := 'b'; END $$""")
        assert connection.execute("SELECT r::text, n FROM changed()").fetchall() == [("(1,b,)", 1)]
        connection.execute("DROP TABLE given CASCADE")
