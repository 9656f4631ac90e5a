"""``sql`` and the program ``heliosdb-cli``: a SQL shell over the PostgreSQL protocol."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import unquote, urlsplit

import typer

from helios_cli.commands import _options
from helios_cli.commands._errors import exit_code, report
from helios_cli.engine.errors import HeliosError

if TYPE_CHECKING:
    from helios_cli.commands.shell.runner import Shell
    from helios_cli.engine.net.pgclient import PgClient, Target

app = typer.Typer(add_completion=False)

Text = str | None


@app.command(context_settings={"help_option_names": ["--help"]})
def sql(
    database: Annotated[Text, typer.Argument(help="Database, or postgresql://user@host:port/database.")] = None,
    command: Annotated[
        list[str] | None, typer.Option("--command", "-c", metavar="SQL", help="Run this and end; may be repeated.")
    ] = None,
    file: Annotated[
        list[str] | None, typer.Option("--file", "-f", metavar="FILE", help="Run this file and end; - is stdin.")
    ] = None,
    host: Annotated[Text, typer.Option("--host", "-h", help="Name, address or socket directory (PGHOST).")] = None,
    port: Annotated[int | None, typer.Option("--port", "-p", min=1, max=65535, help="Port (PGPORT).")] = None,
    user: Annotated[Text, typer.Option("--username", "--user", "-U", help="Role (PGUSER).")] = None,
    dbname: Annotated[Text, typer.Option("--dbname", "-d", metavar="NAME", help="Database (PGDATABASE).")] = None,
    password: Annotated[Text, typer.Option("--password", help="Better: PGPASSWORD, or wait to be asked.")] = None,
    sslmode: Annotated[Text, typer.Option("--sslmode", help="disable, prefer or require (PGSSLMODE).")] = None,
    timeout: Annotated[float, typer.Option("--timeout", min=0.1, help="Seconds for connecting.")] = 10.0,
    as_csv: Annotated[bool, typer.Option("--csv", help="Comma-separated values with a header.")] = False,
    expanded: Annotated[bool, typer.Option("--expanded", "-x", help="One column a line.")] = False,
    timing: Annotated[bool, typer.Option("--timing", help="Print how long each statement took.")] = False,
    as_json: _options.Json = False,
) -> int:
    """A SQL shell: interactive on a terminal, else it runs -c, -f or standard input and stops at the first error.

    Examples:

        heliosdb-cli

        heliosdb-cli --host 127.0.0.1 --port 5432 -c "SELECT 1 AS one" --json

        heliosdb-cli -f schema.sql

        echo "SELECT now()" | heliosdb-cli --csv
    """
    if as_csv and as_json:
        raise typer.BadParameter("--csv and --json exclude each other")
    target = make_target(dict(os.environ), database, host, port, user, dbname, password, sslmode, timeout)
    form = "csv" if as_csv else "json" if as_json else "aligned"
    shell = _open(target, form, expanded, timing, batch=bool(command or file))
    try:
        if command or file:
            return _run_all(shell, command or [], file or [], as_json)
        if not shell.interactive:
            return _run_all(shell, [], ["-"], as_json)
        from helios_cli.commands.shell.prompt import interact

        return interact(shell)
    finally:
        shell.close()


def make_target(
    environ: dict[str, str],
    database: Text,
    host: Text,
    port: int | None,
    user: Text,
    dbname: Text,
    password: Text,
    sslmode: Text,
    timeout: float,
) -> Target:
    """Where to connect: options, then a URL, then the environment as libpq reads it, then the defaults."""
    from helios_cli.engine.net.pgclient import Target

    url: dict[str, Any] = {}
    if database and database.startswith(("postgresql://", "postgres://")):
        url, database = _parse_url(database), None
    return Target(
        host=host or url.get("host") or environ.get("PGHOST") or environ.get("HELIOSDB_HOST") or "127.0.0.1",
        port=port or url.get("port") or int(environ.get("PGPORT") or environ.get("HELIOSDB_PG_PORT") or 5432),
        user=user or url.get("user") or environ.get("PGUSER") or getpass.getuser(),
        password=password or url.get("password") or environ.get("PGPASSWORD"),
        database=dbname or database or url.get("database") or environ.get("PGDATABASE") or "heliosdb",
        sslmode=sslmode or environ.get("PGSSLMODE") or "prefer",
        timeout=timeout,
        application_name="heliosdb-cli",
    )


def _parse_url(text: str) -> dict[str, Any]:
    try:
        parts = urlsplit(text)
        return {
            "host": parts.hostname,
            "port": parts.port,
            "user": unquote(parts.username) if parts.username else None,
            "password": unquote(parts.password) if parts.password else None,
            "database": unquote(parts.path.lstrip("/")) or None,
        }
    except ValueError as error:
        raise typer.BadParameter(f"not a connection URL: {error}") from None


def _open(target: Target, form: str, expanded: bool, timing: bool, *, batch: bool) -> Shell:
    from helios_cli.commands.shell.runner import Look, Shell

    interactive = sys.stdin.isatty() and sys.stdout.isatty() and not batch
    look = Look(form, expanded, timing, rich=sys.stdout.isatty())
    edit: Callable[[str], str] | None = None
    if interactive:
        from helios_cli.commands.shell.prompt import edit_text

        edit = edit_text
    known = [target]

    def connect() -> PgClient:
        client, known[0] = _log_in(known[0])
        return client

    return Shell(connect, look, sys.stdout, interactive=interactive, edit=edit)


def connect_asking(target: Target) -> PgClient:
    """Connect; a password that is wanted and not given is asked for."""
    return _log_in(target)[0]


def _log_in(target: Target) -> tuple[PgClient, Target]:
    """Connect, and ask for the password once when the server wants one and somebody is there to ask."""
    from helios_cli.engine.net.pgclient import PgClient

    try:
        return PgClient(target, _notice), target
    except HeliosError as error:
        if error.sqlstate != "28P01" or target.password is not None or not sys.stdin.isatty():
            raise
    asked = replace(target, password=getpass.getpass(f"Password for {target.user}: "))
    return PgClient(asked, _notice), asked


def _notice(notice: HeliosError) -> None:
    print(f"{notice.severity}: {notice.message}", file=sys.stderr)


def _run_all(shell: Shell, commands: list[str], files: list[str], as_json: bool) -> int:
    from helios_cli.commands.shell.runner import Quit, error_lines

    try:
        for text in commands:
            shell.command(text) if text.startswith("\\") else shell.run(text)
        for name in files:
            shell.run_script(sys.stdin.read() if name == "-" else Path(name).read_text())
    except Quit:
        return 0
    except HeliosError as error:
        sys.stdout.flush()
        if as_json:
            return report(error, "heliosdb-cli", as_json=True)
        print("\n".join(error_lines(error, shell.last)), file=sys.stderr)
        return exit_code(error)
    return 0
