"""``user``: roles of a node, made, shown and changed over its PostgreSQL address."""

from __future__ import annotations

import functools
import inspect
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from helios_cli.commands import _options
from helios_cli.commands._errors import Refused
from helios_cli.commands._output import print_json, print_table
from helios_cli.commands.user_plan import PRESETS, create_steps, drop_steps, grant_steps, literal, options_of, quoted
from helios_cli.engine.errors import HeliosError

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Make, list, change and drop roles.")

Text = str | None
PASSWORD_VARIABLE: Final = "HELIOSDB_NEW_PASSWORD"

Preset = Annotated[Text, typer.Option("--preset", metavar="|".join(PRESETS), help="What the role may do.")]
PasswordFile = Annotated[Text, typer.Option("--password-file", metavar="FILE", help="File with the password.")]
PasswordStdin = Annotated[bool, typer.Option("--password-stdin", help="The password is the first line of stdin.")]
Password = Annotated[Text, typer.Option("--password", help="Others can see it in ps: better one of the others.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the statements, and run none.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do it although somebody may be locked out.")]
Limit = Annotated[int | None, typer.Option("--connection-limit", min=-1, help="Most sessions of the role; -1: any.")]
Until = Annotated[Text, typer.Option("--valid-until", metavar="TIME", help="When its password ends.")]
Name = Annotated[str, typer.Argument(help="Name of the role.")]

_CONNECTION: Final = {
    "host": Annotated[Text, typer.Option("--host", help="Name or address of the node (PGHOST).")],
    "port": Annotated[int | None, typer.Option("--port", "-p", min=1, max=65535, help="Port (PGPORT).")],
    "connect_as": Annotated[Text, typer.Option("--username", "-U", help="Role to connect as (PGUSER).")],
    "sslmode": Annotated[Text, typer.Option("--sslmode", help="disable, prefer or require (PGSSLMODE).")],
}


def _connected(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that say where the node is, and a connection as its first argument."""
    own = inspect.signature(function, eval_str=True)

    @functools.wraps(function)
    def command(**values: Any) -> Any:
        where = {name: values.pop(name) for name in _CONNECTION}
        with _open(where) as client:
            return function(client, **values)

    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        for name, annotation in _CONNECTION.items()
    ]
    kept = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for name, parameter in own.parameters.items()
        if name != "client"
    ]
    command.__signature__ = inspect.Signature([*kept, *added])  # type: ignore[attr-defined]
    return command


def _open(where: dict[str, Any]) -> Any:
    from helios_cli.commands.sql import connect_asking, make_target

    role = where["connect_as"] or os.environ.get("PGUSER") or "helios"
    target = make_target(dict(os.environ), None, where["host"], where["port"], role, None, None, where["sslmode"], 10.0)
    return connect_asking(target)


def _secret(password: Text, file: Text, stdin: bool, *, ask: bool) -> str | None:
    """The password from where it was given; None: none was."""
    if password is not None:
        typer.echo("warning: other users of this machine can see a password on the command line", err=True)
        return password
    if file is not None:
        return Path(file).read_text().splitlines()[0]
    if stdin:
        return sys.stdin.readline().rstrip("\n")
    if os.environ.get(PASSWORD_VARIABLE):
        return os.environ[PASSWORD_VARIABLE]
    if ask and sys.stdin.isatty():
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
    return None


def _verifier(password: str) -> str:
    """What is sent of a password: enough to check it, not enough to know it."""
    from helios_cli.engine.wire import scram

    if not password:
        raise HeliosError("the password is empty", sqlstate="22023")
    return str(scram.build_verifier(password, os.urandom(scram.SALT_BYTES)))


def _rows(client: Any, sql: str) -> list[tuple[str | None, ...]]:
    return [tuple(row) for row in client.execute(sql)[0].rows]


def _run(client: Any, steps: list[str], dry_run: bool, as_json: bool, done: str) -> int:
    """Run statements as one transaction, or show them."""
    shown = [_shown(step) for step in steps]
    if dry_run:
        if as_json:
            print_json({"statements": shown})
        else:
            typer.echo(";\n".join(shown) + ";" if shown else "-- nothing to do")
        return 0
    if steps:
        client.execute("BEGIN")
        for step in steps:
            client.execute(step)
        client.execute("COMMIT")
    if as_json:
        print_json({"done": done, "statements": shown})
    else:
        typer.echo(done)
    return 0


def _shown(step: str) -> str:
    head, mark, _ = step.partition(" PASSWORD '")
    return f"{head} PASSWORD '********'" if mark else step


def _check_lock_out(client: Any, name: str, *, superuser: bool, yes: bool) -> None:
    """The first password turns SCRAM on for everybody: somebody who may do everything has to have one."""
    if yes or superuser:
        return
    admins = _rows(client, "SELECT count(*) FROM pg_authid WHERE rolpassword IS NOT NULL AND rolsuper AND rolcanlogin")
    if admins == [("0",)]:
        raise Refused(
            f'no administrator has a password: with that of "{name}" only roles with passwords can log in',
            hint="Give one to an administrator first: heliosdb-nano user password helios. Or use --yes.",
        )


@app.command()
@_connected
def create(
    client: Any,
    name: Name,
    preset: Preset = None,
    password: Password = None,
    password_file: PasswordFile = None,
    password_stdin: PasswordStdin = False,
    no_password: Annotated[bool, typer.Option("--no-password", help="Without a password.")] = False,
    connection_limit: Limit = None,
    valid_until: Until = None,
    replication: Annotated[bool, typer.Option("--replication", help="May speak for a node.")] = False,
    create_roles: Annotated[bool, typer.Option("--createrole", help="May make roles.")] = False,
    member_of: Annotated[list[str] | None, typer.Option("--member-of", metavar="ROLE", help="Roles it joins.")] = None,
    no_login: Annotated[bool, typer.Option("--no-login", help="A group, which nobody logs in as.")] = False,
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: _options.Json = False,
) -> int:
    """Make a role. Its password comes from a prompt, --password-stdin, --password-file or HELIOSDB_NEW_PASSWORD.

    Examples:

        heliosdb-nano user create helios_admin --preset admin

        heliosdb-nano user create reports --preset read-only --password-file ./secret

        heliosdb-nano user create app --preset read-write --password-stdin --dry-run
    """
    if preset is not None and preset not in PRESETS:
        raise typer.BadParameter(f"--preset takes {', '.join(PRESETS)}, not {preset!r}")
    secret = None
    if not (no_password or no_login):
        secret = _secret(password, password_file, password_stdin, ask=not dry_run)
        if secret is None and not dry_run:
            raise typer.BadParameter("no password: use --password-stdin, --password-file or --no-password")
    if secret is not None:
        _check_lock_out(client, name, superuser=preset == "admin", yes=yes)
    options = options_of(
        login=not no_login, superuser=preset == "admin" or None, replication=replication or None,
        create_roles=create_roles or None, connection_limit=connection_limit, valid_until=valid_until,
        verifier=_verifier(secret) if secret is not None else None,
    )  # fmt: skip
    steps = create_steps(name, options, preset, member_of or [], _schemas(client))
    return _run(client, steps, dry_run, as_json, f'role "{name}" created')


def _schemas(client: Any) -> list[str]:
    rows = _rows(client, "SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'")
    return [str(row[0]) for row in rows]


@app.command("list")
@_connected
def list_roles(client: Any, as_json: _options.Json = False) -> int:
    """List the roles.

    Examples:

        heliosdb-nano user list

        heliosdb-nano user list --json
    """
    records = _records(client, "r.rolname !~ '^pg_'")
    if as_json:
        print_json(records)
    else:
        columns = ("name", "may", "password", "member of", "limit", "valid until")
        print_table(columns, [tuple(_cells(record)) for record in records])
    return 0


_QUERY: Final = """SELECT r.rolname, r.rolsuper, r.rolcanlogin, r.rolreplication, r.rolcreaterole, r.rolcreatedb,
r.rolinherit, r.rolbypassrls, r.rolconnlimit, r.rolvaliduntil::text,
(SELECT string_agg(g.rolname, ',' ORDER BY g.rolname) FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid
WHERE m.member = r.oid) FROM pg_roles r WHERE {where} ORDER BY r.rolname"""
_FLAGS: Final = ("superuser", "login", "replication", "createrole", "createdb", "inherit", "bypassrls")


def _records(client: Any, where: str) -> list[dict[str, Any]]:
    passwords: dict[str | None, bool] = {}
    try:
        for role, is_set in _rows(client, "SELECT rolname, rolpassword IS NOT NULL FROM pg_authid"):
            passwords[role] = is_set == "t"
    except HeliosError as error:
        if error.sqlstate != "42501":
            raise
    records = []
    for row in _rows(client, _QUERY.format(where=where)):
        record: dict[str, Any] = {"name": row[0]}
        record |= {flag: value == "t" for flag, value in zip(_FLAGS, row[1:8], strict=True)}
        record |= {"connection_limit": int(row[8] or -1), "valid_until": row[9]}
        record |= {"member_of": (row[10] or "").split(",") if row[10] else [], "password": passwords.get(row[0])}
        records.append(record)
    return records


def _cells(record: dict[str, Any]) -> list[object]:
    may = [flag for flag in _FLAGS if record[flag] and flag != "inherit"]
    known = {True: "yes", False: "no", None: "?"}[record["password"]]
    limit = "" if record["connection_limit"] < 0 else record["connection_limit"]
    return [record["name"], ", ".join(may), known, ", ".join(record["member_of"]), limit, record["valid_until"]]


@app.command()
@_connected
def show(client: Any, name: Name, as_json: _options.Json = False) -> int:
    """Show one role, and what it was granted.

    Examples:

        heliosdb-nano user show app

        heliosdb-nano user show app --json
    """
    found = _records(client, f"r.rolname = {literal(name)}")
    if not found:
        raise HeliosError(f'role "{name}" does not exist', sqlstate="42704", hint="See: heliosdb-nano user list")
    mark = literal(f"%{name}=%")
    rows = _rows(
        client,
        "SELECT n.nspname || '.' || c.relname, c.relacl::text FROM pg_class c JOIN pg_namespace n ON "
        f"n.oid = c.relnamespace WHERE c.relacl::text LIKE {mark} AND n.nspname !~ '^pg_' "
        "AND n.nspname <> 'information_schema' ORDER BY 1",
    )
    record = {**found[0], "grants": {str(relation): acl for relation, acl in rows}}
    if as_json:
        print_json(record)
        return 0
    for key, value in record.items():
        text = ", ".join(map(str, value)) if isinstance(value, (list, dict)) else value
        typer.echo(f"{key:<18}{text if text is not None else ''}")
    return 0


@app.command()
@_connected
def password(
    client: Any,
    name: Name,
    password: Password = None,
    password_file: PasswordFile = None,
    password_stdin: PasswordStdin = False,
    clear: Annotated[bool, typer.Option("--clear", help="Take its password away.")] = False,
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: _options.Json = False,
) -> int:
    """Set a role's password; the node is sent a verifier of it, never the password itself.

    Examples:

        heliosdb-nano user password helios

        heliosdb-nano user password app --password-file ./secret
    """
    found = _records(client, f"r.rolname = {literal(name)}")
    if not found:
        raise HeliosError(f'role "{name}" does not exist', sqlstate="42704", hint="See: heliosdb-nano user list")
    if clear:
        return _run(client, [f"ALTER ROLE {quoted(name)} PASSWORD NULL"], dry_run, as_json, "password cleared")
    secret = _secret(password, password_file, password_stdin, ask=True)
    if secret is None:
        raise typer.BadParameter("no password: use --password-stdin or --password-file")
    _check_lock_out(client, name, superuser=found[0]["superuser"], yes=yes)
    step = f"ALTER ROLE {quoted(name)} PASSWORD {literal(_verifier(secret))}"
    return _run(client, [step], dry_run, as_json, f'password of "{name}" set')


@app.command()
@_connected
def alter(
    client: Any,
    name: Name,
    login: Annotated[bool | None, typer.Option("--login/--no-login", help="May log in.")] = None,
    superuser: Annotated[bool | None, typer.Option("--superuser/--no-superuser", help="May do everything.")] = None,
    replication: Annotated[
        bool | None, typer.Option("--replication/--no-replication", help="Speaks for a node.")
    ] = None,
    create_roles: Annotated[bool | None, typer.Option("--createrole/--no-createrole", help="May make roles.")] = None,
    connection_limit: Limit = None,
    valid_until: Until = None,
    dry_run: DryRun = False,
    as_json: _options.Json = False,
) -> int:
    """Change what a role is.

    Examples:

        heliosdb-nano user alter app --connection-limit 20

        heliosdb-nano user alter former --no-login
    """
    options = options_of(
        login=login, superuser=superuser, replication=replication, create_roles=create_roles,
        connection_limit=connection_limit, valid_until=valid_until,
    )  # fmt: skip
    if not options:
        raise typer.BadParameter("nothing to change")
    step = f"ALTER ROLE {quoted(name)} {' '.join(options)}"
    return _run(client, [step], dry_run, as_json, f'role "{name}" changed')


On = Annotated[Text, typer.Option("--on", metavar="TABLE", help="Table, view or sequence; schema.* for all in one.")]
What = Annotated[str, typer.Argument(help="A preset, rights like SELECT,INSERT with --on, or a role to join.")]


@app.command()
@_connected
def grant(
    client: Any, name: Name, what: What, on: On = None, dry_run: DryRun = False, as_json: _options.Json = False
) -> int:
    """Give a role a preset's rights, rights on tables, or membership in another role.

    Examples:

        heliosdb-nano user grant reports read-only

        heliosdb-nano user grant app SELECT,INSERT --on public.orders

        heliosdb-nano user grant app SELECT --on "sales.*"
    """
    steps = grant_steps(name, what, on, _schemas(client), giving=True)
    return _run(client, steps, dry_run, as_json, f'granted to "{name}"')


@app.command()
@_connected
def revoke(
    client: Any, name: Name, what: What, on: On = None, dry_run: DryRun = False, as_json: _options.Json = False
) -> int:
    """Take back what `user grant` gave.

    Examples:

        heliosdb-nano user revoke reports read-only

        heliosdb-nano user revoke app INSERT --on public.orders
    """
    steps = grant_steps(name, what, on, _schemas(client), giving=False)
    return _run(client, steps, dry_run, as_json, f'revoked from "{name}"')


@app.command()
@_connected
def drop(
    client: Any,
    name: Name,
    if_exists: Annotated[bool, typer.Option("--if-exists", help="No error when it is not there.")] = False,
    reassign_to: Annotated[Text, typer.Option("--reassign-to", metavar="ROLE", help="Who gets what it owns.")] = None,
    dry_run: DryRun = False,
    as_json: _options.Json = False,
) -> int:
    """Drop a role. What it owns is given to another with --reassign-to; without that it must own nothing.

    Examples:

        heliosdb-nano user drop app

        heliosdb-nano user drop former --reassign-to helios --dry-run
    """
    if if_exists and not _records(client, f"r.rolname = {literal(name)}"):
        return _run(client, [], dry_run, as_json, f'role "{name}" does not exist, skipping')
    return _run(client, drop_steps(name, reassign_to), dry_run, as_json, f'role "{name}" dropped')
