"""The shell against a real PostgreSQL server, with psql as its twin."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pyte
import pytest

from helios_cli.engine.observe.machine import free_ports

pytestmark = pytest.mark.needs("initdb", "pg_ctl", "psql")

SHELL = "import sys; from helios_cli.cli import main_sql; sys.exit(main_sql())"
SETUP = """
CREATE TABLE t (id int PRIMARY KEY, name text, v numeric DEFAULT 3);
INSERT INTO t VALUES (1, 'a''b'), (2, NULL), (3, E'two\\nlines'), (4, ''), (5, 'x,"y"'), (6, '日本');
"""


def as_server_user(directory: Path) -> dict[str, int]:
    """PostgreSQL refuses to run as root: then it runs as its own user."""
    if os.getuid() != 0:
        return {}
    entry = pwd.getpwnam("postgres")
    os.chown(directory, entry.pw_uid, entry.pw_gid)
    return {"user": entry.pw_uid, "group": entry.pw_gid}


@pytest.fixture(scope="module")
def server(program: Callable[[str], str]) -> Iterator[dict[str, str]]:
    """Environment variables that lead to a running server with a small table."""
    directory = Path(tempfile.mkdtemp(prefix="helios-shell-"))
    owner = as_server_user(directory)
    port = free_ports(1)[0]
    environ = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}

    def call(name: str, *arguments: str) -> None:
        command = [program(name), "-D", str(directory / "data"), *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environ, cwd=directory, **owner)  # type: ignore[call-overload]

    try:
        call("initdb", "-A", "trust", "-U", "helios", "--no-sync", "-E", "UTF8")
        options = f"-p {port} -k {directory} -c listen_addresses=127.0.0.1 -c fsync=off"
        call("pg_ctl", "-w", "-l", str(directory / "log"), "-o", options, "start")
        try:
            found = {"PGHOST": "127.0.0.1", "PGPORT": str(port), "PGUSER": "helios", "PGDATABASE": "postgres"}
            yield found
        finally:
            call("pg_ctl", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(directory)


@pytest.fixture
def environ(server: dict[str, str], tmp_path: Path, program: Callable[[str], str]) -> dict[str, str]:
    """The environment of a client; the table is there, fresh."""
    environ = {**os.environ, **server, "HELIOSDB_HISTORY": str(tmp_path / "history"), "LC_ALL": "C.UTF-8"}
    reset = [program("psql"), "-X", "-q", "-c", "SET client_min_messages = error; DROP TABLE IF EXISTS t;", "-c", SETUP]
    subprocess.run(reset, env=environ, check=True)
    return environ


def ours(environ: dict[str, str], *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", SHELL, *arguments], env=environ, input=stdin, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["-c", "SELECT * FROM t ORDER BY id"],
        ["--csv", "-c", "SELECT * FROM t WHERE id <> 4 ORDER BY id"],  # psql's CSV cannot tell '' from NULL
        ["-c", "SELECT 1.5::float8 AS f, true AS b, NULL AS n, '{1,2}'::int[] AS a"],
        ["-c", "SELECT * FROM t WHERE false"],
        ["-c", "INSERT INTO t VALUES (10)", "-c", "SELECT count(*) FROM t"],
        ["-c", "COPY t TO STDOUT"],
        ["-c", "SELECT 1 AS a; SELECT 2 AS b"],
    ],
)
def test_output_is_psqls_but_for_spaces_at_line_ends(
    environ: dict[str, str], program: Callable[[str], str], arguments: list[str]
) -> None:
    twin = subprocess.run([program("psql"), "-X", *arguments], env=environ, capture_output=True, text=True, check=True)
    subprocess.run([program("psql"), "-X", "-q", "-c", "DELETE FROM t WHERE id = 10"], env=environ, check=True)
    done = ours(environ, *arguments)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [line.rstrip(" ") for line in twin.stdout.splitlines()]


def test_json_lines(environ: dict[str, str]) -> None:
    done = ours(environ, "--json", "-c", "SELECT id, name FROM t WHERE id < 3 ORDER BY id")
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        {"id": 1, "name": "a'b"},
        {"id": 2, "name": None},
    ]


def test_scripts_from_files_and_standard_input(environ: dict[str, str], tmp_path: Path) -> None:
    script = tmp_path / "s.sql"
    script.write_text("\\echo first\nSELECT 1 AS one;\nSELECT nope;\nSELECT 2 AS two;\n")
    done = ours(environ, "-f", str(script))
    assert done.returncode == 1
    assert done.stdout.splitlines()[:2] == ["first", " one"]
    assert "two" not in done.stdout
    assert done.stderr.splitlines()[:3] == [
        'ERROR: column "nope" does not exist',
        "LINE 1: SELECT nope",
        "               ^",
    ]
    done = ours(environ, "--csv", stdin="SELECT 7 AS seven")
    assert (done.returncode, done.stdout) == (0, "seven\n7\n")


def test_copy_from_standard_input(environ: dict[str, str]) -> None:
    done = ours(environ, "-c", "COPY t (id, name) FROM STDIN", stdin="20\tx\n21\ty\n")
    assert (done.returncode, done.stdout) == (0, "COPY 2\n")


def test_describe_shows_columns_indexes_and_constraints(environ: dict[str, str]) -> None:
    done = ours(environ, "-c", "\\d t", "-c", "\\dt", "-c", "\\di", "-c", "\\l", "-c", "\\dn", "-c", "\\du")
    assert done.returncode == 0, done.stderr
    for text in (
        "id     | integer | not null",
        "CREATE UNIQUE INDEX t_pkey",
        "PRIMARY KEY (id)",
        "public | t ",
        "helios",
    ):
        assert text in done.stdout


def test_exit_codes(environ: dict[str, str]) -> None:
    assert ours(environ, "-c", "SELECT 1", "--port", "1").returncode == 3
    assert ours(environ, "-c", "SELECT 1", "-d", "missing").returncode == 3
    assert ours(environ, "-c", "SET statement_timeout = 1; SELECT pg_sleep(9)").returncode == 4
    assert ours(environ, "--csv", "--json").returncode == 2
    done = ours(environ, "--json", "-c", "SELECT nope")
    assert (done.returncode, json.loads(done.stderr)["sqlstate"]) == (1, "42703")


class Terminal:
    """A person at a terminal: types, and waits until a text stands in the last line but the empty ones."""

    def __init__(self, environ: dict[str, str]) -> None:
        self.screen = pyte.Screen(120, 200)
        self.stream = pyte.Stream(self.screen)
        self.child: pexpect.spawn[str] = pexpect.spawn(
            sys.executable, ["-c", SHELL], env=environ, encoding="utf-8", dimensions=(200, 120)
        )

    def lines(self) -> list[str]:
        return [line.rstrip() for line in self.screen.display if line.strip()]

    def wait(self, ending: str, more_than: int = 0) -> None:
        """Read until there are more lines than that and the last one ends so."""
        deadline = time.monotonic() + 20
        while not (len(self.lines()) > more_than and self.lines()[-1].endswith(ending)):
            assert time.monotonic() < deadline, "\n".join(self.lines())
            try:
                self.stream.feed(self.child.read_nonblocking(65536, timeout=0.1))
            except pexpect.TIMEOUT:
                continue

    def type(self, text: str, ending: str) -> None:
        before = len(self.lines()) if text.endswith("\r") else 0
        self.child.send(text)
        self.wait(ending, before)


def test_a_session_at_a_terminal(environ: dict[str, str], tmp_path: Path) -> None:
    terminal = Terminal({**environ, "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1", "EDITOR": "sed -i s/41/43/"})
    terminal.wait("postgres=>")
    terminal.type("select id\r", "...")
    terminal.type("from t where id = 1;\r", "postgres=>")
    assert "(1 row)" in terminal.lines()
    terminal.type("begin;\r", "postgres=*>")
    terminal.type("selec;\r", "postgres=!>")
    terminal.type("rollback;\r", "postgres=>")
    terminal.type("select 41;\r", "postgres=>")
    terminal.type("\\e\r", "postgres=>")
    assert any("43" in line for line in terminal.lines())
    terminal.type("select na", "select na")
    terminal.type("\x15alter role helios password 'secret';\r", "postgres=>")
    assert "ALTER ROLE" in terminal.lines()
    terminal.child.send("select pg_sleep(60);\r")
    while "pg_sleep" not in activity(environ):
        pass
    before = len(terminal.lines())
    terminal.child.sendintr()
    terminal.wait("postgres=>", more_than=before)
    assert any("canceling statement due to user request" in line for line in terminal.lines())
    terminal.child.send("\\q\r")
    terminal.child.expect(pexpect.EOF)
    terminal.child.close()
    assert terminal.child.exitstatus == 0
    history = (tmp_path / "history").read_text()
    assert "+select id\n+from t where id = 1;" in history
    assert "secret" not in history


def activity(environ: dict[str, str]) -> str:
    """What other clients of the server are running."""
    query = "SELECT query FROM pg_stat_activity WHERE state = 'active' AND pid <> pg_backend_pid()"
    return ours(environ, "--csv", "-c", query).stdout
