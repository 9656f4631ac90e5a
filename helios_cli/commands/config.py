"""``config``: show, check and write settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from helios_cli.commands import _options
from helios_cli.commands._errors import ExitCode, Refused
from helios_cli.commands._output import plain, print_json, print_table
from helios_cli.engine.config.problems import ConfigProblems, Problem
from helios_cli.engine.config.registry import ALL_SETTINGS, NODE_SETTINGS, find
from helios_cli.engine.config.settings import Settings
from helios_cli.engine.config.spec import Setting, Value

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Show, check and write settings.")


@app.command()
def show(
    name: Annotated[str | None, typer.Argument(help="One setting only.")] = None,
    origin: Annotated[bool, typer.Option("--origin", help="Tell where each value comes from.")] = False,
    changed: Annotated[bool, typer.Option("--changed", help="Only what differs from its default.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="Also settings of clusters, tenants and masters.")] = False,
    data_dir: _options.DataDir = None,
    config: _options.Config = None,
    sets: _options.Sets = None,
    as_json: _options.Json = False,
) -> int:
    """Print the settings a node would start with here.

    Examples:

        heliosdb-nano config show --origin

        heliosdb-nano config show statement_timeout

        heliosdb-nano config show --changed --json
    """
    settings = _options.load({"data_dir": data_dir}, config, sets).settings
    if name is not None:
        row = find(name)
        value = _value(settings, row)
        record = _record(settings, row.name, value, row)
        print_json(record) if as_json else typer.echo(row.show(value) + (f"  ({record['origin']})" if origin else ""))
    elif as_json:
        print_json(settings_record(settings))
    else:
        print_settings(settings, origin=origin, changed=changed, everything=everything)
    return ExitCode.OK


@app.command()
def validate(
    file: Annotated[Path | None, typer.Argument(help="A file instead of the one a node would read.")] = None,
    data_dir: _options.DataDir = None,
    as_json: _options.Json = False,
) -> int:
    """Name every mistake of the configuration at once, with file and line. Exit code 2 when there is one.

    Examples:

        heliosdb-nano config validate

        heliosdb-nano config validate ./heliosdb.conf --json
    """
    path = None if file is None else str(file)
    try:
        problems = _options.load({"data_dir": data_dir}, path).warnings
    except ConfigProblems as error:
        problems = error.problems
    errors = [one for one in problems if not one.warning]
    if as_json:
        print_json({"valid": not errors, "problems": [_problem_record(one) for one in problems]})
        return ExitCode.USAGE if errors else ExitCode.OK
    for one in problems:
        typer.echo(f"{'warning' if one.warning else 'error'}: {one}", err=True)
        if one.hint:
            typer.echo(f"hint: {one.hint}", err=True)
    if not errors:
        typer.echo("the configuration is valid")
    return ExitCode.USAGE if errors else ExitCode.OK


@app.command()
def init(
    file: Annotated[Path, typer.Argument(help="Where to write it.")] = Path("heliosdb.conf"),
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print it instead.")] = False,
    as_json: _options.Json = False,
) -> int:
    """Write a heliosdb.conf with every setting, its meaning and its default, all commented out.

    Examples:

        heliosdb-nano config init /etc/heliosdb/heliosdb.conf

        heliosdb-nano config init --dry-run
    """
    from helios_cli.engine.config.write import replace_file, template

    text = template()
    if dry_run:
        print_json({"file": str(file), "text": text}) if as_json else typer.echo(text, nl=False)
        return ExitCode.OK
    if file.exists() and not force:
        raise Refused(f'file "{file}" exists', hint="Add --force to replace it.")
    replace_file(str(file), text)
    print_json({"file": str(file), "written": True}) if as_json else typer.echo(f"wrote {file}")
    return ExitCode.OK


def settings_record(settings: Settings) -> dict[str, Any]:
    """Every setting with its value, text, unit and origin, by name."""
    rows = {one.name: _record(settings, one.name, getattr(settings, one.name), one) for one in NODE_SETTINGS}
    for key, value in settings.recorded.items():
        rows[key] = _record(settings, key, value, None)
    return {"config_file": settings.config_file, "settings": rows}


def print_settings(settings: Settings, *, origin: bool, changed: bool, everything: bool = False) -> None:
    """The table of settings for people; recorded ones only when set or asked for."""
    rows: list[tuple[str, str, str]] = []
    for one in NODE_SETTINGS:
        rows.append((one.name, one.show(getattr(settings, one.name)), str(settings.origin(one.name))))
    for key, value in settings.recorded.items():
        if everything or key in settings.origins:
            rows.append((key, _show_any(key, value), str(settings.origin(key))))
    if changed:
        rows = [row for row in rows if row[2] != "default"]
    columns = ("setting", "value", "origin") if origin else ("setting", "value")
    print_table(columns, [row[: len(columns)] for row in rows])


def _value(settings: Settings, row: Setting) -> Value | None:
    if row.recorded:
        return settings.recorded.get(row.name)
    value: Value = getattr(settings, row.name)
    return value


def _record(settings: Settings, name: str, value: Value | None, row: Setting | None) -> dict[str, Any]:
    shown = row.show(value) if row is not None else _show_any(name, value)
    record = {"value": plain(value), "shown": shown, "origin": str(settings.origin(name))}
    if row is not None and row.unit is not None:
        record["unit"] = row.unit
    return record


def _show_any(key: str, value: Value | None) -> str:
    for one in ALL_SETTINGS:
        if one.key == key:
            return one.show(value)
    return ",".join(value) if isinstance(value, tuple) else str(value)


def _problem_record(problem: Problem) -> dict[str, Any]:
    return {
        "severity": "warning" if problem.warning else "error",
        "where": str(problem.origin),
        "file": problem.origin.where if problem.origin.kind in ("file", "auto") else None,
        "line": problem.origin.line,
        "key": problem.key,
        "message": problem.message,
        "hint": problem.hint,
    }
