"""Who may do what: the answers of a node beside those that PostgreSQL 15 gave to the same statements.

``privileges/*.txt`` hold a statement a line, and below it, indented, what PostgreSQL answered: the rows (sorted
where the statement does not), the command's tag, or SQLSTATE and message of its error.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from support.inner_node import InnerNode
from support.node_process import MakeNode, wait_until

RECORDED = Path(__file__).parent / "privileges"
Connection = psycopg.Connection[tuple[object, ...]]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InnerNode]:
    with InnerNode(tmp_path_factory.mktemp("privileges")) as found:
        yield found


def answer(connection: Connection, sql: str) -> str:
    cursor = connection.cursor()
    try:
        if sql.startswith("copy"):
            with cursor.copy(sql.encode()) as copied:
                return f"copied {sum(1 for _ in copied)}"
        cursor.execute(sql.encode())
    except psycopg.Error as error:
        return f"{error.diag.sqlstate} {error.diag.message_primary}"
    if cursor.description is None:
        return str(cursor.statusmessage)
    rows = [tuple(row) for row in cursor.fetchall()]
    if sql.startswith("explain"):
        return "rows"
    return repr(rows if "order by" in sql else sorted(rows, key=str))


@pytest.mark.parametrize(
    "name",
    [
        "recorded",
        "functions",
        "types",
        "views",
        "owners",
        "policies",
        "row_locks",
        "definitions",
        "types_used",
        "comments",
    ],
)
def test_as_postgresql_answers(name: str, tmp_path: Path) -> None:
    lines = (RECORDED / f"{name}.txt").read_text().splitlines()
    wrong = []
    with InnerNode(tmp_path) as node, node.connect(user="helios") as connection:
        for sql, expected in zip(lines[::2], lines[1::2], strict=True):
            found = answer(connection, sql)
            if found != expected.strip():
                wrong.append(f"{sql}\n    expected {expected.strip()}\n    found    {found}")
    assert not wrong, "\n".join(wrong)
    assert len(lines) > 70


def test_a_name_that_is_no_role_does_everything_where_nobody_proves_anything(node: InnerNode) -> None:
    with node.connect(user="whoever") as connection:
        assert answer(connection, "select current_user, session_user") == "[('whoever', 'whoever')]"
        assert answer(connection, "create table of_whoever(a int)") == "CREATE TABLE"
        owner = "select tableowner from pg_tables where tablename = 'of_whoever'"
        assert answer(connection, owner) == "[('helios',)]"
        assert connection.info.parameter_status("is_superuser") == "on"


def test_a_role_is_itself_and_may_not_log_in_without_login(node: InnerNode) -> None:
    with node.connect(user="whoever") as connection:
        connection.execute("create role plain login; create role noway; create table closed(a int)")
    with node.connect(user="plain") as connection:
        assert connection.info.parameter_status("is_superuser") == "off"
        assert answer(connection, "select * from closed") == "42501 permission denied for table closed"
    with pytest.raises(psycopg.OperationalError, match='role "noway" is not permitted to log in'):
        node.connect(user="noway")


def test_rights_that_change_are_seen_by_sessions_that_have_prepared(node: InnerNode) -> None:
    with node.connect(user="helios") as owner, node.connect(user="helios") as other:
        owner.execute("create role late login; create table seen(a int primary key); insert into seen values (1)")
        owner.execute("grant select on seen to late")
        other.execute("set role late")
        for binary in (True, False) * 3:
            rows = other.execute("select a from seen where a = %s", (1,), prepare=True, binary=binary).fetchall()
            assert rows == [(1,)]
        owner.execute("revoke select on seen from late")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            other.execute("select a from seen where a = %s", (1,), prepare=True, binary=True)
        owner.execute("grant select on seen to late")
        assert other.execute("select a from seen where a = %s", (1,), prepare=True, binary=True).fetchall() == [(1,)]
        other.execute("reset role")
        owner.execute("alter role late superuser")
        other.execute("set role late; insert into seen values (2)")
        owner.execute("alter role late nosuperuser")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            other.execute("insert into seen values (3)")


def test_a_transaction_sees_its_own_grants(node: InnerNode) -> None:
    with node.connect(user="helios", autocommit=False) as connection:
        connection.execute("create role inside; create table walled(a int)")
        connection.execute("savepoint s; set role inside")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("select * from walled")
        connection.execute("rollback to s; grant select on walled to inside; set role inside")
        assert connection.execute("select * from walled").fetchall() == []
        connection.rollback()
        assert connection.execute("select current_user").fetchall() == [("helios",)]


def test_too_many_connections_of_a_role(node: InnerNode) -> None:
    with node.connect(user="helios") as owner:
        owner.execute("create role lone login connection limit 1")
        with node.connect(user="lone"), pytest.raises(psycopg.OperationalError, match="too many connections for role"):
            node.connect(user="lone")


def test_functions_and_views_of_the_node_are_not_everybodys(node: InnerNode) -> None:
    with node.connect(user="helios") as owner, node.connect(user="helios") as other:
        owner.execute("create role few login; create role few_too login; create role sees login")
        owner.execute("grant pg_monitor to sees; grant pg_signal_backend to sees")
        victim = other.info.backend_pid
        other.execute("set session authorization few_too")
        owner.execute("set session authorization few")
        denied = "42501 permission denied for"
        assert answer(owner, "select pg_reload_conf()") == f"{denied} function pg_reload_conf"
        assert answer(owner, "select * from helios_events") == f"{denied} table helios_events"
        member = "42501 must be a member of the role whose query is being canceled or member of pg_signal_backend"
        assert answer(owner, f"select pg_cancel_backend({victim})") == member
        assert answer(other, f"select pg_terminate_backend({victim})") != member
    with node.connect(user="sees") as sees, node.connect(user="helios") as admin:
        assert answer(sees, "select count(*) > 0 from helios_events") == "[(True,)]"
        message = "42501 must be a superuser to terminate superuser process"
        assert answer(sees, f"select pg_terminate_backend({admin.info.backend_pid})") == message


def test_rights_hold_through_a_standby(make_node: MakeNode) -> None:
    mode = ("--replication-mode", "sync")
    primary = make_node(*mode, "--node-id", "p", "--replication-role", "primary")
    address = ("--primary-host", "127.0.0.1", "--primary-port", str(primary.native_port))
    standby = make_node(*mode, "--node-id", "s", "--replication-role", "standby", *address)
    with standby.connect(user="helios") as admin:
        admin.execute("create role app login; create table kept(a int); create table given(a int)")
        admin.execute("alter table given owner to app; grant select on kept to app")
        with standby.connect(user="app") as app:
            assert answer(app, "insert into given values (1)") == "INSERT 0 1"
            assert answer(app, "insert into kept values (1)") == "42501 permission denied for table kept"
            assert answer(app, "select * from given") == "[(1,)]"
            assert answer(app, "select * from kept") == "[]"
            admin.execute("revoke select on kept from app")
            wait_until(lambda: answer(app, "select * from kept").startswith("42501"), "the standby knows of the REVOKE")
        admin.execute("set role app")
        assert answer(admin, "insert into kept values (1)") == "42501 permission denied for table kept"
        assert answer(admin, "insert into given values (2)") == "INSERT 0 1"
        admin.execute("reset role")
        assert answer(admin, "insert into kept values (1)") == "INSERT 0 1"


def test_connections_need_the_right_to_connect(node: InnerNode) -> None:
    with node.connect() as owner:
        owner.execute("CREATE ROLE visitor LOGIN; CREATE ROLE chief LOGIN SUPERUSER")
        owner.execute("REVOKE CONNECT ON DATABASE heliosdb FROM public")
        try:
            with pytest.raises(psycopg.OperationalError) as refused, node.connect(user="visitor"):
                pass
            text = str(refused.value)
            assert 'FATAL:  permission denied for database "heliosdb"' in text
            assert "User does not have CONNECT privilege." in text
            with node.connect(user="chief") as connection:
                assert connection.execute("SELECT 1").fetchone() == (1,)
            owner.execute("GRANT CONNECT ON DATABASE heliosdb TO visitor")
            with node.connect(user="visitor") as connection:
                assert connection.execute("SELECT current_user").fetchone() == ("visitor",)
        finally:
            owner.execute("GRANT CONNECT ON DATABASE heliosdb TO public")
