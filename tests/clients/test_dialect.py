"""Statements of the dialect answer as PostgreSQL 15 does: rows, types, tags, every field of errors, notices."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.dialect_cases import differences
from support.node_process import NodeProcess

CORPUS = Path(__file__).parent / "dialect_corpus"


@pytest.mark.parametrize("name", sorted(path.stem for path in CORPUS.glob("*.json")))
def test_answers_are_those_of_postgresql(server: NodeProcess, name: str) -> None:
    dsn = f"host=127.0.0.1 port={server.pg_port} user=helios dbname=heliosdb"
    assert differences(dsn, CORPUS / f"{name}.json") == []


def test_styles_reach_parameters_copy_and_prepared_statements(server: NodeProcess) -> None:
    with server.connect(autocommit=True) as connection:
        raw = connection.pgconn
        connection.execute("CREATE TEMP TABLE styled (d date, i interval, b bytea)")
        raw.prepare(b"show", b"SELECT $1::date, $1::date::text", None)

        def show() -> list[bytes | None]:
            result = raw.exec_prepared(b"show", [b"02/01/2020"])
            return [result.get_value(0, column) for column in range(2)]

        assert show() == [b"2020-02-01", b"2020-02-01"]
        connection.execute("SET datestyle = 'German, DMY'")
        assert raw.parameter_status(b"DateStyle") == b"German, DMY"
        assert show() == [b"02.01.2020", b"02.01.2020"]
        connection.execute("SET intervalstyle = 'iso_8601'; SET bytea_output = 'escape'")
        with connection.cursor().copy("COPY styled FROM STDIN") as copy:
            copy.write(b"3.4.2020\tP1D\t\\\\x00ff\n")
        with connection.cursor().copy("COPY styled TO STDOUT") as copy:
            assert b"".join(copy) == b"03.04.2020\tP1D\t\\\\000\\\\377\n"
        connection.execute("RESET ALL")
        assert show() == [b"2020-02-01", b"2020-02-01"]


def test_a_backslash_does_not_end_up_in_another_sessions_plan(server: NodeProcess) -> None:
    with server.connect(autocommit=True) as one, server.connect(autocommit=True) as other:
        one.execute("SET standard_conforming_strings = off; SET escape_string_warning = off")
        for _ in range(2):
            assert one.execute(rb"SELECT 'a\nb'").fetchone() == ("a\nb",)
            assert other.execute(rb"SELECT 'a\nb'").fetchone() == (r"a\nb",)


def test_a_session_begins_with_the_settings_of_its_role(node: NodeProcess) -> None:
    with node.connect(autocommit=True) as connection:
        connection.execute("CREATE ROLE clerk LOGIN; ALTER ROLE ALL SET work_mem = '7MB'")
        connection.execute("ALTER ROLE clerk SET work_mem = '8MB'")
        connection.execute("ALTER DATABASE heliosdb SET datestyle = 'German'")
        connection.execute("ALTER ROLE clerk SET timezone = 'Asia/Tokyo'")
        connection.execute("ALTER ROLE clerk IN DATABASE heliosdb SET search_path = pg_catalog")

    def shown(options: str = "") -> list[tuple[str, ...]]:
        with node.connect(user="clerk", options=options, autocommit=True) as connection:
            names = ("work_mem", "datestyle", "timezone", "search_path")
            query = b"SELECT " + ", ".join(f"current_setting('{name}')" for name in names).encode()
            begun = connection.execute(query).fetchall()
            connection.execute("SET work_mem = '9MB'; SET timezone = 'UTC'; RESET ALL")
            return [*begun, *connection.execute(query).fetchall()]

    assert shown() == [("8MB", "German, DMY", "Asia/Tokyo", "pg_catalog")] * 2
    assert shown("-c work_mem=6MB") == [("6MB", "German, DMY", "Asia/Tokyo", "pg_catalog")] * 2
    node.restart()
    assert shown() == [("8MB", "German, DMY", "Asia/Tokyo", "pg_catalog")] * 2


def test_statements_of_others_are_shown_to_few(node: NodeProcess) -> None:
    query = "SELECT query, state, client_port FROM pg_stat_activity WHERE usename = 'worker'"
    with node.connect(autocommit=True) as connection:
        connection.execute("CREATE ROLE worker LOGIN; CREATE ROLE spy LOGIN; CREATE ROLE monitor LOGIN")
        connection.execute("CREATE ROLE boss LOGIN; GRANT worker TO boss; GRANT pg_read_all_stats TO monitor")
        connection.execute("CREATE VIEW everything AS SELECT query FROM pg_stat_activity")
        connection.execute("GRANT SELECT ON everything TO spy")
    with node.connect(user="worker", autocommit=True) as worker:
        worker.execute("SELECT 'secret'")

        def seen_by(user: str, what: str = query) -> list[tuple[object, ...]]:
            with node.connect(user=user, autocommit=True) as connection:
                return connection.execute(what.encode()).fetchall()

        assert seen_by("spy") == [("<insufficient privilege>", None, None)]
        assert all(row[0] == "SELECT 'secret'" for user in ("boss", "monitor", "worker") for row in seen_by(user)[:1])
        assert "SELECT 'secret'" not in {row[0] for row in seen_by("spy", "SELECT query FROM everything")}
        assert seen_by("spy", "SELECT usename FROM pg_stat_activity WHERE usename = 'worker'") == [("worker",)]
