"""The shell on a connection that answers from a script."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from helios_cli.commands.shell.complete import SqlCompleter
from helios_cli.commands.shell.prompt import is_complete, run_input
from helios_cli.commands.shell.runner import Look, Quit, Shell, error_lines
from helios_cli.commands.sql import make_target
from helios_cli.engine.errors import HeliosError, SqlError
from helios_cli.engine.net.pgclient import ConnectionLost, PgClient, Result, Target
from helios_cli.engine.wire.client import ResultColumn

ONE = Result((ResultColumn("one", 23),), [("1",)], "SELECT 1")


class Scripted:
    """Answers every query with one row, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.failure: HeliosError | None = None
        self.target = Target()
        self.tls = False
        self.parameters = {"server_version": "15.0"}
        self.transaction_status = "I"

    def execute(self, sql: str) -> list[Result]:
        self.asked.append(sql)
        if self.failure is not None:
            raise self.failure
        return [ONE] if sql.lower().startswith(("select", "table")) else [Result(None, [], "INSERT 0 1")]

    def stream(self, sql: str) -> Iterator[Result]:
        yield from self.execute(sql)
        if "two" in sql:
            yield ONE

    def close(self) -> None:
        self.asked.append("closed")


class Bench:
    def __init__(self, **look: Any) -> None:
        self.out = io.StringIO()
        self.made: list[Scripted] = []
        self.shell = Shell(self.connect, Look(**look), self.out)

    def connect(self) -> PgClient:
        self.made.append(Scripted())
        return cast(PgClient, self.made[-1])

    @property
    def asked(self) -> list[str]:
        return self.made[-1].asked


def test_results_and_tags_are_printed() -> None:
    bench = Bench()
    bench.shell.run("select 1")
    bench.shell.run("insert into t values (1)")
    assert bench.out.getvalue() == " one\n-----\n   1\n(1 row)\n\nINSERT 0 1\n"


def test_json_and_csv_stream() -> None:
    bench = Bench(form="json")
    bench.shell.run("select two")
    bench.shell.run("insert into t values (1)")
    assert [json.loads(line) for line in bench.out.getvalue().splitlines()] == [
        {"one": 1}, {"one": 1}, {"tag": "INSERT 0 1"},
    ]  # fmt: skip
    bench = Bench(form="csv")
    bench.shell.run("select 1")
    bench.shell.run("insert into t values (1)")
    assert bench.out.getvalue() == "one\n1\n"


def test_a_script_mixes_statements_and_commands(tmp_path: Path) -> None:
    (tmp_path / "inner.sql").write_text("select 3")
    bench = Bench()
    bench.shell.run_script(f"select 1;\n\\echo hello\nselect\n\\n';';  select 2;\n\\i {tmp_path}/inner.sql\n")
    assert bench.asked == ["select 1", "select\n\\n';'", "select 2", "select 3"]
    assert "hello" in bench.out.getvalue()


def test_the_first_error_ends_a_script() -> None:
    bench = Bench()
    bench.made[0].failure = SqlError("no")
    with pytest.raises(SqlError):
        bench.shell.run_script("select 1; select 2;")
    assert bench.asked == ["select 1"]


def test_files_that_include_each_other_end(tmp_path: Path) -> None:
    path = tmp_path / "loop.sql"
    path.write_text(f"\\i {path}\n")
    with pytest.raises(HeliosError, match="include each other"):
        Bench().shell.command(f"\\i {path}")


def test_results_go_to_a_file_and_back(tmp_path: Path) -> None:
    bench = Bench()
    bench.shell.command(f"\\o {tmp_path}/out.txt")
    bench.shell.run("select 1")
    bench.shell.command("\\o")
    assert (tmp_path / "out.txt").read_text().startswith(" one\n")
    assert bench.out.getvalue() == ""


def test_commands_that_change_the_shell() -> None:
    bench = Bench()
    bench.shell.command("\\x on")
    bench.shell.command("\\timing")
    bench.shell.run("select 1")
    said = bench.out.getvalue()
    assert "Expanded display is on." in said and "-[ RECORD 1 ]" in said and "Time: " in said
    bench.shell.command("\\conninfo")
    assert 'Connected to "heliosdb" as "helios" at 127.0.0.1:5432, without TLS; server 15.0.' in bench.out.getvalue()
    with pytest.raises(Quit):
        bench.shell.command("\\q")
    with pytest.raises(HeliosError, match="invalid command"):
        bench.shell.command("\\nope")


def test_describing_and_listing_ask_the_catalog() -> None:
    bench = Bench()
    bench.shell.command("\\dt")
    bench.shell.command("\\d it's")
    assert "pg_catalog.pg_class" in bench.asked[0]
    assert all("'it''s'::regclass" in query for query in bench.asked[1:])
    assert len(bench.asked) == 4


def test_edit_runs_what_was_saved() -> None:
    bench = Bench()
    bench.shell._edit = lambda text: text.replace("1", "2")
    bench.shell.run("select 1")
    bench.shell.command("\\dt")
    bench.shell.command("\\e")
    assert bench.asked[-1] == "select 2"


def test_a_lost_connection_is_made_again(capsys: pytest.CaptureFixture[str]) -> None:
    bench = Bench()
    bench.made[0].failure = ConnectionLost("gone")
    run_input(bench.shell, "select 1;")
    assert len(bench.made) == 2
    assert capsys.readouterr().err == "ERROR: gone\nThe connection was lost; reconnecting succeeded.\n"
    run_input(bench.shell, "select 1; select 2")
    assert bench.asked == ["select 1", "select 2"]


def test_an_error_marks_its_place() -> None:
    error = SqlError("wrong", position=12, detail="d", hint="h")
    assert error_lines(error, "select\n    nme from t") == [
        "ERROR: wrong", "LINE 2:     nme from t", "            ^", "DETAIL: d", "HINT: h",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "complete"), [("select 1", False), ("select 1;", True), ("\\dt", True), ("select ';", False), ("", True)]
)
def test_enter_ends_only_what_is_complete(text: str, complete: bool) -> None:
    assert is_complete(text) is complete


@pytest.mark.parametrize(
    ("before", "prefix", "expected"),
    [
        ("select * from us", "us", ["users"]),
        ("select * from users where na", "na", ["name"]),
        ("sel", "sel", ["SELECT"]),
        ("select users.n", "users.n", ["name"]),
        ("select * from nothing", "nothing", []),
    ],
)
def test_completion(before: str, prefix: str, expected: list[str]) -> None:
    completer = SqlCompleter(lambda: {"users": ["id", "name"], "orders": ["id", "total"]})
    assert completer.candidates(before, prefix) == expected


def test_where_to_connect() -> None:
    nothing = dict.fromkeys(("host", "user", "dbname", "password", "sslmode"))
    base = {"database": None, "port": None, "timeout": 1.0, **nothing}

    def target(environ: dict[str, str], **more: Any) -> Target:
        return make_target(environ, **{**base, **more})

    plain = target({})
    assert (plain.host, plain.port, plain.database, plain.sslmode) == ("127.0.0.1", 5432, "heliosdb", "prefer")
    environ = {
        "PGHOST": "h",
        "PGPORT": "1",
        "PGUSER": "u",
        "PGPASSWORD": "p",
        "PGDATABASE": "d",
        "PGSSLMODE": "require",
    }
    found = target(environ)
    assert (found.host, found.port, found.user, found.password, found.database, found.sslmode) == (
        "h", 1, "u", "p", "d", "require",
    )  # fmt: skip
    url = target(environ, database="postgresql://me:s%40x@db:7/app", port=8)
    assert (url.host, url.port, url.user, url.password, url.database) == ("db", 8, "me", "s@x", "app")
